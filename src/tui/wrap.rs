//! Breaks styled lines at a width. English breaks at blanks, Chinese between any two characters, but for those that
//! must not begin a line (，。）) or end one (（《).

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar;

const NOT_FIRST: &str = "，。、；：？！）」』】》”’…,.;:?!)";
const NOT_LAST: &str = "（「『【《“‘(";

/// One character with its style and columns.
type Glyph = (char, Style, usize);

/// The line in pieces of at most `width` columns; the items of a list hang under their own text.
pub fn wrap(line: &Line<'_>, width: usize) -> Vec<Line<'static>> {
    let glyphs = joined(line.spans.iter().flat_map(|span| glyphs(span, line.style)).collect());
    let indent = hang(&glyphs).min(width / 2);
    let (mut lines, mut rest) = (Vec::new(), glyphs.as_slice());
    loop {
        let pad = if lines.is_empty() { 0 } else { indent };
        let end = piece(rest, width.saturating_sub(pad).max(2));
        lines.push(build(pad, &rest[..end]));
        rest = &rest[end..];
        while !lines.is_empty() && rest.first().is_some_and(|g| g.0 == ' ') {
            rest = &rest[1..];
        }
        if rest.is_empty() {
            return lines;
        }
    }
}

fn glyphs<'a>(span: &'a Span<'_>, under: Style) -> impl Iterator<Item = Glyph> + 'a {
    let style = under.patch(span.style);
    span.content.chars().map(move |c| (c, style, c.width().unwrap_or(0)))
}

/// Without the blanks between two wide characters: there a line of the source ended, and Chinese has no blanks.
fn joined(glyphs: Vec<Glyph>) -> Vec<Glyph> {
    let wide = |i: usize| glyphs.get(i).is_some_and(|g| g.2 == 2);
    let kept = |i: &usize| glyphs[*i].0 != ' ' || *i == 0 || !(wide(i - 1) && wide(i + 1));
    (0..glyphs.len()).filter(kept).map(|i| glyphs[i]).collect()
}

/// How many glyphs go on this line.
fn piece(glyphs: &[Glyph], width: usize) -> usize {
    let (mut used, mut best) = (0, 0);
    for (i, (_, _, columns)) in glyphs.iter().enumerate() {
        if i > 0 && may_break(glyphs[i - 1].0, glyphs[i].0) {
            best = i;
        }
        used += columns;
        if used > width {
            return if best > 0 { best } else { i.max(1) };
        }
    }
    glyphs.len()
}

fn may_break(before: char, after: char) -> bool {
    let wide = |c: char| c.width() == Some(2);
    if NOT_FIRST.contains(after) || NOT_LAST.contains(before) || after == ' ' {
        return false;
    }
    before == ' ' || wide(before) || wide(after)
}

/// The columns before the text of a list's item (`- `, `1. `) or of an indented line; a command, which is indented by four,
/// goes on a little further in, for it is one line.
fn hang(glyphs: &[Glyph]) -> usize {
    let text: String = glyphs.iter().map(|g| g.0).take(8).collect();
    let blank = text.len() - text.trim_start().len();
    let item = text.trim_start();
    let marker = match item.split_once(' ') {
        Some(("-" | "*" | "•" | ">" | "✓" | "✗" | "?", _)) => 2,
        Some((number, _)) if number.ends_with('.') && number[..number.len() - 1].parse::<u32>().is_ok() => {
            number.len() + 1
        }
        _ if blank == 4 => 2,
        _ => 0,
    };
    blank + marker
}

fn build(pad: usize, glyphs: &[Glyph]) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    if pad > 0 {
        spans.push(Span::raw(" ".repeat(pad)));
    }
    for (c, style, _) in glyphs {
        match spans.last_mut() {
            Some(last) if last.style == *style => last.content.to_mut().push(*c),
            _ => spans.push(Span::styled(c.to_string(), *style)),
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::wrap;
    use ratatui::text::Line;

    fn wrapped(text: &str, width: usize) -> Vec<String> {
        wrap(&Line::from(text.to_owned()), width).iter().map(ToString::to_string).collect()
    }

    /// What is one command does not look like two.
    #[test]
    fn a_command_goes_on_further_in() {
        assert_eq!(wrapped("    mount -t aufs none", 14), ["    mount -t ", "      aufs ", "      none"]);
    }

    /// English breaks at blanks; a word that is too long is cut.
    #[test]
    fn english_breaks_at_blanks() {
        assert_eq!(wrapped("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    /// Chinese breaks anywhere, but no line begins with a comma.
    #[test]
    fn chinese_breaks_between_characters() {
        assert_eq!(wrapped("领导者发送心跳，任期不变", 14), ["领导者发送心", "跳，任期不变"]);
        assert_eq!(wrapped("节点 n1 当选", 8), ["节点 n1 ", "当选"]);
        assert_eq!(wrapped("角色 （L", 20), ["角色（L"]);
    }

    /// An item's second line stands under its first word.
    #[test]
    fn items_hang() {
        assert_eq!(wrapped("- one two three", 9), ["- one ", "  two ", "  three"]);
    }
}

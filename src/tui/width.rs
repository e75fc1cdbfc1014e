//! Columns of a terminal are not characters: 中 takes two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The longest beginning of `text` that takes at most `width` columns.
pub fn head(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return &text[..at];
        }
    }
    text
}

/// `text` in at most `width` columns; what does not fit is cut, and the cut marked with `~`.
pub fn clip(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.into();
    }
    if width == 0 { String::new() } else { format!("{}~", head(text, width - 1)) }
}

/// `text` in exactly `width` columns, at the left.
pub fn left(text: &str, width: usize) -> String {
    let text = clip(text, width);
    let pad = width - columns(&text);
    text + &" ".repeat(pad)
}

/// `text` in exactly `width` columns, at the right.
pub fn right(text: &str, width: usize) -> String {
    let text = clip(text, width);
    " ".repeat(width - columns(&text)) + &text
}

#[cfg(test)]
mod tests {
    use super::{clip, columns, left, right};

    /// A Chinese word is cut between its characters, never through one, and the columns still add up.
    #[test]
    fn chinese_text_is_cut_on_columns() {
        assert_eq!(clip("领导者", 6), "领导者");
        assert_eq!(clip("领导者", 5), "领导~");
        assert_eq!(clip("领导者", 4), "领~");
        for width in 0..9 {
            assert_eq!(columns(&left("a领b导", width)), width);
            assert_eq!(columns(&right("a领b导", width)), width);
        }
    }
}

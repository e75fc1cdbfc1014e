//! Colours. A theme is a file in `assets/themes`: one line a [`Paint`], with a foreground, a background after `on`, and modifiers.
//!
//! Nothing is told by colour alone: a role is a letter and a shape too, so with `NO_COLOR` the same themes lose their
//! colours, keep bold, dim, underlined and reversed, and the screen still says everything.

use ratatui::style::{Color, Modifier, Style};

/// What something on the screen is, for the theme to paint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Paint {
    Text,
    Dim,
    Accent,
    Title,
    Bar,
    Key,
    Selected,
    Line,
    Leader,
    Candidate,
    Follower,
    Down,
    Paused,
    Timer,
    TimerRest,
    Applied,
    Committed,
    Open,
    Conflict,
    Message,
    Reply,
    Held,
    Cut,
    Good,
    Bad,
    Warn,
    Heading,
    Code,
    Match,
    Panel,
}

/// Every paint with its name in the theme files.
const PAINTS: &[(Paint, &str)] = &[
    (Paint::Text, "text"),
    (Paint::Dim, "dim"),
    (Paint::Accent, "accent"),
    (Paint::Title, "title"),
    (Paint::Bar, "bar"),
    (Paint::Key, "key"),
    (Paint::Selected, "selected"),
    (Paint::Line, "line"),
    (Paint::Leader, "leader"),
    (Paint::Candidate, "candidate"),
    (Paint::Follower, "follower"),
    (Paint::Down, "down"),
    (Paint::Paused, "paused"),
    (Paint::Timer, "timer"),
    (Paint::TimerRest, "timer-rest"),
    (Paint::Applied, "applied"),
    (Paint::Committed, "committed"),
    (Paint::Open, "open"),
    (Paint::Conflict, "conflict"),
    (Paint::Message, "message"),
    (Paint::Reply, "reply"),
    (Paint::Held, "held"),
    (Paint::Cut, "cut"),
    (Paint::Good, "good"),
    (Paint::Bad, "bad"),
    (Paint::Warn, "warn"),
    (Paint::Heading, "heading"),
    (Paint::Code, "code"),
    (Paint::Match, "match"),
    (Paint::Panel, "panel"),
];

/// The themes there are: name and file.
const THEMES: &[(&str, &str)] = &[
    ("dark", include_str!("../../assets/themes/dark.theme")),
    ("light", include_str!("../../assets/themes/light.theme")),
    ("contrast", include_str!("../../assets/themes/contrast.theme")),
];

/// How each [`Paint`] looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    index: usize,
    colourless: bool,
    styles: Vec<Style>,
}

impl Theme {
    /// The theme of this name (`dark`, `light`, `contrast`), the first if there is none; without colours if asked.
    pub fn new(name: &str, colourless: bool) -> Self {
        let index = THEMES.iter().position(|t| t.0 == name).unwrap_or(0);
        let lines: Vec<(&str, Style)> = THEMES[index].1.lines().filter_map(parse).collect();
        let style = |name: &str| lines.iter().find(|l| l.0 == name).map_or(Style::new(), |l| l.1);
        let plain = |s: Style| if colourless { Style { fg: None, bg: None, ..s } } else { s };
        Self { index, colourless, styles: PAINTS.iter().map(|(_, name)| plain(style(name))).collect() }
    }

    /// The dark theme, without colours if `NO_COLOR` is set and not empty (no-color.org).
    pub fn of_environment() -> Self {
        Self::new("dark", std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()))
    }

    /// The next theme.
    #[must_use]
    pub fn next(&self) -> Self {
        Self::new(THEMES[(self.index + 1) % THEMES.len()].0, self.colourless)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        THEMES[self.index].0
    }

    /// Whether colours were taken away.
    pub fn colourless(&self) -> bool {
        self.colourless
    }

    /// How `paint` looks.
    pub fn of(&self, paint: Paint) -> Style {
        self.styles[paint as usize]
    }
}

/// One line of a theme file; comments, blank lines and unknown words give nothing.
fn parse(line: &str) -> Option<(&str, Style)> {
    let mut words = line.split_whitespace();
    let name = words.next().filter(|n| !n.starts_with('#'))?;
    let (mut style, mut ground) = (Style::new(), false);
    for word in words {
        match (word, modifier(word)) {
            ("on", _) => ground = true,
            (_, Some(modifier)) => style = style.add_modifier(modifier),
            (colour, None) => {
                let colour: Color = colour.parse().ok()?;
                style = if std::mem::take(&mut ground) { style.bg(colour) } else { style.fg(colour) };
            }
        }
    }
    Some((name, style))
}

fn modifier(word: &str) -> Option<Modifier> {
    Some(match word {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "italic" => Modifier::ITALIC,
        "underlined" => Modifier::UNDERLINED,
        "reversed" => Modifier::REVERSED,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ratatui::style::Color;

    use super::{PAINTS, Paint, THEMES, Theme, parse};

    /// Every theme paints every paint, every line of it is understood, and paints stand in the order of their names.
    #[test]
    fn themes_are_whole() {
        for (i, (paint, _)) in PAINTS.iter().enumerate() {
            assert_eq!(*paint as usize, i);
        }
        for (theme, file) in THEMES {
            let lines: Vec<_> = file.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
            for line in &lines {
                let name = parse(line).unwrap_or_else(|| panic!("{theme}: {line}")).0;
                assert!(PAINTS.iter().any(|p| p.1 == name), "{theme}: {name}");
            }
            assert_eq!(lines.len(), PAINTS.len(), "{theme}");
        }
    }

    /// NO_COLOR takes the colours and leaves the rest.
    #[test]
    fn a_colourless_theme_keeps_its_modifiers() {
        let (with, without) = (Theme::new("dark", false), Theme::new("dark", true));
        assert!(with.of(Paint::Leader).fg.is_some_and(|c| c != Color::Reset));
        assert_eq!(without.of(Paint::Leader).fg, None);
        assert_eq!(with.of(Paint::Leader).add_modifier, without.of(Paint::Leader).add_modifier);
        assert_eq!(with.next().next().next(), with);
    }
}

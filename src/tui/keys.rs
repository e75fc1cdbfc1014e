//! The keys: one table. What the help shows is this table, what the palette offers is this table, and there is no other
//! place where a key means something, but for typing into a prompt or into the shell.
//!
//! Where two rows share a key the narrower place wins: a search that is on, then the focused pane, then the lab, then everywhere.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::Verb;
use super::panes::PaneId;

/// Where a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// On every screen.
    Everywhere,
    /// In a lab, whatever pane is focused.
    Lab,
    /// While a search is on.
    Searching,
    /// In this pane.
    Pane(PaneId),
}

impl Where {
    /// Its name; its text in the languages is `where-` and this.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::Lab => "lab",
            Self::Searching => "searching",
            Self::Pane(pane) => pane.name(),
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Where it holds.
    pub place: Where,
    /// The keys, each of which does it: `k`, `up`, `ctrl-u`, `gg`.
    pub keys: &'static [&'static str],
    /// What it does.
    pub verb: Verb,
}

const fn row(place: Where, keys: &'static [&'static str], verb: Verb) -> Row {
    Row { place, keys, verb }
}

use Where::{Everywhere, Lab, Pane, Searching};

/// Every key, in the order in which help shows them.
pub const TABLE: &[Row] = &[
    row(Everywhere, &["?"], Verb::Help),
    row(Everywhere, &[":"], Verb::Palette),
    row(Everywhere, &["q", "ctrl-c"], Verb::Back),
    row(Everywhere, &["esc"], Verb::Cancel),
    row(Everywhere, &["L"], Verb::Language),
    row(Everywhere, &["T"], Verb::Theme),
    row(Everywhere, &["k", "up"], Verb::Up),
    row(Everywhere, &["j", "down"], Verb::Down),
    row(Everywhere, &["left"], Verb::Left),
    row(Everywhere, &["l", "right"], Verb::Right),
    row(Everywhere, &["gg", "home"], Verb::Top),
    row(Everywhere, &["G", "end"], Verb::Bottom),
    row(Everywhere, &["ctrl-u", "pageup"], Verb::HalfUp),
    row(Everywhere, &["ctrl-d", "pagedown"], Verb::HalfDown),
    row(Everywhere, &["enter"], Verb::Enter),
    row(Everywhere, &["ctrl-z"], Verb::Suspend),
    row(Everywhere, &["ctrl-l"], Verb::Redraw),
    row(Lab, &["c"], Verb::Check),
    row(Lab, &["h"], Verb::Hint),
    row(Lab, &["n"], Verb::Next),
    row(Lab, &["u"], Verb::Undo),
    row(Lab, &["x"], Verb::Reset),
    row(Lab, &["W"], Verb::Solve),
    row(Lab, &["tab"], Verb::NextPane),
    row(Lab, &["backtab"], Verb::PrevPane),
    row(Lab, &["1"], Verb::Focus(PaneId::Guide)),
    row(Lab, &["2"], Verb::Focus(PaneId::Cluster)),
    row(Lab, &["3"], Verb::Focus(PaneId::Log)),
    row(Lab, &["4"], Verb::Focus(PaneId::Shell)),
    row(Lab, &["5"], Verb::Focus(PaneId::Events)),
    row(Lab, &["6"], Verb::Focus(PaneId::Output)),
    row(Lab, &["7"], Verb::Focus(PaneId::Messages)),
    row(Lab, &["8"], Verb::Focus(PaneId::Union)),
    row(Lab, &["9"], Verb::Focus(PaneId::Volume)),
    row(Lab, &["0"], Verb::Focus(PaneId::Container)),
    row(Lab, &["z"], Verb::Zoom),
    row(Lab, &["space"], Verb::Freeze),
    row(Lab, &["."], Verb::Step),
    row(Lab, &["["], Verb::Slower),
    row(Lab, &["]"], Verb::Faster),
    row(Lab, &["/"], Verb::Search),
    row(Lab, &["y"], Verb::Copy),
    row(Searching, &["n"], Verb::NextMatch),
    row(Searching, &["N"], Verb::PrevMatch),
    row(Pane(PaneId::Cluster), &["K"], Verb::Kill),
    row(Pane(PaneId::Cluster), &["s"], Verb::Start),
    row(Pane(PaneId::Cluster), &["p"], Verb::Pause),
    row(Pane(PaneId::Cluster), &["r"], Verb::Resume),
    row(Pane(PaneId::Cluster), &["t"], Verb::Tick),
    row(Pane(PaneId::Cluster), &["m"], Verb::Receive),
    row(Pane(PaneId::Cluster), &["v"], Verb::Mark),
    row(Pane(PaneId::Cluster), &[">"], Verb::OneWay),
    row(Pane(PaneId::Cluster), &["-"], Verb::Cut),
    row(Pane(PaneId::Cluster), &["+", "="], Verb::Heal),
    row(Pane(PaneId::Cluster), &["A"], Verb::HealAll),
    row(Pane(PaneId::Cluster), &["H"], Verb::Hold),
    row(Pane(PaneId::Cluster), &["o"], Verb::Message),
    row(Pane(PaneId::Cluster), &["d"], Verb::Deliver),
    row(Pane(PaneId::Cluster), &["D"], Verb::Drop),
    row(Pane(PaneId::Cluster), &["w"], Verb::Double),
    row(Pane(PaneId::Messages), &["d"], Verb::Deliver),
    row(Pane(PaneId::Messages), &["D"], Verb::Drop),
    row(Pane(PaneId::Messages), &["w"], Verb::Double),
    row(Pane(PaneId::Output), &["f"], Verb::Filter),
    row(Pane(PaneId::Events), &["f"], Verb::Filter),
    row(Pane(PaneId::Events), &["w"], Verb::Why),
    row(Pane(PaneId::Union), &["w"], Verb::Why),
    row(Pane(PaneId::Shell), &["ctrl-]"], Verb::Leader),
];

/// What a key, or a second key after `before`, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This.
    Verb(Verb),
    /// Nothing yet: it begins a row of two keys.
    Prefix,
    /// Nothing.
    Nothing,
}

/// Looks a key up in the given places, the narrowest first. `before` is the key that began a row of two.
pub fn find(places: &[Where], before: Option<&str>, key: KeyEvent) -> Found {
    let Some(name) = name(key) else { return Found::Nothing };
    let whole = before.unwrap_or_default().to_owned() + &name;
    for place in places {
        let mut rows = TABLE.iter().filter(|r| r.place == *place);
        if let Some(row) = rows.clone().find(|r| r.keys.contains(&whole.as_str())) {
            return Found::Verb(row.verb);
        }
        if before.is_none() && rows.any(|r| r.keys.iter().any(|k| *k == whole.repeat(2))) {
            return Found::Prefix;
        }
    }
    if before.is_some() { find(places, None, key) } else { Found::Nothing }
}

/// A key's name in the table.
pub fn name(key: KeyEvent) -> Option<String> {
    let name = match key.code {
        KeyCode::Char(' ') => "space".into(),
        // Terminals without the keyboard protocol report Ctrl-] as Ctrl-5.
        KeyCode::Char('5') if key.modifiers.contains(KeyModifiers::CONTROL) => "]".into(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Enter => "enter".into(),
        KeyCode::Esc => "esc".into(),
        KeyCode::Tab => "tab".into(),
        KeyCode::BackTab => "backtab".into(),
        KeyCode::Up => "up".into(),
        KeyCode::Down => "down".into(),
        KeyCode::Left => "left".into(),
        KeyCode::Right => "right".into(),
        KeyCode::Home => "home".into(),
        KeyCode::End => "end".into(),
        KeyCode::PageUp => "pageup".into(),
        KeyCode::PageDown => "pagedown".into(),
        _ => return None,
    };
    Some(if key.modifiers.contains(KeyModifiers::CONTROL) { format!("ctrl-{name}") } else { name })
}

/// A key as it is shown: `Ctrl-U`, `Tab`, `Space`.
pub fn shown(key: &str) -> String {
    let upper = |word: &str| word[..1].to_uppercase() + &word[1..];
    match key {
        "backtab" => "Shift-Tab".into(),
        "pageup" => "PgUp".into(),
        "pagedown" => "PgDn".into(),
        "up" | "down" | "left" | "right" | "enter" | "esc" | "tab" | "space" | "home" | "end" => upper(key),
        _ => key.strip_prefix("ctrl-").map_or_else(|| key.into(), |k| format!("Ctrl-{}", k.to_uppercase())),
    }
}

/// The first key that does this, as it is shown.
pub fn key_of(verb: Verb) -> Option<String> {
    TABLE.iter().find(|r| r.verb == verb).map(|r| shown(r.keys[0]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::text::Texts;
    use super::{Everywhere, Found, Lab, Searching, TABLE, Verb, find};
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn key(c: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)
    }

    /// In one place a key means one thing, and every row is told in both languages.
    #[test]
    fn the_table_is_sound() {
        let mut seen = HashSet::new();
        for row in TABLE {
            for key in row.keys {
                assert!(seen.insert((row.place.name(), *key)), "{key} twice in {}", row.place.name());
            }
            for language in ["en", "zh-CN"] {
                let texts = Texts::new(language);
                for id in [format!("verb-{}", row.verb.name()), format!("where-{}", row.place.name())] {
                    assert!(texts.find(&id).is_some(), "{id} has no text in {language}");
                }
            }
        }
    }

    /// The narrower place wins; two keys make one row; a wrong second key is looked up for itself.
    #[test]
    fn keys_find_their_row() {
        assert_eq!(find(&[Lab, Everywhere], None, key('n')), Found::Verb(Verb::Next));
        assert_eq!(find(&[Searching, Lab, Everywhere], None, key('n')), Found::Verb(Verb::NextMatch));
        assert_eq!(find(&[Everywhere], None, key('g')), Found::Prefix);
        assert_eq!(find(&[Everywhere], Some("g"), key('g')), Found::Verb(Verb::Top));
        assert_eq!(find(&[Everywhere], Some("g"), key('j')), Found::Verb(Verb::Down));
        assert_eq!(find(&[Everywhere], None, key('%')), Found::Nothing);
    }
}

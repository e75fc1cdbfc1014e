//! The palette: every action by name, and every command of the world in its own words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::action::Verb;
use crate::tui::keys::{TABLE, shown};
use crate::tui::panes::{Scene, put, put_line};
use crate::tui::theme::Paint;
use crate::tui::ui::{Place, Ui};
use crate::tui::width::{clip, left, right};
use crate::world::command::VERBS;

/// One row of the palette.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An action, with its key.
    Verb(Verb, String),
    /// A command's verb and its usage.
    Command(&'static str, &'static str),
}

/// The rows that fit what was typed, the best first. An input that begins with a command's verb is that command.
pub fn entries(ui: &Ui, input: &str) -> Vec<Entry> {
    let wanted = input.trim().to_lowercase();
    let first = wanted.split(' ').next().unwrap_or_default();
    let lab = matches!(ui.place, Place::Lab(_));
    let commands = VERBS.iter().filter(|_| lab).map(|(verb, usage)| Entry::Command(verb, usage));
    if wanted.contains(' ') && VERBS.iter().any(|(verb, _)| *verb == first) {
        return commands.filter(|e| matches!(e, Entry::Command(verb, _) if *verb == first)).collect();
    }
    let mut seen = Vec::new();
    let mut all: Vec<Entry> = Vec::new();
    for row in TABLE.iter().filter(|r| super::offered(ui, r.place, r.verb)) {
        if !seen.contains(&row.verb) {
            seen.push(row.verb);
            all.push(Entry::Verb(row.verb, shown(row.keys[0])));
        }
    }
    all.extend(commands);
    let mut found: Vec<(u8, Entry)> = all.into_iter().filter_map(|e| Some((rank(ui, &e, &wanted)?, e))).collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// How well a row fits: 0 best; `None` not at all.
fn rank(ui: &Ui, entry: &Entry, wanted: &str) -> Option<u8> {
    let (name, text) = match entry {
        Entry::Verb(verb, _) => (verb.name(), ui.tr(&format!("verb-{}", verb.name())).to_lowercase()),
        Entry::Command(verb, _) => ((*verb).to_owned(), ui.tr(&format!("command-{verb}")).to_lowercase()),
    };
    match () {
        () if wanted.is_empty() => Some(0),
        () if name == wanted => Some(if matches!(entry, Entry::Command(..)) { 0 } else { 1 }),
        () if name.starts_with(wanted) => Some(2),
        () if name.contains(wanted) || text.contains(wanted) => Some(3),
        () => None,
    }
}

/// Draws the palette; gives the caret's place.
pub fn view(
    scene: &Scene<'_>,
    input: &str,
    row: usize,
    wrong: &str,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<(u16, u16)> {
    let entries = entries(scene.ui, input);
    let inside = super::open(scene, area, buffer, &scene.tr("overlay-palette"), 15);
    put(buffer, inside, inside.x, inside.y, ":", scene.of(Paint::Key));
    let line = Rect { x: inside.x + 2, width: inside.width.saturating_sub(2), height: 1, ..inside };
    let caret = super::typed(scene, line, buffer, input);
    let list = Rect { y: inside.y + 2, height: inside.height.saturating_sub(2), ..inside };
    if !wrong.is_empty() {
        put(buffer, inside, inside.x, inside.y + 1, &clip(wrong, inside.width.into()), scene.of(Paint::Bad));
    }
    if entries.is_empty() {
        put(buffer, list, list.x, list.y, &scene.tr("palette-nothing"), scene.of(Paint::Dim));
    }
    let room = usize::from(list.height);
    let row = row.min(entries.len().saturating_sub(1));
    let first = (row + 1).saturating_sub(room);
    for (i, (entry, y)) in
        entries.iter().enumerate().skip(first).zip(list.y..list.bottom()).map(|((i, e), y)| (i, (e, y)))
    {
        put_line(buffer, list, y, &line_of(scene, entry, i == row, list.width.into()));
    }
    Some(caret)
}

fn line_of(scene: &Scene<'_>, entry: &Entry, chosen: bool, width: usize) -> Line<'static> {
    let (name, text, key) = match entry {
        Entry::Verb(verb, key) => (verb.name(), scene.tr(&format!("verb-{}", verb.name())), key.clone()),
        Entry::Command(verb, usage) => (format!("{verb} {usage}"), scene.tr(&format!("command-{verb}")), String::new()),
    };
    let names = (width * 2 / 5).min(34);
    let texts = width.saturating_sub(names + 13);
    let line = Line::from(vec![
        scene.span(Paint::Key, left(&format!(" {name}"), names)),
        scene.span(Paint::Text, format!(" {}", left(&text, texts))),
        scene.span(Paint::Dim, right(&key, 10) + "  "),
    ]);
    if chosen { line.patch_style(scene.of(Paint::Selected)) } else { line }
}

//! The copies of the files that were last written or healed: which is good, and what each holds against the others; what is in
//! split-brain; what was healed.

use ratatui::text::Line;

use super::{LAST, title};
use crate::tui::panes::{Scene, size};
use crate::tui::theme::Paint;
use crate::tui::width::{clip, left, right};
use crate::volume::xattr::Pending;
use crate::volume::{Copy, CopyState};
use crate::world::volume::Copies;

/// How many files are shown.
const FILES: usize = 3;
/// Columns of one cell of the matrix: `12/3/0`.
const CELL: usize = 10;

/// Everything about copies.
pub fn lines(scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
    let picture = &scene.world.volume;
    let mut lines = Vec::new();
    let replicated = picture.copies.iter().filter(|c| c.copies.len() > 1);
    // Those that are in trouble first.
    let (bad, good): (Vec<_>, Vec<_>) =
        replicated.rev().partition(|c| c.copies.iter().any(|c| c.state != CopyState::Good));
    let shown: Vec<&Copies> = bad.into_iter().chain(good).take(FILES).collect();
    if !shown.is_empty() {
        lines.push(Line::from(vec![
            scene.span(Paint::Heading, format!("{}  ", scene.tr("volume-copies"))),
            scene.span(Paint::Dim, scene.tr("volume-copies-key")),
        ]));
    }
    shown.into_iter().for_each(|file| lines.extend(matrix(scene, file, width)));
    if !picture.split.is_empty() {
        lines.push(title(scene, "volume-split"));
        let one = |(path, kind): (&String, _)| Line::from(scene.span(Paint::Bad, format!("  ✗ {path}  {kind:?}")));
        lines.extend(picture.split.iter().map(one));
    }
    if !picture.heals.is_empty() {
        lines.push(title(scene, "volume-heals"));
        lines.extend(picture.heals.iter().rev().take(LAST).map(|heal| {
            let to = heal.to.join(" ");
            let text = format!("  ✓ {}  {:?}  {} -> {to}  {}", heal.path, heal.kind, heal.from, size(heal.bytes));
            Line::from(scene.span(Paint::Good, clip(&text, width)))
        }));
    }
    lines
}

/// One file: a line a copy, a column for each accused brick and one for what is under way.
fn matrix(scene: &Scene<'_>, file: &Copies, width: usize) -> Vec<Line<'static>> {
    let mut accused: Vec<&str> =
        file.copies.iter().flat_map(|c| c.blame.iter().map(|(slot, _)| slot.as_str())).collect();
    accused.sort_unstable();
    accused.dedup();
    let prefix = format!("{}-", file.volume);
    let short = |slot: &str| slot.strip_prefix(&prefix).unwrap_or(slot).to_owned();
    let heads: String = accused.iter().map(|slot| right(&short(slot), CELL)).collect();
    let room = width.saturating_sub(6 + 9 + 10 + accused.len() * CELL).clamp(10, 32);
    let mut lines = vec![Line::from(vec![
        scene.span(Paint::Title, format!("  {}", left(&format!("{} {}", file.volume, file.path), room + 21))),
        scene.span(Paint::Dim, heads),
    ])];
    lines.extend(file.copies.iter().map(|copy| row(scene, copy, &accused, room)));
    lines
}

/// How the state of a copy is marked, painted and called (the name of its text).
pub fn standing(state: CopyState) -> (&'static str, Paint, &'static str) {
    match state {
        CopyState::Good => ("✓", Paint::Good, "copy-good"),
        CopyState::Stale => ("✗", Paint::Warn, "copy-stale"),
        CopyState::Split => ("✗", Paint::Bad, "copy-split"),
        CopyState::Missing => ("-", Paint::Warn, "copy-missing"),
        CopyState::Away => ("-", Paint::Bad, "copy-away"),
    }
}

fn row(scene: &Scene<'_>, copy: &Copy, accused: &[&str], room: usize) -> Line<'static> {
    let (mark, paint, word) = standing(copy.state);
    let figures = if copy.state == CopyState::Away { "-".into() } else { size(copy.size) };
    let cell = |slot: &&str| {
        let held = copy.blame.iter().find(|(s, _)| s == *slot).map(|(_, pending)| *pending);
        right(&held.filter(|p| !p.is_zero()).map_or("-".into(), counters), CELL)
    };
    Line::from(vec![
        scene.span(paint, format!("    {mark} {} {}", left(&copy.brick, room), left(&scene.tr(word), 8))),
        scene.span(Paint::Dim, right(&figures, 8)),
        scene.span(Paint::Warn, accused.iter().map(cell).collect::<String>()),
    ])
}

/// Data, metadata, entry.
fn counters(pending: Pending) -> String {
    format!("{}/{}/{}", pending.data, pending.metadata, pending.entry)
}

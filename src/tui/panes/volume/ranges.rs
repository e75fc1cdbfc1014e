//! Where names hash to, and why: the ranges of a directory drawn beside each other, the last names among them; then what moved.

use ratatui::text::Line;

use super::{LAST, title};
use crate::tui::panes::{Scene, size};
use crate::tui::theme::Paint;
use crate::tui::width::{clip, left};
use crate::world::volume::Placement;

/// How many columns stand for all 2³² hashes.
const RING: u64 = 32;

/// The directory of the last name with its ranges, the last names, and what moved to another subvolume.
pub fn lines(scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
    let picture = &scene.world.volume;
    let mut lines = Vec::new();
    if let Some(last) = picture.placed.back() {
        let place = scene
            .ui
            .texts
            .with("volume-in", &[("volume", last.volume.as_str().into()), ("dir", last.dir.as_str().into())]);
        lines.push(Line::from(vec![
            scene.span(Paint::Heading, format!("{}  ", scene.tr("volume-hashes"))),
            scene.span(Paint::Dim, place),
        ]));
        lines.extend(last.ranges.iter().map(|range| drawn(scene, last, range, width)));
        let same = |p: &&Placement| (&p.volume, &p.dir) == (&last.volume, &last.dir);
        lines.extend(picture.placed.iter().rev().filter(same).take(LAST).map(|p| name(scene, p, width)));
    }
    if !picture.moved.is_empty() {
        lines.push(title(scene, "volume-moves"));
    }
    lines.extend(picture.moved.iter().rev().take(LAST).map(|(path, from, to, bytes)| {
        let text = format!("  ▸ {path}  {from} -> {to}  {}", size(*bytes));
        Line::from(scene.span(Paint::Message, clip(&text, width)))
    }));
    lines
}

/// One subvolume's range; `*` is where the last name's hash lies in it.
fn drawn(scene: &Scene<'_>, last: &Placement, range: &(String, u32, u32), width: usize) -> Line<'static> {
    let (subvolume, start, stop) = range;
    let at = |hash: u32| (u64::from(hash) * RING) >> 32;
    let empty = *start == 0 && *stop == 0;
    let mine = !empty && (*start..=*stop).contains(&last.hash);
    let cell = |column: u64| match column {
        c if mine && c == at(last.hash) => '*',
        c if !empty && (at(*start)..=at(*stop)).contains(&c) => '▰',
        _ => '▱',
    };
    let bar: String = (0..RING).map(cell).collect();
    let room = width.saturating_sub(usize::try_from(RING).unwrap_or(32) + 24).clamp(8, 24);
    Line::from(vec![
        scene.span(if mine { Paint::Title } else { Paint::Text }, format!("  {}", left(subvolume, room))),
        scene.span(Paint::Dim, format!(" {start:08x}-{stop:08x} ")),
        scene.span(if mine { Paint::Timer } else { Paint::TimerRest }, bar),
    ])
}

fn name(scene: &Scene<'_>, placed: &Placement, width: usize) -> Line<'static> {
    let room = width.saturating_sub(18 + placed.subvolume.len()).clamp(8, 24);
    Line::from(vec![
        scene.span(Paint::Text, format!("  {}", left(&placed.name, room))),
        scene.span(Paint::Dim, format!(" {:08x} ▸ ", placed.hash)),
        scene.span(Paint::Text, placed.subvolume.clone()),
    ])
}

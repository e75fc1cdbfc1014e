//! The volume: its bricks by replica set (do they run, what was written, what waits to be healed), where names hash to,
//! heals and split-brains, and the way of the last request through the translators.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::theme::Paint;
use crate::tui::width::{clip, left, right};
use crate::volume::definition::{Brick, Status, Volume};

use super::{Lines, Pane, PaneId, Scene, empty, size, view_lines};

/// How many of the last heals, placements and moves are shown.
const LAST: usize = 6;

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Volume,
    name: "volume",
    matters: |world| !world.volume.volumes.is_empty(),
    status: super::no_status,
    view,
    lines: Some(Lines {
        count: |scene, width| lines(scene, width.into()).len(),
        some: |scene, width, first, most| lines(scene, width.into()).into_iter().skip(first).take(most).collect(),
        at: |scene, total, height| scene.ui.volume_scroll.first(total, height),
        go: |ui, _, go, total, height| ui.volume_scroll.go(go, total, height, false),
        fixed: 0,
    }),
    act: super::no_verbs,
};

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    if scene.world.volume.volumes.is_empty() {
        return empty(scene, area, buffer, "volume-empty");
    }
    let total = lines(scene, area.width.into()).len();
    view_lines(scene, &PANE, scene.ui.volume_scroll.first(total, area.height.into()), area, buffer);
}

/// The whole pane.
fn lines(scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for volume in scene.world.volume.volumes.values() {
        lines.extend(volume_lines(scene, volume, width));
        lines.push(Line::default());
    }
    lines.extend(trouble(scene, width));
    lines.extend(hashes(scene, width));
    lines.extend(way(scene, width));
    lines
}

fn title(scene: &Scene<'_>, id: &str) -> Line<'static> {
    Line::from(scene.span(Paint::Heading, scene.tr(id)))
}

/// One volume: what it is, and its bricks set by set.
fn volume_lines(scene: &Scene<'_>, volume: &Volume, width: usize) -> Vec<Line<'static>> {
    let (sets, replica) = (volume.set_count(), volume.replica);
    let shape = format!("{:?}  {sets} x {replica} = {}", volume.kind(), volume.bricks.len());
    let (status, paint) = match volume.status {
        Status::Created => ("volume-created", Paint::Warn),
        Status::Started => ("volume-started", Paint::Good),
        Status::Stopped => ("volume-stopped", Paint::Bad),
    };
    let mut lines = vec![Line::from(vec![
        scene.span(Paint::Title, format!("{}  ", volume.name)),
        scene.span(Paint::Text, format!("{shape}  ")),
        scene.span(paint, scene.tr(status)),
    ])];
    for (set, bricks) in volume.sets().enumerate() {
        lines.push(Line::from(scene.span(Paint::Dim, format!("  {}", volume.subvolume_name(set)))));
        for (i, brick) in bricks.iter().enumerate() {
            let arbiter = volume.is_arbiter(set * replica.max(1) + i);
            lines.push(brick_line(scene, brick, arbiter, width));
        }
    }
    lines
}

fn brick_line(scene: &Scene<'_>, brick: &Brick, arbiter: bool, width: usize) -> Line<'static> {
    let name = brick.name();
    let process = scene.world.processes.get(&name);
    let (mark, paint, state) = match process {
        Some(p) if p.is_alive() => ("▪", Paint::Good, format!("{} {}", scene.tr("volume-pid"), p.pid)),
        Some(_) => ("✗", Paint::Bad, scene.tr("role-down")),
        None => ("-", Paint::Dim, scene.tr("volume-no-process")),
    };
    let told = scene.world.volume.bricks.get(&name).cloned().unwrap_or_default();
    let role = if arbiter { scene.tr("volume-arbiter") } else { String::new() };
    let wide = width >= 72;
    let tail = if wide { format!("{:>9}  {:>9}", size(told.written), size(told.read)) } else { String::new() };
    let pending = if told.pending > 0 { Paint::Warn } else { Paint::Dim };
    let room = width.saturating_sub(if wide { 54 } else { 34 }).max(12);
    Line::from(vec![
        scene.span(paint, format!("    {mark} {}", left(&clip(&name, room), room))),
        scene.span(paint, left(&format!(" {state} {role}"), 14)),
        scene.span(Paint::Dim, tail),
        scene.span(pending, format!("  {} {}", told.pending, scene.tr("volume-pending"))),
    ])
}

/// What is in split-brain, and the last heals.
fn trouble(scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
    let picture = &scene.world.volume;
    let mut lines = Vec::new();
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

/// The last names with their hashes, each as a place on the ring of 2^32, and the set that it belongs to.
fn hashes(scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
    const RING: usize = 16;
    let picture = &scene.world.volume;
    let mut lines = Vec::new();
    if !picture.placed.is_empty() {
        lines.push(title(scene, "volume-hashes"));
    }
    for (name, hash, subvolume) in picture.placed.iter().rev().take(LAST) {
        let at = usize::try_from((u64::from(*hash) * RING as u64) >> 32).unwrap_or(0).min(RING - 1);
        let ring = "▱".repeat(at) + "▰" + &"▱".repeat(RING - 1 - at);
        let room = width.saturating_sub(RING + 16 + subvolume.len());
        lines.push(Line::from(vec![
            scene.span(Paint::Text, format!("  {}", left(name, room.max(8)))),
            scene.span(Paint::Dim, format!(" {hash:08x} ")),
            scene.span(Paint::Timer, ring),
            scene.span(Paint::Text, format!(" {subvolume}")),
        ]));
    }
    let moved = picture.moved.iter().rev().take(LAST);
    lines.extend(moved.map(|(path, from, to, bytes)| {
        let text = format!("  ▸ {path}  {from} -> {to}  {}", size(*bytes));
        Line::from(scene.span(Paint::Message, clip(&text, width)))
    }));
    lines
}

/// The way of the last request: one line a layer.
fn way(scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
    let steps = &scene.world.volume.steps;
    let Some((last, ..)) = steps.back() else { return Vec::new() };
    let mut lines = vec![Line::default(), title(scene, "volume-way")];
    lines.extend(steps.iter().filter(|(request, ..)| request == last).map(|(_, layer, note)| {
        let room = width.saturating_sub(18);
        Line::from(vec![
            scene.span(Paint::Key, right(layer, 14)),
            scene.span(Paint::Line, " ▸ "),
            scene.span(Paint::Text, clip(note, room)),
        ])
    }));
    lines
}

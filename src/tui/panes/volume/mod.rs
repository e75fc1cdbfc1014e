//! The volume, from the pool down to the single write:
//!
//! * its bricks by replica set: do they run, what goes through them, what waits to be healed, what a scrub found;
//! * [`copies`]: what the copies of a file hold against each other, split-brains, heals;
//! * [`ranges`]: where a name hashes to, and why;
//! * [`way`]: the way of the last request through the translators, step by step.

pub mod copies;
mod ranges;
mod way;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::theme::Paint;
use crate::tui::width::{clip, left};
use crate::volume::definition::{Brick, Status, Volume};
use crate::world::picture::State;

use super::{Lines, Pane, PaneId, Scene, empty, size, view_lines};

/// How many of the last heals, placements and moves are shown.
const LAST: usize = 4;
/// From this width on there is room for figures beside the names.
const WIDE: usize = 72;

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
    }
    for part in [way::lines(scene, width), copies::lines(scene, width), ranges::lines(scene, width)] {
        if !part.is_empty() {
            lines.push(Line::default());
            lines.extend(part);
        }
    }
    lines
}

fn title(scene: &Scene<'_>, id: &str) -> Line<'static> {
    Line::from(scene.span(Paint::Heading, scene.tr(id)))
}

/// One volume: what it is, how far its heal and its task are, and its bricks set by set.
fn volume_lines(scene: &Scene<'_>, volume: &Volume, width: usize) -> Vec<Line<'static>> {
    let (sets, replica) = (volume.set_count(), volume.replica);
    let shape = if replica > 1 { format!("{sets} x {replica} = {}", volume.bricks.len()) } else { sets.to_string() };
    let (status, paint) = match volume.status {
        Status::Created => ("volume-created", Paint::Warn),
        Status::Started => ("volume-started", Paint::Good),
        Status::Stopped => ("volume-stopped", Paint::Bad),
    };
    let mut lines = vec![Line::from(vec![
        scene.span(Paint::Title, format!("{}  ", volume.name)),
        scene.span(Paint::Text, format!("{:?} {shape}  ", volume.kind())),
        scene.span(paint, scene.tr(status)),
    ])];
    lines.extend(heal_progress(scene, volume));
    lines.extend(task_progress(scene, volume));
    if width >= WIDE {
        lines.push(headings(scene, width));
    }
    for (set, bricks) in volume.sets().enumerate() {
        lines.push(Line::from(scene.span(Paint::Dim, format!("  {}", volume.subvolume_name(set)))));
        for (i, brick) in bricks.iter().enumerate() {
            let arbiter = volume.is_arbiter(set * replica.max(1) + i);
            lines.push(brick_line(scene, brick, arbiter, width));
            lines.extend(scrub_line(scene, brick, width));
        }
    }
    lines
}

/// How many columns a brick's name gets.
fn room(width: usize) -> usize {
    width.saturating_sub(if width >= WIDE { 62 } else { 34 }).max(12)
}

fn headings(scene: &Scene<'_>, width: usize) -> Line<'static> {
    let [written, read, second, waits] =
        ["volume-written", "volume-read", "volume-second", "volume-pending"].map(|id| scene.tr(id));
    let right = crate::tui::width::right;
    let text = format!(
        "{}{}{}{}{}",
        " ".repeat(6 + room(width) + 15),
        right(&written, 9),
        right(&read, 9),
        right(&second, 11),
        right(&waits, 10)
    );
    Line::from(scene.span(Paint::Dim, text))
}

fn brick_line(scene: &Scene<'_>, brick: &Brick, arbiter: bool, width: usize) -> Line<'static> {
    let name = brick.name();
    let process = scene.world.processes.get(&name);
    let (mark, paint, state) = match process {
        Some(p) if p.state == State::Paused => ("‖", Paint::Paused, scene.tr("role-paused")),
        Some(p) if p.is_alive() => ("▪", Paint::Good, format!("{} {}", scene.tr("volume-pid"), p.pid)),
        Some(_) => ("✗", Paint::Bad, scene.tr("role-down")),
        None => ("-", Paint::Dim, scene.tr("volume-no-process")),
    };
    let told = scene.world.volume.bricks.get(&name).cloned().unwrap_or_default();
    let role = if arbiter { scene.tr("volume-arbiter") } else { String::new() };
    let right = crate::tui::width::right;
    let alive = process.is_some_and(crate::world::picture::Process::is_alive);
    let rate = if alive { told.rate.0 + told.rate.1 } else { 0 };
    let tail = if width >= WIDE {
        let second = if rate > 0 { size(rate) } else { "-".into() };
        format!("{}{}{}", right(&size(told.written), 9), right(&size(told.read), 9), right(&second, 11))
    } else {
        String::new()
    };
    let pending = if told.pending > 0 { Paint::Warn } else { Paint::Dim };
    let waits = match width >= WIDE {
        true => right(&told.pending.to_string(), 10),
        false => format!("  {} {}", told.pending, scene.tr("volume-pending")),
    };
    Line::from(vec![
        scene.span(paint, format!("    {mark} {}", left(&clip(&name, room(width)), room(width)))),
        scene.span(paint, left(&format!(" {state} {role}"), 15)),
        scene.span(Paint::Dim, tail),
        scene.span(pending, waits),
    ])
}

/// How far the heal is: what still waits of what waited at most.
fn heal_progress(scene: &Scene<'_>, volume: &Volume) -> Option<Line<'static>> {
    let picture = &scene.world.volume;
    let (now, most) = (picture.pending(&volume.name), picture.peaks.get(&volume.name).copied().unwrap_or(0));
    if now == 0 {
        return None;
    }
    let done = usize::try_from((most.saturating_sub(now)) * 20 / most.max(1)).unwrap_or(0).min(20);
    let bar = "▰".repeat(done) + &"▱".repeat(20 - done);
    let text = scene.ui.texts.with("volume-healing", &[("now", now.into()), ("most", most.into())]);
    Some(Line::from(vec![scene.span(Paint::Warn, format!("  {bar} ")), scene.span(Paint::Warn, text)]))
}

/// How far each server is with a rebalance or with emptying bricks.
fn task_progress(scene: &Scene<'_>, volume: &Volume) -> Vec<Line<'static>> {
    let tasks = scene.world.volume.tasks.get(&volume.name).into_iter().flatten();
    let one = |(who, (label, task)): (&String, &(String, crate::volume::handshake::Defrag))| {
        let state = crate::volume::handshake::DefragState::word(task.state);
        let server = who.split('/').next().unwrap_or_default();
        let files =
            scene.ui.texts.with("volume-moved", &[("files", task.files.into()), ("scanned", task.scanned.into())]);
        let paint =
            if task.state == crate::volume::handshake::DefragState::Failed { Paint::Bad } else { Paint::Message };
        Line::from(scene.span(paint, format!("  {label} {server}: {state}  {files}, {}", size(task.size))))
    };
    tasks.filter(|(_, (_, task))| task.state != Default::default()).map(one).collect()
}

/// What the last scrub found on a brick, if it found something.
fn scrub_line(scene: &Scene<'_>, brick: &Brick, width: usize) -> Option<Line<'static>> {
    let scrub = scene.world.volume.scrubs.get(&brick.name()).filter(|s| !s.bad.is_empty())?;
    let paths = scrub.bad.join(" ");
    let text = scene.ui.texts.with("volume-corrupt", &[("paths", paths.into())]);
    Some(Line::from(scene.span(Paint::Bad, clip(&format!("      ✗ {text}"), width))))
}

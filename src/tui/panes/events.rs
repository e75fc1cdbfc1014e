//! The events, newest last, with a cursor; `Enter` or the key of [`Verb::Why`] shows the chain of causes of the one under it.

mod describe;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::action::{Effect, Verb};
use crate::tui::theme::Paint;
use crate::tui::ui::{Overlay, Scroll, Ui};
use crate::tui::width::{clip, columns, left};
use crate::world::event::{Link, Process};
use crate::world::{Event, What, World};

pub use describe::describe;

use super::{Go, Lines, Pane, PaneId, Scene, empty, view_lines};

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Events,
    name: "events",
    matters: |_| false,
    status: |scene| scene.tr(scene.ui.events.kind.id()),
    view,
    lines: Some(Lines {
        count: |scene, _| shown(scene.world, scene.ui).len(),
        some: |scene, width, first, most| some(scene, width.into(), first, most),
        at: |scene, _, _| cursor(scene.world, scene.ui),
        go,
        fixed: 0,
    }),
    act,
};

/// What the events pane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// `seq` of the event under the cursor; the newest if none.
    pub cursor: Option<u64>,
    /// Which events.
    pub kind: Kind,
}

/// Which events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// What one would tell: elections, entries, faults, commands.
    #[default]
    Story,
    /// Messages between machines.
    Messages,
    /// Every event.
    All,
}

impl Kind {
    fn id(self) -> &'static str {
        match self {
            Self::Story => "events-story",
            Self::Messages => "events-messages",
            Self::All => "events-all",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Story => Self::Messages,
            Self::Messages => Self::All,
            Self::All => Self::Story,
        }
    }

    fn has(self, what: &What) -> bool {
        use crate::raft::Happening::{Applied, Committed, Progress, State, Timer};
        match self {
            Self::All => true,
            Self::Messages => matches!(what, What::Link(link) if !matches!(link, Link::Rule { .. })),
            Self::Story => match what {
                What::Raft(Timer { .. } | Progress { .. } | Applied { .. } | Committed { index: 0 }) => false,
                What::Raft(State { why, .. }) => why != "watched",
                What::Union(crate::union::Happening::Resolved { .. } | crate::union::Happening::Listed { .. }) => false,
                What::Volume(crate::volume::Happening::Brick { .. } | crate::volume::Happening::Step { .. }) => false,
                What::Container(
                    crate::container::Happening::Processes { .. } | crate::container::Happening::Wrote { .. },
                ) => false,
                What::Counters { .. } => false,
                What::Link(link) => matches!(link, Link::Rule { .. }),
                What::Process(Process::Started { role, .. }) => !role.is_empty(),
                _ => true,
            },
        }
    }
}

/// The events that are shown, newest last.
fn shown<'a>(world: &'a World, ui: &Ui) -> Vec<&'a Event> {
    world.recent.iter().filter(|e| ui.events.kind.has(&e.what)).collect()
}

/// The place of the cursor among the events shown.
fn cursor(world: &World, ui: &Ui) -> usize {
    let events = shown(world, ui);
    let newest = events.len().saturating_sub(1);
    ui.events.cursor.map_or(newest, |seq| events.partition_point(|e| e.seq < seq).min(newest))
}

fn go(ui: &mut Ui, world: &World, go: Go, total: usize, _: usize) {
    let at = go.among(cursor(world, ui), total);
    ui.events.cursor = if at + 1 >= total { None } else { shown(world, ui).get(at).map(|e| e.seq) };
}

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let events = shown(scene.world, scene.ui).len();
    if events == 0 {
        return empty(scene, area, buffer, "events-empty");
    }
    let mut scroll = Scroll::end();
    if scene.ui.events.cursor.is_some() {
        let at = cursor(scene.world, scene.ui).saturating_sub(usize::from(area.height) / 2);
        scroll = Scroll::default();
        scroll.go(Go::By(at.cast_signed()), events, area.height.into(), false);
    }
    view_lines(scene, &PANE, scroll.first(events, area.height.into()), area, buffer);
}

fn some(scene: &Scene<'_>, width: usize, first: usize, most: usize) -> Vec<Line<'static>> {
    let at = cursor(scene.world, scene.ui);
    let events = shown(scene.world, scene.ui);
    let begin = scene.world.recent.front().map_or(0, |e| e.at);
    let focused = scene.ui.focus == PaneId::Events;
    let names = names(events.iter().skip(first).take(most).copied(), width);
    let line = |(i, event): (usize, &&Event)| {
        let line = line(scene, event, begin, names, width);
        if focused && i == at { line.patch_style(scene.of(Paint::Selected)) } else { line }
    };
    events.iter().enumerate().skip(first).take(most).map(line).collect()
}

/// Columns for the names of who reported these events.
pub(crate) fn names<'a>(events: impl Iterator<Item = &'a Event>, width: usize) -> usize {
    events.map(|e| columns(short(&e.who))).max().unwrap_or(0).clamp(6, (width / 4).clamp(6, 24))
}

/// A reporter's name, without what its events tell anyway.
fn short(who: &str) -> &str {
    who.strip_prefix("container:").unwrap_or(who)
}

/// One event: when (since the oldest that is kept), who (in so many columns), what.
pub(crate) fn line(scene: &Scene<'_>, event: &Event, begin: u64, names: usize, width: usize) -> Line<'static> {
    let (paint, text) = describe(&scene.ui.texts, event);
    let ms = event.at.saturating_sub(begin) / 1000;
    let when = format!("{:>3}:{:02}.{:03}", ms / 60_000, ms / 1000 % 60, ms % 1000);
    let who = left(short(&event.who), names);
    let room = width.saturating_sub(13 + names);
    Line::from(vec![
        scene.span(Paint::Dim, format!("{when}  ")),
        scene.span(Paint::Title, format!("{who} ")),
        scene.span(paint, clip(&text, room)),
    ])
}

fn act(ui: &mut Ui, world: &World, verb: Verb) -> Option<Vec<Effect>> {
    match verb {
        Verb::Filter => {
            ui.events.kind = ui.events.kind.next();
            ui.events.cursor = None;
        }
        Verb::Why | Verb::Enter => {
            let event = *shown(world, ui).get(cursor(world, ui))?;
            ui.overlay = Some(Overlay::Why(event.id.clone(), 0));
        }
        _ => return None,
    }
    Some(vec![])
}

/// The event with its causes, the first cause first. An unknown cause (too old, or not reported) ends the chain.
pub fn chain<'a>(world: &'a World, id: &str) -> Vec<&'a Event> {
    let mut chain: Vec<&Event> = Vec::new();
    let mut wanted = Some(id.to_owned());
    while let Some(event) = wanted.and_then(|id| find(world, &id)) {
        if chain.len() == 64 || chain.iter().any(|e| e.seq == event.seq && e.id == event.id) {
            break;
        }
        chain.push(event);
        wanted = event.cause.clone();
    }
    chain.reverse();
    chain
}

/// The event with this id, or the sending of the message with this id.
fn find<'a>(world: &'a World, id: &str) -> Option<&'a Event> {
    let sends = |e: &&Event| matches!(&e.what, What::Link(Link::Sent(m)) if m.id == id);
    world.recent.iter().rev().find(|e| e.id == id).or_else(|| world.recent.iter().rev().find(sends))
}

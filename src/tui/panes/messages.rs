//! The messages on their way, held ones first: from, to, what they say, and for how long. The held one under the cursor is
//! delivered, lost or doubled by hand. The cursor is the cluster pane's selected message.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::action::Effect;
use crate::tui::theme::Paint;
use crate::tui::ui::{Scroll, Ui};
use crate::tui::width::{clip, left};
use crate::world::World;
use crate::world::picture::Flying;

use super::cluster::{act, waiting};
use super::{Go, Lines, Pane, PaneId, Scene, empty, view_lines};

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Messages,
    name: "messages",
    matters: |_| false,
    status,
    view,
    lines: Some(Lines {
        count: |scene, _| scene.world.links.flying.len(),
        some: |scene, width, first, most| some(scene, width.into(), first, most),
        at: |scene, _, _| cursor(scene.world, scene.ui),
        go,
        fixed: 0,
    }),
    act: |ui, world, verb| act::held(&ui.cluster, world, verb).map(|command| vec![Effect::Send(command)]),
};

fn status(scene: &Scene<'_>) -> String {
    let flying = &scene.world.links.flying;
    if flying.is_empty() {
        return String::new();
    }
    let held = flying.iter().filter(|f| f.held).count();
    let blanks = [("held", held.into()), ("all", (flying.len() - held).into())];
    scene.ui.texts.with("messages-count", &blanks)
}

/// The place of the selected message; the first if none is selected.
fn cursor(world: &World, ui: &Ui) -> usize {
    let selected = |f: &&Flying| Some(&f.message.id) == ui.cluster.message.as_ref();
    waiting(world).iter().position(selected).unwrap_or(0)
}

fn go(ui: &mut Ui, world: &World, go: Go, total: usize, _: usize) {
    let at = go.among(cursor(world, ui), total);
    let messages = waiting(world);
    ui.cluster.message = messages.get(at).map(|f| f.message.id.clone());
}

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let total = scene.world.links.flying.len();
    if total == 0 {
        return empty(scene, area, buffer, "messages-empty");
    }
    let at = cursor(scene.world, scene.ui).saturating_sub(usize::from(area.height) / 2);
    let mut scroll = Scroll::default();
    scroll.go(Go::By(at.cast_signed()), total, area.height.into(), false);
    view_lines(scene, &PANE, scroll.first(total, area.height.into()), area, buffer);
}

fn some(scene: &Scene<'_>, width: usize, first: usize, most: usize) -> Vec<Line<'static>> {
    let at = cursor(scene.world, scene.ui);
    let line = |(i, flying): (usize, &Flying)| {
        let line = line(scene, flying, width);
        let chosen = i == at && scene.ui.focus == PaneId::Messages;
        if chosen { line.patch_style(scene.of(Paint::Selected)) } else { line }
    };
    waiting(scene.world).into_iter().enumerate().skip(first).take(most).map(line).collect()
}

fn line(scene: &Scene<'_>, flying: &Flying, width: usize) -> Line<'static> {
    let m = &flying.message;
    let (mark, paint) = if flying.held { ("=", Paint::Held) } else { ("▸", Paint::Message) };
    let seconds = scene.ui.now.saturating_sub(flying.since) / 1_000_000;
    let head = format!("{mark} {} {} ", left(&m.id, 9), left(&format!("{} -> {}", m.from, m.to), 10));
    let tail = format!("{}  {}", m.kind, m.note);
    let age = format!(" {seconds:>4} s");
    let room = width.saturating_sub(crate::tui::width::columns(&head) + age.len());
    Line::from(vec![
        scene.span(paint, head),
        scene.span(Paint::Text, left(&clip(&tail, room), room)),
        scene.span(Paint::Dim, age),
    ])
}

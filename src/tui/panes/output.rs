//! What each process wrote to standard error. Left and right choose the process; a filter shows only the lines that hold a text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::action::{Effect, Verb};
use crate::tui::theme::Paint;
use crate::tui::ui::{Overlay, Prompt, Scroll, Ui};
use crate::tui::width::clip;
use crate::world::{Name, World};

use super::{Lines, Pane, PaneId, Scene, empty, put_line, view_lines};

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Output,
    name: "output",
    matters: |_| false,
    status: |scene| {
        let filter = &scene.ui.output.filter;
        if filter.is_empty() { String::new() } else { format!("{}: {filter}", scene.tr("output-filter")) }
    },
    view,
    lines: Some(Lines {
        count: |scene, _| lines(scene).count(),
        some: |scene, width, first, most| {
            let line = |text: &String| Line::from(scene.span(Paint::Text, clip(text, width.into())));
            lines(scene).skip(first).take(most).map(line).collect()
        },
        at: |scene, total, height| scene.ui.output.scroll.first(total, height),
        go: |ui, _, go, total, height| ui.output.scroll.go(go, total, height, true),
        fixed: 1,
    }),
    act,
};

/// What the output pane shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The process; the first if it is none of those that wrote something.
    pub process: Name,
    /// Only lines that hold this.
    pub filter: String,
    /// Where it is scrolled to.
    pub scroll: Scroll,
}

impl Default for State {
    fn default() -> Self {
        Self { process: Name::new(), filter: String::new(), scroll: Scroll::end() }
    }
}

/// The process whose output is shown.
fn process<'a>(world: &'a World, ui: &Ui) -> Option<&'a Name> {
    world.output.get_key_value(&ui.output.process).or_else(|| world.output.iter().next()).map(|(name, _)| name)
}

fn lines<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = &'a String> {
    let all = process(scene.world, scene.ui).and_then(|name| scene.world.output.get(name));
    all.into_iter().flatten().filter(|line| line.contains(&scene.ui.output.filter))
}

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let Some(chosen) = process(scene.world, scene.ui) else { return empty(scene, area, buffer, "output-empty") };
    let tab = |name: &Name| scene.span(if name == chosen { Paint::Selected } else { Paint::Dim }, format!(" {name} "));
    put_line(buffer, area, area.y, &Line::from(scene.world.output.keys().map(tab).collect::<Vec<_>>()));
    let inside = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let first = scene.ui.output.scroll.first(lines(scene).count(), inside.height.into());
    view_lines(scene, &PANE, first, inside, buffer);
}

fn act(ui: &mut Ui, world: &World, verb: Verb) -> Option<Vec<Effect>> {
    match verb {
        Verb::Left => choose(ui, world, -1),
        Verb::Right => choose(ui, world, 1),
        Verb::Filter => ui.overlay = Some(Overlay::Prompt(Prompt::Filter, ui.output.filter.clone())),
        _ => return None,
    }
    Some(vec![])
}

fn choose(ui: &mut Ui, world: &World, by: isize) {
    let names: Vec<&Name> = world.output.keys().collect();
    let Some(now) = process(world, ui).and_then(|p| names.iter().position(|n| *n == p)) else { return };
    let at = (now + names.len()).saturating_add_signed(by) % names.len();
    ui.output.process = names[at].clone();
    ui.output.scroll = Scroll::end();
}

//! The way of the last request: one line a step, told by the mount and by the bricks themselves.

use ratatui::text::Line;

use super::title;
use crate::tui::panes::Scene;
use crate::tui::theme::Paint;
use crate::tui::width::{clip, right};
use crate::world::volume::Step;

/// The steps of the youngest request, and of the one that made its file if that was just before.
pub fn lines(scene: &Scene<'_>, width: usize) -> Vec<Line<'static>> {
    let steps = &scene.world.volume.steps;
    let Some(last) = steps.iter().map(|s| s.request).max() else { return Vec::new() };
    let mut lines = vec![title(scene, "volume-way")];
    lines.extend(steps.iter().filter(|s| s.request == last).map(|step| line(scene, step, width)));
    lines
}

fn line(scene: &Scene<'_>, step: &Step, width: usize) -> Line<'static> {
    let blanks: Vec<_> = step.args.iter().map(|(key, value)| (key.as_str(), value.as_str().into())).collect();
    let text = scene.ui.texts.with(&step.note, &blanks);
    // On a brick's disk the step is that server's.
    let server = step.who.split_once(":/").filter(|(who, _)| *who != "mount").map(|(server, _)| server);
    let place = server.map_or(String::new(), |server| format!("{server}: "));
    let paint = match step.layer.as_str() {
        "client" => Paint::Message,
        "server" | "posix" => Paint::Good,
        _ => Paint::Key,
    };
    Line::from(vec![
        scene.span(paint, right(&step.layer, 13)),
        scene.span(Paint::Line, " ▸ "),
        scene.span(Paint::Dim, place.clone()),
        scene.span(Paint::Text, clip(&text, width.saturating_sub(16 + place.len()))),
    ])
}

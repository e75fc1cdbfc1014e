//! Where everything stands: a function of the terminal's size, the zoom, and what the world has to show.
//!
//! | terminal | panes |
//! |---|---|
//! | below 60×20 | none: one line says so |
//! | 80×24 | the guide, and below it one live pane |
//! | from 120×24 | the guide, and beside it one live pane |
//! | from 120×34 | the guide, and beside it three: the world's picture, its log, and a live one |
//! | from 170×44 | the guide, the world's picture over its log, and two live ones |
//!
//! A pane's rectangle includes its title row. Between columns there are three for a line and air.

use ratatui::layout::Rect;

use crate::world::World;

use super::panes::{PaneId, order};
use super::ui::Ui;

/// The smallest terminal that is drawn on.
pub const SMALLEST: (u16, u16) = (60, 20);
/// Columns between two panes side by side.
const GAP: u16 = 3;

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// The first row.
    pub header: Rect,
    /// The last row.
    pub footer: Rect,
    /// Everything between.
    pub body: Rect,
    /// The panes, in reading order.
    pub panes: Vec<(PaneId, Rect)>,
}

impl Layout {
    /// A pane's rectangle without its title, if it is shown.
    pub fn inside(&self, pane: PaneId) -> Option<Rect> {
        let area = self.panes.iter().find(|p| p.0 == pane)?.1;
        Some(Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area })
    }
}

/// Whether the terminal is too small.
pub fn too_small((width, height): (u16, u16)) -> bool {
    width < SMALLEST.0 || height < SMALLEST.1
}

/// Where everything stands now.
pub fn of(ui: &Ui, world: &World) -> Layout {
    let (width, height) = ui.size;
    if too_small(ui.size) {
        return Layout::default();
    }
    let row = |y, height| Rect { x: 1, y, width: width - 2, height };
    let (header, footer, body) = (row(0, 1), row(height - 1, 1), row(1, height - 2));
    let panes = if ui.zoom { vec![(ui.focus, body)] } else { arrange(body, (width, height), ui, world) };
    Layout { header, footer, body, panes }
}

fn arrange(body: Rect, (width, height): (u16, u16), ui: &Ui, world: &World) -> Vec<(PaneId, Rect)> {
    if width < 120 {
        let (guide, live) = rows(body, (body.height * 2 / 5).max(8));
        return vec![(PaneId::Guide, guide), (ui.live(world), live)];
    }
    let (guide, rest) = columns(body, (width * 2 / 5).clamp(46, 64));
    if height < 34 {
        return vec![(PaneId::Guide, guide), (ui.live(world), rest)];
    }
    let shown = order(world, ui.guide.picture);
    if width < 170 || height < 44 {
        let thirds = [rest.height * 2 / 5, rest.height * 3 / 10];
        let (first, rest) = rows(rest, thirds[0]);
        let (second, third) = rows(rest, thirds[1]);
        return place(&[guide, first, second, third], 1, &shown, ui.wanted);
    }
    let (left, right) = columns(rest, rest.width / 2);
    let (first, second) = rows(left, (left.height * 2 / 5).clamp(14, 20));
    let (third, fourth) = rows(right, right.height * 3 / 5);
    place(&[guide, first, second, third, fourth], 2, &shown, ui.wanted)
}

/// Puts the panes in order into the rectangles. What the person wants, and else the shell, has the first of the last
/// `live` rectangles if it is not there yet.
fn place(areas: &[Rect], live: usize, order: &[PaneId], wanted: Option<PaneId>) -> Vec<(PaneId, Rect)> {
    let mut shown: Vec<PaneId> = order.iter().copied().take(areas.len()).collect();
    let wanted = wanted.unwrap_or(PaneId::Shell);
    if !shown.contains(&wanted) {
        let at = areas.len() - live;
        shown[at] = wanted;
    }
    shown.into_iter().zip(areas.iter().copied()).collect()
}

fn rows(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    (Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area })
}

fn columns(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let next = (width + GAP).min(area.width);
    (Rect { width, ..area }, Rect { x: area.x + next, width: area.width - next, ..area })
}

//! The first screen: what this is, the labs with their progress, and the keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::guide::Card;
use crate::tui::layout::Layout;
use crate::tui::panes::guide::markdown;
use crate::tui::panes::{Scene, put, put_line};
use crate::tui::theme::Paint;
use crate::tui::width::{columns, left};
use crate::tui::wrap::wrap;

/// The picture on the first screen.
const LOGO: &str = include_str!("../../../assets/logo.txt");
/// Cells of a lab's progress bar.
const BAR: usize = 10;

/// Draws the list.
pub fn view(scene: &Scene<'_>, layout: &Layout, buffer: &mut Buffer) {
    let body = layout.body;
    let width = body.width.min(88);
    let page = Rect { x: body.x + (body.width - width) / 2, width, ..body };
    let spare = body.height.saturating_sub(u16::try_from(scene.ui.cards.len()).unwrap_or(0) + 14);
    let mut y = page.y + 1 + spare / 4;
    for line in LOGO.lines() {
        put(buffer, page, page.x, y, line, scene.of(Paint::Accent));
        y += 1;
    }
    let beside = page.x + 2 + LOGO.lines().map(columns).max().and_then(|w| u16::try_from(w).ok()).unwrap_or(0);
    let middle = y.saturating_sub(u16::try_from(LOGO.lines().count()).unwrap_or(0).div_ceil(2) + 1);
    put(buffer, page, beside, middle, &scene.tr("app-title"), scene.of(Paint::Title));
    put(buffer, page, beside, middle + 1, &scene.tr("app-tagline"), scene.of(Paint::Dim));
    y += 1;
    if scene.ui.cards.is_empty() {
        nothing(scene, Rect { y, height: page.bottom().saturating_sub(y), ..page }, buffer);
        return;
    }
    cards(scene, Rect { y, height: page.bottom().saturating_sub(y), ..page }, buffer);
}

/// While the labs are read; and where they cannot be, why.
fn nothing(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let why = &scene.ui.no_cards;
    let (id, paint) = if why.is_empty() { ("list-empty", Paint::Dim) } else { ("list-failed", Paint::Bad) };
    put(buffer, area, area.x, area.y, &scene.tr(id), scene.of(paint));
    let lines = wrap(&Line::from(scene.span(Paint::Text, why.clone())), area.width.into());
    for (line, y) in lines.iter().zip(area.y + 1..area.bottom()) {
        put_line(buffer, area, y, line);
    }
}

/// The labs, as many as fit around the selected one, and what the selected one is about.
fn cards(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let ui = scene.ui;
    let about = ui.cards.get(ui.card).map_or("", |c| c.about.as_str());
    let width = usize::from(area.width).saturating_sub(2);
    let about: Vec<Line<'_>> =
        markdown(about, &scene.ui.theme, width).iter().flat_map(|line| wrap(line, width)).collect();
    let room = usize::from(area.height).saturating_sub(about.len() + 2).max(1);
    let first = ui.card.saturating_sub(room / 2).min(ui.cards.len().saturating_sub(room));
    let mut y = area.y;
    for (i, card) in ui.cards.iter().enumerate().skip(first).take(room) {
        put_line(buffer, area, y, &row(scene, card, i == ui.card, area.width.into()));
        y += 1;
    }
    let below = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    for (line, y) in about.iter().zip(y + 1..area.bottom()) {
        put_line(buffer, below, y, line);
    }
}

fn row(scene: &Scene<'_>, card: &Card, chosen: bool, width: usize) -> Line<'static> {
    let full = (card.done * BAR).checked_div(card.steps).unwrap_or(0).min(BAR);
    let progress = format!("{:>3}/{}", card.done, card.steps);
    let title = left(&card.title, width.saturating_sub(BAR + 12));
    let done = card.steps > 0 && card.done >= card.steps;
    let mark = if done { "✓" } else { " " };
    let (pointer, paint) = if chosen { ("▸ ", Paint::Accent) } else { ("  ", Paint::Text) };
    let style = if chosen { scene.of(paint).add_modifier(ratatui::style::Modifier::BOLD) } else { scene.of(paint) };
    Line::from(vec![
        scene.span(Paint::Accent, pointer),
        ratatui::text::Span::styled(title, style),
        scene.span(Paint::Good, format!(" {mark} ")),
        scene.span(Paint::Timer, "▰".repeat(full)),
        scene.span(Paint::TimerRest, "▱".repeat(BAR - full)),
        scene.span(Paint::Dim, progress),
    ])
}

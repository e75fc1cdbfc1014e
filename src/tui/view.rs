//! One frame, from the world and what the person looks at. Nothing else is read, and nothing is changed.

mod list;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::world::World;

use super::action::Verb;
use super::keys::key_of;
use super::layout::{Layout, too_small};
use super::overlay;
use super::panes::{PANES, PaneId, Scene, put, put_line, shell};
use super::theme::Paint;
use super::ui::{Place, Ui};
use super::width::{clip, columns};

/// Draws the screen.
pub fn view(world: &World, ui: &Ui, frame: &mut Frame<'_>) {
    let scene = Scene { world, ui };
    let area = frame.area();
    if too_small((area.width, area.height)) || too_small(ui.size) {
        return small(&scene, area, frame.buffer_mut());
    }
    if (area.width, area.height) != ui.size {
        // Resized this very moment; the news is on its way, and with it the next frame.
        return;
    }
    let layout = ui.layout(world);
    match &ui.place {
        Place::List => list::view(&scene, &layout, frame.buffer_mut()),
        Place::Opening(_) => opening(&scene, &layout, frame.buffer_mut()),
        Place::Lab(_) => lab(&scene, &layout, frame.buffer_mut()),
    }
    header(&scene, layout.header, frame.buffer_mut());
    footer(&scene, layout.footer, frame.buffer_mut());
    let caret = match &ui.overlay {
        Some(over) => overlay::view(&scene, over, area, frame.buffer_mut()),
        None => caret(ui, &layout),
    };
    if let Some(at) = caret {
        frame.set_cursor_position(at);
    }
}

/// The terminal is too small: one legible line.
fn small(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let size = format!("{}x{}", area.width, area.height);
    let text = scene.ui.texts.with("too-small", &[("size", size.into())]);
    let short = [text.as_str(), "60x20", "60"].into_iter().find(|t| columns(t) <= area.width.into()).unwrap_or("");
    put(buffer, area, area.x, area.y + area.height / 2, short, scene.of(Paint::Warn));
}

/// The hardware cursor stands at the shell's caret, also for input methods.
fn caret(ui: &Ui, layout: &Layout) -> Option<(u16, u16)> {
    let inside = layout.inside(PaneId::Shell).filter(|_| ui.in_shell())?;
    shell::cursor(ui, inside)
}

/// First row: where we are, and how the world's clocks run.
fn header(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let (ui, world) = (scene.ui, scene.world);
    let whole = Rect { x: 0, width: area.width + 2, ..area };
    put(buffer, whole, 0, area.y, &" ".repeat(whole.width.into()), scene.of(Paint::Bar));
    let right = if matches!(ui.place, Place::Lab(_)) { clock(scene) } else { ui.texts.name().to_owned() };
    let room = usize::from(area.width).saturating_sub(columns(&right) + 2);
    let title = match &ui.place {
        Place::List => scene.tr("app-title"),
        _ if !ui.guide.lab.is_empty() => ui.guide.lab.clone(),
        Place::Opening(id) | Place::Lab(id) => id.clone(),
    };
    let bar = scene.of(Paint::Bar);
    put(buffer, area, area.x, area.y, &clip(&title, room), bar.patch(scene.of(Paint::Title)));
    let x = area.right().saturating_sub(u16::try_from(columns(&right)).unwrap_or(0));
    let loud = world.frozen && matches!(ui.place, Place::Lab(_));
    put(buffer, area, x, area.y, &right, if loud { bar.patch(scene.of(Paint::Warn)) } else { bar });
}

fn clock(scene: &Scene<'_>) -> String {
    let world = scene.world;
    if world.frozen {
        return scene.tr("clock-frozen");
    }
    if world.speed <= 0.0 || (world.speed - 1.0).abs() < 1e-9 {
        return scene.tr("clock-full");
    }
    let slower = (1.0 / world.speed).round();
    scene.ui.texts.with("clock-slow", &[("n", slower.into())])
}

/// Last row: a notice, or the keys that matter now; the way back always among them.
fn footer(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    if let Some(notice) = &scene.ui.notice {
        let text = clip(&notice.text, area.width.into());
        return put(buffer, area, area.x, area.y, &text, scene.of(notice.paint));
    }
    let hints = hints(scene);
    let length = |(key, what): &(String, String)| columns(key) + 1 + columns(what);
    let mut room = usize::from(area.width).saturating_sub(hints.last().map_or(0, length));
    let mut line = Line::default();
    for (i, hint) in hints.iter().enumerate() {
        let last = i + 1 == hints.len();
        if !last && length(hint) + 3 > room {
            continue;
        }
        room = room.saturating_sub(length(hint) + 3);
        line.spans.push(scene.span(Paint::Key, format!("{} ", hint.0)));
        line.spans.push(scene.span(Paint::Dim, format!("{}   ", hint.1)));
    }
    put_line(buffer, area, area.y, &line);
}

/// The keys of the footer with their short texts.
fn hints(scene: &Scene<'_>) -> Vec<(String, String)> {
    let ui = scene.ui;
    let short = |verb: Verb| (key_of(verb).unwrap_or_default(), scene.tr(&format!("short-{}", verb.name())));
    if ui.in_shell() {
        return vec![short(Verb::Leader)];
    }
    let mut hints: Vec<_> = [Verb::Help, Verb::Palette].map(short).into();
    match ui.place {
        Place::List => hints.extend([Verb::Enter, Verb::Down, Verb::Up, Verb::Language, Verb::Theme].map(short)),
        Place::Opening(_) => {}
        Place::Lab(_) => {
            let next = if ui.guide.passed { Verb::Next } else { Verb::Hint };
            if ui.focus == PaneId::Guide && ui.guide.question_to_answer().is_some() {
                hints.push((key_of(Verb::Enter).unwrap_or_default(), scene.tr("short-answer")));
            }
            let pane: &[Verb] = match ui.focus {
                PaneId::Cluster => &[Verb::Kill, Verb::Start, Verb::Cut, Verb::Heal],
                PaneId::Messages => &[Verb::Deliver, Verb::Drop, Verb::Double],
                PaneId::Events => &[Verb::Why, Verb::Filter],
                PaneId::Output => &[Verb::Filter],
                _ => &[],
            };
            hints.extend(pane.iter().copied().map(short));
            hints.extend([Verb::Check, next, Verb::NextPane, Verb::Freeze, Verb::Zoom].map(short));
        }
    }
    hints.push(short(Verb::Back));
    hints
}

/// The lab is being opened.
fn opening(scene: &Scene<'_>, layout: &Layout, buffer: &mut Buffer) {
    let text = scene.tr("opening");
    let dots = 1 + usize::try_from(scene.ui.now / 400_000 % 3).unwrap_or(0);
    let x = layout.body.x + layout.body.width.saturating_sub(u16::try_from(columns(&text)).unwrap_or(0)) / 2;
    let y = layout.body.y + layout.body.height / 2;
    put(buffer, layout.body, x, y, &(text + &".".repeat(dots)), scene.of(Paint::Accent));
}

fn lab(scene: &Scene<'_>, layout: &Layout, buffer: &mut Buffer) {
    for (id, area) in &layout.panes {
        if area.x > layout.body.x {
            (area.top()..area.bottom())
                .for_each(|y| put(buffer, layout.body, area.x - 2, y, "╎", scene.of(Paint::Line)));
        }
        title(scene, *id, *area, buffer);
        let inside = layout.inside(*id).unwrap_or_default();
        if inside.height > 0 && inside.width > 0 {
            (id.pane().view)(scene, inside, buffer);
        }
    }
}

/// A pane's title row: its digit, its name, its status; a line fills the rest.
fn title(scene: &Scene<'_>, id: PaneId, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let pane = id.pane();
    let digit = PANES.iter().position(|p| p.id == id).map_or(0, |i| (i + 1) % 10);
    let focused = scene.ui.focus == id;
    let name = format!("{digit} {}", scene.tr(&format!("pane-{}", pane.name)));
    let (text, style) = if focused {
        (format!("▸ {name} "), scene.of(Paint::Accent).add_modifier(ratatui::style::Modifier::BOLD))
    } else {
        (format!("  {name} "), scene.of(Paint::Title))
    };
    let status = clip(&(pane.status)(scene), usize::from(area.width).saturating_sub(columns(&text) + 4));
    let line = if focused { scene.of(Paint::Accent) } else { scene.of(Paint::Line) };
    put(buffer, area, area.x, area.y, &"╌".repeat(area.width.into()), line);
    put(buffer, area, area.x, area.y, &text, style);
    if !status.is_empty() {
        let status = format!(" {status} ");
        let x = area.right().saturating_sub(u16::try_from(columns(&status)).unwrap_or(0)).max(area.x);
        put(buffer, area, x, area.y, &status, scene.of(Paint::Dim));
    }
}

//! What lies over the panes: help, palette, prompts, questions, chains of causes. One box in the middle.

mod palette;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::action::Verb;
use super::keys::{TABLE, Where, shown};
use super::panes::guide::{letter, markdown};
use super::panes::{Scene, events, put, put_line};
use super::theme::Paint;
use super::ui::{Ask, Overlay, Place, Prompt, Ui};
use super::width::{columns, head, left};
use super::wrap::wrap;

pub use palette::{Entry, entries};

/// Draws it; gives the place of the caret if something is typed.
pub fn view(scene: &Scene<'_>, overlay: &Overlay, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
    match overlay {
        Overlay::Help(scroll) => scrolled(scene, area, buffer, "overlay-help", &help(scene), *scroll),
        Overlay::Why(id, scroll) => scrolled(scene, area, buffer, "overlay-why", &why(scene, id, area), *scroll),
        Overlay::Text(text, scroll) => {
            let lines: Vec<_> = text.lines().map(|l| Line::from(scene.span(Paint::Text, l))).collect();
            scrolled(scene, area, buffer, "overlay-text", &lines, *scroll);
        }
        Overlay::Ask(ask) => self::ask(scene, ask, area, buffer),
        Overlay::Question(question, choice) => self::question(scene, *question, *choice, area, buffer),
        Overlay::Prompt(prompt, input) => return Some(self::prompt(scene, *prompt, input, area, buffer)),
        Overlay::Palette { input, row, wrong } => {
            return palette::view(scene, input, *row, wrong, area, buffer);
        }
    }
    None
}

/// How many lines an overlay that scrolls has, and how many of them are seen.
pub fn extent(scene: &Scene<'_>, overlay: &Overlay) -> (usize, usize) {
    let (width, height) = scene.ui.size;
    let area = Rect::new(0, 0, width, height);
    let lines = match overlay {
        Overlay::Help(_) => help(scene).len(),
        Overlay::Why(id, _) => why(scene, id, area).len(),
        Overlay::Text(text, _) => text.lines().count(),
        _ => 0,
    };
    (lines, usize::from(room(area).height.saturating_sub(2)).min(lines))
}

/// The most that a box may take.
fn room(area: Rect) -> Rect {
    let (width, height) = (area.width.saturating_sub(4).min(96), area.height.saturating_sub(2));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Clears a box of so many rows in the middle, writes its title, and gives its inside.
fn open(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, title: &str, rows: usize) -> Rect {
    let height = height_of(area, rows);
    open_at(scene, area, buffer, title, area.y + (area.height - height) / 2, height)
}

fn height_of(area: Rect, rows: usize) -> u16 {
    room(area).height.min(u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(3))
}

fn open_at(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, title: &str, y: u16, height: u16) -> Rect {
    let frame = Rect { y, height, ..room(area) };
    let outer = Rect { x: frame.x.saturating_sub(1), width: frame.width + 2, ..frame };
    ratatui::widgets::Widget::render(ratatui::widgets::Clear, outer, buffer);
    buffer.set_style(outer.intersection(buffer.area), scene.of(Paint::Panel));
    let rule = "╌".repeat(frame.width.into());
    put(buffer, frame, frame.x, frame.y, &rule, scene.of(Paint::Accent));
    let bold = scene.of(Paint::Accent).add_modifier(ratatui::style::Modifier::BOLD);
    put(buffer, frame, frame.x, frame.y, &format!("▸ {title} "), bold);
    put(buffer, frame, frame.x, frame.bottom().saturating_sub(1), &rule, scene.of(Paint::Accent));
    Rect { x: frame.x + 1, y: frame.y + 1, width: frame.width.saturating_sub(2), height: height.saturating_sub(2) }
}

fn scrolled(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, title: &str, lines: &[Line<'_>], scroll: usize) {
    let inside = open(scene, area, buffer, &scene.tr(title), lines.len() - usize::from(!lines.is_empty()));
    let first = scroll.min(lines.len().saturating_sub(inside.height.into()));
    for (line, y) in lines.iter().skip(first).zip(inside.y..inside.bottom()) {
        put_line(buffer, inside, y, line);
    }
    if first + usize::from(inside.height) < lines.len() {
        let more = format!(" {} ", scene.tr("more"));
        put(buffer, area, inside.x + 1, inside.bottom(), &more, scene.of(Paint::Dim));
    }
}

/// The key table: first the focused pane's rows, then the others.
fn help(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let mut places: Vec<Where> = Vec::new();
    TABLE.iter().for_each(|r| {
        if !places.contains(&r.place) {
            places.push(r.place)
        }
    });
    let here = match scene.ui.place {
        Place::Lab(_) => Where::Pane(scene.ui.focus),
        _ => Where::Everywhere,
    };
    places.sort_by_key(|p| *p != here);
    let mut lines = Vec::new();
    for place in places {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::from(scene.span(Paint::Heading, scene.tr(&format!("where-{}", place.name())))));
        lines.extend(TABLE.iter().filter(|r| r.place == place).map(|row| {
            let keys = row.keys.iter().map(|k| shown(k)).collect::<Vec<_>>().join("  ");
            let text = scene.tr(&format!("verb-{}", row.verb.name()));
            Line::from(vec![scene.span(Paint::Key, left(&keys, 20)), scene.span(Paint::Text, text)])
        }));
    }
    lines
}

/// The chain of causes, the first cause on top.
fn why(scene: &Scene<'_>, id: &str, area: Rect) -> Vec<Line<'static>> {
    let chain = events::chain(scene.world, id);
    let begin = scene.world.recent.front().map_or(0, |e| e.at);
    let width = usize::from(room(area).width).saturating_sub(4);
    let names = events::names(chain.iter().copied(), width);
    let mut lines = Vec::new();
    if chain.first().is_some_and(|e| e.cause.is_some()) {
        lines.push(Line::from(scene.span(Paint::Dim, scene.tr("why-older"))));
    }
    for (i, event) in chain.iter().enumerate() {
        let mut line = events::line(scene, event, begin, names, width);
        line.spans.insert(0, scene.span(Paint::Accent, if i == 0 { "  " } else { "> " }));
        lines.push(line);
    }
    if lines.is_empty() {
        lines.push(Line::from(scene.span(Paint::Dim, scene.tr("why-unknown"))));
    } else if chain.len() == 1 && chain[0].cause.is_none() {
        lines.push(Line::default());
        lines.push(Line::from(scene.span(Paint::Dim, scene.tr("why-none"))));
    }
    lines
}

fn ask(scene: &Scene<'_>, ask: &Ask, area: Rect, buffer: &mut Buffer) {
    let (title, text) = match ask {
        Ask::Reset => ("verb-reset", scene.tr("ask-reset")),
        Ask::Undo => ("verb-undo", scene.tr("ask-undo")),
        Ask::Solve => ("verb-solve", scene.tr("ask-solve")),
        Ask::Leave(what) => ("verb-back", scene.ui.texts.with("ask-leave", &[("what", what.as_str().into())])),
    };
    let width = usize::from(room(area).width).saturating_sub(2);
    let mut lines = wrap(&Line::from(scene.span(Paint::Text, text)), width);
    lines.push(Line::default());
    lines.push(Line::from(scene.span(Paint::Key, scene.tr("ask-keys"))));
    let inside = open(scene, area, buffer, &scene.tr(title), lines.len() - 1);
    for (line, y) in lines.iter().zip(inside.y..inside.bottom()) {
        put_line(buffer, inside, y, line);
    }
}

fn question(scene: &Scene<'_>, question: usize, choice: usize, area: Rect, buffer: &mut Buffer) {
    let Some(asked) = scene.ui.guide.questions.get(question) else { return };
    let width = usize::from(room(area).width).saturating_sub(2);
    let wrapped = |line: &Line<'_>| wrap(line, width);
    let mut lines: Vec<Line<'static>> = markdown(&asked.ask, &scene.ui.theme, width).iter().flat_map(wrapped).collect();
    lines.push(Line::default());
    for (i, text) in asked.choices.iter().enumerate() {
        let (mark, paint) = if i == choice { ("▸", Paint::Accent) } else { (" ", Paint::Text) };
        lines.extend(wrapped(&Line::from(scene.span(paint, format!("{mark} {}) {text}", letter(i))))));
    }
    lines.push(Line::default());
    lines.push(Line::from(scene.span(Paint::Dim, scene.tr("question-keys"))));
    let title = scene.ui.texts.with("guide-predict", &[("n", (question + 1).into())]);
    // At the top, over the guide: the answer is often to be seen in the panes below.
    let inside = open_at(scene, area, buffer, &title, area.y + 1, height_of(area, lines.len() - 1));
    for (line, y) in lines.iter().zip(inside.y..inside.bottom()) {
        put_line(buffer, inside, y, line);
    }
}

/// A prompt stands in the last row. Gives the caret's place.
fn prompt(scene: &Scene<'_>, prompt: Prompt, input: &str, area: Rect, buffer: &mut Buffer) -> (u16, u16) {
    let title = scene.tr(match prompt {
        Prompt::Search => "prompt-search",
        Prompt::Filter => "prompt-filter",
    });
    let row =
        Rect { x: area.x + 1, y: area.bottom().saturating_sub(1), width: area.width.saturating_sub(2), height: 1 };
    put(buffer, row, row.x, row.y, &" ".repeat(row.width.into()), scene.of(Paint::Text));
    put(buffer, row, row.x, row.y, &title, scene.of(Paint::Key));
    let x = row.x + u16::try_from(columns(&title)).unwrap_or(0) + 1;
    typed(scene, Rect { x, width: row.right().saturating_sub(x), ..row }, buffer, input)
}

/// What is typed, its end in sight; gives the caret's place.
fn typed(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, input: &str) -> (u16, u16) {
    let room = usize::from(area.width).saturating_sub(1);
    let mut tail = input;
    while columns(tail) > room && !tail.is_empty() {
        tail = &tail[tail.chars().next().map_or(0, char::len_utf8)..];
    }
    put(buffer, area, area.x, area.y, head(tail, room), scene.of(Paint::Text));
    (area.x + u16::try_from(columns(tail)).unwrap_or(0), area.y)
}

/// Whether a verb makes sense for the palette on this screen.
pub(super) fn offered(ui: &Ui, place: Where, verb: Verb) -> bool {
    let lab = matches!(ui.place, Place::Lab(_));
    let moving = matches!(
        verb,
        Verb::Up | Verb::Down | Verb::Left | Verb::Right | Verb::Enter | Verb::Cancel | Verb::Palette | Verb::Leader
    );
    !moving && (lab || place == Where::Everywhere)
}

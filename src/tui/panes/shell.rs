//! The shell: the cells of a real terminal ([`crate::tui::shell`]).

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::tui::action::{Effect, Verb};
use crate::tui::theme::Paint;
use crate::tui::ui::Ui;
use crate::world::World;

use super::{Pane, PaneId, Scene, empty, put};

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Shell,
    name: "shell",
    matters: |_| true,
    status: |scene| scene.tr(if scene.ui.leader { "shell-leader-on" } else { "shell-leader" }),
    view,
    lines: None,
    act,
};

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let Some(screen) = scene.ui.shell.screen() else {
        return empty(scene, area, buffer, if scene.ui.shell.ended() { "shell-ended" } else { "shell-empty" });
    };
    for row in 0..area.height {
        for column in 0..area.width {
            let Some(cell) = screen.cell(row, column) else { continue };
            if cell.is_wide_continuation() || (cell.is_wide() && column + 1 >= area.width) {
                continue;
            }
            let style = style(scene, cell);
            let text = if cell.has_contents() { cell.contents() } else { " " };
            put(buffer, area, area.x + column, area.y + row, text, style);
        }
    }
    if scene.ui.shell.ended() {
        put(buffer, area, area.x, area.bottom().saturating_sub(1), &scene.tr("shell-ended"), scene.of(Paint::Dim));
    }
}

/// Where the shell's cursor stands in the pane, if it is to be seen.
pub fn cursor(ui: &Ui, area: Rect) -> Option<(u16, u16)> {
    let screen = ui.shell.screen().filter(|s| !s.hide_cursor() && s.scrollback() == 0)?;
    let (row, column) = screen.cursor_position();
    (row < area.height && column < area.width && !ui.shell.ended()).then_some((area.x + column, area.y + row))
}

fn style(scene: &Scene<'_>, cell: &vt100::Cell) -> Style {
    let plain = scene.ui.theme.colourless();
    let colour = |colour| match colour {
        vt100::Color::Idx(i) if !plain => Some(Color::Indexed(i)),
        vt100::Color::Rgb(r, g, b) if !plain => Some(Color::Rgb(r, g, b)),
        _ => None,
    };
    let mut style = Style { fg: colour(cell.fgcolor()), bg: colour(cell.bgcolor()), ..Style::default() };
    for (on, modifier) in [
        (cell.bold(), Modifier::BOLD),
        (cell.dim(), Modifier::DIM),
        (cell.italic(), Modifier::ITALIC),
        (cell.underline(), Modifier::UNDERLINED),
        (cell.inverse(), Modifier::REVERSED),
    ] {
        if on {
            style = style.add_modifier(modifier);
        }
    }
    style
}

/// Only after the leader: the pages of what has scrolled away, and a new shell after the old one ended.
fn act(ui: &mut Ui, _: &World, verb: Verb) -> Option<Vec<Effect>> {
    let page = isize::try_from(ui.shell.size().1 / 2).unwrap_or(0).max(1);
    match verb {
        Verb::HalfUp => ui.shell.scroll(page),
        Verb::HalfDown => ui.shell.scroll(-page),
        Verb::Up => ui.shell.scroll(1),
        Verb::Down => ui.shell.scroll(-1),
        Verb::Top => ui.shell.scroll(isize::MAX),
        Verb::Bottom => ui.shell.scroll(isize::MIN),
        Verb::Leader => return Some(vec![Effect::Type(vec![0x1d])]),
        _ => return None,
    }
    Some(vec![])
}

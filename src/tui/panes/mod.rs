//! The panes: one file each, all in one table ([`PANES`]). A new one is a file with its functions, a row here, and its
//! keys in [`super::keys::TABLE`].

pub mod cluster;
pub mod container;
pub mod events;
pub mod guide;
pub mod log;
pub mod messages;
pub mod output;
pub mod shell;
pub mod union;
pub mod volume;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::world::World;

use super::action::{Effect, Verb};
use super::theme::Paint;
use super::ui::Ui;

/// A pane's name in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PaneId {
    Guide,
    Cluster,
    Log,
    Shell,
    Events,
    Output,
    Messages,
    Union,
    Volume,
    Container,
}

impl PaneId {
    /// Its name; its text in the languages is `pane-` and this.
    pub fn name(self) -> &'static str {
        self.pane().name
    }

    /// Its row in the table.
    pub fn pane(self) -> &'static Pane {
        PANES.iter().find(|p| p.id == self).expect("every pane has a row")
    }
}

/// One pane.
pub struct Pane {
    /// Which.
    pub id: PaneId,
    /// Its name.
    pub name: &'static str,
    /// Whether the world has something for it; others stand back.
    pub matters: fn(&World) -> bool,
    /// What stands at the right of its title.
    pub status: fn(&Scene<'_>) -> String,
    /// Draws its inside.
    pub view: fn(&Scene<'_>, Rect, &mut Buffer),
    /// Its lines, if it is one of lines: then scrolling, search and copy come by themselves.
    pub lines: Option<Lines>,
    /// Does a verb of its own; `None` if the verb is not one.
    pub act: fn(&mut Ui, &World, Verb) -> Option<Vec<Effect>>,
}

/// What a pane of lines gives. Widths and heights are of the part that scrolls.
pub struct Lines {
    /// How many lines there are at a width.
    pub count: fn(&Scene<'_>, u16) -> usize,
    /// Those from `.2` on, at most `.3`.
    pub some: fn(&Scene<'_>, u16, usize, usize) -> Vec<Line<'static>>,
    /// The line that the person is at, of `.1` where `.2` fit.
    pub at: fn(&Scene<'_>, usize, usize) -> usize,
    /// Goes there, with `.3` lines of which `.4` fit.
    pub go: fn(&mut Ui, &World, Go, usize, usize),
    /// Rows of the pane that do not scroll.
    pub fixed: u16,
}

/// Where to go in a pane of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// So many lines down, or up.
    By(isize),
    /// To this line.
    Line(usize),
    /// To the first.
    Top,
    /// To the last; new ones are followed where the pane does that.
    Bottom,
}

impl Go {
    /// The line that this leads to from line `from` of `total`.
    pub fn among(self, from: usize, total: usize) -> usize {
        let to = match self {
            Self::By(lines) => from.saturating_add_signed(lines),
            Self::Line(line) => line,
            Self::Top => 0,
            Self::Bottom => total,
        };
        to.min(total.saturating_sub(1))
    }
}

/// The panes in the order of their digits, the tenth at 0.
pub const PANES: &[Pane] = &[
    guide::PANE,
    cluster::PANE,
    log::PANE,
    shell::PANE,
    events::PANE,
    output::PANE,
    messages::PANE,
    union::PANE,
    volume::PANE,
    container::PANE,
];

/// The panes in the order in which they deserve room: the guide, the pictures that have something to show, the shell, the
/// rest.
///
/// The picture that the lab is `about` has room from the beginning on.
pub fn order(world: &World, about: Option<PaneId>) -> Vec<PaneId> {
    let mut panes: Vec<&Pane> = PANES.iter().collect();
    panes.sort_by_key(|p| rank(p, world, about));
    panes.into_iter().map(|p| p.id).collect()
}

/// The panes that are worth turning to: those of [`order`] without the pictures that have nothing to show.
pub fn worthwhile(world: &World, about: Option<PaneId>) -> Vec<PaneId> {
    order(world, about).into_iter().filter(|p| rank(p.pane(), world, about) < EMPTY).collect()
}

/// The rank of a picture that has nothing to show.
const EMPTY: usize = 4;

fn rank(pane: &Pane, world: &World, about: Option<PaneId>) -> usize {
    match pane.id {
        PaneId::Guide => 0,
        PaneId::Shell => 2,
        _ if (pane.matters)(world) || about == Some(pane.id) => 1,
        PaneId::Events => 3,
        _ => EMPTY,
    }
}

/// Bytes for a person: `12 kB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut n, mut unit) = (bytes as f64, 0);
    while n >= 1000.0 && unit + 1 < UNITS.len() {
        (n, unit) = (n / 1000.0, unit + 1);
    }
    if unit == 0 || n >= 10.0 { format!("{n:.0} {}", UNITS[unit]) } else { format!("{n:.1} {}", UNITS[unit]) }
}

/// What is drawn from.
pub struct Scene<'a> {
    /// The world.
    pub world: &'a World,
    /// What the person looks at.
    pub ui: &'a Ui,
}

impl Scene<'_> {
    /// How `paint` looks.
    pub fn of(&self, paint: Paint) -> Style {
        self.ui.theme.of(paint)
    }

    /// The text of this name.
    pub fn tr(&self, id: &str) -> String {
        self.ui.tr(id)
    }

    /// A painted text.
    pub fn span(&self, paint: Paint, text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), self.of(paint))
    }
}

/// Writes `text` from column `x` of row `y`, not beyond `area`.
pub fn put(buffer: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) {
    if area.contains((x, y).into()) && buffer.area.contains((x, y).into()) {
        buffer.set_stringn(x, y, text, usize::from(area.right() - x), style);
    }
}

/// Writes a line at row `y` of `area`.
pub fn put_line(buffer: &mut Buffer, area: Rect, y: u16, line: &Line<'_>) {
    if y < area.bottom() {
        buffer.set_line(area.x, y, line, area.width);
    }
}

/// Says in the middle of an empty pane what would be here.
pub fn empty(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, id: &str) {
    let text = scene.tr(id);
    let lines: Vec<&str> = text.lines().collect();
    let top = area.y + area.height.saturating_sub(u16::try_from(lines.len()).unwrap_or(0)) / 2;
    for (line, y) in lines.iter().zip(top..area.bottom()) {
        let width = u16::try_from(super::width::columns(line)).unwrap_or(u16::MAX);
        put(buffer, area, area.x + area.width.saturating_sub(width) / 2, y, line, scene.of(Paint::Dim));
    }
}

/// The inside of a pane of lines, below its fixed rows: the lines that are scrolled to, what is searched for marked.
pub fn view_lines(scene: &Scene<'_>, pane: &Pane, first: usize, area: Rect, buffer: &mut Buffer) {
    let Some(lines) = &pane.lines else { return };
    let some = (lines.some)(scene, area.width, first, area.height.into());
    for (line, y) in some.into_iter().zip(area.top()..) {
        let line = if scene.ui.focus == pane.id { mark(scene, line) } else { line };
        put_line(buffer, area, y, &line);
    }
}

/// Marks what is searched for in a line.
fn mark(scene: &Scene<'_>, line: Line<'static>) -> Line<'static> {
    let wanted = &scene.ui.search;
    if wanted.is_empty() || !plain(&line).contains(wanted.as_str()) {
        return line;
    }
    let mut spans = Vec::new();
    for span in line.spans {
        for (i, part) in span.content.split(wanted.as_str()).enumerate() {
            if i > 0 {
                spans.push(scene.span(Paint::Match, wanted.clone()));
            }
            spans.push(Span::styled(part.to_owned(), span.style));
        }
    }
    Line { spans, ..line }
}

/// A line without its colours.
pub fn plain(line: &Line<'_>) -> String {
    line.spans.iter().map(|s| s.content.as_ref()).collect()
}

/// No verb of its own.
pub fn no_verbs(_: &mut Ui, _: &World, _: Verb) -> Option<Vec<Effect>> {
    None
}

/// Nothing beside the title.
pub fn no_status(_: &Scene<'_>) -> String {
    String::new()
}

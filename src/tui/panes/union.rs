//! The union: its branches as columns, the names seen last as rows, and in each cell what the branch has of the name: it
//! serves it, is merged into it, lies hidden below, holds a whiteout, is opaque. `Enter` tells a name's story.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::action::{Effect, Verb};
use crate::tui::theme::Paint;
use crate::tui::ui::{Overlay, Scroll, Ui};
use crate::tui::width::{clip, columns, left};
use crate::world::World;
use crate::world::union::{Mount, Served};

use super::{Go, Lines, Pane, PaneId, Scene, empty, events, plain, put_line, size, view_lines};

/// Rows above the names: the mount, the branches' permissions, paths and room.
const HEAD: u16 = 4;
/// For so long a name that just changed is marked, in microseconds.
const FRESH: u64 = 3_000_000;

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Union,
    name: "union",
    matters: |world| !world.union.mounts.is_empty(),
    status: |scene| if scene.world.union.mounts.is_empty() { String::new() } else { scene.tr("union-legend") },
    view,
    lines: Some(Lines {
        count: |scene, _| mount(scene.world, scene.ui).map_or(0, |(_, m)| m.names.len()),
        some: |scene, width, first, most| some(scene, width.into(), first, most),
        at: |scene, _, _| scene.ui.union.row,
        go,
        fixed: HEAD,
    }),
    act,
};

/// What the union pane shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The mount point; the first if there is no such mount.
    pub at: String,
    /// The selected name's row.
    pub row: usize,
}

/// The mount that is shown.
fn mount<'a>(world: &'a World, ui: &Ui) -> Option<(&'a String, &'a Mount)> {
    let mounts = &world.union.mounts;
    mounts.get_key_value(&ui.union.at).or_else(|| mounts.iter().next())
}

fn go(ui: &mut Ui, _: &World, go: Go, total: usize, _: usize) {
    ui.union.row = go.among(ui.union.row, total);
}

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let Some((at, mount)) = mount(scene.world, scene.ui) else { return empty(scene, area, buffer, "union-empty") };
    for (line, y) in head(scene, at, mount, area.width.into()).iter().zip(area.y..area.bottom()) {
        put_line(buffer, area, y, line);
    }
    let inside = Rect { y: area.y + HEAD, height: area.height.saturating_sub(HEAD), ..area };
    let mut scroll = Scroll::default();
    let height = usize::from(inside.height);
    scroll.go(Go::By(scene.ui.union.row.saturating_sub(height / 2).cast_signed()), mount.names.len(), height, false);
    view_lines(scene, &PANE, scroll.first(mount.names.len(), height), inside, buffer);
}

/// Columns of a branch, and of the names.
fn widths(mount: &Mount, width: usize) -> (usize, usize) {
    let branch = (width * 3 / 5 / mount.branches.len().max(1)).clamp(5, 26);
    (branch, width.saturating_sub(branch * mount.branches.len()))
}

fn head(scene: &Scene<'_>, at: &str, mount: &Mount, width: usize) -> Vec<Line<'static>> {
    let (branch, names) = widths(mount, width);
    let counts = [
        ("copies", mount.copy_ups.into()),
        ("bytes", size(mount.copied_bytes).into()),
        ("whiteouts", mount.whiteouts.into()),
    ];
    let mut title = vec![scene.span(Paint::Title, format!("{at}  ")), scene.span(Paint::Dim, mount.options.clone())];
    title.push(scene.span(Paint::Accent, format!("  {}", scene.ui.texts.with("union-counts", &counts))));
    let row = |paint, first: String, cell: &dyn Fn(usize) -> String| {
        let cells = (0..mount.branches.len()).map(|i| scene.span(paint, left(&cell(i), branch)));
        Line::from_iter(std::iter::once(scene.span(Paint::Dim, left(&first, names))).chain(cells))
    };
    let info = |i: usize| &mount.branches[i];
    let path = |i: usize| tail(&info(i).path, branch.saturating_sub(1));
    let room = |i: usize| format!("{} {}", size(info(i).free), scene.tr("union-free"));
    vec![
        Line::from(title),
        row(Paint::Key, scene.tr("union-names"), &|i| format!("{i} {}", info(i).permission)),
        row(Paint::Text, String::new(), &path),
        row(Paint::Dim, String::new(), &room),
    ]
}

/// The end of a path, which tells more than its beginning.
fn tail(path: &str, width: usize) -> String {
    let whole = columns(path) <= width;
    let fits = |at: &usize| columns(&path[*at..]) < width;
    let cut = path.match_indices('/').map(|(at, _)| at).find(fits).filter(|_| !whole);
    cut.map_or_else(|| clip(path, width), |at| format!("~{}", &path[at..]))
}

fn some(scene: &Scene<'_>, width: usize, first: usize, most: usize) -> Vec<Line<'static>> {
    let Some((_, mount)) = mount(scene.world, scene.ui) else { return Vec::new() };
    let row = |(i, (path, served)): (usize, (&String, &Served))| {
        let line = row(scene, mount, path, served, width);
        let chosen = i == scene.ui.union.row && scene.ui.focus == PaneId::Union;
        if chosen { line.patch_style(scene.of(Paint::Selected)) } else { line }
    };
    mount.names.iter().enumerate().skip(first).take(most).map(row).collect()
}

fn row(scene: &Scene<'_>, mount: &Mount, path: &str, served: &Served, width: usize) -> Line<'static> {
    let (branch, names) = widths(mount, width);
    let fresh = mount.recent.iter().rev().take_while(|(at, _)| scene.ui.now < at + FRESH);
    let fresh = fresh.into_iter().any(|(_, what)| format!("{what:?}").contains(&format!("{path:?}")));
    let paint = match (fresh, served.branch) {
        (true, _) => Paint::Warn,
        (false, None) => Paint::Down,
        (false, Some(_)) => Paint::Text,
    };
    let name = scene.span(paint, left(&clip(path, names.saturating_sub(1)), names));
    let cells = (0..mount.branches.len()).map(|i| {
        let (text, paint) = cell(served, i);
        scene.span(paint, left(&scene_cell(scene, text), branch))
    });
    Line::from_iter(std::iter::once(name).chain(cells))
}

/// What a branch has of a name: a mark with the name of its text, and its paint.
fn cell(served: &Served, branch: usize) -> ((&'static str, &'static str), Paint) {
    match () {
        () if served.whiteouts.contains(&branch) => (("W", "union-whiteout"), Paint::Bad),
        () if served.branch == Some(branch) && served.opaque => (("O", "union-opaque"), Paint::Held),
        () if served.branch == Some(branch) => (("▪", "union-serves"), Paint::Good),
        () if served.others.contains(&branch) => (("▫", "union-below"), Paint::Dim),
        () => (("", ""), Paint::Dim),
    }
}

fn scene_cell(scene: &Scene<'_>, (mark, id): (&str, &str)) -> String {
    if mark.is_empty() { String::new() } else { format!("{mark} {}", scene.tr(id)) }
}

fn act(ui: &mut Ui, world: &World, verb: Verb) -> Option<Vec<Effect>> {
    match verb {
        Verb::Left | Verb::Right => {
            let all: Vec<&String> = world.union.mounts.keys().collect();
            let now = mount(world, ui).and_then(|(at, _)| all.iter().position(|m| *m == at))?;
            let by = if verb == Verb::Left { all.len() - 1 } else { 1 };
            ui.union = State { at: all[(now + by) % all.len()].clone(), row: 0 };
        }
        Verb::Enter | Verb::Why => {
            let story = story(&Scene { world, ui })?;
            ui.overlay = Some(Overlay::Text(story, 0));
        }
        _ => return None,
    }
    Some(vec![])
}

/// Everything that is remembered of the selected name, the oldest first.
fn story(scene: &Scene<'_>) -> Option<String> {
    let (_, mount) = mount(scene.world, scene.ui)?;
    let path = mount.names.keys().nth(scene.ui.union.row)?;
    let named = format!("{path:?}");
    let begin = scene.world.recent.front().map_or(0, |e| e.at);
    let of_it = |e: &&crate::world::Event| matches!(&e.what, crate::world::What::Union(what) if format!("{what:?}").contains(&named));
    let lines = scene.world.recent.iter().filter(of_it).map(|e| plain(&events::line(scene, e, begin, 12, 90)));
    Some(std::iter::once(path.clone()).chain(lines).collect::<Vec<_>>().join("\n"))
}

//! The logs side by side: a column a node, a row an index. Each entry shows its term and command, and whether it is
//! applied, committed or neither; an entry whose term differs from the leader's at that index is marked.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::raft::{EntryView, Index};
use crate::tui::theme::Paint;
use crate::tui::width::{clip, columns, left, right};
use crate::world::World;
use crate::world::raft::Node;

use super::{Lines, Pane, PaneId, Scene, empty, put_line, view_lines};

/// Columns of the index.
const INDEX: usize = 5;

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Log,
    name: "log",
    matters: |world| !world.raft.nodes.is_empty(),
    status: |scene| if scene.world.raft.nodes.is_empty() { String::new() } else { scene.tr("log-legend") },
    view,
    lines: Some(Lines {
        count: |scene, _| span(scene.world).map_or(0, |(first, last)| usize::try_from(last - first + 1).unwrap_or(0)),
        some: |scene, width, first, most| some(scene, width.into(), first, most),
        at: |scene, total, height| scene.ui.log_scroll.first(total, height),
        go: |ui, _, go, total, height| ui.log_scroll.go(go, total, height, true),
        fixed: 1,
    }),
    act: super::no_verbs,
};

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let Some((first, last)) = span(scene.world) else { return empty(scene, area, buffer, "log-empty") };
    put_line(buffer, area, area.y, &head(scene, area.width.into()));
    let inside = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let total = usize::try_from(last - first + 1).unwrap_or(0);
    view_lines(scene, &PANE, scene.ui.log_scroll.first(total, inside.height.into()), inside, buffer);
}

/// The first and last index that any node's log holds, as far as it is known.
fn span(world: &World) -> Option<(Index, Index)> {
    let entries = || world.raft.nodes.values().flat_map(|n| n.log.first().into_iter().chain(n.log.last()));
    Some((entries().map(|e| e.index).min()?, entries().map(|e| e.index).max()?))
}

/// The columns of one node.
fn column(world: &World, width: usize) -> usize {
    (width.saturating_sub(INDEX) / world.raft.nodes.len().max(1)).min(24)
}

fn head(scene: &Scene<'_>, width: usize) -> Line<'static> {
    let column = column(scene.world, width);
    let mut spans = vec![scene.span(Paint::Dim, right("#", INDEX - 1) + " ")];
    for (name, node) in &scene.world.raft.nodes {
        let text = if node.snapshot > 0 { format!("{name} [1-{}]", node.snapshot) } else { name.clone() };
        let paint = super::cluster::paint_of(scene.world, name, node);
        spans.push(scene.span(paint, left(&text, column)));
    }
    Line::from(spans)
}

fn some(scene: &Scene<'_>, width: usize, first: usize, most: usize) -> Vec<Line<'static>> {
    let Some((low, high)) = span(scene.world) else { return Vec::new() };
    let from = low + first as Index;
    (from..=high).take(most).map(|index| row(scene, width, index)).collect()
}

fn row(scene: &Scene<'_>, width: usize, index: Index) -> Line<'static> {
    let column = column(scene.world, width);
    let truth = scene.world.raft.leader().and_then(|(_, node)| entry(node, index));
    let mut spans = vec![scene.span(Paint::Dim, right(&index.to_string(), INDEX - 1) + " ")];
    spans.extend(scene.world.raft.nodes.values().map(|node| cell(scene, node, index, truth, column)));
    Line::from(spans)
}

fn entry(node: &Node, index: Index) -> Option<&EntryView> {
    let at = node.log.binary_search_by_key(&index, |e| e.index).ok()?;
    node.log.get(at)
}

/// One entry: a mark, its term, its command.
fn cell(scene: &Scene<'_>, node: &Node, index: Index, truth: Option<&EntryView>, width: usize) -> Span<'static> {
    let Some(entry) = entry(node, index) else {
        let text = if index <= node.snapshot { "  ." } else { "" };
        return scene.span(Paint::Dim, left(text, width));
    };
    let (mark, paint) = match () {
        () if truth.is_some_and(|t| t.term != entry.term) => ("✗", Paint::Conflict),
        () if index <= node.applied => ("✓", Paint::Applied),
        () if index <= node.commit => ("+", Paint::Committed),
        () => ("?", Paint::Open),
    };
    let text = format!("{mark} {} {}", entry.term, entry.text);
    let text = if columns(&text) < width { text } else { clip(&text, width.saturating_sub(1)) };
    scene.span(paint, left(&text, width))
}

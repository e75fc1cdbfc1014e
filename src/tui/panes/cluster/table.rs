//! The nodes as a table, one row each, and below it the messages on their way, where the ring has no room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::tui::panes::{Scene, put_line};
use crate::tui::pulse::{Flight, Spot};
use crate::tui::theme::Paint;
use crate::tui::width::{clip, left};
use crate::world::raft::Node;

/// Draws the table.
pub fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let mut rows = vec![head(scene)];
    rows.extend(scene.world.raft.nodes.iter().map(|(name, node)| row(scene, name, node, area.width.into())));
    rows.push(Line::default());
    rows.extend(scene.world.links.rules.iter().map(|(from, to, rule)| {
        let (mark, paint) = super::link_mark(rule);
        Line::from(scene.span(paint, format!("{mark} {from} -> {to}")))
    }));
    rows.extend(super::spots(scene).iter().map(|(flight, spot)| message(scene, flight, *spot, area.width.into())));
    for (line, y) in rows.iter().zip(area.y..area.bottom()) {
        put_line(buffer, area, y, line);
    }
}

fn head(scene: &Scene<'_>) -> Line<'static> {
    let cell = |id: &str, width| left(&scene.tr(id), width);
    let text = [
        cell("table-node", 20),
        cell("cluster-term", 6),
        cell("cluster-vote", 11),
        cell("table-indexes", 10),
        scene.tr("table-timer"),
    ];
    Line::from(scene.span(Paint::Dim, text.join(" ")))
}

fn row(scene: &Scene<'_>, name: &str, node: &Node, width: usize) -> Line<'static> {
    let mut spans = super::headline(scene, name, node);
    let used: usize = spans.iter().map(Span::width).sum();
    spans.push(Span::raw(" ".repeat(21usize.saturating_sub(used))));
    let vote = super::vote(scene, node);
    let vote = vote.split_once(' ').map_or(String::new(), |(_, v)| v.to_owned());
    let cells =
        [left(&node.term.to_string(), 6), left(&vote, 11), left(&format!("{}/{}", node.commit, node.applied), 10)];
    spans.push(scene.span(if node.alive { Paint::Text } else { Paint::Dim }, cells.join(" ") + " "));
    let room = width.saturating_sub(51);
    if node.alive {
        spans.extend(super::bar(scene, node, room.min(16)));
    } else {
        spans.push(scene.span(Paint::Dim, clip(&super::ending(scene.world, name), room)));
    }
    Line::from(spans)
}

fn message(scene: &Scene<'_>, flight: &Flight, spot: Spot, width: usize) -> Line<'static> {
    let (mark, paint) = match spot {
        Spot::Held => ("=", Paint::Held),
        Spot::Lost(_) => ("✗", Paint::Bad),
        Spot::Way(_) => ("▸", Paint::Message),
    };
    let m = &flight.message;
    let text = format!("{mark} {} -> {}  {}  {}", m.from, m.to, m.kind, m.note);
    let chosen = scene.ui.cluster.message.as_ref() == Some(&m.id);
    Line::from(scene.span(if chosen { Paint::Selected } else { paint }, clip(&text, width)))
}

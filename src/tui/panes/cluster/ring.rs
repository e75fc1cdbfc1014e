//! The nodes in a ring, links with a rule between them, and messages on their way.

use std::f64::consts::PI;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::panes::{Scene, put, put_line};
use crate::tui::pulse::Spot;
use crate::tui::theme::Paint;
use crate::tui::width;
use crate::world::Name;
use crate::world::raft::Node;

/// Columns and rows of one node.
const BLOCK: (u16, u16) = (22, 3);

/// Whether so many nodes fit into the area as a ring.
pub fn fits(nodes: usize, area: Rect) -> bool {
    let height = match nodes {
        0..=3 => 8,
        4..=5 => 10,
        _ => 4 * u16::try_from(nodes).unwrap_or(u16::MAX).div_ceil(2),
    };
    area.width >= 62 && area.height >= height
}

/// Draws nodes, links and messages.
pub fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let nodes: Vec<(&Name, &Node)> = scene.world.raft.nodes.iter().collect();
    let blocks = places(nodes.len(), area);
    let of = |name: &str| nodes.iter().position(|n| n.0 == name).map(|i| blocks[i]);
    for (from, to, rule) in &scene.world.links.rules {
        if let (Some(a), Some(b)) = (of(from), of(to)) {
            link(scene, area, buffer, &Way::new(a, b), super::link_mark(rule));
        }
    }
    let mut waiting = Vec::new();
    for (flight, spot) in super::spots(scene) {
        if let (Some(a), Some(b)) = (of(&flight.message.from), of(&flight.message.to)) {
            message(scene, area, buffer, &Way::new(a, b), flight, spot, &mut waiting);
        }
    }
    for ((name, node), block) in nodes.iter().zip(&blocks) {
        draw(scene, buffer, *block, name, node);
    }
}

/// Where the blocks stand: clockwise from the top, stretched to fill the area.
fn places(nodes: usize, area: Rect) -> Vec<Rect> {
    let start = if nodes == 2 { -PI } else { -PI / 2.0 };
    let angle = |i: usize| start + 2.0 * PI * i as f64 / nodes.max(1) as f64;
    let points: Vec<(f64, f64)> = (0..nodes).map(|i| (angle(i).cos(), angle(i).sin())).collect();
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    let (width, height) = (BLOCK.0.min(area.width), BLOCK.1.min(area.height));
    let columns = spread(&xs, area.width - width);
    let rows = spread(&ys, area.height - height);
    let block = |(x, y)| Rect { x: area.x + x, y: area.y + y, width, height };
    columns.into_iter().zip(rows).map(block).collect()
}

/// Values stretched over 0 to `most`.
fn spread(values: &[f64], most: u16) -> Vec<u16> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let share = |v: f64| if high - low < 0.01 { 0.5 } else { (v - low) / (high - low) };
    values.iter().map(|v| (share(*v) * f64::from(most)).round() as u16).collect()
}

fn draw(scene: &Scene<'_>, buffer: &mut Buffer, area: Rect, name: &str, node: &Node) {
    (area.y..area.bottom())
        .for_each(|y| put(buffer, area, area.x, y, &" ".repeat(area.width.into()), Default::default()));
    put_line(buffer, area, area.y, &Line::from(super::headline(scene, name, node)));
    let paint = if node.alive { Paint::Text } else { Paint::Dim };
    let term = format!("{} {}  {}", scene.tr("cluster-term"), node.term, super::vote(scene, node));
    put_line(buffer, area, area.y + 1, &Line::from(scene.span(paint, term)));
    put_line(buffer, area, area.y + 2, &last_line(scene, name, node, paint));
}

/// commitIndex and lastApplied, and the running timer; of a dead node how it ended.
fn last_line(scene: &Scene<'_>, name: &str, node: &Node, paint: Paint) -> Line<'static> {
    if !node.alive {
        return Line::from(scene.span(Paint::Dim, width::clip(&super::ending(scene.world, name), BLOCK.0.into())));
    }
    let indexes = format!("{} {}/{}", scene.tr("cluster-commit"), node.commit, node.applied);
    let room = usize::from(BLOCK.0).saturating_sub(width::columns(&indexes) + 2);
    let mut spans = vec![scene.span(paint, format!("{indexes}  "))];
    spans.extend(super::bar(scene, node, room.min(10)));
    Line::from(spans)
}

/// The straight way from one block's middle to another's, as far as it lies outside of both.
struct Way {
    from: (f64, f64),
    to: (f64, f64),
}

impl Way {
    fn new(from: Rect, to: Rect) -> Self {
        let middle =
            |r: Rect| (f64::from(r.x) + f64::from(r.width) / 2.0, f64::from(r.y) + f64::from(r.height) / 2.0 - 0.5);
        let (a, b) = (middle(from), middle(to));
        let at = |share: f64| (a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share);
        let inside = |r: Rect, (x, y): (f64, f64)| {
            let r = Rect { x: r.x.saturating_sub(3), width: r.width + 4, ..r };
            r.contains((x.round().max(0.0) as u16, y.round().max(0.0) as u16).into())
        };
        let shares = || (0..=100).map(|i| f64::from(i) / 100.0);
        let start = shares().find(|s| !inside(from, at(*s))).unwrap_or(0.3);
        let end = shares().rev().find(|s| !inside(to, at(*s))).unwrap_or(0.7);
        Self { from: at(start.min(end)), to: at(end.max(start)) }
    }

    /// The cell at a share of the way.
    fn at(&self, share: f64) -> (u16, u16) {
        let ((ax, ay), (bx, by)) = (self.from, self.to);
        ((ax + (bx - ax) * share).round().max(0.0) as u16, (ay + (by - ay) * share).round().max(0.0) as u16)
    }
}

/// Dots along the way, and the rule's mark nearer to the receiver.
fn link(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer, way: &Way, (mark, paint): (&str, Paint)) {
    let dots = (way.to.0 - way.from.0).abs().max(2.0 * (way.to.1 - way.from.1).abs()) / 3.0;
    for i in 0..=dots as u16 {
        let (x, y) = way.at(f64::from(i) / dots.max(1.0));
        put(buffer, area, x, y, ".", scene.of(Paint::Line));
    }
    let (x, y) = way.at(0.6);
    put(buffer, area, x, y, mark, scene.of(paint));
}

fn message(
    scene: &Scene<'_>,
    area: Rect,
    buffer: &mut Buffer,
    way: &Way,
    flight: &crate::tui::pulse::Flight,
    spot: Spot,
    waiting: &mut Vec<(Name, Name)>,
) {
    let letters = super::initials(&flight.message.kind);
    let paint = if letters.chars().all(char::is_lowercase) { Paint::Reply } else { Paint::Message };
    let (share, text, paint) = match spot {
        Spot::Way(share) => (share, letters, paint),
        Spot::Lost(share) => (share, "✗".into(), Paint::Bad),
        Spot::Held => {
            let ends = (flight.message.from.clone(), flight.message.to.clone());
            let queued = waiting.iter().filter(|w| **w == ends).count();
            waiting.push(ends);
            (0.5 - 0.12 * (queued.min(3) as f64), format!("={letters}"), Paint::Held)
        }
    };
    let chosen = scene.ui.cluster.message.as_ref() == Some(&flight.message.id);
    let (x, y) = way.at(share);
    put(buffer, area, x, y, &text, scene.of(if chosen { Paint::Selected } else { paint }));
}

//! The cluster: each node with its role, term, vote and indexes, its election timer as a running bar, and the messages on
//! their way. With room it is a ring ([`ring`]), else a table ([`table`]). Keys act on the selected node, on the link
//! from the marked node to it, or on the selected message.

pub mod act;
mod ring;
mod table;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::raft::Role;
use crate::tui::pulse::{Flight, Spot};
use crate::tui::theme::Paint;
use crate::tui::width;
use crate::world::event::LinkRule;
use crate::world::picture::State as Life;
use crate::world::raft::Node;
use crate::world::{EventId, Name, World};

use super::{Pane, PaneId, Scene, empty, put_line};

/// Its row in the table of panes.
pub const PANE: Pane = Pane {
    id: PaneId::Cluster,
    name: "cluster",
    matters: |world| !world.raft.nodes.is_empty(),
    status,
    view,
    lines: None,
    act: act::act,
};

/// What is selected in the pane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The selected node; the first if it is none of the world's.
    pub node: Name,
    /// The marked other end of a link.
    pub mark: Option<Name>,
    /// Whether only the direction from the marked node is meant.
    pub one_way: bool,
    /// The selected message.
    pub message: Option<EventId>,
}

/// The selected node.
pub fn selected(scene: &Scene<'_>) -> Option<Name> {
    let nodes = &scene.world.raft.nodes;
    let node = nodes.get_key_value(&scene.ui.cluster.node).or_else(|| nodes.iter().next());
    node.map(|(name, _)| name.clone())
}

fn status(scene: &Scene<'_>) -> String {
    let world = scene.world;
    if world.raft.nodes.is_empty() {
        return String::new();
    }
    match world.raft.leader() {
        Some((name, node)) => {
            scene.ui.texts.with("cluster-leader", &[("name", name.as_str().into()), ("term", node.term.into())])
        }
        None => scene.tr("cluster-no-leader"),
    }
}

fn view(scene: &Scene<'_>, area: Rect, buffer: &mut Buffer) {
    let nodes = scene.world.raft.nodes.len();
    if nodes == 0 || area.height == 0 {
        return empty(scene, area, buffer, "cluster-empty");
    }
    let inside = Rect { height: area.height.saturating_sub(1), ..area };
    if ring::fits(nodes, inside) {
        ring::view(scene, inside, buffer)
    } else {
        table::view(scene, inside, buffer)
    }
    put_line(buffer, area, area.bottom() - 1, &selection(scene, area.width.into()));
}

/// The last row: what the keys would act on.
fn selection(scene: &Scene<'_>, room: usize) -> Line<'static> {
    let state = &scene.ui.cluster;
    if let Some(message) = message(scene.world, state) {
        let m = &message.message;
        let text = format!("{} -> {}  {}  {}", m.from, m.to, m.kind, m.note);
        let what = scene.tr(if message.held { "cluster-held" } else { "cluster-flying" });
        return Line::from(vec![
            scene.span(Paint::Held, format!("{what}  ")),
            scene.span(Paint::Text, width::clip(&text, room.saturating_sub(width::columns(&what) + 2))),
        ]);
    }
    let Some(node) = selected(scene) else { return Line::default() };
    let held = scene.world.links.flying.iter().filter(|f| f.held).count();
    let mut spans = vec![scene.span(Paint::Accent, target(state, &node))];
    if held > 0 {
        let text = scene.ui.texts.with("cluster-waiting", &[("n", held.into())]);
        spans.push(scene.span(Paint::Held, format!("   {text}")));
    } else if scene.ui.focus == PaneId::Cluster {
        spans.push(scene.span(Paint::Dim, format!("   {}", scene.tr("cluster-keys"))));
    }
    Line::from(spans)
}

/// The selected node, or the link to it.
fn target(state: &State, node: &str) -> String {
    match &state.mark {
        Some(mark) if mark != node => format!("{mark} {} {node}", if state.one_way { "->" } else { "<->" }),
        _ => node.into(),
    }
}

/// The selected message, if it is still on its way.
fn message<'a>(world: &'a World, state: &State) -> Option<&'a crate::world::picture::Flying> {
    let id = state.message.as_ref()?;
    world.links.flying.iter().find(|f| f.message.id == *id)
}

/// The messages on their way, held ones first, each kind the oldest first.
pub fn waiting(world: &World) -> Vec<&crate::world::picture::Flying> {
    let (held, free): (Vec<_>, Vec<_>) = world.links.flying.iter().partition(|f| f.held);
    held.into_iter().chain(free).collect()
}

/// How a node shows itself: shape, letter, the name of its role's text, paint.
struct Face {
    shape: &'static str,
    letter: &'static str,
    role: &'static str,
    paint: Paint,
}

fn face(world: &World, name: &str, node: &Node) -> Face {
    let face = |shape, letter, role, paint| Face { shape, letter, role, paint };
    let paused = world.processes.get(name).is_some_and(|p| p.state == Life::Paused);
    match node.role {
        _ if !node.alive => face("✗", "-", "role-down", Paint::Down),
        _ if paused => face("=", "P", "role-paused", Paint::Paused),
        Role::Leader => face("▴", "L", "role-leader", Paint::Leader),
        Role::Candidate => face("◊", "C", "role-candidate", Paint::Candidate),
        Role::Follower => face("▪", "F", "role-follower", Paint::Follower),
    }
}

/// The first line of a node: shape, letter, name, role.
fn headline(scene: &Scene<'_>, name: &str, node: &Node) -> Vec<Span<'static>> {
    let Face { shape, letter, role, paint } = face(scene.world, name, node);
    let state = &scene.ui.cluster;
    let chosen = scene.ui.focus == PaneId::Cluster && selected(scene).is_some_and(|n| n == name);
    let mark = if state.mark.as_deref() == Some(name) { "*" } else { "" };
    let name = scene.span(if chosen { Paint::Selected } else { Paint::Title }, format!(" {name}{mark} "));
    let role = scene.span(paint, format!(" {}", scene.tr(role)));
    vec![scene.span(paint, format!("{shape} {letter} ")), name, role]
}

/// votedFor, or the tally of a candidate.
fn vote(scene: &Scene<'_>, node: &Node) -> String {
    if node.role == Role::Candidate {
        return format!("{} {}/{}", scene.tr("cluster-votes"), node.votes.len(), scene.world.raft.nodes.len());
    }
    format!("{} {}", scene.tr("cluster-vote"), node.voted_for.as_deref().unwrap_or("-"))
}

/// The election timer as a bar; empty where none runs.
fn bar(scene: &Scene<'_>, node: &Node, width: usize) -> Vec<Span<'static>> {
    let Some(timer) = node.timer.filter(|_| node.alive) else { return Vec::new() };
    let full = (scene.ui.pulse.share(timer, scene.ui.now) * width as f64).round() as usize;
    let full = full.min(width);
    vec![scene.span(Paint::Timer, "▰".repeat(full)), scene.span(Paint::TimerRest, "▱".repeat(width - full))]
}

/// Why a process ended.
fn ending(world: &World, name: &str) -> String {
    match world.processes.get(name).map(|p| &p.state) {
        Some(Life::Ended(how)) => how.clone(),
        _ => String::new(),
    }
}

/// The messages to draw now.
fn spots<'a>(scene: &'a Scene<'_>) -> Vec<(&'a Flight, Spot)> {
    let delay = |from: &str, to: &str| scene.world.links.rule(from, to).delay_ms * 1000;
    scene.ui.pulse.spots(scene.ui.now, delay)
}

/// A message as a few letters: `AE` for AppendEntries, `ae` for its reply.
fn initials(kind: &str) -> String {
    let request = ["Reply", "Response", "Result"].iter().find_map(|end| kind.strip_suffix(end));
    let letters: String = request.unwrap_or(kind).chars().filter(char::is_ascii_uppercase).take(3).collect();
    if request.is_some() { letters.to_lowercase() } else { letters }
}

/// The mark of a link with a rule, and its paint.
fn link_mark(rule: &LinkRule) -> (&'static str, Paint) {
    match rule {
        LinkRule { cut: true, .. } => ("✗", Paint::Cut),
        LinkRule { held: true, .. } => ("=", Paint::Held),
        LinkRule { loss: 1.., .. } => ("%", Paint::Warn),
        LinkRule { dup: 1.., .. } => ("2", Paint::Warn),
        _ => ("~", Paint::Warn),
    }
}

/// The paint of a node's role now.
pub fn paint_of(world: &World, name: &str, node: &Node) -> Paint {
    face(world, name, node).paint
}

/// The nodes as plain lines, for copying.
pub fn text(scene: &Scene<'_>) -> String {
    let line = |(name, node): (&Name, &Node)| {
        let Face { letter, .. } = face(scene.world, name, node);
        let (term, vote) = (node.term, node.voted_for.as_deref().unwrap_or("-"));
        format!("{name} {letter} term {term} votedFor {vote} commit {} applied {}\n", node.commit, node.applied)
    };
    scene.world.raft.nodes.iter().map(line).collect()
}

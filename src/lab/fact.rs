//! Facts: what really happened, as the answer to a predict question.
//!
//! The right answer of a question is not written in the lab; it is read from the student's own run. (For a rule of the
//! protocol that no run can show there is `is`.)

use serde::Deserialize;

use super::check::{Check, Eyes};
use super::pattern::{Pattern, Row};
use crate::world::Command;

/// Where the answer of a question is found. In YAML a map with one key: `{node: leader}`.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// `{node: leader}`: the name of a machine.
    Node(String),
    /// `{term: leader}`: a node's term.
    Term(String),
    /// `{yes: CHECK}`: `yes` or `no`, as the check passes.
    Yes(Box<Check>),
    /// `{bound: {name: c, seen: [...]}}`: what `$c` stands for once these events were seen in order.
    Bound(Named),
    /// `{role: {of: x, seen: [...]}}`: the role that machine `$x` had when the last of these events happened.
    Role(RoleOf),
    /// `{copies: SET x 5}`: how many logs hold the entry.
    Copies(String),
    /// `{copies_at_commit: SET x 5}`: how many logs held the entry when a leader first knew it committed.
    CopiesAtCommit(String),
    /// `{client: {node: leader, words: GET x}}`: what a client is answered.
    Client(Request),
    /// `{served: {at: /mnt, path: /a}}`: the last name of the branch that serves a name in a union.
    Served(ServedName),
    /// `{shell: cat /mnt/a}`: what a shell line prints, if it ends with 0.
    Shell(String),
    /// `{is: b}`: this choice, by the protocol's rules.
    Is(String),
}

/// A name that a row of events binds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The `$name`, without its `$`.
    pub name: String,
    /// The events.
    pub seen: Vec<Pattern>,
}

/// A machine that a row of events binds, and whose role is asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleOf {
    /// The `$name` of the machine, without its `$`.
    pub of: String,
    /// The events.
    pub seen: Vec<Pattern>,
}

/// A client's request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The node asked.
    pub node: String,
    /// The request's words.
    pub words: String,
}

/// A name in a union mount.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedName {
    /// Where the union is mounted.
    pub at: String,
    /// The name, from the union's root.
    pub path: String,
}

super::one_key::one_key! {
    Fact, "an answer";
    "node" => Node, "term" => Term, "yes" => Yes, "bound" => Bound, "role" => Role,
    "copies" => Copies, "copies_at_commit" => CopiesAtCommit, "client" => Client,
    "served" => Served, "shell" => Shell, "is" => Is,
}

impl Fact {
    /// The answer, as far as it has happened.
    pub fn find(&self, eyes: &Eyes) -> Option<String> {
        match self {
            Self::Node(word) => eyes.word(word).filter(|name| eyes.world.raft.nodes.contains_key(name)),
            Self::Term(word) => super::check::term_of(eyes, word).map(|term| term.to_string()),
            Self::Yes(check) => Some(if check.look(eyes).passed { "yes" } else { "no" }.into()),
            Self::Bound(Named { name, seen }) => found(seen, name, eyes).map(|(value, _)| value),
            Self::Role(RoleOf { of, seen }) => {
                let (who, at) = found(seen, of, eyes)?;
                role_at(eyes, &who, at)
            }
            Self::Copies(entry) => Some(copies(eyes, &eyes.fill(entry)).to_string()),
            Self::CopiesAtCommit(entry) => copies_at_commit(eyes, &eyes.fill(entry)).map(|n| n.to_string()),
            Self::Client(Request { node, words }) => {
                let words = eyes.fill(words).split_whitespace().map(str::to_owned).collect();
                let answer = eyes.ask(Command::Client(eyes.word(node)?, words)).ok()?;
                Some(super::check::plain(&answer))
            }
            Self::Served(ServedName { at, path }) => {
                let branch = super::check::server(eyes, &eyes.fill(at), &eyes.fill(path)).ok()??;
                branch.rsplit('/').next().map(str::to_owned)
            }
            Self::Shell(line) => {
                let shelled = eyes.shell(line).ok().filter(|shelled| shelled.status == 0)?;
                Some(shelled.output.trim().to_owned())
            }
            Self::Is(choice) => Some(eyes.fill(choice)),
        }
    }
}

/// What `$name` stands for once all of `patterns` were seen, and the wall time of the last event.
fn found(patterns: &[Pattern], name: &str, eyes: &Eyes) -> Option<(String, u64)> {
    let row = Row { events: patterns.to_vec(), ..Row::default() }.resolved(eyes)?;
    let seen = row.search(&eyes.events);
    let value = seen.bound.get(&format!("${name}")).filter(|_| seen.reached == patterns.len())?;
    Some((super::check::plain(value), seen.time))
}

/// The role that `who` had at wall time `time`: the step's first world, folded on with what it told until then. (By its
/// clock and not by the journal's order, for what one machine tells may overtake what another does.)
fn role_at(eyes: &Eyes, who: &str, time: u64) -> Option<String> {
    let mut picture = eyes.start.raft.clone();
    for event in eyes.events.iter().filter(|e| e.who == who && e.at <= time) {
        if let crate::world::What::Raft(happening) = &event.what {
            picture.apply(who, event.at, happening);
        }
    }
    picture.nodes.get(who).map(super::select::role_of)
}

/// How many logs hold the entry, but for equal ones that the node knew committed when the step began.
fn copies(eyes: &Eyes, entry: &str) -> usize {
    let old = |name: &String| eyes.start.raft.nodes.get(name).map_or(0, |node| node.commit);
    let nodes = eyes.world.raft.nodes.iter();
    nodes.filter(|(name, node)| node.log.iter().any(|e| e.text == entry && e.index > old(name))).count()
}

/// How many logs were known by the leader to hold the entry when it committed it: the leader's own and those whose
/// matchIndex had reached it.
fn copies_at_commit(eyes: &Eyes, entry: &str) -> Option<usize> {
    let mut picture = eyes.start.raft.clone();
    for event in &eyes.events {
        let crate::world::What::Raft(happening) = &event.what else { continue };
        picture.apply(&event.who, event.at, happening);
        let node = &picture.nodes[&event.who];
        // An equal entry from before the step is another one.
        let old = eyes.start.raft.nodes.get(&event.who).map_or(0, crate::world::raft::Node::last);
        let new = node.log.iter().rev().find(|e| e.text == entry && e.index > old);
        let Some(index) = new.map(|e| e.index) else { continue };
        if node.commit >= index && super::select::role_of(node) == "leader" {
            return Some(1 + node.progress.values().filter(|(_, matched)| *matched >= index).count());
        }
    }
    None
}

//! One node: whether it lives, its role, its term.

use serde::{Deserialize, Serialize};

use super::{Eyes, Finding, Look};
use crate::lab::select::role_of;
use crate::world::picture::State;

/// `node: {who: was:leader, is: follower, term_above: was:leader}`: every part that is given holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The node.
    pub who: String,
    /// What it is.
    #[serde(default)]
    pub is: Option<Is>,
    /// Its term is this number.
    #[serde(default)]
    pub term: Option<u64>,
    /// Its term is above that of this node; `was:NODE` is the term when the step began.
    #[serde(default)]
    pub term_above: Option<String>,
}

/// What a node can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    /// It follows.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It leads.
    Leader,
    /// Its process exists.
    Up,
    /// Its process does not exist.
    Down,
    /// Its process is stopped by SIGSTOP.
    Paused,
}

impl Look for Node {
    fn look(&self, eyes: &Eyes) -> Finding {
        let hoped = self.hoped(eyes);
        let found = eyes.word(&self.who).and_then(|name| Some((eyes.world.raft.nodes.get(&name)?, name)));
        let Some((node, name)) = found else {
            return Finding::new("node", false, "nobody").with("who", eyes.name(&self.who)).with("wanted", hoped);
        };
        let passed = self.is.is_none_or(|is| self.is_so(is, node, eyes, &name))
            && self.term.is_none_or(|term| node.term == term)
            && self.term_above.as_ref().is_none_or(|other| term_of(eyes, other).is_some_and(|t| node.term > t));
        let state = if paused(eyes, &name) { "paused".into() } else { state(node) };
        let finding = Finding::new("node", passed, "saw").with("who", &name).with("state", state);
        finding.with("term", node.term).with("wanted", hoped)
    }
}

impl Node {
    fn is_so(&self, is: Is, node: &crate::world::raft::Node, eyes: &Eyes, name: &str) -> bool {
        match is {
            Is::Up => node.alive,
            Is::Down => !node.alive,
            Is::Paused => paused(eyes, name),
            Is::Follower | Is::Candidate | Is::Leader => node.alive && role_of(node) == word(is),
        }
    }

    /// What is wanted, in the words of the protocol.
    fn hoped(&self, eyes: &Eyes) -> String {
        let is = self.is.map(word);
        let term = self.term.map(|term| format!("term = {term}"));
        let above = self.term_above.as_ref().and_then(|other| Some(format!("term > {}", term_of(eyes, other)?)));
        [is, term, above].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn word(is: Is) -> String {
    serde_json::to_value(is).ok().and_then(|v| Some(v.as_str()?.to_owned())).unwrap_or_default()
}

fn state(node: &crate::world::raft::Node) -> String {
    if node.alive { role_of(node) } else { "down".into() }
}

fn paused(eyes: &Eyes, name: &str) -> bool {
    eyes.world.processes.get(name).is_some_and(|process| process.state == State::Paused)
}

/// The term of the node that `word` selects; of `was:…` the term that it had when the step began.
pub(in crate::lab) fn term_of(eyes: &Eyes, word: &str) -> Option<u64> {
    let world = if word.starts_with("was:") { &eyes.start } else { &eyes.world };
    Some(world.raft.nodes.get(&eyes.word(word)?)?.term)
}

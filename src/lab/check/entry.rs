//! An entry of the replicated log: committed, not committed, applied.
//!
//! The entry is named by its text (`SET tea 42`), for its index is not known beforehand. Of several entries with that
//! text the last one counts.

use serde::Deserialize;

use super::{Eyes, Finding, Look};
use crate::world::raft::Node;

/// `committed: {entry: SET x 5}`: it is in the logs of a majority of all nodes, and a majority knows it committed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// The entry's text.
    pub entry: String,
    /// Which nodes must know it committed; without this a majority of all.
    #[serde(default)]
    pub on: Vec<String>,
}

/// `not_committed: {entry: SET x 5, held_by: 2}`: it is in the log of at least so many nodes (1 if not said), and none
/// of the nodes knows it committed. An equal entry that was committed when the step began is another one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotCommitted {
    /// The entry's text.
    pub entry: String,
    /// How many logs must hold it.
    #[serde(default = "one")]
    pub held_by: usize,
    /// Only the live nodes count.
    #[serde(default)]
    pub live: bool,
}

/// `applied: {entry: SET x 5, on: [n2]}`: each of these nodes (all live ones if none is named) applied it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The entry's text.
    pub entry: String,
    /// The nodes.
    #[serde(default)]
    pub on: Vec<String>,
}

fn one() -> usize {
    1
}

/// The index of the last entry with this text in a node's log.
fn index(node: &Node, entry: &str) -> Option<u64> {
    node.log.iter().rev().find(|e| e.text == entry).map(|e| e.index)
}

/// The names of the nodes that `holds` is true of.
fn who(eyes: &Eyes, holds: impl Fn(&Node) -> bool) -> Vec<String> {
    eyes.world.raft.nodes.iter().filter(|(_, node)| holds(node)).map(|(name, _)| name.clone()).collect()
}

/// Names for a text; `–` for none.
fn list(names: &[String]) -> String {
    if names.is_empty() { "–".into() } else { names.join(", ") }
}

impl Look for Committed {
    fn look(&self, eyes: &Eyes) -> Finding {
        let entry = eyes.fill(&self.entry);
        let has = who(eyes, |node| index(node, &entry).is_some());
        let knows = who(eyes, |node| index(node, &entry).is_some_and(|i| node.commit >= i));
        let all = eyes.world.raft.nodes.len();
        let passed = if self.on.is_empty() {
            knows.len() * 2 > all
        } else {
            self.on.iter().all(|word| eyes.word(word).is_some_and(|name| knows.contains(&name)))
        };
        let saw = if has.is_empty() { "nowhere" } else { "saw" };
        let finding = Finding::new("committed", passed, saw).with("entry", entry).with("has", list(&has));
        finding.with("knows", list(&knows)).with("majority", all / 2 + 1).with("nodes", all)
    }
}

impl Look for NotCommitted {
    fn look(&self, eyes: &Eyes) -> Finding {
        let entry = eyes.fill(&self.entry);
        let new = |name: &String, node: &Node| {
            let old = eyes.start.raft.nodes.get(name).map_or(0, |node| node.commit);
            index(node, &entry).filter(|i| *i > old)
        };
        let nodes = &eyes.world.raft.nodes;
        let names = |fits: &dyn Fn(&String, &Node) -> bool| -> Vec<String> {
            nodes.iter().filter(|(name, node)| fits(name, node)).map(|(name, _)| name.clone()).collect()
        };
        let has = names(&|name, node| (node.alive || !self.live) && new(name, node).is_some());
        let knows = names(&|name, node| new(name, node).is_some_and(|i| node.commit >= i));
        let saw = match (has.is_empty(), knows.is_empty()) {
            (true, _) => "nowhere",
            (_, true) => "saw",
            (_, false) => "committed",
        };
        let finding = Finding::new("not_committed", knows.is_empty() && has.len() >= self.held_by, saw);
        finding.with("entry", entry).with("has", list(&has)).with("knows", list(&knows)).with("held_by", self.held_by)
    }
}

impl Look for Applied {
    fn look(&self, eyes: &Eyes) -> Finding {
        let entry = eyes.fill(&self.entry);
        let done = who(eyes, |node| index(node, &entry).is_some_and(|i| node.applied >= i));
        let named: Option<Vec<_>> = self.on.iter().map(|word| eyes.word(word)).collect();
        let wanted = if self.on.is_empty() { who(eyes, |node| node.alive) } else { named.clone().unwrap_or_default() };
        let passed = named.is_some() && !wanted.is_empty() && wanted.iter().all(|name| done.contains(name));
        let wanted = if named.is_some() { list(&wanted) } else { self.on.join(", ") };
        Finding::new("applied", passed, "saw").with("entry", entry).with("done", list(&done)).with("wanted", wanted)
    }
}

//! How many leaders there are.

use serde::Deserialize;

use super::{Eyes, Finding, Look};
use crate::lab::select::role_of;

/// `one_leader: {}`: exactly one live node leads in the highest term, and a majority of all nodes follows it there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneLeader {
    /// Machines that must not be it.
    #[serde(default)]
    pub not: Vec<String>,
}

/// `no_leader: {}`: no live node leads.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoLeader {}

/// `leaders: {are: 2}`: so many live nodes take themselves for the leader, each in a term of its own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaders {
    /// How many.
    pub are: usize,
}

impl Look for Leaders {
    fn look(&self, eyes: &Eyes) -> Finding {
        let leaders = leaders(eyes);
        let all: Vec<_> = leaders.iter().map(|(name, term)| format!("{name} (term {term})")).collect();
        let finding = Finding::new("leaders", leaders.len() == self.are, if all.is_empty() { "none" } else { "saw" });
        finding.with("are", self.are).with("leaders", all.join(", "))
    }
}

impl Look for OneLeader {
    fn look(&self, eyes: &Eyes) -> Finding {
        let leaders = leaders(eyes);
        let Some((leader, term)) = leaders.last().cloned() else {
            return Finding::new("one_leader", false, "none").with("roles", roles(eyes));
        };
        let nodes = &eyes.world.raft.nodes;
        let with_it = |node: &&crate::world::raft::Node| {
            node.alive && node.term == term && { node.leader.as_deref() == Some(leader.as_str()) }
        };
        let flock = nodes.iter().filter(|(name, node)| **name == leader || with_it(node)).count();
        let barred = self.not.iter().any(|word| eyes.word(word).as_deref() == Some(leader.as_str()));
        let saw = match leaders.len() {
            _ if barred => "barred",
            1 if flock * 2 > nodes.len() => "one",
            1 => "lonely",
            _ => "many",
        };
        let all: Vec<_> = leaders.iter().map(|(name, term)| format!("{name} (term {term})")).collect();
        let finding = Finding::new("one_leader", saw == "one", saw).with("leader", &leader).with("term", term);
        finding.with("leaders", all.join(", ")).with("flock", flock).with("nodes", nodes.len())
    }
}

impl Look for NoLeader {
    fn look(&self, eyes: &Eyes) -> Finding {
        let leaders: Vec<_> = leaders(eyes).into_iter().map(|(name, _)| name).collect();
        let passed = leaders.is_empty() && !eyes.world.raft.nodes.is_empty();
        let finding = Finding::new("no_leader", passed, if passed { "none" } else { "some" });
        finding.with("leader", leaders.join(", ")).with("roles", roles(eyes))
    }
}

/// The live leaders with their terms, by term.
fn leaders(eyes: &Eyes) -> Vec<(String, u64)> {
    let leads = |node: &crate::world::raft::Node| node.alive && role_of(node) == "leader";
    let all = eyes.world.raft.nodes.iter().filter(|(_, node)| leads(node));
    let mut leaders: Vec<_> = all.map(|(name, node)| (name.clone(), node.term)).collect();
    leaders.sort_by_key(|(_, term)| *term);
    leaders
}

/// Every node with its role, for a text: `n1 follower, n2 down`.
fn roles(eyes: &Eyes) -> String {
    let role = |node: &crate::world::raft::Node| if node.alive { role_of(node) } else { "down".into() };
    eyes.world.raft.nodes.iter().map(|(name, node)| format!("{name} {}", role(node))).collect::<Vec<_>>().join(", ")
}

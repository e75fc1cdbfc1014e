//! A node's state as JSON, for those who ask: `lab log n1 --json`, `lab status --json`, `terrarium node --show-log`.

use serde_json::{Value, json};

use super::disk::Saved;
use crate::raft::event::{Index, NodeName, Role, Term};
use crate::raft::message::Entry;
use crate::raft::replica::Replica;

/// The log of a running node: of what its core holds, all is on disk before anybody hears of it.
pub fn log(replica: &Replica) -> Value {
    let node = replica.node();
    let state = node.hard_state();
    let indexes = (node.commit_index(), node.last_applied(), node.log().base().0);
    render(node.name(), (state.current_term, state.voted_for), indexes, node.log().iter())
}

/// The log of a node that does not run. commitIndex and lastApplied are volatile (Figure 2): of them only the snapshot's
/// index is left.
pub fn saved_log(saved: &Saved) -> Value {
    let base = saved.snapshot.as_ref().map_or(0, |s| s.index);
    let state = (saved.hard_state.current_term, saved.hard_state.voted_for.clone());
    render(&saved.name, state, (base, base, base), saved.entries.iter())
}

fn render<'a>(
    name: &str,
    (term, voted_for): (Term, Option<NodeName>),
    (commit, applied, snapshot): (Index, Index, Index),
    entries: impl Iterator<Item = &'a Entry>,
) -> Value {
    let entries: Vec<Value> = entries.map(|entry| json!(entry.view())).collect();
    json!({
        "node": name, "term": term, "voted_for": voted_for, "commit": commit, "applied": applied, "snapshot": snapshot,
        "entries": entries,
    })
}

/// What a running node is and knows.
pub fn status(replica: &Replica) -> Value {
    let node = replica.node();
    let progress = node.progress().into_iter().flatten();
    let followers: serde_json::Map<String, Value> =
        progress.map(|(peer, p)| (peer.clone(), json!({ "next": p.next_index, "match": p.match_index }))).collect();
    json!({
        "node": node.name(), "role": node.role(), "term": node.term(), "voted_for": node.hard_state().voted_for,
        "leader": node.leader(), "commit": node.commit_index(), "applied": node.last_applied(),
        "last": node.log().last_index(), "last_term": node.log().last_term(), "snapshot": node.log().base().0,
        "followers": followers, "waiting": replica.waiting(),
    })
}

/// The text of Redis's INFO.
pub fn info(replica: &Replica) -> String {
    let node = replica.node();
    let role = match node.role() {
        Role::Leader => "leader",
        Role::Candidate => "candidate",
        Role::Follower => "follower",
    };
    let leader = node.leader().map_or("", String::as_str);
    format!(
        "# Server\r\nterrarium_version:{}\r\n# Raft\r\nname:{}\r\nrole:{role}\r\nterm:{}\r\nleader:{leader}\r\ncommit_index:{}\r\n\
         last_applied:{}\r\nlast_index:{}\r\nsnapshot_index:{}\r\n",
        env!("CARGO_PKG_VERSION"),
        node.name(),
        node.term(),
        node.commit_index(),
        node.last_applied(),
        node.log().last_index(),
        node.log().base().0,
    )
}

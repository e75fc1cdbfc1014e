//! The logs as they lie on the nodes' disks.

use serde::Deserialize;
use serde_json::Value;

use super::{Eyes, Finding, Look};
use crate::world::Command;

/// `on_disk: {node: n1, entry: SET x 5}`: the node's log on disk holds the entry; with `absent: true`, it does not, at least
/// not behind what the node knew committed when the step began (an equal entry from before is another one).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnDisk {
    /// The node.
    pub node: String,
    /// The entry's text.
    pub entry: String,
    /// It must not be there.
    #[serde(default)]
    pub absent: bool,
}

/// `logs_equal: {of: [n1, n2]}`: the logs of these nodes (all if none is named) are equal on disk, entry by entry, as
/// far back as both reach.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogsEqual {
    /// The nodes.
    #[serde(default)]
    pub of: Vec<String>,
}

/// One entry on disk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Entry {
    index: u64,
    term: u64,
    text: String,
}

/// A node's log from its disk.
fn log(eyes: &Eyes, node: &str) -> Result<Vec<Entry>, String> {
    let answer = eyes.ask(Command::Log(node.into()))?;
    let entries = answer.get("entries").cloned().unwrap_or(Value::Null);
    serde_json::from_value(entries).map_err(|e| format!("the log of {node} is not what I know: {e}"))
}

impl Look for OnDisk {
    fn look(&self, eyes: &Eyes) -> Finding {
        let (node, entry) = (eyes.name(&self.node), eyes.fill(&self.entry));
        let finding = match log(eyes, &node) {
            Err(why) => Finding::new("on_disk", false, "unreadable").with("why", why),
            Ok(log) => {
                let old = eyes.start.raft.nodes.get(&node).map_or(0, |n| n.commit);
                let counts = |e: &&Entry| e.text == entry && (!self.absent || e.index > old);
                let there = log.iter().rev().find(counts);
                let finding =
                    Finding::new("on_disk", there.is_some() != self.absent, there.map_or("absent", |_| "there"));
                let tail: Vec<_> = log.iter().rev().take(3).map(show).collect();
                let (index, term) = there.map_or((0, 0), |e| (e.index, e.term));
                finding.with("index", index).with("term", term).with("tail", tail.join(" ← "))
            }
        };
        let wanted = if self.absent { "hoped_absent" } else { "hoped" };
        let mut finding = finding.with("node", node).with("entry", entry);
        finding.hoped.key = format!("on_disk.{wanted}");
        finding
    }
}

impl Look for LogsEqual {
    fn look(&self, eyes: &Eyes) -> Finding {
        let all = || eyes.world.raft.nodes.keys().cloned().collect();
        let nodes: Vec<String> =
            if self.of.is_empty() { all() } else { self.of.iter().map(|w| eyes.name(w)).collect() };
        let mut logs = Vec::new();
        for node in &nodes {
            match log(eyes, node) {
                Ok(log) => logs.push((node, log)),
                Err(why) => return unreadable(node, &nodes, &why),
            }
        }
        let names = nodes.join(", ");
        let Some(((first, log), rest)) = logs.split_first() else {
            return Finding::new("logs_equal", false, "nobody").with("nodes", names);
        };
        for (other, theirs) in rest {
            if let Some((a, b)) = difference(log, theirs) {
                let finding = Finding::new("logs_equal", false, "differ").with("a", first).with("b", other);
                return finding.with("a_has", a).with("b_has", b).with("nodes", names);
            }
        }
        let last = log.last().map_or_else(|| "–".into(), show);
        Finding::new("logs_equal", true, "equal").with("nodes", names).with("last", last)
    }
}

fn unreadable(node: &str, nodes: &[String], why: &str) -> Finding {
    Finding::new("logs_equal", false, "unreadable").with("node", node).with("why", why).with("nodes", nodes.join(", "))
}

/// The first place where two logs differ, in words; entries before the later of the two beginnings do not count
/// (a snapshot replaced them).
fn difference(a: &[Entry], b: &[Entry]) -> Option<(String, String)> {
    let start = |log: &[Entry]| log.first().map_or(0, |e| e.index);
    let from = start(a).max(start(b));
    let rest = |log: &[Entry]| log.iter().filter(|e| e.index >= from).cloned().collect::<Vec<_>>();
    let (a, b) = (rest(a), rest(b));
    let longest = a.len().max(b.len());
    let at = (0..longest).find(|i| a.get(*i) != b.get(*i))?;
    let word = |entry: Option<&Entry>| entry.map_or_else(|| "–".into(), show);
    Some((word(a.get(at)), word(b.get(at))))
}

fn show(entry: &Entry) -> String {
    format!("{}:{} {}", entry.index, entry.term, entry.text)
}

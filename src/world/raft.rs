//! The Raft part of the picture: each node's state of Figure 2 as it last reported it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::raft::{EntryView, Happening, Index, NodeName, Role, TAIL, Term};

/// What is known of the Raft nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The nodes by name. A node that ended stays, with `alive` false and its durable state.
    pub nodes: BTreeMap<NodeName, Node>,
}

/// One node as it last reported itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Whether its process exists.
    pub alive: bool,
    /// Its role.
    pub role: Role,
    /// currentTerm.
    pub term: Term,
    /// votedFor.
    pub voted_for: Option<NodeName>,
    /// The leader that it knows.
    pub leader: Option<NodeName>,
    /// Who granted it a vote in this term, itself included; a candidate's tally.
    pub votes: Vec<NodeName>,
    /// commitIndex.
    pub commit: Index,
    /// lastApplied.
    pub applied: Index,
    /// The tail of its log, ascending, at most [`TAIL`] entries.
    pub log: Vec<EntryView>,
    /// Index up to which a snapshot replaced the log.
    pub snapshot: Index,
    /// The running election timer: wall time of its start and its length, both in microseconds.
    pub timer: Option<(u64, u64)>,
    /// A leader's view of its followers: peer → (nextIndex, matchIndex).
    pub progress: BTreeMap<NodeName, (Index, Index)>,
}

impl Node {
    /// Index of its last entry.
    pub fn last(&self) -> Index {
        self.log.last().map_or(self.snapshot, |e| e.index)
    }

    /// Term of its last entry that is known; 0 if none is.
    pub fn last_term(&self) -> Term {
        self.log.last().map_or(0, |e| e.term)
    }
}

impl Picture {
    /// The leader of the highest term, if a live node says that it is one.
    pub fn leader(&self) -> Option<(&NodeName, &Node)> {
        self.nodes.iter().filter(|(_, n)| n.alive && n.role == Role::Leader).max_by_key(|(_, n)| n.term)
    }

    /// The process of node `who` ended: what was volatile is gone (Figure 2).
    pub fn ended(&mut self, who: &str) {
        if let Some(node) = self.nodes.get_mut(who) {
            (node.alive, node.role, node.leader, node.timer) = (false, Role::Follower, None, None);
            (node.votes, node.progress) = Default::default();
        }
    }

    /// Folds one happening, reported by node `who` at wall time `at` (microseconds since the epoch), into the picture.
    pub fn apply(&mut self, who: &str, at: u64, happening: &Happening) {
        if let Happening::Vote { term, candidate, granted: true, .. } = happening {
            self.tally(*term, candidate, who);
        }
        self.nodes.entry(who.into()).or_default().apply(who, at, happening);
    }

    fn tally(&mut self, term: Term, candidate: &str, voter: &str) {
        let Some(node) = self.nodes.get_mut(candidate) else { return };
        if node.term == term && !node.votes.iter().any(|v| v == voter) {
            node.votes.push(voter.into());
        }
    }
}

impl Node {
    fn apply(&mut self, who: &str, at: u64, happening: &Happening) {
        match happening {
            Happening::Booted { term, voted_for, applied, log, .. } => {
                let (term, voted_for, log) = (*term, voted_for.clone(), log.clone());
                let (commit, applied, snapshot) = (*applied, *applied, *applied);
                *self = Self { alive: true, term, voted_for, log, commit, applied, snapshot, ..Self::default() };
            }
            Happening::State { term, role, voted_for, leader, .. } => {
                if *role == Role::Candidate && (self.term, self.role) != (*term, *role) {
                    self.votes = vec![who.into()];
                }
                if *role != Role::Leader {
                    self.progress.clear();
                } else {
                    self.timer = None;
                }
                (self.alive, self.term, self.role) = (true, *term, *role);
                (self.voted_for, self.leader) = (voted_for.clone(), leader.clone());
            }
            Happening::Timer { timeout_us } => self.timer = Some((at, *timeout_us)),
            Happening::Appended { entries } => self.append(entries),
            Happening::Truncated { from } => self.log.retain(|e| e.index < *from),
            Happening::Committed { index } => self.commit = *index,
            Happening::Applied { index } => self.applied = *index,
            Happening::Progress { peer, next, matched } => {
                self.progress.insert(peer.clone(), (*next, *matched));
            }
            Happening::Snapshot { index, .. } => {
                self.snapshot = *index;
                self.log.retain(|e| e.index > *index);
            }
            Happening::Vote { .. }
            | Happening::Refused { .. }
            | Happening::Asked { .. }
            | Happening::Answered { .. } => {}
        }
    }

    fn append(&mut self, entries: &[EntryView]) {
        let Some(first) = entries.first() else { return };
        self.log.retain(|e| e.index < first.index);
        self.log.extend_from_slice(entries);
        let surplus = self.log.len().saturating_sub(TAIL);
        self.log.drain(..surplus);
    }
}

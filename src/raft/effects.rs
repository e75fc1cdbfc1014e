//! What a driver has to do after a step, in the order in which it has to do it.
//!
//! The order is what makes Raft safe: a vote or an acknowledgement may leave only after what it promises is on
//! disk (Figure 2: "Updated on stable storage before responding to RPCs"), and a client hears of a write only after it
//! is committed. So a driver carries out, field by field from top to bottom:
//!
//! 1. `replicate`: a leader's AppendEntries; they promise nothing about the leader's own disk, so they may leave while
//!    it writes (Ongaro's thesis, §10.2.1);
//! 2. `persist`: to stable storage, and wait for it;
//! 3. `send`: all other messages;
//! 4. `apply`: committed entries, each once, in order, to the state machine;
//! 5. `readable`: reads that are linearizable now, against the state machine as it is after `apply`;
//! 6. `answer`: to clients.
//!
//! A [`super::node::Node`] fills all but the last. A [`super::replica::Replica`], which owns the state machine, carries
//! out `apply` and `readable` on it and fills `answer`.
//!
//! The effects of several steps may be merged ([`Effects::merge`]) and carried out as one: one fsync for all.

use super::event::{Happening, Index, NodeName, Term};
use super::kv::Reply;
use super::message::{Entry, Outgoing, RequestId};
use super::replica::Unanswered;
use super::snapshot::Snapshot;

/// currentTerm and votedFor: with the log, all that a node must not forget (Figure 2, "persistent state").
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct HardState {
    /// Latest term the node has seen.
    pub current_term: Term,
    /// The candidate that received its vote in that term.
    pub voted_for: Option<NodeName>,
}

/// What has to be on stable storage before anything else is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Persist {
    /// The new currentTerm and votedFor.
    pub hard_state: Option<HardState>,
    /// A new snapshot: all entries up to its index may be removed.
    pub snapshot: Option<Snapshot>,
    /// From this index on the log holds exactly these entries: what is there is replaced, what is behind is removed.
    pub log: Option<(Index, Vec<Entry>)>,
}

impl Persist {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none() && self.snapshot.is_none() && self.log.is_none()
    }

    /// From `from` on the log holds `entries` now.
    pub(super) fn write_log(&mut self, from: Index, entries: impl IntoIterator<Item = Entry>) {
        match &mut self.log {
            Some((start, waiting)) if *start <= from => {
                waiting.truncate((from - *start) as usize);
                waiting.extend(entries);
            }
            _ => self.log = Some((from, entries.into_iter().collect())),
        }
    }

    fn merge(&mut self, later: Persist) {
        self.hard_state = later.hard_state.or(self.hard_state.take());
        if let Some((from, entries)) = later.log {
            self.write_log(from, entries);
        }
        if let Some(snapshot) = later.snapshot {
            self.skip_to(snapshot.index);
            self.snapshot = Some(snapshot);
        }
    }

    /// Entries that a snapshot holds need not be written any more.
    fn skip_to(&mut self, index: Index) {
        if let Some((start, waiting)) = &mut self.log
            && *start <= index
        {
            waiting.drain(..waiting.len().min((index + 1 - *start) as usize));
            *start = index + 1;
        }
    }
}

/// A linearizable read that waits for its turn; chosen by the caller, comes back in [`Effects::readable`].
pub type ReadId = u64;

/// What a step asks of its driver. See the module's head for the order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// A leader's entries for its followers.
    pub replicate: Vec<Outgoing>,
    /// What must be durable before the rest.
    pub persist: Persist,
    /// All other messages.
    pub send: Vec<Outgoing>,
    /// Committed entries, ascending, for the state machine. A snapshot to begin from comes in `persist`.
    pub apply: Vec<Entry>,
    /// Reads that may be answered after that.
    pub readable: Vec<ReadId>,
    /// What clients of this node are told.
    pub answer: Vec<(RequestId, Result<Reply, Unanswered>)>,
    /// What happened, for those who watch. No part of the protocol.
    pub happened: Vec<Happening>,
}

impl Effects {
    /// Adds the effects of a later step.
    pub fn merge(&mut self, later: Effects) {
        self.replicate.extend(later.replicate);
        self.persist.merge(later.persist);
        self.send.extend(later.send);
        self.apply.extend(later.apply);
        self.readable.extend(later.readable);
        self.answer.extend(later.answer);
        self.happened.extend(later.happened);
    }
}

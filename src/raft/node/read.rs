//! Linearizable reads without a log entry (§8; thesis §6.4, "ReadIndex").
//!
//! Two precautions. "First, a leader must have the latest information on which entries are committed": a read waits for
//! the no-op of the leader's term. "Second, a leader must check whether it has been deposed": it exchanges heartbeats with
//! a majority *after* the read came in. Heartbeats carry a round number for that, and replies echo it; a round that began
//! after the read and was answered by a majority is the proof. Reads that come in while a round is under way share the
//! next one.

use std::collections::VecDeque;

use super::{Node, State};
use crate::raft::effects::ReadId;
use crate::raft::event::Index;

/// The reads that wait at a leader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Reads {
    /// Index of the no-op of this leader's term.
    noop: Index,
    /// The latest round that began, and the latest that a majority answered.
    begun: u64,
    confirmed: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Waiting {
    id: ReadId,
    /// The state machine must have applied this (readIndex),
    index: Index,
    /// and this round must have been answered.
    round: u64,
}

impl Reads {
    pub(super) fn new(noop: Index) -> Self {
        Self { noop, ..Self::default() }
    }

    /// The round that goes with what is sent now.
    pub(super) fn round(&self) -> u64 {
        self.begun
    }

    pub(super) fn begin_round(&mut self) {
        self.begun += 1;
    }

    fn push(&mut self, id: ReadId, commit: Index) {
        self.waiting.push_back(Waiting { id, index: commit.max(self.noop), round: self.begun + 1 });
    }

    /// Whether reads wait for a round that has not begun, and none is under way.
    pub(super) fn wants_round(&self) -> bool {
        self.confirmed >= self.begun && self.waiting.back().is_some_and(|w| w.round > self.begun)
    }

    /// A majority has answered `round`, and everything up to `commit` is applied: takes the reads that were waiting for it.
    pub(super) fn confirm(&mut self, round: u64, commit: Index) -> Vec<ReadId> {
        self.confirmed = self.confirmed.max(round.min(self.begun));
        let ready = self.waiting.iter().take_while(|w| w.round <= self.confirmed && w.index <= commit).count();
        self.waiting.drain(..ready).map(|w| w.id).collect()
    }
}

impl Node {
    pub(super) fn queue_reads(&mut self, ids: Vec<ReadId>) {
        let commit = self.commit_index;
        let State::Leader(leader) = &mut self.state else { return };
        ids.into_iter().for_each(|id| leader.reads.push(id, commit));
        self.confirm_reads();
    }
}

//! A leader's view of one follower: nextIndex and matchIndex (Figure 2), and how fast it may be fed.
//!
//! Figure 2 has the leader send and wait. Here it may run ahead, within bounds:
//!
//! * **Probe**: where the follower's log agrees is not known. One message at a time, sent again with each heartbeat.
//! * **Replicate**: it is known. nextIndex runs ahead of matchIndex with each message sent, and up to [`IN_FLIGHT`]
//!   messages may be unanswered; what comes in meanwhile travels together in the next one.
//! * **Snapshot**: what it lacks is in no log any more; chunks of a snapshot go out, one at a time.

use std::collections::VecDeque;

use super::event::Index;

/// How many AppendEntries with entries may be on their way to one follower.
pub const IN_FLIGHT: usize = 4;

/// How a follower is fed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One message at a time.
    Probe {
        /// Whether that message is on its way.
        asked: bool,
    },
    /// A stream; the last index of each message on its way.
    Replicate(VecDeque<Index>),
    /// Chunks of the snapshot that ends at `index`; the follower has `received` bytes.
    Snapshot {
        /// Its lastIncludedIndex.
        index: Index,
        /// How many bytes the follower has.
        received: u64,
    },
}

/// What the leader knows of a follower.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Progress {
    /// "Index of the next log entry to send to that server" (Figure 2).
    pub next_index: Index,
    /// "Index of highest log entry known to be replicated on server" (Figure 2).
    pub match_index: Index,
    /// How it is fed.
    pub mode: Mode,
    /// The latest heartbeat round that it has answered in this term.
    pub round: u64,
}

impl Progress {
    /// As a new leader begins: nextIndex one past its last entry, matchIndex 0.
    pub fn new(last_index: Index) -> Self {
        Self { next_index: last_index + 1, match_index: 0, mode: Mode::Probe { asked: false }, round: 0 }
    }

    /// Whether a message with entries may be sent now.
    pub fn may_send(&self) -> bool {
        match &self.mode {
            Mode::Probe { asked } => !asked,
            Mode::Replicate(in_flight) => in_flight.len() < IN_FLIGHT,
            Mode::Snapshot { .. } => false,
        }
    }

    /// A message with entries up to `last` was sent.
    pub fn sent(&mut self, last: Index) {
        match &mut self.mode {
            Mode::Probe { asked } => *asked = true,
            Mode::Replicate(in_flight) => {
                in_flight.push_back(last);
                self.next_index = last + 1;
            }
            Mode::Snapshot { .. } => {}
        }
    }

    /// A probe may be sent again: the time of a heartbeat has passed.
    pub fn retry(&mut self) {
        if let Mode::Probe { asked } = &mut self.mode {
            *asked = false;
        }
    }

    /// The follower's log agrees up to `index`: "update nextIndex and matchIndex for follower" (Figure 2).
    pub fn matched(&mut self, index: Index) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(self.match_index + 1);
        match &mut self.mode {
            Mode::Replicate(in_flight) => in_flight.retain(|&last| last > index),
            Mode::Probe { .. } => self.mode = Mode::Replicate(VecDeque::new()),
            Mode::Snapshot { index: wanted, .. } if self.match_index >= *wanted => {
                self.mode = Mode::Replicate(VecDeque::new());
            }
            Mode::Snapshot { .. } => {}
        }
    }

    /// The follower refused: "decrement nextIndex and retry" (Figure 2), by its hint in one stride (§5.3). Says whether
    /// the refusal is news and not a late one.
    pub fn refused(&mut self, prev_log_index: Index, hint: Index) -> bool {
        let late = match &self.mode {
            Mode::Probe { .. } => prev_log_index + 1 != self.next_index,
            Mode::Replicate(_) => prev_log_index <= self.match_index,
            Mode::Snapshot { .. } => true,
        };
        if !late {
            self.next_index = hint.clamp(self.match_index + 1, prev_log_index.max(self.match_index + 1));
            self.mode = Mode::Probe { asked: false };
        }
        !late
    }
}

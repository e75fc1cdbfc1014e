//! # Replication: every copy is written by the client, and those that got it remember who did not
//!
//! There is no primary. A client changes all copies of a file itself, in one **transaction**: lock on every copy that is up, note that
//! something is begun (`dirty`), do it everywhere at once, note who missed it, unlock. Who missed it is written down on those
//! that did not: `trusted.afr.gv0-client-2 = 1 0 0` on brick 0 says "brick 2 missed one batch of writes". A copy that nobody
//! accuses may be read and is what heals the others; when copies accuse each other, that is **split-brain**, and nobody
//! can say which is right but a person.
//!
//! This module is the reasoning, as plain functions: which copies may be read ([`Blames`]), whether enough of them are up
//! ([`Quorum`]), what a transaction writes down before and after ([`changelog`]), which answer to believe ([`verdict`]).
//!
//! Left out: locks on parts of a file (a whole file is locked), arbiters that thin out to less than names and attributes.

mod blame;
mod changelog;
mod kids;
mod quorum;
mod verdict;

pub use blame::{Blames, NoCopy};
pub use changelog::{Marks, after, before, newborn};
pub use kids::Kids;
pub use quorum::Quorum;
pub use verdict::{Verdict, verdict};

/// What is fixed about a replica set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The clients' names of its bricks, in order: `gv0-client-3`.
    pub slots: Vec<String>,
    /// Those that hold no data.
    pub arbiters: Kids,
    /// How many must be up.
    pub quorum: Quorum,
}

impl Shape {
    /// How many bricks it has.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it has none (it never is).
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> Kids {
        Kids::first(self.len())
    }

    /// Whether these are enough to work with.
    pub fn suffices(&self, up: Kids) -> bool {
        self.quorum.is_met(up, self.len())
    }
}

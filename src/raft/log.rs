//! The log (Figure 2, §5.3), in memory.
//!
//! Entries follow each other without a gap. What a snapshot replaced (§7) is gone: the log then begins behind
//! `base`, the snapshot's lastIncludedIndex, whose term is still known because the consistency check asks for it.
//! Position 0 of term 0 is before every log, so that the check of the first entry needs no special case.
//!
//! The log does not know the disk. What has to be written there is told as [`super::effects::Persist`].

use std::collections::VecDeque;

use super::event::{Index, Term};
use super::message::Entry;

/// A node's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Log {
    base: (Index, Term),
    entries: VecDeque<Entry>,
}

impl Log {
    /// A log that was read from disk: what follows a snapshot that ends at index and term `base`; (0, 0) for none.
    ///
    /// # Panics
    /// If the entries have a gap: then the disk broke its promise.
    pub fn new(base: (Index, Term), entries: Vec<Entry>) -> Self {
        for (entry, expected) in entries.iter().zip(base.0 + 1..) {
            assert_eq!(entry.index, expected, "the log on disk has a gap");
        }
        Self { base, entries: entries.into() }
    }

    /// lastIncludedIndex and lastIncludedTerm of the snapshot before the log; (0, 0) if there is none.
    pub fn base(&self) -> (Index, Term) {
        self.base
    }

    /// Index of the first entry, or where it would be.
    pub fn first_index(&self) -> Index {
        self.base.0 + 1
    }

    /// Index of the last entry, or of the snapshot.
    pub fn last_index(&self) -> Index {
        self.base.0 + self.entries.len() as Index
    }

    /// Term of the last entry, or of the snapshot.
    pub fn last_term(&self) -> Term {
        self.entries.back().map_or(self.base.1, |e| e.term)
    }

    /// Term at an index: of an entry, of the snapshot's end, or of position 0. `None` where nothing is known.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.0 { Some(self.base.1) } else { self.get(index).map(|e| e.term) }
    }

    /// The entry at an index.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        let offset = index.checked_sub(self.first_index())?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// The entries from `from` to `to`, both included, as far as there are any.
    pub fn range(&self, from: Index, to: Index) -> impl DoubleEndedIterator<Item = &Entry> {
        let offset = |index: Index| (index.saturating_sub(self.first_index()) as usize).min(self.entries.len());
        let (from, to) = (offset(from), offset((to + 1).max(self.first_index())));
        self.entries.range(from..to.max(from))
    }

    /// The entries from `from` on that fit into one message: at least one, at most `count`, about `bytes` together.
    pub fn batch(&self, from: Index, count: usize, bytes: usize) -> Vec<Entry> {
        let mut sum = 0;
        let fits = |entry: &&Entry| {
            let room = sum == 0 || sum + entry.size() <= bytes;
            sum += entry.size();
            room
        };
        self.range(from, self.last_index()).take(count).take_while(fits).cloned().collect()
    }

    /// All entries, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Appends an entry at the end.
    pub fn push(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last_index() + 1, "entries follow each other without a gap");
        self.entries.push_back(entry);
    }

    /// Removes the entry at `from` and all that follow it (§5.3).
    pub fn truncate(&mut self, from: Index) {
        assert!(from > self.base.0, "what a snapshot holds is committed and stays");
        self.entries.truncate((from - self.first_index()) as usize);
    }

    /// The first index of the run of entries of one term that `index` belongs to (§5.3's hint for a leader).
    pub fn first_of_term(&self, index: Index) -> Index {
        let Some(term) = self.term_at(index) else { return self.last_index() + 1 };
        let earlier = self.range(self.first_index(), index).rev();
        index + 1 - earlier.take_while(|e| e.term == term).count() as Index
    }

    /// Whether a candidate's log is at least as up-to-date as this one (§5.4.1): "If the logs have last entries with
    /// different terms, then the log with the later term is more up-to-date. If the logs end with the same term, then
    /// whichever log is longer is more up-to-date."
    pub fn is_up_to_date(&self, last_log_index: Index, last_log_term: Term) -> bool {
        (last_log_term, last_log_index) >= (self.last_term(), self.last_index())
    }

    /// Forgets the entries up to and including `index`, which a snapshot now holds (§7).
    pub fn compact(&mut self, index: Index) {
        let Some(term) = self.term_at(index) else { return };
        self.entries.drain(..(index - self.base.0) as usize);
        self.base = (index, term);
    }

    /// Begins anew behind a snapshot. An own entry with the snapshot's last index and term keeps what follows it (§7:
    /// "retain log entries following it").
    pub fn install(&mut self, index: Index, term: Term) {
        if self.term_at(index) == Some(term) {
            self.compact(index);
        } else {
            *self = Self { base: (index, term), entries: VecDeque::new() };
        }
    }
}

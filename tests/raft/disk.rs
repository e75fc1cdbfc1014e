//! What survives a crash, in memory.

use std::collections::BTreeMap;

use terrarium::raft::Index;
use terrarium::raft::effects::{HardState, Persist};
use terrarium::raft::log::Log;
use terrarium::raft::message::Entry;
use terrarium::raft::snapshot::Snapshot;

/// A node's stable storage.
#[derive(Default)]
pub struct Disk {
    pub hard_state: HardState,
    pub snapshot: Option<Snapshot>,
    pub log: BTreeMap<Index, Entry>,
    pub lives: u64,
}

impl Disk {
    /// Writes as a driver has to.
    pub fn write(&mut self, persist: Persist) {
        self.hard_state = persist.hard_state.unwrap_or(std::mem::take(&mut self.hard_state));
        if let Some(snapshot) = persist.snapshot {
            self.log = self.log.split_off(&(snapshot.index + 1));
            self.snapshot = Some(snapshot);
        }
        if let Some((from, entries)) = persist.log {
            self.log.split_off(&from);
            self.log.extend(entries.into_iter().map(|entry| (entry.index, entry)));
        }
    }

    /// The log as a node reads it when it starts.
    pub fn log(&self) -> Log {
        let base = self.snapshot.as_ref().map_or((0, 0), |s| (s.index, s.term));
        Log::new(base, self.log.values().cloned().collect())
    }
}

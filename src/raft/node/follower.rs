//! Receiving a leader's entries (§5.3) and snapshots (§7).

use bytes::{Bytes, BytesMut};

use super::{Node, State};
use crate::raft::event::{Happening, Index, NodeName, Role, TAIL, Term};
use crate::raft::message::{AppendOutcome, Entry, Rpc};
use crate::raft::snapshot::Snapshot;

/// A follower knows its leader, once it has heard of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Follower {
    leader: Option<NodeName>,
    /// The snapshot under way: its last index and term, and the bytes so far.
    incoming: Option<((Index, Term), BytesMut)>,
}

impl Follower {
    pub(super) fn of(leader: Option<NodeName>) -> Self {
        Self { leader, incoming: None }
    }

    pub(super) fn leader(&self) -> Option<&NodeName> {
        self.leader.as_ref()
    }
}

impl Node {
    /// AppendEntries, receiver's implementation (Figure 2).
    pub(super) fn append_entries(
        &mut self,
        leader: &str,
        term: Term,
        prev: (Index, Term),
        entries: Vec<Entry>,
        leader_commit: Index,
        round: u64,
    ) {
        // 1. "Reply false if term < currentTerm" (§5.1)
        let outcome = if term < self.current_term {
            AppendOutcome::Refused { prev_log_index: prev.0, hint: self.log.last_index() + 1 }
        } else {
            self.hear_leader(leader);
            self.receive_entries(leader, prev, entries, leader_commit)
        };
        self.send(leader, Rpc::AppendEntriesReply { term: self.current_term, outcome, round });
    }

    /// "If AppendEntries RPC received from new leader: convert to follower" (Figure 2), and reset the election timer.
    fn hear_leader(&mut self, leader: &str) {
        assert_ne!(self.role(), Role::Leader, "two leaders in term {} (§5.2)", self.current_term);
        if self.leader().is_none_or(|known| known != leader) {
            self.become_follower(Some(leader.into()), "found_leader");
        }
        self.restart_timer();
    }

    fn receive_entries(
        &mut self,
        leader: &str,
        (prev_log_index, prev_log_term): (Index, Term),
        entries: Vec<Entry>,
        leader_commit: Index,
    ) -> AppendOutcome {
        // 2. "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm" (§5.3)
        if let Some(hint) = self.disagreement(prev_log_index, prev_log_term) {
            self.tell(|| Happening::Refused { leader: leader.into(), prev_index: prev_log_index, hint });
            return AppendOutcome::Refused { prev_log_index, hint };
        }
        let last_new = prev_log_index + entries.len() as Index;
        self.store_entries(entries);
        // 5. "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)"
        self.commit_to(leader_commit.min(last_new));
        AppendOutcome::Matched(last_new)
    }

    /// Where the leader may try next if the logs disagree at `index`: one past the end of a log that is too short, or the
    /// first entry of the conflicting term, which lets the leader skip that term in one stride (§5.3). What a snapshot
    /// replaced was committed and agrees.
    fn disagreement(&self, index: Index, term: Term) -> Option<Index> {
        match self.log.term_at(index) {
            Some(own) if own == term => None,
            Some(_) => Some(self.log.first_of_term(index).max(self.commit_index + 1)),
            None if index < self.log.base().0 => None,
            None => Some(self.log.last_index() + 1),
        }
    }

    /// 3. "If an existing entry conflicts with a new one, delete the existing entry and all that follow it" (§5.3)
    /// 4. "Append any new entries not already in the log"
    fn store_entries(&mut self, entries: Vec<Entry>) {
        let known = |e: &&Entry| e.index <= self.log.base().0 || self.log.term_at(e.index) == Some(e.term);
        let skip = entries.iter().take_while(known).count();
        let Some(first) = entries.get(skip).map(|e| e.index) else { return };
        if first <= self.log.last_index() {
            assert!(first > self.commit_index, "a committed entry is never removed (§5.4)");
            self.log.truncate(first);
            self.tell(|| Happening::Truncated { from: first });
        }
        entries.into_iter().skip(skip).for_each(|entry| self.log.push(entry));
        self.persist_log_from(first);
        self.tell_appended(first);
    }

    pub(super) fn tell_appended(&mut self, first: Index) {
        if self.watched {
            let last = self.log.last_index();
            let from = first.max((last + 1).saturating_sub(TAIL as Index));
            let entries = self.log.range(from, last).map(Entry::view).collect();
            self.tell(|| Happening::Appended { entries });
        }
    }

    /// InstallSnapshot, receiver's implementation (Figure 13). Chunks are taken in order; the reply says how many bytes
    /// are here, so that a lost or doubled chunk costs nothing but itself.
    pub(super) fn install_snapshot(
        &mut self,
        leader: &str,
        term: Term,
        (index, last_term): (Index, Term),
        (offset, data, done): (u64, Bytes, bool),
        round: u64,
    ) {
        let (mut received, mut installed) = (0, false);
        if term == self.current_term {
            self.hear_leader(leader);
            installed = index <= self.commit_index;
            if !installed {
                received = self.receive_chunk((index, last_term), offset, &data);
                installed = done && received == offset + data.len() as u64;
                if installed {
                    self.begin_from_snapshot(index, last_term);
                }
            }
        }
        let term = self.current_term;
        self.send(leader, Rpc::InstallSnapshotReply { term, last_included_index: index, received, installed, round });
    }

    /// Adds a chunk if it is the next one. Gives how many bytes are here.
    fn receive_chunk(&mut self, last: (Index, Term), offset: u64, data: &Bytes) -> u64 {
        let State::Follower(follower) = &mut self.state else { return 0 };
        if follower.incoming.as_ref().is_none_or(|(known, _)| *known != last) {
            follower.incoming = Some((last, BytesMut::new()));
        }
        let Some((_, bytes)) = &mut follower.incoming else { return 0 };
        if offset == bytes.len() as u64 {
            bytes.extend_from_slice(data);
        }
        bytes.len() as u64
    }

    /// "Discard the entire log; reset state machine using snapshot contents" (Figure 13), except for what follows.
    fn begin_from_snapshot(&mut self, index: Index, term: Term) {
        let State::Follower(follower) = &mut self.state else { return };
        let Some((_, bytes)) = follower.incoming.take() else { return };
        let snapshot = Snapshot { index, term, data: bytes.freeze() };
        self.log.install(index, term);
        (self.commit_index, self.last_applied) = (index, index);
        self.out.0.persist.snapshot = Some(snapshot.clone());
        self.persist_log_from(index + 1);
        self.out.0.apply.clear();
        self.snapshot = Some(snapshot);
        self.tell(|| Happening::Snapshot { index, term });
        self.tell(|| Happening::Committed { index });
        self.tell(|| Happening::Applied { index });
    }
}

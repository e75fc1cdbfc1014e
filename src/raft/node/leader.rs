//! Replication (§5.3) and commitment (§5.3, §5.4.2).

use std::collections::BTreeMap;

use super::read::Reads;
use super::{HEARTBEAT, Node, State};
use crate::raft::event::{Happening, Index, NodeName, Term};
use crate::raft::message::{AppendOutcome, Entry, Message, Outgoing, Payload, Rpc};
use crate::raft::progress::{Mode, Progress};

/// At most so many entries travel in one message,
const BATCH_ENTRIES: usize = 1024;
/// and about so many bytes; but always one entry.
const BATCH_BYTES: usize = 1 << 20;
/// A chunk of a snapshot has so many bytes.
const CHUNK: usize = 1 << 20;

/// A leader knows how far each follower is, and which reads wait.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Leader {
    progress: BTreeMap<NodeName, Progress>,
    pub(super) reads: Reads,
}

impl Leader {
    pub(super) fn progress(&self) -> &BTreeMap<NodeName, Progress> {
        &self.progress
    }
}

impl Node {
    /// "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server" (Figure 2); here with the no-op
    /// that §8 has a leader commit "at the start of its term".
    pub(super) fn become_leader(&mut self) {
        let last = self.log.last_index();
        let progress = self.config.peers.iter().map(|peer| (peer.clone(), Progress::new(last))).collect();
        self.state = State::Leader(Leader { progress, reads: Reads::new(last + 1) });
        self.tell_state("won");
        self.append_as_leader(vec![Payload::Noop]);
        self.heartbeat();
        self.advance_commit();
    }

    /// "If command received from client: append entry to local log" (Figure 2).
    pub(super) fn append_as_leader(&mut self, payloads: Vec<Payload>) {
        let first = self.log.last_index() + 1;
        for (payload, index) in payloads.into_iter().zip(first..) {
            self.log.push(Entry { index, term: self.current_term, payload });
        }
        self.persist_log_from(first);
        self.tell_appended(first);
    }

    /// Heartbeats to all: "repeat during idle periods to prevent election timeouts" (§5.2). To a follower that has not
    /// answered they carry what it lacks: "the leader retries AppendEntries RPCs indefinitely" (§5.3).
    pub(super) fn heartbeat(&mut self) {
        (self.elapsed, self.timeout) = (0, HEARTBEAT);
        if let State::Leader(leader) = &mut self.state {
            leader.reads.begin_round();
            leader.progress.values_mut().for_each(Progress::retry);
        }
        for peer in self.config.peers.clone() {
            if !self.replicate_to(&peer) {
                self.send_heartbeat(&peer);
            }
        }
        self.confirm_reads();
    }

    pub(super) fn replicate_to_all(&mut self) {
        for peer in self.config.peers.clone() {
            self.replicate_to(&peer);
        }
    }

    /// "If last log index ≥ nextIndex for a follower: send AppendEntries RPC with log entries starting at nextIndex"
    /// (Figure 2), as far as the follower's [`Progress`] allows. Says whether anything was sent.
    fn replicate_to(&mut self, peer: &str) -> bool {
        let mut sent = false;
        while let Some(progress) = self.progress_of(peer)
            && progress.may_send()
            && progress.next_index <= self.log.last_index()
        {
            let next = progress.next_index;
            if next <= self.log.base().0 {
                self.start_snapshot(peer);
                return true;
            }
            let entries = self.log.batch(next, BATCH_ENTRIES, BATCH_BYTES);
            let last = next - 1 + entries.len() as Index;
            self.send_append(peer, next, entries);
            self.update(peer, |progress| progress.sent(last));
            sent = true;
        }
        sent
    }

    /// A heartbeat to a follower to which there is nothing to send, or may be nothing sent.
    fn send_heartbeat(&mut self, peer: &str) {
        let Some(progress) = self.progress_of(peer) else { return };
        match progress.mode {
            Mode::Snapshot { .. } => self.send_chunk(peer),
            _ if progress.next_index <= self.log.base().0 => self.start_snapshot(peer),
            _ => self.send_append(peer, progress.next_index, Vec::new()),
        }
    }

    fn send_append(&mut self, peer: &str, next: Index, entries: Vec<Entry>) {
        let State::Leader(leader) = &self.state else { return };
        let prev_log_index = next - 1;
        let prev_log_term = self.log.term_at(prev_log_index).expect("nextIndex is in the log or right behind it");
        let (term, leader_commit, round) = (self.current_term, self.commit_index, leader.reads.round());
        let rpc = Rpc::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit, round };
        self.send_early(peer, rpc);
    }

    /// What a leader sends promises nothing about its own disk and need not wait for it.
    fn send_early(&mut self, to: &str, rpc: Rpc) {
        self.out.0.replicate.push(Outgoing { to: to.into(), message: Message::Rpc(rpc) });
    }

    pub(super) fn append_entries_reply(&mut self, from: &str, term: Term, outcome: AppendOutcome, round: u64) {
        if !self.hears(from, term, round) {
            return;
        }
        match outcome {
            AppendOutcome::Matched(index) => {
                assert!(index <= self.log.last_index(), "{from} has entries of this term that its leader has not");
                self.update(from, |progress| progress.matched(index));
                self.advance_commit();
            }
            AppendOutcome::Refused { prev_log_index, hint } => {
                self.update(from, |progress| {
                    progress.refused(prev_log_index, hint);
                });
            }
        }
        self.replicate_to(from);
    }

    /// Whether this is a leader and the reply is of its term; then the follower knew it as the leader in that round.
    fn hears(&mut self, from: &str, term: Term, round: u64) -> bool {
        let State::Leader(leader) = &mut self.state else { return false };
        let Some(progress) = leader.progress.get_mut(from) else { return false };
        if term != self.current_term {
            return false;
        }
        progress.round = progress.round.max(round);
        self.confirm_reads();
        true
    }

    /// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] ≥ N, and log[N].term == currentTerm:
    /// set commitIndex = N" (Figure 2). The last condition is §5.4.2: an entry of an earlier term is never committed by
    /// counting replicas, only by committing one of this term behind it.
    pub(super) fn advance_commit(&mut self) {
        let State::Leader(leader) = &self.state else { return };
        let mut matched: Vec<Index> = leader.progress.values().map(|p| p.match_index).collect();
        matched.push(self.log.last_index());
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let n = matched[self.majority() - 1];
        if n > self.commit_index && self.log.term_at(n) == Some(self.current_term) {
            self.commit_to(n);
            self.confirm_reads();
        }
    }

    fn start_snapshot(&mut self, peer: &str) {
        let index = self.log.base().0;
        self.update(peer, |progress| progress.mode = Mode::Snapshot { index, received: 0 });
        self.send_chunk(peer);
    }

    /// Sends the chunk behind what the follower has (Figure 13). If a newer snapshot took the place of the one under way,
    /// begins with that.
    fn send_chunk(&mut self, peer: &str) {
        let (State::Leader(leader), Some(snapshot)) = (&self.state, &self.snapshot) else { return };
        let Some(Mode::Snapshot { index, received }) = leader.progress.get(peer).map(|p| p.mode.clone()) else {
            return;
        };
        if index != snapshot.index {
            return self.start_snapshot(peer);
        }
        let from = usize::try_from(received).map_or(snapshot.data.len(), |r| r.min(snapshot.data.len()));
        let to = (from + CHUNK).min(snapshot.data.len());
        let rpc = Rpc::InstallSnapshot {
            term: self.current_term,
            last_included_index: snapshot.index,
            last_included_term: snapshot.term,
            offset: from as u64,
            data: snapshot.data.slice(from..to),
            done: to == snapshot.data.len(),
            round: leader.reads.round(),
        };
        self.send_early(peer, rpc);
    }

    pub(super) fn install_snapshot_reply(
        &mut self,
        from: &str,
        term: Term,
        last_included: Index,
        (received, installed): (u64, bool),
        round: u64,
    ) {
        if !self.hears(from, term, round) {
            return;
        }
        if installed {
            self.update(from, |progress| progress.matched(last_included));
            self.advance_commit();
            self.replicate_to(from);
        } else if let Some(Mode::Snapshot { index, received: known }) = self.progress_of(from).map(|p| p.mode.clone())
            && (index, true) == (last_included, received != known)
        {
            self.update(from, |progress| progress.mode = Mode::Snapshot { index, received });
            self.send_chunk(from);
        }
    }

    fn progress_of(&self, peer: &str) -> Option<&Progress> {
        match &self.state {
            State::Leader(leader) => leader.progress.get(peer),
            _ => None,
        }
    }

    /// Changes a follower's progress, and tells it if nextIndex or matchIndex moved.
    fn update(&mut self, peer: &str, change: impl FnOnce(&mut Progress)) {
        let State::Leader(leader) = &mut self.state else { return };
        let Some(progress) = leader.progress.get_mut(peer) else { return };
        let before = (progress.next_index, progress.match_index);
        change(progress);
        let (next, matched) = (progress.next_index, progress.match_index);
        if before != (next, matched) {
            self.tell(|| Happening::Progress { peer: peer.into(), next, matched });
        }
    }

    /// Reads whose round a majority has answered may be answered; the next round begins if reads wait for it.
    pub(super) fn confirm_reads(&mut self) {
        let majority = self.majority();
        let commit = self.commit_index;
        let State::Leader(leader) = &mut self.state else { return };
        let mut rounds: Vec<u64> = leader.progress.values().map(|p| p.round).collect();
        rounds.push(u64::MAX);
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        let ready = leader.reads.confirm(rounds[majority - 1], commit);
        self.out.0.readable.extend(ready);
        if leader.reads.wants_round() {
            self.read_round();
        }
    }

    /// A round of heartbeats for reads. It does not stand in for the timed one.
    fn read_round(&mut self) {
        let State::Leader(leader) = &mut self.state else { return };
        leader.reads.begin_round();
        for peer in self.config.peers.clone() {
            self.send_heartbeat(&peer);
        }
        if self.config.peers.is_empty() {
            self.confirm_reads();
        }
    }
}

//! A Raft server: Figure 2, and nothing but Figure 2.
//!
//! A value goes in ([`Node::step`] a message, [`Node::tick`] the passing of time, [`Node::propose`] a client's write,
//! [`Node::read`] a client's read), and what is to be done about it comes out as [`Effects`]. The node knows no clock, no
//! socket and no disk: time is a count of ticks, chance a seed, and what must be durable is in the effects. So the same
//! code runs in a process, in a simulator, under a model checker and in golden scripts.
//!
//! "Rules for Servers" of Figure 2 lie in the files of this folder: `election` (followers and candidates, §5.2, §5.4.1),
//! `follower` (receiving entries and snapshots, §5.3, §7), `leader` (replication and commitment, §5.3, §5.4.2), `read`
//! (read-only operations, §8). What all servers share is here.
//!
//! Left out: PreVote and CheckQuorum (thesis, §9.6, §6.2), because a cut-off server that comes back with a higher term,
//! and an old leader that does not know yet, are what a student is to see; leases for reads, because they trust clocks;
//! membership changes (§6).

mod election;
mod follower;
mod leader;
mod read;

use std::collections::BTreeMap;

use super::chance::Chance;
use super::effects::{Effects, HardState, ReadId};
use super::event::{Happening, Index, NodeName, Role, Term};
use super::log::Log;
use super::message::{Entry, Message, Outgoing, Payload, Rpc};
use super::progress::Progress;
use super::snapshot::Snapshot;

use election::Candidate;
use follower::Follower;
use leader::Leader;

/// One tick stands for this many microseconds of the paper's time.
pub const TICK_US: u64 = 10_000;
/// "Election timeouts are chosen randomly from a fixed interval (e.g., 150–300ms)" (§5.2), in ticks.
pub const ELECTION_TIMEOUT: std::ops::RangeInclusive<u64> = 15..=30;
/// A leader sends heartbeats this often, in ticks: 50 ms.
pub const HEARTBEAT: u64 = 5;

/// Who a node is and with whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// Its name.
    pub name: NodeName,
    /// The other nodes.
    pub peers: Vec<NodeName>,
    /// Seed of its election timeouts.
    pub seed: u64,
}

/// The three states of a server (Figure 4), each with what only it has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State {
    Follower(Follower),
    Candidate(Candidate),
    Leader(Leader),
}

/// The node was asked for what only a leader can do; the leader that it knows of, if any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the leader (which is {})", .0.as_deref().unwrap_or("unknown"))]
pub struct NotLeader(pub Option<NodeName>);

/// A server with the state of Figure 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    config: Config,
    current_term: Term,
    voted_for: Option<NodeName>,
    log: Log,
    snapshot: Option<Snapshot>,
    commit_index: Index,
    last_applied: Index,
    state: State,
    /// Ticks since the election timer (or the leader's last heartbeat) began, and when it ends.
    elapsed: u64,
    timeout: u64,
    chance: Chance,
    watched: bool,
    out: Pending,
}

/// The effects of the step under way. Never part of a node's identity: between steps it is empty.
#[derive(Debug, Clone, Default)]
struct Pending(Effects);

impl PartialEq for Pending {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Pending {}

/// The timer and the luck that sets it are left out: to a model checker, a timer may end at any time.
impl std::hash::Hash for Node {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        (&self.config.name, self.current_term, &self.voted_for, &self.log, &self.snapshot).hash(hasher);
        (self.commit_index, self.last_applied, &self.state).hash(hasher);
    }
}

impl Node {
    /// A server that starts, as a follower, from what it had on stable storage.
    pub fn new(config: Config, hard_state: HardState, snapshot: Option<Snapshot>, log: Log) -> Self {
        let applied = snapshot.as_ref().map_or(0, |s| s.index);
        assert_eq!(log.base().0, applied, "the log begins behind the snapshot");
        let mut node = Self {
            chance: Chance::new(config.seed),
            config,
            current_term: hard_state.current_term,
            voted_for: hard_state.voted_for,
            log,
            snapshot,
            commit_index: applied,
            last_applied: applied,
            state: State::Follower(Follower::default()),
            elapsed: 0,
            timeout: 0,
            watched: true,
            out: Pending::default(),
        };
        node.restart_timer();
        node.out = Pending::default();
        node
    }

    /// Takes in a message from `from`.
    pub fn step(&mut self, from: &str, rpc: Rpc) -> Effects {
        self.notice_term(&rpc);
        match rpc {
            Rpc::RequestVote { term, last_log_index, last_log_term } => {
                self.request_vote(from, term, last_log_index, last_log_term);
            }
            Rpc::RequestVoteReply { term, vote_granted } => self.request_vote_reply(from, term, vote_granted),
            Rpc::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit, round } => {
                let prev = (prev_log_index, prev_log_term);
                self.append_entries(from, term, prev, entries, leader_commit, round);
            }
            Rpc::AppendEntriesReply { term, outcome, round } => self.append_entries_reply(from, term, outcome, round),
            Rpc::InstallSnapshot { term, last_included_index, last_included_term, offset, data, done, round } => {
                let last = (last_included_index, last_included_term);
                self.install_snapshot(from, term, last, (offset, data, done), round);
            }
            Rpc::InstallSnapshotReply { term, last_included_index, received, installed, round } => {
                self.install_snapshot_reply(from, term, last_included_index, (received, installed), round);
            }
        }
        self.take()
    }

    /// Lets one tick of time pass.
    pub fn tick(&mut self) -> Effects {
        self.elapsed += 1;
        if self.elapsed >= self.timeout {
            match self.state {
                State::Leader(_) => self.heartbeat(),
                State::Follower(_) => self.start_election("election_timeout"),
                State::Candidate(_) => self.start_election("split"),
            }
        }
        self.take()
    }

    /// Appends clients' commands to the leader's log (§5.3). Gives the index of the first.
    ///
    /// # Errors
    /// [`NotLeader`] with a hint where to go.
    pub fn propose(&mut self, commands: Vec<Payload>) -> Result<(Index, Effects), NotLeader> {
        let State::Leader(_) = self.state else { return Err(NotLeader(self.leader().cloned())) };
        let first = self.log.last_index() + 1;
        self.append_as_leader(commands);
        self.replicate_to_all();
        self.advance_commit();
        Ok((first, self.take()))
    }

    /// Asks for a linearizable read (§8): `id` comes back in [`Effects::readable`] as soon as the state machine holds all
    /// that was committed when this was called. If the node loses its leadership first, it never comes.
    ///
    /// # Errors
    /// [`NotLeader`] with a hint where to go.
    pub fn read(&mut self, ids: Vec<ReadId>) -> Result<Effects, NotLeader> {
        let State::Leader(_) = self.state else { return Err(NotLeader(self.leader().cloned())) };
        self.queue_reads(ids);
        Ok(self.take())
    }

    /// Puts a snapshot of the state machine, taken after applying its last entry, in place of the log up to there (§7).
    pub fn compact(&mut self, snapshot: Snapshot) -> Effects {
        let (index, term) = (snapshot.index, snapshot.term);
        assert!(index <= self.last_applied, "only what was applied is in a snapshot");
        if index > self.log.base().0 {
            self.log.compact(index);
            self.out.0.persist.snapshot = Some(snapshot.clone());
            self.snapshot = Some(snapshot);
            self.tell(|| Happening::Snapshot { index, term });
        }
        self.take()
    }

    /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower" (§5.1).
    fn notice_term(&mut self, rpc: &Rpc) {
        if rpc.term() > self.current_term {
            self.current_term = rpc.term();
            self.voted_for = None;
            self.persist_hard_state();
            self.become_follower(None, "higher_term");
        }
    }

    fn become_follower(&mut self, leader: Option<NodeName>, why: &str) {
        let was_leader = self.role() == Role::Leader;
        self.state = State::Follower(Follower::of(leader));
        if was_leader {
            self.restart_timer();
        }
        self.tell_state(why);
    }

    /// A new random election timeout begins now (§5.2).
    fn restart_timer(&mut self) {
        self.elapsed = 0;
        self.timeout = self.chance.between(*ELECTION_TIMEOUT.start(), *ELECTION_TIMEOUT.end());
        let timeout_us = self.timeout * TICK_US;
        self.tell(|| Happening::Timer { timeout_us });
    }

    /// "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state machine" (§5.3).
    fn commit_to(&mut self, index: Index) {
        if index <= self.commit_index {
            return;
        }
        assert!(index <= self.log.last_index(), "an entry is committed only where it is in the log");
        self.commit_index = index;
        self.out.0.apply.extend(self.log.range(self.last_applied + 1, index).cloned());
        self.last_applied = index;
        self.tell(|| Happening::Committed { index });
        self.tell(|| Happening::Applied { index });
    }

    fn persist_hard_state(&mut self) {
        self.out.0.persist.hard_state = Some(self.hard_state());
    }

    fn persist_log_from(&mut self, from: Index) {
        let entries: Vec<Entry> = self.log.range(from, self.log.last_index()).cloned().collect();
        self.out.0.persist.write_log(from, entries);
    }

    fn send(&mut self, to: &str, rpc: Rpc) {
        self.out.0.send.push(Outgoing { to: to.into(), message: Message::Rpc(rpc) });
    }

    fn send_to_peers(&mut self, rpc: &Rpc) {
        for peer in self.config.peers.clone() {
            self.send(&peer, rpc.clone());
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> Happening) {
        if self.watched {
            self.out.0.happened.push(what());
        }
    }

    fn tell_state(&mut self, why: &str) {
        let state = self.describe(why);
        self.out.0.happened.push(state);
    }

    fn take(&mut self) -> Effects {
        std::mem::take(&mut self.out.0)
    }

    /// How many servers are a majority of the cluster.
    fn majority(&self) -> usize {
        self.config.peers.len().div_ceil(2) + 1
    }
}

/// What can be seen of a node.
impl Node {
    /// Its name.
    pub fn name(&self) -> &NodeName {
        &self.config.name
    }

    /// The other nodes.
    pub fn peers(&self) -> &[NodeName] {
        &self.config.peers
    }

    /// currentTerm and votedFor.
    pub fn hard_state(&self) -> HardState {
        HardState { current_term: self.current_term, voted_for: self.voted_for.clone() }
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The snapshot before the log.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// currentTerm.
    pub fn term(&self) -> Term {
        self.current_term
    }

    /// commitIndex.
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// lastApplied.
    pub fn last_applied(&self) -> Index {
        self.last_applied
    }

    /// Its role.
    pub fn role(&self) -> Role {
        match self.state {
            State::Follower(_) => Role::Follower,
            State::Candidate(_) => Role::Candidate,
            State::Leader(_) => Role::Leader,
        }
    }

    /// The leader of its term, as far as it knows; itself if it leads.
    pub fn leader(&self) -> Option<&NodeName> {
        match &self.state {
            State::Follower(follower) => follower.leader(),
            State::Candidate(_) => None,
            State::Leader(_) => Some(&self.config.name),
        }
    }

    /// A leader's view of its followers; nothing if it does not lead.
    pub fn progress(&self) -> Option<&BTreeMap<NodeName, Progress>> {
        match &self.state {
            State::Leader(leader) => Some(leader.progress()),
            _ => None,
        }
    }

    /// Whether each small thing is told in [`Effects::happened`] (the default), or changes of state alone.
    pub fn watch(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// Ticks until its timer ends: an election timeout, or a leader's next heartbeat.
    pub fn ticks_left(&self) -> u64 {
        self.timeout.saturating_sub(self.elapsed)
    }

    /// Its state as a happening.
    pub fn describe(&self, why: &str) -> Happening {
        Happening::State {
            term: self.current_term,
            role: self.role(),
            voted_for: self.voted_for.clone(),
            leader: self.leader().cloned(),
            why: why.into(),
        }
    }
}

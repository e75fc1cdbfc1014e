//! A model check: *every* order of events in a small cluster, by the same code that runs in the processes.
//!
//! Three nodes. Any message on its way may arrive next, or never; any timer may end at any time; a node may crash after any
//! step and come back with what it persisted. How often timers end, clients ask and nodes crash is bounded, or there
//! would be no end of it. In every state that can be reached, Figure 3 must hold.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Checker, Model, Property};
use terrarium::raft::effects::{Effects, HardState};
use terrarium::raft::kv::Write;
use terrarium::raft::log::Log;
use terrarium::raft::message::{ClientId, Entry, Message, Payload, Request, RequestId, Rpc};
use terrarium::raft::node::{Config, Node};
use terrarium::raft::{Index, Role, Term};

const NAMES: [&str; 3] = ["n1", "n2", "n3"];

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Budget {
    elections: u8,
    heartbeats: u8,
    writes: u8,
    crashes: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cluster {
    nodes: Vec<Node>,
    /// What a node would find on its disk: its hard state and log.
    disks: Vec<(HardState, Vec<Entry>)>,
    flying: BTreeSet<(usize, usize, Rpc)>,
    budget: Budget,
    /// Who led in which term, with the log that it began with.
    leaders: BTreeMap<Term, (usize, Vec<(Index, Term)>)>,
    /// What was ever committed, and whether two nodes ever disagreed about it.
    committed: BTreeMap<Index, Term>,
    disagreed: bool,
    two_leaders: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Action {
    Deliver(usize, usize, Rpc),
    Timeout(usize),
    Write(usize),
    Crash(usize),
}

fn node(i: usize, hard_state: HardState, entries: Vec<Entry>) -> Node {
    let peers = NAMES.iter().filter(|name| **name != NAMES[i]).map(|name| name.to_string()).collect();
    let config = Config { name: NAMES[i].into(), peers, seed: 0 };
    let mut node = Node::new(config, hard_state, None, Log::new((0, 0), entries));
    node.watch(false);
    node
}

impl Cluster {
    fn new(budget: Budget) -> Self {
        Self {
            nodes: (0..3).map(|i| node(i, HardState::default(), Vec::new())).collect(),
            disks: vec![Default::default(); 3],
            flying: BTreeSet::new(),
            budget,
            leaders: BTreeMap::new(),
            committed: BTreeMap::new(),
            disagreed: false,
            two_leaders: false,
        }
    }

    fn carry_out(&mut self, i: usize, effects: Effects) {
        let (hard_state, log) = &mut self.disks[i];
        *hard_state = effects.persist.hard_state.unwrap_or(hard_state.clone());
        if let Some((from, entries)) = effects.persist.log {
            log.truncate(from as usize - 1);
            log.extend(entries);
        }
        for outgoing in effects.replicate.into_iter().chain(effects.send) {
            let Message::Rpc(rpc) = outgoing.message else { continue };
            let to = NAMES.iter().position(|name| *name == outgoing.to).expect("a node's name");
            self.flying.insert((i, to, rpc));
        }
        for entry in effects.apply {
            let first = *self.committed.entry(entry.index).or_insert(entry.term);
            self.disagreed |= first != entry.term;
        }
        if self.nodes[i].role() == Role::Leader {
            let began = || self.nodes[i].log().iter().map(|e| (e.index, e.term)).collect();
            let (leader, _) = self.leaders.entry(self.nodes[i].term()).or_insert_with(|| (i, began()));
            self.two_leaders |= *leader != i;
        }
    }

    fn timeout(&mut self, i: usize) {
        let mut all = Effects::default();
        for _ in 0..self.nodes[i].ticks_left() {
            all.merge(self.nodes[i].tick());
        }
        self.carry_out(i, all);
    }

    fn write(&mut self, i: usize) {
        let id = RequestId { client: ClientId(1), serial: u64::from(self.budget.writes) };
        let payload = Payload::Request(Request { id, settled: 0, command: Write::Add("n".into(), 1) });
        if let Ok((_, effects)) = self.nodes[i].propose(vec![payload]) {
            self.carry_out(i, effects);
        }
    }

    /// "If two logs contain an entry with the same index and term, then the logs are identical in all entries up through the
    /// given index."
    fn logs_match(&self) -> bool {
        let match_ = |a: &Log, b: &Log| {
            let common = |index: &Index| a.term_at(*index).is_some() && a.term_at(*index) == b.term_at(*index);
            let last = (1..=a.last_index().min(b.last_index())).rev().find(common).unwrap_or(0);
            (1..=last).all(|index| a.get(index) == b.get(index))
        };
        let pairs = [(0, 1), (0, 2), (1, 2)];
        pairs.iter().all(|&(a, b)| match_(self.nodes[a].log(), self.nodes[b].log()))
    }

    /// "If a log entry is committed in a given term, then that entry will be present in the logs of the leaders for all
    /// higher-numbered terms": leaders of terms above that of the entry that committed it.
    fn leaders_are_complete(&self) -> bool {
        let Some(newest) = self.committed.values().max() else { return true };
        let later = self.leaders.range(newest + 1..);
        later.into_iter().all(|(_, (_, log))| self.committed.iter().all(|(index, term)| log.contains(&(*index, *term))))
    }
}

struct Checked(Budget);

impl Model for Checked {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        vec![Cluster::new(self.0)]
    }

    fn actions(&self, cluster: &Cluster, actions: &mut Vec<Action>) {
        actions.extend(cluster.flying.iter().map(|(from, to, rpc)| Action::Deliver(*from, *to, rpc.clone())));
        let fresh = cluster.nodes.iter().all(|node| node.term() == 0);
        for (i, node) in cluster.nodes.iter().enumerate() {
            let leads = node.role() == Role::Leader;
            let left = if leads { cluster.budget.heartbeats } else { cluster.budget.elections };
            // Until something happens, all nodes are the same: let n1 be the first.
            let same = !fresh || i == 0;
            actions.extend((left > 0 && same).then_some(Action::Timeout(i)));
            actions.extend((leads && cluster.budget.writes > 0).then_some(Action::Write(i)));
            actions.extend((cluster.budget.crashes > 0 && node.term() > 0).then_some(Action::Crash(i)));
        }
    }

    fn next_state(&self, before: &Cluster, action: Action) -> Option<Cluster> {
        let mut cluster = before.clone();
        match action {
            Action::Deliver(from, to, rpc) => {
                cluster.flying.remove(&(from, to, rpc.clone()));
                let effects = cluster.nodes[to].step(NAMES[from], rpc);
                cluster.carry_out(to, effects);
            }
            Action::Timeout(i) => {
                let leads = cluster.nodes[i].role() == Role::Leader;
                *(if leads { &mut cluster.budget.heartbeats } else { &mut cluster.budget.elections }) -= 1;
                cluster.timeout(i);
            }
            Action::Write(i) => {
                cluster.write(i);
                cluster.budget.writes -= 1;
            }
            Action::Crash(i) => {
                cluster.budget.crashes -= 1;
                let (hard_state, entries) = cluster.disks[i].clone();
                cluster.nodes[i] = node(i, hard_state, entries);
            }
        }
        Some(cluster)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("Election Safety", |_: &Self, cluster: &Cluster| !cluster.two_leaders),
            Property::always("Log Matching", |_: &Self, cluster: &Cluster| cluster.logs_match()),
            Property::always("Leader Completeness", |_: &Self, cluster: &Cluster| cluster.leaders_are_complete()),
            Property::always("State Machine Safety", |_: &Self, cluster: &Cluster| !cluster.disagreed),
            Property::sometimes("a second leader", |_: &Self, cluster: &Cluster| cluster.leaders.len() > 1),
            Property::sometimes("a commit", |_: &Self, cluster: &Cluster| !cluster.committed.is_empty()),
        ]
    }
}

fn check(budget: Budget) {
    let checker = Checked(budget).checker().threads(2).spawn_bfs().join();
    println!("{budget:?}: {} states, {} different", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}

/// Two elections against each other, a write, a heartbeat.
#[test]
fn every_order_of_two_elections_and_a_write() {
    check(Budget { elections: 2, heartbeats: 0, writes: 1, crashes: 0 });
}

/// Two elections, with a crash at any point.
#[test]
fn every_order_of_two_elections_and_a_crash() {
    check(Budget { elections: 2, heartbeats: 0, writes: 0, crashes: 1 });
}

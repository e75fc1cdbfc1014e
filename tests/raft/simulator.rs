//! A cluster in one thread, driven by a seed: messages are lost, late, doubled and overtaken; links are cut; nodes crash
//! at any point between the effects of a step, and lose what was not persisted. After every step the paper's properties
//! (Figure 3) are checked; at the end, that the clients saw one copy of the data, and that all nodes agree once it is calm.

use std::collections::{BTreeMap, BTreeSet};

use terrarium::raft::chance::Chance;
use terrarium::raft::effects::Effects;
use terrarium::raft::kv::{Command, Query, Reply, Write};
use terrarium::raft::message::{ClientId, Entry, Message, Outgoing, RequestId};
use terrarium::raft::node::{Config, Node};
use terrarium::raft::replica::{Asked, Replica};
use terrarium::raft::{Index, Role, Term};

use super::disk::Disk;
use super::linearizable::{Call, Got, Op, check};

struct Flying {
    at: u64,
    from: String,
    to: String,
    message: Message,
}

/// A client: its node, its session, what it waits for.
struct Client {
    node: usize,
    session: ClientId,
    serial: u64,
    /// The key and the place in its history.
    waiting: Option<(usize, usize)>,
}

/// How rough it is, in percent, per step or message.
struct Weather {
    lost: u64,
    doubled: u64,
    crash: u64,
    cut: u64,
}

struct Cluster {
    chance: Chance,
    weather: Weather,
    now: u64,
    names: Vec<String>,
    nodes: Vec<Option<Replica>>,
    disks: Vec<Disk>,
    cut: BTreeSet<(usize, usize)>,
    flying: Vec<Flying>,
    clients: Vec<Client>,
    histories: Vec<Vec<Call>>,
    letters: std::ops::RangeFrom<u32>,
    snapshot_every: Index,
    // What must hold (Figure 3).
    leaders: BTreeMap<Term, String>,
    entries: BTreeMap<(Index, Term), (Entry, Term)>,
    committed: BTreeMap<Index, Entry>,
    seen_commit: Vec<Index>,
}

const KEYS: usize = 2;
const CALLS: usize = 60;

impl Cluster {
    fn new(size: usize, seed: u64, weather: Weather, snapshot_every: Index) -> Self {
        let names: Vec<String> = (1..=size).map(|i| format!("n{i}")).collect();
        let client = |i| Client { node: i % size, session: ClientId(0), serial: 0, waiting: None };
        let mut cluster = Self {
            chance: Chance::new(seed),
            weather,
            now: 0,
            nodes: names.iter().map(|_| None).collect(),
            disks: names.iter().map(|_| Disk::default()).collect(),
            cut: BTreeSet::new(),
            flying: Vec::new(),
            clients: (0..4).map(client).collect(),
            histories: vec![Vec::new(); KEYS],
            letters: 0x4E00..,
            snapshot_every,
            leaders: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: BTreeMap::new(),
            seen_commit: vec![0; size],
            names,
        };
        (0..size).for_each(|i| cluster.start(i));
        cluster
    }

    fn percent(&mut self, share: u64) -> bool {
        self.chance.between(1, 1000) <= share * 10
    }

    fn start(&mut self, i: usize) {
        let seed = self.chance.draw();
        let peers = self.names.iter().filter(|name| **name != self.names[i]).cloned().collect();
        let config = Config { name: self.names[i].clone(), peers, seed };
        let disk = &mut self.disks[i];
        disk.lives += 1;
        let node = Node::new(config, disk.hard_state.clone(), disk.snapshot.clone(), disk.log());
        let mut replica = Replica::new(node).expect("own snapshots can be read");
        replica.set_snapshots(self.snapshot_every, 4);
        self.seen_commit[i] = replica.node().commit_index();
        self.nodes[i] = Some(replica);
    }

    /// The process is gone, and with it its clients' sessions: what they waited for may have happened or not.
    fn crash(&mut self, i: usize) {
        self.nodes[i] = None;
        self.clients.iter_mut().filter(|client| client.node == i).for_each(|client| {
            (client.waiting, client.session) = (None, ClientId(0));
        });
    }

    /// Carries out the effects in their order, but for a crash that may come between any two of them.
    fn carry_out(&mut self, i: usize, effects: Effects) {
        let crash_at = if self.percent(self.weather.crash) { self.chance.between(0, 3) } else { u64::MAX };
        self.post(i, effects.replicate);
        if crash_at == 0 {
            return self.crash(i);
        }
        self.disks[i].write(effects.persist);
        self.check(i);
        if crash_at == 1 {
            return self.crash(i);
        }
        self.post(i, effects.send);
        if crash_at == 2 {
            return self.crash(i);
        }
        for (id, outcome) in effects.answer {
            if let Ok(reply) = outcome {
                self.returned(i, id, reply);
            } else {
                self.unknown(i, id);
            }
        }
        if crash_at == 3 {
            self.crash(i);
        }
    }

    fn post(&mut self, from: usize, messages: Vec<Outgoing>) {
        for Outgoing { to, message } in messages {
            let copies = 1 + u64::from(self.percent(self.weather.doubled));
            for _ in 0..copies {
                if !self.percent(self.weather.lost) {
                    let late = if self.percent(10) { self.chance.between(5, 60) } else { self.chance.between(0, 2) };
                    let from = self.names[from].clone();
                    self.flying.push(Flying { at: self.now + late, from, to: to.clone(), message: message.clone() });
                }
            }
        }
    }

    /// One tick of time: messages arrive in any order, clocks tick (not all of them at the same pace), clients call.
    fn turn(&mut self) {
        self.now += 1;
        let due: Vec<usize> = (0..self.flying.len()).filter(|&f| self.flying[f].at <= self.now).collect();
        let mut arriving: Vec<Flying> = due.into_iter().rev().map(|f| self.flying.swap_remove(f)).collect();
        while !arriving.is_empty() {
            let next = self.chance.between(0, arriving.len() as u64 - 1) as usize;
            self.arrive(arriving.swap_remove(next));
        }
        for i in 0..self.nodes.len() {
            if !self.percent(5)
                && let Some(replica) = &mut self.nodes[i]
            {
                let effects = replica.tick();
                self.carry_out(i, effects);
            }
        }
        (0..self.clients.len()).for_each(|client| self.call(client));
        self.misfortune();
    }

    fn arrive(&mut self, flying: Flying) {
        let place = |name: &str| self.names.iter().position(|n| n == name).expect("a node's name");
        let (from, to) = (place(&flying.from), place(&flying.to));
        if self.cut.contains(&(from, to)) {
            return;
        }
        if let Some(replica) = &mut self.nodes[to] {
            let effects = replica.step(&flying.from, flying.message);
            self.carry_out(to, effects);
        }
    }

    fn misfortune(&mut self) {
        for i in 0..self.nodes.len() {
            if self.nodes[i].is_none() && self.percent(3) {
                self.start(i);
            }
        }
        if self.percent(self.weather.cut) {
            self.cut.clear();
            if self.percent(70) {
                let side: Vec<bool> = self.names.iter().map(|_| self.chance.between(0, 1) == 1).collect();
                let both = self.percent(70);
                let apart = |a: usize, b: usize| if both { side[a] != side[b] } else { side[a] && !side[b] };
                let all = (0..side.len()).flat_map(|a| (0..side.len()).map(move |b| (a, b)));
                self.cut = all.filter(|&(a, b)| apart(a, b)).collect();
            }
        }
    }

    /// A client that waits for nothing may call.
    fn call(&mut self, c: usize) {
        let idle = self.clients[c].waiting.is_none() && self.nodes[self.clients[c].node].is_some();
        let key = self.chance.between(0, KEYS as u64 - 1) as usize;
        if !idle || self.histories[key].len() == CALLS || !self.percent(20) {
            return;
        }
        let op = if self.percent(50) { Op::Get } else { self.append() };
        let name = bytes::Bytes::from(format!("k{key}"));
        let command = match op {
            Op::Get => Command::Query(Query::Get(name)),
            Op::Append(letter) => Command::Write(Write::Append(name, letter.to_string().into())),
        };
        self.histories[key].push(Call { op, called: self.now * 2 + 1, returned: None });
        let id = self.next_request(c, (key, self.histories[key].len() - 1));
        let node = self.clients[c].node;
        if let Some(replica) = &mut self.nodes[node] {
            let effects = replica.ask(vec![Asked { id, settled: id.serial, command }]);
            self.carry_out(node, effects);
        }
    }

    fn append(&mut self) -> Op {
        let letter = self.letters.next().and_then(char::from_u32).expect("there are many letters");
        Op::Append(letter)
    }

    fn next_request(&mut self, c: usize, waiting: (usize, usize)) -> RequestId {
        let lives = self.disks[self.clients[c].node].lives;
        let client = &mut self.clients[c];
        if client.session == ClientId(0) {
            client.session = ClientId((client.node as u64) << 56 | lives << 32 | (c as u64 + 1));
            client.serial = 0;
        }
        client.serial += 1;
        client.waiting = Some(waiting);
        RequestId { client: client.session, serial: client.serial }
    }

    fn returned(&mut self, node: usize, id: RequestId, reply: Reply) {
        let Some((key, place)) = self.waiting_of(node, id) else { return };
        let got = match reply {
            Reply::Bulk(value) => Got::Value(value.map_or(String::new(), |v| String::from_utf8_lossy(&v).into_owned())),
            Reply::Integer(bytes) => Got::Length(bytes as usize / 3),
            other => panic!("GET and APPEND never reply {other:?}"),
        };
        self.histories[key][place].returned = Some((self.now * 2 + 2, got));
    }

    fn unknown(&mut self, node: usize, id: RequestId) {
        self.waiting_of(node, id);
    }

    fn waiting_of(&mut self, node: usize, id: RequestId) -> Option<(usize, usize)> {
        let waits = |c: &&mut Client| (c.node, c.session, c.serial) == (node, id.client, id.serial);
        self.clients.iter_mut().find(waits)?.waiting.take()
    }

    /// The properties of Figure 3, after node `i` changed.
    fn check(&mut self, i: usize) {
        let Some(replica) = &self.nodes[i] else { return };
        let node = replica.node();
        let name = &self.names[i];
        if node.role() == Role::Leader {
            let first = self.leaders.entry(node.term()).or_insert_with(|| {
                for (index, entry) in self.committed.range(node.log().first_index()..) {
                    let own = node.log().get(*index);
                    assert_eq!(own, Some(entry), "Leader Completeness: {name} leads without entry {index}");
                }
                name.clone()
            });
            assert_eq!(first, name, "Election Safety: two leaders in term {}", node.term());
        }
        for entry in node.log().iter() {
            let before = node.log().term_at(entry.index - 1).expect("the log has no gap");
            let known = self.entries.entry((entry.index, entry.term)).or_insert_with(|| (entry.clone(), before));
            assert_eq!((&known.0, known.1), (entry, before), "Log Matching: {name} at {}", entry.index);
        }
        let log = node.log();
        for entry in log.range(self.seen_commit[i].max(log.base().0) + 1, node.commit_index()) {
            let first = self.committed.entry(entry.index).or_insert_with(|| entry.clone());
            assert_eq!(first, entry, "State Machine Safety: {name} applies another entry at {}", entry.index);
        }
        self.seen_commit[i] = node.commit_index();
        assert_eq!(replica.machine().applied(), node.last_applied(), "what is committed is applied");
    }

    /// The storm is over: all nodes run, all links work. Within a few elections all must agree.
    fn calm_down(&mut self) {
        self.weather = Weather { lost: 0, doubled: 0, crash: 0, cut: 0 };
        self.cut.clear();
        for i in 0..self.nodes.len() {
            if self.nodes[i].is_none() {
                self.start(i);
            }
        }
        for _ in 0..600 {
            self.turn();
        }
    }

    fn check_agreement(&self) {
        let replicas: Vec<&Replica> = self.nodes.iter().flatten().collect();
        assert_eq!(
            replicas.iter().filter(|r| r.node().role() == Role::Leader).count(),
            1,
            "one leader when it is calm"
        );
        for replica in &replicas[1..] {
            assert_eq!(replica.node().log(), replicas[0].node().log(), "equal logs when it is calm");
            assert_eq!(replica.machine(), replicas[0].machine(), "equal state machines when it is calm");
        }
        for client in &self.clients {
            assert!(client.waiting.is_none(), "no client is left waiting");
        }
    }

    fn check_history(&self) {
        let machine = self.nodes[0].as_ref().expect("all run when it is calm").machine();
        for (key, history) in self.histories.iter().enumerate() {
            let last = match machine.query(&Query::Get(format!("k{key}").into())) {
                Reply::Bulk(value) => value.map_or(String::new(), |v| String::from_utf8_lossy(&v).into_owned()),
                other => panic!("GET never replies {other:?}"),
            };
            check(history, &last).unwrap_or_else(|why| panic!("k{key} is not linearizable: {why}"));
        }
    }
}

/// Runs one storm and checks everything. Gives how many calls were answered, and how many elections there were.
fn storm(size: usize, seed: u64, weather: Weather, snapshot_every: Index) -> (usize, usize) {
    let mut cluster = Cluster::new(size, seed, weather, snapshot_every);
    for _ in 0..1200 {
        cluster.turn();
    }
    cluster.calm_down();
    cluster.check_agreement();
    cluster.check_history();
    let answered = cluster.histories.iter().flatten().filter(|call| call.returned.is_some()).count();
    (answered, cluster.leaders.len())
}

fn storms(size: usize, seeds: std::ops::Range<u64>, weather: fn() -> Weather, snapshot_every: Index) {
    let (mut answered, mut elections) = (0, 0);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| storm(size, seed, weather(), snapshot_every));
        let (calls, leaders) = outcome.unwrap_or_else(|_| panic!("{size} nodes, seed {seed}: see above"));
        (answered, elections) = (answered + calls, elections + leaders);
    }
    assert!(answered > 0 && elections > 0, "something must have happened");
}

/// With nothing but late messages, clients are served and the log does its work.
#[test]
fn fair_weather() {
    storms(3, 0..6, || Weather { lost: 0, doubled: 0, crash: 0, cut: 0 }, 1000);
}

/// Messages are lost and doubled, and links are cut, some in one direction only.
#[test]
fn bad_links() {
    storms(3, 100..125, || Weather { lost: 8, doubled: 8, crash: 0, cut: 2 }, 1000);
    storms(5, 200..215, || Weather { lost: 8, doubled: 8, crash: 0, cut: 2 }, 1000);
}

/// On top of that nodes crash between any two effects and lose what was not persisted.
#[test]
fn bad_links_and_crashes() {
    storms(3, 300..330, || Weather { lost: 4, doubled: 4, crash: 1, cut: 1 }, 1000);
    storms(5, 400..420, || Weather { lost: 4, doubled: 4, crash: 1, cut: 1 }, 1000);
}

/// The same with snapshots every few entries, so that whoever comes back late gets one.
#[test]
fn bad_links_crashes_and_snapshots() {
    storms(3, 500..530, || Weather { lost: 4, doubled: 4, crash: 1, cut: 1 }, 8);
    storms(5, 600..620, || Weather { lost: 4, doubled: 4, crash: 1, cut: 1 }, 8);
}

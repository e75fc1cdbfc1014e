//! The simulator: real clients and real bricks in one process, and a seed that decides what happens when.
//!
//! Clients run the code of the mount and the healer over a [`Wire`] of the simulator; bricks serve real directories. Exactly one thread
//! runs at a time: a client that sends something sleeps until the scheduler has delivered its messages one by one and
//! picks it to go on. Between any two steps a brick may crash, a connection may break (before or after the brick did what was
//! asked) and a client may die. At the end everything is up again and healed, and what must hold is checked.

mod story;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::set::Set;
use super::wire::{Answer, Call, Wire};
use crate::volume::brick::store::{Settings, Store};
use crate::volume::brick::{Brick, Outbox};
use crate::volume::gfid::Gfid;
use crate::volume::replicate::{Kids, Quorum, Shape};
use crate::volume::rpc::{Fop, Hello, Lock, Request, ToClient};
use crate::volume::xattr::Time;

/// A source of chance: xorshift64*.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }
}

type Mail = Arc<Mutex<Vec<(usize, usize, u64, ToClient, Bytes)>>>;

struct Post {
    client: usize,
    kid: usize,
    epoch: u64,
    mail: Mail,
}

impl Outbox for Post {
    fn send(&self, message: &ToClient, payload: &[u8]) {
        let letter = (self.client, self.kid, self.epoch, message.clone(), Bytes::copy_from_slice(payload));
        guard(&self.mail).push(letter);
    }
}

#[derive(Default)]
struct Link {
    /// 0: down.
    epoch: u64,
    session: u64,
    queue: VecDeque<(u64, Vec<Fop>, Bytes)>,
    /// Sent and executed or waiting for a lock; not answered.
    open: Vec<u64>,
}

#[derive(Default)]
struct Client {
    links: Vec<Link>,
    answers: HashMap<u64, Answer>,
    /// The calls that the client sleeps for.
    sleeps_for: Option<Vec<u64>>,
    may_go: bool,
    done: bool,
    dead: bool,
    generation: u64,
}

struct State {
    dirs: Vec<PathBuf>,
    bricks: Vec<Option<Arc<Brick>>>,
    clients: Vec<Client>,
    epochs: u64,
    calls: u64,
}

/// The world.
pub struct Sim {
    state: Mutex<State>,
    changed: Condvar,
    mail: Mail,
    clock: AtomicU64,
    arbiter: bool,
}

/// One client's wire to the bricks.
struct SimWire {
    sim: Arc<Sim>,
    client: usize,
}

impl Sim {
    /// Bricks in fresh directories below `root`, all up, and so many clients, all connected.
    pub fn new(root: &std::path::Path, bricks: usize, clients: usize, arbiter: bool) -> Arc<Self> {
        let dirs: Vec<PathBuf> = (0..bricks).map(|i| root.join(format!("b{i}"))).collect();
        dirs.iter().for_each(|d| std::fs::create_dir_all(d).unwrap());
        let link = || Client { links: (0..bricks).map(|_| Link::default()).collect(), ..Client::default() };
        let state = State {
            bricks: vec![None; bricks],
            clients: (0..clients).map(|_| link()).collect(),
            dirs,
            epochs: 0,
            calls: 0,
        };
        let sim = Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            mail: Mail::default(),
            clock: AtomicU64::new(1),
            arbiter,
        });
        (0..bricks).for_each(|i| sim.start_brick(i));
        sim
    }

    pub fn shape(&self) -> Shape {
        let n = self.state().bricks.len();
        let slots = (0..n).map(|i| format!("gv0-client-{i}")).collect();
        let arbiters = if self.arbiter { Kids::one(n - 1) } else { Kids::NONE };
        Shape { slots, arbiters, quorum: Quorum::Auto }
    }

    pub fn set(self: &Arc<Self>, client: usize) -> Set {
        Set::new(self.shape(), Arc::new(SimWire { sim: self.clone(), client }), None)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        guard(&self.state)
    }

    /// A number that grows with everything that happens.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Relaxed)
    }

    pub fn dir(&self, brick: usize) -> PathBuf {
        self.state().dirs[brick].clone()
    }

    pub fn start_brick(&self, i: usize) {
        let mut state = self.state();
        if state.bricks[i].is_some() {
            return;
        }
        let arbiter = self.arbiter && i + 1 == state.bricks.len();
        let settings = Settings { path: state.dirs[i].clone(), volume_id: Gfid([7; 16]), arbiter };
        state.bricks[i] = Some(Arc::new(Brick::new(Store::open(&settings).unwrap())));
        drop(state);
        let clients = self.state().clients.len();
        (0..clients).for_each(|client| self.connect(client, i));
    }

    pub fn connect(&self, client: usize, kid: usize) {
        let mut state = self.state();
        let Some(brick) = state.bricks[kid].clone() else { return };
        if state.clients[client].dead || state.clients[client].links[kid].epoch > 0 {
            return;
        }
        state.epochs += 1;
        let epoch = state.epochs;
        let session = brick.connect(Arc::new(Post { client, kid, epoch, mail: self.mail.clone() }));
        let hello = Hello { client: Gfid::random(), process: "fuse".into(), brick: String::new() };
        brick.handle(session, Request { id: 0, fops: vec![Fop::Hello(hello)] }, Bytes::new());
        let who = &mut state.clients[client];
        who.links[kid] = Link { epoch, session, ..Link::default() };
        who.generation += 1;
    }

    /// Breaks a connection: what is under way is lost.
    pub fn disconnect(&self, client: usize, kid: usize) {
        let mut state = self.state();
        let link = std::mem::take(&mut state.clients[client].links[kid]);
        if link.epoch == 0 {
            return;
        }
        let who = &mut state.clients[client];
        who.generation += 1;
        let lost = link.queue.iter().map(|(id, ..)| *id).chain(link.open.iter().copied());
        lost.for_each(|id| drop(who.answers.insert(id, Answer::lost())));
        if let Some(brick) = state.bricks[kid].clone() {
            brick.disconnect(link.session);
        }
        self.changed.notify_all();
    }

    pub fn kill_brick(&self, kid: usize) {
        self.state().bricks[kid] = None;
        let clients = self.state().clients.len();
        (0..clients).for_each(|client| self.disconnect(client, kid));
    }

    /// A client dies: whatever it does from now on reaches nobody.
    pub fn kill_client(&self, client: usize) {
        self.state().clients[client].dead = true;
        let kids = self.state().bricks.len();
        (0..kids).for_each(|kid| self.disconnect(client, kid));
    }

    pub fn is_dead(&self, client: usize) -> bool {
        self.state().clients[client].dead
    }

    /// The client has nothing more to do.
    pub fn finish(&self, client: usize) {
        self.state().clients[client].done = true;
        self.changed.notify_all();
    }

    /// Lets a brick do the next thing that a client asked of it.
    fn deliver(&self, client: usize, kid: usize) {
        let mut state = self.state();
        let link = &mut state.clients[client].links[kid];
        let Some((id, fops, payload)) = link.queue.pop_front() else { return };
        link.open.push(id);
        let session = link.session;
        let brick = state.bricks[kid].clone();
        drop(state);
        if let Some(brick) = brick {
            brick.handle(session, Request { id, fops }, payload);
            brick.rest();
        }
    }

    /// Hands out what bricks said.
    fn hand_out(&self, sets: &[Arc<Set>]) {
        let letters = std::mem::take(&mut *guard(&self.mail));
        for (client, kid, epoch, message, data) in letters {
            let mut state = self.state();
            let link = &mut state.clients[client].links[kid];
            if link.epoch != epoch {
                continue;
            }
            match message {
                ToClient::Answer { id, results } => {
                    link.open.retain(|open| *open != id);
                    state.clients[client].answers.insert(id, Answer { results, data });
                }
                ToClient::Contention { lock } => {
                    drop(state);
                    self.contend(sets, client, &lock);
                }
                ToClient::Invalidate { gfid, heard, .. } | ToClient::Gone { gfid, heard } => {
                    // It says that it heard before anything else.
                    link.queue.push_front((0, vec![Fop::Heard { number: heard }], Bytes::new()));
                    drop(state);
                    if let Some(set) = sets.get(client) {
                        set.forget(gfid);
                    }
                }
                ToClient::Freed { .. } | ToClient::Blaming(_) => {}
            }
        }
        self.changed.notify_all();
    }

    fn contend(&self, sets: &[Arc<Set>], client: usize, lock: &Lock) {
        if let Some(set) = sets.get(client).filter(|_| !self.is_dead(client)) {
            set.wanted(lock);
        }
    }

    /// Runs until every client is done. `chaos` is asked between any two steps and may break things.
    pub fn run(&self, sets: &[Arc<Set>], chance: &mut Chance, chaos: &mut dyn FnMut(&Self, &mut Chance)) {
        loop {
            let state = self.state();
            let asleep = |c: &Client| c.done || (c.sleeps_for.is_some() && !c.may_go);
            let waited = self.changed.wait_while(state, |s| !s.clients.iter().all(asleep));
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            if state.clients.iter().all(|c| c.done) {
                return;
            }
            let ready = |c: &Client| {
                !c.done && c.sleeps_for.as_ref().is_some_and(|ids| ids.iter().all(|id| c.answers.contains_key(id)))
            };
            let go: Vec<usize> = (0..state.clients.len()).filter(|i| ready(&state.clients[*i])).collect();
            let mail: Vec<(usize, usize)> = (0..state.clients.len())
                .flat_map(|c| (0..state.bricks.len()).map(move |k| (c, k)))
                .filter(|(c, k)| !state.clients[*c].links[*k].queue.is_empty())
                .collect();
            if go.is_empty() && mail.is_empty() {
                panic!("everybody waits for somebody: {:?}", state.stuck());
            }
            let pick = chance.below(go.len() + mail.len());
            if let Some(client) = go.get(pick) {
                state.clients[*client].may_go = true;
                drop(state);
                self.changed.notify_all();
            } else {
                let (client, kid) = mail[pick - go.len()];
                drop(state);
                self.deliver(client, kid);
            }
            // Nobody runs but who was let go; what follows happens while it is asleep again or not at all.
            if go.get(pick).is_none() {
                self.hand_out(sets);
                chaos(self, chance);
                self.hand_out(sets);
            }
        }
    }
}

impl State {
    fn stuck(&self) -> Vec<(usize, Vec<(u64, usize)>)> {
        let links = |c: &Client| c.links.iter().map(|l| (l.epoch, l.open.len())).collect();
        self.clients.iter().enumerate().map(|(i, c)| (i, links(c))).collect()
    }
}

impl Wire for SimWire {
    fn epochs(&self) -> Vec<u64> {
        self.sim.state().clients[self.client].links.iter().map(|l| l.epoch).collect()
    }

    fn generation(&self) -> u64 {
        self.sim.state().clients[self.client].generation
    }

    fn exchange(&self, calls: Vec<Call>, payload: &Bytes) -> Vec<Answer> {
        if calls.is_empty() {
            return vec![];
        }
        let ids = self.enqueue(calls, payload);
        let mut state = self.sim.state();
        state.clients[self.client].sleeps_for = Some(ids.clone());
        self.sim.changed.notify_all();
        let waited = self.sim.changed.wait_while(state, |s| !s.clients[self.client].may_go);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let own = &mut state.clients[self.client];
        (own.may_go, own.sleeps_for) = (false, None);
        ids.iter().map(|id| own.answers.remove(id).unwrap_or_else(Answer::lost)).collect()
    }

    fn post(&self, calls: Vec<Call>) {
        let ids = self.enqueue(calls, &Bytes::new());
        let mut state = self.sim.state();
        // Nobody waits for these.
        ids.iter().for_each(|id| drop(state.clients[self.client].answers.remove(id)));
    }

    fn is_blaming(&self) -> bool {
        true
    }

    fn now(&self) -> Time {
        Time { sec: i64::try_from(self.sim.tick()).unwrap(), nsec: 0 }
    }
}

impl SimWire {
    fn enqueue(&self, calls: Vec<Call>, payload: &Bytes) -> Vec<u64> {
        let mut state = self.sim.state();
        let mut ids = Vec::new();
        for call in calls {
            state.calls += 1;
            let id = state.calls;
            let own = &mut state.clients[self.client];
            let link = &mut own.links[call.kid];
            if link.epoch > 0 && (call.epoch == 0 || call.epoch == link.epoch) {
                link.queue.push_back((id, call.fops, payload.clone()));
            } else {
                own.answers.insert(id, Answer::lost());
            }
            ids.push(id);
        }
        ids
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The self-heal daemon: one a server; looks after the bricks of its own server.
//!
//! It goes through the indices of its bricks when a brick comes back, when it is told to, and every `cluster.heal-timeout`
//! seconds; as long as a round heals something, or met another healer, another one follows a second later. `full` walks everything that its bricks have.
//! Between heals it scrubs them ([`super::scrub`]), when that is wanted.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::copies;
use super::heal::{self, Healed};
use super::manager::{self, Push, Source};
use super::role;
use super::scrubber::Scrubber;
use super::session::{Notice, Session};
use super::set::Set;
use crate::volume::definition::Volume;
use crate::volume::gfid::Gfid;
use crate::volume::handshake::SHD_VOLUME_ID;
use crate::volume::heal::Choice;
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Fop, Reply};
use crate::volume::{Happening, options};
use crate::world::What;

/// How often it is looked whether what a scrub found was healed.
const LOOK: Duration = Duration::from_millis(500);
/// How many inodes are healed at once.
const WORKERS: usize = 16;

/// What sends the healer through a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Index,
    Full,
    Scrub,
    Look,
    End,
}

struct Healer {
    session: Arc<Session>,
    orders: Sender<Order>,
}

/// Runs the daemon until it is killed.
///
/// # Errors
/// If it cannot get its volumes at first.
pub fn run(source: &Source, machine: &str) -> io::Result<()> {
    let (volumes, line) = role::obtain(source, machine, SHD_VOLUME_ID, "glustershd")?;
    let mut healers: HashMap<String, Healer> = HashMap::new();
    let take = |volumes: Vec<Volume>, healers: &mut HashMap<String, Healer>| {
        if let Err(error) = adopt(volumes, healers, source, machine) {
            eprintln!("glustershd: {error}");
        }
    };
    take(volumes, &mut healers);
    let Source::Managers(servers) = source else {
        loop {
            std::thread::park();
        }
    };
    manager::follow(servers, machine, (SHD_VOLUME_ID, "glustershd"), line, &mut |push| match push {
        Push::Spec(spec) => take(spec.volumes, &mut healers),
        Push::Heal(order) => {
            if let Some(healer) = healers.get(&order.volume) {
                let what = match (order.scrub, order.full) {
                    (true, _) => Order::Scrub,
                    (_, true) => Order::Full,
                    _ => Order::Index,
                };
                let _ = healer.orders.send(what);
            }
        }
    })
}

/// These are the volumes from now on.
fn adopt(
    volumes: Vec<Volume>,
    healers: &mut HashMap<String, Healer>,
    source: &Source,
    machine: &str,
) -> io::Result<()> {
    let names: HashSet<&str> = volumes.iter().map(|v| v.name.as_str()).collect();
    healers.retain(|name, healer| {
        let stays = names.contains(name.as_str());
        if !stays {
            let _ = healer.orders.send(Order::End);
            healer.session.end();
        }
        stays
    });
    for volume in volumes {
        match healers.get(&volume.name) {
            Some(healer) => healer.session.take(volume)?,
            None => {
                let healer = healer(volume.clone(), source, machine)?;
                healers.insert(volume.name, healer);
            }
        }
    }
    Ok(())
}

fn healer(volume: Volume, source: &Source, machine: &str) -> io::Result<Healer> {
    let (orders, waiting) = channel();
    let told = orders.clone();
    let name = format!("{machine}/glustershd");
    let who = ("glustershd", "glustershd", name.as_str());
    let session = role::start(volume, source, machine, who, move |notice| {
        if let Notice::Brick { up: true, .. } = notice {
            let _ = told.send(Order::Index);
        }
    })?;
    let (own, machine) = (session.clone(), machine.to_string());
    std::thread::Builder::new().name("healer".into()).spawn(move || rounds(&own, &machine, &waiting))?;
    Ok(Healer { session, orders })
}

/// Goes through the volume whenever there is reason to.
fn rounds(session: &Session, machine: &str, waiting: &Receiver<Order>) {
    let mut again = false;
    let (mut scrubber, begun) = (Scrubber::new(machine), Instant::now());
    loop {
        let volume = session.files.graph().volume.clone();
        let timeout = options::value(&volume, "cluster.heal-timeout").trim().parse().unwrap_or(600);
        let pause = Duration::from_secs(if again { 1 } else { u64::max(timeout, 1) });
        let due = scrubber.due(&volume, begun);
        let wait = if scrubber.has_bad() { pause.min(LOOK) } else { pause };
        let first = match waiting.recv_timeout(due.map_or(wait, |due| due.min(wait))) {
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) if due.is_some_and(|due| due < wait) => Order::Scrub,
            Err(RecvTimeoutError::Timeout) if wait < pause => Order::Look,
            Err(RecvTimeoutError::Timeout) => Order::Index,
        };
        let orders: Vec<Order> = std::iter::once(first).chain(waiting.try_iter()).collect();
        if orders.contains(&Order::End) {
            return;
        }
        if orders.contains(&Order::Scrub) {
            scrubber.scrub(session);
        }
        if orders.contains(&Order::Look) {
            scrubber.healed(session);
        }
        let heals = orders.iter().any(|order| matches!(order, Order::Index | Order::Full));
        if !heals || !options::is_on(&volume, "cluster.self-heal-daemon") {
            continue;
        }
        let Round { healed, left, busy } = round(session, machine, orders.contains(&Order::Full));
        again = healed + busy > 0;
        if healed + left > 0 {
            let volume = volume.name.clone();
            session.report(What::Volume(Happening::Crawled { volume, healed, left }));
        }
    }
}

/// What a walk did, in inodes.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    /// Healed.
    healed: u64,
    /// Not healed.
    left: u64,
    /// Of these, those that somebody else was healing.
    busy: u64,
}

/// One walk.
fn round(session: &Session, machine: &str, full: bool) -> Round {
    let graph = session.files.graph();
    let replica = graph.volume.replica.max(1);
    let mut total = Round::default();
    for (n, set) in graph.sets.iter().enumerate() {
        let hosts = graph.volume.bricks.iter().skip(n * replica).take(replica).map(|b| b.host.as_str());
        let own: Kids = hosts.enumerate().filter(|(_, host)| *host == machine).map(|(i, _)| i).collect();
        let gfids = listed(set, own & set.wire.up(), full);
        if gfids.is_empty() {
            continue;
        }
        let majority = options::is_on(&graph.volume, "terrarium.heal-majority");
        if set.wire.up() != set.shape.all() && !majority {
            total.left += gfids.len() as u64;
            continue;
        }
        let policy = Choice::policy(options::value(&graph.volume, "cluster.favorite-child-policy"));
        let part = heal_all(session, set, gfids, (policy, majority));
        total.healed += part.healed;
        total.left += part.left;
        total.busy += part.busy;
    }
    total
}

/// What waits on these bricks: their indices, or everything they have.
fn listed(set: &Set, own: Kids, full: bool) -> Vec<Gfid> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    let fops: Vec<Fop> = [false, true].map(|dirty| Fop::Index { dirty }).into();
    for kid in own.iter() {
        for fop in &fops {
            if let Ok(Reply::Gfids(gfids)) = set.wire.ask(Kids::one(kid), std::slice::from_ref(fop))[0].1.last() {
                all.extend(gfids.iter().copied().filter(|g| seen.insert(*g)));
            }
        }
        let mut after = None;
        if !full {
            continue;
        }
        loop {
            let answer = set.wire.ask(Kids::one(kid), &[Fop::Crawl { after }]);
            let Ok(Reply::Gfids(gfids)) = answer[0].1.last() else { break };
            let Some(last) = gfids.last() else { break };
            after = Some(*last);
            all.extend(gfids.iter().copied().filter(|g| seen.insert(*g)));
        }
    }
    all
}

#[derive(Default)]
struct Queue {
    todo: Vec<Gfid>,
    working: usize,
    sum: Round,
}

/// Heals these and what comes into being by that, several at once.
fn heal_all(session: &Session, set: &Arc<Set>, mut todo: Vec<Gfid>, how: (Option<Choice>, bool)) -> Round {
    todo.reverse();
    let shared = (Mutex::new(Queue { todo, ..Queue::default() }), Condvar::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| work(session, set, &shared, how));
        }
    });
    shared.0.into_inner().unwrap_or_else(PoisonError::into_inner).sum
}

fn work(session: &Session, set: &Set, (queue, changed): &(Mutex<Queue>, Condvar), how: (Option<Choice>, bool)) {
    let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let waiting = changed.wait_while(lock(), |q| q.todo.is_empty() && q.working > 0);
        let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
        let Some(gfid) = state.todo.pop() else { return };
        state.working += 1;
        drop(state);
        let outcome = heal::single(set, gfid, how.0, how.1);
        if let Ok(healed) = &outcome {
            tell(session, set, gfid, healed);
        }
        let mut state = lock();
        state.working -= 1;
        match outcome {
            Ok(healed) => {
                state.sum.healed += u64::from(!healed.done.is_empty());
                state.sum.left += u64::from(!healed.split.is_empty());
                state.todo.extend(healed.newborn.into_iter().rev());
            }
            Err(libc::ENOENT) => {}
            Err(errno) => {
                state.sum.left += 1;
                state.sum.busy += u64::from(errno == libc::EAGAIN);
            }
        }
        changed.notify_all();
    }
}

/// Reports what was healed.
fn tell(session: &Session, set: &Set, gfid: Gfid, healed: &Healed) {
    if (healed.done.is_empty() && healed.split.is_empty()) || !session.is_watched() {
        return;
    }
    let graph = session.files.graph();
    let path = path_of(set, gfid).unwrap_or_else(|| format!("<gfid:{gfid}>"));
    let brick = |kid: usize| {
        let slot = &set.shape.slots[kid];
        graph.volume.bricks.iter().find(|b| graph.volume.client_name(b) == *slot).map(|b| b.name()).unwrap_or_default()
    };
    for (kind, from, to) in &healed.done {
        session.report(What::Volume(Happening::Healed {
            volume: graph.volume.name.clone(),
            path: path.clone(),
            kind: *kind,
            from: brick(*from),
            to: to.iter().map(brick).collect(),
            bytes: if *kind == crate::volume::xattr::Kind::Data { healed.bytes } else { 0 },
        }));
    }
    if let Some(happening) = copies::place(&graph, set).and_then(|at| copies::copies(&graph, at, gfid, path.clone())) {
        session.report(What::Volume(happening));
    }
    for kind in &healed.split {
        let (volume, path) = (graph.volume.name.clone(), path.clone());
        session.report(What::Volume(Happening::SplitBrain { volume, path, kind: *kind }));
    }
}

/// A path of an inode, from whichever brick knows one.
pub(super) fn path_of(set: &Set, gfid: Gfid) -> Option<String> {
    let answers = set.wire.ask(set.wire.up(), &[Fop::Path { gfid }]);
    answers.iter().find_map(|(_, answer)| match answer.last() {
        Ok(Reply::Bytes(path)) => Some(String::from_utf8_lossy(path).into_owned()),
        _ => None,
    })
}

//! What clients do in the simulator, and what must hold whatever happens to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{Chance, Sim};
use crate::volume::client::heal;
use crate::volume::client::set::{Set, lease};
use crate::volume::gfid::Gfid;
use crate::volume::heal::Choice;
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Fop, Node, Reply};

/// One write of a whole file, or one read: when it began and ended, whether it was acknowledged, and the value.
#[derive(Debug, Clone, Copy)]
struct Op {
    began: u64,
    ended: u64,
    acknowledged: bool,
    value: u64,
}

#[derive(Default)]
struct Record {
    writes: BTreeMap<Gfid, Vec<Op>>,
    reads: BTreeMap<Gfid, Vec<Op>>,
    /// Name → made or removed: when, whether it was acknowledged.
    names: BTreeMap<Bytes, Vec<(Op, bool)>>,
}

fn file(n: usize) -> Gfid {
    let mut raw = [0xf0; 16];
    raw[0] = n as u8;
    raw[15] = n as u8;
    Gfid(raw)
}

fn node(gfid: Gfid) -> Node {
    Node {
        gfid,
        mode: libc::S_IFREG | 0o644,
        uid: 0,
        gid: 0,
        rdev: 0,
        target: Bytes::new(),
        time: crate::volume::xattr::Time { sec: 1, nsec: 0 },
        xattrs: vec![],
        umask: None,
    }
}

fn make(set: &Set, name: &Bytes, gfid: Gfid) -> Result<(), i32> {
    let fop = Fop::Make { parent: Gfid::ROOT, name: name.clone(), node: Box::new(node(gfid)) };
    set.change_names(Gfid::ROOT, name, &fop).map(drop)
}

fn unlink(set: &Set, name: &Bytes) -> Result<(), i32> {
    let fop = Fop::Unlink { parent: Gfid::ROOT, name: name.clone(), keep: false, time: set.wire.now() };
    set.change_names(Gfid::ROOT, name, &fop).map(drop)
}

fn read(set: &Set, gfid: Gfid) -> Result<u64, i32> {
    let data = set.read(gfid, 0, 8, None)?;
    Ok(data[..].try_into().map_or(0, u64::from_be_bytes))
}

/// Two files that are written and read, and names that come and go.
fn work(sim: &Sim, set: &Set, client: usize, mut chance: Chance, record: &Mutex<Record>) {
    for n in 0..25_u64 {
        if sim.is_dead(client) {
            break;
        }
        let began = sim.tick();
        let gfid = file(chance.below(2));
        let note = |acknowledged, value| Op { began, ended: sim.tick(), acknowledged, value };
        match chance.below(10) {
            0..=3 => {
                let value = 1 + n + 1000 * (client as u64 + 1);
                let data = Bytes::copy_from_slice(&value.to_be_bytes());
                let fop = Fop::Write { gfid, offset: 0, time: Some(set.wire.now()) };
                // Noted before it is tried: it may reach the bricks although this client dies.
                let pending = Op { began, ended: u64::MAX, acknowledged: false, value };
                super::guard(record).writes.entry(gfid).or_default().push(pending);
                let done = set.change_data(gfid, lease::ALL, fop, &data).is_ok() && set.sync(gfid, false).is_ok();
                let alive = done && !sim.is_dead(client);
                if alive
                    && let Some(op) =
                        super::guard(record).writes.get_mut(&gfid).and_then(|w| w.iter_mut().find(|o| o.value == value))
                {
                    *op = note(true, value);
                }
            }
            4..=6 => {
                if let Ok(value) = read(set, gfid) {
                    super::guard(record).reads.entry(gfid).or_default().push(note(true, value));
                }
            }
            7 | 8 => {
                let name = Bytes::from(format!("n{client}-{}", chance.below(3)));
                let makes = chance.below(2) == 0;
                let at = super::guard(record).names.entry(name.clone()).or_default().len();
                let pending = Op { began, ended: u64::MAX, acknowledged: false, value: 0 };
                super::guard(record).names.entry(name.clone()).or_default().push((pending, makes));
                let outcome = if makes { make(set, &name, Gfid::random()) } else { unlink(set, &name) };
                let sure =
                    matches!((makes, outcome), (_, Ok(())) | (true, Err(libc::EEXIST)) | (false, Err(libc::ENOENT)));
                if sure && !sim.is_dead(client) {
                    super::guard(record).names.entry(name).or_default()[at].0 = note(true, 0);
                }
            }
            _ => set.tidy(None),
        }
    }
    set.tidy(None);
    sim.finish(client);
}

/// Heals whatever it finds, again and again, beside the others.
fn healer(sim: &Sim, set: &Set, client: usize) {
    for _ in 0..6 {
        heal_round(set);
    }
    set.tidy(None);
    sim.finish(client);
}

fn heal_round(set: &Set) -> usize {
    let mut found = std::collections::BTreeSet::new();
    for dirty in [false, true] {
        for (_, answer) in set.wire.ask(set.wire.up(), &[Fop::Index { dirty }]) {
            if let Ok(Reply::Gfids(gfids)) = answer.last() {
                found.extend(gfids.iter().copied());
            }
        }
    }
    for gfid in &found {
        let _ = heal::inode(set, *gfid, None, false);
    }
    found.len()
}

/// Connections that break again and again while copies are being accused can leave copies that all accuse each other, as in
/// GlusterFS. Then `favorite-child-policy mtime` decides, and what must hold must hold still.
fn settle_split_brains(seed: u64, set: &Set) {
    for n in 0..2 {
        let newest = heal::inode(set, file(n), Some(Choice::Newest), false);
        if newest.is_ok_and(|h| !h.split.is_empty()) {
            let _ = heal::inode(set, file(n), Some(Choice::Source(0)), false);
        }
    }
    let rounds = (0..20).take_while(|_| heal_round(set) > 0).count();
    assert!(rounds < 20, "seed {seed}: something is not healed although it is not in split-brain");
}

/// Breaks things now and then; never more than one brick at a time stays away for long.
fn chaos(sim: &Sim, chance: &mut Chance) {
    let (clients, bricks) = (3, 3);
    match chance.below(150) {
        0 => sim.kill_brick(chance.below(bricks)),
        1..=4 => sim.start_brick(chance.below(bricks)),
        5 => sim.disconnect(chance.below(clients), chance.below(bricks)),
        6..=12 => sim.connect(chance.below(clients), chance.below(bricks)),
        13 if chance.below(6) == 0 => sim.kill_client(chance.below(2)),
        _ => {}
    }
}

/// Runs one story and checks what must hold.
fn story(seed: u64, arbiter: bool) {
    let root = tempfile::tempdir().unwrap();
    // Clients 0 and 1 work, 2 heals, 3 prepares and checks.
    let sim = Sim::new(root.path(), 3, 4, arbiter);
    let sets: Vec<Arc<Set>> = (0..4).map(|i| Arc::new(sim.set(i))).collect();
    let record = Mutex::new(Record::default());
    let mut chance = Chance::new(seed);
    alone(&sim, &sets, 3, &mut |set| {
        (0..2).for_each(|n| make(set, &Bytes::from(format!("f{n}")), file(n)).unwrap());
    });
    std::thread::scope(|scope| {
        for (client, set) in sets.iter().enumerate().take(2) {
            let (sim, record) = (&sim, &record);
            let own = Chance::new(seed * 7 + client as u64);
            scope.spawn(move || work(sim, set, client, own, record));
        }
        scope.spawn(|| healer(&sim, &sets[2], 2));
        sim.run(&sets, &mut chance, &mut chaos);
    });
    (0..3).for_each(|brick| sim.start_brick(brick));
    (0..3).for_each(|brick| sim.connect(3, brick));
    let record = record.into_inner().unwrap();
    (0..3).for_each(|client| sim.kill_client(client));
    alone(&sim, &sets, 3, &mut |set| {
        let rounds = (0..20).take_while(|_| heal_round(set) > 0).count();
        if rounds == 20 {
            settle_split_brains(seed, set);
        }
        // A client that looks at a name makes it where it is missing.
        record.names.keys().for_each(|name| drop(set.lookup(Gfid::ROOT, name)));
        (0..20).take_while(|_| heal_round(set) > 0).count();
        check(seed, &sim, set, &record);
    });
}

/// One client alone, with nothing breaking.
fn alone(sim: &Arc<Sim>, sets: &[Arc<Set>], client: usize, act: &mut (dyn FnMut(&Set) + Send)) {
    for other in (0..sets.len()).filter(|i| *i != client) {
        super::guard(&sim.state).clients[other].done = true;
    }
    super::guard(&sim.state).clients[client].done = false;
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            // The scheduler must end whatever happens here.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                act(&sets[client]);
                sets[client].tidy(None);
            }));
            sim.finish(client);
            outcome
        });
        sim.run(sets, &mut Chance::new(1), &mut |_, _| {});
        if let Ok(Err(panic)) = running.join() {
            std::panic::resume_unwind(panic);
        }
    });
    for other in (0..sets.len()).filter(|i| *i != client) {
        super::guard(&sim.state).clients[other].done = false;
    }
    super::guard(&sim.state).clients[client].done = true;
}

fn check(seed: u64, sim: &Sim, set: &Set, record: &Record) {
    for n in 0..2 {
        let gfid = file(n);
        let copies: Vec<Vec<u8>> =
            (0..3).map(|b| std::fs::read(sim.dir(b).join(format!("f{n}"))).unwrap_or_default()).collect();
        let holders = set.shape.all() - set.shape.arbiters;
        for b in holders.iter() {
            assert_eq!(copies[0], copies[b], "seed {seed}: copies of f{n} differ after healing");
        }
        let value = read(set, gfid).unwrap_or_else(|e| panic!("seed {seed}: f{n} cannot be read: errno {e}"));
        let writes = record.writes.get(&gfid).cloned().unwrap_or_default();
        let end = Op { began: u64::MAX - 1, ended: u64::MAX, acknowledged: true, value };
        let reads = record.reads.get(&gfid).cloned().unwrap_or_default();
        for seen in reads.into_iter().chain([end]) {
            not_stale(seed, n, &seen, &writes);
        }
    }
    names(seed, sim, set, record);
}

/// Nobody sees a value that an acknowledged write had replaced before.
fn not_stale(seed: u64, n: usize, seen: &Op, writes: &[Op]) {
    let written = writes.iter().find(|w| w.value == seen.value);
    assert!(written.is_some() || seen.value == 0, "seed {seed}: f{n} shows {}, which nobody wrote", seen.value);
    let ended = written.map_or(0, |w| w.ended);
    let newer = writes.iter().find(|w| w.acknowledged && w.began > ended && w.ended < seen.began);
    assert!(
        newer.is_none(),
        "seed {seed}: f{n} shows {} at {}, but {newer:?} was acknowledged",
        seen.value,
        seen.began
    );
}

/// Copies have the same names, and the last acknowledged change of a name holds unless a later one was tried.
fn names(seed: u64, sim: &Sim, set: &Set, record: &Record) {
    let listing = |b: usize| -> Vec<String> {
        let all = std::fs::read_dir(sim.dir(b)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut all: Vec<String> = all.filter(|n| !n.starts_with(".glusterfs")).collect();
        all.sort();
        all
    };
    for b in 1..3 {
        assert_eq!(listing(0), listing(b), "seed {seed}: bricks 0 and {b} have different names after healing");
    }
    for (name, changes) in &record.names {
        let Some((last, makes)) = changes.last().filter(|(op, _)| op.acknowledged) else { continue };
        let is_there = set.lookup(Gfid::ROOT, name).is_ok();
        assert_eq!(is_there, *makes, "seed {seed}: {name:?} after {last:?}");
    }
    let left = heal_round(set);
    assert_eq!((left, set.wire.up()), (0, Kids::first(3)), "seed {seed}: nothing is left to heal");
}

/// The seeds to try: so many from one on, or the one in `$SEED`.
fn seeds(first: u64, many: u64) -> std::ops::Range<u64> {
    let one = std::env::var("SEED").ok().and_then(|s| s.parse().ok());
    one.map_or(first..first + many, |seed| seed..seed + 1)
}

/// Whatever crashes: an acknowledged write is never lost, no stale copy is read, and healing makes all copies equal.
#[test]
fn replica_three_keeps_its_promises() {
    seeds(1, 60).for_each(|seed| story(seed, false));
}

/// The same with two copies and an arbiter.
#[test]
fn an_arbiter_keeps_them_too() {
    seeds(100, 30).for_each(|seed| story(seed, true));
}

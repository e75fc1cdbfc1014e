//! Locks that are kept as long as nobody else wants them.
//!
//! To lock every copy before each change and unlock it after costs two round trips. So a lock that was taken is kept (GlusterFS calls
//! it eager locking), and with it what was noted as begun; when another client wants it, the bricks say so, and it is given back
//! as soon as the change in hand is done. Within one client, changes that touch the same bytes or the same name wait for each other,
//! so that all copies see them in one order.
//!
//! A lease that was taken before a brick came or went is not used for the next change: it is given back and taken anew, so that every
//! brick that is up takes part.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::tale;
use super::super::wire::{Answer, Call, Wire};
use super::seen::Seen;
use crate::volume::replicate::{self, Blames, Kids, NoCopy, Shape};
use crate::volume::rpc::{Domain, Fop, Inode, Lock, Reply};
use crate::volume::xattr::Kind;

/// A part of what a lock protects: bytes of a file, or (by its hash) a name of a directory.
pub type Part = (u64, u64);
/// All of it.
pub const ALL: Part = (0, u64::MAX - 2);
/// The attributes of an inode.
pub const ATTRIBUTES: Part = (u64::MAX - 1, u64::MAX);

/// The leases of one client on one replica set.
#[derive(Debug, Default)]
pub struct Leases {
    table: Mutex<HashMap<Lock, Lease>>,
    changed: Condvar,
    /// Nobody new enters.
    paused: AtomicBool,
}

/// Copies that nobody accuses, as they were when the lock was taken and as far as they got every change since. A change that
/// reaches none of them is not done: else copies would come to accuse each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Good {
    /// For contents.
    pub data: Result<Kids, NoCopy>,
    /// For attributes.
    pub metadata: Result<Kids, NoCopy>,
    /// For names.
    pub entry: Kids,
}

impl Good {
    /// From what the copies say; if there is none, the change itself will tell.
    fn new(shape: &Shape, copies: &[Option<Inode>]) -> Self {
        let copies: Vec<Option<&Inode>> = copies.iter().map(Option::as_ref).collect();
        let blames = Blames::new(shape, &copies);
        if blames.present().is_empty() {
            return Self::all(shape.all());
        }
        let sources = blames.sources(Kind::Entry);
        // Names that all copies dispute are merged: any copy is as good as another.
        let entry = if sources.is_empty() { blames.present() } else { sources };
        let readable = |kind| blames.readable(kind, shape);
        Self { data: readable(Kind::Data), metadata: readable(Kind::Metadata), entry }
    }

    fn all(kids: Kids) -> Self {
        Self { data: Ok(kids), metadata: Ok(kids), entry: kids }
    }

    /// Those for one kind of change; none if nobody can say.
    pub fn of(&self, kind: Kind) -> Kids {
        match kind {
            Kind::Data => self.data.unwrap_or_default(),
            Kind::Metadata => self.metadata.unwrap_or_default(),
            Kind::Entry => self.entry,
        }
    }

    fn keep(&mut self, kind: Kind, on: Kids) {
        match kind {
            Kind::Data => self.data = self.data.map(|k| k & on),
            Kind::Metadata => self.metadata = self.metadata.map(|k| k & on),
            Kind::Entry => self.entry = self.entry & on,
        }
    }
}

#[derive(Debug)]
struct Lease {
    phase: Phase,
    /// The connection on which each brick gave the lock; 0: it did not.
    on: Vec<u64>,
    generation: u64,
    parts: Vec<Part>,
    wanted: bool,
    /// Whether a change was made under it; before that it is given to nobody.
    used: bool,
    /// Bricks on which data is noted as begun.
    noted: Kids,
    /// Bricks that missed a change of data since.
    missed: Kids,
    /// Those of them that the others accuse already.
    accused: Kids,
    good: Good,
    /// A change reached too few: what is noted as begun stays, and nobody is accused.
    doubtful: bool,
    idle: Instant,
    /// Of a directory: what is known because nobody else can change it.
    seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Taking,
    Held,
    Giving,
}

/// The right to change a part; to be handed to [`Leases::leave`].
#[derive(Debug)]
pub struct Entered {
    /// The lock.
    pub lock: Lock,
    part: Part,
    /// The connection on which each brick holds the lock; 0: that brick takes no part.
    pub on: Vec<u64>,
    /// Bricks on which nothing is noted as begun yet; it is the caller who must note it.
    pub unnoted: Kids,
    /// The copies that count.
    pub good: Good,
}

impl Entered {
    /// The bricks that take part.
    pub fn kids(&self) -> Kids {
        self.on.iter().enumerate().filter(|(_, e)| **e > 0).map(|(i, _)| i).collect()
    }
}

impl Leases {
    fn table(&self) -> MutexGuard<'_, HashMap<Lock, Lease>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a part may be changed. `noting`: the caller will note what it begins (data).
    ///
    /// # Errors
    /// ENOTCONN without enough bricks.
    pub fn enter(&self, wire: &dyn Wire, shape: &Shape, lock: &Lock, part: Part, noting: bool) -> Result<Entered, i32> {
        let table = self.changed.wait_while(self.table(), |_| self.paused.load(Relaxed));
        drop(table.unwrap_or_else(PoisonError::into_inner));
        self.enter_also(wire, shape, lock, part, noting)
    }

    /// The same for somebody who has entered elsewhere already, and whom everybody waits for.
    ///
    /// # Errors
    /// As of [`Leases::enter`].
    pub fn enter_also(
        &self,
        wire: &dyn Wire,
        shape: &Shape,
        lock: &Lock,
        part: Part,
        noting: bool,
    ) -> Result<Entered, i32> {
        let mut table = self.table();
        loop {
            let generation = wire.generation();
            match table.get_mut(lock) {
                None => {
                    table.insert(lock.clone(), Lease::taking(generation));
                    drop(table);
                    let taken = take(wire, shape, lock);
                    table = self.table();
                    self.taken(&mut table, lock, taken)?;
                }
                Some(lease)
                    if lease.phase == Phase::Held
                        && lease.generation == generation
                        && !(lease.wanted && lease.used) =>
                {
                    if lease.parts.iter().all(|p| p.1 < part.0 || part.1 < p.0) {
                        return Ok(lease.enter(lock, part, noting));
                    }
                    table = self.changed.wait(table).unwrap_or_else(PoisonError::into_inner);
                }
                Some(lease) if lease.phase == Phase::Held && lease.parts.is_empty() => {
                    table = self.give(wire, shape, table, lock);
                }
                Some(_) => table = self.changed.wait(table).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn taken(
        &self,
        table: &mut HashMap<Lock, Lease>,
        lock: &Lock,
        taken: Result<(Vec<u64>, Good), i32>,
    ) -> Result<(), i32> {
        self.changed.notify_all();
        match taken {
            Ok((on, good)) => {
                if let Some(lease) = table.get_mut(lock) {
                    (lease.phase, lease.on, lease.good) = (Phase::Held, on, good);
                    lease.idle = Instant::now();
                }
                Ok(())
            }
            Err(errno) => {
                table.remove(lock);
                Err(errno)
            }
        }
    }

    /// A lock came with something newly made on these bricks, which nobody else can know yet.
    pub fn born(&self, wire: &dyn Wire, lock: Lock, on: Vec<u64>) {
        let kids: Kids = on.iter().enumerate().filter(|(_, e)| **e > 0).map(|(i, _)| i).collect();
        let (good, seen) = (Good::all(kids), Seen::empty());
        let lease = Lease { phase: Phase::Held, on, good, used: true, seen, ..Lease::taking(wire.generation()) };
        self.table().insert(lock, lease);
    }

    /// What is known of a directory whose names are locked on every brick and wanted by nobody else.
    pub fn seen<T>(&self, wire: &dyn Wire, lock: &Lock, look: impl FnOnce(&mut Seen) -> T) -> Option<T> {
        let mut table = self.table();
        let lease = table.get_mut(lock)?;
        let sure = lease.phase == Phase::Held && !lease.wanted && lease.generation == wire.generation();
        (sure && lease.on.iter().all(|epoch| *epoch > 0)).then(|| look(&mut lease.seen))
    }

    /// Something happened to a directory that a lease, if there is one, must know.
    pub fn note(&self, lock: &Lock, note: impl FnOnce(&mut Seen)) {
        if let Some(lease) = self.table().get_mut(lock) {
            note(&mut lease.seen);
        }
    }

    /// The change ended so: it happened on these copies (`Err`: on these, but they are too few).
    pub fn leave(&self, wire: &dyn Wire, shape: &Shape, entered: Entered, kind: Kind, on: Result<Kids, Kids>) {
        let mut table = self.table();
        let Some(lease) = table.get_mut(&entered.lock) else { return };
        if let Some(i) = lease.parts.iter().position(|p| *p == entered.part) {
            lease.parts.swap_remove(i);
        }
        match on {
            Ok(on) => {
                lease.good.keep(kind, on);
                if kind == Kind::Data {
                    lease.missed |= shape.all() - on;
                }
            }
            Err(_) => lease.doubtful = true,
        }
        lease.idle = Instant::now();
        if lease.parts.is_empty() && lease.wanted {
            drop(self.give(wire, shape, table, &entered.lock));
        }
        self.changed.notify_all();
    }

    /// The caller is done, and nothing changed by it that a lease must know.
    pub fn release(&self, wire: &dyn Wire, shape: &Shape, entered: Entered) {
        let on = shape.all();
        self.leave(wire, shape, entered, Kind::Entry, Ok(on));
    }

    /// The caller did nothing, and noted nothing as begun.
    pub fn retreat(&self, wire: &dyn Wire, shape: &Shape, entered: Entered) {
        if let Some(lease) = self.table().get_mut(&entered.lock) {
            lease.noted -= entered.unnoted;
        }
        self.release(wire, shape, entered);
    }

    /// These missed a change of data. Gives those who were not accused under this lease yet: the caller accuses them now.
    pub fn accuse(&self, lock: &Lock, missed: Kids) -> Kids {
        let mut table = self.table();
        let Some(lease) = table.get_mut(lock) else { return missed };
        lease.missed |= missed;
        let fresh = lease.missed - lease.accused;
        lease.accused = lease.missed;
        fresh
    }

    /// Who missed data under this lease.
    pub fn missed(&self, lock: &Lock) -> Kids {
        self.table().get(lock).map_or(Kids::NONE, |l| l.missed)
    }

    /// Another client wants a lock. Gives it back unless it is in use; then it is given back after that.
    pub fn wanted(&self, wire: &dyn Wire, shape: &Shape, lock: &Lock) {
        let mut table = self.table();
        let whole = Lock { name: None, ..lock.clone() };
        for lock in [lock, &whole] {
            let Some(lease) = table.get_mut(lock) else { continue };
            lease.wanted = true;
            if lease.phase == Phase::Held && lease.parts.is_empty() && lease.used {
                drop(self.give(wire, shape, table, lock));
            }
            return;
        }
    }

    /// Gives back what was not used for so long (`None`: whatever is not in use).
    pub fn tidy(&self, wire: &dyn Wire, shape: &Shape, idle: Option<Duration>) {
        let generation = wire.generation();
        let old = |l: &Lease| idle.is_none_or(|d| l.idle.elapsed() >= d) || l.generation != generation || l.wanted;
        let free = |l: &Lease| l.phase == Phase::Held && l.parts.is_empty() && old(l);
        let idle: Vec<Lock> = self.table().iter().filter(|(_, l)| free(l)).map(|(k, _)| k.clone()).collect();
        for lock in idle {
            let table = self.table();
            if table.get(&lock).is_some_and(free) {
                drop(self.give(wire, shape, table, &lock));
            }
        }
    }

    /// Whether something was noted as begun under a lock that is held, and not ended.
    pub fn has_begun(&self, lock: &Lock) -> bool {
        self.table().get(lock).is_some_and(|l| l.phase == Phase::Held && !l.noted.is_empty())
    }

    /// Lets nobody enter any more, waits until everybody has left (or for so long), and gives all locks back.
    pub fn pause(&self, wire: &dyn Wire, shape: &Shape, patience: Duration) {
        let table = self.table();
        self.paused.store(true, Relaxed);
        let busy = |table: &mut HashMap<Lock, Lease>| {
            table.values().any(|lease| lease.phase != Phase::Held || !lease.parts.is_empty())
        };
        drop(self.changed.wait_timeout_while(table, patience, busy));
        self.tidy(wire, shape, None);
    }

    /// Lets in who waits.
    pub fn resume(&self) {
        let _table = self.table();
        self.paused.store(false, Relaxed);
        self.changed.notify_all();
    }

    /// Gives one lock back if it is not in use.
    pub fn settle(&self, wire: &dyn Wire, shape: &Shape, lock: &Lock) {
        let table = self.table();
        if table.get(lock).is_some_and(|l| l.phase == Phase::Held && l.parts.is_empty()) {
            drop(self.give(wire, shape, table, lock));
        }
    }

    /// Ends what was begun under a lease that is not in use, and unlocks: one message a brick, without waiting.
    fn give<'a>(
        &'a self,
        wire: &dyn Wire,
        shape: &Shape,
        mut table: MutexGuard<'a, HashMap<Lock, Lease>>,
        lock: &Lock,
    ) -> MutexGuard<'a, HashMap<Lock, Lease>> {
        let Some(lease) = table.get_mut(lock) else { return table };
        lease.phase = Phase::Giving;
        wire.post(lease.farewell(shape, lock));
        table.remove(lock);
        self.changed.notify_all();
        table
    }
}

impl Lease {
    fn taking(generation: u64) -> Self {
        Self {
            phase: Phase::Taking,
            on: vec![],
            generation,
            parts: vec![],
            wanted: false,
            used: false,
            noted: Kids::NONE,
            missed: Kids::NONE,
            accused: Kids::NONE,
            good: Good::all(Kids::NONE),
            doubtful: false,
            idle: Instant::now(),
            seen: Seen::default(),
        }
    }

    fn enter(&mut self, lock: &Lock, part: Part, noting: bool) -> Entered {
        self.parts.push(part);
        self.used = true;
        let kids: Kids = self.on.iter().enumerate().filter(|(_, e)| **e > 0).map(|(i, _)| i).collect();
        let unnoted = if noting { kids - self.noted } else { Kids::NONE };
        self.noted |= unnoted;
        Entered { lock: lock.clone(), part, on: self.on.clone(), unnoted, good: self.good }
    }

    /// On those that have everything: it is ended, and who missed it. On too few, they stay dirty and accuse nobody.
    fn farewell(&self, shape: &Shape, lock: &Lock) -> Vec<Call> {
        let good = self.noted - self.missed;
        let mark = |kid: usize| {
            let fresh = self.missed - self.accused;
            let noted = good.has(kid) && shape.suffices(good) && !self.doubtful;
            noted.then(|| replicate::after(shape, lock.gfid, Kind::Data, true, fresh, None)).flatten()
        };
        let locked = self.on.iter().enumerate().filter(|(_, e)| **e > 0);
        let call = |(kid, epoch): (usize, &u64)| {
            let mark = mark(kid).map(Fop::Xattrop);
            let fops = mark.into_iter().chain([Fop::Unlock { lock: lock.clone() }]).collect();
            Call { kid, epoch: *epoch, fops }
        };
        locked.map(call).collect()
    }
}

/// Takes a lock on every brick that is up: all at once, and if somebody is in the way, one after the other in the order of the
/// bricks, so that two clients never wait for each other. With the lock comes what each copy says of itself.
fn take(wire: &dyn Wire, shape: &Shape, lock: &Lock) -> Result<(Vec<u64>, Good), i32> {
    if shape.len() > 1 {
        let note = if lock.domain == Domain::Entry { "way-entrylk" } else { "way-inodelk" };
        tale::step("afr", note, Vec::new);
    }
    let epochs = wire.epochs();
    let up: Vec<usize> = (0..epochs.len()).filter(|i| epochs[*i] > 0).collect();
    // As long as all copies are there and none blames another, they have nothing to say.
    let doubted = shape.len() > 1 && (up.len() < epochs.len() || wire.is_blaming());
    let ask = |kid: usize, wait: bool| {
        let stat = doubted.then_some(Fop::Stat { gfid: lock.gfid });
        let fops = [Fop::Lock { lock: lock.clone(), wait }].into_iter().chain(stat).collect();
        Call { kid, epoch: epochs[kid], fops }
    };
    let mut on = vec![0; epochs.len()];
    let mut copies: Vec<Option<Inode>> = vec![None; epochs.len()];
    let mut note = |kid: usize, answer: &Answer| {
        if matches!(answer.results.first(), Some(Ok(_))) && answer.outcome() != Err(libc::ENOTCONN) {
            on[kid] = epochs[kid];
            if let Ok(Reply::Inode(inode)) = answer.last() {
                copies[kid] = Some((**inode).clone());
            }
        }
    };
    if shape.suffices(up.iter().copied().collect()) {
        let answers = wire.exchange(up.iter().map(|kid| ask(*kid, false)).collect(), &bytes::Bytes::new());
        let first = |a: &Answer| a.results.first().map_or(Err(libc::EIO), |r| r.as_ref().map(drop).map_err(|e| *e));
        if answers.iter().any(|a| first(a) == Err(libc::EAGAIN)) {
            let granted =
                up.iter().zip(&answers).filter(|(_, a)| first(a).is_ok()).map(|(kid, _)| (*kid, epochs[*kid]));
            wire.post(unlock(lock, granted));
            for kid in up {
                note(kid, &wire.exchange(vec![ask(kid, true)], &bytes::Bytes::new())[0]);
            }
        } else {
            up.iter().zip(&answers).for_each(|(kid, answer)| note(*kid, answer));
        }
    }
    let held: Kids = (0..on.len()).filter(|i| on[*i] > 0).collect();
    if shape.suffices(held) {
        return Ok((on, Good::new(shape, &copies)));
    }
    wire.post(unlock(lock, on.iter().copied().enumerate().filter(|(_, e)| *e > 0)));
    Err(libc::ENOTCONN)
}

/// To give a lock back on these connections.
pub fn unlock(lock: &Lock, on: impl Iterator<Item = (usize, u64)>) -> Vec<Call> {
    on.map(|(kid, epoch)| Call { kid, epoch, fops: vec![Fop::Unlock { lock: lock.clone() }] }).collect()
}

/// The lock on an inode's contents and attributes.
pub fn inode(gfid: crate::volume::gfid::Gfid) -> Lock {
    Lock { domain: Domain::Inode, gfid, name: None }
}

/// The lock on all names of a directory.
pub fn names(gfid: crate::volume::gfid::Gfid) -> Lock {
    Lock { domain: Domain::Entry, gfid, name: None }
}

/// The part of a directory that a name is.
pub fn name_part(name: &[u8]) -> Part {
    let hash = xxhash_rust::xxh64::xxh64(name, 0) >> 1;
    (hash, hash)
}

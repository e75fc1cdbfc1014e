//! Carrying out heals: names, attributes, contents, under the same locks as any change.
//!
//! Left out: healing a file in pieces between which clients may write (a file is locked while it is healed).

mod data;
mod entry;
mod metadata;
mod small;

use std::collections::VecDeque;

use bytes::Bytes;

use super::set::Set;
use super::wire::{Answer, Call};
use crate::volume::gfid::Gfid;
use crate::volume::heal::{Choice, Plan, plan};
use crate::volume::replicate::{Blames, Kids};
use crate::volume::rpc::{Domain, Fop, Inode, Lock, Reply, Xattrop};
use crate::volume::xattr::{AFR, DIRTY, Kind, Pending};

pub use entry::{name, settle_name};

/// What became of one inode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healed {
    /// Which kinds were healed, from which brick to which.
    pub done: Vec<(Kind, usize, Kids)>,
    /// Kinds in split-brain.
    pub split: Vec<Kind>,
    /// Bytes that were copied.
    pub bytes: u64,
    /// Inodes that came into being on a copy and must be healed next.
    pub newborn: Vec<Gfid>,
}

impl Healed {
    fn note(&mut self, kind: Kind, source: usize, sinks: Kids) {
        if !sinks.is_empty() {
            self.done.push((kind, source, sinks));
        }
    }
}

/// Heals one inode; what comes into being by that is left to the caller ([`Healed::newborn`]). `policy` resolves split-brain, also
/// that of names which are different files on different copies.
///
/// # Errors
/// As of [`inode`].
pub fn single(set: &Set, gfid: Gfid, policy: Option<Choice>, majority: bool) -> Result<Healed, i32> {
    one(set, gfid, policy, policy, majority)
}

/// Heals one inode and whatever comes into being by that. Gives what became of it.
///
/// # Errors
/// ENOTCONN unless all bricks are up (or, with `majority`, enough of them); EAGAIN if somebody else is healing it; ENOENT.
pub fn inode(set: &Set, gfid: Gfid, choice: Option<Choice>, majority: bool) -> Result<Healed, i32> {
    let mut total = Healed::default();
    let mut queue = VecDeque::from([gfid]);
    while let Some(next) = queue.pop_front() {
        let healed = match one(set, next, choice.filter(|_| next == gfid), None, majority) {
            Err(errno) if next == gfid => return Err(errno),
            Err(_) => continue,
            Ok(healed) => healed,
        };
        queue.extend(healed.newborn);
        total.done.extend(healed.done);
        total.split.extend(healed.split);
        total.bytes += healed.bytes;
    }
    Ok(total)
}

fn one(set: &Set, gfid: Gfid, choice: Option<Choice>, names: Option<Choice>, majority: bool) -> Result<Healed, i32> {
    let up = set.ready()?;
    if up != set.shape.all() && !majority {
        return Err(libc::ENOTCONN);
    }
    let lock = Lock { domain: Domain::Heal, gfid, name: None };
    let taken = contend(set, &lock, up);
    let mut copies: Vec<Option<Inode>> = vec![None; set.shape.len()];
    for (kid, answer) in &taken {
        copies[*kid] = match answer.last() {
            Ok(Reply::Inode(inode)) => Some((**inode).clone()),
            _ => None,
        };
    }
    let free = taken.iter().all(|(_, a)| has(a));
    let outcome = if free { locked(set, &copies, gfid, (choice, names), up) } else { Err(libc::EAGAIN) };
    let unlock = |(kid, _): &(usize, _)| Call { kid: *kid, epoch: 0, fops: vec![Fop::Unlock { lock: lock.clone() }] };
    set.wire.post(taken.iter().filter(|(_, a)| has(a)).map(unlock).collect());
    set.forget(gfid);
    outcome
}

fn locked(
    set: &Set,
    copies: &[Option<Inode>],
    gfid: Gfid,
    (choice, names): (Option<Choice>, Option<Choice>),
    up: Kids,
) -> Result<Healed, i32> {
    let some = copies.iter().flatten().next().ok_or(libc::ENOENT)?;
    let mut healed = Healed::default();
    if some.iatt.is_file() && small::heal(set, gfid, up, copies, &mut healed)? {
        return Ok(healed);
    }
    if some.iatt.is_dir() {
        entry::directory(set, gfid, up, names, &mut healed)?;
    }
    metadata::heal(set, gfid, up, choice, &mut healed)?;
    if some.iatt.is_file() {
        data::heal(set, gfid, up, choice, &mut healed)?;
    } else {
        clear_data(set, gfid, up)?;
    }
    Ok(healed)
}

/// Whether the brick gave the lock that was asked for first.
fn has(answer: &Answer) -> bool {
    matches!(answer.results.first(), Some(Ok(_)))
}

/// Asks for the healer's lock, and what each copy is. Of several healers that each got it on some bricks, the one that has it
/// on the first of them waits for the others; they see that they have lost, and give theirs back.
fn contend(set: &Set, lock: &Lock, up: Kids) -> Vec<(usize, Answer)> {
    let ask = |kids, wait| {
        let fops = [Fop::Lock { lock: lock.clone(), wait }, Fop::Stat { gfid: lock.gfid }];
        set.wire.ask(kids, &fops)
    };
    let mut taken = ask(up, false);
    let missing = |(_, a): &&(usize, Answer)| matches!(a.results.first(), Some(Err(libc::EAGAIN)));
    let missing: Kids = taken.iter().filter(missing).map(|(kid, _)| *kid).collect();
    let first = up.iter().next();
    if missing != Kids::default() && taken.iter().any(|(kid, a)| Some(*kid) == first && has(a)) {
        taken.retain(|(kid, _)| !missing.has(*kid));
        taken.extend(ask(missing, true));
    }
    taken
}

/// The copies of an inode, one place a brick.
fn look(set: &Set, gfid: Gfid, up: Kids) -> Result<Vec<Option<Inode>>, i32> {
    let copies: Vec<Option<Inode>> = set.ask_inode(up, &Fop::Stat { gfid }).into_iter().map(Result::ok).collect();
    if copies.iter().flatten().next().is_none() { Err(libc::ENOENT) } else { Ok(copies) }
}

fn decide(set: &Set, kind: Kind, copies: &[Option<Inode>], choice: Option<Choice>) -> Plan {
    let copies: Vec<Option<&Inode>> = copies.iter().map(Option::as_ref).collect();
    plan(&set.shape, kind, &copies, choice)
}

/// Takes back, on every copy, what it held of this kind against those that are healed now, and what was undecided; a
/// healed copy takes back all that it held. What is undecided stays so until every copy was looked at. Counters that grew since `copies` were read keep the difference.
fn clear(set: &Set, gfid: Gfid, kind: Kind, copies: &[Option<Inode>], healed: Kids) {
    clear_kinds(set, gfid, &[kind], copies, healed);
}

/// The same for several kinds at once.
fn clear_kinds(set: &Set, gfid: Gfid, kinds: &[Kind], copies: &[Option<Inode>], healed: Kids) {
    let refs: Vec<Option<&Inode>> = copies.iter().map(Option::as_ref).collect();
    let blames = Blames::new(&set.shape, &refs);
    let here = blames.present();
    let back = |pending: Pending| {
        let some = kinds.iter().map(|kind| Pending::of(*kind, pending.get(*kind)).negated());
        some.fold(Pending::default(), Pending::plus)
    };
    let call = |kid: usize| {
        let dirty = Some(back(blames.dirty(kid))).filter(|_| here == set.shape.all());
        let held = (0..set.shape.len()).filter(|j| healed.has(*j) || (healed.has(kid) && here.has(*j)));
        let held = held.map(|j| (format!("{AFR}{}", set.shape.slots[j]), back(blames.pending(kid, j))));
        let all = held.chain(dirty.map(|d| (DIRTY.to_string(), d)));
        let add: Vec<_> = all.filter(|(_, pending)| !pending.is_zero()).collect();
        (!add.is_empty()).then(|| Call { kid, epoch: 0, fops: vec![Fop::Xattrop(Xattrop { gfid, add, name: None })] })
    };
    set.wire.exchange(here.iter().filter_map(call).collect(), &Bytes::new());
}

/// What is no file has no contents to heal, but may have been marked with everything when it came into being.
fn clear_data(set: &Set, gfid: Gfid, up: Kids) -> Result<(), i32> {
    let copies = look(set, gfid, up)?;
    let refs: Vec<Option<&Inode>> = copies.iter().map(Option::as_ref).collect();
    if Blames::new(&set.shape, &refs).needs(Kind::Data) {
        let here = copies.iter().enumerate().filter(|(_, c)| c.is_some()).map(|(i, _)| i).collect();
        clear(set, gfid, Kind::Data, &copies, here);
    }
    Ok(())
}

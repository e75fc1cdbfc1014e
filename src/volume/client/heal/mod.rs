//! Carrying out heals: names, attributes, contents, under the same locks as any change.
//!
//! Left out: healing a file in pieces between which clients may write (a file is locked while it is healed).

mod data;
mod entry;
mod metadata;

use std::collections::VecDeque;

use bytes::Bytes;

use super::set::Set;
use super::wire::Call;
use crate::volume::gfid::Gfid;
use crate::volume::heal::{Choice, Plan, plan};
use crate::volume::replicate::{Blames, Kids};
use crate::volume::rpc::{Domain, Fop, Inode, Lock, Xattrop};
use crate::volume::xattr::{AFR, DIRTY, Kind, Pending};

pub use entry::name;

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

/// Heals one inode; what comes into being by that is left to the caller ([`Healed::newborn`]).
///
/// # Errors
/// As of [`inode`].
pub fn single(set: &Set, gfid: Gfid, majority: bool) -> Result<Healed, i32> {
    one(set, gfid, None, majority)
}

/// Heals one inode and whatever comes into being by that. Gives what became of it.
///
/// # Errors
/// ENOTCONN unless all bricks are up (or, with `majority`, enough of them); EAGAIN if somebody else is healing it; ENOENT.
pub fn inode(set: &Set, gfid: Gfid, choice: Option<Choice>, majority: bool) -> Result<Healed, i32> {
    let mut total = Healed::default();
    let mut queue = VecDeque::from([gfid]);
    while let Some(next) = queue.pop_front() {
        let healed = match one(set, next, choice.filter(|_| next == gfid), majority) {
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

fn one(set: &Set, gfid: Gfid, choice: Option<Choice>, majority: bool) -> Result<Healed, i32> {
    let up = set.ready()?;
    if up != set.shape.all() && !majority {
        return Err(libc::ENOTCONN);
    }
    let lock = Lock { domain: Domain::Heal, gfid, name: None };
    let taken = set.wire.ask(up, &[Fop::Lock { lock: lock.clone(), wait: false }]);
    let free = taken.iter().all(|(_, a)| a.outcome().is_ok());
    let outcome = if free { locked(set, gfid, choice, up) } else { Err(libc::EAGAIN) };
    let unlock = |(kid, _): &(usize, _)| Call { kid: *kid, epoch: 0, fops: vec![Fop::Unlock { lock: lock.clone() }] };
    set.wire.post(taken.iter().filter(|(_, a)| a.outcome().is_ok()).map(unlock).collect());
    set.forget(gfid);
    outcome
}

fn locked(set: &Set, gfid: Gfid, choice: Option<Choice>, up: Kids) -> Result<Healed, i32> {
    let copies = look(set, gfid, up)?;
    let some = copies.iter().flatten().next().ok_or(libc::ENOENT)?;
    let mut healed = Healed::default();
    if some.iatt.is_dir() {
        entry::directory(set, gfid, up, &mut healed)?;
    }
    metadata::heal(set, gfid, up, choice, &mut healed)?;
    if some.iatt.is_file() {
        data::heal(set, gfid, up, choice, &mut healed)?;
    } else {
        clear_data(set, gfid, up)?;
    }
    Ok(healed)
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
    let refs: Vec<Option<&Inode>> = copies.iter().map(Option::as_ref).collect();
    let blames = Blames::new(&set.shape, &refs);
    let here = blames.present();
    let call = |kid: usize| {
        let own = blames.dirty(kid).get(kind);
        let dirty = (own > 0 && here == set.shape.all()).then(|| (DIRTY.to_string(), Pending::of(kind, own).negated()));
        let held = (0..set.shape.len()).filter(|j| healed.has(*j) || (healed.has(kid) && here.has(*j)));
        let held = held.map(|j| (j, blames.pending(kid, j).get(kind))).filter(|(_, n)| *n > 0);
        let held = held.map(|(j, n)| (format!("{AFR}{}", set.shape.slots[j]), Pending::of(kind, n).negated()));
        let add: Vec<_> = held.chain(dirty).collect();
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

//! Names: what a copy of a directory missed is made there, what it should have lost is taken away.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{Healed, clear, decide, look};
use crate::volume::client::set::{Set, lease};
use crate::volume::client::wire::Call;
use crate::volume::gfid::Gfid;
use crate::volume::heal::{Choice, Plan, chosen};
use crate::volume::replicate::{self, Blames, Kids};
use crate::volume::rpc::{Change, Fop, Inode, Node, Reply, Xattrop};
use crate::volume::xattr::Kind;

/// Heals the names of a directory.
pub(super) fn directory(
    set: &Set,
    gfid: Gfid,
    up: Kids,
    policy: Option<Choice>,
    healed: &mut Healed,
) -> Result<(), i32> {
    if decide(set, Kind::Entry, &look(set, gfid, up)?, None) == Plan::Nothing {
        return Ok(());
    }
    let entered = set.lease(&lease::names(gfid), lease::ALL)?;
    let outcome =
        if entered.kids() & up == up { under_lock(set, gfid, up, policy, healed) } else { Err(libc::ENOTCONN) };
    set.leave(entered);
    outcome
}

fn under_lock(set: &Set, gfid: Gfid, up: Kids, policy: Option<Choice>, healed: &mut Healed) -> Result<(), i32> {
    let copies = look(set, gfid, up)?;
    let have: Kids = copies.iter().enumerate().filter(|(_, c)| c.is_some()).map(|(i, _)| i).collect();
    let (sources, from) = match decide(set, Kind::Entry, &copies, None) {
        Plan::Nothing | Plan::SplitBrain => return Ok(()),
        Plan::Merge => (have, have.iter().next().unwrap_or_default()),
        Plan::Copy { source, sinks } => (have - sinks, source),
    };
    all_names(set, gfid, names(set, gfid, have, sources, &copies)?, (have, sources), policy, healed)?;
    if let Some(right) = copies[from].as_ref() {
        let change = Change { mtime: Some(right.iatt.mtime), ctime: Some(right.iatt.ctime), ..Change::default() };
        set.wire.ask(have - sources, &[Fop::Setattr { gfid, change }]);
    }
    clear(set, gfid, Kind::Entry, &copies, have);
    if have == set.shape.all() {
        set.wire.ask(have, &[Fop::EntryChangeDone { gfid, name: None }]);
    }
    healed.note(Kind::Entry, from, if have == sources { have - Kids::one(from) } else { have - sources });
    Ok(())
}

/// The names to look at: those that are on record as missed if every source keeps such a record and nothing is undecided;
/// else all names of all copies.
fn names(set: &Set, gfid: Gfid, have: Kids, sources: Kids, copies: &[Option<Inode>]) -> Result<BTreeSet<Bytes>, i32> {
    let refs: Vec<Option<&Inode>> = copies.iter().map(Option::as_ref).collect();
    let blames = Blames::new(&set.shape, &refs);
    let undecided = have.iter().any(|i| blames.dirty(i).entry > 0) || sources == have;
    let recorded = || -> Option<BTreeSet<Bytes>> {
        let mut all = BTreeSet::new();
        for (_, answer) in set.wire.ask(sources, &[Fop::EntryChanges { gfid }]) {
            let Ok(Reply::Names(names)) = answer.last() else { return None };
            all.extend(names.iter().cloned());
        }
        (!all.is_empty()).then_some(all)
    };
    if !undecided && let Some(names) = recorded() {
        return Ok(names);
    }
    let mut all = BTreeSet::new();
    for kid in have.iter() {
        all.extend(set.entries(kid, gfid, false, usize::MAX)?.into_iter().map(|e| e.name));
    }
    Ok(all)
}

/// Makes all copies of a directory agree about these names, several at once.
fn all_names(
    set: &Set,
    dir: Gfid,
    names: BTreeSet<Bytes>,
    (have, sources): (Kids, Kids),
    policy: Option<Choice>,
    healed: &mut Healed,
) -> Result<(), i32> {
    let todo = Mutex::new(names.into_iter());
    let next = || todo.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut own = Healed::default();
        while let Some(name) = next() {
            one_name(set, dir, &name, (have, sources), policy, &mut own)?;
        }
        Ok::<Healed, i32>(own)
    };
    let outcomes: Vec<Result<Healed, i32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..set.wire.lanes()).map(|_| scope.spawn(work)).collect();
        let own = work();
        threads.into_iter().map(|t| t.join().unwrap_or(Err(libc::EIO))).chain([own]).collect()
    });
    for own in outcomes {
        let own = own?;
        healed.newborn.extend(own.newborn);
        healed.split.extend(own.split);
    }
    Ok(())
}

/// Makes all copies of a directory agree about one name.
fn one_name(
    set: &Set,
    dir: Gfid,
    name: &Bytes,
    (have, sources): (Kids, Kids),
    policy: Option<Choice>,
    healed: &mut Healed,
) -> Result<(), i32> {
    let found = set.ask_name(have, dir, name);
    if have.iter().any(|i| matches!(found[i], Err(e) if e != libc::ENOENT)) {
        return Err(libc::ENOTCONN);
    }
    let mut right: Vec<(usize, &Inode)> =
        sources.iter().filter_map(|i| found[i].as_ref().ok().map(|f| (i, f))).collect();
    right.dedup_by_key(|(_, inode)| inode.gfid);
    if right.len() > 1
        && let Some(favourite) = policy.and_then(|policy| favourite(&found, sources, policy))
    {
        right.retain(|(i, _)| *i == favourite);
    }
    match right[..] {
        [] => {
            for kid in (have - sources).iter().filter(|i| found[*i].is_ok()) {
                let Ok(inode) = &found[kid] else { continue };
                take_away(set, kid, dir, name, inode, sources)?;
            }
        }
        [(from, inode)] => {
            for kid in have.iter().filter(|kid| found[*kid].as_ref().map(|f| f.gfid) != Ok(inode.gfid)) {
                if let Ok(other) = &found[kid] {
                    take_away(set, kid, dir, name, other, sources)?;
                }
                make(set, from, kid, dir, name, inode)?;
                healed.newborn.push(inode.gfid);
            }
        }
        // Two sources, two files of one name: nobody can say which is right.
        _ => healed.split.push(Kind::Entry),
    }
    Ok(())
}

/// Which of several files of one name a choice picks.
fn favourite(found: &[Result<Inode, i32>], among: Kids, choice: Choice) -> Option<usize> {
    let copies: Vec<Option<&Inode>> = found.iter().map(|f| f.as_ref().ok()).collect();
    let among = among.iter().filter(|i| copies[*i].is_some()).collect();
    chosen(&copies, among, choice)
}

/// A name that is different files on different copies: keeps the one that a choice picks. Gives whether there was anything to
/// choose (`None`: there was not).
///
/// # Errors
/// EIO if the choice picks none; else as of the bricks.
pub fn settle_name(set: &Set, dir: Gfid, name: &Bytes, choice: Choice) -> Result<Option<()>, i32> {
    let up = set.ready()?;
    let entered = set.lease(&lease::names(dir), lease::name_part(name))?;
    let found = set.ask_name(up, dir, name);
    let mut all: Vec<Gfid> = found.iter().flatten().map(|f| f.gfid).collect();
    all.sort();
    all.dedup();
    let mut healed = Healed::default();
    let outcome = match favourite(&found, up, choice) {
        _ if all.len() < 2 => Ok(None),
        None => Err(libc::EIO),
        Some(from) => one_name(set, dir, name, (up, Kids::one(from)), None, &mut healed).map(Some),
    };
    set.leave(entered);
    outcome
}

/// Makes a name on one copy as another one has it. What is new there is marked first, so that attributes and contents follow.
fn make(set: &Set, from: usize, to: usize, dir: Gfid, name: &Bytes, inode: &Inode) -> Result<(), i32> {
    let mark = replicate::newborn(&set.shape, inode.gfid, inode.iatt.kind(), Kids::one(to));
    if let Some(mark) = mark.filter(|mark| !is_marked(set, inode, to, mark)) {
        set.wire.ask(Kids::one(from), &[Fop::Xattrop(mark)])[0].1.outcome()?;
    }
    let target = if inode.iatt.kind() == libc::S_IFLNK {
        match set.wire.ask(Kids::one(from), &[Fop::Readlink { gfid: inode.gfid }])[0].1.last()? {
            Reply::Bytes(target) => target.clone(),
            _ => return Err(libc::EIO),
        }
    } else {
        Bytes::new()
    };
    let xattrs = if inode.iatt.is_dir() || inode.linkto.is_some() {
        super::metadata::xattrs(set, from, inode.gfid)?
    } else {
        vec![]
    };
    let iatt = &inode.iatt;
    let node = Node {
        gfid: inode.gfid,
        mode: iatt.mode,
        uid: iatt.uid,
        gid: iatt.gid,
        rdev: iatt.rdev,
        target,
        time: iatt.mtime,
        xattrs,
        umask: None,
    };
    let fop = Fop::Make { parent: dir, name: name.clone(), node: Box::new(node) };
    set.wire.exchange(vec![Call { kid: to, epoch: 0, fops: vec![fop] }], &Bytes::new())[0].outcome()
}

/// Whether an inode already accuses a copy of everything that this mark would say.
fn is_marked(set: &Set, inode: &Inode, to: usize, mark: &Xattrop) -> bool {
    let known = inode.blame.iter().find(|(slot, _)| *slot == set.shape.slots[to]).map(|(_, pending)| *pending);
    let known = known.unwrap_or_default();
    let says = |kind: &Kind| mark.add.iter().any(|(_, pending)| pending.get(*kind) > 0);
    [Kind::Data, Kind::Metadata, Kind::Entry].iter().filter(|kind| says(kind)).all(|kind| known.get(*kind) > 0)
}

/// Takes a name away from one copy. If a source knows the inode under another name, it only moved: the copy keeps it out of
/// sight until its new name is healed.
fn take_away(set: &Set, kid: usize, dir: Gfid, name: &Bytes, inode: &Inode, sources: Kids) -> Result<(), i32> {
    let elsewhere = set.ask_inode(sources - Kids::one(kid), &Fop::Stat { gfid: inode.gfid });
    if elsewhere.iter().any(Result::is_ok) {
        let park = Fop::Park { parent: dir, name: name.clone() };
        return set.wire.ask(Kids::one(kid), &[park])[0].1.outcome();
    }
    let time = set.wire.now();
    if !inode.iatt.is_dir() {
        let unlink = Fop::Unlink { parent: dir, name: name.clone(), keep: false, time };
        return set.wire.ask(Kids::one(kid), &[unlink])[0].1.outcome();
    }
    for entry in set.entries(kid, inode.gfid, false, usize::MAX)? {
        let below = Fop::Lookup { parent: inode.gfid, name: entry.name.clone(), fresh: Gfid::random() };
        if let Ok(below) = &set.ask_inode(Kids::one(kid), &below)[kid] {
            take_away(set, kid, inode.gfid, &entry.name, below, sources)?;
        }
    }
    set.wire.ask(Kids::one(kid), &[Fop::Rmdir { parent: dir, name: name.clone(), time }])[0].1.outcome()
}

/// A client looked a name up and some copies do not have it: makes it there, unless the directory's own blame says that
/// it was removed.
///
/// # Errors
/// ENOTCONN unless all copies are up; EIO if nobody can say what is right; ENOENT if it should not be there.
pub fn name(set: &Set, parent: Gfid, name: &Bytes) -> Result<(), i32> {
    let up = set.ready()?;
    let entered = set.lease(&lease::names(parent), lease::name_part(name))?;
    let outcome = if up == set.shape.all() && entered.kids() == up {
        name_locked(set, parent, name, up)
    } else {
        Err(libc::ENOTCONN)
    };
    set.leave(entered);
    outcome
}

fn name_locked(set: &Set, parent: Gfid, name: &Bytes, up: Kids) -> Result<(), i32> {
    let dirs = look(set, parent, up)?;
    let refs: Vec<Option<&Inode>> = dirs.iter().map(Option::as_ref).collect();
    let blames = Blames::new(&set.shape, &refs);
    let sources = blames.sources(Kind::Entry);
    let accused = !blames.accused(Kind::Entry).is_empty() && !sources.is_empty();
    let mut healed = Healed::default();
    let have: Kids = dirs.iter().enumerate().filter(|(_, d)| d.is_some()).map(|(i, _)| i).collect();
    // Nobody is accused: whoever has the name is right.
    one_name(set, parent, name, (have, if accused { sources } else { have }), None, &mut healed)?;
    if healed.split.is_empty() { Ok(()) } else { Err(libc::EIO) }
}

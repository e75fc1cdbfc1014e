//! Contents: blocks that differ are copied from a source to the sinks.

use super::{Healed, clear, decide, look};
use crate::volume::client::set::{Set, lease};
use crate::volume::client::wire::Call;
use crate::volume::gfid::Gfid;
use crate::volume::heal::{Choice, Plan};
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Change, Fop, Iatt, Reply};
use crate::volume::xattr::Kind;

/// What is compared and copied at once.
const BLOCK: u32 = 128 << 10;
/// How many blocks are compared in one round.
const BATCH: u32 = 64;
/// A file not larger than this is copied without comparing.
const SMALL: u64 = 64 << 10;

pub(super) fn heal(set: &Set, gfid: Gfid, up: Kids, choice: Option<Choice>, healed: &mut Healed) -> Result<(), i32> {
    if decide(set, Kind::Data, &look(set, gfid, up)?, choice) == Plan::Nothing {
        return Ok(());
    }
    let entered = set.lease(&lease::inode(gfid), lease::ALL)?;
    let outcome =
        if entered.kids() & up == up { under_lock(set, gfid, up, choice, healed) } else { Err(libc::ENOTCONN) };
    set.leave(entered);
    set.settle(gfid);
    outcome
}

fn under_lock(set: &Set, gfid: Gfid, up: Kids, choice: Option<Choice>, healed: &mut Healed) -> Result<(), i32> {
    let copies = look(set, gfid, up)?;
    match decide(set, Kind::Data, &copies, choice) {
        Plan::Copy { source, sinks } => {
            let Some(from) = copies[source].as_ref() else { return Err(libc::EIO) };
            let data = sinks - set.shape.arbiters;
            let fresh: Kids = data.iter().filter(|i| copies[*i].as_ref().is_some_and(|c| c.iatt.size == 0)).collect();
            healed.bytes += contents(set, gfid, source, &from.iatt, (data, fresh))?;
            finish(set, gfid, &from.iatt, sinks)?;
            clear(set, gfid, Kind::Data, &copies, sinks);
            healed.note(Kind::Data, source, sinks);
        }
        Plan::SplitBrain => healed.split.push(Kind::Data),
        Plan::Nothing | Plan::Merge => {}
    }
    Ok(())
}

/// Makes the sinks' contents equal to the source's; gives how many bytes were copied.
fn contents(set: &Set, gfid: Gfid, source: usize, from: &Iatt, (sinks, fresh): (Kids, Kids)) -> Result<u64, i32> {
    if sinks.is_empty() {
        return Ok(0);
    }
    let all_done =
        |answers: Vec<(usize, super::super::wire::Answer)>| answers.iter().try_for_each(|(_, a)| a.outcome());
    all_done(set.wire.ask(sinks, &[Fop::Truncate { gfid, size: from.size, time: None }]))?;
    let mut copied = 0;
    let mut offset = 0;
    while offset < from.size {
        if from.size <= SMALL {
            return copy(set, gfid, source, (sinks, fresh == sinks), offset, SMALL as u32);
        }
        for n in differing(set, gfid, source, sinks, offset, fresh == sinks)? {
            let at = offset + u64::from(n) * u64::from(BLOCK);
            copied += copy(set, gfid, source, (sinks, fresh == sinks), at, BLOCK)?;
        }
        offset += u64::from(BATCH) * u64::from(BLOCK);
    }
    Ok(copied)
}

/// Which blocks from an offset on differ between the source and a sink; all of them if the sinks were empty.
fn differing(set: &Set, gfid: Gfid, source: usize, sinks: Kids, offset: u64, all: bool) -> Result<Vec<u32>, i32> {
    if all {
        return Ok((0..BATCH).collect());
    }
    let sums = set.wire.ask(sinks | Kids::one(source), &[Fop::Checksum { gfid, offset, block: BLOCK, count: BATCH }]);
    let sums: Vec<(usize, Vec<(u64, u32)>)> = sums
        .into_iter()
        .map(|(kid, answer)| match answer.last()? {
            Reply::Checksums(sums) => Ok((kid, sums.clone())),
            _ => Err(libc::EIO),
        })
        .collect::<Result<_, i32>>()?;
    let right = sums.iter().find(|(kid, _)| *kid == source).map(|(_, s)| s.clone()).unwrap_or_default();
    let differs = |n: &u32| sums.iter().any(|(_, s)| s.get(*n as usize) != right.get(*n as usize));
    Ok((0..u32::try_from(right.len()).unwrap_or(BATCH)).filter(differs).collect())
}

/// Copies one piece. What is all zeros is not written to files that were empty: there it stays a hole.
fn copy(
    set: &Set,
    gfid: Gfid,
    source: usize,
    (sinks, empty): (Kids, bool),
    offset: u64,
    size: u32,
) -> Result<u64, i32> {
    let answer = set.wire.ask(Kids::one(source), &[Fop::Read { gfid, offset, size }]).swap_remove(0).1;
    answer.outcome()?;
    if answer.data.is_empty() || (empty && answer.data.iter().all(|byte| *byte == 0)) {
        return Ok(0);
    }
    let fop = Fop::Write { gfid, offset, time: None };
    let calls = sinks.iter().map(|kid| Call { kid, epoch: 0, fops: vec![fop.clone()] }).collect();
    set.wire.exchange(calls, &answer.data).iter().try_for_each(super::super::wire::Answer::outcome)?;
    Ok(answer.data.len() as u64)
}

/// What was copied is on the disk, and the file's times are the source's.
fn finish(set: &Set, gfid: Gfid, from: &Iatt, sinks: Kids) -> Result<(), i32> {
    let change =
        Change { mtime: Some(from.mtime), ctime: Some(from.ctime), atime: Some(from.atime), ..Change::default() };
    let fops = [Fop::Setattr { gfid, change }, Fop::Fsync { gfid, data: false }];
    set.wire.ask(sinks, &fops).iter().try_for_each(|(_, a)| a.outcome())
}

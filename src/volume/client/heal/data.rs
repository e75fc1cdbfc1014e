//! Contents: blocks that differ are copied from a source to the sinks, several at once.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

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
/// What is copied at once to files that were empty.
const PIECE: u32 = 1 << 20;
/// How many pieces are under way at once.
const LANES: usize = 3;
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
    if from.size <= SMALL {
        return copy(set, gfid, source, (sinks, fresh == sinks), 0, SMALL as u32);
    }
    if fresh == sinks {
        let pieces = (0..from.size.div_ceil(PIECE.into())).map(|n| n * u64::from(PIECE));
        return at_once(set, pieces, &|at| copy(set, gfid, source, (sinks, true), at, PIECE));
    }
    let stretch = u64::from(BATCH) * u64::from(BLOCK);
    let stretches = (0..from.size.div_ceil(stretch)).map(|n| n * stretch);
    at_once(set, stretches, &|offset| {
        let blocks = differing(set, gfid, source, sinks, offset)?.into_iter();
        let place = |n: u32| offset + u64::from(n) * u64::from(BLOCK);
        blocks.map(|n| copy(set, gfid, source, (sinks, false), place(n), BLOCK)).sum()
    })
}

/// Does something at each of these places, several at once, until it fails; gives the sum.
fn at_once(
    set: &Set,
    places: impl Iterator<Item = u64> + Send,
    act: &(dyn Fn(u64) -> Result<u64, i32> + Sync),
) -> Result<u64, i32> {
    let todo = Mutex::new(places);
    let next = || todo.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || std::iter::from_fn(next).map(act).sum::<Result<u64, i32>>();
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..set.wire.lanes().min(LANES)).map(|_| scope.spawn(work)).collect();
        let own = work();
        others.into_iter().map(|t| t.join().unwrap_or(Err(libc::EIO))).chain([own]).sum()
    })
}

/// Which blocks from an offset on differ between the source and a sink.
fn differing(set: &Set, gfid: Gfid, source: usize, sinks: Kids, offset: u64) -> Result<Vec<u32>, i32> {
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
    let whole = std::iter::once(0..answer.data.len()).filter(|_| !answer.data.is_empty()).collect();
    let mut copied = 0;
    for part in if empty { solid(&answer.data) } else { whole } {
        let fop = Fop::Write { gfid, offset: offset + part.start as u64, time: None };
        let calls = sinks.iter().map(|kid| Call { kid, epoch: 0, fops: vec![fop.clone()] }).collect();
        copied += part.len() as u64;
        set.wire.exchange(calls, &answer.data.slice(part)).iter().try_for_each(super::super::wire::Answer::outcome)?;
    }
    Ok(copied)
}

/// The parts of some contents, in whole blocks, that are not all zeros.
fn solid(data: &[u8]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (n, block) in data.chunks(BLOCK as usize).enumerate().filter(|(_, b)| b.iter().any(|byte| *byte != 0)) {
        let first = n * BLOCK as usize;
        match parts.last_mut().filter(|part| part.end == first) {
            Some(part) => part.end += block.len(),
            None => parts.push(first..first + block.len()),
        }
    }
    parts
}

/// What was copied is on the disk, and the file's times are the source's.
fn finish(set: &Set, gfid: Gfid, from: &Iatt, sinks: Kids) -> Result<(), i32> {
    let change =
        Change { mtime: Some(from.mtime), ctime: Some(from.ctime), atime: Some(from.atime), ..Change::default() };
    let fops = [Fop::Setattr { gfid, change }, Fop::Fsync { gfid, data: false }];
    set.wire.ask(sinks, &fops).iter().try_for_each(|(_, a)| a.outcome())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of zeros are left out, what lies side by side is one part.
    #[test]
    fn holes_are_not_copied() {
        let block = BLOCK as usize;
        let mut data = vec![0; 4 * block + 10];
        assert!(solid(&data).is_empty());
        (data[block + 1], data[3 * block - 1], data[4 * block]) = (1, 1, 1);
        assert_eq!(solid(&data), [block..3 * block, 4 * block..4 * block + 10]);
    }
}

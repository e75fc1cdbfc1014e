//! A small file that lacks both contents and attributes (most of what waits after a brick was away): healed whole, in few round trips.
//!
//! Under one lock: everything from the source at once, everything to the sinks at once and safe on their disks, then nobody is
//! accused any more. Whatever is not so simple goes the long way.

use bytes::Bytes;

use super::{Healed, clear_kinds, decide, look, metadata};
use crate::volume::client::set::{Set, lease};
use crate::volume::client::wire::{Answer, Call};
use crate::volume::gfid::Gfid;
use crate::volume::heal::Plan;
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Blob, Fop, Inode, Reply};
use crate::volume::xattr::Kind;

/// The largest file that goes this way.
const SMALL: u32 = 64 << 10;

type Xattrs = Vec<(Blob, Blob)>;

/// Heals a file if it is a simple case; gives whether it was.
pub(super) fn heal(
    set: &Set,
    gfid: Gfid,
    up: Kids,
    copies: &[Option<Inode>],
    healed: &mut Healed,
) -> Result<bool, i32> {
    if simple(set, copies).is_none() {
        return Ok(false);
    }
    let entered = set.lease(&lease::inode(gfid), lease::ALL)?;
    let outcome = if entered.kids() & up == up { under_lock(set, gfid, up, healed) } else { Err(libc::ENOTCONN) };
    set.leave(entered);
    set.settle(gfid);
    outcome
}

/// From where to where, if contents and attributes go the same way.
fn simple(set: &Set, copies: &[Option<Inode>]) -> Option<(usize, Kids)> {
    let of = |kind| match decide(set, kind, copies, None) {
        Plan::Copy { source, sinks } if !sinks.is_empty() => Some((source, sinks)),
        _ => None,
    };
    let (data, attributes) = (of(Kind::Data)?, of(Kind::Metadata)?);
    let small = copies[data.0].as_ref().is_some_and(|c| c.iatt.is_file() && c.iatt.size <= u64::from(SMALL));
    let there = data.1.iter().all(|kid| copies[kid].is_some());
    (data == attributes && small && there).then_some(data)
}

fn under_lock(set: &Set, gfid: Gfid, up: Kids, healed: &mut Healed) -> Result<bool, i32> {
    let copies = look(set, gfid, up)?;
    let Some((source, sinks)) = simple(set, &copies) else { return Ok(false) };
    let Some(from) = copies[source].as_ref() else { return Err(libc::EIO) };
    let (right, content, theirs) = gather(set, gfid, source, sinks)?;
    if content.len() as u64 != from.iatt.size {
        return Ok(false);
    }
    let calls = sinks.iter().zip(&theirs).map(|(kid, theirs)| {
        let larger = copies[kid].as_ref().is_some_and(|c| c.iatt.size > from.iatt.size);
        let has_data = !set.shape.arbiters.has(kid);
        let shrink = (larger && has_data).then_some(Fop::Truncate { gfid, size: from.iatt.size, time: None });
        let write = (has_data && !content.is_empty()).then_some(Fop::Write { gfid, offset: 0, time: None });
        let mut fops: Vec<Fop> = shrink.into_iter().chain(write).collect();
        fops.extend(metadata::changes(from, &right, theirs));
        fops.push(Fop::Fsync { gfid, data: false });
        Call { kid, epoch: 0, fops }
    });
    set.wire.exchange(calls.collect(), &content).iter().try_for_each(Answer::outcome)?;
    clear_kinds(set, gfid, &[Kind::Data, Kind::Metadata], &copies, sinks);
    healed.bytes += content.len() as u64;
    healed.note(Kind::Metadata, source, sinks);
    healed.note(Kind::Data, source, sinks);
    Ok(true)
}

/// The source's attributes and contents, and each sink's attributes.
fn gather(set: &Set, gfid: Gfid, source: usize, sinks: Kids) -> Result<(Xattrs, Bytes, Vec<Xattrs>), i32> {
    let xattrs = || Fop::Xattrs { gfid, internal: true };
    let first = Call { kid: source, epoch: 0, fops: vec![xattrs(), Fop::Read { gfid, offset: 0, size: SMALL }] };
    let others = sinks.iter().map(|kid| Call { kid, epoch: 0, fops: vec![xattrs()] });
    let answers = set.wire.exchange([first].into_iter().chain(others).collect(), &Bytes::new());
    answers.iter().try_for_each(Answer::outcome)?;
    let shared = |answer: &Answer| match answer.results.first() {
        Some(Ok(Reply::Xattrs(all))) => Ok(metadata::shared(all)),
        _ => Err(libc::EIO),
    };
    let theirs = answers[1..].iter().map(shared).collect::<Result<_, i32>>()?;
    Ok((shared(&answers[0])?, answers[0].data.clone(), theirs))
}

//! A small file that lacks both contents and attributes (most of what waits after a brick was away): healed whole, in few round trips.
//!
//! Under one lock: everything from the source at once, everything to the sinks at once and safe on their disks, then nobody is
//! accused any more. Whatever is not so simple goes the long way.

use bytes::Bytes;

use super::{Healed, clear_kinds, decide, metadata};
use crate::volume::client::set::{Set, lease};
use crate::volume::client::wire::{Answer, Call};
use crate::volume::gfid::Gfid;
use crate::volume::heal::Plan;
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Blob, Fop, Inode, Reply};
use crate::volume::xattr::Kind;

/// The largest file that goes this way.
const SMALL: u32 = 64 << 10;

type Gathered = (Vec<Option<Inode>>, Bytes, Vec<Vec<(Blob, Blob)>>);

/// Heals a file if it is a simple case; gives whether it was.
pub(super) fn heal(
    set: &Set,
    gfid: Gfid,
    up: Kids,
    copies: &[Option<Inode>],
    healed: &mut Healed,
) -> Result<bool, i32> {
    let Some(way) = simple(set, copies) else { return Ok(false) };
    let entered = set.lease(&lease::inode(gfid), lease::ALL)?;
    let outcome = if entered.kids() & up == up { under_lock(set, gfid, up, way, healed) } else { Err(libc::ENOTCONN) };
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

fn under_lock(set: &Set, gfid: Gfid, up: Kids, way: (usize, Kids), healed: &mut Healed) -> Result<bool, i32> {
    let (source, sinks) = way;
    let (copies, content, attributes) = gather(set, gfid, up, way)?;
    let Some(from) = copies[source].as_ref().filter(|_| simple(set, &copies) == Some(way)) else { return Ok(false) };
    if content.len() as u64 != from.iatt.size {
        return Ok(false);
    }
    let of = |kid: usize| attributes[kid].as_slice();
    let calls = sinks.iter().map(|kid| {
        let larger = copies[kid].as_ref().is_some_and(|c| c.iatt.size > from.iatt.size);
        let has_data = !set.shape.arbiters.has(kid);
        let shrink = (larger && has_data).then_some(Fop::Truncate { gfid, size: from.iatt.size, time: None });
        let write = (has_data && !content.is_empty()).then_some(Fop::Write { gfid, offset: 0, time: None });
        let mut fops: Vec<Fop> = shrink.into_iter().chain(write).collect();
        fops.extend(metadata::changes(from, of(source), of(kid)));
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

/// What each copy is, the source's contents, and the attributes of the source and of each sink: one place a brick.
fn gather(set: &Set, gfid: Gfid, up: Kids, (source, sinks): (usize, Kids)) -> Result<Gathered, i32> {
    let ask = |kid: usize| {
        let takes_part = kid == source || sinks.has(kid);
        let attributes = takes_part.then_some(Fop::Xattrs { gfid, internal: true });
        let content = (kid == source).then_some(Fop::Read { gfid, offset: 0, size: SMALL });
        let fops = [Fop::Stat { gfid }].into_iter().chain(attributes).chain(content).collect();
        Call { kid, epoch: 0, fops }
    };
    let answers = set.wire.exchange(up.iter().map(ask).collect(), &Bytes::new());
    let mut all = (vec![None; set.shape.len()], Bytes::new(), vec![vec![]; set.shape.len()]);
    for (kid, answer) in up.iter().zip(answers) {
        answer.outcome()?;
        for reply in answer.results.into_iter().flatten() {
            match reply {
                Reply::Inode(inode) => all.0[kid] = Some(*inode),
                Reply::Xattrs(xattrs) => all.2[kid] = metadata::shared(&xattrs),
                _ => all.1 = answer.data.clone(),
            }
        }
    }
    Ok(all)
}

//! Attributes: mode, owner, times and extended attributes are copied from a source to the sinks.

use bytes::Bytes;

use super::{Healed, clear, decide, look};
use crate::volume::client::set::{Set, lease};
use crate::volume::client::wire::Call;
use crate::volume::gfid::Gfid;
use crate::volume::heal::{Choice, Plan};
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Blob, Change, Fop, Inode, Reply};
use crate::volume::xattr::{self, Kind};

pub(super) fn heal(set: &Set, gfid: Gfid, up: Kids, choice: Option<Choice>, healed: &mut Healed) -> Result<(), i32> {
    if decide(set, Kind::Metadata, &look(set, gfid, up)?, choice) == Plan::Nothing {
        return Ok(());
    }
    let entered = set.lease(&lease::inode(gfid), lease::ATTRIBUTES)?;
    let outcome =
        if entered.kids() & up == up { under_lock(set, gfid, up, choice, healed) } else { Err(libc::ENOTCONN) };
    set.leave(entered);
    outcome
}

fn under_lock(set: &Set, gfid: Gfid, up: Kids, choice: Option<Choice>, healed: &mut Healed) -> Result<(), i32> {
    let copies = look(set, gfid, up)?;
    match decide(set, Kind::Metadata, &copies, choice) {
        Plan::Copy { source, sinks } => {
            let Some(from) = copies[source].as_ref() else { return Err(libc::EIO) };
            copy(set, source, from, sinks)?;
            clear(set, gfid, Kind::Metadata, &copies, sinks);
            healed.note(Kind::Metadata, source, sinks);
        }
        Plan::SplitBrain => healed.split.push(Kind::Metadata),
        Plan::Nothing | Plan::Merge => {}
    }
    Ok(())
}

fn copy(set: &Set, source: usize, from: &Inode, sinks: Kids) -> Result<(), i32> {
    let gfid = from.gfid;
    let is_link = from.iatt.kind() == libc::S_IFLNK;
    let change = Change {
        mode: (!is_link).then_some(from.iatt.mode & 0o7777),
        uid: Some(from.iatt.uid),
        gid: Some(from.iatt.gid),
        atime: Some(from.iatt.atime),
        mtime: Some(from.iatt.mtime),
        ctime: Some(from.iatt.ctime),
    };
    let right = xattrs(set, source, gfid)?;
    for kid in sinks.iter() {
        let mut fops = vec![Fop::Setattr { gfid, change: change.clone() }];
        let there = xattrs(set, kid, gfid)?;
        let missing = right.iter().filter(|pair| !there.contains(pair));
        fops.extend(missing.map(|(key, value)| Fop::Setxattr {
            gfid,
            key: key.clone(),
            value: value.clone(),
            flags: 0,
        }));
        let extra = there.iter().filter(|(key, _)| !right.iter().any(|(k, _)| k == key));
        fops.extend(extra.map(|(key, _)| Fop::Removexattr { gfid, key: key.clone() }));
        set.wire.exchange(vec![Call { kid, epoch: 0, fops }], &Bytes::new())[0].outcome()?;
    }
    Ok(())
}

/// The attributes that copies must agree on: those of users, and a directory's layout.
pub(super) fn xattrs(set: &Set, kid: usize, gfid: Gfid) -> Result<Vec<(Blob, Blob)>, i32> {
    let shared = |key: &[u8]| !xattr::is_internal(key) || key.starts_with(xattr::DHT.as_bytes());
    match set.wire.ask(Kids::one(kid), &[Fop::Xattrs { gfid, internal: true }])[0].1.last()? {
        Reply::Xattrs(all) => Ok(all.iter().filter(|(k, _)| shared(k)).cloned().collect()),
        _ => Err(libc::EIO),
    }
}

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
    let right = xattrs(set, source, from.gfid)?;
    for kid in sinks.iter() {
        let fops = changes(from, &right, &xattrs(set, kid, from.gfid)?);
        set.wire.exchange(vec![Call { kid, epoch: 0, fops }], &Bytes::new())[0].outcome()?;
    }
    Ok(())
}

/// What makes a copy with these attributes like the source.
pub(super) fn changes(from: &Inode, right: &[(Blob, Blob)], theirs: &[(Blob, Blob)]) -> Vec<Fop> {
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
    let missing = right.iter().filter(|pair| !theirs.contains(pair)).cloned();
    let set = missing.map(|(key, value)| Fop::Setxattr { gfid, key, value, flags: 0 });
    let extra = theirs.iter().filter(|(key, _)| !right.iter().any(|(k, _)| k == key));
    let remove = extra.map(|(key, _)| Fop::Removexattr { gfid, key: key.clone() });
    // Times last: all else changes them.
    set.chain(remove).chain([Fop::Setattr { gfid, change }]).collect()
}

/// Of all attributes those that copies must agree on: those of users, and a directory's layout.
pub(super) fn shared(all: &[(Blob, Blob)]) -> Vec<(Blob, Blob)> {
    let shared = |key: &[u8]| !xattr::is_internal(key) || key.starts_with(xattr::DHT.as_bytes());
    all.iter().filter(|(k, _)| shared(k)).cloned().collect()
}

/// The attributes of a copy that all must agree on.
pub(super) fn xattrs(set: &Set, kid: usize, gfid: Gfid) -> Result<Vec<(Blob, Blob)>, i32> {
    match set.wire.ask(Kids::one(kid), &[Fop::Xattrs { gfid, internal: true }])[0].1.last()? {
        Reply::Xattrs(all) => Ok(shared(all)),
        _ => Err(libc::EIO),
    }
}

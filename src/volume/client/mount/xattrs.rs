//! Extended attributes: those of users, and the virtual ones that tell about the volume.

use std::ffi::OsStr;

use bytes::Bytes;
use fuser::INodeNo;

use super::fs::Fs;
use super::inodes::name as blob;
use super::virtuals;
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Fop, Reply};
use crate::volume::xattr;

impl Fs {
    pub(super) fn set_xattr(&self, ino: INodeNo, name: &OsStr, value: &[u8], flags: i32) -> Result<(), i32> {
        let known = self.0.inodes.get(ino.0)?;
        let (gfid, key) = (known.gfid, blob(name));
        match &key[..] {
            b"replica.split-brain-choice" => return self.0.choose(ino.0, gfid, value),
            b"replica.split-brain-choice-timeout" => return self.0.choose_for(value),
            b"replica.split-brain-heal-finalize" => return self.0.finalize(ino.0, gfid, value),
            _ => {}
        }
        if xattr::is_internal(&key) {
            return Err(libc::EPERM);
        }
        let fop = Fop::Setxattr { gfid, key, value: Bytes::copy_from_slice(value), flags };
        self.0.session.files.metadata(gfid, known.is_dir, &fop).map(drop)
    }

    pub(super) fn get_xattr(&self, ino: INodeNo, name: &OsStr) -> Result<Bytes, i32> {
        if self.meta(ino).is_some() {
            return Err(libc::ENODATA);
        }
        let (gfid, key) = (self.gfid(ino)?, blob(name));
        if let Some(value) = virtuals::get(&self.0.session.files, gfid, &key) {
            return value;
        }
        // Nobody stores these; asking the bricks at every write would cost a round trip each.
        if &key[..] == b"security.capability" || xattr::is_internal(&key) {
            return Err(libc::ENODATA);
        }
        match self.ask_chosen(ino, gfid, &Fop::Getxattr { gfid, key })? {
            Reply::Bytes(value) => Ok(value),
            _ => Err(libc::EIO),
        }
    }

    /// Asks a good copy, or in split-brain the one that a person chose.
    fn ask_chosen(&self, ino: INodeNo, gfid: Gfid, fop: &Fop) -> Result<Reply, i32> {
        let files = &self.0.session.files;
        match self.0.inodes.get(ino.0)?.chosen() {
            Some(copy) => files.set_of(gfid)?.told_by(copy, fop),
            None => files.tell(gfid, fop),
        }
    }

    pub(super) fn list_xattrs(&self, ino: INodeNo) -> Result<Bytes, i32> {
        if self.meta(ino).is_some() {
            return Ok(Bytes::new());
        }
        let gfid = self.gfid(ino)?;
        match self.ask_chosen(ino, gfid, &Fop::Xattrs { gfid, internal: false })? {
            Reply::Xattrs(all) => Ok(all.iter().flat_map(|(k, _)| k.iter().copied().chain([0])).collect::<Bytes>()),
            _ => Err(libc::EIO),
        }
    }

    pub(super) fn remove_xattr(&self, ino: INodeNo, name: &OsStr) -> Result<(), i32> {
        let (known, key) = (self.0.inodes.get(ino.0)?, blob(name));
        if xattr::is_internal(&key) {
            return Err(libc::EPERM);
        }
        let gfid = known.gfid;
        self.0.session.files.metadata(gfid, known.is_dir, &Fop::Removexattr { gfid, key }).map(drop)
    }
}

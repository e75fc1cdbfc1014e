//! `.gfid` (`aux-gfid-mount`): everything of the volume by its identity, as `.gfid/00000000-0000-0000-0000-000000000001`.
//!
//! The kernel wants one place for a directory; so one that is reached by its identity has another number there than by its path.
//!
//! Left out: making files of a chosen identity (`glusterfs.gfid.newfile`).

use std::ffi::OsStr;

use fuser::{FileAttr, INodeNo};

use super::attr::attr;
use super::fs::Fs;
use crate::volume::gfid::Gfid;
use crate::volume::rpc::Iatt;

/// The directory's name in the root of a mount.
const NAME: &str = ".gfid";
/// Its number; those of `.meta` are smaller.
const NUMBER: INodeNo = INodeNo(1 << 17);
/// What a directory's number differs in from its usual one.
const ASIDE: u64 = 1 << 62;

/// Whether a number is that of `.gfid` itself.
pub fn is_aux(ino: INodeNo) -> bool {
    ino == NUMBER
}

impl Fs {
    /// `.gfid`, or a name in it; `None`: it is neither.
    pub(super) fn aux_lookup(&self, parent: INodeNo, name: &OsStr) -> Option<Result<FileAttr, i32>> {
        if self.0.aux_gfid && parent == INodeNo(1) && name == NAME {
            return Some(Ok(aux_attr()));
        }
        is_aux(parent).then(|| self.by_gfid(name))
    }

    fn by_gfid(&self, name: &OsStr) -> Result<FileAttr, i32> {
        let uuid: uuid::Uuid = name.to_str().and_then(|name| name.parse().ok()).ok_or(libc::ENOENT)?;
        let gfid = Gfid(*uuid.as_bytes());
        let inode = self.fresh(self.0.session.files.stat(gfid)?.inode)?;
        if !inode.iatt.is_dir() {
            return Ok(self.told(&inode));
        }
        let number = self.0.inodes.number(gfid) ^ ASIDE;
        self.0.inodes.learn_as(number, gfid, true);
        Ok(attr(number, &inode.iatt))
    }
}

/// The figures of `.gfid` itself.
pub fn aux_attr() -> FileAttr {
    attr(NUMBER.0, &Iatt { mode: libc::S_IFDIR | 0o555, nlink: 2, ..Iatt::default() })
}

//! What a brick has: an inode with its figures and its accusations, an entry of a directory, room.

use serde::{Deserialize, Serialize};

use super::Blob;
use crate::volume::gfid::Gfid;
use crate::volume::xattr::{Pending, Time};

/// What kind of thing, how large, whose, since when: `struct stat` as the volume tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Iatt {
    /// Type and permissions.
    pub mode: u32,
    /// Names that a user can see (the handle is not counted).
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a special file.
    pub rdev: u32,
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the contents.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
}

impl Iatt {
    /// The type bits of the mode (`S_IFREG`, `S_IFDIR`, …).
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }
}

/// An inode as one brick has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inode {
    /// Who it is.
    pub gfid: Gfid,
    /// What it is.
    pub iatt: Iatt,
    /// Whom this copy accuses: slot name (`gv0-client-2`, or `dirty`) and counters. Zeros are left out.
    pub blame: Vec<(String, Pending)>,
    /// A directory's range of hashes, raw.
    pub dht: Option<Blob>,
    /// The subvolume that has the data, if this is a link-to file.
    pub linkto: Option<String>,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: Blob,
    /// Its place: give the last one as `after` to go on.
    pub cookie: u64,
    /// `DT_REG`, `DT_DIR`, …
    pub kind: u8,
    /// Its inode, if asked for and readable.
    pub inode: Option<Inode>,
}

/// Room on a brick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Room {
    /// Bytes a block.
    pub block: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free ones.
    pub free: u64,
    /// Free ones for everybody.
    pub available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free ones.
    pub files_free: u64,
    /// Which file system it is; equal for bricks that share one.
    pub fsid: u64,
}

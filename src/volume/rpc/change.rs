//! What a fop carries that says what shall become: counters to add to, something new, figures to set.

use serde::{Deserialize, Serialize};

use super::Blob;
use crate::volume::gfid::Gfid;
use crate::volume::xattr::{Pending, Time};

/// Adds to counters on one inode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xattrop {
    /// The inode.
    pub gfid: Gfid,
    /// Key (`trusted.afr.dirty`, `trusted.afr.gv0-client-2`) and what to add.
    pub add: Vec<(String, Pending)>,
    /// The name whose change is counted, remembered under `indices/entry-changes/<gfid>/`.
    pub name: Option<Blob>,
}

/// Something new in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its identity.
    pub gfid: Gfid,
    /// Type and permissions (`S_IFREG | 0o644`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a special file.
    pub rdev: u32,
    /// Target of a symbolic link.
    pub target: Blob,
    /// When it is made.
    pub time: Time,
    /// Attributes that it begins with.
    pub xattrs: Vec<(Blob, Blob)>,
    /// What a program that makes it does not want it to have of the mode (umask(2)), unless the directory hands down a list of its
    /// own. `None`: it is made as it is, by somebody who gives it everything.
    #[serde(default)]
    pub umask: Option<u32>,
}

/// What to change of an inode; `None`: leave it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    /// Permissions.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last access.
    pub atime: Option<Time>,
    /// Last change of the contents.
    pub mtime: Option<Time>,
    /// Last change of the inode.
    pub ctime: Option<Time>,
}

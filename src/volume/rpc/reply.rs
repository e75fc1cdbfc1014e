//! What a fop gives.

use serde::{Deserialize, Serialize};

use super::{Blob, Entry, Held, Iatt, Inode, Room};
use crate::volume::gfid::Gfid;
use crate::volume::xattr::Pending;

/// What a fop gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// You are known; whether files on this brick blame other copies.
    Welcome {
        /// See [`ToClient::Blaming`].
        blaming: bool,
    },
    /// An inode.
    Inode(Box<Inode>),
    /// The inode after the change.
    Changed(Iatt),
    /// So many bytes were read; they are the message's payload.
    Data(u32),
    /// A value, a target, a path.
    Bytes(Blob),
    /// Keys and values.
    Xattrs(Vec<(Blob, Blob)>),
    /// Entries; none: the end.
    Entries(Vec<Entry>),
    /// The sums.
    Counters(Vec<(String, Pending)>),
    /// Identities.
    Gfids(Vec<Gfid>),
    /// Names.
    Names(Vec<Blob>),
    /// An offset.
    Number(u64),
    /// xxHash64 of each block, and how many bytes it has.
    Checksums(Vec<(u64, u32)>),
    /// Room.
    Room(Room),
    /// A lock that is in the way.
    Holder(Option<Held>),
}

impl Reply {
    /// The inode in it, whole or its figures alone.
    pub fn iatt(&self) -> Option<Iatt> {
        match self {
            Self::Inode(inode) => Some(inode.iatt),
            Self::Changed(iatt) => Some(*iatt),
            _ => None,
        }
    }
}

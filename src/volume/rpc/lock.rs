//! Locks: those that copies' changes are kept apart with, and those that processes hold (fcntl, flock).

use serde::{Deserialize, Serialize};

use super::Blob;
use crate::volume::gfid::Gfid;

/// Which lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lock {
    /// Locks of different domains do not know each other.
    pub domain: Domain,
    /// The file or directory.
    pub gfid: Gfid,
    /// In the entry domain: one name of the directory; `None`: all names at once.
    pub name: Option<Blob>,
}

/// What a lock protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Domain {
    /// Contents and attributes of one inode.
    Inode,
    /// Names in one directory.
    Entry,
    /// The right to heal one inode: keeps healers apart.
    Heal,
}

/// Whoever holds a lock of a process: the number that a client's kernel knows it by.
pub type Owner = u64;

/// How a process holds bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// Not at all: gives them back.
    None,
    /// With others who read.
    Read,
    /// Alone.
    Write,
}

/// A lock of a process (fcntl, flock).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Whose.
    pub owner: Owner,
    /// The process, for those who ask who is in the way.
    pub pid: u32,
    /// How.
    pub hold: Hold,
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

//! What a union reports: the payload of a world event.

use serde::{Deserialize, Serialize};

/// One branch as reports and listings show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchInfo {
    /// The directory.
    pub path: String,
    /// Its permission with attributes: `rw`, `ro+wh`.
    pub permission: String,
    /// Bytes that ordinary users may still write on its file system.
    pub free: u64,
    /// Bytes of its file system in all.
    pub total: u64,
}

/// A name that several branches have something of. Branches by index, topmost first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The name, without its directory.
    pub name: String,
    /// The branches that have it.
    pub copies: Vec<usize>,
    /// The branches that hold a whiteout of it.
    pub whiteouts: Vec<usize>,
}

impl Overlap {
    /// Whether a whiteout lies above every copy.
    pub fn is_hidden(&self) -> bool {
        self.copies.first().is_none_or(|copy| self.whiteouts.iter().any(|whiteout| whiteout < copy))
    }
}

/// Something that happened in a union mount. Paths are within the union and begin with `/`; branches are named by their
/// index at that moment, 0 topmost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The union was mounted, or its branches or options changed.
    Branches {
        /// Where it is mounted.
        at: String,
        /// The branches, topmost first.
        branches: Vec<BranchInfo>,
        /// Options that differ from the defaults, and how direct changes are noticed.
        options: String,
        /// What led to it: `mount`, `append:/b=ro`.
        because: String,
    },
    /// It was unmounted.
    Unmounted {
        /// Where it was.
        at: String,
    },
    /// A name was looked up and a branch answered.
    Resolved {
        /// Where the union is mounted.
        at: String,
        /// The path.
        path: String,
        /// The branch that serves it.
        branch: usize,
        /// For a directory: the other branches merged into it.
        merged: Vec<usize>,
    },
    /// A directory was listed: what lies over what in it.
    Listed {
        /// Where the union is mounted.
        at: String,
        /// The directory.
        path: String,
        /// Its names that are in several branches or hidden by a whiteout; no more than some dozens.
        overlaps: Vec<Overlap>,
        /// The branches that hold an opaque mark in it.
        opaque: Vec<usize>,
    },
    /// A branch was chosen for a new name.
    Placed {
        /// Where the union is mounted.
        at: String,
        /// The path.
        path: String,
        /// The branch.
        branch: usize,
        /// The policy in the words of the option: `tdp`, `rr`.
        policy: String,
    },
    /// An object was copied to a writable branch because it was about to change.
    CopiedUp {
        /// Where the union is mounted.
        at: String,
        /// The path.
        path: String,
        /// From this branch.
        from: usize,
        /// To this.
        to: usize,
        /// Bytes of content.
        bytes: u64,
    },
    /// A whiteout was made: the name below is hidden from now on.
    WhiteoutMade {
        /// Where the union is mounted.
        at: String,
        /// The hidden path.
        path: String,
        /// The branch that holds the whiteout.
        branch: usize,
    },
    /// A whiteout was removed, because its name exists again.
    WhiteoutRemoved {
        /// Where the union is mounted.
        at: String,
        /// The path.
        path: String,
        /// The branch that held it.
        branch: usize,
    },
    /// A directory was made opaque: lower directories of the name are not merged.
    MadeOpaque {
        /// Where the union is mounted.
        at: String,
        /// The directory.
        path: String,
        /// The branch that holds the mark.
        branch: usize,
    },
    /// A name was removed from a branch.
    Removed {
        /// Where the union is mounted.
        at: String,
        /// The path.
        path: String,
        /// The branch that it was removed from; `None`: it was hidden only.
        branch: Option<usize>,
    },
    /// A name was renamed on a branch.
    Renamed {
        /// Where the union is mounted.
        at: String,
        /// The old path.
        from: String,
        /// The new path.
        to: String,
        /// The branch.
        branch: usize,
    },
    /// A branch was changed by somebody who did not go through the union, and caches were corrected.
    ChangedDirectly {
        /// Where the union is mounted.
        at: String,
        /// The path in the union.
        path: String,
    },
}

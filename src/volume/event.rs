//! What the volume core reports: the payload of a world event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::definition::Volume;
use super::handshake::Defrag;
use super::xattr::{Kind, Pending};

/// Something that happened in the volume part of the world. Bricks are named as in the volume: `server1:/data/brick1/gv0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// A volume is this from now on (reported by a manager).
    Volume(Box<Volume>),
    /// A manager knows these others, each with whether it is connected to it (reported by a manager).
    Pool {
        /// The others, by name.
        peers: Vec<(String, bool)>,
    },
    /// How far one server is with a rebalance, or with moving files off bricks that are to go (reported by its manager).
    Task {
        /// What it is: `Rebalance`, `Remove brick`.
        label: String,
        /// The figures.
        progress: Defrag,
    },
    /// A volume was deleted.
    Deleted {
        /// Its name.
        volume: String,
    },
    /// A client's connection to a brick came or went.
    Connection {
        /// The volume.
        volume: String,
        /// The brick.
        brick: String,
        /// Whether it is up now.
        up: bool,
    },
    /// How much is on a brick, and how many inodes there blame another copy (reported by the brick, about once a second
    /// while it changes).
    Brick {
        /// The volume.
        volume: String,
        /// The brick.
        brick: String,
        /// Bytes written by clients since it started.
        written: u64,
        /// Bytes read by clients since it started.
        read: u64,
        /// Inodes that blame another copy.
        pending: u64,
        /// Whether attributes are stored under `trusted.*`; else under `user.*`, which links and special files cannot have.
        trusted: bool,
    },
    /// A healer copied something.
    Healed {
        /// The volume.
        volume: String,
        /// The path, or `<gfid:…>`.
        path: String,
        /// What was copied.
        kind: Kind,
        /// From which brick.
        from: String,
        /// To which bricks.
        to: Vec<String>,
        /// How many bytes of contents.
        bytes: u64,
    },
    /// A healer found copies that accuse each other.
    SplitBrain {
        /// The volume.
        volume: String,
        /// The path, or `<gfid:…>`.
        path: String,
        /// What they disagree about.
        kind: Kind,
    },
    /// A healer went through an index or a tree.
    Crawled {
        /// The volume.
        volume: String,
        /// Inodes healed.
        healed: u64,
        /// Inodes that could not be healed now.
        left: u64,
    },
    /// A name was made on a set, and why there (reported by a mount while somebody watches).
    Placed {
        /// The volume.
        volume: String,
        /// The directory's path: `/`, `/d1`.
        #[serde(default)]
        dir: String,
        /// The name.
        name: String,
        /// Its hash.
        hash: u32,
        /// The subvolume: `gv0-replicate-0`.
        subvolume: String,
        /// Which hashes each subvolume holds of the directory, first to last; 0–0 is nothing.
        #[serde(default)]
        ranges: Vec<(String, u32, u32)>,
    },
    /// The copies of one inode, and what each holds against the others (reported by a mount that wrote it while somebody
    /// watches, and by a healer that healed it or could not).
    Copies {
        /// The volume.
        volume: String,
        /// The path, or `<gfid:…>`.
        path: String,
        /// One a brick of its set, in the volume's order.
        copies: Vec<Copy>,
    },
    /// A file moved to another set (rebalance, remove-brick).
    Moved {
        /// The volume.
        volume: String,
        /// The path.
        path: String,
        /// From which subvolume.
        from: String,
        /// To which.
        to: String,
        /// Its size.
        bytes: u64,
    },
    /// One step of the way of a request (reported by the mount and by the bricks while somebody watches).
    Step {
        /// The volume.
        volume: String,
        /// The request; the steps of one have one number, and later requests have larger ones.
        request: u64,
        /// `vfs`, `fuse`, `write-behind`, `dht`, `afr`, `client`, `server`, `posix`.
        layer: String,
        /// What happens there, by the name of its text (`way-lock`).
        note: String,
        /// What fills the text's holes.
        #[serde(default)]
        args: BTreeMap<String, String>,
    },
    /// A scrub went over a brick's files and compared them with the other copies (reported by the scrubber of its server).
    Scrubbed {
        /// The volume.
        volume: String,
        /// The brick.
        brick: String,
        /// Files compared.
        files: u64,
        /// Files that could not be compared: a copy was away, or somebody wrote.
        skipped: u64,
        /// Paths whose copy on this brick differs from what most copies have.
        bad: Vec<String>,
    },
}

/// One copy of an inode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The brick.
    pub brick: String,
    /// What is known of it.
    pub state: CopyState,
    /// Bytes.
    pub size: u64,
    /// Whom it accuses: `gv0-client-2`, or `dirty` for what it began and did not end; and of how much.
    pub blame: Vec<(String, Pending)>,
}

/// What is known of a copy.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyState {
    /// Nobody accuses it.
    Good,
    /// Another copy accuses it: it is behind.
    Stale,
    /// It and another accuse each other.
    Split,
    /// Its brick answers, and does not have it.
    Missing,
    /// Its brick does not answer.
    Away,
}

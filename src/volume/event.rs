//! What the volume core reports: the payload of a world event.

use serde::{Deserialize, Serialize};

use super::definition::Volume;
use super::handshake::Defrag;
use super::xattr::Kind;

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
    /// A name was made on a set, and why there (reported at classroom speed).
    Placed {
        /// The volume.
        volume: String,
        /// The name.
        name: String,
        /// Its hash.
        hash: u32,
        /// The subvolume: `gv0-replicate-0`.
        subvolume: String,
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
    /// One step of the way of a request (reported at classroom speed).
    Step {
        /// The volume.
        volume: String,
        /// Counts requests; the steps of one have one number.
        request: u64,
        /// `vfs`, `fuse`, `write-behind`, `dht`, `afr`, `client`, `brick`, `posix`.
        layer: String,
        /// What happens there.
        note: String,
    },
}

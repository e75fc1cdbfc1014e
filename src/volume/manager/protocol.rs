//! What managers say to each other, and what the command line says to its own manager.
//!
//! Between managers every request is named as in GlusterFS's own protocol, since the names are seen on the links. A
//! transaction is `CLUSTER_LOCK`, `STAGE_OP`, `COMMIT_OP`, `CLUSTER_UNLOCK` to every connected peer in turn.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::op::Op;
use super::peer::Peer;
use super::task::Task;
use crate::volume::definition::Volume;
use crate::volume::handshake::{BrickAsk, Request, ScrubReport};

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty),* $(,)? } = $kind:literal => $reply:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $name { $($(#[$fdoc])* pub $field: $type),* }
            impl Request for $name {
                const KIND: &'static str = $kind;
                type Reply = $reply;
            }
        )*
    };
}

requests! {
    /// May you join our pool? The reply is the identity of the one asked; it refuses if it has a pool or volumes of its own.
    Probe {
        /// Who asks.
        uuid: Uuid,
        /// Under which name the one asked was given.
        hostname: String,
    } = "PROBE_QUERY" => Uuid;
    /// This is the pool: everybody in it, the sender and the receiver included.
    FriendUpdate {
        /// Everybody.
        peers: Vec<Peer>,
    } = "FRIEND_UPDATE" => ();
    /// This manager is no longer in the pool; if it is the receiver itself, it forgets the pool.
    FriendRemove {
        /// Who leaves.
        uuid: Uuid,
    } = "FRIEND_REMOVE" => ();
    /// These are my volumes. The reply holds those that the receiver has in a newer version, and what it knows as deleted.
    Compare {
        /// Who asks.
        uuid: Uuid,
        /// Name, id, version, checksum.
        volumes: Vec<(String, Uuid, u64, u32)>,
        /// Ids of deleted volumes.
        deleted: Vec<Uuid>,
    } = "FRIEND_ADD" => Compared;
    /// Lock a volume.
    Lock {
        /// For whose transaction.
        by: Uuid,
        /// Which.
        volume: String,
    } = "CLUSTER_LOCK" => ();
    /// Unlock it.
    Unlock {
        /// Whose transaction ended.
        by: Uuid,
        /// Which.
        volume: String,
    } = "CLUSTER_UNLOCK" => ();
    /// Could you do this?
    Stage {
        /// What.
        op: Op,
    } = "STAGE_OP" => ();
    /// Do it.
    Commit {
        /// What.
        op: Op,
    } = "COMMIT_OP" => ();
    /// Tell what you know of your own bricks and daemons of a volume.
    Query {
        /// Which volume.
        volume: String,
        /// What about it.
        about: About,
    } = "BRICK_OP" => Report;
}

/// The answer to [`Compare`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Newer than, or unknown to, the one who asked.
    pub newer: Vec<Volume>,
    /// Ids of deleted volumes.
    pub deleted: Vec<Uuid>,
    /// The name of a volume of which both have the same version but different content.
    pub contradiction: Option<String>,
    /// Options of the whole pool.
    pub globals: Vec<(String, String)>,
}

/// What a [`Query`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// Which processes run.
    Status,
    /// The same, with the disks of the bricks.
    Detail,
    /// How far the task is.
    Task,
    /// How many entries wait to be healed, from the bricks' indices.
    HealCount,
    /// Let the brick processes write down their state.
    Statedump,
    /// Let the brick processes begin new logs: all, or the one of this name.
    Rotate(Option<String>),
    /// Ask the brick processes themselves.
    Bricks(BrickAsk),
    /// Let the self-heal daemon begin now; `true`: the whole tree.
    Heal(bool),
    /// Let it compare the copies of every file.
    Scrub,
    /// What that found last.
    Scrubbed,
}

/// One server's answer to a [`Query`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The server: `localhost` for the manager that was asked itself.
    pub host: String,
    /// Its identity.
    pub peer: Uuid,
    /// Its bricks.
    pub bricks: Vec<BrickReport>,
    /// Its self-heal daemon, if the volume is one that is healed.
    pub healer: Option<Healer>,
    /// Its part of the task.
    pub task: Option<Task>,
    /// What its last scrub found.
    #[serde(default)]
    pub scrub: Option<ScrubReport>,
}

/// A self-heal daemon in a [`Report`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healer {
    /// Its process id, if it runs.
    pub pid: Option<i32>,
}

/// One brick in a [`Report`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrickReport {
    /// Its index in the volume.
    pub index: usize,
    /// Its process id, if it runs.
    pub pid: Option<i32>,
    /// Where it listens, if it runs.
    pub port: u16,
    /// Its disk.
    pub disk: Option<Disk>,
    /// What the brick process, or its index, answered; or why it did not.
    pub value: Option<Result<serde_json::Value, String>>,
}

/// The disk of a brick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// `ext4`, `xfs`, `tmpfs`.
    pub kind: String,
    /// `/dev/sdb1`.
    pub device: String,
    /// `rw,relatime`.
    pub options: String,
    /// Bytes of a block.
    #[serde(default)]
    pub block: u64,
    /// Bytes.
    pub free: u64,
    /// Bytes.
    pub total: u64,
    /// Inodes.
    pub inodes: u64,
    /// Inodes.
    pub free_inodes: u64,
}

/// What the command line asks of its own manager: one frame holding the words that were typed and this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// `peer probe HOST`.
    Probe(String),
    /// `peer detach HOST [force]`.
    Detach {
        /// Which.
        host: String,
        /// Although it cannot be reached.
        force: bool,
    },
    /// `peer status`, `pool list`.
    Peers,
    /// A change of a volume. Ids of peers and volumes are filled in by the manager.
    Change(Op),
    /// `volume set V group NAME`.
    SetGroup {
        /// The volume.
        volume: String,
        /// The group.
        group: String,
    },
    /// One volume, or all.
    Volumes(Option<String>),
    /// What was set for the whole pool.
    Globals,
    /// What the servers know of a volume.
    Query(Query),
}

/// What the manager answers to [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was done, or did not need to be: `Probe on localhost not needed`.
    Said(String),
    /// A task was begun.
    Task(Uuid),
    /// The pool: the others, each with whether it is connected.
    Peers {
        /// This manager's identity.
        own: Uuid,
        /// The others.
        peers: Vec<(Peer, bool)>,
    },
    /// Volumes, sorted by name, with the pool's options in force.
    Volumes(Vec<Volume>),
    /// Options, newest first.
    Options(Vec<(String, String)>),
    /// What the servers reported, `localhost` first, and the volume.
    Reports(Box<Volume>, Vec<Report>),
}

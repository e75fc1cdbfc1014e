//! What managers, clients and bricks say to each other apart from files: who gets which volume, and where its bricks are.
//!
//! A client (mount, self-heal daemon, rebalance) dials a manager ([`MANAGER_PORT`]), asks [`GetSpec`] and keeps the
//! connection: the manager pushes `FETCHSPEC` with a new [`Spec`] whenever the volume changes, and orders such as
//! [`HealOrder`] to the self-heal daemon. For each brick whose port the spec does not tell it asks that brick's own
//! manager [`PortByBrick`], then dials the brick.
//!
//! Every frame after the connection's [`Dial`](crate::world::wire::Dial) is an
//! [`Envelope`](crate::world::wire::Envelope): `kind` is the request's name ([`Request::KIND`]), `body` its MessagePack.
//! A **reply** has the same kind, the request's id as its `cause`, and the body `Result<Reply, String>`; an envelope
//! without a cause from the listening side is a **push**, which nobody answers.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::definition::Volume;

/// The port on which every manager listens.
pub const MANAGER_PORT: u16 = 24007;
/// The first port that a brick gets.
pub const FIRST_BRICK_PORT: u16 = 49152;
/// `volume_id` with which a self-heal daemon asks for all replicated volumes.
pub const SHD_VOLUME_ID: &str = "gluster/glustershd";
/// Kind of the push that brings a new [`Spec`].
pub const FETCHSPEC: &str = "FETCHSPEC";

/// A request by name, and what answers it.
pub trait Request: Serialize + DeserializeOwned {
    /// The envelope's `kind`.
    const KIND: &'static str;
    /// What the reply's `Ok` holds.
    type Reply: Serialize + DeserializeOwned;
}

/// Client → manager: hand me this volume, and push its changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetSpec {
    /// `gv0` or `/gv0`; `gluster/glustershd`; `rebalance/gv0`.
    pub volume_id: String,
    /// Who asks, for `volume status clients`: `fuse`, `glustershd`, `rebalance`, `glfsheal`.
    pub process: String,
}

impl Request for GetSpec {
    const KIND: &'static str = "GETSPEC";
    type Reply = Spec;
}

/// What a client needs to know. Volumes are as the manager has them; ports are filled in for the manager's own bricks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// One volume for a mount or a rebalance; every started replicated volume for a self-heal daemon.
    pub volumes: Vec<Volume>,
}

/// Anybody → the manager of the brick's own server: where does this brick listen?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortByBrick {
    /// The brick's path: `/data/brick1/gv0`.
    pub path: String,
}

impl Request for PortByBrick {
    const KIND: &'static str = "PORTBYBRICK";
    /// The TCP port. The reply is an error if the brick does not run.
    type Reply = u16;
}

/// Manager → self-heal daemon, as a push of kind [`HealOrder::KIND`] (no reply).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealOrder {
    /// The volume's name.
    pub volume: String,
    /// Walk the whole tree (`heal full`), not the indices alone.
    pub full: bool,
    /// Do not heal, but compare the copies of every file (`bitrot V scrub ondemand`).
    #[serde(default)]
    pub scrub: bool,
}

impl HealOrder {
    /// The push's kind.
    pub const KIND: &'static str = "HEAL";
}

/// Self-heal daemon → its own server's manager: what its last scrub of this server's bricks found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// The volume's name.
    pub volume: String,
    /// Whether it is under way.
    pub running: bool,
    /// Files compared.
    pub files: u64,
    /// Files that could not be compared.
    pub skipped: u64,
    /// When it ended, in seconds since the epoch; 0: never.
    pub ended: u64,
    /// How many seconds it took.
    pub seconds: u64,
    /// What is corrupt: gfid, the brick's path, the file's path.
    pub bad: Vec<(String, String, String)>,
}

impl Request for ScrubReport {
    const KIND: &'static str = "SCRUB";
    type Reply = ();
}

/// Rebalance process → its own server's manager, about once a second and at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defrag {
    /// The volume's name.
    pub volume: String,
    /// Files moved.
    pub files: u64,
    /// Bytes moved.
    pub size: u64,
    /// Files looked at.
    pub scanned: u64,
    /// Files that could not be moved.
    pub failures: u64,
    /// Files left where they are (hard links, or no room at the target).
    pub skipped: u64,
    /// How far it is.
    pub state: DefragState,
    /// Seconds since it began.
    pub seconds: u64,
    /// The commit hash that was written to the root's layout, when completed.
    #[serde(default)]
    pub commit_hash: Option<u32>,
}

impl Request for Defrag {
    const KIND: &'static str = "DEFRAG";
    /// `false`: stop now (after the file in hand).
    type Reply = bool;
}

/// How far a rebalance is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefragState {
    /// Not begun.
    #[default]
    NotStarted,
    /// Under way.
    InProgress,
    /// Stopped on request.
    Stopped,
    /// Ran to its end.
    Completed,
    /// Could not go on.
    Failed,
}

impl DefragState {
    /// Its word in `status`.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::InProgress => "in progress",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// What a rebalance process is to do (`--mode`): the words of its command line.
pub const DEFRAG_MODES: [&str; 4] = ["fix-layout", "rebalance", "force", "remove-brick"];

/// Manager → brick, a request: figures about the running brick, for `volume status`, `profile` and `top`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrickAsk {
    /// Who is connected. Reply: array of `{hostname, bytes_read, bytes_written, process}`.
    Clients,
    /// Counters since start and since the last question. Reply: `{cumulative: P, interval: P}` with
    /// `P = {duration, read, written, blocks: [[size, reads, writes]…], fops: [[name, calls, min_ns, avg_ns, max_ns]…]}`.
    Profile {
        /// Leave the interval's counters as they are.
        peek: bool,
    },
    /// Let all counters of `profile` begin anew. Reply: null.
    ProfileClear,
    /// Most used files. Reply: array of `[count, path]`, highest first.
    Top {
        /// `open`, `read`, `write`, `opendir`, `readdir`.
        what: String,
        /// At most so many.
        count: usize,
    },
    /// Forget the counters of `top`. Reply: null.
    TopClear,
    /// Open files. Reply: array of `{path, fds}`.
    Fds,
    /// Descriptors. Reply: `{now, most, seconds, micros}`.
    Opens,
    /// What mallinfo(3) says. Reply: its ten figures.
    Memory,
    /// How many inodes clients look at. Reply: `{active, lru}`.
    Inodes,
    /// Requests that wait. Reply: array of `{fop}`.
    Calls,
    /// How fast the disk is: so many blocks of so many bytes, written or read. Reply: `{megabytes, seconds}`.
    Speed {
        /// Write, not read.
        write: bool,
        /// Bytes a block.
        block: u64,
        /// Blocks.
        count: u64,
    },
    /// Fastest reads or writes of files (`read-perf`, `write-perf`). Reply: array of `[megabytes a second, path, time]`.
    Fastest {
        /// Writes, not reads.
        write: bool,
        /// At most so many.
        count: usize,
    },
    /// Take the locks of processes on a file from whoever holds them. Reply: how many.
    Unlock {
        /// The file, from the root of the volume.
        path: String,
    },
    /// Begin a new log; the old one stays under another name. Reply: null.
    Rotate,
    /// Count against the brick of this client (`gv0-client-2`), which is new and empty, one pending change of metadata and of
    /// entries of the root directory, so that it is healed from here. Reply: null.
    Blame {
        /// The name under which the new brick is blamed.
        client: String,
    },
    /// The volume changed: use this definition from now on. Reply: null.
    Reconfigure(Box<Volume>),
}

impl Request for BrickAsk {
    const KIND: &'static str = "BRICK";
    type Reply = serde_json::Value;
}

//! What a volume is: the value that every other part of it is a function of.
//!
//! A volume is a named list of **bricks**, each a directory on a server. Consecutive bricks form **replica sets**
//! (`replica` of them a set; 1 means that nothing is replicated); files are spread over the sets by the hash of their
//! names. The order in which the bricks were typed is therefore part of the meaning, and a brick keeps its **slot**
//! (`gv0-client-3`) when it is replaced: blame is recorded under that name on the disks of the others.
//!
//! The managers own definitions, bump `version` at every change and hand them to clients, bricks and self-heal daemons
//! whole. Left out: dispersed volumes, tiers, snapshots; transports other than TCP.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A volume as all managers of the pool agreed on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// `gv0`: letters, digits, `-` and `_`.
    pub name: String,
    /// Written to every brick's root as `trusted.glusterfs.volume-id`.
    pub id: Uuid,
    /// Whether it was started.
    pub status: Status,
    /// Copies of each file, an arbiter's included; 1: no replication.
    pub replica: usize,
    /// How many bricks of each set hold names and attributes but no data: 0, or 1 (the last brick of each set).
    #[serde(default)]
    pub arbiter: usize,
    /// In the order of the command line: `replica` consecutive ones form a set.
    pub bricks: Vec<Brick>,
    /// What was set and differs from the defaults, newest first.
    #[serde(default)]
    pub options: Vec<(String, String)>,
    /// Bumped by every change; managers that meet compare it, and the higher one wins.
    pub version: u64,
    /// The commit hash of layouts that are up to date (`trusted.glusterfs.dht`); 1 until the first rebalance.
    #[serde(default = "one")]
    pub commit_hash: u32,
}

/// One brick: a directory on a server that holds one copy of a part of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brick {
    /// The name under which the server was given: `server1`.
    pub host: String,
    /// The absolute path of the directory there.
    pub path: String,
    /// The peer that the host is.
    pub peer: Uuid,
    /// The brick's slot N in `VOLUME-client-N`; stays when the brick is replaced. Usually its index.
    pub slot: usize,
    /// TCP port of the running brick as its own server's manager last knew it; 0: not known here, ask that manager.
    #[serde(default)]
    pub port: u16,
    /// Whether its files are to move away (`remove-brick … start`): no new file is placed here.
    #[serde(default)]
    pub decommissioned: bool,
}

/// Whether a volume was started. Numbers as in the store (`vols/V/info`, `status=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Never started.
    Created = 0,
    /// Its bricks should run.
    Started = 1,
    /// Its bricks should not run.
    Stopped = 2,
}

/// What kind of volume it is; follows from the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Files are spread over single bricks.
    Distribute,
    /// One replica set.
    Replicate,
    /// Files are spread over several replica sets.
    DistributedReplicate,
}

fn one() -> u32 {
    1
}

impl Volume {
    /// The replica sets, each a slice of `replica` bricks.
    pub fn sets(&self) -> impl Iterator<Item = &[Brick]> {
        self.bricks.chunks(self.replica.max(1))
    }

    /// How many replica sets (or single bricks) the files are spread over.
    pub fn set_count(&self) -> usize {
        self.bricks.len() / self.replica.max(1)
    }

    /// Whether files have more than one copy.
    pub fn is_replicated(&self) -> bool {
        self.replica > 1
    }

    /// Whether the brick at `index` is an arbiter: all names, no data.
    pub fn is_arbiter(&self, index: usize) -> bool {
        self.arbiter > 0 && index % self.replica.max(1) >= self.replica - self.arbiter
    }

    /// What kind of volume it is.
    pub fn kind(&self) -> Kind {
        match (self.is_replicated(), self.set_count()) {
            (false, _) => Kind::Distribute,
            (true, 0 | 1) => Kind::Replicate,
            (true, _) => Kind::DistributedReplicate,
        }
    }

    /// The translator name of a brick's client, which blame and link-to files are recorded under: `gv0-client-0`.
    pub fn client_name(&self, brick: &Brick) -> String {
        format!("{}-client-{}", self.name, brick.slot)
    }

    /// The translator name of what the hash distributes over: `gv0-replicate-K` or, unreplicated, `gv0-client-N`.
    pub fn subvolume_name(&self, set: usize) -> String {
        match self.bricks.get(set) {
            Some(brick) if !self.is_replicated() => self.client_name(brick),
            _ => format!("{}-replicate-{set}", self.name),
        }
    }

    /// The value of an option that was set; `None` if it has its default (see [`super::options::value`]).
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Sets an option; it becomes the newest one, keeping its place if it was set before.
    pub fn set_option(&mut self, key: &str, value: &str) {
        match self.options.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value.into(),
            None => self.options.insert(0, (key.into(), value.into())),
        }
    }

    /// The brick `host:path`, with its index.
    pub fn brick(&self, host: &str, path: &str) -> Option<(usize, &Brick)> {
        self.bricks.iter().enumerate().find(|(_, b)| b.host == host && b.path == path)
    }
}

impl Brick {
    /// `server1:/data/brick1/gv0`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.path)
    }
}

impl Kind {
    /// `Distributed-Replicate`, as `volume info` shows it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Distribute => "Distribute",
            Self::Replicate => "Replicate",
            Self::DistributedReplicate => "Distributed-Replicate",
        }
    }

    /// The number that XML output shows.
    pub fn number(self) -> u8 {
        match self {
            Self::Distribute => 0,
            Self::Replicate => 2,
            Self::DistributedReplicate => 7,
        }
    }
}

impl Status {
    /// `Started`, as `volume info` shows it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Started => "Started",
            Self::Stopped => "Stopped",
        }
    }
}

#[cfg(test)]
pub(in crate::volume) mod tests {
    use super::*;

    /// `gv0` with so many copies, arbiters and bricks.
    pub fn volume(replica: usize, arbiter: usize, bricks: usize) -> Volume {
        let brick = |n: usize| Brick {
            host: format!("server{}", n + 1),
            path: "/data/b".into(),
            peer: Uuid::nil(),
            slot: n,
            port: 0,
            decommissioned: false,
        };
        Volume {
            name: "gv0".into(),
            id: Uuid::nil(),
            status: Status::Created,
            replica,
            arbiter,
            bricks: (0..bricks).map(brick).collect(),
            options: vec![],
            version: 1,
            commit_hash: 1,
        }
    }

    /// Consecutive bricks form the sets, and the names of what the hash sees follow from that.
    #[test]
    fn counts_make_the_kind_and_the_names() {
        let (plain, three, six) = (volume(1, 0, 4), volume(3, 0, 3), volume(3, 1, 6));
        assert_eq!((plain.kind(), three.kind()), (Kind::Distribute, Kind::Replicate));
        assert_eq!(six.kind(), Kind::DistributedReplicate);
        assert_eq!(six.sets().map(|s| s[0].name()).collect::<Vec<_>>(), ["server1:/data/b", "server4:/data/b"]);
        assert_eq!((plain.subvolume_name(2), six.subvolume_name(1)), ("gv0-client-2".into(), "gv0-replicate-1".into()));
        let arbiters: Vec<usize> = (0..6).filter(|i| six.is_arbiter(*i)).collect();
        assert_eq!(arbiters, [2, 5], "the third brick of each set");
    }

    /// A definition survives both encodings in which it travels: files for bricks are JSON, the wire is MessagePack.
    #[test]
    fn a_definition_survives_its_encodings() {
        let mut gv0 = volume(3, 0, 3);
        gv0.set_option("network.ping-timeout", "10");
        gv0.set_option("cluster.quorum-type", "auto");
        gv0.set_option("network.ping-timeout", "8");
        assert_eq!(gv0.options[0].0, "cluster.quorum-type", "newest first");
        assert_eq!(gv0.option("network.ping-timeout"), Some("8"));
        let json = serde_json::to_string(&gv0).unwrap();
        assert_eq!(serde_json::from_str::<Volume>(&json).unwrap(), gv0);
        assert_eq!(crate::world::wire::decode::<Volume>(&crate::world::wire::encode(&gv0)).unwrap(), gv0);
    }
}

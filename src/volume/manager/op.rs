//! What a transaction changes: every change of the pool's volumes is one [`Op`], and its effect on the definition is a
//! function.
//!
//! The manager that was asked sends the same op to all others, and each applies it to its own copy of the definition:
//! equal copies stay equal, and `version` counts the changes. What has to happen to processes and disks follows from
//! the difference between the old definition and the new one (`reconcile`).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::volume::definition::{Brick, Status, Volume};

/// A change of one volume, as all managers carry it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// The volume's name; `all` for options of the whole pool.
    pub volume: String,
    /// What changes.
    pub change: Change,
    /// `force` at the end of the command line.
    pub force: bool,
}

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A new volume; its definition in full.
    Create(Box<Volume>),
    /// Start bricks and daemons.
    Start,
    /// Stop them.
    Stop,
    /// Forget the volume; bricks keep their files.
    Delete,
    /// Set options, keys in full.
    Set(Vec<(String, String)>),
    /// Back to the default: one option, or all.
    Reset(Option<String>),
    /// More bricks, and the number of copies that there shall be then.
    AddBrick {
        /// The new bricks; their slots are given when they are added.
        bricks: Vec<Brick>,
        /// Copies of each file from now on.
        replica: usize,
        /// Arbiters in each set from now on.
        arbiter: usize,
    },
    /// Fewer bricks.
    RemoveBrick {
        /// Which, as (host, path).
        bricks: Vec<(String, String)>,
        /// Copies of each file when they are gone.
        replica: usize,
        /// How far.
        action: Removal,
        /// The task's id, for `Start`.
        task: Uuid,
    },
    /// Move files to where their names hash to.
    Rebalance {
        /// `None`: stop the one that runs.
        mode: Option<DefragMode>,
        /// The task's id.
        task: Uuid,
        /// The commit hash that layouts get.
        commit_hash: u32,
    },
    /// Another brick takes the slot of an old one and is healed.
    ReplaceBrick {
        /// The old one, as (host, path).
        old: (String, String),
        /// The new one.
        new: Brick,
    },
    /// Take a brick offline (`None`), or bring one back, empty, in its place.
    ResetBrick {
        /// Which, as (host, path).
        old: (String, String),
        /// What comes back.
        new: Option<Brick>,
    },
    /// Count and time file operations, or stop doing so.
    Profile(bool),
    /// Options of the scrub; none: it is switched off, and they are forgotten.
    Bitrot(Vec<(String, String)>),
}

/// The steps of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// Place nothing new there, and move files away.
    Start,
    /// The files have moved: let the bricks go.
    Commit,
    /// Keep the bricks after all.
    Stop,
    /// Let the bricks go with what is on them.
    Force,
}

/// What a rebalance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefragMode {
    /// New ranges alone.
    FixLayout,
    /// New ranges, then move files.
    Rebalance,
    /// The same, even to where there is less room.
    Force,
    /// Move files off decommissioned bricks.
    RemoveBrick,
}

impl DefragMode {
    /// The word of the rebalance process's command line (`--mode`).
    pub fn word(self) -> &'static str {
        match self {
            Self::FixLayout => "fix-layout",
            Self::Rebalance => "rebalance",
            Self::Force => "force",
            Self::RemoveBrick => "remove-brick",
        }
    }
}

/// The options that a new volume is born with, newest first, as GlusterFS 10 sets them.
pub fn birth_options(replica: usize) -> Vec<(String, String)> {
    let replicated = [
        ("cluster.granular-entry-heal", "on"),
        ("storage.fips-mode-rchecksum", "on"),
        ("transport.address-family", "inet"),
    ];
    let rest = [("nfs.disable", "on"), ("performance.client-io-threads", "off")];
    let all = replicated.into_iter().chain(rest);
    let kept = all.filter(|(k, _)| replica > 1 || SURVIVES_RESET.contains(k));
    kept.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// What `volume reset V` leaves alone.
const SURVIVES_RESET: [&str; 3] = ["storage.fips-mode-rchecksum", "transport.address-family", "nfs.disable"];
/// What `volume profile V start` sets.
const PROFILE: [&str; 2] = ["diagnostics.count-fop-hits", "diagnostics.latency-measurement"];

impl Op {
    /// The definition after the change; `None` if the volume is gone. `old` is `None` for a creation alone.
    pub fn apply(&self, old: Option<&Volume>) -> Option<Volume> {
        let mut volume = match (&self.change, old) {
            (Change::Create(volume), _) => return Some((**volume).clone()),
            (Change::Delete, _) | (_, None) => return None,
            (_, Some(old)) => old.clone(),
        };
        self.change.alter(&mut volume);
        volume.version += 1;
        Some(volume)
    }
}

impl Change {
    fn alter(&self, volume: &mut Volume) {
        match self {
            Self::Create(_) | Self::Delete => {}
            Self::Start => volume.status = Status::Started,
            Self::Stop => volume.status = Status::Stopped,
            Self::Set(options) => options.iter().for_each(|(k, v)| volume.set_option(k, v)),
            Self::Reset(Some(key)) => volume.options.retain(|(k, _)| k != key),
            Self::Reset(None) => volume.options.retain(|(k, _)| SURVIVES_RESET.contains(&k.as_str())),
            Self::AddBrick { bricks, replica, arbiter } => add_bricks(volume, bricks, *replica, *arbiter),
            Self::RemoveBrick { bricks, replica, action, .. } => remove_bricks(volume, bricks, *replica, *action),
            Self::Rebalance { mode: Some(_), commit_hash, .. } => volume.commit_hash = *commit_hash,
            Self::Rebalance { mode: None, .. } | Self::ResetBrick { new: None, .. } => {}
            Self::ReplaceBrick { old, new } | Self::ResetBrick { old, new: Some(new) } => replace(volume, old, new),
            Self::Bitrot(options) if options.is_empty() => {
                volume.options.retain(|(k, _)| k != "features.bitrot" && !k.starts_with("features.scrub"));
            }
            Self::Bitrot(options) => options.iter().for_each(|(k, v)| volume.set_option(k, v)),
            Self::Profile(true) => PROFILE.iter().for_each(|key| volume.set_option(key, "on")),
            Self::Profile(false) => volume.options.retain(|(k, _)| !PROFILE.contains(&k.as_str())),
        }
    }
}

/// New sets at the end; or, when the number of copies grows, the new bricks dealt out to the sets that there are.
fn add_bricks(volume: &mut Volume, new: &[Brick], replica: usize, arbiter: usize) {
    let first = volume.bricks.iter().map(|b| b.slot + 1).max().unwrap_or(0);
    let mut new = new.iter().enumerate().map(|(i, b)| Brick { slot: first + i, ..b.clone() });
    let more = replica.saturating_sub(volume.replica);
    if more > 0 {
        let old = std::mem::take(&mut volume.bricks);
        for set in old.chunks(volume.replica.max(1)) {
            volume.bricks.extend(set.iter().cloned().chain(new.by_ref().take(more)));
        }
    }
    volume.bricks.extend(new);
    (volume.replica, volume.arbiter) = (replica, arbiter);
}

fn remove_bricks(volume: &mut Volume, which: &[(String, String)], replica: usize, action: Removal) {
    let named = |b: &Brick| which.iter().any(|(host, path)| (host, path) == (&b.host, &b.path));
    match action {
        Removal::Start | Removal::Stop => {
            volume.bricks.iter_mut().filter(|b| named(b)).for_each(|b| b.decommissioned = action == Removal::Start);
        }
        Removal::Commit | Removal::Force => {
            volume.bricks.retain(|b| !named(b));
            if replica < volume.replica {
                volume.arbiter = 0;
            }
            volume.replica = replica;
        }
    }
}

fn replace(volume: &mut Volume, (host, path): &(String, String), new: &Brick) {
    if let Some(brick) = volume.bricks.iter_mut().find(|b| (&b.host, &b.path) == (host, path)) {
        *brick = Brick { slot: brick.slot, decommissioned: false, ..new.clone() };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A volume of `count` bricks `server1:/b1`, `server2:/b2`, … for tests.
    pub fn volume(replica: usize, count: usize) -> Volume {
        let brick = |n: usize| Brick {
            host: format!("server{n}"),
            path: format!("/b{n}"),
            peer: Uuid::from_u128(n as u128),
            slot: n - 1,
            port: 0,
            decommissioned: false,
        };
        Volume {
            name: "gv0".into(),
            id: Uuid::from_u128(99),
            status: Status::Created,
            replica,
            arbiter: 0,
            bricks: (1..=count).map(brick).collect(),
            options: birth_options(replica),
            version: 1,
            commit_hash: 1,
        }
    }

    fn after(volume: &Volume, change: Change) -> Volume {
        Op { volume: "gv0".into(), change, force: false }.apply(Some(volume)).expect("it is not deleted")
    }

    fn names(volume: &Volume) -> Vec<(String, usize)> {
        volume.bricks.iter().map(|b| (b.path.clone(), b.slot)).collect()
    }

    /// When the number of copies grows, each set gets its share of the new bricks; slots are never reused.
    #[test]
    fn more_copies_are_dealt_out_to_the_sets() {
        let new = volume(1, 6).bricks.split_off(4);
        let grown = after(&volume(2, 4), Change::AddBrick { bricks: new, replica: 3, arbiter: 0 });
        let expect = [("/b1", 0), ("/b2", 1), ("/b5", 4), ("/b3", 2), ("/b4", 3), ("/b6", 5)];
        assert_eq!(names(&grown), expect.map(|(p, s)| (p.to_owned(), s)));
        assert_eq!((grown.replica, grown.version), (3, 2));
    }

    /// A replaced brick keeps the slot, since the others' blame is recorded under its name.
    #[test]
    fn a_replacement_takes_the_slot() {
        let new = Brick { path: "/new".into(), slot: 77, ..volume(3, 3).bricks[1].clone() };
        let replaced = after(&volume(3, 3), Change::ReplaceBrick { old: ("server2".into(), "/b2".into()), new });
        assert_eq!(names(&replaced)[1], ("/new".into(), 1));
    }

    /// Reset drops what was set, and what a replicated volume was born with, but not the three that stay.
    #[test]
    fn reset_keeps_three() {
        let mut set = volume(3, 3);
        set.set_option("network.ping-timeout", "10");
        let keys: Vec<String> = after(&set, Change::Reset(None)).options.into_iter().map(|(k, _)| k).collect();
        assert_eq!(keys, ["storage.fips-mode-rchecksum", "transport.address-family", "nfs.disable"]);
    }

    /// Removal: marked at first, gone at commit; fewer copies end an arbiter.
    #[test]
    fn removal_marks_then_takes_away() {
        let change = |action| Change::RemoveBrick {
            bricks: vec![("server3".into(), "/b3".into())],
            replica: 2,
            action,
            task: Uuid::nil(),
        };
        let arbiter = Volume { arbiter: 1, ..volume(3, 3) };
        assert!(after(&arbiter, change(Removal::Start)).bricks[2].decommissioned);
        let less = after(&arbiter, change(Removal::Force));
        assert_eq!((less.bricks.len(), less.replica, less.arbiter), (2, 2, 0));
    }
}

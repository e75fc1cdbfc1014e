//! The volume part of the picture: a fold over its happenings.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::Name;
use crate::volume::definition::Volume;
use crate::volume::handshake::Defrag;
use crate::volume::xattr::Kind;
use crate::volume::{Copy, Happening};

/// How many of the last heals, moves, placements and steps the picture holds.
const LAST: usize = 100;

/// What is known of the volume part of the world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Picture {
    /// The volumes by name, as the managers last told.
    pub volumes: BTreeMap<String, Volume>,
    /// Whom each manager knows, and whether it is connected to it: `server1/glusterd` → (`server2`, true)…
    pub pool: BTreeMap<Name, Vec<(Name, bool)>>,
    /// What each manager last told of a volume's task: volume → manager → (`Rebalance`, figures).
    pub tasks: BTreeMap<String, BTreeMap<Name, (String, Defrag)>>,
    /// The bricks by name.
    pub bricks: BTreeMap<Name, Brick>,
    /// Client, brick, whether they are connected.
    pub links: BTreeMap<String, bool>,
    /// The last heals, newest last.
    pub heals: VecDeque<Heal>,
    /// The most inodes that waited to be healed since none did, by volume.
    pub peaks: BTreeMap<String, u64>,
    /// How many inodes the healers could not heal in their last round, by healer.
    pub left: BTreeMap<Name, u64>,
    /// Paths in split-brain, and about what.
    pub split: BTreeMap<String, Kind>,
    /// The last placements.
    pub placed: VecDeque<Placement>,
    /// The copies of the files that were last written or healed, by volume and path; the newest last.
    pub copies: VecDeque<Copies>,
    /// What the last scrub of each brick found.
    pub scrubs: BTreeMap<Name, Scrub>,
    /// The last moves: path, from, to, bytes.
    pub moved: VecDeque<(String, String, String, u64)>,
    /// The last steps of requests.
    pub steps: VecDeque<Step>,
}

/// What a brick told of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Brick {
    /// The volume.
    pub volume: String,
    /// Bytes written by clients.
    pub written: u64,
    /// Bytes read by clients.
    pub read: u64,
    /// Inodes that blame another copy.
    pub pending: u64,
    /// Whether attributes are stored under `trusted.*`.
    pub trusted: bool,
    /// Wall time of the last word, microseconds since the epoch.
    pub at: u64,
    /// Bytes written and read a second, between the last two words.
    pub rate: (u64, u64),
}

/// Where a name was put, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The volume.
    pub volume: String,
    /// The directory's path.
    pub dir: String,
    /// The name.
    pub name: String,
    /// Its hash.
    pub hash: u32,
    /// The subvolume.
    pub subvolume: String,
    /// Subvolume, first and last hash that it holds of the directory.
    pub ranges: Vec<(String, u32, u32)>,
}

/// The copies of one inode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Copies {
    /// The volume.
    pub volume: String,
    /// The path.
    pub path: String,
    /// One a brick of its set.
    pub copies: Vec<Copy>,
}

/// One step of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The request's number.
    pub request: u64,
    /// Who took it: a mount, or a brick.
    pub who: Name,
    /// The layer.
    pub layer: String,
    /// What happened there, by the name of its text.
    pub note: String,
    /// What fills the text's holes.
    pub args: BTreeMap<String, String>,
}

/// What a scrub of one brick found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scrub {
    /// The volume.
    pub volume: String,
    /// Files compared.
    pub files: u64,
    /// Files that could not be compared.
    pub skipped: u64,
    /// Paths whose copy here is corrupt.
    pub bad: Vec<String>,
    /// Wall time of the end, microseconds since the epoch.
    pub at: u64,
}

/// One heal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heal {
    /// The healer.
    pub by: Name,
    /// The path.
    pub path: String,
    /// What was copied.
    pub kind: Kind,
    /// From which brick.
    pub from: Name,
    /// To which.
    pub to: Vec<Name>,
    /// Bytes of contents.
    pub bytes: u64,
}

impl Picture {
    /// Whether a client (`mount:/mnt/gv0`, `server1/glustershd`) is connected to a brick; `None`: it never said.
    pub fn is_connected(&self, client: &str, brick: &str) -> Option<bool> {
        self.links.get(&format!("{client} {brick}")).copied()
    }

    /// How many inodes wait to be healed, over all bricks of a volume (each brick that blames counts its own).
    pub fn pending(&self, volume: &str) -> u64 {
        self.bricks.values().filter(|b| b.volume == volume).map(|b| b.pending).sum()
    }

    /// Remembers the most that ever waited, until nothing does.
    fn peak(&mut self, volume: &str) {
        match self.pending(volume) {
            0 => drop(self.peaks.remove(volume)),
            now => {
                let most = self.peaks.entry(volume.into()).or_default();
                *most = now.max(*most);
            }
        }
    }

    /// Folds one happening, reported by `who` at wall time `at` (microseconds since the epoch), into the picture.
    pub fn apply(&mut self, who: &str, at: u64, happening: &Happening) {
        match happening {
            Happening::Volume(volume) => {
                self.volumes.insert(volume.name.clone(), (**volume).clone());
            }
            Happening::Pool { peers } => {
                self.pool.insert(who.into(), peers.clone());
            }
            Happening::Task { label, progress } => {
                let of_volume = self.tasks.entry(progress.volume.clone()).or_default();
                of_volume.insert(who.into(), (label.clone(), progress.clone()));
            }
            Happening::Deleted { volume } => {
                self.volumes.remove(volume);
                self.tasks.remove(volume);
                self.bricks.retain(|_, b| b.volume != *volume);
                self.copies.retain(|c| c.volume != *volume);
                self.scrubs.retain(|_, s| s.volume != *volume);
            }
            Happening::Connection { brick, up, .. } => {
                self.links.insert(format!("{who} {brick}"), *up);
            }
            Happening::Brick { volume, brick, written, read, pending, trusted } => {
                let (volume, written, read, pending, trusted) = (volume.clone(), *written, *read, *pending, *trusted);
                let old = self.bricks.get(brick).cloned().unwrap_or_default();
                // A brick that was started anew counts from 0 again.
                let a_second = |new: u64, old: u64, since: u64| match at.saturating_sub(since) {
                    1.. if since > 0 => new.saturating_sub(old) * 1_000_000 / (at - since),
                    _ => 0,
                };
                let rate = (a_second(written, old.written, old.at), a_second(read, old.read, old.at));
                let name = volume.clone();
                self.bricks.insert(brick.clone(), Brick { volume, written, read, pending, trusted, at, rate });
                self.peak(&name);
            }
            Happening::Healed { path, kind, from, to, bytes, .. } => {
                self.split.remove(path);
                let (path, from, to) = (path.clone(), from.clone(), to.clone());
                push(&mut self.heals, Heal { by: who.into(), path, kind: *kind, from, to, bytes: *bytes });
            }
            Happening::SplitBrain { path, kind, .. } => {
                self.split.insert(path.clone(), *kind);
            }
            Happening::Crawled { left, .. } => {
                self.left.insert(who.into(), *left);
            }
            Happening::Placed { volume, dir, name, hash, subvolume, ranges } => {
                let (volume, dir, name) = (volume.clone(), dir.clone(), name.clone());
                let (subvolume, ranges) = (subvolume.clone(), ranges.clone());
                push(&mut self.placed, Placement { volume, dir, name, hash: *hash, subvolume, ranges });
            }
            Happening::Copies { volume, path, copies } => {
                self.copies.retain(|c| (&c.volume, &c.path) != (volume, path));
                push(&mut self.copies, Copies { volume: volume.clone(), path: path.clone(), copies: copies.clone() });
            }
            Happening::Scrubbed { volume, brick, files, skipped, bad } => {
                let (volume, bad) = (volume.clone(), bad.clone());
                self.scrubs.insert(brick.clone(), Scrub { volume, files: *files, skipped: *skipped, bad, at });
            }
            Happening::Moved { path, from, to, bytes, .. } => {
                push(&mut self.moved, (path.clone(), from.clone(), to.clone(), *bytes));
            }
            Happening::Step { request, layer, note, args, .. } => {
                let (who, layer, note, args) = (who.into(), layer.clone(), note.clone(), args.clone());
                push(&mut self.steps, Step { request: *request, who, layer, note, args });
            }
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == LAST {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A healed path is in split-brain no longer, and a client's links are known by both ends.
    #[test]
    fn the_picture_follows_what_is_told() {
        let mut picture = Picture::default();
        let (volume, brick) = (String::from("gv0"), String::from("server1:/b"));
        picture.apply(
            "mount:/mnt",
            1,
            &Happening::Connection { volume: volume.clone(), brick: brick.clone(), up: true },
        );
        assert_eq!(picture.is_connected("mount:/mnt", &brick), Some(true));
        let split = Happening::SplitBrain { volume: volume.clone(), path: "/f".into(), kind: Kind::Data };
        picture.apply("server1/glustershd", 2, &split);
        assert!(picture.split.contains_key("/f"));
        let (path, from) = (String::from("/f"), brick.clone());
        let healed = Happening::Healed { volume, path, kind: Kind::Data, from, to: vec![], bytes: 7 };
        picture.apply("server1/glustershd", 3, &healed);
        assert!(picture.split.is_empty() && picture.heals[0].bytes == 7);
    }
}

//! The container part of the picture: a fold over its happenings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Name;
use crate::container::{Happening, Room};

/// What is known of the container part of the world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Picture {
    /// Every container that exists or ran, by its own name (without `container:`).
    pub containers: BTreeMap<Name, Container>,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// LXC's word: `STOPPED`, `RUNNING`, `FROZEN`, …
    pub state: String,
    /// Pid 1's process id in the world; 0 when it does not run.
    pub pid: i32,
    /// Wall time of the last change of state, microseconds since the epoch.
    pub since: u64,
    /// The template it was made from, if `lxc-create` made it.
    pub template: Option<String>,
    /// Bytes of its root filesystem when it was made.
    pub bytes: u64,
    /// What its room is made of, since it last started.
    pub room: Option<Room>,
    /// Those that are in it by `lxc-attach`: process id → command.
    pub attached: BTreeMap<i32, Vec<String>>,
    /// Exit code of the last one that left.
    pub last_exit: Option<i32>,
    /// What runs in it: process id in the container and command; the first few.
    pub processes: Vec<(i32, String)>,
    /// How many processes run in it.
    pub process_count: usize,
    /// Bytes and names in its own writable branch, and the branch; none for a plain directory.
    pub wrote: Option<(String, u64, u64)>,
    /// How often it was started.
    pub starts: u32,
}

impl Picture {
    /// Folds one happening, reported by `who` at wall time `at` (microseconds since the epoch), into the picture.
    pub fn apply(&mut self, who: &str, at: u64, happening: &Happening) {
        let name = who.strip_prefix("container:").unwrap_or(who);
        if matches!(happening, Happening::Destroyed) {
            self.containers.remove(name);
            return;
        }
        self.containers.entry(name.into()).or_default().apply(at, happening);
    }

    /// The filesystem types at a path that the configuration of containers mounts, by container: is the volume there,
    /// or a brick?
    pub fn mounted_at(&self, target: &str) -> BTreeSet<(&str, &str)> {
        let mounts = self.containers.iter().filter_map(|(n, c)| Some((n, c.room.as_ref()?)));
        mounts
            .flat_map(|(n, room)| room.mounts.iter().map(move |m| (n.as_str(), m)))
            .filter(|(_, m)| m.target == target)
            .map(|(n, m)| (n, m.fstype.as_str()))
            .collect()
    }
}

impl Container {
    fn apply(&mut self, at: u64, happening: &Happening) {
        match happening {
            Happening::Created { template, bytes, .. } => {
                (self.template, self.bytes) = (Some(template.clone()), *bytes);
                if self.state.is_empty() {
                    (self.state, self.since) = ("STOPPED".into(), at);
                }
            }
            Happening::State { state, pid } => self.state(at, state, *pid),
            Happening::Room(room) => self.room = Some(room.clone()),
            Happening::Attached { pid, command } => {
                self.attached.insert(*pid, command.clone());
            }
            Happening::Detached { pid, code } => {
                self.attached.remove(pid);
                self.last_exit = Some(*code);
            }
            Happening::Processes { list, count } => (self.processes, self.process_count) = (list.clone(), *count),
            Happening::Wrote { branch, bytes, names } => self.wrote = Some((branch.clone(), *bytes, *names)),
            Happening::Destroyed => {}
        }
    }

    fn state(&mut self, at: u64, state: &str, pid: i32) {
        self.starts += u32::from(state == "RUNNING" && self.state != "FROZEN");
        (self.state, self.pid, self.since) = (state.into(), pid, at);
        if state == "STOPPED" {
            (self.processes, self.process_count, self.pid) = (Vec::new(), 0, 0);
            self.attached.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(state: &str, pid: i32) -> Happening {
        Happening::State { state: state.into(), pid }
    }

    /// A container's life leaves the picture that a person would draw.
    #[test]
    fn a_life() {
        let mut picture = Picture::default();
        let who = "container:c1";
        let created = Happening::Created { template: "debian".into(), rootfs: "/r".into(), bytes: 9 };
        picture.apply(who, 1, &created);
        assert_eq!(picture.containers["c1"].state, "STOPPED");
        for happening in [state("STARTING", 7), state("RUNNING", 7), state("FROZEN", 7), state("RUNNING", 7)] {
            picture.apply(who, 2, &happening);
        }
        picture.apply(who, 3, &Happening::Attached { pid: 9, command: vec!["sh".into()] });
        let c = &picture.containers["c1"];
        assert_eq!((c.starts, c.pid, c.attached.len()), (1, 7, 1), "a thaw is no start");
        picture.apply(who, 4, &Happening::Detached { pid: 9, code: 3 });
        picture.apply(who, 5, &state("STOPPED", 0));
        let c = &picture.containers["c1"];
        assert_eq!((c.pid, c.last_exit, c.attached.len(), c.since), (0, Some(3), 0, 5));
        picture.apply(who, 6, &Happening::Destroyed);
        assert!(picture.containers.is_empty());
    }

    /// What lies under a path in a container can be asked for: the volume, or by mistake a brick.
    #[test]
    fn what_is_mounted_where() {
        let mut picture = Picture::default();
        let mounted = crate::container::Mounted {
            target: "/mnt/gv0".into(),
            source: "/data/brick1".into(),
            fstype: "ext4".into(),
        };
        picture.apply("container:c1", 1, &Happening::Room(Room { mounts: vec![mounted], ..Room::default() }));
        assert_eq!(picture.mounted_at("/mnt/gv0").into_iter().collect::<Vec<_>>(), [("c1", "ext4")]);
    }
}

//! Control groups of a world that real root opened (cgroups(7)): a bound on its processes, and groups of its own for its
//! containers. An ordinary user's world is bounded by its user namespace instead, and has none.
//!
//! The world gets one group, `terrarium-NAME`, in each hierarchy of [`CONTROLLERS`]. Inside, that group alone is seen at
//! the hierarchy's place, writable: a container's limits are set there, and nothing else of the machine's groups can be reached by a
//! path. Version 2 wants processes in leaves only, so there the world's own live in `world` below its group.
//!
//! The groups are removed when the world closes. When its guard was killed too they stay, empty, until the next start.
//! Left out: version 1's freezer. What is frozen there cannot even be killed, and the end of a world must end all of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::place::Place;

/// Where the machine's groups are.
const MOUNTED: &str = "/sys/fs/cgroup";
/// The hierarchies of version 1 that a world takes part in.
const CONTROLLERS: &[&str] = &["pids", "memory", "cpu"];
/// A group that was just made is empty, as a dead world's is, so another start may remove it; it is made again so often.
const HEALERS: usize = 8;
/// Where a world's own processes are in version 2, below its group.
const LEAF: &str = "world";

/// The folders of the hierarchies: version 1's by controller, or version 2's single one.
fn hierarchies() -> Vec<PathBuf> {
    let mounted = Path::new(MOUNTED);
    if is_two() {
        return vec![mounted.into()];
    }
    CONTROLLERS.iter().map(|name| mounted.join(name)).filter(|dir| dir.join("cgroup.procs").exists()).collect()
}

/// Whether version 2 is mounted alone.
fn is_two() -> bool {
    Path::new(MOUNTED).join("cgroup.controllers").exists()
}

fn group(hierarchy: &Path, place: &Place) -> PathBuf {
    hierarchy.join(format!("terrarium-{}", place.name))
}

/// Moves this process, and so all that it starts, into the world's groups with at most `most` processes. Where the machine
/// has no such groups nothing happens: it is a fence's second rail, and the help promises no more.
pub fn bound(place: &Place, most: u64) {
    for hierarchy in hierarchies() {
        let group = group(&hierarchy, place);
        let leaf = if is_two() { group.join(LEAF) } else { group.clone() };
        let join = |_| fs::create_dir_all(&leaf).and_then(|()| fs::write(leaf.join("cgroup.procs"), "0")).is_ok();
        if !(0..HEALERS).any(join) {
            clear(&group);
            continue;
        }
        let _ = fs::write(group.join("pids.max"), most.to_string());
        for controller in CONTROLLERS.iter().filter(|_| is_two()) {
            let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

/// The world's groups and where they are seen inside: (the group, the hierarchy's folder).
pub fn delegated(place: &Place) -> Vec<(PathBuf, PathBuf)> {
    let all = hierarchies().into_iter().map(|hierarchy| (group(&hierarchy, place), hierarchy));
    all.filter(|(group, _)| group.is_dir()).collect()
}

/// Inside: moves this process, which came in from elsewhere, into the world's groups. What is not ours is read-only here.
pub fn join() {
    for hierarchy in hierarchies() {
        let leaf = if is_two() { hierarchy.join(LEAF) } else { hierarchy };
        let _ = fs::write(leaf.join("cgroup.procs"), "0");
    }
}

/// Removes the world's groups, which must be empty of processes.
pub fn remove(place: &Place) {
    hierarchies().iter().for_each(|hierarchy| clear(&group(hierarchy, place)));
}

/// Removes every group without a process in it or below it: of worlds that were killed. A living world's is never so.
pub fn heal() {
    for hierarchy in hierarchies() {
        let groups = fs::read_dir(hierarchy).into_iter().flatten().filter_map(Result::ok);
        let ours = groups.filter(|entry| entry.file_name().to_string_lossy().starts_with("terrarium-"));
        ours.map(|entry| entry.path()).filter(|group| is_deserted(group)).for_each(|group| clear(&group));
    }
}

/// Whether no process is in a group or in those below it.
fn is_deserted(group: &Path) -> bool {
    fs::read(group.join("cgroup.procs")).is_ok_and(|pids| pids.is_empty()) && below(group).all(|g| is_deserted(&g))
}

/// The groups right below one.
fn below(group: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Removes a group with those below it; one that has processes stays.
fn clear(group: &Path) {
    below(group).for_each(|group| clear(&group));
    let _ = fs::remove_dir(group);
}

//! A bound on the processes of a world that real root opened: a pids cgroup of its own (cgroups(7)). An ordinary user's
//! world is bounded by its user namespace instead, and needs none.
//!
//! The group is removed when the world closes. After a `kill -9` it stays, empty, until the next start.

use std::fs;
use std::path::PathBuf;

use super::place::Place;

/// Where process groups of this kind are made: version 1's own hierarchy, or version 2's single one.
fn hierarchy() -> Option<PathBuf> {
    let [one, two] = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(PathBuf::from);
    let is_two =
        fs::read_to_string(two.join("cgroup.controllers")).is_ok_and(|controllers| controllers.contains("pids"));
    if one.is_dir() { Some(one) } else { is_two.then_some(two) }
}

fn group(place: &Place) -> Option<PathBuf> {
    Some(hierarchy()?.join(format!("terrarium-{}", place.name)))
}

/// Moves this process, and so all that it starts, into the world's group with at most `most` processes. Where the machine
/// has no such groups nothing happens: it is a fence's second rail, and the help promises no more.
pub fn bound(place: &Place, most: u64) {
    let Some(group) = group(place) else { return };
    let bounded = fs::create_dir_all(&group)
        .and_then(|()| fs::write(group.join("pids.max"), most.to_string()))
        .and_then(|()| fs::write(group.join("cgroup.procs"), "0"));
    if bounded.is_err() {
        let _ = fs::remove_dir(&group);
    }
}

/// Removes the world's group, which must be empty.
pub fn remove(place: &Place) {
    group(place).into_iter().for_each(|group| drop(fs::remove_dir(group)));
}

/// Removes every group that is empty: of worlds that were killed.
pub fn heal() {
    let groups = hierarchy().and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().filter_map(Result::ok);
    for group in groups.filter(|entry| entry.file_name().to_string_lossy().starts_with("terrarium-")) {
        let _ = fs::remove_dir(group.path());
    }
}

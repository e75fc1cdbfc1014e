//! What a running container is really made of, read from the kernel and not from the configuration.

use std::collections::BTreeMap;
use std::fs;

use super::super::mount_entry;
use super::super::plan::Source;
use super::super::{Mounted, Room};
use super::start::{Launch, Running};

/// The namespaces that a container can have of its own, by the kernel's names.
const NAMESPACES: &[&str] = &["user", "mnt", "pid", "uts", "ipc", "net", "cgroup"];

/// A container's room.
pub fn room(launch: &Launch, running: &Running) -> Room {
    let spec = &launch.spec;
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", running.pid)).unwrap_or_default();
    let types = mount_types(&mounts);
    let configured = spec.mounts.iter().filter_map(|line| mount_entry::parse(line, spec.rootfs.path()).ok());
    let mounted = configured.filter_map(|mount| {
        let source = match mount.source {
            Source::Outside { path, .. } | Source::Inside(path) => path,
            Source::Fs { name, .. } => name,
        };
        Some(Mounted { fstype: types.get(mount.target.as_str())?.to_string(), target: mount.target, source })
    });
    Room {
        rootfs: spec.rootfs.path().into(),
        fstype: types.get("/").map(|t| (*t).to_string()).unwrap_or_default(),
        hostname: spec.hostname.clone(),
        namespaces: own_namespaces(running.pid),
        mounts: mounted.collect(),
        addresses: spec.net.values().flat_map(|n| n.ipv4.iter().chain(&n.ipv6).cloned()).collect(),
    }
}

/// Mount point → filesystem type of the topmost mount there.
fn mount_types(mountinfo: &str) -> BTreeMap<&str, &str> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            Some((left.split(' ').nth(4)?, right.split(' ').next()?))
        })
        .collect()
}

fn own_namespaces(pid: i32) -> BTreeMap<String, String> {
    let of = |who: &str, name: &str| {
        let link = fs::read_link(format!("/proc/{who}/ns/{name}")).ok()?;
        Some(link.to_string_lossy().into_owned())
    };
    let own = NAMESPACES.iter().filter_map(|name| {
        let theirs = of(&pid.to_string(), name)?;
        (of("self", name).as_ref() != Some(&theirs)).then_some(((*name).to_string(), theirs))
    });
    own.collect()
}

/// A process of a container, given by our process id: its id inside, and its command line.
pub fn process(pid: i32) -> Option<(i32, String)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let inside = status.lines().find_map(|l| l.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = command.split(|b| *b == 0).filter(|w| !w.is_empty()).map(String::from_utf8_lossy).collect();
    let name = || status.lines().find_map(|l| l.strip_prefix("Name:")).map(|n| format!("[{}]", n.trim()));
    let shown = if words.is_empty() { name()? } else { words.join(" ") };
    Some((inside, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The topmost mount at a place is what counts: a volume bound over a folder is the volume.
    #[test]
    fn the_topmost_mount_counts() {
        let info = "1 0 0:1 / / rw - fuse.aufs none rw\n2 1 0:2 / /mnt rw shared:1 - ext4 /dev/vda rw\n\
                    3 2 0:3 / /mnt rw - fuse.glusterfs server1:/gv0 rw\n";
        assert_eq!(mount_types(info), BTreeMap::from([("/", "fuse.aufs"), ("/mnt", "fuse.glusterfs")]));
    }
}

//! What a running container is really made of, read from the kernel and not from the configuration.

use std::collections::BTreeMap;
use std::fs;

use super::super::image::OWN_PATH;
use super::super::mount_entry;
use super::super::plan::Source;
use super::super::spec::Spec;
use super::super::{Mounted, Room};
use super::start::{Launch, Running};

/// The namespaces that a container can have of its own, by the kernel's names.
const NAMESPACES: &[&str] = &["user", "mnt", "pid", "uts", "ipc", "net", "cgroup"];

/// A container's room as it is now.
pub fn room(launch: &Launch, running: &Running, layers: &[String]) -> Room {
    let spec = &launch.spec;
    let text = fs::read_to_string(format!("/proc/{}/mountinfo", running.pid)).unwrap_or_default();
    let points = points(&text);
    Room {
        rootfs: spec.rootfs.path().into(),
        fstype: points.get("/").map(|p| p.fstype.to_string()).unwrap_or_default(),
        layers: layers.to_vec(),
        hostname: spec.hostname.clone(),
        namespaces: own_namespaces(running.pid),
        mounts: mounted(spec, &points),
        addresses: spec.net.values().flat_map(|n| n.ipv4.iter().chain(&n.ipv6).cloned()).collect(),
    }
}

/// What is mounted besides the furniture. A mount of the configuration is told by what it says it is bound from.
fn mounted(spec: &Spec, points: &BTreeMap<&str, Point>) -> Vec<Mounted> {
    let configured = spec.mounts.iter().filter_map(|line| mount_entry::parse(line, spec.rootfs.path()).ok());
    let sources: BTreeMap<String, String> = configured
        .map(|mount| match mount.source {
            Source::Outside { path, .. } | Source::Inside(path) => (mount.target, path),
            Source::Fs { name, .. } => (mount.target, name),
        })
        .collect();
    let told = points.iter().filter(|(target, _)| sources.contains_key(**target) || !is_furniture(target));
    let mounted = told.map(|(target, point)| Mounted {
        target: (*target).into(),
        source: sources.get(*target).cloned().unwrap_or_else(|| point.source.into()),
        fstype: point.fstype.into(),
    });
    mounted.take(SHOWN_MOUNTS).collect()
}

/// How many mounts are reported.
const SHOWN_MOUNTS: usize = 16;

/// Whether what is mounted there belongs to every room.
fn is_furniture(target: &str) -> bool {
    let below = |folder: &str| target.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    target == "/" || target == OWN_PATH || ["/proc", "/sys", "/dev", "/run"].iter().any(|folder| below(folder))
}

/// What is mounted at a point.
#[derive(Debug, PartialEq, Eq)]
struct Point<'a> {
    fstype: &'a str,
    source: &'a str,
}

/// Mount point → the topmost mount there.
fn points(mountinfo: &str) -> BTreeMap<&str, Point<'_>> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut right = right.split(' ');
            Some((left.split(' ').nth(4)?, Point { fstype: right.next()?, source: right.next()? }))
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
        let types: Vec<_> = points(info).into_iter().map(|(at, point)| (at, point.fstype)).collect();
        assert_eq!(types, [("/", "fuse.aufs"), ("/mnt", "fuse.glusterfs")]);
    }

    /// What the container mounted itself is told, its furniture is not; a bind of the configuration is told by its path.
    #[test]
    fn furniture_is_not_told() {
        let info = "1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / /proc rw - proc proc rw\n3 1 0:3 / /dev/pts rw - devpts d rw\n\
                    4 1 0:4 / /srv rw - fuse.glusterfs server1:/gv0 rw\n5 1 0:1 /mnt/x /data rw - ext4 /dev/vda rw\n";
        let spec = Spec { mounts: vec!["/mnt/x data none bind 0 0".into()], ..Spec::default() };
        let told: Vec<_> = mounted(&spec, &points(info)).into_iter().map(|m| (m.target, m.source)).collect();
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(told, [pair("/data", "/mnt/x"), pair("/srv", "server1:/gv0")]);
    }
}

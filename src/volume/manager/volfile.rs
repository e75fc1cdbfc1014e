//! Volfiles: a volume as the stack of translators that GlusterFS would load for it.
//!
//! Terrarium's own processes take the definition itself; these files are for the person who wants to see what the
//! stack is (`vols/V/*.vol`), and follow GlusterFS's syntax: leaves first, each translator naming those below it.

use std::fmt::Write as _;

use super::info::dashed;
use crate::volume::definition::{Brick, Volume};
use crate::volume::options;

/// Every volfile of a volume, by name: the mount's, and one a brick.
pub fn all(volume: &Volume) -> Vec<(String, String)> {
    let name = &volume.name;
    let mut files = vec![
        (format!("trusted-{name}.tcp-fuse.vol"), client(volume, true)),
        (format!("{name}.tcp-fuse.vol"), client(volume, false)),
    ];
    let bricks = volume.bricks.iter().enumerate();
    files.extend(bricks.map(|(i, b)| {
        (format!("{name}.{}.{}.vol", b.host, dashed(&b.path).trim_start_matches('-')), brick(volume, i, b))
    }));
    files
}

/// The stack of a mount. `trusted`: for a member of the pool.
pub fn client(volume: &Volume, trusted: bool) -> String {
    let mut stack = Stack::default();
    let name = &volume.name;
    for brick in &volume.bricks {
        let mut settings = vec![
            ("ping-timeout", options::value(volume, "network.ping-timeout").to_owned()),
            ("remote-host", brick.host.clone()),
            ("remote-subvolume", brick.path.clone()),
            ("transport-type", "socket".into()),
        ];
        if trusted {
            settings.push(("username", volume.id.to_string()));
        }
        stack.add(&volume.client_name(brick), "protocol/client", &settings, &[]);
    }
    let mut below: Vec<String> = volume.bricks.iter().map(|b| volume.client_name(b)).collect();
    if volume.is_replicated() {
        below =
            below.chunks(volume.replica).enumerate().map(|(i, set)| replicate(&mut stack, volume, i, set)).collect();
    }
    let mut top = stack.over(&format!("{name}-dht"), "cluster/distribute", &[], &below);
    for (kind, option) in PERFORMANCE.iter().filter(|(_, option)| option.is_empty() || options::is_on(volume, option)) {
        let _ = option;
        let short = kind.rsplit('/').next().unwrap_or_default();
        top = stack.over(&format!("{name}-{short}"), kind, &[], &[top]);
    }
    stack.over(name, "debug/io-stats", &[("log-level", "INFO".into())], &[top]);
    stack.text
}

fn replicate(stack: &mut Stack, volume: &Volume, set: usize, clients: &[String]) -> String {
    let mut settings = vec![("afr-pending-xattr", clients.join(","))];
    if volume.arbiter > 0 {
        settings.push(("arbiter-count", volume.arbiter.to_string()));
    }
    settings.push(("quorum-type", options::value(volume, "cluster.quorum-type").into()));
    stack.over(&format!("{}-replicate-{set}", volume.name), "cluster/replicate", &settings, clients)
}

/// From the bottom up, with the option that switches each on.
const PERFORMANCE: &[(&str, &str)] = &[
    ("features/utime", "features.ctime"),
    ("performance/write-behind", "performance.write-behind"),
    ("performance/open-behind", "performance.open-behind"),
    ("performance/quick-read", "performance.quick-read"),
    ("performance/md-cache", "performance.stat-prefetch"),
    ("performance/io-threads", "performance.client-io-threads"),
];

/// The stack of a brick, from the disk to the network.
fn brick(volume: &Volume, index: usize, brick: &Brick) -> String {
    let name = &volume.name;
    let mut stack = Stack::default();
    let settings = [("directory", brick.path.clone()), ("volume-id", volume.id.to_string())];
    let mut top = stack.over(&format!("{name}-posix"), "storage/posix", &settings, &[]);
    if volume.is_arbiter(index) {
        top = stack.over(&format!("{name}-arbiter"), "features/arbiter", &[], &[top]);
    }
    for (short, kind) in
        [("access-control", "features/access-control"), ("locks", "features/locks"), ("upcall", "features/upcall")]
    {
        top = stack.over(&format!("{name}-{short}"), kind, &[], &[top]);
    }
    let index = [
        ("index-base", format!("{}/.glusterfs/indices", brick.path)),
        ("xattrop-dirty-watchlist", "trusted.afr.dirty".into()),
        ("xattrop-pending-watchlist", format!("trusted.afr.{name}-")),
    ];
    top = stack.over(&format!("{name}-index"), "features/index", &index, &[top]);
    top = stack.over(&brick.path, "debug/io-stats", &[], &[top]);
    stack.over(&format!("{name}-server"), "protocol/server", &[("transport-type", "tcp".into())], &[top]);
    stack.text
}

#[derive(Default)]
struct Stack {
    text: String,
}

impl Stack {
    fn add(&mut self, name: &str, kind: &str, settings: &[(&str, String)], below: &[String]) {
        let _ = writeln!(self.text, "volume {name}\n    type {kind}");
        for (key, value) in settings {
            let _ = writeln!(self.text, "    option {key} {value}");
        }
        if !below.is_empty() {
            let _ = writeln!(self.text, "    subvolumes {}", below.join(" "));
        }
        self.text.push_str("end-volume\n\n");
    }

    /// Adds a translator and gives its name.
    fn over(&mut self, name: &str, kind: &str, settings: &[(&str, String)], below: &[String]) -> String {
        self.add(name, kind, settings, below);
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::op::tests::volume;
    use super::*;

    /// The mount's stack of a replicated volume: clients, then the set, then the hash, then what speeds it up.
    #[test]
    fn a_stack_is_written_leaves_first() {
        let text = client(&volume(3, 3), false);
        let names: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("volume ")).collect();
        let below = ["gv0-client-0", "gv0-client-1", "gv0-client-2", "gv0-replicate-0", "gv0-dht"];
        let above = ["gv0-utime", "gv0-write-behind", "gv0-open-behind", "gv0-quick-read", "gv0-md-cache", "gv0"];
        assert_eq!(names, [&below[..], &above[..]].concat());
        assert!(text.contains("    option afr-pending-xattr gv0-client-0,gv0-client-1,gv0-client-2\n"));
        assert!(text.contains("    subvolumes gv0-client-0 gv0-client-1 gv0-client-2\nend-volume\n"));
    }
}

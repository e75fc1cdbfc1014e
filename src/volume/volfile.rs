//! Volfiles: a volume as the stack of translators that GlusterFS would load for it.
//!
//! Terrarium's own processes take the definition itself; the stacks are for the person who wants to see what they are: as files in
//! GlusterFS's syntax (`vols/V/*.vol`, `gluster system:: getspec V`), leaves first, each translator naming those below it, and
//! as directories (`.meta` on a mount). An option that was set stands at the translator that it is meant for.
//!
//! Left out: translators of features that are not here; a brick's stack has those of GlusterFS that do something in it.

use std::fmt::Write as _;

use uuid::Uuid;
use xxhash_rust::xxh64::xxh64;

use super::definition::{Brick, Volume};
use super::options;

/// One translator of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translator {
    /// `gv0-replicate-0`.
    pub name: String,
    /// `cluster/replicate`.
    pub kind: &'static str,
    /// Its options, by their names in the translator.
    pub options: Vec<(String, String)>,
    /// The names of those below it.
    pub below: Vec<String>,
}

/// Every volfile of a volume, by name: the mount's, the self-heal daemon's, the mover's, and one a brick.
pub fn all(volume: &Volume) -> Vec<(String, String)> {
    let name = &volume.name;
    let mut files = vec![
        (format!("trusted-{name}.tcp-fuse.vol"), mount(volume, true)),
        (format!("{name}.tcp-fuse.vol"), mount(volume, false)),
        (format!("{name}-rebalance.vol"), mover(volume)),
    ];
    if volume.is_replicated() {
        files.push((format!("{name}-shd.vol"), healer(volume)));
    }
    let bricks = volume.bricks.iter().enumerate();
    files.extend(bricks.map(|(i, b)| (format!("{}.vol", brick_id(volume, b)), brick(volume, i, b))));
    files.into_iter().map(|(name, stack)| (name, text(&stack))).collect()
}

/// What a brick's volfile is asked for by: `gv0.server1.data-brick1-gv0`.
pub fn brick_id(volume: &Volume, brick: &Brick) -> String {
    format!("{}.{}.{}", volume.name, brick.host, brick.path.trim_start_matches('/').replace('/', "-"))
}

/// The stack as a file.
pub fn text(stack: &[Translator]) -> String {
    let mut text = String::new();
    for translator in stack {
        let _ = writeln!(text, "volume {}\n    type {}", translator.name, translator.kind);
        for (key, value) in &translator.options {
            let _ = writeln!(text, "    option {key} {value}");
        }
        if !translator.below.is_empty() {
            let _ = writeln!(text, "    subvolumes {}", translator.below.join(" "));
        }
        text.push_str("end-volume\n\n");
    }
    text
}

/// The name and password with which a pool member would log in to its bricks: derived from the volume's id.
pub fn credentials(id: Uuid) -> (Uuid, Uuid) {
    let derive = |salt: u64| Uuid::from_u64_pair(xxh64(id.as_bytes(), salt), xxh64(id.as_bytes(), salt + 1));
    (derive(1), derive(3))
}

/// A translator without options of its own.
const NOTHING: &[(&str, String)] = &[];

/// From the bottom up, with the option that switches each on.
const PERFORMANCE: &[(&str, &str)] = &[
    ("features/utime", "features.ctime"),
    ("performance/write-behind", "performance.write-behind"),
    ("performance/read-ahead", "performance.read-ahead"),
    ("performance/readdir-ahead", "performance.readdir-ahead"),
    ("performance/io-cache", "performance.io-cache"),
    ("performance/open-behind", "performance.open-behind"),
    ("performance/quick-read", "performance.quick-read"),
    ("performance/md-cache", "performance.stat-prefetch"),
    ("performance/nl-cache", "performance.nl-cache"),
    ("performance/io-threads", "performance.client-io-threads"),
];

/// The stack of a mount. `trusted`: for a member of the pool.
pub fn mount(volume: &Volume, trusted: bool) -> Vec<Translator> {
    let mut stack = Stack::of(volume);
    let below = stack.sets(trusted, &[]);
    let own = ["force-migration", "lock-migration"].map(|key| (key, stack.value(&format!("cluster.{key}"))));
    let mut top = stack.over("dht", "cluster/distribute", &own, &below);
    for (kind, _) in PERFORMANCE.iter().filter(|(_, switch)| options::is_on(volume, switch)) {
        let short = kind.rsplit('/').next().unwrap_or_default();
        let noatime = [("noatime", stack.value("ctime.noatime"))];
        let own = if *kind == "features/utime" { &noatime[..] } else { NOTHING };
        top = stack.over(short, kind, own, &[top]);
    }
    let level = stack.value("diagnostics.client-log-level");
    stack.statistics(&volume.name, level, &top);
    stack.all
}

/// The stack of a self-heal daemon: no hash, and every heal switched on.
fn healer(volume: &Volume) -> Vec<Translator> {
    let mut stack = Stack::of(volume);
    let heals = ["entry-self-heal", "data-self-heal", "metadata-self-heal"].map(|key| (key, "on".to_owned()));
    let wanted = stack.value("cluster.self-heal-daemon");
    let who = [("iam-self-heal-daemon", "yes".to_owned()), ("self-heal-daemon", wanted)];
    let below = stack.sets(true, &[&who[..], &heals, &[("background-self-heal-count", "0".to_owned())]].concat());
    let level = [("log-level", stack.value("diagnostics.client-log-level"))];
    stack.add(&volume.name, "debug/io-stats", &level, &below);
    stack.all
}

/// The stack of the process that moves files to where their names hash to.
fn mover(volume: &Volume) -> Vec<Translator> {
    let mut stack = Stack::of(volume);
    let below = stack.sets(true, &[]);
    let gone = |b: &&Brick| b.decommissioned;
    let gone: Vec<String> = volume.bricks.iter().filter(gone).map(|b| volume.client_name(b)).collect();
    let own = [("decommissioned-bricks", gone.join(","))];
    let top = stack.over("dht", "cluster/distribute", if gone.is_empty() { NOTHING } else { &own }, &below);
    let level = [("log-level", stack.value("diagnostics.client-log-level"))];
    stack.add(&volume.name, "debug/io-stats", &level, &[top]);
    stack.all
}

/// A brick's translators between the disk and the index, from the bottom up.
const BRICK: &[(&str, &str)] = &[
    ("trash", "features/trash"),
    ("changelog", "features/changelog"),
    ("bitrot-stub", "features/bitrot-stub"),
    ("access-control", "features/access-control"),
    ("locks", "features/locks"),
    ("worm", "features/worm"),
    ("read-only", "features/read-only"),
    ("leases", "features/leases"),
    ("upcall", "features/upcall"),
    ("io-threads", "performance/io-threads"),
    ("selinux", "features/selinux"),
    ("marker", "features/marker"),
    ("barrier", "features/barrier"),
];

/// The stack of a brick, from the disk to the network.
pub fn brick(volume: &Volume, index: usize, brick: &Brick) -> Vec<Translator> {
    let mut stack = Stack::of(volume);
    let path = &brick.path;
    let disk = [("volume-id", volume.id.to_string()), ("directory", path.clone())];
    let mut top = stack.over("posix", "storage/posix", &disk, &[]);
    if volume.is_arbiter(index) {
        top = stack.over("arbiter", "features/arbiter", NOTHING, &[top]);
    }
    for (short, kind) in BRICK {
        top = stack.over(short, kind, NOTHING, &[top]);
    }
    let watched = [
        ("xattrop-pending-watchlist", format!("trusted.afr.{}-", volume.name)),
        ("xattrop-dirty-watchlist", "trusted.afr.dirty".into()),
        ("index-base", format!("{path}/.glusterfs/indices")),
    ];
    top = stack.over("index", "features/index", &watched, &[top]);
    top = stack.over("quota", "features/quota", NOTHING, &[top]);
    let level = stack.value("diagnostics.brick-log-level");
    stack.statistics(path, level, &top);
    let logins = stack.logins(path);
    stack.over("server", "protocol/server", &logins, std::slice::from_ref(path));
    stack.all
}

/// A stack that grows from the bottom up.
struct Stack<'a> {
    volume: &'a Volume,
    all: Vec<Translator>,
}

impl<'a> Stack<'a> {
    fn of(volume: &'a Volume) -> Self {
        Self { volume, all: vec![] }
    }

    /// The value in force.
    fn value(&self, key: &str) -> String {
        options::value(self.volume, key).to_owned()
    }

    /// Adds a translator; what was set for its kind takes the place of its own options.
    fn add(&mut self, name: &str, kind: &'static str, own: &[(impl AsRef<str>, String)], below: &[String]) {
        let set = options::chosen(self.volume, kind);
        let own = own.iter().map(|(key, value)| (key.as_ref().to_owned(), value.clone()));
        let own = own.filter(|(key, _)| set.iter().all(|(other, _)| other != key));
        let options = set.iter().cloned().chain(own).collect();
        self.all.push(Translator { name: name.into(), kind, options, below: below.to_vec() });
    }

    /// Adds one that is named after the volume; gives its name.
    fn over(&mut self, short: &str, kind: &'static str, own: &[(impl AsRef<str>, String)], below: &[String]) -> String {
        let name = format!("{}-{short}", self.volume.name);
        self.add(&name, kind, own, below);
        name
    }

    /// What counts and times requests.
    fn statistics(&mut self, name: &str, level: String, below: &str) {
        let counted =
            ["count-fop-hits", "latency-measurement"].map(|key| (key, self.value(&format!("diagnostics.{key}"))));
        let own = [&counted[..], &[("log-level", level)]].concat();
        self.add(name, "debug/io-stats", &own, &[below.to_owned()]);
    }

    /// The clients of all bricks, and where there are copies the sets above them; gives the names of the uppermost.
    fn sets(&mut self, trusted: bool, heals: &[(&str, String)]) -> Vec<String> {
        let volume = self.volume;
        let clients: Vec<String> = volume.bricks.iter().map(|b| self.client(b, trusted)).collect();
        if !volume.is_replicated() {
            return clients;
        }
        let sets = clients.chunks(volume.replica).enumerate();
        sets.map(|(i, set)| self.replicate(i, set, heals)).collect()
    }

    fn client(&mut self, brick: &Brick, trusted: bool) -> String {
        let (user, password) = credentials(self.volume.id);
        let login = [("password", password.to_string()), ("username", user.to_string())];
        let own = [
            ("transport.address-family", self.value("transport.address-family")),
            ("transport-type", "tcp".into()),
            ("remote-subvolume", brick.path.clone()),
            ("remote-host", brick.host.clone()),
            ("ping-timeout", self.value("network.ping-timeout")),
        ];
        let name = self.volume.client_name(brick);
        self.add(&name, "protocol/client", &[if trusted { &login[..] } else { &[] }, &own].concat(), &[]);
        name
    }

    fn replicate(&mut self, set: usize, clients: &[String], heals: &[(&str, String)]) -> String {
        let mut own = heals.to_vec();
        if self.volume.arbiter > 0 {
            own.push(("arbiter-count", self.volume.arbiter.to_string()));
        }
        own.extend([
            ("granular-entry-heal", self.value("cluster.granular-entry-heal")),
            ("volume-id", self.volume.id.to_string()),
            ("afr-pending-xattr", clients.join(",")),
        ]);
        self.over(&format!("replicate-{set}"), "cluster/replicate", &own, clients)
    }

    /// Who may log in to a brick.
    fn logins(&self, path: &str) -> Vec<(String, String)> {
        let (user, password) = credentials(self.volume.id);
        vec![
            (format!("auth.addr.{path}.allow"), self.value("auth.allow")),
            ("auth-path".into(), path.into()),
            (format!("auth.login.{user}.password"), password.to_string()),
            (format!("auth.login.{path}.allow"), user.to_string()),
            ("transport-type".into(), "tcp".into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::definition::tests::volume;

    fn names(stack: &[Translator]) -> Vec<&str> {
        stack.iter().map(|t| t.name.as_str()).collect()
    }

    /// The mount's stack of a replicated volume: clients, then the set, then the hash, then what speeds it up.
    #[test]
    fn a_stack_is_written_leaves_first() {
        let mut gv0 = volume(3, 0, 3);
        gv0.set_option("performance.client-io-threads", "off");
        let stack = mount(&gv0, false);
        let below = ["gv0-client-0", "gv0-client-1", "gv0-client-2", "gv0-replicate-0", "gv0-dht"];
        let above = ["gv0-utime", "gv0-write-behind", "gv0-open-behind", "gv0-quick-read", "gv0-md-cache", "gv0"];
        assert_eq!(names(&stack), [&below[..], &above[..]].concat());
        let text = text(&stack);
        assert!(text.contains("    option afr-pending-xattr gv0-client-0,gv0-client-1,gv0-client-2\n"));
        assert!(text.contains("    subvolumes gv0-client-0 gv0-client-1 gv0-client-2\nend-volume\n"));
    }

    /// What was set stands at the translator that it is for, by its name there, and switches translators on and off.
    #[test]
    fn what_was_set_stands_where_it_is_meant() {
        let mut gv0 = volume(3, 0, 3);
        for (key, value) in [
            ("cluster.eager-lock", "off"),
            ("network.ping-timeout", "7"),
            ("performance.write-behind-window-size", "4MB"),
            ("performance.quick-read", "off"),
            ("performance.io-cache", "on"),
        ] {
            gv0.set_option(key, value);
        }
        let stack = mount(&gv0, false);
        let option = |name: &str, key: &str| {
            let translator = stack.iter().find(|t| t.name == name).expect(name);
            translator.options.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(option("gv0-replicate-0", "eager-lock"), ["off"]);
        assert_eq!(option("gv0-client-2", "ping-timeout"), ["7"], "once, and not the default too");
        assert_eq!(option("gv0-write-behind", "cache-size"), ["4MB"]);
        assert!(names(&stack).contains(&"gv0-io-cache") && !names(&stack).contains(&"gv0-quick-read"));
    }
}

//! What a container shall be: its configuration, understood.
//!
//! [`Spec::read`] goes once over the entries, in order. Every key of LXC 5 is in one of three baskets: carried out
//! here; *left out* (known to LXC, not carried out: AppArmor, hooks, …); or unknown. The last two are not errors, but each
//! is named in [`Spec::notes`], and `lxc-start` says them. A value that cannot be understood is an error.

use std::collections::BTreeMap;

use super::capability;
use super::config::{Config, Entry, Malformed};

/// A container as its configuration wants it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// The container's name.
    pub name: String,
    /// What the root is made of.
    pub rootfs: Rootfs,
    /// Mount options of the root: `ro`, …
    pub rootfs_options: String,
    /// The host name; the container's own name if nothing is said.
    pub hostname: String,
    /// Lines of `lxc.mount.entry`, in order.
    pub mounts: Vec<String>,
    /// Files of `lxc.mount.fstab`.
    pub fstabs: Vec<String>,
    /// Words of `lxc.mount.auto`: `proc:mixed`, `sys:ro`, `cgroup:mixed`.
    pub auto: Vec<String>,
    /// Whether `/dev` is made anew (`lxc.autodev`).
    pub autodev: bool,
    /// How many terminals `/dev/tty1`… there are.
    pub ttys: usize,
    /// How many pseudo-terminals the container may have.
    pub ptys: usize,
    /// Where the console's output is kept, if it is.
    pub console_log: Option<String>,
    /// Network interfaces by their number.
    pub net: BTreeMap<u32, Net>,
    /// Numbers of capabilities to drop.
    pub cap_drop: Vec<usize>,
    /// The capabilities to keep, if only some are.
    pub cap_keep: Option<Vec<usize>>,
    /// The program of pid 1 and its arguments.
    pub init: Vec<String>,
    /// The program that `lxc-execute` runs when it is given none.
    pub execute: Vec<String>,
    /// Where pid 1 begins.
    pub init_cwd: String,
    /// User and group of pid 1.
    pub init_ids: (u32, u32),
    /// Variables of pid 1, besides `container=lxc`.
    pub environment: Vec<(String, String)>,
    /// Signals: halt, reboot, stop.
    pub signals: Signals,
    /// Limits: (controller file as `memory.max`, value), for the old hierarchies and for the new one.
    pub cgroup: Vec<(String, String)>,
    /// The same for the one hierarchy of cgroup2.
    pub cgroup2: Vec<(String, String)>,
    /// Limits of resources: (name as `nofile`, soft, hard); `None` is unlimited.
    pub prlimits: Vec<(String, Option<u64>, Option<u64>)>,
    /// Ids of the container's user namespace, if the configuration asks for certain ones.
    pub idmap: Vec<Mapped>,
    /// `lxc.start.auto`.
    pub autostart: bool,
    /// `lxc.start.order`: who has the greatest begins first.
    pub start_order: i32,
    /// `lxc.start.delay`, seconds.
    pub start_delay: u32,
    /// (kind, command line) of each of [`HOOKS`].
    pub hooks: Vec<(String, String)>,
    /// `lxc.group`.
    pub groups: Vec<String>,
    /// `lxc.ephemeral`: the container is destroyed when it stops.
    pub ephemeral: bool,
    /// What the configuration asks for and is not done, in words.
    pub notes: Vec<String>,
}

/// What a root filesystem is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rootfs {
    /// None: the container sees the world's own root.
    #[default]
    None,
    /// A directory, whatever is mounted there.
    Dir(String),
    /// A kernel overlay: lower directories, topmost first, and the writable one.
    Overlay {
        /// Read-only directories, topmost first.
        lower: Vec<String>,
        /// The writable directory.
        upper: String,
    },
    /// A union of ours, mounted at the container's `rootfs` when it starts. LXC had this backend until 2018.
    Aufs {
        /// Read-only branches, topmost first.
        lower: Vec<String>,
        /// The writable branch.
        upper: String,
    },
}

impl Rootfs {
    /// The directory that tools should look at: the directory itself, or the writable one.
    pub fn path(&self) -> &str {
        match self {
            Self::None => "/",
            Self::Dir(path) => path,
            Self::Overlay { upper, .. } | Self::Aufs { upper, .. } => upper,
        }
    }

    /// Reads `lxc.rootfs.path`: a path, `dir:PATH`, `overlay:LOWER:UPPER` or `aufs:LOWER:UPPER` (several
    /// lowers, topmost first).
    ///
    /// # Errors
    /// In words: a backend that there is not.
    pub fn parse(value: &str) -> Result<Self, String> {
        match value.split_once(':') {
            None => Ok(Self::Dir(trimmed(value))),
            Some(("dir", path)) => Ok(Self::Dir(trimmed(path))),
            Some((backend @ ("overlay" | "overlayfs" | "aufs"), layers)) => {
                let mut lower: Vec<String> = layers.split(':').map(trimmed).collect();
                let upper = lower.pop().filter(|_| !lower.is_empty());
                let upper = upper.ok_or(format!("{backend} needs two directories: {backend}:LOWER:UPPER"))?;
                Ok(if backend == "aufs" { Self::Aufs { lower, upper } } else { Self::Overlay { lower, upper } })
            }
            Some((backend, _)) => Err(format!("there is no backend `{backend}`; there are: dir: overlay: aufs:")),
        }
    }
}

fn trimmed(path: &str) -> String {
    if path.len() > 1 { path.trim_end_matches('/').into() } else { path.into() }
}

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Net {
    /// `empty`, `none` or `veth`.
    pub kind: String,
    /// The bridge.
    pub link: Option<String>,
    /// Whether it is brought up.
    pub up: bool,
    /// Its name inside; `eth0`, `eth1`, … by default.
    pub name: Option<String>,
    /// The name of its other end outside.
    pub pair: Option<String>,
    /// Its hardware address.
    pub hwaddr: Option<String>,
    /// Its MTU.
    pub mtu: Option<u32>,
    /// Addresses as `10.0.3.5/24`.
    pub ipv4: Vec<String>,
    /// Addresses as `fd00::5/64`.
    pub ipv6: Vec<String>,
    /// The default route; `auto` is the bridge's address.
    pub gateway: Option<String>,
}

/// Which signals ask pid 1 to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signals {
    /// A clean end.
    pub halt: i32,
    /// A restart.
    pub reboot: i32,
    /// The last word.
    pub stop: i32,
}

impl Default for Signals {
    fn default() -> Self {
        Self { halt: 30, reboot: 2, stop: 9 }
    }
}

/// One line of `lxc.idmap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapped {
    /// Whether it is about groups.
    pub group: bool,
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl Spec {
    /// Understands a configuration.
    ///
    /// # Errors
    /// A value that is not what its key wants, with its place.
    pub fn read(name: &str, config: &Config) -> Result<Self, Malformed> {
        let mut spec = Self { name: name.into(), hostname: name.into(), autodev: true, ptys: 1024, ..Self::default() };
        spec.init = vec!["/sbin/init".into()];
        spec.init_cwd = "/".into();
        let mut networks = Networks::default();
        for entry in &config.entries {
            let done = match entry.key.strip_prefix("lxc.net.").or(entry.key.strip_prefix("lxc.network.")) {
                Some(_) => networks.take(entry, &mut spec.net),
                None => spec.take(entry),
            };
            match done.map_err(|why| Malformed { at: entry.at.clone(), why: format!("{}: {why}", entry.written) })? {
                Taken::Done => {}
                Taken::LeftOut => spec.note(entry, "not supported here, left out"),
                Taken::Unknown => spec.note(entry, "no such key"),
            }
        }
        Ok(spec)
    }

    /// Whether the container shares the world's network.
    pub fn shares_network(&self) -> bool {
        self.net.values().any(|n| n.kind == "none")
    }

    fn note(&mut self, entry: &Entry, what: &str) {
        self.notes.push(format!("{}: {}: {what}", entry.at, entry.written));
    }

    fn take(&mut self, entry: &Entry) -> Result<Taken, String> {
        let value = entry.value.as_str();
        match entry.key.strip_prefix("lxc.").unwrap_or("") {
            "rootfs.path" => self.rootfs = if value.is_empty() { Rootfs::None } else { Rootfs::parse(value)? },
            "rootfs.options" => self.rootfs_options = value.into(),
            "rootfs.mount" | "rootfs.managed" | "arch" | "tty.dir" | "console.path" | "kmsg" => {}
            "monitor.unshare" | "log.file" | "log.level" | "log.syslog" | "hook.version" => {}
            "start.delay" => self.start_delay = number(value)?,
            "start.order" => self.start_order = value.parse().map_err(|_| format!("`{value}` is not a number"))?,
            "uts.name" => self.hostname = value.into(),
            "mount.entry" => list(&mut self.mounts, value, |v| Ok(v.into()))?,
            "mount.fstab" => list(&mut self.fstabs, value, |v| Ok(v.into()))?,
            "mount.auto" => words(&mut self.auto, value, known_auto)?,
            "autodev" => self.autodev = boolean(value)?,
            "autodev.tmpfs.size" => {}
            "tty.max" => self.ttys = count(value, 63)?,
            "pty.max" => self.ptys = count(value, 1 << 20)?,
            "console.logfile" => self.console_log = Some(value.to_string()).filter(|v| !v.is_empty()),
            "cap.drop" => words(&mut self.cap_drop, value, capability_of)?,
            "cap.keep" => self.keep(value)?,
            "init.cmd" => self.init = command(value)?,
            "execute.cmd" => self.execute = command(value)?,
            "init.cwd" => self.init_cwd = value.into(),
            "init.uid" => self.init_ids.0 = number(value)?,
            "init.gid" => self.init_ids.1 = number(value)?,
            "environment" => list(&mut self.environment, value, variable)?,
            "signal.halt" => self.signals.halt = signal(value)?,
            "signal.reboot" => self.signals.reboot = signal(value)?,
            "signal.stop" => self.signals.stop = signal(value)?,
            "idmap" => list(&mut self.idmap, value, mapped)?,
            "start.auto" => self.autostart = boolean(value)?,
            "group" => words(&mut self.groups, value, |w| Ok(w.into()))?,
            "ephemeral" => self.ephemeral = boolean(value)?,
            key => return self.take_family(key, value),
        }
        Ok(Taken::Done)
    }

    /// Keys whose last part is free: `cgroup2.memory.max`, `prlimit.nofile`, and what is left out.
    fn take_family(&mut self, key: &str, value: &str) -> Result<Taken, String> {
        if let Some(file) = key.strip_prefix("cgroup2.") {
            self.cgroup2.push((file.into(), value.into()));
        } else if key.starts_with("cgroup.dir") || key == "cgroup.relative" {
            return Ok(Taken::LeftOut);
        } else if let Some(file) = key.strip_prefix("cgroup.") {
            self.cgroup.push((file.into(), value.into()));
        } else if let Some(kind) = key.strip_prefix("hook.").filter(|kind| HOOKS.contains(kind)) {
            list(&mut self.hooks, value, |line| Ok((kind.into(), line.into())))?;
        } else if let Some(name) = key.strip_prefix("prlimit.") {
            let (soft, hard) = limit(value)?;
            self.prlimits.push((name.into(), soft, hard));
        } else {
            let left_out = LEFT_OUT.iter().any(|family| key.starts_with(family));
            return Ok(if left_out { Taken::LeftOut } else { Taken::Unknown });
        }
        Ok(Taken::Done)
    }

    fn keep(&mut self, value: &str) -> Result<(), String> {
        let kept = self.cap_keep.get_or_insert_default();
        match value {
            "none" => kept.clear(),
            "" => self.cap_keep = None,
            _ => words(kept, value, capability_of)?,
        }
        Ok(())
    }
}

/// Which basket a key is in.
enum Taken {
    Done,
    LeftOut,
    Unknown,
}

/// The hooks that are run; the others are left out.
pub const HOOKS: &[&str] = &["pre-start", "start-host", "start", "post-stop"];

/// Families of keys that LXC has and we do not carry out.
const LEFT_OUT: &[&str] = &[
    "apparmor.",
    "selinux.",
    "seccomp.",
    "hook.",
    "hook",
    "keyring.",
    "namespace.",
    "sysctl.",
    "proc.",
    "no_new_privs",
    "monitor.",
    "execute.",
    "console.",
    "autodev",
    "signal.",
    "rootfs.",
    "sched.",
    "time.",
];

/// The interfaces as they are read. Old configurations do not number them: each `lxc.network.type` begins the next.
#[derive(Default)]
struct Networks {
    old: u32,
}

impl Networks {
    fn take(&mut self, entry: &Entry, all: &mut BTreeMap<u32, Net>) -> Result<Taken, String> {
        let (number, key) = if let Some(key) = entry.key.strip_prefix("lxc.network.") {
            self.old += u32::from(key == "type");
            (self.old.saturating_sub(1), key)
        } else {
            let rest = entry.key.strip_prefix("lxc.net.").unwrap_or_default();
            let (number, key) = rest.split_once('.').ok_or("interfaces are numbered: lxc.net.0.type")?;
            (number.parse().map_err(|_| format!("`{number}` is not a number"))?, key)
        };
        let net = all.entry(number).or_default();
        let value = entry.value.as_str();
        let some = Some(value.to_string()).filter(|v| !v.is_empty());
        match key {
            "type" if ["empty", "none", "veth"].contains(&value) => net.kind = value.into(),
            "type" => return Err(format!("no network of type `{value}`; there are: veth empty none")),
            "link" => net.link = some,
            "flags" => net.up = value == "up",
            "name" => net.name = some,
            "veth.pair" => net.pair = some,
            "hwaddr" => net.hwaddr = some,
            "mtu" => net.mtu = some.map(|v| self::number(&v)).transpose()?,
            "ipv4" | "ipv4.address" => list(&mut net.ipv4, value, |v| Ok(first_word(v)))?,
            "ipv6" | "ipv6.address" => list(&mut net.ipv6, value, |v| Ok(first_word(v)))?,
            "ipv4.gateway" => net.gateway = some,
            _ => return Ok(Taken::LeftOut),
        }
        Ok(Taken::Done)
    }
}

fn first_word(value: &str) -> String {
    value.split_whitespace().next().unwrap_or_default().into()
}

fn list<T>(all: &mut Vec<T>, value: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<(), String> {
    if value.is_empty() {
        all.clear()
    } else {
        all.push(read(value)?)
    }
    Ok(())
}

fn words<T>(all: &mut Vec<T>, value: &str, mut read: impl FnMut(&str) -> Result<T, String>) -> Result<(), String> {
    if value.is_empty() {
        all.clear();
    }
    for word in value.split_whitespace() {
        all.push(read(word)?);
    }
    Ok(())
}

fn known_auto(word: &str) -> Result<String, String> {
    let (what, how) = word.split_once(':').unwrap_or((word, ""));
    let known = match what {
        "proc" => ["", "mixed", "rw"].contains(&how),
        "sys" => ["", "mixed", "ro", "rw"].contains(&how),
        "cgroup" | "cgroup-full" | "shmounts" => true,
        _ => false,
    };
    if known {
        Ok(word.into())
    } else {
        Err(format!("`{word}` is not one of proc[:mixed|rw] sys[:ro|mixed|rw] cgroup"))
    }
}

fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "0" | "" => Ok(false),
        "1" => Ok(true),
        _ => Err(format!("`{value}` is neither 0 nor 1")),
    }
}

fn number(value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| format!("`{value}` is not a number"))
}

fn count(value: &str, most: usize) -> Result<usize, String> {
    let count = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
    if count <= most { Ok(count) } else { Err(format!("{count} is more than {most}")) }
}

fn capability_of(word: &str) -> Result<usize, String> {
    capability::number(word).ok_or_else(|| format!("there is no capability `{word}`"))
}

fn variable(value: &str) -> Result<(String, String), String> {
    let (name, value) = value.split_once('=').ok_or_else(|| format!("`{value}` is not NAME=VALUE"))?;
    Ok((name.into(), value.into()))
}

fn mapped(value: &str) -> Result<Mapped, String> {
    let wanted = || format!("`{value}` is not `u|g INSIDE OUTSIDE COUNT`");
    let words: Vec<&str> = value.split_whitespace().collect();
    let [kind @ ("u" | "g"), inside, outside, count] = words.as_slice() else { return Err(wanted()) };
    let number = |word: &str| word.parse().map_err(|_| wanted());
    Ok(Mapped { group: *kind == "g", inside: number(inside)?, outside: number(outside)?, count: number(count)? })
}

fn limit(value: &str) -> Result<(Option<u64>, Option<u64>), String> {
    let one = |word: &str| match word.trim() {
        "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| format!("`{number}` is neither a number nor `unlimited`")),
    };
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    Ok((one(soft)?, one(hard)?))
}

/// Splits a command into words; quotes hold blanks together.
fn command(value: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in value.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(format!("a quote is not closed in `{value}`")) } else { Ok(words) }
}

/// A signal by name (`SIGPWR`, `PWR`, `SIGRTMIN+3`) or number, as Linux numbers them on every machine that we run on.
///
/// # Errors
/// In words.
pub fn signal(value: &str) -> Result<i32, String> {
    let name = value.strip_prefix("SIG").unwrap_or(value);
    if let Some(offset) = name.strip_prefix("RTMIN") {
        return offset
            .trim_start_matches('+')
            .parse()
            .or(if offset.is_empty() { Ok(0) } else { Err(()) })
            .map_or_else(|()| Err(format!("`{value}` is not a signal")), |n: i32| Ok(34 + n));
    }
    let by_name = SIGNALS.iter().position(|s| *s == name).and_then(|n| i32::try_from(n + 1).ok());
    by_name.or_else(|| value.parse().ok().filter(|n| (1..=64).contains(n))).ok_or(format!("`{value}` is not a signal"))
}

/// Names in the order of their numbers, from 1.
const SIGNALS: &[&str] = &[
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<Spec, Malformed> {
        let config = Config::parse("config", text, &mut |_| Err("none".into()))?;
        Spec::read("c1", &config)
    }

    /// The configuration in the homework's picture, old keys and all.
    #[test]
    fn the_homeworks_picture_is_understood() {
        let spec = spec(
            "lxc.rootfs = /var/lib/lxc/aufstest2/rootfs/\nlxc.utsname = aufstest2\nlxc.tty = 4\nlxc.pts = 1024\n\
             lxc.network.type = empty\nlxc.cap.drop = sys_module mac_admin\nlxc.haltsignal = SIGRTMIN+3\n",
        )
        .unwrap();
        assert_eq!(spec.rootfs, Rootfs::Dir("/var/lib/lxc/aufstest2/rootfs".into()));
        assert_eq!((&*spec.hostname, spec.ttys, spec.signals.halt), ("aufstest2", 4, 37));
        assert_eq!((spec.net[&0].kind.as_str(), spec.cap_drop.as_slice()), ("empty", &[16, 33][..]));
        assert_eq!(spec.notes, Vec::<String>::new());
    }

    /// What is not done is named with its place, whether LXC knows the key or nobody does.
    #[test]
    fn what_is_left_out_is_named() {
        let spec = spec("lxc.apparmor.profile = generated\nlxc.colour = red\n").unwrap();
        assert_eq!(
            spec.notes,
            ["config:1: lxc.apparmor.profile: not supported here, left out", "config:2: lxc.colour: no such key"]
        );
    }

    /// A value that makes no sense stops the start, with file, line and key.
    #[test]
    fn a_wrong_value_is_an_error() {
        for (line, says) in [
            ("lxc.rootfs.path = aufs:/a", "aufs:LOWER:UPPER"),
            ("lxc.rootfs.path = zfs:/a", "there are: dir: overlay: aufs:"),
            ("lxc.cap.drop = fly", "no capability `fly`"),
            ("lxc.net.0.type = macvlan", "veth empty none"),
            ("lxc.signal.halt = SIGNOPE", "not a signal"),
            ("lxc.init.cmd = 'a", "not closed"),
            ("lxc.idmap = u 0 1", "INSIDE OUTSIDE COUNT"),
            ("lxc.tty.max = 100", "more than 63"),
        ] {
            let said = spec(line).unwrap_err().to_string();
            assert!(said.starts_with("config:1: lxc.") && said.contains(says), "{line:?} said {said:?}");
        }
    }

    /// Limits and environment, and a command whose words have blanks.
    #[test]
    fn words_of_all_kinds() {
        let spec = spec(
            "lxc.cgroup2.memory.max = 64M\nlxc.prlimit.nofile = 10:unlimited\nlxc.environment = A=b c\n\
             lxc.init.cmd = /bin/sh -c 'sleep 1'\n",
        )
        .unwrap();
        assert_eq!(spec.cgroup2, [("memory.max".into(), "64M".into())]);
        assert_eq!(spec.prlimits, [("nofile".into(), Some(10), None)]);
        assert_eq!(spec.environment, [("A".into(), "b c".into())]);
        assert_eq!(spec.init, ["/bin/sh", "-c", "sleep 1"]);
    }
}

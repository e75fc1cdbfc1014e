//! What lies in a small root filesystem: a list of things to make, as a value.
//!
//! A container needs surprisingly little: a shell with its tools, the handful of files in `/etc` that name users and
//! the host, empty places for `/proc`, `/sys` and `/dev`, and a program for pid 1. The tools come from a static busybox where the host
//! has one (one file, many names), otherwise from the host's own programs with the libraries they need. The texts lie in
//! `assets/rootfs`: `files/` for every image, `debian/`, `ubuntu/`, `busybox/` on top.
//!
//! Nothing is downloaded. A file that belongs to a template's real distribution and is not here is not pretended to be here: [`Recipe::says`]
//! tells the person what it is.

use include_dir::{Dir, include_dir};

/// The texts.
static TEXTS: Dir = include_dir!("$CARGO_MANIFEST_DIR/assets/rootfs");

/// One thing to make; paths begin with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A directory with its permission bits.
    Dir(String, u32),
    /// A text file with its permission bits.
    Text(String, u32, String),
    /// A symbolic link: (where, to what).
    Link(String, String),
    /// A program of the host, with what it needs, under its own path.
    Program(String),
    /// A file of the host: (path there, path here).
    Copy(String, String),
    /// What a program of the host needs, without the program: it is bound in when the container starts.
    Needs(String),
}

/// What the host has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// A static busybox and its applets as paths (`bin/ls`).
    pub busybox: Option<(String, Vec<String>)>,
    /// Full paths of those of [`TOOLS`] that there are.
    pub tools: Vec<String>,
    /// Path of our own program.
    pub own: Option<String>,
    /// Names of the mount helpers that it stands in for.
    pub helpers: Vec<String>,
    /// Lines of `/etc/hosts` that name the world's machines.
    pub machines: String,
}

/// A root filesystem to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// In order: a directory comes before what lies in it.
    pub items: Vec<Item>,
    /// What it is, for the person.
    pub says: String,
}

/// Programs of the host that an image gets when there is no busybox; those of [`EXTRA`] it gets anyway.
pub const TOOLS: &[&str] = &[
    "bash",
    "sh",
    "dash",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "clear",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "basename",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "getent",
    "grep",
    "groups",
    "gzip",
    "head",
    "hostname",
    "id",
    "install",
    "ip",
    "kill",
    "less",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "more",
    "mount",
    "mountpoint",
    "mv",
    "nproc",
    "od",
    "ping",
    "pkill",
    "pgrep",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "setsid",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stty",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "truncate",
    "tty",
    "umount",
    "uname",
    "uniq",
    "unshare",
    "vi",
    "wc",
    "which",
    "whoami",
    "xargs",
    "yes",
    "agetty",
    "awk",
    "[",
];

/// Programs of the host that a `debian` or `ubuntu` image gets besides busybox: the shell that such a system has.
pub const EXTRA: &[&str] = &["bash"];

/// The templates that need nothing from elsewhere.
pub const TEMPLATES: &[&str] = &["debian", "ubuntu", "busybox"];

/// Empty directories of every image.
const DIRS: &[(&str, u32)] = &[
    ("/dev", 0o755),
    ("/dev/pts", 0o755),
    ("/dev/shm", 0o755),
    ("/etc", 0o755),
    ("/home", 0o755),
    ("/mnt", 0o755),
    ("/opt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/srv", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/usr", 0o755),
    ("/usr/bin", 0o755),
    ("/usr/lib", 0o755),
    ("/usr/lib64", 0o755),
    ("/usr/local", 0o755),
    ("/usr/local/bin", 0o755),
    ("/usr/sbin", 0o755),
    ("/usr/share", 0o755),
    ("/var", 0o755),
    ("/var/lib", 0o755),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
];

/// The old places of programs are links, as on today's distributions.
const LINKS: &[(&str, &str)] = &[
    ("/bin", "usr/bin"),
    ("/sbin", "usr/sbin"),
    ("/lib", "usr/lib"),
    ("/lib64", "usr/lib64"),
    ("/var/run", "/run"),
    ("/etc/mtab", "/proc/self/mounts"),
];

impl Recipe {
    /// The recipe of a template for a container called `name`; `None` when there is no such template.
    pub fn of(template: &str, name: &str, host: &Host) -> Option<Self> {
        if !TEMPLATES.contains(&template) {
            return None;
        }
        let mut items: Vec<Item> = DIRS.iter().map(|(path, mode)| Item::Dir((*path).into(), *mode)).collect();
        items.extend(LINKS.iter().map(|(path, target)| Item::Link((*path).into(), (*target).into())));
        for folder in ["files", template] {
            items.extend(texts(folder, name));
        }
        items.extend(tools(template, host));
        items.extend(helpers(host));
        if let Some(Item::Text(_, _, hosts)) =
            items.iter_mut().find(|i| matches!(i, Item::Text(p, ..) if p == "/etc/hosts"))
        {
            hosts.push_str(&host.machines);
        }
        let what = if host.busybox.is_some() { "busybox" } else { "this machine's own shell and tools" };
        let says = format!(
            "This is a small root filesystem in the style of {template}: {what}, users, a profile and an init of its own.\n\
             It was made here, without a network; it has no package manager and is no full {template} system.\n"
        );
        Some(Self { items, says })
    }
}

fn tools(template: &str, host: &Host) -> Vec<Item> {
    let wanted = |path: &&String| EXTRA.contains(&path.rsplit('/').next().unwrap_or_default());
    match &host.busybox {
        None => host.tools.iter().cloned().map(Item::Program).collect(),
        Some((path, applets)) => {
            let extra = host.tools.iter().filter(wanted).filter(|_| template != "busybox").cloned().map(Item::Program);
            let own = Item::Copy(path.clone(), "/usr/bin/busybox".into());
            let names = applets
                .iter()
                .map(|a| format!("/usr/{}", a.trim_start_matches("usr/")))
                .filter(|a| a != "/usr/linuxrc");
            let kept = |applet: &String| !["/usr/sbin/init", "/usr/bin/busybox"].contains(&applet.as_str());
            let links = names.filter(kept).map(|applet| Item::Link(applet, "/bin/busybox".into()));
            std::iter::once(own).chain(extra).chain(links).collect()
        }
    }
}

/// Where a container sees our own program, bound when it starts.
pub const OWN_PATH: &str = "/usr/libexec/terrarium";

/// So that `mount -t glusterfs` works in a container too, and `sudo` and `su` where the image has none.
fn helpers(host: &Host) -> Vec<Item> {
    let mounting = host.helpers.iter().map(|name| format!("/usr/sbin/{name}"));
    let users = ["/usr/bin/su", "/usr/bin/sudo"].map(String::from);
    let links = mounting.chain(users).map(|path| Item::Link(path, OWN_PATH.into()));
    host.own.iter().map(|own| Item::Needs(own.clone())).chain(links).collect()
}

/// The text files of a folder of `assets/rootfs`, directories first.
fn texts(folder: &str, name: &str) -> Vec<Item> {
    let Some(dir) = TEXTS.get_dir(folder) else { return Vec::new() };
    let mut items = Vec::new();
    collect(dir, folder, name, &mut items);
    items
}

fn collect(dir: &Dir, folder: &str, name: &str, items: &mut Vec<Item>) {
    let path = |p: &std::path::Path| format!("/{}", p.strip_prefix(folder).unwrap_or(p).display());
    for file in dir.files() {
        let path = path(file.path());
        let mode = match path.as_str() {
            "/etc/shadow" => 0o640,
            p if p.contains("/bin/") || p.contains("/sbin/") || p.contains("/libexec/") => 0o755,
            _ => 0o644,
        };
        let text = file.contents_utf8().unwrap_or_default().replace("{name}", name);
        items.push(Item::Text(path, mode, text));
    }
    for below in dir.dirs() {
        items.push(Item::Dir(path(below.path()), 0o755));
        collect(below, folder, name, items);
    }
}

/// The `config` that `lxc-create` writes. `rootfs` is the value of `lxc.rootfs.path`, `base` is what `-f FILE` or `/etc/lxc/default.conf` gives for every container.
pub fn config(template: &str, name: &str, rootfs: &str, base: &str, extra: &str) -> String {
    let base = if base.is_empty() { "lxc.net.0.type = empty\n" } else { base };
    let newline = if base.ends_with('\n') { "" } else { "\n" };
    format!(
        "# Template used to create this container: {template}\n\
         # For additional config options, please look at lxc.container.conf(5)\n\n\
         {base}{newline}\
         lxc.rootfs.path = {rootfs}\n\n\
         # Common configuration\n\
         lxc.include = /usr/share/lxc/config/common.conf\n\n\
         # Container specific configuration\n\
         lxc.uts.name = {name}\n\
         lxc.arch = {arch}\n{extra}",
        arch = std::env::consts::ARCH,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn path(item: &Item) -> &str {
        match item {
            Item::Dir(p, _)
            | Item::Text(p, _, _)
            | Item::Link(p, _)
            | Item::Program(p)
            | Item::Copy(_, p)
            | Item::Needs(p) => p,
        }
    }

    fn host() -> Host {
        let applets =
            ["bin/sh", "bin/ls", "usr/bin/wc", "sbin/init", "linuxrc", "bin/busybox"].map(String::from).to_vec();
        Host {
            busybox: Some(("/bin/busybox".into(), applets)),
            tools: vec!["/usr/bin/bash".into(), "/usr/bin/ls".into()],
            ..Host::default()
        }
    }

    /// Each template has what a session needs, and nothing is made before its folder.
    #[test]
    fn every_template_is_complete() {
        for template in TEMPLATES {
            let recipe = Recipe::of(template, "c1", &host()).unwrap();
            let paths: Vec<&str> = recipe.items.iter().map(path).collect();
            for needed in
                ["/etc/passwd", "/etc/group", "/etc/os-release", "/etc/hostname", "/etc/hosts", "/etc/profile"]
            {
                assert!(paths.contains(&needed), "{template} lacks {needed}");
            }
            let mut made = BTreeSet::from(["".to_string()]);
            for item in &recipe.items {
                let parent = path(item).rsplit_once('/').unwrap().0.to_string();
                assert!(made.contains(&parent), "{template}: {} before its folder", path(item));
                made.insert(path(item).into());
            }
            assert_eq!(paths.iter().filter(|p| **p == "/usr/sbin/init").count(), 1, "one init: ours");
        }
        assert_eq!(Recipe::of("gentoo", "c1", &host()), None);
    }

    /// The container's own name is in its files and configuration.
    #[test]
    fn the_name_is_put_in() {
        let recipe = Recipe::of("debian", "aufstest1", &host()).unwrap();
        let hostname = recipe.items.iter().find(|i| path(i) == "/etc/hostname").unwrap();
        assert_eq!(hostname, &Item::Text("/etc/hostname".into(), 0o644, "aufstest1\n".into()));
        let config = config("debian", "aufstest1", "dir:/var/lib/lxc/aufstest1/rootfs", "", "");
        assert!(config.contains("lxc.rootfs.path = dir:/var/lib/lxc/aufstest1/rootfs\n"));
        assert!(config.contains("lxc.uts.name = aufstest1\n") && config.contains("lxc.net.0.type = empty\n"));
    }

    /// Without busybox the host's own tools are taken; with it only the shell that the style asks for.
    #[test]
    fn tools_come_from_the_host() {
        let without = Host { busybox: None, ..host() };
        let programs = |template: &str, host: &Host| {
            let items = Recipe::of(template, "c", host).unwrap().items;
            items.into_iter().filter(|i| matches!(i, Item::Program(_))).count()
        };
        assert_eq!(
            (programs("debian", &without), programs("debian", &host()), programs("busybox", &host())),
            (2, 1, 0)
        );
    }
}

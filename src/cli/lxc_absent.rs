//! The commands of LXC that are not here, each with its reason; and `lxc-checkconfig`, which tells what the kernel has.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// What is not here, and what to do instead.
const ABSENT: &[(&str, &str)] = &[
    ("lxc-checkpoint", "a container's processes cannot be written to disk here; lxc-freeze lets them stand still"),
    ("lxc-device", "a container has the devices of /dev here and no others; lxc.mount.entry binds a file of the world"),
    ("lxc-unshare", "use unshare(1), which is the same: unshare -m -p -f COMMAND"),
    (
        "lxc-usernsexec",
        "use unshare(1): unshare --map-root-user COMMAND; here you are root over the world's ids already",
    ),
    ("lxc-update-config", "old keys (lxc.rootfs, lxc.utsname, lxc.network.*) are understood as they stand"),
    ("lxc-clone", "LXC itself has lxc-copy in its place: lxc-copy -n OLD -N NEW"),
    ("lxc-start-ephemeral", "LXC itself has lxc-copy in its place: lxc-copy -n OLD -N NEW -e"),
];

/// A command that LXC has and we do not: says so.
pub fn absent(_: &[OsString]) -> ExitCode {
    let called = super::own_name();
    let words = std::env::args().collect::<Vec<_>>();
    let found = ABSENT.iter().find(|(name, _)| called == *name || words.get(1).is_some_and(|word| word == name));
    if let Some((name, instead)) = found {
        eprintln!("{name}: LXC has this, terrarium does not: {instead}");
    }
    ExitCode::from(3)
}

/// What `lxc-checkconfig` looks for: what it is called there, and the file that shows it.
const FEATURES: &[(&str, &str)] = &[
    ("Namespaces", "/proc/self/ns/mnt"),
    ("Utsname namespace", "/proc/self/ns/uts"),
    ("Ipc namespace", "/proc/self/ns/ipc"),
    ("Pid namespace", "/proc/self/ns/pid"),
    ("User namespace", "/proc/self/ns/user"),
    ("Network namespace", "/proc/self/ns/net"),
    ("Cgroup namespace", "/proc/self/ns/cgroup"),
    ("FUSE (for use with lxcfs)", "/dev/fuse"),
    ("Multiple /dev/pts instances", "/dev/pts/ptmx"),
];

/// `lxc-checkconfig`: what of the kernel's features containers use, seen from the running kernel.
pub fn checkconfig(_: &[OsString]) -> ExitCode {
    let mut text = String::from("--- Namespaces and others ---\n");
    for (name, path) in FEATURES {
        text += &format!("{name}: {}\n", if Path::new(path).exists() { "enabled" } else { "missing" });
    }
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has = |name: &str| known.lines().any(|line| line.split_whitespace().last() == Some(name));
    for name in ["overlay", "cgroup", "cgroup2"] {
        text += &format!("Filesystem {name}: {}\n", if has(name) { "enabled" } else { "missing" });
    }
    super::say(&(text + "Filesystem aufs: brought by terrarium (FUSE)\n"));
    ExitCode::SUCCESS
}

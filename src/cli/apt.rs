//! `apt` and `apt-get` inside a world: says what the world brings, and what this machine has.
//!
//! There is no network here and nothing is installed. `apt install glusterfs-server lxc aufs-tools`, the first line of every quick start,
//! succeeds because its tools are there; a package whose program is not there fails as apt fails, with the code 100.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Packages whose tools a world brings, with what they are for.
const BROUGHT: &[(&str, &str)] = &[
    ("aufs-tools", "mount -t aufs"),
    ("aufs-dkms", "mount -t aufs"),
    ("aufs-dev", "mount -t aufs"),
    ("glusterfs-server", "gluster, glusterd"),
    ("glusterfs-client", "mount -t glusterfs"),
    ("glusterfs-common", "gluster"),
    ("glusterfs-cli", "gluster"),
    ("lxc", "lxc-create, lxc-start, lxc-attach, …"),
    ("lxc-utils", "lxc-create, lxc-start, lxc-attach, …"),
    ("lxc-templates", "lxc-create -t"),
    ("lxc-dev", "lxc-create"),
    ("liblxc1", "lxc-create"),
    ("debootstrap", "lxc-create -t debian makes its small root without it"),
    ("bridge-utils", "containers find their bridge"),
    ("uidmap", "containers have their ids"),
    ("sudo", "sudo"),
    ("software-properties-common", "no other sources are needed"),
];

/// Packages named otherwise than their program.
const PROGRAMS: &[(&str, &str)] = &[
    ("coreutils", "ls"),
    ("procps", "ps"),
    ("iproute2", "ip"),
    ("util-linux", "mount"),
    ("attr", "getfattr"),
    ("vim-tiny", "vim"),
    ("python3-minimal", "python3"),
    ("redis-tools", "redis-cli"),
    ("iputils-ping", "ping"),
    ("inotify-tools", "inotifywait"),
    ("xfsprogs", "mkfs.xfs"),
    ("e2fsprogs", "mkfs.ext4"),
    ("net-tools", "ifconfig"),
];

/// The verb; `apt-get` is the same.
pub fn main(args: &[OsString]) -> ExitCode {
    let words: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let mut plain = words.iter().filter(|w| !w.starts_with('-')).map(String::as_str);
    let verb = plain.next().unwrap_or("");
    let packages: Vec<&str> = plain.collect();
    match verb {
        "install" | "reinstall" => install(&packages),
        "update" | "upgrade" | "dist-upgrade" | "full-upgrade" | "autoremove" | "clean" | "autoclean" => {
            println!("Nothing to do: a world has no network and needs no packages.");
            ExitCode::SUCCESS
        }
        "remove" | "purge" => {
            eprintln!("E: Nothing can be removed: this machine's programs are read-only here.");
            ExitCode::from(100)
        }
        "show" | "policy" | "search" | "list" => show(&packages),
        "" => {
            println!("usage: apt install PACKAGE…\nIn a world the tools are there already; apt says which.");
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("E: Invalid operation {other} (in a world: install, update, show, list)");
            ExitCode::from(100)
        }
    }
}

fn install(packages: &[&str]) -> ExitCode {
    let mut missing = false;
    for package in packages {
        match there(package) {
            Some(what) => println!("{package} is already there: {what}."),
            None => {
                missing = true;
                eprintln!(
                    "E: Unable to locate package {package} (a world has no network; install it on the machine itself, outside)"
                );
            }
        }
    }
    if missing { ExitCode::from(100) } else { ExitCode::SUCCESS }
}

fn show(packages: &[&str]) -> ExitCode {
    if packages.is_empty() || packages == ["list"] {
        BROUGHT.iter().for_each(|(package, what)| println!("{package}: this world brings it ({what})"));
        return ExitCode::SUCCESS;
    }
    install(packages)
}

/// Why a package need not be installed, if so.
fn there(package: &str) -> Option<String> {
    let package = package.split(['=', '/', ':']).next().unwrap_or(package);
    let brought = BROUGHT.iter().find(|(name, _)| *name == package);
    brought.map(|(_, what)| format!("this world brings it ({what})")).or_else(|| {
        let program = PROGRAMS.iter().find(|(name, _)| *name == package).map_or(package, |(_, program)| program);
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let found = path.split(':').map(|d| Path::new(d).join(program)).find(|p| p.is_file())?;
        Some(format!("this machine has {}", found.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::there;

    /// What the homework installs is there, what is nowhere is not said to be.
    #[test]
    fn what_a_world_brings() {
        for package in ["glusterfs-server", "lxc", "aufs-tools", "lxc=1:5.0.2", "coreutils"] {
            assert!(there(package).is_some(), "{package}");
        }
        assert_eq!(there("no-such-package-anywhere"), None);
    }
}

//! Entering a running container: `lxc-attach`.
//!
//! We enter every namespace of pid 1 at once by its pidfd, open a terminal of the container's own `/dev/pts` if the person
//! sits at one, and fork: only the child is *in* the container (a pid namespace is entered by being born there). It drops
//! what pid 1 dropped, and becomes the command. Its exit code is ours.

use std::fs;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::wait::waitpid;
use nix::unistd::{self, Pid};

use super::super::protocol::{Request, Status};
use super::client::Client;
use super::room::{become_user, bound_processes, run, stand_on};
use super::start::{code_of, code_of_failure};
use super::sys::{self, Forked};
use super::terminal::{self, Escape};
use super::{Doing, Error};
use crate::sandbox::keyring;

/// What a container's programs are looked for in, if nothing is said.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How to attach.
#[derive(Debug, Clone, Default)]
pub struct Attach {
    /// The command; empty for the user's shell.
    pub command: Vec<String>,
    /// User and group inside.
    pub ids: (u32, u32),
    /// Begin with an empty environment.
    pub clear_env: bool,
    /// Variables to keep although it is empty.
    pub keep: Vec<String>,
    /// Variables to set: `NAME=VALUE`.
    pub set: Vec<String>,
    /// Do not drop capabilities.
    pub elevated: bool,
    /// Enter these namespaces only (`CLONE_NEW*` bits).
    pub namespaces: Option<i32>,
    /// Keep a copy of what the terminal shows here.
    pub log: Option<String>,
}

/// Every namespace that a container has.
const ALL: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP;

impl Attach {
    /// Runs the command in the container; gives its exit code.
    ///
    /// # Errors
    /// When the container cannot be entered.
    pub fn run(&self, client: &mut Client, status: &Status) -> Result<i32, Error> {
        let groups = open_groups(status);
        let process = sys::pidfd(status.pid).doing(|| "find pid 1")?;
        let log = self.log.as_ref().map(|p| fs::File::create(p).doing(|| format!("open {p}"))).transpose()?;
        let here = std::env::current_dir().ok();
        sys::hide_from_others();
        sys::enter(&process, self.namespaces.unwrap_or(ALL)).doing(|| "enter the container's namespaces")?;
        let terminal = self.open_terminal()?;
        let (waits, go) = io::pipe().doing(|| "make a pipe")?;
        let child = match sys::fork_into(0).doing(|| "fork")? {
            Forked::Child => {
                drop(go);
                self.child(status, terminal.as_ref().map(|t| &t.1), waits, here.as_deref())
            }
            Forked::Parent(pid) => pid,
        };
        for mut group in groups {
            let _ = io::Write::write_all(&mut group, child.to_string().as_bytes());
        }
        drop((waits, go));
        self.follow(client, child, terminal.map(|t| t.0), log)
    }

    /// The parent: tells the monitor, passes the terminal through, waits.
    fn follow(
        &self,
        client: &mut Client,
        child: i32,
        master: Option<OwnedFd>,
        log: Option<fs::File>,
    ) -> Result<i32, Error> {
        let command = if self.command.is_empty() { vec!["shell".into()] } else { self.command.clone() };
        let _ = client.tell(&Request::Attached { pid: child, command });
        if let Some(master) = master {
            let process = sys::pidfd(child).doing(|| "watch the command")?;
            let done = terminal::pass_through(&master, process.as_fd(), Escape::new(None), log);
            done.doing(|| "pass the terminal through")?;
        } else {
            ignore_keyboard_signals();
        }
        let code = code_of(waitpid(Pid::from_raw(child), None).doing(|| "wait for the command")?);
        let _ = client.tell(&Request::Detached { pid: child, code });
        Ok(code)
    }

    /// A terminal in the container, when the person sits at one; both ends.
    fn open_terminal(&self) -> Result<Option<(OwnedFd, OwnedFd)>, Error> {
        let inside = self.namespaces.unwrap_or(ALL) & libc::CLONE_NEWNS != 0;
        if !(inside && io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Ok(None);
        }
        let (master, slave, _) = terminal::open_pair().doing(|| "open a terminal in the container")?;
        terminal::copy_size(io::stdin().as_fd(), master.as_fd());
        Ok(Some((master, slave)))
    }

    fn child(&self, status: &Status, slave: Option<&OwnedFd>, mut waits: io::PipeReader, here: Option<&Path>) -> ! {
        let _ = io::Read::read(&mut waits, &mut [0]); // ends when the parent has put us into the control groups
        let error = match self.prepare(status, slave, here) {
            Ok((command, environment)) => run(&command, &environment),
            Err(error) => error,
        };
        eprintln!("lxc-attach: {error}");
        std::process::exit(code_of_failure(&error))
    }

    fn prepare(
        &self,
        status: &Status,
        slave: Option<&OwnedFd>,
        here: Option<&Path>,
    ) -> Result<(Vec<String>, Vec<String>), Error> {
        if let Some(slave) = slave {
            unistd::setsid().doing(|| "begin a session")?;
            // SAFETY: no memory is handed over.
            unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) };
            stand_on(slave).doing(|| "take the terminal")?;
        }
        bound_processes();
        keyring::take_fresh();
        if !self.elevated {
            sys::bound_capabilities(status.capabilities).doing(|| "drop capabilities")?;
        }
        become_user(self.ids)?;
        if here.is_none_or(|path| unistd::chdir(path).is_err()) {
            unistd::chdir("/").doing(|| "enter /")?;
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (home, shell) = entry(&passwd, self.ids.0);
        let command = if self.command.is_empty() { vec![shell_of(shell)] } else { self.command.clone() };
        Ok((command, self.environment(status, home)))
    }

    fn environment(&self, status: &Status, home: &str) -> Vec<String> {
        let kept = |name: &str| !self.clear_env || self.keep.iter().any(|k| k == name);
        let outer =
            std::env::vars().filter(|(name, _)| kept(name) && !["HOME", "PATH", "container"].contains(&name.as_str()));
        let mut all: Vec<String> = outer.map(|(name, value)| format!("{name}={value}")).collect();
        let path = std::env::var("PATH").ok().filter(|_| kept("PATH"));
        all.push(format!("PATH={}", path.map_or_else(|| PATH.into(), |p| with_system_folders(&p))));
        all.push(format!("HOME={home}"));
        all.extend(status.environment.iter().map(|(name, value)| format!("{name}={value}")));
        all.push("container=lxc".into());
        all.extend(self.set.iter().cloned());
        last_of_each(all)
    }
}

/// Of variables that were set twice the later ones.
fn last_of_each(all: Vec<String>) -> Vec<String> {
    let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_string();
    let mut seen = std::collections::BTreeSet::new();
    let mut kept: Vec<String> = all.into_iter().rev().filter(|v| seen.insert(name(v))).collect();
    kept.reverse();
    kept
}

/// A search path that has the folders where a container's programs are.
fn with_system_folders(path: &str) -> String {
    let missing = PATH.split(':').filter(|folder| !path.split(':').any(|p| p == *folder));
    std::iter::once(path).chain(missing).collect::<Vec<_>>().join(":")
}

/// Home and shell of a user in `/etc/passwd`.
fn entry(passwd: &str, uid: u32) -> (&str, &str) {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|f| f.get(2).is_some_and(|id| id.parse() == Ok(uid)));
    found.map_or(("/", ""), |f| (f.get(5).copied().unwrap_or("/"), f.get(6).copied().unwrap_or("")))
}

fn shell_of(shell: &str) -> String {
    if !shell.is_empty() && Path::new(shell).exists() { shell.into() } else { "/bin/sh".into() }
}

/// The lists of members of the container's control groups, opened while we can still see them.
fn open_groups(status: &Status) -> Vec<fs::File> {
    let open = |dir: &String| fs::OpenOptions::new().write(true).open(Path::new(dir).join("cgroup.procs"));
    status.cgroups.iter().filter_map(|dir| open(dir).ok()).collect()
}

/// Ctrl-C and Ctrl-\ are for the command; we wait for what it makes of them.
fn ignore_keyboard_signals() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    for number in [Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: ignoring runs no code of ours.
        let _ = unsafe { signal(number, SigHandler::SigIgn) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A person's search path is kept, and the container's own folders are always in it.
    #[test]
    fn programs_are_found() {
        assert_eq!(with_system_folders(PATH), PATH);
        assert_eq!(
            with_system_folders("/opt/bin:/bin"),
            "/opt/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin"
        );
    }

    /// Home and shell are those of the container's own passwd.
    #[test]
    fn the_containers_own_users() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33::/srv:/bin/sh\n";
        assert_eq!(
            (entry(passwd, 0), entry(passwd, 33), entry(passwd, 7)),
            (("/root", "/bin/bash"), ("/srv", "/bin/sh"), ("/", ""))
        );
    }
}

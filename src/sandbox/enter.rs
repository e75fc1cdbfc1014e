//! Joining a world from outside, and waiting for a command as a shell expects.
//!
//! The keeper's socket tells which process to join: its peer credentials name the keeper's pid as seen from here. One
//! `setns(2)` on that process's pidfd enters all its namespaces at once, as the same user. The command then runs as a
//! child inside. On a terminal it is a process group of its own that holds the terminal, as under su(1): its group has a
//! number inside too, which shells want, and what the keys send reaches it alone. When it stops, the whole job does.

use std::ffi::{CString, OsStr, OsString};
use std::io::IsTerminal;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, execve, fork, getpgrp, getpid, setpgid, tcgetpgrp, tcsetpgrp};

use super::{Error, Result, While, cgroup, is_host_root, keyring, machines, place::Place, shims};

/// The exit code of our own failures, as env(1) has it.
pub const FAILED: u8 = 125;

/// Moves this single-threaded process into the namespaces of the world at `place`; its children will live there.
///
/// # Errors
/// If the world does not run, or the kernel refuses.
pub fn join(place: &Place) -> Result<()> {
    let not_running = || Error::new(format!("world {}", place.name), "it does not run; `terrarium run` opens one");
    let stream = crate::world::client::connect(&place.socket()).map_err(|_| not_running())?;
    let keeper = getsockopt(&stream, PeerCredentials).when(|| "asking who keeps the world")?.pid();
    let pidfd = open_pid(keeper)?;
    let spaces = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET;
    let mut all = spaces | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWCGROUP;
    if !is_host_root() {
        all |= CloneFlags::CLONE_NEWUSER;
    }
    setns(pidfd.as_fd(), all).when(|| format!("joining world {}", place.name))
}

/// A descriptor for a process, readable when it has ended.
///
/// # Errors
/// If there is no such process.
pub(super) fn open_pid(pid: libc::pid_t) -> Result<OwnedFd> {
    // SAFETY: plain numbers in, a new descriptor or an error out.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(fd).when(|| format!("finding process {pid}"))?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) })
}

/// What to run inside.
#[derive(Debug, Clone)]
pub struct Job {
    /// The command and its arguments; a shell when empty.
    pub argv: Vec<OsString>,
    /// The folder to run it in, if it is there inside; else `/`.
    pub dir: OsString,
    /// The world's name, for its environment.
    pub world: String,
}

/// Runs a job as a child of this process, which has joined a world, and gives its exit status: the command's own, 126 or
/// 127 as env(1), or 128 and the signal that ended it.
///
/// # Errors
/// If it could not be forked.
pub fn run(job: &Job) -> Result<u8> {
    let signals = forwarded();
    signals.thread_block().when(|| "blocking signals")?;
    let on_terminal = has_terminal();
    // SAFETY: this process has one thread.
    match unsafe { fork() }.when(|| "forking")? {
        ForkResult::Child => {
            if on_terminal {
                let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
                give_terminal(getpid());
            }
            let code = exec(job, &signals);
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(i32::from(code)) }
        }
        ForkResult::Parent { child } => {
            let code = wait_for(child, on_terminal);
            if on_terminal {
                give_terminal(getpgrp());
            }
            code
        }
    }
}

/// Whether this process's group holds the terminal on both ends; in a pipeline it belongs to the others too.
fn has_terminal() -> bool {
    let both = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    both && tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// Makes `group` the terminal's foreground group, from wherever we are.
fn give_terminal(group: Pid) {
    let background = SigSet::from_iter([Signal::SIGTTOU]);
    let _ = background.thread_block();
    let _ = tcsetpgrp(std::io::stdin(), group);
    let _ = background.thread_unblock();
}

/// Becomes the job. Returns the exit code only when that failed.
fn exec(job: &Job, blocked: &SigSet) -> u8 {
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    let _ = blocked.thread_unblock();
    keyring::take_fresh();
    if is_host_root() {
        cgroup::join();
    }
    // SAFETY: the default action replaces no handler. This program ignores SIGPIPE; the command shall not.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    let _ = chdir(job.dir.as_os_str()).or_else(|_| chdir("/"));
    let argv = if job.argv.is_empty() { vec![shell()] } else { job.argv.clone() };
    let environment = environment(&job.world);
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone()).unwrap_or_default();
    let text = |s: &OsStr| CString::new(s.as_bytes()).unwrap_or_default();
    let args: Vec<CString> = argv.iter().map(|arg| text(arg)).collect();
    let pairs: Vec<CString> =
        environment.iter().map(|(n, v)| text(&[n.as_os_str(), v].join(OsStr::new("=")))).collect();
    let mut reason = Errno::ENOENT;
    for candidate in candidates(&argv[0], &path) {
        match execve(&text(&candidate), &args, &pairs) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(other) => reason = other,
            Ok(never) => match never {},
        }
    }
    eprintln!("terrarium: ‘{}’: {}", argv[0].display(), reason.desc());
    if reason == Errno::ENOENT { 127 } else { 126 }
}

fn candidates(command: &OsStr, path: &OsStr) -> Vec<OsString> {
    if command.as_bytes().contains(&b'/') {
        return vec![command.to_owned()];
    }
    let dirs = path.as_bytes().split(|byte| *byte == b':').map(|dir| Path::new(OsStr::from_bytes(dir)));
    dirs.map(|dir| dir.join(command).into_os_string()).collect()
}

fn shell() -> OsString {
    let own = std::env::var_os("SHELL").filter(|shell| Path::new(shell).exists());
    let bash = || Path::new("/bin/bash").exists().then(|| "/bin/bash".into());
    own.or_else(bash).unwrap_or_else(|| "/bin/sh".into())
}

/// What a shell without a prompt of its own says before each line: which machine, and where. (A bare `#` leaves a student
/// in the dark; bash's start files have the last word.)
pub fn prompt(machine: &str) -> String {
    format!("{machine}:$PWD# ")
}

/// The caller's environment as root of the world sees it.
fn environment(world: &str) -> Vec<(OsString, OsString)> {
    let stale =
        ["PATH", "HOME", "USER", "LOGNAME", "MAIL", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "TERRARIUM_WORLD"];
    let kept = std::env::vars_os().filter(|(name, _)| !stale.iter().any(|s| name == s));
    let old = std::env::var_os("PATH").unwrap_or_default();
    let mut path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:", shims::BIN).into_bytes();
    path.extend_from_slice(old.as_bytes());
    let new = [("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root"), ("TERRARIUM_WORLD", world)];
    let new = new.map(|(name, value)| (name.into(), value.into()));
    let prompt = std::env::var_os("PS1").is_none().then(|| ("PS1".into(), prompt(machines::HOME_MACHINE).into()));
    kept.chain(new).chain(prompt).chain([("PATH".into(), OsString::from_vec(path))]).collect()
}

/// The signals that [`attend`] takes for the child.
fn forwarded() -> SigSet {
    SigSet::from_iter([
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ])
}

/// Waits for `child` as a good parent of a terminal's job does: passes signals on, stops when it stops (with the whole
/// process group, or the user's shell would hang), and gives its exit status, 128 and the signal if one ended it. Blocks the
/// signals that it takes.
///
/// # Errors
/// If waiting fails.
pub fn attend(child: Pid) -> Result<u8> {
    wait_for(child, false)
}

fn wait_for(child: Pid, on_terminal: bool) -> Result<u8> {
    let signals = forwarded();
    signals.thread_block().when(|| "blocking signals")?;
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)).when(|| "waiting for the command")? {
            WaitStatus::Exited(_, code) => return Ok(u8::try_from(code & 0xff).unwrap_or(FAILED)),
            WaitStatus::Signaled(_, signal, _) => return Ok(128 + signal as u8),
            WaitStatus::Stopped(_, _) => stop_with(child, on_terminal),
            _ => pass_on(child, wait_signal(&signals)?),
        }
    }
}

/// The child stopped: stop this whole job too, and let the child go on when the job does.
fn stop_with(child: Pid, on_terminal: bool) {
    if on_terminal {
        give_terminal(getpgrp());
    }
    let _ = kill(Pid::from_raw(0), Signal::SIGSTOP);
    if on_terminal && has_terminal() {
        give_terminal(child);
    }
    let whom = if on_terminal { Pid::from_raw(-child.as_raw()) } else { child };
    let _ = kill(whom, Signal::SIGCONT);
}

/// One signal that came, and whether the kernel sent it for a key of the terminal: then the child has it already.
fn wait_signal(signals: &SigSet) -> Result<(libc::c_int, bool)> {
    // SAFETY: both pointers are to live values; siginfo_t is plain data that the kernel fills.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let number = libc::sigwaitinfo(signals.as_ref(), &raw mut info);
        match Errno::result(number) {
            Ok(number) => Ok((number, info.si_code == libc::SI_KERNEL)),
            Err(Errno::EINTR) => Ok((libc::SIGCHLD, true)),
            Err(reason) => Err(Error::new("waiting for a signal", reason)),
        }
    }
}

fn pass_on(child: Pid, (number, from_terminal): (libc::c_int, bool)) {
    if number == libc::SIGCHLD || from_terminal {
        return;
    }
    if let Ok(signal) = Signal::try_from(number) {
        let _ = kill(child, signal);
    }
}

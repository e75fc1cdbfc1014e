//! A start: the monitor, the holder of namespaces, and pid 1. See the picture in [`super`].

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, Pid};

use super::super::plan::Plan;
use super::super::spec::Spec;
use super::cgroup::{self, Cgroups};
use super::monitor::Monitor;
use super::store::Place;
use super::sys::{self, Forked};
use super::{Doing, Error, hooks, ids, network, room};

/// Everything that a start needs.
pub struct Launch {
    /// Where the container lives.
    pub place: Place,
    /// What it shall be.
    pub spec: Spec,
    /// Its room.
    pub plan: Plan,
    /// Run this under a small init (`lxc-execute`).
    pub execute: Option<Vec<String>>,
    /// Stay on the caller's own terminal and standard streams.
    pub own_terminal: bool,
    /// Write pid 1's process id here.
    pub pidfile: Option<String>,
    /// A union that was mounted for this start and is unmounted at its end.
    pub union: Option<std::path::PathBuf>,
}

/// A container that runs.
pub struct Running {
    /// Pid 1's process id.
    pub pid: i32,
    /// A descriptor for it.
    pub process: OwnedFd,
    /// Master and slave of the console and of each terminal.
    pub terminals: Vec<(OwnedFd, OwnedFd)>,
    /// Its control groups.
    pub cgroups: Cgroups,
    /// Outer ends of its network interfaces.
    pub links: Vec<String>,
    /// What held its namespaces until pid 1 did; ended when nobody waits for it any more.
    pub holder: Option<Holder>,
}

/// Starts a container with a monitor in the background; returns when pid 1 has become the container's program.
///
/// # Errors
/// Why it could not be started; then nothing is left.
pub fn in_background(launch: &Launch) -> Result<(), Error> {
    let (mut word, answer) = std::io::pipe().doing(|| "make a pipe")?;
    if let Forked::Parent(_) = sys::fork_into(0).doing(|| "fork the monitor")? {
        drop(answer);
        cgroup::warm_up();
        let mut said = String::new();
        word.read_to_string(&mut said).doing(|| "wait for the monitor")?;
        return match said.strip_prefix("ok") {
            Some(_) => Ok(()),
            None if said.is_empty() => Err(Error::said("the monitor ended without a word")),
            None => Err(Error::said(said)),
        };
    }
    drop(word);
    let code = monitor_in_background(launch, answer);
    // The monitor ends here and runs nothing of the program that it was forked from.
    std::process::exit(code)
}

fn monitor_in_background(launch: &Launch, mut answer: std::io::PipeWriter) -> i32 {
    let begun = leave_terminal().and_then(|()| {
        let Place { lxcpath, name } = &launch.place;
        sys::set_title(&format!("[lxc monitor] {} {name}", lxcpath.display()));
        Monitor::begin(launch)
    });
    match begun {
        Ok(monitor) => {
            let _ = answer.write_all(b"ok");
            drop(answer);
            monitor.watch(launch)
        }
        Err(error) => {
            let _ = answer.write_all(error.to_string().as_bytes());
            1
        }
    }
}

/// A daemon has no terminal, no folder and no standard streams.
fn leave_terminal() -> Result<(), Error> {
    unistd::setsid().doing(|| "begin a session")?;
    unistd::chdir("/").doing(|| "enter /")?;
    let null = open("/dev/null", OFlag::O_RDWR, Mode::empty()).doing(|| "open /dev/null")?;
    room::stand_on(&null).doing(|| "leave the terminal")
}

/// Starts a container and stays with it until it ends, on the caller's terminal; gives the exit code of the command.
///
/// # Errors
/// Why it could not be started.
pub fn in_foreground(launch: &Launch) -> Result<i32, Error> {
    Ok(Monitor::begin(launch)?.watch(launch))
}

/// Makes the holder and pid 1.
///
/// # Errors
/// Why not; then both are gone.
pub fn spawn(launch: &Launch) -> Result<Running, Error> {
    let spec = &launch.spec;
    let holder = Holder::new(spec)?;
    let links = network::outside(spec, holder.pid)?;
    let (ours, theirs) = sys::packet_pair().doing(|| "make a socket pair")?;
    let pid = match sys::fork_into(libc::CLONE_NEWPID | libc::CLONE_NEWNS).doing(|| "make a pid namespace")? {
        Forked::Parent(pid) => pid,
        Forked::Child => {
            drop(ours);
            pid_one(launch, &holder, &theirs)
        }
    };
    drop(theirs);
    match follow(launch, pid, &ours, links) {
        Ok(running) => Ok(Running { holder: Some(holder), ..running }),
        Err(error) => {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::SIGKILL);
            let _ = waitpid(Pid::from_raw(pid), None);
            Err(error)
        }
    }
}

fn pid_one(launch: &Launch, holder: &Holder, line: &OwnedFd) -> ! {
    let Launch { spec, plan, execute, own_terminal, .. } = launch;
    let holder = &holder.process;
    let role = room::Role { spec, plan, holder, line, execute: execute.as_deref(), own_terminal: *own_terminal };
    let error = room::become_container(&role);
    let _ = sys::send_fds(line, error.to_string().as_bytes(), &[]);
    // SAFETY: ends this process at once, as a forked child should.
    unsafe { libc::_exit(1) }
}

/// The monitor's side of pid 1's beginning.
fn follow(launch: &Launch, pid: i32, line: &OwnedFd, links: Vec<String>) -> Result<Running, Error> {
    let process = sys::pidfd(pid).doing(|| "watch pid 1")?;
    let hear = || sys::receive_fds(line, 4096).doing(|| "listen to pid 1");
    let (word, fds) = hear()?;
    if word != b"terminals" {
        return Err(heard(&word));
    }
    let mut fds = fds.into_iter();
    let terminals = std::iter::from_fn(|| Some((fds.next()?, fds.next()?))).collect();
    let cgroups = Cgroups::make(&launch.spec, pid)?;
    if let Some(path) = &launch.pidfile {
        std::fs::write(path, format!("{pid}\n")).doing(|| format!("write {path}"))?;
    }
    hooks::run("start-host", &launch.spec, &launch.place.config_path(), Some(pid))?;
    sys::send_fds(line, b"go", &[]).doing(|| "let pid 1 go on")?;
    match hear()?.0.as_slice() {
        b"" | b"running" => Ok(Running { pid, process, terminals, cgroups, links, holder: None }),
        word => {
            cgroups.remove();
            Err(heard(word))
        }
    }
}

fn heard(word: &[u8]) -> Error {
    match word {
        b"" => Error::said("pid 1 ended before it began"),
        word => Error::said(String::from_utf8_lossy(word)),
    }
}

/// A process that only waits; its namespaces are the container's. Dropped, it ends.
pub struct Holder {
    pid: i32,
    process: OwnedFd,
}

impl Holder {
    fn new(spec: &Spec) -> Result<Self, Error> {
        let network = if spec.shares_network() { 0 } else { libc::CLONE_NEWNET };
        let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | network;
        match sys::fork_into(namespaces).doing(|| "make new namespaces (may this user? `terrarium doctor` says)")? {
            Forked::Child => {
                let _ = sys::die_with_parent();
                loop {
                    unistd::pause();
                }
            }
            Forked::Parent(pid) => {
                let process = sys::pidfd(pid).doing(|| "watch the holder")?;
                let holder = Self { pid, process };
                ids::give(pid, &spec.idmap)?;
                Ok(holder)
            }
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(Pid::from_raw(self.pid), nix::sys::signal::SIGKILL);
        let _ = waitpid(Pid::from_raw(self.pid), None);
    }
}

/// The init of `lxc-execute`: runs one command beneath itself, reaps whatever ends, and ends with the command.
pub fn small_init(line: &OwnedFd, command: &[String], environment: &[String]) -> Error {
    let child = match sys::fork_into(0) {
        Err(source) => return Error::Io { doing: "fork the command".into(), source },
        Ok(Forked::Child) => {
            let error = room::run(command, environment);
            eprintln!("lxc-init: {error}");
            std::process::exit(code_of_failure(&error));
        }
        Ok(Forked::Parent(pid)) => Pid::from_raw(pid),
    };
    sys::set_title("lxc-init");
    let _ = sys::send_fds(line, b"running", &[]);
    pass_signals_on(child);
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(child) => std::process::exit(code_of(status)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => std::process::exit(1),
        }
    }
}

/// Which process gets the signals that ask a container to end.
static COMMAND: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

extern "C" fn pass_on(signal: libc::c_int) {
    let pid = COMMAND.load(std::sync::atomic::Ordering::Relaxed);
    let signal = if signal == libc::SIGPWR { libc::SIGTERM } else { signal };
    // SAFETY: kill(2) is async-signal-safe.
    unsafe { libc::kill(pid, signal) };
}

fn pass_signals_on(child: Pid) {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    COMMAND.store(child.as_raw(), std::sync::atomic::Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(pass_on), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGTERM, Signal::SIGPWR, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2] {
        // SAFETY: the handler only loads an atomic and calls kill(2).
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// A process's end as a shell tells it: its exit code, or 128 and the signal.
pub fn code_of(status: WaitStatus) -> i32 {
    match status {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        _ => 1,
    }
}

/// The exit code for a program that could not be run: 127 when there is none, else 126.
pub fn code_of_failure(error: &Error) -> i32 {
    match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}

//! The outer stage: from the host into the world.
//!
//! [`open`] starts the launcher (`terrarium world …`, a process of its own: namespaces are unshared before any thread
//! exists) and waits until the world's keeper listens. Two pipes tie them together: `alive`, whose write end the
//! opener holds and init watches, and `ready`, on which the launcher's stages write why they failed, or `ready`.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::{
    Error, Result, While, cgroup, guard, ids, init, is_host_root, machines, own_exe, place::Place, root::Root,
};

/// What to open.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The world's place; claimed by the opener.
    pub place: Place,
    /// The seed of everything random in the world.
    pub seed: u64,
    /// The host's folder that stays writable at its own path.
    pub work: Option<PathBuf>,
}

/// A world that runs. It ends when this is dropped, or when the process that holds it ends in any way.
#[derive(Debug)]
pub struct Opened {
    launcher: Child,
    alive: Option<OwnedFd>,
    /// Whether it runs on the host itself, without namespaces.
    pub on_host: bool,
    /// The world's place.
    pub place: Place,
}

/// Opens a world and waits until its keeper listens.
///
/// # Errors
/// Where and why it failed, as the stage that failed says it.
pub fn open(spec: &Spec) -> Result<Opened> {
    let (alive_inside, alive) = pipe_pair()?;
    let (ready, ready_inside) = pipe_pair()?;
    let _ = std::fs::remove_file(spec.place.socket());
    let mut command = Command::new(own_exe()?);
    let inherit = vec![alive_inside.as_raw_fd(), ready_inside.as_raw_fd()];
    command.arg0("terrarium-world").arg("world").arg(&spec.place.name).arg(spec.seed.to_string());
    command.args([alive_inside.as_raw_fd(), ready_inside.as_raw_fd()].map(|fd| fd.to_string()));
    command.arg(spec.work.as_deref().unwrap_or(Path::new("")));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    wait_ready(spec, command, false, inherit, (alive, ready), (alive_inside, ready_inside))
}

/// Opens a world where namespaces are refused: its keeper and nodes run on the host itself, on loopback addresses of their
/// own (`loopback`, three bytes), and end with this process. Raft labs need no more.
///
/// # Errors
/// As of [`open`].
pub fn open_on_host(spec: &Spec, loopback: &str) -> Result<Opened> {
    let (alive_inside, alive) = pipe_pair()?;
    let (ready, ready_inside) = pipe_pair()?;
    let _ = std::fs::remove_file(spec.place.socket());
    let mut command = Command::new(own_exe()?);
    command.arg0("terrarium").args(["keeper", &spec.place.name, &spec.seed.to_string()]);
    command.arg(ready_inside.as_raw_fd().to_string()).arg(&spec.place.dir).process_group(0);
    command.env(machines::LOOPBACK, loopback).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let inherit = vec![ready_inside.as_raw_fd()];
    wait_ready(spec, command, true, inherit, (alive, ready), (alive_inside, ready_inside))
}

fn wait_ready(
    spec: &Spec,
    mut command: Command,
    on_host: bool,
    inherit: Vec<RawFd>,
    (alive, ready): (OwnedFd, OwnedFd),
    inside: (OwnedFd, OwnedFd),
) -> Result<Opened> {
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            SigSet::all().thread_unblock()?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            inherit.iter().try_for_each(|fd| keep_on_exec(*fd))
        });
    }
    let launcher = command.spawn().when(|| "starting the world")?;
    drop(inside);
    let opened = Opened { launcher, alive: Some(alive), on_host, place: spec.place.clone() };
    let mut said = String::new();
    File::from(ready).read_to_string(&mut said).when(|| "waiting for the world")?;
    match said.lines().next() {
        Some("ready") => Ok(opened),
        Some(reason) => Err(Error::new("opening the world", reason)),
        None => Err(Error::new("opening the world", "it ended before it was ready; see `terrarium doctor`")),
    }
}

impl Opened {
    /// Whether the world still lives; its keeper may have been killed.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.launcher.try_wait(), Ok(None))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.alive.take();
        if self.on_host {
            let _ = kill(Pid::from_raw(self.launcher.id().cast_signed()), Signal::SIGTERM);
        }
        let _ = self.launcher.wait();
        cgroup::remove(&self.place); // the guard has done it, unless it was killed
    }
}

fn pipe_pair() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).when(|| "making a pipe")
}

/// Lets an open descriptor survive exec. May be called between fork and exec.
///
/// # Errors
/// If the descriptor is not open.
pub fn keep_on_exec(fd: RawFd) -> std::io::Result<()> {
    // SAFETY: the descriptor is open; it is borrowed for this call alone.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// The launcher's arguments, as [`open`] gives them: name, seed, alive and ready descriptors, working folder.
struct Args {
    spec: Spec,
    alive: RawFd,
    ready: RawFd,
}

fn parse(args: &[std::ffi::OsString]) -> Option<Args> {
    let [name, seed, alive, ready, work] = args else { return None };
    let place = Place::of(name.to_str()?).ok()?;
    let work = (!work.is_empty()).then(|| PathBuf::from(work));
    let spec = Spec { place, seed: seed.to_str()?.parse().ok()?, work };
    Some(Args { spec, alive: alive.to_str()?.parse().ok()?, ready: ready.to_str()?.parse().ok()? })
}

/// The body of the hidden verb `world`: makes the world and stays as its guard. Gives the exit code.
pub fn main(args: &[std::ffi::OsString]) -> u8 {
    let Some(args) = parse(args) else { return 2 };
    // SAFETY: the opener made this descriptor for us, and we keep it as long as we run.
    let alive = unsafe { BorrowedFd::borrow_raw(args.alive) };
    guard::stand(&args.spec.place, alive, args.ready, || launch(&args)).unwrap_or(5)
}

fn launch(args: &Args) -> u8 {
    outer_stage(args).unwrap_or_else(|error| {
        // SAFETY: the opener made this descriptor for us.
        let ready = unsafe { OwnedFd::from_raw_fd(args.ready) };
        let _ = nix::unistd::write(&ready, format!("{error}\n").as_bytes());
        3
    })
}

/// How many processes a world may have: a fork bomb inside stays inside. The kernel (≥ 5.14) counts by user namespace.
const PROCESSES: u64 = 4096;

fn outer_stage(args: &Args) -> Result<u8> {
    umask(Mode::from_bits_truncate(0o022));
    if is_host_root() {
        cgroup::bound(&args.spec.place, PROCESSES);
    } else {
        let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).when(|| "reading the limit of processes")?;
        let most = PROCESSES.min(hard);
        setrlimit(Resource::RLIMIT_NPROC, most, most).when(|| "limiting the world's processes")?;
    }
    new_namespaces(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID, ids::Ids::Outer)?;
    fork_and_wait(args, || {
        Root { place: args.spec.place.clone(), work: args.spec.work.clone() }.enter()?;
        inner_stage(args)
    })
}

fn inner_stage(args: &Args) -> Result<u8> {
    let private = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNET;
    let named = CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWCGROUP;
    new_namespaces(private | named, ids::Ids::Same)?;
    fork_and_wait(args, || init::become_init(&args.spec, args.alive, args.ready))
}

fn new_namespaces(flags: CloneFlags, ids: ids::Ids) -> Result<()> {
    if is_host_root() { unshare(flags).when(|| "making namespaces") } else { ids::unshare_user(flags, ids) }
}

/// Runs `body` in a child, pid 1 of the new pid namespace, and waits for it. The child dies with this process.
fn fork_and_wait(args: &Args, body: impl FnOnce() -> Result<u8>) -> Result<u8> {
    // SAFETY: this process has one thread.
    match unsafe { fork() }.when(|| "forking into the world")? {
        ForkResult::Child => {
            let tied = prctl::set_pdeathsig(Signal::SIGKILL).when(|| "tying the world to its launcher");
            let code = tied.and_then(|()| body()).unwrap_or_else(|error| {
                // SAFETY: the opener made this descriptor for us; it is closed with the process.
                let ready = unsafe { OwnedFd::from_raw_fd(args.ready) };
                let _ = nix::unistd::write(&ready, format!("{error}\n").as_bytes());
                3
            });
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(i32::from(code)) }
        }
        ForkResult::Parent { child } => {
            // SAFETY: from here on only the inner processes need these two.
            drop(unsafe { (OwnedFd::from_raw_fd(args.ready), OwnedFd::from_raw_fd(args.alive)) });
            match waitpid(child, None).when(|| "waiting for the world")? {
                WaitStatus::Exited(_, code) => Ok(u8::try_from(code).unwrap_or(5)),
                _ => Ok(5),
            }
        }
    }
}

//! Pid 1 of the world: starts the keeper, reaps, and ends when the outermost process does.
//!
//! It does nothing else, so nothing can go wrong in it. When it ends, in whatever way, the kernel ends every process of
//! the world.

use std::ffi::{CString, OsString};
use std::fs;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, execv, sethostname};

use super::{Result, While, is_host_root, keyring, launch::Spec, machines, root, shims};

/// Capabilities that real root loses inside: what would reach around the fence (capability.h numbers).
const DROPPED: &[(u64, &str)] = &[
    (16, "SYS_MODULE"),
    (17, "SYS_RAWIO"),
    (22, "SYS_BOOT"),
    (25, "SYS_TIME"),
    (32, "MAC_OVERRIDE"),
    (33, "MAC_ADMIN"),
    (34, "SYSLOG"),
];

/// Turns this process, the first of the inner namespaces, into the world's init. Does not return on success.
///
/// # Errors
/// If the hostname, /proc or the program itself is refused.
pub fn become_init(spec: &Spec, alive: RawFd, ready: RawFd) -> Result<u8> {
    sethostname(machines::HOME_MACHINE).when(|| "setting the hostname")?;
    root::mount_proc()?;
    keyring::take_fresh();
    if is_host_root() {
        drop_capabilities()?;
    }
    let program = CString::new(format!("{}/terrarium", shims::BIN)).expect("no zero byte in our own path");
    let words = ["terrarium", "init", &spec.place.name, &spec.seed.to_string(), &alive.to_string(), &ready.to_string()];
    let args: Vec<CString> = words.into_iter().filter_map(|word| CString::new(word).ok()).collect();
    match execv(&program, &args) {
        Err(reason) => Err(super::Error::new("starting init", reason)),
        Ok(never) => match never {},
    }
}

fn drop_capabilities() -> Result<()> {
    let last: u64 =
        fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok().and_then(|s| s.trim().parse().ok()).unwrap_or(40);
    for (number, name) in DROPPED.iter().filter(|(number, _)| *number <= last) {
        // SAFETY: prctl with plain numbers.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, *number, 0, 0, 0) };
        Errno::result(done).when(|| format!("dropping CAP_{name}"))?;
    }
    Ok(())
}

/// The body of the hidden verb `init`. Gives the exit code.
pub fn main(args: &[OsString]) -> u8 {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let [name, seed, alive, ready] = words[..] else { return 2 };
    let (Ok(alive), Ok(ready)) = (alive.parse::<RawFd>(), ready.parse::<RawFd>()) else { return 2 };
    run(name, seed, alive, ready).unwrap_or(5)
}

fn run(name: &str, seed: &str, alive: RawFd, ready: RawFd) -> Result<u8> {
    let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM]);
    signals.thread_block().when(|| "blocking signals")?;
    let caught =
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).when(|| "making a signalfd")?;
    // SAFETY: both descriptors were handed down to this process and stay open as long as it runs.
    let (alive, ready) = unsafe { (BorrowedFd::borrow_raw(alive), BorrowedFd::borrow_raw(ready)) };
    fcntl(alive, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).when(|| "keeping the pipe to ourselves")?;
    let keeper = start_keeper(name, seed, ready)?;
    // SAFETY: the keeper has its own copy; nobody uses this one again.
    unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&ready)) };
    let keeper = Pid::from_raw(keeper.id().cast_signed());
    loop {
        let mut watched =
            [PollFd::new(std::os::fd::AsFd::as_fd(&caught), PollFlags::POLLIN), PollFd::new(alive, PollFlags::empty())];
        match poll(&mut watched, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => drop(polled.when(|| "waiting")?),
        }
        if watched[1].revents().is_some_and(|events| !events.is_empty()) {
            let_finish(keeper, &caught);
            return Ok(0);
        }
        while let Ok(Some(signal)) = caught.read_signal() {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                return Ok(0);
            }
        }
        if reap(keeper) {
            return Ok(5);
        }
    }
}

/// How long the keeper may take to write down what it knows when the world closes.
const LAST_WORDS: u16 = 500;

/// Tells the keeper that the world closes and gives it a moment.
fn let_finish(keeper: Pid, caught: &SignalFd) {
    let _ = kill(keeper, Signal::SIGTERM);
    while !reap(keeper) {
        let mut watched = [PollFd::new(std::os::fd::AsFd::as_fd(caught), PollFlags::POLLIN)];
        if !poll(&mut watched, LAST_WORDS).is_ok_and(|ready| ready > 0) {
            return;
        }
        let _ = caught.read_signal();
    }
}

fn start_keeper(name: &str, seed: &str, ready: BorrowedFd<'_>) -> Result<Child> {
    let mut command = Command::new(format!("{}/terrarium", shims::BIN));
    command.arg0("terrarium").args(["keeper", name, seed, &std::os::fd::AsRawFd::as_raw_fd(&ready).to_string()]);
    let log = fs::File::create("/run/terrarium/world/log/keeper.log").when(|| "making the keeper's log")?;
    command.stderr(log);
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            SigSet::all().thread_unblock()?;
            nix::unistd::setsid()?;
            Ok(())
        });
    }
    command.spawn().when(|| "starting the keeper")
}

/// Reaps every child that ended; tells whether the keeper was among them.
fn reap(keeper: Pid) -> bool {
    let mut keeper_ended = false;
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
        keeper_ended |= status.pid() == Some(keeper);
    }
    keeper_ended
}

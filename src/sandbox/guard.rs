//! The guard: stands between the opener and the world, in the host's namespaces, and cleans up behind both.
//!
//! When the opener ends, in whatever way, the guard gives the world a moment to write down what it knows, ends it, and removes
//! what it leaves on the host: the folder of a world made for one command, and root's control group. Killed itself, it
//! takes the world along (each stage dies with its parent), and the opener cleans up; only when both are killed something is
//! left, on disk alone, and the next start heals it.

use std::os::fd::{AsFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Pid, fork, setsid};

use super::{Result, While, cgroup, enter, place::Place};

/// How long the world may take to end by itself when its opener is gone; a little more than its init takes.
const MOMENT: u16 = 1000;

/// Runs `world` in a child and guards it until it ends; gives its exit code. The pipe `alive` is hung up once the opener is
/// gone; the pipe `ready` is the child's alone. The process must have one thread.
///
/// # Errors
/// If the child cannot be forked or watched.
pub fn stand(place: &Place, alive: BorrowedFd<'_>, ready: RawFd, world: impl FnOnce() -> u8) -> Result<u8> {
    let _ = setsid();
    prctl::set_pdeathsig(None::<Signal>).when(|| "outliving the opener")?;
    // SAFETY: this process has one thread.
    let child = match unsafe { fork() }.when(|| "forking into the world")? {
        ForkResult::Child => {
            let tied = prctl::set_pdeathsig(Signal::SIGKILL);
            let code = tied.map_or(5, |()| world());
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(i32::from(code)) }
        }
        ForkResult::Parent { child } => child,
    };
    let watched = unistd::close(ready).when(|| "leaving the pipe to the world").and_then(|()| watch(child, alive));
    let code = match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, code)) => u8::try_from(code).unwrap_or(5),
        _ => 5,
    };
    cgroup::remove(place);
    if place.is_passing() {
        let _ = place.remove();
    }
    watched.map(|()| code)
}

/// Waits until the world ends, or the opener: then ends the world after a moment.
fn watch(world: Pid, alive: BorrowedFd<'_>) -> Result<()> {
    let ends = enter::open_pid(world.as_raw())?;
    let ended = || PollFd::new(ends.as_fd(), PollFlags::POLLIN);
    wait_for(&mut [ended(), PollFd::new(alive, PollFlags::empty())], PollTimeout::NONE)?;
    wait_for(&mut [ended()], PollTimeout::from(MOMENT))?;
    let _ = kill(world, Signal::SIGKILL); // still a child of ours, so nobody else has its number
    Ok(())
}

fn wait_for(fds: &mut [PollFd<'_>], at_most: PollTimeout) -> Result<()> {
    loop {
        match poll(fds, at_most) {
            Err(Errno::EINTR) => {}
            done => return done.map(drop).when(|| "watching the world"),
        }
    }
}

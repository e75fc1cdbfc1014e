//! # The sandbox: a private world in which the student is root and the host stays untouched
//!
//! Before anything else a world puts itself into namespaces, in **two stages**:
//!
//! 1. an outer user, mount and pid namespace builds a private root ([`root`]): the host's directories, read-only, and
//!    the lab's own places (`/var/lib/lxc`, `/data`, `/mnt`, `/srv`, `/tmp`, `/run`, `/etc/hosts`, …), writable;
//! 2. an inner user, mount, pid, network, uts, ipc and cgroup namespace holds everything that a person touches. Because
//!    its user namespace is less privileged than the one that made the mounts, the kernel locks them: the read-only
//!    binds cannot be remounted and nothing can be uncovered. One stage would be no wall.
//!
//! As root the same path is taken without the user namespaces: then it is a fence, not a wall, and a set of dangerous
//! capabilities is dropped.
//!
//! The processes, from the outside in:
//!
//! ```text
//! terrarium run …            outermost: on the user's terminal, in the host's namespaces. Holds the `alive` pipe.
//! └ terrarium world …        guard: waits for both to end, and removes what is left on the host
//!   └ terrarium world …      launcher: outer stage
//!     └ (pid 1 of the outer pid namespace) builds the root, waits
//!       └ terrarium init     pid 1 of the world: reaps; ends when the pipe closes, and with it the kernel ends all
//!         └ terrarium keeper the world's owner (see `keeper`)
//! ```
//!
//! Each dies with its parent (PDEATHSIG) but the guard, which sees the pipe close. So a world ends with its outermost process,
//! however that ends: init ends it, the guard does if init does not, and what dies is ended by the kernel.
//! [`enter`] joins a world from outside: the keeper's socket tells (by its peer credentials) which process to join.
//!
//! * [`place`]: where a world lives on disk. [`machines`]: names and addresses. [`shims`]: the tools that we stand in for.
//! * [`launch`]: the outer stage; [`guard`]: the cleaning up; [`ids`]: who is mapped to whom; [`root`]: the private root; [`init`]: pid 1.
//! * [`enter`]: `setns`, and waiting for a command as a shell expects. [`network`]: loopback and its addresses.
//! * [`probe`]: what this machine allows. [`keyring`]: what a login's keys are not.
//! * [`cgroup`]: root's worlds are bounded too.
//! * [`awake`]: for whoever serves requests, processors that do not sleep between them.
//! * [`server`]: a machine of the world with a mount and uts namespace of its own.
//!
//! Left out: a seccomp filter. The wall is the user namespace; what the kernel allows an unprivileged user to do inside
//! one is allowed here.

pub mod awake;
pub mod cgroup;
pub mod enter;
pub mod guard;
pub mod ids;
pub mod init;
pub mod keyring;
pub mod launch;
pub mod machines;
pub mod network;
pub mod place;
pub mod probe;
pub mod root;
pub mod server;
pub mod shims;

use std::path::PathBuf;

/// Why a sandbox could not be made or joined: what was tried, on what, and the system's reason.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct Error {
    /// What was being done, with the path or name it was done to.
    pub what: String,
    /// The system's reason, or ours.
    pub reason: String,
}

impl Error {
    /// An error with our own reason.
    pub fn new(what: impl Into<String>, reason: impl ToString) -> Self {
        Self { what: what.into(), reason: reason.to_string() }
    }
}

/// The result of everything in the sandbox.
pub type Result<T> = std::result::Result<T, Error>;

/// Says what was being done when a system call failed.
pub trait While<T> {
    /// Turns the error into ours, with `what` evaluated only then.
    ///
    /// # Errors
    /// [`Error`] if `self` is one.
    fn when<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: std::fmt::Display> While<T> for std::result::Result<T, E> {
    fn when<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|reason| Error::new(what(), reason))
    }
}

/// Whether this process has real root over the host: uid 0 in the initial user namespace.
pub fn is_host_root() -> bool {
    let whole = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let fields: Vec<&str> = whole.split_whitespace().collect();
    nix::unistd::geteuid().is_root() && fields == ["0", "0", "4294967295"]
}

/// This program, by a path that still works when the file was replaced.
///
/// # Errors
/// If the kernel does not tell.
pub fn own_exe() -> Result<PathBuf> {
    std::env::current_exe().when(|| "finding this program's own file")
}

//! # The runtime: a plan carried out
//!
//! A start is a small play for four processes.
//!
//! ```text
//! lxc-start ──fork──▶ monitor ──clone(user,uts,ipc,net)──▶ holder   (its namespaces are all that matters; it only waits)
//!     │                  │
//!     │                  └──clone(pid,mnt)──▶ pid 1:  enter holder's uts, ipc, net
//!     │                                               pick up mounts of the world, change the root, furnish it
//!     │                  ◀──terminals, by descriptor──┤
//!     │                  ──go──▶                      enter holder's user namespace, copy the mounts (now locked)
//!     │                                               drop capabilities, become /sbin/init
//!     ◀──running─────────┘  (the pipe to pid 1 closes on exec)
//! ```
//!
//! Why the user namespace comes last: what is mounted before belongs to the world's root, and in the copy that the container
//! gets the kernel locks it. So masks stay, read-only stays read-only; and all powers that root in the container has are
//! powers over its own namespaces, whether the world was opened by root or by an ordinary user.
//!
//! * [`store`]: `/var/lib/lxc`: configurations, includes, names. [`build`] and [`unpack`]: root filesystems.
//! * [`start`]: the monitor and its children. [`room`]: what pid 1 does until it becomes the container's program.
//! * [`monitor`]: the loop that waits, answers and reports. [`client`]: how the commands ask it.
//! * [`seen`]: what a running container's room is made of, read from the kernel; [`layers`]: what its root is made of.
//! * [`attach`]: enters a running container. [`terminal`]: a terminal passed through.
//! * [`ids`], [`cgroup`], [`network`], [`freeze`], [`union`], [`hooks`]: what their names say. [`sys`]: system calls.

pub mod attach;
pub mod build;
pub mod cgroup;
pub mod client;
pub mod freeze;
pub mod hooks;
pub mod ids;
pub mod layers;
pub mod monitor;
pub mod network;
pub mod room;
pub mod seen;
pub mod start;
pub mod store;
pub mod sys;
pub mod terminal;
pub mod union;
pub mod unpack;

/// What went wrong: what was being done, to what, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] super::config::Malformed),
    /// A system call or file.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with path or name.
        doing: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Said(String),
}

impl Error {
    /// Words.
    pub fn said(words: impl Into<String>) -> Self {
        Self::Said(words.into())
    }
}

/// Says what was being done when something failed.
pub trait Doing<T> {
    /// Adds the words; they are made only on failure.
    ///
    /// # Errors
    /// The same failure, with words.
    fn doing<S: Into<String>>(self, words: impl FnOnce() -> S) -> Result<T, Error>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for Result<T, E> {
    fn doing<S: Into<String>>(self, words: impl FnOnce() -> S) -> Result<T, Error> {
        self.map_err(|e| Error::Io { doing: words().into(), source: e.into() })
    }
}

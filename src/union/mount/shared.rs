//! What the session, its threads and the file system share: the union, and for how long the kernel may remember.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::kernel::Kernel;
use super::passthrough::Passthrough;
use super::real::RealBranch;
use super::watch::{Of, Watcher};
use crate::sandbox::awake::Awake;
use crate::union::node::Place;
use crate::union::options::Udba;
use crate::union::{Node, Union};

/// The union of real directories.
pub type RealUnion = Union<RealBranch>;

/// How long the kernel may remember where it may at all.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// What the session and the file system share.
pub struct Shared {
    /// The union.
    pub union: RealUnion,
    /// Whether opens are answered in the kernel.
    pub no_open: AtomicBool,
    /// Whether opens of directories are, so that the kernel remembers listings.
    pub no_opendir: bool,
    /// Milliseconds for which the kernel may remember names and attributes.
    pub ttl: AtomicU64,
    /// Missing names that the kernel was given to remember: directory and name. They are no nodes, so nothing else knows them.
    pub absent: Mutex<HashSet<(u64, OsString)>>,
    /// The files that are open past us, where `passthrough` was asked for.
    pub passthrough: Option<Passthrough>,
    /// Told of each request.
    pub awake: Awake,
    /// Watches the directories that the kernel is about to remember something of.
    pub watcher: Option<Watcher>,
}

impl Shared {
    /// Sets how long the kernel may remember, by the union's `udba`.
    pub fn set_ttl(&self) {
        let long = u64::try_from(LONG.as_millis()).unwrap_or(u64::MAX);
        self.ttl.store(if self.looks_again() { 0 } else { long }, Relaxed);
    }

    /// Whether nothing may be remembered: strict `udba=reval`, or direct changes cannot be watched for.
    pub fn looks_again(&self) -> bool {
        match self.union.settings().udba {
            Udba::None => false,
            Udba::Reval => true,
            Udba::Notify => self.watcher.as_ref().is_none_or(Watcher::is_blind),
        }
    }

    /// For how long the kernel may remember that a name is missing; noted, so that it can be told otherwise.
    pub(super) fn absent_ttl(&self, parent: u64, name: &OsStr) -> Duration {
        let ttl = self.ttl();
        if ttl.is_zero() {
            return ttl;
        }
        let mut absent = self.absent.lock().unwrap();
        if absent.len() >= MAX_ABSENT {
            return Duration::ZERO;
        }
        absent.insert((parent, name.to_owned()));
        ttl
    }

    /// Missing names of these directories must be looked up again.
    pub(super) fn expire_absent(&self, kernel: &Kernel, of: impl Fn(u64) -> bool) {
        let expired: Vec<_> = self.absent.lock().unwrap().extract_if(|(parent, _)| of(*parent)).collect();
        expired.iter().for_each(|(parent, name)| kernel.expire(*parent, name));
    }

    /// Other copies than before are merged into a directory.
    pub(super) fn regrouped(&self, ino: u64) {
        if let Ok(node) = self.union.node(ino) {
            self.watching(|watcher| watcher.renew(&node));
        }
    }

    /// Has a directory watched before the kernel is given something of it to remember.
    pub(super) fn watch(&self, node: &Arc<Node<RealBranch>>, of: Of) {
        self.watching(|watcher| watcher.watch(node, of));
    }

    /// Has one file of a directory watched whose names are; false if it cannot be, so that nothing of it may be remembered.
    pub(super) fn watch_file(&self, place: &Place<RealBranch>, name: &OsStr) -> bool {
        self.watcher.as_ref().is_none_or(|watcher| watcher.watch_file(place, name))
    }

    fn watching(&self, watch: impl FnOnce(&Watcher)) {
        let Some(watcher) = &self.watcher else { return };
        let before = watcher.is_blind();
        watch(watcher);
        if watcher.is_blind() != before {
            self.set_ttl();
        }
    }

    /// Whether every direct change is told to the union soon after.
    pub(super) fn is_told(&self) -> bool {
        self.watcher.as_ref().is_some_and(|w| w.is_on() && !w.is_blind() && !w.is_wary())
    }

    pub(super) fn ttl(&self) -> Duration {
        if self.watcher.as_ref().is_some_and(Watcher::is_wary) {
            return Duration::ZERO;
        }
        Duration::from_millis(self.ttl.load(Relaxed))
    }
}

/// How many missing names the kernel is given to remember.
const MAX_ABSENT: usize = 100_000;

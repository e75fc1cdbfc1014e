//! Watching the branches: what somebody changes there directly is made visible in the union.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use super::control::Kernel;
use super::fs::{RealUnion, Shared};
use super::real::RealBranch;
use crate::union::Node;

/// A watcher of branches.
#[derive(Clone)]
pub struct Watcher;

impl Watcher {
    /// Begins to watch.
    pub fn start(_union: &RealUnion) -> Option<Self> {
        None
    }

    /// Watches a directory.
    pub fn watch(&self, _node: &Arc<Node<RealBranch>>) {}

    /// Watches every held directory.
    pub fn watch_all(&self, _union: &RealUnion) {}

    /// Serves.
    pub fn run(&self, _shared: &Arc<Shared>, _kernel: &Arc<Kernel>) {}
}

/// How many look-ups are reported per second.
const PER_SECOND: u64 = 50;

/// A budget of reports that are only interesting while they are few.
#[derive(Default)]
pub struct Budget {
    second: AtomicU64,
    spent: AtomicU64,
}

impl Budget {
    /// Whether one more may be spent this second.
    pub fn spend(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if self.second.swap(now, Relaxed) != now {
            self.spent.store(0, Relaxed);
        }
        self.spent.fetch_add(1, Relaxed) < PER_SECOND
    }
}

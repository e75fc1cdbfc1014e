//! The wire of one replica set over TCP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::connection::{Connection, Gather};
use super::wire::{Answer, Call, Wire};
use crate::volume::xattr::Time;

/// The connections to a set's bricks, in their order.
pub struct Net {
    kids: Vec<Arc<Connection>>,
    generation: AtomicU64,
}

impl Net {
    /// Over these connections.
    pub fn new(kids: Vec<Arc<Connection>>) -> Self {
        Self { kids, generation: AtomicU64::new(1) }
    }

    /// A connection came or went.
    pub fn changed(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    /// The connections.
    pub fn kids(&self) -> &[Arc<Connection>] {
        &self.kids
    }
}

impl Wire for Net {
    fn epochs(&self) -> Vec<u64> {
        self.kids.iter().map(|k| k.epoch()).collect()
    }

    fn generation(&self) -> u64 {
        self.generation.load(Relaxed) + self.kids.iter().map(|k| k.epoch()).sum::<u64>() * 1_000_000
    }

    fn exchange(&self, calls: Vec<Call>, payload: &Bytes) -> Vec<Answer> {
        let gather = Gather::new(calls.len());
        if calls.is_empty() {
            return vec![];
        }
        for (place, call) in calls.into_iter().enumerate() {
            self.kids[call.kid].tell(&call.fops);
            self.kids[call.kid].send(call.epoch, call.fops, payload, Some((&gather, place)));
        }
        gather.wait()
    }

    fn post(&self, calls: Vec<Call>) {
        for call in calls {
            self.kids[call.kid].send(call.epoch, call.fops, &[], None);
        }
    }

    fn is_blaming(&self) -> bool {
        self.kids.iter().any(|k| k.is_blaming() || k.epoch() == 0)
    }

    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time { sec: i64::try_from(since.as_secs()).unwrap_or_default(), nsec: since.subsec_nanos() }
    }
}

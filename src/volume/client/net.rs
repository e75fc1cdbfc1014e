//! The wire of one replica set over TCP.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::connection::{Connection, Gather};
use super::wire::{Answer, Call, Wire};
use crate::volume::xattr::Time;

/// How long messages for which nobody waits may wait for company.
pub const COMPANY: Duration = Duration::from_millis(5);

/// Tells that something was posted and must be flushed soon.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    fn ring(&self) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut rung, true) {
            self.heard.notify_one();
        }
    }

    /// Waits for the bell, then for [`COMPANY`]; gives whether it rang before `patience` was over.
    pub fn wait(&self, patience: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.wait_timeout_while(rung, patience, |rung| !*rung);
        let rang = *waited.unwrap_or_else(PoisonError::into_inner).0;
        if rang {
            std::thread::sleep(COMPANY);
            *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = false;
        }
        rang
    }
}

/// The connections to a set's bricks, in their order.
pub struct Net {
    kids: Vec<Arc<Connection>>,
    generation: AtomicU64,
    bell: Arc<Bell>,
}

impl Net {
    /// Over these connections.
    pub fn new(kids: Vec<Arc<Connection>>, bell: Arc<Bell>) -> Self {
        Self { kids, generation: AtomicU64::new(1), bell }
    }

    /// Sends what was posted.
    pub fn flush(&self) {
        self.kids.iter().for_each(|k| k.flush());
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
        let mut asked = Vec::with_capacity(calls.len());
        for (place, call) in calls.into_iter().enumerate() {
            let kid = &*self.kids[call.kid];
            kid.tell(&call.fops);
            kid.send(call.epoch, call.fops, payload, (&gather, place));
            asked.push(kid);
        }
        gather.wait(&asked)
    }

    fn post(&self, calls: Vec<Call>) {
        for call in calls {
            self.kids[call.kid].post(call.epoch, call.fops);
        }
        self.bell.ring();
    }

    fn lanes(&self) -> usize {
        8
    }

    fn is_blaming(&self) -> bool {
        self.kids.iter().any(|k| k.is_blaming() || k.epoch() == 0)
    }

    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time { sec: i64::try_from(since.as_secs()).unwrap_or_default(), nsec: since.subsec_nanos() }
    }
}

//! One replica set as a client works with it: transactions on all copies, reads from one.
//!
//! * [`lease`]: locks, kept as long as nobody else wants them.
//! * [`change`]: what changes copies: lock, note, do it everywhere, note who missed it.
//! * [`look`]: names and inodes: ask the copies, weigh what they say, remember who may be read.
//! * [`read`]: contents, from a copy that nobody accuses.
//! * [`seen`]: what is known of a directory while its names are locked.
//! * [`ahead`]: names that will be asked for next.
//! * [`figures`]: what was told a moment ago.
//! * [`quick`]: small files that come with their names.
//! * [`hold`]: locks of processes.
//!
//! All of it talks to bricks through a [`Wire`], and decides by [`crate::volume::replicate`]; so it runs in a simulator as well.

mod ahead;
mod change;
mod figures;
mod hold;
pub mod lease;
mod look;
mod quick;
mod read;
mod seen;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use self::lease::Leases;
use super::tale;
use super::wire::Wire;
use crate::volume::gfid::Gfid;
use crate::volume::replicate::{Kids, NoCopy, Shape};
use crate::volume::rpc::{Iatt, Inode, Lock};

pub use look::Found;

/// How many inodes' readable copies are remembered.
const KNOWN: usize = 200_000;

/// A replica set.
pub struct Set {
    /// What is fixed about it.
    pub shape: Shape,
    /// The way to its bricks.
    pub wire: Arc<dyn Wire>,
    /// The brick on this client's own server, which is read from first.
    pub near: Option<usize>,
    leases: Leases,
    known: Mutex<HashMap<Gfid, Known>>,
    /// The directory in which a name was last found missing.
    missing: Mutex<Option<Gfid>>,
    quick: Mutex<quick::Quick>,
    ahead: Mutex<ahead::Ahead>,
    figures: Mutex<figures::Figures>,
    /// Counts what was forgotten: what was asked before that and answered after it is not remembered.
    forgotten: AtomicU64,
}

/// Which copies of an inode may be read, as of a generation of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    generation: u64,
    data: Result<Kids, NoCopy>,
    metadata: Result<Kids, NoCopy>,
}

impl Set {
    /// A set over a wire.
    pub fn new(shape: Shape, wire: Arc<dyn Wire>, near: Option<usize>) -> Self {
        let (leases, known, missing) = (<_>::default(), <_>::default(), <_>::default());
        let (quick, ahead, figures) = (<_>::default(), <_>::default(), <_>::default());
        Self { shape, wire, near, leases, known, missing, quick, ahead, figures, forgotten: AtomicU64::new(0) }
    }

    /// Whether enough bricks are up.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn ready(&self) -> Result<Kids, i32> {
        let up = self.wire.up();
        if self.shape.suffices(up) { Ok(up) } else { Err(libc::ENOTCONN) }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Gfid, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody else changed an inode: what was known of its copies may be wrong.
    pub fn forget(&self, gfid: Gfid) {
        self.forgotten.fetch_add(1, Relaxed);
        self.known().remove(&gfid);
        self.changed(gfid);
        self.leases.note(&lease::names(gfid), |seen| seen.forget_figures(self.wire.now()));
    }

    /// Somebody else changed a name in a directory.
    pub fn forget_name(&self, dir: Gfid, name: &Bytes) {
        self.forgotten.fetch_add(1, Relaxed);
        self.ahead().forget_name(dir, name);
        self.leases.note(&lease::names(dir), |seen| seen.forget(self.wire.now()));
    }

    /// What came along of an inode, and was not asked for yet, is not so any more.
    pub fn changed(&self, gfid: Gfid) {
        self.quick().forget(gfid);
        self.ahead().forget(gfid);
        self.told().forget(gfid);
    }

    fn told(&self) -> MutexGuard<'_, figures::Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file looks so, unless something was forgotten since it was asked. One with several names may lose one without anybody
    /// knowing whose it was.
    fn note_figures(&self, moment: (u64, u64), gfid: Gfid, iatt: &Iatt) {
        let mut told = self.told();
        if iatt.is_file() && iatt.nlink == 1 && self.forgotten.load(Relaxed) == moment.1 {
            told.put(gfid, *iatt, moment.0);
        }
    }

    fn ahead(&self) -> MutexGuard<'_, ahead::Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quick(&self) -> MutexGuard<'_, quick::Quick> {
        self.quick.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another client wants a lock.
    pub fn wanted(&self, lock: &Lock) {
        self.leases.wanted(&*self.wire, &self.shape, lock);
    }

    /// Gives back locks that were not used for a while, or all that are not in use.
    pub fn tidy(&self, idle: Option<Duration>) {
        self.leases.tidy(&*self.wire, &self.shape, idle);
    }

    /// Lets no change begin until [`Set::resume`], waits until those that are under way have ended (or for so long), and gives all
    /// locks back.
    pub fn pause(&self, patience: Duration) {
        self.leases.pause(&*self.wire, &self.shape, patience);
    }

    /// Lets changes begin again.
    pub fn resume(&self) {
        self.leases.resume();
    }

    /// Nobody has the file open any more: ends what was begun and gives the lock back.
    pub fn settle(&self, gfid: Gfid) {
        let lock = lease::inode(gfid);
        if self.shape.len() > 1 && self.leases.has_begun(&lock) {
            tale::step("afr", "way-post-op", Vec::new);
        }
        self.leases.settle(&*self.wire, &self.shape, &lock);
    }

    /// Whether the last name that was asked for in this directory was missing.
    fn was_missing(&self, dir: Gfid) -> bool {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) == Some(dir)
    }

    fn note_missing(&self, dir: Gfid, is_missing: bool) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = is_missing.then_some(dir);
    }

    /// The moment at which something is asked.
    fn moment(&self) -> (u64, u64) {
        (self.wire.generation(), self.forgotten.load(Relaxed))
    }

    /// Remembers who may be read, unless it was forgotten since it was asked.
    fn learn(&self, moment: (u64, u64), gfid: Gfid, copies: &[Option<&Inode>]) -> Known {
        let blames = crate::volume::replicate::Blames::new(&self.shape, copies);
        let readable = |kind| blames.readable(kind, &self.shape);
        use crate::volume::xattr::Kind;
        let known = Known { generation: moment.0, data: readable(Kind::Data), metadata: readable(Kind::Metadata) };
        self.remember(moment, gfid, known);
        known
    }
}

impl Set {
    /// Contents came along with a name; they are kept unless something was forgotten since it was asked for.
    fn keep(&self, moment: (u64, u64), gfid: Gfid, content: Bytes) {
        let mut quick = self.quick();
        if self.forgotten.load(Relaxed) == moment.1 {
            quick.put(gfid, content, moment.0);
        }
    }

    fn remember(&self, moment: (u64, u64), gfid: Gfid, known: Known) {
        let mut all = self.known();
        if all.len() >= KNOWN {
            all.clear();
        }
        if self.forgotten.load(Relaxed) == moment.1 {
            all.insert(gfid, known);
        }
    }
}

impl Set {
    /// Takes a lock for a heal.
    pub(super) fn lease(&self, lock: &Lock, part: lease::Part) -> Result<lease::Entered, i32> {
        self.leases.enter(&*self.wire, &self.shape, lock, part, false)
    }

    /// Gives it back.
    pub(super) fn leave(&self, entered: lease::Entered) {
        self.leases.release(&*self.wire, &self.shape, entered);
    }
}

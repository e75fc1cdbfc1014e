//! What the kernel calls by number.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use crate::volume::gfid::Gfid;

/// An inode that the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Who it is.
    pub gfid: Gfid,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// How often the kernel was told of it.
    lookups: u64,
    /// How many descriptors are open.
    pub open: u32,
    /// Its last name is gone, and it is kept for those descriptors.
    pub kept: bool,
    /// The copy that a person chose to read in split-brain, and until when that holds.
    pub choice: Option<(usize, Instant)>,
    /// The generation of connections in which the kernel last began to cache its contents; 0: never.
    pub cached_in: u64,
    /// How often somebody else changed it, and how much of that was seen by looking at it again.
    doubts: (u32, u32),
}

impl Known {
    /// The copy that a person chose to read.
    pub fn chosen(&self) -> Option<usize> {
        self.choice.filter(|(_, until)| Instant::now() < *until).map(|(copy, _)| copy)
    }
}

/// The entries of an open directory, as they were when it was first read.
pub type Listing = std::sync::Arc<Vec<crate::volume::rpc::Entry>>;

/// How many new identities share a directory of handles: bricks need not make a directory for each new file, and what was made
/// together lies together.
const LITTER: u32 = 512;

/// Numbers, and open directories.
#[derive(Debug)]
pub struct Inodes {
    root: Gfid,
    /// Where the next handles go, and how many more go there.
    nest: Mutex<([u8; 2], u32)>,
    by_number: Mutex<HashMap<u64, Known>>,
    open: std::sync::atomic::AtomicUsize,
    listings: Mutex<(u64, HashMap<u64, Listing>)>,
}

impl Inodes {
    /// Knows the root of the mount: the volume's, or a directory of it.
    pub fn new(root: Gfid) -> Self {
        let inodes = Self {
            root,
            nest: <_>::default(),
            by_number: <_>::default(),
            open: <_>::default(),
            listings: <_>::default(),
        };
        inodes.learn(root, true);
        inodes
    }

    /// The identity of something new.
    pub fn newborn(&self) -> Gfid {
        let mut nest = self.nest.lock().unwrap_or_else(PoisonError::into_inner);
        if nest.1 == 0 {
            let random = Gfid::random().0;
            *nest = ([random[0], random[1]], LITTER);
        }
        nest.1 -= 1;
        Gfid::beside(nest.0)
    }

    /// What the kernel calls an inode; the root of a mount is always 1.
    pub fn number(&self, gfid: Gfid) -> u64 {
        if gfid == self.root { 1 } else { gfid.ino() }
    }

    fn by_number(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.by_number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel is told of an inode.
    pub fn learn(&self, gfid: Gfid, is_dir: bool) {
        self.learn_as(self.number(gfid), gfid, is_dir);
    }

    /// The same under a number of its own.
    pub fn learn_as(&self, number: u64, gfid: Gfid, is_dir: bool) {
        let fresh =
            Known { gfid, is_dir, lookups: 0, open: 0, kept: false, choice: None, cached_in: 0, doubts: (0, 0) };
        self.by_number().entry(number).or_insert(fresh).lookups += 1;
    }

    /// The kernel forgets it.
    pub fn forget(&self, number: u64, times: u64) {
        let mut all = self.by_number();
        if let Some(known) = all.get_mut(&number) {
            known.lookups = known.lookups.saturating_sub(times);
            if known.lookups == 0 && known.open == 0 && number != 1 {
                all.remove(&number);
            }
        }
    }

    /// An inode by number.
    ///
    /// # Errors
    /// ESTALE.
    pub fn get(&self, number: u64) -> Result<Known, i32> {
        self.by_number().get(&number).copied().ok_or(libc::ESTALE)
    }

    /// A descriptor is opened.
    pub fn open(&self, number: u64) {
        self.open.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.with(number, |k| k.open += 1);
    }

    /// A descriptor is closed; gives the inode if it was the last one.
    pub fn close(&self, number: u64) -> Option<Known> {
        self.open.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        let last = |k: &mut Known| {
            k.open = k.open.saturating_sub(1);
            (k.open == 0).then_some(*k)
        };
        self.with(number, last).flatten()
    }

    /// Somebody else changed it.
    pub fn doubt(&self, number: u64) {
        self.with(number, |k| k.doubts.0 = k.doubts.0.wrapping_add(1));
    }

    /// Anything may have been changed.
    pub fn doubt_all(&self) {
        self.by_number().values_mut().for_each(|k| k.doubts.0 = k.doubts.0.wrapping_add(1));
    }

    /// Whether somebody else changed it since it was looked at: the number to say afterwards that it was.
    pub fn doubts(&self, number: u64) -> Option<u32> {
        self.with(number, |k| (k.doubts.0 != k.doubts.1).then_some(k.doubts.0)).flatten()
    }

    /// It was looked at, after so many changes; its cached contents are not to be trusted.
    pub fn sure(&self, number: u64, doubts: u32) {
        self.with(number, |k| (k.doubts.1, k.cached_in) = (doubts, 0));
    }

    /// Whether any file is open.
    pub fn any_open(&self) -> bool {
        self.open.load(std::sync::atomic::Ordering::Relaxed) > 0
    }

    /// Changes what is known of one.
    pub fn with<T>(&self, number: u64, act: impl FnOnce(&mut Known) -> T) -> Option<T> {
        self.by_number().get_mut(&number).map(act)
    }

    /// Every inode that the kernel knows.
    pub fn all(&self) -> Vec<u64> {
        self.by_number().keys().copied().collect()
    }

    /// Keeps a listing for an open directory.
    pub fn keep_listing(&self, number: Option<u64>, entries: Vec<crate::volume::rpc::Entry>) -> u64 {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        let number = number.unwrap_or_else(|| {
            listings.0 += 1;
            listings.0
        });
        listings.1.insert(number, entries.into());
        number
    }

    /// The listing of an open directory.
    pub fn listing(&self, number: u64) -> Option<Listing> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner).1.get(&number).cloned()
    }

    /// The directory is closed.
    pub fn drop_listing(&self, number: u64) {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number);
    }
}

/// A name as the bricks take it.
pub fn name(name: &std::ffi::OsStr) -> Bytes {
    Bytes::copy_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(name))
}

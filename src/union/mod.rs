//! # The union: several directories seen as one, as AUFS does it
//!
//! A union is a pile of *branches*. A name is looked up from the topmost branch down; the first branch that has it answers,
//! and directories of the same name are merged. Only branches marked `rw` are written to. To change a file that lies on a
//! read-only branch the union first copies it up to a writable branch above; to remove one it leaves a *whiteout* above, a
//! file `.wh.NAME` that hides the name; a new directory in the place of a removed one is marked *opaque*, so that what the
//! old one held does not shine through. That is all there is to it; the rest is doing it in an order in which nothing is
//! ever half visible, whoever is killed when.
//!
//! Read in this order: [`branch`] (the verbs a directory must have), [`names`] (what is written on disk), [`options`] and
//! [`policy`], then [`node`] (what is remembered), [`lookup`], [`list`], [`place`] (where to write: parents, whiteouts),
//! [`copy_up`], and the operations [`make`], [`remove`], [`rename`], [`file`] and [`open`]; [`reshape`] adds and removes branches of a live
//! union. The core is generic over [`Branch`]; [`memory`] is a model of one; [`mount`] is the role around it: FUSE, real
//! directories, watches, the control socket.
//!
//! **Locks.** Look-ups and reads take none but a node's own for a moment. Everything that changes names holds one lock
//! ([`Union::change`]), as the kernel already serializes changes within a directory; a remount holds the shape for writing,
//! so it meets no operation half-way.
//!
//! Left out, with AUFS: renaming directories that lie on several branches (`dirren`), moving files down (`fhsm`), the
//! xino file (numbers are computed, see [`node`]), shared maintenance of pseudo-links between mounts.

pub mod branch;
pub mod copy_up;
mod event;
pub mod file;
pub mod list;
pub mod lookup;
pub mod make;
pub mod memory;

mod mix;
pub mod mount;
pub mod names;
pub mod node;
pub mod open;
pub mod options;
mod overlaps;
pub mod place;
mod plink;
pub mod policy;
pub mod remove;
pub mod rename;
pub mod reshape;

use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};

pub use branch::{At, Branch, Change, Entry, Errno, Key, Kind, Result, SetTime, Space, Stat, Time};
pub use event::{BranchInfo, Happening, Overlap};
pub use node::{Member, Node, ROOT};

use node::Table;
use options::Udba;
use policy::{CopyUp, Create};

/// Who asks for a change: the ids that new objects get, and the mask of their permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `umask(2)`, applied unless the directory has a default ACL.
    pub umask: u32,
}

/// What the core needs of the world around it.
pub trait Host: Send + Sync + 'static {
    /// Seconds by some steady clock, for free-space answers that are reused.
    fn now(&self) -> u64;
    /// Whether anybody listens to [`Host::tell`].
    fn is_watched(&self) -> bool;
    /// Whether somebody listens who also wants to hear of one more look at names, of which there may be very many.
    fn is_curious(&self) -> bool;
    /// Reports; must not wait.
    fn tell(&self, happening: Happening);
    /// Other copies than before are merged into this directory: who watches them should look again which they are.
    fn regrouped(&self, _ino: u64) {}
    /// A file below was opened for writing: [`Union::rest`] should be called now and then until it says that none is left.
    fn writing(&self) {}
}

/// The options of a union that are not branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where new names go.
    pub create: Create,
    /// Where copy-ups go.
    pub copy_up: CopyUp,
    /// How direct changes are noticed.
    pub udba: Udba,
    /// `statfs` adds the branches up.
    pub sum: bool,
    /// Every new directory is made opaque.
    pub opaque_always: bool,
    /// Hard links survive copy-up.
    pub plink: bool,
    /// Only the top copy of a directory is asked for permission (always so here; kept to be shown).
    pub dirperm1: bool,
    /// Whiteouts are listed.
    pub show_whiteouts: bool,
    /// Mounted read-only.
    pub read_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            create: Create::default(),
            copy_up: CopyUp::default(),
            udba: Udba::default(),
            sum: false,
            opaque_always: false,
            plink: true,
            dirperm1: false,
            show_whiteouts: false,
            read_only: false,
        }
    }
}

/// The branches and options of a union at one moment.
pub struct Shape<B: Branch> {
    /// Topmost first.
    pub members: Vec<Arc<Member<B>>>,
    /// The options.
    pub settings: Settings,
    next_id: u32,
}

/// What is remembered between changes, behind the one lock that they take.
#[derive(Default)]
pub struct Changes {
    /// Counts temporary names.
    temporary: u16,
    /// New files placed so far: what round-robin turns on.
    turn: usize,
    /// Free bytes per branch id, and until when they are believed.
    free: HashMap<u32, (u64, u64)>,
}

/// The lock for changes, held. What was known before of names and of where they lie may be wrong from its beginning to its end.
struct Changing<'a> {
    changes: MutexGuard<'a, Changes>,
    moment: &'a AtomicU64,
}

impl Deref for Changing<'_> {
    type Target = Changes;

    fn deref(&self) -> &Changes {
        &self.changes
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut Changes {
        &mut self.changes
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.moment.fetch_add(1, Relaxed);
    }
}

/// A union. All operations are safe from any thread.
pub struct Union<B: Branch> {
    /// Where it is mounted; for reports.
    pub at: String,
    shape: RwLock<Shape<B>>,
    table: Mutex<Table<B>>,
    change: Mutex<Changes>,
    /// Counts beginnings and ends of changes.
    moment: AtomicU64,
    host: Box<dyn Host>,
    /// Pseudo-links: identity of a lower file with several names → where its copy is.
    plinks: RwLock<HashMap<Key, place::Plink<B>>>,
    /// The nodes whose files were opened last, so that not too many stay open.
    recent: Mutex<VecDeque<Weak<Node<B>>>>,
    /// Totals since the mount.
    pub totals: Totals,
}

/// Totals since the mount.
#[derive(Debug, Default)]
pub struct Totals {
    /// Names looked up on the branches.
    pub lookups: AtomicU64,
    /// Objects copied up.
    pub copy_ups: AtomicU64,
    /// Whiteouts made.
    pub whiteouts: AtomicU64,
}

impl<B: Branch> Union<B> {
    /// A union without branches; [`Union::reshape`] adds them.
    pub fn new(at: &str, host: Box<dyn Host>) -> Self {
        let shape = Shape { members: Vec::new(), settings: Settings::default(), next_id: 1 };
        Self {
            at: at.to_owned(),
            shape: RwLock::new(shape),
            table: Mutex::default(),
            change: Mutex::default(),
            moment: AtomicU64::new(0),
            host,
            plinks: RwLock::default(),
            recent: Mutex::default(),
            totals: Totals::default(),
        }
    }

    /// Takes the lock for changes.
    fn changing(&self) -> Changing<'_> {
        let changes = self.change.lock().unwrap();
        self.moment.fetch_add(1, Relaxed);
        Changing { changes, moment: &self.moment }
    }

    /// The options now.
    pub fn settings(&self) -> Settings {
        self.shape.read().unwrap().settings.clone()
    }

    /// The branches now, topmost first.
    pub fn members(&self) -> Vec<Arc<Member<B>>> {
        self.shape.read().unwrap().members.clone()
    }

    /// How many objects are held.
    pub fn held(&self) -> usize {
        self.table.lock().unwrap().len()
    }

    /// All nodes that are held.
    pub fn nodes(&self) -> Vec<Arc<Node<B>>> {
        self.table.lock().unwrap().all()
    }

    /// Reports on behalf of the role around the core.
    pub fn report(&self, happening: impl FnOnce() -> Happening) {
        self.tell(happening);
    }

    /// Reports, if anybody listens.
    fn tell(&self, happening: impl FnOnce() -> Happening) {
        if self.host.is_watched() {
            self.host.tell(happening());
        }
    }
}

#[cfg(test)]
mod tests;

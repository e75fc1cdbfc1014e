//! Nodes: what the union remembers of each object that somebody holds.
//!
//! A node is one file or merged directory under one stable number. It knows the names it was found under, which branch
//! serves it (its *top*), and, for a directory, the held directories that are merged into it, topmost first. The table
//! finds a node by its number, and by the identity (device and inode) of each of its copies: so several hard links, and
//! a file before and after its copy-up, are one node.
//!
//! **Numbers.** A number is made from the identity below, the device's slot in the high 16 bits, and so needs no table as
//! large as AUFS's xino; only what is exceptional (copied up, or clashing) is written down. Numbers are stable while the
//! union is mounted.

use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};

use super::branch::{Branch, Key, Kind, Stat};
use super::list::Listing;
use super::mix::NumberMap;
use super::options::{Access, Permission};

/// Number of the union's top directory.
pub const ROOT: u64 = 1;

/// A branch in its place in the union.
pub struct Member<B: Branch> {
    /// Never reused while the union lives.
    pub id: u32,
    /// The directory as given, made absolute: what listings show.
    pub path: String,
    /// The branch.
    pub branch: B,
    /// Where it stands now, 0 topmost.
    pub index: AtomicUsize,
    /// [`Permission::pack`]ed.
    pub permission: AtomicU32,
    /// Whether its file system was read-only when last asked.
    pub fs_read_only: bool,
}

impl<B: Branch> Member<B> {
    /// Its permission now.
    pub fn permission(&self) -> Permission {
        Permission::unpack(self.permission.load(Relaxed))
    }

    /// Whether it takes writes.
    pub fn writable(&self) -> bool {
        self.permission().access == Access::Rw && !self.fs_read_only
    }

    /// Whether whiteouts and opaque marks on it count.
    pub fn honours_whiteouts(&self) -> bool {
        self.permission().honours_whiteouts()
    }

    /// Its index now.
    pub fn index(&self) -> usize {
        self.index.load(Relaxed)
    }
}

/// A directory on one branch.
pub struct Place<B: Branch> {
    /// The branch.
    pub member: Arc<Member<B>>,
    /// The held directory.
    pub dir: B::Dir,
    /// Its identity.
    pub key: Key,
}

impl<B: Branch> Clone for Place<B> {
    fn clone(&self) -> Self {
        Self { member: self.member.clone(), dir: self.dir.clone(), key: self.key }
    }
}

/// The directories merged into one, topmost first.
pub type Places<B> = Arc<[Place<B>]>;

/// One object of the union.
pub struct Node<B: Branch> {
    /// Its number.
    pub ino: u64,
    /// What it is.
    pub kind: Kind,
    /// How many times it was given out and not yet forgotten.
    pub lookups: AtomicU64,
    /// What changes.
    pub state: RwLock<State<B>>,
    /// The merged listing that a reader of the directory is going through.
    pub listing: Mutex<Option<Arc<Listing<B>>>>,
    /// Which copies of a directory are watched for direct changes: a mark of the watcher's, 0 at first.
    pub watched: AtomicUsize,
    /// Whether a directory has a default ACL: 0 unknown, 1 no, 2 yes.
    pub default_acl: AtomicU8,
    /// Whether it was written since [`super::Union::rest`] last looked.
    pub wrote: AtomicBool,
    /// Whether the kernel may hold pages of its content.
    pub paged: AtomicBool,
    /// Whether it must stay where it is: its content is read and written without us.
    pub pinned: AtomicBool,
    /// How many objects of a directory the kernel asked for singly since it last read the listing.
    pub singly: AtomicU32,
    /// Held while it is copied up, so that it is copied once.
    pub copying: Mutex<()>,
}

/// An open file below.
pub struct Opened<B: Branch> {
    /// The file.
    pub file: Arc<B::File>,
    /// Whether it can be written.
    pub writable: bool,
}

impl<B: Branch> Clone for Opened<B> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), writable: self.writable }
    }
}

/// What changes of a node.
pub struct State<B: Branch> {
    /// The names it was found under. None: it has been removed and lives only as long as somebody holds it.
    pub names: Vec<(Arc<Node<B>>, OsString)>,
    /// The branch that serves it.
    pub top: Arc<Member<B>>,
    /// Identity of the top copy.
    pub key: Key,
    /// A directory's copies; empty for anything else.
    pub places: Places<B>,
    /// The branch where merging stopped because of an opaque mark or a whiteout, here or above: nothing lower is visible.
    pub floor: Option<Arc<Member<B>>>,
    /// The open file below, kept for the next read or write.
    pub file: Option<Opened<B>>,
    /// A pseudo-link: where the top copy is when the names still stand for an older one.
    pub anchor: Option<(B::Dir, OsString)>,
    /// Attributes that are remembered.
    pub last: Option<Last>,
}

/// Attributes that are remembered of an object.
#[derive(Debug, Clone, Copy)]
pub enum Last {
    /// Of a file on a branch that takes no writes: what they were at a moment of the union, and are until the next.
    Seen(u64, Stat),
    /// All that is left of a removed object that cannot be held open.
    Ghost(Stat),
}

impl<B: Branch> Node<B> {
    /// A node that nobody holds yet.
    pub fn new(ino: u64, kind: Kind, state: State<B>) -> Self {
        Self {
            ino,
            kind,
            lookups: AtomicU64::new(0),
            state: RwLock::new(state),
            listing: Mutex::new(None),
            watched: AtomicUsize::new(0),
            default_acl: AtomicU8::new(0),
            wrote: AtomicBool::new(false),
            paged: AtomicBool::new(false),
            pinned: AtomicBool::new(false),
            singly: AtomicU32::new(0),
            copying: Mutex::new(()),
        }
    }

    /// A directory's merged copies.
    pub fn places(&self) -> Places<B> {
        self.state.read().unwrap().places.clone()
    }

    /// The copy of a directory on one branch.
    pub fn place_on(&self, member: &Member<B>) -> Option<Place<B>> {
        self.state.read().unwrap().places.iter().find(|p| p.member.id == member.id).cloned()
    }

    /// The first name, with its directory.
    pub fn name(&self) -> Option<(Arc<Node<B>>, OsString)> {
        self.state.read().unwrap().names.first().cloned()
    }

    /// The path within the union, as far as it is known.
    pub fn path(&self) -> String {
        let mut names = Vec::new();
        let mut at = self.name();
        while let Some((parent, name)) = at {
            names.push(name.to_string_lossy().into_owned());
            at = parent.name();
        }
        names.iter().rev().fold(String::new(), |path, name| path + "/" + name)
    }

    /// The path of a name in this directory.
    pub fn path_of(&self, name: &OsStr) -> String {
        format!("{}/{}", self.path(), name.to_string_lossy())
    }

    /// Whether this directory is `other` or lies below it.
    pub fn is_within(&self, other: &Node<B>) -> bool {
        let mut at = self.name();
        let mut inside = self.ino == other.ino;
        while let (false, Some((parent, _))) = (inside, at) {
            inside = parent.ino == other.ino;
            at = parent.name();
        }
        inside
    }
}

/// All nodes that somebody holds, and the numbers that are exceptions.
pub struct Table<B: Branch> {
    nodes: NumberMap<u64, Arc<Node<B>>>,
    by_key: NumberMap<Key, Arc<Node<B>>>,
    numbers: NumberMap<Key, u64>,
    slots: NumberMap<u64, u64>,
    clashes: u64,
}

impl<B: Branch> Default for Table<B> {
    fn default() -> Self {
        let (nodes, by_key) = (NumberMap::default(), NumberMap::default());
        Self { nodes, by_key, numbers: NumberMap::default(), slots: NumberMap::default(), clashes: 0 }
    }
}

/// Inode numbers below this fit beside the device's slot.
const INO_BITS: u32 = 48;

impl<B: Branch> Table<B> {
    /// The node of a number.
    pub fn get(&self, ino: u64) -> Option<Arc<Node<B>>> {
        self.nodes.get(&ino).cloned()
    }

    /// The node that has a copy of this identity.
    pub fn by_key(&self, key: Key) -> Option<Arc<Node<B>>> {
        self.by_key.get(&key).cloned()
    }

    /// The number of whatever has this identity.
    pub fn number(&mut self, key: Key) -> u64 {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let next = self.slots.len() as u64 + 1;
        let slot = *self.slots.entry(key.dev).or_insert(next);
        if key.ino >> INO_BITS == 0 && slot < 0x7fff {
            return slot << INO_BITS | key.ino;
        }
        self.exception(key)
    }

    /// Gives a number of its own to an identity whose computed number is taken.
    pub fn exception(&mut self, key: Key) -> u64 {
        self.clashes += 1;
        let number = 0x7fff << INO_BITS | self.clashes;
        self.numbers.insert(key, number);
        number
    }

    /// Puts a new node in.
    pub fn insert(&mut self, node: &Arc<Node<B>>, keys: impl IntoIterator<Item = Key>) {
        self.nodes.insert(node.ino, node.clone());
        keys.into_iter().for_each(|key| drop(self.by_key.insert(key, node.clone())));
    }

    /// Ties a further identity to a node, and the node's number to it.
    pub fn tie(&mut self, node: &Arc<Node<B>>, key: Key) {
        if self.number(key) != node.ino {
            self.numbers.insert(key, node.ino);
        }
        self.by_key.insert(key, node.clone());
    }

    /// Unties an identity that no longer stands for `node`.
    pub fn untie(&mut self, node: &Node<B>, key: Key) {
        if self.by_key.get(&key).is_some_and(|n| std::ptr::eq(&**n, node)) {
            self.by_key.remove(&key);
        }
    }

    /// The object of this identity is gone below: its identity may come back for another.
    pub fn bury(&mut self, node: &Node<B>, key: Key) {
        self.untie(node, key);
        self.numbers.remove(&key);
    }

    /// Forgets the exceptional number of an identity that is gone below.
    pub fn unnumber(&mut self, key: Key) {
        self.numbers.remove(&key);
    }

    /// Takes back `count` look-ups of a node; gives it back when nobody holds it any more.
    pub fn forget(&mut self, ino: u64, count: u64) -> Option<Arc<Node<B>>> {
        if ino == ROOT {
            return None;
        }
        let node = self.nodes.get(&ino)?;
        let before = node.lookups.fetch_sub(count.min(node.lookups.load(Relaxed)), Relaxed);
        if before > count {
            return None;
        }
        let node = self.nodes.remove(&ino)?;
        let state = node.state.read().unwrap();
        let keys: Vec<Key> = state.places.iter().map(|p| p.key).chain([state.key]).collect();
        drop(state);
        keys.iter().for_each(|key| self.untie(&node, *key));
        Some(node)
    }

    /// All nodes.
    pub fn all(&self) -> Vec<Arc<Node<B>>> {
        self.nodes.values().cloned().collect()
    }

    /// How many nodes are held.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node is held.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

//! A union over branches in memory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex};

use super::Tree;
use super::plain::stat_in;
use crate::union::branch::{Change, Errno, Kind, Replace, Result};
use crate::union::make::New;
use crate::union::memory::{MemoryBranch, MemoryFs};
use crate::union::rename::Side;
use crate::union::reshape::{Candidate, Refused};
use crate::union::{Caller, Happening, Host, Node, Union, options};

#[derive(Default, Clone)]
pub(super) struct Quiet(pub(super) Arc<Mutex<Vec<Happening>>>);

impl Host for Quiet {
    fn now(&self) -> u64 {
        0
    }
    fn is_watched(&self) -> bool {
        true
    }
    fn is_curious(&self) -> bool {
        true
    }
    fn tell(&self, happening: Happening) {
        self.0.lock().unwrap().push(happening);
    }
}

/// A union over named branches in memory.
pub(super) struct World {
    pub(super) union: Union<MemoryBranch>,
    pub(super) branches: BTreeMap<String, MemoryBranch>,
    pub(super) told: Quiet,
}

pub(super) const ROOMY: u64 = 1 << 40;

impl World {
    /// Branches `/0`, `/1`, … each on a file system of its own, mounted with these options.
    pub(super) fn mounted(count: usize, list: &str, prepare: impl Fn(usize, &MemoryBranch)) -> World {
        let branch = |i: usize| (format!("/{i}"), MemoryFs::new(i as u64 + 1, ROOMY).branch());
        let branches: BTreeMap<_, _> = (0..count).map(branch).collect();
        branches.values().enumerate().for_each(|(i, b)| prepare(i, b));
        let told = Quiet::default();
        let world = World { union: Union::new("/mnt", Box::new(told.clone())), branches, told };
        let own = options::parse(list, false).unwrap().own;
        world.union.mount(&own, &|path| world.open(path)).unwrap();
        world
    }

    pub(super) fn open(&self, path: &str) -> std::result::Result<Candidate<MemoryBranch>, Refused> {
        let branch = self.branches.get(path).cloned();
        let branch = branch.ok_or_else(|| Refused::new(Errno::EINVAL, format!("no directory {path}")))?;
        Ok(Candidate { branch, path: path.to_owned(), immutable: false })
    }

    pub(super) fn remount(&self, list: &str) -> std::result::Result<(), Refused> {
        let own = options::parse(list, false).unwrap().own;
        own.iter().try_for_each(|opt| self.union.apply(opt, &|path| self.open(path), false))
    }

    pub(super) fn dir_of<'p>(&self, path: &'p str) -> Result<(Arc<Node<MemoryBranch>>, &'p OsStr)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.union.walk(parent)?;
        if dir.kind == Kind::Dir { Ok((dir, OsStr::new(name))) } else { Err(Errno::ENOTDIR) }
    }

    pub(super) fn branch_has(&self, branch: &str, path: &str) -> bool {
        stat_in(&self.branches[branch], path).is_some()
    }
}

impl Tree for World {
    fn make(&self, path: &str, new: New<'_>) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        if self.union.lookup(&dir, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.union.make(&dir, name, new, &Caller::default()).map(drop)
    }
    fn write(&self, path: &str, data: &[u8]) -> Result<()> {
        let node = self.union.walk(path)?;
        if node.kind != Kind::File {
            return Err(Errno::EINVAL);
        }
        self.union.write(&node, data, 0).map(drop)
    }
    fn unlink(&self, path: &str) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.union.unlink(&dir, name)
    }
    fn rmdir(&self, path: &str) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.union.rmdir(&dir, name)
    }
    fn rename(&self, from: &str, to: &str, replace: Replace) -> Result<()> {
        let ((one, name), (other, new)) = (self.dir_of(from)?, self.dir_of(to)?);
        self.union.lookup(&one, name)?;
        if replace == Replace::Exchange {
            // The kernel refuses to move a directory into itself in either direction.
            let target = self.union.lookup(&other, new)?.0;
            if one.is_within(&target) && target.kind == Kind::Dir {
                return Err(Errno::EINVAL);
            }
        }
        self.union.rename(&Side { parent: &one, name }, &Side { parent: &other, name: new }, replace)
    }
    fn link(&self, from: &str, to: &str) -> Result<()> {
        let node = self.union.walk(from)?;
        let (dir, name) = self.dir_of(to)?;
        if self.union.lookup(&dir, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.union.link(&node, &dir, name).map(drop)
    }
    fn chmod(&self, path: &str, mode: u32) -> Result<()> {
        let node = self.union.walk(path)?;
        self.union.set_attributes(&node, &Change { mode: Some(mode), ..Change::default() }, None).map(drop)
    }
    fn truncate(&self, path: &str, size: u64) -> Result<()> {
        let node = self.union.walk(path)?;
        if node.kind != Kind::File {
            return Err(Errno::EISDIR);
        }
        self.union.set_attributes(&node, &Change { size: Some(size), ..Change::default() }, None).map(drop)
    }
    fn snapshot(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        snap_union(&self.union, &self.union.root(), "", &mut all);
        all
    }
}

fn snap_union(
    union: &Union<MemoryBranch>,
    dir: &Arc<Node<MemoryBranch>>,
    at: &str,
    all: &mut BTreeMap<String, String>,
) {
    let listing = union.listing(dir, 0, false).unwrap();
    for item in listing.items() {
        let name = listing.name(item);
        let (node, stat) = union.lookup(dir, name).expect("what is listed can be looked up");
        assert_eq!(node.ino, item.ino, "the listing's number is the object's");
        let path = format!("{at}/{}", name.to_string_lossy());
        let mut content = vec![0; 4096];
        let body = match node.kind {
            Kind::File => {
                let got = union.read(&node, &mut content, 0).unwrap();
                format!("{:?}", String::from_utf8_lossy(&content[..got]))
            }
            Kind::Dir => {
                snap_union(union, &node, &path, all);
                String::new()
            }
            _ => String::new(),
        };
        all.insert(path, format!("{:?} {:o} {body}", stat.kind, stat.mode));
    }
}

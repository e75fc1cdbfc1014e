//! A plain directory in memory, and what tests ask of a branch.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::Tree;
use crate::union::Stat;
use crate::union::branch::{At, Branch, Change, Errno, Kind, Replace, Result};
use crate::union::make::New;
use crate::union::memory::MemoryBranch;

/// A plain directory in memory.
pub(super) struct Plain(pub(super) MemoryBranch);

impl Plain {
    fn dir_of<'p>(&self, path: &'p str) -> Result<(u64, &'p OsStr)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = self.0.root();
        for step in parent.split('/').filter(|s| !s.is_empty()) {
            at = self.0.dir(&at, OsStr::new(step))?;
        }
        Ok((at, OsStr::new(name)))
    }
}

impl Tree for Plain {
    fn make(&self, path: &str, new: New<'_>) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        match new {
            New::File(mode) => self.0.create(&dir, name, mode).map(drop),
            New::Dir(mode) => self.0.mkdir(&dir, name, mode),
            New::Symlink(target) => self.0.symlink(&dir, name, target),
            New::Node(kind, mode, rdev) => self.0.mknod(&dir, name, kind, mode, rdev),
        }
    }
    fn write(&self, path: &str, data: &[u8]) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        let file = self.0.open(&dir, name, true)?;
        MemoryBranch::write(&file, data, 0).map(drop)
    }
    fn unlink(&self, path: &str) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.0.unlink(&dir, name)
    }
    fn rmdir(&self, path: &str) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.0.rmdir(&dir, name)
    }
    fn rename(&self, from: &str, to: &str, replace: Replace) -> Result<()> {
        let ((one, name), (other, new)) = (self.dir_of(from)?, self.dir_of(to)?);
        let source = self.0.stat(At::Name(&one, name))?;
        if replace == Replace::No && self.0.stat(At::Name(&other, new)).is_ok() {
            return Err(Errno::EEXIST);
        }
        if source.kind == Kind::Dir && format!("{to}/").starts_with(&format!("{from}/")) {
            return if from == to { Ok(()) } else { Err(Errno::EINVAL) };
        }
        if replace == Replace::Exchange && format!("{from}/").starts_with(&format!("{to}/")) && from != to {
            self.0.stat(At::Name(&other, new))?;
            return Err(Errno::EINVAL);
        }
        self.0.rename(&one, name, &other, new, replace)
    }
    fn link(&self, from: &str, to: &str) -> Result<()> {
        let ((one, name), (other, new)) = (self.dir_of(from)?, self.dir_of(to)?);
        self.0.stat(At::Name(&one, name))?;
        if self.0.stat(At::Name(&other, new)).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.0.link(&one, name, &other, new)
    }
    fn chmod(&self, path: &str, mode: u32) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.0.change(At::Name(&dir, name), &Change { mode: Some(mode), ..Change::default() })
    }
    fn truncate(&self, path: &str, size: u64) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.0.change(At::Name(&dir, name), &Change { size: Some(size), ..Change::default() })
    }
    fn snapshot(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        snap_plain(&self.0, self.0.root(), "", &mut all);
        all
    }
}

fn snap_plain(branch: &MemoryBranch, dir: u64, at: &str, all: &mut BTreeMap<String, String>) {
    for name in branch.names(&dir).unwrap() {
        let stat = branch.stat(At::Name(&dir, &name)).unwrap();
        let path = format!("{at}/{}", name.to_string_lossy());
        let mut content = vec![0; 4096];
        let body = match stat.kind {
            Kind::File => {
                let file = branch.open(&dir, &name, false).unwrap();
                let got = MemoryBranch::read(&file, &mut content, 0).unwrap();
                format!("{:?}", String::from_utf8_lossy(&content[..got]))
            }
            Kind::Dir => {
                snap_plain(branch, branch.dir(&dir, &name).unwrap(), &path, all);
                String::new()
            }
            _ => String::new(),
        };
        all.insert(path, format!("{:?} {:o} {body}", stat.kind, stat.mode));
    }
}

pub(super) fn stat_in(branch: &MemoryBranch, path: &str) -> Option<Stat> {
    let plain = Plain(branch.clone());
    let (dir, name) = plain.dir_of(path).ok()?;
    branch.stat(At::Name(&dir, name)).ok()
}

pub(super) fn put(branch: &MemoryBranch, path: &str, content: &str) {
    let plain = Plain(branch.clone());
    let mut at = String::new();
    let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
    for step in parent.split('/').filter(|s| !s.is_empty()) {
        at = format!("{at}/{step}");
        let _ = plain.make(&at, New::Dir(0o755));
    }
    plain.make(path, New::File(0o644)).unwrap();
    plain.write(path, content.as_bytes()).unwrap();
}

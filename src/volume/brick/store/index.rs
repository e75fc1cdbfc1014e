//! Counters of what copies missed, and the indices that list who has any.
//!
//! `indices/xattrop` lists the inodes here that blame another copy, `indices/dirty` those that are dirty,
//! `indices/entry-changes/<directory>/` the names that somebody missed. An entry is a hard link to the index's one base file,
//! so that it costs no inode.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use super::paths::Place;
use super::{PRIVATE, Store, allow, held};
use crate::volume::brick::sys::{self, Result};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::Xattrop;
use crate::volume::xattr::{self, Pending};

const XATTROP: &str = "xattrop";
const DIRTY: &str = "dirty";
const ENTRY_CHANGES: &str = "entry-changes";

impl Store {
    /// Adds to counters of an inode and keeps the indices true. Gives the sums.
    pub(in crate::volume::brick) fn xattrop(&self, op: &Xattrop) -> Result<Vec<(String, Pending)>> {
        let place = self.opened(op.gfid)?;
        let _alone = self.alone(op.gfid);
        if let Some(name) = &op.name {
            self.note_entry_change(op.gfid, name)?;
        }
        if !self.trusted && !self.carries(&place) {
            // What cannot be kept is not indexed either: nobody could ever take it back.
            return Ok(op.add.iter().map(|(key, _)| (key.clone(), Pending::default())).collect());
        }
        let mut sums = Vec::new();
        for (key, add) in &op.add {
            if key == xattr::DIRTY && held(&self.flights).count(op.gfid, *add).is_some() {
                continue;
            }
            let old = self.raw_get(&place, key).map(|raw| Pending::decode(&raw)).unwrap_or_default();
            let sum = old.plus(*add);
            let index = if key == xattr::DIRTY { DIRTY } else { XATTROP };
            if !sum.is_zero() {
                self.index_add(index, op.gfid)?;
            }
            if sum != old || self.raw_get(&place, key).is_err() {
                self.raw_set(&place, key, &sum.encode())?;
            }
            sums.push((key.clone(), sum));
        }
        self.index_settle(op.gfid, &place, &sums)?;
        Ok(sums)
    }

    /// Counts what was begun on the disk.
    pub(super) fn count_dirty(&self, gfid: Gfid, place: &Place, begun: Pending) -> Result<()> {
        let old = self.raw_get(place, xattr::DIRTY).map(|raw| Pending::decode(&raw)).unwrap_or_default();
        self.index_add(DIRTY, gfid)?;
        self.raw_set(place, xattr::DIRTY, &old.plus(begun).encode())
    }

    /// Takes an inode out of an index when all its counters there are zero.
    fn index_settle(&self, gfid: Gfid, place: &Place, sums: &[(String, Pending)]) -> Result<()> {
        let zero = |dirty: bool| {
            let mut some = sums.iter().filter(|(k, _)| (k == xattr::DIRTY) == dirty).peekable();
            some.peek().is_some() && some.all(|(_, p)| p.is_zero())
        };
        if zero(true) {
            self.index_remove(DIRTY, gfid)?;
        }
        if zero(false) && !self.blames(place) {
            self.index_remove(XATTROP, gfid)?;
        }
        Ok(())
    }

    /// Whether this copy accuses another one.
    fn blames(&self, place: &Place) -> bool {
        let keys = place.attributes().unwrap_or_default();
        keys.into_iter().map(|k| self.canonical(&k)).any(|key| {
            key.starts_with(xattr::AFR.as_bytes())
                && key != xattr::DIRTY.as_bytes()
                && self.raw_get(place, &String::from_utf8_lossy(&key)).is_ok_and(|raw| !Pending::decode(&raw).is_zero())
        })
    }

    fn index_add(&self, index: &'static str, gfid: Gfid) -> Result<()> {
        let path = format!("{PRIVATE}/indices/{index}/{gfid}");
        let added = self.link_to_base(index, &path)?;
        held(&self.indexed).insert((index == DIRTY, gfid));
        if added && index == XATTROP {
            self.blaming.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn index_remove(&self, index: &str, gfid: Gfid) -> Result<()> {
        let path = sys::cstr(format!("{PRIVATE}/indices/{index}/{gfid}"))?;
        held(&self.indexed).remove(&(index == DIRTY, gfid));
        match sys::unlink_at(self.fd(), &path, false) {
            Ok(()) if index == XATTROP => {
                self.blaming.fetch_sub(1, Relaxed);
                Ok(())
            }
            other => allow(other, libc::ENOENT),
        }
    }

    /// Links a new name to the base file of an index; `false` if the name was there.
    fn link_to_base(&self, index: &'static str, path: &str) -> Result<bool> {
        let path = sys::cstr(path)?;
        for _ in 0..3 {
            let base = sys::cstr(self.base(index)?)?;
            match sys::link_at(self.fd(), &base, self.fd(), &path) {
                Ok(()) => return Ok(true),
                Err(libc::EEXIST) => return Ok(false),
                // The base is gone, or has as many links as the file system allows: a new one.
                Err(libc::ENOENT | libc::EMLINK) => held(&self.bases).remove(index),
                Err(e) => return Err(e),
            };
        }
        Err(libc::EMLINK)
    }

    /// The base file of an index, made if there is none.
    fn base(&self, index: &'static str) -> Result<String> {
        let mut bases = held(&self.bases);
        if let Some(base) = bases.get(index) {
            return Ok(base.clone());
        }
        let base = format!("{PRIVATE}/indices/{index}/{index}-{}", Gfid::random());
        sys::open_at(self.fd(), &sys::cstr(base.clone())?, libc::O_CREAT | libc::O_EXCL | libc::O_RDONLY, 0)?;
        bases.insert(index, base.clone());
        Ok(base)
    }

    /// Remembers that a name of a directory changed and somebody missed it.
    fn note_entry_change(&self, dir: Gfid, name: &[u8]) -> Result<()> {
        let path = format!("{PRIVATE}/indices/{ENTRY_CHANGES}/{dir}");
        self.ensure_dir(&path, 0o700)?;
        let place = self.child(&super::paths::open_dir(self.fd(), &sys::cstr(path)?)?.into(), name)?;
        for _ in 0..3 {
            let base = sys::cstr(self.base(ENTRY_CHANGES)?)?;
            match sys::link_at(self.fd(), &base, place.dir(), &place.name) {
                Err(libc::ENOENT | libc::EMLINK) => held(&self.bases).remove(ENTRY_CHANGES),
                other => return allow(other, libc::EEXIST),
            };
        }
        Err(libc::EMLINK)
    }

    /// The gfids in an index.
    pub(in crate::volume::brick) fn index(&self, dirty: bool) -> Result<Vec<Gfid>> {
        let index = if dirty { DIRTY } else { XATTROP };
        let entries = self.list(&self.below(&format!("{PRIVATE}/indices/{index}"))?)?;
        let mut all: BTreeSet<Gfid> =
            entries.iter().filter_map(|e| Gfid::parse(std::str::from_utf8(&e.name).ok()?)).collect();
        if dirty {
            all.extend(held(&self.flights).begun());
        }
        Ok(all.into_iter().collect())
    }

    /// The names of a directory that somebody missed; ENOENT: not recorded.
    pub(in crate::volume::brick) fn entry_changes(&self, gfid: Gfid) -> Result<Vec<bytes::Bytes>> {
        let entries = self.list(&self.below(&format!("{PRIVATE}/indices/{ENTRY_CHANGES}/{gfid}"))?)?;
        Ok(entries.into_iter().map(|e| e.name.into()).collect())
    }

    /// Forgets one of them, or all.
    pub(in crate::volume::brick) fn entry_change_done(&self, gfid: Gfid, name: Option<&[u8]>) -> Result<()> {
        let dir = format!("{PRIVATE}/indices/{ENTRY_CHANGES}/{gfid}");
        let Ok(open) = super::paths::open_dir(self.fd(), &sys::cstr(dir.clone())?) else { return Ok(()) };
        let open = std::sync::Arc::new(open);
        let names = match name {
            Some(name) => vec![name.to_vec()],
            None => self.list(&self.below(&dir)?)?.into_iter().map(|e| e.name).collect(),
        };
        for name in names {
            let place = self.child(&open, &name)?;
            allow(sys::unlink_at(place.dir(), &place.name, false), libc::ENOENT)?;
        }
        let _ = sys::unlink_at(self.fd(), &sys::cstr(dir)?, true);
        Ok(())
    }

    /// An inode is gone: it is in no index any more.
    pub(super) fn forget_index(&self, gfid: Gfid) {
        held(&self.flights).forget(gfid);
        for (dirty, index) in [(false, XATTROP), (true, DIRTY)] {
            if held(&self.indexed).contains(&(dirty, gfid)) {
                let _ = self.index_remove(index, gfid);
            }
        }
    }

    /// An entry of an index whose inode does not exist.
    pub(in crate::volume::brick) fn drop_stale(&self, gfid: Gfid) {
        if self.inode(gfid).is_err() {
            let _ = self.index_remove(XATTROP, gfid);
            let _ = self.index_remove(DIRTY, gfid);
            let _ = self.entry_change_done(gfid, None);
        }
    }

    /// Counts the inodes that blame somebody, and learns what is in the indices, once, when the brick starts.
    pub(super) fn count_blaming(&self) {
        let (blaming, dirty) = (self.index(false).unwrap_or_default(), self.index(true).unwrap_or_default());
        self.blaming.store(i64::try_from(blaming.len()).unwrap_or_default(), Relaxed);
        let all = blaming.into_iter().map(|g| (false, g)).chain(dirty.into_iter().map(|g| (true, g)));
        held(&self.indexed).extend(all);
    }

    /// How many inodes here blame another copy.
    pub fn blaming(&self) -> i64 {
        self.blaming.load(Relaxed)
    }

    /// The next gfids that exist on this brick.
    pub(in crate::volume::brick) fn crawl(&self, after: Option<Gfid>) -> Result<Vec<Gfid>> {
        let mut found = Vec::new();
        self.each_handle(after, &mut |gfid, _| {
            found.push(gfid);
            Ok(found.len() < 2000)
        })?;
        Ok(found)
    }
}

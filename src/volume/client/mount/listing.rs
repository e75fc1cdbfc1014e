//! Listings of directories: taken whole when a directory is first read, then handed out piece by piece.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use fuser::{FileAttr, FileType, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus};

use super::attr::{bare, kind_of};
use super::aux::is_aux;
use super::fs::Fs;
use super::meta;
use crate::volume::rpc::{Entry, Inode};

/// A directory itself and its parent, by name and offset.
const DOTS: [(&str, u64); 2] = [(".", 1), ("..", 2)];

impl Fs {
    fn listing(&self, ino: INodeNo, fh: u64, offset: u64) -> Result<Arc<Vec<Entry>>, i32> {
        if let Some(listing) = self.0.inodes.listing(fh).filter(|_| offset > 0) {
            return Ok(listing);
        }
        let entries = match self.meta(ino) {
            Some(node) => meta::entries(&node?)?,
            None if is_aux(ino) => vec![],
            None => {
                let gfid = self.gfid(ino)?;
                if !self.0.trusts_listings() && self.0.session.files.stat(gfid).is_ok_and(|found| found.needs_heal) {
                    self.0.heal(gfid);
                }
                self.0.session.files.readdir(gfid, true)?
            }
        };
        self.0.inodes.keep_listing(Some(fh), entries);
        self.0.inodes.listing(fh).ok_or(libc::EBADF)
    }

    /// The inode of an entry of a listing, and how long it may be believed. A listing comes from one copy: what copies may
    /// dispute, and a directory that is on several sets, is looked up, and what cannot be (split-brain) is told by its name alone.
    fn listed(&self, dir: INodeNo, entry: &Entry) -> (Option<Inode>, Duration) {
        let whole = |i: &Inode| !i.iatt.is_dir() || self.0.session.files.graph().sets.len() == 1;
        let clean = |i: &Inode| i.blame.is_empty() && !self.0.buffers.is_dirty(i.gfid);
        let sure = entry.inode.as_ref().filter(|i| whole(i) && clean(i) && self.0.trusts_listings());
        if let Some(inode) = sure {
            return (Some(inode.clone()), self.0.ttl.entry);
        }
        let looked = self.gfid(dir).and_then(|dir| self.0.session.files.lookup(dir, &entry.name));
        match looked.and_then(|found| self.fresh(found.inode)) {
            Ok(inode) => (Some(inode), self.0.ttl.entry),
            Err(_) => (None, Duration::ZERO),
        }
    }

    /// Fills a reply with names from an offset on.
    pub(super) fn list(&self, ino: INodeNo, fh: u64, offset: u64, reply: &mut ReplyDirectory) -> Result<(), i32> {
        let listing = self.listing(ino, fh, offset)?;
        for (name, n) in DOTS.into_iter().filter(|(_, n)| *n > offset) {
            if reply.add(ino, n, FileType::Directory, name) {
                return Ok(());
            }
        }
        for (n, entry) in (3..).zip(listing.iter()).skip(seen(offset)) {
            let number = entry.inode.as_ref().map_or(n, |i| self.0.inodes.number(i.gfid));
            if reply.add(INodeNo(number), n, kind_of(entry.kind), OsStr::from_bytes(&entry.name)) {
                break;
            }
        }
        Ok(())
    }

    /// Fills a reply with names and their inodes from an offset on.
    pub(super) fn list_plus(
        &self,
        ino: INodeNo,
        fh: u64,
        offset: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> Result<(), i32> {
        let listing = self.listing(ino, fh, offset)?;
        for (name, n) in DOTS.into_iter().filter(|(_, n)| *n > offset) {
            let dot = FileAttr { ino, ..bare(libc::S_IFDIR) };
            if reply.add(dot.ino, n, name, &Duration::ZERO, &dot, Generation(0)) {
                return Ok(());
            }
        }
        for (n, entry) in (3..).zip(listing.iter()).skip(seen(offset)) {
            if let Some(attr) = self.meta_lookup(ino, OsStr::from_bytes(&entry.name)) {
                let (attr, ttl) = (attr?, self.0.ttl.entry);
                if reply.add(attr.ino, n, OsStr::from_bytes(&entry.name), &ttl, &attr, Generation(0)) {
                    break;
                }
                continue;
            }
            let (inode, ttl) = self.listed(ino, entry);
            let attr = match &inode {
                Some(inode) => self.figures(inode.gfid, &inode.iatt),
                None => FileAttr { ino: INodeNo(n | 1 << 62), ..bare(u32::from(entry.kind) << 12) },
            };
            if reply.add(attr.ino, n, OsStr::from_bytes(&entry.name), &ttl, &attr, Generation(0)) {
                break;
            }
            if let Some(inode) = inode {
                self.0.inodes.learn(inode.gfid, inode.iatt.is_dir());
            }
        }
        Ok(())
    }
}

/// How many entries of a listing come before an offset.
fn seen(offset: u64) -> usize {
    usize::try_from(offset.saturating_sub(2)).unwrap_or(usize::MAX)
}

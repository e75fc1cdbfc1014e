//! Contents: what is opened, read, written, made safe, closed.

use std::ffi::OsStr;

use bytes::Bytes;
use fuser::{FileAttr, FopenFlags, INodeNo, LockOwner, OpenFlags};

use super::attr::stale;
use super::fs::Fs;
use super::heed::Stale;
use super::meta;
use crate::volume::client::tale::{self, Telling};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Fop, Iatt, Node, Reply};

impl Fs {
    /// Opens a file. `strips`: cutting it takes its set-user-id and set-group-id bits away.
    pub(super) fn open_file(&self, ino: INodeNo, flags: OpenFlags, strips: bool) -> Result<FopenFlags, i32> {
        if let Some(node) = self.meta(ino) {
            self.0.inodes.open(ino.0);
            return node.map(|_| FopenFlags::FOPEN_DIRECT_IO);
        }
        let known = self.0.inodes.get(ino.0)?;
        self.0.inodes.open(ino.0);
        self.0.session.opens.opened(known.gfid);
        self.be_sure(ino, known.gfid)?;
        if known.chosen().is_none() && !self.0.trusts_listings() {
            self.0.session.files.set_of(known.gfid)?.has_attributes(known.gfid)?;
        }
        if flags.0 & libc::O_TRUNC != 0 {
            self.0.buffers.flush(known.gfid)?;
            let cut = self.0.session.files.truncate(known.gfid, 0).map_err(stale)?;
            self.strip(known.gfid, &cut, strips)?;
        }
        Ok(self.caching(ino))
    }

    /// Somebody else changed it, or may have removed its name: it is looked at again. (ESTALE sends the kernel back to the name.)
    fn be_sure(&self, ino: INodeNo, gfid: Gfid) -> Result<(), i32> {
        if let Some(doubt) = self.0.inodes.doubts(ino.0) {
            self.0.session.files.stat(gfid).map_err(stale)?;
            self.0.inodes.sure(ino.0, doubt);
        }
        Ok(())
    }

    fn strip(&self, gfid: Gfid, iatt: &Iatt, strips: bool) -> Result<(), i32> {
        if strips { self.0.buffers.strip(gfid, iatt) } else { Ok(()) }
    }

    /// Whether the kernel may answer reads from what it has of a file: only as long as it is the same bricks that it came
    /// from. (When one comes back, copies may turn out to accuse each other.)
    fn caching(&self, ino: INodeNo) -> FopenFlags {
        let now = self.0.session.generation();
        let same = self.0.inodes.with(ino.0, |k| std::mem::replace(&mut k.cached_in, now) == now);
        if same == Some(true) { FopenFlags::FOPEN_KEEP_CACHE } else { FopenFlags::empty() }
    }

    pub(super) fn create_file(
        &self,
        (parent, name): (INodeNo, &OsStr),
        node: Node,
        flags: i32,
        strips: bool,
    ) -> Result<(FileAttr, FopenFlags), i32> {
        match self.make(parent, name, node) {
            // Another mount was faster, and both may have it.
            Err(libc::EEXIST) if flags & libc::O_EXCL == 0 => {
                let attr = self.lookup_entry(parent, name)?;
                Ok((attr, self.open_file(attr.ino, OpenFlags(flags), strips)?))
            }
            Err(errno) => Err(errno),
            Ok(attr) => {
                self.0.inodes.open(attr.ino.0);
                self.0.session.opens.opened(self.gfid(attr.ino)?);
                self.caching(attr.ino);
                // Who only writes needs no pages; and for each file that is written through them the kernel asks for its
                // capabilities once.
                let only_writes = flags & libc::O_ACCMODE == libc::O_WRONLY;
                Ok((attr, if only_writes { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::FOPEN_KEEP_CACHE }))
            }
        }
    }

    pub(super) fn close_file(&self, ino: INodeNo) {
        if let Ok(gfid) = self.gfid(ino) {
            self.0.session.opens.closed(gfid);
        }
        let Some(known) = self.0.inodes.close(ino.0) else { return };
        let _ = self.0.buffers.flush(known.gfid);
        self.0.buffers.forget(known.gfid);
        let told = self.0.session.teller.take(known.gfid);
        let _telling = self.0.session.teller.resume(told);
        self.0.session.files.settle(known.gfid);
        self.0.session.tell_copies(known.gfid);
        if known.kept {
            self.0.session.files.close(known.gfid);
        }
        self.0.inodes.forget(ino.0, 0);
    }

    pub(super) fn read_file(&self, ino: INodeNo, offset: u64, size: u32) -> Result<Bytes, i32> {
        if let Some(node) = self.meta(ino) {
            return meta::content(&node?, offset, size);
        }
        let known = self.0.inodes.get(ino.0)?;
        self.0.buffers.flush(known.gfid)?;
        self.0.session.files.read(known.gfid, offset, size, known.chosen())
    }

    /// Takes bytes to write at an offset. `strips`: that takes the set-user-id and set-group-id bits away.
    pub(super) fn write_file(
        &self,
        ino: INodeNo,
        (offset, data): (u64, &[u8]),
        flags: OpenFlags,
        strips: bool,
    ) -> Result<u32, i32> {
        let gfid = self.gfid(ino)?;
        let _telling = self.tell_write(gfid, offset, data.len());
        if flags.0 & libc::O_APPEND == 0 {
            self.0.buffers.write(gfid, offset, data, strips)?;
            tale::step("write-behind", "way-buffered", Vec::new);
        } else {
            self.append(gfid, offset, data, strips)?;
        }
        // O_SYNC and O_DSYNC: not answered before it is safe.
        if flags.0 & libc::O_DSYNC != 0 {
            self.sync_all(gfid, flags.0 & libc::O_SYNC != libc::O_SYNC)?;
        }
        u32::try_from(data.len()).map_err(|_| libc::EINVAL)
    }

    /// Writes at the end. The kernel takes it that this is at `offset`; if another mount was faster, it is not, and what the kernel
    /// has of the file is forgotten.
    fn append(&self, gfid: Gfid, offset: u64, data: &[u8], strips: bool) -> Result<(), i32> {
        self.0.buffers.flush(gfid)?;
        let (at, iatt) = self.0.session.files.append(gfid, &Bytes::copy_from_slice(data))?;
        if at != offset {
            // The kernel waits for this answer while it has the pages locked: another thread must tell it.
            self.0.outdated(Stale::Inode(gfid));
        }
        self.strip(gfid, &iatt, strips)
    }

    /// A write begins, and is told if somebody watches.
    fn tell_write(&self, gfid: Gfid, offset: u64, size: usize) -> Option<Telling> {
        let session = &self.0.session;
        let telling = session.teller.begin(&session.files.graph().volume.name)?;
        session.teller.keep(gfid);
        tale::step("vfs", "way-write", || {
            vec![("size", size.to_string()), ("offset", offset.to_string()), ("path", session.path_of(gfid))]
        });
        tale::step("fuse", "way-fuse", || vec![("fop", "WRITE".into())]);
        Some(telling)
    }

    pub(super) fn flush_file(&self, ino: INodeNo, owner: LockOwner) -> Result<(), i32> {
        if self.meta(ino).is_some() {
            return Ok(());
        }
        let gfid = self.gfid(ino)?;
        let outcome = self.0.buffers.flush(gfid);
        self.0.unlock(gfid, owner);
        outcome
    }

    pub(super) fn sync_file(&self, ino: INodeNo, data: bool) -> Result<(), i32> {
        self.sync_all(self.gfid(ino)?, data)
    }

    fn sync_all(&self, gfid: Gfid, data: bool) -> Result<(), i32> {
        if self.0.buffers.sync(gfid, data)? { Ok(()) } else { self.0.session.files.sync(gfid, data) }
    }

    /// fallocate(2). `strips`: it takes the set-user-id and set-group-id bits away.
    pub(super) fn allocate(&self, ino: INodeNo, mode: i32, range: (u64, u64), strips: bool) -> Result<(), i32> {
        let gfid = self.gfid(ino)?;
        self.0.buffers.flush(gfid)?;
        let iatt = self.0.session.files.fallocate(gfid, mode, range.0, range.1)?;
        self.strip(gfid, &iatt, strips)
    }

    pub(super) fn seek(&self, ino: INodeNo, offset: i64, whence: i32) -> Result<i64, i32> {
        let gfid = self.gfid(ino)?;
        self.0.buffers.flush(gfid)?;
        let offset = u64::try_from(offset).map_err(|_| libc::ENXIO)?;
        match self.0.session.files.tell(gfid, &Fop::Seek { gfid, offset, whence })? {
            Reply::Number(n) => Ok(i64::try_from(n).unwrap_or(i64::MAX)),
            _ => Err(libc::EIO),
        }
    }

    pub(super) fn target(&self, ino: INodeNo) -> Result<Bytes, i32> {
        if let Some(node) = self.meta(ino) {
            return meta::content(&node?, 0, u32::MAX);
        }
        let gfid = self.gfid(ino)?;
        match self.0.session.files.tell(gfid, &Fop::Readlink { gfid })? {
            Reply::Bytes(target) => Ok(target),
            _ => Err(libc::EIO),
        }
    }
}

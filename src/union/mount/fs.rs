//! FUSE requests to operations of the union, one to one; nothing is decided here but what the kernel may remember.
//! Contents are in [`super::contents`], directories in [`super::listing`], opens in [`super::passthrough`].
//!
//! **Opens never leave the kernel.** Where the first branch is writable, no branch asks for copy-up at open, and the kernel can,
//! `open` and `opendir` are answered with `ENOSYS` once: from then on an open costs nothing, and reading a file whose
//! pages are cached makes no request at all. It is right because the union needs no handle: a file is reached by its
//! number, and what has lost its name is held until the kernel forgets it.
//!
//! **What the kernel remembers.** With `udba=none` and `udba=notify` names and attributes are remembered for an hour, missing
//! names too (the watcher corrects them); with `udba=reval` for no time at all.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use fuser::{
    CopyFileRangeFlags, Errno as FuseErrno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};

use super::attributes::{Writer, absent, attr, caller, fail, real_rdev, request_time};
use super::cached::{self, Corrections};
use super::contents::{Range, Write};
use super::io;
use super::kernel::Kernel;
use super::real::RealBranch;
use super::shared::{LONG, RealUnion, Shared};
use super::watch::Of;
use crate::union::Node;
use crate::union::branch::{Change, Errno, Kind, Replace, Result, SetTime, Stat};
use crate::union::file::Outsider;
use crate::union::make::New;
use crate::union::names::NAME_MAX;
use crate::union::rename::Side;

/// The file system as fuser sees it.
#[derive(Clone)]
pub struct UnionFs {
    pub(super) shared: Arc<Shared>,
    pub(super) corrections: Corrections,
    pub(super) kernel: Arc<Kernel>,
    /// Whether files that are being made are written straight through.
    pub(super) direct: bool,
}

/// The kernel's limit of one request here: 256 KiB, so that what is copied through stays in a processor's own cache. Measured:
/// 1 MiB and 128 KiB are slower.
const MAX_WRITE: u32 = 1 << 18;

impl UnionFs {
    /// Over a union, with a line to the kernel's side of the mount.
    pub fn new(shared: &Arc<Shared>, kernel: &Arc<Kernel>) -> Self {
        let (corrections, kernel) = (Corrections::start(kernel.clone()), kernel.clone());
        Self { shared: shared.clone(), corrections, kernel, direct: false }
    }

    pub(super) fn union(&self) -> &RealUnion {
        &self.shared.union
    }

    pub(super) fn node(&self, ino: INodeNo) -> Result<Arc<Node<RealBranch>>> {
        self.shared.awake.note();
        self.union().node(ino.0)
    }

    fn entry(&self, reply: ReplyEntry, made: Result<(Arc<Node<RealBranch>>, Stat)>) {
        match made {
            Ok((node, stat)) => {
                reply.entry(&self.shared.ttl(), &attr(node.ino, &stat), Generation(0));
            }
            Err(e) => reply.error(fail(e)),
        }
    }

    fn make(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        new: New<'_>,
        umask: u32,
    ) -> Result<(Arc<Node<RealBranch>>, Stat)> {
        self.shared.absent.lock().unwrap().remove(&(parent.0, name.to_owned()));
        self.union().make(&self.node(parent)?, name, new, &caller(req, umask))
    }

    /// Runs `job` here, or on a thread of its own if it begins with the copy-up of a big file: nobody else waits for that.
    pub(super) fn aside(&self, node: &Arc<Node<RealBranch>>, job: impl FnOnce() + Send + 'static) {
        if !self.is_long(node) {
            return job();
        }
        std::thread::spawn(job);
    }

    /// Answers a change of one object that needs no more than its node, aside if it is long.
    fn change(
        &self,
        ino: INodeNo,
        reply: ReplyEmpty,
        change: impl FnOnce(&Self, &Arc<Node<RealBranch>>) -> Result<()> + Send + 'static,
    ) {
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(e) => return reply.error(fail(e)),
        };
        let (fs, held) = (self.clone(), node.clone());
        self.aside(&node, move || Self::empty(reply, change(&fs, &held)));
    }

    fn empty(reply: ReplyEmpty, done: Result<()>) {
        match done {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(fail(e)),
        }
    }
}

impl Filesystem for UnionFs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let reval = self.shared.looks_again();
        let mut wanted = vec![
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_HANDLE_KILLPRIV_V2,
            InitFlags::FUSE_POSIX_ACL,
            InitFlags::FUSE_DONT_MASK,
            if reval { InitFlags::FUSE_AUTO_INVAL_DATA } else { InitFlags::FUSE_EXPLICIT_INVAL_DATA },
        ];
        if self.shared.no_open.load(Relaxed) {
            wanted.push(InitFlags::FUSE_NO_OPEN_SUPPORT);
        }
        if self.shared.no_opendir {
            wanted.push(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        }
        for flag in wanted {
            if config.add_capabilities(flag).is_err() && flag == InitFlags::FUSE_NO_OPEN_SUPPORT {
                self.shared.no_open.store(false, Relaxed);
            }
        }
        if let Some(passthrough) = &self.shared.passthrough {
            passthrough.ask(config, self.union());
        }
        self.direct = config.add_capabilities(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP).is_ok();
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == cached::PROBE && self.shared.no_open.load(Relaxed) && parent == INodeNo::ROOT {
            let probe = FileAttr { ino: INodeNo(cached::PROBE_INO), perm: 0o444, nlink: 1, ..absent() };
            return reply.entry_with_ttls(&LONG, &Duration::ZERO, &probe, Generation(0));
        }
        let looked = self.node(parent).and_then(|parent| {
            self.shared.watch(&parent, Of::Children);
            let found = self.union().lookup(&parent, name)?;
            self.corrections.singly(&parent);
            Ok(found)
        });
        match looked {
            Err(Errno::ENOENT) => match self.shared.absent_ttl(parent.0, name) {
                Duration::ZERO => reply.error(FuseErrno::ENOENT),
                ttl => reply.entry(&ttl, &absent(), Generation(0)),
            },
            looked => self.entry(reply, looked),
        }
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.union().forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.node(ino).and_then(|node| self.union().attributes(&node)) {
            Ok(stat) => reply.attr(&self.shared.ttl(), &attr(ino.0, &stat)),
            Err(e) => reply.error(fail(e)),
        }
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change {
            uid,
            gid,
            mode: mode.map(|m| m & 0o7777),
            size,
            atime: atime.map_or(SetTime::Keep, request_time),
            mtime: mtime.map_or(SetTime::Keep, request_time),
        };
        let writer = Writer::unless_root(req);
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(e) => return reply.error(fail(e)),
        };
        let (shared, held) = (self.shared.clone(), node.clone());
        self.aside(&node, move || {
            let outsider = |gid| writer.is_some_and(|w| w.is_outside(gid));
            let strip: Option<Outsider<'_>> = writer.is_some().then_some(&outsider);
            match shared.union.set_attributes(&held, &change, strip) {
                Ok(stat) => reply.attr(&shared.ttl(), &attr(ino.0, &stat)),
                Err(e) => reply.error(fail(e)),
            }
        });
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.node(ino).and_then(|node| self.union().readlink(&node)) {
            Ok(target) => reply.data(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str())),
            Err(e) => reply.error(fail(e)),
        }
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry) {
        let new = New::Node(Kind::of_mode(mode), mode & 0o7777, real_rdev(rdev));
        self.entry(reply, self.make(req, parent, name, new, umask));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        self.entry(reply, self.make(req, parent, name, New::Dir(mode & 0o7777), umask));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.entry(reply, self.make(req, parent, link_name, New::Symlink(target.as_os_str()), 0));
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.make(req, parent, name, New::File(mode & 0o7777), umask) {
            Ok((node, stat)) => {
                self.created(&node, &stat, reply);
            }
            Err(e) => reply.error(fail(e)),
        }
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        Self::empty(reply, self.node(parent).and_then(|parent| self.union().unlink(&parent, name)));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        Self::empty(reply, self.node(parent).and_then(|parent| self.union().rmdir(&parent, name)));
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = match flags.bits() {
            0 => Ok(Replace::Yes),
            libc::RENAME_NOREPLACE => Ok(Replace::No),
            libc::RENAME_EXCHANGE => Ok(Replace::Exchange),
            _ => Err(Errno::EINVAL),
        };
        let done = replace.and_then(|replace| {
            let (from, to) = (self.node(parent)?, self.node(newparent)?);
            let (from, to) = (Side { parent: &from, name }, Side { parent: &to, name: newname });
            self.union().rename(&from, &to, replace)
        });
        Self::empty(reply, done);
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let (node, parent) = match (self.node(ino), self.node(newparent)) {
            (Ok(node), Ok(parent)) => (node, parent),
            (Err(e), _) | (_, Err(e)) => return reply.error(fail(e)),
        };
        let (fs, held, name) = (self.clone(), node.clone(), newname.to_owned());
        self.aside(&node, move || fs.entry(reply, fs.union().link(&held, &parent, &name)));
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if self.shared.no_open.load(Relaxed) {
            return reply.error(FuseErrno::ENOSYS);
        }
        let node = self.node(ino).and_then(|node| io::may_open(self.union(), &node, flags.0).map(|()| node));
        match node {
            Ok(node) => self.opened(&node, flags.0 & libc::O_ACCMODE != libc::O_RDONLY, reply),
            Err(e) => reply.error(fail(e)),
        }
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.closed(ino.0, fh);
        reply.ok();
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.read_content(ino, fh, offset, size, lock_owner, reply);
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let strip = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID).then(|| Writer::of(req));
        // A page that was changed through a map is written through any handle that is at hand.
        let fh = if write_flags.contains(WriteFlags::FUSE_WRITE_CACHE) { FileHandle(0) } else { fh };
        self.write_content(ino, Write { fh, data, offset, strip }, reply);
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        Self::empty(reply, self.node(ino).and_then(|node| io::sync(self.union(), &node, datasync)));
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        Self::empty(reply, self.node(ino).and_then(|node| io::sync_dir(&node)));
    }

    fn opendir(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if self.shared.no_opendir {
            reply.error(FuseErrno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::empty());
        }
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.fill(ino, offset, |number, cookie, kind, name| reply.add(INodeNo(number), cookie, kind, name)) {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(fail(e)),
        }
    }

    fn readdirplus(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        match self.fill_plus(ino, offset, &mut reply) {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(fail(e)),
        }
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match self.union().space() {
            Ok(s) => {
                let bsize = u32::try_from(s.bsize).unwrap_or(4096);
                reply.statfs(s.blocks, s.bfree, s.bavail, s.files, s.ffree, bsize, NAME_MAX as u32, bsize);
            }
            Err(e) => reply.error(fail(e)),
        }
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.change(ino, reply, move |fs, node| fs.union().set_xattr(node, &name, &value, flags));
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = self.node(ino).and_then(|node| self.union().xattr(&node, name));
        reply_xattr(reply, value, size);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.node(ino).and_then(|node| self.union().xattrs(&node));
        let root = req.uid() == 0;
        let list = names.map(|names| {
            let shown = names.iter().filter(|name| root || !name.as_encoded_bytes().starts_with(b"trusted."));
            shown.fold(Vec::new(), |mut list, name| {
                list.extend_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()));
                list.push(0);
                list
            })
        });
        reply_xattr(reply, list, size);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.change(ino, reply, move |fs, node| fs.union().remove_xattr(node, &name));
    }

    fn fallocate(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let writer = Writer::unless_root(req);
        self.change(ino, reply, move |fs, node| {
            io::allocate(&*fs.union().opened(node, true)?, offset, length, mode)?;
            writer.map_or(Ok(()), |writer| fs.strip(node, writer))
        });
    }

    fn lseek(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        match self.node(ino).and_then(|node| io::seek(&*self.union().opened(&node, false)?, offset, whence)) {
            Ok(offset) => reply.offset(offset),
            Err(e) => reply.error(fail(e)),
        }
    }

    fn copy_file_range(
        &self,
        req: &Request,
        ino_in: INodeNo,
        _fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        _fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let range = Range { from: offset_in, to: offset_out, length: len, strip: Writer::unless_root(req) };
        self.copy_content(ino_in, ino_out, range, reply);
    }
}

fn reply_xattr(reply: ReplyXattr, value: Result<Vec<u8>>, size: u32) {
    match value {
        Err(e) => reply.error(fail(e)),
        Ok(value) if size == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() > size as usize => reply.error(FuseErrno::ERANGE),
        Ok(value) => reply.data(&value),
    }
}

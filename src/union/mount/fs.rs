//! FUSE requests to operations of the union, one to one; nothing is decided here but what the kernel may remember.
//!
//! **Opens never leave the kernel.** Where the first branch is writable, no branch asks for copy-up at open, and the kernel can,
//! `open` and `opendir` are answered with `ENOSYS` once: from then on an open costs nothing, and reading a file whose
//! pages are cached makes no request at all. It is right because the union needs no handle: a file is reached by its
//! number, and what has lost its name is held until the kernel forgets it.
//!
//! **What the kernel remembers.** With `udba=none` and `udba=notify` names and attributes are remembered for an hour, missing
//! names too (the watcher corrects them); with `udba=reval` for no time at all.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    CopyFileRangeFlags, Errno as FuseErrno, FileAttr, FileHandle, Filesystem, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};

use super::attributes::{absent, attr, caller, fail, real_rdev, request_time};
use super::cached::{self, Corrections};
use super::control::Kernel;
use super::io;
use super::passthrough::Passthrough;
use super::real::RealBranch;
use super::watch::Watcher;
use crate::union::branch::{Change, Errno, Kind, Replace, Result, SetTime, Stat};
use crate::union::make::New;
use crate::union::names::NAME_MAX;
use crate::union::options::Udba;
use crate::union::rename::Side;
use crate::union::{Node, Union};

/// The union of real directories.
pub type RealUnion = Union<RealBranch>;

/// How long the kernel may remember where it may at all.
const LONG: Duration = Duration::from_secs(3600);

/// What the session and the file system share.
pub struct Shared {
    /// The union.
    pub union: RealUnion,
    /// Whether opens are answered in the kernel.
    pub no_open: AtomicBool,
    /// Milliseconds for which the kernel may remember names and attributes.
    pub ttl: AtomicU64,
    /// Missing names that the kernel was given to remember: directory and name. They are no nodes, so nothing else knows them.
    pub absent: Mutex<HashSet<(u64, OsString)>>,
    /// The files that are open past us, where `passthrough` was asked for.
    pub passthrough: Option<Passthrough>,
    /// Watches the directories that the kernel is about to remember something of.
    pub watcher: Option<Watcher>,
}

impl Shared {
    /// Sets how long the kernel may remember, by the union's `udba`.
    pub fn set_ttl(&self) {
        let long = u64::try_from(LONG.as_millis()).unwrap_or(u64::MAX);
        self.ttl.store(if self.looks_again() { 0 } else { long }, Relaxed);
    }

    /// Whether nothing may be remembered: strict `udba=reval`, or direct changes cannot be watched for.
    pub fn looks_again(&self) -> bool {
        match self.union.settings().udba {
            Udba::None => false,
            Udba::Reval => true,
            Udba::Notify => self.watcher.as_ref().is_none_or(Watcher::is_blind),
        }
    }

    /// For how long the kernel may remember that a name is missing; noted, so that it can be told otherwise.
    fn absent_ttl(&self, parent: u64, name: &OsStr) -> Duration {
        let ttl = self.ttl();
        if ttl.is_zero() {
            return ttl;
        }
        let mut absent = self.absent.lock().unwrap();
        if absent.len() >= MAX_ABSENT {
            return Duration::ZERO;
        }
        absent.insert((parent, name.to_owned()));
        ttl
    }

    pub(super) fn watch(&self, node: &Arc<Node<RealBranch>>) {
        let Some(watcher) = &self.watcher else { return };
        let before = watcher.is_blind();
        watcher.watch(node);
        if watcher.is_blind() != before {
            self.set_ttl();
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        if self.watcher.as_ref().is_some_and(Watcher::is_wary) {
            return Duration::ZERO;
        }
        Duration::from_millis(self.ttl.load(Relaxed))
    }
}

/// How many missing names the kernel is given to remember.
const MAX_ABSENT: usize = 100_000;

/// The file system as fuser sees it.
#[derive(Clone)]
pub struct UnionFs {
    pub(super) shared: Arc<Shared>,
    pub(super) corrections: Corrections,
    /// Whether files that are being made are written straight through.
    pub(super) direct: bool,
}

/// From how many bytes on a copy-up is made on a thread of its own.
const LONG_COPY: u64 = 1 << 20;

/// The kernel's limit of one request here: 256 KiB, so that what is copied through stays in a processor's own cache. Measured:
/// 1 MiB and 128 KiB are slower.
const MAX_WRITE: u32 = 1 << 18;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl UnionFs {
    /// Over a union, with a line to the kernel's side of the mount.
    pub fn new(shared: &Arc<Shared>, kernel: &Arc<Kernel>) -> Self {
        Self { shared: shared.clone(), corrections: Corrections::start(kernel.clone()), direct: false }
    }

    pub(super) fn union(&self) -> &RealUnion {
        &self.shared.union
    }

    pub(super) fn node(&self, ino: INodeNo) -> Result<Arc<Node<RealBranch>>> {
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

    fn write_now(
        &self,
        node: &Arc<Node<RealBranch>>,
        fh: FileHandle,
        data: &[u8],
        offset: u64,
        strip: bool,
        reply: ReplyWrite,
    ) {
        cached::note_pages(node, fh, None, true);
        match write(self.union(), node, data, offset, strip) {
            Ok(size) => self.corrections.written(node, fh, offset, size, reply),
            Err(e) => reply.error(fail(e)),
        }
    }

    /// Runs `job` here, or on a thread of its own if it begins with the copy-up of a big file: nobody else waits for that.
    fn aside(&self, node: &Arc<Node<RealBranch>>, job: impl FnOnce() + Send + 'static) {
        if self.union().to_copy(node) < LONG_COPY {
            return job();
        }
        std::thread::spawn(job);
    }

    /// Answers a change of one object that needs no more than its node, aside if it is long.
    fn change(
        &self,
        ino: INodeNo,
        reply: ReplyEmpty,
        change: impl FnOnce(&RealUnion, &Arc<Node<RealBranch>>) -> Result<()> + Send + 'static,
    ) {
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(e) => return reply.error(fail(e)),
        };
        let (shared, held) = (self.shared.clone(), node.clone());
        self.aside(&node, move || Self::empty(reply, change(&shared.union, &held)));
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
            InitFlags::FUSE_NO_OPENDIR_SUPPORT,
            if reval { InitFlags::FUSE_AUTO_INVAL_DATA } else { InitFlags::FUSE_EXPLICIT_INVAL_DATA },
        ];
        if self.shared.no_open.load(Relaxed) {
            wanted.push(InitFlags::FUSE_NO_OPEN_SUPPORT);
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
            self.shared.watch(&parent);
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
        let strip = req.uid() != 0;
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(e) => return reply.error(fail(e)),
        };
        let (shared, held) = (self.shared.clone(), node.clone());
        self.aside(&node, move || match shared.union.set_attributes(&held, &change, strip) {
            Ok(stat) => reply.attr(&shared.ttl(), &attr(ino.0, &stat)),
            Err(e) => reply.error(fail(e)),
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
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(e) => return reply.error(fail(e)),
        };
        cached::note_pages(&node, fh, lock_owner, false);
        if offset == 0 {
            self.corrections.singly_around(&node);
        }
        BUFFER.with_borrow_mut(|buffer| {
            let size = size as usize;
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            match self.union().read(&node, &mut buffer[..size], offset) {
                Ok(got) => reply.data(&buffer[..got]),
                Err(e) => reply.error(fail(e)),
            }
        });
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(e) => return reply.error(fail(e)),
        };
        let strip = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        // A page that was changed through a map is written through any handle that is at hand.
        let fh = if write_flags.contains(WriteFlags::FUSE_WRITE_CACHE) { FileHandle(0) } else { fh };
        if self.union().to_copy(&node) < LONG_COPY {
            return self.write_now(&node, fh, data, offset, strip, reply);
        }
        let (fs, data) = (self.clone(), data.to_vec());
        std::thread::spawn(move || fs.write_now(&node, fh, &data, offset, strip, reply));
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        Self::empty(reply, self.node(ino).and_then(|node| io::sync(self.union(), &node, datasync)));
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        Self::empty(reply, self.node(ino).and_then(|node| io::sync_dir(&node)));
    }

    fn opendir(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.error(FuseErrno::ENOSYS);
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
        self.change(ino, reply, move |union, node| union.set_xattr(node, &name, &value, flags));
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
        self.change(ino, reply, move |union, node| union.remove_xattr(node, &name));
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
        let strip = req.uid() != 0;
        self.change(ino, reply, move |union, node| {
            io::allocate(&*union.opened(node, true)?, offset, length, mode)?;
            if strip { union.strip_ids(node) } else { Ok(()) }
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
        let (source, target) = match (self.node(ino_in), self.node(ino_out)) {
            (Ok(source), Ok(target)) => (source, target),
            (Err(e), _) | (_, Err(e)) => return reply.error(fail(e)),
        };
        let (shared, held) = (self.shared.clone(), target.clone());
        let strip = req.uid() != 0;
        self.aside(&target, move || {
            let copied = shared.union.opened(&held, true).and_then(|target| {
                if strip {
                    shared.union.strip_ids(&held)?;
                }
                io::copy_range(&*shared.union.opened(&source, false)?, offset_in, &target, offset_out, len)
            });
            match copied {
                Ok(size) => reply.written(size),
                Err(e) => reply.error(fail(e)),
            }
        });
    }
}

/// Writes; with `strip` the set-id bits are cleared first.
fn write(union: &RealUnion, node: &Arc<Node<RealBranch>>, data: &[u8], offset: u64, strip: bool) -> Result<usize> {
    if strip {
        union.make_writable(node, None)?;
        union.strip_ids(node)?;
    }
    union.write(node, data, offset)
}

fn reply_xattr(reply: ReplyXattr, value: Result<Vec<u8>>, size: u32) {
    match value {
        Err(e) => reply.error(fail(e)),
        Ok(value) if size == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() > size as usize => reply.error(FuseErrno::ERANGE),
        Ok(value) => reply.data(&value),
    }
}

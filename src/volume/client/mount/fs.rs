//! FUSE requests → operations on the tree. Decides nothing: the operations themselves are in [`super::names`],
//! [`super::contents`], [`super::listing`], [`super::xattrs`], [`super::locks`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use fuser::{
    Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::Mounted;
use super::attr::wished;
use super::inodes::name as blob;
use crate::volume::rpc::Change;

/// The file system that the kernel talks to.
pub struct Fs(pub Arc<Mounted>);

/// The largest write that the kernel may send.
const MAX_WRITE: u32 = 1 << 20;

/// What the kernel is asked for; what an older one does not have, it does without.
const WANTED: [InitFlags; 13] = [
    InitFlags::FUSE_POSIX_LOCKS,
    InitFlags::FUSE_FLOCK_LOCKS,
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_BIG_WRITES,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_AUTO_INVAL_DATA,
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_MAX_PAGES,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_ASYNC_DIO,
    // Where a directory hands down an access list, the umask does not count; the bricks know.
    InitFlags::FUSE_DONT_MASK,
    // It is here that writing takes set-user-id bits away; the kernel need not ask before each write whether it must.
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
];

impl Fs {
    fn entry(&self, reply: ReplyEntry, outcome: Result<FileAttr, i32>) {
        match outcome {
            Ok(attr) => reply.entry_with_ttls(&self.0.ttl.attribute, &self.0.ttl.entry, &attr, Generation(0)),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn attributes(&self, reply: ReplyAttr, outcome: Result<FileAttr, i32>) {
        match outcome {
            Ok(attr) => reply.attr(&self.0.ttl.attribute, &attr),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }
}

/// Answers with nothing but success or failure.
pub(super) fn empty(reply: ReplyEmpty, outcome: Result<(), i32>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(Errno::from_i32(errno)),
    }
}

fn data(reply: ReplyData, outcome: Result<Bytes, i32>) {
    match outcome {
        Ok(bytes) => reply.data(&bytes),
        Err(errno) => reply.error(Errno::from_i32(errno)),
    }
}

fn value(reply: ReplyXattr, size: u32, outcome: Result<Bytes, i32>) {
    match outcome {
        Ok(value) if size == 0 => reply.size(u32::try_from(value.len()).unwrap_or(u32::MAX)),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(errno) => reply.error(Errno::from_i32(errno)),
    }
}

impl Filesystem for Fs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        for flag in WANTED {
            let _ = config.add_capabilities(flag);
        }
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_readahead(1 << 20);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn destroy(&mut self) {
        self.0.buffers.flush_all();
        self.0.session.end();
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.lookup_disputed(parent, name) {
            Ok((attr, ttl)) => reply.entry_with_ttls(&ttl.attribute, &ttl.entry, &attr, Generation(0)),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.0.inodes.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        self.attributes(reply, self.stat(ino));
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
        let change = Change { mode, uid, gid, atime: atime.map(wished), mtime: mtime.map(wished), ctime: None };
        self.attributes(reply, self.set_attributes(ino, change, size, req.uid() != 0));
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        data(reply, self.target(ino));
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry) {
        self.entry(reply, self.make(parent, name, self.node(req, (mode, umask), rdev, Bytes::new())));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let mode = (libc::S_IFDIR | (mode & 0o7777), umask);
        self.entry(reply, self.make(parent, name, self.node(req, mode, 0, Bytes::new())));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.remove(parent, name));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.gfid(parent).and_then(|parent| self.0.session.files.rmdir(parent, &blob(name))));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = Bytes::copy_from_slice(target.as_os_str().as_bytes());
        self.entry(reply, self.make(parent, link_name, self.node(req, (libc::S_IFLNK | 0o777, 0), 0, target)));
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
        empty(reply, self.rename_entry((parent, name), (newparent, newname), flags));
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        self.entry(reply, self.link_entry(ino, newparent, newname));
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open_file(ino, flags, req.uid() != 0) {
            Ok(how) => reply.opened(FileHandle(0), how),
            Err(errno) => {
                self.close_file(ino);
                reply.error(Errno::from_i32(errno));
            }
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let node = self.node(req, (libc::S_IFREG | (mode & 0o7777), umask), 0, Bytes::new());
        match self.create_file((parent, name), node, flags, req.uid() != 0) {
            Ok((attr, how)) => reply.created(&self.0.ttl.attribute, &attr, Generation(0), FileHandle(0), how),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        data(reply, self.read_file(ino, offset, size));
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let strips = req.uid() != 0 && write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        match self.write_file(ino, (offset, data), flags, strips) {
            Ok(written) => reply.written(written),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn flush(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, owner: LockOwner, reply: ReplyEmpty) {
        empty(reply, self.flush_file(ino, owner));
    }

    fn getlk(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        self.get_lock(ino, (owner, pid, typ), (start, end), reply);
    }

    fn setlk(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        self.set_lock(req, ino, (owner, pid, typ), (start, end), sleep, reply);
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let (Some(owner), Ok(gfid)) = (owner, self.gfid(ino)) {
            self.0.unlock(gfid, owner);
        }
        self.close_file(ino);
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        empty(reply, self.sync_file(ino, datasync));
    }

    fn opendir(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let number = self.0.inodes.keep_listing(None, vec![]);
        reply.opened(FileHandle(number), FopenFlags::empty());
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.list(ino, fh.0, offset, &mut reply) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn readdirplus(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        match self.list_plus(ino, fh.0, offset, &mut reply) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn releasedir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.0.inodes.drop_listing(fh.0);
        reply.ok();
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        empty(reply, self.gfid(ino).and_then(|gfid| self.0.session.files.sync(gfid, datasync)));
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match self.0.session.files.room() {
            Ok(r) => {
                let block = u32::try_from(r.block).unwrap_or(4096);
                reply.statfs(r.blocks, r.free, r.available, r.files, r.files_free, block, 255, block);
            }
            Err(errno) => reply.error(Errno::from_i32(errno)),
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
        empty(reply, self.set_xattr(ino, name, value, flags));
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        value(reply, size, self.get_xattr(ino, name));
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        value(reply, size, self.list_xattrs(ino));
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.remove_xattr(ino, name));
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
        empty(reply, self.allocate(ino, mode, (offset, length), req.uid() != 0));
    }

    fn lseek(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        match self.seek(ino, offset, whence) {
            Ok(n) => reply.offset(n),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }
}

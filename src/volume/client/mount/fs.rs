//! FUSE requests → operations on the tree. Decides nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::Mounted;
use super::inodes::name as blob;
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Change, Fop, Iatt, Inode, Node, Reply};
use crate::volume::xattr::{self, Time};

/// The file system that the kernel talks to.
pub struct Fs(pub Arc<Mounted>);

/// The largest write that the kernel may send.
const MAX_WRITE: u32 = 1 << 20;

impl Fs {
    fn gfid(&self, ino: INodeNo) -> Result<Gfid, i32> {
        self.0.inodes.get(ino.0).map(|k| k.gfid)
    }

    fn told(&self, inode: &Inode) -> FileAttr {
        self.0.inodes.learn(inode.gfid, inode.iatt.is_dir());
        attr(inode.gfid, &inode.iatt)
    }

    fn lookup_entry(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, i32> {
        let found = self.0.session.files.lookup(self.gfid(parent)?, &blob(name))?;
        let inode = self.fresh(found.inode)?;
        Ok(self.told(&inode))
    }

    /// An inode whose figures count what is still in memory here.
    fn fresh(&self, inode: Inode) -> Result<Inode, i32> {
        if !self.0.buffers.is_dirty(inode.gfid) {
            return Ok(inode);
        }
        self.0.buffers.flush(inode.gfid)?;
        Ok(self.0.session.files.stat(inode.gfid)?.inode)
    }

    fn node(&self, req: &Request, mode: u32, rdev: u32, target: Bytes) -> Node {
        let (gfid, time) = (Gfid::random(), now());
        Node { gfid, mode, uid: req.uid(), gid: req.gid(), rdev, target, time, xattrs: vec![] }
    }

    fn make(&self, parent: INodeNo, name: &OsStr, node: Node) -> Result<FileAttr, i32> {
        let made = self.0.session.files.make(self.gfid(parent)?, &blob(name), node)?;
        Ok(self.told(&made))
    }

    fn entry(&self, reply: ReplyEntry, outcome: Result<FileAttr, i32>) {
        match outcome {
            Ok(attr) => reply.entry_with_ttls(&self.0.ttl.attribute, &self.0.ttl.entry, &attr, Generation(0)),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn set_attributes(&self, ino: INodeNo, change: &Change, size: Option<u64>) -> Result<FileAttr, i32> {
        let known = self.0.inodes.get(ino.0)?;
        let files = &self.0.session.files;
        if !known.is_dir {
            self.0.buffers.flush(known.gfid)?;
        }
        let mut iatt = None;
        if let Some(size) = size {
            iatt = Some(files.truncate(known.gfid, size)?);
        }
        if *change != Change::default() {
            let change = Change { ctime: Some(now()), ..change.clone() };
            let after = files.setattr(known.gfid, known.is_dir, &change)?;
            // Attributes come from any copy; the size from one with contents.
            let size = iatt.map_or_else(|| files.stat(known.gfid).map(|f| f.inode.iatt.size), |i| Ok(i.size))?;
            iatt = Some(Iatt { size, ..after });
        }
        let iatt = iatt.map_or_else(|| files.stat(known.gfid).map(|f| f.inode.iatt), Ok)?;
        Ok(attr(known.gfid, &iatt))
    }

    /// What was removed or overwritten stays with those who have it open here.
    fn keeps(&self, parent: Gfid, name: &Bytes) -> Option<u64> {
        if !self.0.inodes.any_open() {
            return None;
        }
        let victim = self.0.session.files.lookup(parent, name).ok()?.inode;
        let last = victim.iatt.nlink <= 1 && !victim.iatt.is_dir();
        let number = victim.gfid.ino();
        self.0.inodes.get(number).ok().filter(|k| last && k.open > 0).map(|_| number)
    }

    fn kept(&self, number: Option<u64>) {
        if let Some(number) = number {
            self.0.inodes.with(number, |k| k.kept = true);
        }
    }

    fn open_file(&self, ino: INodeNo, flags: OpenFlags) -> Result<(), i32> {
        let known = self.0.inodes.get(ino.0)?;
        self.0.inodes.open(ino.0);
        if flags.0 & libc::O_TRUNC != 0 {
            self.0.buffers.flush(known.gfid)?;
            self.0.session.files.truncate(known.gfid, 0)?;
        }
        Ok(())
    }

    fn close_file(&self, ino: INodeNo) {
        let Some(known) = self.0.inodes.close(ino.0) else { return };
        let _ = self.0.buffers.flush(known.gfid);
        self.0.buffers.forget(known.gfid);
        self.0.session.files.settle(known.gfid);
        if known.kept {
            self.0.session.files.close(known.gfid);
        }
        self.0.inodes.forget(ino.0, 0);
    }

    /// The inode of an entry of a listing, and how long it may be believed. A listing comes from one copy: what copies may
    /// dispute is looked up, and what cannot be (split-brain) is told by its name alone.
    fn listed(&self, dir: INodeNo, entry: &crate::volume::rpc::Entry) -> (Option<Inode>, Duration) {
        let sure = entry
            .inode
            .as_ref()
            .filter(|i| i.blame.is_empty() && self.0.trusts_listings() && !self.0.buffers.is_dirty(i.gfid));
        if let Some(inode) = sure {
            return (Some(inode.clone()), self.0.ttl.entry);
        }
        let looked = self.gfid(dir).and_then(|dir| self.0.session.files.lookup(dir, &entry.name));
        match looked.and_then(|found| self.fresh(found.inode)) {
            Ok(inode) => (Some(inode), self.0.ttl.entry),
            Err(_) => (None, Duration::ZERO),
        }
    }

    fn listing(&self, ino: INodeNo, fh: u64, offset: u64) -> Result<Arc<Vec<crate::volume::rpc::Entry>>, i32> {
        if let Some(listing) = self.0.inodes.listing(fh).filter(|_| offset > 0) {
            return Ok(listing);
        }
        let entries = self.0.session.files.readdir(self.gfid(ino)?, true)?;
        self.0.inodes.keep_listing(Some(fh), entries);
        self.0.inodes.listing(fh).ok_or(libc::EBADF)
    }
}

fn empty(reply: ReplyEmpty, outcome: Result<(), i32>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(Errno::from_i32(errno)),
    }
}

fn now() -> Time {
    from_system(SystemTime::now())
}

fn from_system(time: SystemTime) -> Time {
    match time.duration_since(UNIX_EPOCH) {
        Ok(d) => Time { sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX), nsec: d.subsec_nanos() },
        Err(before) => {
            let d = before.duration();
            let (sec, nsec) = (i64::try_from(d.as_secs()).unwrap_or(i64::MAX), d.subsec_nanos());
            if nsec == 0 { Time { sec: -sec, nsec } } else { Time { sec: -sec - 1, nsec: 1_000_000_000 - nsec } }
        }
    }
}

fn to_system(time: Time) -> SystemTime {
    let whole = Duration::from_secs(time.sec.unsigned_abs());
    let base = if time.sec < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    base.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(time.nsec.into())
}

fn wished(time: TimeOrNow) -> Time {
    match time {
        TimeOrNow::SpecificTime(time) => from_system(time),
        TimeOrNow::Now => now(),
    }
}

/// Figures as the kernel wants them.
fn attr(gfid: Gfid, iatt: &Iatt) -> FileAttr {
    let kind = match iatt.kind() {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    };
    FileAttr {
        ino: INodeNo(gfid.ino()),
        size: iatt.size,
        blocks: iatt.blocks,
        atime: to_system(iatt.atime),
        mtime: to_system(iatt.mtime),
        ctime: to_system(iatt.ctime),
        crtime: UNIX_EPOCH,
        kind,
        perm: u16::try_from(iatt.mode & 0o7777).unwrap_or_default(),
        nlink: iatt.nlink,
        uid: iatt.uid,
        gid: iatt.gid,
        rdev: iatt.rdev,
        blksize: 131_072,
        flags: 0,
    }
}

/// Figures of which only the type is known.
fn bare(kind: u32) -> FileAttr {
    attr(Gfid::default(), &Iatt { mode: kind, ..Iatt::default() })
}

fn kind_of(entry: u8) -> FileType {
    match entry {
        libc::DT_DIR => FileType::Directory,
        libc::DT_LNK => FileType::Symlink,
        libc::DT_FIFO => FileType::NamedPipe,
        libc::DT_SOCK => FileType::Socket,
        libc::DT_CHR => FileType::CharDevice,
        libc::DT_BLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

impl Filesystem for Fs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let wanted = [
            InitFlags::FUSE_ASYNC_READ,
            InitFlags::FUSE_BIG_WRITES,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_MAX_PAGES,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_ASYNC_DIO,
        ];
        for flag in wanted {
            // What an older kernel does not have, it does without.
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
        self.entry(reply, self.lookup_entry(parent, name));
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.0.inodes.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let outcome = self.gfid(ino).and_then(|gfid| {
            self.0.buffers.flush(gfid)?;
            Ok(attr(gfid, &self.0.session.files.stat(gfid)?.inode.iatt))
        });
        match outcome {
            Ok(attr) => reply.attr(&self.0.ttl.attribute, &attr),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
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
        match self.set_attributes(ino, &change, size) {
            Ok(attr) => reply.attr(&self.0.ttl.attribute, &attr),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.gfid(ino).and_then(|gfid| self.0.session.files.tell(gfid, &Fop::Readlink { gfid }));
        match target {
            Ok(Reply::Bytes(target)) => reply.data(&target),
            Ok(_) => reply.error(Errno::EIO),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry) {
        let mode = (mode & libc::S_IFMT) | (mode & 0o7777 & !umask);
        self.entry(reply, self.make(parent, name, self.node(req, mode, rdev, Bytes::new())));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let mode = libc::S_IFDIR | (mode & 0o7777 & !umask);
        self.entry(reply, self.make(parent, name, self.node(req, mode, 0, Bytes::new())));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let outcome = self.gfid(parent).and_then(|parent| {
            let name = blob(name);
            let kept = self.keeps(parent, &name);
            self.0.session.files.unlink(parent, &name, kept.is_some())?;
            self.kept(kept);
            Ok(())
        });
        empty(reply, outcome);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.gfid(parent).and_then(|parent| self.0.session.files.rmdir(parent, &blob(name))));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = Bytes::copy_from_slice(target.as_os_str().as_bytes());
        self.entry(reply, self.make(parent, link_name, self.node(req, libc::S_IFLNK | 0o777, 0, target)));
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
        let outcome = || {
            let (from, to) = (self.gfid(parent)?, self.gfid(newparent)?);
            let (name, newname) = (blob(name), blob(newname));
            if flags.contains(RenameFlags::RENAME_EXCHANGE) || flags.contains(RenameFlags::RENAME_WHITEOUT) {
                return Err(libc::EINVAL);
            }
            if flags.contains(RenameFlags::RENAME_NOREPLACE) && self.0.session.files.lookup(to, &newname).is_ok() {
                return Err(libc::EEXIST);
            }
            let kept = self.keeps(to, &newname);
            self.0.session.files.rename((from, &name), (to, &newname), kept.is_some())?;
            self.kept(kept);
            Ok(())
        };
        empty(reply, outcome());
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let outcome = || {
            let (gfid, parent) = (self.gfid(ino)?, self.gfid(newparent)?);
            self.0.buffers.flush(gfid)?;
            let linked = self.0.session.files.link(gfid, parent, &blob(newname))?;
            Ok(self.told(&linked))
        };
        self.entry(reply, outcome());
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.open_file(ino, flags) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(errno) => {
                self.close_file(ino);
                reply.error(Errno::from_i32(errno));
            }
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
        let outcome = self.0.inodes.get(ino.0).and_then(|known| {
            self.0.buffers.flush(known.gfid)?;
            self.0.session.files.read(known.gfid, offset, size, known.choice)
        });
        match outcome {
            Ok(data) => reply.data(&data),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let outcome = self.gfid(ino).and_then(|gfid| {
            self.0.buffers.write(gfid, offset, data)?;
            // O_SYNC and O_DSYNC: not answered before it is safe.
            if flags.0 & libc::O_DSYNC != 0 {
                self.0.buffers.flush(gfid)?;
                self.0.session.files.sync(gfid, flags.0 & libc::O_SYNC != libc::O_SYNC)?;
            }
            Ok(())
        });
        match outcome {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or_default()),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn flush(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        empty(reply, self.gfid(ino).and_then(|gfid| self.0.buffers.flush(gfid)));
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.close_file(ino);
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        let outcome = self.gfid(ino).and_then(|gfid| {
            self.0.buffers.flush(gfid)?;
            self.0.session.files.sync(gfid, datasync)
        });
        empty(reply, outcome);
    }

    fn opendir(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let number = self.0.inodes.keep_listing(None, vec![]);
        reply.opened(FileHandle(number), FopenFlags::empty());
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listing = match self.listing(ino, fh.0, offset) {
            Ok(listing) => listing,
            Err(errno) => return reply.error(Errno::from_i32(errno)),
        };
        let dots = [(".", 1), ("..", 2)].into_iter().filter(|(_, n)| *n > offset);
        for (name, n) in dots {
            if reply.add(ino, n, FileType::Directory, name) {
                return reply.ok();
            }
        }
        for (n, entry) in
            (3..).zip(listing.iter()).skip(usize::try_from(offset.saturating_sub(2)).unwrap_or(usize::MAX))
        {
            let number = entry.inode.as_ref().map_or(n, |i| i.gfid.ino());
            if reply.add(INodeNo(number), n, kind_of(entry.kind), OsStr::from_bytes(&entry.name)) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let listing = match self.listing(ino, fh.0, offset) {
            Ok(listing) => listing,
            Err(errno) => return reply.error(Errno::from_i32(errno)),
        };
        let dots = [(".", 1), ("..", 2)].into_iter().filter(|(_, n)| *n > offset);
        for (name, n) in dots {
            let dot = FileAttr { ino: INodeNo(n), ..bare(libc::S_IFDIR) };
            if reply.add(dot.ino, n, name, &Duration::ZERO, &dot, Generation(0)) {
                return reply.ok();
            }
        }
        let seen = usize::try_from(offset.saturating_sub(2)).unwrap_or(usize::MAX);
        for (n, entry) in (3..).zip(listing.iter()).skip(seen) {
            let (inode, ttl) = self.listed(ino, entry);
            let attr = match &inode {
                Some(inode) => attr(inode.gfid, &inode.iatt),
                None => FileAttr { ino: INodeNo(n | 1 << 62), ..bare(u32::from(entry.kind) << 12) },
            };
            if reply.add(attr.ino, n, OsStr::from_bytes(&entry.name), &ttl, &attr, Generation(0)) {
                break;
            }
            if let Some(inode) = inode {
                self.0.inodes.learn(inode.gfid, inode.iatt.is_dir());
            }
        }
        reply.ok();
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
        let outcome = || {
            let known = self.0.inodes.get(ino.0)?;
            let (gfid, key) = (known.gfid, blob(name));
            if &key[..] == b"replica.split-brain-choice" {
                return self.0.choose(ino.0, gfid, value);
            }
            if xattr::is_internal(&key) {
                return Err(libc::EPERM);
            }
            let fop = Fop::Setxattr { gfid, key, value: Bytes::copy_from_slice(value), flags };
            self.0.session.files.metadata(gfid, known.is_dir, &fop).map(drop)
        };
        empty(reply, outcome());
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let outcome = self.gfid(ino).and_then(|gfid| {
            let key = blob(name);
            if let Some(value) = super::virtuals::get(&self.0.session.files, gfid, &key) {
                return value;
            }
            // Nobody stores these; asking the bricks at every write would cost a round trip each.
            if &key[..] == b"security.capability" || xattr::is_internal(&key) {
                return Err(libc::ENODATA);
            }
            match self.0.session.files.tell(gfid, &Fop::Getxattr { gfid, key })? {
                Reply::Bytes(value) => Ok(value),
                _ => Err(libc::EIO),
            }
        });
        answer(reply, size, outcome);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let outcome = self.gfid(ino).and_then(|gfid| {
            match self.0.session.files.tell(gfid, &Fop::Xattrs { gfid, internal: false })? {
                Reply::Xattrs(all) => Ok(all.iter().flat_map(|(k, _)| k.iter().copied().chain([0])).collect::<Bytes>()),
                _ => Err(libc::EIO),
            }
        });
        answer(reply, size, outcome);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let outcome = || {
            let (known, key) = (self.0.inodes.get(ino.0)?, blob(name));
            if xattr::is_internal(&key) {
                return Err(libc::EPERM);
            }
            let gfid = known.gfid;
            self.0.session.files.metadata(gfid, known.is_dir, &Fop::Removexattr { gfid, key }).map(drop)
        };
        empty(reply, outcome());
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
        let mode = libc::S_IFREG | (mode & 0o7777 & !umask);
        let outcome = match self.make(parent, name, self.node(req, mode, 0, Bytes::new())) {
            // Another mount was faster, and both may have it.
            Err(libc::EEXIST) if flags & libc::O_EXCL == 0 => self
                .lookup_entry(parent, name)
                .and_then(|attr| self.open_file(attr.ino, OpenFlags(flags)).map(|()| attr)),
            other => other.inspect(|attr| self.0.inodes.open(attr.ino.0)),
        };
        match outcome {
            Ok(attr) => {
                reply.created(&self.0.ttl.attribute, &attr, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let outcome = self.gfid(ino).and_then(|gfid| {
            self.0.buffers.flush(gfid)?;
            self.0.session.files.fallocate(gfid, mode, offset, length).map(drop)
        });
        empty(reply, outcome);
    }

    fn lseek(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let outcome = self.gfid(ino).and_then(|gfid| {
            self.0.buffers.flush(gfid)?;
            let offset = u64::try_from(offset).map_err(|_| libc::ENXIO)?;
            match self.0.session.files.tell(gfid, &Fop::Seek { gfid, offset, whence })? {
                Reply::Number(n) => Ok(n),
                _ => Err(libc::EIO),
            }
        });
        match outcome {
            Ok(n) => reply.offset(i64::try_from(n).unwrap_or(i64::MAX)),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }
}

fn answer(reply: ReplyXattr, size: u32, outcome: Result<Bytes, i32>) {
    match outcome {
        Ok(value) if size == 0 => reply.size(u32::try_from(value.len()).unwrap_or(u32::MAX)),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(errno) => reply.error(Errno::from_i32(errno)),
    }
}

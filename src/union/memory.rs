//! A branch in memory: the model over which tests run the core by the ten thousand.
//!
//! It keeps what the union needs of a file system (names, kinds, owners, modes, times, content, extended attributes, hard
//! links) and counts its own time, one tick a change, so that a test sees when something was touched. Several branches
//! may lie on one file system, as on a real machine; then hard links between them are possible.
//!
//! Left out: permission checks (the kernel's work), holes, quotas. Room can be limited, to see what running out does.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex};

use super::branch::{At, Branch, Change, Entry, Errno, Key, Kind, Replace, Result, SetTime, Space, Stat, Time};

/// What an inode holds.
#[derive(Debug, Clone)]
enum Body {
    File(Vec<u8>),
    Dir(BTreeMap<OsString, u64>),
    Symlink(OsString),
    Other(Kind, u64),
}

#[derive(Debug, Clone)]
struct Inode {
    body: Body,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    opened: u32,
    times: [Time; 3],
    xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// A file system in memory. Clones are the same one.
#[derive(Clone)]
pub struct MemoryFs(Arc<Mutex<Tables>>);

struct Tables {
    dev: u64,
    inodes: HashMap<u64, Inode>,
    next: u64,
    clock: i64,
    room: u64,
    fault: Option<Fault>,
}

/// When verbs that change something begin to fail.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// How many verbs still succeed.
    pub after: u64,
    /// What the next one fails with. A write does half of its work first.
    pub errno: Errno,
    /// All after it fail too, as if the machine had stopped; else it is the only one.
    pub for_ever: bool,
}

/// A directory of a file system in memory, as a branch.
#[derive(Clone)]
pub struct MemoryBranch {
    fs: MemoryFs,
    root: u64,
}

/// An open file.
pub struct MemoryFile {
    fs: MemoryFs,
    ino: u64,
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut t = self.fs.0.lock().unwrap();
        if let Some(inode) = t.inodes.get_mut(&self.ino) {
            inode.opened -= 1;
            if inode.opened == 0 && inode.nlink == 0 {
                t.inodes.remove(&self.ino);
            }
        }
    }
}

impl MemoryFs {
    /// An empty file system with a device number and room for so many bytes of content.
    pub fn new(dev: u64, room: u64) -> Self {
        Self(Arc::new(Mutex::new(Tables { dev, inodes: HashMap::new(), next: 2, clock: 1000, room, fault: None })))
    }

    /// A new empty directory on it, as a branch.
    pub fn branch(&self) -> MemoryBranch {
        let root = self.0.lock().unwrap().add(Body::Dir(BTreeMap::new()), 0o755);
        MemoryBranch { fs: self.clone(), root }
    }

    /// Lets verbs fail from some moment on, or never again. Gives what is left of the last fault: `None` if it has struck.
    pub fn set_fault(&self, fault: Option<Fault>) -> Option<Fault> {
        std::mem::replace(&mut self.0.lock().unwrap().fault, fault).filter(|fault| fault.after > 0)
    }

    /// Sets how many bytes of content may still be written.
    pub fn set_room(&self, room: u64) {
        self.0.lock().unwrap().room = room;
    }
}

impl Tables {
    /// One more verb: whether it may succeed.
    fn step(&mut self) -> Result<()> {
        let Some(fault) = &mut self.fault else { return Ok(()) };
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let errno = fault.errno;
        if !fault.for_ever {
            self.fault = None;
        }
        Err(errno)
    }

    fn now(&mut self) -> Time {
        self.clock += 1;
        Time { secs: self.clock, nanos: 0 }
    }

    fn add(&mut self, body: Body, mode: u32) -> u64 {
        let (ino, now) = (self.next, self.now());
        self.next += 1;
        let nlink = if matches!(body, Body::Dir(_)) { 2 } else { 1 };
        let (xattrs, times) = (BTreeMap::new(), [now; 3]);
        self.inodes.insert(ino, Inode { body, mode, uid: 0, gid: 0, nlink, opened: 0, times, xattrs });
        ino
    }

    fn get(&mut self, ino: u64) -> Result<&mut Inode> {
        self.inodes.get_mut(&ino).ok_or(Errno::ESTALE)
    }

    fn entries(&mut self, dir: u64) -> Result<&mut BTreeMap<OsString, u64>> {
        match &mut self.get(dir)?.body {
            Body::Dir(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn child(&mut self, dir: u64, name: &OsStr) -> Result<u64> {
        self.entries(dir)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    fn touch(&mut self, ino: u64) {
        let now = self.now();
        if let Ok(inode) = self.get(ino) {
            (inode.times[1], inode.times[2]) = (now, now);
        }
    }

    fn insert(&mut self, dir: u64, name: &OsStr, ino: u64) -> Result<()> {
        if name.len() > 255 {
            return Err(Errno::ENAMETOOLONG);
        }
        if self.get(dir)?.nlink == 0 {
            return Err(Errno::ENOENT);
        }
        if self.entries(dir)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.entries(dir)?.insert(name.to_owned(), ino);
        self.touch(dir);
        Ok(())
    }

    fn make(&mut self, dir: u64, name: &OsStr, body: Body, mode: u32) -> Result<u64> {
        if self.entries(dir)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let ino = self.add(body, mode);
        self.insert(dir, name, ino).inspect_err(|_| drop(self.inodes.remove(&ino)))?;
        Ok(ino)
    }

    /// One name less; the inode goes when nobody has it open.
    fn drop_link(&mut self, ino: u64) {
        let now = self.now();
        let Some(inode) = self.inodes.get_mut(&ino) else { return };
        inode.nlink = if matches!(inode.body, Body::Dir(_)) { 0 } else { inode.nlink - 1 };
        inode.times[2] = now;
        if inode.nlink == 0 && inode.opened == 0 && !matches!(inode.body, Body::Dir(_)) {
            self.inodes.remove(&ino);
        }
    }

    fn stat(&mut self, ino: u64) -> Result<Stat> {
        let dev = self.dev;
        let inode = self.get(ino)?;
        let (kind, size, rdev) = match &inode.body {
            Body::File(data) => (Kind::File, data.len() as u64, 0),
            Body::Dir(_) => (Kind::Dir, 4096, 0),
            Body::Symlink(target) => (Kind::Symlink, target.len() as u64, 0),
            Body::Other(kind, rdev) => (*kind, 0, *rdev),
        };
        let [atime, mtime, ctime] = inode.times;
        let (mode, nlink, uid, gid) = (inode.mode, inode.nlink, inode.uid, inode.gid);
        let (blocks, blksize) = (size.div_ceil(512), 4096);
        Ok(Stat {
            key: Key { dev, ino },
            kind,
            mode,
            nlink,
            uid,
            gid,
            rdev,
            size,
            blocks,
            blksize,
            atime,
            mtime,
            ctime,
        })
    }

    fn is_empty_dir(&mut self, ino: u64) -> Result<bool> {
        Ok(self.entries(ino)?.is_empty())
    }

    /// Writes, as long as there is room.
    fn write(&mut self, ino: u64, data: &[u8], offset: u64) -> Result<usize> {
        let room = self.room;
        let Body::File(content) = &mut self.get(ino)?.body else { return Err(Errno::EINVAL) };
        let start = usize::try_from(offset).map_err(|_| Errno::EFBIG)?;
        let grows = (start + data.len()).saturating_sub(content.len());
        if grows as u64 > room {
            return Err(Errno::ENOSPC);
        }
        if content.len() < start + data.len() {
            content.resize(start + data.len(), 0);
        }
        content[start..start + data.len()].copy_from_slice(data);
        self.room -= grows as u64;
        self.touch(ino);
        Ok(data.len())
    }

    fn change(&mut self, ino: u64, change: &Change) -> Result<()> {
        let now = self.now();
        let inode = self.get(ino)?;
        inode.uid = change.uid.unwrap_or(inode.uid);
        inode.gid = change.gid.unwrap_or(inode.gid);
        // A symbolic link has no mode that could be changed (chmod(2) follows it, and fchmodat(2) refuses).
        if !matches!(inode.body, Body::Symlink(_)) {
            inode.mode = change.mode.unwrap_or(inode.mode);
        }
        if let Some(size) = change.size {
            let Body::File(content) = &mut inode.body else { return Err(Errno::EISDIR) };
            content.resize(usize::try_from(size).map_err(|_| Errno::EFBIG)?, 0);
            inode.times[1] = now;
        }
        for (which, set) in [change.atime, change.mtime].into_iter().enumerate() {
            match set {
                SetTime::Keep => {}
                SetTime::Now => inode.times[which] = now,
                SetTime::At(time) => inode.times[which] = time,
            }
        }
        inode.times[2] = now;
        Ok(())
    }
}

impl MemoryBranch {
    fn at(t: &mut Tables, at: At<'_, Self>) -> Result<u64> {
        match at {
            At::Name(dir, name) => t.child(*dir, name),
            At::Dir(dir) => Ok(*dir),
            At::File(file) => Ok(file.ino),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Tables) -> Result<T>) -> Result<T> {
        f(&mut self.fs.0.lock().unwrap())
    }

    /// The same for a verb that changes something.
    fn alter<T>(&self, f: impl FnOnce(&mut Tables) -> Result<T>) -> Result<T> {
        let mut t = self.fs.0.lock().unwrap();
        t.step()?;
        f(&mut t)
    }

    /// The file system it lies on.
    pub fn file_system(&self) -> MemoryFs {
        self.fs.clone()
    }

    fn opened(&self, t: &mut Tables, ino: u64) -> Result<MemoryFile> {
        t.get(ino)?.opened += 1;
        Ok(MemoryFile { fs: self.fs.clone(), ino })
    }
}

impl Branch for MemoryBranch {
    type Dir = u64;
    type File = MemoryFile;

    fn root(&self) -> u64 {
        self.root
    }

    fn dir(&self, at: &u64, name: &OsStr) -> Result<u64> {
        self.with(|t| {
            let ino = t.child(*at, name)?;
            t.entries(ino).map(|_| ino)
        })
    }

    fn stat(&self, at: At<'_, Self>) -> Result<Stat> {
        self.with(|t| {
            let ino = Self::at(t, at)?;
            t.stat(ino)
        })
    }

    fn list(&self, dir: &u64, each: &mut dyn FnMut(Entry<'_>)) -> Result<()> {
        self.with(|t| {
            let entries = t.entries(*dir)?.clone();
            entries.iter().try_for_each(|(name, ino)| {
                each(Entry { name, kind: Some(t.stat(*ino)?.kind), ino: *ino });
                Ok(())
            })
        })
    }

    fn create(&self, at: &u64, name: &OsStr, mode: u32) -> Result<MemoryFile> {
        self.alter(|t| {
            let ino = t.make(*at, name, Body::File(Vec::new()), mode)?;
            self.opened(t, ino)
        })
    }

    fn mkdir(&self, at: &u64, name: &OsStr, mode: u32) -> Result<()> {
        self.alter(|t| t.make(*at, name, Body::Dir(BTreeMap::new()), mode).map(drop))
    }

    fn mknod(&self, at: &u64, name: &OsStr, kind: Kind, mode: u32, rdev: u64) -> Result<()> {
        let body = if kind == Kind::File { Body::File(Vec::new()) } else { Body::Other(kind, rdev) };
        self.alter(|t| t.make(*at, name, body, mode).map(drop))
    }

    fn symlink(&self, at: &u64, name: &OsStr, target: &OsStr) -> Result<()> {
        self.alter(|t| t.make(*at, name, Body::Symlink(target.to_owned()), 0o777).map(drop))
    }

    fn readlink(&self, at: &u64, name: &OsStr) -> Result<OsString> {
        self.with(|t| {
            let ino = t.child(*at, name)?;
            match &t.get(ino)?.body {
                Body::Symlink(target) => Ok(target.clone()),
                _ => Err(Errno::EINVAL),
            }
        })
    }

    fn link(&self, from: &u64, name: &OsStr, to: &u64, new: &OsStr) -> Result<()> {
        self.alter(|t| {
            let ino = t.child(*from, name)?;
            if matches!(t.get(ino)?.body, Body::Dir(_)) {
                return Err(Errno::EPERM);
            }
            t.insert(*to, new, ino)?;
            let now = t.now();
            let inode = t.get(ino)?;
            inode.nlink += 1;
            inode.times[2] = now;
            Ok(())
        })
    }

    fn unlink(&self, at: &u64, name: &OsStr) -> Result<()> {
        self.alter(|t| {
            let ino = t.child(*at, name)?;
            if matches!(t.get(ino)?.body, Body::Dir(_)) {
                return Err(Errno::EISDIR);
            }
            t.entries(*at)?.remove(name);
            t.drop_link(ino);
            t.touch(*at);
            Ok(())
        })
    }

    fn rmdir(&self, at: &u64, name: &OsStr) -> Result<()> {
        self.alter(|t| {
            let ino = t.child(*at, name)?;
            if !t.is_empty_dir(ino)? {
                return Err(Errno::ENOTEMPTY);
            }
            t.entries(*at)?.remove(name);
            t.drop_link(ino);
            t.touch(*at);
            Ok(())
        })
    }

    fn rename(&self, from: &u64, name: &OsStr, to: &u64, new: &OsStr, replace: Replace) -> Result<()> {
        self.alter(|t| {
            let ino = t.child(*from, name)?;
            let target = t.child(*to, new).ok();
            match (replace, target) {
                (Replace::No, Some(_)) => return Err(Errno::EEXIST),
                (Replace::Exchange, None) => return Err(Errno::ENOENT),
                (_, Some(target)) if target == ino => return Ok(()),
                (Replace::Yes, Some(target)) => {
                    let dirs = (matches!(t.get(ino)?.body, Body::Dir(_)), matches!(t.get(target)?.body, Body::Dir(_)));
                    match dirs {
                        (true, false) => return Err(Errno::ENOTDIR),
                        (false, true) => return Err(Errno::EISDIR),
                        (true, true) if !t.is_empty_dir(target)? => return Err(Errno::ENOTEMPTY),
                        _ => t.drop_link(target),
                    }
                }
                _ => {}
            }
            t.entries(*from)?.remove(name);
            t.entries(*to)?.insert(new.to_owned(), ino);
            if let (Replace::Exchange, Some(target)) = (replace, target) {
                t.entries(*from)?.insert(name.to_owned(), target);
            }
            t.touch(*from);
            t.touch(*to);
            Ok(())
        })
    }

    fn open(&self, at: &u64, name: &OsStr, _write: bool) -> Result<MemoryFile> {
        self.with(|t| {
            let ino = t.child(*at, name)?;
            match t.get(ino)?.body {
                Body::File(_) => self.opened(t, ino),
                _ => Err(Errno::EINVAL),
            }
        })
    }

    fn reopen(file: &MemoryFile) -> Result<MemoryFile> {
        file.fs.0.lock().unwrap().get(file.ino)?.opened += 1;
        Ok(MemoryFile { fs: file.fs.clone(), ino: file.ino })
    }

    fn change(&self, at: At<'_, Self>, change: &Change) -> Result<()> {
        self.alter(|t| {
            let ino = Self::at(t, at)?;
            t.change(ino, change)
        })
    }

    fn xattr(&self, at: At<'_, Self>, name: &OsStr) -> Result<Vec<u8>> {
        self.with(|t| {
            let ino = Self::at(t, at)?;
            t.get(ino)?.xattrs.get(name).cloned().ok_or(Errno::ENODATA)
        })
    }

    fn xattrs(&self, at: At<'_, Self>) -> Result<Vec<OsString>> {
        self.with(|t| {
            let ino = Self::at(t, at)?;
            Ok(t.get(ino)?.xattrs.keys().cloned().collect())
        })
    }

    fn set_xattr(&self, at: At<'_, Self>, name: &OsStr, value: &[u8], flags: i32) -> Result<()> {
        self.alter(|t| {
            let ino = Self::at(t, at)?;
            let xattrs = &mut t.get(ino)?.xattrs;
            match (flags, xattrs.contains_key(name)) {
                (1, true) => Err(Errno::EEXIST),
                (2, false) => Err(Errno::ENODATA),
                _ => {
                    xattrs.insert(name.to_owned(), value.to_vec());
                    Ok(())
                }
            }
        })
    }

    fn remove_xattr(&self, at: At<'_, Self>, name: &OsStr) -> Result<()> {
        self.alter(|t| {
            let ino = Self::at(t, at)?;
            t.get(ino)?.xattrs.remove(name).map(drop).ok_or(Errno::ENODATA)
        })
    }

    fn copy(from: &MemoryFile, to: &MemoryFile, size: u64) -> Result<()> {
        let mut data = vec![0; usize::try_from(size).map_err(|_| Errno::EFBIG)?];
        let got = Self::read(from, &mut data, 0)?;
        Self::write(to, &data[..got], 0).map(drop)
    }

    fn read(file: &MemoryFile, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut t = file.fs.0.lock().unwrap();
        let Body::File(content) = &t.get(file.ino)?.body else { return Err(Errno::EINVAL) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let length = buffer.len().min(content.len() - start);
        buffer[..length].copy_from_slice(&content[start..start + length]);
        Ok(length)
    }

    fn write(file: &MemoryFile, data: &[u8], offset: u64) -> Result<usize> {
        let mut t = file.fs.0.lock().unwrap();
        if let Err(e) = t.step() {
            t.write(file.ino, &data[..data.len() / 2], offset)?;
            return Err(e);
        }
        t.write(file.ino, data, offset)
    }

    fn space(&self) -> Result<Space> {
        self.with(|t| {
            let blocks = t.room / 512;
            Ok(Space { dev: t.dev, bsize: 512, blocks, bfree: blocks, bavail: blocks, ..Space::default() })
        })
    }
}

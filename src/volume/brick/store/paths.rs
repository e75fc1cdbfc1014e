//! From gfids and names to places on the disk.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use super::{NESTS, OPEN, PRIVATE, Store, allow, held};
use crate::volume::brick::sys::{self, Result};
use crate::volume::gfid::Gfid;
use crate::volume::xattr;

/// A place on the disk: a name in an open directory.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The directory.
    pub dir: Arc<OwnedFd>,
    /// The name in the directory; `.` for itself.
    pub name: CString,
    /// The same, open: faster than the name, and right even if it has no name any more.
    pub open: Option<Arc<OwnedFd>>,
}

impl Place {
    /// The directory's descriptor.
    pub fn dir(&self) -> RawFd {
        self.dir.as_raw_fd()
    }

    /// lstat(2).
    pub fn stat(&self) -> Result<libc::stat> {
        match &self.open {
            Some(open) => sys::stat_fd(open.as_raw_fd()),
            None => sys::stat_at(self.dir(), &self.name),
        }
    }

    /// The same with its file open, if it is one that may be opened: its attributes cost a fraction of what they cost by path.
    pub fn opened(self, stat: libc::stat) -> Result<(Self, libc::stat)> {
        if self.open.is_some() || stat.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Ok((self, stat));
        }
        match sys::open_at(self.dir(), &self.name, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0) {
            Ok(open) => {
                let stat = sys::stat_fd(open.as_raw_fd())?;
                Ok((Self { open: Some(Arc::new(open)), ..self }, stat))
            }
            Err(_) => Ok((self, stat)),
        }
    }

    /// Sets owner and group.
    pub fn chown(&self, uid: u32, gid: u32) -> Result<()> {
        match &self.open {
            Some(open) => sys::chown_fd(open.as_raw_fd(), uid, gid),
            None => sys::chown_at(self.dir(), &self.name, uid, gid),
        }
    }

    /// Sets the mode.
    pub fn chmod(&self, mode: u32) -> Result<()> {
        match &self.open {
            Some(open) => sys::chmod_fd(open.as_raw_fd(), mode),
            None => sys::chmod_at(self.dir(), &self.name, mode),
        }
    }

    /// The keys of its attributes.
    pub fn attributes(&self) -> Result<Vec<Vec<u8>>> {
        match &self.open {
            Some(open) => sys::list_xattrs_fd(open.as_raw_fd()),
            None => sys::list_xattrs_at(self.dir(), &self.name),
        }
    }

    /// The value of an attribute.
    pub fn attribute(&self, key: &CStr) -> Result<Vec<u8>> {
        match &self.open {
            Some(open) => sys::get_xattr_fd(open.as_raw_fd(), key),
            None => sys::get_xattr_at(self.dir(), &self.name, key),
        }
    }

    /// Sets an attribute.
    pub fn set_attribute(&self, key: &CStr, value: &[u8]) -> Result<()> {
        match &self.open {
            Some(open) => sys::set_xattr_fd(open.as_raw_fd(), key, value, 0),
            None => sys::set_xattr_at(self.dir(), &self.name, key, value, 0),
        }
    }
}

impl Store {
    /// A name in an open directory.
    pub(super) fn child(&self, dir: &Arc<OwnedFd>, name: &[u8]) -> Result<Place> {
        if name.is_empty() || name.contains(&b'/') {
            return Err(libc::EINVAL);
        }
        Ok(Place { dir: dir.clone(), name: sys::cstr(name)?, open: None })
    }

    /// An open directory itself.
    fn itself(&self, dir: Arc<OwnedFd>) -> Place {
        Place { open: Some(dir.clone()), dir, name: c".".into() }
    }

    /// A path relative to the brick's root.
    pub(super) fn below(&self, path: &str) -> Result<Place> {
        Ok(Place { dir: self.root_fd.clone(), name: sys::cstr(path)?, open: None })
    }

    /// Where the handle of an inode is. The directories of the last handles stay open.
    pub(super) fn handle(&self, gfid: Gfid) -> Result<Place> {
        let nest = [gfid.0[0], gfid.0[1]];
        let known = held(&self.nests).get(&nest).cloned();
        let dir = match known {
            Some(dir) => dir,
            None => {
                let path = sys::cstr(format!("{PRIVATE}/{:02x}/{:02x}", nest[0], nest[1]))?;
                let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
                let Ok(dir) = sys::open_at(self.fd(), &path, flags, 0) else { return self.below(&gfid.handle()) };
                let (dir, mut nests) = (Arc::new(dir), held(&self.nests));
                if nests.len() >= NESTS {
                    nests.clear();
                }
                nests.insert(nest, dir.clone());
                dir
            }
        };
        Ok(Place { dir, name: sys::cstr(gfid.to_string())?, open: None })
    }

    /// The brick's root.
    pub(super) fn root_place(&self) -> Place {
        Place { dir: self.root_fd.clone(), name: c".".into(), open: Some(self.root_fd.clone()) }
    }

    /// A name in the directory with this gfid.
    pub(super) fn entry(&self, parent: Gfid, name: &[u8]) -> Result<Place> {
        let hidden = name == PRIVATE.as_bytes() || name == self.anonymous_name().as_bytes();
        if parent == Gfid::ROOT && hidden {
            return Err(libc::EPERM);
        }
        self.child(&self.dir(parent)?, name)
    }

    /// The inode with this gfid, wherever it is named; ENOENT.
    pub(super) fn inode(&self, gfid: Gfid) -> Result<Place> {
        if gfid == Gfid::ROOT {
            return Ok(self.root_place());
        }
        if let Some(dir) = held(&self.dirs).get(&gfid).cloned() {
            return Ok(self.itself(dir));
        }
        if held(&self.dying).contains(&gfid) {
            return Err(libc::ENOENT);
        }
        let handle = self.handle(gfid)?;
        match handle.stat() {
            Ok(stat) if is_dir_handle(&stat) && self.dir_target(gfid).is_ok() => Ok(self.itself(self.dir(gfid)?)),
            Ok(_) => Ok(handle),
            Err(_) => {
                let kept = self.below(&format!("{PRIVATE}/unlink/{gfid}"))?;
                kept.stat().map(|_| kept)
            }
        }
    }

    /// The inode with this gfid, open if it is open already; for its figures and attributes only, as it may have no name.
    pub(super) fn opened(&self, gfid: Gfid) -> Result<Place> {
        match held(&self.files).get(&gfid).cloned() {
            Some(file) => Ok(Place { open: Some(file), ..self.below("")? }),
            None => self.inode(gfid),
        }
    }

    /// Parent and name of a directory, as its handle tells.
    pub(super) fn dir_target(&self, gfid: Gfid) -> Result<(Gfid, Vec<u8>)> {
        let handle = self.handle(gfid)?;
        let target = sys::readlink_at(handle.dir(), &handle.name)?;
        Gfid::from_target(&target).map(|(parent, name)| (parent, name.to_vec())).ok_or(libc::ENOTDIR)
    }

    /// The open directory with this gfid; ENOENT, ENOTDIR.
    pub(super) fn dir(&self, gfid: Gfid) -> Result<Arc<OwnedFd>> {
        if gfid == Gfid::ROOT {
            return Ok(self.root_fd.clone());
        }
        if let Some(dir) = held(&self.dirs).get(&gfid) {
            return Ok(dir.clone());
        }
        let (parent, name) = self.dir_target(gfid).map_err(|e| if e == libc::EINVAL { libc::ENOTDIR } else { e })?;
        let place = self.child(&self.dir(parent)?, &name)?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let dir = Arc::new(sys::open_at(place.dir(), &place.name, flags, 0)?);
        let known = self.raw_get(&place, xattr::GFID).ok().and_then(|raw| Gfid::from_slice(&raw));
        if known != Some(gfid) {
            return Err(libc::ENOENT);
        }
        let mut dirs = held(&self.dirs);
        if dirs.len() >= OPEN {
            dirs.clear();
        }
        dirs.insert(gfid, dir.clone());
        Ok(dir)
    }

    /// The open file with this gfid, for reading and writing.
    pub(super) fn file(&self, gfid: Gfid) -> Result<Arc<OwnedFd>> {
        if let Some(file) = held(&self.files).get(&gfid) {
            return Ok(file.clone());
        }
        let place = self.inode(gfid)?;
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = sys::open_at(place.dir(), &place.name, libc::O_RDWR | flags, 0);
        let read_only = || sys::open_at(place.dir(), &place.name, libc::O_RDONLY | flags, 0);
        let file = Arc::new(opened.or_else(|e| if e == libc::EACCES { read_only() } else { Err(e) })?);
        self.keep_open(gfid, Some(file.clone()));
        Ok(file)
    }

    /// Keeps a file open for the next who needs it.
    pub(super) fn keep_open(&self, gfid: Gfid, file: Option<Arc<OwnedFd>>) {
        let mut files = held(&self.files);
        if files.len() >= OPEN {
            files.clear();
        }
        files.extend(file.map(|file| (gfid, file)));
    }

    /// The inode is gone or elsewhere: what was open is open no more.
    pub(super) fn forget(&self, gfid: Gfid) {
        held(&self.dirs).remove(&gfid);
        held(&self.files).remove(&gfid);
        held(&self.times).remove(&gfid);
    }

    /// Makes `.glusterfs/xx/yy`; gives where the handle is then.
    pub(super) fn ensure_handle_dirs(&self, gfid: Gfid) -> Result<Place> {
        held(&self.nests).remove(&[gfid.0[0], gfid.0[1]]);
        self.ensure_dir(&format!("{PRIVATE}/{:02x}", gfid.0[0]), 0o700)?;
        self.ensure_dir(&format!("{PRIVATE}/{:02x}/{:02x}", gfid.0[0], gfid.0[1]), 0o700)?;
        self.handle(gfid)
    }

    /// Makes a directory below the brick's root, unless it is there.
    pub(super) fn ensure_dir(&self, path: &str, mode: u32) -> Result<()> {
        allow(sys::mkdir_at(self.fd(), &sys::cstr(path)?, mode), libc::EEXIST)
    }

    /// Removes everything in a directory below the brick's root (files and empty directories).
    pub(super) fn empty_dir(&self, path: &str) -> Result<()> {
        for entry in self.list(&self.below(path)?)? {
            let place = self.below(&format!("{path}/{}", String::from_utf8_lossy(&entry.name)))?;
            sys::unlink_at(place.dir(), &place.name, entry.kind == libc::DT_DIR)?;
        }
        Ok(())
    }

    /// All entries of a directory.
    pub(super) fn list(&self, place: &Place) -> Result<Vec<sys::Dirent>> {
        let fd = open_dir(place.dir(), &place.name)?;
        let mut all = Vec::new();
        loop {
            match sys::entries(fd.as_raw_fd(), 1 << 16)? {
                (_, true) => return Ok(all),
                (more, false) => all.extend(more),
            }
        }
    }

    /// A path of an inode from the volume's root; ENOENT if it has none that is known.
    pub(in crate::volume::brick) fn path_of(&self, gfid: Gfid) -> Result<Vec<u8>> {
        if gfid == Gfid::ROOT {
            return Ok(b"/".to_vec());
        }
        let place = self.inode(gfid)?;
        let (parent, name) = if place.stat()?.st_mode & libc::S_IFMT == libc::S_IFDIR {
            self.dir_target(gfid)?
        } else {
            self.name_of(&place)?
        };
        let mut path = self.path_of(parent)?;
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        Ok(path)
    }

    /// One of the names of a file, as its `gfid2path` attributes tell.
    fn name_of(&self, place: &Place) -> Result<(Gfid, Vec<u8>)> {
        let prefix = self.key(xattr::GFID2PATH.as_bytes())?;
        for key in place.attributes()?.iter().filter(|k| k.starts_with(prefix.as_bytes())) {
            let value = place.attribute(&sys::cstr(key.clone())?)?;
            let parent = value.get(..36).and_then(|p| std::str::from_utf8(p).ok()).and_then(Gfid::parse);
            if let (Some(parent), Some(name)) = (parent, value.get(37..)) {
                return Ok((parent, name.to_vec()));
            }
        }
        Err(libc::ENOENT)
    }
}

/// Opens a directory for listing.
pub(super) fn open_dir(dir: RawFd, name: &CStr) -> Result<OwnedFd> {
    sys::open_at(dir, name, libc::O_RDONLY | libc::O_DIRECTORY, 0)
}

/// The handle of a directory is a symbolic link of its own; that of a symbolic link is a second link to it.
fn is_dir_handle(stat: &libc::stat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFLNK && stat.st_nlink == 1
}

//! One directory of one server as a brick: plain files, and what the volume must know beside them.
//!
//! * Every inode carries its gfid and has a **handle** under `.glusterfs/xx/yy/`: a hard link for a file, for a directory a
//!   symbolic link that tells parent and name. All access by gfid goes through handles; directories that were reached stay open.
//! * Something new is first made at its handle, gets its attributes there, and only then appears under its name: a brick that
//!   dies in between leaves an unreachable handle and never a file without identity.
//! * Without the right to `trusted.*` attributes (an ordinary user) all keys live under `user.*`. Symbolic links and special
//!   files cannot carry those: there the handle's inode number tells the gfid, and their other attributes do not exist.
//!
//! An arbiter brick holds names and attributes only; every file is empty.

mod data;
mod entry;
mod face;
mod flight;
mod index;
mod inode;
mod paths;

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::sys::{self, Errno, Result};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::Room;
use crate::volume::xattr::{self, Mdata};

/// Where a brick keeps what is not a user's file.
pub const PRIVATE: &str = ".glusterfs";

/// What a brick must know to serve its directory.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory. It must exist.
    pub path: PathBuf,
    /// The volume's id, 16 bytes.
    pub volume_id: Gfid,
    /// Whether it holds names and attributes only.
    pub arbiter: bool,
}

/// A file that lost a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Which.
    pub gfid: Gfid,
    /// Whether it was the last one.
    pub last: bool,
}

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is not there or cannot be used.
    #[error("brick {path}: {doing}: {why}")]
    System {
        /// The directory.
        path: String,
        /// What was tried.
        doing: String,
        /// What the system said.
        why: std::io::Error,
    },
    /// It belongs to another volume.
    #[error("brick {0}: it carries the id of another volume; use another directory, or remove its attribute {1}")]
    Foreign(String, &'static str),
}

/// A served directory. All methods may be called from many threads.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    root_fd: Arc<OwnedFd>,
    trusted: bool,
    arbiter: bool,
    volume_id: Gfid,
    dirs: Mutex<HashMap<Gfid, Arc<OwnedFd>>>,
    files: Mutex<HashMap<Gfid, Arc<OwnedFd>>>,
    /// Directories of handles, by the first two bytes of the gfids in them.
    nests: Mutex<HashMap<[u8; 2], Arc<OwnedFd>>>,
    /// Whose the brick's process is: user and group.
    owner: (u32, u32),
    /// Times of inodes, as they are in their attributes, which nobody else writes.
    times: Mutex<HashMap<Gfid, Mdata>>,
    /// What is under way.
    flights: Mutex<flight::Flights>,
    /// What inodes' attributes said, for those who ask again.
    faces: Mutex<face::Faces>,
    /// Files without a name that somebody has open.
    kept: Mutex<HashSet<Gfid>>,
    /// Files whose last name is gone, and whose handle goes next ([`Store::bury`]).
    dying: Mutex<HashSet<Gfid>>,
    /// What is in an index: true: of the dirty.
    indexed: Mutex<HashSet<(bool, Gfid)>>,
    /// Gfids of what cannot carry attributes, by inode number; filled at the first need.
    links: Mutex<Option<HashMap<u64, Gfid>>>,
    stripes: Vec<Mutex<()>>,
    /// The base file of each index, to which its entries are hard links.
    bases: Mutex<HashMap<&'static str, String>>,
    blaming: std::sync::atomic::AtomicI64,
    /// How many names a file may have; 0: as many as the file system allows.
    most_links: std::sync::atomic::AtomicU32,
}

/// How many directories, and how many files, stay open.
const OPEN: usize = 400;
/// How many directories of handles stay open.
const NESTS: usize = 256;

impl Store {
    /// Takes a directory into service: gives it (and everything that a brick must have) its attributes if it is new.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn open(settings: &Settings) -> std::result::Result<Self, Unfit> {
        let path = settings.path.display().to_string();
        let failed = |doing: &'static str| {
            let path = path.clone();
            move |e: Errno| Unfit::System { path, doing: doing.into(), why: std::io::Error::from_raw_os_error(e) }
        };
        let name = sys::cstr(settings.path.as_os_str().as_bytes()).map_err(failed("open"))?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let root_fd = sys::open_at(libc::AT_FDCWD, &name, flags, 0).map_err(failed("open"))?;
        let root = std::fs::canonicalize(&settings.path).unwrap_or_else(|_| settings.path.clone());
        let probe = sys::set_xattr_at(libc::AT_FDCWD, &name, c"trusted.terrarium.probe", b"1", 0);
        let trusted = probe.is_ok();
        let _ = sys::remove_xattr_at(libc::AT_FDCWD, &name, c"trusted.terrarium.probe");
        let store = Self {
            root,
            root_fd: Arc::new(root_fd),
            trusted,
            arbiter: settings.arbiter,
            volume_id: settings.volume_id,
            dirs: Mutex::default(),
            files: Mutex::default(),
            nests: Mutex::default(),
            // SAFETY: these cannot fail.
            owner: unsafe { (libc::geteuid(), libc::getegid()) },
            times: Mutex::default(),
            flights: Mutex::default(),
            faces: Mutex::default(),
            kept: Mutex::default(),
            dying: Mutex::default(),
            indexed: Mutex::default(),
            links: Mutex::default(),
            stripes: (0..64).map(|_| Mutex::default()).collect(),
            bases: Mutex::default(),
            blaming: 0.into(),
            most_links: 0.into(),
        };
        match store.raw_get(&store.root_place(), xattr::VOLUME_ID) {
            Ok(id) if id != settings.volume_id.0 => {
                return Err(Unfit::Foreign(path, if trusted { xattr::VOLUME_ID } else { "user.glusterfs.volume-id" }));
            }
            _ => {}
        }
        store.prepare().map_err(failed("prepare it (extended attributes must be allowed there)"))?;
        Ok(store)
    }

    fn prepare(&self) -> Result<()> {
        let root = self.root_place();
        self.raw_set(&root, xattr::VOLUME_ID, &self.volume_id.0)?;
        self.raw_set(&root, xattr::GFID, &Gfid::ROOT.0)?;
        for dir in ["", "/indices", "/indices/xattrop", "/indices/dirty", "/indices/entry-changes"] {
            self.ensure_dir(&format!("{PRIVATE}{dir}"), 0o600)?;
        }
        for dir in ["changelogs", "landfill", "unlink", "00", "00/00"] {
            self.ensure_dir(&format!("{PRIVATE}/{dir}"), 0o700)?;
        }
        let handle = self.handle(Gfid::ROOT)?;
        allow(sys::symlink_at(c"../../..", handle.dir(), &handle.name), libc::EEXIST)?;
        self.prepare_anonymous()?;
        self.empty_dir(&format!("{PRIVATE}/unlink"))?;
        // Without it (the disk is full) everything is written at once.
        let _ = self.resume_flights();
        self.count_blaming();
        Ok(())
    }

    /// The hidden directory in which healing parks what it takes away.
    fn prepare_anonymous(&self) -> Result<()> {
        let name = self.anonymous_name();
        self.ensure_dir(&name, 0o600)?;
        let gfid = self.anonymous();
        let place = self.child(&self.root_fd, name.as_bytes())?;
        self.raw_set(&place, xattr::GFID, &gfid.0)?;
        let handle = self.ensure_handle_dirs(gfid)?;
        let target = sys::cstr(Gfid::target(Gfid::ROOT, name.as_bytes()))?;
        allow(sys::symlink_at(&target, handle.dir(), &handle.name), libc::EEXIST)
    }

    /// The name of that directory: `.glusterfs-anonymous-inode-<volume-id>`.
    pub fn anonymous_name(&self) -> String {
        format!("{PRIVATE}-anonymous-inode-{}", self.volume_id)
    }

    /// Its gfid, the same on every brick of the volume.
    pub fn anonymous(&self) -> Gfid {
        let mut raw = self.volume_id.0;
        raw.iter_mut().for_each(|b| *b ^= 0x5a);
        Gfid(raw)
    }

    /// Whether attributes are stored under `trusted.*` (else `user.*`).
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Whether the directory that is served is still the one at its path.
    pub fn is_healthy(&self) -> bool {
        let there = sys::cstr(self.root.as_os_str().as_bytes()).and_then(|p| sys::stat_at(libc::AT_FDCWD, &p));
        let ours = sys::stat_fd(self.fd());
        matches!((there, ours), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    /// Writes the time into `.glusterfs/health_check`, as the health checker does.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn touch(&self, now: &str) -> Result<()> {
        let name = sys::cstr(format!("{PRIVATE}/health_check"))?;
        let fd = sys::open_at(self.fd(), &name, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, 0o600)?;
        sys::write_at(fd.as_raw_fd(), 0, now.as_bytes())
    }

    /// Room on the brick's file system.
    pub(super) fn statfs(&self) -> Result<Room> {
        let s = sys::stat_fs(self.root_fd.as_fd())?;
        let stat = sys::stat_fd(self.fd())?;
        Ok(Room {
            block: s.f_frsize,
            blocks: s.f_blocks,
            free: s.f_bfree,
            available: s.f_bavail,
            files: s.f_files,
            files_free: s.f_ffree,
            fsid: stat.st_dev,
        })
    }

    fn fd(&self) -> i32 {
        self.root_fd.as_raw_fd()
    }

    /// Makes changes of one inode's attributes one after the other.
    fn alone(&self, gfid: Gfid) -> MutexGuard<'_, ()> {
        let stripe = usize::from(gfid.0[15] ^ gfid.0[7]) % self.stripes.len();
        self.stripes[stripe].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The key as it is stored here: `trusted.gfid` or `user.gfid`.
    fn key(&self, key: &[u8]) -> Result<CString> {
        match key.strip_prefix(b"trusted.") {
            Some(rest) if !self.trusted => sys::cstr([b"user.", rest].concat()),
            _ => sys::cstr(key),
        }
    }

    /// The canonical name of a stored key.
    fn canonical(&self, key: &[u8]) -> Vec<u8> {
        match key.strip_prefix(b"user.") {
            Some(rest) if !self.trusted && xattr::is_internal(key) => [b"trusted.", rest].concat(),
            _ => key.to_vec(),
        }
    }
}

/// Takes one error for success.
fn allow(outcome: Result<()>, errno: Errno) -> Result<()> {
    outcome.or_else(|e| if e == errno { Ok(()) } else { Err(e) })
}

/// A mutex's contents, whoever panicked with it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! Held directories: a handle that keeps leading to the same directory, with a bounded number of them open.
//!
//! A union remembers a directory on each branch for every directory that the kernel remembers; a descriptor for each would
//! soon be more than a process may have. So a handle knows the *way* (the handle above and a name) and the *identity* (device
//! and inode number), and opens the directory when it is used. At most [`limit`] stay open; beyond that those go that were
//! not used since they were last looked at. A directory that the union renames is told its new way ([`Held::moved`]); one that
//! is about to lose its name is pinned ([`Held::keep`]); one that somebody renamed in the branch itself is not where the way
//! leads any more: `ESTALE`, and it is looked up anew.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::union::branch::{Errno, Key, Result};

/// A handle of a directory; clones share it.
pub type Dir = Arc<Held>;

/// A directory of a branch.
pub struct Held {
    /// Where it was last known to be; `None` for a branch's top, which is always open.
    way: Mutex<Option<(Dir, OsString)>>,
    /// What must be found there; learnt at the first opening where it was not known before.
    key: Mutex<Option<Key>>,
    fd: Mutex<Option<Arc<OwnedFd>>>,
    /// Whether it was used since the keeper last looked at it.
    used: AtomicBool,
    /// Whether it must stay open.
    pinned: AtomicBool,
    keeper: Arc<Keeper>,
}

impl Held {
    /// The top of a branch.
    pub fn top(fd: OwnedFd) -> Dir {
        static KEEPER: OnceLock<Arc<Keeper>> = OnceLock::new();
        Self::top_of(fd, KEEPER.get_or_init(|| Keeper::new(limit())))
    }

    fn top_of(fd: OwnedFd, keeper: &Arc<Keeper>) -> Dir {
        keeper.open.fetch_add(1, Relaxed);
        let fd = Mutex::new(Some(Arc::new(fd)));
        let (used, pinned) = (AtomicBool::new(true), AtomicBool::new(true));
        Arc::new(Self { way: Mutex::new(None), key: Mutex::new(None), fd, used, pinned, keeper: keeper.clone() })
    }

    /// The directory `name` in `parent`, which must be the one of this identity when it is opened.
    pub fn below(parent: &Dir, name: &OsStr, key: Option<Key>) -> Dir {
        let way = Mutex::new(Some((parent.clone(), name.to_owned())));
        let (used, pinned) = (AtomicBool::new(true), AtomicBool::new(false));
        let keeper = parent.keeper.clone();
        Arc::new(Self { way, key: Mutex::new(key), fd: Mutex::new(None), used, pinned, keeper })
    }

    /// The open directory (`O_PATH`).
    ///
    /// # Errors
    /// Of opening it; `ESTALE` if another directory has its place.
    pub fn fd(self: &Arc<Self>) -> Result<Arc<OwnedFd>> {
        self.used.store(true, Relaxed);
        let mut slot = self.fd.lock().unwrap();
        if let Some(fd) = &*slot {
            return Ok(fd.clone());
        }
        let fd = Arc::new(self.open()?);
        *slot = Some(fd.clone());
        drop(slot);
        self.keeper.opened(self);
        Ok(fd)
    }

    fn open(&self) -> Result<OwnedFd> {
        let (parent, name) = self.way.lock().unwrap().clone().ok_or(Errno::ESTALE)?;
        let name = CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)?;
        let parent = parent.fd()?;
        let fd = match open_at(parent.as_raw_fd(), &name) {
            Err(Errno::EMFILE) => {
                self.keeper.make_room();
                open_at(parent.as_raw_fd(), &name)?
            }
            opened => opened?,
        };
        self.recognize(&fd)?;
        Ok(fd)
    }

    fn recognize(&self, fd: &OwnedFd) -> Result<()> {
        let found = key_of(fd)?;
        let mut known = self.key.lock().unwrap();
        if *known.get_or_insert(found) == found { Ok(()) } else { Err(Errno::ESTALE) }
    }

    /// Opens it and keeps it open: it is about to lose its name.
    pub fn keep(self: &Arc<Self>) {
        self.pinned.store(true, Relaxed);
        let _ = self.fd();
    }

    /// It is `name` in `parent` from now on.
    pub fn moved(&self, parent: &Dir, name: &OsStr) {
        self.pinned.store(false, Relaxed);
        let mut way = self.way.lock().unwrap();
        if let Some((known, as_name)) = &*way
            && Arc::ptr_eq(known, parent)
            && as_name == name
        {
            return;
        }
        let before = way.replace((parent.clone(), name.to_owned()));
        drop(way);
        drop(before);
    }

    /// Closes it if it may be closed and nobody is just using it; whether it may be dropped from the queue.
    fn rest(&self) -> bool {
        if self.used.swap(false, Relaxed) || self.pinned.load(Relaxed) {
            return false;
        }
        let Ok(mut slot) = self.fd.try_lock() else { return false };
        if slot.take().is_some() {
            self.keeper.open.fetch_sub(1, Relaxed);
        }
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.fd.get_mut().is_ok_and(|fd| fd.is_some()) {
            self.keeper.open.fetch_sub(1, Relaxed);
        }
    }
}

fn open_at(dir: RawFd, name: &CString) -> Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name is NUL-terminated and outlives the call.
    let fd = unsafe { libc::openat(dir, name.as_ptr(), flags) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn key_of(fd: &OwnedFd) -> Result<Key> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is large enough, and filled when the call succeeds.
    unsafe {
        if libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        let stat = stat.assume_init();
        Ok(Key { dev: stat.st_dev, ino: stat.st_ino })
    }
}

/// Who has opened a directory, in the order in which it is looked at whether it is still used.
struct Keeper {
    limit: usize,
    open: AtomicUsize,
    queue: Mutex<VecDeque<Weak<Held>>>,
}

/// Descriptors left for files, devices, and directories that are being read.
const OTHERS: usize = 512;

/// How many directories are held open at most: three quarters of the descriptors that the process may have.
pub fn limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for one limit.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    let all = if known { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) } else { 1024 };
    (all / 4 * 3).saturating_sub(OTHERS).clamp(64, 1 << 18)
}

impl Keeper {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: AtomicUsize::new(0), queue: Mutex::default() })
    }

    fn opened(&self, held: &Dir) {
        let open = self.open.fetch_add(1, Relaxed) + 1;
        let mut queue = self.queue.lock().unwrap();
        queue.push_back(Arc::downgrade(held));
        if queue.len() > 2 * self.limit {
            queue.retain(|held| held.strong_count() > 0);
        }
        drop(queue);
        if open > self.limit {
            self.close(open - self.limit);
        }
    }

    /// The process has no descriptors left, whatever the limit says.
    fn make_room(&self) {
        self.close(self.open.load(Relaxed) / 8 + 1);
    }

    /// Closes `count` directories that were not used lately, if there are as many.
    fn close(&self, count: usize) {
        let goal = self.open.load(Relaxed).saturating_sub(count);
        let mut looks = 2 * self.queue.lock().unwrap().len();
        while looks > 0 && self.open.load(Relaxed) > goal {
            looks -= 1;
            let Some(oldest) = self.queue.lock().unwrap().pop_front() else { return };
            let Some(held) = oldest.upgrade() else { continue };
            if !held.rest() {
                self.queue.lock().unwrap().push_back(oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    struct Scratch(PathBuf, Dir);

    impl Scratch {
        fn new(name: &str, limit: usize) -> Self {
            let path = std::env::temp_dir().join(format!("terrarium-held-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            let top = Held::top_of(OwnedFd::from(fs::File::open(&path).unwrap()), &Keeper::new(limit));
            Self(path, top)
        }

        fn below(&self, name: &str) -> Dir {
            Held::below(&self.1, OsStr::new(name), None)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// As the keeper does to one that is not used.
    fn close(held: &Dir) {
        held.rest();
        assert!(held.rest() && held.fd.lock().unwrap().is_none(), "closed at the second look");
    }

    #[test]
    fn a_closed_directory_is_found_again_by_its_way_and_only_as_itself() {
        let s = Scratch::new("way", 99);
        fs::create_dir_all(s.0.join("a/b")).unwrap();
        let a = s.below("a");
        let b = Held::below(&a, OsStr::new("b"), None);
        let key = key_of(&b.fd().unwrap()).unwrap();
        close(&b);
        close(&a);
        assert_eq!(key_of(&b.fd().unwrap()).unwrap(), key, "both are opened again");
        close(&b);
        fs::rename(s.0.join("a/b"), s.0.join("a/c")).unwrap();
        fs::create_dir(s.0.join("a/b")).unwrap();
        assert_eq!(b.fd().map(drop), Err(Errno::ESTALE), "another has its place");
        b.moved(&a, OsStr::new("c"));
        assert_eq!(key_of(&b.fd().unwrap()).unwrap(), key, "told its new way");
    }

    #[test]
    fn what_loses_its_name_stays_open() {
        let s = Scratch::new("keep", 99);
        fs::create_dir(s.0.join("a")).unwrap();
        let a = s.below("a");
        a.keep();
        fs::remove_dir(s.0.join("a")).unwrap();
        a.rest();
        assert!(!a.rest(), "not closed");
        assert!(a.fd().is_ok());
    }

    #[test]
    fn no_more_are_open_than_may_be() {
        let s = Scratch::new("limit", 10);
        let make = |i: i32| {
            fs::create_dir(s.0.join(i.to_string())).unwrap();
            s.below(&i.to_string())
        };
        let dirs: Vec<Dir> = (0..50).map(make).collect();
        for dir in dirs.iter().chain(&dirs) {
            dir.fd().unwrap();
            let open = dirs.iter().filter(|d| d.fd.lock().unwrap().is_some()).count();
            assert_eq!(open + 1, s.1.keeper.open.load(Relaxed), "the count is right, with the top");
            assert!(open < 10);
        }
        drop(dirs);
        assert_eq!(s.1.keeper.open.load(Relaxed), 1, "what nobody holds is closed");
    }
}

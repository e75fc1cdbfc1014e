//! Watching the branches: what somebody changes there directly is made visible in the union (`udba=notify`).
//!
//! Every directory that the kernel remembers something of is watched on each of its branches with fanotify, which
//! unlike inotify tells who caused an event: what the union does itself is passed over. For the rest the kernel is
//! told to look the name up again, and to throw out the cached attributes and pages of the object. `rr` branches are not
//! watched, as their mark promises that they never change.
//!
//! **How stale.** A direct change is seen after the event has been read and the kernel told: tens of microseconds on a
//! quiet machine, up to [`REST`] more while the union itself is writing. Once a direct change was seen, nothing is given to
//! the kernel to remember for [`WARY`], so that who works in the branches by hand sees each step at once. Where fanotify is not to be had (Linux before 5.13,
//! a branch on a file system without handles), the union falls back to looking again each time.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::kernel::{Kernel, expire_all};
use super::real::RealBranch;
use super::shared::{RealUnion, Shared};
use crate::union::branch::{At, Branch, Errno, Kind};
use crate::union::node::Place;
use crate::union::options::{Access, Udba};
use crate::union::{Happening, Node, names};

/// How long the watcher rests after a batch of the union's own events: the bound of staleness while the union is busy.
pub const REST: Duration = Duration::from_millis(2);

/// For how long after a direct change the kernel is given nothing to remember: who pokes once pokes again.
pub const WARY: Duration = Duration::from_secs(10);

/// Events after which the listing of a directory is another.
const NAMES: u64 = libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO;
/// Events after which contents or attributes are others.
const CHANGES: u64 = libc::FAN_MODIFY | libc::FAN_ATTRIB;

/// What is watched of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Itself, and the names in it.
    Names,
    /// What is under the names too. For this the kernel goes through all that it knows in the directory, which takes about as long as
    /// reading it.
    Children,
}

impl Of {
    fn mask(self) -> u64 {
        let children = if self == Of::Children { libc::FAN_EVENT_ON_CHILD } else { 0 };
        NAMES | CHANGES | libc::FAN_ONDIR | children
    }
}

/// How an event names a directory: file system and file handle, in the kernel's own bytes.
type Handle = Vec<u8>;

struct Inner {
    group: OwnedFd,
    dirs: Mutex<HashMap<Handle, Weak<Node<RealBranch>>>>,
    fsids: Mutex<HashMap<u64, [u8; 8]>>,
    /// Some directory could not be watched: nothing may be remembered any more.
    blind: AtomicBool,
    off: AtomicBool,
    start: Instant,
    /// When somebody last changed a branch directly: milliseconds after `start`, plus one; 0: never.
    poked: AtomicU64,
}

/// A watcher of branches; clones share it.
#[derive(Clone)]
pub struct Watcher(Arc<Inner>);

fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

impl Watcher {
    /// Begins to watch the tops of the branches. `None` where that cannot be, or is not wanted.
    pub fn start(union: &RealUnion) -> Option<Self> {
        let class = libc::FAN_CLASS_NOTIF | libc::FAN_REPORT_DFID_NAME | libc::FAN_CLOEXEC;
        let unlimited = libc::FAN_UNLIMITED_QUEUE | libc::FAN_UNLIMITED_MARKS;
        let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as u32;
        // SAFETY: plain calls.
        let fd = unsafe {
            match libc::fanotify_init(class | unlimited, flags) {
                -1 => libc::fanotify_init(class, flags),
                fd => fd,
            }
        };
        if fd < 0 {
            return None;
        }
        // SAFETY: the kernel has just given us this descriptor.
        let group = unsafe { OwnedFd::from_raw_fd(fd) };
        let inner = Inner {
            group,
            dirs: Mutex::default(),
            fsids: Mutex::default(),
            blind: AtomicBool::new(false),
            off: AtomicBool::new(false),
            start: Instant::now(),
            poked: AtomicU64::new(0),
        };
        let watcher = Self(Arc::new(inner));
        watcher.follow(union);
        watcher.watch(&union.root(), Of::Children);
        (!watcher.is_blind()).then_some(watcher)
    }

    /// Whether it watches at all, as the union's `udba` says.
    pub fn is_on(&self) -> bool {
        !self.0.off.load(Relaxed)
    }

    /// Whether something could not be watched.
    pub fn is_blind(&self) -> bool {
        self.0.blind.load(Relaxed)
    }

    /// Whether somebody has changed a branch directly just now ([`WARY`]).
    pub fn is_wary(&self) -> bool {
        let poked = self.0.poked.load(Relaxed);
        poked > 0 && self.millis() < poked + WARY.as_millis() as u64
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Watches or rests, as the union's `udba` now says.
    pub fn follow(&self, union: &RealUnion) {
        self.0.off.store(union.settings().udba != Udba::Notify, Relaxed);
    }

    /// Watches a directory on its branches, if that was not done already.
    pub fn watch(&self, node: &Arc<Node<RealBranch>>, of: Of) {
        if self.0.off.load(Relaxed) {
            return;
        }
        let places = node.places();
        let names = Arc::as_ptr(&places).cast::<u8>() as usize;
        let (children, known) = (names | 1, node.watched.load(Relaxed));
        if known == children || (known == names && of == Of::Names) {
            return;
        }
        for place in places.iter().filter(|p| is_watched(p)) {
            if self.mark(node, place, of).is_err() {
                self.0.blind.store(true, Relaxed);
            }
        }
        node.watched.store(if of == Of::Children { children } else { names }, Relaxed);
    }

    /// Other copies than before are merged into a directory: it is watched as it was.
    pub fn renew(&self, node: &Arc<Node<RealBranch>>) {
        match node.watched.load(Relaxed) {
            0 => {}
            known => self.watch(node, if known & 1 == 1 { Of::Children } else { Of::Names }),
        }
    }

    /// Watches one file of a directory whose names are watched; false if that cannot be: it is gone, or not ours to read.
    pub fn watch_file(&self, place: &Place<RealBranch>, name: &OsStr) -> bool {
        if self.0.off.load(Relaxed) || !is_watched(place) {
            return true;
        }
        CString::new(name.as_bytes()).is_ok_and(|name| {
            place.dir.fd().is_ok_and(|dir| self.add(&dir, &name, libc::FAN_MARK_DONT_FOLLOW, CHANGES).is_ok())
        })
    }

    /// Passes over the writes to an open file, or no longer; whether that was done.
    pub fn hush(&self, file: &OwnedFd, on: bool) -> bool {
        let how = if on { libc::FAN_MARK_ADD } else { libc::FAN_MARK_REMOVE };
        let flags = how | libc::FAN_MARK_IGNORED_MASK | libc::FAN_MARK_IGNORED_SURV_MODIFY;
        let (group, file) = (self.0.group.as_raw_fd(), file.as_raw_fd());
        // SAFETY: without a path the mark is the open file's own.
        unsafe { libc::fanotify_mark(group, flags, libc::FAN_MODIFY, file, std::ptr::null()) == 0 }
    }

    /// Watches every held directory.
    pub fn watch_all(&self, union: &RealUnion) {
        self.follow(union);
        union.nodes().iter().filter(|n| n.kind == Kind::Dir).for_each(|n| self.watch(n, Of::Children));
    }

    fn mark(&self, node: &Arc<Node<RealBranch>>, place: &Place<RealBranch>, of: Of) -> Result<(), Errno> {
        let handle = self.handle(place)?;
        self.0.dirs.lock().unwrap().insert(handle, Arc::downgrade(node));
        self.add(&*place.dir.fd()?, c".", libc::FAN_MARK_ONLYDIR, of.mask())
    }

    fn add(&self, dir: &OwnedFd, name: &CStr, how: u32, mask: u64) -> Result<(), Errno> {
        let add = |flags: u32| {
            let (group, dir) = (self.0.group.as_raw_fd(), dir.as_raw_fd());
            // SAFETY: a path relative to a held directory; both outlive the call.
            match unsafe { libc::fanotify_mark(group, libc::FAN_MARK_ADD | how | flags, mask, dir, name.as_ptr()) } {
                0 => Ok(()),
                _ => Err(last()),
            }
        };
        match add(FAN_MARK_EVICTABLE) {
            Err(Errno::EINVAL) => add(0),
            added => added,
        }
    }

    fn handle(&self, place: &Place<RealBranch>) -> Result<Handle, Errno> {
        let mut handle = self.fsid(place)?.to_vec();
        handle.extend(file_handle(place.dir.fd()?.as_raw_fd())?);
        Ok(handle)
    }

    fn fsid(&self, place: &Place<RealBranch>) -> Result<[u8; 8], Errno> {
        if let Some(fsid) = self.0.fsids.lock().unwrap().get(&place.key.dev) {
            return Ok(*fsid);
        }
        let dir = place.dir.fd()?;
        let mut s = MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: `s` is large enough, and filled when the call succeeds; `fsid_t` is eight plain bytes.
        let fsid: [u8; 8] = unsafe {
            if libc::fstatfs(dir.as_raw_fd(), s.as_mut_ptr()) < 0 {
                return Err(last());
            }
            std::mem::transmute(s.assume_init().f_fsid)
        };
        self.0.fsids.lock().unwrap().insert(place.key.dev, fsid);
        Ok(fsid)
    }

    /// Serves events on a thread of its own until the process ends.
    pub fn run(&self, shared: &Arc<Shared>, kernel: &Arc<Kernel>) {
        let (watcher, shared, kernel) = (self.clone(), shared.clone(), kernel.clone());
        let serve = move || {
            hurry();
            let mut buffer = vec![0u8; 64 << 10];
            while let Ok(got) = watcher.read(&mut buffer) {
                if !watcher.handle_all(&buffer[..got], &shared, &kernel) || got > CROWD {
                    std::thread::sleep(REST);
                }
            }
        };
        let _ = std::thread::Builder::new().name("watch".into()).spawn(serve);
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            // SAFETY: the buffer is as large as said.
            let got = unsafe { libc::read(self.0.group.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
            match usize::try_from(got) {
                Ok(got) => return Ok(got),
                Err(_) if last().0 == libc::EINTR => {}
                Err(_) => return Err(last()),
            }
        }
    }

    /// Handles a batch of events; whether any was somebody else's.
    fn handle_all(&self, mut events: &[u8], shared: &Shared, kernel: &Kernel) -> bool {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let mut foreign = false;
        let mut latest: Option<(Vec<u8>, u64)> = None;
        let mut dirs = Vec::new();
        while events.len() >= METADATA {
            let length = u32_at(events, 0) as usize;
            if length < METADATA || length > events.len() {
                break;
            }
            let (event, rest) = events.split_at(length);
            events = rest;
            let mask = u64::from_ne_bytes(event[8..16].try_into().unwrap_or_default());
            if mask & libc::FAN_Q_OVERFLOW != 0 {
                forget_everything(shared, kernel);
                return true;
            }
            let pid = u32_at(event, 20) as i32;
            if pid == own || self.0.off.load(Relaxed) {
                continue;
            }
            foreign = true;
            shared.union.changed_directly();
            self.0.poked.store(self.millis() + 1, Relaxed);
            let same = latest.as_ref().is_some_and(|(info, seen)| info == &event[METADATA..] && *seen == mask);
            if !same {
                self.handle_one(&event[METADATA..], mask, shared, kernel, &mut dirs);
                latest = Some((event[METADATA..].to_vec(), mask));
            }
        }
        if !dirs.is_empty() {
            regroup(&dirs, shared, kernel);
        }
        foreign
    }

    /// `info` is one record: type, length, file system, file handle, name.
    fn handle_one(&self, info: &[u8], mask: u64, shared: &Shared, kernel: &Kernel, dirs: &mut Vec<Named>) {
        const HEADER: usize = 4 + 8 + 8;
        if info.len() < HEADER {
            return;
        }
        let bytes = u32_at(info, 12) as usize;
        let Some(handle) = info.get(4..HEADER + bytes) else { return };
        let name = info[HEADER + bytes..].split(|b| *b == 0).next().unwrap_or_default();
        let node = self.0.dirs.lock().unwrap().get(handle).cloned();
        match node.map(|n| n.upgrade()) {
            Some(Some(node)) => {
                let name = OsStr::from_bytes(name);
                changed(&node, name, mask, shared, kernel);
                dirs.extend(regrouped(&node, name, mask));
            }
            Some(None) => drop(self.0.dirs.lock().unwrap().remove(handle)),
            None => {}
        }
    }
}

/// A branch that is marked `rr` never changes.
fn is_watched(place: &Place<RealBranch>) -> bool {
    place.member.permission().access != Access::Rr
}

/// Bytes of events in one batch from which on more are let gather before the next is read.
const CROWD: usize = 4096;

/// Asks the scheduler to run this thread at once when there is something to do: what it has to do is short, and the sooner it
/// is done the less is stale. As root by a real-time class, else by a short slice.
fn hurry() {
    let parameter = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter outlives the call; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameter) } == 0 {
        return;
    }
    // struct sched_attr of linux/sched/types.h: size, policy, flags, nice, priority, runtime, deadline, period.
    let slice_nanos: u64 = 100_000;
    let mut attributes = [0u32; 12];
    attributes[0] = 48;
    (attributes[6], attributes[7]) = ((slice_nanos & 0xffff_ffff) as u32, (slice_nanos >> 32) as u32);
    // SAFETY: 48 bytes as the first word says.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes.as_ptr(), 0) };
}

/// `FAN_MARK_EVICTABLE` of `linux/fanotify.h` (5.19): the mark goes with the inode, which we hold as long as we want it.
const FAN_MARK_EVICTABLE: u32 = 0x200;
/// `AT_HANDLE_FID` of `linux/fcntl.h` (6.5): a handle to compare, not to open.
const AT_HANDLE_FID: i32 = 0x200;
/// Size of `struct fanotify_event_metadata`.
const METADATA: usize = 24;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_ne_bytes(b.try_into().unwrap_or_default()))
}

/// The handle of a held directory: its length, its type, its bytes.
fn file_handle(dir: i32) -> Result<Vec<u8>, Errno> {
    let mut buffer = [0u32; 2 + 128 / 4];
    buffer[0] = 128;
    let mut mount = 0;
    for flags in [libc::AT_EMPTY_PATH | AT_HANDLE_FID, libc::AT_EMPTY_PATH] {
        // SAFETY: the buffer is a `file_handle` with room for the 128 bytes that it claims.
        let got =
            unsafe { libc::name_to_handle_at(dir, c"".as_ptr(), buffer.as_mut_ptr().cast(), &raw mut mount, flags) };
        if got == 0 {
            let length = 8 + buffer[0] as usize;
            let bytes = buffer.iter().flat_map(|word| word.to_ne_bytes());
            return Ok(bytes.take(length).collect());
        }
    }
    Err(last())
}

/// A name in a directory of the union.
type Named = (Arc<Node<RealBranch>>, OsString);

/// The directory that a change regroups: one that came or went, one that a whiteout hid or hides, one that was marked opaque.
fn regrouped(node: &Arc<Node<RealBranch>>, name: &OsStr, mask: u64) -> Option<Named> {
    if mask & NAMES == 0 {
        return None;
    }
    if name == names::OPAQUE {
        return node.name();
    }
    let hidden = names::hidden_by(name).map(OsStr::to_owned);
    let dir = || (mask & libc::FAN_ONDIR != 0).then(|| name.to_owned());
    hidden.or_else(dir).map(|name| (node.clone(), name))
}

/// Directories came, went or were renamed in the branches, or marks: what is merged into the union's directories of these names, and into those
/// below, may be others now, and so may everything that is found in them.
fn regroup(dirs: &[Named], shared: &Shared, kernel: &Kernel) {
    let union = &shared.union;
    let nodes = union.nodes();
    let dirs: HashSet<(u64, &OsStr)> = dirs.iter().map(|(dir, name)| (dir.ino, name.as_os_str())).collect();
    let changed = |node: &Node<RealBranch>| {
        node.kind == Kind::Dir
            && node.name().is_some_and(|(parent, name)| dirs.contains(&(parent.ino, name.as_os_str())))
    };
    let tops: HashSet<u64> = nodes.iter().filter(|n| changed(n)).map(|n| n.ino).collect();
    if tops.is_empty() {
        return;
    }
    let up = |node: &Arc<Node<RealBranch>>| node.name().map(|(parent, _)| parent);
    let inside = |node: &Arc<Node<RealBranch>>| {
        std::iter::successors(Some(node.clone()), up).any(|node| tops.contains(&node.ino))
    };
    let mut within: Vec<_> = nodes.iter().filter(|node| inside(node)).collect();
    within.sort_by_cached_key(|n| n.path().len());
    // From the top down, as what is merged into a directory depends on what is merged into the one above.
    for node in within.iter().filter(|n| n.kind == Kind::Dir) {
        if let Some((parent, name)) = node.name()
            && let Ok((found, _)) = union.lookup(&parent, &name)
        {
            union.forget(found.ino, 1);
        }
    }
    for node in &within {
        let names = node.state.read().unwrap().names.clone();
        names.iter().for_each(|(parent, name)| kernel.expire(parent.ino, name));
        if node.kind == Kind::Dir {
            node.listing.lock().unwrap().take();
            kernel.refresh(node.ino);
        }
    }
    let within: HashSet<u64> = within.iter().map(|node| node.ino).collect();
    shared.expire_absent(kernel, |parent| within.contains(&parent));
}

/// Somebody changed `name` in one of the branches of `node`.
fn changed(node: &Arc<Node<RealBranch>>, name: &OsStr, mask: u64, shared: &Shared, kernel: &Kernel) {
    if name == "." || name.is_empty() {
        return kernel.refresh(node.ino);
    }
    let name = names::hidden_by(name).unwrap_or(name);
    if names::is_reserved(name) {
        return;
    }
    for place in node.places().iter() {
        if let Ok(stat) = place.member.branch.stat(At::Name(&place.dir, name))
            && let Some(child) = shared.union.node_of(stat.key)
        {
            child.default_acl.store(0, Relaxed);
            kernel.refresh(child.ino);
        }
    }
    kernel.expire(node.ino, name);
    if mask & NAMES != 0 {
        node.listing.lock().unwrap().take();
        kernel.refresh(node.ino);
    }
    shared.union.tell_direct(node, name);
}

/// Events were lost: everything that the kernel remembers may be wrong.
fn forget_everything(shared: &Shared, kernel: &Kernel) {
    shared.union.changed_directly();
    expire_all(shared, kernel);
    shared.union.nodes().iter().for_each(|node| kernel.refresh(node.ino));
}

impl RealUnion {
    /// Reports a direct change.
    fn tell_direct(&self, node: &Node<RealBranch>, name: &OsStr) {
        self.report(|| Happening::ChangedDirectly { at: self.at.clone(), path: node.path_of(name) });
    }
}

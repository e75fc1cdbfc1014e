//! Passthrough: files whose content does not pass through us (mount option `passthrough`).
//!
//! Who opens a file is given the file below by the kernel itself (`FUSE_PASSTHROUGH`, Linux 6.9), so reading and writing cost
//! what they cost there. The price: every open is a request, as otherwise only in unions that must be told of opens; and it takes
//! the machine's root.
//!
//! **Which files.** Those that cannot be copied up while they are open: files on a writable branch, which takes their
//! writes; and every file of a union that has no writable branch. Never a file on a branch that asks for copy-up at open, nor one
//! that is set-id when it is opened.
//!
//! **The kernel's rules.** While an inode is open, all who have it open share one backing file; and it is open either so or
//! cached, not both. So opens are counted, and a further one is answered like those that are there. What the kernel
//! cached before somebody wrote past it is thrown out at the next cached open: such a file is never opened with
//! `FOPEN_KEEP_CACHE` where it could have been written so.
//!
//! **What must not change under an open file.** Its branch may neither be removed (its node is in use) nor re-permitted
//! ([`Passthrough::keeps_busy`]), and no rename or link takes it to another branch ([`Node::pinned`]: `EXDEV`). The watcher
//! is asked not to report its writes, which are ours although somebody else's process makes them.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use fuser::{BackingId, FileHandle, FopenFlags, Generation, InitFlags, KernelConfig, ReplyCreate, ReplyOpen};

use super::attributes::attr;
use super::cached;
use super::fs::UnionFs;
use super::real::RealBranch;
use super::shared::{RealUnion, Shared};
use crate::union::Node;
use crate::union::branch::{At, Branch, Errno, Kind, Stat};
use crate::union::node::{Member, State};
use crate::union::reshape::Refused;

/// The handle of a file that is open past us.
pub const PASSED: FileHandle = FileHandle(2);
/// The handle of a file whose pages the kernel caches, where opens are answered.
pub const CACHED: FileHandle = FileHandle(0);

/// The opens of one inode.
#[derive(Default)]
struct Opens {
    /// How many are cached.
    cached: u32,
    /// How many go past us.
    passed: u32,
    /// What all of those share.
    backing: Option<Backing>,
}

struct Backing {
    id: Arc<BackingId>,
    file: Arc<OwnedFd>,
    /// Whether the watcher was asked to pass its writes over.
    hushed: bool,
}

/// The opens of a union that was mounted with `passthrough`.
#[derive(Default)]
pub struct Passthrough {
    granted: AtomicBool,
    opens: Mutex<HashMap<u64, Opens>>,
}

impl Passthrough {
    /// Asks the kernel for it at the greeting. A branch may lie on a stacked file system itself, which takes one level more.
    pub fn ask(&self, config: &mut KernelConfig, union: &RealUnion) {
        let stacked = union.members().iter().any(|m| super::attach::is_stacked(std::path::Path::new(&m.path)));
        let granted = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok();
        let deep = config.set_max_stack_depth(1 + u32::from(stacked)).is_ok();
        self.granted.store(granted && deep, Relaxed);
    }

    /// Whether it can be had, after the greeting.
    ///
    /// # Errors
    /// One line that says what is missing.
    pub fn check(&self, device: &impl AsFd) -> Result<(), Refused> {
        if !self.granted.load(Relaxed) {
            let why =
                "passthrough: this kernel cannot do it (Linux 6.9 with CONFIG_FUSE_PASSTHROUGH can); mount without it";
            return Err(Refused::new(Errno::EOPNOTSUPP, why));
        }
        match BackingId::create_raw(device, probe()?) {
            Ok(_) => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
                let why = "passthrough: only the machine's root may have it (CAP_SYS_ADMIN outside of user namespaces); \
                    mount without it, or as root";
                Err(Refused::new(Errno::EPERM, why))
            }
            Err(e) => Err(Refused::new((&e).into(), format!("passthrough: the kernel refuses backing files: {e}"))),
        }
    }

    /// Counts an open, and gives the backing file if it goes past us; `register` makes a file below one.
    fn open(
        &self,
        shared: &Shared,
        node: &Arc<Node<RealBranch>>,
        write: bool,
        register: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<BackingId>,
    ) -> Option<Arc<BackingId>> {
        let mut opens = self.opens.lock().unwrap();
        let here = opens.entry(node.ino).or_default();
        if here.cached == 0 && here.backing.is_none() && suits(&shared.union, node) {
            here.backing = back(&shared.union, node, register);
            node.pinned.store(here.backing.is_some(), Relaxed);
        }
        let Some(backing) = &mut here.backing else {
            here.cached += 1;
            return None;
        };
        here.passed += 1;
        if write && !backing.hushed {
            backing.hushed = shared.watcher.as_ref().is_some_and(|w| w.hush(&backing.file, true));
        }
        Some(backing.id.clone())
    }

    /// Takes an open back; whether what the kernel remembers of the file may be wrong now.
    fn close(&self, shared: &Shared, ino: u64, handle: FileHandle) -> bool {
        let mut opens = self.opens.lock().unwrap();
        let Some(here) = opens.get_mut(&ino) else { return false };
        match handle {
            PASSED => here.passed = here.passed.saturating_sub(1),
            CACHED => here.cached = here.cached.saturating_sub(1),
            _ => {}
        }
        if here.passed > 0 || here.cached > 0 {
            return false;
        }
        let gone = opens.remove(&ino);
        if let Ok(node) = shared.union.node(ino) {
            node.pinned.store(false, Relaxed);
        }
        drop(opens);
        let hushed = gone.and_then(|here| here.backing).filter(|backing| backing.hushed);
        if let (Some(backing), Some(watcher)) = (&hushed, &shared.watcher) {
            watcher.hush(&backing.file, false);
        }
        hushed.is_some()
    }

    /// Whether a file that is open past us is on a branch (any one: on one that takes no writes).
    pub fn keeps_busy(&self, union: &RealUnion, member: Option<&Member<RealBranch>>) -> bool {
        let passed: Vec<u64> = {
            let opens = self.opens.lock().unwrap();
            opens.iter().filter(|(_, here)| here.backing.is_some()).map(|(ino, _)| *ino).collect()
        };
        let on = |state: &State<RealBranch>| member.map_or(!state.top.writable(), |m| state.top.id == m.id);
        passed.iter().filter_map(|ino| union.node(*ino).ok()).any(|node| on(&node.state.read().unwrap()))
    }
}

impl UnionFs {
    /// Answers an open.
    pub(super) fn opened(&self, node: &Arc<Node<RealBranch>>, write: bool, reply: ReplyOpen) {
        let passthrough = self.shared.passthrough.as_ref();
        match passthrough.and_then(|p| p.open(&self.shared, node, write, |file| reply.open_backing(file))) {
            Some(id) => reply.opened_passthrough(PASSED, FopenFlags::FOPEN_NOFLUSH, &id),
            None => {
                let written_past = passthrough.is_some() && node.state.read().unwrap().top.writable();
                let keep = !self.shared.looks_again() && !written_past;
                let keep = if keep { FopenFlags::FOPEN_KEEP_CACHE } else { FopenFlags::empty() };
                reply.opened(CACHED, FopenFlags::FOPEN_NOFLUSH | keep);
            }
        }
    }

    /// Answers the making of a file, which is open then.
    pub(super) fn created(&self, node: &Arc<Node<RealBranch>>, stat: &Stat, reply: ReplyCreate) {
        let (ttl, attr) = (self.shared.ttl(), attr(node.ino, stat));
        let passthrough = self.shared.passthrough.as_ref();
        match passthrough.and_then(|p| p.open(&self.shared, node, true, |file| reply.open_backing(file))) {
            Some(id) => {
                reply.created_passthrough(&ttl, &attr, Generation(0), PASSED, FopenFlags::FOPEN_NOFLUSH, &id);
            }
            None => {
                let (handle, flags) = cached::made(self.direct && passthrough.is_none());
                reply.created(&ttl, &attr, Generation(0), handle, flags);
            }
        }
    }

    /// A file was closed.
    pub(super) fn closed(&self, ino: u64, handle: FileHandle) {
        if self.shared.passthrough.as_ref().is_some_and(|p| p.close(&self.shared, ino, handle)) {
            self.corrections.refresh(ino);
        }
    }
}

/// Whether a file stays where it is as long as it is open.
fn suits(union: &RealUnion, node: &Node<RealBranch>) -> bool {
    let top = node.state.read().unwrap().top.clone();
    let stays = || top.writable() || !union.members().iter().any(|m| m.writable());
    node.kind == Kind::File && top.permission().coo.is_none() && stays()
}

/// Set-user-id and set-group-id. Who writes to such a file must lose them, which the kernel leaves to us.
const SET_ID: u32 = 0o6000;

/// A backing file; none if that cannot be: then it is cached.
fn back(
    union: &RealUnion,
    node: &Arc<Node<RealBranch>>,
    register: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<BackingId>,
) -> Option<Backing> {
    let file = union.opened(node, false).ok()?;
    let stat = node.state.read().unwrap().top.branch.stat(At::File(&*file)).ok()?;
    if stat.mode & SET_ID != 0 {
        return None;
    }
    let id = Arc::new(register(file.as_fd()).ok()?);
    Some(Backing { id, file, hushed: false })
}

/// A file to try with.
fn probe() -> Result<OwnedFd, Refused> {
    // SAFETY: a constant name.
    let fd = unsafe { libc::memfd_create(c"probe".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        let e = std::io::Error::last_os_error();
        return Err(Refused::new((&e).into(), format!("passthrough: {e}")));
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

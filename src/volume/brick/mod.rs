//! # The brick: one server of one directory
//!
//! A brick carries out what clients ask, in the order in which each asks it, on plain files ([`store`]). It knows nothing of
//! other bricks, of replication or of the volume's shape. What it adds to the file system is what clients need to agree among
//! themselves: locks ([`locks`]), counters of what others missed with an index of who has any, and word to everybody who
//! looked at something that somebody else then changed ([`interest`]), who must have heard before the change is answered ([`hearing`]).
//!
//! [`Brick`] is all of that without sockets: requests in, messages out through an [`Outbox`] a session. [`server`] puts it on TCP.
//!
//! Left out: quota, trash, changelog, bit-rot signatures, access-control lists of its own (the kernel of the mount checks).

mod counters;
mod hearing;
mod inside;
pub mod interest;
pub mod locks;
mod opens;
mod presence;
pub mod role;
pub mod server;
pub mod store;
mod sys;
mod word;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::hearing::Hearing;
use self::interest::Interest;
use self::locks::{Locks, Session};
use self::opens::Opens;
use self::store::Store;
use self::word::{By, Ready};
use super::gfid::Gfid;
use super::ranges::Ranges;
use super::rpc::{Fop, Hello, Inode, Lock, Reply, Request, ToClient, Xattrop};
use super::xattr::{AFR, DIRTY, Pending};

pub use self::counters::Counters;

/// How many bytes of small files come along with their names at once, about.
const AHEAD: usize = 1 << 20;

/// Where messages to one client go. Called from any thread; must not call back into the brick.
pub trait Outbox: Send + Sync {
    /// Sends a message with its payload. Failure shows as the end of the session.
    fn send(&self, message: &ToClient, payload: &[u8]);
}

/// A served directory and everybody who is connected to it.
pub struct Brick {
    /// The directory.
    pub store: Store,
    /// What was done so far.
    pub counters: Counters,
    state: Mutex<State>,
    /// Inodes whose lock went back, to be settled when those who asked have their answers.
    unlocked: Mutex<Vec<Gfid>>,
    blaming: AtomicBool,
    /// Whether mounts may change nothing (`features.read-only`).
    read_only: AtomicBool,
}

/// How many of them may wait.
const UNLOCKED: usize = 64;

#[derive(Default)]
struct State {
    locks: Locks<Work>,
    ranges: Ranges,
    interest: Interest,
    hearing: Hearing<Ready>,
    opens: Opens,
    sessions: HashMap<Session, Client>,
    absent: presence::Absent,
    next: Session,
    /// Unlinked files that sessions keep open.
    kept: HashMap<Gfid, HashSet<Session>>,
}

struct Client {
    outbox: Arc<dyn Outbox>,
    hello: Option<Hello>,
}

/// A request that is being carried out, or that waits for a lock.
struct Work {
    by: By,
    id: u64,
    todo: VecDeque<Fop>,
    /// Inodes that it leaves under way.
    changed: Vec<Gfid>,
    done: Vec<Result<Reply, i32>>,
    /// What was sent along; then what was read.
    payload: Bytes,
}

impl Brick {
    /// Serves a directory.
    pub fn new(store: Store) -> Self {
        let blaming = AtomicBool::new(store.blaming() > 0);
        Self {
            store,
            counters: Counters::default(),
            state: Mutex::default(),
            unlocked: Mutex::default(),
            blaming,
            read_only: AtomicBool::new(false),
        }
    }

    /// Carries out a request; its answer, and whatever else it causes, goes to the outboxes.
    pub fn handle(&self, session: Session, request: Request, payload: Bytes) {
        let todo = VecDeque::from(request.fops);
        let (changed, done) = (vec![], Vec::with_capacity(todo.len()));
        let by = By { session, told: 0, waits: request.id > 0 };
        self.work(vec![Work { by, id: request.id, todo, changed, done, payload }]);
        if self.unlocked().len() > UNLOCKED {
            self.rest();
        }
    }

    /// Does what was put off, for which nobody waits: to be called when there is nothing more to hand in for the moment.
    pub fn rest(&self) {
        for gfid in std::mem::take(&mut *self.unlocked()) {
            // Whoever holds the lock by now settles it later. What cannot be written (the disk is full) is tried again then.
            if !self.state().locks.is_held(gfid) {
                let _ = self.store.settle(gfid);
            }
        }
        self.store.bury_all();
    }

    fn unlocked(&self) -> MutexGuard<'_, Vec<Gfid>> {
        self.unlocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out requests and those that they let go on.
    fn work(&self, mut waiting: Vec<Work>) {
        while !waiting.is_empty() {
            let next = std::mem::take(&mut waiting);
            for work in next {
                waiting.extend(self.one(work));
            }
        }
    }

    /// Carries out one request as far as it goes; gives those whose locks became free.
    fn one(&self, mut work: Work) -> Vec<Work> {
        let mut freed = Vec::new();
        let mut read = None;
        while let Some(fop) = work.todo.pop_front() {
            if let Fop::Lock { lock, wait } = &fop {
                match self.lock(work, lock, *wait) {
                    Some(back) => work = back,
                    None => return freed,
                }
            } else if let Fop::Unlock { lock } = &fop {
                self.unlocked().push(lock.gfid);
                freed.extend(self.state().locks.unlock(work.by.session, lock));
                work.done.push(Ok(Reply::Done));
            } else {
                let (name, clock, changes) = (fop.name(), std::time::Instant::now(), fop.under_way());
                let used = self.note_use(&fop);
                let result = match fop {
                    Fop::Content { most } => Ok(self.content(work.done.last(), most, &mut read)),
                    fop => self.fop(&mut work.by, fop, &work.payload, &mut read),
                };
                let took = clock.elapsed();
                self.counters.note(name, took, result.as_ref().ok(), work.payload.len());
                self.note_rate(name, used, took, (result.as_ref().ok(), work.payload.len()));
                work.changed.extend(changes.into_iter().flatten());
                work.done.push(result);
            }
            if work.done.last().is_some_and(Result::is_err) {
                break;
            }
        }
        self.settle(&work);
        if work.id > 0 {
            self.answer(&work.by, ToClient::Answer { id: work.id, results: work.done }, read.unwrap_or_default());
        }
        freed
    }

    /// What was changed without a lock that the session keeps is not left under way.
    fn settle(&self, work: &Work) {
        for gfid in &work.changed {
            if !self.state().locks.may_change(work.by.session, *gfid) {
                let _ = self.store.settle(*gfid);
            }
        }
    }

    /// What `volume top` counts; gives the file that is read or written.
    fn note_use(&self, fop: &Fop) -> Option<Gfid> {
        match fop {
            Fop::Read { gfid, .. } => {
                self.counters.used("read", *gfid, 1);
                return Some(*gfid);
            }
            Fop::Write { gfid, .. } => {
                self.counters.used("write", *gfid, 1);
                return Some(*gfid);
            }
            Fop::Readdir { gfid, after, .. } => {
                if *after == 0 {
                    self.counters.used("opendir", *gfid, 1);
                }
                self.counters.used("readdir", *gfid, 1);
            }
            _ => {}
        }
        None
    }

    /// How fast a file was read or written (`volume top … read-perf`).
    fn note_rate(
        &self,
        fop: &'static str,
        file: Option<Gfid>,
        took: std::time::Duration,
        moved: (Option<&Reply>, usize),
    ) {
        let Some(gfid) = file else { return };
        let bytes = match moved {
            (Some(Reply::Data(read)), _) => u64::from(*read),
            (Some(_), sent) => sent as u64,
            (None, _) => return,
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        self.counters.went(fop, gfid, bytes / micros);
    }

    /// The contents of what was just found, if they are few.
    fn content(&self, found: Option<&Result<Reply, i32>>, most: u32, read: &mut Option<Vec<u8>>) -> Reply {
        let Some(Ok(Reply::Inode(inode))) = found else { return Reply::Done };
        match self.few(inode, most) {
            Some(data) => {
                let length = u32::try_from(data.len()).unwrap_or(most);
                *read = Some(data);
                Reply::Data(length)
            }
            None => Reply::Done,
        }
    }

    /// A file's contents, if they are no more than so many bytes.
    fn few(&self, inode: &Inode, most: u32) -> Option<Vec<u8>> {
        let few = inode.iatt.is_file() && inode.linkto.is_none() && (1..=u64::from(most)).contains(&inode.iatt.size);
        few.then(|| self.store.read(inode.gfid, 0, most))?.ok()
    }

    /// The contents of small files among these entries ([`Fop::Ahead`]).
    fn contents(&self, entries: &[super::rpc::Entry], most: u32) -> Vec<u8> {
        let mut all = Vec::new();
        for (place, entry) in (0_u32..).zip(entries) {
            if most == 0 || all.len() >= AHEAD {
                break;
            }
            if let Some(data) = entry.inode.as_ref().and_then(|inode| self.few(inode, most)) {
                all.extend_from_slice(&place.to_be_bytes());
                all.extend_from_slice(&u32::try_from(data.len()).unwrap_or(most).to_be_bytes());
                all.extend_from_slice(&data);
            }
        }
        all
    }

    /// Takes a lock; gives the work back unless it has to wait.
    fn lock(&self, mut work: Work, lock: &Lock, wait: bool) -> Option<Work> {
        let mut state = self.state();
        let session = work.by.session;
        let outcome = state.locks.lock(session, lock, None);
        let outboxes = |state: &State| -> Vec<_> {
            let known = |(s, l): &(Session, Lock)| state.sessions.get(s).map(|c| (c.outbox.clone(), l.clone()));
            outcome.contended.iter().filter_map(known).collect()
        };
        let told = outboxes(&state);
        let back = if outcome.granted {
            work.done.push(Ok(Reply::Done));
            Some(work)
        } else if wait {
            work.done.push(Ok(Reply::Done));
            state.locks.lock(session, lock, Some(work));
            None
        } else {
            work.done.push(Err(libc::EAGAIN));
            Some(work)
        };
        drop(state);
        for (outbox, lock) in told {
            outbox.send(&ToClient::Contention { lock }, &[]);
        }
        back
    }

    /// Carries out one fop and tells those whom its effect concerns.
    fn fop(&self, by: &mut By, fop: Fop, payload: &Bytes, read: &mut Option<Vec<u8>>) -> Result<Reply, i32> {
        let (store, session) = (&self.store, by.session);
        let inode = |inode: Inode| Reply::Inode(Box::new(inode));
        if self.read_only.load(SeqCst) && fop.changes() && self.state().is_mount(session) {
            return Err(libc::EROFS);
        }
        match fop {
            Fop::Hello(hello) => self.welcome(session, hello),
            Fop::Heard { number } => {
                self.heard(session, number);
                Ok(Reply::Done)
            }
            Fop::Ping | Fop::Lock { .. } | Fop::Unlock { .. } | Fop::Content { .. } => Ok(Reply::Done),
            Fop::Lookup { parent, name, fresh } => {
                self.look(session, parent);
                let found = store.lookup(parent, &name, fresh)?;
                self.look(session, found.gfid);
                Ok(inode(found))
            }
            Fop::Stat { gfid } => {
                self.look(session, gfid);
                store.stat(gfid).map(inode)
            }
            Fop::Figures { gfid } => {
                self.look(session, gfid);
                store.figures(gfid).map(Reply::Changed)
            }
            Fop::Ahead { gfid, after, count, most } => {
                self.look(session, gfid);
                let entries = store.readdir(gfid, after, true, count)?;
                entries.iter().filter_map(|e| e.inode.as_ref()).for_each(|i| self.look(session, i.gfid));
                *read = Some(self.contents(&entries, most));
                Ok(Reply::Entries(entries))
            }
            Fop::Readdir { gfid, after, plus } => {
                self.look(session, gfid);
                let entries = store.readdir(gfid, after, plus, u32::MAX)?;
                entries.iter().filter_map(|e| e.inode.as_ref()).for_each(|i| self.look(session, i.gfid));
                Ok(Reply::Entries(entries))
            }
            Fop::Readlink { gfid } => store.readlink(gfid).map(Reply::Bytes),
            Fop::Read { gfid, offset, size } => {
                let data = store.read(gfid, offset, size)?;
                let length = u32::try_from(data.len()).unwrap_or(size);
                *read = Some(data);
                Ok(Reply::Data(length))
            }
            Fop::Write { gfid, offset, time } => self.changed(by, gfid, store.write(gfid, offset, payload, time)),
            Fop::Truncate { gfid, size, time } => self.changed(by, gfid, store.truncate(gfid, size, time)),
            Fop::Fallocate { gfid, mode, offset, size, time } => {
                self.changed(by, gfid, store.fallocate(gfid, mode, (offset, size), time))
            }
            Fop::Setattr { gfid, change } => self.changed(by, gfid, store.setattr(gfid, &change)),
            Fop::Setxattr { gfid, key, value, flags } => {
                self.changed(by, gfid, store.setxattr(gfid, &key, &value, flags))
            }
            Fop::Removexattr { gfid, key } => self.changed(by, gfid, store.removexattr(gfid, &key)),
            Fop::Make { parent, name, node } => {
                let made = store.make(parent, &name, &node)?;
                self.look(session, made.gfid);
                self.name_came(by, parent, &name);
                Ok(inode(made))
            }
            Fop::Link { gfid, parent, name, time } => {
                let linked = store.link(gfid, parent, &name, time)?;
                self.name_came(by, parent, &name);
                self.tell_changed(by, gfid);
                Ok(inode(linked))
            }
            Fop::Unlink { parent, name, keep, time } => {
                let (gfid, iatt) = store.unlink(parent, &name, &|gfid| keep || self.is_used(session, gfid), time)?;
                self.removed(by, gfid, keep);
                self.name_changed(by, parent, &name);
                Ok(Reply::Changed(iatt))
            }
            Fop::Rmdir { parent, name, time } => {
                let (gfid, iatt) = store.rmdir(parent, &name, time)?;
                if let Some(gfid) = gfid {
                    self.tell_changed(by, gfid);
                }
                self.name_changed(by, parent, &name);
                Ok(Reply::Changed(iatt))
            }
            Fop::Rename { parent, name, to, newname, keep, time } => {
                let kept = |gfid| keep || self.is_used(session, gfid);
                let (moved, over) = store.rename((parent, &name), (to, &newname), &kept, time)?;
                self.removed(by, over, keep);
                self.name_changed(by, parent, &name);
                self.name_changed(by, to, &newname);
                self.tell_changed(by, moved.gfid);
                Ok(inode(moved))
            }
            Fop::Park { parent, name } => {
                store.park(parent, &name)?;
                self.name_changed(by, parent, &name);
                Ok(Reply::Done)
            }
            Fop::Getxattr { gfid, key } => store.getxattr(gfid, &key).map(Reply::Bytes),
            Fop::Xattrs { gfid, internal } => store.xattrs(gfid, internal).map(Reply::Xattrs),
            Fop::Fsync { gfid, data } => store.fsync(gfid, data).map(|()| Reply::Done),
            Fop::Seek { gfid, offset, whence } => store.seek(gfid, offset, whence).map(Reply::Number),
            Fop::Statfs => store.statfs().map(Reply::Room),
            Fop::Close { gfid } => {
                if let Some(who) = self.state().kept.get_mut(&gfid) {
                    who.remove(&session);
                }
                self.close_unkept(gfid)
            }
            Fop::Xattrop(op) => {
                let sums = store.xattrop(&op).map(Reply::Counters);
                self.tell_blaming();
                self.accused(by, &op);
                sums
            }
            Fop::Hold { gfid, held } => {
                let mut state = self.state();
                let again = state.ranges.set(session, gfid, &held).map_err(|_| libc::EAGAIN)?;
                state.tell(&again, &ToClient::Freed { gfid });
                Ok(Reply::Done)
            }
            Fop::Holder { gfid, held } => Ok(Reply::Holder(self.state().ranges.test(session, gfid, &held))),
            Fop::Index { dirty } => store.index(dirty).map(|all| {
                all.iter().for_each(|gfid| store.drop_stale(*gfid));
                Reply::Gfids(all)
            }),
            Fop::EntryChanges { gfid } => store.entry_changes(gfid).map(Reply::Names),
            Fop::EntryChangeDone { gfid, name } => store.entry_change_done(gfid, name.as_deref()).map(|()| Reply::Done),
            Fop::Checksum { gfid, offset, block, count } => {
                store.checksums(gfid, offset, block, count).map(Reply::Checksums)
            }
            Fop::Path { gfid } => store.path_of(gfid).map(|path| Reply::Bytes(path.into())),
            Fop::Opened { gfid, times, now } => {
                self.counters.used("open", gfid, times);
                self.state().opens.set(session, gfid, (times, now), std::time::SystemTime::now());
                Ok(Reply::Done)
            }
            Fop::Crawl { after } => store.crawl(after).map(Reply::Gfids),
        }
    }

    /// The system calls that a fop means, in words, for those who watch; `None`: it does not reach the disk.
    pub fn in_calls(&self, fop: &Fop, payload: usize) -> Option<String> {
        let root = self.store.path().display();
        let file = |gfid: &Gfid| match self.store.path_of(*gfid) {
            Ok(path) => format!("{root}{}", String::from_utf8_lossy(&path)),
            Err(_) => format!("{root}/.glusterfs/…/{gfid}"),
        };
        let inside = |parent: &Gfid, name: &Bytes| {
            format!("{}/{}", file(parent).trim_end_matches('/'), String::from_utf8_lossy(name))
        };
        Some(match fop {
            Fop::Xattrop(op) => {
                let (begun, accused): (Vec<&str>, Vec<&str>) =
                    op.add.iter().map(|(key, _)| key.as_str()).partition(|key| *key == DIRTY);
                let file = file(&op.gfid);
                let noted = (!begun.is_empty()).then(|| format!("note(.glusterfs/under-way, {file})"));
                let set = (!accused.is_empty()).then(|| format!("setxattr({file}, {})", accused.join(" ")));
                noted.into_iter().chain(set).collect::<Vec<_>>().join("; ")
            }
            Fop::Write { gfid, offset, .. } => format!("pwrite({}, {payload} bytes, at {offset})", file(gfid)),
            Fop::Truncate { gfid, size, .. } => format!("ftruncate({}, {size})", file(gfid)),
            Fop::Make { parent, name, node } => {
                let (path, gfid) = (inside(parent, name), node.gfid);
                match node.mode & libc::S_IFMT {
                    libc::S_IFDIR => format!("mkdir({path}); symlink(.glusterfs/…/{gfid})"),
                    _ => format!("creat({path}); link(.glusterfs/…/{gfid})"),
                }
            }
            Fop::Unlink { parent, name, .. } => format!("unlink({}); unlink(.glusterfs/…)", inside(parent, name)),
            Fop::Fsync { gfid, .. } => format!("fsync({})", file(gfid)),
            _ => return None,
        })
    }

    /// The brick of `slot` is new and empty: notes on the root that it missed everything there.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn blame_root(&self, slot: &str) -> Result<(), String> {
        let pending = Pending { data: 0, metadata: 1, entry: 1 };
        let add = vec![(format!("{AFR}{slot}"), pending)];
        let noted = self.store.xattrop(&Xattrop { gfid: Gfid::ROOT, add, name: None });
        self.tell_blaming();
        noted.map(drop).map_err(|e| std::io::Error::from_raw_os_error(e).to_string())
    }

    /// Mounts may change nothing, or (`false`) everything again.
    pub fn set_read_only(&self, on: bool) {
        self.read_only.store(on, SeqCst);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_mount(&self, session: Session) -> bool {
        self.sessions.get(&session).and_then(|c| c.hello.as_ref()).is_some_and(|hello| hello.process == "fuse")
    }
}

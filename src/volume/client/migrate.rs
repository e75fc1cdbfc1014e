//! Moving files to where their names belong: rebalance, and emptying bricks that are to be removed.
//!
//! One process a server walks the tree. In each directory it first deals the ranges out anew ([`Mode::FixLayout`] stops there), then moves the files
//! that lie on sets of its own server (those whose first brick is there) and whose names now belong elsewhere. A file is moved
//! under its lock: clients that write to it wait, then find it gone, look for it and go on where it is now.
//!
//! A layout that was dealt out anew carries the commit hash 0, not the volume's: names in it are looked for everywhere.
//! Left out: the `+S+T` bits that GlusterFS shows on a file while it moves; files with several names stay where they are.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::files::Graph;
use super::manager::{Manager, Source};
use super::role;
use super::session::Session;
use super::set::{Set, lease};
use crate::volume::gfid::Gfid;
use crate::volume::handshake::{Defrag, DefragState};
use crate::volume::hash;
use crate::volume::layout::Layout;
use crate::volume::replicate::Kids;
use crate::volume::rpc::{Change, Domain, Fop, Inode, Lock, Node, Reply};
use crate::volume::xattr::LINKTO;
use crate::volume::{Happening, options};
use crate::world::What;

/// What is copied at once.
const PIECE: u32 = 1 << 20;

/// What to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: deal out ranges only.
    FixLayout,
    /// What belongs elsewhere, unless that would leave the target with less room than the source.
    Rebalance,
    /// What belongs elsewhere.
    Force,
    /// Everything on sets that are to be removed.
    RemoveBrick,
}

impl Mode {
    /// From the words of the command line: `fix-layout`, `rebalance`, `force`, `remove-brick`.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "fix-layout" => Self::FixLayout,
            "rebalance" => Self::Rebalance,
            "force" => Self::Force,
            "remove-brick" => Self::RemoveBrick,
            _ => return None,
        })
    }
}

/// Runs the mover of one server to its end.
///
/// # Errors
/// If it cannot get the volume, or does not know the mode.
pub fn run(source: &Source, machine: &str, volume_id: &str, mode: &str) -> io::Result<()> {
    let mode = Mode::parse(mode).ok_or_else(|| {
        io::Error::other(format!("there is no mode `{mode}`; there are fix-layout, rebalance, force, remove-brick"))
    })?;
    let (volumes, _line) = role::obtain(source, machine, volume_id, "rebalance")?;
    let volume = volumes.into_iter().next().ok_or_else(|| io::Error::other("there is no such volume"))?;
    let name = format!("{machine}/rebalance");
    let session = role::start(volume.clone(), source, machine, ("rebalance", "client", &name), |_| {})?;
    let ready = session.wait_ready(Duration::from_secs(10));
    let mut mover = Mover::new(session, machine, mode, matches!(source, Source::Managers(_)));
    if !ready {
        mover.log("not enough bricks answered in time", libc::ENOTCONN);
    }
    let outcome = if ready { mover.walk() } else { Err(libc::ENOTCONN) };
    mover.finish(outcome);
    Ok(())
}

/// A walk through the tree.
pub struct Mover {
    session: Arc<Session>,
    graph: Arc<Graph>,
    machine: String,
    mode: Mode,
    progress: Defrag,
    began: Instant,
    told: Option<Instant>,
    manager: Option<Manager>,
    stopped: bool,
}

impl Mover {
    /// A walk that has not begun. `tells`: report to the server's manager.
    pub fn new(session: Arc<Session>, machine: &str, mode: Mode, tells: bool) -> Self {
        let graph = session.files.graph();
        let manager = if tells { Manager::dial(machine, machine).ok() } else { None };
        let volume = graph.volume.name.clone();
        let progress = Defrag { volume, state: DefragState::InProgress, ..Defrag::default() };
        let (began, machine) = (Instant::now(), machine.into());
        Self { session, graph, machine, mode, progress, began, told: None, manager, stopped: false }
    }

    /// How far it is.
    pub fn progress(&self) -> &Defrag {
        &self.progress
    }

    /// Walks the whole tree.
    ///
    /// # Errors
    /// What kept a directory from being listed or dealt out.
    pub fn walk(&mut self) -> Result<(), i32> {
        let mut dirs = vec![Gfid::ROOT];
        while let Some(dir) = dirs.pop() {
            match self.directory(dir, &mut dirs) {
                Ok(()) => {}
                // It was removed meanwhile.
                Err(libc::ENOENT | libc::ESTALE) if dir != Gfid::ROOT => {}
                // Without a set nothing can be decided any more.
                Err(errno @ (libc::ENOTCONN | libc::EIO)) => {
                    self.log(&format!("directory {}", self.words(dir)), errno);
                    return Err(errno);
                }
                Err(errno) => {
                    self.progress.failures += 1;
                    self.log(&format!("directory {}", self.words(dir)), errno);
                }
            }
            if self.stopped {
                return Ok(());
            }
            self.tell(false);
        }
        Ok(())
    }

    /// One directory: its ranges, then its files; what is below it is noted in `dirs`.
    fn directory(&mut self, dir: Gfid, dirs: &mut Vec<Gfid>) -> Result<(), i32> {
        let layout = self.deal_out(dir)?;
        let mut below = std::collections::HashSet::new();
        for (i, set) in self.graph.clone().sets.iter().enumerate() {
            for entry in set.readdir(dir, true)? {
                if self.stopped {
                    return Ok(());
                }
                let Some(inode) = entry.inode else { continue };
                if inode.iatt.is_dir() {
                    if below.insert(inode.gfid) {
                        dirs.push(inode.gfid);
                    }
                } else if self.mode != Mode::FixLayout && self.is_own(i) {
                    self.look_at(i, (dir, &entry.name), &inode, &layout);
                    self.tell(false);
                }
            }
        }
        Ok(())
    }

    /// A line in the log: what could not be done, and why.
    fn log(&self, what: &str, errno: i32) {
        eprintln!("{}-dht: {what}: {}", self.graph.volume.name, io::Error::from_raw_os_error(errno));
    }

    /// A directory's path, as far as one is known.
    fn words(&self, dir: Gfid) -> String {
        let path = self.session.files.path(&self.graph, dir);
        path.map_or_else(|_| format!("<gfid:{dir}>"), |p| String::from_utf8_lossy(&p).into_owned())
    }

    /// Whether this server moves a set's files.
    fn is_own(&self, set: usize) -> bool {
        let first = self.graph.volume.bricks.get(set * self.graph.volume.replica.max(1));
        first.is_some_and(|b| b.host == self.machine)
    }

    fn is_leaving(&self, set: usize) -> bool {
        let replica = self.graph.volume.replica.max(1);
        self.graph.volume.bricks.iter().skip(set * replica).take(replica).any(|b| b.decommissioned)
    }

    /// Deals a directory's ranges out anew.
    fn deal_out(&self, dir: Gfid) -> Result<Layout, i32> {
        let set = self.graph.sets.first().ok_or(libc::ENOENT)?;
        let brick = set.ready()?.iter().next().map(Kids::one).ok_or(libc::ENOTCONN)?;
        // Every server deals out: one after the other, each from what the one before it wrote.
        let lock = Lock { domain: Domain::Heal, gfid: dir, name: None };
        set.wire
            .ask(brick, &[Fop::Lock { lock: lock.clone(), wait: true }])
            .iter()
            .try_for_each(|(_, a)| a.outcome())?;
        self.session.files.forget(dir);
        let dealt = self.deal_out_locked(dir);
        set.wire.ask(brick, &[Fop::Unlock { lock }]);
        dealt
    }

    fn deal_out_locked(&self, dir: Gfid) -> Result<Layout, i32> {
        let files = &self.session.files;
        let old = files.layout(&self.graph, dir)?;
        let path = files.path(&self.graph, dir)?;
        let weighted = options::is_on(&self.graph.volume, "cluster.weighted-rebalance");
        // No generation: as long as files move, a name that is not where it belongs may still be elsewhere.
        let layout = Layout::assign(&path, 0, &files.shares(&self.graph), weighted).kept_close_to(&old);
        if layout != *old {
            files.write_layout(&self.graph, dir, &layout)?;
        }
        Ok(layout)
    }

    /// Moves a file if its name belongs elsewhere; removes a link-to file that nobody needs any more.
    fn look_at(&mut self, from: usize, at: (Gfid, &Bytes), inode: &Inode, layout: &Layout) {
        let to = layout.find(hash::of_name(at.1));
        if inode.linkto.is_some() {
            if to != Some(from) {
                // A link that stays costs a look; the next walk takes it.
                let _ = self.drop_link(from, at, inode.gfid);
            }
            return;
        }
        self.progress.scanned += 1;
        let Some(to) = to.filter(|to| *to != from) else { return };
        if self.mode == Mode::RemoveBrick && !self.is_leaving(from) {
            return;
        }
        if inode.iatt.nlink > 1 || (self.mode == Mode::Rebalance && !self.has_room(from, to, inode.iatt.size)) {
            self.progress.skipped += 1;
            return;
        }
        match self.carry(from, to, at, inode.gfid) {
            Ok(size) => {
                self.progress.files += 1;
                self.progress.size += size;
                self.report(at, from, to, size);
            }
            // It was removed or moved meanwhile.
            Err(libc::ENOENT) => {}
            Err(errno) => {
                self.progress.failures += 1;
                let what = format!("file {} in {}", String::from_utf8_lossy(at.1), self.words(at.0));
                self.log(&what, errno);
            }
        }
    }

    /// Removes a link-to file, under its lock: another server may be making a file of it, and then it is one already.
    fn drop_link(&self, at_set: usize, at: (Gfid, &Bytes), gfid: Gfid) -> Result<(), i32> {
        let set = &self.graph.sets[at_set];
        let entered = set.lease(&lease::inode(gfid), lease::ALL)?;
        let is_link = set.lookup(at.0, at.1).map(|found| found.inode.gfid == gfid && found.inode.linkto.is_some());
        let outcome = if is_link == Ok(true) { unlink(set, at) } else { Ok(()) };
        set.leave(entered);
        set.settle(gfid);
        outcome
    }

    /// Whether the target keeps at least as much room as the source has.
    fn has_room(&self, from: usize, to: usize, size: u64) -> bool {
        let room = |i: usize| self.graph.sets[i].room().map(|r| r.available * r.block);
        match (room(from), room(to)) {
            (Ok(source), Ok(target)) => target.saturating_sub(size) >= source.saturating_sub(size),
            _ => false,
        }
    }

    /// Moves one file under its lock.
    fn carry(&self, from: usize, to: usize, at: (Gfid, &Bytes), gfid: Gfid) -> Result<u64, i32> {
        let (source, target) = (&self.graph.sets[from], &self.graph.sets[to]);
        let entered = source.lease(&lease::inode(gfid), lease::ALL)?;
        let outcome = self.carry_locked((from, source), target, at, gfid);
        source.leave(entered);
        source.settle(gfid);
        target.settle(gfid);
        self.session.files.forget(gfid);
        outcome
    }

    fn carry_locked(
        &self,
        (from, source): (usize, &Set),
        target: &Set,
        at: (Gfid, &Bytes),
        gfid: Gfid,
    ) -> Result<u64, i32> {
        let inode = source.stat(gfid)?.inode;
        if inode.linkto.is_some() {
            return Err(libc::ENOENT);
        }
        self.prepare(from, source, target, at, &inode)?;
        let copied = copy(source, target, &inode).and_then(|size| dress(source, target, &inode).map(|()| size));
        let size = copied.inspect_err(|_| {
            let _ = unlink(target, at);
        })?;
        // From here on it is a file of its own there; the next line ends it here.
        if let Err(errno) = unlink(source, at) {
            let _ = unlink(target, at);
            return Err(errno);
        }
        Ok(size)
    }

    /// An empty file with the same identity on the target, which points back as long as it is not complete.
    fn prepare(
        &self,
        from: usize,
        source: &Set,
        target: &Set,
        (dir, name): (Gfid, &Bytes),
        inode: &Inode,
    ) -> Result<(), i32> {
        match target.lookup(dir, name) {
            Ok(found) if found.inode.gfid == inode.gfid && found.inode.linkto.is_some() => return Ok(()),
            Ok(_) => return Err(libc::EEXIST),
            Err(libc::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        let iatt = &inode.iatt;
        let is_link = iatt.kind() == libc::S_IFLNK;
        let link = if is_link { readlink(source, inode.gfid)? } else { Bytes::new() };
        let back = format!("{}\0", self.graph.name(from));
        let xattrs = if iatt.is_file() { vec![(Bytes::from_static(LINKTO.as_bytes()), back.into())] } else { vec![] };
        let mode = if iatt.is_file() { super::files::LINKTO_MODE } else { iatt.mode };
        let (gfid, uid, gid, rdev, time) = (inode.gfid, iatt.uid, iatt.gid, iatt.rdev, iatt.mtime);
        let node = Box::new(Node { gfid, mode, uid, gid, rdev, target: link, time, xattrs, umask: None });
        target.change_names(dir, name, &Fop::Make { parent: dir, name: name.clone(), node }).map(drop)
    }

    fn report(&self, (dir, name): (Gfid, &Bytes), from: usize, to: usize, bytes: u64) {
        if !self.session.is_watched() {
            return;
        }
        let path = self.session.files.path(&self.graph, dir).unwrap_or_default();
        let path =
            format!("{}/{}", String::from_utf8_lossy(&path).trim_end_matches('/'), String::from_utf8_lossy(name));
        let (from, to) = (self.graph.name(from), self.graph.name(to));
        let volume = self.graph.volume.name.clone();
        self.session.report(What::Volume(Happening::Moved { volume, path, from, to, bytes }));
    }

    /// Tells the manager how far it is, about once a second; stops if it says so.
    fn tell(&mut self, now: bool) {
        let due = self.told.is_none_or(|t| t.elapsed() >= Duration::from_secs(1));
        if !now && !due {
            return;
        }
        self.told = Some(Instant::now());
        self.progress.seconds = self.began.elapsed().as_secs();
        if let Some(manager) = &mut self.manager {
            match manager.ask(&self.progress) {
                Ok(go_on) => self.stopped |= !go_on,
                // Without a manager it goes on; the next word dials anew.
                Err(_) => self.manager = Manager::dial(&self.machine, &self.machine).ok(),
            }
        }
    }

    fn finish(&mut self, outcome: Result<(), i32>) {
        self.progress.state = match outcome {
            Err(_) => DefragState::Failed,
            Ok(()) if self.stopped => DefragState::Stopped,
            Ok(()) => DefragState::Completed,
        };
        self.tell(true);
        self.session.end();
    }
}

fn unlink(set: &Set, (dir, name): (Gfid, &Bytes)) -> Result<(), i32> {
    let fop = Fop::Unlink { parent: dir, name: name.clone(), keep: false, time: set.wire.now() };
    set.change_names(dir, name, &fop).map(drop)
}

fn readlink(set: &Set, gfid: Gfid) -> Result<Bytes, i32> {
    match set.tell(gfid, &Fop::Readlink { gfid })? {
        Reply::Bytes(target) => Ok(target),
        _ => Err(libc::EIO),
    }
}

/// Copies contents; leaves holes where there are only zeros.
fn copy(source: &Set, target: &Set, inode: &Inode) -> Result<u64, i32> {
    if !inode.iatt.is_file() {
        return Ok(0);
    }
    let (gfid, size, time) = (inode.gfid, inode.iatt.size, Some(inode.iatt.mtime));
    target.change_data(gfid, lease::ALL, Fop::Truncate { gfid, size, time }, &Bytes::new())?;
    let mut offset = 0;
    while offset < size {
        let data = source.read(gfid, offset, PIECE, None)?;
        if data.is_empty() {
            return Err(libc::EIO);
        }
        if data.iter().any(|b| *b != 0) {
            let part = (offset, offset + data.len() as u64 - 1);
            target.change_data(gfid, part, Fop::Write { gfid, offset, time }, &data)?;
        }
        offset += data.len() as u64;
    }
    target.sync(gfid, false)?;
    Ok(size)
}

/// Gives the copy the attributes of the original, and makes it a file in its own right.
fn dress(source: &Set, target: &Set, inode: &Inode) -> Result<(), i32> {
    let (gfid, iatt) = (inode.gfid, &inode.iatt);
    if let Reply::Xattrs(all) = source.tell(gfid, &Fop::Xattrs { gfid, internal: false })? {
        for (key, value) in all {
            target.change_metadata(gfid, &Fop::Setxattr { gfid, key, value, flags: 0 })?;
        }
    }
    let mode = (iatt.kind() != libc::S_IFLNK).then_some(iatt.mode & 0o7777);
    let times = (Some(iatt.atime), Some(iatt.mtime), Some(iatt.ctime));
    let change =
        Change { mode, uid: Some(iatt.uid), gid: Some(iatt.gid), atime: times.0, mtime: times.1, ctime: times.2 };
    target.change_metadata(gfid, &Fop::Setattr { gfid, change })?;
    if iatt.is_file() {
        let key = Bytes::from_static(LINKTO.as_bytes());
        target.change_metadata(gfid, &Fop::Removexattr { gfid, key })?;
    }
    Ok(())
}

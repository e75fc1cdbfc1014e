//! The volume as one tree: which set has a name, and what to do when that is not where its hash says.
//!
//! Directories are on every set; a file is on one. A name's hash and its directory's layout say on which (the **hashed** set). If the file
//! is elsewhere (it was renamed, or the ranges were dealt out anew), a **link-to file** lies on the hashed set: empty, mode
//! `---------T`, with the name of the set that has the data. With one set only, all of this falls away.

mod entries;
mod place;
mod room;

pub use place::LINKTO_MODE;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;

use super::copies;
use super::set::{Found, Set};
use super::tale;
use crate::volume::definition::Volume;
use crate::volume::gfid::Gfid;
use crate::volume::layout::Layout;
use crate::volume::rpc::{Change, Fop, Held, Iatt, Reply, Room};

/// The sets of a volume and their names.
pub struct Graph {
    /// The volume that it was made from.
    pub volume: Volume,
    /// The sets, in the volume's order.
    pub sets: Vec<Arc<Set>>,
}

impl Graph {
    /// The name of a set, as link-to files tell it.
    pub fn name(&self, set: usize) -> String {
        self.volume.subvolume_name(set)
    }
}

/// A directory is on every set, and each notes only the changes of its own names: what one set tells of it is completed by
/// what the others do. Its times are the youngest. Mode and owner are those of the
/// last change. Also tells whether one of them lacks it, or has another mode or owner.
fn merged(graph: &Graph, place: usize, mut found: Found) -> (Found, bool, bool) {
    let others = graph.sets.iter().enumerate().filter(|(i, _)| *i != place);
    let others: Vec<_> = others.map(|(_, set)| set.stat(found.inode.gfid)).collect();
    let lacking = others.iter().any(|other| matches!(other, Err(libc::ENOENT)));
    let rights = |iatt: &Iatt| (iatt.mode, iatt.uid, iatt.gid);
    let mut uneven = false;
    for other in others.into_iter().flatten() {
        let (own, more) = (&mut found.inode.iatt, other.inode.iatt);
        uneven |= rights(own) != rights(&more);
        if more.ctime > own.ctime {
            (own.mode, own.uid, own.gid) = rights(&more);
        }
        own.mtime = own.mtime.max(more.mtime);
        own.ctime = own.ctime.max(more.ctime);
        own.atime = own.atime.max(more.atime);
        own.nlink = own.nlink.max(more.nlink);
        found.needs_heal |= other.needs_heal;
    }
    (found, lacking, uneven)
}

/// A volume's tree.
pub struct Files {
    graph: RwLock<Arc<Graph>>,
    known: Mutex<Known>,
}

/// What was seen where.
#[derive(Default)]
struct Known {
    /// Which set has a file.
    places: HashMap<Gfid, usize>,
    /// Who holds which names of a directory.
    layouts: HashMap<Gfid, Arc<Layout>>,
    /// A directory's path from the root.
    paths: HashMap<Gfid, Vec<u8>>,
    /// How much room there is.
    rooms: Option<room::Rooms>,
}

/// How much is remembered.
const MOST: usize = 200_000;

impl Files {
    /// A tree over these sets.
    pub fn new(graph: Graph) -> Self {
        Self { graph: RwLock::new(Arc::new(graph)), known: Mutex::default() }
    }

    /// The sets as they are now.
    pub fn graph(&self) -> Arc<Graph> {
        self.graph.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The volume changed.
    pub fn switch(&self, graph: Graph) {
        *self.graph.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(graph);
        *self.known() = Known::default();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.places.len() > MOST || known.layouts.len() > MOST {
            *known = Known::default();
        }
        known
    }

    /// Somebody else changed an inode or a name in a directory.
    pub fn forget(&self, gfid: Gfid) {
        self.graph().sets.iter().for_each(|set| set.forget(gfid));
        let mut known = self.known();
        known.places.remove(&gfid);
        known.layouts.remove(&gfid);
        known.paths.remove(&gfid);
    }

    /// An inode was changed by way of its name: what was told of it a moment ago is not so any more.
    pub fn outdate(&self, gfid: Gfid) {
        self.graph().sets.iter().for_each(|set| set.changed(gfid));
    }

    /// Somebody else changed a name in a directory.
    pub fn forget_name(&self, dir: Gfid, name: &Bytes) {
        self.graph().sets.iter().for_each(|set| set.forget_name(dir, name));
    }

    /// The figures of an inode by its gfid.
    ///
    /// # Errors
    /// As of the set.
    pub fn figures(&self, gfid: Gfid) -> Result<Iatt, i32> {
        if let [set] = &self.graph().sets[..]
            && let Some(figures) = set.figures(gfid)
        {
            return Ok(figures);
        }
        self.stat(gfid).map(|found| found.inode.iatt)
    }

    /// An inode by its gfid.
    ///
    /// # Errors
    /// As of the set.
    pub fn stat(&self, gfid: Gfid) -> Result<Found, i32> {
        let graph = self.graph();
        if let [set] = &graph.sets[..] {
            return set.stat(gfid);
        }
        let place = self.known().places.get(&gfid).copied();
        if let Some(found) = place.and_then(|i| graph.sets[i].stat(gfid).ok()).filter(|f| f.inode.linkto.is_none()) {
            return Ok(found);
        }
        let (place, found) = self.search(&graph, gfid)?;
        if found.inode.iatt.is_dir() {
            return Ok(merged(&graph, place, found).0);
        }
        self.known().places.insert(gfid, place);
        Ok(found)
    }

    /// Asks one set after the other for an inode that is no link-to file.
    fn search(&self, graph: &Graph, gfid: Gfid) -> Result<(usize, Found), i32> {
        let mut errno = libc::ENOENT;
        for (i, set) in graph.sets.iter().enumerate() {
            match set.stat(gfid) {
                Ok(found) if found.inode.linkto.is_none() => return Ok((i, found)),
                Ok(_) | Err(libc::ENOENT) => {}
                Err(e) => errno = e,
            }
        }
        Err(errno)
    }

    /// The set that has a file.
    ///
    /// # Errors
    /// ENOENT, or what kept it from being found.
    pub fn set_of(&self, gfid: Gfid) -> Result<Arc<Set>, i32> {
        let graph = self.graph();
        let place = if graph.sets.len() == 1 { 0 } else { self.place_of(&graph, gfid)? };
        graph.sets.get(place).cloned().ok_or(libc::EIO)
    }

    /// Where in the graph the set is that has a file. It may have been forgotten since it was last seen.
    fn place_of(&self, graph: &Graph, gfid: Gfid) -> Result<usize, i32> {
        let place = self.known().places.get(&gfid).copied();
        if let Some(place) = place {
            return Ok(place);
        }
        let (place, found) = self.search(graph, gfid)?;
        if !found.inode.iatt.is_dir() {
            self.known().places.insert(gfid, place);
        }
        Ok(place)
    }

    /// Does something to a file where it is; looks for it anew if it is there no longer.
    fn on_file<T>(&self, gfid: Gfid, act: impl Fn(&Set) -> Result<T, i32>) -> Result<T, i32> {
        match act(&*self.set_of(gfid)?) {
            Err(libc::ENOENT | libc::ESTALE) if self.graph().sets.len() > 1 => {
                self.known().places.remove(&gfid);
                act(&*self.set_of(gfid)?)
            }
            other => other,
        }
    }

    /// A set's name.
    fn name_of(&self, set: &Set) -> String {
        let graph = self.graph();
        copies::place(&graph, set).map_or(String::new(), |i| graph.name(i))
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// As of [`Set::read`].
    pub fn read(&self, gfid: Gfid, offset: u64, size: u32, choice: Option<usize>) -> Result<Bytes, i32> {
        self.on_file(gfid, |set| set.read(gfid, offset, size, choice))
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn write(&self, gfid: Gfid, offset: u64, data: &Bytes) -> Result<Iatt, i32> {
        self.put(gfid, offset, data, None)
    }

    /// Writes bytes; they are on the disks when it is done. `alone`: as of fdatasync(2).
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn write_safely(&self, gfid: Gfid, offset: u64, data: &Bytes, alone: bool) -> Result<Iatt, i32> {
        self.put(gfid, offset, data, Some(alone))
    }

    fn put(&self, gfid: Gfid, offset: u64, data: &Bytes, sync: Option<bool>) -> Result<Iatt, i32> {
        self.on_file(gfid, |set| {
            tale::step("dht", "way-cached", || vec![("subvolume", self.name_of(set))]);
            let time = Some(set.wire.now());
            let part = (offset, offset + (data.len() as u64).max(1) - 1);
            let fop = Fop::Write { gfid, offset, time };
            match sync {
                None => set.change_data(gfid, part, fop, data),
                Some(alone) => set.change_safely(gfid, part, fop, data, alone),
            }
        })
    }

    /// Writes bytes at the end of a file, wherever that is now; gives where.
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn append(&self, gfid: Gfid, data: &Bytes) -> Result<(u64, Iatt), i32> {
        self.on_file(gfid, |set| set.append(gfid, data))
    }

    /// Sets the length.
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn truncate(&self, gfid: Gfid, size: u64) -> Result<Iatt, i32> {
        self.on_file(gfid, |set| {
            let time = Some(set.wire.now());
            set.change_data(gfid, super::set::lease::ALL, Fop::Truncate { gfid, size, time }, &Bytes::new())
        })
    }

    /// fallocate(2).
    ///
    /// # Errors
    /// As of [`Set::change_data`].
    pub fn fallocate(&self, gfid: Gfid, mode: i32, offset: u64, size: u64) -> Result<Iatt, i32> {
        self.on_file(gfid, |set| {
            let fop = Fop::Fallocate { gfid, mode, offset, size, time: set.wire.now() };
            set.change_data(gfid, super::set::lease::ALL, fop, &Bytes::new())
        })
    }

    /// What was written is safe.
    ///
    /// # Errors
    /// As of [`Set::sync`].
    pub fn sync(&self, gfid: Gfid, data: bool) -> Result<(), i32> {
        self.on_file(gfid, |set| set.sync(gfid, data))
    }

    /// Nobody here has the file open any more.
    pub fn settle(&self, gfid: Gfid) {
        let place = self.known().places.get(&gfid).copied();
        let graph = self.graph();
        if let Some(set) = graph.sets.get(place.unwrap_or_default()) {
            set.settle(gfid);
        }
    }

    /// Sets mode, owner, times; of a directory on every set.
    ///
    /// # Errors
    /// As of [`Set::change_metadata`].
    pub fn setattr(&self, gfid: Gfid, is_dir: bool, change: &Change) -> Result<Iatt, i32> {
        let fop = Fop::Setattr { gfid, change: change.clone() };
        self.metadata(gfid, is_dir, &fop)?.iatt().ok_or(libc::EIO)
    }

    /// Sets or removes an attribute.
    ///
    /// # Errors
    /// As of [`Set::change_metadata`].
    pub fn metadata(&self, gfid: Gfid, is_dir: bool, fop: &Fop) -> Result<Reply, i32> {
        if !is_dir {
            return self.on_file(gfid, |set| set.change_metadata(gfid, fop));
        }
        let mut outcome = Err(libc::ENOENT);
        for set in &self.graph().sets {
            let one = set.change_metadata(gfid, fop);
            outcome = if outcome.is_ok() { outcome } else { one };
        }
        outcome
    }

    /// Whatever one good copy can tell of an inode.
    ///
    /// # Errors
    /// As of [`Set::tell`].
    pub fn tell(&self, gfid: Gfid, fop: &Fop) -> Result<Reply, i32> {
        self.on_file(gfid, |set| set.tell(gfid, fop))
    }

    /// Takes a lock of a process, or gives it back.
    ///
    /// # Errors
    /// As of [`Set::hold`].
    pub fn hold(&self, gfid: Gfid, held: &Held) -> Result<(), i32> {
        self.on_file(gfid, |set| set.hold(gfid, held))
    }

    /// Who is in the way of such a lock.
    ///
    /// # Errors
    /// As of [`Set::holder`].
    pub fn holder(&self, gfid: Gfid, held: &Held) -> Result<Option<Held>, i32> {
        self.on_file(gfid, |set| set.holder(gfid, held))
    }

    /// Room in the whole volume; what several sets share counts once.
    ///
    /// # Errors
    /// ENOTCONN if no set can tell.
    pub fn room(&self) -> Result<Room, i32> {
        let rooms = self.graph().sets.iter().filter_map(|set| set.room().ok()).collect::<Vec<_>>();
        let mut total = *rooms.first().ok_or(libc::ENOTCONN)?;
        for (n, room) in rooms.iter().enumerate().skip(1) {
            if rooms[..n].iter().any(|earlier| earlier.fsid == room.fsid) {
                continue;
            }
            let scale = |blocks: u64| blocks * room.block / total.block.max(1);
            total.blocks += scale(room.blocks);
            total.free += scale(room.free);
            total.available += scale(room.available);
            total.files += room.files;
            total.files_free += room.files_free;
        }
        Ok(total)
    }
}

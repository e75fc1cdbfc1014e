//! What is under way: changes that were begun and not ended yet, and times that nobody has asked the disk for.
//!
//! A write begins with a note that it is begun and ends with taking the note back a moment later, and each write and each change of
//! a name gives an inode new times. As attributes that is several changes of the disk for each file that is made, of which only the last
//! is of interest. So while a client holds the lock under which it changes an inode, both are kept here and reach the attributes
//! (and the index) when the lock goes back ([`Store::settle`]), the client is lost, or the inode is made safe (fsync).
//!
//! The notes lie in a file that is mapped into memory, `.glusterfs/under-way`, one slot an inode: a brick that is killed finds them there when it
//! starts again and writes them where they belong. When there is no slot left the attributes are changed at once.

use std::collections::HashMap;
use std::os::fd::AsRawFd;

use super::{PRIVATE, Store, held};
use crate::volume::brick::sys::{self, Mapped, Result};
use crate::volume::gfid::Gfid;
use crate::volume::xattr::{self, Mdata, Pending};

/// How many inodes may be under way.
const SLOTS: usize = 512;
/// Bytes of a slot: used (1 or 0), the gfid, what is begun, whether there are times, the times.
const SLOT: usize = 128;

/// What is under way with one inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flight {
    /// What was begun and not ended.
    pub begun: Pending,
    /// Its times, if they are not in its attributes yet.
    pub times: Option<Mdata>,
}

impl Flight {
    fn encode(&self, gfid: Gfid) -> [u8; SLOT] {
        let mut raw = [0; SLOT];
        raw[0] = 1;
        raw[1..17].copy_from_slice(&gfid.0);
        raw[17..29].copy_from_slice(&self.begun.encode());
        raw[29] = u8::from(self.times.is_some());
        raw[30..87].copy_from_slice(&self.times.unwrap_or_default().encode());
        raw
    }

    fn decode(raw: &[u8]) -> Option<(Gfid, Self)> {
        let times = if raw[29] == 1 { Mdata::decode(&raw[30..87]) } else { None };
        let flight = Self { begun: Pending::decode(&raw[17..29]), times };
        (raw[0] == 1).then_some((Gfid::from_slice(&raw[1..17])?, flight))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Flights {
    slots: Option<Mapped>,
    free: Vec<usize>,
    all: HashMap<Gfid, (usize, Flight)>,
}

impl Flights {
    /// Over a mapped file; gives also what was under way when it was left.
    fn new(slots: Mapped) -> (Self, Vec<(Gfid, Flight)>) {
        let left = (0..SLOTS).filter_map(|n| Flight::decode(slots.bytes(n * SLOT, SLOT))).collect();
        (Self { slots: Some(slots), free: (0..SLOTS).collect(), all: HashMap::new() }, left)
    }

    /// What is under way with an inode.
    pub fn get(&self, gfid: Gfid) -> Option<Flight> {
        self.all.get(&gfid).map(|(_, flight)| *flight)
    }

    /// Inodes of which something was begun.
    pub fn begun(&self) -> impl Iterator<Item = Gfid> + '_ {
        self.all.iter().filter(|(_, (_, flight))| !flight.begun.is_zero()).map(|(gfid, _)| *gfid)
    }

    /// Changes what is under way with an inode; `false`: there is no room.
    fn change(&mut self, gfid: Gfid, change: impl FnOnce(&mut Flight)) -> bool {
        let known = self.all.get(&gfid).copied();
        let Some((slot, mut flight)) = known.or_else(|| self.free.pop().map(|slot| (slot, Flight::default()))) else {
            return false;
        };
        let Some(slots) = &mut self.slots else { return false };
        change(&mut flight);
        if flight == Flight::default() {
            slots.put(slot * SLOT, &[0]);
            self.free.push(slot);
            self.all.remove(&gfid);
        } else {
            slots.put(slot * SLOT, &flight.encode(gfid));
            self.all.insert(gfid, (slot, flight));
        }
        true
    }

    /// Counts something as begun, or takes it back. Gives what is begun then; `None`: it is not counted here.
    pub fn count(&mut self, gfid: Gfid, add: Pending) -> Option<Pending> {
        let begun = self.get(gfid).unwrap_or_default().begun;
        let sum = begun.plus(add);
        let fits = [sum.data, sum.metadata, sum.entry].iter().all(|n| n.cast_signed() >= 0);
        (fits && self.change(gfid, |flight| flight.begun = sum)).then_some(sum)
    }

    /// Keeps times, or (`None`) keeps them no longer; `false`: there is no room.
    pub fn keep_times(&mut self, gfid: Gfid, times: Option<Mdata>) -> bool {
        (times.is_none() && !self.all.contains_key(&gfid)) || self.change(gfid, |flight| flight.times = times)
    }

    /// Nothing is under way any more.
    fn clear(&mut self) {
        let Some(slots) = &mut self.slots else { return };
        (0..SLOTS).for_each(|n| slots.put(n * SLOT, &[0]));
        (self.free, self.all) = ((0..SLOTS).collect(), HashMap::new());
    }

    /// Nothing is under way with it any more.
    pub fn forget(&mut self, gfid: Gfid) {
        if self.all.contains_key(&gfid) {
            self.change(gfid, |flight| *flight = Flight::default());
        }
    }
}

impl Store {
    /// What is under way with an inode.
    pub(super) fn flight(&self, gfid: Gfid) -> Option<Flight> {
        held(&self.flights).get(gfid)
    }

    /// Writes what is under way with an inode into its attributes: nobody holds the lock under which it was begun any more.
    pub(in crate::volume::brick) fn settle(&self, gfid: Gfid) -> Result<()> {
        if self.flight(gfid).is_none() {
            return Ok(());
        }
        let place = match self.opened(gfid) {
            Err(libc::ENOENT) => {
                held(&self.flights).forget(gfid);
                return Ok(());
            }
            other => other?,
        };
        let _alone = self.alone(gfid);
        let Some(flight) = self.flight(gfid) else { return Ok(()) };
        if !flight.begun.is_zero() {
            self.count_dirty(gfid, &place, flight.begun)?;
        }
        if let Some(times) = flight.times {
            self.write_mdata(gfid, &place, times)?;
        }
        held(&self.flights).forget(gfid);
        Ok(())
    }

    /// Takes up what was under way when the brick ended. Times go by the later one: the file may be older than the attributes.
    pub(super) fn resume_flights(&self) -> Result<()> {
        let name = sys::cstr(format!("{PRIVATE}/under-way"))?;
        let file = sys::open_at(self.fd(), &name, libc::O_RDWR | libc::O_CREAT, 0o600)?;
        let length = (SLOTS * SLOT) as u64;
        if sys::stat_fd(file.as_raw_fd())?.st_size as u64 != length {
            sys::write_at(file.as_raw_fd(), 0, &[0; SLOTS * SLOT])?;
            sys::truncate(file.as_raw_fd(), length)?;
        }
        let (flights, left) = Flights::new(Mapped::new(&file, SLOTS * SLOT)?);
        *held(&self.flights) = flights;
        for (gfid, Flight { begun, times }) in left {
            let Ok(place) = self.inode(gfid) else { continue };
            if !begun.is_zero() {
                self.count_dirty(gfid, &place, begun)?;
            }
            let known = self.raw_get(&place, xattr::MDATA).ok().and_then(|raw| Mdata::decode(&raw));
            if let Some(times) = times.filter(|times| known.is_none_or(|known| known.ctime < times.ctime)) {
                self.write_mdata(gfid, &place, times)?;
            }
        }
        held(&self.flights).clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::brick::store::Settings;
    use crate::volume::rpc::{Node, Xattrop};
    use crate::volume::xattr::{Kind, Time};

    const FILE: Gfid = Gfid([7; 16]);

    fn store(path: &std::path::Path) -> Store {
        Store::open(&Settings { path: path.into(), volume_id: Gfid([1; 16]), arbiter: false }).unwrap()
    }

    fn at(sec: i64) -> Time {
        Time { sec, nsec: 5 }
    }

    fn begin(store: &Store, n: i32) {
        let n = Pending::of(Kind::Data, n.cast_unsigned());
        store.xattrop(&Xattrop { gfid: FILE, add: vec![(xattr::DIRTY.into(), n)], name: None }).unwrap();
    }

    /// A file that was made and then written to, both without its attributes knowing of the write yet.
    fn written(store: &Store) {
        let (mode, xattrs) = (libc::S_IFREG | 0o644, vec![]);
        let node = Node {
            gfid: FILE,
            mode,
            uid: 0,
            gid: 0,
            rdev: 0,
            target: <_>::default(),
            time: at(1),
            xattrs,
            umask: None,
        };
        store.make(Gfid::ROOT, b"f", &node).unwrap();
        begin(store, 1);
        store.write(FILE, 0, b"hello", Some(at(9))).unwrap();
    }

    fn dirty(store: &Store) -> Option<u32> {
        let blame = store.stat(FILE).unwrap().blame;
        blame.iter().find(|(slot, _)| slot == "dirty").map(|(_, pending)| pending.data)
    }

    fn on_disk(store: &Store, key: &str) -> Option<Vec<u8>> {
        store.raw_get(&store.inode(FILE).unwrap(), key).ok()
    }

    /// What is begun and ended under one lock never reaches the disk; the times do when the lock goes back. Whoever asks meanwhile
    /// is told all of it.
    #[test]
    fn what_ends_soon_is_not_written_down() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        written(&store);
        assert_eq!((dirty(&store), store.stat(FILE).unwrap().iatt.mtime), (Some(1), at(9)));
        assert_eq!(store.index(true).unwrap(), [FILE]);
        assert_eq!((on_disk(&store, xattr::DIRTY), on_disk(&store, xattr::MDATA)), (None, None));
        begin(&store, -1);
        store.settle(FILE).unwrap();
        let times = on_disk(&store, xattr::MDATA).and_then(|raw| Mdata::decode(&raw)).unwrap();
        assert_eq!((dirty(&store), times.mtime, times.atime), (None, at(9), at(1)));
        assert!(store.index(true).unwrap().is_empty() && on_disk(&store, xattr::DIRTY).is_none());
    }

    /// A brick that is killed finds what was under way when it starts again, and so does one that made it safe before.
    #[test]
    fn the_killed_remember() {
        for safe in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let killed = store(root.path());
            written(&killed);
            if safe {
                killed.fsync(FILE, false).unwrap();
                assert!(on_disk(&killed, xattr::DIRTY).is_some(), "what is on the disk is marked there too");
            }
            drop(killed);
            let store = store(root.path());
            assert_eq!((dirty(&store), store.stat(FILE).unwrap().iatt.mtime), (Some(1), at(9)));
            assert_eq!(store.index(true).unwrap(), [FILE]);
            begin(&store, -1);
            assert_eq!((dirty(&store), store.index(true).unwrap().len()), (None, 0));
        }
    }

    /// With more under way than there is room for, the attributes are changed at once.
    #[test]
    fn what_finds_no_room_is_written_at_once() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path());
        for n in 0..SLOTS {
            let gfid = Gfid(u128::try_from(n + 1000).unwrap().to_be_bytes());
            assert!(held(&store.flights).keep_times(gfid, Some(Mdata::default())));
        }
        written(&store);
        assert!(on_disk(&store, xattr::DIRTY).is_some() && on_disk(&store, xattr::MDATA).is_some());
        begin(&store, -1);
        assert_eq!((dirty(&store), store.index(true).unwrap().len()), (None, 0));
    }
}

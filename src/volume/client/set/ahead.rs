//! Names that will be asked for next.
//!
//! Who asks for one name of a directory after the other will ask for the rest. From the [`SURE`]th name on that a brick has to be asked
//! for, each answer brings the next names of the directory along with their inodes, so that most of the names that follow cost no
//! round trip (Lustre calls it statahead). They come in the order of the brick's directory, not in the order in which they are asked for; so
//! it pays only in directories that are walked whole, and not in those that are too large to be remembered. What came is used
//! once, as long as nobody changed it (the bricks tell) and no brick came or went, and for [`KEEP`] at most. Pure but for the clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Blob, Entry, Inode};

/// How many names are asked for at once.
pub const STEP: u32 = 128;
/// How many names must have been asked for one by one.
const SURE: u32 = 4;
/// For how long what came is used, and a walk is one walk.
const KEEP: Duration = Duration::from_secs(1);
/// For how long a directory is left alone in which it did not pay.
const REST: Duration = Duration::from_secs(30);
/// How many names are kept.
const ROOM: usize = 16_384;
/// How many walks are remembered.
const WALKS: usize = 64;

/// Names that came along, by directory.
#[derive(Debug, Default)]
pub struct Ahead {
    names: HashMap<(Gfid, Blob), Came>,
    /// The names under which an inode is kept.
    of: HashMap<Gfid, (Gfid, Blob)>,
    walks: HashMap<Gfid, Walk>,
}

#[derive(Debug)]
struct Came {
    inode: Inode,
    generation: u64,
    at: Instant,
}

/// Somebody asks for names of a directory, one after the other.
#[derive(Debug)]
struct Walk {
    last: Instant,
    /// When names came along last.
    fed: Instant,
    generation: u64,
    asked: u32,
    came: u32,
    used: u32,
    /// Where to go on; `None`: at the end.
    cookie: Option<u64>,
}

impl Walk {
    fn new(generation: u64) -> Self {
        Self { last: Instant::now(), fed: Instant::now(), generation, asked: 0, came: 0, used: 0, cookie: Some(0) }
    }

    /// Whether it brought along much that nobody asked for.
    fn was_vain(&self) -> bool {
        self.came / 8 > self.used
    }

    fn is_over(&self, generation: u64) -> bool {
        let rest = if self.was_vain() { REST } else { KEEP };
        self.generation != generation || self.last.elapsed() > rest
    }
}

impl Ahead {
    /// A brick has to be asked for a name. Gives after which cookie the next names should come along, if they should.
    pub fn step(&mut self, dir: Gfid, generation: u64) -> Option<u64> {
        if self.walks.len() >= WALKS {
            self.walks.clear();
        }
        let walk = self.walks.entry(dir).or_insert_with(|| Walk::new(generation));
        if walk.is_over(generation) {
            *walk = Walk::new(generation);
        }
        (walk.asked, walk.last) = (walk.asked + 1, Instant::now());
        if walk.asked < SURE {
            return None;
        }
        // All that fitted came, was of use, and is too old by now: once more.
        if walk.cookie.is_none() && walk.fed.elapsed() > KEEP && !walk.was_vain() {
            (walk.came, walk.used, walk.cookie) = (0, 0, Some(0));
        }
        let after = walk.cookie?;
        if !self.has_room()
            && let Some(walk) = self.walks.get_mut(&dir)
        {
            walk.cookie = None;
            return None;
        }
        Some(after)
    }

    /// Whether the next names can be kept; makes room if they cannot.
    fn has_room(&mut self) -> bool {
        let is_full = |names: &HashMap<_, _>| names.len() + STEP as usize > ROOM;
        if is_full(&self.names) {
            self.names.retain(|_, came| came.at.elapsed() <= KEEP);
            let names = &self.names;
            self.of.retain(|_, name| names.contains_key(name));
        }
        !is_full(&self.names)
    }

    /// The next names came along.
    pub fn came(
        &mut self,
        dir: Gfid,
        entries: impl ExactSizeIterator<Item = Entry>,
        may_be_kept: impl Fn(&Inode) -> bool,
        generation: u64,
    ) {
        let Some(walk) = self.walks.get_mut(&dir) else { return };
        walk.came += u32::try_from(entries.len()).unwrap_or(STEP);
        (walk.cookie, walk.fed) = (None, Instant::now());
        for entry in entries {
            walk.cookie = Some(entry.cookie);
            if let Some(inode) = entry.inode.filter(&may_be_kept) {
                self.of.insert(inode.gfid, (dir, entry.name.clone()));
                self.names.insert((dir, entry.name), Came { inode, generation, at: Instant::now() });
            }
        }
    }

    /// A name that came along. It is given once: who asks again wants to know better.
    pub fn take(&mut self, dir: Gfid, name: &Blob, generation: u64) -> Option<Inode> {
        if self.names.is_empty() {
            return None;
        }
        let came = self.names.remove(&(dir, name.clone()))?;
        self.of.remove(&came.inode.gfid);
        if came.generation != generation || came.at.elapsed() > KEEP {
            return None;
        }
        if let Some(walk) = self.walks.get_mut(&dir) {
            (walk.used, walk.last) = (walk.used + 1, Instant::now());
        }
        Some(came.inode)
    }

    /// An inode changed.
    pub fn forget(&mut self, gfid: Gfid) {
        if let Some(name) = self.of.remove(&gfid) {
            self.names.remove(&name);
        }
    }

    /// A name changed.
    pub fn forget_name(&mut self, dir: Gfid, name: &Blob) {
        if !self.names.is_empty()
            && let Some(came) = self.names.remove(&(dir, name.clone()))
        {
            self.of.remove(&came.inode.gfid);
        }
    }
}

/// The contents in the payload of the answer to an `Ahead`, each with the place of its entry.
pub fn pieces(payload: &Bytes) -> impl Iterator<Item = (usize, Bytes)> + '_ {
    let word = |at: usize| {
        let word = payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(word.try_into().ok()?) as usize)
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        let (place, length) = (word(at)?, word(at + 4)?);
        let first = at + 8;
        at = first + length;
        (at <= payload.len()).then(|| (place, payload.slice(first..at)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u8) -> Entry {
        let inode = Inode { gfid: Gfid([n; 16]), ..Inode::default() };
        Entry { name: Blob::copy_from_slice(&[n]), cookie: n.into(), kind: libc::DT_REG, inode: Some(inode) }
    }

    fn walked() -> Ahead {
        let mut ahead = Ahead::default();
        assert!((1..SURE).all(|_| ahead.step(Gfid::ROOT, 1).is_none()), "one name is no walk");
        assert_eq!(ahead.step(Gfid::ROOT, 1), Some(0));
        ahead.came(Gfid::ROOT, [entry(1), entry(2)].into_iter(), |_| true, 1);
        ahead
    }

    /// Names come along once somebody walks a directory, and each is given once.
    #[test]
    fn a_walk_is_foreseen() {
        let mut ahead = walked();
        assert_eq!(ahead.take(Gfid::ROOT, &entry(1).name, 1), entry(1).inode);
        assert_eq!(ahead.take(Gfid::ROOT, &entry(1).name, 1), None);
        assert_eq!(ahead.step(Gfid::ROOT, 1), Some(2), "the walk goes on after the last name");
        ahead.came(Gfid::ROOT, [].into_iter(), |_| true, 1);
        assert_eq!(ahead.step(Gfid::ROOT, 1), None, "it is at the end");
    }

    /// What somebody changed, and what was so before a brick came or went, is not given.
    #[test]
    fn what_changed_is_not_foreseen() {
        let mut ahead = walked();
        ahead.forget(Gfid([1; 16]));
        assert_eq!(ahead.take(Gfid::ROOT, &entry(1).name, 1), None);
        assert_eq!(ahead.take(Gfid::ROOT, &entry(2).name, 2), None);
        let mut ahead = walked();
        ahead.forget_name(Gfid::ROOT, &entry(2).name);
        assert_eq!(ahead.take(Gfid::ROOT, &entry(2).name, 1), None);
    }

    /// Contents come one after the other; rubbish ends them.
    #[test]
    fn contents_are_taken_apart() {
        let wire = [&[0, 0, 0, 3, 0, 0, 0, 2][..], b"ab", &[0, 0, 0, 5, 0, 0, 0, 0], &[0, 0, 0, 9, 0, 0, 1, 0], b"x"];
        let payload = Bytes::from(wire.concat());
        let all: Vec<(usize, Bytes)> = pieces(&payload).collect();
        assert_eq!(all, [(3, Bytes::from_static(b"ab")), (5, Bytes::new())]);
    }
}

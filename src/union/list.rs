//! Reading a merged directory.
//!
//! Branches are read top-down; a name is given once, from the topmost branch that has it, unless a whiteout on a branch
//! above hides it. Each entry carries a cookie made from its name alone, and the listing is in the order of the cookies:
//! so reading can go on at any cookie, however the directory changed meanwhile, and whatever was there all the time is
//! given exactly once.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::branch::{Branch, Key, Kind, Result};
use super::node::{Node, Places};
use super::{Union, mix, names};

/// One name of a merged directory.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// Where to go on after it; above [`FIRST_COOKIE`].
    pub cookie: u64,
    /// Its number in the union.
    pub ino: u64,
    /// Where its name begins in the listing's memory, and its length.
    start: u32,
    length: u8,
    place: u16,
    what: What,
}

/// What is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Something; `None` where the file system does not say what.
    Entry(Option<Kind>),
    /// A whiteout: it hides what is in lower places.
    Whiteout,
}

impl Item {
    /// What it is; `None` where the file system does not say.
    pub fn kind(&self) -> Option<Kind> {
        if let What::Entry(kind) = self.what { kind } else { None }
    }

    /// Which of the directory's places it is served from.
    pub fn place(&self) -> usize {
        usize::from(self.place)
    }
}

/// Cookies up to this are `.` and `..`.
pub const FIRST_COOKIE: u64 = 16;

/// A merged listing in the order of its cookies: what there was at one moment.
pub struct Listing<B: Branch> {
    /// The entries.
    merged: Merged,
    /// The places that were merged.
    pub(super) places: Places<B>,
    /// When that was; see [`Union::lookup_listed`].
    pub(super) moment: u64,
}

impl<B: Branch> Listing<B> {
    /// All entries.
    pub fn items(&self) -> &[Item] {
        &self.merged.items
    }

    /// The entries after a cookie.
    pub fn after(&self, cookie: u64) -> &[Item] {
        &self.items()[self.items().partition_point(|item| item.cookie <= cookie)..]
    }

    /// The name of an entry of this listing.
    pub fn name(&self, item: &Item) -> &OsStr {
        self.merged.name(item)
    }
}

/// Names that several places have, each once; all of them in one piece of memory.
#[derive(Default)]
pub(super) struct Merged {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

impl Merged {
    /// Whether no name shows.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The names that show, with the place that serves each.
    pub fn names(&self) -> impl Iterator<Item = (usize, &OsStr)> {
        self.items.iter().map(|item| (item.place(), self.name(item)))
    }

    fn name(&self, item: &Item) -> &OsStr {
        let start = item.start as usize;
        OsStr::from_bytes(&self.bytes[start..start + usize::from(item.length)])
    }

    fn push(&mut self, name: &OsStr, place: usize, ino: u64, what: What) {
        let (start, length, place) = (self.bytes.len() as u32, name.len() as u8, place as u16);
        self.bytes.extend_from_slice(name.as_bytes());
        let cookie = (mix::bytes(name.as_bytes()) >> 1).max(FIRST_COOKIE + 1);
        self.items.push(Item { cookie, ino, start, length, place, what });
    }

    /// The order of entries with one cookie.
    fn rank(&self, item: &Item) -> (&OsStr, u16, bool) {
        (self.name(item), item.place, item.what == What::Whiteout)
    }

    /// Brings the entries into the order of their cookies and leaves of each name what shows: the topmost of its entries
    /// and whiteouts decides, an entry before a whiteout beside it.
    fn settle(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.sort_unstable_by_key(|item| item.cookie);
        let runs = items.chunk_by_mut(|a, b| a.cookie == b.cookie);
        runs.for_each(|run| run.sort_unstable_by(|a, b| self.rank(a).cmp(&self.rank(b))));
        items.dedup_by(|later, earlier| later.cookie == earlier.cookie && self.name(later) == self.name(earlier));
        items.retain(|item| item.what != What::Whiteout);
        part_clashes(&mut items);
        self.items = items;
    }
}

/// Merges the entries of several places.
pub(super) fn merge<B: Branch>(places: &Places<B>, show_whiteouts: bool) -> Result<Merged> {
    let mut merged = Merged::default();
    for (index, place) in places.iter().enumerate() {
        let hiding = place.member.honours_whiteouts();
        place.member.branch.list(&place.dir, &mut |entry| {
            if names::is_reserved(entry.name) {
                if let (true, Some(hidden)) = (hiding, names::hidden_by(entry.name)) {
                    merged.push(hidden, index, entry.ino, What::Whiteout);
                }
                if !show_whiteouts {
                    return;
                }
            }
            merged.push(entry.name, index, entry.ino, What::Entry(entry.kind));
        })?;
    }
    merged.settle();
    Ok(merged)
}

impl<B: Branch> Union<B> {
    /// The listing of a directory from `cookie` on: a new one at the start, else the one that was begun. With `told` (direct
    /// changes are told to [`Union::changed_directly`]) the last one is as good as new if nothing was changed since.
    ///
    /// # Errors
    /// Of listing any of the branches.
    pub fn listing(&self, node: &Arc<Node<B>>, cookie: u64, told: bool) -> Result<Arc<Listing<B>>> {
        let last = node.listing.lock().unwrap().clone();
        if let Some(listing) = last.filter(|l| cookie != 0 || (told && self.holds(l, node))) {
            return Ok(listing);
        }
        let listing = Arc::new(self.merged(node)?);
        self.tell_listed(node);
        *node.listing.lock().unwrap() = Some(listing.clone());
        Ok(listing)
    }

    /// Whether nothing can have changed since a listing was made.
    pub(super) fn holds(&self, listing: &Listing<B>, node: &Node<B>) -> bool {
        listing.moment == self.moment.load(Relaxed) && Arc::ptr_eq(&node.places(), &listing.places)
    }

    fn merged(&self, node: &Arc<Node<B>>) -> Result<Listing<B>> {
        let moment = self.moment.load(Relaxed);
        let places = node.places();
        let shwh = self.shape.read().unwrap().settings.show_whiteouts;
        let mut merged = merge(&places, shwh)?;
        let mut table = self.table.lock().unwrap();
        for item in &mut merged.items {
            item.ino = table.number(Key { dev: places[item.place()].key.dev, ino: item.ino });
        }
        drop(table);
        Ok(Listing { merged, places, moment })
    }

    /// Whether a directory shows no name.
    pub(super) fn is_empty_dir(&self, places: &Places<B>) -> Result<bool> {
        Ok(merge(places, false)?.is_empty())
    }
}

/// Two names with one hash get neighbouring cookies, in the order of the names.
fn part_clashes(items: &mut [Item]) {
    for i in 1..items.len() {
        if items[i].cookie <= items[i - 1].cookie {
            items[i].cookie = items[i - 1].cookie + 1;
        }
    }
}

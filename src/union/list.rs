//! Reading a merged directory.
//!
//! Branches are read top-down; a name is given once, from the topmost branch that has it, unless a whiteout on a branch
//! above hides it. Each entry carries a cookie made from its name alone, and the listing is in the order of the cookies:
//! so reading can go on at any cookie, however the directory changed meanwhile, and whatever was there all the time is
//! given exactly once.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::branch::{Branch, Key, Kind, Result};
use super::node::{Node, Places};
use super::{Union, names};

/// One name of a merged directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where to go on after it; above [`FIRST_COOKIE`].
    pub cookie: u64,
    /// The name.
    pub name: OsString,
    /// What it is; `None` where the file system does not say.
    pub kind: Option<Kind>,
    /// Its number in the union.
    pub ino: u64,
    /// Which of the directory's places it is served from.
    pub place: usize,
}

/// Cookies up to this are `.` and `..`.
pub const FIRST_COOKIE: u64 = 16;

/// A merged listing in the order of its cookies: what there was at one moment.
pub struct Listing<B: Branch> {
    /// The entries.
    pub items: Vec<Item>,
    /// The places that were merged.
    pub(super) places: Places<B>,
    /// When that was; see [`Union::lookup_listed`].
    pub(super) moment: u64,
}

impl<B: Branch> Listing<B> {
    /// The entries after a cookie.
    pub fn after(&self, cookie: u64) -> &[Item] {
        &self.items[self.items.partition_point(|item| item.cookie <= cookie)..]
    }
}

fn cookie(name: &OsStr) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    (hasher.finish() >> 1).max(FIRST_COOKIE + 1)
}

/// Merges the entries of several places into names with the place that serves each, in no order.
pub(super) fn merge<B: Branch>(places: &Places<B>, show_whiteouts: bool) -> Result<Vec<(usize, super::branch::Entry)>> {
    if let [only] = &**places {
        let entries = only.member.branch.list(&only.dir)?;
        let shown = entries.into_iter().filter(|e| show_whiteouts || !names::is_reserved(&e.name));
        return Ok(shown.map(|e| (0, e)).collect());
    }
    let mut seen: HashSet<OsString> = HashSet::new();
    let mut merged = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let mut hidden = Vec::new();
        for entry in place.member.branch.list(&place.dir)? {
            if names::is_reserved(&entry.name) {
                if let Some(name) = names::hidden_by(&entry.name) {
                    hidden.push(name.to_owned());
                }
                if !show_whiteouts {
                    continue;
                }
            }
            if seen.insert(entry.name.clone()) {
                merged.push((index, entry));
            }
        }
        if place.member.honours_whiteouts() {
            seen.extend(hidden);
        }
    }
    Ok(merged)
}

impl<B: Branch> Union<B> {
    /// The listing of a directory from `cookie` on: a new one at the start, else the one that was begun.
    ///
    /// # Errors
    /// Of listing any of the branches.
    pub fn listing(&self, node: &Arc<Node<B>>, cookie: u64) -> Result<Arc<Listing<B>>> {
        if cookie != 0
            && let Some(listing) = &*node.listing.lock().unwrap()
        {
            return Ok(listing.clone());
        }
        let listing = Arc::new(self.merged(node)?);
        self.tell_listed(node);
        *node.listing.lock().unwrap() = Some(listing.clone());
        Ok(listing)
    }

    fn merged(&self, node: &Arc<Node<B>>) -> Result<Listing<B>> {
        let moment = self.moment.load(Relaxed);
        let places = node.places();
        let shwh = self.shape.read().unwrap().settings.show_whiteouts;
        let merged = merge(&places, shwh)?;
        let mut table = self.table.lock().unwrap();
        let mut items: Vec<Item> = merged
            .into_iter()
            .map(|(place, e)| {
                let ino = table.number(Key { dev: places[place].key.dev, ino: e.ino });
                Item { cookie: cookie(&e.name), name: e.name, kind: e.kind, ino, place }
            })
            .collect();
        drop(table);
        items.sort_unstable_by(|a, b| (a.cookie, &a.name).cmp(&(b.cookie, &b.name)));
        part_clashes(&mut items);
        Ok(Listing { items, places, moment })
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

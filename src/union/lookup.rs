//! Looking a name up: which branch answers, and what is merged.
//!
//! Top-down over the places of the directory. The first entry found fixes what the name is. A file ends the walk; for a
//! directory it goes on and collects the directories of the same name below; an entry of another kind below is skipped and
//! the walk continues beneath it (overlayfs would stop there). A whiteout on a branch whose whiteouts count ends the walk
//! after that branch, and so does an opaque mark in a collected directory. Where a branch holds both a name and its
//! whiteout the name is visible and hides what is lower, as in an OCI layer (AUFS calls that an I/O error).

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::branch::{At, Branch, Errno, Key, Kind, Result, Stat};
use super::file::more_links;
use super::list::{Item, Listing};
use super::node::{Last, Member, Node, Place, Places, ROOT, State};
use super::{Happening, Union, names};

/// What a name stands for.
pub struct Found<B: Branch> {
    /// The branch that answers.
    pub top: Arc<Member<B>>,
    /// Its index among the places of the directory looked in.
    pub depth: usize,
    /// Attributes of the top copy; for a directory the link counts of all copies are added up.
    pub stat: Stat,
    /// A directory's copies, topmost first.
    pub places: Vec<Place<B>>,
    /// Where the walk was ended by a whiteout or an opaque mark.
    pub floor: Option<Arc<Member<B>>>,
}

/// Where the top copy of a pseudo-link lies.
pub(super) type Anchor<B> = Option<(<B as Branch>::Dir, OsString)>;

/// Whether a place hides `name` from everything below it.
///
/// # Errors
/// `EIO` if `.wh.NAME` is no regular file.
pub(super) fn whited_out<B: Branch>(place: &Place<B>, name: &OsStr) -> Result<bool> {
    if !place.member.honours_whiteouts() {
        return Ok(false);
    }
    exists_as_file(place, &names::whiteout(name))
}

fn exists_as_file<B: Branch>(place: &Place<B>, name: &OsStr) -> Result<bool> {
    match place.member.branch.stat(At::Name(&place.dir, name)) {
        Ok(stat) if stat.kind == Kind::File => Ok(true),
        Ok(_) => Err(Errno::EIO),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENAMETOOLONG) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether a directory is marked opaque.
pub(super) fn is_opaque<B: Branch>(place: &Place<B>) -> Result<bool> {
    if !place.member.honours_whiteouts() {
        return Ok(false);
    }
    exists_as_file(place, OsStr::new(names::OPAQUE))
}

/// Looks `name` up in merged places, from the place `from` on.
pub(super) fn find<B: Branch>(places: &[Place<B>], from: usize, name: &OsStr) -> Result<Option<Found<B>>> {
    let mut found: Option<Found<B>> = None;
    for (depth, place) in places.iter().enumerate().skip(from) {
        let last = depth + 1 == places.len();
        let mut opaque = false;
        match place.member.branch.stat(At::Name(&place.dir, name)) {
            Ok(stat) if stat.kind == Kind::Dir => {
                let Some(copy) = hold(place, name, stat)? else { continue };
                opaque = !last && is_opaque(&copy)?;
                match &mut found {
                    Some(found) => {
                        found.stat.nlink = more_links(found.stat.nlink, stat.nlink);
                        found.places.push(copy);
                    }
                    None => {
                        let top = place.member.clone();
                        found = Some(Found { top, depth, stat, places: vec![copy], floor: None });
                    }
                }
            }
            Ok(stat) if found.is_none() => {
                let top = place.member.clone();
                return Ok(Some(Found { top, depth, stat, places: Vec::new(), floor: None }));
            }
            Ok(_) | Err(Errno::ENOENT | Errno::ESTALE) => {}
            Err(e) => return Err(e),
        }
        if opaque || (!last && whited_out(place, name)?) {
            if let Some(found) = &mut found {
                found.floor = Some(place.member.clone());
            }
            break;
        }
    }
    Ok(found)
}

/// Holds a directory that was just seen; `None` if it is gone again.
fn hold<B: Branch>(place: &Place<B>, name: &OsStr, stat: Stat) -> Result<Option<Place<B>>> {
    match place.member.branch.known_dir(&place.dir, name, stat.key) {
        Ok(dir) => Ok(Some(Place { member: place.member.clone(), dir, key: stat.key })),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE) => Ok(None),
        Err(e) => Err(e),
    }
}

impl<B: Branch> Union<B> {
    /// The node of a number.
    ///
    /// # Errors
    /// `ESTALE` if nobody holds it.
    pub fn node(&self, ino: u64) -> Result<Arc<Node<B>>> {
        self.table.lock().unwrap().get(ino).ok_or(Errno::ESTALE)
    }

    /// Looks a name up and gives its node, held once more, with its attributes.
    ///
    /// # Errors
    /// `ENOENT`; `EPERM` for reserved names, `ENAMETOOLONG`; those of the branches.
    pub fn lookup(&self, parent: &Arc<Node<B>>, name: &OsStr) -> Result<(Arc<Node<B>>, Stat)> {
        if !self.shows_whiteouts(name) {
            names::check(name)?;
        }
        self.totals.lookups.fetch_add(1, Relaxed);
        let found = find(&parent.places(), 0, name)?.ok_or(Errno::ENOENT)?;
        self.adopt(parent, name, found)
    }

    fn shows_whiteouts(&self, name: &OsStr) -> bool {
        names::is_reserved(name) && self.shape.read().unwrap().settings.show_whiteouts
    }

    /// Looks up a listed name whose place is known: one question to one branch, for anything but a directory. That is right as
    /// long as nothing was changed since it was listed; otherwise it is looked up as any name. With `told` (direct changes are
    /// told to [`Union::changed_directly`]) not even that is asked of a file that was seen before, and nothing was changed since.
    ///
    /// # Errors
    /// As [`Union::lookup`].
    pub fn lookup_listed(
        &self,
        parent: &Arc<Node<B>>,
        listing: &Listing<B>,
        item: &Item,
        told: bool,
    ) -> Result<(Arc<Node<B>>, Stat)> {
        let places = parent.places();
        let moment = self.moment.load(Relaxed);
        let known = listing.moment == moment && Arc::ptr_eq(&places, &listing.places);
        let name = listing.name(item);
        let place = places.get(item.place()).filter(|_| known && item.kind() != Some(Kind::Dir));
        let Some(place) = place else { return self.lookup(parent, name) };
        if told && let Some(seen) = self.seen(parent, name, item, place, moment) {
            return Ok(seen);
        }
        let stat = place.member.branch.stat(At::Name(&place.dir, name))?;
        if stat.kind == Kind::Dir {
            return self.lookup(parent, name);
        }
        let found = Found { top: place.member.clone(), depth: item.place(), stat, places: vec![], floor: None };
        let (node, shown) = self.adopt(parent, name, found)?;
        if told && !place.member.writable() && shown.key == stat.key {
            node.state.write().unwrap().last = Some(Last::Seen(moment, stat));
        }
        Ok((node, shown))
    }

    /// A listed file whose attributes are known, held once more.
    fn seen(
        &self,
        parent: &Node<B>,
        name: &OsStr,
        item: &Item,
        place: &Place<B>,
        moment: u64,
    ) -> Option<(Arc<Node<B>>, Stat)> {
        let table = self.table.lock().unwrap();
        let node = table.get(item.ino)?;
        let state = node.state.read().unwrap();
        let Some(Last::Seen(at, stat)) = state.last else { return None };
        let here = || state.names.iter().any(|(p, n)| p.ino == parent.ino && n == name);
        let same = at == moment && state.key == stat.key && state.top.id == place.member.id;
        if !same || place.member.writable() || !here() {
            return None;
        }
        drop(state);
        node.lookups.fetch_add(1, Relaxed);
        Some((node, stat))
    }

    /// Something was changed past the union, or may have been: what was known of names and attributes may be wrong.
    pub fn changed_directly(&self) {
        self.moment.fetch_add(1, Relaxed);
    }

    /// The node for what was found, held once more: the one that is known by any copy's identity, or a new one.
    pub(super) fn adopt(&self, parent: &Arc<Node<B>>, name: &OsStr, found: Found<B>) -> Result<(Arc<Node<B>>, Stat)> {
        let (mut found, anchor) = self.through_plink(found);
        if anchor.is_none() {
            self.adjust_links(&mut found.stat);
        }
        let mut table = self.table.lock().unwrap();
        let keys: Vec<_> = found.places.iter().map(|p| p.key).chain([found.stat.key]).collect();
        let known = keys.iter().find_map(|key| table.by_key(*key)).filter(|n| n.kind == found.stat.kind);
        if let Some(node) = known {
            node.lookups.fetch_add(1, Relaxed);
            let stale = refresh(&node, parent, name, &found);
            stale.iter().filter(|key| !keys.contains(key)).for_each(|key| table.untie(&node, *key));
            keys.iter().for_each(|key| table.tie(&node, *key));
            drop(table);
            if node.kind == Kind::Dir && stale.iter().ne(&keys) {
                self.host.regrouped(node.ino);
            }
            return Ok((node, found.stat));
        }
        let number = table.number(found.stat.key);
        let ino = if table.get(number).is_some() { table.exception(found.stat.key) } else { number };
        let node = Arc::new(new_node(ino, parent, name, &found, anchor));
        node.lookups.fetch_add(1, Relaxed);
        table.insert(&node, keys);
        drop(table);
        self.tell_resolved(&node, &found);
        Ok((node, found.stat))
    }

    fn tell_resolved(&self, node: &Node<B>, found: &Found<B>) {
        if self.host.is_curious() {
            self.host.tell(Happening::Resolved {
                at: self.at.clone(),
                path: node.path(),
                branch: found.top.index(),
                merged: found.places.iter().skip(1).map(|p| p.member.index()).collect(),
            });
        }
    }

    /// The held node that has a copy of this identity.
    pub fn node_of(&self, key: Key) -> Option<Arc<Node<B>>> {
        self.table.lock().unwrap().by_key(key)
    }

    /// Takes back `count` look-ups of a number.
    pub fn forget(&self, ino: u64, count: u64) {
        let gone = self.table.lock().unwrap().forget(ino, count);
        drop(gone);
    }

    /// The union's top directory.
    ///
    /// # Panics
    /// Before the first branch was added.
    pub fn root(&self) -> Arc<Node<B>> {
        self.table.lock().unwrap().get(ROOT).expect("a union has a root from its first branch on")
    }

    /// Walks a path from the top; gives the node, held once.
    ///
    /// # Errors
    /// As [`Union::lookup`].
    pub fn walk(&self, path: &str) -> Result<Arc<Node<B>>> {
        let mut at = self.root();
        at.lookups.fetch_add(1, Relaxed);
        for name in path.split('/').filter(|n| !n.is_empty()) {
            let next = self.lookup(&at, OsStr::new(name));
            self.forget(at.ino, 1);
            at = next?.0;
        }
        Ok(at)
    }
}

/// Brings a known node up to date with what a look-up found; gives the identities that it had before.
fn refresh<B: Branch>(node: &Node<B>, parent: &Arc<Node<B>>, name: &OsStr, found: &Found<B>) -> Vec<Key> {
    let floor = found.floor.clone().or_else(|| floor_of(parent));
    let mut state = node.state.write().unwrap();
    let named = state.names.iter().any(|(p, n)| p.ino == parent.ino && n == name);
    let before = state.places.iter().map(|p| p.key).chain([state.key]).collect();
    if node.kind == Kind::Dir {
        let same = state.places.len() == found.places.len()
            && state.places.iter().zip(&found.places).all(|(a, b)| a.key == b.key);
        if same {
            state.places.iter().for_each(|place| lead(place, parent, name));
        } else {
            state.places = found.places.clone().into();
        }
        state.floor = floor;
        if !named {
            state.names.clear();
        }
    }
    if !named {
        state.names.push((parent.clone(), name.to_owned()));
    }
    if state.key != found.stat.key {
        (state.file, state.anchor) = (None, None);
    }
    (state.top, state.key) = (found.top.clone(), found.stat.key);
    before
}

/// Tells a held copy of a directory where it was just seen.
pub(super) fn lead<B: Branch>(place: &Place<B>, parent: &Node<B>, name: &OsStr) {
    if let Some(at) = parent.place_on(&place.member) {
        place.member.branch.moved(&place.dir, &at.dir, name);
    }
}

/// Where merging stops for everything below a directory.
pub(super) fn floor_of<B: Branch>(parent: &Node<B>) -> Option<Arc<Member<B>>> {
    parent.state.read().unwrap().floor.clone()
}

fn new_node<B: Branch>(ino: u64, parent: &Arc<Node<B>>, name: &OsStr, found: &Found<B>, anchor: Anchor<B>) -> Node<B> {
    let places: Places<B> = found.places.clone().into();
    let state = State {
        names: vec![(parent.clone(), name.to_owned())],
        top: found.top.clone(),
        key: found.stat.key,
        places,
        floor: found.floor.clone().or_else(|| floor_of(parent)),
        file: None,
        anchor,
        last: None,
    };
    Node::new(ino, found.stat.kind, state)
}

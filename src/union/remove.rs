//! Removing names: on a writable branch really, on a read-only one by hiding.
//!
//! A whiteout is made only where something below would show, and it is made first: whoever is killed in between leaves the
//! name either whole or gone, never the older one below in its place.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::branch::{At, Branch, Errno, Key, Kind, Replace, Result, Stat};
use super::lookup::{Found, find, whited_out};
use super::make::alive;
use super::node::{Last, Node, Place};
use super::place::{clear, show_change};
use super::{Changes, Happening, Union, names};

impl<B: Branch> Union<B> {
    /// Removes a name that is not a directory's.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`, `EROFS`, `EPERM` (reserved names); those of the branch.
    pub fn unlink(&self, parent: &Arc<Node<B>>, name: &OsStr) -> Result<()> {
        let mut changes = self.changing();
        let found = self.found(parent, name)?;
        if found.stat.kind == Kind::Dir {
            return Err(Errno::EISDIR);
        }
        let node = self.known(&found.stat);
        self.hold_last(node.as_ref(), &found, parent, name);
        let removed =
            self.take_away(&mut changes, parent, name, &found, |at| at.member.branch.unlink(&at.dir, name))?;
        self.settle_plink(found.stat.key);
        self.nameless_now(node.as_ref(), parent, name, removed && found.stat.nlink <= 1, found.stat.key);
        self.tell_removed(parent, name, removed.then(|| found.top.index()));
        Ok(())
    }

    /// Removes a directory that shows no name.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, `EROFS`; those of the branch.
    pub fn rmdir(&self, parent: &Arc<Node<B>>, name: &OsStr) -> Result<()> {
        let mut changes = self.changing();
        let found = self.found(parent, name)?;
        if found.stat.kind != Kind::Dir {
            return Err(Errno::ENOTDIR);
        }
        if !self.is_empty_dir(&found.places.clone().into())? {
            return Err(Errno::ENOTEMPTY);
        }
        let node = self.known(&found.stat);
        keep_dir(node.as_deref());
        let mut numbers = changes.temporary;
        let removed = self.take_away(&mut changes, parent, name, &found, |at| {
            numbers = numbers.wrapping_add(1);
            remove_dir(at, name, numbers)
        })?;
        changes.temporary = numbers;
        self.nameless_now(node.as_ref(), parent, name, removed, found.stat.key);
        self.tell_removed(parent, name, removed.then(|| found.top.index()));
        Ok(())
    }

    /// What a name stands for now, on the branches themselves.
    pub(super) fn found(&self, parent: &Arc<Node<B>>, name: &OsStr) -> Result<Found<B>> {
        names::check(name)?;
        alive(parent)?;
        if self.shape.read().unwrap().settings.read_only {
            return Err(Errno::EROFS);
        }
        find(&parent.places(), 0, name)?.ok_or(Errno::ENOENT)
    }

    /// The node that is held of what was found, if one is.
    pub(super) fn known(&self, stat: &Stat) -> Option<Arc<Node<B>>> {
        self.table.lock().unwrap().by_key(stat.key).filter(|n| n.kind == stat.kind)
    }

    /// Hides or removes a found name; whether it was really removed.
    fn take_away(
        &self,
        changes: &mut Changes,
        parent: &Arc<Node<B>>,
        name: &OsStr,
        found: &Found<B>,
        remove: impl FnOnce(&Place<B>) -> Result<()>,
    ) -> Result<bool> {
        let path = || parent.path_of(name);
        if !found.top.writable() {
            let target = self.place_up(changes, parent, &found.top)?;
            let at = match self.ensure_dir(changes, parent, &target) {
                Err(Errno::EEXIST | Errno::ENOTDIR) => {
                    let target = self.place_above(changes, parent, &found.top)?;
                    self.ensure_dir(changes, parent, &target)?
                }
                at => at?,
            };
            self.make_whiteout(&at, name, path)?;
            show_change(parent, &at);
            return Ok(false);
        }
        let places = parent.places();
        let at = &places[found.depth];
        let below = shines_through(&places, found.depth, name)?;
        if below {
            self.make_whiteout(at, name, path)?;
        }
        match remove(at) {
            Ok(()) => {
                show_change(parent, at);
                Ok(true)
            }
            Err(e) => {
                if below {
                    let _ = self.remove_whiteout(at, name, path);
                }
                Err(e)
            }
        }
    }

    /// Keeps an object usable that is about to lose a name: its file is opened, or its attributes are kept.
    pub(super) fn hold_last(&self, node: Option<&Arc<Node<B>>>, found: &Found<B>, parent: &Node<B>, name: &OsStr) {
        let Some(node) = node.filter(|n| n.lookups.load(Relaxed) > 0) else { return };
        if node.state.read().unwrap().names.len() > 1 {
            return;
        }
        match node.kind {
            Kind::File => {
                let place = parent.place_on(&found.top);
                let _ = place.is_some_and(|at| self.hold_open(node, found, &at.dir, name).is_ok());
            }
            Kind::Dir => keep_dir(Some(node)),
            _ => {}
        }
        node.state.write().unwrap().last = Some(Last::Ghost(Stat { nlink: 0, ..found.stat }));
    }

    /// Forgets a name of a node; `gone`: what the key stood for does not exist below any more.
    pub(super) fn nameless_now(
        &self,
        node: Option<&Arc<Node<B>>>,
        parent: &Node<B>,
        name: &OsStr,
        gone: bool,
        key: Key,
    ) {
        let Some(node) = node else {
            if gone {
                self.table.lock().unwrap().unnumber(key);
            }
            return;
        };
        let last = {
            let mut state = node.state.write().unwrap();
            state.names.retain(|(p, n)| p.ino != parent.ino || n != name);
            state.names.is_empty()
        };
        let mut table = self.table.lock().unwrap();
        if node.kind == Kind::Dir {
            node.places().iter().for_each(|place| table.untie(node, place.key));
        }
        if gone {
            table.bury(node, key);
        } else if last && node.state.read().unwrap().top.permission().access != super::options::Access::Rw {
            table.untie(node, key);
        }
    }

    fn tell_removed(&self, parent: &Node<B>, name: &OsStr, branch: Option<usize>) {
        self.tell(|| Happening::Removed { at: self.at.clone(), path: parent.path_of(name), branch });
    }
}

/// The copies of a held directory that may lose their names stay usable.
pub(super) fn keep_dir<B: Branch>(node: Option<&Node<B>>) {
    let places = node.map(Node::places);
    let writable = places.iter().flat_map(|places| places.iter()).filter(|place| place.member.writable());
    writable.for_each(|place| place.member.branch.keep(&place.dir));
}

/// Whether something of the name below `places[depth]` would show if it were removed there.
pub(super) fn shines_through<B: Branch>(places: &[Place<B>], depth: usize, name: &OsStr) -> Result<bool> {
    if depth + 1 >= places.len() || whited_out(&places[depth], name)? {
        return Ok(false);
    }
    Ok(find(places, depth + 1, name)?.is_some())
}

/// Removes a directory that holds nothing but whiteouts: it is renamed away first, so that it goes at once and whole.
pub(super) fn remove_dir<B: Branch>(at: &Place<B>, name: &OsStr, number: u16) -> Result<()> {
    let branch = &at.member.branch;
    match branch.rmdir(&at.dir, name) {
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
        done => return done,
    }
    let temporary = away(at, name, number)?;
    clear(at, &temporary);
    Ok(())
}

/// Renames something to a free temporary name.
pub(super) fn away<B: Branch>(at: &Place<B>, name: &OsStr, number: u16) -> Result<std::ffi::OsString> {
    let branch = &at.member.branch;
    for step in 0..u16::MAX {
        let temporary = names::temporary(name, number.wrapping_add(step));
        if branch.stat(At::Name(&at.dir, &temporary)) == Err(Errno::ENOENT) {
            branch.rename(&at.dir, name, &at.dir, &temporary, Replace::No)?;
            return Ok(temporary);
        }
    }
    Err(Errno::EBUSY)
}

//! Renaming: on one branch, in one step that shows.
//!
//! Everything is prepared so that the rename on the branch is the moment at which it happens: the source is copied up if
//! its branch may not be written, a whiteout for the old name is laid under it where something below would show, and a
//! directory that would merge with a lower one under its new name is made opaque. Then one rename; then what it left over
//! (the replaced directory, a whiteout of the new name) is cleared.
//!
//! A directory can be renamed only if that moves all of it: when lower branches hold visible things of it, or when it would
//! have to be copied up with content, the answer is `EXDEV` and mv(1) copies.

use std::ffi::OsStr;
use std::sync::Arc;

use super::branch::{Branch, Errno, Kind, Replace, Result};
use super::copy_up::AHEAD;
use super::lookup::{Found, find, lead, whited_out};
use super::make::alive;
use super::node::{Member, Node, Place};
use super::place::{clear, show_change};
use super::remove::{away, keep_dir, shines_through};
use super::{Changes, Happening, Union, names};

/// One side of a rename: a name in a directory.
pub struct Side<'a, B: Branch> {
    /// The directory.
    pub parent: &'a Arc<Node<B>>,
    /// The name.
    pub name: &'a OsStr,
}

impl<B: Branch> Union<B> {
    /// Renames.
    ///
    /// # Errors
    /// `ENOENT`, `EEXIST`, `ENOTEMPTY`, `ENOTDIR`, `EISDIR`, `EINVAL` (into itself), `EXDEV` (see the module), `EROFS`.
    pub fn rename(&self, from: &Side<'_, B>, to: &Side<'_, B>, replace: Replace) -> Result<()> {
        names::check(to.name)?;
        self.copy_ahead(from)?;
        let mut changes = self.changing();
        alive(to.parent)?;
        let source = self.found(from.parent, from.name)?;
        let target = find(&to.parent.places(), 0, to.name)?;
        if replace != Replace::No && target.as_ref().is_some_and(|t| t.stat.key == source.stat.key) {
            return Ok(());
        }
        self.check_rename(&source, target.as_ref(), to, replace)?;
        let replaced =
            target.as_ref().map(|t| if replace == Replace::Exchange { self.shown(t) } else { t.top.clone() });
        let member = self.rename_branch(&mut changes, from, to, self.shown(&source), replaced)?;
        self.movable(&source, &member)?;
        if let (Replace::Exchange, Some(target)) = (replace, &target) {
            self.movable(target, &member)?;
            return self.exchange(&mut changes, from, to, &source, target, &member);
        }
        self.rename_on(&mut changes, from, to, &source, target, &member)
    }

    /// Copies a big file up before anybody has to wait for it.
    fn copy_ahead(&self, from: &Side<'_, B>) -> Result<()> {
        let Some(found) = find(&from.parent.places(), 0, from.name)? else { return Ok(()) };
        if found.stat.kind != Kind::File || found.stat.size <= AHEAD || found.top.writable() {
            return Ok(());
        }
        let (node, _) = self.adopt(from.parent, from.name, found)?;
        let copied = self.make_writable(&node, None);
        self.forget(node.ino, 1);
        copied
    }

    fn check_rename(
        &self,
        source: &Found<B>,
        target: Option<&Found<B>>,
        to: &Side<'_, B>,
        replace: Replace,
    ) -> Result<()> {
        let source_node = self.known(&source.stat);
        if source_node.is_some_and(|node| node.kind == Kind::Dir && to.parent.is_within(&node)) {
            return Err(Errno::EINVAL);
        }
        let Some(target) = target else {
            return if replace == Replace::Exchange { Err(Errno::ENOENT) } else { Ok(()) };
        };
        match (replace, source.stat.kind == Kind::Dir, target.stat.kind == Kind::Dir) {
            (Replace::No, ..) => Err(Errno::EEXIST),
            (Replace::Exchange, ..) => Ok(()),
            (Replace::Yes, true, false) => Err(Errno::ENOTDIR),
            (Replace::Yes, false, true) => Err(Errno::EISDIR),
            (Replace::Yes, true, true) if !self.is_empty_dir(&target.places.clone().into())? => Err(Errno::ENOTEMPTY),
            (Replace::Yes, ..) => Ok(()),
        }
    }

    /// The branch on which the rename happens: the source's, or the target's if that is higher; a writable one above if
    /// it may not be written or the new name would be hidden there.
    fn rename_branch(
        &self,
        changes: &mut Changes,
        from: &Side<'_, B>,
        to: &Side<'_, B>,
        source: Arc<Member<B>>,
        target: Option<Arc<Member<B>>>,
    ) -> Result<Arc<Member<B>>> {
        let highest = target.filter(|target| target.index() < source.index());
        let mut member = highest.unwrap_or(source);
        if let Some(floor) = self.floor_for(to)?
            && floor.index() < member.index()
        {
            member = floor;
        }
        if member.writable() { Ok(member) } else { self.place_up(changes, from.parent, &member) }
    }

    /// The branch that serves what was found: another one than it lies on if it is a pseudo-link.
    fn shown(&self, found: &Found<B>) -> Arc<Member<B>> {
        self.through_plink(again(found)).0.top
    }

    /// The branch below which nothing of a name shows.
    fn floor_for(&self, side: &Side<'_, B>) -> Result<Option<Arc<Member<B>>>> {
        for place in side.parent.places().iter() {
            if whited_out(place, side.name)? {
                return Ok(Some(place.member.clone()));
            }
        }
        Ok(super::lookup::floor_of(side.parent))
    }

    /// Refuses a directory that would not move whole.
    fn movable(&self, found: &Found<B>, member: &Member<B>) -> Result<()> {
        if found.stat.kind != Kind::Dir {
            return Ok(());
        }
        let here = found.top.id == member.id;
        let rest = if here { &found.places[1..] } else { &found.places[..] };
        let empty = self.is_empty_dir(&rest.to_vec().into())?;
        let whole = empty || (here && self.only_hidden_below(found)?);
        if whole { Ok(()) } else { Err(Errno::EXDEV) }
    }

    /// Whether everything that the lower copies of a directory hold is hidden by its upper copies.
    fn only_hidden_below(&self, found: &Found<B>) -> Result<bool> {
        let merged = super::list::merge(&found.places.clone().into(), false)?;
        Ok(merged.names().all(|(place, _)| place == 0) && {
            let below = super::list::merge(&found.places[1..].to_vec().into(), false)?;
            below.names().all(|(_, name)| whited_out(&found.places[0], name) == Ok(true))
        })
    }

    /// Brings what was found to `member` under the name it has.
    fn bring(
        &self,
        changes: &mut Changes,
        side: &Side<'_, B>,
        found: &Found<B>,
        member: &Arc<Member<B>>,
    ) -> Result<Place<B>> {
        let at = self.reach_dir(changes, side.parent, member)?;
        if found.top.id == member.id {
            return Ok(at);
        }
        let (node, _) = self.adopt(side.parent, side.name, again(found))?;
        let brought = self.bring_node(changes, side, found, member, &node, &at);
        self.forget(node.ino, 1);
        brought.map(|()| at)
    }

    fn bring_node(
        &self,
        changes: &mut Changes,
        side: &Side<'_, B>,
        found: &Found<B>,
        member: &Arc<Member<B>>,
        node: &Arc<Node<B>>,
        at: &Place<B>,
    ) -> Result<()> {
        self.copy_up(changes, node, member, None)?;
        let copied = self.locate(node);
        if let (Ok(copy), true) = (copied, node.kind != Kind::Dir)
            && node.state.read().unwrap().top.id == member.id
            && member.branch.stat(super::At::Name(&at.dir, side.name)) == Err(Errno::ENOENT)
        {
            member.branch.link(&copy.dir, &copy.name, &at.dir, side.name)?;
            self.settle_plink(found.stat.key);
        }
        Ok(())
    }

    fn rename_on(
        &self,
        changes: &mut Changes,
        from: &Side<'_, B>,
        to: &Side<'_, B>,
        source: &Found<B>,
        target: Option<Found<B>>,
        member: &Arc<Member<B>>,
    ) -> Result<()> {
        let (old_path, new_path) = (|| from.parent.path_of(from.name), || to.parent.path_of(to.name));
        let at = self.bring(changes, from, source, member)?;
        let into = self.reach_dir(changes, to.parent, member)?;
        let node = self.now(from)?;
        let replaced = target.as_ref().and_then(|t| self.known(&t.stat));
        if let Some(target) = &target {
            self.hold_last(replaced.as_ref(), target, to.parent, to.name);
        }
        let hide = lower_shows(from, member)?;
        let dir = source.stat.kind == Kind::Dir;
        let whiteout = whited_out(&into, to.name)?;
        if dir && (whiteout || self.settings().opaque_always || lower_shows(to, member)?) {
            self.make_opaque(&at, from.name, new_path)?;
        }
        if hide {
            self.make_whiteout(&at, from.name, old_path)?;
        }
        keep_dir(node.as_deref());
        let aside = match &target {
            Some(t) if dir && t.top.id == member.id => Some(away(&into, to.name, changes.temporary)?),
            _ => None,
        };
        if let Err(e) = member.branch.rename(&at.dir, from.name, &into.dir, to.name, Replace::Yes) {
            if let Some(aside) = &aside {
                let _ = member.branch.rename(&into.dir, aside, &into.dir, to.name, Replace::No);
            }
            if hide {
                let _ = self.remove_whiteout(&at, from.name, old_path);
            }
            let _ = node.inspect(|node| node.places().iter().for_each(|place| lead(place, from.parent, from.name)));
            return Err(e);
        }
        if let Some(aside) = aside {
            clear(&into, &aside);
        }
        if whiteout {
            // It hides nothing any more: the name beside it counts.
            let _ = self.remove_whiteout(&into, to.name, new_path);
        }
        if let Some(target) = target {
            let here = target.top.id == member.id;
            let shadowed = !here && self.clear_shadowed(to, &target);
            let gone = (here || shadowed) && (target.stat.nlink <= 1 || target.stat.kind == Kind::Dir);
            self.settle_plink(target.stat.key);
            self.nameless_now(replaced.as_ref(), to.parent, to.name, gone, target.stat.key);
        }
        show_change(from.parent, &at);
        show_change(to.parent, &into);
        self.renamed(node.as_ref(), from, to, member);
        self.tell(|| Happening::Renamed {
            at: self.at.clone(),
            from: old_path(),
            to: new_path(),
            branch: member.index(),
        });
        Ok(())
    }

    /// A replaced file on a lower branch is only covered by the rename. Where that branch is writable it is removed there, so that
    /// its room is free and its other names know; whether it was.
    fn clear_shadowed(&self, to: &Side<'_, B>, target: &Found<B>) -> bool {
        let removable = target.stat.kind != Kind::Dir && target.top.writable();
        let at = to.parent.place_on(&target.top).filter(|_| removable);
        at.is_some_and(|at| target.top.branch.unlink(&at.dir, to.name).is_ok())
    }

    /// The held node of a name as it is now.
    fn now(&self, side: &Side<'_, B>) -> Result<Option<Arc<Node<B>>>> {
        let found = find(&side.parent.places(), 0, side.name)?.ok_or(Errno::ENOENT)?;
        let (found, _) = self.through_plink(found);
        Ok(self.known(&found.stat))
    }

    /// A node has another name now, and of a directory only the copy on `member` moved.
    fn renamed(&self, node: Option<&Arc<Node<B>>>, from: &Side<'_, B>, to: &Side<'_, B>, member: &Arc<Member<B>>) {
        let Some(node) = node else { return };
        let mut lost = Vec::new();
        {
            let floor = super::lookup::floor_of(to.parent);
            let mut state = node.state.write().unwrap();
            state.names.retain(|(p, n)| p.ino != from.parent.ino || n != from.name);
            if !state.names.iter().any(|(p, n)| p.ino == to.parent.ino && n == to.name) {
                state.names.push((to.parent.clone(), to.name.to_owned()));
            }
            if node.kind == Kind::Dir {
                lost.extend(state.places.iter().filter(|p| p.member.id != member.id).map(|p| p.key));
                state.places = state.places.iter().filter(|p| p.member.id == member.id).cloned().collect();
                state.floor = floor.or_else(|| Some(member.clone()));
                state.places.iter().for_each(|place| lead(place, to.parent, to.name));
            }
        }
        let mut table = self.table.lock().unwrap();
        lost.iter().for_each(|key| table.untie(node, *key));
    }

    fn exchange(
        &self,
        changes: &mut Changes,
        from: &Side<'_, B>,
        to: &Side<'_, B>,
        source: &Found<B>,
        target: &Found<B>,
        member: &Arc<Member<B>>,
    ) -> Result<()> {
        let at = self.bring(changes, from, source, member)?;
        let into = self.bring(changes, to, target, member)?;
        let (one, other) = (self.now(from)?, self.now(to)?);
        let sides = [(from, &at, source.stat.kind, to), (to, &into, target.stat.kind, from)];
        for (side, place, kind, goes) in sides {
            if kind == Kind::Dir && lower_shows(goes, member)? {
                self.make_opaque(place, side.name, || goes.parent.path_of(goes.name))?;
            }
        }
        [&one, &other].into_iter().for_each(|node| keep_dir(node.as_deref()));
        member.branch.rename(&at.dir, from.name, &into.dir, to.name, Replace::Exchange)?;
        show_change(from.parent, &at);
        show_change(to.parent, &into);
        self.renamed(one.as_ref(), from, to, member);
        self.renamed(other.as_ref(), to, from, member);
        let path = |side: &Side<'_, B>| side.parent.path_of(side.name);
        self.tell(|| Happening::Renamed {
            at: self.at.clone(),
            from: path(from),
            to: path(to),
            branch: member.index(),
        });
        Ok(())
    }
}

/// Whether something of a name below `member` would show if nothing of it were on `member` and above.
fn lower_shows<B: Branch>(side: &Side<'_, B>, member: &Member<B>) -> Result<bool> {
    let places = side.parent.places();
    match places.iter().position(|p| p.member.id == member.id) {
        Some(depth) => shines_through(&places, depth, side.name),
        None => Ok(false),
    }
}

fn again<B: Branch>(found: &Found<B>) -> Found<B> {
    Found {
        top: found.top.clone(),
        depth: found.depth,
        stat: found.stat,
        places: found.places.clone(),
        floor: found.floor.clone(),
    }
}

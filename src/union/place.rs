//! Where to write: choosing a branch, making the directories that it lacks, whiteouts and opaque marks, pseudo-links.
//!
//! Everything that takes `&mut Changes` runs under the union's one lock for changes. Whatever takes more than one step is
//! made under a temporary name (`.wh..wh.NAME.XXXX`) and renamed into its place when it is whole, so a kill leaves at most
//! a leftover that nobody sees.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::branch::{At, Branch, Change, Errno, Key, Kind, Replace, Result, SetTime, Stat};
use super::lookup::{Anchor, Found, whited_out};
use super::node::{Member, Node, Place};
use super::policy::{Candidate, CopyUp, Create, Question};
use super::{Changes, Happening, Union, names};

/// A file with several names of which one was copied up: the copy has a name in `.wh..wh.plnk` too, and the other names,
/// which still stand for the old file below, are led there.
pub(super) struct Plink<B: Branch> {
    /// The branch of the copy.
    pub member: Arc<Member<B>>,
    /// `.wh..wh.plnk` on it.
    pub dir: B::Dir,
    /// The name in there.
    pub name: OsString,
    /// Identity of the copy.
    pub copy: Key,
    /// Names that still stand for the old file.
    pub others: u32,
}

/// A branch chosen for a new name.
pub(super) struct Chosen<B: Branch> {
    /// The branch.
    pub member: Arc<Member<B>>,
    /// Whether it holds a whiteout of the name, to be removed.
    pub whiteout: bool,
    /// The branch below which nothing of the name shows, if there is one.
    pub floor: Option<Arc<Member<B>>>,
}

impl<B: Branch> Union<B> {
    /// Chooses the branch for a new name.
    pub(super) fn place_new(
        &self,
        changes: &mut Changes,
        parent: &Node<B>,
        name: &OsStr,
        dir: bool,
        policy: Create,
    ) -> Result<Chosen<B>> {
        let shape = self.shape.read().unwrap();
        if shape.settings.read_only {
            return Err(Errno::EROFS);
        }
        let (places, above) = {
            let state = parent.state.read().unwrap();
            (state.places.clone(), state.floor.clone())
        };
        let mut floor = above;
        let mut hiding = None;
        for place in places.iter() {
            if whited_out(place, name)? {
                (floor, hiding) = (Some(place.member.clone()), Some(place.member.id));
                break;
            }
        }
        let branches = self.candidates(changes, &shape.members, parent, policy.asks_space());
        let question = Question { branches: &branches, limit: floor.as_ref().map(|m| m.index()), turn: changes.turn };
        let member = shape.members[policy.choose(&question).ok_or(Errno::EROFS)?].clone();
        changes.turn += usize::from(!dir);
        let whiteout = hiding == Some(member.id);
        self.tell(|| Happening::Placed {
            at: self.at.clone(),
            path: parent.path_of(name),
            branch: member.index(),
            policy: super::reshape::create_words(policy),
        });
        Ok(Chosen { member, whiteout, floor })
    }

    /// Chooses the branch to which something in `parent`, now on `source`, is copied up.
    pub(super) fn place_up(
        &self,
        changes: &mut Changes,
        parent: &Node<B>,
        source: &Member<B>,
    ) -> Result<Arc<Member<B>>> {
        self.place_by(changes, parent, source, None)
    }

    /// The same where the policy's choice cannot be reached: the topmost writable branch above that has the parent.
    pub(super) fn place_above(
        &self,
        changes: &mut Changes,
        parent: &Node<B>,
        source: &Member<B>,
    ) -> Result<Arc<Member<B>>> {
        self.place_by(changes, parent, source, Some(CopyUp::TopDownParent))
    }

    /// By this policy, or else the mount's own.
    fn place_by(
        &self,
        changes: &mut Changes,
        parent: &Node<B>,
        source: &Member<B>,
        policy: Option<CopyUp>,
    ) -> Result<Arc<Member<B>>> {
        let shape = self.shape.read().unwrap();
        if shape.settings.read_only {
            return Err(Errno::EROFS);
        }
        let branches = self.candidates(changes, &shape.members, parent, None);
        let policy = policy.as_ref().unwrap_or(&shape.settings.copy_up);
        let index = policy.choose(&branches, source.index()).ok_or(Errno::EROFS)?;
        Ok(shape.members[index].clone())
    }

    fn candidates(
        &self,
        changes: &mut Changes,
        members: &[Arc<Member<B>>],
        parent: &Node<B>,
        space: Option<u64>,
    ) -> Vec<Candidate> {
        let places = parent.places();
        let has = |m: &Member<B>| places.iter().any(|p| p.member.id == m.id);
        let mut free = |m: &Member<B>| space.map_or(0, |secs| self.free_bytes(changes, m, secs));
        members.iter().map(|m| Candidate { writable: m.writable(), has_parent: has(m), free: free(m) }).collect()
    }

    fn free_bytes(&self, changes: &mut Changes, member: &Member<B>, secs: u64) -> u64 {
        let now = self.host.now();
        if let Some((free, until)) = changes.free.get(&member.id)
            && now < *until
        {
            return *free;
        }
        let free = member.branch.space().map_or(0, |space| space.free_bytes());
        changes.free.insert(member.id, (free, now + secs));
        free
    }

    /// The directory's copy on a branch; made, with its parents, if it is not there.
    pub(super) fn ensure_dir(
        &self,
        changes: &mut Changes,
        node: &Arc<Node<B>>,
        member: &Arc<Member<B>>,
    ) -> Result<Place<B>> {
        if let Some(place) = node.place_on(member) {
            return Ok(place);
        }
        let (parent, name) = node.name().ok_or(Errno::ENOENT)?;
        let at = self.ensure_dir(changes, &parent, member)?;
        let top = node.places().first().cloned().ok_or(Errno::ENOENT)?;
        let up = member.index() < top.member.index();
        let stat = top.member.branch.stat(At::Dir(&top.dir))?;
        let whiteout = whited_out(&at, &name)?;
        let kept = member.branch.stat(At::Dir(&at.dir))?;
        self.under_temporary(changes, &at, &name, |temporary| {
            member.branch.mkdir(&at.dir, temporary, 0o700)?;
            let made = At::Name(&at.dir, temporary);
            if whiteout {
                let dir = member.branch.dir(&at.dir, temporary)?;
                member.branch.mknod(&dir, OsStr::new(names::OPAQUE), Kind::File, 0o444, 0)?;
            }
            dress(&top.member, At::Dir(&top.dir), member, made, &stat, up)?;
            member.branch.rename(&at.dir, temporary, &at.dir, &name, Replace::No)
        })?;
        if whiteout {
            self.remove_whiteout(&at, &name, || node.path())?;
        }
        keep_times(&at, &kept);
        let dir = member.branch.dir(&at.dir, &name)?;
        let key = member.branch.stat(At::Dir(&dir))?.key;
        let place = Place { member: member.clone(), dir, key };
        self.add_place(node, place.clone());
        if up {
            self.totals.copy_ups.fetch_add(1, Relaxed);
            self.tell_copied(node, &top.member, member, 0);
        }
        Ok(place)
    }

    /// As [`Union::ensure_dir`], for renames and links: where something that is no directory stands in the way on that
    /// branch, unseen, the answer is that the branch cannot be reached from here.
    pub(super) fn reach_dir(
        &self,
        changes: &mut Changes,
        node: &Arc<Node<B>>,
        member: &Arc<Member<B>>,
    ) -> Result<Place<B>> {
        match self.ensure_dir(changes, node, member) {
            Err(Errno::EEXIST | Errno::ENOTDIR) => Err(Errno::EXDEV),
            place => place,
        }
    }

    /// Merges a further copy into a directory.
    pub(super) fn add_place(&self, node: &Arc<Node<B>>, place: Place<B>) {
        let key = place.key;
        {
            let mut state = node.state.write().unwrap();
            let mut places = state.places.to_vec();
            let at = places.partition_point(|p| p.member.index() < place.member.index());
            places.insert(at, place);
            state.top = places[0].member.clone();
            state.key = places[0].key;
            state.places = places.into();
        }
        self.table.lock().unwrap().tie(node, key);
        self.host.regrouped(node.ino);
    }

    pub(super) fn tell_copied(&self, node: &Node<B>, from: &Member<B>, to: &Member<B>, bytes: u64) {
        self.tell(|| Happening::CopiedUp {
            at: self.at.clone(),
            path: node.path(),
            from: from.index(),
            to: to.index(),
            bytes,
        });
    }

    /// Runs `make` with a free temporary name; what is left under it after an error is removed.
    pub(super) fn under_temporary<T>(
        &self,
        changes: &mut Changes,
        at: &Place<B>,
        name: &OsStr,
        make: impl FnOnce(&OsStr) -> Result<T>,
    ) -> Result<T> {
        let temporary = self.free_temporary(changes, at, name)?;
        make(&temporary).inspect_err(|_| clear(at, &temporary))
    }

    /// A temporary name that is free in a directory.
    pub(super) fn free_temporary(&self, changes: &mut Changes, at: &Place<B>, name: &OsStr) -> Result<OsString> {
        for _ in 0..u16::MAX {
            changes.temporary = changes.temporary.wrapping_add(1);
            let temporary = names::temporary(name, changes.temporary);
            match at.member.branch.stat(At::Name(&at.dir, &temporary)) {
                Err(Errno::ENOENT) => return Ok(temporary),
                Err(e) => return Err(e),
                Ok(_) => {}
            }
        }
        Err(Errno::EBUSY)
    }

    /// Hides a name on a branch from all below. A hard link of the base file, or, where that fails, a file of its own.
    pub(super) fn make_whiteout(&self, at: &Place<B>, name: &OsStr, path: impl FnOnce() -> String) -> Result<()> {
        let whiteout = names::whiteout(name);
        let branch = &at.member.branch;
        let linked = if at.member.permission().nolwh {
            Err(Errno::EMLINK)
        } else {
            branch.link(&branch.root(), OsStr::new(names::BASE), &at.dir, &whiteout)
        };
        match linked {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Ok(()),
            Err(_) => match branch.mknod(&at.dir, &whiteout, Kind::File, 0o444, 0) {
                Ok(()) => {}
                Err(Errno::EEXIST) => return Ok(()),
                Err(e) => return Err(e),
            },
        }
        self.totals.whiteouts.fetch_add(1, Relaxed);
        self.tell(|| Happening::WhiteoutMade { at: self.at.clone(), path: path(), branch: at.member.index() });
        Ok(())
    }

    /// Removes the whiteout of a name, if there is one.
    pub(super) fn remove_whiteout(&self, at: &Place<B>, name: &OsStr, path: impl FnOnce() -> String) -> Result<()> {
        match at.member.branch.unlink(&at.dir, &names::whiteout(name)) {
            Ok(()) => {}
            Err(Errno::ENOENT) => return Ok(()),
            Err(e) => return Err(e),
        }
        self.tell(|| Happening::WhiteoutRemoved { at: self.at.clone(), path: path(), branch: at.member.index() });
        Ok(())
    }

    /// Marks the directory `name` in `at` opaque.
    pub(super) fn make_opaque(&self, at: &Place<B>, name: &OsStr, path: impl FnOnce() -> String) -> Result<()> {
        let branch = &at.member.branch;
        let dir = branch.dir(&at.dir, name)?;
        match branch.mknod(&dir, OsStr::new(names::OPAQUE), Kind::File, 0o444, 0) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Ok(()),
            Err(e) => return Err(e),
        }
        self.tell(|| Happening::MadeOpaque { at: self.at.clone(), path: path(), branch: at.member.index() });
        Ok(())
    }

    /// Leads a found lower file that has a pseudo-link to its copy; and on, if that was copied up again.
    pub(super) fn through_plink(&self, mut found: Found<B>) -> (Found<B>, Anchor<B>) {
        let plinks = self.plinks.read().unwrap();
        let mut anchor = None;
        for _ in 0..plinks.len() {
            if found.stat.kind == Kind::Dir {
                break;
            }
            let Some(plink) = plinks.get(&found.stat.key) else { break };
            let Ok(mut stat) = plink.member.branch.stat(At::Name(&plink.dir, &plink.name)) else { break };
            stat.nlink = shown_links(&stat, plink);
            anchor = Some((plink.dir.clone(), plink.name.clone()));
            found = Found { top: plink.member.clone(), stat, ..found };
        }
        (found, anchor)
    }

    /// The link count to show for a copy that has a pseudo-link.
    pub(super) fn adjust_links(&self, stat: &mut Stat) {
        if stat.nlink < 2 || stat.kind == Kind::Dir {
            return;
        }
        if let Some(plink) = self.plinks.read().unwrap().values().find(|p| p.copy == stat.key) {
            stat.nlink = shown_links(stat, plink);
        }
    }

    /// One of the other names of a pseudo-linked file is gone, or has become a real name.
    pub(super) fn settle_plink(&self, old: Key) {
        let mut plinks = self.plinks.write().unwrap();
        let Some(plink) = plinks.get_mut(&old) else { return };
        plink.others = plink.others.saturating_sub(1);
        if plink.others == 0 {
            let _ = plink.member.branch.unlink(&plink.dir, &plink.name);
            plinks.remove(&old);
        }
    }
}

/// The names of the copy without the one among the pseudo-links, and the names that are led to it.
fn shown_links<B: Branch>(stat: &Stat, plink: &Plink<B>) -> u32 {
    stat.nlink.saturating_sub(1) + plink.others
}

/// Removes whatever lies under a temporary name, with what is in it.
pub(super) fn clear<B: Branch>(at: &Place<B>, name: &OsStr) {
    let branch = &at.member.branch;
    if branch.unlink(&at.dir, name).is_ok() {
        return;
    }
    if let Ok(dir) = branch.dir(&at.dir, name) {
        let inside = Place { member: at.member.clone(), dir, key: at.key };
        for name in branch.names(&inside.dir).unwrap_or_default() {
            clear(&inside, &name);
        }
        let _ = branch.rmdir(&at.dir, name);
    }
}

/// A directory's times are those of its top copy: what changed in a lower copy is made to show there, if that can be.
pub(super) fn show_change<B: Branch>(dir: &Node<B>, at: &Place<B>) {
    let places = dir.places();
    if let Some(top) = places.first().filter(|top| top.key != at.key && top.member.writable()) {
        let now = Change { mtime: SetTime::Now, ..Change::default() };
        let _ = top.member.branch.change(At::Dir(&top.dir), &now);
    }
}

/// Puts the times of a directory back, after a change inside that should not show.
pub(super) fn keep_times<B: Branch>(at: &Place<B>, kept: &Stat) {
    let change = Change { atime: SetTime::At(kept.atime), mtime: SetTime::At(kept.mtime), ..Change::default() };
    let _ = at.member.branch.change(At::Dir(&at.dir), &change);
}

/// Gives a fresh copy the attributes of its source: owner, extended attributes and ACLs, mode, and times. Without `full`
/// (a directory made on a lower branch) owner and mode alone.
///
/// # Errors
/// Those of the verbs; errors of extended attributes only if the branch does not ignore their namespace (`icex…`).
pub(super) fn dress<B: Branch>(
    from: &Member<B>,
    source: At<'_, B>,
    to: &Member<B>,
    copy: At<'_, B>,
    stat: &Stat,
    full: bool,
) -> Result<()> {
    to.branch.change(copy, &Change { uid: Some(stat.uid), gid: Some(stat.gid), ..Change::default() })?;
    if full {
        copy_xattrs(from, source, to, copy)?;
    }
    let mode = (stat.kind != Kind::Symlink).then_some(stat.mode);
    to.branch.change(copy, &Change { mode, ..Change::default() })?;
    if full {
        let times = Change { atime: SetTime::At(stat.atime), mtime: SetTime::At(stat.mtime), ..Change::default() };
        to.branch.change(copy, &times)?;
    }
    Ok(())
}

fn copy_xattrs<B: Branch>(from: &Member<B>, source: At<'_, B>, to: &Member<B>, copy: At<'_, B>) -> Result<()> {
    let names = match from.branch.xattrs(source) {
        Err(Errno::EOPNOTSUPP) => return Ok(()),
        names => names?,
    };
    for name in names {
        let value = match from.branch.xattr(source, &name) {
            Err(Errno::ENODATA) => continue,
            value => value?,
        };
        match to.branch.set_xattr(copy, &name, &value, 0) {
            Err(e) if !ignores(to, &name, e) => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Whether an error of setting this attribute on this branch does not matter: its `icex…` says so, or it is an attribute
/// that only the machine's administrator may set and we are not he.
fn ignores<B: Branch>(to: &Member<B>, name: &OsStr, error: Errno) -> bool {
    if matches!(error, Errno::ENOMEM | Errno::EDQUOT) {
        return false;
    }
    let name = name.to_string_lossy();
    let bit = ["security.", "system.", "trusted.", "user."].iter().position(|ns| name.starts_with(ns)).unwrap_or(4);
    let privileged = error == Errno::EPERM && matches!(bit, 0 | 2);
    privileged || to.permission().icex & (1 << bit) != 0
}

//! Copy-up: before something on a read-only branch changes, it is copied to a writable branch above.
//!
//! The copy is made under a temporary name, content first, then owner, attributes, mode and times, and renamed to its name
//! when it is whole; so it is never half visible. The object keeps its number, open files go on with the new copy at
//! their next read or write, and the times of the directory around it do not change.
//!
//! **Nobody waits for a copy but who wants the copy.** Copying takes as long as the file is big; the lock for changes is held
//! only to make ready (parents, a temporary name) and to finish. Whatever happened to the object meanwhile is noticed then, and
//! the copy thrown away and begun anew. One object is copied by one thread at a time.
//!
//! A file that has lost its last name but is still held open is copied to a name in `.wh..wh.orph` that is removed at once.
//! A file with several names becomes a pseudo-link (see [`super::place`]).

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::branch::{At, Branch, Errno, Key, Kind, Replace, Result, Stat};
use super::file::Located;
use super::node::{Member, Node, Opened, Place};
use super::place::{Plink, clear, dress, keep_times};
use super::{Changes, Union, names};

/// A copy that is being made.
struct Copying<B: Branch> {
    /// The branch of the source.
    top: Arc<Member<B>>,
    /// The source.
    from: Located<B>,
    /// The name that the copy gets: the source's, or of a pseudo-link one of those that stand for it.
    name: (Arc<Node<B>>, OsString),
    /// The directory below that takes the copy.
    at: Place<B>,
    /// The copy's name until it is whole.
    temporary: OsString,
    /// The copy of a file's content, still empty.
    file: Option<B::File>,
}

/// From how many bytes on a file is copied before an operation takes the lock for changes.
pub(super) const AHEAD: u64 = 1 << 20;

/// Chooses the branch for a copy of something in a directory, now on a branch.
type Choose<'a, B> = &'a dyn Fn(&mut Changes, &Node<B>, &Member<B>) -> Result<Arc<Member<B>>>;

impl<B: Branch> Union<B> {
    /// Makes sure that an object can be changed where it is; copies it up if not. Of a file that is about to be cut to
    /// `size` only that much is copied.
    ///
    /// # Errors
    /// `EROFS` if no writable branch is at or above; those of copying.
    pub fn make_writable(&self, node: &Arc<Node<B>>, size: Option<u64>) -> Result<()> {
        if self.shape.read().unwrap().settings.read_only {
            return Err(Errno::EROFS);
        }
        if node.state.read().unwrap().top.writable() {
            return Ok(());
        }
        let choose = |changes: &mut Changes, parent: &Node<B>, top: &Member<B>| self.place_up(changes, parent, top);
        self.copy_alone(node, size, &choose, &|top| top.writable())
    }

    /// How many bytes would be copied before an object could be changed.
    pub fn to_copy(&self, node: &Arc<Node<B>>) -> u64 {
        if node.kind != Kind::File || node.state.read().unwrap().top.writable() {
            return 0;
        }
        self.attributes(node).map_or(0, |stat| stat.size)
    }

    /// Copies an object up because it was opened (`coo_reg`, `coo_all`, `moo`): to the nearest writable branch above; with
    /// `moo` the source is removed.
    ///
    /// # Errors
    /// `EROFS` if there is none; those of copying.
    pub fn copy_at_open(&self, node: &Arc<Node<B>>) -> Result<()> {
        let top = node.state.read().unwrap().top.clone();
        let nearest = || self.members().into_iter().rfind(|m| m.index() < top.index() && m.writable());
        let (Some(_), Some(_)) = (nearest(), node.name()) else { return Err(Errno::EROFS) };
        let source = if node.kind == Kind::File { Some(self.locate(node)?) } else { None };
        let choose = |_: &mut Changes, _: &Node<B>, _: &Member<B>| nearest().ok_or(Errno::EROFS);
        self.copy_alone(node, None, &choose, &|now| now.id != top.id)?;
        match source {
            Some(from) if top.permission().coo == Some(super::options::Coo::Moo) && top.writable() => {
                top.branch.unlink(&from.dir, &from.name)
            }
            _ => Ok(()),
        }
    }

    /// Copies an object up as the only one who does, until the branch that serves it is `done`.
    fn copy_alone(
        &self,
        node: &Arc<Node<B>>,
        size: Option<u64>,
        choose: Choose<'_, B>,
        done: &dyn Fn(&Member<B>) -> bool,
    ) -> Result<()> {
        let _alone = node.copying.lock().unwrap();
        while !done(&node.state.read().unwrap().top.clone()) {
            if node.name().is_none() && node.ino != super::ROOT {
                return self.copy_orphan(node, size);
            }
            if node.kind == Kind::Dir {
                let mut changes = self.changing();
                let top = node.state.read().unwrap().top.clone();
                let parent = node.name().map_or_else(|| node.clone(), |(parent, _)| parent);
                let target = choose(&mut changes, &parent, &top)?;
                return match self.ensure_dir(&mut changes, node, &target) {
                    Err(Errno::EEXIST | Errno::ENOTDIR) => {
                        let target = self.place_above(&mut changes, &parent, &top)?;
                        self.ensure_dir(&mut changes, node, &target).map(drop)
                    }
                    made => made.map(drop),
                };
            }
            let Some(copying) = self.begin(node, choose)? else { continue };
            let made = copying.carry_out(size);
            self.finish(node, &copying, made)?;
        }
        Ok(())
    }

    /// Makes the directory ready that takes the copy. `None` if the object has just lost its name.
    fn begin(&self, node: &Arc<Node<B>>, choose: Choose<'_, B>) -> Result<Option<Copying<B>>> {
        let mut changes = self.changing();
        let Some((parent, _)) = node.name() else { return Ok(None) };
        let top = node.state.read().unwrap().top.clone();
        let target = choose(&mut changes, &parent, &top)?;
        match self.prepare(&mut changes, node, top.clone(), &target) {
            // Unseen, something that is no directory stands there in the way: to where the parent is.
            Err(Errno::EEXIST | Errno::ENOTDIR) => {
                let target = self.place_above(&mut changes, &parent, &top)?;
                self.prepare(&mut changes, node, top, &target)
            }
            prepared => prepared,
        }
        .map(Some)
    }

    fn prepare(
        &self,
        changes: &mut Changes,
        node: &Arc<Node<B>>,
        top: Arc<Member<B>>,
        target: &Arc<Member<B>>,
    ) -> Result<Copying<B>> {
        if node.pinned.load(Relaxed) {
            return Err(Errno::EXDEV);
        }
        let from = self.locate(node)?;
        let own = from.parent.clone().map(|parent| (parent, from.name.clone()));
        let name = own.or_else(|| node.name()).ok_or(Errno::ESTALE)?;
        let at = self.ensure_dir(changes, &name.0, target)?;
        let temporary = self.free_temporary(changes, &at, &name.1)?;
        let kept = at.member.branch.stat(At::Dir(&at.dir))?;
        let file = blank(&top, &from, &at, &temporary)?;
        keep_times(&at, &kept);
        Ok(Copying { top, from, name, at, temporary, file })
    }

    /// Gives a whole copy its name, if what it is a copy of is still there; otherwise it is removed.
    fn finish(&self, node: &Arc<Node<B>>, copying: &Copying<B>, made: Result<()>) -> Result<()> {
        let mut changes = self.changing();
        let unchanged = {
            let state = node.state.read().unwrap();
            let (parent, name) = &copying.name;
            let named = |(p, n): &(Arc<Node<B>>, OsString)| n == name && p.ino == parent.ino;
            state.top.id == copying.top.id && state.key == copying.from.stat.key && state.names.iter().any(named)
        };
        if !unchanged {
            clear(&copying.at, &copying.temporary);
            return Ok(());
        }
        let done = made.and_then(|()| self.take_place(&mut changes, node, copying));
        done.inspect_err(|_| clear(&copying.at, &copying.temporary))
    }

    /// Copies an object up to a branch, under the lock for changes: for what is small, or was copied ahead.
    pub(super) fn copy_up(
        &self,
        changes: &mut Changes,
        node: &Arc<Node<B>>,
        target: &Arc<Member<B>>,
        size: Option<u64>,
    ) -> Result<()> {
        if node.kind == Kind::Dir {
            return self.ensure_dir(changes, node, target).map(drop);
        }
        let top = node.state.read().unwrap().top.clone();
        if top.id == target.id {
            return Ok(());
        }
        if top.index() < target.index() {
            // Its copy is higher already, under another name (a pseudo-link): never down.
            return Err(Errno::EXDEV);
        }
        let copying = self.prepare(changes, node, top, target)?;
        let done = copying.carry_out(size).and_then(|()| self.take_place(changes, node, &copying));
        done.inspect_err(|_| clear(&copying.at, &copying.temporary))
    }

    /// The moment at which a copy becomes the top copy.
    fn take_place(&self, _changes: &mut Changes, node: &Arc<Node<B>>, copying: &Copying<B>) -> Result<()> {
        let Copying { top, from, name: (_, name), at, temporary, .. } = copying;
        let target = &at.member;
        let kept = target.branch.stat(At::Dir(&at.dir))?;
        let plink = if from.stat.nlink > 1 && self.settings().plink {
            self.link_plink(node, &from.stat, at, temporary)
        } else {
            None
        };
        target.branch.rename(&at.dir, temporary, &at.dir, name, Replace::No)?;
        keep_times(at, &kept);
        let new = target.branch.stat(At::Name(&at.dir, name))?;
        self.moved_up(node, target, &from.stat, &new, plink);
        self.tell_copied(node, top, target, if node.kind == Kind::File { new.size } else { 0 });
        Ok(())
    }

    /// Remembers that the top copy of a node is another now.
    fn moved_up(&self, node: &Arc<Node<B>>, target: &Arc<Member<B>>, old: &Stat, new: &Stat, plink: Option<Plink<B>>) {
        self.totals.copy_ups.fetch_add(1, Relaxed);
        {
            let mut state = node.state.write().unwrap();
            (state.top, state.key, state.file) = (target.clone(), new.key, None);
            state.anchor = plink.as_ref().map(|p| (p.dir.clone(), p.name.clone()));
        }
        let mut table = self.table.lock().unwrap();
        table.tie(node, new.key);
        table.untie(node, old.key);
        if plink.is_none() && old.nlink > 1 {
            // The other names are another file from now on.
            table.exception(old.key);
        }
        drop(table);
        if let Some(plink) = plink {
            self.plinks.write().unwrap().insert(old.key, plink);
        }
    }

    /// Gives a copy its name among the pseudo-links; `None` if that cannot be: then the other names keep the old file.
    fn link_plink(&self, node: &Node<B>, old: &Stat, at: &Place<B>, temporary: &OsStr) -> Option<Plink<B>> {
        let branch = &at.member.branch;
        let dir = branch.dir(&branch.root(), OsStr::new(names::PLINK)).ok()?;
        let name = OsString::from(format!("{}.{}", node.ino, old.key.ino));
        let _ = branch.unlink(&dir, &name);
        branch.link(&at.dir, temporary, &dir, &name).ok()?;
        let copy = branch.stat(At::Name(&dir, &name)).ok()?.key;
        Some(Plink { member: at.member.clone(), dir, name, copy, others: old.nlink - 1 })
    }

    /// Copies a nameless open file to a nameless file on a writable branch.
    fn copy_orphan(&self, node: &Arc<Node<B>>, size: Option<u64>) -> Result<()> {
        let (opened, top) = {
            let state = node.state.read().unwrap();
            (state.file.clone().ok_or(Errno::EROFS)?, state.top.clone())
        };
        let (copy, target) = self.nameless_file(node, &top)?;
        let stat = top.branch.stat(At::File(&*opened.file))?;
        B::copy(&opened.file, &copy, size.map_or(stat.size, |s| s.min(stat.size)))?;
        dress(&top, At::File(&*opened.file), &target, At::File(&copy), &stat, true)?;
        let key: Key = target.branch.stat(At::File(&copy))?.key;
        let mut state = node.state.write().unwrap();
        (state.top, state.key) = (target, key);
        state.file = Some(Opened { file: Arc::new(copy), writable: true });
        Ok(())
    }

    /// A new file without a name, on the branch to which something at the top would be copied.
    fn nameless_file(&self, node: &Node<B>, top: &Member<B>) -> Result<(B::File, Arc<Member<B>>)> {
        let mut changes = self.changing();
        let target = self.place_up(&mut changes, &self.root(), top)?;
        let branch = &target.branch;
        let dir = branch.dir(&branch.root(), OsStr::new(names::ORPHAN))?;
        let key = branch.stat(At::Dir(&dir))?.key;
        let at = Place { member: target.clone(), dir, key };
        let name = OsString::from(node.ino.to_string());
        let file = self.under_temporary(&mut changes, &at, &name, |temporary| {
            let file = branch.create(&at.dir, temporary, 0o600)?;
            branch.unlink(&at.dir, temporary).map(|()| file)
        })?;
        Ok((file, target))
    }
}

impl<B: Branch> Copying<B> {
    /// Fills the copy: content first, then owner, attributes, mode and times.
    fn carry_out(&self, size: Option<u64>) -> Result<()> {
        let Self { top, from, at, temporary, file, .. } = self;
        if let Some(copy) = file {
            let source = top.branch.open(&from.dir, &from.name, false)?;
            B::copy(&source, copy, size.map_or(from.stat.size, |s| s.min(from.stat.size)))?;
        }
        dress(top, At::Name(&from.dir, &from.name), &at.member, At::Name(&at.dir, temporary), &from.stat, true)
    }
}

/// Makes an object of the same kind under a temporary name; a file's content is still missing.
fn blank<B: Branch>(top: &Member<B>, from: &Located<B>, at: &Place<B>, temporary: &OsStr) -> Result<Option<B::File>> {
    let branch = &at.member.branch;
    match from.stat.kind {
        Kind::File => return branch.create(&at.dir, temporary, 0o600).map(Some),
        Kind::Symlink => branch.symlink(&at.dir, temporary, &top.branch.readlink(&from.dir, &from.name)?)?,
        Kind::Dir => return Err(Errno::EISDIR),
        kind => branch.mknod(&at.dir, temporary, kind, 0o600, from.stat.rdev)?,
    }
    Ok(None)
}

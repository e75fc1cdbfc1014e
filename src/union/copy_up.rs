//! Copy-up: before something on a read-only branch changes, it is copied to a writable branch above.
//!
//! The copy is made under a temporary name, content first, then owner, attributes, mode and times, and renamed to its name
//! when it is whole; so it is never half visible. The object keeps its number, open files go on with the new copy at
//! their next read or write, and the times of the directory around it do not change.
//!
//! A file that has lost its last name but is still held open is copied to a name in `.wh..wh.orph` that is removed at once.
//! A file with several names becomes a pseudo-link (see [`super::place`]).

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::branch::{At, Branch, Errno, Kind, Replace, Result, Stat};
use super::file::Located;
use super::node::{Member, Node, Opened, Place};
use super::place::{Plink, dress, keep_times};
use super::{Changes, Union, names};

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
        let mut changes = self.change.lock().unwrap();
        let top = node.state.read().unwrap().top.clone();
        if top.writable() {
            return Ok(());
        }
        let nameless = node.name().is_none() && node.ino != super::ROOT;
        if nameless {
            return self.copy_orphan(&mut changes, node, &top, size);
        }
        let parent = node.name().map_or_else(|| node.clone(), |(parent, _)| parent);
        let target = self.place_up(&mut changes, &parent, &top)?;
        self.copy_up(&mut changes, node, &target, size)
    }

    /// Copies an object up because it was opened (`coo_reg`, `coo_all`, `moo`): to the nearest writable branch above; with
    /// `moo` the source is removed.
    ///
    /// # Errors
    /// `EROFS` if there is none; those of copying.
    pub fn copy_at_open(&self, node: &Arc<Node<B>>) -> Result<()> {
        let mut changes = self.change.lock().unwrap();
        let top = node.state.read().unwrap().top.clone();
        let nearest = self.members().into_iter().rfind(|m| m.index() < top.index() && m.writable());
        let (Some(target), Some(_)) = (nearest, node.name()) else { return Err(Errno::EROFS) };
        let source = if node.kind == Kind::File { Some(self.locate(node)?) } else { None };
        self.copy_up(&mut changes, node, &target, None)?;
        match source {
            Some(from) if top.permission().coo == Some(super::options::Coo::Moo) && top.writable() => {
                top.branch.unlink(&from.dir, &from.name)
            }
            _ => Ok(()),
        }
    }

    /// Copies an object up to a branch.
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
        let from = self.locate(node)?;
        let parent = from.parent.clone().ok_or(Errno::ESTALE)?;
        let at = self.ensure_dir(changes, &parent, target)?;
        let kept = target.branch.stat(At::Dir(&at.dir))?;
        let mut plink = None;
        self.under_temporary(changes, &at, &from.name, |temporary| {
            duplicate(&top, &from, &at, temporary, size)?;
            if from.stat.nlink > 1 && self.settings().plink {
                plink = self.link_plink(node, &from.stat, &at, temporary);
            }
            target.branch.rename(&at.dir, temporary, &at.dir, &from.name, Replace::No)
        })?;
        keep_times(&at, &kept);
        let new = target.branch.stat(At::Name(&at.dir, &from.name))?;
        self.moved_up(node, target, &from.stat, &new, plink);
        self.tell_copied(node, &top, target, if node.kind == Kind::File { new.size } else { 0 });
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
        Some(Plink { member: at.member.clone(), dir, name, others: old.nlink - 1 })
    }

    /// Copies a nameless open file to a nameless file on a writable branch.
    fn copy_orphan(
        &self,
        changes: &mut Changes,
        node: &Arc<Node<B>>,
        top: &Arc<Member<B>>,
        size: Option<u64>,
    ) -> Result<()> {
        let opened = node.state.read().unwrap().file.clone().ok_or(Errno::EROFS)?;
        let target = self.place_up(changes, &self.root(), top)?;
        let branch = &target.branch;
        let dir = branch.dir(&branch.root(), OsStr::new(names::ORPHAN))?;
        let stat = top.branch.stat(At::File(&*opened.file))?;
        let at = Place { member: target.clone(), dir, key: stat.key };
        let name = OsString::from(node.ino.to_string());
        let copy = self.under_temporary(changes, &at, &name, |temporary| {
            let copy = branch.create(&at.dir, temporary, 0o600)?;
            B::copy(&opened.file, &copy, size.map_or(stat.size, |s| s.min(stat.size)))?;
            dress(top, At::File(&*opened.file), &target, At::File(&copy), &stat, true)?;
            branch.unlink(&at.dir, temporary)?;
            Ok(copy)
        })?;
        let key = branch.stat(At::File(&copy))?.key;
        let mut state = node.state.write().unwrap();
        (state.top, state.key) = (target, key);
        state.file = Some(Opened { file: Arc::new(copy), writable: true });
        Ok(())
    }
}

/// Makes a whole copy of a located object under a temporary name.
fn duplicate<B: Branch>(
    top: &Member<B>,
    from: &Located<B>,
    at: &Place<B>,
    temporary: &OsStr,
    size: Option<u64>,
) -> Result<()> {
    let (branch, stat) = (&at.member.branch, &from.stat);
    match stat.kind {
        Kind::File => {
            let source = top.branch.open(&from.dir, &from.name, false)?;
            let copy = branch.create(&at.dir, temporary, 0o600)?;
            B::copy(&source, &copy, size.map_or(stat.size, |s| s.min(stat.size)))?;
        }
        Kind::Symlink => {
            let target = top.branch.readlink(&from.dir, &from.name)?;
            branch.symlink(&at.dir, temporary, &target)?;
        }
        Kind::Dir => return Err(Errno::EISDIR),
        kind => branch.mknod(&at.dir, temporary, kind, 0o600, stat.rdev)?,
    }
    dress(top, At::Name(&from.dir, &from.name), &at.member, At::Name(&at.dir, temporary), stat, true)
}

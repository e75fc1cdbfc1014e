//! Making names: files, directories, special files, links.
//!
//! The policy chooses a branch; the directories it lacks are made there; the new name is made; and only then a whiteout of
//! the name on that branch is removed. A directory that takes the place of a whited-out one is made opaque before it gets
//! its name, so that nothing of the old one shines through for a moment.

use std::ffi::OsStr;
use std::sync::Arc;

use super::branch::{At, Branch, Errno, Kind, Replace, Result, Stat};
use super::copy_up::AHEAD;
use super::lookup::{Found, find};
use super::node::{Member, Node, Place};
use super::place::{Chosen, show_change};
use super::policy::Create;
use super::{Caller, Changes, Union, names};

/// What is to be made. Modes are permission bits before the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum New<'a> {
    /// A regular file.
    File(u32),
    /// A directory.
    Dir(u32),
    /// A pipe, socket, device or empty file.
    Node(Kind, u32, u64),
    /// A symbolic link.
    Symlink(&'a OsStr),
}

impl<B: Branch> Union<B> {
    /// Makes a name; gives its node, held once, with its attributes. A regular file is left open for writing.
    ///
    /// # Errors
    /// `EEXIST`, `EROFS`, `EPERM` (reserved names), `ENAMETOOLONG`; those of the branch.
    pub fn make(
        &self,
        parent: &Arc<Node<B>>,
        name: &OsStr,
        new: New<'_>,
        caller: &Caller,
    ) -> Result<(Arc<Node<B>>, Stat)> {
        names::check(name)?;
        let mut changes = self.changing();
        alive(parent)?;
        let dir = matches!(new, New::Dir(_));
        let policy = self.settings().create;
        let mut chosen = self.place_new(&mut changes, parent, name, dir, policy)?;
        let at = match self.ensure_dir(&mut changes, parent, &chosen.member) {
            // On that branch something that is no directory stands in the way, unseen: stay where the parent is.
            Err(Errno::EEXIST | Errno::ENOTDIR) => {
                chosen = self.place_new(&mut changes, parent, name, dir, Create::TopDownParent)?;
                self.ensure_dir(&mut changes, parent, &chosen.member)?
            }
            at => at?,
        };
        let (stat, file) = match new {
            New::Dir(mode) => (self.make_dir(&mut changes, &at, name, mode, caller, &chosen, parent)?, None),
            _ => self.make_other(parent, &at, name, new, caller)?,
        };
        if chosen.whiteout {
            // Should that fail, it hides nothing any more: the name beside it counts.
            let _ = self.remove_whiteout(&at, name, || parent.path_of(name));
        }
        show_change(parent, &at);
        let places = match new {
            New::Dir(_) => {
                vec![Place { member: at.member.clone(), dir: at.member.branch.dir(&at.dir, name)?, key: stat.key }]
            }
            _ => Vec::new(),
        };
        let floor = if matches!(new, New::Dir(_)) { chosen.floor.or_else(|| Some(at.member.clone())) } else { None };
        let made = self.adopt(parent, name, Found { top: at.member.clone(), depth: 0, stat, places, floor })?;
        if let Some(file) = file {
            self.keep_open(&made.0, file);
        }
        Ok(made)
    }

    fn make_other(
        &self,
        parent: &Node<B>,
        at: &Place<B>,
        name: &OsStr,
        new: New<'_>,
        caller: &Caller,
    ) -> Result<(Stat, Option<B::File>)> {
        let branch = &at.member.branch;
        let mask = |mode| self.masked(parent, at, mode, caller.umask);
        let mut file = None;
        let mode = match new {
            New::File(mode) => {
                file = Some(branch.create(&at.dir, name, mask(mode))?);
                mode
            }
            New::Node(kind, mode, rdev) => {
                branch.mknod(&at.dir, name, kind, mask(mode), rdev)?;
                mode
            }
            New::Symlink(target) => {
                branch.symlink(&at.dir, name, target)?;
                0
            }
            New::Dir(_) => return Err(Errno::EISDIR),
        };
        let made = file.as_ref().map_or(At::Name(&at.dir, name), At::File);
        let stat = branch.stat(made)?;
        let owned = self.own(branch, &at.dir, name, caller, stat, mode);
        let stat = owned.inspect_err(|_| {
            let _ = branch.unlink(&at.dir, name);
        })?;
        Ok((stat, file))
    }

    #[allow(clippy::too_many_arguments)]
    fn make_dir(
        &self,
        changes: &mut Changes,
        at: &Place<B>,
        name: &OsStr,
        mode: u32,
        caller: &Caller,
        chosen: &Chosen<B>,
        parent: &Arc<Node<B>>,
    ) -> Result<Stat> {
        let branch = &at.member.branch;
        let mode = self.masked(parent, at, mode, caller.umask);
        let opaque = chosen.whiteout || self.settings().opaque_always;
        if !opaque {
            branch.mkdir(&at.dir, name, mode)?;
            let stat = branch.stat(At::Name(&at.dir, name))?;
            return self.own(branch, &at.dir, name, caller, stat, mode).inspect_err(|_| {
                let _ = branch.rmdir(&at.dir, name);
            });
        }
        self.under_temporary(changes, at, name, |temporary| {
            branch.mkdir(&at.dir, temporary, mode)?;
            let stat = branch.stat(At::Name(&at.dir, temporary))?;
            let stat = self.own(branch, &at.dir, temporary, caller, stat, mode)?;
            self.make_opaque(at, temporary, || parent.path_of(name))?;
            branch.rename(&at.dir, temporary, &at.dir, name, Replace::No)?;
            Ok(stat)
        })
    }

    /// Gives an object a second name; gives its attributes. It is held once more.
    ///
    /// # Errors
    /// `EPERM` for directories and reserved names, `EROFS`, `EXDEV`; those of the branch.
    pub fn link(&self, node: &Arc<Node<B>>, parent: &Arc<Node<B>>, name: &OsStr) -> Result<(Arc<Node<B>>, Stat)> {
        names::check(name)?;
        if node.kind == Kind::Dir {
            return Err(Errno::EPERM);
        }
        if self.to_copy(node) > AHEAD {
            self.make_writable(node, None)?;
        }
        let mut changes = self.changing();
        alive(parent)?;
        let source = self.locate(node).map_err(|_| Errno::ENOENT)?;
        let top = node.state.read().unwrap().top.clone();
        let chosen = self.place_new(&mut changes, parent, name, true, self.settings().create);
        // Below where the new name is hidden it would not be seen.
        let floor = chosen.as_ref().ok().and_then(|c| c.floor.clone());
        let hidden = |member: &Member<B>| floor.as_ref().is_some_and(|floor| member.index() > floor.index());
        let stay = top.writable() && !hidden(&top);
        let target = if stay {
            top.clone()
        } else {
            let up = self.place_up(&mut changes, source.parent.as_ref().unwrap_or(parent), &top)?;
            if hidden(&up) { chosen?.member } else { up }
        };
        if !stay {
            self.copy_up(&mut changes, node, &target, None)?;
        }
        let source = self.locate(node)?;
        let at = self.reach_dir(&mut changes, parent, &target)?;
        target.branch.link(&source.dir, &source.name, &at.dir, name)?;
        let _ = self.remove_whiteout(&at, name, || parent.path_of(name));
        show_change(parent, &at);
        let found = find(&parent.places(), 0, name)?.ok_or(Errno::EIO)?;
        self.adopt(parent, name, found)
    }
}

/// Refuses to make anything in a directory that has been removed.
pub(super) fn alive<B: Branch>(dir: &Node<B>) -> Result<()> {
    if dir.ino != super::ROOT && dir.name().is_none() { Err(Errno::ENOENT) } else { Ok(()) }
}

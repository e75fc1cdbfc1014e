//! What is done with one object: attributes, content, extended attributes.
//!
//! What is read and written goes through the files that [`super::open`] keeps open.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::branch::{At, Branch, Change, Errno, Kind, Result, Space, Stat};
use super::node::{Last, Node, Place};
use super::options::Udba;
use super::{Caller, Union};

/// Where the top copy of an object other than a directory is.
pub struct Located<B: Branch> {
    /// The directory in the union; `None` for a pseudo-link.
    pub parent: Option<Arc<Node<B>>>,
    /// The directory below.
    pub dir: B::Dir,
    /// The name in it.
    pub name: OsString,
    /// Its attributes.
    pub stat: Stat,
}

/// Tells whether who writes is outside of a group.
pub type Outsider<'a> = &'a dyn Fn(u32) -> bool;

impl<B: Branch> Union<B> {
    /// Finds the top copy under any of its names.
    ///
    /// # Errors
    /// `ESTALE` if none of the names stands for it any more: the branch was changed directly.
    pub(super) fn locate(&self, node: &Node<B>) -> Result<Located<B>> {
        let (top, key, anchor, names) = {
            let state = node.state.read().unwrap();
            (state.top.clone(), state.key, state.anchor.clone(), state.names.clone())
        };
        let named = names.into_iter().filter_map(|(parent, name)| {
            let dir = parent.place_on(&top)?.dir;
            Some((Some(parent), dir, name))
        });
        let anchored = anchor.into_iter().map(|(dir, name)| (None, dir, name));
        for (parent, dir, name) in named.chain(anchored) {
            match top.branch.stat(At::Name(&dir, &name)) {
                Ok(stat) if stat.key == key => return Ok(Located { parent, dir, name, stat }),
                Ok(_) | Err(Errno::ENOENT | Errno::ESTALE) => {}
                Err(e) => return Err(e),
            }
        }
        Err(Errno::ESTALE)
    }

    /// Attributes of an object.
    ///
    /// # Errors
    /// `ESTALE` if it vanished below; those of the branches.
    pub fn attributes(&self, node: &Node<B>) -> Result<Stat> {
        if node.kind == Kind::Dir {
            return dir_attributes(node);
        }
        let mut stat = match self.locate(node) {
            Ok(located) => located.stat,
            Err(Errno::ESTALE) => self.nameless(node)?,
            Err(e) => return Err(e),
        };
        self.adjust_links(&mut stat);
        Ok(stat)
    }

    /// Attributes of what has no name but is held.
    fn nameless(&self, node: &Node<B>) -> Result<Stat> {
        let state = node.state.read().unwrap();
        match (&state.file, state.last) {
            (Some(opened), _) => {
                let mut stat = state.top.branch.stat(At::File(&*opened.file))?;
                if state.names.is_empty() && !state.top.writable() {
                    stat.nlink = stat.nlink.saturating_sub(1);
                }
                Ok(stat)
            }
            (None, Some(Last::Ghost(stat))) => Ok(stat),
            (None, _) => Err(Errno::ESTALE),
        }
    }

    /// Runs `f` on the top copy, by whichever way reaches it.
    fn with_top<T>(&self, node: &Node<B>, f: impl Fn(&B, At<'_, B>) -> Result<T>) -> Result<T> {
        if node.kind == Kind::Dir {
            let place = node.places().first().cloned().ok_or(Errno::ESTALE)?;
            return f(&place.member.branch, At::Dir(&place.dir));
        }
        let top = node.state.read().unwrap().top.clone();
        match self.locate(node) {
            Ok(at) => f(&top.branch, At::Name(&at.dir, &at.name)),
            Err(e) => match node.state.read().unwrap().file.clone() {
                Some(opened) => f(&top.branch, At::File(&*opened.file)),
                None => Err(e),
            },
        }
    }

    /// Changes attributes; copies up first. With `strip`, set-id bits of a file that is cut are cleared ([`Union::strip_ids`]).
    ///
    /// # Errors
    /// `EROFS`; those of the branch.
    pub fn set_attributes(&self, node: &Arc<Node<B>>, change: &Change, strip: Option<Outsider<'_>>) -> Result<Stat> {
        self.make_writable(node, change.size)?;
        let mut change = *change;
        if change.size.is_some() {
            let opened = self.opened(node, true)?;
            let top = node.state.read().unwrap().top.clone();
            let cut = Change { size: change.size.take(), ..Change::default() };
            top.branch.change(At::File(&*opened), &cut)?;
            if let Some(outsider) = strip {
                self.strip_ids(node, outsider)?;
            }
        }
        if change != Change::default() {
            self.with_top(node, |branch, at| branch.change(at, &change))?;
        }
        self.attributes(node)
    }

    /// Clears the set-user-id bit, and the set-group-id bit of a file that is group-executable or whose group the writer is not
    /// in, after a write by an ordinary user; whether there was one.
    ///
    /// # Errors
    /// Those of the branch.
    pub fn strip_ids(&self, node: &Arc<Node<B>>, outsider: Outsider<'_>) -> Result<bool> {
        let stat = self.attributes(node)?;
        let group = stat.mode & 0o2000 != 0 && (stat.mode & 0o010 != 0 || outsider(stat.gid));
        let drop = 0o4000 | if group { 0o2000 } else { 0 };
        if stat.kind != Kind::File || stat.mode & drop == 0 {
            return Ok(false);
        }
        let change = Change { mode: Some(stat.mode & !drop), ..Change::default() };
        self.with_top(node, |branch, at| branch.change(at, &change)).map(|()| true)
    }

    /// Reads content.
    ///
    /// # Errors
    /// Those of the branch.
    pub fn read(&self, node: &Arc<Node<B>>, buffer: &mut [u8], offset: u64) -> Result<usize> {
        B::read(&*self.opened(node, false)?, buffer, offset)
    }

    /// Writes content; copies up first.
    ///
    /// # Errors
    /// `EROFS`, `ENOSPC`, those of the branch.
    pub fn write(&self, node: &Arc<Node<B>>, data: &[u8], offset: u64) -> Result<usize> {
        B::write(&*self.opened(node, true)?, data, offset)
    }

    /// Where a symbolic link points to.
    ///
    /// # Errors
    /// `ESTALE`; those of the branch.
    pub fn readlink(&self, node: &Node<B>) -> Result<OsString> {
        let at = self.locate(node)?;
        let top = node.state.read().unwrap().top.clone();
        top.branch.readlink(&at.dir, &at.name)
    }

    /// Value of an extended attribute of the top copy.
    ///
    /// # Errors
    /// `ENODATA`; those of the branch.
    pub fn xattr(&self, node: &Node<B>, name: &OsStr) -> Result<Vec<u8>> {
        self.with_top(node, |branch, at| branch.xattr(at, name))
    }

    /// Names of the extended attributes of the top copy.
    ///
    /// # Errors
    /// Those of the branch.
    pub fn xattrs(&self, node: &Node<B>) -> Result<Vec<OsString>> {
        self.with_top(node, |branch, at| branch.xattrs(at))
    }

    /// Sets an extended attribute; copies up first.
    ///
    /// # Errors
    /// `EROFS`; those of the branch.
    pub fn set_xattr(&self, node: &Arc<Node<B>>, name: &OsStr, value: &[u8], flags: i32) -> Result<()> {
        self.make_writable(node, None)?;
        node.default_acl.store(0, Relaxed);
        self.with_top(node, |branch, at| branch.set_xattr(at, name, value, flags))
    }

    /// Removes an extended attribute; copies up first. An ACL that is not there is removed without complaint, as on any file
    /// system.
    ///
    /// # Errors
    /// `ENODATA`, `EROFS`; those of the branch.
    pub fn remove_xattr(&self, node: &Arc<Node<B>>, name: &OsStr) -> Result<()> {
        match self.xattr(node, name) {
            Err(Errno::ENODATA) if name.as_encoded_bytes().starts_with(b"system.posix_acl_") => return Ok(()),
            value => value?,
        };
        self.make_writable(node, None)?;
        node.default_acl.store(0, Relaxed);
        self.with_top(node, |branch, at| branch.remove_xattr(at, name))
    }

    /// Room: of the topmost branch, or with `sum` of all distinct file systems together.
    ///
    /// # Errors
    /// Those of the branches.
    pub fn space(&self) -> Result<Space> {
        let (members, sum) = (self.members(), self.settings().sum);
        if !sum {
            return members.first().ok_or(Errno::EIO)?.branch.space();
        }
        let mut seen: Vec<Space> = Vec::new();
        for member in &members {
            let space = member.branch.space()?;
            if seen.iter().all(|s| s.dev != space.dev) {
                seen.push(space);
            }
        }
        Ok(add_up(&seen))
    }

    /// The owner and mode that a new object should have, set if it has others.
    pub(super) fn own(
        &self,
        branch: &B,
        dir: &B::Dir,
        name: &OsStr,
        caller: &Caller,
        stat: Stat,
        mode: u32,
    ) -> Result<Stat> {
        let inherits = || branch.stat(At::Dir(dir)).is_ok_and(|d| d.mode & 0o2000 != 0);
        let uid = (stat.uid != caller.uid).then_some(caller.uid);
        let gid = (stat.gid != caller.gid && !inherits()).then_some(caller.gid);
        if uid.is_none() && gid.is_none() {
            return Ok(stat);
        }
        branch.change(At::Name(dir, name), &Change { uid, gid, ..Change::default() })?;
        if mode & 0o6000 != 0 && stat.kind != Kind::Symlink {
            branch.change(At::Name(dir, name), &Change { mode: Some(stat.mode), ..Change::default() })?;
        }
        branch.stat(At::Name(dir, name))
    }

    /// The permission bits of a new object in a directory: without the caller's mask, unless the directory has a default
    /// ACL.
    pub(super) fn masked(&self, parent: &Node<B>, at: &Place<B>, mode: u32, umask: u32) -> u32 {
        if umask & mode == 0 || self.has_default_acl(parent, at) { mode } else { mode & !umask }
    }

    fn has_default_acl(&self, parent: &Node<B>, at: &Place<B>) -> bool {
        let known = parent.default_acl.load(Relaxed);
        if known > 0 {
            return known == 2;
        }
        let has = at.member.branch.xattr(At::Dir(&at.dir), OsStr::new("system.posix_acl_default")).is_ok();
        if self.settings().udba != Udba::Reval {
            parent.default_acl.store(1 + u8::from(has), Relaxed);
        }
        has
    }
}

/// A directory's attributes are its top copy's, but the link counts of all copies are added up.
fn dir_attributes<B: Branch>(node: &Node<B>) -> Result<Stat> {
    let state = node.state.read().unwrap();
    let removed = state.names.is_empty() && node.ino != super::ROOT;
    let places = state.places.clone();
    drop(state);
    let (first, rest) = places.split_first().ok_or(Errno::ESTALE)?;
    let mut stat = first.member.branch.stat(At::Dir(&first.dir))?;
    if removed {
        return Ok(Stat { nlink: 0, ..stat });
    }
    for place in rest {
        let more = place.member.branch.stat(At::Dir(&place.dir)).map_or(0, |s| s.nlink);
        stat.nlink = more_links(stat.nlink, more);
    }
    Ok(stat)
}

/// The link count of a directory to which a lower copy with `more` is added: `.` and its own name are counted once.
pub(super) fn more_links(links: u32, more: u32) -> u32 {
    links.saturating_add(more.saturating_sub(2))
}

/// Total over file systems in units of the smallest block size.
fn add_up(spaces: &[Space]) -> Space {
    let bsize = spaces.iter().map(|s| s.bsize.max(1)).min().unwrap_or(4096);
    spaces.iter().fold(Space { bsize, ..Space::default() }, |sum, s| {
        let scale = s.bsize.max(1) / bsize;
        Space {
            blocks: sum.blocks + s.blocks * scale,
            bfree: sum.bfree + s.bfree * scale,
            bavail: sum.bavail + s.bavail * scale,
            files: sum.files + s.files,
            ffree: sum.ffree + s.ffree,
            ..sum
        }
    })
}

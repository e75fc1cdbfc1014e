//! Names and figures: what is looked up, made, moved, removed.

use std::ffi::OsStr;
use std::time::Duration;

use bytes::Bytes;
use fuser::{FileAttr, INodeNo, RenameFlags, Request};

use super::Ttl;
use super::attr::{attr, now, stale, stripped};
use super::aux::{aux_attr, is_aux};
use super::fs::Fs;
use super::inodes::name as blob;
use crate::volume::client::tale::{self, Telling};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Change, Iatt, Inode, Node};

impl Fs {
    pub(super) fn gfid(&self, ino: INodeNo) -> Result<Gfid, i32> {
        self.0.inodes.get(ino.0).map(|k| k.gfid)
    }

    /// What the kernel calls an inode.
    pub(super) fn figures(&self, gfid: Gfid, iatt: &Iatt) -> FileAttr {
        attr(self.0.inodes.number(gfid), iatt)
    }

    /// The kernel is told of an inode.
    pub(super) fn told(&self, inode: &Inode) -> FileAttr {
        self.0.inodes.learn(inode.gfid, inode.iatt.is_dir());
        self.figures(inode.gfid, &inode.iatt)
    }

    pub(super) fn lookup_entry(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, i32> {
        if let Some(found) = self.meta_lookup(parent, name).or_else(|| self.aux_lookup(parent, name)) {
            return found;
        }
        let found = self.0.session.files.lookup(self.gfid(parent)?, &blob(name))?;
        if found.needs_heal {
            self.0.heal(found.inode.gfid);
        }
        let inode = self.fresh(found.inode)?;
        Ok(self.told(&inode))
    }

    /// The same with how long it may be believed: what copies dispute has a name, by which a person may ask about it, and no
    /// attributes.
    pub(super) fn lookup_disputed(&self, parent: INodeNo, name: &OsStr) -> Result<(FileAttr, Ttl), i32> {
        match self.lookup_entry(parent, name) {
            Ok(attr) => Ok((attr, self.0.ttl)),
            Err(libc::EIO) => {
                let known = self.0.session.files.identity(self.gfid(parent)?, &blob(name)).ok_or(libc::EIO)?;
                Ok((self.told(&known), Ttl { attribute: Duration::ZERO, entry: Duration::ZERO }))
            }
            Err(errno) => Err(errno),
        }
    }

    /// An inode whose figures count what is still in memory here.
    pub(super) fn fresh(&self, inode: Inode) -> Result<Inode, i32> {
        if !self.0.buffers.is_dirty(inode.gfid) {
            return Ok(inode);
        }
        self.0.buffers.flush(inode.gfid)?;
        Ok(self.0.session.files.stat(inode.gfid)?.inode)
    }

    pub(super) fn stat(&self, ino: INodeNo) -> Result<FileAttr, i32> {
        if let Some(node) = self.meta(ino) {
            return Ok(self.meta_attr(ino, &node?));
        }
        if is_aux(ino) {
            return Ok(aux_attr());
        }
        let known = self.0.inodes.get(ino.0)?;
        let gfid = known.gfid;
        if let Some(copy) = known.chosen() {
            let inode = self.0.session.files.set_of(gfid)?.copy_of(gfid, copy)?;
            return Ok(self.figures(gfid, &inode.iatt));
        }
        self.0.buffers.flush(gfid)?;
        match self.0.session.files.figures(gfid) {
            // Copies dispute the attributes: GlusterFS's mount shows those of one of them, and does nothing with the file.
            Err(libc::EIO) => {
                let copy = self.0.session.files.set_of(gfid)?.any_copy(gfid).ok_or(libc::EIO)?;
                Ok(self.figures(gfid, &copy.iatt))
            }
            figures => Ok(self.figures(gfid, &figures.map_err(stale)?)),
        }
    }

    /// Something new, as its maker wants it.
    pub(super) fn node(&self, req: &Request, (mode, umask): (u32, u32), rdev: u32, target: Bytes) -> Node {
        let (gfid, time) = (self.0.inodes.newborn(), now());
        Node { gfid, mode, uid: req.uid(), gid: req.gid(), rdev, target, time, xattrs: vec![], umask: Some(umask) }
    }

    pub(super) fn make(&self, parent: INodeNo, name: &OsStr, node: Node) -> Result<FileAttr, i32> {
        let parent = self.gfid(parent)?;
        let _telling = self.tell_make(name, &node);
        let made = self.0.session.files.make(parent, &blob(name), node)?;
        Ok(self.told(&made))
    }

    /// Something new is made, and that is told if somebody watches.
    fn tell_make(&self, name: &OsStr, node: &Node) -> Option<Telling> {
        let teller = &self.0.session.teller;
        let telling = teller.begin(&self.0.session.files.graph().volume.name)?;
        teller.keep(node.gfid);
        let (call, kind) = match node.mode & libc::S_IFMT {
            libc::S_IFREG => ("open(2) with O_CREAT", "CREATE"),
            libc::S_IFDIR => ("mkdir(2)", "MKDIR"),
            libc::S_IFLNK => ("symlink(2)", "SYMLINK"),
            _ => ("mknod(2)", "MKNOD"),
        };
        tale::step("vfs", "way-make", || vec![("call", call.into()), ("name", name.to_string_lossy().into_owned())]);
        tale::step("fuse", "way-fuse", || vec![("fop", kind.into())]);
        Some(telling)
    }

    /// Changes attributes and length. `strips`: a new length takes set-user-id and set-group-id bits away.
    pub(super) fn set_attributes(
        &self,
        ino: INodeNo,
        mut change: Change,
        size: Option<u64>,
        strips: bool,
    ) -> Result<FileAttr, i32> {
        let known = self.0.inodes.get(ino.0)?;
        let files = &self.0.session.files;
        if !known.is_dir {
            self.0.buffers.flush(known.gfid)?;
        }
        let mut iatt = None;
        if let Some(size) = size {
            let cut = files.truncate(known.gfid, size).map_err(stale)?;
            change.mode = change.mode.or(strips.then(|| stripped(&cut)).flatten());
            iatt = Some(cut);
        }
        if change != Change::default() {
            let change = Change { ctime: Some(now()), ..change };
            let after = files.setattr(known.gfid, known.is_dir, &change).map_err(stale)?;
            // Attributes come from any copy; the size from one with contents.
            let size = iatt.map_or_else(|| files.stat(known.gfid).map(|f| f.inode.iatt.size), |i| Ok(i.size))?;
            iatt = Some(Iatt { size, ..after });
        }
        let iatt = iatt.map_or_else(|| files.stat(known.gfid).map(|f| f.inode.iatt), Ok)?;
        Ok(self.figures(known.gfid, &iatt))
    }

    /// What was removed or overwritten stays with those who have it open here.
    fn keeps(&self, parent: Gfid, name: &Bytes) -> Option<u64> {
        if !self.0.inodes.any_open() {
            return None;
        }
        let victim = self.0.session.files.lookup(parent, name).ok()?.inode;
        let last = victim.iatt.nlink <= 1 && !victim.iatt.is_dir();
        let number = self.0.inodes.number(victim.gfid);
        self.0.inodes.get(number).ok().filter(|k| last && k.open > 0).map(|_| number)
    }

    fn kept(&self, number: Option<u64>) {
        if let Some(number) = number {
            let gfid = self.0.inodes.with(number, |k| {
                k.kept = true;
                k.gfid
            });
            gfid.into_iter().for_each(|gfid| self.0.session.files.outdate(gfid));
        }
    }

    pub(super) fn remove(&self, parent: INodeNo, name: &OsStr) -> Result<(), i32> {
        let (parent, name) = (self.gfid(parent)?, blob(name));
        let kept = self.keeps(parent, &name);
        self.0.session.files.unlink(parent, &name, kept.is_some())?;
        self.kept(kept);
        Ok(())
    }

    pub(super) fn rename_entry(
        &self,
        (parent, name): (INodeNo, &OsStr),
        (newparent, newname): (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), i32> {
        let (from, to) = (self.gfid(parent)?, self.gfid(newparent)?);
        let (name, newname) = (blob(name), blob(newname));
        if flags.contains(RenameFlags::RENAME_EXCHANGE) || flags.contains(RenameFlags::RENAME_WHITEOUT) {
            return Err(libc::EINVAL);
        }
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && self.0.session.files.lookup(to, &newname).is_ok() {
            return Err(libc::EEXIST);
        }
        let kept = self.keeps(to, &newname);
        self.0.session.files.rename((from, &name), (to, &newname), kept.is_some())?;
        self.kept(kept);
        Ok(())
    }

    pub(super) fn link_entry(&self, ino: INodeNo, newparent: INodeNo, newname: &OsStr) -> Result<FileAttr, i32> {
        let (gfid, parent) = (self.gfid(ino)?, self.gfid(newparent)?);
        self.0.buffers.flush(gfid)?;
        let linked = self.0.session.files.link(gfid, parent, &blob(newname))?;
        Ok(self.told(&linked))
    }
}

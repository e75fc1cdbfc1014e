//! Names: what comes into a directory, leaves it, moves.

use std::os::fd::AsRawFd;

use bytes::Bytes;

use super::paths::Place;
use super::{PRIVATE, Removed, Store, allow, held};
use crate::volume::acl;
use crate::volume::brick::sys::{self, Result};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Entry, Iatt, Inode, Node};
use crate::volume::xattr::{self, Mdata, Time};

/// How many bytes an entry of a directory takes, about.
const ENTRY: usize = 40;

impl Store {
    /// Makes something new under a name. If the gfid exists already, a file gets the name as a further link and a
    /// directory moves there: so healing can repeat what a copy missed without knowing which of the two it was.
    pub(in crate::volume::brick) fn make(&self, parent: Gfid, name: &[u8], node: &Node) -> Result<Inode> {
        self.bury(node.gfid)?;
        let place = self.entry(parent, name)?;
        let node = &self.inheriting(&place, node);
        let made = match node.mode & libc::S_IFMT {
            libc::S_IFDIR => self.make_dir(parent, name, &place, node)?,
            libc::S_IFREG => self.make_file(parent, name, &place, node)?,
            _ => self.make_other(parent, name, &place, node)?,
        };
        self.touch_dir(parent, node.time)?;
        Ok(made)
    }

    /// What is to be made, with what its directory hands down to it.
    fn inheriting(&self, place: &Place, node: &Node) -> Node {
        let mut node = node.clone();
        let Some(umask) = node.umask.filter(|_| node.mode & libc::S_IFMT != libc::S_IFLNK) else { return node };
        let handed = sys::get_xattr_fd(place.dir(), acl::HANDED_DOWN).ok();
        match handed.as_deref().and_then(|list| Some((list, acl::inherit(list, node.mode)?))) {
            None => node.mode &= !umask,
            Some((list, (mode, access))) => {
                node.mode = mode;
                let key = |key: &'static str| Bytes::from_static(key.as_bytes());
                node.xattrs.extend(access.map(|access| (key(acl::ACCESS), access.into())));
                if node.mode & libc::S_IFMT == libc::S_IFDIR {
                    node.xattrs.push((key(acl::DEFAULT), Bytes::copy_from_slice(list)));
                }
            }
        }
        node
    }

    fn make_dir(&self, parent: Gfid, name: &[u8], place: &Place, node: &Node) -> Result<Inode> {
        if place.stat().is_ok() {
            return Err(libc::EEXIST);
        }
        if self.dir(node.gfid).is_ok() {
            let (from, old) = self.dir_target(node.gfid)?;
            let from = self.child(&self.dir(from)?, &old)?;
            sys::rename_at(from.dir(), &from.name, place.dir(), &place.name)?;
            self.point_handle(node.gfid, parent, name)?;
        } else {
            self.make_hidden(parent, name, place, node)?;
        }
        self.describe(place, &place.stat()?, node.gfid)
    }

    /// A directory is made out of sight and moved to its name when it is complete.
    fn make_hidden(&self, parent: Gfid, name: &[u8], place: &Place, node: &Node) -> Result<()> {
        let hidden = self.below(&format!("{PRIVATE}/landfill/{}", node.gfid))?;
        allow(sys::mkdir_at(hidden.dir(), &hidden.name, node.mode & 0o7777), libc::EEXIST)?;
        self.dress(&hidden, node, &sys::stat_fd(place.dir())?)?;
        self.ensure_handle_dirs(node.gfid)?;
        self.point_handle(node.gfid, parent, name)?;
        sys::rename_at(hidden.dir(), &hidden.name, place.dir(), &place.name)
    }

    /// A file is made at its handle and linked to its name when it is complete.
    fn make_file(&self, parent: Gfid, name: &[u8], place: &Place, node: &Node) -> Result<Inode> {
        let mut handle = self.handle(node.gfid)?;
        let is_kept = held(&self.kept).contains(&node.gfid);
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        let create = |handle: &Place| sys::open_at(handle.dir(), &handle.name, flags, node.mode & 0o7777);
        let opened = match if is_kept { Err(libc::EEXIST) } else { create(&handle) } {
            Err(libc::EEXIST) => return self.name_again(parent, name, place, node.gfid),
            Err(libc::ENOENT) => {
                handle = self.ensure_handle_dirs(node.gfid)?;
                create(&handle)?
            }
            other => other?,
        };
        let file = Place { open: Some(std::sync::Arc::new(opened)), ..handle };
        let dressed = self.dress(&file, node, &sys::stat_fd(place.dir())?).and_then(|()| {
            self.note_name(&file, parent, name)?;
            sys::link_at(file.dir(), &file.name, place.dir(), &place.name)
        });
        if let Err(errno) = dressed {
            let _ = sys::unlink_at(file.dir(), &file.name, false);
            held(&self.flights).forget(node.gfid);
            self.forget(node.gfid);
            return Err(errno);
        }
        self.keep_open(node.gfid, file.open.clone());
        let linkto = node.xattrs.iter().find(|(key, _)| key == xattr::LINKTO.as_bytes());
        let linkto = linkto.map(|(_, v)| String::from_utf8_lossy(v).trim_end_matches('\0').to_string());
        Ok(Inode { gfid: node.gfid, iatt: self.iatt(node.gfid, &file)?, linkto, ..Inode::default() })
    }

    /// The file is there already: it gets one more name.
    fn name_again(&self, parent: Gfid, name: &[u8], place: &Place, gfid: Gfid) -> Result<Inode> {
        let old = self.inode(gfid)?;
        sys::link_at(old.dir(), &old.name, place.dir(), &place.name)?;
        self.forget(gfid);
        self.restore_handle(gfid, place)?;
        self.note_name(place, parent, name)?;
        self.describe(place, &place.stat()?, gfid)
    }

    /// A symbolic link or a special file, made like a file.
    fn make_other(&self, parent: Gfid, name: &[u8], place: &Place, node: &Node) -> Result<Inode> {
        let mut handle = self.handle(node.gfid)?;
        match self.make_at(&handle, node) {
            Err(libc::EEXIST) => return self.name_again(parent, name, place, node.gfid),
            Err(libc::ENOENT) => {
                handle = self.ensure_handle_dirs(node.gfid)?;
                self.make_at(&handle, node)?;
            }
            other => other?,
        }
        let dressed = self.dress(&handle, node, &sys::stat_fd(place.dir())?);
        let linked = dressed.and_then(|()| sys::link_at(handle.dir(), &handle.name, place.dir(), &place.name));
        if let Err(errno) = linked {
            let _ = sys::unlink_at(handle.dir(), &handle.name, false);
            return Err(errno);
        }
        if !self.trusted {
            self.note_link(handle.stat()?.st_ino, node.gfid);
        }
        self.note_name(place, parent, name)?;
        self.describe(place, &place.stat()?, node.gfid)
    }

    fn make_at(&self, handle: &Place, node: &Node) -> Result<()> {
        match node.mode & libc::S_IFMT {
            libc::S_IFLNK => sys::symlink_at(&sys::cstr(node.target.to_vec())?, handle.dir(), &handle.name),
            _ => sys::mknod_at(handle.dir(), &handle.name, node.mode, node.rdev),
        }
    }

    /// Gives something new its owner and attributes. A set-group-id directory hands its group down.
    fn dress(&self, place: &Place, node: &Node, dir: &libc::stat) -> Result<()> {
        let inherits = dir.st_mode & libc::S_ISGID != 0;
        let gid = if inherits { dir.st_gid } else { node.gid };
        if (node.uid, gid) != self.owner {
            place.chown(node.uid, gid)?;
        }
        let kind = node.mode & libc::S_IFMT;
        let hands_down = if inherits && kind == libc::S_IFDIR { libc::S_ISGID } else { 0 };
        if kind != libc::S_IFLNK && (node.mode & 0o7000 != 0 || hands_down != 0) {
            place.chmod((node.mode & 0o7777) | hands_down)?;
        }
        self.raw_set(place, xattr::GFID, &node.gfid.0)?;
        match kind {
            libc::S_IFREG => self.keep_times(node.gfid, place, Mdata::at(node.time))?,
            _ => self.write_mdata(node.gfid, place, Mdata::at(node.time))?,
        }
        for (key, value) in &node.xattrs {
            match place.set_attribute(&self.key(key)?, value) {
                Err(libc::EPERM | libc::EOPNOTSUPP) if kind != libc::S_IFREG && kind != libc::S_IFDIR => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Gives something that was put on the brick by hand its identity and handle.
    pub(super) fn adopt(&self, parent: Gfid, name: &[u8], place: &Place, stat: &libc::stat, gfid: Gfid) -> Result<()> {
        self.raw_set(place, xattr::GFID, &gfid.0)?;
        self.ensure_handle_dirs(gfid)?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
            return self.point_handle(gfid, parent, name);
        }
        self.restore_handle(gfid, place)?;
        self.note_link(stat.st_ino, gfid);
        self.note_name(place, parent, name)
    }

    /// Makes sure that a file has its handle.
    fn restore_handle(&self, gfid: Gfid, place: &Place) -> Result<()> {
        self.bury(gfid)?;
        if self.handle(gfid)?.stat().is_ok() {
            return Ok(());
        }
        let handle = self.ensure_handle_dirs(gfid)?;
        allow(sys::link_at(place.dir(), &place.name, handle.dir(), &handle.name), libc::EEXIST)
    }

    /// Lets a directory's handle tell where it is now.
    fn point_handle(&self, gfid: Gfid, parent: Gfid, name: &[u8]) -> Result<()> {
        let handle = self.handle(gfid)?;
        allow(sys::unlink_at(handle.dir(), &handle.name, false), libc::ENOENT)?;
        self.forget(gfid);
        sys::symlink_at(&sys::cstr(Gfid::target(parent, name))?, handle.dir(), &handle.name)
    }

    /// Records a name of a file at the file.
    fn note_name(&self, place: &Place, parent: Gfid, name: &[u8]) -> Result<()> {
        let (key, value) = xattr::gfid2path(parent, name);
        // A file may have more names than there is room for in its attributes; one of them is enough to find it by.
        allow(self.raw_set(place, &key, &value), libc::ENOSPC)
    }

    fn drop_name(&self, place: &Place, parent: Gfid, name: &[u8]) {
        let key = self.key(xattr::gfid2path(parent, name).0.as_bytes());
        let _ = key.and_then(|key| sys::remove_xattr_at(place.dir(), &place.name, &key));
    }

    /// Another name for a file; nothing happens if the name is this file already.
    pub(in crate::volume::brick) fn link(&self, gfid: Gfid, parent: Gfid, name: &[u8], time: Time) -> Result<Inode> {
        let (old, new) = (self.inode(gfid)?, self.entry(parent, name)?);
        match new.stat() {
            Ok(stat) if self.gfid_at(&new, &stat) == Some(gfid) => {}
            Ok(_) => return Err(libc::EEXIST),
            Err(_) if self.has_all_links(&old.stat()?) => return Err(libc::EMLINK),
            Err(_) => sys::link_at(old.dir(), &old.name, new.dir(), &new.name)?,
        }
        self.note_name(&new, parent, name)?;
        self.set_times(gfid, &new, None, None, Some(time))?;
        self.touch_dir(parent, time)?;
        self.describe(&new, &new.stat()?, gfid)
    }

    /// Whether a file has as many names as `storage.max-hardlinks` allows; its handle is none of them.
    fn has_all_links(&self, stat: &libc::stat) -> bool {
        let most = self.most_links.load(std::sync::atomic::Ordering::Relaxed);
        most > 0 && stat.st_nlink > u64::from(most)
    }

    /// How many names a file may have; 0: as many as the file system allows.
    pub(in crate::volume::brick) fn allow_links(&self, most: u32) {
        self.most_links.store(most, std::sync::atomic::Ordering::Relaxed);
    }

    /// The root directory belongs to these from now on (`storage.owner-uid`, `storage.owner-gid`).
    pub(in crate::volume::brick) fn own(&self, uid: Option<u32>, gid: Option<u32>) {
        if uid.or(gid).is_some() {
            // Who may not give files away leaves it as it is.
            let _ = std::os::unix::fs::chown(self.path(), uid, gid);
        }
    }

    /// Removes a name of a file; gives what file that was and the directory's figures. `keep`: whether somebody may have it open.
    pub(in crate::volume::brick) fn unlink(
        &self,
        parent: Gfid,
        name: &[u8],
        keep: &dyn Fn(Gfid) -> bool,
        time: Time,
    ) -> Result<(Option<Removed>, Iatt)> {
        let place = self.entry(parent, name)?;
        let stat = place.stat()?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
            return Err(libc::EISDIR);
        }
        let gfid = self.face(&stat).map(|known| known.gfid).or_else(|| self.gfid_at(&place, &stat));
        let last = stat.st_nlink <= 2;
        if !last && let Some(gfid) = gfid {
            self.drop_name(&place, parent, name);
            self.set_times(gfid, &place, None, None, Some(time))?;
        }
        sys::unlink_at(place.dir(), &place.name, false)?;
        if let Some(gfid) = gfid.filter(|_| last) {
            self.drop_handle(gfid, keep(gfid))?;
        }
        Ok((gfid.map(|gfid| Removed { gfid, last }), self.dir_changed(parent, time)?))
    }

    /// The last name is gone: the handle goes too, or out of sight as long as somebody has the file open.
    fn drop_handle(&self, gfid: Gfid, keep: bool) -> Result<()> {
        let handle = self.handle(gfid)?;
        self.forget_index(gfid);
        if keep {
            let kept = self.below(&format!("{PRIVATE}/unlink/{gfid}"))?;
            held(&self.kept).insert(gfid);
            return allow(sys::rename_at(handle.dir(), &handle.name, kept.dir(), &kept.name), libc::ENOENT);
        }
        self.forget(gfid);
        held(&self.dying).insert(gfid);
        Ok(())
    }

    /// Removes the handles of files that have no name any more, and with them the files.
    pub(in crate::volume::brick) fn bury_all(&self) {
        let dying: Vec<Gfid> = held(&self.dying).iter().copied().collect();
        for gfid in dying {
            // A handle that cannot be removed is like one that was left behind by a brick that died.
            let _ = self.bury(gfid);
        }
    }

    fn bury(&self, gfid: Gfid) -> Result<()> {
        let _alone = self.alone(gfid);
        if !held(&self.dying).contains(&gfid) {
            return Ok(());
        }
        let handle = self.handle(gfid)?;
        let gone = allow(sys::unlink_at(handle.dir(), &handle.name, false), libc::ENOENT);
        held(&self.dying).remove(&gfid);
        gone
    }

    /// Nobody has an unlinked file open any more.
    pub(in crate::volume::brick) fn close(&self, gfid: Gfid) -> Result<()> {
        self.forget(gfid);
        held(&self.kept).remove(&gfid);
        let kept = self.below(&format!("{PRIVATE}/unlink/{gfid}"))?;
        allow(sys::unlink_at(kept.dir(), &kept.name, false), libc::ENOENT)
    }

    /// Removes an empty directory; gives the gfid that it had and the parent's figures.
    pub(in crate::volume::brick) fn rmdir(
        &self,
        parent: Gfid,
        name: &[u8],
        time: Time,
    ) -> Result<(Option<Gfid>, Iatt)> {
        let place = self.entry(parent, name)?;
        let gfid = place.stat().ok().and_then(|stat| self.gfid_at(&place, &stat));
        sys::unlink_at(place.dir(), &place.name, true)?;
        if let Some(gfid) = gfid {
            self.drop_dir_handle(gfid)?;
        }
        Ok((gfid, self.dir_changed(parent, time)?))
    }

    fn drop_dir_handle(&self, gfid: Gfid) -> Result<()> {
        self.forget(gfid);
        self.forget_index(gfid);
        let _ = self.entry_change_done(gfid, None);
        let handle = self.handle(gfid)?;
        allow(sys::unlink_at(handle.dir(), &handle.name, false), libc::ENOENT)
    }

    /// Moves a name, over what has the new one. Gives what was moved, and what was overwritten.
    pub(in crate::volume::brick) fn rename(
        &self,
        (parent, name): (Gfid, &[u8]),
        (to, newname): (Gfid, &[u8]),
        keep: &dyn Fn(Gfid) -> bool,
        time: Time,
    ) -> Result<(Inode, Option<Removed>)> {
        let (old, new) = (self.entry(parent, name)?, self.entry(to, newname)?);
        let stat = old.stat()?;
        let gfid = self.gfid_at(&old, &stat).ok_or(libc::ENOENT)?;
        let over = new.stat().ok().map(|s| (self.gfid_at(&new, &s), s));
        let same = over.as_ref().is_some_and(|(_, s)| (s.st_dev, s.st_ino) == (stat.st_dev, stat.st_ino));
        if same {
            return Ok((self.describe(&new, &stat, gfid)?, None));
        }
        sys::rename_at(old.dir(), &old.name, new.dir(), &new.name)?;
        let over = over.and_then(|(g, s)| g.map(|g| (g, s)));
        match &over {
            Some((over, s)) if s.st_mode & libc::S_IFMT == libc::S_IFDIR => self.drop_dir_handle(*over)?,
            Some((over, s)) if s.st_nlink <= 2 => self.drop_handle(*over, keep(*over))?,
            Some((over, _)) => {
                let place = self.inode(*over)?;
                self.drop_name(&place, to, newname);
                self.set_times(*over, &place, None, None, Some(time))?;
            }
            None => {}
        }
        if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
            self.point_handle(gfid, to, newname)?;
        } else {
            self.drop_name(&new, parent, name);
            self.note_name(&new, to, newname)?;
        }
        self.set_times(gfid, &new, None, None, Some(time))?;
        self.touch_dir(parent, time)?;
        if to != parent {
            self.touch_dir(to, time)?;
        }
        Ok((self.describe(&new, &new.stat()?, gfid)?, over.map(|(gfid, s)| Removed { gfid, last: s.st_nlink <= 2 })))
    }

    /// Moves something that healing must take away into the hidden directory, whatever is in it.
    pub(in crate::volume::brick) fn park(&self, parent: Gfid, name: &[u8]) -> Result<()> {
        let place = self.entry(parent, name)?;
        let stat = place.stat()?;
        let gfid = self.gfid_at(&place, &stat).unwrap_or_else(Gfid::random);
        let hidden = self.dir(self.anonymous())?;
        let parked = self.child(&hidden, gfid.to_string().as_bytes())?;
        sys::rename_at(place.dir(), &place.name, parked.dir(), &parked.name)?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
            return self.point_handle(gfid, self.anonymous(), gfid.to_string().as_bytes());
        }
        self.drop_name(&parked, parent, name);
        // A file lives on by its handle; its parked name would only be in the way.
        sys::unlink_at(parked.dir(), &parked.name, false)
    }

    /// A directory's names changed.
    fn dir_changed(&self, gfid: Gfid, time: Time) -> Result<Iatt> {
        let place = self.inode(gfid)?;
        self.changed_at(gfid, &place, time)?;
        self.iatt(gfid, &place)
    }

    /// The same, for those who do not ask for its figures.
    fn touch_dir(&self, gfid: Gfid, time: Time) -> Result<()> {
        self.changed_at(gfid, &self.inode(gfid)?, time)
    }

    /// The next entries of a directory after a cookie, `most` at most, with their inodes if wanted. None: the end.
    pub(in crate::volume::brick) fn readdir(
        &self,
        gfid: Gfid,
        after: u64,
        plus: bool,
        most: u32,
    ) -> Result<Vec<Entry>> {
        let room = (most as usize).saturating_mul(ENTRY).clamp(1 << 12, 1 << 15);
        let dir = self.dir(gfid)?;
        let fd = super::paths::open_dir(dir.as_raw_fd(), c".")?;
        sys::seek(fd.as_raw_fd(), after, libc::SEEK_SET)?;
        let mut entries = Vec::new();
        let mut ended = false;
        while entries.is_empty() && !ended {
            let (raw, end) = sys::entries(fd.as_raw_fd(), room)?;
            ended = end;
            let seen = raw.into_iter().filter(|e| gfid != Gfid::ROOT || !self.is_private(&e.name));
            for entry in seen.take(most as usize) {
                let inode = if plus { self.entry_inode(&dir, &entry.name) } else { None };
                entries.push(Entry { name: entry.name.into(), cookie: entry.cookie, kind: entry.kind, inode });
            }
        }
        Ok(entries)
    }

    fn is_private(&self, name: &[u8]) -> bool {
        name == PRIVATE.as_bytes() || name.starts_with(b".glusterfs-anonymous-inode-")
    }

    fn entry_inode(&self, dir: &std::sync::Arc<std::os::fd::OwnedFd>, name: &[u8]) -> Option<Inode> {
        let place = self.child(dir, name).ok()?;
        let stat = place.stat().ok()?;
        if let Some(known) = self.face(&stat) {
            return Some(known);
        }
        let (place, stat) = place.opened(stat).ok()?;
        self.describe(&place, &stat, self.gfid_at(&place, &stat)?).ok()
    }
}

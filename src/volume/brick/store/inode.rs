//! What an inode is: figures, times, identity, attributes.

use bytes::Bytes;

use super::flight::Flight;
use super::paths::Place;
use super::{PRIVATE, Store, held};
use crate::volume::brick::sys::{self, Result};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Blob, Change, Iatt, Inode};
use crate::volume::xattr::{self, Mdata, Pending, Time};

/// How many inodes' times are remembered.
const TIMES: usize = 4096;

impl Store {
    /// One attribute of a place.
    pub(super) fn raw_get(&self, place: &Place, key: &str) -> Result<Vec<u8>> {
        place.attribute(&self.key(key.as_bytes())?)
    }

    /// Sets one attribute. What cannot carry attributes of ours goes without.
    pub(super) fn raw_set(&self, place: &Place, key: &str, value: &[u8]) -> Result<()> {
        match place.set_attribute(&self.key(key.as_bytes())?, value) {
            Err(libc::EPERM) if !self.trusted && !self.carries(place) => Ok(()),
            other => other,
        }
    }

    /// Whether it may have attributes of ours: as an ordinary user, files and directories only.
    pub(super) fn carries(&self, place: &Place) -> bool {
        let kind = place.stat().map_or(0, |s| s.st_mode & libc::S_IFMT);
        self.trusted || kind == libc::S_IFREG || kind == libc::S_IFDIR
    }

    /// The identity of what is at a place; `None`: it has none yet.
    pub(super) fn gfid_at(&self, place: &Place, stat: &libc::stat) -> Option<Gfid> {
        match self.raw_get(place, xattr::GFID) {
            Ok(raw) => Gfid::from_slice(&raw),
            Err(_) if !self.trusted => self.gfid_by_number(stat.st_ino),
            Err(_) => None,
        }
    }

    /// The gfid of a symbolic link or special file, by the inode number of its handle.
    fn gfid_by_number(&self, number: u64) -> Option<Gfid> {
        let mut links = held(&self.links);
        links.get_or_insert_with(|| self.scan_links().unwrap_or_default().into_iter().collect()).get(&number).copied()
    }

    /// Remembers it.
    pub(super) fn note_link(&self, number: u64, gfid: Gfid) {
        if let Some(links) = held(&self.links).as_mut() {
            links.insert(number, gfid);
        }
    }

    /// All handles of things that are neither file nor directory.
    fn scan_links(&self) -> Result<Vec<(u64, Gfid)>> {
        let mut found = Vec::new();
        self.each_handle(None, &mut |gfid, place| {
            let stat = place.stat()?;
            if stat.st_mode & libc::S_IFMT != libc::S_IFREG && stat.st_nlink > 1 {
                found.push((stat.st_ino, gfid));
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// Calls `visit` for every handle in the order of gfids, after the given one; until it says `false`.
    pub(super) fn each_handle(
        &self,
        after: Option<Gfid>,
        visit: &mut dyn FnMut(Gfid, &Place) -> Result<bool>,
    ) -> Result<()> {
        let is_hex = |e: &sys::Dirent| e.name.len() == 2 && e.name.iter().all(u8::is_ascii_hexdigit);
        let sorted = |path: &str| -> Result<Vec<String>> {
            let mut names: Vec<String> = self.list(&self.below(path)?)?.into_iter().filter(is_hex).map(text).collect();
            names.sort();
            Ok(names)
        };
        let first = after.map_or(String::new(), |g| g.to_string());
        for x in sorted(PRIVATE)?.into_iter().filter(|x| first.get(..2).is_none_or(|f| x.as_str() >= f)) {
            for y in sorted(&format!("{PRIVATE}/{x}"))? {
                let dir = format!("{PRIVATE}/{x}/{y}");
                let mut names: Vec<String> = self.list(&self.below(&dir)?)?.into_iter().map(text).collect();
                names.sort();
                for gfid in names.iter().filter(|n| n.as_str() > first.as_str()).filter_map(|n| Gfid::parse(n)) {
                    if !visit(gfid, &self.handle(gfid)?)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// A name in a directory. Something that was put there by hand gets the identity `fresh`, and a handle; ENODATA if that is nil.
    pub(in crate::volume::brick) fn lookup(&self, parent: Gfid, name: &[u8], fresh: Gfid) -> Result<Inode> {
        let place = self.entry(parent, name).map_err(|e| if e == libc::EPERM { libc::ENOENT } else { e })?;
        let stat = place.stat()?;
        if let Some(known) = self.face(&stat) {
            return Ok(known);
        }
        let (place, stat) = place.opened(stat)?;
        match self.gfid_at(&place, &stat) {
            Some(gfid) => self.describe(&place, &stat, gfid),
            None if fresh == Gfid::default() => Err(libc::ENODATA),
            None => {
                self.adopt(parent, name, &place, &stat, fresh)?;
                self.describe(&place, &place.stat()?, fresh)
            }
        }
    }

    /// An inode by gfid.
    pub(in crate::volume::brick) fn stat(&self, gfid: Gfid) -> Result<Inode> {
        let place = self.inode(gfid)?;
        let stat = place.stat()?;
        if let Some(known) = self.face(&stat).filter(|known| known.gfid == gfid) {
            return Ok(known);
        }
        let (place, stat) = place.opened(stat)?;
        self.describe(&place, &stat, gfid)
    }

    /// The figures of an inode by gfid.
    pub(in crate::volume::brick) fn figures(&self, gfid: Gfid) -> Result<Iatt> {
        self.iatt(gfid, &self.inode(gfid)?)
    }

    /// Its figures alone.
    pub(super) fn iatt(&self, gfid: Gfid, place: &Place) -> Result<Iatt> {
        Ok(figures(&place.stat()?, self.mdata(gfid, place)))
    }

    /// Its times, if they are on record.
    fn mdata(&self, gfid: Gfid, place: &Place) -> Option<Mdata> {
        let under_way = self.flight(gfid).and_then(|flight| flight.times);
        let known = under_way.or_else(|| held(&self.times).get(&gfid).copied());
        known.or_else(|| self.raw_get(place, xattr::MDATA).ok().and_then(|raw| Mdata::decode(&raw)))
    }

    /// Writes its times.
    pub(super) fn write_mdata(&self, gfid: Gfid, place: &Place, mdata: Mdata) -> Result<()> {
        self.raw_set(place, xattr::MDATA, &mdata.encode())?;
        held(&self.flights).keep_times(gfid, None);
        let mut times = held(&self.times);
        if times.len() >= TIMES {
            times.clear();
        }
        times.insert(gfid, mdata);
        Ok(())
    }

    /// Everything about an inode that a client may need.
    pub(super) fn describe(&self, place: &Place, stat: &libc::stat, gfid: Gfid) -> Result<Inode> {
        let keys = place.attributes()?;
        let mut inode = Inode { gfid, ..Inode::default() };
        let mut mdata = None;
        let ours = if self.trusted { &b"trusted."[..] } else { b"user." };
        for key in keys {
            let Some(rest) = key.strip_prefix(ours) else { continue };
            let value = || place.attribute(&sys::cstr(key.clone())?);
            match rest {
                b"glusterfs.mdata" => mdata = Mdata::decode(&value()?),
                b"glusterfs.dht" => inode.dht = Some(value()?.into()),
                b"glusterfs.dht.linkto" => {
                    inode.linkto = Some(String::from_utf8_lossy(&value()?).trim_end_matches('\0').to_string());
                }
                _ => {
                    if let Some(slot) = rest.strip_prefix(b"afr.") {
                        let pending = Pending::decode(&value()?);
                        if !pending.is_zero() {
                            inode.blame.push((String::from_utf8_lossy(slot).into_owned(), pending));
                        }
                    }
                }
            }
        }
        match self.flight(gfid) {
            Some(flight) => under_way(&mut inode, stat, mdata, &flight),
            None => {
                inode.iatt = figures(stat, mdata);
                self.keep_face(stat, &inode, mdata);
            }
        }
        Ok(inode)
    }

    /// The target of a symbolic link.
    pub(in crate::volume::brick) fn readlink(&self, gfid: Gfid) -> Result<Blob> {
        let place = self.inode(gfid)?;
        sys::readlink_at(place.dir(), &place.name).map(Bytes::from)
    }

    /// Sets mode, owner, times.
    pub(in crate::volume::brick) fn setattr(&self, gfid: Gfid, change: &Change) -> Result<Iatt> {
        let place = self.inode(gfid)?;
        if change.uid.is_some() || change.gid.is_some() {
            place.chown(change.uid.unwrap_or(u32::MAX), change.gid.unwrap_or(u32::MAX))?;
        }
        if let Some(mode) = change.mode {
            place.chmod(mode & 0o7777)?;
        }
        let pair = |t: Time| (t.sec, t.nsec);
        if change.atime.is_some() || change.mtime.is_some() {
            sys::utimens_at(place.dir(), &place.name, change.atime.map(pair), change.mtime.map(pair))?;
        }
        self.set_times(gfid, &place, change.atime, change.mtime, change.ctime)?;
        self.iatt(gfid, &place)
    }

    /// Notes times in the inode's `mdata`; `None` leaves one as it is.
    pub(super) fn set_times(
        &self,
        gfid: Gfid,
        place: &Place,
        atime: Option<Time>,
        mtime: Option<Time>,
        ctime: Option<Time>,
    ) -> Result<()> {
        if atime.or(mtime).or(ctime).is_none() {
            return Ok(());
        }
        let _alone = self.alone(gfid);
        self.write_mdata(gfid, place, self.times_with(gfid, place, (atime, mtime, ctime))?)
    }

    /// Contents, or the names of a directory, changed at this time. It is in the attributes when the inode is settled.
    pub(super) fn changed_at(&self, gfid: Gfid, place: &Place, time: Time) -> Result<()> {
        let _alone = self.alone(gfid);
        let times = self.times_with(gfid, place, (None, Some(time), Some(time)))?;
        self.keep_times(gfid, place, times)
    }

    /// Times that are in the attributes when the inode is settled; at once if there is no room for more.
    pub(super) fn keep_times(&self, gfid: Gfid, place: &Place, times: Mdata) -> Result<()> {
        let kept = held(&self.flights).keep_times(gfid, Some(times));
        if kept { Ok(()) } else { self.write_mdata(gfid, place, times) }
    }

    fn times_with(
        &self,
        gfid: Gfid,
        place: &Place,
        (atime, mtime, ctime): (Option<Time>, Option<Time>, Option<Time>),
    ) -> Result<Mdata> {
        let mut mdata = match self.mdata(gfid, place) {
            Some(mdata) => mdata,
            None => {
                let own = figures(&place.stat()?, None);
                Mdata { ctime: own.ctime, mtime: own.mtime, atime: own.atime }
            }
        };
        mdata.atime = atime.unwrap_or(mdata.atime);
        mdata.mtime = mtime.unwrap_or(mdata.mtime);
        mdata.ctime = ctime.unwrap_or(mdata.ctime);
        Ok(mdata)
    }

    /// One attribute of an inode; ENODATA.
    pub(in crate::volume::brick) fn getxattr(&self, gfid: Gfid, key: &[u8]) -> Result<Blob> {
        let value = self.inode(gfid)?.attribute(&self.key(key)?);
        value.map(Bytes::from).map_err(|e| if e == libc::EPERM { libc::ENODATA } else { e })
    }

    /// All attributes; those of the volume itself only if asked for.
    pub(in crate::volume::brick) fn xattrs(&self, gfid: Gfid, internal: bool) -> Result<Vec<(Blob, Blob)>> {
        let place = self.inode(gfid)?;
        let mut all = Vec::new();
        for stored in place.attributes()? {
            let key = self.canonical(&stored);
            if (internal || !xattr::is_internal(&key))
                && let Ok(value) = place.attribute(&sys::cstr(stored)?)
            {
                all.push((key.into(), value.into()));
            }
        }
        Ok(all)
    }

    /// Sets an attribute.
    pub(in crate::volume::brick) fn setxattr(&self, gfid: Gfid, key: &[u8], value: &[u8], flags: i32) -> Result<Iatt> {
        let place = self.inode(gfid)?;
        sys::set_xattr_at(place.dir(), &place.name, &self.key(key)?, value, flags)?;
        self.iatt(gfid, &place)
    }

    /// Removes an attribute; ENODATA.
    pub(in crate::volume::brick) fn removexattr(&self, gfid: Gfid, key: &[u8]) -> Result<Iatt> {
        let place = self.inode(gfid)?;
        sys::remove_xattr_at(place.dir(), &place.name, &self.key(key)?)?;
        self.iatt(gfid, &place)
    }
}

fn text(entry: sys::Dirent) -> String {
    String::from_utf8_lossy(&entry.name).into_owned()
}

/// What is under way counts as if it were in the attributes.
fn under_way(inode: &mut Inode, stat: &libc::stat, mdata: Option<Mdata>, flight: &Flight) {
    inode.iatt = figures(stat, flight.times.or(mdata));
    if flight.begun.is_zero() {
        return;
    }
    let dirty = |(slot, _): &&mut (String, Pending)| slot == "dirty";
    match inode.blame.iter_mut().find(dirty) {
        Some((_, pending)) => *pending = pending.plus(flight.begun),
        None => inode.blame.push(("dirty".into(), flight.begun)),
    }
}

/// `struct stat` as the volume tells it: the handle is not counted, and times are those in `mdata`.
pub(super) fn figures(stat: &libc::stat, mdata: Option<Mdata>) -> Iatt {
    let time = |sec, nsec: i64| Time { sec, nsec: u32::try_from(nsec).unwrap_or_default() };
    let own = || Mdata {
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        atime: time(stat.st_atime, stat.st_atime_nsec),
    };
    let times = mdata.unwrap_or_else(own);
    let is_dir = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let nlink = u32::try_from(stat.st_nlink).unwrap_or(u32::MAX);
    Iatt {
        mode: stat.st_mode,
        nlink: if is_dir { nlink } else { nlink.saturating_sub(1) },
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: u32::try_from(stat.st_rdev).unwrap_or_default(),
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        blocks: u64::try_from(stat.st_blocks).unwrap_or_default(),
        atime: times.atime,
        mtime: times.mtime,
        ctime: times.ctime,
    }
}

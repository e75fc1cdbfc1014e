//! Where names belong: layouts, paths, link-to files.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Files, Graph};
use crate::volume::client::set::{Found, Set};
use crate::volume::gfid::Gfid;
use crate::volume::hash;
use crate::volume::layout::{Layout, Range, Share};
use crate::volume::rpc::{Change, Fop, Iatt, Node, Reply};
use crate::volume::xattr::{DHT, LINKTO};

/// How often, and after how long again, ranges are read that somebody is just writing.
const DEALS: usize = 20;
const DEAL: Duration = Duration::from_millis(10);

/// Mode of a link-to file: `---------T`.
pub const LINKTO_MODE: u32 = libc::S_IFREG | 0o1000;

impl Files {
    /// Who holds which names of a directory.
    ///
    /// # Errors
    /// As of looking at it on every set that answers.
    pub fn layout(&self, graph: &Graph, dir: Gfid) -> Result<Arc<Layout>, i32> {
        if let Some(layout) = self.known().layouts.get(&dir) {
            return Ok(layout.clone());
        }
        let range = |f: &Result<Found, i32>| f.as_ref().ok().and_then(|f| Range::decode(f.inode.dht.as_ref()?));
        let mut found: Vec<Result<Found, i32>> = vec![];
        for turn in 0..DEALS {
            found = graph.sets.iter().map(|set| set.stat(dir)).collect();
            let ranges: Vec<_> = found.iter().map(range).collect();
            let begun = ranges.iter().flatten().any(|r| !r.is_empty());
            if turn + 1 == DEALS || !begun || found.iter().any(Result::is_err) || Layout(ranges).is_whole() {
                break;
            }
            // Somebody deals the ranges out anew, set by set.
            std::thread::sleep(DEAL);
        }
        let errno = || found.iter().find_map(|f| f.as_ref().err()).copied().unwrap_or(libc::ENOENT);
        if found.iter().all(Result::is_err) {
            return Err(errno());
        }
        let mut layout = Layout(found.iter().map(range).collect());
        let lacking = found.iter().any(|f| matches!(f, Err(libc::ENOENT)));
        if (!layout.is_whole() || lacking) && found.iter().all(|f| !matches!(f, Err(libc::ENOTCONN))) {
            layout = self.mend(graph, dir, &found, &layout)?;
        }
        let layout = Arc::new(layout);
        if found.iter().all(Result::is_ok) && layout.is_whole() {
            self.known().layouts.insert(dir, layout.clone());
        }
        Ok(layout)
    }

    /// Sees to it that the root has its ranges.
    ///
    /// # Errors
    /// As of looking at it, or writing them.
    pub fn prepare(&self) -> Result<(), i32> {
        let graph = self.graph();
        if graph.sets.len() > 1 {
            return self.layout(&graph, Gfid::ROOT).map(drop);
        }
        let Some(set) = graph.sets.first() else { return Ok(()) };
        if set.stat(Gfid::ROOT)?.inode.dht.is_some() {
            return Ok(());
        }
        let whole = Range { commit: 1, start: 0, stop: u32::MAX };
        self.write_layout(&graph, Gfid::ROOT, &Layout(vec![Some(whole)]))
    }

    /// A directory without a whole layout (a fresh root, or one that a new set does not have yet) is given one.
    fn mend(&self, graph: &Graph, dir: Gfid, found: &[Result<Found, i32>], old: &Layout) -> Result<Layout, i32> {
        let path = self.path(graph, dir)?;
        self.mend_missing(graph, dir, found)?;
        let has_some = old.0.iter().flatten().any(|r| !r.is_empty());
        if has_some {
            return Ok(old.clone());
        }
        let commit = if dir == Gfid::ROOT { 1 } else { 0 };
        let layout = Layout::assign(&path, commit, &self.shares(graph), true);
        self.write_layout(graph, dir, &layout)?;
        Ok(layout)
    }

    /// Makes a directory on the sets that lack it.
    fn mend_missing(&self, graph: &Graph, dir: Gfid, found: &[Result<Found, i32>]) -> Result<(), i32> {
        let Some(there) = found.iter().flatten().next() else { return Err(libc::ENOENT) };
        let missing: Vec<usize> = (0..found.len()).filter(|i| matches!(found[*i], Err(libc::ENOENT))).collect();
        if missing.is_empty() || dir == Gfid::ROOT {
            return Ok(());
        }
        let path = self.path(graph, dir)?;
        let at = path.iter().rposition(|b| *b == b'/').unwrap_or_default();
        let name = Bytes::copy_from_slice(&path[at + 1..]);
        let parent = self.resolve(graph, &path[..at])?;
        // What is above it may be missing there too.
        self.layout(graph, parent)?;
        let iatt = there.inode.iatt;
        let xattrs = match self.tell(dir, &Fop::Xattrs { gfid: dir, internal: false }) {
            Ok(Reply::Xattrs(all)) => all,
            _ => vec![],
        };
        let node = Node {
            gfid: dir,
            mode: iatt.mode,
            uid: iatt.uid,
            gid: iatt.gid,
            rdev: 0,
            target: Bytes::new(),
            time: iatt.mtime,
            xattrs,
            umask: None,
        };
        for i in missing {
            let fop = Fop::Make { parent, name: name.clone(), node: Box::new(node.clone()) };
            match graph.sets[i].change_names(parent, &name, &fop) {
                Ok(_) | Err(libc::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Gives a directory the mode, owner and attributes of its last change on the sets that missed it.
    ///
    /// # Errors
    /// As of the sets.
    pub(super) fn level(&self, graph: &Graph, dir: Gfid) -> Result<(), i32> {
        let seen: Vec<Option<Iatt>> = graph.sets.iter().map(|set| set.stat(dir).ok().map(|f| f.inode.iatt)).collect();
        let last = (0..seen.len()).filter(|i| seen[*i].is_some()).max_by_key(|i| seen[*i].map(|iatt| iatt.ctime));
        let (last, right) = last.and_then(|i| Some((i, seen[i]?))).ok_or(libc::ENOENT)?;
        let Reply::Xattrs(xattrs) = graph.sets[last].tell(dir, &Fop::Xattrs { gfid: dir, internal: false })? else {
            return Err(libc::EIO);
        };
        let rights = |iatt: &Iatt| (iatt.mode, iatt.uid, iatt.gid);
        let change =
            Change { mode: Some(right.mode & 0o7777), uid: Some(right.uid), gid: Some(right.gid), ..Change::default() };
        let stale = (0..seen.len()).filter(|i| seen[*i].is_some_and(|iatt| rights(&iatt) != rights(&right)));
        for set in stale.map(|i| &graph.sets[i]) {
            set.change_metadata(dir, &Fop::Setattr { gfid: dir, change: change.clone() })?;
            for (key, value) in &xattrs {
                let fop = Fop::Setxattr { gfid: dir, key: key.clone(), value: value.clone(), flags: 0 };
                set.change_metadata(dir, &fop)?;
            }
        }
        Ok(())
    }

    /// The directory at a path from the volume's root.
    ///
    /// # Errors
    /// ENOENT; ENOTDIR.
    pub fn directory(&self, path: &[u8]) -> Result<Gfid, i32> {
        let graph = self.graph();
        let gfid = self.resolve(&graph, path)?;
        if self.stat(gfid)?.inode.iatt.is_dir() { Ok(gfid) } else { Err(libc::ENOTDIR) }
    }

    /// The directory at a path, by walking it on whatever set knows it.
    fn resolve(&self, graph: &Graph, path: &[u8]) -> Result<Gfid, i32> {
        let mut dir = Gfid::ROOT;
        for name in path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            let name = Bytes::copy_from_slice(name);
            let found = graph.sets.iter().find_map(|set| set.lookup(dir, &name).ok()).ok_or(libc::ENOENT)?;
            dir = found.inode.gfid;
        }
        Ok(dir)
    }

    /// Writes a directory's ranges.
    ///
    /// # Errors
    /// The first of the sets'.
    pub fn write_layout(&self, graph: &Graph, dir: Gfid, layout: &Layout) -> Result<(), i32> {
        for (set, range) in graph.sets.iter().zip(&layout.0) {
            let value = Bytes::copy_from_slice(&range.unwrap_or_default().encode());
            let fop = Fop::Setxattr { gfid: dir, key: Bytes::from_static(DHT.as_bytes()), value, flags: 0 };
            set.change_metadata(dir, &fop)?;
        }
        self.known().layouts.remove(&dir);
        Ok(())
    }

    /// How much each set may hold.
    pub fn shares(&self, graph: &Graph) -> Vec<Share> {
        let rooms: Vec<_> = graph.sets.iter().map(|set| set.room().ok()).collect();
        let sharing = |fsid: u64| rooms.iter().flatten().filter(|r| r.fsid == fsid).count().max(1) as u64;
        let replica = graph.volume.replica.max(1);
        let leaving = |i: usize| graph.volume.bricks.iter().skip(i * replica).take(replica).any(|b| b.decommissioned);
        let share = |(i, room): (usize, &Option<crate::volume::rpc::Room>)| Share {
            name: graph.name(i),
            chunks: room
                .map_or(0, |r| u32::try_from(((r.blocks * r.block) >> 20) / sharing(r.fsid)).unwrap_or(u32::MAX)),
            usable: room.is_some() && !leaving(i),
        };
        rooms.iter().enumerate().map(share).collect()
    }

    /// A directory's path from the root.
    ///
    /// # Errors
    /// ENOENT.
    pub fn path(&self, graph: &Graph, dir: Gfid) -> Result<Vec<u8>, i32> {
        if dir == Gfid::ROOT {
            return Ok(b"/".to_vec());
        }
        if let Some(path) = self.known().paths.get(&dir) {
            return Ok(path.clone());
        }
        let mut errno = libc::ENOENT;
        for set in &graph.sets {
            match set.tell(dir, &Fop::Path { gfid: dir }) {
                Ok(Reply::Bytes(path)) => {
                    self.known().paths.insert(dir, path.to_vec());
                    return Ok(path.to_vec());
                }
                Ok(_) => {}
                Err(e) => errno = e,
            }
        }
        Err(errno)
    }

    /// The set that a name of a directory belongs to.
    ///
    /// # Errors
    /// ENOTCONN if its range is on a set that is away; EIO if the layout has a hole.
    pub fn hashed(&self, graph: &Graph, dir: Gfid, name: &[u8]) -> Result<usize, i32> {
        if graph.sets.len() == 1 {
            return Ok(0);
        }
        let layout = self.layout(graph, dir)?;
        layout.find(hash::of_name(name)).ok_or(libc::ENOTCONN)
    }

    /// Puts a link-to file for `gfid`, which is on `place`, under a name on the set that the name belongs to.
    pub(super) fn point(
        &self,
        graph: &Graph,
        at: usize,
        (dir, name): (Gfid, &Bytes),
        gfid: Gfid,
        place: usize,
    ) -> Result<(), i32> {
        match self.point_anew(graph, at, (dir, name), gfid, place) {
            Err(libc::EEXIST) => Ok(()),
            other => other,
        }
    }

    /// The same where nothing has the name yet (else EEXIST).
    pub(super) fn point_anew(
        &self,
        graph: &Graph,
        at: usize,
        (dir, name): (Gfid, &Bytes),
        gfid: Gfid,
        place: usize,
    ) -> Result<(), i32> {
        let target = format!("{}\0", graph.name(place));
        let set: &Set = &graph.sets[at];
        let node = Node {
            gfid,
            mode: LINKTO_MODE,
            uid: 0,
            gid: 0,
            rdev: 0,
            target: Bytes::new(),
            time: set.wire.now(),
            xattrs: vec![(Bytes::from_static(LINKTO.as_bytes()), target.into())],
            umask: None,
        };
        set.change_names(dir, name, &Fop::Make { parent: dir, name: name.clone(), node: Box::new(node) }).map(drop)
    }
}

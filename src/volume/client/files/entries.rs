//! Names in the tree.

use bytes::Bytes;

use super::{Files, Graph, merged};
use crate::volume::Happening;
use crate::volume::client::set::Found;
use crate::volume::client::tale;
use crate::volume::gfid::Gfid;
use crate::volume::hash;
use crate::volume::layout::{Layout, Range};
use crate::volume::rpc::{Entry, Fop, Inode, Node, Reply};
use crate::volume::xattr::{DHT, MDS};

impl Files {
    /// Which inode has a name.
    ///
    /// # Errors
    /// ENOENT, also when the set that may have it is away; else as of the sets.
    pub fn lookup(&self, dir: Gfid, name: &Bytes) -> Result<Found, i32> {
        let graph = self.graph();
        if let [set] = &graph.sets[..] {
            return set.lookup(dir, name);
        }
        let layout = self.layout(&graph, dir)?;
        let hashed = layout.find(hash::of_name(name));
        let found = match hashed {
            Some(at) => graph.sets[at].lookup(dir, name),
            None => Err(libc::ENOTCONN),
        };
        match found {
            Ok(found) if found.inode.linkto.is_some() => self.follow(&graph, dir, name, &found),
            Ok(found) if found.inode.iatt.is_dir() => {
                let (found, lacking, uneven) = merged(&graph, hashed.unwrap_or_default(), found);
                if lacking {
                    // It is made where it is missing; if that fails, whoever looks into it tries again.
                    self.known().layouts.remove(&found.inode.gfid);
                    let _ = self.layout(&graph, found.inode.gfid);
                } else if uneven {
                    // The next look tries again.
                    let _ = self.level(&graph, found.inode.gfid);
                }
                Ok(found)
            }
            Ok(found) => Ok(self.seen(hashed.unwrap_or_default(), found)),
            Err(libc::ENOENT) if hashed.is_some_and(|at| is_current(&layout, at, &graph)) => Err(libc::ENOENT),
            Err(libc::ENOENT | libc::ENOTCONN) => self.everywhere(&graph, dir, name, hashed),
            Err(errno) => Err(errno),
        }
    }

    /// Which inode has a name, although nobody can say what its attributes are.
    pub fn identity(&self, dir: Gfid, name: &Bytes) -> Option<Inode> {
        let graph = self.graph();
        let at = self.hashed(&graph, dir, name).ok()?;
        graph.sets.get(at)?.identity(dir, name).filter(|inode| inode.linkto.is_none())
    }

    /// Remembers where a file is.
    fn seen(&self, place: usize, found: Found) -> Found {
        if !found.inode.iatt.is_dir() {
            self.known().places.insert(found.inode.gfid, place);
        }
        found
    }

    /// A link-to file says where the data is.
    fn follow(&self, graph: &Graph, dir: Gfid, name: &Bytes, link: &Found) -> Result<Found, i32> {
        let target = link.inode.linkto.as_deref().unwrap_or_default();
        let place = (0..graph.sets.len()).find(|i| graph.name(*i) == target);
        match place.map(|place| (place, graph.sets[place].lookup(dir, name))) {
            Some((place, Ok(found))) if found.inode.linkto.is_none() && found.inode.gfid == link.inode.gfid => {
                Ok(self.seen(place, found))
            }
            _ => self.everywhere(graph, dir, name, None),
        }
    }

    /// Asks every set; a file that is found away from its hashed set gets a link-to file there.
    fn everywhere(&self, graph: &Graph, dir: Gfid, name: &Bytes, hashed: Option<usize>) -> Result<Found, i32> {
        for (i, set) in graph.sets.iter().enumerate() {
            if Some(i) == hashed {
                continue;
            }
            if let Ok(found) = set.lookup(dir, name)
                && found.inode.linkto.is_none()
            {
                if let Some(at) = hashed.filter(|_| !found.inode.iatt.is_dir()) {
                    // Only a short cut for the next look: it may be missing.
                    let _ = self.point(graph, at, (dir, name), found.inode.gfid, i);
                }
                return Ok(self.seen(i, found));
            }
        }
        Err(libc::ENOENT)
    }

    /// All entries of a directory, each once: a directory is told by the set that its name belongs to.
    ///
    /// # Errors
    /// As of the first set if none answers.
    pub fn readdir(&self, dir: Gfid, plus: bool) -> Result<Vec<Entry>, i32> {
        let graph = self.graph();
        if let [set] = &graph.sets[..] {
            return set.readdir(dir, plus);
        }
        let layout = self.layout(&graph, dir)?;
        let (mut all, mut errno, mut answered) = (Vec::new(), libc::ENOENT, false);
        let (mut seen, mut elsewhere) = (std::collections::HashSet::new(), Vec::new());
        for (i, set) in graph.sets.iter().enumerate() {
            match set.readdir(dir, true) {
                Ok(entries) => {
                    answered = true;
                    let belongs = |e: &Entry| match &e.inode {
                        Some(inode) if inode.linkto.is_some() => false,
                        _ if e.kind == libc::DT_DIR => layout
                            .find(hash::of_name(&e.name))
                            .is_none_or(|at| at == i || graph.sets[at].ready().is_err()),
                        _ => true,
                    };
                    // One that its own set lacks (it was made while the volume grew) is told by whichever has it, at the end.
                    elsewhere.extend(entries.iter().filter(|e| e.kind == libc::DT_DIR && !belongs(e)).cloned());
                    for entry in entries.into_iter().filter(belongs) {
                        if let Some(inode) = entry.inode.as_ref().filter(|n| !n.iatt.is_dir()) {
                            self.known().places.insert(inode.gfid, i);
                        }
                        if seen.insert(entry.name.clone()) {
                            all.push(entry);
                        }
                    }
                }
                Err(e) => errno = e,
            }
        }
        all.extend(elsewhere.into_iter().filter(|e| seen.insert(e.name.clone())));
        if answered { Ok(all) } else { Err(errno) }
    }

    /// Makes a file, link, special file or directory.
    ///
    /// # Errors
    /// EEXIST; ENOTCONN if the set that it belongs to is away.
    pub fn make(&self, dir: Gfid, name: &Bytes, node: Node) -> Result<Inode, i32> {
        let graph = self.graph();
        if node.mode & libc::S_IFMT == libc::S_IFDIR {
            return self.make_dir(&graph, dir, name, node);
        }
        let at = self.hashed(&graph, dir, name)?;
        tale::aside(|volume| self.placed(&graph, volume, (dir, name), at));
        tale::step("dht", "way-hashed", || {
            vec![("hash", format!("0x{:08x}", hash::of_name(name))), ("subvolume", graph.name(at))]
        });
        let gfid = node.gfid;
        let place = self.place_of_new(&graph, (dir, name), &node, at)?;
        let fop = Fop::Make { parent: dir, name: name.clone(), node: Box::new(node) };
        let made = inode(graph.sets[place].change_names(dir, name, &fop)?)?;
        if graph.sets.len() > 1 {
            self.known().places.insert(gfid, place);
        }
        Ok(made)
    }

    /// Where something new is made: on the set that its name belongs to, or, if that is nearly full, on a roomier one, to which a
    /// link-to file then points.
    fn place_of_new(&self, graph: &Graph, name: (Gfid, &Bytes), node: &Node, at: usize) -> Result<usize, i32> {
        if graph.sets.len() == 1 || node.mode & libc::S_IFMT != libc::S_IFREG {
            return Ok(at);
        }
        let place = self.roomy(graph, &*self.layout(graph, name.0)?, at);
        if place != at {
            self.point_anew(graph, at, name, node.gfid, place)?;
        }
        Ok(place)
    }

    /// Where a name belongs, and why, for those who watch.
    fn placed(&self, graph: &Graph, volume: String, (dir, name): (Gfid, &Bytes), at: usize) -> Option<Happening> {
        let layout = self.layout(graph, dir).ok()?;
        let range = |(i, r): (usize, &Option<Range>)| r.map(|r| (graph.name(i), r.start, r.stop));
        Some(Happening::Placed {
            volume,
            dir: String::from_utf8_lossy(&self.path(graph, dir).ok()?).into_owned(),
            name: String::from_utf8_lossy(name).into_owned(),
            hash: hash::of_name(name),
            subvolume: graph.name(at),
            ranges: layout.0.iter().enumerate().filter_map(range).collect(),
        })
    }

    /// A directory is made on the set that its name belongs to first, then on all others, each with its range.
    fn make_dir(&self, graph: &Graph, dir: Gfid, name: &Bytes, node: Node) -> Result<Inode, i32> {
        let first = self.hashed(graph, dir, name)?;
        let layout = if graph.sets.len() == 1 {
            Layout(vec![Some(Range { commit: 0, start: 0, stop: u32::MAX })])
        } else {
            graph.sets[first].ready()?;
            let mut path = self.path(graph, dir)?;
            if path != b"/" {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            Layout::assign(&path, 0, &self.shares(graph), true)
        };
        let mut made = None;
        // One that is away gets no names of it, and the directory itself when somebody looks at it later.
        let others = (0..graph.sets.len()).filter(|i| *i != first && graph.sets[*i].ready().is_ok());
        for i in std::iter::once(first).chain(others) {
            let mut node = node.clone();
            let range = layout.0[i].unwrap_or_default().encode();
            node.xattrs.push((Bytes::from_static(DHT.as_bytes()), Bytes::copy_from_slice(&range)));
            if i == first && graph.sets.len() > 1 {
                node.xattrs.push((Bytes::from_static(MDS.as_bytes()), Bytes::from_static(&[0; 4])));
            }
            let fop = Fop::Make { parent: dir, name: name.clone(), node: Box::new(node) };
            match graph.sets[i].change_names(dir, name, &fop) {
                Ok(reply) if i == first => made = Some(inode(reply)?),
                Err(errno) if i == first => return Err(errno),
                Ok(_) | Err(libc::EEXIST | libc::ENOTCONN) => {}
                Err(errno) => return Err(errno),
            }
        }
        made.ok_or(libc::EIO)
    }

    /// Another name for a file.
    ///
    /// # Errors
    /// EEXIST; else as of the sets.
    pub fn link(&self, gfid: Gfid, dir: Gfid, name: &Bytes) -> Result<Inode, i32> {
        let graph = self.graph();
        let set = self.set_of(gfid)?;
        let fop = Fop::Link { gfid, parent: dir, name: name.clone(), time: set.wire.now() };
        let linked = inode(set.change_names(dir, name, &fop)?)?;
        set.forget(gfid);
        let place = graph.sets.iter().position(|s| std::sync::Arc::ptr_eq(s, &set)).unwrap_or_default();
        let at = self.hashed(&graph, dir, name)?;
        if at != place {
            self.point(&graph, at, (dir, name), gfid, place)?;
        }
        Ok(linked)
    }

    /// Removes a name. `keep`: somebody here has the file open.
    ///
    /// # Errors
    /// ENOENT, EISDIR; else as of the sets.
    pub fn unlink(&self, dir: Gfid, name: &Bytes, keep: bool) -> Result<(), i32> {
        let graph = self.graph();
        let remove = |i: usize| {
            let set = &graph.sets[i];
            let fop = Fop::Unlink { parent: dir, name: name.clone(), keep, time: set.wire.now() };
            set.change_names(dir, name, &fop).map(drop)
        };
        if graph.sets.len() == 1 {
            return remove(0);
        }
        let Inode { gfid, iatt, .. } = self.lookup(dir, name)?.inode;
        if iatt.is_dir() {
            return Err(libc::EISDIR);
        }
        let place = self.place_of(&graph, gfid)?;
        remove(place)?;
        self.known().places.remove(&gfid);
        match self.hashed(&graph, dir, name) {
            Ok(at) if at != place => remove(at).or_else(|e| if e == libc::ENOENT { Ok(()) } else { Err(e) }),
            _ => Ok(()),
        }
    }

    /// Removes an empty directory: from all sets, from the one that its name belongs to last.
    ///
    /// # Errors
    /// ENOTEMPTY; ENOTCONN unless all sets are there.
    pub fn rmdir(&self, dir: Gfid, name: &Bytes) -> Result<(), i32> {
        let graph = self.graph();
        graph.sets.iter().try_for_each(|set| set.ready().map(drop))?;
        let last = self.hashed(&graph, dir, name)?;
        let gfid = if graph.sets.len() > 1 { Some(self.empty_of_links(dir, name)?) } else { None };
        let others = (0..graph.sets.len()).filter(|i| *i != last);
        for i in others.chain([last]) {
            let set = &graph.sets[i];
            let fop = Fop::Rmdir { parent: dir, name: name.clone(), time: set.wire.now() };
            match set.change_names(dir, name, &fop) {
                Ok(_) => {}
                Err(libc::ENOENT) if i != last => {}
                Err(errno) => return Err(errno),
            }
        }
        gfid.into_iter().for_each(|gfid| self.forget(gfid));
        Ok(())
    }

    /// A directory that only holds link-to files is empty; they are removed.
    fn empty_of_links(&self, dir: Gfid, name: &Bytes) -> Result<Gfid, i32> {
        let gfid = self.lookup(dir, name)?.inode.gfid;
        if !self.readdir(gfid, false)?.is_empty() {
            return Err(libc::ENOTEMPTY);
        }
        for set in &self.graph().sets {
            for entry in set.readdir(gfid, true).unwrap_or_default() {
                if entry.inode.is_some_and(|i| i.linkto.is_some()) {
                    let (name, time) = (entry.name, set.wire.now());
                    let fop = Fop::Unlink { parent: gfid, name: name.clone(), keep: false, time };
                    set.change_names(gfid, &name, &fop)?;
                }
            }
        }
        Ok(gfid)
    }

    /// Moves a name. Data never moves: if the new name belongs to another set, a link-to file is put there.
    ///
    /// # Errors
    /// As rename(2), and as of the sets.
    pub fn rename(&self, from: (Gfid, &Bytes), to: (Gfid, &Bytes), keep: bool) -> Result<Inode, i32> {
        let graph = self.graph();
        let fop =
            |time| Fop::Rename { parent: from.0, name: from.1.clone(), to: to.0, newname: to.1.clone(), keep, time };
        let on = |i: usize| graph.sets[i].rename(from, to, &fop(graph.sets[i].wire.now())).and_then(inode);
        if graph.sets.len() == 1 {
            return on(0);
        }
        let moved = self.lookup(from.0, from.1)?.inode;
        let over = self.lookup(to.0, to.1).ok().map(|f| f.inode).filter(|o| o.gfid != moved.gfid);
        if moved.iatt.is_dir() {
            return self.rename_dir(&graph, from, to, over.as_ref(), &on);
        }
        let place = self.place_of(&graph, moved.gfid)?;
        let over_at = over.as_ref().and_then(|o| self.place_of(&graph, o.gfid).ok());
        let (old_at, new_at) = (self.hashed(&graph, from.0, from.1)?, self.hashed(&graph, to.0, to.1)?);
        let done = on(place)?;
        let drop_name = |i: usize, (dir, name): (Gfid, &Bytes), keep: bool| {
            let fop = Fop::Unlink { parent: dir, name: name.clone(), keep, time: graph.sets[i].wire.now() };
            graph.sets[i].change_names(dir, name, &fop)
        };
        // Whatever else still has the new name is what was overwritten: its data, or a link to it.
        for i in [over_at, over.as_ref().map(|_| new_at)].into_iter().flatten().filter(|i| *i != place) {
            let _ = drop_name(i, to, keep);
        }
        if new_at != place {
            self.point(&graph, new_at, to, moved.gfid, place)?;
        }
        if old_at != place {
            let _ = drop_name(old_at, from, false);
        }
        if let Some(over) = over {
            self.forget(over.gfid);
        }
        Ok(done)
    }

    fn rename_dir(
        &self,
        graph: &Graph,
        from: (Gfid, &Bytes),
        to: (Gfid, &Bytes),
        over: Option<&Inode>,
        on: &dyn Fn(usize) -> Result<Inode, i32>,
    ) -> Result<Inode, i32> {
        graph.sets.iter().try_for_each(|set| set.ready().map(drop))?;
        if over.is_some() {
            self.empty_of_links(to.0, to.1)?;
        }
        let first = self.hashed(graph, from.0, from.1)?;
        let done = on(first)?;
        for i in (0..graph.sets.len()).filter(|i| *i != first) {
            on(i)?;
        }
        let mut known = self.known();
        known.paths.clear();
        known.layouts.clear();
        Ok(done)
    }
}

/// Whether a name that is not on its hashed set is nowhere: the layout is as young as the volume's.
fn is_current(layout: &Layout, at: usize, graph: &Graph) -> bool {
    let commit = layout.0[at].map(|r| r.commit);
    commit == Some(graph.volume.commit_hash) && layout.0.iter().all(|r| r.map(|r| r.commit) == commit)
}

fn inode(reply: Reply) -> Result<Inode, i32> {
    match reply {
        Reply::Inode(inode) => Ok(*inode),
        _ => Err(libc::EIO),
    }
}

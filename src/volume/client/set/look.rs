//! Looking: which inode has a name, and which of its copies may be believed.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::seen::{NAMES, Seen};
use super::{Known, Set, ahead, lease};
use crate::volume::gfid::Gfid;
use crate::volume::replicate::{Blames, Kids, NoCopy};
use crate::volume::rpc::{Entry, Fop, Iatt, Inode, Reply, Room};
use crate::volume::xattr::Kind;

/// An inode as the whole set has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The inode; figures of a copy that nobody accuses.
    pub inode: Inode,
    /// Whether the copies differ or blame each other.
    pub needs_heal: bool,
}

/// Whether a copy's inode can be taken at its word: it accuses nobody.
fn may_be_trusted(inode: &Inode) -> bool {
    inode.blame.iter().all(|(slot, _)| slot == "dirty")
}

impl Set {
    /// Which inode has a name.
    ///
    /// # Errors
    /// ENOENT; ENOTCONN without enough copies to say; EIO if copies have different files under the name, or when nobody can say
    /// which attributes are right.
    pub fn lookup(&self, parent: Gfid, name: &Bytes) -> Result<Found, i32> {
        let up = self.ready()?;
        if self.leases.seen(&*self.wire, &lease::names(parent), |seen| seen.lacks(name)) == Some(true) {
            return Err(libc::ENOENT);
        }
        if let Some(found) = self.foreseen(up, parent, name) {
            return Ok(found);
        }
        let moment = self.moment();
        let fop = Fop::Lookup { parent, name: name.clone(), fresh: Gfid::default() };
        // One copy is believed when it has a name, never when it has not; where names were missing, they may well be again.
        if !self.was_missing(parent)
            && let Some(found) = self.trusting(moment, up, parent, &fop)
        {
            return found;
        }
        let copies = self.ask_name(up, parent, name);
        let absent: Kids =
            copies.iter().enumerate().filter(|(_, c)| matches!(c, Err(libc::ENOENT))).map(|(i, _)| i).collect();
        self.note_missing(parent, absent == up);
        let present: Vec<Option<&Inode>> = copies.iter().map(|c| c.as_ref().ok()).collect();
        let has: Kids = present.iter().enumerate().filter(|(_, c)| c.is_some()).map(|(i, _)| i).collect();
        if has.is_empty() {
            self.missed(parent);
            return Err(self.nowhere(&copies, absent));
        }
        let mut all = present.iter().flatten();
        let first = all.next().map(|i| (i.gfid, i.iatt.kind()));
        let agree = all.all(|i| Some((i.gfid, i.iatt.kind())) == first);
        if !absent.is_empty() || !agree {
            return self.disputed(parent, name, up, &copies, absent, agree);
        }
        self.weigh(moment, &present)
    }

    /// When no copy blames another and all are there, any one of them can be believed.
    fn trusting(&self, moment: (u64, u64), up: Kids, gfid: Gfid, fop: &Fop) -> Option<Result<Found, i32>> {
        if up != self.shape.all() || self.wire.is_blaming() {
            return None;
        }
        let kid = self.preferred(gfid, up - self.shape.arbiters)?;
        let most = if self.quick().is_wanted() { super::quick::SMALL } else { 0 };
        let (along, step) = match fop {
            Fop::Lookup { parent, .. } => match self.ahead().step(*parent, moment.0) {
                Some(after) => {
                    let most = if self.quick().has_room() { most } else { 0 };
                    (Some(Fop::Ahead { gfid: *parent, after, count: ahead::STEP, most }), Some(*parent))
                }
                None => ((most > 0).then_some(Fop::Content { most }), None),
            },
            _ => (None, None),
        };
        let fops: Vec<Fop> = [fop.clone()].into_iter().chain(along).collect();
        let (_, mut answer) = self.wire.ask(Kids::one(kid), &fops).swap_remove(0);
        let data = std::mem::take(&mut answer.data);
        let mut results = std::mem::take(&mut answer.results).into_iter();
        let Some(Ok(Reply::Inode(inode))) = results.next() else { return None };
        if !may_be_trusted(&inode) {
            return None;
        }
        match (step, results.next()) {
            (Some(dir), Some(Ok(Reply::Entries(entries)))) => self.foresee(moment, dir, entries, &data),
            _ if !data.is_empty() => self.keep(moment, inode.gfid, data),
            _ => {}
        }
        self.believe(moment, up, &inode);
        Some(Ok(Found { inode: *inode, needs_heal: false }))
    }

    /// No copy accuses another: all may be read.
    fn believe(&self, moment: (u64, u64), up: Kids, inode: &Inode) {
        let data = up - self.shape.arbiters;
        self.remember(moment, inode.gfid, Known { generation: moment.0, data: Ok(data), metadata: Ok(up) });
        self.note_figures(moment, inode.gfid, &inode.iatt);
    }

    /// A name that came along with others, if it did.
    fn foreseen(&self, up: Kids, parent: Gfid, name: &Bytes) -> Option<Found> {
        if up != self.shape.all() || self.wire.is_blaming() {
            return None;
        }
        let moment = self.moment();
        let inode = self.ahead().take(parent, name, moment.0)?;
        self.believe(moment, up, &inode);
        Some(Found { inode, needs_heal: false })
    }

    /// Names came along, some with their contents; they are kept unless something was forgotten since they were asked for.
    fn foresee(&self, moment: (u64, u64), dir: Gfid, entries: Vec<Entry>, contents: &Bytes) {
        let whose = |(place, content): (usize, Bytes)| {
            let inode = entries.get(place)?.inode.as_ref().filter(|inode| may_be_trusted(inode))?;
            Some((inode.gfid, content))
        };
        let (mut quick, mut ahead) = (self.quick(), self.ahead());
        if self.forgotten.load(Relaxed) == moment.1 {
            if !contents.is_empty() {
                quick.put_all(ahead::pieces(contents).filter_map(whose), moment.0);
            }
            ahead.came(dir, entries.into_iter(), may_be_trusted, moment.0);
        }
    }

    /// A name was missing. Where that goes on, and nobody else can change the names, all of them are learned.
    fn missed(&self, dir: Gfid) {
        let lock = lease::names(dir);
        if self.leases.seen(&*self.wire, &lock, Seen::missed) != Some(true) {
            return;
        }
        let Ok(entered) = self.leases.enter(&*self.wire, &self.shape, &lock, lease::ALL, false) else { return };
        let good = (entered.good.entry & entered.kids()) - self.shape.arbiters;
        let names = good.iter().next().and_then(|kid| self.entries(kid, dir, false, NAMES).ok());
        if let Some(names) = names.filter(|names| names.len() < NAMES) {
            self.leases.note(&lock, |seen| seen.learn(names.into_iter().map(|entry| entry.name)));
        }
        self.leases.release(&*self.wire, &self.shape, entered);
    }

    /// The figures of a directory that nobody else can have changed, or of a file that were told a moment ago, if they are known.
    pub fn figures(&self, gfid: Gfid) -> Option<Iatt> {
        let up = self.ready().ok()?;
        let sure = self.leases.seen(&*self.wire, &lease::names(gfid), |seen| seen.figures()).flatten();
        let all_good = up == self.shape.all() && !self.wire.is_blaming();
        sure.or_else(|| self.told().get(gfid, self.wire.generation()).filter(|_| all_good))
    }

    /// An inode by its gfid.
    ///
    /// # Errors
    /// As of [`Set::lookup`].
    pub fn stat(&self, gfid: Gfid) -> Result<Found, i32> {
        let up = self.ready()?;
        let moment = self.moment();
        if let Some(found) = self.trusting(moment, up, gfid, &Fop::Stat { gfid }) {
            return found;
        }
        let copies = self.ask_inode(up, &Fop::Stat { gfid });
        let present: Vec<Option<&Inode>> = copies.iter().map(|c| c.as_ref().ok()).collect();
        if present.iter().flatten().next().is_none() {
            let absent = copies.iter().enumerate().filter(|(_, c)| matches!(c, Err(libc::ENOENT))).map(|(i, _)| i);
            return Err(self.nowhere(&copies, absent.collect()));
        }
        self.weigh(moment, &present)
    }

    /// What these bricks have under a name. What somebody put on a brick by hand has no identity: it gets that of the other
    /// copies, else a new one.
    pub fn ask_name(&self, kids: Kids, parent: Gfid, name: &Bytes) -> Vec<Result<Inode, i32>> {
        let ask = |fresh| self.ask_inode(kids, &Fop::Lookup { parent, name: name.clone(), fresh });
        let found = ask(Gfid::default());
        if !found.iter().any(|f| matches!(f, Err(libc::ENODATA))) {
            return found;
        }
        let known = found.iter().flatten().next().map(|f| f.gfid);
        ask(known.unwrap_or_else(Gfid::random))
    }

    /// Asks these bricks; one place a brick of the set.
    pub fn ask_inode(&self, kids: Kids, fop: &Fop) -> Vec<Result<Inode, i32>> {
        let mut copies = vec![Err(libc::ENOTCONN); self.shape.len()];
        for (kid, answer) in self.wire.ask(kids, std::slice::from_ref(fop)) {
            copies[kid] = match answer.last() {
                Ok(Reply::Inode(inode)) => Ok((**inode).clone()),
                Ok(_) => Err(libc::EIO),
                Err(errno) => Err(errno),
            };
        }
        copies
    }

    /// Which inode has a name as far as all copies that are there agree on it, although they may dispute its attributes.
    pub fn identity(&self, parent: Gfid, name: &Bytes) -> Option<Inode> {
        let copies = self.ask_name(self.ready().ok()?, parent, name);
        let mut there = copies.iter().filter_map(|copy| copy.as_ref().ok());
        let first = there.next()?;
        let same = |copy: &Inode| (copy.gfid, copy.iatt.kind()) == (first.gfid, first.iatt.kind());
        there.all(same).then(|| first.clone())
    }

    /// An inode as any copy has it that is there.
    pub fn any_copy(&self, gfid: Gfid) -> Option<Inode> {
        self.ask_inode(self.ready().ok()?, &Fop::Stat { gfid }).into_iter().find_map(Result::ok)
    }

    /// Whether somebody can say what an inode's attributes are.
    ///
    /// # Errors
    /// EIO, ENOTCONN.
    pub fn has_attributes(&self, gfid: Gfid) -> Result<(), i32> {
        self.knowing(gfid)?.metadata.map(drop).map_err(NoCopy::errno)
    }

    /// An inode as one copy has it.
    ///
    /// # Errors
    /// As of that brick.
    pub fn copy_of(&self, gfid: Gfid, copy: usize) -> Result<Inode, i32> {
        self.ask_inode(Kids::one(copy), &Fop::Stat { gfid }).swap_remove(copy)
    }

    /// No copy has it: ENOENT if enough say so.
    fn nowhere(&self, copies: &[Result<Inode, i32>], absent: Kids) -> i32 {
        if self.shape.suffices(absent) {
            return libc::ENOENT;
        }
        let other =
            copies.iter().filter_map(|c| c.as_ref().err()).find(|e| !matches!(**e, libc::ENOENT | libc::ENOTCONN));
        other.copied().unwrap_or(libc::ENOTCONN)
    }

    /// Copies disagree whether, or which, file has the name: the directory's own blame decides, else healing the name does.
    fn disputed(
        &self,
        parent: Gfid,
        name: &Bytes,
        up: Kids,
        copies: &[Result<Inode, i32>],
        absent: Kids,
        agree: bool,
    ) -> Result<Found, i32> {
        let moment = self.moment();
        let dirs = self.ask_inode(up, &Fop::Stat { gfid: parent });
        let dirs: Vec<Option<&Inode>> = dirs.iter().map(|c| c.as_ref().ok()).collect();
        let blames = Blames::new(&self.shape, &dirs);
        let sources = blames.sources(Kind::Entry);
        let split = sources.is_empty() || blames.accused(Kind::Entry).is_empty();
        if !split && (sources - absent).is_empty() && self.shape.suffices(absent | (up - sources)) {
            if up == self.shape.all() {
                // What is left of it is taken out of sight; if that fails, the heal of the directory does it.
                let _ = crate::volume::client::heal::name(self, parent, name);
            }
            return Err(libc::ENOENT);
        }
        let trusted = |i: usize| split || sources.has(i);
        let mut identities: Vec<Gfid> = copies
            .iter()
            .enumerate()
            .filter(|(i, _)| trusted(*i))
            .filter_map(|(_, c)| c.as_ref().ok().map(|c| c.gfid))
            .collect();
        identities.dedup();
        if !agree && identities.len() != 1 {
            return Err(libc::EIO);
        }
        if up == self.shape.all() && crate::volume::client::heal::name(self, parent, name).is_ok() {
            let copies = self.ask_name(up, parent, name);
            let present: Vec<Option<&Inode>> = copies.iter().map(|c| c.as_ref().ok()).collect();
            if present.iter().flatten().next().is_none() {
                return Err(libc::ENOENT);
            }
            return self.weigh(moment, &present);
        }
        let same = |c: &Inode| identities.first().is_none_or(|g| *g == c.gfid);
        let present: Vec<Option<&Inode>> = copies.iter().map(|c| c.as_ref().ok().filter(|c| same(c))).collect();
        let has: Kids = present.iter().enumerate().filter(|(_, c)| c.is_some()).map(|(i, _)| i).collect();
        if self.shape.suffices(has) {
            return self.weigh(moment, &present);
        }
        Err(if self.shape.suffices(absent) { libc::ENOENT } else { libc::ENOTCONN })
    }

    /// Makes one inode of what the copies say.
    fn weigh(&self, moment: (u64, u64), copies: &[Option<&Inode>]) -> Result<Found, i32> {
        let gfid = copies.iter().flatten().next().ok_or(libc::ENOENT)?.gfid;
        let known = self.learn(moment, gfid, copies);
        let attributes = known.metadata.map_err(NoCopy::errno)?;
        let by = |kids: Kids| kids.iter().find_map(|i| copies[i].filter(|_| !self.shape.arbiters.has(i)));
        let from = by(attributes).or_else(|| attributes.iter().find_map(|i| copies[i])).ok_or(libc::EIO)?;
        let mut inode = from.clone();
        let contents =
            known.data.ok().and_then(by).or_else(|| copies.iter().flatten().copied().max_by_key(|c| c.iatt.size));
        if let Some(contents) = contents.filter(|c| c.iatt.is_file()) {
            let (to, of) = (&mut inode.iatt, &contents.iatt);
            (to.size, to.blocks, to.mtime) = (of.size, of.blocks, of.mtime);
        }
        let blames = Blames::new(&self.shape, copies);
        let needs_heal = !blames.is_clean()
            && [Kind::Data, Kind::Metadata, Kind::Entry].iter().any(|k| !blames.accused(*k).is_empty());
        Ok(Found { inode, needs_heal })
    }

    /// Which copies may be read; asks them if that is not known, or was known before a brick came or went.
    pub(super) fn knowing(&self, gfid: Gfid) -> Result<Known, i32> {
        let up = self.ready()?;
        let moment = self.moment();
        if let Some(known) = self.known().get(&gfid).copied().filter(|k| k.generation == moment.0) {
            return Ok(known);
        }
        let copies = self.ask_inode(up, &Fop::Stat { gfid });
        let present: Vec<Option<&Inode>> = copies.iter().map(|c| c.as_ref().ok()).collect();
        if present.iter().flatten().next().is_none() {
            return Err(copies
                .iter()
                .find_map(|c| c.as_ref().err().filter(|e| **e != libc::ENOTCONN))
                .copied()
                .unwrap_or(libc::ENOTCONN));
        }
        Ok(self.learn(moment, gfid, &present))
    }

    /// The copy to read among those that may be: the near one, else by the gfid's hash.
    pub(super) fn preferred(&self, gfid: Gfid, among: Kids) -> Option<usize> {
        if let Some(near) = self.near.filter(|n| among.has(*n)) {
            return Some(near);
        }
        let first = crate::volume::hash::super_fast(&gfid.0) as usize % self.shape.len();
        (0..self.shape.len()).map(|i| (first + i) % self.shape.len()).find(|i| among.has(*i))
    }

    /// Room: of the fullest copy.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn room(&self) -> Result<Room, i32> {
        let up = self.ready()?;
        let rooms = self.wire.ask(up - self.shape.arbiters, &[Fop::Statfs]);
        let rooms =
            rooms.iter().filter_map(|(_, a)| if let Ok(Reply::Room(room)) = a.last() { Some(*room) } else { None });
        rooms.min_by_key(|r| r.available * r.block).ok_or(libc::ENOTCONN)
    }
}

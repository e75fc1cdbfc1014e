//! Healing: which copies are right, and which are to be made like them.
//!
//! The plan is a plain function of what the copies say ([`plan`]); the [`client`](super::client::heal) carries it out. Rules, as in GlusterFS:
//! whoever is accused by a trustworthy copy is a **sink**, the others are **sources**. Nobody accused, but copies undecided or of different size:
//! the biggest file wins, then the one with most begun, then the newest. Everybody accused: split-brain, which only a person (or
//! `cluster.favorite-child-policy`) resolves, except for names of a directory: there the union of all is kept.

use serde::{Deserialize, Serialize};

use super::replicate::{Blames, Kids, Shape};
use super::rpc::Inode;
use super::xattr::Kind;

/// What to do about one kind of difference between copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Copies are equal, and nothing is undecided.
    Nothing,
    /// Copy from one to others. With no sinks there is nothing to copy, but counters to clear.
    Copy {
        /// From where.
        source: usize,
        /// To where.
        sinks: Kids,
    },
    /// Names only: keep what any copy has.
    Merge,
    /// Nobody can say which copy is right.
    SplitBrain,
}

/// How a person (or an option) resolves a split-brain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// The bigger file.
    Bigger,
    /// The file that was written last.
    Newest,
    /// The file whose inode changed last.
    Changed,
    /// What more than half of the copies have: same size, same time of the last write.
    Majority,
    /// What this brick has.
    Source(usize),
}

impl Choice {
    /// The value of `cluster.favorite-child-policy`; `None`: nobody but a person resolves a split-brain.
    pub fn policy(value: &str) -> Option<Self> {
        match value {
            "size" => Some(Self::Bigger),
            "mtime" => Some(Self::Newest),
            "ctime" => Some(Self::Changed),
            "majority" => Some(Self::Majority),
            _ => None,
        }
    }
}

/// What to do about one kind of difference. `copies`: one place a brick of the set, `None`: it did not answer.
pub fn plan(shape: &Shape, kind: Kind, copies: &[Option<&Inode>], choice: Option<Choice>) -> Plan {
    let blames = Blames::new(shape, copies);
    let arbiters = if kind == Kind::Data { shape.arbiters } else { Kids::NONE };
    let holders = blames.present() - arbiters;
    let sources = blames.sources(kind) - arbiters;
    if sources.is_empty() && !holders.is_empty() {
        return match (kind, choice) {
            (Kind::Entry, _) => Plan::Merge,
            (_, None) => Plan::SplitBrain,
            (_, Some(choice)) => chosen(copies, holders, choice)
                .map_or(Plan::SplitBrain, |source| Plan::Copy { source, sinks: blames.present() - Kids::one(source) }),
        };
    }
    if kind == Kind::Entry && blames.accused(kind).is_empty() && blames.needs(kind) {
        // Something was begun and nobody knows who has it: no name is taken away.
        return Plan::Merge;
    }
    let Some(source) = best(kind, &blames, copies, sources) else { return Plan::Nothing };
    let differs = |i: &usize| *i != source && differ(kind, copies[source], copies[*i]);
    let accused = blames.accused(kind) & blames.present();
    let dirty: Kids = blames.present().iter().filter(|i| blames.dirty(*i).get(kind) > 0).collect();
    let undecided = if dirty.is_empty() { Kids::NONE } else { blames.present() };
    let differing: Kids = holders.iter().filter(differs).collect();
    let sinks = (accused | undecided | differing) - Kids::one(source);
    if sinks.is_empty() && !blames.needs(kind) { Plan::Nothing } else { Plan::Copy { source, sinks } }
}

/// Among sources: the biggest file, then most begun, then the newest; the first of equals.
fn best(kind: Kind, blames: &Blames, copies: &[Option<&Inode>], sources: Kids) -> Option<usize> {
    let rank = |i: usize| {
        let copy = copies[i]?;
        let size = if kind == Kind::Data { copy.iatt.size } else { 0 };
        let time = if kind == Kind::Metadata { copy.iatt.ctime } else { copy.iatt.mtime };
        Some((size, blames.dirty(i).get(kind), time))
    };
    sources.iter().filter(|i| copies[*i].is_some()).reduce(|a, b| if rank(b) > rank(a) { b } else { a })
}

/// Whether two copies differ in a way that shows without reading them.
fn differ(kind: Kind, a: Option<&Inode>, b: Option<&Inode>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    match kind {
        Kind::Data => a.iatt.is_file() && a.iatt.size != b.iatt.size,
        Kind::Metadata => (a.iatt.mode, a.iatt.uid, a.iatt.gid) != (b.iatt.mode, b.iatt.uid, b.iatt.gid),
        Kind::Entry => false,
    }
}

/// The copy that a choice picks, the first of equals; `None` if it picks none (no copy differs, or it is not there).
pub fn chosen(copies: &[Option<&Inode>], among: Kids, choice: Choice) -> Option<usize> {
    let only = |rank: &dyn Fn(&Inode) -> (u64, i64, u32)| {
        let ranks: Vec<_> = among.iter().filter_map(|i| copies[i].map(|c| (i, rank(c)))).collect();
        let best = ranks.iter().map(|(_, r)| *r).max()?;
        let differ = ranks.iter().any(|(_, r)| *r != best);
        ranks.iter().find(|(_, r)| differ && *r == best).map(|(i, _)| *i)
    };
    match choice {
        Choice::Bigger => only(&|c| (c.iatt.size, 0, 0)),
        Choice::Newest => only(&|c| (0, c.iatt.mtime.sec, c.iatt.mtime.nsec)),
        Choice::Changed => only(&|c| (0, c.iatt.ctime.sec, c.iatt.ctime.nsec)),
        Choice::Majority => {
            let alike = |i: usize| copies[i].map(|c| (c.iatt.size, c.iatt.mtime));
            let many = |i: &usize| among.iter().filter(|j| alike(*j).is_some() && alike(*j) == alike(*i)).count();
            among.iter().find(|i| many(i) * 2 > copies.len())
        }
        Choice::Source(i) => among.has(i).then_some(i),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::replicate::Quorum;
    use crate::volume::rpc::Iatt;
    use crate::volume::xattr::Pending;

    fn shape() -> Shape {
        let slots = (0..3).map(|i| format!("gv0-client-{i}")).collect();
        Shape { slots, arbiters: Kids::NONE, quorum: Quorum::Auto }
    }

    fn copy(size: u64, blame: &[(&str, u32)]) -> Inode {
        let iatt = Iatt { size, mode: libc::S_IFREG | 0o644, ..Iatt::default() };
        let blame = blame.iter().map(|(slot, n)| (slot.to_string(), Pending::of(Kind::Data, *n))).collect();
        Inode { iatt, blame, ..Inode::default() }
    }

    /// The accused copy is a sink, whatever its size.
    #[test]
    fn the_accused_is_healed() {
        let (good, stale) = (copy(5, &[("gv0-client-2", 1)]), copy(900, &[]));
        let copies = [Some(&good), Some(&good), Some(&stale)];
        assert_eq!(plan(&shape(), Kind::Data, &copies, None), Plan::Copy { source: 0, sinks: Kids::one(2) });
        assert_eq!(plan(&shape(), Kind::Metadata, &copies, None), Plan::Nothing);
    }

    /// A client died while it wrote: the biggest copy wins, and the others are compared with it.
    #[test]
    fn undecided_copies_follow_the_biggest() {
        let (a, b) = (copy(5, &[("dirty", 1)]), copy(9, &[("dirty", 1)]));
        let sinks = [0, 2].into_iter().collect();
        assert_eq!(plan(&shape(), Kind::Data, &[Some(&a), Some(&b), Some(&a)], None), Plan::Copy { source: 1, sinks });
    }

    /// Mutual blame is for a person to resolve; names are merged.
    #[test]
    fn split_brain_needs_a_choice() {
        let mut a = copy(5, &[("gv0-client-1", 1), ("gv0-client-2", 1)]);
        let mut b = copy(9, &[("gv0-client-0", 1)]);
        let copies = [Some(&a), Some(&b), None];
        assert_eq!(plan(&shape(), Kind::Data, &copies, None), Plan::SplitBrain);
        let expected = Plan::Copy { source: 1, sinks: Kids::one(0) };
        assert_eq!(plan(&shape(), Kind::Data, &copies, Some(Choice::Bigger)), expected);
        assert_eq!(
            plan(&shape(), Kind::Data, &copies, Some(Choice::Newest)),
            Plan::SplitBrain,
            "no difference in mtime"
        );
        assert_eq!(
            plan(&shape(), Kind::Data, &copies, Choice::policy("majority")),
            Plan::SplitBrain,
            "one of three each"
        );
        let three = [Some(&a), Some(&b), Some(&b)];
        assert_eq!(chosen(&three, shape().all(), Choice::Majority), Some(1));
        a.blame = vec![("gv0-client-1".into(), Pending::of(Kind::Entry, 1))];
        b.blame = vec![("gv0-client-0".into(), Pending::of(Kind::Entry, 1))];
        assert_eq!(plan(&shape(), Kind::Entry, &[Some(&a), Some(&b), None], None), Plan::Merge);
    }
}

//! Who accuses whom, and what follows from it.

use super::{Kids, Shape};
use crate::volume::rpc::Inode;
use crate::volume::xattr::{Kind, Pending};

/// The accusations of all copies of one inode: `of[i][j]` is what copy `i` holds against copy `j`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blames {
    of: Vec<Vec<Pending>>,
    /// What each copy has begun and not ended.
    dirty: Vec<Pending>,
    /// The copies that were asked and answered.
    present: Kids,
}

/// Why there is no copy to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCopy {
    /// Copies accuse each other: EIO.
    SplitBrain,
    /// The good ones are away: ENOTCONN.
    Away,
}

impl NoCopy {
    /// The errno that a mount gives.
    pub fn errno(self) -> i32 {
        match self {
            Self::SplitBrain => libc::EIO,
            Self::Away => libc::ENOTCONN,
        }
    }
}

impl Blames {
    /// From what each copy says; `None`: it did not answer, or has no such inode.
    pub fn new(shape: &Shape, copies: &[Option<&Inode>]) -> Self {
        let slot = |copy: Option<&Inode>, name: &str| {
            copy.and_then(|c| c.blame.iter().find(|(n, _)| n == name)).map_or(Pending::default(), |(_, p)| *p)
        };
        Self {
            of: copies.iter().map(|c| shape.slots.iter().map(|name| slot(*c, name)).collect()).collect(),
            dirty: copies.iter().map(|c| slot(*c, "dirty")).collect(),
            present: copies.iter().enumerate().filter(|(_, c)| c.is_some()).map(|(i, _)| i).collect(),
        }
    }

    /// The copies that answered.
    pub fn present(&self) -> Kids {
        self.present
    }

    /// What copy `i` holds against copy `j`.
    pub fn pending(&self, i: usize, j: usize) -> Pending {
        self.of.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default()
    }

    /// What copy `i` has begun and not ended.
    pub fn dirty(&self, i: usize) -> Pending {
        self.dirty.get(i).copied().unwrap_or_default()
    }

    /// Copies that accuse themselves; what they say of others does not count.
    fn self_accused(&self, kind: Kind) -> Kids {
        self.present.iter().filter(|i| self.pending(*i, *i).get(kind) > 0).collect()
    }

    /// Copies that a trustworthy one accuses. Copies that are away may be among them.
    pub fn accused(&self, kind: Kind) -> Kids {
        let witnesses = self.present - self.self_accused(kind);
        let by = |i: usize| (0..self.of.len()).filter(move |j| *j != i && self.pending(i, *j).get(kind) > 0);
        witnesses.iter().flat_map(by).collect::<Kids>() | self.self_accused(kind)
    }

    /// Copies that nobody accuses: they may be read, and heal the others.
    pub fn sources(&self, kind: Kind) -> Kids {
        self.present - self.accused(kind)
    }

    /// Copies to read contents from.
    ///
    /// # Errors
    /// [`NoCopy`].
    pub fn readable(&self, kind: Kind, shape: &Shape) -> Result<Kids, NoCopy> {
        let arbiters = if kind == Kind::Data { shape.arbiters } else { Kids::NONE };
        let sources = self.sources(kind) - arbiters;
        if !sources.is_empty() {
            return Ok(sources);
        }
        Err(if self.is_split(kind) { NoCopy::SplitBrain } else { NoCopy::Away })
    }

    /// Whether every copy that answered is accused by another one that answered.
    pub fn is_split(&self, kind: Kind) -> bool {
        let accused = |j: usize| self.present.iter().any(|i| i != j && self.pending(i, j).get(kind) > 0);
        self.present.count() > 1 && self.present.iter().all(accused)
    }

    /// Whether anything needs healing: somebody is accused, or something was begun and not ended.
    pub fn is_clean(&self) -> bool {
        let zero = |i: usize| self.dirty(i).is_zero() && (0..self.of.len()).all(|j| self.pending(i, j).is_zero());
        self.present.iter().all(zero)
    }

    /// Whether anybody accuses anybody of missing something of this kind, or something of it is undecided.
    pub fn needs(&self, kind: Kind) -> bool {
        !self.accused(kind).is_empty() || self.present.iter().any(|i| self.dirty(i).get(kind) > 0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::volume::replicate::Quorum;

    pub fn shape(n: usize) -> Shape {
        let slots = (0..n).map(|i| format!("gv0-client-{i}")).collect();
        Shape { slots, arbiters: Kids::NONE, quorum: Quorum::Auto }
    }

    pub fn copy(blames: &[(usize, u32)]) -> Inode {
        let blame = |(j, data): &(usize, u32)| (format!("gv0-client-{j}"), Pending::of(Kind::Data, *data));
        Inode { blame: blames.iter().map(blame).collect(), ..Inode::default() }
    }

    fn kids(list: &[usize]) -> Kids {
        list.iter().copied().collect()
    }

    /// Two copies remember what the third missed: it is not read, whether it is there or not.
    #[test]
    fn the_accused_is_not_read() {
        let (good, stale) = (copy(&[(2, 1)]), copy(&[]));
        let blames = Blames::new(&shape(3), &[Some(&good), Some(&good), Some(&stale)]);
        assert_eq!(blames.readable(Kind::Data, &shape(3)), Ok(kids(&[0, 1])));
        assert_eq!(blames.readable(Kind::Metadata, &shape(3)), Ok(kids(&[0, 1, 2])));
        assert_eq!(blames.accused(Kind::Data), kids(&[2]));
        assert!(!blames.is_clean() && blames.needs(Kind::Data) && !blames.needs(Kind::Entry));
    }

    /// Mutual blame is split-brain; a good copy that is away is not.
    #[test]
    fn split_brain_is_mutual() {
        let (a, b) = (copy(&[(1, 1)]), copy(&[(0, 3)]));
        let blames = Blames::new(&shape(2), &[Some(&a), Some(&b)]);
        assert_eq!(blames.readable(Kind::Data, &shape(2)), Err(NoCopy::SplitBrain));
        let arbiter = Shape { arbiters: kids(&[2]), ..shape(3) };
        let (stale, witness) = (copy(&[]), copy(&[(1, 1)]));
        let blames = Blames::new(&arbiter, &[None, Some(&stale), Some(&witness)]);
        assert_eq!(blames.readable(Kind::Data, &arbiter), Err(NoCopy::Away), "the arbiter has no data to give");
    }

    /// Dirty alone makes no copy unreadable.
    #[test]
    fn dirty_copies_may_be_read() {
        let dirty = Inode { blame: vec![("dirty".into(), Pending::of(Kind::Data, 1))], ..Inode::default() };
        let blames = Blames::new(&shape(3), &[Some(&dirty), Some(&dirty), None]);
        assert_eq!(blames.readable(Kind::Data, &shape(3)), Ok(kids(&[0, 1])));
        assert!(!blames.is_clean());
    }
}

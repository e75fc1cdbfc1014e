//! Sets of bricks of one replica set.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub, SubAssign};

/// A set of bricks by their place in the replica set, at most 32.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Kids(u32);

impl Kids {
    /// None.
    pub const NONE: Self = Self(0);

    /// The first `n`.
    pub fn first(n: usize) -> Self {
        (0..n).collect()
    }

    /// One.
    pub fn one(i: usize) -> Self {
        Self(1 << i)
    }

    /// Whether brick `i` is in it.
    pub fn has(self, i: usize) -> bool {
        i < 32 && self.0 & (1 << i) != 0
    }

    /// How many.
    pub fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..32).filter(move |i| self.has(*i))
    }
}

impl FromIterator<usize> for Kids {
    fn from_iter<T: IntoIterator<Item = usize>>(iter: T) -> Self {
        Self(iter.into_iter().fold(0, |bits, i| bits | 1 << i))
    }
}

impl BitOr for Kids {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Kids {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Kids {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOrAssign for Kids {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl SubAssign for Kids {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl fmt::Debug for Kids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

//! What is known of a directory for sure, because nobody else can change it.
//!
//! While a client holds the lock on all names of a directory on every brick, the names and the figures that it saw there, and changed
//! itself since, are those of the volume. So it can say by itself that a name is not there (which is asked before each file that is
//! made) and how the directory looks after a change of its own (which is asked after each). What is known belongs to the lock and is forgotten
//! with it. Pure.

use std::collections::HashSet;

use bytes::Bytes;

use crate::volume::rpc::Iatt;
use crate::volume::xattr::Time;

/// How many names of a directory are remembered.
pub const NAMES: usize = 250_000;
/// How often names must be missing before all others are worth asking for.
const WORTH: u32 = 8;

/// What is known of a directory.
#[derive(Debug, Default)]
pub struct Seen {
    /// All its names.
    names: Option<HashSet<Bytes>>,
    /// Its figures.
    figures: Option<Iatt>,
    /// Figures from before this time are out of date.
    floor: Time,
    /// How many names were looked for and missing while not all were known.
    misses: u32,
}

impl Seen {
    /// A directory that was just made, and is empty.
    pub fn empty() -> Self {
        Self { names: Some(HashSet::new()), ..Self::default() }
    }

    /// Whether a name is not there for sure.
    pub fn lacks(&self, name: &Bytes) -> bool {
        self.names.as_ref().is_some_and(|names| !names.contains(name))
    }

    /// The directory's figures, if they are known.
    pub fn figures(&self) -> Option<Iatt> {
        self.figures
    }

    /// Something happened to the directory at this time that may have changed its figures.
    pub fn forget_figures(&mut self, now: Time) {
        self.figures = None;
        self.floor = self.floor.max(now);
    }

    /// Nobody knows any more what is there.
    pub fn forget(&mut self, now: Time) {
        self.names = None;
        self.forget_figures(now);
    }

    /// A name was missing, and the bricks had to be asked. Gives whether it is time to learn all names.
    pub fn missed(&mut self) -> bool {
        self.misses += u32::from(self.names.is_none());
        self.names.is_none() && self.misses == WORTH
    }

    /// These are all the names.
    pub fn learn(&mut self, names: impl Iterator<Item = Bytes>) {
        self.names = Some(names.collect());
    }

    /// Names went and came.
    pub fn changed(&mut self, gone: &[&Bytes], come: &[&Bytes]) {
        let Some(names) = &mut self.names else { return };
        for name in gone {
            names.remove(*name);
        }
        names.extend(come.iter().map(|name| (*name).clone()));
        if names.len() > NAMES {
            self.names = None;
        }
    }

    /// After a change the directory looked so. Of two changes at once the later one's figures count.
    pub fn looks(&mut self, figures: Iatt) {
        if figures.ctime >= self.floor {
            self.floor = figures.ctime;
            self.figures = Some(figures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sec: i64) -> Time {
        Time { sec, nsec: 0 }
    }

    /// A new directory is known whole; one that was there before only when all its names were learned.
    #[test]
    fn what_is_not_there_is_known_once_everything_is() {
        let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        let mut seen = Seen::empty();
        assert!(seen.lacks(&a));
        seen.changed(&[], &[&a]);
        assert!(!seen.lacks(&a) && seen.lacks(&b));
        seen.changed(&[&a], &[&b]);
        assert!(seen.lacks(&a) && !seen.lacks(&b));
        seen.forget(at(1));
        assert!(!seen.lacks(&a), "it may be there");
        assert_eq!((0..20).filter(|_| seen.missed()).count(), 1, "names are learned once");
        seen.learn([b.clone()].into_iter());
        assert!(seen.lacks(&a) && !seen.lacks(&b));
    }

    /// Answers to changes made at once may come in any order, and after somebody else changed the directory.
    #[test]
    fn only_the_latest_figures_count() {
        let mut seen = Seen::default();
        let figures = |sec| Iatt { ctime: at(sec), ..Iatt::default() };
        seen.looks(figures(5));
        seen.looks(figures(4));
        assert_eq!(seen.figures(), Some(figures(5)));
        seen.forget_figures(at(7));
        seen.looks(figures(6));
        assert_eq!(seen.figures(), None);
        seen.looks(figures(8));
        assert_eq!(seen.figures(), Some(figures(8)));
    }
}

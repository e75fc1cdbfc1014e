//! Figures of files that were told a moment ago.
//!
//! The kernel asks for a file's figures again after it read or wrote it, though a look-up, or the write itself, has just told
//! them. They are told again from here for [`KEEP`], unless somebody changed the file (the bricks tell) or a brick came or went. Pure but for
//! the clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::volume::gfid::Gfid;
use crate::volume::rpc::Iatt;

/// For how long they are told.
const KEEP: Duration = Duration::from_secs(1);
/// How many are kept.
const ROOM: usize = 4096;

/// By inode: its figures, the generation of connections in which they were told, and when.
#[derive(Debug, Default)]
pub struct Figures(HashMap<Gfid, (Iatt, u64, Instant)>);

impl Figures {
    /// An inode looks so.
    pub fn put(&mut self, gfid: Gfid, figures: Iatt, generation: u64) {
        if self.0.len() >= ROOM {
            self.0.clear();
        }
        self.0.insert(gfid, (figures, generation, Instant::now()));
    }

    /// How an inode looked a moment ago.
    pub fn get(&self, gfid: Gfid, generation: u64) -> Option<Iatt> {
        let (figures, at, since) = self.0.get(&gfid)?;
        (*at == generation && since.elapsed() <= KEEP).then_some(*figures)
    }

    /// It may look otherwise now.
    pub fn forget(&mut self, gfid: Gfid) {
        self.0.remove(&gfid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What somebody changed, and what was told before a brick came or went, is asked for again.
    #[test]
    fn figures_are_told_while_they_hold() {
        let mut figures = Figures::default();
        let iatt = Iatt { size: 5, ..Iatt::default() };
        figures.put(Gfid::ROOT, iatt, 1);
        assert_eq!(figures.get(Gfid::ROOT, 1), Some(iatt));
        assert_eq!(figures.get(Gfid::ROOT, 2), None);
        figures.forget(Gfid::ROOT);
        assert_eq!(figures.get(Gfid::ROOT, 1), None);
    }
}

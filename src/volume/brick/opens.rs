//! Which files clients have open. Pure.

use std::collections::HashMap;
use std::time::SystemTime;

use super::locks::Session;
use crate::volume::gfid::Gfid;

/// The table, and how many descriptors there were at most.
#[derive(Debug, Default)]
pub struct Opens {
    files: HashMap<Gfid, HashMap<Session, u64>>,
    most: Option<(u64, SystemTime)>,
}

impl Opens {
    /// A session has so many descriptors of a file open.
    /// One that was closed again before there was word of it was open all the same.
    pub fn set(&mut self, session: Session, gfid: Gfid, (times, count): (u64, u64), now: SystemTime) {
        let who = self.files.entry(gfid).or_default();
        if count > 0 {
            who.insert(session, count);
        } else {
            who.remove(&session);
        }
        if who.is_empty() {
            self.files.remove(&gfid);
        }
        let total = self.total() + u64::from(times > 0 && count == 0);
        if self.most.is_none_or(|(most, _)| total > most) {
            self.most = Some((total, now));
        }
    }

    /// The session ended.
    pub fn end(&mut self, session: Session) {
        self.files.retain(|_, who| {
            who.remove(&session);
            !who.is_empty()
        });
    }

    /// How many descriptors are open.
    pub fn total(&self) -> u64 {
        self.files.values().flat_map(HashMap::values).sum()
    }

    /// How many there were at most, and when.
    pub fn most(&self) -> Option<(u64, SystemTime)> {
        self.most
    }

    /// The open files and their descriptors, by identity.
    pub fn all(&self) -> Vec<(Gfid, u64)> {
        let mut all: Vec<(Gfid, u64)> = self.files.iter().map(|(gfid, who)| (*gfid, who.values().sum())).collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Descriptors of several clients add up, and a client that goes takes its own along.
    #[test]
    fn descriptors_add_up() {
        let (mut opens, a, now) = (Opens::default(), Gfid([1; 16]), SystemTime::UNIX_EPOCH);
        opens.set(1, a, (2, 2), now);
        opens.set(2, a, (1, 1), now);
        opens.set(1, a, (0, 1), now);
        assert_eq!((opens.total(), opens.most().map(|m| m.0), opens.all()), (2, Some(3), vec![(a, 2)]));
        opens.end(1);
        opens.set(2, a, (0, 0), now);
        assert_eq!((opens.total(), opens.all().len(), opens.most().map(|m| m.0)), (0, 0, Some(3)));
    }
}

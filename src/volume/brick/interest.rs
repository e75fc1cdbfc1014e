//! Who has looked at what, so that those who cached it hear when somebody else changes it. Pure.
//!
//! A session that is told about a changed inode is forgotten for it until it looks again; interest in the names of a directory stays.

use std::collections::{HashMap, HashSet};

use super::locks::Session;
use crate::volume::gfid::Gfid;

/// How many inodes are remembered; beyond it the oldest half is forgotten and its sessions are told.
const MOST: usize = 200_000;

/// The table.
#[derive(Debug, Default)]
pub struct Interest {
    seen: HashMap<Gfid, Vec<Session>>,
    sessions: HashSet<Session>,
}

impl Interest {
    /// A session that caches what it sees.
    pub fn join(&mut self, session: Session) {
        self.sessions.insert(session);
    }

    /// The session ended.
    pub fn leave(&mut self, session: Session) {
        self.sessions.remove(&session);
        self.seen.retain(|_, who| {
            who.retain(|s| *s != session);
            !who.is_empty()
        });
    }

    /// The session looked at an inode. Gives those to be told because room had to be made: inode and sessions.
    pub fn look(&mut self, session: Session, gfid: Gfid) -> Vec<(Gfid, Vec<Session>)> {
        if !self.sessions.contains(&session) {
            return vec![];
        }
        let who = self.seen.entry(gfid).or_default();
        if !who.contains(&session) {
            who.push(session);
        }
        if self.seen.len() > MOST { self.seen.drain().collect() } else { vec![] }
    }

    /// The session changed an inode: who else must be told. They are forgotten for it.
    pub fn changed(&mut self, session: Session, gfid: Gfid) -> Vec<Session> {
        let Some(who) = self.seen.get_mut(&gfid) else { return vec![] };
        let (own, others): (Vec<_>, Vec<_>) = who.drain(..).partition(|s| *s == session);
        *who = own;
        if who.is_empty() {
            self.seen.remove(&gfid);
        }
        others
    }

    /// The session changed a name in a directory: who else must be told. They are remembered.
    pub fn name_changed(&self, session: Session, directory: Gfid) -> Vec<Session> {
        let who = self.seen.get(&directory).map_or(&[][..], Vec::as_slice);
        who.iter().copied().filter(|s| *s != session).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those who looked hear once; who changed it does not hear of its own change.
    #[test]
    fn a_change_is_told_once() {
        let mut interest = Interest::default();
        (1..=3).for_each(|s| interest.join(s));
        for session in 1..=4 {
            assert!(interest.look(session, Gfid::ROOT).is_empty());
        }
        assert_eq!(interest.name_changed(1, Gfid::ROOT), [2, 3], "4 never joined");
        assert_eq!(interest.changed(1, Gfid::ROOT), [2, 3]);
        assert!(interest.changed(1, Gfid::ROOT).is_empty());
        interest.leave(1);
        assert!(interest.changed(2, Gfid::ROOT).is_empty());
    }
}

//! Who has looked at what, so that those who cached it hear when somebody else changes it. Pure.
//!
//! A session that is told about a changed inode is not told again until it looks again; interest in the names of a directory
//! stays. Whoever has looked at a file may have it open: when its last name goes, it is kept until they say that they do not.

use std::collections::{HashMap, HashSet};

use super::locks::Session;
use crate::volume::gfid::Gfid;

/// How many inodes are remembered; beyond it all are forgotten and their sessions are told.
const MOST: usize = 200_000;

/// Who looked at an inode, and whether what it saw is still so.
type Watcher = (Session, bool);

/// The table.
#[derive(Debug, Default)]
pub struct Interest {
    seen: HashMap<Gfid, Vec<Watcher>>,
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
            who.retain(|(s, _)| *s != session);
            !who.is_empty()
        });
    }

    /// The session looked at an inode. Gives those to be told because room had to be made: inode and sessions.
    pub fn look(&mut self, session: Session, gfid: Gfid) -> Vec<(Gfid, Vec<Session>)> {
        if !self.sessions.contains(&session) {
            return vec![];
        }
        let who = self.seen.entry(gfid).or_default();
        match who.iter_mut().find(|(s, _)| *s == session) {
            Some((_, fresh)) => *fresh = true,
            None => who.push((session, true)),
        }
        let all = |(gfid, who): (Gfid, Vec<Watcher>)| (gfid, who.into_iter().map(|(s, _)| s).collect());
        if self.seen.len() > MOST { self.seen.drain().map(all).collect() } else { vec![] }
    }

    /// The session changed an inode: who else must be told, once.
    pub fn changed(&mut self, session: Session, gfid: Gfid) -> Vec<Session> {
        let Some(who) = self.seen.get_mut(&gfid) else { return vec![] };
        let told = who.iter_mut().filter(|(s, fresh)| *fresh && *s != session);
        told.map(|(s, fresh)| {
            *fresh = false;
            *s
        })
        .collect()
    }

    /// The session accuses copies of having missed a change of an inode: who else must be told, whether they looked here or not.
    pub fn accused(&mut self, session: Session, gfid: Gfid) -> Vec<Session> {
        self.changed(session, gfid);
        self.sessions.iter().copied().filter(|s| *s != session).collect()
    }

    /// The session changed a name in a directory: who else must be told, each time.
    pub fn name_changed(&self, session: Session, directory: Gfid) -> Vec<Session> {
        let who = self.seen.get(&directory).map_or(&[][..], Vec::as_slice);
        who.iter().map(|(s, _)| *s).filter(|s| *s != session).collect()
    }

    /// Who else may have a file open.
    pub fn others(&self, session: Session, gfid: Gfid) -> Vec<Session> {
        self.name_changed(session, gfid)
    }

    /// How many inodes somebody looks at.
    pub fn inodes(&self) -> usize {
        self.seen.len()
    }

    /// An inode is gone: nobody looks at it any more.
    pub fn gone(&mut self, gfid: Gfid) {
        self.seen.remove(&gfid);
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
        interest.look(2, Gfid::ROOT);
        assert_eq!(interest.changed(1, Gfid::ROOT), [2], "it looked again");
        assert_eq!(interest.others(1, Gfid::ROOT), [2, 3], "they may still have it open");
        let mut all = interest.accused(2, Gfid([9; 16]));
        all.sort_unstable();
        assert_eq!(all, [1, 3], "they may have looked at the copy that is away");
        interest.leave(1);
        interest.gone(Gfid::ROOT);
        assert!(interest.changed(2, Gfid::ROOT).is_empty());
    }
}

//! Locks of processes on parts of files (fcntl, flock). Pure.
//!
//! They belong to an owner (a process or an open file of a client) and cover bytes; read locks share, a write lock excludes. An owner's
//! new lock replaces what it held on those bytes, so that parts are split and joined as fcntl(2) says. Nobody waits here: who is
//! refused is remembered and told when something on that file becomes free, and then tries again.
//!
//! As with GlusterFS, fcntl and flock know each other: both are locks of the same table.

use std::collections::{HashMap, HashSet};

use super::gfid::Gfid;
use super::rpc::{Held, Hold, Owner};

/// A connection to a brick.
pub type Session = u64;

/// All of them.
#[derive(Debug, Default)]
pub struct Ranges {
    files: HashMap<Gfid, File>,
}

#[derive(Debug, Default)]
struct File {
    held: Vec<(Session, Held)>,
    refused: HashSet<Session>,
}

fn meets(a: &Held, b: &Held) -> bool {
    a.first <= b.last && b.first <= a.last
}

impl File {
    fn in_the_way(&self, who: (Session, Owner), wish: &Held) -> Option<Held> {
        let other = |(s, h): &&(Session, Held)| (*s, h.owner) != who && meets(h, wish);
        let clash = |(_, h): &&(Session, Held)| h.hold == Hold::Write || wish.hold == Hold::Write;
        self.held.iter().find(|h| other(h) && clash(h)).map(|(_, h)| *h)
    }

    /// Takes bytes away from an owner, leaving what lies before and after.
    fn cut(&mut self, who: (Session, Owner), part: &Held) {
        let mut rest = Vec::with_capacity(self.held.len());
        for (session, held) in self.held.drain(..) {
            if (session, held.owner) != who || !meets(&held, part) {
                rest.push((session, held));
                continue;
            }
            if held.first < part.first {
                rest.push((session, Held { last: part.first - 1, ..held }));
            }
            if held.last > part.last {
                rest.push((session, Held { first: part.last + 1, ..held }));
            }
        }
        self.held = rest;
    }
}

impl Ranges {
    /// Takes all locks of a file from whoever holds them. Gives how many there were, and the sessions that should try again.
    pub fn clear(&mut self, gfid: Gfid) -> (usize, Vec<Session>) {
        let gone = self.files.remove(&gfid).unwrap_or_default();
        (gone.held.len(), gone.refused.into_iter().collect())
    }

    /// Takes a lock, or gives bytes back ([`Hold::None`]). `Err`: who is in the way. Gives the sessions that should try again.
    ///
    /// # Errors
    /// The lock that is in the way; the session is told when something changes.
    pub fn set(&mut self, session: Session, gfid: Gfid, wish: &Held) -> Result<Vec<Session>, Held> {
        let file = self.files.entry(gfid).or_default();
        let who = (session, wish.owner);
        if wish.hold != Hold::None
            && let Some(other) = file.in_the_way(who, wish)
        {
            file.refused.insert(session);
            return Err(other);
        }
        let before = file.held.clone();
        file.cut(who, wish);
        if wish.hold != Hold::None {
            file.held.push((session, *wish));
        }
        let freed = wish.hold != Hold::Write && before.iter().any(|(s, h)| (*s, h.owner) == who && meets(h, wish));
        let again = if freed { file.refused.drain().collect() } else { vec![] };
        if file.held.is_empty() && file.refused.is_empty() {
            self.files.remove(&gfid);
        }
        Ok(again)
    }

    /// The lock that would be in the way.
    pub fn test(&self, session: Session, gfid: Gfid, wish: &Held) -> Option<Held> {
        self.files.get(&gfid)?.in_the_way((session, wish.owner), wish)
    }

    /// What is held of a file.
    pub fn of(&self, gfid: Gfid) -> Vec<Held> {
        self.files.get(&gfid).into_iter().flat_map(|f| f.held.iter().map(|(_, h)| *h)).collect()
    }

    /// Everything that is held.
    pub fn all(&self) -> Vec<(Gfid, Held)> {
        self.files.iter().flat_map(|(gfid, f)| f.held.iter().map(|(_, h)| (*gfid, *h))).collect()
    }

    /// The client has another session now.
    pub fn hand_over(&mut self, from: Session, to: Session) {
        for file in self.files.values_mut() {
            file.held.iter_mut().filter(|(session, _)| *session == from).for_each(|(session, _)| *session = to);
            if file.refused.remove(&from) {
                file.refused.insert(to);
            }
        }
    }

    /// The session ended. Gives who should try again, and for which file.
    pub fn end(&mut self, session: Session) -> Vec<(Gfid, Vec<Session>)> {
        let mut again = Vec::new();
        self.files.retain(|gfid, file| {
            file.refused.remove(&session);
            let before = file.held.len();
            file.held.retain(|(s, _)| *s != session);
            if file.held.len() < before {
                again.push((*gfid, file.refused.drain().collect()));
            }
            !file.held.is_empty() || !file.refused.is_empty()
        });
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(owner: Owner, hold: Hold, first: u64, last: u64) -> Held {
        Held { owner, pid: 7, hold, first, last }
    }

    /// Readers share, a writer excludes; who was refused hears when it may try again.
    #[test]
    fn readers_share_and_writers_exclude() {
        let mut ranges = Ranges::default();
        let file = Gfid::ROOT;
        assert_eq!(ranges.set(1, file, &held(10, Hold::Read, 0, 9)), Ok(vec![]));
        assert_eq!(ranges.set(2, file, &held(10, Hold::Read, 5, 20)), Ok(vec![]), "another client's owner");
        assert_eq!(ranges.set(2, file, &held(10, Hold::Write, 5, 20)), Err(held(10, Hold::Read, 0, 9)));
        assert_eq!(ranges.test(3, file, &held(1, Hold::Write, 21, 30)), None);
        assert_eq!(ranges.set(1, file, &held(10, Hold::None, 0, u64::MAX)), Ok(vec![2]));
        assert_eq!(ranges.set(2, file, &held(10, Hold::Write, 5, 20)), Ok(vec![]), "its own read lock becomes one");
        assert_eq!(ranges.set(1, file, &held(10, Hold::Read, 20, 20)), Err(held(10, Hold::Write, 5, 20)));
        assert_eq!(ranges.end(2), [(file, vec![1])], "the dead hold nothing");
        assert!(ranges.end(1).is_empty());
    }

    /// To give back the middle leaves both ends.
    #[test]
    fn bytes_are_split() {
        let mut ranges = Ranges::default();
        let file = Gfid::ROOT;
        ranges.set(1, file, &held(1, Hold::Write, 0, 99)).unwrap();
        ranges.set(1, file, &held(1, Hold::None, 40, 59)).unwrap();
        let wish = |first, last| held(2, Hold::Write, first, last);
        assert_eq!(ranges.test(1, file, &wish(40, 59)), None);
        assert_eq!(ranges.test(1, file, &wish(39, 39)), Some(held(1, Hold::Write, 0, 39)));
        assert_eq!(ranges.test(1, file, &wish(60, 70)), Some(held(1, Hold::Write, 60, 99)));
    }
}

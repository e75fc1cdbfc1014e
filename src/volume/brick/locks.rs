//! Who may change what: the brick's table of locks. Pure.
//!
//! Clients lock before they change copies, so that all copies see changes in one order. A lock is exclusive and belongs to a session. In
//! the entry domain a lock on one name excludes that name and the lock on all names; other names of the directory stay free. Who
//! cannot have a lock may wait, first come first served; each time somebody is refused or waits, the holder is told
//! ([`Outcome::contended`]), because clients keep locks as long as nobody else wants them.

use std::collections::{BTreeMap, VecDeque};

use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Domain, Lock};

/// A connection that holds locks.
pub type Session = u64;

/// Locks of one inode in one domain.
#[derive(Debug, Default)]
struct Queue<W> {
    held: Vec<(Lock, Session)>,
    waiting: VecDeque<(Lock, Session, W)>,
}

/// All locks of a brick. `W` is what the caller wants back when a waiting lock is granted.
#[derive(Debug)]
pub struct Locks<W> {
    queues: BTreeMap<(Domain, Gfid), Queue<W>>,
}

/// What came of asking for a lock.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it is held now.
    pub granted: bool,
    /// Whether it waits; if neither, it was refused.
    pub waits: bool,
    /// Locks in the way, and who should be told that they are wanted.
    pub contended: Vec<(Session, Lock)>,
}

impl<W> Default for Locks<W> {
    fn default() -> Self {
        Self { queues: BTreeMap::new() }
    }
}

fn conflict(a: &Lock, b: &Lock) -> bool {
    a.name.is_none() || b.name.is_none() || a.name == b.name
}

impl<W> Locks<W> {
    /// Asks for a lock. `wait` is kept and given back by a later call when the lock is granted; `None`: do not wait.
    /// A session that holds the lock already has it.
    pub fn lock(&mut self, session: Session, lock: &Lock, wait: Option<W>) -> Outcome {
        let queue = self
            .queues
            .entry((lock.domain, lock.gfid))
            .or_insert_with(|| Queue { held: vec![], waiting: VecDeque::new() });
        if queue.held.iter().any(|(l, s)| *s == session && (l == lock || l.name.is_none())) {
            return Outcome { granted: true, waits: false, contended: vec![] };
        }
        let in_the_way = queue.held.iter().filter(|(l, s)| *s != session && conflict(l, lock));
        let contended: Vec<_> = in_the_way.map(|(l, s)| (*s, l.clone())).collect();
        let ahead = queue.waiting.iter().any(|(l, s, _)| *s != session && conflict(l, lock));
        let granted = contended.is_empty() && !ahead;
        let waits = !granted && wait.is_some();
        if granted {
            queue.held.push((lock.clone(), session));
        } else if let Some(wait) = wait {
            queue.waiting.push_back((lock.clone(), session, wait));
        }
        Outcome { granted, waits, contended }
    }

    /// Gives a lock back. Returns those whose turn it is now.
    #[must_use]
    pub fn unlock(&mut self, session: Session, lock: &Lock) -> Vec<W> {
        let key = (lock.domain, lock.gfid);
        let Some(queue) = self.queues.get_mut(&key) else { return vec![] };
        queue.held.retain(|(l, s)| !(*s == session && l == lock));
        self.grant(key)
    }

    /// The session ended: all its locks go, and it waits no longer. Returns those whose turn it is now.
    #[must_use]
    pub fn end(&mut self, session: Session) -> Vec<W> {
        let keys: Vec<_> = self.queues.keys().copied().collect();
        let mut granted = Vec::new();
        for key in keys {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            let (held, waiting) = (queue.held.len(), queue.waiting.len());
            queue.held.retain(|(_, s)| *s != session);
            queue.waiting.retain(|(_, s, _)| *s != session);
            if (held, waiting) != (queue.held.len(), queue.waiting.len()) {
                granted.extend(self.grant(key));
            }
        }
        granted
    }

    /// Lets everybody in who can be, in order of arrival.
    fn grant(&mut self, key: (Domain, Gfid)) -> Vec<W> {
        let Some(queue) = self.queues.get_mut(&key) else { return vec![] };
        let mut granted = Vec::new();
        let mut still: VecDeque<(Lock, Session, W)> = VecDeque::new();
        for (lock, session, wait) in std::mem::take(&mut queue.waiting) {
            let held = queue.held.iter().any(|(l, s)| *s != session && conflict(l, &lock));
            let ahead = still.iter().any(|(l, s, _)| *s != session && conflict(l, &lock));
            if held || ahead {
                still.push_back((lock, session, wait));
            } else {
                queue.held.push((lock, session));
                granted.push(wait);
            }
        }
        queue.waiting = still;
        if queue.held.is_empty() && queue.waiting.is_empty() {
            self.queues.remove(&key);
        }
        granted
    }

    /// Whether anybody but `session` waits for this lock or one that it excludes.
    pub fn is_wanted(&self, session: Session, lock: &Lock) -> bool {
        let queue = self.queues.get(&(lock.domain, lock.gfid));
        queue.is_some_and(|q| q.waiting.iter().any(|(l, s, _)| *s != session && conflict(l, lock)))
    }

    /// Whether the session holds this lock, or one on all names of its directory.
    pub fn holds(&self, session: Session, lock: &Lock) -> bool {
        let queue = self.queues.get(&(lock.domain, lock.gfid));
        queue.is_some_and(|q| q.held.iter().any(|(l, s)| *s == session && (l == lock || l.name.is_none())))
    }

    /// Whether the session holds a lock under which it may change an inode: on the inode, or on names in it.
    pub fn may_change(&self, session: Session, gfid: Gfid) -> bool {
        let queues = [Domain::Inode, Domain::Entry].map(|domain| self.queues.get(&(domain, gfid)));
        queues.into_iter().flatten().any(|q| q.held.iter().any(|(_, s)| *s == session))
    }

    /// Whether anybody holds such a lock.
    pub fn is_held(&self, gfid: Gfid) -> bool {
        let queues = [Domain::Inode, Domain::Entry].map(|domain| self.queues.get(&(domain, gfid)));
        queues.into_iter().flatten().any(|q| !q.held.is_empty())
    }

    /// The inodes on which, or on names of which, a session holds locks.
    pub fn held_by(&self, session: Session) -> Vec<Gfid> {
        let held = self.queues.iter().filter(|(_, q)| q.held.iter().any(|(_, s)| *s == session));
        held.map(|((_, gfid), _)| *gfid).collect()
    }

    /// How many requests wait for one.
    pub fn waiting(&self) -> usize {
        self.queues.values().map(|q| q.waiting.len()).sum()
    }

    /// How many locks are held.
    pub fn held(&self) -> usize {
        self.queues.values().map(|q| q.held.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn inode() -> Lock {
        Lock { domain: Domain::Inode, gfid: Gfid::ROOT, name: None }
    }

    fn entry(name: Option<&'static str>) -> Lock {
        Lock { domain: Domain::Entry, gfid: Gfid::ROOT, name: name.map(|n| Bytes::from_static(n.as_bytes())) }
    }

    /// One holder; the next one waits, the holder hears of it, and the lock passes on in order of arrival.
    #[test]
    fn locks_pass_on_in_order() {
        let mut locks = Locks::default();
        assert!(locks.lock(1, &inode(), None).granted);
        assert_eq!(locks.lock(2, &inode(), Some('b')).contended, [(1, inode())]);
        assert!(!locks.lock(3, &inode(), None).granted, "who does not wait is refused");
        assert!(locks.lock(3, &inode(), Some('c')).waits);
        assert_eq!(locks.unlock(1, &inode()), ['b']);
        assert!(locks.is_wanted(2, &inode()));
        assert_eq!(locks.unlock(2, &inode()), ['c']);
        assert_eq!((locks.end(3), locks.held()), (vec![], 0));
    }

    /// Two names of a directory do not meet; all names at once meet every one.
    #[test]
    fn names_are_locked_one_by_one_or_all() {
        let mut locks = Locks::<()>::default();
        assert!(locks.lock(1, &entry(Some("a")), None).granted);
        assert!(locks.lock(2, &entry(Some("b")), None).granted);
        assert!(!locks.lock(2, &entry(Some("a")), None).granted);
        let all = locks.lock(3, &entry(None), Some(()));
        assert_eq!((all.waits, all.contended.len()), (true, 2));
        assert!(!locks.lock(4, &entry(Some("c")), None).granted, "nobody overtakes who waits for all");
        assert!(locks.unlock(1, &entry(Some("a"))).is_empty());
        assert_eq!(locks.unlock(2, &entry(Some("b"))).len(), 1);
    }

    /// A client that dies gives everything back.
    #[test]
    fn the_dead_hold_nothing() {
        let mut locks = Locks::default();
        assert!(locks.lock(1, &inode(), None).granted && locks.lock(1, &entry(None), None).granted);
        assert!(locks.lock(2, &inode(), Some(2)).waits && locks.lock(3, &inode(), Some(3)).waits);
        assert!(locks.end(2).is_empty());
        assert_eq!(locks.end(1), [3]);
    }
}

//! Word of what somebody did, to everybody whom it concerns.
//!
//! Who looked at something hears when somebody else changes it ([`super::interest`]), and the change is answered when they have
//! heard ([`super::hearing`]). What was changed while a copy is away is told to everybody who caches: they may have looked at the copy
//! that is away, which tells nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;

use super::locks::Session;
use super::store::Removed;
use super::{Brick, Outbox, State};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Iatt, Reply, ToClient, Xattrop};
use crate::volume::xattr::{DIRTY, Pending};

/// Who changes something.
pub(super) struct By {
    pub session: Session,
    /// The number under which others hear of it; 0: of nothing yet.
    pub told: u64,
    /// Whether anybody waits for an answer.
    pub waits: bool,
}

/// An answer that is ready to go out.
pub(super) struct Ready {
    outbox: Arc<dyn Outbox>,
    message: ToClient,
    payload: Vec<u8>,
}

impl Ready {
    pub fn send(self) {
        self.outbox.send(&self.message, &self.payload);
    }
}

impl Brick {
    /// The request is carried out: answers it once everybody has heard who must.
    pub(super) fn answer(&self, by: &By, message: ToClient, payload: Vec<u8>) {
        let mut state = self.state();
        let Some(outbox) = state.sessions.get(&by.session).map(|c| c.outbox.clone()) else { return };
        let ready = Ready { outbox, message, payload };
        let ready = if by.told > 0 { state.hearing.answer(by.told, ready) } else { Some(ready) };
        drop(state);
        ready.into_iter().for_each(Ready::send);
    }

    pub(super) fn heard(&self, session: Session, number: u64) {
        let ready = self.state().hearing.heard(session, number);
        ready.into_iter().for_each(Ready::send);
    }

    pub(super) fn close_unkept(&self, gfid: Gfid) -> Result<Reply, i32> {
        let mut state = self.state();
        if state.kept.get(&gfid).is_some_and(|who| !who.is_empty()) {
            return Ok(Reply::Done);
        }
        state.kept.remove(&gfid);
        drop(state);
        self.store.close(gfid).map(|()| Reply::Done)
    }

    /// Whether another client may have a file open.
    pub(super) fn is_used(&self, session: Session, gfid: Gfid) -> bool {
        !self.state().interest.others(session, gfid).is_empty()
    }

    /// The last name of a file, or a directory, may be gone. Others who may have the file open keep it until they say that
    /// they do not.
    pub(super) fn removed(&self, by: &mut By, gone: Option<Removed>, keep: bool) {
        let Some(Removed { gfid, last }) = gone else { return };
        if !last {
            return self.tell_changed(by, gfid);
        }
        let mut state = self.state();
        let others = state.interest.others(by.session, gfid);
        state.interest.gone(gfid);
        let own = keep.then_some(by.session);
        if keep || !others.is_empty() {
            state.kept.entry(gfid).or_default().extend(others.iter().copied().chain(own));
        }
        state.announce(by, &others, |heard| ToClient::Gone { gfid, heard });
    }

    pub(super) fn look(&self, session: Session, gfid: Gfid) {
        let mut state = self.state();
        let forgotten = state.interest.look(session, gfid);
        for (gfid, sessions) in forgotten {
            state.tell(&sessions, &changed(gfid, 0));
        }
    }

    pub(super) fn changed(&self, by: &mut By, gfid: Gfid, outcome: Result<Iatt, i32>) -> Result<Reply, i32> {
        let iatt = outcome?;
        self.tell_changed(by, gfid);
        Ok(Reply::Changed(iatt))
    }

    pub(super) fn tell_changed(&self, by: &mut By, gfid: Gfid) {
        let mut state = self.state();
        let who = state.interest.changed(by.session, gfid);
        state.announce(by, &who, |heard| changed(gfid, heard));
    }

    /// A name is there that was not.
    pub(super) fn name_came(&self, by: &mut By, gfid: Gfid, name: &Bytes) {
        self.tell_name(by, gfid, name, true);
    }

    /// A name is gone, or something else.
    pub(super) fn name_changed(&self, by: &mut By, gfid: Gfid, name: &Bytes) {
        self.tell_name(by, gfid, name, false);
    }

    fn tell_name(&self, by: &mut By, gfid: Gfid, name: &Bytes, came: bool) {
        let mut state = self.state();
        let who = state.interest.name_changed(by.session, gfid);
        state.announce(by, &who, |heard| ToClient::Invalidate { gfid, name: Some((name.clone(), came)), heard });
    }

    /// Copies are accused of having missed something. Whoever believes that they may be read must hear of it, and whoever looked
    /// at them hears it from nobody else.
    pub(super) fn accused(&self, by: &mut By, op: &Xattrop) {
        let gfid = op.gfid;
        let worse = |(key, add): &(String, Pending)| key != DIRTY && add.is_more();
        if !op.add.iter().any(worse) {
            if op.add.iter().any(|(key, _)| key != DIRTY) {
                self.tell_changed(by, gfid);
            }
            return;
        }
        let mut state = self.state();
        let who = state.interest.accused(by.session, gfid);
        state.announce(by, &who, |heard| changed(gfid, heard));
        if let Some(name) = &op.name {
            state.announce(by, &who, |heard| ToClient::Invalidate { gfid, name: Some((name.clone(), false)), heard });
        }
    }

    /// Tells everybody when the first inode begins to blame another copy, and when the last one stops.
    pub(super) fn tell_blaming(&self) {
        let now = self.store.blaming() > 0;
        if self.blaming.swap(now, SeqCst) != now {
            let state = self.state();
            let all: Vec<Session> = state.sessions.keys().copied().collect();
            state.tell(&all, &ToClient::Blaming(now));
        }
    }
}

/// An inode changed.
fn changed(gfid: Gfid, heard: u64) -> ToClient {
    ToClient::Invalidate { gfid, name: None, heard }
}

impl State {
    /// Tells others of a change; its answer waits until they have heard.
    fn announce(&mut self, by: &mut By, who: &[Session], message: impl FnOnce(u64) -> ToClient) {
        if who.is_empty() {
            return;
        }
        if by.waits {
            by.told = self.hearing.tell(by.told, who);
        }
        self.tell(who, &message(by.told));
    }

    pub(super) fn tell(&self, sessions: &[Session], message: &ToClient) {
        for client in sessions.iter().filter_map(|s| self.sessions.get(s)) {
            client.outbox.send(message, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::volume::brick::store::{Settings, Store};
    use crate::volume::rpc::{Fop, Held, Hello, Hold, Request};

    #[derive(Default)]
    struct Heap(Mutex<Vec<ToClient>>);

    impl Outbox for Heap {
        fn send(&self, message: &ToClient, _: &[u8]) {
            self.0.lock().unwrap().push(message.clone());
        }
    }

    impl Heap {
        fn take(&self) -> Vec<ToClient> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    /// A brick and two mounts of it.
    struct Scene {
        brick: Brick,
        mounts: [(Session, Arc<Heap>); 2],
        _dir: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().canonicalize().unwrap();
            let brick = Brick::new(Store::open(&Settings { path, volume_id: Gfid([7; 16]), arbiter: false }).unwrap());
            let mounts = [(); 2].map(|()| {
                let heap = Arc::new(Heap::default());
                (brick.connect(heap.clone()), heap)
            });
            let scene = Self { brick, mounts, _dir: dir };
            let hello = |n| Hello { client: Gfid([n; 16]), process: "fuse".into(), brick: String::new() };
            (0..2).for_each(|who| drop(scene.say(who, Fop::Hello(hello(who as u8 + 1)))));
            scene
        }

        /// One mount asks something; gives what it is told then.
        fn say(&self, who: usize, fop: Fop) -> Vec<ToClient> {
            self.brick.handle(self.mounts[who].0, Request { id: 1, fops: vec![fop] }, Bytes::new());
            self.mounts[who].1.take()
        }
    }

    fn number(told: &[ToClient]) -> u64 {
        let number = |m: &ToClient| if let ToClient::Invalidate { heard, .. } = m { Some(*heard) } else { None };
        told.iter().find_map(number).expect("it is told")
    }

    /// Who changes what another mount looked at gets the answer when that mount has heard of it, and not before.
    #[test]
    fn a_change_is_answered_when_others_have_heard() {
        let scene = Scene::new();
        let change = || Fop::Setattr { gfid: Gfid::ROOT, change: crate::volume::rpc::Change::default() };
        assert_eq!(scene.say(0, change()).len(), 1, "nobody has looked");
        scene.say(1, Fop::Stat { gfid: Gfid::ROOT });
        assert_eq!(scene.say(0, change()), [], "it waits");
        let heard = number(&scene.mounts[1].1.take());
        scene.say(1, Fop::Heard { number: heard });
        assert!(matches!(scene.mounts[0].1.take()[..], [ToClient::Answer { .. }]));
        assert_eq!(scene.say(0, change()).len(), 1, "it was told, and has not looked since");
        scene.say(1, Fop::Stat { gfid: Gfid::ROOT });
        assert_eq!(scene.say(0, change()), []);
        scene.brick.disconnect(scene.mounts[1].0);
        assert_eq!(scene.mounts[0].1.take().len(), 1, "nobody waits for one who is gone");
    }

    /// Locks of processes outlive a connection that takes another way, and end a moment after one that does not come back.
    #[test]
    fn a_client_that_comes_back_has_its_locks() {
        let scene = Scene::new();
        let lock = |hold| Fop::Hold { gfid: Gfid::ROOT, held: Held { owner: 1, pid: 1, hold, first: 0, last: 9 } };
        let refused =
            |told: Vec<ToClient>| matches!(&told[..], [ToClient::Answer { results, .. }] if results[0].is_err());
        scene.say(1, lock(Hold::Write));
        scene.brick.disconnect(scene.mounts[1].0);
        assert!(refused(scene.say(0, lock(Hold::Write))), "it may come back");
        let again = scene.brick.connect(scene.mounts[1].1.clone());
        let hello = Hello { client: Gfid([2; 16]), process: "fuse".into(), brick: String::new() };
        scene.brick.handle(again, Request { id: 1, fops: vec![Fop::Hello(hello)] }, Bytes::new());
        assert!(!scene.brick.hurry(Duration::MAX), "nobody is away");
        assert!(refused(scene.say(0, lock(Hold::Write))), "it came back");
        scene.brick.handle(again, Request { id: 2, fops: vec![lock(Hold::None)] }, Bytes::new());
        assert!(!refused(scene.say(0, lock(Hold::Write))), "the lock was its own again");
    }

    /// What was changed while a copy is away is told also to those who looked at that copy only.
    #[test]
    fn an_accusation_is_told_to_everybody() {
        let scene = Scene::new();
        let op = |add| Xattrop { gfid: Gfid::ROOT, add: vec![("trusted.afr.gv0-client-2".into(), add)], name: None };
        let missed = Pending { data: 0, metadata: 0, entry: 1 };
        assert_eq!(scene.say(0, Fop::Xattrop(op(missed))), [ToClient::Blaming(true)], "the answer waits");
        assert!(number(&scene.mounts[1].1.take()) > 0);
        scene.brick.hurry(Duration::ZERO);
        assert_eq!(scene.mounts[0].1.take().len(), 1);
        scene.say(0, Fop::Xattrop(op(missed.negated())));
        assert_eq!(scene.mounts[1].1.take(), [ToClient::Blaming(false)], "what is healed changes nothing for it");
    }
}

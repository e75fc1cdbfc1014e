//! Word of what somebody did, to everybody whom it concerns.
//!
//! Who looked at something hears when somebody else changes it ([`super::interest`]), and the change is answered when they have
//! heard ([`super::hearing`]). What was changed while a copy is away is told to everybody who caches: they may have looked at the copy
//! that is away, which tells nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

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

    /// Answers what has waited for so long. Gives whether anything waits still.
    pub fn hurry(&self, patience: Duration) -> bool {
        let mut state = self.state();
        let (ready, waits) = (state.hearing.overdue(patience), state.hearing.is_waiting());
        drop(state);
        ready.into_iter().for_each(Ready::send);
        waits
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

//! Who comes and goes.
//!
//! What a client holds to agree with others on a change ends with its connection at once: they wait for it. What its processes
//! hold, their locks and the removed files that they have open, is kept for [`GRACE`], for the client to come back: its connection may only have
//! taken another way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::locks::Session;
use super::word::Ready;
use super::{Brick, Client, Outbox, State};
use crate::volume::gfid::Gfid;
use crate::volume::rpc::{Hello, Reply, ToClient};

/// How long a client may be away without its processes losing anything.
const GRACE: Duration = Duration::from_secs(1);

/// Clients that went: by what they call themselves, the session that they had and when it ended.
pub(super) type Absent = HashMap<Gfid, (Session, Instant)>;

impl Brick {
    /// A client connects.
    pub fn connect(&self, outbox: Arc<dyn Outbox>) -> Session {
        let mut state = self.state();
        state.next += 1;
        let session = state.next;
        state.sessions.insert(session, Client { outbox, hello: None });
        session
    }

    /// It says who it is: what it held before is its own again.
    pub(super) fn welcome(&self, session: Session, hello: Hello) -> Result<Reply, i32> {
        let ours = std::path::Path::new(&hello.brick);
        let is_ours = hello.brick.is_empty()
            || ours == self.store.path()
            || std::fs::canonicalize(ours).is_ok_and(|p| p == self.store.path());
        if !is_ours {
            return Err(libc::ENOENT);
        }
        let mut state = self.state();
        if hello.process == "fuse" {
            state.interest.join(session);
        }
        // The end of its earlier connection may not have been noticed yet.
        let same =
            |(s, c): &(&Session, &Client)| **s != session && c.hello.as_ref().is_some_and(|h| h.client == hello.client);
        let unnoticed = state.sessions.iter().find(same).map(|(s, _)| *s);
        if let Some(before) = state.absent.remove(&hello.client).map(|(s, _)| s).or(unnoticed) {
            state.hand_over(before, session);
        }
        if let Some(client) = state.sessions.get_mut(&session) {
            client.hello = Some(hello);
        }
        Ok(Reply::Welcome { blaming: self.store.blaming() > 0 })
    }

    /// A client is gone: what others wait for is free.
    pub fn disconnect(&self, session: Session) {
        let mut state = self.state();
        let gone = state.sessions.remove(&session).and_then(|client| client.hello);
        state.interest.leave(session);
        state.opens.end(session);
        let held = state.locks.held_by(session);
        drop(state);
        // Before anybody else gets the locks.
        for gfid in held {
            let _ = self.store.settle(gfid);
        }
        let mut state = self.state();
        let granted = state.locks.end(session);
        let ready = state.hearing.end(session);
        let earlier = gone.and_then(|hello| state.absent.insert(hello.client, (session, Instant::now())));
        drop(state);
        ready.into_iter().for_each(Ready::send);
        earlier.into_iter().for_each(|(session, _)| self.end(session));
        self.work(granted);
    }

    /// It does not come back: what its processes held is free.
    fn end(&self, session: Session) {
        let mut state = self.state();
        for who in state.kept.values_mut() {
            who.remove(&session);
        }
        let free: Vec<Gfid> = state.kept.extract_if(|_, who| who.is_empty()).map(|(gfid, _)| gfid).collect();
        for (gfid, sessions) in state.ranges.end(session) {
            state.tell(&sessions, &ToClient::Freed { gfid });
        }
        drop(state);
        for gfid in free {
            let _ = self.store.close(gfid);
        }
    }

    /// Does what is due: answers that have waited for so long go out, and clients that were away for too long are gone. Gives
    /// whether there is more to come.
    pub fn hurry(&self, patience: Duration) -> bool {
        let mut state = self.state();
        let ready = state.hearing.overdue(patience);
        let gone: Vec<Session> =
            state.absent.extract_if(|_, (_, since)| since.elapsed() >= GRACE).map(|(_, (s, _))| s).collect();
        let more = state.hearing.is_waiting() || !state.absent.is_empty();
        drop(state);
        ready.into_iter().for_each(Ready::send);
        gone.into_iter().for_each(|session| self.end(session));
        more
    }

    /// Who is connected, with what it said of itself.
    pub fn clients(&self) -> Vec<(Session, Option<Hello>)> {
        self.state().sessions.iter().map(|(session, client)| (*session, client.hello.clone())).collect()
    }
}

impl State {
    fn hand_over(&mut self, from: Session, to: Session) {
        self.ranges.hand_over(from, to);
        for who in self.kept.values_mut().filter(|who| who.contains(&from)) {
            who.remove(&from);
            who.insert(to);
        }
    }
}

//! An event's way: it gets its sequence number, is folded into the world, written to the journal and shown to watchers.
//!
//! A watcher that does not keep up (a suspended screen) loses events, not memory: when its queue is full it is marked
//! behind, and gets a fresh snapshot once it has read what it had.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Keeper;
use crate::world::reporter::now;
use crate::world::wire::FromKeeper;
use crate::world::{Event, EventId, Journal, What, World};

/// How many events may wait for one watcher.
const QUEUE: usize = 8192;
/// How long a written event may stay in our own buffer.
const FLUSH: Duration = Duration::from_millis(100);

/// The world, its journal, and who watches.
pub struct Record {
    pub(super) world: World,
    journal: Journal,
    watchers: Vec<Watcher>,
    next: u64,
    unflushed: bool,
}

struct Watcher {
    queue: Sender<FromKeeper>,
    behind: bool,
}

impl Record {
    /// Goes on with `world`, whose journal is in folder `dir`.
    ///
    /// # Errors
    /// As of the journal's files.
    pub fn open(world: World, dir: &Path) -> io::Result<Self> {
        let next = world.seq + 1;
        Ok(Self { world, journal: Journal::open(dir)?, watchers: Vec::new(), next, unflushed: false })
    }

    /// Hands what is buffered to the kernel.
    pub fn flush(&mut self) {
        self.unflushed = false;
        if let Err(reason) = self.journal.flush() {
            eprintln!("keeper: writing the journal: {reason}");
        }
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        !self.watchers.is_empty()
    }

    fn take(&mut self, mut event: Event) {
        event.seq = self.next;
        self.next += 1;
        self.world.apply(&event);
        if let Err(reason) = self.journal.append(&event, &self.world) {
            eprintln!("keeper: writing the journal: {reason}");
        }
        let event = Arc::new(event);
        self.watchers.retain_mut(|watcher| watcher.show(&event, &self.world));
    }
}

impl Watcher {
    /// Shows an event; false if the watcher is gone.
    fn show(&mut self, event: &Arc<Event>, world: &World) -> bool {
        if self.behind {
            if self.queue.capacity() == QUEUE {
                self.behind = self.queue.try_send(FromKeeper::Snapshot(Box::new(world.clone()))).is_err();
            }
        } else {
            self.behind = self.queue.try_send(FromKeeper::Event(Arc::clone(event))).is_err();
        }
        !self.queue.is_closed()
    }
}

impl Keeper {
    /// Records something that the keeper itself saw; gives the event's id.
    pub(super) fn report(self: &Rc<Self>, cause: Option<EventId>, what: What) -> EventId {
        self.report_of("keeper", cause, what)
    }

    /// Records something that happened to `who`, seen by the keeper.
    pub(super) fn report_of(self: &Rc<Self>, who: &str, cause: Option<EventId>, what: What) -> EventId {
        let next = self.record.borrow().next;
        let id = format!("keeper#{next}");
        self.take(Event { seq: 0, id: id.clone(), who: who.into(), at: now(), logical: next, cause, what });
        id
    }

    /// Records an event.
    pub(super) fn take(self: &Rc<Self>, event: Event) {
        let mut record = self.record.borrow_mut();
        record.take(event);
        self.changed.notify_waiters();
        if !std::mem::replace(&mut record.unflushed, true) {
            let keeper = Rc::clone(self);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(FLUSH).await;
                keeper.record.borrow_mut().flush();
            });
        }
    }

    /// Begins a watch: what comes out of the receiver is a snapshot, then every event.
    pub(super) fn watch(self: &Rc<Self>) -> Receiver<FromKeeper> {
        let (queue, watched) = channel(QUEUE);
        let mut record = self.record.borrow_mut();
        let _ = queue.try_send(FromKeeper::Snapshot(Box::new(record.world.clone())));
        record.watchers.push(Watcher { queue, behind: false });
        watched
    }

    /// Forgets watchers that are gone.
    pub(super) fn forget_watchers(&self) {
        self.record.borrow_mut().watchers.retain(|watcher| !watcher.queue.is_closed());
    }

    /// Looks at the world.
    pub(super) fn see<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.record.borrow().world)
    }

    /// Waits until the world is as asked, for `at_most`; false if it did not come about.
    pub(super) async fn until(&self, at_most: Duration, mut reached: impl FnMut(&World) -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + at_most;
        loop {
            // Listening begins before looking, so that nothing can happen between the two.
            let changed = self.changed.notified();
            if self.see(&mut reached) {
                return true;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self.see(&mut reached);
            }
        }
    }
}

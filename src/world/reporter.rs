//! The small client with which a role reports events and is asked things.
//!
//! Watching must not change what is watched: [`Reporter::report`] never waits. Events go into a bounded queue that
//! a thread of its own writes to the keeper's socket; when the queue is full the event is counted instead, and the
//! count is reported as [`What::Lost`] when there is room again. Without a keeper (a role run by hand) it does nothing.

use std::io::{BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::wire::{Ask, FromKeeper, ToKeeper, read_frame, write_frame};
use super::{Event, EventId, Name, What};

/// How many events may wait for the keeper.
const QUEUE: usize = 4096;

/// The answer to an [`Ask`].
pub type Answer = Result<serde_json::Value, String>;

/// A role's line to the keeper. Cheap to clone; all clones share one connection and one logical clock.
#[derive(Clone)]
pub struct Reporter {
    shared: Arc<Shared>,
}

struct Shared {
    name: Name,
    queue: Option<SyncSender<ToKeeper>>,
    next: AtomicU64,
    logical: AtomicU64,
    lost: AtomicU64,
    queued: AtomicU64,
    written: Arc<AtomicU64>,
}

/// How a role introduces itself; see [`ToKeeper::Hello`].
#[derive(Debug, Clone, Default)]
pub struct Introduction {
    /// Its name in the world.
    pub name: Name,
    /// What it is.
    pub role: String,
    /// The machine that it runs on.
    pub machine: Name,
    /// Where it takes machine-wire connections.
    pub listen: Option<std::net::SocketAddr>,
}

/// One question from the keeper, to be answered once.
pub struct Question {
    /// What is asked.
    pub ask: Ask,
    id: u64,
    queue: SyncSender<ToKeeper>,
}

impl Question {
    /// Answers. May be called from any thread, and waits for room in the queue: an answer is never left out.
    pub fn answer(self, result: Answer) {
        let _ = self.queue.send(ToKeeper::Answer { id: self.id, result });
    }
}

impl Reporter {
    /// A reporter without a keeper.
    pub fn silent(name: &str) -> Self {
        Self::new(name, None)
    }

    /// Connects to the keeper at `socket`, introduces the role, and calls `asked` (on a thread of its own) for each
    /// question. When the connection ends, later events go nowhere and `asked` is dropped.
    ///
    /// # Errors
    /// As of connecting.
    pub fn connect(
        socket: &Path,
        introduction: Introduction,
        mut asked: impl FnMut(Question) + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut stream = super::client::connect(socket)?;
        let Introduction { name, role, machine, listen } = introduction;
        write_frame(&mut stream, &ToKeeper::Hello { name: name.clone(), role, machine, listen })?;
        let (queue, waiting) = sync_channel(QUEUE);
        let reporter = Self::new(&name, Some(queue.clone()));
        let written = Arc::clone(&reporter.shared.written);
        let mut questions = stream.try_clone()?;
        std::thread::Builder::new().name("report".into()).spawn(move || write_all(stream, &waiting, &written))?;
        std::thread::Builder::new().name("asked".into()).spawn(move || {
            while let Ok(message) = read_frame(&mut questions) {
                if let FromKeeper::Ask { id, ask } = message {
                    asked(Question { ask, id, queue: queue.clone() });
                }
            }
        })?;
        Ok(reporter)
    }

    fn new(name: &str, queue: Option<SyncSender<ToKeeper>>) -> Self {
        let (next, logical, lost) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
        let (queued, written) = (AtomicU64::new(0), Arc::default());
        Self { shared: Arc::new(Shared { name: name.into(), queue, next, logical, lost, queued, written }) }
    }

    /// Whether anybody listens.
    pub fn is_watched(&self) -> bool {
        self.shared.queue.is_some()
    }

    /// Reports that something happened; gives the event's id, for later events and messages to name as their cause.
    pub fn report(&self, cause: Option<EventId>, what: What) -> EventId {
        let id = self.next_id();
        let Some(queue) = &self.shared.queue else { return id };
        let lost = self.shared.lost.swap(0, Relaxed);
        if lost > 0 && queue.try_send(self.event(self.next_id(), None, What::Lost { count: lost })).is_err() {
            self.shared.lost.fetch_add(lost, Relaxed);
        }
        match queue.try_send(self.event(id.clone(), cause, what)) {
            Ok(()) => self.shared.queued.fetch_add(1, Relaxed),
            Err(_) => self.shared.lost.fetch_add(1, Relaxed),
        };
        id
    }

    /// Waits, at most `limit`, until what was reported so far has been written: for a role that is about to end.
    pub fn flush(&self, limit: Duration) {
        let (begun, wanted) = (Instant::now(), self.shared.queued.load(Relaxed));
        while self.is_watched() && self.shared.written.load(Relaxed) < wanted && begun.elapsed() < limit {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// The next free event id, for a message that will be an event on the link. Unique.
    pub fn next_id(&self) -> EventId {
        format!("{}#{}", self.shared.name, self.shared.next.fetch_add(1, Relaxed))
    }

    /// Advances the logical clock for something sent; gives its time.
    pub fn tick(&self) -> u64 {
        self.shared.logical.fetch_add(1, Relaxed) + 1
    }

    /// Advances the logical clock past the time of something received (Lamport's rule).
    pub fn receive(&self, logical: u64) {
        self.shared.logical.fetch_max(logical, Relaxed);
        self.shared.logical.fetch_add(1, Relaxed);
    }

    fn event(&self, id: EventId, cause: Option<EventId>, what: What) -> ToKeeper {
        let (who, logical) = (self.shared.name.clone(), self.tick());
        ToKeeper::Event(Box::new(Event { seq: 0, id, who, at: now(), logical, cause, what }))
    }
}

/// Wall time in microseconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

/// Writes what waits, in batches, until every sender or the keeper is gone.
fn write_all(stream: UnixStream, waiting: &Receiver<ToKeeper>, events: &AtomicU64) {
    let mut out = BufWriter::with_capacity(1 << 16, stream);
    while let Ok(first) = waiting.recv() {
        let mut batch = std::iter::once(first).chain(waiting.try_iter().take(QUEUE));
        let mut count = 0;
        let written = batch.try_for_each(|message| {
            count += u64::from(matches!(&message, ToKeeper::Event(e) if !matches!(e.what, What::Lost { .. })));
            write_frame(&mut out, &message)
        });
        if written.and_then(|()| out.flush()).is_err() {
            return;
        }
        events.fetch_add(count, Relaxed);
    }
}

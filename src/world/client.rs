//! A client's line to the keeper: ask for commands, watch the world.
//!
//! The screen, the `lab` command and the checks all use this. One connection, one reading thread; requests may be
//! under way in any number, and each is answered once: with the keeper's word, or with an error when it is gone.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use serde_json::Value;

use super::wire::{FromKeeper, ToKeeper, read_frame, write_frame};
use super::{Command, Event, World};

/// What a command gave, or why it failed.
pub type Outcome = Result<Value, String>;
type Then = Box<dyn FnOnce(Outcome) + Send>;
type Watcher = Box<dyn FnMut(Update) + Send>;

/// What a watcher sees.
#[derive(Debug, Clone)]
pub enum Update {
    /// The world as it was when the watch began.
    Snapshot(Box<World>),
    /// The next event; fold it with [`World::apply`].
    Event(Arc<Event>),
    /// The keeper is gone; nothing follows.
    Gone,
}

/// A connection to the keeper. Cheap to clone; it is closed when the last clone is dropped.
#[derive(Clone)]
pub struct Client {
    line: Arc<Line>,
    shared: Arc<Shared>,
}

struct Line {
    out: Mutex<UnixStream>,
    next: AtomicU64,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Option<HashMap<u64, Then>>>,
    watcher: Mutex<Option<Watcher>>,
}

impl Client {
    /// Connects to the keeper's socket.
    ///
    /// # Errors
    /// As of connecting.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let out = connect(socket)?;
        let mut from = out.try_clone()?;
        let shared = Arc::new(Shared { waiting: Mutex::new(Some(HashMap::new())), watcher: Mutex::default() });
        let reading = Arc::clone(&shared);
        std::thread::Builder::new().name("keeper".into()).spawn(move || {
            while let Ok(message) = read_frame(&mut from) {
                reading.take(message);
            }
            reading.gone();
        })?;
        Ok(Self { line: Arc::new(Line { out: Mutex::new(out), next: AtomicU64::new(1) }), shared })
    }

    /// Asks for a command in the name of `by` (`screen`, `lab`, `check`, `run`) and calls `then` with the outcome, on
    /// another thread. Never waits for the answer.
    pub fn send(&self, by: &str, command: Command, then: impl FnOnce(Outcome) + Send + 'static) {
        let id = self.line.next.fetch_add(1, Relaxed);
        match lock(&self.shared.waiting).as_mut() {
            Some(waiting) => drop(waiting.insert(id, Box::new(then))),
            None => return then(Err(GONE.into())),
        }
        if self.write(&ToKeeper::Do { id, command, by: by.into() }).is_err() {
            self.shared.gone();
        }
    }

    /// Asks for a command and waits for its outcome.
    ///
    /// # Errors
    /// The keeper's one-line reason, or that the keeper is gone.
    pub fn run(&self, by: &str, command: Command) -> Outcome {
        let (told, outcome) = mpsc::channel();
        self.send(by, command, move |result| drop(told.send(result)));
        outcome.recv().unwrap_or_else(|_| Err(GONE.into()))
    }

    /// Watches the world: `seen` gets one [`Update::Snapshot`], then every event, on the reading thread; it must not
    /// wait. A second watch takes the place of the first.
    ///
    /// # Errors
    /// As of the connection.
    pub fn watch(&self, seen: impl FnMut(Update) + Send + 'static) -> io::Result<()> {
        *lock(&self.shared.watcher) = Some(Box::new(seen));
        self.write(&ToKeeper::Watch)
    }

    fn write(&self, message: &ToKeeper) -> io::Result<()> {
        write_frame(&mut *lock(&self.line.out), message)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = lock(&self.out).shutdown(std::net::Shutdown::Both);
    }
}

const GONE: &str = "the world has ended (its keeper is gone)";

impl Shared {
    fn take(&self, message: FromKeeper) {
        match message {
            FromKeeper::Reply { id, result } => {
                let then = lock(&self.waiting).as_mut().and_then(|waiting| waiting.remove(&id));
                then.into_iter().for_each(|then| then(result.clone()));
            }
            FromKeeper::Snapshot(world) => self.see(Update::Snapshot(world)),
            FromKeeper::Event(event) => self.see(Update::Event(event)),
            FromKeeper::Ask { .. } => {}
        }
    }

    fn see(&self, update: Update) {
        if let Some(watcher) = lock(&self.watcher).as_mut() {
            watcher(update);
        }
    }

    fn gone(&self) {
        let waiting = lock(&self.waiting).take().unwrap_or_default();
        waiting.into_values().for_each(|then| then(Err(GONE.into())));
        self.see(Update::Gone);
        lock(&self.watcher).take();
    }
}

/// Connects to a Unix socket whose path may be longer than the 107 bytes that its address holds.
///
/// # Errors
/// As of connecting.
pub fn connect(socket: &Path) -> io::Result<UnixStream> {
    use std::os::fd::AsRawFd;
    if socket.as_os_str().len() < 108 {
        return UnixStream::connect(socket);
    }
    let (Some(dir), Some(name)) = (socket.parent(), socket.file_name()) else { return UnixStream::connect(socket) };
    let dir = std::fs::File::open(dir)?;
    UnixStream::connect(Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

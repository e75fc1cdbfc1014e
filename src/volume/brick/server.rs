//! A brick on TCP: one thread a connection, which carries out what that client asks.
//!
//! Answers are written where they arise; word of what others did goes through one thread, so that a client that does not read
//! never holds up another. A client that takes nothing for [`STUCK`] loses its connection, and with it its locks.

use std::io::{self, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as Queue, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::hearing::PATIENCE;
use super::{Brick, Outbox, inside};
use crate::volume::Happening;
use crate::volume::client::tale;
use crate::volume::definition::Volume;
use crate::volume::handshake::{BrickAsk, Request as _};
use crate::volume::options;
use crate::volume::rpc::{Fop, Request, ToClient};
use crate::volume::wire::{Frame, Sender, read_frame};
use crate::world::wire::{Dial, Envelope, decode, encode, write_frame};
use crate::world::{Reporter, What};

/// How long a client may take nothing of what it is sent.
const STUCK: Duration = Duration::from_secs(30);

/// How many requests that take long are carried out at once, beside those of the connections' own threads.
const SLOW: usize = 16;

/// A request that takes long: whose, what, its payload.
type Slow = (u64, Request, bytes::Bytes);

/// Word to a client; `None`: somebody is waited for.
type Push = Option<(Arc<Connection>, ToClient)>;

/// What serves one brick.
pub struct Server {
    brick: Arc<Brick>,
    pushes: Queue<Push>,
    slow: Queue<Slow>,
    /// Seconds between two looks at the directory; 0: never.
    check_every: AtomicU64,
    connections: Mutex<Vec<(u64, Arc<Connection>)>>,
    detail: Arc<std::sync::atomic::AtomicBool>,
    told: OnceLock<(Reporter, String)>,
    log: Option<PathBuf>,
}

struct Connection {
    stream: Mutex<TcpStream>,
    peer: SocketAddr,
    sender: Sender,
    read: AtomicU64,
    written: AtomicU64,
    pushes: Queue<Push>,
    this: std::sync::Weak<Connection>,
}

impl Server {
    /// Serves `brick`; what it has to say goes to `log`, if it has one.
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn new(brick: Arc<Brick>, log: Option<PathBuf>) -> io::Result<Arc<Self>> {
        let (pushes, waiting) = channel();
        let own = brick.clone();
        std::thread::Builder::new().name("push".into()).spawn(move || push_all(&own, &waiting))?;
        let (slow, queue) = channel::<Slow>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..SLOW {
            let (brick, queue) = (brick.clone(), queue.clone());
            std::thread::Builder::new().name("slow".into()).spawn(move || take_slow(&brick, &queue))?;
        }
        let connections = Mutex::default();
        let (detail, told) = (Arc::default(), OnceLock::new());
        Ok(Arc::new(Self { brick, pushes, slow, check_every: AtomicU64::new(30), connections, detail, told, log }))
    }

    /// The volume's options are these from now on.
    pub fn reconfigure(&self, volume: &Volume) {
        let seconds = options::value(volume, "storage.health-check-interval").trim().parse().unwrap_or(30);
        self.check_every.store(seconds, Relaxed);
        self.brick.set_read_only(options::is_on(volume, "features.read-only"));
        let number = |key: &str| options::value(volume, key).trim().parse::<u32>().ok();
        self.brick.store.allow_links(number("storage.max-hardlinks").unwrap_or(0));
        self.brick.store.own(number("storage.owner-uid"), number("storage.owner-gid"));
        crate::volume::dump::into(volume.option("server.statedump-path").map(PathBuf::from));
    }

    /// Seconds between two looks at the directory; 0: never.
    pub fn check_every(&self) -> u64 {
        self.check_every.load(Relaxed)
    }

    /// The brick.
    pub fn brick(&self) -> &Brick {
        &self.brick
    }

    /// Takes connections until the listener fails.
    ///
    /// # Errors
    /// As of the listener.
    pub fn listen(self: &Arc<Self>, listener: &TcpListener) -> io::Result<()> {
        loop {
            let (stream, peer) = match listener.accept() {
                Ok(pair) => pair,
                Err(e) if matches!(e.raw_os_error(), Some(libc::EINTR | libc::ECONNABORTED | libc::EMFILE)) => continue,
                Err(e) => return Err(e),
            };
            let server = self.clone();
            std::thread::Builder::new().name("client".into()).spawn(move || {
                // A connection ends when its client wants; there is nobody to tell.
                let _ = server.serve(stream, peer);
            })?;
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(STUCK))?;
        let mut reader = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        let dial: Dial = crate::world::wire::read_frame(&mut reader)?;
        // Links know both by the names that the client dialled with.
        let sender = Sender::new(&dial.to, &dial.from);
        let pushes = self.pushes.clone();
        let connection = Arc::new_cyclic(|this| Connection {
            stream: Mutex::new(stream),
            peer,
            sender,
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            pushes,
            this: this.clone(),
        });
        let session = self.brick.connect(connection.clone());
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push((session, connection.clone()));
        let outcome = self.converse(session, &connection, &mut reader);
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).retain(|(s, _)| *s != session);
        self.brick.disconnect(session);
        // Whether it comes back is looked at from now on.
        let _ = self.pushes.send(None);
        outcome
    }

    fn converse(&self, session: u64, connection: &Connection, reader: &mut BufReader<TcpStream>) -> io::Result<()> {
        loop {
            if reader.buffer().is_empty() {
                self.brick.rest();
            }
            let frame = read_frame(reader)?;
            connection.read.fetch_add(frame.body.len() as u64, Relaxed);
            if frame.kind == BrickAsk::KIND {
                self.figures(connection, &frame)?;
                continue;
            }
            let (request, payload): (Request, _) = frame.open()?;
            self.tell(&frame.id, &request, payload.len());
            if request.fops.iter().any(|f| matches!(f, Fop::Fsync { .. } | Fop::Crawl { .. })) {
                // The threads end with the process only.
                let _ = self.slow.send((session, request, payload));
            } else {
                self.brick.handle(session, request, payload);
            }
        }
    }

    /// Whom to tell what is done for a request that a watched client follows: the reporter, the volume, the brick.
    pub fn report_to(&self, reporter: Reporter, volume: &str) {
        let _ = self.told.set((reporter, volume.to_owned()));
    }

    /// For those who watch: a request came in, and what it means for the disk.
    fn tell(&self, id: &str, request: &Request, payload: usize) {
        let (Some(number), Some((reporter, volume))) = (tale::request(id), self.told.get()) else { return };
        let say = |layer: &str, note: &str, (key, value): (&str, String)| {
            let (volume, layer, note) = (volume.clone(), layer.to_owned(), note.to_owned());
            let args = [(key.to_owned(), value)].into();
            reporter.report(None, What::Volume(Happening::Step { volume, request: number, layer, note, args }));
        };
        let names: Vec<&str> = request.fops.iter().map(Fop::name).collect();
        say("server", "way-arrives", ("fops", names.join("+")));
        let calls: Vec<String> = request.fops.iter().filter_map(|fop| self.brick.in_calls(fop, payload)).collect();
        if !calls.is_empty() {
            say("posix", "way-disk", ("calls", calls.join("; ")));
        }
    }

    /// Answers the manager.
    fn figures(&self, connection: &Connection, frame: &Frame) -> io::Result<()> {
        let ask: BrickAsk = decode(&frame.body)?;
        let answer: Result<Value, String> = match ask {
            BrickAsk::Clients => Ok(self.clients()),
            BrickAsk::Profile { peek } => Ok(self.brick.counters.profile(peek)),
            BrickAsk::ProfileClear => {
                self.brick.counters.clear();
                Ok(Value::Null)
            }
            BrickAsk::Top { what, count } => Ok(self.top(&what, count)),
            BrickAsk::TopClear => {
                self.brick.counters.forget_uses();
                Ok(Value::Null)
            }
            BrickAsk::Reconfigure(volume) => {
                self.reconfigure(&volume);
                Ok(Value::Null)
            }
            BrickAsk::Fds => Ok(self.brick.open_files()),
            BrickAsk::Opens => Ok(self.brick.opens()),
            BrickAsk::Memory => Ok(inside::memory()),
            BrickAsk::Inodes => Ok(self.brick.inodes()),
            BrickAsk::Calls => Ok(self.brick.calls()),
            BrickAsk::Speed { write, block, count } => self.brick.speed(write, block, count),
            BrickAsk::Fastest { write, count } => Ok(self.brick.fastest(write, count)),
            BrickAsk::Unlock { path } => self.brick.unlock_all(&path),
            BrickAsk::Rotate => self.rotate().map(|()| Value::Null),
            BrickAsk::Blame { client } => self.brick.blame_root(&client).map(|()| Value::Null),
        };
        connection.reply(&frame.id, &answer)
    }

    fn rotate(&self) -> Result<(), String> {
        let log = self.log.as_ref().ok_or("it has no log of its own")?;
        inside::rotate(log).map_err(|e| e.to_string())
    }

    /// What clients used most, by path.
    fn top(&self, what: &str, count: usize) -> Value {
        let used = self.brick.counters.top(what, count).into_iter().filter_map(|(gfid, n)| {
            let path = self.brick.store.path_of(gfid).ok()?;
            Some(json!([n, String::from_utf8_lossy(&path)]))
        });
        used.collect()
    }

    fn clients(&self) -> Value {
        let known = self.brick.clients();
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = connections.iter().filter_map(|(session, c)| {
            let hello = known.iter().find(|(s, _)| s == session)?.1.as_ref()?;
            let (read, written) = (c.read.load(Relaxed), c.written.load(Relaxed));
            let hostname = c.peer.to_string();
            Some(
                json!({ "hostname": hostname, "bytes_read": read, "bytes_written": written, "process": hello.process }),
            )
        });
        rows.collect()
    }

    /// Whether each message carries a note for those who watch the link.
    pub fn set_detail(&self, on: bool) {
        self.detail.store(on, Relaxed);
    }
}

/// The name of a message on the wire.
fn kind(message: &ToClient) -> &'static str {
    match message {
        ToClient::Answer { .. } => "REPLY",
        ToClient::Invalidate { .. } => "INVALIDATE",
        ToClient::Gone { .. } => "GONE",
        ToClient::Freed { .. } => "FREED",
        ToClient::Contention { .. } => "CONTENTION",
        ToClient::Blaming(_) => "BLAMING",
    }
}

impl Connection {
    fn write(&self, message: &ToClient, payload: &[u8]) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.sender.send(&mut *stream, kind(message), <_>::default(), message, payload);
        if sent.is_err() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.written.fetch_add(payload.len() as u64 + 64, Relaxed);
    }

    /// Answers in the managers' form: an envelope with the question's id as its cause.
    fn reply(&self, question: &str, answer: &Result<Value, String>) -> io::Result<()> {
        let envelope = Envelope {
            id: String::new(),
            from: String::new(),
            to: String::new(),
            logical: 0,
            cause: Some(question.into()),
            kind: BrickAsk::KIND.into(),
            note: String::new(),
            body: encode(answer).into(),
        };
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        write_frame(&mut *stream, &envelope)
    }
}

impl Outbox for Connection {
    fn send(&self, message: &ToClient, payload: &[u8]) {
        match (message, self.this.upgrade()) {
            (ToClient::Answer { .. }, _) | (_, None) => self.write(message, payload),
            (_, Some(this)) => drop(self.pushes.send(Some((this, message.clone())))),
        }
    }
}

fn take_slow(brick: &Brick, queue: &Mutex<Receiver<Slow>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((session, request, payload)) = next else { return };
        brick.handle(session, request, payload);
        brick.rest();
    }
}

/// Passes word on; as long as somebody is waited for, looks now and then whether that was long enough.
fn push_all(brick: &Brick, waiting: &Receiver<Push>) {
    const IDLE: Duration = Duration::from_secs(3600);
    let mut pause = IDLE;
    loop {
        match waiting.recv_timeout(pause) {
            Ok(push) => {
                push.into_iter().for_each(|(connection, message)| connection.write(&message, &[]));
                pause = PATIENCE / 4;
            }
            Err(RecvTimeoutError::Timeout) => pause = if brick.hurry(PATIENCE) { PATIENCE / 4 } else { IDLE },
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

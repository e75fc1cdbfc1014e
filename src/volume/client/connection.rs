//! One brick as a client sees it: a connection that comes back by itself.
//!
//! A thread connects, reads answers and word from the brick, and when the connection is lost tries again, more
//! slowly each time: after [`SOON`] at first, every [`RETRY`] in the end; at once, and as eagerly as at first, when it is told to
//! ([`Connection::kick`]: a brick that is being started may not listen yet). Callers write to the socket themselves, and whoever
//! waits for an answer reads it himself ([`ear`]), so that no thread has to wake another one.

mod ear;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender as Queue;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::ear::{Ear, Inbox};
use super::tale;
use super::wire::Answer;
use crate::sandbox::awake::Awake;
use crate::volume::rpc::{Fop, Hello, Lock, Reply, Request, ToClient};
use crate::volume::wire::{Sender, read_frame};
use crate::volume::{gfid::Gfid, rpc::Blob};
use crate::world::wire::{Dial, write_frame};

/// Told of each request to a brick: each is answered by another process.
static AWAKE: LazyLock<Awake> = LazyLock::new(Awake::start);

/// Between two tries to reach a brick, in the end.
pub const RETRY: Duration = Duration::from_millis(500);
/// The same at first.
const SOON: Duration = Duration::from_millis(100);
/// How long what is under way may take to end, and a connection to be made anew, when it is to go another way.
pub const REROUTE: Duration = Duration::from_secs(2);
/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to connect to, and how to present oneself.
#[derive(Debug, Clone)]
pub struct Target {
    /// This client, as links know it.
    pub from: String,
    /// The brick's name.
    pub to: String,
    /// What to say first.
    pub hello: Hello,
}

/// What a connection tells its owner, with the brick's number in the owner's counting.
#[derive(Debug)]
pub enum Word {
    /// It is up.
    Up,
    /// It is down.
    Down,
    /// Somebody changed an inode, or a name in a directory (and whether it came); and the number to say that this was heard.
    Invalidate(Gfid, Option<(Blob, bool)>, u64),
    /// Somebody removed the last name of a file that we know; the brick keeps it for us. The number is as above.
    Gone(Gfid, u64),
    /// A process lock that was refused may be free now.
    Freed,
    /// Somebody wants a lock that we hold.
    Contention(Lock),
}

impl Word {
    /// The number under which the brick waits for us to have heard; 0: it does not.
    pub fn number(&self) -> u64 {
        match self {
            Self::Invalidate(.., number) | Self::Gone(_, number) => *number,
            _ => 0,
        }
    }
}

/// Where to find the brick right now: asked before every try.
pub type Locate = Box<dyn Fn() -> io::Result<SocketAddr> + Send>;

/// Gathers the answers to calls that were sent together.
#[derive(Default)]
pub struct Gather {
    slots: Mutex<Slots>,
    full: Condvar,
}

#[derive(Default)]
struct Slots {
    answers: Vec<Option<Answer>>,
    /// How many are not there yet.
    left: usize,
    /// Whether somebody sleeps until all are there.
    awaited: bool,
}

impl Gather {
    /// For so many answers.
    pub fn new(n: usize) -> Arc<Self> {
        let slots = Slots { answers: vec![None; n], left: n, awaited: false };
        Arc::new(Self { slots: Mutex::new(slots), full: Condvar::new() })
    }

    fn put(&self, place: usize, answer: Answer) {
        let mut slots = guard(&self.slots);
        if slots.answers[place].replace(answer).is_none() {
            slots.left -= 1;
        }
        if slots.left == 0 && slots.awaited {
            self.full.notify_all();
        }
    }

    fn has(&self, place: usize) -> bool {
        guard(&self.slots).answers[place].is_some()
    }

    /// Waits for all of them, from these connections: reads them, or sleeps until somebody else has.
    pub fn wait(&self, from: &[&Connection]) -> Vec<Answer> {
        ear::listen(from, |place| self.has(place));
        let mut slots = guard(&self.slots);
        slots.awaited = true;
        let mut slots = self.full.wait_while(slots, |s| s.left > 0).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut slots.answers).into_iter().map(|a| a.unwrap_or_else(Answer::lost)).collect()
    }
}

struct Link {
    stream: TcpStream,
    epoch: u64,
    /// Messages for which nobody waits: they go with the next one, or when they are flushed.
    later: Vec<u8>,
}

/// Payloads up to this are gathered with what goes before them.
const SMALL: usize = 16 << 10;

impl Link {
    fn flush(&mut self) -> io::Result<()> {
        if !self.later.is_empty() {
            self.stream.write_all(&self.later)?;
            self.later.clear();
        }
        Ok(())
    }
}

/// A brick.
pub struct Connection {
    number: usize,
    target: Target,
    sender: Sender,
    ear: Ear,
    link: Mutex<Option<Link>>,
    /// To shut a connection down that somebody is stuck writing to.
    handle: Mutex<Option<TcpStream>>,
    pending: Mutex<HashMap<u64, (Arc<Gather>, usize)>>,
    next: AtomicU64,
    epochs: AtomicU64,
    epoch: AtomicU64,
    heard: Mutex<Instant>,
    /// For how many milliseconds a brick may be silent before it is given up.
    patience: AtomicU64,
    blaming: AtomicBool,
    words: Queue<(usize, Word)>,
    kicked: (Mutex<bool>, Condvar),
    ended: AtomicBool,
    detail: AtomicBool,
    /// The connection is being made anew on purpose; rung when there is one again, or none in time.
    rerouting: AtomicBool,
    relinked: Condvar,
}

impl Connection {
    /// Connects as soon as it can be, and again whenever it is lost. `number` goes with every [`Word`].
    ///
    /// # Errors
    /// If no thread can be had.
    pub fn start(number: usize, target: Target, locate: Locate, words: Queue<(usize, Word)>) -> io::Result<Arc<Self>> {
        let connection = Arc::new(Self {
            number,
            sender: Sender::new(&target.from, &target.to),
            ear: Ear::new()?,
            target,
            link: Mutex::default(),
            handle: Mutex::default(),
            pending: Mutex::default(),
            next: AtomicU64::new(2),
            epochs: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            heard: Mutex::new(Instant::now()),
            patience: AtomicU64::new(42_000),
            blaming: AtomicBool::new(true),
            words,
            kicked: <_>::default(),
            ended: AtomicBool::new(false),
            detail: AtomicBool::new(false),
            rerouting: AtomicBool::new(false),
            relinked: Condvar::new(),
        });
        let own = connection.clone();
        std::thread::Builder::new().name(format!("brick-{number}")).spawn(move || own.run(&locate))?;
        Ok(connection)
    }

    fn run(&self, locate: &Locate) {
        let mut pause = SOON;
        while !self.ended.load(Relaxed) {
            if let Ok(stream) = locate().and_then(|at| TcpStream::connect_timeout(&at, PATIENCE)) {
                // It ended as connections do; why makes no difference to what comes next.
                if self.converse(stream).is_err() && self.epoch() > 0 {
                    pause = SOON;
                }
                self.down();
            }
            pause = if self.rest(pause) { SOON } else { RETRY.min(pause * 2) };
        }
    }

    /// Waits for the next try; gives whether it was told to try at once.
    fn rest(&self, pause: Duration) -> bool {
        let (flag, bell) = &self.kicked;
        let waited = bell.wait_timeout_while(guard(flag), pause, |kicked| !*kicked);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Tries at once.
    pub fn kick(&self) {
        *guard(&self.kicked.0) = true;
        self.kicked.1.notify_all();
    }

    /// Ends for good.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
        self.drop_link();
        self.kick();
    }

    /// Drops the connection; it comes back by itself.
    pub fn drop_link(&self) {
        if let Some(stream) = guard(&self.handle).take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets what is under way end, then makes the connection anew, perhaps another way. Whoever comes meanwhile waits and sees
    /// nothing of it; if it does not come back in time, the brick is down.
    pub fn reroute(&self) {
        self.flush();
        // Nobody new asks from here on; who was told something can still say that it heard, since others wait for that.
        self.rerouting.store(true, Relaxed);
        let old = self.drained(Instant::now() + REROUTE);
        self.drop_link();
        self.kick();
        // However long it took to end what was under way: the brick is there, and has its time to be reached.
        let linked = self.relinked.wait_timeout_while(guard(&self.link), REROUTE, |l| l.is_none());
        let (link, _) = linked.unwrap_or_else(PoisonError::into_inner);
        self.rerouting.store(false, Relaxed);
        self.relinked.notify_all();
        if link.is_none() && self.epoch.swap(0, Relaxed) > 0 && old.is_some() {
            let _ = self.words.send((self.number, Word::Down));
        }
    }

    /// Takes the link away when nothing is under way on it any more, or at this time.
    fn drained(&self, until: Instant) -> Option<Link> {
        loop {
            let mut link = guard(&self.link);
            if link.is_none() || guard(&self.pending).is_empty() || Instant::now() >= until {
                return link.take();
            }
            drop(link);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn converse(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream.try_clone()?;
        *guard(&self.handle) = Some(stream.try_clone()?);
        let Target { from, to, hello, .. } = &self.target;
        write_frame(&mut writer, &Dial { from: from.clone(), to: to.clone() })?;
        let request = Request { id: 1, fops: vec![Fop::Hello(hello.clone())] };
        self.sender.send(&mut writer, "SETVOLUME", <_>::default(), &request, &[])?;
        // On a link that is cut, and from a brick that is stopped, no answer ever comes.
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut inbox = Inbox::new(stream);
        let (answer, _): (ToClient, Bytes) = read_frame(inbox.reader())?.open()?;
        let ToClient::Answer { results, .. } = answer else { return Err(io::ErrorKind::InvalidData.into()) };
        let Some(Ok(Reply::Welcome { blaming })) = results.first() else {
            return Err(io::ErrorKind::PermissionDenied.into());
        };
        self.ear.open(inbox)?;
        self.blaming.store(*blaming, Relaxed);
        let epoch = self.epochs.fetch_add(1, Relaxed) + 1;
        *guard(&self.heard) = Instant::now();
        *guard(&self.link) = Some(Link { stream: writer, epoch, later: vec![] });
        self.epoch.store(epoch, Relaxed);
        self.relinked.notify_all();
        let _ = self.words.send((self.number, Word::Up));
        let outcome = self.ear.attend(&|message, data| self.heard(message, data));
        self.ear.close();
        outcome
    }

    fn heard(&self, message: ToClient, data: Bytes) {
        *guard(&self.heard) = Instant::now();
        let word = match message {
            ToClient::Answer { id, results } => {
                let waiting = guard(&self.pending).remove(&id);
                if let Some((gather, place)) = waiting {
                    gather.put(place, Answer { results, data });
                }
                return;
            }
            ToClient::Blaming(on) => return self.blaming.store(on, Relaxed),
            ToClient::Invalidate { gfid, name, heard } => Word::Invalidate(gfid, name, heard),
            ToClient::Gone { gfid, heard } => Word::Gone(gfid, heard),
            ToClient::Freed { .. } => Word::Freed,
            ToClient::Contention { lock } => Word::Contention(lock),
        };
        let _ = self.words.send((self.number, word));
    }

    fn down(&self) {
        self.blaming.store(true, Relaxed);
        let was_up = {
            let mut link = guard(&self.link);
            if !self.rerouting.load(Relaxed) {
                self.epoch.store(0, Relaxed);
            }
            link.take().is_some()
        };
        let lost: Vec<_> = guard(&self.pending).drain().collect();
        for (_, (gather, place)) in lost {
            gather.put(place, Answer::lost());
        }
        if was_up {
            let _ = self.words.send((self.number, Word::Down));
        }
    }

    /// The number of the connection, from 1; 0: down.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// Whether files on the brick blame other copies, as far as is known.
    pub fn is_blaming(&self) -> bool {
        self.blaming.load(Relaxed)
    }

    /// How long the brick may be silent before it is given up (`network.ping-timeout`).
    pub fn set_patience(&self, patience: Duration) {
        self.patience.store(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether messages carry notes for those who watch the link.
    pub fn set_detail(&self, on: bool) {
        self.detail.store(on, Relaxed);
    }

    /// Sends fops; the answer goes to its place in `gather`. `epoch`: the connection that is meant; 0: any.
    pub fn send(&self, epoch: u64, fops: Vec<Fop>, payload: &[u8], (gather, place): (&Arc<Gather>, usize)) {
        AWAKE.note();
        let id = self.next.fetch_add(1, Relaxed);
        match self.write(id, epoch, fops, payload, Some((gather, place))) {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => {
                self.drop_link();
                if guard(&self.pending).remove(&id).is_none() {
                    return;
                }
            }
        }
        gather.put(place, Answer::lost());
    }

    /// Whether several wait for answers.
    fn is_shared(&self) -> bool {
        guard(&self.pending).len() > 1
    }

    /// Sends fops for whose answer nobody waits, with the next message or at the next [`Connection::flush`].
    pub fn post(&self, epoch: u64, fops: Vec<Fop>) {
        // Nobody answers a request without a number.
        if self.write(0, epoch, fops, &[], None).is_err() {
            self.drop_link();
        }
    }

    /// Sends what was posted.
    pub fn flush(&self) {
        if guard(&self.link).as_mut().is_some_and(|link| link.flush().is_err()) {
            self.drop_link();
        }
    }

    /// For those who watch: this is sent to this brick.
    pub fn tell(&self, fops: &[Fop]) {
        tale::step("client", "way-network", || {
            let names: Vec<&str> = fops.iter().map(Fop::name).collect();
            vec![("brick", self.target.to.clone()), ("fops", names.join("+"))]
        });
    }

    /// `false`: there is no such connection.
    fn write(
        &self,
        id: u64,
        epoch: u64,
        fops: Vec<Fop>,
        payload: &[u8],
        gather: Option<(&Arc<Gather>, usize)>,
    ) -> io::Result<bool> {
        let mut link = guard(&self.link);
        if epoch == 0 && gather.is_some() {
            let away = |_: &mut Option<Link>| self.rerouting.load(Relaxed);
            link = self.relinked.wait_while(link, away).unwrap_or_else(PoisonError::into_inner);
        }
        let Some(link) = link.as_mut().filter(|l| epoch == 0 || l.epoch == epoch) else { return Ok(false) };
        if let Some((gather, place)) = gather {
            guard(&self.pending).insert(id, (gather.clone(), place));
        }
        // A compound is known by what it is about: its last change, else its first fop.
        let kind = fops.iter().rev().find(|f| f.kind().is_some()).or(fops.first()).map_or("NULL", Fop::name);
        let note = if self.detail.load(Relaxed) { note(&fops, payload.len()) } else { <_>::default() };
        let request = Request { id, fops };
        if payload.len() > SMALL {
            link.flush()?;
            self.sender.send(&mut link.stream, kind, note, &request, payload)?;
            return Ok(true);
        }
        self.sender.send(&mut link.later, kind, note, &request, payload)?;
        if gather.is_some() || link.later.len() > SMALL {
            link.flush()?;
        }
        Ok(true)
    }

    /// Called about once a second: lets the brick show that it is there, and gives it up if it was silent for too long.
    pub fn ping(&self) {
        if self.epoch() == 0 {
            return;
        }
        let silent = guard(&self.heard).elapsed();
        if silent > Duration::from_millis(self.patience.load(Relaxed)) {
            self.drop_link();
        } else if silent >= Duration::from_millis(900)
            && let Ok(mut link) = self.link.try_lock()
            && let Some(link) = link.as_mut()
        {
            let request = Request { id: 1, fops: vec![Fop::Ping] };
            let _ = self.sender.send(&mut link.stream, "PING", <_>::default(), &request, &[]);
        }
    }
}

/// An id and a few words for those who watch the link.
fn note(fops: &[Fop], payload: usize) -> (String, String) {
    let names: Vec<&str> = fops.iter().map(Fop::name).collect();
    let bytes = if payload > 0 { format!(" {payload} bytes") } else { String::new() };
    (tale::id().unwrap_or_else(|| format!("call#{}", Gfid::random())), format!("{}{bytes}", names.join("+")))
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

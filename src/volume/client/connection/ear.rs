//! Who reads what a brick says: whoever waits for an answer; else the connection's own thread.
//!
//! A thread that only reads would have to be woken for each answer, and then wake whoever waits for it. So a caller takes the
//! **ear** of each brick that it has asked, reads what comes (also what is meant for others, and passes it on) until its own
//! answer is there, and lets go. An answer that takes longer than [`GRACE`] is left to the connection's thread: what bricks tell on their own
//! must not wait for it. That thread sleeps on an epoll of its own, which is told to look away while somebody has the ear.

use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::Connection;
use crate::volume::rpc::ToClient;
use crate::volume::wire::{frame, frame_length};

/// For how long a caller reads for itself.
const GRACE: Duration = Duration::from_millis(1);

/// The socket, to be read from.
struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

/// What a brick sends. A message of which only a part is here is read on later, by whoever comes next: nobody is kept by it from what
/// other bricks say.
pub struct Inbox {
    bytes: BufReader<Socket>,
    /// Of the next message: its length, then itself, as far as they came.
    part: Vec<u8>,
    length: Option<usize>,
}

impl Inbox {
    /// From a socket. Until the ear is open its own time-out counts.
    pub fn new(stream: TcpStream) -> Self {
        Self { bytes: BufReader::with_capacity(1 << 17, Socket(Arc::new(stream))), part: Vec::new(), length: None }
    }

    /// The bytes.
    pub fn reader(&mut self) -> &mut impl BufRead {
        &mut self.bytes
    }

    fn socket(&self) -> Arc<TcpStream> {
        self.bytes.get_ref().0.clone()
    }

    /// Passes on what is here already.
    fn drain(&mut self, heard: &dyn Fn(ToClient, Bytes)) -> io::Result<()> {
        while !self.bytes.buffer().is_empty() {
            if let Some((message, data)) = self.next()? {
                heard(message, data);
            }
        }
        Ok(())
    }

    /// The next message; `None`: it did not come whole in time.
    fn next(&mut self) -> io::Result<Option<(ToClient, Bytes)>> {
        if self.length.is_none() {
            if !self.fill(size_of::<u32>())? {
                return Ok(None);
            }
            let length = frame_length(&std::mem::take(&mut self.part))?;
            self.length = Some(length);
            self.part.reserve_exact(length);
        }
        let length = self.length.unwrap_or_default();
        if !self.fill(length)? {
            return Ok(None);
        }
        self.length = None;
        frame(std::mem::take(&mut self.part).into())?.open().map(Some)
    }

    /// Reads until so much is here; `false`: it did not come in time.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        let missing = wanted.saturating_sub(self.part.len()) as u64;
        // What came before the time was up is kept.
        match (&mut self.bytes).take(missing).read_to_end(&mut self.part) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e),
            Ok(_) if self.part.len() < wanted => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
        }
    }
}

/// The right to read, and the thread's way to know that there is something to read.
pub struct Ear {
    inbox: Mutex<Option<Inbox>>,
    watch: Epoll,
}

impl Ear {
    /// Of a connection that is not there yet.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { inbox: Mutex::default(), watch: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// There is something to listen to.
    ///
    /// # Errors
    /// As of epoll_ctl(2).
    pub fn open(&self, inbox: Inbox) -> io::Result<()> {
        let stream = inbox.socket();
        stream.set_read_timeout(Some(GRACE))?;
        self.watch.add(&stream, event(true))?;
        *super::guard(&self.inbox) = Some(inbox);
        Ok(())
    }

    /// There is nothing any more.
    pub fn close(&self) {
        *super::guard(&self.inbox) = None;
    }

    /// The connection's own thread: reads what nobody else does, until the connection ends.
    ///
    /// # Errors
    /// Why it ended.
    pub fn attend(&self, heard: &dyn Fn(ToClient, Bytes)) -> io::Result<()> {
        loop {
            match self.watch.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
            // Somebody else has it, and looks whether there is more when he is done.
            let Some(mut inbox) = self.take() else { continue };
            let Some(open) = inbox.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
            if let Some((message, data)) = open.next()? {
                heard(message, data);
            }
            open.drain(heard)?;
            self.let_go(inbox);
        }
    }

    fn take(&self) -> Option<MutexGuard<'_, Option<Inbox>>> {
        match self.inbox.try_lock() {
            Ok(inbox) => Some(inbox),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Takes it, and lets the thread look away.
    fn hold(&self) -> Option<MutexGuard<'_, Option<Inbox>>> {
        let inbox = self.take().filter(|inbox| inbox.is_some())?;
        if let Some(open) = inbox.as_ref() {
            self.turn(&open.socket(), false);
        }
        Some(inbox)
    }

    fn turn(&self, socket: &TcpStream, look: bool) {
        // It fails only for a socket that is not watched, and then nobody looks anyway.
        let _ = self.watch.modify(socket, &mut event(look));
    }

    /// Lets go, and then lets the thread look: if there is something by now, it begins.
    fn let_go(&self, inbox: MutexGuard<'_, Option<Inbox>>) {
        let socket = inbox.as_ref().map(Inbox::socket);
        drop(inbox);
        if let Some(socket) = socket {
            self.turn(&socket, true);
        }
    }
}

/// A caller reads what these connections have for it, as far as nobody else reads them or waits for them: until `has` says of each
/// place that its answer is there, or one does not come soon.
pub fn listen(from: &[&Connection], has: impl Fn(usize) -> bool) {
    let mut held: Vec<_> = from.iter().map(|c| if c.is_shared() { None } else { c.ear.hold() }).collect();
    let mut soon = true;
    for (place, connection) in from.iter().enumerate() {
        let Some(mut inbox) = held[place].take() else { continue };
        if let Some(open) = inbox.as_mut() {
            let outcome = until(open, &|message, data| connection.heard(message, data), soon, || has(place));
            soon = outcome.as_ref().is_ok_and(|came| *came);
            if outcome.is_err() {
                // The connection's thread sees it end.
                connection.drop_link();
            }
        }
        connection.ear.let_go(inbox);
    }
}

/// Passes messages on until the one that is waited for is among them; gives whether it came soon.
fn until(
    inbox: &mut Inbox,
    heard: &dyn Fn(ToClient, Bytes),
    mut soon: bool,
    has: impl Fn() -> bool,
) -> io::Result<bool> {
    let until = Instant::now() + GRACE;
    while soon && !has() {
        match inbox.next()? {
            Some((message, data)) => heard(message, data),
            None => soon = false,
        }
        soon &= Instant::now() < until;
    }
    inbox.drain(heard)?;
    Ok(soon)
}

/// Once: after it fired it must be set again.
fn event(look: bool) -> EpollEvent {
    let what = if look { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
    EpollEvent::new(what | EpollFlags::EPOLLONESHOT, 0)
}

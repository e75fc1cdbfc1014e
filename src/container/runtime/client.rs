//! How the `lxc-*` commands talk to a container's monitor.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::super::protocol::{Reply, Request, State, Status};
use super::store::Place;
use super::{Doing, Error, sys};
use crate::world::wire;

/// A connection to a running container's monitor.
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects; `None` when the container does not run.
    ///
    /// # Errors
    /// As of connecting, but for there being nobody.
    pub fn connect(place: &Place) -> io::Result<Option<Self>> {
        match UnixStream::connect(place.socket()) {
            Ok(stream) => Ok(Some(Self { stream })),
            Err(e) if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&e.kind()) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// The monitor's refusal, or that it is gone.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, Error> {
        self.tell(request)?;
        let reply = wire::read_frame(&mut self.stream).doing(|| "hear the monitor")?;
        refused(reply)
    }

    /// Says something that is answered, without waiting for the answer.
    ///
    /// # Errors
    /// When the monitor is gone.
    pub fn tell(&mut self, request: &Request) -> Result<(), Error> {
        wire::write_frame(&mut self.stream, request).doing(|| "ask the monitor")
    }

    /// How the container is.
    ///
    /// # Errors
    /// As of [`Client::ask`].
    pub fn status(&mut self) -> Result<Status, Error> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(status),
            other => Err(Error::said(format!("the monitor answered {other:?}"))),
        }
    }

    /// Takes a terminal: its number and descriptor. It is given back when the client is dropped.
    ///
    /// # Errors
    /// When there is none free.
    pub fn terminal(&mut self, which: Option<usize>) -> Result<(usize, OwnedFd), Error> {
        self.tell(&Request::Terminal(which))?;
        let (bytes, fds) = sys::receive_fds(&self.stream, 4096).doing(|| "hear the monitor")?;
        let reply = refused(wire::read_frame(&mut bytes.as_slice()).doing(|| "hear the monitor")?)?;
        match (reply, fds.into_iter().next()) {
            (Reply::Terminal(number), Some(fd)) => Ok((number, fd)),
            (other, _) => Err(Error::said(format!("the monitor answered {other:?}"))),
        }
    }

    /// Waits until the monitor ends, and with it the container; `false` when the time passed first.
    ///
    /// # Errors
    /// As of reading.
    pub fn wait_for_end(&mut self, time: Option<std::time::Duration>) -> io::Result<bool> {
        self.stream.set_read_timeout(time)?;
        let mut rest = [0; 256];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return Ok(true),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(true),
                Err(e) => return Err(e),
            }
        }
    }

    /// A descriptor that can be read when the container has ended.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn refused(reply: Reply) -> Result<Reply, Error> {
    match reply {
        Reply::Refused(why) => Err(Error::said(why)),
        reply => Ok(reply),
    }
}

/// How the container at a place is; one that nobody watches is stopped.
pub fn status(place: &Place) -> Status {
    let asked = Client::connect(place).ok().flatten().and_then(|mut client| client.status().ok());
    asked.unwrap_or_default()
}

/// Whether it runs.
pub fn is_running(place: &Place) -> bool {
    status(place).state != State::Stopped
}

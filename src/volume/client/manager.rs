//! Where volumes and bricks' ports come from: a manager, or (for tests and hand-made worlds) a file.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::volume::definition::{Brick, Volume};
use crate::volume::handshake::{FETCHSPEC, GetSpec, HealOrder, MANAGER_PORT, PortByBrick, Request, Spec};
use crate::volume::hosts;
use crate::world::wire::{Dial, Envelope, decode, encode, read_frame, write_frame};

/// Where volumes come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// One volume's definition as JSON, with the ports of its bricks.
    File(PathBuf),
    /// The first of these servers whose manager answers.
    Managers(Vec<String>),
}

/// What a manager says unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// The volumes changed.
    Spec(Spec),
    /// Heal.
    Heal(HealOrder),
}

/// Reads a volume from a file.
///
/// # Errors
/// If it cannot be read, or is no volume.
pub fn read_file(path: &std::path::Path) -> io::Result<Volume> {
    let named = |e: String| io::Error::other(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| named(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| named(e.to_string()))
}

/// A conversation with one manager.
pub struct Manager {
    stream: TcpStream,
    from: String,
    to: String,
    asked: u64,
}

impl Manager {
    /// Dials the manager of a server.
    ///
    /// # Errors
    /// As of connecting.
    pub fn dial(from: &str, host: &str) -> io::Result<Self> {
        let at = SocketAddr::new(hosts::resolve(host)?, MANAGER_PORT);
        let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        write_frame(&mut stream, &Dial { from: from.into(), to: host.into() })?;
        Ok(Self { stream, from: from.into(), to: host.into(), asked: 0 })
    }

    /// Asks, and waits for the reply. What is pushed meanwhile is left out.
    ///
    /// # Errors
    /// As of the connection; what the manager says against it.
    pub fn ask<R: Request>(&mut self, request: &R) -> io::Result<R::Reply> {
        self.asked += 1;
        let id = format!("{}/{}#{}", self.from, std::process::id(), self.asked);
        let envelope = Envelope {
            id: id.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            logical: 0,
            cause: None,
            kind: R::KIND.into(),
            note: String::new(),
            body: encode(request).into(),
        };
        write_frame(&mut self.stream, &envelope)?;
        loop {
            let reply: Envelope = read_frame(&mut self.stream)?;
            if reply.cause.as_deref() == Some(&id) {
                let outcome: Result<R::Reply, String> = decode(&reply.body)?;
                return outcome.map_err(io::Error::other);
            }
        }
    }

    /// Waits for what the manager says unasked.
    ///
    /// # Errors
    /// As of the connection.
    pub fn pushed(&mut self) -> io::Result<Push> {
        loop {
            let envelope: Envelope = read_frame(&mut self.stream)?;
            match envelope.kind.as_str() {
                FETCHSPEC => return Ok(Push::Spec(decode(&envelope.body)?)),
                HealOrder::KIND => return Ok(Push::Heal(decode(&envelope.body)?)),
                _ => {}
            }
        }
    }
}

/// Gets volumes from the first of the managers that answers, and keeps the line.
///
/// # Errors
/// Why the last of them did not.
pub fn fetch(servers: &[String], from: &str, volume_id: &str, process: &str) -> io::Result<(Manager, Spec)> {
    let mut error = io::Error::other("no server was named");
    for host in servers {
        let ask = GetSpec { volume_id: volume_id.into(), process: process.into() };
        match Manager::dial(from, host).and_then(|mut m| m.ask(&ask).map(|spec| (m, spec))) {
            Ok(found) => return Ok(found),
            Err(e) => error = e,
        }
    }
    Err(error)
}

/// Where a brick listens right now.
///
/// # Errors
/// If nobody knows, or it does not run.
pub fn locate(source: &Source, from: &str, brick: &Brick) -> io::Result<SocketAddr> {
    let port = match source {
        Source::File(path) => {
            let volume = read_file(path)?;
            volume.brick(&brick.host, &brick.path).map_or(0, |(_, b)| b.port)
        }
        Source::Managers(_) => Manager::dial(from, &brick.host)?.ask(&PortByBrick { path: brick.path.clone() })?,
    };
    if port == 0 {
        return Err(io::Error::new(io::ErrorKind::NotConnected, format!("{} does not run", brick.name())));
    }
    Ok(SocketAddr::new(hosts::resolve(&brick.host)?, port))
}

/// Keeps in touch with a manager for good: calls `push` with every push, and with the volumes as they are after each new
/// connection.
pub fn follow(
    servers: &[String],
    from: &str,
    (volume_id, process): (&str, &str),
    first: Option<Manager>,
    push: &mut dyn FnMut(Push),
) -> ! {
    let mut line = first;
    loop {
        if let Some(manager) = &mut line {
            while let Ok(news) = manager.pushed() {
                push(news);
            }
        }
        std::thread::sleep(Duration::from_secs(3));
        line = fetch(servers, from, volume_id, process).ok().map(|(manager, spec)| {
            push(Push::Spec(spec));
            manager
        });
    }
}

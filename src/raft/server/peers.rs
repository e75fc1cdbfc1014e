//! The sockets between nodes.
//!
//! Each node dials each other node for what it has to say, so a connection carries messages one way: first a
//! [`Dial`] (who calls whom), then [`Envelope`]s. A [`Peer`] is a task with a bounded queue: what does not fit, or cannot be
//! sent because the other is down, is dropped, for Raft expects messages to be lost; it never waits in the node's way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::codec::FramedRead;

use super::driver::Input;
use crate::raft::event::NodeName;
use crate::raft::message::Message;
use crate::world::wire::{self, Dial, Envelope};

/// At most so many bytes wait for a peer.
const QUEUE: usize = 16 << 20;
/// A peer that takes nothing for so long hangs: the connection is given up.
const HUNG: Duration = Duration::from_secs(2);
/// The pause after a failed dial: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Where to say something to the other nodes.
pub struct Peers {
    peers: BTreeMap<NodeName, Peer>,
}

struct Peer {
    posts: mpsc::UnboundedSender<Post>,
    waiting: Arc<AtomicUsize>,
}

enum Post {
    Frame(Bytes),
    Route(Option<SocketAddr>, oneshot::Sender<()>),
}

impl Peers {
    /// Tasks for all peers, which are dialled when there is something to say.
    pub fn new(name: &str, addresses: &BTreeMap<NodeName, SocketAddr>) -> Self {
        let start = |(peer, address): (&NodeName, &SocketAddr)| {
            let (posts, queue) = mpsc::unbounded_channel();
            let waiting = Arc::new(AtomicUsize::new(0));
            let dial = Dial { from: name.into(), to: peer.clone() };
            tokio::spawn(Line::new(dial, *address, waiting.clone()).run(queue));
            (peer.clone(), Peer { posts, waiting })
        };
        Self { peers: addresses.iter().map(start).collect() }
    }

    /// Queues an envelope to its receiver; drops it if too much waits there.
    pub fn send(&self, envelope: &Envelope) {
        let Some(peer) = self.peers.get(&envelope.to) else { return };
        let frame = frame(envelope);
        if peer.waiting.load(Relaxed) + frame.len() <= QUEUE {
            peer.waiting.fetch_add(frame.len(), Relaxed);
            let _ = peer.posts.send(Post::Frame(frame));
        }
    }

    /// Reaches `to` (`*`: everybody) by another way from now on. The answers come when nothing more goes the old way.
    pub fn route(&self, to: &str, via: Option<SocketAddr>) -> Vec<oneshot::Receiver<()>> {
        let chosen = self.peers.iter().filter(|(name, _)| to == "*" || to == *name);
        let route = |(_, peer): (&NodeName, &Peer)| {
            let (done, wait) = oneshot::channel();
            let _ = peer.posts.send(Post::Route(via, done));
            wait
        };
        chosen.map(route).collect()
    }
}

/// A value as a frame with its length.
fn frame<T: serde::Serialize>(value: &T) -> Bytes {
    let mut frame = Vec::with_capacity(256);
    wire::write_frame(&mut frame, value).expect("a frame of less than 4 GiB, to memory");
    frame.into()
}

/// The line to one peer.
struct Line {
    dial: Dial,
    direct: SocketAddr,
    via: Option<SocketAddr>,
    waiting: Arc<AtomicUsize>,
    stream: Option<TcpStream>,
    retry_at: Instant,
    pause: Duration,
}

impl Line {
    fn new(dial: Dial, direct: SocketAddr, waiting: Arc<AtomicUsize>) -> Self {
        Self { dial, direct, via: None, waiting, stream: None, retry_at: Instant::now(), pause: PAUSE.0 }
    }

    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Post>) {
        let mut posts = Vec::new();
        while queue.recv_many(&mut posts, 64).await > 0 {
            let mut bytes = Vec::new();
            for post in posts.drain(..) {
                match post {
                    Post::Frame(frame) => bytes.extend_from_slice(&frame),
                    Post::Route(via, done) => {
                        self.write(std::mem::take(&mut bytes)).await;
                        self.reroute(via).await;
                        let _ = done.send(());
                    }
                }
            }
            self.write(bytes).await;
        }
    }

    /// Writes whole frames, or drops them: if the peer is down, or hangs.
    async fn write(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.waiting.fetch_sub(bytes.len(), Relaxed);
        self.notice_end();
        if self.stream.is_none() {
            self.connect().await;
        }
        let Some(stream) = &mut self.stream else { return };
        if !matches!(timeout(HUNG, stream.write_all(&bytes)).await, Ok(Ok(()))) {
            self.stream = None;
        }
    }

    /// A peer never says anything on this connection; if it can be read, it has ended.
    fn notice_end(&mut self) {
        let ended = |stream: &TcpStream| !matches!(stream.try_read(&mut [0; 1]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock);
        if self.stream.as_ref().is_some_and(ended) {
            self.stream = None;
        }
    }

    async fn connect(&mut self) {
        if Instant::now() < self.retry_at {
            return;
        }
        match timeout(PAUSE.1, self.call()).await {
            Ok(Ok(stream)) => (self.stream, self.pause) = (Some(stream), PAUSE.0),
            _ => {
                self.retry_at = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(PAUSE.1);
            }
        }
    }

    async fn call(&self) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.via.unwrap_or(self.direct)).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&frame(&self.dial)).await?;
        Ok(stream)
    }

    /// Ends the old connection in order (the peer has read everything when it closes its side), then takes the new way.
    async fn reroute(&mut self, via: Option<SocketAddr>) {
        if self.via == via {
            return;
        }
        if let Some(mut stream) = self.stream.take()
            && stream.shutdown().await.is_ok()
        {
            let _ = timeout(HUNG, stream.read(&mut [0; 1])).await;
        }
        (self.via, self.retry_at, self.pause) = (via, Instant::now(), PAUSE.0);
    }
}

/// Takes connections of the other nodes, and brings their messages to the inbox.
pub async fn accept(listener: TcpListener, name: NodeName, peers: Vec<NodeName>, inbox: mpsc::Sender<Input>) {
    let peers = Arc::new(peers);
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let (name, peers, inbox) = (name.clone(), peers.clone(), inbox.clone());
                tokio::spawn(async move {
                    if let Err(error) = receive(stream, &name, &peers, inbox).await {
                        eprintln!("{name}: connection from {from}: {error}");
                    }
                });
            }
            Err(_) => tokio::time::sleep(PAUSE.0).await,
        }
    }
}

async fn receive(stream: TcpStream, name: &str, peers: &[NodeName], inbox: mpsc::Sender<Input>) -> std::io::Result<()> {
    let mut frames = FramedRead::new(stream, wire::codec());
    let Some(first) = frames.next().await else { return Ok(()) };
    let dial: Dial = wire::decode(&first?)?;
    if dial.to != name {
        return Err(std::io::Error::other(format!("it is for {}, this is {name}", dial.to)));
    }
    while let Some(frame) = frames.next().await {
        let frame = match frame {
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            other => other?,
        };
        let envelope: Envelope = wire::decode(&frame)?;
        if !peers.contains(&envelope.from) {
            return Err(std::io::Error::other(format!("{} is not a node of this cluster", envelope.from)));
        }
        let message: Message = wire::decode(&envelope.body)?;
        let Envelope { id, from, logical, .. } = envelope;
        if inbox.send(Input::Message { id, from, logical, message }).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

//! The manager's side of the machine wire: connections that ask and connections that answer.
//!
//! A [`Caller`] is one outgoing connection; any number of requests may be under way on it, and replies find their
//! request by its id. [`serve`] is the other end: each request is answered on a task of its own, so that a slow one
//! (a transaction that waits for a brick) holds up nobody, and [`Pusher`] lets the manager speak first.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::sync::CancellationToken;

use crate::volume::handshake::Request;
use crate::world::wire::{Dial, Envelope, codec, decode, encode};

/// How long a manager waits for a connection to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// Why a request got no reply of the kind that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection is gone.
    #[error("Transport endpoint is not connected")]
    Disconnected,
    /// The other side did not answer in time.
    #[error("Request timed out")]
    TimedOut,
    /// The other side refused, in its own words.
    #[error("{0}")]
    Refused(String),
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Bytes>>>>;

/// An outgoing connection to a manager or a brick.
pub struct Caller {
    from: String,
    to: String,
    next: AtomicU64,
    frames: mpsc::UnboundedSender<Envelope>,
    waiting: Waiting,
    closed: CancellationToken,
    retired: AtomicBool,
}

impl Caller {
    /// Connects as machine `from` to the manager or brick `process` of machine `to` at `address`. `process` is its name in the
    /// world (`server2/glusterd`), by which the link switch finds it.
    ///
    /// # Errors
    /// As of connecting; `TimedOut` after five seconds.
    pub async fn dial(from: &str, (to, process): (&str, &str), address: SocketAddr) -> io::Result<Self> {
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let (reading, writing) = stream.into_split();
        let mut out = FramedWrite::new(writing, codec());
        out.send(Bytes::from(encode(&Dial { from: from.into(), to: process.into() }))).await?;
        let (frames, queue) = mpsc::unbounded_channel();
        let (waiting, closed) = (Waiting::default(), CancellationToken::new());
        tokio::spawn(write_all(out, queue, closed.clone()));
        tokio::spawn(read_replies(FramedRead::new(reading, codec()), waiting.clone(), closed.clone()));
        let (next, retired) = (AtomicU64::new(1), AtomicBool::new(false));
        Ok(Self { from: from.into(), to: to.into(), next, frames, waiting, closed, retired })
    }

    /// Asks and waits for the reply, at most `limit`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<R: Request>(&self, request: &R, limit: Duration) -> Result<R::Reply, CallError> {
        let (answer, reply) = oneshot::channel();
        let envelope = self.envelope(R::KIND, encode(request));
        let id = envelope.id.clone();
        lock(&self.waiting).insert(id.clone(), answer);
        if self.closed.is_cancelled() || self.frames.send(envelope).is_err() {
            lock(&self.waiting).clear();
        }
        let reply = tokio::time::timeout(limit, reply).await;
        lock(&self.waiting).remove(&id);
        let body = reply.map_err(|_| CallError::TimedOut)?.map_err(|_| CallError::Disconnected)?;
        let result: Result<R::Reply, String> = decode(&body).map_err(|e| CallError::Refused(e.to_string()))?;
        result.map_err(CallError::Refused)
    }

    /// Ends the connection as soon as nothing is under way on it, or after some patience.
    pub async fn retire(&self) {
        let idle = async {
            while !lock(&self.waiting).is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(CONNECT, idle).await;
        self.retired.store(true, Relaxed);
        self.closed.cancel();
    }

    /// Whether it was given up to be made anew, and the other end is there as before.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Relaxed)
    }

    /// Resolves when the connection is gone.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Gives the connection up: the other end is no peer any more.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    fn envelope(&self, kind: &str, body: Vec<u8>) -> Envelope {
        let n = self.next.fetch_add(1, Relaxed);
        let (from, to) = (self.from.clone(), self.to.clone());
        let id = format!("{from}/glusterd>{to}#{n}");
        Envelope { id, from, to, logical: 0, cause: None, kind: kind.into(), note: String::new(), body: body.into() }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes what is queued until the connection or its owner is gone.
async fn write_all<W: tokio::io::AsyncWrite + Unpin>(
    mut out: FramedWrite<W, tokio_util::codec::LengthDelimitedCodec>,
    mut queue: mpsc::UnboundedReceiver<Envelope>,
    closed: CancellationToken,
) {
    loop {
        let next = tokio::select! { next = queue.recv() => next, () = closed.cancelled() => None };
        let Some(envelope) = next else { break };
        if out.send(Bytes::from(encode(&envelope))).await.is_err() {
            break;
        }
    }
    closed.cancel();
}

/// Hands each reply to the request that waits for it; at the end of the connection all of them fail.
async fn read_replies<R: tokio::io::AsyncRead + Unpin>(
    mut frames: FramedRead<R, tokio_util::codec::LengthDelimitedCodec>,
    waiting: Waiting,
    closed: CancellationToken,
) {
    loop {
        let next = tokio::select! { next = frames.next() => next, () = closed.cancelled() => None };
        let Some(Ok(frame)) = next else { break };
        let Ok(Envelope { cause: Some(id), body, .. }) = decode(&frame) else { continue };
        if let Some(answer) = lock(&waiting).remove(&id) {
            let _ = answer.send(body);
        }
    }
    closed.cancel();
    lock(&waiting).clear();
}

/// The listening side's way to speak first on a connection.
#[derive(Clone)]
pub struct Pusher {
    own: String,
    to: String,
    frames: mpsc::UnboundedSender<Envelope>,
}

impl Pusher {
    /// Sends a push; `false` if the connection is gone.
    pub fn push(&self, kind: &str, body: &impl serde::Serialize) -> bool {
        self.send(kind, None, encode(body))
    }

    fn send(&self, kind: &str, cause: Option<String>, body: Vec<u8>) -> bool {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let n = NEXT.fetch_add(1, Relaxed);
        let (from, to, kind) = (self.own.clone(), self.to.clone(), kind.to_owned());
        let id = format!("{from}/glusterd<{to}#{n}");
        let envelope = Envelope { id, from, to, logical: 0, cause, kind, note: String::new(), body: body.into() };
        self.frames.send(envelope).is_ok()
    }
}

/// One request that came in, and who sent it.
pub struct Incoming {
    /// The machine that called.
    pub from: String,
    /// Its address.
    pub address: SocketAddr,
    /// The request's name.
    pub kind: String,
    /// Its MessagePack.
    pub body: Bytes,
    /// The way back, for pushes later on.
    pub pusher: Pusher,
    /// Cancelled when the connection is gone.
    pub closed: CancellationToken,
}

impl Incoming {
    /// The request itself.
    ///
    /// # Errors
    /// If the bytes are not an `R`.
    pub fn read<R: Request>(&self) -> Result<R, String> {
        decode(&self.body).map_err(|e| format!("{} is not understood: {e}", R::KIND))
    }
}

/// Answers one connection until it ends: `handle` gives the encoded `Result<Reply, String>` of each request.
pub async fn serve<F, A>(stream: TcpStream, own: String, handle: F)
where
    F: Fn(Incoming) -> A,
    A: Future<Output = Vec<u8>> + Send + 'static,
{
    let Ok(address) = stream.peer_addr() else { return };
    let _ = stream.set_nodelay(true);
    let (reading, writing) = stream.into_split();
    let mut frames = FramedRead::new(reading, codec());
    let Some(Ok(first)) = frames.next().await else { return };
    let Ok(Dial { from, .. }) = decode(&first) else { return };
    let (sender, queue) = mpsc::unbounded_channel();
    let closed = CancellationToken::new();
    tokio::spawn(write_all(FramedWrite::new(writing, codec()), queue, closed.clone()));
    let pusher = Pusher { own, to: from.clone(), frames: sender };
    while let Some(Ok(frame)) = tokio::select! { next = frames.next() => next, () = closed.cancelled() => None } {
        let Ok(envelope) = decode::<Envelope>(&frame) else { break };
        let Envelope { id, kind, body, .. } = envelope;
        let (pusher, name) = (pusher.clone(), kind.clone());
        let incoming =
            Incoming { from: from.clone(), address, kind, body, pusher: pusher.clone(), closed: closed.clone() };
        let answer = handle(incoming);
        tokio::spawn(async move { pusher.send(&name, Some(id), answer.await) });
    }
    closed.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::handshake::PortByBrick;
    use tokio::net::TcpListener;

    /// Replies find their requests although the later one is answered first, and a refusal keeps its words.
    #[tokio::test]
    async fn replies_find_their_requests() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let slow = Arc::new(tokio::sync::Notify::new());
            serve(stream, "server1".into(), move |incoming| {
                let slow = slow.clone();
                async move {
                    let path = incoming.read::<PortByBrick>().map(|r| r.path).unwrap_or_default();
                    let result: Result<u16, String> = match path.as_str() {
                        "/slow" => {
                            slow.notified().await;
                            Ok(1)
                        }
                        _ => {
                            slow.notify_one();
                            Err(format!("no brick {path} at {}", incoming.from))
                        }
                    };
                    encode(&result)
                }
            })
            .await;
        });
        let caller = Caller::dial("server2", ("server1", "server1/glusterd"), address).await.unwrap();
        let (slow, fast) = (PortByBrick { path: "/slow".into() }, PortByBrick { path: "/fast".into() });
        let limit = Duration::from_secs(5);
        let (first, second) = tokio::join!(caller.call(&slow, limit), caller.call(&fast, limit));
        assert_eq!(first.unwrap(), 1);
        assert_eq!(second.unwrap_err().to_string(), "no brick /fast at server2");
    }

    /// A connection that ends fails what waits on it instead of leaving it to its time limit.
    #[tokio::test]
    async fn a_lost_connection_fails_what_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { drop(listener.accept().await) });
        let caller = Caller::dial("server2", ("server1", "server1/glusterd"), address).await.unwrap();
        let asked = caller.call(&PortByBrick { path: "/b".into() }, Duration::from_secs(60)).await;
        assert!(matches!(asked, Err(CallError::Disconnected)), "{asked:?}");
    }
}

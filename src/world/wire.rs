//! What goes over the program's own sockets.
//!
//! Two wires, both of length-delimited frames (4 bytes, big-endian) that hold MessagePack:
//!
//! * **keeper wire**: one Unix socket ([`socket_path`]). A role says [`ToKeeper::Hello`] and then reports events and
//!   answers what it is asked; a client (screen, `lab`, `run`) asks for commands or watches the world.
//! * **machine wire**: between machines, over TCP. Every frame is an [`Envelope`]: who, to whom, and a name that
//!   the link switch can show; the body belongs to the protocol and is opaque to the switch.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Command, Event, EventId, Name, World};

/// A frame larger than this (16 MiB) is refused.
pub const MAX_FRAME: usize = 16 << 20;

/// The keeper's socket: `$TERRARIUM_KEEPER`, else `/run/terrarium/keeper.sock` (inside the world).
pub fn socket_path() -> PathBuf {
    std::env::var_os("TERRARIUM_KEEPER").map_or_else(|| "/run/terrarium/keeper.sock".into(), PathBuf::from)
}

/// What a role or a client says to the keeper.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToKeeper {
    /// A role introduces itself. First frame of a role's connection; its process id is read from the socket.
    Hello {
        /// Its name in the world: `n1`, `server1:/data/brick1/gv0`, `mount:/mnt/gv0`.
        name: Name,
        /// What it is: `node`, `mount`, `brick`, `glusterd`, `glustershd`, `client`, `container`.
        role: String,
        /// The machine that it runs on; empty for the world itself.
        machine: Name,
        /// Where it takes machine-wire connections, if it does.
        listen: Option<SocketAddr>,
    },
    /// Something happened.
    Event(Box<Event>),
    /// The answer to [`FromKeeper::Ask`].
    Answer {
        /// The question's id.
        id: u64,
        /// The answer, or why there is none.
        result: Result<serde_json::Value, String>,
    },
    /// A client wants a command carried out; one [`FromKeeper::Reply`] follows.
    Do {
        /// Chosen by the client; comes back in the reply.
        id: u64,
        /// The command.
        command: Command,
        /// Who asks: `screen`, `lab`, `check`, `run`.
        by: String,
    },
    /// A client wants the world: one [`FromKeeper::Snapshot`], then every event.
    Watch,
}

/// What the keeper says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FromKeeper {
    /// A question to a role. It must answer, in any order.
    Ask {
        /// Comes back in the answer.
        id: u64,
        /// The question.
        ask: Ask,
    },
    /// The outcome of a command.
    Reply {
        /// The id of the `Do`.
        id: u64,
        /// What it gave, or why it failed, in one line that says what to try.
        result: Result<serde_json::Value, String>,
    },
    /// The world as it is, to a watcher.
    Snapshot(Box<World>),
    /// The next event, to a watcher.
    Event(std::sync::Arc<Event>),
}

/// A question or instruction to a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// Run the clock at this speed (1 = the paper's time). Answer: null.
    Speed(f64),
    /// Stop (`true`) or go on with (`false`) the clock. Answer: null.
    Freeze(bool),
    /// While frozen: let one tick of the clock pass. Answer: null.
    Tick,
    /// Reach `to` (`*`: everybody) by this address from now on, without losing what is under way; `None`: directly.
    /// Answer: null, once nothing more goes the old way.
    Route {
        /// The machine.
        to: Name,
        /// The switch's address.
        via: Option<SocketAddr>,
    },
    /// Report each message and each step (`true`), or state changes and counters alone (`false`). Answer: null.
    Detail(bool),
    /// Anything that a role of one kind understands, in words: `["log"]`, `["union"]`, `["heal"]`.
    Words(Vec<String>),
}

/// One message between two machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// `sender#n`; unique.
    pub id: EventId,
    /// The sending machine.
    pub from: Name,
    /// The receiving machine.
    pub to: Name,
    /// The sender's logical time.
    pub logical: u64,
    /// The event that caused the message, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EventId>,
    /// The message's name in its protocol: `AppendEntries`.
    pub kind: String,
    /// Its telling arguments, short; may be empty at full speed.
    pub note: String,
    /// The message itself, in its protocol's own encoding.
    pub body: Bytes,
}

/// The first frame on a machine-wire connection that goes through the switch: whom to connect to. A connection
/// that goes directly begins with it too, so that a machine always knows who called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dial {
    /// The calling machine.
    pub from: Name,
    /// The machine called.
    pub to: Name,
}

/// Encodes a value as the payload of one frame.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("our own types always encode")
}

/// Decodes the payload of one frame.
///
/// # Errors
/// `InvalidData` if the bytes are not a `T`.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(payload).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Writes one frame to a blocking stream.
///
/// # Errors
/// As the stream's.
pub fn write_frame<T: Serialize>(stream: &mut impl Write, value: &T) -> io::Result<()> {
    let payload = encode(value);
    let mut frame = Vec::with_capacity(4 + payload.len());
    frame.extend_from_slice(&u32::try_from(payload.len()).map_err(io::Error::other)?.to_be_bytes());
    frame.extend_from_slice(&payload);
    stream.write_all(&frame)
}

/// Reads one frame from a blocking stream.
///
/// # Errors
/// As the stream's; `UnexpectedEof` at its end; `InvalidData` if the frame is too large or not a `T`.
pub fn read_frame<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    decode(&payload)
}

/// The codec of both wires for tokio streams.
pub fn codec() -> tokio_util::codec::LengthDelimitedCodec {
    tokio_util::codec::LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec()
}

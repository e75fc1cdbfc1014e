//! What a client and a brick say to each other.
//!
//! A request is a short list of **fops** (file operations) that the brick carries out one after the other and stops at the first
//! that fails: lock, count what is begun, write, all in one round trip. Files are named by gfid, names by their directory's
//! gfid; the only thing that a brick remembers of a connection is its locks, its interest and the files it keeps
//! open beyond their last name, so a connection may be replaced at any time.
//!
//! On the wire each message is an `Envelope` (see `wire`) whose body is: length of the header (u32,
//! big-endian), header (MessagePack of [`Request`] or [`ToClient`]), payload (the bytes written or read, raw). Requests and
//! answers are matched by `id`; a brick answers in any order.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::gfid::Gfid;

mod change;
mod fop;
mod inode;
mod lock;
mod reply;

pub use change::{Change, Node, Xattrop};
pub use fop::Fop;
pub use inode::{Entry, Iatt, Inode, Room};
pub use lock::{Domain, Held, Hold, Lock, Owner};
pub use reply::Reply;

/// A file name, or a key or value of an attribute: any bytes.
pub type Blob = Bytes;

/// One message from a client: fops to carry out in order, until one fails. At most one of them is a [`Fop::Write`]; its data
/// is the message's payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client; comes back in the answer. 0: no answer is wanted.
    pub id: u64,
    /// What to do.
    pub fops: Vec<Fop>,
}

/// One message from a brick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToClient {
    /// The outcome of a request: one entry a fop, up to and with the first that failed (errno). If one of them is a
    /// [`Reply::Data`], its bytes are the message's payload.
    Answer {
        /// The request's id.
        id: u64,
        /// What each fop gave.
        results: Vec<Result<Reply, i32>>,
    },
    /// Somebody else changed a file that this client has looked at.
    Invalidate {
        /// The file; for a changed name: its directory.
        gfid: Gfid,
        /// The name that came, went or changed, and whether it came: it was not there before.
        name: Option<(Blob, bool)>,
        /// Say [`Fop::Heard`] with this number: somebody waits for it. 0: nobody does.
        heard: u64,
    },
    /// Somebody else removed the last name of a file that this client has looked at. It is kept, as if this client had
    /// removed it with `keep`: say [`Fop::Close`] when you do not have it open (any more).
    Gone {
        /// The file.
        gfid: Gfid,
        /// As of [`ToClient::Invalidate`].
        heard: u64,
    },
    /// A lock of a process that this client was refused may be free now.
    Freed {
        /// The file.
        gfid: Gfid,
    },
    /// Somebody else wants a lock that this client holds. Give it back when you can.
    Contention {
        /// The lock.
        lock: Lock,
    },
    /// Whether files on this brick blame other copies (or are dirty), as of now.
    Blaming(bool),
}

/// Who calls, and how it wants to be seen in `volume status clients`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Unique to the process, the same on all its connections and reconnections.
    pub client: Gfid,
    /// `fuse`, `glustershd`, `rebalance`, `glfsheal`.
    pub process: String,
    /// The path on the brick's server that the client believes it is talking to; another one is refused (ENOENT).
    pub brick: String,
}

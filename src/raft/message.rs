//! What nodes say to each other, and what a log holds.
//!
//! [`Rpc`] is the paper's: the two calls of Figure 2 and the one of Figure 13, each with its reply, field by field
//! under the paper's names. An RPC here is two one-way messages that may each be lost, delayed, doubled or
//! overtaken: a reply therefore carries what is needed to place it (the match index, the refused prevLogIndex).
//!
//! [`Message`] adds the one thing that the paper leaves to the reader: "the server … rejects the request and supplies
//! information about the leader" (§8) becomes [`Message::Forward`], since a client here may ask any node.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::event::{EntryView, Index, NodeName, Term};
use super::kv::{Query, Reply, Write};

/// A client session: one connection to one node during one of that node's lives. Never used again.
///
/// The upper 32 bits tell the node and its life, the lower 32 bits count its connections; shown as `c7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId(pub u64);

impl std::fmt::Display for ClientId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{}", self.0 & 0xFFFF_FFFF)
    }
}

/// A client's request, for life: the serial number that §8 asks for. Shown as `c7:42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId {
    /// The session.
    pub client: ClientId,
    /// Counts the session's requests from 1.
    pub serial: u64,
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.client, self.serial)
    }
}

/// A write that is to be applied exactly once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Every request of the session with a lower serial number was answered: the state machine may forget them.
    pub settled: u64,
    /// What to do.
    pub command: Write,
}

/// What a log entry carries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// A new leader's first entry, so that it learns what is committed (§8).
    Noop,
    /// A client's request.
    Request(Request),
}

/// A log entry (Figure 2): "command for state machine, and term when entry was received by leader".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Its position, from 1.
    pub index: Index,
    /// The term of the leader that created it.
    pub term: Term,
    /// The command.
    pub payload: Payload,
}

impl Entry {
    /// The entry as it is shown: `SET x 5`, `no-op`.
    pub fn view(&self) -> EntryView {
        let text = match &self.payload {
            Payload::Noop => "no-op".into(),
            Payload::Request(request) => request.command.to_string(),
        };
        EntryView { index: self.index, term: self.term, text }
    }

    /// Its approximate size in bytes, for bounding a message.
    pub fn size(&self) -> usize {
        match &self.payload {
            Payload::Noop => 16,
            Payload::Request(request) => 48 + request.command.size(),
        }
    }
}

/// The calls of Figure 2 and Figure 13 and their replies. All begin with the sender's `term`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rpc {
    /// "Invoked by candidates to gather votes" (§5.2).
    RequestVote {
        /// The candidate's term.
        term: Term,
        /// Index of the candidate's last log entry (§5.4).
        last_log_index: Index,
        /// Term of the candidate's last log entry (§5.4).
        last_log_term: Term,
    },
    /// Answer to `RequestVote`.
    RequestVoteReply {
        /// currentTerm, for the candidate to update itself.
        term: Term,
        /// Whether the candidate received the vote.
        vote_granted: bool,
    },
    /// "Invoked by leader to replicate log entries (§5.3); also used as heartbeat (§5.2)."
    AppendEntries {
        /// The leader's term.
        term: Term,
        /// Index of the entry immediately preceding the new ones.
        prev_log_index: Index,
        /// Term of that entry.
        prev_log_term: Term,
        /// Entries to store; empty for a heartbeat.
        entries: Vec<Entry>,
        /// The leader's commitIndex.
        leader_commit: Index,
        /// The leader's count of heartbeat rounds, echoed in the reply: proof for reads (§8).
        round: u64,
    },
    /// Answer to `AppendEntries`.
    AppendEntriesReply {
        /// currentTerm, for the leader to update itself.
        term: Term,
        /// Whether the follower had an entry that matches prevLogIndex and prevLogTerm, and up to where it now agrees.
        outcome: AppendOutcome,
        /// The request's round.
        round: u64,
    },
    /// "Invoked by leader to send chunks of a snapshot to a follower" (§7, Figure 13).
    InstallSnapshot {
        /// The leader's term.
        term: Term,
        /// The snapshot replaces all entries up to and including this index.
        last_included_index: Index,
        /// Term of that entry.
        last_included_term: Term,
        /// Byte offset of the chunk in the snapshot.
        offset: u64,
        /// The chunk.
        data: Bytes,
        /// Whether it is the last chunk.
        done: bool,
        /// As in `AppendEntries`.
        round: u64,
    },
    /// Answer to `InstallSnapshot`.
    InstallSnapshotReply {
        /// currentTerm, for the leader to update itself.
        term: Term,
        /// The snapshot that it is about.
        last_included_index: Index,
        /// How many bytes of the snapshot the follower has in a row.
        received: u64,
        /// Whether the follower's log now begins behind the snapshot.
        installed: bool,
        /// The request's round.
        round: u64,
    },
}

/// How an `AppendEntries` went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// The logs agree up to this index (prevLogIndex and the entries of the message).
    Matched(Index),
    /// There was no entry at prevLogIndex with prevLogTerm.
    Refused {
        /// The request's prevLogIndex: tells a late refusal from a new one.
        prev_log_index: Index,
        /// Where the leader may try next: the first index of the conflicting term, or one past the log's end (§5.3).
        hint: Index,
    },
}

impl Rpc {
    /// The sender's term, which every RPC carries (§5.1).
    pub fn term(&self) -> Term {
        match self {
            Rpc::RequestVote { term, .. }
            | Rpc::RequestVoteReply { term, .. }
            | Rpc::AppendEntries { term, .. }
            | Rpc::AppendEntriesReply { term, .. }
            | Rpc::InstallSnapshot { term, .. }
            | Rpc::InstallSnapshotReply { term, .. } => *term,
        }
    }
}

/// What a client wants, on its way to the leader.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Wanted {
    /// A write.
    Write(Request),
    /// A read.
    Read {
        /// Its name.
        id: RequestId,
        /// What to read.
        query: Query,
    },
}

impl Wanted {
    /// The request's name.
    pub fn id(&self) -> RequestId {
        match self {
            Wanted::Write(request) => request.id,
            Wanted::Read { id, .. } => *id,
        }
    }

    /// Its approximate size in bytes, for bounding a message.
    pub fn size(&self) -> usize {
        match self {
            Wanted::Write(request) => 48 + request.command.size(),
            Wanted::Read { query, .. } => 32 + query.size(),
        }
    }
}

/// Everything that one node sends to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// The paper's calls.
    Rpc(Rpc),
    /// A follower passes its clients' requests on to the leader (§8), each client's in its order.
    Forward(Vec<Wanted>),
    /// The leader's answers to what was forwarded.
    ForwardReply(Vec<(RequestId, Reply)>),
}

impl Message {
    /// Its name on the link: `AppendEntries`.
    pub fn kind(&self) -> &'static str {
        match self {
            Message::Rpc(Rpc::RequestVote { .. }) => "RequestVote",
            Message::Rpc(Rpc::RequestVoteReply { .. }) => "RequestVoteReply",
            Message::Rpc(Rpc::AppendEntries { .. }) => "AppendEntries",
            Message::Rpc(Rpc::AppendEntriesReply { .. }) => "AppendEntriesReply",
            Message::Rpc(Rpc::InstallSnapshot { .. }) => "InstallSnapshot",
            Message::Rpc(Rpc::InstallSnapshotReply { .. }) => "InstallSnapshotReply",
            Message::Forward(_) => "Forward",
            Message::ForwardReply(_) => "ForwardReply",
        }
    }
}

/// Its telling arguments, short: `term 3, prevLogIndex 7 (term 2), 1 entry, leaderCommit 6`.
impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Message::Rpc(rpc) => rpc.fmt(f),
            Message::Forward(wanted) => match &wanted[..] {
                [Wanted::Write(request)] => write!(f, "{} {}", request.id, request.command),
                [Wanted::Read { id, query }] => write!(f, "{id} {query}"),
                many => write!(f, "{} requests", many.len()),
            },
            Message::ForwardReply(replies) => match &replies[..] {
                [(id, reply)] => write!(f, "{id} {reply}"),
                many => write!(f, "{} answers", many.len()),
            },
        }
    }
}

impl std::fmt::Display for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "term {}", self.term())?;
        match self {
            Rpc::RequestVote { last_log_index, last_log_term, .. } => {
                write!(f, ", lastLogIndex {last_log_index}, lastLogTerm {last_log_term}")
            }
            Rpc::RequestVoteReply { vote_granted, .. } => write!(f, ", voteGranted {vote_granted}"),
            Rpc::AppendEntries { prev_log_index, prev_log_term, entries, leader_commit, .. } => {
                write!(f, ", prevLogIndex {prev_log_index}, prevLogTerm {prev_log_term}")?;
                match &entries[..] {
                    [] => write!(f, ", no entries")?,
                    [entry] => write!(f, ", entry {}: {}", entry.index, entry.view().text)?,
                    [first, .., last] => write!(f, ", entries {}–{}", first.index, last.index)?,
                }
                write!(f, ", leaderCommit {leader_commit}")
            }
            Rpc::AppendEntriesReply { outcome: AppendOutcome::Matched(index), .. } => {
                write!(f, ", success, match {index}")
            }
            Rpc::AppendEntriesReply { outcome: AppendOutcome::Refused { prev_log_index, hint }, .. } => {
                write!(f, ", refused at {prev_log_index}, try {hint}")
            }
            Rpc::InstallSnapshot { last_included_index, last_included_term, offset, data, done, .. } => {
                write!(f, ", lastIncludedIndex {last_included_index}, lastIncludedTerm {last_included_term}")?;
                write!(f, ", bytes {offset}–{}{}", offset + data.len() as u64, if *done { ", done" } else { "" })
            }
            Rpc::InstallSnapshotReply { last_included_index, received, installed, .. } => {
                write!(f, ", lastIncludedIndex {last_included_index}, has {received} bytes")?;
                write!(f, "{}", if *installed { ", installed" } else { "" })
            }
        }
    }
}

/// A message and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outgoing {
    /// The receiver.
    pub to: NodeName,
    /// What to say.
    pub message: Message,
}

//! What a Raft node reports: changes of the state of the paper's Figure 2, in its words.

use serde::{Deserialize, Serialize};

/// A node's position in the log, from 1; 0 is before the first entry (Figure 2).
pub type Index = u64;
/// A term of office, from 1; 0 before the first (§5.1).
pub type Term = u64;
/// A node's name: `n1`.
pub type NodeName = String;

/// The three states of a server (Figure 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers requests; becomes a candidate when it hears nothing.
    #[default]
    Follower,
    /// Asks for votes.
    Candidate,
    /// Serves clients and replicates its log.
    Leader,
}

/// One log entry as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    /// Its index.
    pub index: Index,
    /// The term in which a leader received it.
    pub term: Term,
    /// The command in words: `SET x 5`; `no-op` for a leader's first entry; `nodes n1,n2,n3` for a configuration.
    pub text: String,
}

/// Something that happened to a node. The reporter is the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The node began to run: its durable state, and who else is in the cluster.
    Booted {
        /// currentTerm from disk.
        term: Term,
        /// votedFor from disk.
        voted_for: Option<NodeName>,
        /// lastApplied and commitIndex at start (a snapshot's), usually 0.
        applied: Index,
        /// The tail of the log from disk, at most [`TAIL`] entries.
        log: Vec<EntryView>,
        /// All nodes of the cluster, this one included, in order.
        nodes: Vec<NodeName>,
    },
    /// Its role, term, vote or known leader changed.
    State {
        /// currentTerm.
        term: Term,
        /// Its role now.
        role: Role,
        /// votedFor in this term.
        voted_for: Option<NodeName>,
        /// The leader of this term as far as it knows.
        leader: Option<NodeName>,
        /// Why, as a word for the texts: `election_timeout`, `won`, `higher_term`, `found_leader`, `voted`, `split`.
        why: String,
    },
    /// It granted or refused a vote (§5.2, §5.4.1).
    Vote {
        /// The term asked for.
        term: Term,
        /// Who asked.
        candidate: NodeName,
        /// Whether the vote was granted.
        granted: bool,
        /// Why refused: `stale_term`, `already_voted`, `log_not_up_to_date`; empty when granted.
        why: String,
    },
    /// Its election timer was (re)started: follower and candidate alone.
    Timer {
        /// How long until the election timeout, in microseconds of wall time at the speed of now.
        timeout_us: u64,
    },
    /// Entries were appended to its log and are durable.
    Appended {
        /// The new entries, ascending; of a large batch only the last [`TAIL`].
        entries: Vec<EntryView>,
    },
    /// Entries from this index on were removed: they conflicted with the leader's (§5.3).
    Truncated {
        /// The first index that was removed.
        from: Index,
    },
    /// An AppendEntries was refused by this node: its log has no such prevLogIndex/prevLogTerm (§5.3).
    Refused {
        /// The leader.
        leader: NodeName,
        /// prevLogIndex of the request.
        prev_index: Index,
        /// Where the leader may try next.
        hint: Index,
    },
    /// commitIndex rose.
    Committed {
        /// commitIndex.
        index: Index,
    },
    /// lastApplied rose.
    Applied {
        /// lastApplied.
        index: Index,
    },
    /// A leader's view of a follower changed (nextIndex and matchIndex of Figure 2).
    Progress {
        /// The follower.
        peer: NodeName,
        /// nextIndex.
        next: Index,
        /// matchIndex.
        matched: Index,
    },
    /// A snapshot replaced the log up to here (§7).
    Snapshot {
        /// lastIncludedIndex.
        index: Index,
        /// lastIncludedTerm.
        term: Term,
    },
    /// A client's request came in at this node.
    Asked {
        /// The client and its request: `c7:42`.
        request: String,
        /// The command in words.
        text: String,
        /// To whom it was forwarded, if this node is not the leader.
        forwarded_to: Option<NodeName>,
    },
    /// The client got its answer from this node.
    Answered {
        /// The client and its request.
        request: String,
        /// The answer in words: `OK`, `5`, or the error.
        text: String,
    },
}

/// How many entries of a log are reported and shown at most.
pub const TAIL: usize = 200;

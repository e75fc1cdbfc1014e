//! Snapshots (§7): the state machine as it is at one index, in place of the log up to there.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::event::{Index, Term};

/// "The last included index and term … and the state machine state" (§7).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Snapshot {
    /// lastIncludedIndex: the last entry that the snapshot replaces.
    pub index: Index,
    /// lastIncludedTerm: that entry's term.
    pub term: Term,
    /// The state machine, encoded; opaque here.
    pub data: Bytes,
}

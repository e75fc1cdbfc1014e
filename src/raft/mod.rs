//! The raft core.

mod event;
pub use event::{EntryView, Happening, Index, NodeName, Role, TAIL, Term};

//! The raft core.

mod event;
pub use event::Happening;

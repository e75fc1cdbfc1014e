//! The state machine (Figure 1): a map of strings that speaks Redis's words.
//!
//! [`command`] says what can be asked: a [`Write`] goes through the log, a [`Query`] does not. [`machine`] is the map, and
//! with it the table of client sessions that lets each request be applied once (§8): being part of the state machine,
//! it is replicated, snapshotted and rebuilt like the rest.
//!
//! Left out: everything that needs a clock (EXPIRE, SET … EX), because replicas must compute the same from the log alone;
//! lists, sets and the rest of Redis's types.

pub mod command;
pub mod machine;

pub use command::{Command, Condition, Query, Reply, Write};
pub use machine::Machine;

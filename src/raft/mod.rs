//! # Raft: how machines that fail agree on one log
//!
//! The course says: "a leader replicates commands to its followers; a command that a majority stores is committed". This
//! folder is that sentence with all its conditions, after Ongaro and Ousterhout, *In Search of an Understandable
//! Consensus Algorithm (Extended Version)*, 2014 ("the paper"; § and Figure are its sections and figures).
//!
//! Read in this order:
//!
//! * [`message`]: what nodes say to each other, field by field as in Figure 2; [`log`]: the log;
//! * [`node`]: a server, Figure 2 as code: elections, replication, commitment, linearizable reads. [`progress`]: how a
//!   leader feeds a follower; [`effects`]: what a driver has to do after a step, in the order that makes it safe;
//! * [`kv`]: the state machine, which also knows which requests were already applied (§8); [`snapshot`] (§7);
//! * [`replica`]: a node, its state machine and its clients together: forwarding, retrying, answering once.
//!
//! All of that is pure: no clock, socket, disk, thread or luck. [`server`] is the process around it.

pub mod chance;
pub mod effects;
mod event;
pub mod kv;
pub mod log;
pub mod message;
pub mod node;
pub mod progress;
pub mod replica;
pub mod server;
pub mod snapshot;

pub use event::{EntryView, Happening, Index, NodeName, Role, TAIL, Term};

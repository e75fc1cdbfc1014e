//! # The world: one picture, what changes it, what may be asked of it
//!
//! Every role of the program reports what happened to it as an [`Event`]. The keeper stamps each event with a
//! sequence number, appends it to the [`Journal`] and folds it into the [`World`]; the screen and the checks
//! fold the same events and so see the same picture. There is no other way to learn anything about the world,
//! and no other way to change it than a [`Command`].
//!
//! * [`event`]: who, when (wall and logical time), because of what, and what happened.
//! * [`command`]: the verbs (`kill n1`, `cut n1,n2 n3`, `speed 0.1`, …) and their one grammar.
//! * [`picture`]: the `World` and its fold. [`raft`], [`union`], [`volume`], [`container`] hold its four large parts.
//! * [`wire`]: what the keeper and its clients say to each other, and the frame of a message between machines.
//! * [`reporter`]: the small client with which a role reports events and is asked things.
//! * [`client`]: what a client of the keeper needs.
//! * [`status`]: the picture as one JSON object for scripts.
//! * [`journal`]: the events on disk, one JSON object a line.
//!
//! Left out: the journal is not a log for recovery. The roles own their state; the journal is what was seen.

pub mod client;
pub mod command;
pub mod container;
pub mod event;
pub mod journal;
pub mod picture;
pub mod raft;
pub mod reporter;
pub mod status;
pub mod union;
pub mod volume;
pub mod wire;

pub use client::Client;
pub use command::Command;
pub use event::{Event, EventId, What};
pub use journal::Journal;
pub use picture::World;
pub use reporter::Reporter;

/// The name of a machine or process of the world: `n1`, `server2`, `server1/glusterd`.
pub type Name = String;

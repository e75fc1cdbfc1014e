//! The stage: the world as a lab sees it.
//!
//! A lab acts by [`Command`]s and shell lines and judges by the [`World`] and its [`Event`]s; who is behind them it does
//! not know. [`Live`](super::live::Live) is a stage over a running keeper, [`Fake`](super::fake::Fake) one over scripted
//! events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Command, Event, World};

/// What a shell line gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shelled {
    /// Its standard output and standard error, in the order in which they came.
    pub output: String,
    /// Its exit status; 128 + the signal if a signal ended it.
    pub status: i32,
}

/// The world as a lab sees it. Shared between threads; every call may block but for [`Stage::world`] and
/// [`Stage::events_since`].
pub trait Stage: Send + Sync {
    /// Carries out a command; gives its value, or one line that says why not.
    ///
    /// # Errors
    /// As the world says.
    fn run(&self, command: Command) -> Result<Value, String>;

    /// The world now.
    fn world(&self) -> Arc<World>;

    /// The events after the one with number `seq`, oldest first.
    fn events_since(&self, seq: u64) -> Vec<Arc<Event>>;

    /// Waits until there is an event after number `seq`, at most until `deadline`. Whether there is one.
    fn changed(&self, seq: u64, deadline: Instant) -> bool;

    /// Runs a line with `sh -c` inside the world.
    ///
    /// # Errors
    /// One line that says why it could not be run, or that it took longer than `limit`.
    fn shell(&self, line: &str, limit: Duration) -> Result<Shelled, String>;
}

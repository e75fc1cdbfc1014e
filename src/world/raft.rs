//! The raft part of the picture: a fold over its happenings.

use serde::{Deserialize, Serialize};

use crate::raft::Happening;

/// What is known of the raft part of the world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {}

impl Picture {
    /// The process of node `who` ended.
    pub fn ended(&mut self, _who: &str) {}

    /// Folds one happening, reported by `who` at wall time `at` (microseconds since the epoch), into the picture.
    pub fn apply(&mut self, _who: &str, _at: u64, happening: &Happening) {
        match *happening {}
    }
}

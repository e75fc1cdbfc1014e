//! The container part of the picture: a fold over its happenings.

use serde::{Deserialize, Serialize};

use crate::container::Happening;

/// What is known of the container part of the world.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {}

impl Picture {
    /// Folds one happening, reported by `who` at wall time `at` (microseconds since the epoch), into the picture.
    pub fn apply(&mut self, _who: &str, _at: u64, happening: &Happening) {
        match *happening {}
    }
}

//! What the container core reports: the payload of a world event.

use serde::{Deserialize, Serialize};

/// Something that happened in the container part of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {}

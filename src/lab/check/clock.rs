//! The world's clock.

use serde::Deserialize;

use super::{Eyes, Finding, Look};

/// `clock: frozen` or `clock: running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Clocks and links stand still.
    Frozen,
    /// They run.
    Running,
}

impl Look for Clock {
    fn look(&self, eyes: &Eyes) -> Finding {
        let passed = eyes.world.frozen == (*self == Self::Frozen);
        let finding = Finding::new("clock", passed, if eyes.world.frozen { "frozen" } else { "running" });
        finding.with("wanted", format!("{self:?}").to_lowercase()).with("speed", eyes.world.speed)
    }
}

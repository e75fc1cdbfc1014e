//! A process of the world: whether it lives.

use serde::{Deserialize, Serialize};

use super::{Eyes, Finding, Look};
use crate::world::picture::State;

/// `process: {who: 'server2:/data/brick1/gv0', is: down}`: the process of this name (as `lab status --json` has it) is up,
/// down or paused. A process that never ran is neither up nor down.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its name.
    pub who: String,
    /// What it is.
    pub is: Is,
}

/// What a process can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    /// It exists and runs.
    Up,
    /// It ran and ended.
    Down,
    /// It is stopped by SIGSTOP.
    Paused,
}

impl Look for Process {
    fn look(&self, eyes: &Eyes) -> Finding {
        let who = eyes.fill(&self.who);
        let finding = match eyes.world.processes.get(&who) {
            None => Finding::new("process", false, "nobody"),
            Some(process) => {
                let (is, how) = match &process.state {
                    State::Running => (Is::Up, ""),
                    State::Paused => (Is::Paused, ""),
                    State::Ended(how) => (Is::Down, how.as_str()),
                };
                let finding = Finding::new("process", is == self.is, word(is));
                finding.with("pid", process.pid).with("how", how)
            }
        };
        finding.with("who", who).with("wanted", word(self.is))
    }
}

fn word(is: Is) -> &'static str {
    match is {
        Is::Up => "up",
        Is::Down => "down",
        Is::Paused => "paused",
    }
}

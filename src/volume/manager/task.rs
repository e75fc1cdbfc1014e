//! The task that a volume may have: a rebalance, or the move of files off bricks that are to go.
//!
//! Each server that has bricks runs a process of its own for it and keeps that process's figures; `status` collects
//! them from everywhere. The state is stored in `vols/V/node_state.info`, so that it outlives the manager.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::volume::handshake::{Defrag, DefragState};

use super::op::DefragMode;

/// A task as one server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The same on all servers.
    pub id: Uuid,
    /// What is done.
    pub mode: DefragMode,
    /// The bricks that are to go, as `host:path`; empty for a rebalance.
    pub bricks: Vec<String>,
    /// This server's part.
    pub progress: Defrag,
}

impl Task {
    /// A task that has just begun here; `works`: whether this server has a part in it.
    pub fn begin(volume: &str, id: Uuid, mode: DefragMode, bricks: Vec<String>, works: bool) -> Self {
        let state = if works { DefragState::InProgress } else { DefragState::NotStarted };
        Self { id, mode, bricks, progress: Defrag { volume: volume.into(), state, ..Defrag::default() } }
    }

    /// Whether it is the removal of bricks.
    pub fn is_removal(&self) -> bool {
        self.mode == DefragMode::RemoveBrick
    }

    /// Whether this server still works on it.
    pub fn is_running(&self) -> bool {
        self.progress.state == DefragState::InProgress
    }

    /// `Rebalance` or `Remove brick`, as `volume status` shows it.
    pub fn label(&self) -> &'static str {
        if self.is_removal() { "Remove brick" } else { "Rebalance" }
    }

    /// The file `node_state.info`.
    pub fn to_store(&self) -> String {
        let progress = &self.progress;
        format!(
            "rebalance_status={}\nstatus={}\nrebalance_op={}\nrebalance-id={}\nrebalanced-files={}\nsize={}\nscanned={}\n\
             failures={}\nskipped={}\nrun-time={}\nmode={}\n{}",
            u8::from(self.is_running()),
            progress.state as u8,
            if self.is_removal() { 5 } else { 19 },
            self.id,
            progress.files,
            progress.size,
            progress.scanned,
            progress.failures,
            progress.skipped,
            progress.seconds,
            self.mode.word(),
            self.bricks.iter().map(|b| format!("brick={b}\n")).collect::<String>(),
        )
    }

    /// Reads `node_state.info`; `None` if there is no task in it.
    pub fn from_store(volume: &str, text: &str) -> Option<Self> {
        let fields = || text.lines().filter_map(|line| line.split_once('='));
        let field = |key: &str| fields().find(|(k, _)| *k == key).map(|(_, v)| v);
        let number = |key: &str| field(key).and_then(|v| v.parse().ok()).unwrap_or(0);
        let modes = [DefragMode::FixLayout, DefragMode::Rebalance, DefragMode::Force, DefragMode::RemoveBrick];
        let states = [
            DefragState::NotStarted,
            DefragState::InProgress,
            DefragState::Stopped,
            DefragState::Completed,
            DefragState::Failed,
        ];
        Some(Self {
            id: field("rebalance-id")?.parse().ok()?,
            mode: modes.into_iter().find(|m| Some(m.word()) == field("mode"))?,
            bricks: fields().filter(|(k, _)| *k == "brick").map(|(_, v)| v.into()).collect(),
            progress: Defrag {
                volume: volume.into(),
                files: number("rebalanced-files"),
                size: number("size"),
                scanned: number("scanned"),
                failures: number("failures"),
                skipped: number("skipped"),
                state: states.into_iter().find(|s| u64::from(*s as u8) == number("status"))?,
                seconds: number("run-time"),
                commit_hash: None,
            },
        })
    }
}

/// `completed`, or `fix-layout completed`: a state as `status` shows it.
pub fn state_label(mode: DefragMode, state: DefragState) -> String {
    let word = state.word();
    if state == DefragState::NotStarted {
        return word.into();
    }
    if mode == DefragMode::FixLayout { format!("fix-layout {word}") } else { word.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task is found again after the manager was killed.
    #[test]
    fn a_task_survives_its_manager() {
        let bricks = vec!["server1:/b".to_owned()];
        let mut task = Task::begin("gv0", Uuid::from_u128(5), DefragMode::RemoveBrick, bricks, true);
        (task.progress.files, task.progress.size) = (3, 40);
        assert_eq!(Task::from_store("gv0", &task.to_store()), Some(task));
        assert_eq!(Task::from_store("gv0", "rebalance_status=0\n"), None);
    }
}

//! `volume rebalance`, and the table of progress that it shares with `remove-brick … status`.

use std::fmt::Write as _;

use uuid::Uuid;

use super::session::{Failure, Outcome, Session};
use super::status::human;
use super::xml::{Node, leaf, node};
use crate::volume::manager::op::{Change, DefragMode};
use crate::volume::manager::protocol::{About, Answer, Report};
use crate::volume::manager::task::{Task, state_label};

/// Pattern of `volume rebalance`.
pub const REBALANCE: &str = "volume rebalance <VOLNAME> {{fix-layout start} | {start [force]|stop|status}}";

const ESTIMATE: &str = "The estimated time for rebalance to complete will be unavailable for the first 10 minutes.";

/// `volume rebalance`.
///
/// # Errors
/// [`Failure`].
pub fn rebalance(session: &Session, words: &[&str]) -> Outcome {
    match words {
        [name, "fix-layout", "start"] => start(session, name, DefragMode::FixLayout),
        [name, "start"] => start(session, name, DefragMode::Rebalance),
        [name, "start", "force"] => start(session, name, DefragMode::Force),
        [name, "status"] => status(session, name),
        [name, "stop"] => stop(session, name),
        _ => Err(Failure::Usage(REBALANCE)),
    }
}

fn start(session: &Session, name: &str, mode: DefragMode) -> Outcome {
    let change = Change::Rebalance { mode: Some(mode), task: Uuid::nil(), commit_hash: 0 };
    let prefix = format!("volume rebalance: {name}");
    match session.change(name, change, mode == DefragMode::Force) {
        Ok(Answer::Task(id)) => session.say(
            &format!(
                "{prefix}: success: Rebalance on {name} has been started successfully. Use rebalance status command to check status of the rebalance process.\nID: {id}"
            ),
            || node("volRebalance", vec![leaf("task-id", id), leaf("op", 1)]),
        ),
        Ok(_) => Err(super::volume::misunderstood()),
        Err(reason) => Err(Failure::failed(&prefix, &reason)),
    }
}

fn stop(session: &Session, name: &str) -> Outcome {
    let prefix = format!("volume rebalance: {name}");
    let failed = |reason: String| Failure::failed(&prefix, &reason);
    session.change(name, Change::Rebalance { mode: None, task: Uuid::nil(), commit_hash: 0 }, false).map_err(failed)?;
    let (reports, _) = tasks(session, name, false, &prefix)?;
    let text = table(&reports)
        + "rebalance process may be in the middle of a file migration.\nThe process will be fully stopped once the migration of the file is complete.\nPlease check rebalance process for completion before doing any further brick related tasks on the volume.\n"
        + &format!("{prefix}: success");
    session.say(&text, || element(&reports))
}

fn status(session: &Session, name: &str) -> Outcome {
    let prefix = format!("volume rebalance: {name}");
    let (reports, running) = tasks(session, name, false, &prefix)?;
    let estimate = if running { format!("{ESTIMATE}\n") } else { String::new() };
    session.say(&format!("{}{estimate}{prefix}: success", table(&reports)), || element(&reports))
}

/// `remove-brick … status`.
///
/// # Errors
/// [`Failure`].
pub fn removal_status(session: &Session, name: &str, label: &str) -> Outcome {
    let prefix = format!("volume remove-brick {label}");
    let (reports, running) = tasks(session, name, true, &prefix)?;
    let estimate = if running { format!("\n{ESTIMATE}") } else { String::new() };
    session.say(&format!("{}{estimate}", table(&reports).trim_end_matches('\n')), || element(&reports))
}

/// The table of a removal, as `remove-brick … stop` shows it.
///
/// # Errors
/// [`Failure`], if there is none.
pub fn rows(session: &Session, name: &str) -> Result<String, Failure> {
    tasks(session, name, true, "volume remove-brick stop").map(|(reports, _)| table(&reports))
}

/// The servers that have a part in the volume's task, and whether any still works.
fn tasks(session: &Session, name: &str, removal: bool, prefix: &str) -> Result<(Vec<Report>, bool), Failure> {
    let (volume, mut reports) = session.query(name, About::Task).map_err(|reason| Failure::failed(prefix, &reason))?;
    if !removal && volume.set_count() < 2 {
        let why =
            format!("Volume {name} is not a distribute volume or contains only 1 brick.\nNot performing rebalance");
        return Err(Failure::failed(prefix, &why));
    }
    let what = if removal { "remove-brick" } else { "Rebalance" };
    let known = |r: &Report| r.task.as_ref().is_some_and(|t| t.is_removal() == removal);
    if !reports.iter().any(known) {
        return Err(Failure::failed(prefix, &format!("{what} not started for volume {name}.")));
    }
    let concerned = |r: &Report| {
        let own = |t: &Task| !t.is_removal() || t.progress != Default::default();
        known(r) && !r.bricks.is_empty() && r.task.as_ref().is_some_and(own)
    };
    reports.retain(|r| concerned(r) && has_part(r));
    let running = reports.iter().any(|r| r.task.as_ref().is_some_and(Task::is_running));
    Ok((reports, running))
}

/// A server has no part in a removal that concerns none of its bricks.
fn has_part(report: &Report) -> bool {
    use crate::volume::handshake::DefragState::NotStarted;
    report.task.as_ref().is_some_and(|t| t.progress.state != NotStarted)
}

/// The table of progress.
fn table(reports: &[Report]) -> String {
    let all: Vec<(&str, &Task)> = reports.iter().filter_map(|r| Some((r.host.as_str(), r.task.as_ref()?))).collect();
    match all.first() {
        Some((_, task)) if task.mode == DefragMode::FixLayout => layout_table(&all),
        _ => files_table(&all),
    }
}

fn files_table(all: &[(&str, &Task)]) -> String {
    let head = |c: [&str; 8]| {
        let [node, files, size, scanned, failures, skipped, status, time] = c;
        format!(
            "{node:>40} {files:>16} {size:>13} {scanned:>13} {failures:>13} {skipped:>13} {status:>20} {time:>18}\n"
        )
    };
    let names = ["Node", "Rebalanced-files", "size", "scanned", "failures", "skipped", "status", "run time in h:m:s"];
    let rule = "-----------";
    let mut out = head(names) + &head(["---------", rule, rule, rule, rule, rule, "------------", "--------------"]);
    for (host, task) in all {
        let p = &task.progress;
        let (size, status, (h, m, s)) = (human(p.size), state_label(task.mode, p.state), clock(p.seconds));
        let _ = writeln!(
            out,
            "{host:>40} {:>16} {size:>13} {:>13} {:>13} {:>13} {status:>20} {h:>8}:{m:02}:{s:02}",
            p.files, p.scanned, p.failures, p.skipped
        );
    }
    out
}

fn layout_table(all: &[(&str, &Task)]) -> String {
    let mut out = format!("{:>35} {:>41} {:>27}\n", "Node", "status", "run time in h:m:s");
    let _ = writeln!(out, "{:>35} {:>41} {:>27}", "---------", "-----------", "------------");
    for (host, task) in all {
        let (status, (h, m, s)) = (state_label(task.mode, task.progress.state), clock(task.progress.seconds));
        let _ = writeln!(out, "{host:>35} {status:>50} {h:>8}:{m:02}:{s:02}");
    }
    out
}

fn clock(seconds: u64) -> (u64, u64, u64) {
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn element(reports: &[Report]) -> Node {
    let id = reports.iter().find_map(|r| r.task.as_ref()).map(|t| t.id.to_string()).unwrap_or_default();
    let nodes = reports.iter().filter_map(|r| {
        let task = r.task.as_ref()?;
        let p = &task.progress;
        let fields = vec![
            leaf("nodeName", &r.host),
            leaf("id", r.peer),
            leaf("files", p.files),
            leaf("size", p.size),
            leaf("lookups", p.scanned),
            leaf("failures", p.failures),
            leaf("skipped", p.skipped),
            leaf("status", p.state as u8),
            leaf("statusStr", state_label(task.mode, p.state)),
            leaf("runtime", format!("{}.00", p.seconds)),
        ];
        Some(node("node", fields))
    });
    let head = [leaf("task-id", id), leaf("op", 3), leaf("nodeCount", reports.len())];
    node("volRebalance", head.into_iter().chain(nodes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::handshake::{Defrag, DefragState};

    fn report(host: &str, mode: DefragMode, progress: Defrag) -> Report {
        let task = Task { id: Uuid::nil(), mode, bricks: vec![], progress };
        Report { host: host.into(), task: Some(task), ..Report::default() }
    }

    /// The captured table, to the byte.
    #[test]
    fn rebalance_status_is_the_captured_table() {
        let done = Defrag { files: 5, size: 10, scanned: 48, state: DefragState::Completed, ..Defrag::default() };
        let runs = Defrag {
            files: 16,
            size: 56,
            scanned: 58,
            seconds: 1,
            state: DefragState::InProgress,
            ..Defrag::default()
        };
        let expected = "                                    Node Rebalanced-files          size       scanned      failures       skipped               status  run time in h:m:s\n                               ---------      -----------   -----------   -----------   -----------   -----------         ------------     --------------\n                                   node2                5       10Bytes            48             0             0            completed        0:00:00\n                               localhost               16       56Bytes            58             0             0          in progress        0:00:01\n";
        let mode = DefragMode::Rebalance;
        assert_eq!(table(&[report("node2", mode, done), report("localhost", mode, runs)]), expected);
    }

    /// fix-layout has a table of its own.
    #[test]
    fn fix_layout_has_its_own_table() {
        let done = Defrag { state: DefragState::Completed, seconds: 3661, ..Defrag::default() };
        let text = table(&[report("localhost", DefragMode::FixLayout, done)]);
        let last = text.lines().last().unwrap();
        assert_eq!(last, format!("{:>35} {:>50} {:>8}:01:01", "localhost", "fix-layout completed", 1));
    }
}

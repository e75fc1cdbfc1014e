//! `volume add-brick`, `remove-brick`, `replace-brick`, `reset-brick`.

use uuid::Uuid;

use super::session::{Failure, Outcome, Session};
use super::task;
use super::volume::{accepts_replica_2, brick, counts, misused, new_bricks, split_force};
use super::xml::{leaf, node};
use crate::volume::manager::op::{Change, Removal};
use crate::volume::manager::protocol::Answer;

/// Pattern of `volume add-brick`.
pub const ADD: &str = "volume add-brick <VOLNAME> [<replica> <COUNT> [arbiter <COUNT>]] <NEW-BRICK> ... [force]";
/// Pattern of `volume remove-brick`.
pub const REMOVE: &str = "volume remove-brick <VOLNAME> [replica <COUNT>] <BRICK> ... <start|stop|status|commit|force>";
/// Pattern of `volume replace-brick`.
pub const REPLACE: &str = "volume replace-brick <VOLNAME> <SOURCE-BRICK> <NEW-BRICK> {commit force}";
/// Pattern of `volume reset-brick`.
pub const RESET: &str = "volume reset-brick <VOLNAME> <SOURCE-BRICK> {{start} | {<NEW-BRICK> commit}}";

const FORCE_MIGRATION: &str = "It is recommended that remove-brick be run with cluster.force-migration option disabled to prevent possible data corruption. Doing so will ensure that files that receive writes during migration will not be migrated and will need to be manually copied after the remove-brick commit operation. Please check the value of the option and update accordingly. \nDo you want to continue with your current cluster.force-migration settings?";
const FORCE_QUESTION: &str = "Remove-brick force will not migrate files from the removed bricks, so they will no longer be available on the volume.\nDo you want to continue?";
const COMMITTED: &str = "Check the removed bricks to ensure all files are migrated.\nIf files with data are found on the brick path, copy them via a gluster mount point before re-purposing the removed brick. ";
const STOPPING: &str = "'remove-brick' process may be in the middle of a file migration.\nThe process will be fully stopped once the migration of the file is complete.\nPlease check remove-brick process for completion before doing any further brick related tasks on the volume.";

/// Other than when a volume is created, both ways to count are not taken.
const ARBITER_COUNT: &str = "For arbiter configuration, replica count must be 3 and arbiter count must be 1. The 3rd brick of the replica will be the arbiter";

/// `volume add-brick`.
///
/// # Errors
/// [`Failure`].
pub fn add(session: &Session, words: &[&str]) -> Outcome {
    let Some((name, rest)) = words.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Err(Failure::Usage(ADD));
    };
    let (counts, rest) = counts(rest).map_err(|said| misused(said, ADD))?;
    if matches!(words, [_, "replica", "2", "arbiter", "1", ..]) {
        return Err(misused(Some(ARBITER_COUNT.into()), ADD));
    }
    let (words, force) = split_force(rest);
    let bricks = new_bricks(words).map_err(|said| misused(Some(said), ADD))?;
    if bricks.is_empty() || !accepts_replica_2(session, &counts) {
        return Err(Failure::Usage(ADD));
    }
    let change = Change::AddBrick { bricks, replica: counts.replica.unwrap_or(0), arbiter: counts.arbiter };
    match session.change(name, change, force || session.forced) {
        Ok(_) => session.say("volume add-brick: success", || node("volAddBrick", vec![leaf("output", "success")])),
        Err(reason) => Err(Failure::failed("volume add-brick", &reason)),
    }
}

/// The last word of `remove-brick`.
#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Do(Removal),
    Status,
}

/// `volume remove-brick`.
///
/// # Errors
/// [`Failure`].
pub fn remove(session: &Session, words: &[&str]) -> Outcome {
    let [name, middle @ .., last] = words else { return Err(Failure::Usage(REMOVE)) };
    let (verb, label) = match *last {
        "start" => (Verb::Do(Removal::Start), "start"),
        "commit" => (Verb::Do(Removal::Commit), "commit"),
        "stop" => (Verb::Do(Removal::Stop), "stop"),
        "force" => (Verb::Do(Removal::Force), "commit force"),
        "status" => (Verb::Status, "status"),
        _ => return Err(Failure::Usage(REMOVE)),
    };
    let (replica, middle) = match middle {
        ["replica", n, rest @ ..] => (n.parse().map_err(|_| Failure::Usage(REMOVE))?, rest),
        rest => (0, rest),
    };
    let bricks: Result<Vec<_>, _> = middle.iter().map(|word| brick(word)).collect();
    let bricks = bricks.map_err(|said| misused(Some(said), REMOVE))?;
    if bricks.is_empty() {
        return Err(Failure::Usage(REMOVE));
    }
    match verb {
        Verb::Status => task::removal_status(session, name, label),
        Verb::Do(action) => carry_out(session, name, (bricks, replica), action, label),
    }
}

type Which = (Vec<(String, String)>, usize);

fn carry_out(session: &Session, name: &str, (bricks, replica): Which, action: Removal, label: &str) -> Outcome {
    let question = match action {
        Removal::Start => Some(FORCE_MIGRATION),
        Removal::Force => Some(FORCE_QUESTION),
        Removal::Commit | Removal::Stop => None,
    };
    if question.is_some_and(|question| !session.confirm(question)) {
        return Ok(0);
    }
    let prefix = format!("volume remove-brick {label}");
    let table = if action == Removal::Stop { task::rows(session, name).ok() } else { None };
    let change = Change::RemoveBrick { bricks, replica, action, task: Uuid::nil() };
    let answer = session.change(name, change, false).map_err(|reason| Failure::failed(&prefix, &reason))?;
    let text = match (action, &answer) {
        (Removal::Start, Answer::Task(id)) => format!("{prefix}: success\nID: {id}"),
        (Removal::Commit, _) => format!("{prefix}: success\n{COMMITTED}"),
        (Removal::Stop, _) => table.unwrap_or_default() + STOPPING,
        _ => format!("{prefix}: success"),
    };
    let id = if let Answer::Task(id) = answer { id.to_string() } else { String::new() };
    session.say(&text, || node("volRemoveBrick", vec![leaf("task-id", id)]))
}

/// `volume replace-brick`.
///
/// # Errors
/// [`Failure`].
pub fn replace(session: &Session, words: &[&str]) -> Outcome {
    let [name, old, new, "commit", "force"] = words else { return Err(Failure::Usage(REPLACE)) };
    let old = brick(old).map_err(|said| misused(Some(said), REPLACE))?;
    let mut new = new_bricks(&[new]).map_err(|said| misused(Some(said), REPLACE))?;
    let change = Change::ReplaceBrick { old, new: new.remove(0) };
    match session.change(name, change, true) {
        Ok(_) => session.say("volume replace-brick: success: replace-brick commit force operation successful", || {
            node("volReplaceBrick", vec![leaf("output", "replace-brick commit force operation successful")])
        }),
        Err(reason) => Err(Failure::failed("volume replace-brick", &reason)),
    }
}

/// `volume reset-brick`.
///
/// # Errors
/// [`Failure`].
pub fn reset(session: &Session, words: &[&str]) -> Outcome {
    let (name, old, new, force) = match words {
        [name, old, "start"] => (name, old, None, false),
        [name, old, new, "commit"] => (name, old, Some(new), false),
        [name, old, new, "commit", "force"] => (name, old, Some(new), true),
        _ => return Err(Failure::Usage(RESET)),
    };
    let old = brick(old).map_err(|said| misused(Some(said), RESET))?;
    let new = new.map(|new| new_bricks(&[new])).transpose().map_err(|said| misused(Some(said), RESET))?;
    let verb = match (&new, force) {
        (None, _) => "start",
        (Some(_), false) => "commit",
        (Some(_), true) => "commit force",
    };
    let change = Change::ResetBrick { old, new: new.and_then(|mut bricks| bricks.pop()) };
    let text = format!("reset-brick {verb} operation successful");
    match session.change(name, change, force) {
        Ok(_) => session.say(&format!("volume reset-brick: success: {text}"), || {
            node("volResetBrick", vec![leaf("output", &text)])
        }),
        Err(reason) => Err(Failure::failed("volume reset-brick", &reason)),
    }
}

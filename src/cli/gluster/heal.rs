//! `volume heal`: starts healing, switches it on and off, and counts what waits for it.

mod waiting;

use super::session::{Failure, Outcome, Session};
use super::status::by_brick;
use super::xml::{leaf, node};
use crate::volume::manager::op::Change;
use crate::volume::manager::protocol::{About, Report};

/// Pattern of `volume heal`.
pub const HEAL: &str = "volume heal <VOLNAME> [enable | disable | full |statistics [heal-count [replica <HOSTNAME:BRICKNAME>]] |info [summary | split-brain] |split-brain {bigger-file <FILE> | latest-mtime <FILE> |source-brick <HOSTNAME:BRICKNAME> [<FILE>]} |granular-entry-heal {enable | disable}]";

/// `volume heal`.
///
/// # Errors
/// [`Failure`].
pub fn heal(session: &Session, words: &[&str]) -> Outcome {
    match words {
        [name] => launch(session, name, false),
        [name, "full"] => launch(session, name, true),
        [name, "enable"] => switch(session, name, "cluster.self-heal-daemon", true),
        [name, "disable"] => switch(session, name, "cluster.self-heal-daemon", false),
        [name, "granular-entry-heal", "enable"] => switch(session, name, "cluster.granular-entry-heal", true),
        [name, "granular-entry-heal", "disable"] => switch(session, name, "cluster.granular-entry-heal", false),
        [name, "statistics", "heal-count"] => count(session, name, None),
        [name, "statistics", "heal-count", "replica", brick] => count(session, name, Some(brick)),
        [_, "statistics", ..] => {
            Err(Failure::text("gluster has `volume heal statistics`, terrarium does not: try `statistics heal-count`"))
        }
        [name, "info", rest @ ..] => waiting::info(session, name, rest),
        [name, "split-brain", rest @ ..] => waiting::resolve(session, name, rest),
        _ => Err(Failure::Usage(HEAL)),
    }
}

fn launch(session: &Session, name: &str, full: bool) -> Outcome {
    let kind = if full { "full" } else { "index" };
    let what = format!("Launching heal operation to perform {kind} self heal on volume {name} has been");
    let unsuccessful = |reason: &str| Failure::text(format!("{what} unsuccessful:\n{reason}"));
    let (volume, reports) = session.query(name, About::Status).map_err(|reason| unsuccessful(&reason))?;
    if let Some(host) = down(&volume, &reports) {
        return Err(unsuccessful(&if full {
            format!("Commit failed on {host}. Please check log file for details.")
        } else {
            "Glusterd Syncop Mgmt brick op 'Heal' failed. Please check glustershd log file for details.".into()
        }));
    }
    session.query(name, About::Heal(full)).map_err(|reason| unsuccessful(&reason))?;
    // The real tool has no XML for this.
    println!("{what} successful \nUse heal info commands to check status.");
    Ok(0)
}

/// The first server that has a brick that does not run, or that does not answer.
fn down(volume: &crate::volume::definition::Volume, reports: &[Report]) -> Option<String> {
    let up = |index: usize| by_brick(reports).iter().any(|b| b.index == index && b.pid.is_some());
    volume.bricks.iter().enumerate().find(|(index, _)| !up(*index)).map(|(_, brick)| brick.host.clone())
}

fn switch(session: &Session, name: &str, key: &str, on: bool) -> Outcome {
    let verb = if on { "Enable" } else { "Disable" };
    let what = if key.ends_with("granular-entry-heal") { "granular entry heal" } else { "heal" };
    let value = match (key, on) {
        ("cluster.self-heal-daemon", true) => "enable",
        ("cluster.self-heal-daemon", false) => "disable",
        (_, true) => "on",
        (_, false) => "off",
    };
    let outcome = session.change(name, Change::Set(vec![(key.into(), value.into())]), false);
    match outcome {
        Ok(_) => {
            session.say(&format!("{verb} {what} on volume {name} has been successful "), || node("volHeal", vec![]))
        }
        Err(reason) => Err(Failure::text(format!("{verb} {what} on volume {name} has been unsuccessful:\n{reason}"))),
    }
}

/// Counts what waits on each brick, or on those of one brick's set.
fn count(session: &Session, name: &str, of: Option<&str>) -> Outcome {
    let each = if of.is_some() { "per replica " } else { "" };
    let what = format!("Gathering count of entries to be healed {each}on volume {name} has been");
    let failed = |reason: String| Failure::text(format!("{what} unsuccessful:\n{reason}"));
    let (volume, reports) = session.query(name, About::HealCount).map_err(failed)?;
    let replica = volume.replica.max(1);
    let set = of.map(|one| volume.bricks.iter().position(|b| b.name() == one).map(|index| index / replica));
    if set == Some(None) {
        return Err(failed(format!("No brick {} in volume {name}", of.unwrap_or_default())));
    }
    let wanted = |index: usize| set.flatten().is_none_or(|set| index / replica == set);
    let mut text = format!("{what} successful ");
    let mut elements = vec![];
    for report in by_brick(&reports).into_iter().filter(|r| wanted(r.index)) {
        let Some(brick) = volume.bricks.get(report.index).map(|b| b.name()) else { continue };
        let entries = report.value.as_ref().and_then(|v| v.as_ref().ok()).and_then(serde_json::Value::as_u64);
        text += &match entries {
            Some(n) => format!("\n\nBrick {brick}\nNumber of entries: {n}"),
            None => format!("\n\nBrick {brick}\nStatus: Brick is not connected\nNo gathered input for this brick"),
        };
        let shown = entries.map_or("-".into(), |n| n.to_string());
        elements.push(node("brick", vec![leaf("name", brick), leaf("numberOfEntries", shown)]));
    }
    session.say(&text, || node("healInfo", vec![node("bricks", elements)]))
}

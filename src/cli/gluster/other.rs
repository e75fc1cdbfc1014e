//! What administers the processes of a volume rather than its data: dumps of their state, their logs, locks that somebody left
//! behind, and what the manager tells of itself (`system::`).

use super::session::{Failure, Outcome, Session};
use super::status::by_brick;
use super::xml::leaf;
use crate::volume::handshake::BrickAsk;
use crate::volume::manager::protocol::{About, Answer, Ask, Report};
use crate::volume::volfile;

/// Pattern of `volume statedump`.
pub const STATEDUMP: &str = "volume statedump <VOLNAME> [[nfs|quotad] [all|mem|iobuf|callpool|priv|fd|inode|history]... | [client <hostname:process-id>]]";
/// Pattern of `volume log`.
pub const LOG: &str = "volume log <VOLNAME> rotate [BRICK]";
/// Pattern of `volume sync`.
pub const SYNC: &str = "volume sync <HOSTNAME> [all|<VOLNAME>]";
/// Pattern of `volume clear-locks`.
pub const CLEAR_LOCKS: &str =
    "volume clear-locks <VOLNAME> <path> kind {blocked|granted|all}{inode [range]|entry [basename]|posix [range]}";
/// Patterns of `system::`.
pub const SYSTEM: [&str; 4] = [
    "system:: getspec <VOLNAME> - fetch the volume file for the volume <VOLNAME>",
    "system:: getwd - query glusterd work directory",
    "system:: help - display help for system commands",
    "system:: uuid get - get uuid of glusterd",
];

/// What a dump may be narrowed to; here it is always whole.
const PARTS: [&str; 8] = ["all", "mem", "iobuf", "callpool", "priv", "fd", "inode", "history"];

const SYNC_QUESTION: &str =
    "Sync volume may make data inaccessible while the sync is in progress. Do you want to continue?";

/// `volume statedump V […]`.
///
/// # Errors
/// [`Failure`].
pub fn statedump(session: &Session, words: &[&str]) -> Outcome {
    let (name, parts) = words.split_first().ok_or(Failure::Usage(STATEDUMP))?;
    if let ["client", ..] | ["nfs" | "quotad", ..] = parts {
        let what = parts[0];
        return Err(Failure::text(format!("gluster has `volume statedump … {what}`, terrarium does not")));
    }
    if parts.iter().any(|part| !PARTS.contains(part)) {
        return Err(misread(STATEDUMP));
    }
    session.query(name, About::Statedump).map_err(|reason| Failure::failed("volume statedump", &reason))?;
    session.say("volume statedump: success", || leaf("volStatedump", ""))
}

/// What is said to options that are none.
fn misread(pattern: &str) -> Failure {
    eprintln!("\nUsage:\n{pattern}\n\nError parsing options");
    Failure::Said(1)
}

/// `volume log V rotate [BRICK]`.
///
/// # Errors
/// [`Failure`].
pub fn log(session: &Session, words: &[&str]) -> Outcome {
    let (name, brick) = match words {
        [name, "rotate"] => (name, None),
        [name, "rotate", brick] => (name, Some((*brick).to_owned())),
        _ => return Err(Failure::Usage(LOG)),
    };
    let failed = |reason: String| Failure::failed("volume log-rotate", &reason);
    let (_, reports) = session.query(name, About::Rotate(brick)).map_err(failed)?;
    match refusal(&reports) {
        Some(reason) => Err(failed(reason)),
        None => session.say("volume log-rotate: success", || leaf("volLogRotate", "")),
    }
}

/// The first brick that could not do it, and why.
fn refusal(reports: &[Report]) -> Option<String> {
    by_brick(reports).into_iter().find_map(|brick| brick.value.as_ref()?.as_ref().err().cloned())
}

/// `volume sync HOST [V]`: the managers compare their volumes by themselves when they meet; so there is nothing left to do.
///
/// # Errors
/// [`Failure`].
pub fn sync(session: &Session, words: &[&str]) -> Outcome {
    let host = match words {
        [host] | [host, _] => *host,
        _ => return Err(Failure::Usage(SYNC)),
    };
    if !session.confirm(SYNC_QUESTION) {
        return Ok(0);
    }
    let failed = |reason: &str| Failure::failed("volume sync", reason);
    if session.place.is_here(host) {
        return Err(failed("sync from localhost not allowed"));
    }
    let Answer::Peers { peers, .. } = session.ask(&Ask::Peers).map_err(|e| failed(&e))? else {
        return Err(super::volume::misunderstood());
    };
    let peer = peers.iter().find(|(peer, _)| peer.is_named(host));
    let (_, connected) = peer.ok_or_else(|| failed(&format!("{host}, is not a friend")))?;
    if !connected {
        return Err(failed(&format!("{host}, is not connected at the moment")));
    }
    if let [_, volume] = words
        && *volume != "all"
    {
        session.volumes(Some(volume)).map_err(|e| failed(&e))?;
    }
    session.say("volume sync: success", || leaf("volSync", ""))
}

/// `volume clear-locks V PATH kind KIND posix`.
///
/// # Errors
/// [`Failure`].
pub fn clear_locks(session: &Session, words: &[&str]) -> Outcome {
    let [name, path, "kind", kind, what, ..] = words else { return Err(Failure::Usage(CLEAR_LOCKS)) };
    if !matches!(*kind, "blocked" | "granted" | "all") || !matches!(*what, "inode" | "entry" | "posix") {
        return Err(misread(CLEAR_LOCKS));
    }
    let failed = |reason: &str| Failure::text(format!("Volume clear-locks unsuccessful\n{reason}"));
    if *what != "posix" {
        let why = "its clients give the locks of their own changes back by themselves";
        return Err(Failure::text(format!("gluster has `clear-locks … {what}`, terrarium does not: {why}")));
    }
    let ask = if *kind == "blocked" { BrickAsk::Calls } else { BrickAsk::Unlock { path: (*path).into() } };
    let (volume, reports) = session.query(name, About::Bricks(ask)).map_err(|e| failed(&e))?;
    let mut text = "Volume clear-locks successful".to_owned();
    let mut found = false;
    for report in by_brick(&reports) {
        let Some(brick) = volume.bricks.get(report.index).map(|b| b.name()) else { continue };
        let Some(Ok(value)) = &report.value else { continue };
        found = true;
        text += &match value.as_u64() {
            Some(n) if n > 0 => format!("\n{brick}/: posix blocked locks=0 granted locks={n}"),
            _ => "\nNo locks cleared.".to_owned(),
        };
    }
    if !found {
        let why = refusal(&reports).unwrap_or_else(|| "Couldn't get port numbers of local bricks".into());
        return Err(failed(&format!("clear-locks getxattr command failed. Reason: {why}")));
    }
    session.say(&text, || leaf("volClearLocks", ""))
}

/// `system::`.
///
/// # Errors
/// [`Failure`].
pub fn system(session: &Session, words: &[&str]) -> Outcome {
    match words {
        ["getwd"] => session.say(&session.place.state.display().to_string(), || leaf("getwd", "")),
        ["uuid", "get"] => match session.ask(&Ask::Peers).map_err(Failure::text)? {
            Answer::Peers { own, .. } => session.say(&format!("UUID: {own}"), || leaf("uuid", own)),
            _ => Err(super::volume::misunderstood()),
        },
        ["getspec", name] => {
            let volumes = session.volumes(Some(name)).map_err(|_| Failure::Said(1))?;
            volumes.iter().for_each(|v| print!("{}", volfile::text(&volfile::mount(v, true))));
            Ok(0)
        }
        ["help"] => session.say(&SYSTEM.join("\n"), || leaf("help", "")),
        [other, ..] => Err(Failure::text(format!("gluster has `system:: {other}`, terrarium does not"))),
        [] => super::table::unrecognized(&["system::"]),
    }
}

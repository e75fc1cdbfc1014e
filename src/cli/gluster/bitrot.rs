//! `volume bitrot`: the scrub that finds corrupted copies. Texts as of GlusterFS 10.3; how it finds them is
//! [`crate::volume::scrub`]'s own: it compares copies, and signs nothing.

use std::fmt::Write as _;

use super::session::{Failure, Outcome, Session};
use super::xml::node;
use crate::volume::definition::Volume;
use crate::volume::handshake::ScrubReport;
use crate::volume::manager::op::Change;
use crate::volume::manager::protocol::{About, Report};
use crate::volume::options;

/// Patterns of `volume bitrot`.
pub const BITROT: &str = "volume bitrot <VOLNAME> {enable|disable}\nvolume bitrot <VOLNAME> signing-time <time-in-secs>\nvolume bitrot <VOLNAME> signer-threads <count>\nvolume bitrot <volname> scrub-throttle {lazy|normal|aggressive}\nvolume bitrot <volname> scrub-frequency {hourly|daily|weekly|biweekly|monthly}\nvolume bitrot <volname> scrub {pause|resume|status|ondemand}";

const THROTTLES: [&str; 3] = ["lazy", "normal", "aggressive"];
const FREQUENCIES: [&str; 5] = ["hourly", "daily", "weekly", "biweekly", "monthly"];

/// `volume bitrot`.
///
/// # Errors
/// [`Failure`].
pub fn bitrot(session: &Session, words: &[&str]) -> Outcome {
    match words {
        [name, "enable"] => {
            let said = format!("success bitrot enabled for volume {name}");
            change(session, name, &[("features.bitrot", "on"), ("features.scrub", "Active")], &said)
        }
        [name, "disable"] => change(session, name, &[], &format!("success bitrot disabled for volume {name}")),
        [name, "scrub-throttle", word] if THROTTLES.contains(word) => {
            let said = format!("scrub-throttle is set to {word} successfully for volume {name}");
            change(session, name, &[("features.scrub-throttle", word)], &said)
        }
        [name, "scrub-frequency", word] if FREQUENCIES.contains(word) => {
            let said = format!("scrub-frequency is set to {word} successfully for volume {name}");
            change(session, name, &[("features.scrub-freq", word)], &said)
        }
        [name, "scrub", "pause"] => {
            change(session, name, &[("features.scrub", "pause")], &format!("scrubber paused for volume {name}"))
        }
        [name, "scrub", "resume"] => {
            change(session, name, &[("features.scrub", "Active")], &format!("scrubber resumed for volume {name}"))
        }
        [name, "scrub", "ondemand"] => {
            session.query(name, About::Scrub).map_err(refused)?;
            session.say(&format!("volume bitrot: scrubber started ondemand for volume {name}"), || {
                node("volBitrot", vec![])
            })
        }
        [name, "scrub", "status"] => status(session, name),
        [_, "signing-time" | "signer-threads", _] => Err(Failure::text(
            "gluster signs files to find corruption, terrarium does not: its scrub compares the copies of each file",
        )),
        [_, "scrub-throttle", _] => wrong("Invalid scrub-throttle option for bitrot"),
        [_, "scrub-frequency", _] => wrong("Invalid frequency option for bitrot"),
        [_, "scrub", _] => wrong("Invalid scrub option for bitrot"),
        _ => Err(Failure::Usage(BITROT)),
    }
}

fn wrong(line: &str) -> Outcome {
    eprintln!("{line}");
    Err(Failure::Usage(BITROT))
}

fn refused(reason: String) -> Failure {
    Failure::Text { said: format!("Bitrot command failed : {reason}"), reason, code: 1 }
}

fn change(session: &Session, name: &str, set: &[(&str, &str)], said: &str) -> Outcome {
    let options = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    session.change(name, Change::Bitrot(options), false).map_err(|reason| {
        // The reason of another server says which it was; the tool does not.
        refused(reason.rsplit_once(". Error: ").map_or(reason.clone(), |(_, why)| why.to_owned()))
    })?;
    session.say(&format!("volume bitrot: {said}"), || node("volBitrot", vec![]))
}

fn status(session: &Session, name: &str) -> Outcome {
    let (volume, reports) = session.query(name, About::Scrubbed).map_err(refused)?;
    if session.xml {
        return Err(Failure::text("gluster has no XML for `volume bitrot scrub status`: leave --xml away"));
    }
    print!("{}", told(&volume, &reports));
    Ok(0)
}

/// What all servers found.
fn told(volume: &Volume, reports: &[Report]) -> String {
    let busy = reports.iter().any(|r| r.scrub.as_ref().is_some_and(|s| s.running));
    let state = match volume.option("features.scrub") {
        Some("pause") => "Paused",
        _ if busy => "Active (In Progress)",
        _ => "Active (Idle)",
    };
    let mut out = format!("\nVolume name : {}\n\nState of scrub: {state}\n\n", volume.name);
    let _ = writeln!(out, "Scrub impact: {}\n", options::value(volume, "features.scrub-throttle"));
    let _ = writeln!(out, "Scrub frequency: {}\n", options::value(volume, "features.scrub-freq"));
    out.push_str("Bitrot error log location: /var/log/glusterfs/bitd.log\n\n");
    out.push_str("Scrubber error log location: /var/log/glusterfs/scrub.log\n\n");
    for report in reports.iter().filter(|r| !r.bricks.is_empty()) {
        out.push_str(&node_part(report));
    }
    out + "=========================================================\n\n"
}

fn node_part(report: &Report) -> String {
    let scrub = report.scrub.clone().unwrap_or_default();
    let ScrubReport { files, skipped, ended, seconds, bad, .. } = &scrub;
    let last = match ended {
        0 => "Scrubber pending to complete.".to_owned(),
        at => crate::volume::manager::timestamp_of(*at),
    };
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let mut out = format!(
        "\n=========================================================\n\nNode: {}\n\nNumber of Scrubbed files: {files}\n\n\
         Number of Skipped files: {skipped}\n\nLast completed scrub time: {last}\n\n\
         Duration of last scrub (D:M:H:M:S): {days}:{hours}:{minutes}:{}\n\nError count: {}\n\n",
        report.host,
        seconds % 60,
        bad.len()
    );
    if !bad.is_empty() {
        out.push_str("Corrupted object's [GFID]:\n\n");
        for (gfid, brick, path) in bad {
            let _ = writeln!(out, "{gfid} ==> BRICK: {brick}\n path: {path}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The captured shape: a server that found something names the gfid, the brick and the path.
    #[test]
    fn what_was_found_is_the_captured_shape() {
        let bad = vec![("1607253e-9bb2-4f1d-8ce6-399e5e8af015".into(), "/srv/b/1".into(), "/f".into())];
        let scrub = ScrubReport { files: 2, skipped: 1, ended: 1_795_465_018, seconds: 1, bad, ..Default::default() };
        let report = Report { host: "localhost".into(), scrub: Some(scrub), ..Report::default() };
        let expected = "\n=========================================================\n\nNode: localhost\n\n\
            Number of Scrubbed files: 2\n\nNumber of Skipped files: 1\n\n\
            Last completed scrub time: 2026-11-23 20:16:58 +0000\n\nDuration of last scrub (D:M:H:M:S): 0:0:0:1\n\n\
            Error count: 1\n\nCorrupted object's [GFID]:\n\n\
            1607253e-9bb2-4f1d-8ce6-399e5e8af015 ==> BRICK: /srv/b/1\n path: /f\n\n";
        assert_eq!(node_part(&report), expected);
    }
}

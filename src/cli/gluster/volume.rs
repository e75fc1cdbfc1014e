//! `volume create`, `start`, `stop`, `delete`.

use uuid::Uuid;

use super::session::{Failure, MISUNDERSTOOD, Outcome, Session};
use super::xml::{leaf, node};
use crate::volume::definition::{Brick, Status, Volume};
use crate::volume::manager::op::Change;

/// Pattern of `volume create`.
pub const CREATE: &str = "volume create <NEW-VOLNAME> [[replica <COUNT> [arbiter <COUNT>]]|[replica 2 thin-arbiter 1]] [disperse [<COUNT>]] [disperse-data <COUNT>] [redundancy <COUNT>] [transport <tcp|rdma|tcp,rdma>] <NEW-BRICK> <TA-BRICK>... [force]";
/// Pattern of `volume delete`.
pub const DELETE: &str = "volume delete <VOLNAME>";
/// Pattern of `volume start`.
pub const START: &str = "volume start <VOLNAME> [force]";
/// Pattern of `volume stop`.
pub const STOP: &str = "volume stop <VOLNAME> [force]";

const REPLICA_2: &str = "Replica 2 volumes are prone to split-brain. Use Arbiter or Replica 3 to avoid this. See: http://docs.gluster.org/en/latest/Administrator-Guide/Split-brain-and-ways-to-deal-with-it/.\nDo you still want to continue?\n";
const STOP_QUESTION: &str = "Stopping volume will make its data inaccessible. Do you want to continue?";
const DELETE_QUESTION: &str = "Deleting volume will erase all information about the volume. Do you want to continue?";

/// What stands between a command's name and its bricks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `replica N`.
    pub replica: Option<usize>,
    /// `arbiter N`.
    pub arbiter: usize,
}

/// Takes `replica N [arbiter N]`, `transport tcp` off the words; what is left are bricks.
///
/// # Errors
/// The line that is said before the usage, or that terrarium does not have it.
pub fn counts<'a>(mut words: &'a [&'a str]) -> Result<(Counts, &'a [&'a str]), Option<String>> {
    let mut counts = Counts::default();
    loop {
        words = match words {
            ["replica", n, rest @ ..] => {
                let n = n.parse().unwrap_or(0);
                if n < 2 {
                    return Err(Some("replica count should be greater than 1".into()));
                }
                counts.replica = Some(n);
                rest
            }
            ["arbiter", n, rest @ ..] => {
                counts.arbiter = arbiter(n, counts.replica)?;
                rest
            }
            ["thin-arbiter", ..] => return Err(Some("gluster has thin arbiters, terrarium does not".into())),
            ["stripe", ..] => return Err(Some("stripe option not supported".into())),
            ["disperse" | "disperse-data" | "redundancy", ..] => {
                return Err(Some("gluster has dispersed volumes, terrarium does not".into()));
            }
            ["transport", "tcp", rest @ ..] => rest,
            ["transport", kind @ ("rdma" | "tcp,rdma" | "rdma,tcp"), ..] => {
                return Err(Some(format!("gluster has transport {kind}, terrarium does not: it has tcp alone")));
            }
            ["transport", kind, ..] => {
                return Err(Some(format!("incorrect transport protocol specified: {kind}")));
            }
            _ => break,
        };
    }
    if counts.arbiter == 1 {
        counts.replica = Some(3);
    }
    Ok((counts, words))
}

fn arbiter(count: &str, replica: Option<usize>) -> Result<usize, Option<String>> {
    if count == "1" && matches!(replica, Some(2 | 3)) {
        return Ok(1);
    }
    Err(Some(
        "For arbiter configuration, replica count must be 2 and arbiter count must be 1. The 3rd brick of the replica will be the arbiter"
            .into(),
    ))
}

/// Splits bricks from a `force` at the end.
pub fn split_force<'a>(words: &'a [&'a str]) -> (&'a [&'a str], bool) {
    match words {
        [bricks @ .., "force"] => (bricks, true),
        bricks => (bricks, false),
    }
}

/// Reads `HOST:/PATH…`, each of them once, no loopback address.
///
/// # Errors
/// The line that is said before the usage.
pub fn new_bricks(words: &[&str]) -> Result<Vec<Brick>, String> {
    let mut bricks: Vec<Brick> = vec![];
    for word in words {
        let (host, path) = brick(word)?;
        if is_loopback(&host) {
            return Err("Please provide a valid hostname/ip other than localhost, 127.0.0.1 or loopback address (0.0.0.0 to 0.255.255.255).".into());
        }
        if bricks.iter().any(|b| b.host == host && b.path == path) {
            return Err(format!("Found duplicate exports {host}:{path}"));
        }
        bricks.push(Brick { host, path, peer: Uuid::nil(), slot: 0, port: 0, decommissioned: false });
    }
    Ok(bricks)
}

/// `HOST:/PATH` → (host, path without doubled or trailing slashes).
///
/// # Errors
/// The line that is said before the usage.
pub fn brick(word: &str) -> Result<(String, String), String> {
    let wrong = || format!("Wrong brick type: {word}, use <HOSTNAME>:<export-dir-abs-path>");
    let (host, path) = word.rsplit_once(":/").ok_or_else(wrong)?;
    if host.is_empty() {
        return Err(wrong());
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Ok((host.into(), format!("/{}", parts.join("/"))))
}

/// Outside of the world a loopback address may be a server: then it is known by a name of its own.
fn is_loopback(host: &str) -> bool {
    let zero =
        host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.octets()[0] == 0 || ip == std::net::Ipv4Addr::LOCALHOST);
    host == "localhost" || host == "::1" || zero
}

fn check_name(name: &str) -> Result<(), String> {
    if name == "all" {
        return Err("\"all\" cannot be the name of a volume.".into());
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(fine) {
        return Err("Volume names can onlycontain alphanumeric, '-' and '_' characters.".into());
    }
    Ok(())
}

/// Says a line on standard error, then the usage follows.
pub fn misused(said: Option<String>, pattern: &'static str) -> Failure {
    let absent = said.as_deref().is_some_and(|text| text.starts_with("gluster has"));
    match said {
        Some(text) if absent => Failure::text(text),
        Some(text) => {
            eprintln!("{text}");
            Failure::Usage(pattern)
        }
        None => Failure::Usage(pattern),
    }
}

/// The warning about replica 2; `false` if the person does not want it.
pub fn accepts_replica_2(session: &Session, counts: &Counts) -> bool {
    counts.replica != Some(2) || session.confirm(REPLICA_2)
}

/// `volume create`.
///
/// # Errors
/// [`Failure`].
pub fn create(session: &Session, words: &[&str]) -> Outcome {
    let Some((name, rest)) = words.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Err(Failure::Usage(CREATE));
    };
    check_name(name).map_err(|said| misused(Some(said), CREATE))?;
    let (counts, rest) = counts(rest).map_err(|said| misused(said, CREATE))?;
    let (bricks, force) = split_force(rest);
    if bricks.is_empty() || !accepts_replica_2(session, &counts) {
        return Err(Failure::Usage(CREATE));
    }
    let bricks = new_bricks(bricks).map_err(|said| misused(Some(said), CREATE))?;
    let volume = Volume {
        name: (*name).into(),
        id: Uuid::nil(),
        status: Status::Created,
        replica: counts.replica.unwrap_or(1),
        arbiter: counts.arbiter,
        bricks,
        options: vec![],
        version: 1,
        commit_hash: 1,
    };
    let outcome = session.change(name, Change::Create(Box::new(volume)), force || session.forced);
    conclude(session, "volume create", "volCreate", name, outcome.map(drop), ": please start the volume to access data")
}

/// Says how a change of a volume went: `volume start: gv0: success`.
fn conclude(
    session: &Session,
    command: &str,
    tag: &str,
    name: &str,
    outcome: Result<(), String>,
    more: &str,
) -> Outcome {
    outcome.map_err(|reason| Failure::failed(&format!("{command}: {name}"), &reason))?;
    let id = if session.xml { session.volumes(Some(name)).ok().and_then(|v| v.first().map(|v| v.id)) } else { None };
    session.say(&format!("{command}: {name}: success{more}"), || named(tag, name, id))
}

fn named(tag: &str, name: &str, id: Option<Uuid>) -> super::xml::Node {
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    node(tag, vec![node("volume", vec![leaf("name", name), leaf("id", id)])])
}

/// `volume start V [force]`.
///
/// # Errors
/// [`Failure`].
pub fn start(session: &Session, words: &[&str]) -> Outcome {
    let (name, force) = name_and_force(words, START)?;
    let outcome = session.change(name, Change::Start, force).map(drop);
    conclude(session, "volume start", "volStart", name, outcome, "")
}

/// `volume stop V [force]`.
///
/// # Errors
/// [`Failure`].
pub fn stop(session: &Session, words: &[&str]) -> Outcome {
    let (name, force) = name_and_force(words, STOP)?;
    if !session.confirm(STOP_QUESTION) {
        return Ok(0);
    }
    let outcome = session.change(name, Change::Stop, force).map(drop);
    conclude(session, "volume stop", "volStop", name, outcome, "")
}

/// `volume delete V`.
///
/// # Errors
/// [`Failure`].
pub fn delete(session: &Session, words: &[&str]) -> Outcome {
    let [name] = words else { return Err(Failure::Usage(DELETE)) };
    if !session.confirm(DELETE_QUESTION) {
        return Ok(0);
    }
    let id = if session.xml { session.volumes(Some(name)).ok().and_then(|v| v.first().map(|v| v.id)) } else { None };
    match session.change(name, Change::Delete, false) {
        Ok(_) => session.say(&format!("volume delete: {name}: success"), || named("volDelete", name, id)),
        Err(reason) => Err(Failure::failed(&format!("volume delete: {name}"), &reason)),
    }
}

fn name_and_force<'a>(words: &[&'a str], pattern: &'static str) -> Result<(&'a str, bool), Failure> {
    match words {
        [name] => Ok((name, false)),
        [name, "force"] => Ok((name, true)),
        _ => Err(Failure::Usage(pattern)),
    }
}

/// The answer was not one that this command understands.
pub fn misunderstood() -> Failure {
    Failure::text(MISUNDERSTOOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with bricks and counts is said in GlusterFS's words.
    #[test]
    fn wrong_words_are_explained() {
        assert_eq!(brick("node1"), Err("Wrong brick type: node1, use <HOSTNAME>:<export-dir-abs-path>".into()));
        assert_eq!(brick("node1:/srv//b/"), Ok(("node1".into(), "/srv/b".into())));
        assert_eq!(new_bricks(&["n:/b", "n:/b"]), Err("Found duplicate exports n:/b".into()));
        assert!(new_bricks(&["localhost:/b"]).unwrap_err().starts_with("Please provide a valid hostname/ip"));
        for n in ["1", "x"] {
            assert_eq!(counts(&["replica", n]), Err(Some("replica count should be greater than 1".into())));
        }
        assert!(counts(&["replica", "3", "arbiter", "2"]).unwrap_err().unwrap().starts_with("For arbiter"));
        assert_eq!(check_name("a.b"), Err("Volume names can onlycontain alphanumeric, '-' and '_' characters.".into()));
    }

    /// `replica 2 arbiter 1` and `replica 3 arbiter 1` are the same.
    #[test]
    fn both_spellings_of_an_arbiter_mean_three() {
        for n in ["2", "3"] {
            let words = ["replica", n, "arbiter", "1", "transport", "tcp", "h:/b"];
            assert_eq!(counts(&words), Ok((Counts { replica: Some(3), arbiter: 1 }, &["h:/b"][..])));
        }
    }
}

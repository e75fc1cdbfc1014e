//! `volume set`, `volume get`, `volume reset`.

use super::session::{Failure, Outcome, Session};
use super::xml::{leaf, node};
use crate::volume::definition::{Status, Volume};
use crate::volume::manager::op::Change;
use crate::volume::manager::protocol::Ask;
use crate::volume::options::{self, GLOBAL, Row, Support, TABLE};

/// Pattern of `volume set`.
pub const SET: &str = "volume set <VOLNAME> <KEY> <VALUE>";
/// Pattern of `volume set … group`, which is also what a wrong `volume set` is answered with.
pub const SET_GROUP: &str = "volume set <VOLNAME> group <GROUP>";
/// Pattern of `volume get`.
pub const GET: &str = "volume get <VOLNAME|all> <key|all>";
/// Pattern of `volume reset`.
pub const RESET: &str = "volume reset <VOLNAME> [option] [force]";

/// `volume set`.
///
/// # Errors
/// [`Failure`].
pub fn set(session: &Session, words: &[&str]) -> Outcome {
    match words {
        ["help" | "help-xml"] => return help(),
        [volume, "group", group] => {
            let ask = Ask::SetGroup { volume: (*volume).into(), group: (*group).into() };
            let outcome = session.ask(&ask).map(drop);
            if let Err(reason) = &outcome
                && reason.starts_with("Unable to open file")
            {
                return Err(Failure::text(format!("{reason}. Error: No such file or directory")));
            }
            if outcome.is_ok() {
                eprintln!(
                    "note: options of this group on which terrarium does not act are stored and shown (`volume set help`)"
                );
            }
            return done(session, outcome);
        }
        [_, pairs @ ..] if !pairs.is_empty() && pairs.len() % 2 == 0 => {}
        _ => return Err(Failure::Usage(SET_GROUP)),
    }
    let pairs: Vec<(String, String)> = words[1..].chunks(2).map(|p| (p[0].into(), p[1].into())).collect();
    if let Some(reason) = pairs.iter().find_map(|(key, _)| by_another_command(session, words[0], key)) {
        return Err(Failure::failed("volume set", &reason));
    }
    let outcome = session.change(words[0], Change::Set(pairs.clone()), false).map(drop);
    if outcome.is_ok() {
        pairs.iter().filter_map(|(key, _)| options::row(key)).filter(|r| r.support == Support::Kept).for_each(|row| {
            eprintln!("note: terrarium stores {} and shows it, but nothing here acts on it", row.key);
        });
    }
    done(session, outcome)
}

/// Why an option is not set by `volume set`, if it has a command of its own.
fn by_another_command(session: &Session, volume: &str, key: &str) -> Option<String> {
    let key = options::row(key)?.key;
    let created = || session.volumes(Some(volume)).is_ok_and(|v| v.iter().all(|v| v.status == Status::Created));
    let (how, command) = match key {
        // Before there is anything to heal, it may be chosen like any other option.
        "cluster.granular-entry-heal" if created() => return None,
        "cluster.granular-entry-heal" => {
            return Some(format!(
                " 'gluster volume set <VOLNAME> {key} {{enable, disable}}' is not supported. Use 'gluster volume heal <VOLNAME> granular-entry-heal {{enable, disable}}' instead."
            ));
        }
        "features.bitrot" => ("", "{enable|disable}"),
        "features.scrub" => ("scrub ", "{pause|resume}"),
        "features.scrub-freq" => ("scrub-frequency ", "{hourly|daily|weekly|biweekly|monthly}"),
        "features.scrub-throttle" => ("scrub-throttle  ", "{lazy|normal|aggressive}"),
        _ => return None,
    };
    Some(format!(
        " 'gluster volume set <VOLNAME> {key}' is invalid command. Use 'gluster volume bitrot <VOLNAME> {how}{command}' instead."
    ))
}

fn done(session: &Session, outcome: Result<(), String>) -> Outcome {
    outcome.map_err(|reason| Failure::failed("volume set", &reason))?;
    if session.xml {
        let elements = vec![leaf("cliOp", "volSet"), leaf("output", "Set volume successful")];
        print!("{}", super::xml::success(elements));
    } else {
        println!("volume set: success");
    }
    Ok(0)
}

fn help() -> Outcome {
    for row in TABLE.iter() {
        let what = match row.support {
            Support::Acts => "",
            Support::Kept => "Description: stored and shown; nothing in terrarium acts on it\n",
            Support::Absent => "Description: gluster has this, terrarium does not\n",
        };
        println!("Option: {}\nDefault Value: {}\n{what}", row.key, row.default);
    }
    Ok(0)
}

/// `volume get`.
///
/// # Errors
/// [`Failure`].
pub fn get(session: &Session, words: &[&str]) -> Outcome {
    let [name, key] = words else { return Err(Failure::Usage(GET)) };
    let failed = |reason: String| Failure::failed("volume get option", &reason);
    let found = if *name == "all" {
        let set = session.globals().map_err(failed)?;
        of_pool(&set, key).map_err(failed)?
    } else {
        let volumes = session.volumes(Some(name)).map_err(failed)?;
        of_volume(volumes.first().ok_or_else(super::volume::misunderstood)?, key).map_err(failed)?
    };
    if session.xml {
        let bare = |value: &str| value.strip_suffix(" (DEFAULT)").unwrap_or(value).to_owned();
        let pairs = found.iter().map(|(k, v)| node("Opt", vec![leaf("Option", k), leaf("Value", bare(v))]));
        let all = std::iter::once(leaf("count", found.len())).chain(pairs).collect();
        return session.say("", || node("volGetopts", all));
    }
    print!("{}", text(&found));
    Ok(0)
}

fn text(found: &[(String, String)]) -> String {
    let line = |key: &str, value: &str| format!("{key:<40} {value:<39}\n");
    let rows = found.iter().map(|(key, value)| line(key, value));
    line("Option", "Value") + &line("------", "-----") + &rows.collect::<String>()
}

/// The values in force for a volume; those that were not set end in ` (DEFAULT)`, as far as GlusterFS marks them.
fn of_volume(volume: &Volume, key: &str) -> Result<Vec<(String, String)>, String> {
    if key == "all" {
        let listed =
            |row: &&Row| !matches!(row.section(), "nfs" | "config") || row.key == "nfs.disable" || row.seems_set;
        return Ok(TABLE.iter().filter(listed).map(|row| (row.key.to_owned(), shown(volume, row))).collect());
    }
    if let Some(value) = volume.option(key).filter(|_| key.starts_with("user.")) {
        return Ok(vec![(key.into(), value.into())]);
    }
    let row = options::row(key).ok_or_else(|| format!("Did you mean {}?", options::nearest(key)))?;
    Ok(vec![(row.key.into(), shown(volume, row))])
}

fn shown(volume: &Volume, row: &Row) -> String {
    let default = options::default(volume, row.key);
    let bare = row.seems_set || (row.key == "cluster.quorum-type" && default == "auto");
    volume.option(row.key).map_or_else(|| if bare { default.into() } else { unset(default) }, str::to_owned)
}

fn unset(default: &str) -> String {
    format!("{default} (DEFAULT)")
}

/// The same for the options of the pool.
fn of_pool(set: &[(String, String)], key: &str) -> Result<Vec<(String, String)>, String> {
    let value = |key: &str| {
        let default = options::row(key).map_or("", |row| row.default);
        let otherwise = if key.ends_with("op-version") { default.to_owned() } else { unset(default) };
        set.iter().find(|(k, _)| k == key).map_or(otherwise, |(_, value)| value.clone())
    };
    if key == "all" {
        return Ok(GLOBAL.iter().map(|key| ((*key).to_owned(), value(key))).collect());
    }
    let row = options::row(key).ok_or_else(|| format!("Did you mean {}?", options::nearest(key)))?;
    if !GLOBAL.contains(&row.key) {
        return Err("Not a valid option for all volumes".into());
    }
    Ok(vec![(row.key.into(), value(row.key))])
}

/// `volume reset`.
///
/// # Errors
/// [`Failure`].
pub fn reset(session: &Session, words: &[&str]) -> Outcome {
    let (name, key, force) = match words {
        [name] => (name, None, false),
        [name, "force"] => (name, None, true),
        [name, key] => (name, Some(*key), false),
        [name, key, "force"] => (name, Some(*key), true),
        _ => return Err(Failure::Usage(RESET)),
    };
    let key = key.filter(|key| *key != "all").map(str::to_owned);
    match session.change(name, Change::Reset(key), force) {
        Ok(_) if session.xml => {
            print!(
                "{}",
                super::xml::success(vec![leaf("cliOp", "volReset"), leaf("output", "reset volume successful")])
            );
            Ok(0)
        }
        Ok(_) => session.say("volume reset: success: reset volume successful", || leaf("output", "")),
        Err(reason) => Err(Failure::failed("volume reset", &reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The captured table, to the byte.
    #[test]
    fn volume_get_is_the_captured_table() {
        let found = [("network.ping-timeout".to_owned(), "10".to_owned())];
        let expected = "Option                                   Value                                  \n\
            ------                                   -----                                  \n\
            network.ping-timeout                     10                                     \n";
        assert_eq!(text(&found), expected);
    }
}

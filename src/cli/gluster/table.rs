//! Every command of `gluster`: its words, its pattern, its function; and what terrarium does not have.

use super::session::{Failure, Outcome, Session};
use super::{bitrot, bricks, heal, info, options, peer, profile, status, task, volume};

type Run = fn(&Session, &[&str]) -> Outcome;

/// A command: the words that it begins with, its pattern, its function (over the words that follow).
pub struct Command {
    /// `volume start`.
    pub words: &'static [&'static str],
    /// The pattern of its usage.
    pub pattern: &'static str,
    /// One line for `help`.
    pub about: &'static str,
    run: Run,
}

macro_rules! command {
    ($words:expr, $pattern:expr, $about:expr, $run:expr) => {
        Command { words: &$words, pattern: $pattern, about: $about, run: $run }
    };
}

/// All commands, in the order of `help`.
pub const COMMANDS: &[Command] = &[
    command!(["peer", "probe"], peer::PROBE, "probe peer specified by <HOSTNAME>", peer::probe),
    command!(["peer", "detach"], peer::DETACH, "detach peer specified by <HOSTNAME>", peer::detach),
    command!(["peer", "status"], "peer status", "list status of peers", peer::status),
    command!(["pool", "list"], "pool list", "list all the nodes in the pool (including localhost)", peer::list),
    command!(["volume", "info"], info::INFO, "list information of all volumes", info::info),
    command!(
        ["volume", "create"],
        volume::CREATE,
        "create a new volume of specified type with mentioned bricks",
        volume::create
    ),
    command!(["volume", "delete"], volume::DELETE, "delete volume specified by <VOLNAME>", volume::delete),
    command!(["volume", "start"], volume::START, "start volume specified by <VOLNAME>", volume::start),
    command!(["volume", "stop"], volume::STOP, "stop volume specified by <VOLNAME>", volume::stop),
    command!(["volume", "list"], "volume list", "list all volumes in cluster", info::list),
    command!(
        ["volume", "status"],
        status::STATUS,
        "display status of all or specified volume(s)/brick",
        status::status
    ),
    command!(["volume", "set"], options::SET, "set options for volume <VOLNAME>", options::set),
    command!(["volume", "get"], options::GET, "get the value of the all options or given option", options::get),
    command!(["volume", "reset"], options::RESET, "reset all the reconfigured options", options::reset),
    command!(["volume", "add-brick"], bricks::ADD, "add brick to volume <VOLNAME>", bricks::add),
    command!(["volume", "remove-brick"], bricks::REMOVE, "remove brick from volume <VOLNAME>", bricks::remove),
    command!(["volume", "rebalance"], task::REBALANCE, "rebalance operations", task::rebalance),
    command!(["volume", "replace-brick"], bricks::REPLACE, "replace-brick operations", bricks::replace),
    command!(["volume", "reset-brick"], bricks::RESET, "reset-brick operations", bricks::reset),
    command!(["volume", "heal"], heal::HEAL, "self-heal commands on volume specified by <VOLNAME>", heal::heal),
    command!(["volume", "profile"], profile::PROFILE, "volume profile operations", profile::profile),
    command!(["volume", "top"], profile::TOP, "volume top operations", profile::top),
    command!(["volume", "bitrot"], bitrot::BITROT, "bitrot operations", bitrot::bitrot),
    command!(["help"], "help", "display command options", help),
    command!(["volume", "help"], "volume help", "display help for volume commands", help),
    command!(["peer", "help"], "peer help", "display help for peer commands", help),
    command!(["pool", "help"], "pool help", "display help for pool commands", help),
];

/// What GlusterFS has and terrarium does not.
const ABSENT: &[&[&str]] = &[
    &["snapshot"],
    &["global"],
    &["get-state"],
    &["nfs-ganesha"],
    &["system::"],
    &["volume", "quota"],
    &["volume", "inode-quota"],
    &["volume", "geo-replication"],
    &["volume", "barrier"],
    &["volume", "clear-locks"],
    &["volume", "log"],
    &["volume", "statedump"],
    &["volume", "sync"],
    &["volume", "tier"],
];

/// Finds the command and runs it.
///
/// # Errors
/// [`Failure`].
pub fn dispatch(session: &Session, words: &[&str]) -> Outcome {
    if let Some(command) = COMMANDS.iter().filter(|c| words.starts_with(c.words)).max_by_key(|c| c.words.len()) {
        return (command.run)(session, &words[command.words.len()..]);
    }
    if let Some(absent) = ABSENT.iter().find(|absent| words.starts_with(absent)) {
        let name = absent.join(" ");
        return Err(Failure::text(format!("gluster has `{name}`, terrarium does not")));
    }
    if matches!(words, ["--help"]) {
        return help(session, &[]);
    }
    unrecognized(words)
}

/// Says at which word the line stops being a command.
fn unrecognized(words: &[&str]) -> Outcome {
    let all = || COMMANDS.iter().map(|c| c.words).chain(ABSENT.iter().copied());
    let fits = |n: usize| all().any(|c| c.len() >= n && c[..n] == words[..n]);
    match (1..=words.len()).find(|n| !fits(*n)) {
        Some(n) => println!("unrecognized word: {} (position {})", words[n - 1], n - 1),
        None => println!("unrecognized command"),
    }
    println!("\n Usage: gluster [options] <help> <peer> <pool> <volume>\n Try `gluster help` for all commands.");
    Err(Failure::Said(1))
}

/// `help`: every command; after `volume`, `peer` or `pool` the whole pattern of those.
fn help(session: &Session, _: &[&str]) -> Outcome {
    let section = session.words.split_whitespace().next().unwrap_or_default();
    let wanted = |c: &&Command| c.words.last() != Some(&"help") && (section == "help" || c.words[0] == section);
    for command in COMMANDS.iter().filter(wanted) {
        println!("{} - {}", command.pattern, command.about);
    }
    Ok(0)
}

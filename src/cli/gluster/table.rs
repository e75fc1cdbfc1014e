//! Every command of `gluster`: its words, its pattern, its function; and what terrarium does not have.

use std::collections::BTreeSet;

use super::session::{Failure, Outcome, Session};
use super::{bitrot, bricks, heal, info, options, other, peer, profile, status, task, volume};

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
    command!(["volume", "statedump"], other::STATEDUMP, "perform statedump on bricks", other::statedump),
    command!(["volume", "log"], other::LOG, "rotate the log file for corresponding volume/brick", other::log),
    command!(["volume", "sync"], other::SYNC, "sync the volume information from a peer", other::sync),
    command!(["volume", "clear-locks"], other::CLEAR_LOCKS, "Clear locks held on path", other::clear_locks),
    command!(["system::"], "system:: help", "what the manager tells of itself", other::system),
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
    command!(["volume", "bitrot", "help"], "volume bitrot help", "display help for volume bitrot commands", help),
];

/// What GlusterFS has and terrarium does not.
const ABSENT: &[&[&str]] = &[
    &["snapshot"],
    &["global"],
    &["get-state"],
    &["nfs-ganesha"],
    &["volume", "quota"],
    &["volume", "inode-quota"],
    &["volume", "geo-replication"],
    &["volume", "barrier"],
];

/// What follows a word that is no command.
pub const SHORT_USAGE: &str = "
 Usage: gluster [options] <help> <peer> <pool> <volume>
 Options:
 --help  Shows the help information
 --version  Shows the version
 --print-logdir  Shows the log directory
 --print-statedumpdir Shows the state dump directory
";

/// The words with the command's own ones spelled out: a beginning that only one of them has stands for it (`vol info`).
pub fn spelled_out(mut words: Vec<String>) -> Vec<String> {
    let commands = || COMMANDS.iter().map(|c| c.words).chain(ABSENT.iter().copied());
    for place in 0..words.len().min(2) {
        let before = |c: &&[&str]| c.len() > place && (0..place).all(|i| c[i] == words[i]);
        let here: BTreeSet<&str> = commands().filter(before).map(|c| c[place]).collect();
        let typed = words[place].as_str();
        let mut fits = here.iter().filter(|word| !typed.is_empty() && word.starts_with(typed));
        match (here.contains(typed), fits.next(), fits.next()) {
            (true, ..) => {}
            (false, Some(one), None) => words[place] = (*one).to_owned(),
            _ => break,
        }
    }
    words
}

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
pub fn unrecognized(words: &[&str]) -> Outcome {
    let all = || COMMANDS.iter().map(|c| c.words).chain(ABSENT.iter().copied());
    let fits = |n: usize| all().any(|c| c.len() >= n && c[..n] == words[..n]);
    match (1..=words.len()).find(|n| !fits(*n)) {
        Some(n) => println!("unrecognized word: {} (position {})", words[n - 1], n - 1),
        None => println!("unrecognized command"),
    }
    println!("{SHORT_USAGE}");
    Err(Failure::Said(1))
}

/// `help`: where there is more of it; `volume help`, `peer help`, `volume bitrot help`: the commands of those.
fn help(session: &Session, _: &[&str]) -> Outcome {
    let section = session.words.trim_end_matches("help").trim();
    let section = if section.starts_with("--") { "" } else { section };
    if section.is_empty() {
        let more = COMMANDS.iter().filter(|c| c.words.len() > 1 && c.words.last() == Some(&"help"));
        more.for_each(|command| println!(" {:<24} - {}", command.pattern, command.about));
        println!(" (of GlusterFS's commands, terrarium does not have: {})\n", absent());
        return Ok(0);
    }
    let title = format!("gluster {section} commands");
    println!("\n{title}\n{}\n", "=".repeat(title.len()));
    let is_bitrot = |c: &Command| c.words.contains(&"bitrot");
    let of = |c: &&Command| match section {
        "peer" => matches!(c.words[0], "peer" | "pool"),
        "volume" => c.words[0] == "volume" && !is_bitrot(c),
        _ => is_bitrot(c),
    };
    let mut lines: Vec<String> = COMMANDS
        .iter()
        .filter(of)
        .flat_map(|c| c.pattern.lines().map(move |pattern| format!("{pattern} - {}", c.about)))
        .collect();
    lines.sort();
    println!("{}\n", lines.join("\n"));
    Ok(0)
}

/// What there is not, by name.
fn absent() -> String {
    ABSENT.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What people type: the shortest beginning that means one word; what could be several, or is none, stays.
    #[test]
    fn commands_may_be_shortened() {
        let full = |line: &str| spelled_out(line.split(' ').map(str::to_owned).collect()).join(" ");
        assert_eq!(full("vol info gv0"), "volume info gv0");
        assert_eq!(full("v inf in"), "volume info in");
        assert_eq!(full("pe st"), "peer status");
        assert_eq!(full("p list"), "p list");
        assert_eq!(full("volume st gv0"), "volume st gv0");
        assert_eq!(full("volume start start"), "volume start start");
        assert_eq!(full("nosuch"), "nosuch");
    }
}

//! `lab`, inside a world: everything that may be done to it, in words. Outside, `terrarium lab` is the course's tool.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{self, ExitCode};

use serde_json::Value;

use crate::sandbox::{enter::prompt, machines, server, shims};
use crate::world::command::{Command, VERBS};
use crate::world::{client::Client, wire};

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let mut words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let json = words.contains(&"--json");
    words.retain(|word| *word != "--json");
    match words[..] {
        [] | ["help" | "--help" | "-h"] => {
            super::say(&help());
            ExitCode::SUCCESS
        }
        ["on", server, _, ..] => on(server, &args[2..]),
        ["union", ref rest @ ..] => union(rest),
        ["hash", ref rest @ ..] => super::lab_hash::main(rest),
        ["on", ..] => {
            eprintln!("lab: usage: on SERVER COMMAND…");
            ExitCode::from(2)
        }
        _ => command(&words, json),
    }
}

fn help() -> String {
    let mut text = String::from(
        "Examples:\n  lab status\n  lab kill n1\n  lab cut n1,n2 n3,n4,n5\n  lab on server2 gluster peer status\n\nCommands (--json for the answer as it is):\n",
    );
    for (verb, usage) in VERBS {
        text += &format!("  lab {verb} {usage}\n");
    }
    text + "  lab on SERVER COMMAND…\n  lab union [MOUNTPOINT] | check BRANCH\n  lab hash NAME [DIRECTORY]\n"
}

fn command(words: &[&str], json: bool) -> ExitCode {
    let command = match Command::parse(words) {
        Ok(command) => command,
        Err(malformed) => {
            let own = if VERBS.iter().any(|(verb, _)| *verb == words[0]) { "" } else { " on union hash" };
            eprintln!("lab: {malformed}{own}");
            return ExitCode::from(2);
        }
    };
    let client = match Client::connect(&wire::socket_path()) {
        Ok(client) => client,
        Err(_) => {
            eprintln!(
                "lab: this is no world; `terrarium run` opens one, and `terrarium lab --help` has the course's tools"
            );
            return ExitCode::from(3);
        }
    };
    match client.run("lab", command.clone()) {
        Ok(value) => {
            let text = if json { format!("{value:#}\n") } else { plain(&command, &value) };
            super::say(&text);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("lab: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// An answer as a person reads it.
fn plain(command: &Command, value: &Value) -> String {
    match (command, value) {
        (_, Value::Null) => String::new(),
        (Command::Status, status) => plain_status(status),
        (Command::Log(_), log) => plain_log(log),
        (_, Value::String(text)) => format!("{text}\n"),
        (_, other) => format!("{other:#}\n"),
    }
}

fn plain_status(status: &Value) -> String {
    let mut text = format!("{} · seed {} · speed {}", word(&status["world"]), status["seed"], status["speed"]);
    text += if status["frozen"] == true { " · frozen\n" } else { "\n" };
    let nodes = status["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    if !nodes.is_empty() {
        text += &format!(
            "{:<5} {:<10} {:>5} {:<8} {:>7} {:>8} {:>7} {:>5}\n",
            "NODE", "ROLE", "TERM", "VOTED", "COMMIT", "APPLIED", "LAST", "PID"
        );
    }
    for node in nodes {
        let role = match (&node["alive"], &node["state"]) {
            (Value::Bool(false), _) => "dead".into(),
            (_, state) if *state == "paused" => "paused".into(),
            _ => word(&node["role"]),
        };
        let cells =
            ["name", "term", "voted_for", "commit", "applied", "last_index", "pid"].map(|field| word(&node[field]));
        let [name, term, voted, commit, applied, last, pid] = cells;
        text += &format!("{name:<5} {role:<10} {term:>5} {voted:<8} {commit:>7} {applied:>8} {last:>7} {pid:>5}\n");
    }
    text += &plain_processes(status);
    text += &plain_containers(status);
    for link in status["links"].as_array().into_iter().flatten() {
        text += &format!("link {} > {}: {}\n", word(&link["from"]), word(&link["to"]), rule(link));
    }
    text
}

/// The processes that have no table of their own: bricks, managers, mounts.
fn plain_processes(status: &Value) -> String {
    let all = status["processes"].as_array().into_iter().flatten();
    let lines = all.filter(|p| p["role"] != "node" && p["role"] != "container").map(|p| {
        let state = p["state"].as_str().map_or_else(|| word(&p["state"]["ended"]), str::to_owned);
        format!("{:<32} {:<10} {:>6}  {state}\n", word(&p["name"]), word(&p["role"]), word(&p["pid"]))
    });
    let lines: String = lines.collect();
    let head = format!("{:<32} {:<10} {:>6}  {}\n", "PROCESS", "ROLE", "PID", "STATE");
    if lines.is_empty() { lines } else { head + &lines }
}

fn plain_containers(status: &Value) -> String {
    let containers = status["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let head = format!("{:<12} {:<9} {:>5}  {:<15} {}\n", "CONTAINER", "STATE", "PID", "ROOT", "LAYERS AND MOUNTS");
    let lines = containers.iter().map(|container| {
        let [name, state, pid, root] = ["name", "state", "pid", "fstype"].map(|field| word(&container[field]));
        let list = |field: &str| container[field].as_array().into_iter().flatten();
        let mounts = list("mounts").map(|m| format!("{} {}", word(&m["target"]), word(&m["fstype"])));
        let parts: Vec<String> = list("layers").map(word).chain(mounts).collect();
        format!("{name:<12} {state:<9} {pid:>5}  {root:<15} {}\n", parts.join(", "))
    });
    if containers.is_empty() { String::new() } else { head + &lines.collect::<String>() }
}

fn rule(link: &Value) -> String {
    let yes = |field: &str, says: &str| (link[field] == true).then(|| says.to_string());
    let number = |field: &str, unit: &str| (link[field] != 0).then(|| format!("{field} {}{unit}", link[field]));
    let all = [yes("cut", "cut"), yes("held", "held"), number("delay_ms", ""), number("loss", "%"), number("dup", "%")];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn plain_log(log: &Value) -> String {
    let mut text = format!("{:>6} {:>5}  COMMAND\n", "INDEX", "TERM");
    for entry in log["entries"].as_array().into_iter().flatten() {
        text += &format!("{:>6} {:>5}  {}\n", word(&entry["index"]), word(&entry["term"]), word(&entry["text"]));
    }
    text
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `lab union [MOUNTPOINT]`: the live unions, as /sys/fs/aufs would tell of them; `lab union check BRANCH`: what is wrong
/// with a branch's whiteouts, as auchk tells. JSON in any case.
fn union(words: &[&str]) -> ExitCode {
    let told = Client::connect(&wire::socket_path()).map_err(|_| NO_WORLD.to_string()).and_then(|client| {
        let mounts = unions(&client)?;
        let ask = |mount: &String, words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_string()).collect();
            client.run("lab", Command::Ask(mount.clone(), words))
        };
        match words {
            [] => mounts.iter().map(|mount| ask(mount, &["union"])).collect::<Result<_, _>>().map(Value::Array),
            ["check", branch] => {
                let any = mounts.first().ok_or("no union is mounted; `mount -t aufs …` mounts one")?;
                ask(any, &["check", branch])
            }
            [mountpoint] => ask(&format!("mount:{mountpoint}"), &["union"]),
            _ => Err("usage: union [MOUNTPOINT] | check BRANCH".into()),
        }
    });
    match told {
        Ok(value) => {
            super::say(&format!("{value:#}\n"));
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("lab: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// The names of the union mounts that live.
fn unions(client: &Client) -> Result<Vec<String>, String> {
    let status = client.run("lab", Command::Status)?;
    let mounts = status["processes"].as_array().into_iter().flatten().filter(|process| process["role"] == "mount");
    let alive = mounts.filter(|process| !process["pid"].is_null());
    Ok(alive.filter_map(|process| process["name"].as_str().map(str::to_string)).collect())
}

/// `lab on SERVER COMMAND…`: a command on another server of the world.
fn on(name: &str, command: &[OsString]) -> ExitCode {
    let holder = Client::connect(&wire::socket_path())
        .map_err(|_| NO_WORLD.to_string())
        .and_then(|client| client.run("lab", Command::Server(name.into())));
    match holder {
        Ok(holder) => act_as(&holder.to_string(), command),
        Err(reason) => {
            eprintln!("lab: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Goes on as `terrarium act-as HOLDER COMMAND…`: only a process of one thread may change its mount namespace, and the
/// keeper's client has a thread.
fn act_as(holder: &str, command: &[OsString]) -> ExitCode {
    let exe = format!("{}/terrarium", shims::BIN);
    let error = process::Command::new(exe).args(["act-as", holder]).args(command).exec();
    eprintln!("lab: {error}");
    ExitCode::from(125)
}

/// `act-as HOLDER COMMAND…`: the command, or a shell, in the namespaces of the process HOLDER.
pub fn run_as(args: &[OsString]) -> ExitCode {
    let Some((holder, command)) = args.split_first() else { return ExitCode::from(2) };
    let Some(holder) = holder.to_str().and_then(|pid| pid.parse().ok()) else { return ExitCode::from(2) };
    if let Err(reason) = server::act_as(holder) {
        eprintln!("lab: {reason}");
        return ExitCode::from(125);
    }
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let (program, args) = command.split_first().unwrap_or((&shell, &[]));
    let machine = nix::unistd::gethostname().unwrap_or_default();
    let error = process::Command::new(program).args(args).env("PS1", prompt(&machine.to_string_lossy())).exec();
    eprintln!("lab: ‘{}’: {error}", program.display());
    ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

const NO_WORLD: &str = "this is no world; `terrarium run` opens one, and `terrarium lab --help` has the course's tools";

/// Whether this process runs inside a world.
pub fn is_inside() -> bool {
    std::path::Path::new(shims::BIN).is_dir() && machines::address(machines::HOME_MACHINE).is_some()
}

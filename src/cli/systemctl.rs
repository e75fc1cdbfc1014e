//! `systemctl` and `service` inside a world: starts and stops the managers that quick starts start and stop.
//!
//! A world has no systemd. `glusterd` is the volume manager of this server; the units of LXC need nothing to run.

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Where the manager of this server writes its process id.
const GLUSTERD_PID: &str = "/run/gluster/glusterd.pid";
/// How long a manager may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A unit that a world knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// The volume manager.
    Glusterd,
    /// LXC's own services: there is nothing to run.
    Lxc,
}

fn unit(name: &str) -> Option<Unit> {
    match name.strip_suffix(".service").unwrap_or(name) {
        "glusterd" | "glusterfs-server" | "glusterfsd" => Some(Unit::Glusterd),
        "lxc" | "lxc-net" | "lxcfs" => Some(Unit::Lxc),
        _ => None,
    }
}

/// `systemctl VERB UNIT…`.
pub fn systemctl(args: &[OsString]) -> ExitCode {
    let words: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let plain: Vec<&str> = words.iter().filter(|w| !w.starts_with('-')).map(String::as_str).collect();
    match plain.as_slice() {
        ["daemon-reload" | "daemon-reexec"] => ExitCode::SUCCESS,
        [] => {
            println!(
                "usage: systemctl start|stop|restart|status|is-active|enable|disable UNIT\nUnits of a world: glusterd, lxc"
            );
            ExitCode::SUCCESS
        }
        [verb, units @ ..] => all(verb, units, words.iter().any(|w| w == "--now")),
    }
}

/// `service UNIT VERB`.
pub fn service(args: &[OsString]) -> ExitCode {
    let words: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    match words.as_slice() {
        [unit, verb] => all(verb, &[unit], false),
        _ => {
            eprintln!("usage: service UNIT start|stop|restart|status");
            ExitCode::from(1)
        }
    }
}

fn all(verb: &str, units: &[&str], now: bool) -> ExitCode {
    let verb = match (verb, now) {
        ("enable", true) => "start",
        ("disable", true) => "stop",
        (verb, _) => verb,
    };
    if units.is_empty() {
        eprintln!("systemctl: {verb}: which unit? There are: glusterd, lxc");
        return ExitCode::from(1);
    }
    let codes = units.iter().map(|name| match unit(name) {
        None => {
            eprintln!("Failed to {verb} {name}: Unit {name} not found (units of a world: glusterd, lxc).");
            5
        }
        Some(unit) => act(verb, name, unit),
    });
    ExitCode::from(codes.max().unwrap_or(0))
}

/// One verb on one unit; the exit codes are systemctl's.
fn act(verb: &str, name: &str, unit: Unit) -> u8 {
    let running = unit == Unit::Lxc || glusterd().is_some();
    match verb {
        "start" if !running => start(),
        "restart" | "reload-or-restart" if unit == Unit::Glusterd => stop().max(start()),
        "stop" | "kill" if running && unit == Unit::Glusterd => stop(),
        "start" | "stop" | "kill" | "restart" | "reload-or-restart" | "enable" | "disable" | "unmask" | "mask" => 0,
        "reload" | "try-restart" => 0,
        "is-active" => say(if running { "active" } else { "inactive" }, if running { 0 } else { 3 }),
        "is-enabled" => say("enabled", 0),
        "status" => {
            let state = if running { "active (running)" } else { "inactive (dead)" };
            let pid =
                glusterd().filter(|_| unit == Unit::Glusterd).map_or(String::new(), |p| format!("\n   Main PID: {p}"));
            say(&format!("{name}\n     Active: {state}{pid}"), if running { 0 } else { 3 })
        }
        other => {
            eprintln!("Unknown command verb {other}.");
            1
        }
    }
}

fn say(words: &str, code: u8) -> u8 {
    println!("{words}");
    code
}

/// The running manager's process id.
fn glusterd() -> Option<i32> {
    let pid = std::fs::read_to_string(GLUSTERD_PID).ok()?.trim().parse().ok()?;
    kill(Pid::from_raw(pid), None).ok().map(|()| pid)
}

fn start() -> u8 {
    match Command::new("glusterd").status() {
        Ok(status) if status.success() => 0,
        Ok(_) => 1,
        Err(e) => {
            eprintln!("Failed to start glusterd: {e}");
            1
        }
    }
}

fn stop() -> u8 {
    let Some(pid) = glusterd() else { return 0 };
    let begun = Instant::now();
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    while glusterd().is_some() {
        if begun.elapsed() > PATIENCE {
            eprintln!("Failed to stop glusterd: it still runs after {} s.", PATIENCE.as_secs());
            return 1;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units have the names that distributions gave them.
    #[test]
    fn units_by_their_names() {
        assert_eq!(
            (unit("glusterd"), unit("glusterd.service"), unit("lxc-net")),
            (Some(Unit::Glusterd), Some(Unit::Glusterd), Some(Unit::Lxc))
        );
        assert_eq!(unit("nginx"), None);
        assert_eq!(act("start", "lxc", Unit::Lxc), 0);
    }
}

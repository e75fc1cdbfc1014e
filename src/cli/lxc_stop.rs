//! `lxc-stop`, `lxc-freeze`, `lxc-unfreeze`, `lxc-wait`: a running container's end and standstill.
//! Source: lxc-stop(1), lxc-freeze(1), lxc-unfreeze(1), lxc-wait(1).

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::lxc::{Asked, Tool, exit, opt};
use crate::container::protocol::{Request, State};
use crate::container::runtime::client::{self, Client};
use crate::container::runtime::{Doing, Error};

/// How long a container may take to end before it is killed, unless `-t` says otherwise.
const PATIENCE: u64 = 60;
/// How often `lxc-wait` looks.
const LOOK: Duration = Duration::from_millis(20);

static STOP: Tool = Tool {
    name: "lxc-stop",
    usage: "--name=NAME",
    about: "lxc-stop stops a container with the identifier NAME",
    options: &[
        opt('r', "reboot", None, "reboot the container"),
        opt('W', "nowait", None, "don't wait for shutdown or reboot to complete"),
        opt('t', "timeout", Some("T"), "wait T seconds before hard-stopping (default: 60)"),
        opt('k', "kill", None, "kill container rather than request clean shutdown"),
        opt(' ', "nolock", None, "Avoid using API locks"),
        opt(' ', "nokill", None, "Only request clean shutdown, don't force kill after timeout"),
        opt('f', "rcfile", Some("FILE"), "Load configuration file FILE"),
    ],
    wants_name: true,
};

static FREEZE: Tool = Tool {
    name: "lxc-freeze",
    usage: "--name=NAME",
    about: "lxc-freeze freezes a container with the identifier NAME",
    options: &[opt('f', "rcfile", Some("FILE"), "Load configuration file FILE")],
    wants_name: true,
};

static UNFREEZE: Tool = Tool {
    name: "lxc-unfreeze",
    usage: "--name=NAME",
    about: "lxc-unfreeze unfreezes a container with the identifier NAME",
    options: &[opt('f', "rcfile", Some("FILE"), "Load configuration file FILE")],
    wants_name: true,
};

static WAIT: Tool = Tool {
    name: "lxc-wait",
    usage: "--name=NAME --state=STATE",
    about: "lxc-wait waits for NAME container state to reach STATE",
    options: &[
        opt('s', "state", Some("STATE"), "ORed states to wait for: STOPPED|RUNNING|FROZEN"),
        opt('t', "timeout", Some("TMO"), "Seconds to wait for state changes"),
        opt('f', "rcfile", Some("FILE"), "Load configuration file FILE"),
    ],
    wants_name: true,
};

/// `lxc-stop`. Exit codes: 0 stopped, 1 failed, 2 was not running.
pub fn stop(args: &[OsString]) -> ExitCode {
    let asked = match STOP.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let Ok(Some(mut client)) = Client::connect(&asked.place()) else {
        asked.say(format!("{} is not running", asked.name()));
        return ExitCode::from(2);
    };
    match end(&asked, &mut client) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => asked.fail("it did not stop in time"),
        Err(error) => asked.fail(error),
    }
}

fn end(asked: &Asked, client: &mut Client) -> Result<bool, Error> {
    let seconds = asked.value("timeout").unwrap_or("60");
    let seconds: i64 = seconds.parse().map_err(|_| Error::said(format!("-t: `{seconds}` is not a number")))?;
    let seconds = u64::try_from(seconds).unwrap_or(if asked.has("reboot") { 0 } else { PATIENCE });
    let status = client.status()?;
    if asked.has("kill") {
        client.ask(&Request::Kill)?;
        return client.wait_for_end(None).doing(|| "wait for the end");
    }
    client.ask(&Request::Signal(if asked.has("reboot") { status.signals.1 } else { status.signals.0 }))?;
    if asked.has("nowait") {
        return Ok(true);
    }
    let time = Duration::from_secs(seconds).max(Duration::from_millis(1));
    if client.wait_for_end(Some(time)).doing(|| "wait for the end")? {
        return Ok(true);
    }
    if asked.has("nokill") {
        return Ok(false);
    }
    client.tell(&Request::Kill)?;
    client.wait_for_end(None).doing(|| "wait for the end")
}

/// `lxc-freeze`.
pub fn freeze(args: &[OsString]) -> ExitCode {
    FREEZE.read(args).map_or_else(|code| code, |asked| tell(&asked, &Request::Freeze))
}

/// `lxc-unfreeze`.
pub fn unfreeze(args: &[OsString]) -> ExitCode {
    UNFREEZE.read(args).map_or_else(|code| code, |asked| tell(&asked, &Request::Unfreeze))
}

fn tell(asked: &Asked, request: &Request) -> ExitCode {
    match Client::connect(&asked.place()) {
        Ok(Some(mut client)) => client.ask(request).map_or_else(|e| asked.fail(e), |_| ExitCode::SUCCESS),
        _ if !asked.place().is_defined() => asked.fail("No such container"),
        _ => asked.fail(format!("{} is not running", asked.name())),
    }
}

/// `lxc-wait`. Exit codes: 0 the state was reached, 1 not in time.
pub fn wait(args: &[OsString]) -> ExitCode {
    let asked = match WAIT.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let Some(words) = asked.value("state") else { return asked.fail("missing option: --state") };
    let Some(states) = words.split('|').map(State::named).collect::<Option<Vec<_>>>() else {
        return asked
            .fail(format!("invalid state '{words}'; there are: STOPPED RUNNING FROZEN STARTING STOPPING ABORTING"));
    };
    let limit = asked.value("timeout").and_then(|t| t.parse::<u64>().ok()).map(Duration::from_secs);
    exit(i32::from(!reached(&asked, &states, limit)))
}

fn reached(asked: &Asked, states: &[State], limit: Option<Duration>) -> bool {
    let begun = Instant::now();
    loop {
        if states.contains(&client::status(&asked.place()).state) {
            return true;
        }
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

//! `lxc-start` and `lxc-execute`: begin a container. Source: lxc-start(1), lxc-execute(1).

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use super::lxc::{Asked, Tool, exit, opt};
use crate::container::plan::Plan;
use crate::container::protocol::State;
use crate::container::runtime::cgroup::Cgroups;
use crate::container::runtime::client::{self, Client};
use crate::container::runtime::start::{self, Launch};
use crate::container::runtime::terminal::{self, Escape};
use crate::container::runtime::{Error, hooks, network, store, union};
use crate::container::spec::Spec;

static START: Tool = Tool {
    name: "lxc-start",
    usage: "--name=NAME -- COMMAND",
    about: "lxc-start starts the container NAME; with COMMAND that is its first program",
    options: &[
        opt('d', "daemon", None, "Daemonize the container (default)"),
        opt('F', "foreground", None, "Start with the current tty attached to /dev/console"),
        opt('p', "pidfile", Some("FILE"), "Create a file with the process id"),
        opt('f', "rcfile", Some("FILE"), "Load configuration file FILE"),
        opt('c', "console", Some("FILE"), "Use specified FILE for the container console"),
        opt('L', "console-log", Some("FILE"), "Log container console output to FILE"),
        opt('C', "close-all-fds", None, "If any fds are inherited, close them"),
        opt('s', "define", Some("KEY=VAL"), "Assign VAL to configuration variable KEY"),
    ],
    wants_name: true,
};

static EXECUTE: Tool = Tool {
    name: "lxc-execute",
    usage: "--name=NAME -- COMMAND",
    about: "lxc-execute runs COMMAND in a container of its own, which ends with it",
    options: &[
        opt('d', "daemon", None, "Daemonize the container"),
        opt('f', "rcfile", Some("FILE"), "Load configuration file FILE"),
        opt('s', "define", Some("KEY=VAL"), "Assign VAL to configuration variable KEY"),
        opt('u', "uid", Some("UID"), "Execute COMMAND with UID inside the container"),
        opt('g', "gid", Some("GID"), "Execute COMMAND with GID inside the container"),
    ],
    wants_name: true,
};

/// `lxc-start`.
pub fn start(args: &[OsString]) -> ExitCode {
    START.read(args).map_or_else(|code| code, |asked| start_asked(&asked))
}

fn start_asked(asked: &Asked) -> ExitCode {
    let place = asked.place();
    if asked.value("rcfile").is_none() && !place.is_defined() {
        return asked.fail(format!("No container config specified ({} is not there)", place.config_path().display()));
    }
    if client::is_running(&place) {
        asked.say("Container is already running");
        return ExitCode::SUCCESS;
    }
    match launch(asked).and_then(|launch| begin(asked, &launch)) {
        Ok(code) => code,
        Err(error) => {
            asked.say(error);
            asked.fail("The container failed to start")
        }
    }
}

/// Reads the configuration and says what of it is not done.
fn launch(asked: &Asked) -> Result<Launch, Error> {
    let place = asked.place();
    let config = place.config(asked.value("rcfile").map(Path::new), &asked.all("define"))?;
    let mut spec = Spec::read(asked.name(), &config)?;
    if let Some(log) = asked.value("console-log") {
        spec.console_log = Some(log.into());
    }
    hooks::run("pre-start", &spec, &place.config_path(), None)?;
    network::assign(&mut spec)?;
    let union = union::mount(&place, &mut spec)?;
    let plan = Plan::make(&spec, &store::facts(&spec)?).map_err(Error::said)?;
    for note in spec.notes.iter().chain(&plan.notes) {
        asked.say(note);
    }
    if !asked.rest.is_empty() {
        spec.init.clone_from(&asked.rest);
    }
    if asked.value("console").is_some() {
        asked.say("-c: not supported here; the console is reached by lxc-console -t 0");
    }
    let pidfile = asked.value("pidfile").map(String::from);
    Ok(Launch { place, spec, plan, execute: None, own_terminal: false, pidfile, union })
}

fn begin(asked: &Asked, launch: &Launch) -> Result<ExitCode, Error> {
    started(launch, start::in_background(launch))?;
    say_limits(asked, launch);
    if asked.has("foreground") {
        stay(asked)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which of the configured limits this machine cannot keep.
fn say_limits(asked: &Asked, launch: &Launch) {
    if launch.spec.cgroup.is_empty() && launch.spec.cgroup2.is_empty() {
        return;
    }
    let dirs = client::status(&launch.place).cgroups.iter().map(Into::into).collect();
    Cgroups { dirs }.missing(&launch.spec).iter().for_each(|words| asked.say(words));
}

/// Takes back what was mounted for a start that failed.
fn started<T>(launch: &Launch, result: Result<T, Error>) -> Result<T, Error> {
    if let (Err(_), Some(point)) = (&result, &launch.union) {
        let _ = union::unmount(point);
    }
    result
}

/// Sits at the console until the container ends.
fn stay(asked: &Asked) -> Result<(), Error> {
    let Ok(Some(mut client)) = Client::connect(&asked.place()) else { return Ok(()) };
    let (_, console) = client.terminal(Some(0))?;
    let passed = terminal::pass_through(&console, client.end().as_fd(), Escape::new(None), None);
    passed.map_err(|source| Error::Io { doing: "pass the console through".into(), source })
}

/// `lxc-execute`.
pub fn execute(args: &[OsString]) -> ExitCode {
    EXECUTE.read(args).map_or_else(|code| code, |asked| execute_asked(&asked))
}

fn execute_asked(asked: &Asked) -> ExitCode {
    if client::status(&asked.place()).state != State::Stopped {
        return asked.fail("Container is already running");
    }
    let executed = launch(asked).and_then(|mut launch| {
        let command = if asked.rest.is_empty() { launch.spec.execute.clone() } else { asked.rest.clone() };
        if command.is_empty() {
            return Err(Error::said("no command: give one after --, or lxc.execute.cmd in the config"));
        }
        ids(asked, &mut launch.spec)?;
        launch.execute = Some(command);
        if asked.has("daemon") {
            return started(&launch, start::in_background(&launch)).map(|()| 0);
        }
        launch.own_terminal = true;
        started(&launch, start::in_foreground(&launch))
    });
    executed.map_or_else(|error| asked.fail(error), exit)
}

/// `--uid` and `--gid`.
fn ids(asked: &Asked, spec: &mut Spec) -> Result<(), Error> {
    let number = |long: &str, or: u32| match asked.value(long) {
        None => Ok(or),
        Some(word) => word.parse().map_err(|_| Error::said(format!("--{long}: `{word}` is not a number"))),
    };
    spec.init_ids = (number("uid", spec.init_ids.0)?, number("gid", spec.init_ids.1)?);
    Ok(())
}

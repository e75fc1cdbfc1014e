//! `lxc-monitor` and `lxc-cgroup`: a container's changes as they happen, and its control groups.
//! Source: lxc-monitor(1), lxc-cgroup(1).

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;

use super::lxc::{Asked, Tool, opt};
use crate::container::Happening;
use crate::container::protocol::State;
use crate::container::runtime::cgroup::Cgroups;
use crate::container::runtime::client;
use crate::world::What;
use crate::world::client::{Client, Update};
use crate::world::wire::socket_path;

static MONITOR: Tool = Tool {
    name: "lxc-monitor",
    usage: "[--name=NAME]",
    about: "lxc-monitor monitors the state of the containers whose names fit the regular expression NAME (default: all)",
    options: &[opt('Q', "quit", None, "tell lxc-monitord to quit (there is none here)")],
    wants_name: false,
};

static CGROUP: Tool = Tool {
    name: "lxc-cgroup",
    usage: "--name=NAME STATE-OBJECT [VALUE]",
    about: "Get or set the value of a state object of the container's control groups (memory.max, pids.max, …)",
    options: &[opt('f', "rcfile", Some("FILE"), "Load configuration file FILE")],
    wants_name: true,
};

/// `lxc-monitor`: a line for each change of state, until it is interrupted or the world ends.
pub fn monitor(args: &[OsString]) -> ExitCode {
    let asked = match MONITOR.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    if asked.has("quit") {
        return ExitCode::SUCCESS;
    }
    let name = if asked.name().is_empty() { asked.rest.first().map_or(".*", String::as_str) } else { asked.name() };
    let Ok(pattern) = regex::Regex::new(&format!("^(?:{name})$")) else {
        return asked.fail(format!("`{name}` is no regular expression"));
    };
    let (told, changes) = mpsc::channel();
    let watching = Client::connect(&socket_path()).and_then(|client| {
        client.watch(move |update| drop(told.send(update)))?;
        Ok(client)
    });
    let _client = match watching {
        Ok(client) => client,
        Err(e) => return asked.fail(format!("no world can be watched here: {e}")),
    };
    for update in changes {
        match update {
            Update::Event(event) => tell(&event.who, &event.what, &pattern),
            Update::Gone => break,
            Update::Snapshot(_) => {}
        }
    }
    ExitCode::SUCCESS
}

fn tell(who: &str, what: &What, pattern: &regex::Regex) {
    let Some(name) = who.strip_prefix("container:").filter(|name| pattern.is_match(name)) else { return };
    if let What::Container(Happening::State { state, .. }) = what {
        super::say(&format!("'{name}' changed state to [{state}]\n"));
    }
}

/// `lxc-cgroup`.
pub fn cgroup(args: &[OsString]) -> ExitCode {
    let asked = match CGROUP.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let status = client::status(&asked.place());
    if status.state == State::Stopped {
        return asked.fail(format!("{} is not running", asked.name()));
    }
    let groups = Cgroups { dirs: status.cgroups.iter().map(Into::into).collect() };
    match &asked.rest[..] {
        [object] | [object, _] if object.contains('/') => asked.fail(format!("`{object}` is no state object")),
        [object] => with(&asked, &groups, object, |path| std::fs::read_to_string(path).map(|text| super::say(&text))),
        [object, value] => with(&asked, &groups, object, |path| std::fs::write(path, value)),
        _ => asked.fail("Missing state object"),
    }
}

fn with(asked: &Asked, groups: &Cgroups, object: &str, act: impl FnOnce(&Path) -> std::io::Result<()>) -> ExitCode {
    let Some(path) = groups.file(object) else {
        return asked.fail(format!("no control group has {object} on this machine"));
    };
    act(&path).map_or_else(|e| asked.fail(format!("{object}: {e}")), |()| ExitCode::SUCCESS)
}

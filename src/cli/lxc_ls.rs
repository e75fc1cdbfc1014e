//! `lxc-ls`, `lxc-info`, `lxc-config`, `lxc-top`: what there is. Source: lxc-ls(1), lxc-info(1), lxc-config(1), lxc-top(1).

use std::ffi::OsString;
use std::fs;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use super::lxc::{Asked, Tool, opt};
use crate::container::protocol::{State, Status};
use crate::container::runtime::store::{self, DEFAULT_PATH};
use crate::container::runtime::{client, freeze};
use crate::container::spec::Spec;
use crate::container::table;

static LS: Tool = Tool {
    name: "lxc-ls",
    usage: "[-P lxcpath] [--active] [--running] [--frozen] [--stopped] [--defined] [-1] [-f] [-F fields] [regex]",
    about: "lxc-ls list containers",
    options: &[
        opt('1', "line", None, "show one entry per line"),
        opt('f', "fancy", None, "use a column-based output"),
        opt('F', "fancy-format", Some("COLUMNS"), "comma separated list of columns to show"),
        opt(' ', "active", None, "list only active containers"),
        opt(' ', "running", None, "list only running containers"),
        opt(' ', "frozen", None, "list only frozen containers"),
        opt(' ', "stopped", None, "list only stopped containers"),
        opt(' ', "defined", None, "list only defined containers"),
        opt('g', "groups", Some("GROUPS"), "list only containers of these groups"),
        opt(' ', "filter", Some("REGEX"), "filter container names by regular expression"),
    ],
    wants_name: false,
};

static INFO: Tool = Tool {
    name: "lxc-info",
    usage: "--name=NAME",
    about: "lxc-info display some information about a container with the identifier NAME",
    options: &[
        opt('c', "config", Some("KEY"), "show configuration variable KEY from running container"),
        opt('i', "ips", None, "shows the IP addresses"),
        opt('p', "pid", None, "shows the process id of the init container"),
        opt('S', "stats", None, "shows usage stats"),
        opt('H', "no-humanize", None, "shows stats as raw numbers, not humanized"),
        opt('s', "state", None, "shows the state of the container"),
        opt('f', "rcfile", Some("FILE"), "Load configuration file FILE"),
    ],
    wants_name: true,
};

static CONFIG: Tool = Tool {
    name: "lxc-config",
    usage: "-l | ITEM",
    about: "lxc-config queries the system configuration",
    options: &[opt('l', "list", None, "list all system configuration items")],
    wants_name: false,
};

static TOP: Tool = Tool {
    name: "lxc-top",
    usage: "[--batch]",
    about: "lxc-top shows the running containers and what they use, once",
    options: &[opt('b', "batch", None, "print once (always, here)"), opt('d', "delay", Some("SECONDS"), "ignored")],
    wants_name: false,
};

/// The columns of `lxc-ls -f` that are shown unless `-F` says otherwise.
const COLUMNS: &str = "NAME,STATE,AUTOSTART,GROUPS,IPV4,IPV6,UNPRIVILEGED";

/// What is known of one container.
struct Seen {
    name: String,
    status: Status,
    spec: Spec,
    defined: bool,
}

fn seen(asked: &Asked, name: String) -> Seen {
    let place = asked.place_of(&name);
    Seen { status: client::status(&place), spec: place.spec().unwrap_or_default(), defined: place.is_defined(), name }
}

/// `lxc-ls`.
pub fn ls(args: &[OsString]) -> ExitCode {
    let asked = match LS.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let names = match store::names(&asked.lxcpath()) {
        Ok(names) => names,
        Err(e) => return asked.fail(format!("cannot read {}: {e}", asked.lxcpath().display())),
    };
    let pattern = asked.value("filter").or(asked.rest.first().map(String::as_str)).unwrap_or("");
    let Ok(pattern) = regex::Regex::new(pattern) else {
        return asked.fail(format!("`{pattern}` is no regular expression"));
    };
    let all = names.into_iter().filter(|n| pattern.is_match(n)).map(|n| seen(&asked, n));
    let shown: Vec<Seen> = all.filter(|s| wanted(&asked, s)).collect();
    print!("{}", listing(&asked, &shown));
    ExitCode::SUCCESS
}

fn wanted(asked: &Asked, seen: &Seen) -> bool {
    let state = seen.status.state;
    let states = [
        ("active", state != State::Stopped),
        ("running", state == State::Running),
        ("frozen", state == State::Frozen),
        ("stopped", state == State::Stopped),
        ("defined", seen.defined),
    ];
    let asked_for: Vec<_> = states.into_iter().filter(|(name, _)| asked.has(name)).collect();
    let groups = asked.value("groups").unwrap_or("");
    let in_group = groups.is_empty() || groups.split(',').any(|g| seen.spec.groups.iter().any(|own| own == g));
    in_group && (asked_for.is_empty() || asked_for.into_iter().any(|(_, fits)| fits))
}

fn listing(asked: &Asked, shown: &[Seen]) -> String {
    if asked.has("fancy") || asked.has("fancy-format") {
        let columns = asked.value("fancy-format").unwrap_or(COLUMNS).to_ascii_uppercase();
        let header: Vec<&str> = columns.split(',').map(str::trim).collect();
        let rows: Vec<_> = shown.iter().map(|s| header.iter().map(|c| cell(s, c)).collect()).collect();
        return if shown.is_empty() { String::new() } else { table::table(&header, &rows) };
    }
    let names: Vec<String> = shown.iter().map(|s| s.name.clone()).collect();
    if asked.has("line") {
        return names.iter().map(|n| format!("{n}\n")).collect();
    }
    let width =
        std::io::stdout().is_terminal().then(|| crossterm::terminal::size().map_or(80, |(w, _)| usize::from(w)));
    table::columns(&names, width)
}

fn cell(seen: &Seen, column: &str) -> String {
    let dash = |text: String| if text.is_empty() { "-".to_string() } else { text };
    let addresses = |six: bool| {
        let bare = seen.status.addresses.iter().map(|a| a.split('/').next().unwrap_or(a));
        bare.filter(|a| a.contains(':') == six).collect::<Vec<_>>().join(", ")
    };
    match column {
        "NAME" => seen.name.clone(),
        "STATE" => seen.status.state.word().into(),
        "PID" => dash(Some(seen.status.pid).filter(|p| *p > 0).map_or(String::new(), |p| p.to_string())),
        "AUTOSTART" => u8::from(seen.spec.autostart).to_string(),
        "GROUPS" => dash(seen.spec.groups.join(", ")),
        "IPV4" => dash(addresses(false)),
        "IPV6" => dash(addresses(true)),
        "UNPRIVILEGED" => (!seen.spec.idmap.is_empty()).to_string(),
        "INTERFACE" => dash(seen.status.links.join(", ")),
        "RAM" => dash(usage(&seen.status).memory.map_or(String::new(), table::size)),
        _ => "-".into(),
    }
}

/// What a container has used so far, where control groups count it.
struct Usage {
    /// Nanoseconds.
    cpu: Option<u64>,
    /// Bytes now.
    memory: Option<u64>,
    /// Processes now.
    processes: Option<u64>,
}

fn usage(status: &Status) -> Usage {
    let number = |file: &str| {
        let texts = status.cgroups.iter().filter_map(|dir| fs::read_to_string(format!("{dir}/{file}")).ok());
        texts.filter_map(|text| text.trim().parse::<u64>().ok()).next()
    };
    let v2 = || {
        let stat = status.cgroups.iter().find_map(|dir| fs::read_to_string(format!("{dir}/cpu.stat")).ok())?;
        let micros = stat.lines().find_map(|l| l.strip_prefix("usage_usec "))?.trim().parse::<u64>().ok()?;
        Some(micros * 1000)
    };
    Usage {
        cpu: number("cpuacct.usage").or_else(v2),
        memory: number("memory.current").or_else(|| number("memory.usage_in_bytes")),
        processes: number("pids.current"),
    }
}

/// `lxc-info`.
pub fn info(args: &[OsString]) -> ExitCode {
    let asked = match INFO.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let seen = seen(&asked, asked.name().into());
    if !seen.defined && seen.status.state == State::Stopped {
        eprintln!("{} doesn't exist", asked.name());
        return ExitCode::from(1);
    }
    if !asked.all("config").is_empty() {
        return configured(&asked);
    }
    print!("{}", information(&asked, &seen));
    ExitCode::SUCCESS
}

fn configured(asked: &Asked) -> ExitCode {
    let config = match asked.place().config(None, &[]) {
        Ok(config) => config,
        Err(error) => return asked.fail(error),
    };
    for key in asked.all("config") {
        let values: Vec<String> = config.all(&key).into_iter().map(|e| e.value.clone()).collect();
        println!("{key} = {}", values.join("\n"));
    }
    ExitCode::SUCCESS
}

/// The fields that were asked for; all when none was. A field alone has no label when nothing is to be humanized.
fn information(asked: &Asked, seen: &Seen) -> String {
    let chosen: Vec<&str> = ["state", "pid", "ips", "stats"].into_iter().filter(|o| asked.has(o)).collect();
    let wants = |what: &str| chosen.is_empty() || chosen.contains(&what);
    let raw = asked.has("no-humanize") && chosen.len() == 1;
    let field = |label: &str, value: &str| if raw { format!("{value}\n") } else { table::field(label, value) };
    let mut text = String::new();
    if chosen.is_empty() {
        text += &field("Name", &seen.name);
    }
    if wants("state") {
        text += &field("State", seen.status.state.word());
    }
    if seen.status.state == State::Stopped {
        return text;
    }
    if wants("pid") {
        text += &field("PID", &seen.status.pid.to_string());
    }
    if wants("ips") {
        let bare = seen.status.addresses.iter().map(|a| a.split('/').next().unwrap_or(a));
        text += &bare.map(|a| field("IP", a)).collect::<String>();
    }
    if wants("stats") {
        text += &statistics(asked, seen);
    }
    text
}

fn statistics(asked: &Asked, seen: &Seen) -> String {
    let raw = asked.has("no-humanize");
    let bytes = |n: u64| if raw { n.to_string() } else { table::size(n) };
    let used = usage(&seen.status);
    let mut text = String::new();
    if let Some(nanos) = used.cpu {
        #[allow(clippy::cast_precision_loss)]
        let seconds = nanos as f64 / 1e9;
        text += &table::field("CPU use", &if raw { nanos.to_string() } else { format!("{seconds:.2} seconds") });
    }
    if let Some(memory) = used.memory {
        text += &table::field("Memory use", &bytes(memory));
    }
    for link in &seen.status.links {
        text += &table::field("Link", link);
        let count = |file: &str| {
            let path = format!("/sys/class/net/{link}/statistics/{file}_bytes");
            fs::read_to_string(path).ok().and_then(|t| t.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        let (tx, rx) = (count("rx"), count("tx")); // what the container sends the outer end receives
        for (label, n) in [(" TX bytes", tx), (" RX bytes", rx), (" Total bytes", tx + rx)] {
            text += &table::field(label, &bytes(n));
        }
    }
    text
}

/// `lxc-config`: the system's settings, which are fixed here.
pub fn config(args: &[OsString]) -> ExitCode {
    const ITEMS: &[(&str, &str)] = &[
        ("lxc.default_config", "/etc/lxc/default.conf"),
        ("lxc.lxcpath", DEFAULT_PATH),
        ("lxc.bdev.lvm.vg", "lxc"),
        ("lxc.bdev.lvm.thin_pool", "lxc"),
        ("lxc.bdev.zfs.root", "lxc"),
        ("lxc.bdev.rbd.rbdpool", "lxc"),
        ("lxc.cgroup.use", ""),
        ("lxc.cgroup.pattern", "lxc.payload.%n"),
    ];
    let asked = match CONFIG.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    if asked.has("list") {
        ITEMS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let Some(item) = asked.rest.first() else { return asked.fail("which item? lxc-config -l lists them") };
    match ITEMS.iter().find(|(name, _)| name == item) {
        Some((_, value)) => {
            println!("{value}");
            ExitCode::SUCCESS
        }
        None => asked.fail(format!("Unknown configuration item: {item}")),
    }
}

/// `lxc-top`, once.
pub fn top(args: &[OsString]) -> ExitCode {
    let asked = match TOP.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let names = store::names(&asked.lxcpath()).unwrap_or_default();
    let running = names.into_iter().map(|n| seen(&asked, n)).filter(|s| s.status.state != State::Stopped);
    let rows: Vec<Vec<String>> = running.map(|s| top_row(&s)).collect();
    let _ = write!(std::io::stdout(), "{}", table::table(&["Container", "CPU", "Memory", "Processes"], &rows));
    ExitCode::SUCCESS
}

fn top_row(seen: &Seen) -> Vec<String> {
    let used = usage(&seen.status);
    let processes = used.processes.unwrap_or_else(|| freeze::members(seen.status.pid).len() as u64);
    #[allow(clippy::cast_precision_loss)]
    let cpu = used.cpu.map_or("-".into(), |n| format!("{:.2}s", n as f64 / 1e9));
    vec![seen.name.clone(), cpu, used.memory.map_or("-".into(), table::size), processes.to_string()]
}

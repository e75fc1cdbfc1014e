//! # The command line: who am I today?
//!
//! The one binary stands in for many tools. [`main`] looks at the name under which it was called (`mount.aufs`,
//! `gluster`, `lxc-start`, `lab`, …) and, when that is `terrarium`, at its first argument. One file a verb; a verb is a
//! function from arguments (without its own name) to an exit code.
//!
//! Exit codes: 0 ok, 1 a check failed, 2 usage, 3 this machine cannot, 4 a lab file is invalid, 5 internal, 130
//! interrupted; `run` passes on its command's own, with 125 for its own failures.

mod apt;
mod bench;
mod bench_container;
mod bench_raft;
mod bench_union;
mod bench_volume;
mod brick;
mod doctor;
mod enter;
mod export;
mod getfattr;
mod gluster;
mod glusterd;
mod glusterfs;
mod help;
mod hidden;
mod host;
pub mod lab;
mod lab_hash;
mod labs;
mod lxc;
mod lxc_absent;
mod lxc_attach;
mod lxc_autostart;
mod lxc_console;
mod lxc_copy;
mod lxc_create;
mod lxc_ls;
mod lxc_monitor;
mod lxc_snapshot;
mod lxc_start;
mod lxc_stop;
mod mount_aufs;
mod mount_glusterfs;
mod node;
mod outer;
mod quickstart;
mod run;
mod screen;
mod statedump;
mod su;
mod sudo;
mod systemctl;
mod umount_aufs;

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::sandbox::shims;

/// What a verb is: its arguments without the verb itself in, the exit code out.
pub type Verb = fn(&[OsString]) -> ExitCode;

/// The tools that the binary stands in for, by the name under which it is called; inside a world they are on PATH.
const TOOLS: &[(&str, Verb)] = &[
    ("gluster", gluster::main),
    ("glusterd", glusterd::main),
    ("glusterfs", glusterfs::main),
    ("glusterfsd", brick::daemon),
    ("lab", lab::main),
    ("getfattr", getfattr::get),
    ("setfattr", getfattr::set),
    ("export", export::main),
    ("lxc-attach", lxc_attach::attach),
    ("lxc-autostart", lxc_autostart::autostart),
    ("lxc-cgroup", lxc_monitor::cgroup),
    ("lxc-checkconfig", lxc_absent::checkconfig),
    ("lxc-checkpoint", lxc_absent::absent),
    ("lxc-clone", lxc_absent::absent),
    ("lxc-config", lxc_ls::config),
    ("lxc-console", lxc_console::console),
    ("lxc-copy", lxc_copy::copy),
    ("lxc-create", lxc_create::create),
    ("lxc-destroy", lxc_create::destroy),
    ("lxc-device", lxc_absent::absent),
    ("lxc-execute", lxc_start::execute),
    ("lxc-freeze", lxc_stop::freeze),
    ("lxc-info", lxc_ls::info),
    ("lxc-ls", lxc_ls::ls),
    ("lxc-monitor", lxc_monitor::monitor),
    ("lxc-snapshot", lxc_snapshot::snapshot),
    ("lxc-start", lxc_start::start),
    ("lxc-start-ephemeral", lxc_absent::absent),
    ("lxc-stop", lxc_stop::stop),
    ("lxc-top", lxc_ls::top),
    ("lxc-unfreeze", lxc_stop::unfreeze),
    ("lxc-unshare", lxc_absent::absent),
    ("lxc-update-config", lxc_absent::absent),
    ("lxc-usernsexec", lxc_absent::absent),
    ("lxc-wait", lxc_stop::wait),
    ("add-apt-repository", quickstart::repository),
    ("lsmod", quickstart::lsmod),
    ("modprobe", quickstart::modprobe),
    ("nano", quickstart::editor),
    ("vi", quickstart::editor),
    ("vim", quickstart::editor),
    ("apt", apt::main),
    ("apt-get", apt::main),
    ("service", systemctl::service),
    ("su", su::main),
    ("sudo", sudo::main),
    ("systemctl", systemctl::systemctl),
    ("mount.glusterfs", mount_glusterfs::main),
    ("mount.fuse.glusterfs", mount_glusterfs::main),
    ("umount.glusterfs", mount_glusterfs::unmount),
    ("umount.fuse.glusterfs", mount_glusterfs::unmount),
    ("mount.aufs", mount_aufs::main),
    ("mount.fuse.aufs", mount_aufs::main),
    ("umount.aufs", umount_aufs::main),
    ("umount.fuse.aufs", umount_aufs::main),
];

/// The program's own verbs, with one line of help; those without one are for the program itself.
const VERBS: &[(&str, Verb, &str)] = &[
    ("run", run::main, "a fresh world for one command, or a shell"),
    ("enter", enter::main, "join a running world from another terminal"),
    ("doctor", doctor::main, "what this machine can do, and what would mend it"),
    ("probe", doctor::probe, ""),
    ("lab", labs::main, "the course's tools: list, lint, test, schema"),
    ("brick", brick::main, "one brick of a volume, by hand"),
    ("node", node::main, "one Raft node, by hand"),
    ("bench", bench::main, "measurements beside the peers"),
    ("export", export::main, "the homework as a script for a real machine"),
    ("screen", screen::main, ""),
    ("world", hidden::world, ""),
    ("init", hidden::init, ""),
    ("keeper", hidden::keeper, ""),
    ("server", hidden::server, ""),
    ("act-as", lab::run_as, ""),
    ("remove-world", hidden::remove_world, ""),
];

/// The program: finds the tool by its own name or the verb by its first argument, and runs it.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Ok(name) = std::ffi::CString::new(own_name().into_encoded_bytes()) {
        // `pgrep` and `top` go by this; without it they would say the program's own name.
        let _ = nix::sys::prctl::set_name(&name);
    }
    if let Some(run) = tool(&own_name()) {
        return run(&args[1..]);
    }
    let Some(word) = args.get(1) else {
        return if is_shim() { other(&own_name()) } else { outer::main(&[]) };
    };
    let verb = VERBS.iter().find(|(verb, ..)| *verb == word).map(|(_, run, _)| *run);
    match verb.or_else(|| tool(word)) {
        Some(run) => run(&args[2..]),
        None => other(word),
    }
}

/// The name under which the program was called.
fn own_name() -> OsString {
    std::env::args_os().next().and_then(|path| Path::new(&path).file_name().map(OsStr::to_owned)).unwrap_or_default()
}

/// Whether the program was called by the name of a tool that it stands in for.
fn is_shim() -> bool {
    let own = own_name();
    own != "terrarium" && shims::COMMANDS.iter().chain(shims::MOUNT_HELPERS).any(|name| *name == own)
}

fn tool(name: &OsStr) -> Option<Verb> {
    TOOLS.iter().find(|(tool, _)| *tool == name).map(|(_, run)| *run)
}

/// A first argument that is neither verb nor tool.
fn other(word: &OsStr) -> ExitCode {
    match word.to_str() {
        Some("help" | "--help" | "-h") => say(&help()),
        Some("--version" | "-V") => println!("terrarium {}", env!("CARGO_PKG_VERSION")),
        _ if is_shim() => {
            eprintln!("{}: terrarium does not have this command yet", own_name().display());
            return ExitCode::from(3);
        }
        _ => {
            eprintln!("terrarium: there is no command ‘{}’; `terrarium --help` shows those there are", word.display());
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn help() -> String {
    let texts = crate::tui::text::Texts::of_environment();
    let mut text = texts.get("help-main") + "\n\n" + EXAMPLES + "\n" + &texts.get("help-commands") + "\n";
    for (verb, _, says) in VERBS.iter().filter(|(.., says)| !says.is_empty()) {
        let says = texts.find(&format!("help-verb-{verb}")).unwrap_or_else(|| (*says).into());
        text += &format!("  {verb:<10} {says}\n");
    }
    text
}

/// Examples at the head of the help.
const EXAMPLES: &str = "  terrarium
  terrarium run
  terrarium run --nodes 3 -- redis-cli -h n1 SET x 5
  terrarium enter
";

/// Parses a verb's arguments with clap; prints help or the usage error and gives the exit code where they are not to be had.
fn parse<T: Parser>(name: &str, args: &[OsString]) -> Result<T, ExitCode> {
    let words = || std::iter::once(OsString::from(name)).chain(args.iter().cloned());
    T::try_parse_from(words()).map_err(|error| {
        let prefix = name.replace("terrarium ", "help-").replace(' ', "-");
        let asked = error.kind() == clap::error::ErrorKind::DisplayHelp;
        let told = asked.then(|| help::translated(T::command(), &prefix).try_get_matches_from(words()).err()).flatten();
        let error = told.unwrap_or(error);
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Writes to standard output; a reader that went away (`| head`) is no failure.
fn say(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
}

/// Prints the one line of a failure and gives its exit code.
fn fail(verb: &str, error: &impl Display, code: u8) -> ExitCode {
    eprintln!("terrarium {verb}: {error}");
    ExitCode::from(code)
}

//! # The command line: who am I today?
//!
//! The one binary stands in for many tools. [`main`] looks at the name under which it was called (`mount.aufs`,
//! `gluster`, `lxc-start`, `lab`, …) and, when that is `terrarium`, at its first argument. One file a verb; a verb is a
//! function from arguments (without its own name) to an exit code.
//!
//! Exit codes: 0 ok, 1 a check failed, 2 usage, 3 this machine cannot, 4 a lab file is invalid, 5 internal, 130
//! interrupted; `run` passes on its command's own, with 125 for its own failures.

mod apt;
mod enter;
mod hidden;
pub mod lab;
mod lxc;
mod lxc_attach;
mod lxc_console;
mod lxc_copy;
mod lxc_create;
mod lxc_ls;
mod lxc_start;
mod lxc_stop;
mod mount_aufs;
mod node;
mod run;
mod su;
mod sudo;
mod systemctl;
mod umount_aufs;

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

/// What a verb is: its arguments without the verb itself in, the exit code out.
pub type Verb = fn(&[OsString]) -> ExitCode;

/// The verbs and the names of tools that the binary answers to, each with its function.
const VERBS: &[(&str, Verb)] = &[
    ("lxc-attach", lxc_attach::attach),
    ("lxc-config", lxc_ls::config),
    ("lxc-console", lxc_console::console),
    ("lxc-copy", lxc_copy::copy),
    ("lxc-create", lxc_create::create),
    ("lxc-destroy", lxc_create::destroy),
    ("lxc-execute", lxc_start::execute),
    ("lxc-freeze", lxc_stop::freeze),
    ("lxc-info", lxc_ls::info),
    ("lxc-ls", lxc_ls::ls),
    ("lxc-start", lxc_start::start),
    ("lxc-stop", lxc_stop::stop),
    ("lxc-top", lxc_ls::top),
    ("lxc-unfreeze", lxc_stop::unfreeze),
    ("lxc-wait", lxc_stop::wait),
    ("apt", apt::main),
    ("apt-get", apt::main),
    ("service", systemctl::service),
    ("su", su::main),
    ("sudo", sudo::main),
    ("systemctl", systemctl::systemctl),
    ("run", run::main),
    ("enter", enter::main),
    ("lab", lab::main),
    ("mount.aufs", mount_aufs::main),
    ("mount.fuse.aufs", mount_aufs::main),
    ("umount.aufs", umount_aufs::main),
    ("umount.fuse.aufs", umount_aufs::main),
    ("world", hidden::world),
    ("init", hidden::init),
    ("keeper", hidden::keeper),
    ("server", hidden::server),
    ("remove-world", hidden::remove_world),
    ("node", node::main),
];

/// The program: finds the verb by its own name or first argument and runs it.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let own = args.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    let by = |name: &std::ffi::OsStr| VERBS.iter().find(|(verb, _)| *verb == name).map(|(_, run)| run);
    if let Some(run) = by(own) {
        return run(&args[1..]);
    }
    match args.get(1).and_then(|word| by(word)) {
        Some(run) => run(&args[2..]),
        None => {
            eprintln!("terrarium: no such command; try `terrarium --help`");
            ExitCode::from(2)
        }
    }
}

/// Parses a verb's arguments with clap; prints help or the usage error and gives the exit code where they are not to be had.
fn parse<T: Parser>(name: &str, args: &[OsString]) -> Result<T, ExitCode> {
    T::try_parse_from(std::iter::once(OsString::from(name)).chain(args.iter().cloned())).map_err(|error| {
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Prints the one line of a failure and gives its exit code.
fn fail(verb: &str, error: &impl Display, code: u8) -> ExitCode {
    eprintln!("terrarium {verb}: {error}");
    ExitCode::from(code)
}

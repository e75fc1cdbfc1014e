//! # The command line: who am I today?
//!
//! The one binary stands in for many tools. [`main`] looks at the name under which it was called (`mount.aufs`,
//! `gluster`, `lxc-start`, `lab`, …) and, when that is `terrarium`, at its first argument. One file a verb; a verb is a
//! function from arguments (without its own name) to an exit code.
//!
//! Exit codes: 0 ok, 1 a check failed, 2 usage, 3 this machine cannot, 4 a lab file is invalid, 5 internal, 130
//! interrupted; `run` passes on its command's own, with 125 for its own failures.

mod bench;
mod bench_raft;
mod node;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// What a verb is: its arguments without the verb itself in, the exit code out.
pub type Verb = fn(&[OsString]) -> ExitCode;

/// The verbs and the names of tools that the binary answers to, each with its function.
const VERBS: &[(&str, Verb)] = &[("bench", bench::main), ("node", node::main)];

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

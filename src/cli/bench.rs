//! `terrarium bench WHAT`: measurements beside the peers, one file each.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{Verb, bench_container, bench_raft, bench_union, bench_volume};

/// What can be measured.
const BENCHES: &[(&str, Verb)] = &[
    ("raft", bench_raft::main),
    ("union", bench_union::main),
    ("volume", bench_volume::main),
    ("container", bench_container::main),
];

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let what = args.first().cloned().unwrap_or_default();
    if let Some((_, run)) = BENCHES.iter().find(|(name, _)| *name == what) {
        return run(&args[1..]);
    }
    let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
    eprintln!("terrarium bench: what? try `terrarium bench {}`", names.join("` or `terrarium bench "));
    ExitCode::from(2)
}

//! `terrarium bench union`: the union beside its peers, on the same trees, in one run.
//!
//! Every peer shows a fresh writable branch over one read-only branch that all share; the plain directory (`native`) is a copy
//! of that. A *group* of rows is measured on a mount of its own, so that `first` means what it says: nothing of that mount
//! was asked before; what lies below is warm. In each round every group is measured on all peers, in an order drawn anew;
//! the table gives the median of the rounds. Ratios are to kernel overlayfs where it runs, else to the plain directory.
//!
//! As root the mounts are made in a mount namespace of the bench's own; as an ordinary user in a user namespace as well, in
//! which that user is root. What is not installed, or cannot be had there, is left out and said.

mod namespace;
mod peer;
mod row;
mod table;
mod tree;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use rand::seq::SliceRandom;

use super::parse;
use peer::Peer;
use row::{GROUPS, Group, On};
use table::Table;
use tree::Scale;

/// Measures the union mount beside the plain directory, kernel overlayfs, fuse-overlayfs and mergerfs.
///
/// Example: terrarium bench union --rows stat,readdir --peers overlayfs,ours
#[derive(Parser)]
struct Args {
    /// A tenth of everything.
    #[arg(long)]
    quick: bool,
    /// How often each row is measured; the table gives the median.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these groups of rows: start, stat, readdir, readdirstat, grep, read, write, small, untar, copyup, unlink.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Only these peers: native, overlayfs, fuse-overlayfs, mergerfs, ours, ours-passthrough (root only: files
    /// of the writable branch are read and written by the kernel itself).
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// How direct changes are noticed by ours: notify, reval, none.
    #[arg(long, default_value = "notify")]
    udba: String,
    /// Where to make the trees; not on an overlay.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
    /// The table as JSON.
    #[arg(long)]
    json: bool,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args: Args = match parse("terrarium bench union", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("terrarium bench union: {why}");
            ExitCode::from(3)
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let groups = chosen(&args.rows, GROUPS.iter().collect(), |g| g.key)?;
    let peers = chosen(&args.peers, Peer::ALL.to_vec(), |p| p.name())?;
    let root = namespace::enter()?;
    let scale = if args.quick { tree::QUICK } else { tree::FULL };
    let base = args.dir.join(format!("terrarium-bench-{}", std::process::id()));
    eprintln!("making the trees in {} …", base.display());
    let made = tree::make(&base, &scale).map_err(|e| format!("{}: {e}", base.display()));
    let table = made.map(|()| measure(args, &base, &scale, &groups, peers));
    let _ = fs::remove_dir_all(&base);
    let table = table?;
    match args.json {
        true => println!("{}", table.json(&args.udba, root)),
        false => table.print(&args.udba, root),
    }
    Ok(())
}

/// Those of `all` that are named; all when none is.
fn chosen<T>(named: &[String], all: Vec<T>, name: impl Fn(&T) -> &'static str) -> Result<Vec<T>, String> {
    if let Some(unknown) = named.iter().find(|n| !all.iter().any(|t| name(t) == **n)) {
        let known: Vec<&str> = all.iter().map(&name).collect();
        return Err(format!("there is no `{unknown}`; there are {}", known.join(", ")));
    }
    Ok(all.into_iter().filter(|t| named.is_empty() || named.iter().any(|n| n == name(t))).collect())
}

fn measure(args: &Args, base: &Path, scale: &Scale, groups: &[&Group], mut peers: Vec<Peer>) -> Table {
    let mut table = Table::new(groups, &peers);
    for round in 1..=args.rounds.max(1) {
        for group in groups {
            peers.shuffle(&mut rand::rng());
            for peer in peers.clone() {
                if group.without.contains(&peer) {
                    continue;
                }
                eprint!("\r\x1b[Kround {round}: {} on {} ", group.key, peer.name());
                match once(peer, group, base, scale, &args.udba) {
                    Ok(seconds) => table.add(peer, group, &seconds),
                    Err(why) => {
                        eprintln!("\r\x1b[K{}: left out: {}: {why}", peer.name(), group.key);
                        peers.retain(|p| *p != peer);
                    }
                }
            }
        }
    }
    eprint!("\r\x1b[K");
    table
}

/// Measures a group on a fresh mount of a peer.
fn once(peer: Peer, group: &Group, base: &Path, scale: &Scale, udba: &str) -> Result<Vec<f64>, String> {
    let place = base.join("now");
    fs::create_dir_all(&place).map_err(|e| e.to_string())?;
    tree::warm(base, peer, group.warm).map_err(|e| e.to_string())?;
    let measured = peer.mount(base, &place, udba).and_then(|mounted| {
        let on = On { at: &mounted.at, base, scale, start: mounted.seconds };
        let measured = (group.run)(&on).map_err(|e| e.to_string());
        mounted.unmount();
        measured
    });
    tree::clear(&place, base, peer, scale).map_err(|e| e.to_string())?;
    measured
}

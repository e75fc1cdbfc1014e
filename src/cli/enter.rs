//! `terrarium enter`: join a running world from another terminal.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::{prctl, signal::Signal};

use super::fail;
use crate::sandbox::{Error, Result, enter, place, place::Place};

/// Join a running world.
#[derive(Parser)]
#[command(
    name = "terrarium enter",
    before_help = "\
Examples:
  terrarium enter                       a shell in the running world
  terrarium enter -- lab status
  terrarium enter --world mine -- ps ax"
)]
struct Args {
    /// Which world, where several run.
    #[arg(long, value_name = "NAME")]
    world: Option<String>,
    /// The folder to start in.
    #[arg(long, value_name = "DIR")]
    dir: Option<OsString>,
    /// End when the calling process ends.
    #[arg(long, hide = true)]
    tied: bool,
    /// The command and its arguments; a shell if there is none.
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    match super::parse::<Args>("terrarium enter", args) {
        Ok(args) => join(args).map_or_else(|error| fail("enter", &error, enter::FAILED), ExitCode::from),
        Err(code) => code,
    }
}

fn join(args: Args) -> Result<u8> {
    if args.tied {
        let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    }
    let place = args.world.as_deref().map_or_else(only_world, Place::of)?;
    let here = || std::env::current_dir().map_or_else(|_| "/".into(), std::path::PathBuf::into_os_string);
    let dir = args.dir.unwrap_or_else(here);
    enter::join(&place)?;
    enter::run(&enter::Job { argv: args.command, dir, world: place.name })
}

/// The one world that runs.
fn only_world() -> Result<Place> {
    let mut running: Vec<Place> = place::all()?.into_iter().filter(Place::is_running).collect();
    match (running.pop(), running.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Error::new("no world runs", "open one with `terrarium run` or `terrarium`")),
        (Some(last), false) => {
            let names: Vec<_> = running.iter().chain([&last]).map(|place| place.name.clone()).collect();
            Err(Error::new("several worlds run", format!("choose one with --world: {}", names.join(", "))))
        }
    }
}

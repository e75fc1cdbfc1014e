//! `terrarium run`: a fresh world for one command (or a shell), without a screen.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use nix::unistd::Pid;

use super::fail;
use crate::sandbox::{Error, Result, While, enter, launch, own_exe, place, place::Place};
use crate::world::client::Client;
use crate::world::command::Command as Ask;
use crate::world::picture::World;

/// Open a fresh world and run a command in it.
#[derive(Parser)]
#[command(
    name = "terrarium run",
    before_help = "\
Examples:
  terrarium run                                  a shell in a fresh world
  terrarium run --nodes 3 -- redis-cli -h n1 SET x 5
  terrarium run -- sh homework.sh

Inside, you are root over a private world: mounts, addresses and processes are its own and end with it. This machine's
folders are visible read-only; the folder you are in is writable. The exit status is the command's own; 125 means
that the world itself could not be made, 126 and 127 are as in env(1)."
)]
struct Args {
    /// Have N Raft nodes up, with a leader elected, before the command starts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: Option<u8>,
    /// The seed of everything random in the world.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// The world's name, for `terrarium enter --world NAME`; its state is then kept.
    #[arg(long, value_name = "NAME")]
    world: Option<String>,
    /// The command and its arguments; a shell if there is none.
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args = match super::parse::<Args>("terrarium run", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(&args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail("run", &error, enter::FAILED),
    }
}

fn run(args: &Args) -> Result<u8> {
    place::heal();
    let work = work_folder()?;
    let passing = args.world.is_none();
    let name = args.world.clone().unwrap_or_else(|| format!("{}{}", place::PASSING, std::process::id()));
    let place = Place::of(&name)?;
    let lock = place.claim()?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let opened = launch::open(&launch::Spec { place: place.clone(), seed, work: Some(work) });
    let ran = opened.and_then(|opened| {
        let ready = args.nodes.map_or(Ok(()), |nodes| have_leader(&place, nodes));
        let code = ready.and_then(|()| run_inside(&name, &args.command));
        drop(opened);
        code
    });
    if passing {
        place.remove()?;
    }
    drop(lock);
    ran
}

/// The folder that stays writable: where we are. `/` and the home folder are refused, for everything below them would be.
fn work_folder() -> Result<PathBuf> {
    let here = std::env::current_dir().when(|| "finding the current folder")?;
    let home = std::env::var_os("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
    let refused = here == Path::new("/") || Some(&here) == home.as_ref();
    if refused {
        let reason =
            "it would be writable inside, with everything below it; make a folder for the homework and start there";
        return Err(Error::new(format!("the current folder {}", here.display()), reason));
    }
    Ok(here)
}

/// Starts the nodes and waits until one of them leads and has committed in its term.
fn have_leader(place: &Place, nodes: u8) -> Result<()> {
    let client = Client::connect(&place.socket()).when(|| "reaching the keeper")?;
    let asked = |ask| client.run("run", ask).map_err(|reason| Error::new(format!("starting {nodes} nodes"), reason));
    asked(Ask::Nodes(usize::from(nodes)))?;
    let (told, leads) = std::sync::mpsc::channel();
    let mut world = World::default();
    let watching = client.watch(move |update| {
        use crate::world::client::Update;
        match update {
            Update::Snapshot(snapshot) => world = *snapshot,
            Update::Event(event) => world.apply(&event),
            Update::Gone => return,
        }
        let led = world
            .raft
            .leader()
            .is_some_and(|(_, leader)| leader.last_term() == leader.term && leader.commit == leader.last());
        if led {
            let _ = told.send(());
        }
    });
    watching.when(|| "watching the nodes")?;
    let patience = std::time::Duration::from_secs(30);
    leads.recv_timeout(patience).map_err(|_| Error::new("electing a leader", "the nodes found none within 30 s"))
}

/// Runs the command by way of `terrarium enter`, so that this process stays outside and single-threaded work is done in
/// a process of one thread.
fn run_inside(world: &str, command: &[OsString]) -> Result<u8> {
    let mut enter = Command::new(own_exe()?);
    enter.arg0("terrarium").args(["enter", "--tied", "--world", world, "--"]).args(command);
    let child = enter.spawn().when(|| "starting the command")?;
    enter::attend(Pid::from_raw(child.id().cast_signed()))
}

//! # The keeper: the world's owner
//!
//! Pid 1's only child. It owns the [`World`](crate::world::World), its journal, the processes that it started and the
//! links between machines, and carries out [`Command`](crate::world::Command)s. Everybody else is a client over one
//! Unix socket: roles report events and answer questions, the screen and `lab` ask for commands and watch. A screen that
//! is suspended or crashes stops nothing and loses nothing.
//!
//! One thread, many small tasks that share one [`Keeper`]; nothing is borrowed across an `await`.
//!
//! * [`record`]: an event's way: sequence number, fold, journal, watchers.
//! * [`connections`]: the socket; what roles and clients say.
//! * [`processes`]: starting, stopping and watching over processes; their standard error.
//! * [`switch`]: the links between machines: cut, held, delayed, lossy. Nobody needs it until a link is touched or
//!   somebody watches; [`tuning`] tells the roles when.
//! * [`commands`]: what each command does.
//!
//! Left out: restarting what dies. A world in which things stay dead until somebody starts them is the point.

mod commands;
mod connections;
mod node_client;
mod processes;
mod record;
mod switch;
mod tuning;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::rc::Rc;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::world::{What, World, journal};

/// The folder of the world as it is seen inside.
pub const WORLD_DIR: &str = "/run/terrarium/world";

/// The keeper's shared state; see the module's head.
pub struct Keeper {
    /// Where the world is kept: [`WORLD_DIR`], or a folder of the host where there is no sandbox.
    dir: PathBuf,
    record: RefCell<record::Record>,
    /// Told after each event, when the world is another.
    changed: tokio::sync::Notify,
    roles: RefCell<connections::Roles>,
    processes: RefCell<processes::Processes>,
    switch: switch::Switch,
    tuning: RefCell<tuning::Tuning>,
}

/// A failure in words, for the one who asked.
type Refusal = String;

/// The body of the hidden verb `keeper NAME SEED READY [DIR]`: keeps the world until it is killed; with a folder, on the
/// host itself, where there is no sandbox. Gives the exit code.
pub fn main(args: &[OsString]) -> u8 {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let (name, seed, ready, dir) = match words[..] {
        [name, seed, ready] => (name, seed, ready, None),
        [name, seed, ready, dir] => (name, seed, ready, Some(PathBuf::from(dir))),
        _ => return 2,
    };
    let (Ok(seed), Ok(ready)) = (seed.parse(), ready.parse::<RawFd>()) else { return 2 };
    // SAFETY: the descriptor was handed down to this process alone.
    let mut ready = File::from(unsafe { OwnedFd::from_raw_fd(ready) });
    let _ = fcntl(&ready, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return 5,
    };
    let local = tokio::task::LocalSet::new();
    let kept = local.block_on(&runtime, async {
        if dir.is_none() {
            crate::sandbox::network::bring_up().await.map_err(|e| e.to_string())?;
        }
        let keeper = Keeper::open(dir.unwrap_or_else(|| WORLD_DIR.into()), name, seed).await?;
        let _ = ready.write_all(b"ready\n");
        drop(ready);
        keeper.serve().await
    });
    if let Err(reason) = kept {
        eprintln!("keeper: {reason}");
    }
    5
}

impl Keeper {
    /// Reads the journal of an earlier run if there is one, and listens.
    async fn open(dir: PathBuf, name: &str, seed: u64) -> Result<Rc<Self>, Refusal> {
        let journal = dir.join("journal");
        let (world, _) =
            if journal.is_dir() { journal::read(&journal).map_err(|e| e.to_string())? } else { Default::default() };
        let fresh = world == World::default();
        let record = record::Record::open(world, &journal).map_err(|e| format!("{}: {e}", journal.display()))?;
        let switch = switch::Switch::listen(seed).await.map_err(|e| format!("the link switch: {e}"))?;
        let keeper = Rc::new(Self {
            dir,
            record: RefCell::new(record),
            changed: tokio::sync::Notify::new(),
            roles: RefCell::default(),
            processes: RefCell::default(),
            switch,
            tuning: RefCell::default(),
        });
        keeper.listen().map_err(|e| format!("{}/keeper.sock: {e}", keeper.dir.display()))?;
        tokio::task::spawn_local(switch::accept(Rc::clone(&keeper)));
        if fresh {
            keeper.report(None, What::Opened { name: name.into(), seed });
        } else {
            keeper.reopen().await;
        }
        Ok(keeper)
    }

    /// Keeps the world until the process is told to end.
    async fn serve(&self) -> Result<(), Refusal> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
        term.recv().await;
        self.record.borrow_mut().flush();
        Ok(())
    }
}

//! `terrarium`: the outermost process. It holds the labs' worlds and starts the screen.
//!
//! The screen is a process of its own and a mere client: when it crashes, the terminal is given back as it was, the
//! worlds go on, and the screen is opened again. When this process ends, in any way, its worlds end with it.
//!
//! The two speak over a socket pair: the screen asks for a lab's world to be opened or put back to its beginning, this
//! process answers. Worlds are opened from this thread, for a world dies with the thread that opened it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::fail;
use crate::sandbox::{Result, While, launch, own_exe, place, place::Place};
use crate::world::wire::{read_frame, write_frame};

/// What the screen asks of the outermost process.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Open the lab's world, or find it running.
    Open(String),
    /// Close the lab's world and put it back to its beginning.
    Reset(String),
}

/// A lab's world, or why there is none, in one line.
pub type Reply = std::result::Result<World, String>;

/// A lab's world as the screen reaches it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct World {
    /// The keeper's socket.
    pub socket: PathBuf,
    /// Set where the machine refuses namespaces and the world runs on the host itself.
    pub on_host: Option<OnHost>,
}

/// A world without namespaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OnHost {
    /// The first three bytes of its addresses.
    pub loopback: String,
    /// Why there are no namespaces.
    pub reason: String,
}

/// A screen that crashed sooner than this after its start is not opened again.
const TOO_SOON: Duration = Duration::from_secs(2);

/// The name of a lab's world.
pub fn world_of(lab: &str) -> String {
    format!("lab-{lab}")
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        eprintln!("terrarium: this is no terminal; try `terrarium run -- COMMAND`, or `terrarium --help`");
        return ExitCode::from(2);
    }
    match Outer::default().run(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail("", &error, 5),
    }
}

/// The worlds that are open.
#[derive(Default)]
struct Outer {
    worlds: HashMap<String, Held>,
}

/// A world that is open; it closes when this is dropped.
struct Held {
    opened: launch::Opened,
    _lock: Flock<File>,
    on_host: Option<OnHost>,
}

impl Outer {
    fn run(&mut self, args: &[OsString]) -> Result<u8> {
        let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT]);
        signals.thread_block().when(|| "blocking signals")?;
        let caught = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .when(|| "making a signalfd")?;
        let terminal = tcgetattr(std::io::stdin()).ok();
        loop {
            let begun = Instant::now();
            let status = self.show(args, &caught)?;
            if let Some(code) = status.code() {
                return Ok(u8::try_from(code).unwrap_or(5));
            }
            give_back(terminal.as_ref());
            eprintln!("terrarium: the screen ended with {status}; your worlds are as they were");
            if begun.elapsed() < TOO_SOON {
                return Ok(5);
            }
        }
    }

    /// One life of the screen.
    fn show(&mut self, args: &[OsString], caught: &SignalFd) -> Result<ExitStatus> {
        let (mut ours, theirs) = UnixStream::pair().when(|| "making a socket pair")?;
        let mut screen = start_screen(args, &theirs)?;
        drop(theirs);
        loop {
            let mut watched =
                [PollFd::new(caught.as_fd(), PollFlags::POLLIN), PollFd::new(ours.as_fd(), PollFlags::POLLIN)];
            match poll(&mut watched, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                polled => drop(polled.when(|| "waiting")?),
            }
            let asked = watched[1].revents().is_some_and(|events| events.contains(PollFlags::POLLIN));
            let hung_up = watched[1].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP));
            while let Ok(Some(signal)) = caught.read_signal() {
                pass_on(&screen, signal.ssi_signo);
            }
            if let Some(status) = screen.try_wait().when(|| "waiting for the screen")? {
                return Ok(status);
            }
            if asked && let Ok(request) = read_frame(&mut ours) {
                let _ = write_frame(&mut ours, &self.answer(request));
            } else if hung_up {
                return screen.wait().when(|| "waiting for the screen");
            }
        }
    }

    fn answer(&mut self, request: Request) -> Reply {
        let done = match request {
            Request::Open(lab) => self.open(&lab),
            Request::Reset(lab) => self.reset(&lab),
        };
        done.map_err(|error| error.to_string())
    }

    fn open(&mut self, lab: &str) -> Result<World> {
        let place = Place::of(&world_of(lab))?;
        if !self.worlds.get_mut(lab).is_some_and(|held| held.opened.is_alive()) {
            self.worlds.remove(lab);
            place::heal();
            let lock = place.claim()?;
            let spec = launch::Spec { place: place.clone(), seed: rand::random(), work: None };
            let (opened, on_host) = open_somehow(&spec)?;
            self.worlds.insert(lab.into(), Held { opened, _lock: lock, on_host });
        }
        let on_host = self.worlds.get(lab).and_then(|held| held.on_host.clone());
        Ok(World { socket: place.socket(), on_host })
    }

    fn reset(&mut self, lab: &str) -> Result<World> {
        self.worlds.remove(lab);
        let place = Place::of(&world_of(lab))?;
        place.archive()?;
        Ok(World { socket: place.socket(), on_host: None })
    }
}

/// Opens a world in a sandbox, or where the machine refuses that, on the host itself.
fn open_somehow(spec: &launch::Spec) -> Result<(launch::Opened, Option<OnHost>)> {
    match launch::open(spec) {
        Ok(opened) => Ok((opened, None)),
        Err(refused) => {
            let loopback = format!("127.77.{}", std::process::id() % 250 + 1);
            let opened = launch::open_on_host(spec, &loopback)?;
            Ok((opened, Some(OnHost { loopback, reason: refused.to_string() })))
        }
    }
}

fn start_screen(args: &[OsString], socket: &UnixStream) -> Result<Child> {
    let mut command = Command::new(own_exe()?);
    command.arg0("terrarium").arg("screen").args(args).arg("--host").arg(socket.as_raw_fd().to_string());
    let fd = socket.as_raw_fd();
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            launch::keep_on_exec(fd)?;
            SigSet::all().thread_unblock()?;
            Ok(())
        });
    }
    command.spawn().when(|| "starting the screen")
}

/// A signal to this process is the screen's to act on: it gives the terminal back and leaves.
fn pass_on(screen: &Child, number: u32) {
    let signal = i32::try_from(number).ok().and_then(|number| Signal::try_from(number).ok());
    if let Some(signal) = signal.filter(|signal| *signal != Signal::SIGCHLD) {
        let _ = kill(Pid::from_raw(screen.id().cast_signed()), signal);
    }
}

/// Gives the terminal back as it was, after a screen that could not: its modes, the main screen, a visible cursor.
fn give_back(modes: Option<&Termios>) {
    if let Some(modes) = modes {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, modes);
    }
    print!("\x1b[?1049l\x1b[?25h\x1b[?2004l\x1b[0m\r\n");
    let _ = std::io::Write::flush(&mut std::io::stdout());
}

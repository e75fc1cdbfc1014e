//! The monitor: one small process beside each running container.
//!
//! It is pid 1's parent, so it learns how pid 1 ended; it owns the console and the terminals, answers the `lxc-*`
//! commands on a Unix socket, and reports to the world what happens. When it is killed the kernel ends pid 1, and with
//! pid 1 everything in the container.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::super::capability;
use super::super::protocol::{Reply, Request, State, Status};
use super::super::{Happening, Room};
use super::client::Client;
use super::start::{self, Launch, Running};
use super::store::Place;
use super::{Doing, Error, freeze, hooks, layers, seen, sys, union};
use crate::world::reporter::{Introduction, Question};
use crate::world::wire::{Ask, read_frame, socket_path, write_frame};
use crate::world::{Reporter, What};

/// How often the processes are looked at while somebody watches.
const LOOK: Duration = Duration::from_millis(500);
/// While no process comes or goes in the world, only every so many looks are thorough.
const REST: u32 = 4;
/// How many of a container's processes are reported by name.
const SHOWN_PROCESSES: usize = 32;
/// How long a command may take to say what it wants.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the last report may take.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A container's monitor.
pub struct Monitor {
    place: Place,
    listener: UnixListener,
    running: Running,
    status: Status,
    shared: Arc<Mutex<Status>>,
    clients: Vec<Guest>,
    taken: Vec<bool>,
    log: Option<fs::File>,
    reporter: Reporter,
    everybody: Vec<i32>,
    turns: u32,
    processes: Vec<(i32, String)>,
    room: Room,
    layers: Vec<String>,
    gauge: layers::Gauge,
    ephemeral: bool,
    restart: bool,
    union: Option<PathBuf>,
}

/// A connected command, and what it holds until it goes.
struct Guest {
    stream: UnixStream,
    terminal: Option<usize>,
    attached: Option<i32>,
}

impl Monitor {
    /// Starts the container and opens the socket.
    ///
    /// # Errors
    /// Why not; then nothing is left.
    pub fn begin(launch: &Launch) -> Result<Self, Error> {
        let listener = listen(&launch.place)?;
        let begun = Self::with_listener(launch, listener);
        if begun.is_err() {
            let _ = fs::remove_file(launch.place.socket());
        }
        begun
    }

    fn with_listener(launch: &Launch, listener: UnixListener) -> Result<Self, Error> {
        let spec = &launch.spec;
        let log = spec.console_log.as_ref().map(|path| {
            fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .doing(|| format!("open lxc.console.logfile {path}"))
        });
        let log = log.transpose()?;
        let running = start::spawn(launch)?;
        let status = Status {
            state: State::Running,
            pid: running.pid,
            monitor: i32::try_from(std::process::id()).unwrap_or(0),
            signals: (spec.signals.halt, spec.signals.reboot, spec.signals.stop),
            cgroups: running.cgroups.dirs.iter().map(|d| d.display().to_string()).collect(),
            links: running.links.clone(),
            addresses: spec.net.values().flat_map(|n| n.ipv4.iter().chain(&n.ipv6).cloned()).collect(),
            capabilities: capability::bounding(&spec.cap_drop, spec.cap_keep.as_deref()).0,
            environment: spec.environment.clone(),
        };
        Ok(Self {
            place: launch.place.clone(),
            listener,
            taken: vec![false; running.terminals.len()],
            running,
            shared: Arc::new(Mutex::new(status.clone())),
            status,
            clients: Vec::new(),
            log,
            reporter: Reporter::silent(&launch.place.name),
            everybody: Vec::new(),
            turns: 0,
            processes: Vec::new(),
            room: Room::default(),
            layers: Vec::new(),
            gauge: layers::Gauge::default(),
            ephemeral: spec.ephemeral,
            restart: false,
            union: launch.union.clone(),
        })
    }

    /// Watches until the container ends; gives pid 1's exit code.
    pub fn watch(mut self, launch: &Launch) -> i32 {
        drop(self.running.holder.take());
        self.introduce(launch);
        while !self.turn(launch).unwrap_or(true) {}
        let code = waitpid(Pid::from_raw(self.running.pid), None).map_or(1, start::code_of);
        self.end(launch);
        code
    }

    /// Connects to the world and says what there is.
    fn introduce(&mut self, launch: &Launch) {
        let name = format!("container:{}", self.place.name);
        let introduction = Introduction { name, role: "container".into(), ..Introduction::default() };
        let shared = Arc::clone(&self.shared);
        if let Ok(reporter) = Reporter::connect(&socket_path(), introduction, move |question| answer(question, &shared))
        {
            self.reporter = reporter;
        }
        if self.reporter.is_watched() {
            self.layers = layers::of(&launch.spec.rootfs);
            self.look_at_room(launch);
        }
        self.set_state(State::Running);
    }

    /// Reports what the room is made of, when that has changed.
    fn look_at_room(&mut self, launch: &Launch) {
        let room = seen::room(launch, &self.running, &self.layers);
        if room != self.room {
            self.room.clone_from(&room);
            self.report(Happening::Room(room));
        }
    }

    fn report(&self, happening: Happening) {
        self.reporter.report(None, What::Container(happening));
    }

    fn set_state(&mut self, state: State) {
        self.status.state = state;
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = self.status.clone();
        let pid = if state == State::Stopped { 0 } else { self.running.pid };
        self.report(Happening::State { state: state.word().into(), pid });
    }

    /// Waits for one thing and does it; `true` when pid 1 has ended.
    fn turn(&mut self, launch: &Launch) -> io::Result<bool> {
        let ready = self.wait()?;
        if ready.ended {
            return Ok(true);
        }
        for terminal in ready.terminals {
            self.swallow(terminal);
        }
        for at in ready.clients.into_iter().rev() {
            self.serve(at);
        }
        if ready.knocked {
            self.welcome();
        }
        if self.reporter.is_watched() {
            self.look(launch);
        }
        Ok(false)
    }

    fn wait(&self) -> io::Result<Ready> {
        let on = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let free: Vec<usize> = (0..self.taken.len()).filter(|t| !self.taken[*t]).collect();
        let mut fds = vec![on(self.running.process.as_fd()), on(self.listener.as_fd())];
        fds.extend(free.iter().map(|t| on(self.running.terminals[*t].0.as_fd())));
        fds.extend(self.clients.iter().map(|c| on(c.stream.as_fd())));
        let patience = if self.reporter.is_watched() { LOOK } else { Duration::from_secs(3600) };
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Ready::default()),
            Err(e) => return Err(e.into()),
        }
        let any = |at: usize| fds[at].any().unwrap_or(false);
        let first_client = 2 + free.len();
        Ok(Ready {
            ended: any(0),
            knocked: any(1),
            terminals: free.iter().enumerate().filter(|(i, _)| any(2 + i)).map(|(_, t)| *t).collect(),
            clients: (0..self.clients.len()).filter(|i| any(first_client + i)).collect(),
        })
    }

    /// What nobody reads is kept in the console's log or forgotten, so that the container's writers never wait.
    fn swallow(&mut self, terminal: usize) {
        let mut bytes = [0; 4096];
        if let (Ok(n), 0, Some(log)) =
            (nix::unistd::read(&self.running.terminals[terminal].0, &mut bytes), terminal, self.log.as_mut())
        {
            let _ = log.write_all(&bytes[..n]);
        }
    }

    fn welcome(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.set_write_timeout(Some(PATIENCE));
        self.clients.push(Guest { stream, terminal: None, attached: None });
        self.serve(self.clients.len() - 1);
    }

    /// Answers the next request of a client; one that has gone gives back what it held.
    fn serve(&mut self, at: usize) {
        let asked = read_frame::<Request>(&mut self.clients[at].stream);
        let answered = match asked {
            Ok(Request::Terminal(which)) => self.give_terminal(at, which),
            Ok(request) => {
                let reply = self.reply(at, request).unwrap_or_else(|e| Reply::Refused(e.to_string()));
                write_frame(&mut self.clients[at].stream, &reply)
            }
            Err(e) => Err(e),
        };
        if answered.is_err() {
            let gone = self.clients.swap_remove(at);
            gone.terminal.into_iter().for_each(|t| self.taken[t] = false);
            gone.attached.into_iter().for_each(|pid| self.report(Happening::Detached { pid, code: 137 }));
        }
    }

    fn reply(&mut self, at: usize, request: Request) -> Result<Reply, Error> {
        match request {
            Request::Status => return Ok(Reply::Status(self.status.clone())),
            Request::Signal(number) => self.signal(number)?,
            Request::Kill => {
                kill(Pid::from_raw(self.running.pid), Signal::SIGKILL).doing(|| "kill pid 1")?;
                self.set_state(State::Stopping);
            }
            Request::Freeze => self.freeze(true)?,
            Request::Unfreeze => self.freeze(false)?,
            Request::Attached { pid, command } => {
                self.clients[at].attached = Some(pid);
                self.report(Happening::Attached { pid, command });
            }
            Request::Detached { pid, code } => {
                self.clients[at].attached = None;
                self.report(Happening::Detached { pid, code });
            }
            Request::Terminal(_) => return Err(Error::said("a terminal comes by another way")),
        }
        Ok(Reply::Done)
    }

    fn signal(&mut self, number: i32) -> Result<(), Error> {
        if self.status.state == State::Frozen {
            self.freeze(false)?;
        }
        // SAFETY: kill(2) takes no memory; nix has no type for real-time signals.
        let sent = unsafe { libc::kill(self.running.pid, number) };
        let sent = if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
        sent.doing(|| format!("send signal {number} to pid 1"))?;
        self.restart = number == self.status.signals.1;
        self.set_state(State::Stopping);
        Ok(())
    }

    fn freeze(&mut self, frozen: bool) -> Result<(), Error> {
        freeze::set(&self.running.cgroups, self.running.pid, frozen)?;
        self.set_state(if frozen { State::Frozen } else { State::Running });
        Ok(())
    }

    fn give_terminal(&mut self, at: usize, which: Option<usize>) -> io::Result<()> {
        let free = |t: &usize| !self.taken[*t];
        let found = match which {
            Some(number) => Some(number).filter(|t| *t < self.taken.len()).filter(free),
            None => (1..self.taken.len()).find(free),
        };
        let stream = &mut self.clients[at].stream;
        let Some(number) = found else {
            let why = which.map_or("no free terminal".to_string(), |t| format!("terminal {t} is not there or taken"));
            return write_frame(stream, &Reply::Refused(why));
        };
        let mut frame = Vec::new();
        write_frame(&mut frame, &Reply::Terminal(number))?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&self.running.terminals[number].0);
        sys::send_fds(stream, &frame, &[fd])?;
        self.taken[number] = true;
        self.clients[at].terminal = Some(number);
        Ok(())
    }

    /// Reports what has changed in the container: its processes, its mounts, its own branch.
    fn look(&mut self, launch: &Launch) {
        self.turns += 1;
        let all = freeze::everybody();
        if all == self.everybody && !self.turns.is_multiple_of(REST) {
            return;
        }
        self.everybody = all;
        self.look_at_room(launch);
        let branch = layers::writable(&self.layers).map(String::from);
        if let Some((branch, (bytes, names))) = branch.and_then(|path| Some((path.clone(), self.gauge.changed(&path)?)))
        {
            self.report(Happening::Wrote { branch, bytes, names });
        }
        let members = freeze::members(self.running.pid);
        let list: Vec<_> = members.iter().take(SHOWN_PROCESSES).filter_map(|p| seen::process(*p)).collect();
        if list != self.processes {
            self.processes.clone_from(&list);
            self.report(Happening::Processes { list, count: members.len() });
        }
    }

    fn end(&mut self, launch: &Launch) {
        self.running.cgroups.remove();
        if let Some(point) = &self.union {
            let _ = union::unmount(point); // somebody in the world sits there: then it stays, and is seen
        }
        self.set_state(State::Stopped);
        let _ = hooks::run("post-stop", &launch.spec, &self.place.config_path(), None); // nobody is left to be told
        let _ = fs::remove_file(self.place.socket());
        if self.ephemeral {
            let _ = super::build::destroy(&self.place);
            self.report(Happening::Destroyed);
        }
        self.reporter.flush(LAST_WORDS);
        if self.restart {
            self.start_again();
        }
        self.clients.clear();
    }

    /// A reboot is the same command once more, in a process without our threads.
    fn start_again(&self) {
        let mut again = std::process::Command::new("/proc/self/exe");
        again.arg("lxc-start").arg("-n").arg(&self.place.name).arg("-P").arg(&self.place.lxcpath);
        if let Err(e) = again.status() {
            eprintln!("lxc-start: {}: cannot start again: {e}", self.place.name);
        }
    }
}

/// What can be done now.
#[derive(Default)]
struct Ready {
    ended: bool,
    knocked: bool,
    terminals: Vec<usize>,
    clients: Vec<usize>,
}

/// Opens the socket, taking the place of one whose monitor is gone.
fn listen(place: &Place) -> Result<UnixListener, Error> {
    let path = place.socket();
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(folder)
            .doing(|| format!("make {}", folder.display()))?;
    }
    if matches!(Client::connect(place), Ok(Some(_))) {
        return Err(Error::said("Container is already running"));
    }
    let _ = fs::remove_file(&path);
    UnixListener::bind(&path).doing(|| format!("open the socket {}", path.display()))
}

/// Answers the keeper: anything is answered with how the container is.
fn answer(question: Question, shared: &Mutex<Status>) {
    let status = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let answer = match &question.ask {
        Ask::Words(words) if words.first().is_some_and(|w| w == "container") => {
            serde_json::to_value(&status).map_err(|e| e.to_string())
        }
        Ask::Words(words) => Err(format!("a container understands `container`, not `{}`", words.join(" "))),
        _ => Err("a container has no links or clock of its own".into()),
    };
    question.answer(answer);
}

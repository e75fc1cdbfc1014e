//! A program on a terminal of our own, and what stands on it.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// The built program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_terrarium");
/// The key that leaves the shell pane for one key: Ctrl-].
pub const LEADER: &str = "\u{1d}";
/// The key that stops a program.
pub const CTRL_Z: &str = "\u{1a}";
/// How long anything may take; a busy machine is slow.
const LIMIT: Duration = Duration::from_secs(30);

/// A program on a terminal.
pub struct Session {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    out: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    all: Vec<u8>,
    before: Termios,
    _state: tempfile::TempDir,
}

impl Session {
    /// Starts the built program at 80x24, in English, with a state folder of its own.
    pub fn start(args: &[&str]) -> Self {
        let mut command = CommandBuilder::new(PROGRAM);
        command.args(args);
        Self::run(command)
    }

    /// Starts a shell with job control.
    pub fn shell() -> Self {
        let mut command = CommandBuilder::new("sh");
        command.arg("-i");
        Self::run(command)
    }

    fn run(mut command: CommandBuilder) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        for (name, value) in [("LC_ALL", "C.UTF-8"), ("TERM", "xterm-256color"), ("PS1", "$ "), ("SHELL", "/bin/sh")] {
            command.env(name, value);
        }
        command.env("XDG_STATE_HOME", state.path());
        command.env_remove("ENV");
        let pair = native_pty_system().openpty(size(80, 24)).expect("a terminal");
        let before = termios(&*pair.master);
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let (say, out) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Some(n) = reader.read(&mut buffer).ok().filter(|n| *n > 0) {
                if say.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().expect("a writer");
        let screen = vt100::Parser::new(nonzero(24), nonzero(80), 0);
        Self { master: pair.master, child, keys, out, screen, all: Vec::new(), before, _state: state }
    }

    /// Types.
    pub fn types(&mut self, text: &str) -> &mut Self {
        self.keys.write_all(text.as_bytes()).and_then(|()| self.keys.flush()).expect("the terminal takes keys");
        self
    }

    /// Waits until this stands on the screen.
    pub fn sees(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + LIMIT;
        while !self.stands(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.out.recv_timeout(left) {
                Ok(bytes) => self.takes(&bytes),
                Err(_) => panic!("never saw {text:?}; the screen:\n{}", self.screen.screen().contents()),
            }
        }
        self
    }

    fn takes(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.all.extend(bytes);
    }

    fn stands(&self, text: &str) -> bool {
        let contents = self.screen.screen().contents();
        let lines: Vec<&str> = contents.lines().map(str::trim_end).collect();
        lines.join("\n").contains(text)
    }

    /// Gives the terminal another size.
    pub fn resize(&mut self, columns: u16, rows: u16) -> &mut Self {
        self.screen.set_size(nonzero(rows), nonzero(columns));
        self.master.resize(size(columns, rows)).expect("a terminal has any size");
        self
    }

    /// Sends the program a signal.
    pub fn kill(&mut self, signal: Signal) -> &mut Self {
        let pid = self.child.process_id().and_then(|p| i32::try_from(p).ok()).filter(|p| *p > 1).expect("a process");
        kill(Pid::from_raw(pid), signal).expect("it runs");
        self
    }

    /// Waits until the program ends with this code; the terminal must be as it was.
    pub fn ends(&mut self, code: u32) {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            while let Ok(bytes) = self.out.recv_timeout(Duration::from_millis(20)) {
                self.takes(&bytes);
            }
            match self.child.try_wait().expect("our own child") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end:\n{}", self.screen.screen().contents()),
            }
        };
        assert_eq!(status.exit_code(), code);
        let screen = self.screen.screen();
        assert!(self.all.windows(8).any(|w| w == b"\x1b[?1049h"), "it never took the screen");
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        let after = termios(&*self.master);
        assert!(after.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO));
        assert_eq!(after.local_flags, self.before.local_flags);
        assert_eq!(after.input_flags, self.before.input_flags);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn termios(master: &dyn MasterPty) -> Termios {
    let fd = master.as_raw_fd().expect("a descriptor");
    // SAFETY: the descriptor belongs to `master`, which outlives the borrow.
    tcgetattr(unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }).expect("a terminal")
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn nonzero(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).expect("a size is not zero")
}

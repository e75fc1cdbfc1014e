//! The shell pane's PTY: a real terminal device with the shell on its other side.
//!
//! One thread reads and one writes, so that neither a flood of output nor a program that does not read its input can
//! make the screen wait: output goes through a bounded channel, which slows the shell down and not us.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::sync::mpsc::{Sender, channel};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Names of programs that wait for the person: leaving them loses nothing.
const SHELLS: [&str; 9] = ["sh", "bash", "dash", "zsh", "fish", "ash", "busybox", "ksh", "terrarium"];

/// A running shell. Dropping it hangs its terminal up.
pub struct Pty {
    master: Box<dyn MasterPty + Send>,
    child: Option<Box<dyn Child + Send + Sync>>,
    keys: Sender<Vec<u8>>,
}

/// What comes out of the PTY.
pub enum Output {
    /// Bytes.
    Wrote(Vec<u8>),
    /// The shell has ended.
    Ended,
}

impl Pty {
    /// Starts `argv` on a new terminal of this size. `out` takes what comes; it may wait.
    ///
    /// # Errors
    /// One line: what could not be started.
    pub fn start(
        argv: Vec<OsString>,
        (columns, rows): (u16, u16),
        mut out: impl FnMut(Output) -> bool + Send + 'static,
    ) -> Result<Self, String> {
        let fail = |e: &dyn std::fmt::Display| format!("the shell could not be started: {e}");
        let pair = native_pty_system().openpty(size(columns, rows)).map_err(|e| fail(&e))?;
        let mut command = CommandBuilder::from_argv(argv);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).map_err(|e| fail(&e))?;
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().map_err(|e| fail(&e))?;
        let mut writer = pair.master.take_writer().map_err(|e| fail(&e))?;
        let (keys, typed) = channel::<Vec<u8>>();
        spawn("shell-out", move || {
            let mut buffer = [0; 8192];
            while let Some(n) = reader.read(&mut buffer).ok().filter(|n| *n > 0) {
                if !out(Output::Wrote(buffer[..n].to_vec())) {
                    return;
                }
            }
            out(Output::Ended);
        })?;
        spawn("shell-in", move || {
            while let Ok(bytes) = typed.recv() {
                if writer.write_all(&bytes).and_then(|()| writer.flush()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { master: pair.master, child: Some(child), keys })
    }

    /// Types these bytes. Never waits.
    pub fn write(&self, bytes: Vec<u8>) {
        // An error says that the shell is gone, which its output tells too.
        let _ = self.keys.send(bytes);
    }

    /// Tells the shell its new size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let _ = self.master.resize(size(columns, rows));
    }

    /// What runs in the shell's foreground, if it is not a shell.
    pub fn busy(&self) -> Option<String> {
        let leader = self.master.process_group_leader()?;
        let name = std::fs::read_to_string(format!("/proc/{leader}/comm")).ok()?;
        let name = name.trim();
        (!SHELLS.contains(&name)).then(|| name.to_owned())
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = spawn("shell-end", move || {
            let _ = child.kill();
            let _ = child.wait();
        });
    }
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map(drop).map_err(|e| format!("no thread for the shell: {e}"))
}

//! The screen's window onto the outermost process: see [`super::outer`].

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::outer::{OnHost, Reply, Request, World, world_of};
use crate::sandbox::machines;
use crate::tui::host::Host;
use crate::tui::text::Texts;
use crate::world::wire::{read_frame, write_frame};

/// The outermost process, over its socket.
pub struct OuterHost {
    line: Mutex<UnixStream>,
    worlds: Mutex<HashMap<String, World>>,
}

impl OuterHost {
    /// The host behind the inherited descriptor `fd`.
    pub fn inherited(fd: RawFd) -> Self {
        // SAFETY: the outermost process made this descriptor for the screen alone.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        let _ = nix::fcntl::fcntl(&owned, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
        Self { line: Mutex::new(owned.into()), worlds: Mutex::default() }
    }

    fn ask(&self, request: &Request) -> Reply {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = write_frame(&mut *line, request).and_then(|()| read_frame(&mut *line));
        asked.unwrap_or_else(|e| Err(format!("the outermost process does not answer: {e}")))
    }
}

impl Host for OuterHost {
    fn open(&self, lab: &str) -> Result<PathBuf, String> {
        let world = self.ask(&Request::Open(lab.into()))?;
        let socket = world.socket.clone();
        self.worlds.lock().unwrap_or_else(PoisonError::into_inner).insert(lab.into(), world);
        Ok(socket)
    }

    fn shell(&self, lab: &str) -> Vec<OsString> {
        let exe = std::env::current_exe().unwrap_or_else(|_| "terrarium".into()).into_os_string();
        let worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        match worlds.get(lab).map(|world| (&world.socket, world.on_host.as_ref())) {
            Some((socket, Some(on_host))) => shell_on_host(exe, socket, on_host),
            _ => {
                let rest =
                    ["enter".into(), "--world".into(), world_of(lab), "--dir".into(), "/root".into(), "--".into()];
                std::iter::once(exe).chain(rest.map(OsString::from)).collect()
            }
        }
    }

    fn reset(&self, lab: &str) -> Result<(), String> {
        self.ask(&Request::Reset(lab.into())).map(drop)
    }
}

/// A shell on the host itself, that knows the way to the keeper and says what is different.
fn shell_on_host(exe: OsString, socket: &std::path::Path, on_host: &OnHost) -> Vec<OsString> {
    let OnHost { loopback, reason } = on_host;
    let blanks = [("reason", reason.as_str().into()), ("address", format!("{loopback}.1").into())];
    let notice = Texts::of_environment().with("host-notice", &blanks);
    let bin = socket.with_file_name("bin");
    let _ = std::fs::create_dir_all(&bin).and_then(|()| std::os::unix::fs::symlink(&exe, bin.join("lab")));
    let script = r#"PATH="$BIN:$PATH"; [ $# = 0 ] || exec "$@"; printf '%s\n' "$NOTICE"; unset NOTICE BIN; exec "${SHELL:-/bin/sh}""#;
    let mut words: Vec<OsString> = vec!["env".into()];
    words.extend([format!("NOTICE={notice}").into(), format!("{}={loopback}", machines::LOOPBACK).into()]);
    for (name, value) in [("TERRARIUM_KEEPER=", socket), ("BIN=", &bin)] {
        let mut word = OsString::from(name);
        word.push(value);
        words.push(word);
    }
    words.extend(["sh", "-c", script, "sh"].map(OsString::from));
    words
}

//! The screen's window onto the outermost process: see [`super::outer`].

use std::ffi::OsString;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::outer::{Reply, Request, world_of};
use crate::tui::host::Host;
use crate::world::wire::{read_frame, write_frame};

/// The outermost process, over its socket.
pub struct OuterHost {
    line: Mutex<UnixStream>,
}

impl OuterHost {
    /// The host behind the inherited descriptor `fd`.
    pub fn inherited(fd: RawFd) -> Self {
        // SAFETY: the outermost process made this descriptor for the screen alone.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        let _ = nix::fcntl::fcntl(&owned, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
        Self { line: Mutex::new(owned.into()) }
    }

    fn ask(&self, request: &Request) -> Reply {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = write_frame(&mut *line, request).and_then(|()| read_frame(&mut *line));
        asked.unwrap_or_else(|e| Err(format!("the outermost process does not answer: {e}")))
    }
}

impl Host for OuterHost {
    fn open(&self, lab: &str) -> Result<PathBuf, String> {
        self.ask(&Request::Open(lab.into()))
    }

    fn shell(&self, lab: &str) -> Vec<OsString> {
        let exe = std::env::current_exe().unwrap_or_else(|_| "terrarium".into()).into_os_string();
        let rest = ["enter".into(), "--world".into(), world_of(lab), "--dir".into(), "/root".into()];
        std::iter::once(exe).chain(rest.map(OsString::from)).collect()
    }

    fn reset(&self, lab: &str) -> Result<(), String> {
        self.ask(&Request::Reset(lab.into())).map(drop)
    }
}

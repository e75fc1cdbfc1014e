//! Who opens worlds. The screen itself knows nothing of namespaces and processes: the outermost process does, and
//! lends the screen this small window onto it.

use std::ffi::OsString;
use std::path::PathBuf;

/// Opens worlds for the screen. May be called from any thread; each call may take a second.
pub trait Host: Send + Sync {
    /// Opens the lab's world, or finds it running; gives the path of its keeper's socket.
    ///
    /// # Errors
    /// One line: what failed, and what to try.
    fn open(&self, lab: &str) -> Result<PathBuf, String>;

    /// The command of the shell pane: a shell inside the lab's world. Program first. With the words of a command after
    /// it, that command inside the world.
    fn shell(&self, lab: &str) -> Vec<OsString>;

    /// Puts the lab's world back to its beginning; it is closed after that, and [`Host::open`] opens the fresh one.
    ///
    /// # Errors
    /// One line: what failed, and what to try.
    fn reset(&self, lab: &str) -> Result<(), String>;
}

//! Terminals: opening one in a container, and passing one through to the person's own.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// Opens a new pseudo-terminal of the `/dev/pts` that we see: master, slave, and the slave's path.
///
/// # Errors
/// As posix_openpt(3).
pub fn open_pair() -> io::Result<(OwnedFd, OwnedFd, String)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname_r(&master)?;
    let slave = open(path.as_str(), flags, Mode::empty())?;
    Ok((OwnedFd::from(unsafe_free(master)), slave, path))
}

/// The master as a plain descriptor.
fn unsafe_free(master: nix::pty::PtyMaster) -> fs::File {
    use std::os::fd::{FromRawFd, IntoRawFd};
    // SAFETY: the descriptor is given up by the one and owned by the other.
    unsafe { fs::File::from_raw_fd(master.into_raw_fd()) }
}

/// Copies the window's size from one terminal to another; does nothing when the first is none.
pub fn copy_size(from: BorrowedFd, to: BorrowedFd) {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the structure outlives both calls.
    unsafe {
        if libc::ioctl(from.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) == 0 {
            libc::ioctl(to.as_raw_fd(), libc::TIOCSWINSZ, &raw const size);
        }
    }
}

/// The person's terminal in raw mode, for as long as this value lives.
struct Raw {
    before: Termios,
}

impl Raw {
    fn new() -> Option<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Keys that a person presses to leave a console: Ctrl-`prefix`, then `q`.
pub struct Escape {
    /// The control character, 1 is Ctrl-A; `None`: there is no way out but the end.
    pub prefix: Option<u8>,
    armed: bool,
}

impl Escape {
    /// A way out by Ctrl-`letter` `q`.
    pub fn new(prefix: Option<u8>) -> Self {
        Self { prefix, armed: false }
    }

    /// What of the typed bytes goes on; `None`: the person leaves. The prefix twice is the prefix itself.
    fn filter(&mut self, typed: &[u8]) -> Option<Vec<u8>> {
        let mut passed = Vec::with_capacity(typed.len());
        for &byte in typed {
            match (self.armed, Some(byte) == self.prefix) {
                (true, _) if byte == b'q' => return None,
                (false, true) => self.armed = true,
                (_, _) => {
                    self.armed = false;
                    passed.push(byte);
                }
            }
        }
        Some(passed)
    }
}

/// Passes our terminal and the one behind `master` through to each other, until `done` can be read or hangs up, the
/// other side hangs up, or the person leaves. What was still to be shown is shown. Bytes shown are also written to `log`.
///
/// # Errors
/// As of reading and writing.
pub fn pass_through(
    master: &OwnedFd,
    done: BorrowedFd,
    mut escape: Escape,
    mut log: Option<fs::File>,
) -> io::Result<()> {
    let stdin = io::stdin();
    let raw = stdin.is_terminal().then(Raw::new).flatten();
    let resized = resize_notices()?;
    copy_size(stdin.as_fd(), master.as_fd());
    let mut keyboard = true;
    let mut finishing = false;
    loop {
        let ready = wait(master, if keyboard { Some(stdin.as_fd()) } else { None }, done, resized.as_fd(), finishing)?;
        if ready.resized {
            let _ = resized.read_signal();
            copy_size(stdin.as_fd(), master.as_fd());
        }
        if ready.keys {
            let mut typed = [0; 4096];
            match nix::unistd::read(stdin.as_fd(), &mut typed) {
                Ok(0) | Err(_) => keyboard = false,
                Ok(n) => match escape.filter(&typed[..n]) {
                    Some(passed) => write_all(master, &passed)?,
                    None => break,
                },
            }
        }
        if ready.output && !show(master, log.as_mut())? {
            break;
        }
        if finishing && !ready.output {
            break;
        }
        finishing |= ready.done;
    }
    drop(raw);
    Ok(())
}

struct Ready {
    output: bool,
    keys: bool,
    done: bool,
    resized: bool,
}

fn wait(
    master: &OwnedFd,
    stdin: Option<BorrowedFd>,
    done: BorrowedFd,
    resized: BorrowedFd,
    finishing: bool,
) -> io::Result<Ready> {
    let on = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut fds = vec![on(master.as_fd()), on(resized)];
    if !finishing {
        fds.push(on(done));
        fds.extend(stdin.map(on));
    }
    let timeout = if finishing { PollTimeout::ZERO } else { PollTimeout::NONE };
    loop {
        match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            done => {
                done?;
                break;
            }
        }
    }
    let any = |at: usize| fds.get(at).and_then(PollFd::any).unwrap_or(false);
    Ok(Ready { output: any(0), resized: any(1), done: any(2), keys: any(3) })
}

/// Shows what the other side wrote; `false` when it hung up.
fn show(master: &OwnedFd, log: Option<&mut fs::File>) -> io::Result<bool> {
    let mut bytes = [0; 16384];
    match nix::unistd::read(master, &mut bytes) {
        Ok(0) | Err(_) => Ok(false),
        Ok(n) => {
            let mut out = io::stdout().lock();
            out.write_all(&bytes[..n])?;
            out.flush()?;
            if let Some(log) = log {
                log.write_all(&bytes[..n])?;
            }
            Ok(true)
        }
    }
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn resize_notices() -> io::Result<nix::sys::signalfd::SignalFd> {
    use nix::sys::signal::{SigSet, Signal};
    use nix::sys::signalfd::{SfdFlags, SignalFd};
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGWINCH);
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ctrl-A q leaves, Ctrl-A Ctrl-A is Ctrl-A, everything else goes on, also when it comes byte by byte.
    #[test]
    fn the_way_out_of_a_console() {
        let mut escape = Escape::new(Some(1));
        assert_eq!(escape.filter(b"ls\n").as_deref(), Some(&b"ls\n"[..]));
        assert_eq!(escape.filter(b"\x01\x01").as_deref(), Some(&b"\x01"[..]));
        assert_eq!(escape.filter(b"\x01").as_deref(), Some(&b""[..]));
        assert_eq!(escape.filter(b"q"), None);
        assert_eq!(Escape::new(None).filter(b"\x01q").as_deref(), Some(&b"\x01q"[..]));
    }
}

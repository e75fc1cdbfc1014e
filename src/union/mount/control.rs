//! The control socket of a mount: how `mount -o remount,…` reaches the daemon.
//!
//! FUSE does not hand the options of a remount to the daemon, so `mount.aufs` brings them here: one connection, one JSON
//! line each way. The socket is named after the mount's device number, which a remount learns from the mount point, however
//! it is reached.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::{Deserialize, Serialize};

use super::kernel::{Kernel, device_of};
use super::shared::Shared;
use super::{answer, remount};
use crate::union::branch::Errno;
use crate::union::reshape::Refused;

/// What is asked of a mount.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// Apply this option list to the live union. Paths in it are absolute or relative to `cwd`.
    Remount {
        /// The list as `-o` has it.
        options: String,
        /// Where the caller stands.
        cwd: String,
    },
    /// Say what the union is (see [`answer::listing`]).
    Union,
    /// Say who serves a path (see [`answer::story`]).
    Story {
        /// The path within the union.
        path: String,
    },
    /// Make the other names of pseudo-links real before an unmount.
    Flush,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It was done; this is what was asked for, or null.
    Done(serde_json::Value),
    /// It was not.
    Refused {
        /// The error number that mount(2) would give.
        errno: i32,
        /// Why.
        why: String,
    },
}

/// Where control sockets lie: in the world's `/run`, else in a private directory of the user.
pub fn directory() -> PathBuf {
    let world = Path::new("/run/terrarium/union");
    if world.parent().is_some_and(Path::is_dir) && std::fs::create_dir_all(world).is_ok() && may_write(world) {
        return world.to_owned();
    }
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_dir()) {
        Some(own) => own.join("terrarium-union"),
        // SAFETY: a plain call.
        None => format!("/tmp/terrarium-union-{}", unsafe { libc::geteuid() }).into(),
    }
}

fn may_write(directory: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(directory.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path is NUL-terminated and outlives the call.
    unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
}

/// The socket of the mount at `target`.
///
/// # Errors
/// Of looking at the mount point.
pub fn socket_of(target: &Path) -> std::io::Result<PathBuf> {
    Ok(directory().join(format!("{:x}.sock", std::fs::metadata(target)?.dev())))
}

/// Asks the mount at `target`.
///
/// # Errors
/// If nobody answers there, or what was refused.
pub fn ask(target: &Path, asked: &Asked) -> Result<serde_json::Value, Refused> {
    let nobody = |e: std::io::Error| {
        Refused::new(Errno::EINVAL, format!("{} is no union of terrarium's that answers ({e})", target.display()))
    };
    let mut stream = UnixStream::connect(socket_of(target).map_err(nobody)?).map_err(nobody)?;
    let mut line = serde_json::to_string(asked).unwrap_or_default();
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(nobody)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).map_err(nobody)?;
    match serde_json::from_str(&reply) {
        Ok(Said::Done(value)) => Ok(value),
        Ok(Said::Refused { errno, why }) => Err(Refused::new(Errno(errno), why)),
        Err(e) => Err(Refused::new(Errno::EIO, format!("the mount's answer makes no sense: {e}"))),
    }
}

/// The process that serves a mount.
pub struct Server(OwnedFd);

/// How long an unmount waits for the process that served it. It lives on if the union is mounted elsewhere too.
const FAREWELL: Duration = Duration::from_millis(500);

/// The process that serves the mount at `target`, if it is one of ours and can be seen from here.
pub fn server(target: &Path) -> Option<Server> {
    let stream = UnixStream::connect(socket_of(target).ok()?).ok()?;
    let pid = getsockopt(&stream, PeerCredentials).ok()?.pid();
    // SAFETY: a plain call.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just given us this descriptor.
    Some(Server(unsafe { OwnedFd::from_raw_fd(fd) }))
}

impl Server {
    /// Waits until it has ended, but not for long.
    pub fn wait_for_end(&self) {
        let mut ended = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = i32::try_from(FAREWELL.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one descriptor as said.
        unsafe { libc::poll(&raw mut ended, 1, millis) };
    }
}

/// A listening control socket; removed when dropped.
pub struct Control {
    path: PathBuf,
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens for the mount at `target`, on a thread of its own. `None` if the socket cannot be had: the mount works, a remount
/// will not.
pub fn listen(shared: &Arc<Shared>, kernel: &Arc<Kernel>, target: &Path) -> Option<Control> {
    let dev = device_of(target)?;
    let directory = directory();
    std::fs::create_dir_all(&directory).ok()?;
    let _ = std::fs::set_permissions(&directory, Permissions::from_mode(0o700));
    let path = directory.join(format!("{dev:x}.sock"));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).ok()?;
    let (shared, kernel) = (shared.clone(), kernel.clone());
    let target = target.to_owned();
    let serve = move || {
        for stream in listener.incoming().flatten() {
            let _ = handle(stream, &shared, &kernel, &target);
        }
    };
    std::thread::Builder::new().name("control".into()).spawn(serve).ok()?;
    Some(Control { path })
}

fn handle(stream: UnixStream, shared: &Shared, kernel: &Kernel, target: &Path) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let said = match serde_json::from_str(&line) {
        Ok(asked) => carry_out(&asked, shared, kernel, target),
        Err(e) => Err(Refused::new(Errno::EINVAL, format!("not understood: {e}"))),
    };
    let said = match said {
        Ok(value) => Said::Done(value),
        Err(refused) => Said::Refused { errno: refused.errno.0, why: refused.why },
    };
    let mut reply = serde_json::to_string(&said)?;
    reply.push('\n');
    (&stream).write_all(reply.as_bytes())
}

fn carry_out(asked: &Asked, shared: &Shared, kernel: &Kernel, target: &Path) -> Result<serde_json::Value, Refused> {
    match asked {
        Asked::Union => Ok(answer::listing(&shared.union)),
        Asked::Story { path } => {
            answer::story(&shared.union, path).map_err(|e| Refused::new(e, format!("{path}: {e}")))
        }
        Asked::Flush => {
            shared.union.flush_plinks();
            Ok(serde_json::Value::Null)
        }
        Asked::Remount { options, cwd } => {
            remount::remount(options, Path::new(cwd), shared, kernel, target).map(serde_json::Value::from)
        }
    }
}

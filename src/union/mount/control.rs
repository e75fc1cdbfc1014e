//! The control socket of a mount: how `mount -o remount,…` reaches the daemon, and how the daemon tells the kernel to look
//! again.
//!
//! FUSE does not hand the options of a remount to the daemon, so `mount.aufs` brings them here: one connection, one JSON
//! line each way. The socket is named after the mount's device number, which a remount learns from the mount point, however
//! it is reached.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::{Deserialize, Serialize};

use super::session::{self, open_branch};
use super::shared::{RealUnion, Shared};
use super::{answer, real::RealBranch};
use crate::union::branch::{Errno, Kind};
use crate::union::node::Member;
use crate::union::options::{self, Opt};
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

/// The kernel's side of the mount, to be told what to forget.
pub struct Kernel {
    device: File,
}

/// `FUSE_NOTIFY_INVAL_INODE` and `FUSE_NOTIFY_INVAL_ENTRY` of `linux/fuse.h`.
const INVAL_INODE: i32 = 2;
const INVAL_ENTRY: i32 = 3;
/// The entry is only made to be looked up again, not thrown out.
const EXPIRE_ONLY: u32 = 1;

impl Kernel {
    /// Over the mount's device.
    pub fn new(device: OwnedFd) -> Self {
        Self { device: File::from(device) }
    }

    /// The device itself.
    pub fn device(&self) -> &File {
        &self.device
    }

    fn notify(&self, code: i32, body: &[&[u8]]) {
        let length = 16 + body.iter().map(|b| b.len()).sum::<usize>();
        let mut message = Vec::with_capacity(length);
        message.extend_from_slice(&(length as u32).to_ne_bytes());
        message.extend_from_slice(&code.to_ne_bytes());
        message.extend_from_slice(&0u64.to_ne_bytes());
        body.iter().for_each(|b| message.extend_from_slice(b));
        // An entry that the kernel does not hold is an error of no interest.
        let _ = (&self.device).write(&message);
    }

    /// The name must be looked up again at its next use.
    pub fn expire(&self, parent: u64, name: &OsStr) {
        self.entry(parent, name, EXPIRE_ONLY);
    }

    /// The name is thrown out, and what hangs on it alone is forgotten.
    pub fn throw_out(&self, parent: u64, name: &OsStr) {
        self.entry(parent, name, 0);
    }

    fn entry(&self, parent: u64, name: &OsStr, flags: u32) {
        let length = name.len() as u32;
        let (parent, length, flags) = (parent.to_ne_bytes(), length.to_ne_bytes(), flags.to_ne_bytes());
        self.notify(INVAL_ENTRY, &[&parent, &length, &flags, name.as_bytes(), b"\0"]);
    }

    /// Cached content of a file between two offsets is thrown out.
    pub fn drop_pages(&self, ino: u64, offset: u64, length: u64) {
        self.notify(INVAL_INODE, &[&ino.to_ne_bytes(), &offset.to_ne_bytes(), &length.to_ne_bytes()]);
    }

    /// Attributes of an object are thrown out. Safe while the kernel waits for our answer about it.
    pub fn forget_attributes(&self, ino: u64) {
        self.notify(INVAL_INODE, &[&ino.to_ne_bytes(), &(-1i64).to_ne_bytes(), &0i64.to_ne_bytes()]);
    }

    /// Attributes and cached content of an object are thrown out.
    pub fn refresh(&self, ino: u64) {
        self.notify(INVAL_INODE, &[&ino.to_ne_bytes(), &0i64.to_ne_bytes(), &0i64.to_ne_bytes()]);
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

/// The device number of the mount, from the mount table: asking the mount itself would need it to answer already.
pub fn device_of(target: &Path) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let of = |line: &str| {
        let mut words = line.split(' ').skip(2);
        let (device, at) = (words.next()?, words.nth(1)?);
        (unescape(at) == target.as_os_str().as_bytes()).then(|| device.to_owned())
    };
    let device = table.lines().rev().find_map(of)?;
    let (major, minor) = device.split_once(':')?;
    Some(libc::makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// Undoes the octal escapes of the mount table.
fn unescape(word: &str) -> Vec<u8> {
    let bytes = word.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let octal = || u8::from_str_radix(word.get(i + 1..i + 4)?, 8).ok();
        match (bytes[i], octal()) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                i += 4;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    out
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
            remount(options, Path::new(cwd), shared, kernel, target).map(serde_json::Value::from)
        }
    }
}

/// Applies an option list from left to right; gives the warnings. What was applied before an error stays.
fn remount(list: &str, cwd: &Path, shared: &Shared, kernel: &Kernel, target: &Path) -> Result<Vec<String>, Refused> {
    let options = options::parse(list, false).map_err(|e| Refused::new(Errno::EINVAL, e.to_string()))?;
    let union = &shared.union;
    if options.has(session::PASSTHROUGH) && shared.passthrough.is_none() {
        let why = "passthrough must be there when the union is mounted: unmount, and mount with it";
        return Err(Refused::new(Errno::EINVAL, why));
    }
    let open = |path: &str| open_branch(&cwd.join(path).to_string_lossy(), Some(target));
    let mut outcome = Ok(options.warnings);
    for opt in &options.own {
        if let Err(refused) = check_live(opt, shared)
            .and_then(|()| check_passed(opt, shared, &open))
            .and_then(|()| release(opt, union, kernel, &open))
        {
            outcome = Err(refused);
            break;
        }
        if let Err(refused) = union.apply(opt, &open, false) {
            outcome = Err(refused);
            break;
        }
    }
    if let Some(watcher) = &shared.watcher {
        watcher.watch_all(union);
    }
    shared.set_ttl();
    expire_all(shared, kernel);
    union.tell_branches(&format!("remount {list}"));
    outcome
}

/// Refuses what a mount that answers opens in the kernel cannot begin to do.
fn check_live(opt: &Opt, shared: &Shared) -> Result<(), Refused> {
    let wants_open = |p: &Option<options::Permission>| p.is_some_and(|p| p.coo.is_some());
    let asks = match opt {
        Opt::Branches(list) => list.iter().any(|b| wants_open(&b.permission)),
        Opt::Add(_, b) | Opt::Append(b) | Opt::Prepend(b) => wants_open(&b.permission),
        Opt::Mod(_, p) => p.coo.is_some(),
        _ => false,
    };
    if asks && shared.no_open.load(std::sync::atomic::Ordering::Relaxed) {
        let why = "coo_reg, coo_all and moo must be there when the union is mounted: unmount, and mount with them";
        return Err(Refused::new(Errno::EINVAL, why));
    }
    Ok(())
}

/// Refuses what would take a file to another branch that is open past us (see [`super::passthrough`]).
fn check_passed(
    opt: &Opt,
    shared: &Shared,
    open: &crate::union::reshape::Opener<'_, RealBranch>,
) -> Result<(), Refused> {
    let Some(passthrough) = &shared.passthrough else { return Ok(()) };
    let union = &shared.union;
    let busy = match opt {
        Opt::Mod(_, permission) if permission.access == options::Access::Rw => passthrough.keeps_busy(union, None),
        Opt::Mod(path, _) => union.member_at(path, open).is_ok_and(|m| passthrough.keeps_busy(union, Some(&m))),
        Opt::Branches(_) | Opt::Add(..) | Opt::Append(_) | Opt::Prepend(_) => passthrough.keeps_busy(union, None),
        _ => false,
    };
    match busy {
        true => Err(Refused::new(Errno::EBUSY, "a file of the union is open past it (passthrough): close it first")),
        false => Ok(()),
    }
}

/// How long the kernel is given to forget what only hangs in its caches.
const PATIENCE: Duration = Duration::from_millis(500);

/// Before a branch is removed: everything of it that nobody uses is thrown out of the kernel's caches, so that what stays
/// is in use.
fn release(
    opt: &Opt,
    union: &RealUnion,
    kernel: &Kernel,
    open: &crate::union::reshape::Opener<'_, RealBranch>,
) -> Result<(), Refused> {
    let Opt::Del(path) = opt else { return Ok(()) };
    let Ok(member) = union.member_at(path, open) else { return Ok(()) };
    let deadline = Instant::now() + PATIENCE;
    throw_out(union, &member, kernel);
    while !union.users(&member).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn throw_out(union: &RealUnion, member: &Member<RealBranch>, kernel: &Kernel) {
    let (dirs, files): (Vec<_>, Vec<_>) = union.users(member).into_iter().partition(|n| n.kind == Kind::Dir);
    for node in files.iter().chain(&dirs) {
        let names = node.state.read().unwrap().names.clone();
        names.iter().for_each(|(parent, name)| kernel.throw_out(parent.ino, name));
    }
}

/// Every name must be looked up again, every listing read again.
pub fn expire_all(shared: &Shared, kernel: &Kernel) {
    let absent = std::mem::take(&mut *shared.absent.lock().unwrap());
    absent.iter().for_each(|(parent, name)| kernel.expire(*parent, name));
    for node in shared.union.nodes() {
        let names = node.state.read().unwrap().names.clone();
        names.iter().for_each(|(parent, name)| kernel.expire(parent.ino, name));
        if node.kind == Kind::Dir {
            kernel.refresh(node.ino);
        }
    }
}

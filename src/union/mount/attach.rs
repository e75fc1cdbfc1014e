//! Where a union meets the machine: the directories that it is made of, and the kernel's mount table.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::real::RealBranch;
use super::session::Request;
use crate::union::branch::Errno;
use crate::union::options::{Opt, Options};
use crate::union::reshape::{Candidate, Refused};

fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// File systems that cannot change: their branches are `rr` by default (squashfs, iso9660, cramfs, romfs).
const IMMUTABLE: [i64; 4] = [0x7371_7368, 0x9660, 0x28cd_3d45, 0x7275];
/// File systems that cannot be a branch (proc, sysfs, configfs, debugfs, securityfs, ecryptfs).
const REFUSED: [(i64, &str); 6] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x6265_6570, "configfs"),
    (0x6462_6720, "debugfs"),
    (0x7363_6673, "securityfs"),
    (0xf15f, "ecryptfs"),
];

/// Opens a directory as a branch.
///
/// # Errors
/// `EINVAL` for what cannot be one, with the reason.
pub fn open_branch(path: &str, target: Option<&Path>) -> Result<Candidate<RealBranch>, Refused> {
    let bad = |why: String| Refused::new(Errno::EINVAL, why);
    let full = Path::new(path).canonicalize().map_err(|e| bad(format!("branch {path}: {e}")))?;
    if !full.is_dir() {
        return Err(bad(format!("branch {path} is no directory")));
    }
    if target.is_some_and(|t| full.starts_with(t)) {
        return Err(bad(format!("branch {path} is the mount point itself or lies in it")));
    }
    let magic = file_system(&full).map_err(|e| bad(format!("branch {path}: {e}")))?;
    if let Some((_, name)) = REFUSED.iter().find(|(refused, _)| *refused == magic) {
        return Err(bad(format!("branch {path} lies on {name}, which cannot be a branch")));
    }
    let branch = RealBranch::open(full.as_os_str()).map_err(|e| bad(format!("branch {path}: {e}")))?;
    Ok(Candidate { branch, path: full.to_string_lossy().into_owned(), immutable: IMMUTABLE.contains(&magic) })
}

/// Whether a directory lies on a file system that is stacked on another (overlayfs, another union).
pub fn is_stacked(path: &Path) -> bool {
    const STACKED: [i64; 2] = [0x794c_7630, 0x6573_5546];
    file_system(path).is_ok_and(|magic| STACKED.contains(&magic))
}

fn file_system(path: &Path) -> Result<i64, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut s = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is NUL-terminated, `s` large enough and filled when the call succeeds.
    unsafe {
        if libc::statfs(path.as_ptr(), s.as_mut_ptr()) < 0 {
            return Err(last());
        }
        Ok(s.assume_init().f_type)
    }
}

/// The mount flags of option words.
const MOUNT_FLAGS: [(&str, libc::c_ulong); 8] = [
    ("nosuid", libc::MS_NOSUID),
    ("nodev", libc::MS_NODEV),
    ("noexec", libc::MS_NOEXEC),
    ("sync", libc::MS_SYNCHRONOUS),
    ("dirsync", libc::MS_DIRSYNC),
    ("noatime", libc::MS_NOATIME),
    ("nodiratime", libc::MS_NODIRATIME),
    ("silent", libc::MS_SILENT),
];

/// Mounts: type `fuse.aufs`, served through `device`.
///
/// # Errors
/// Of mount(2).
pub(super) fn mount_fuse(request: &Request, target: &Path, device: &OwnedFd) -> Result<(), Refused> {
    let flags = mount_flags(&request.options);
    // SAFETY: plain calls.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let fd = device.as_raw_fd();
    let data = format!("fd={fd},rootmode=40000,user_id={uid},group_id={gid},default_permissions,allow_other");
    let text = |s: &OsStr| CString::new(s.as_bytes()).map_err(|_| Refused::new(Errno::EINVAL, "a NUL in a path"));
    let (source, data) = (text(OsStr::new(&request.source))?, text(OsStr::new(&data))?);
    let target = text(target.as_os_str())?;
    // SAFETY: all strings are NUL-terminated and outlive the call.
    let done =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), c"fuse.aufs".as_ptr(), flags, data.as_ptr().cast()) };
    if done == 0 {
        return Ok(());
    }
    let errno = last();
    let hint = if errno == Errno::EPERM { " (mounting needs root, here or in a world: `terrarium run`)" } else { "" };
    Err(Refused::new(errno, format!("mount: {errno}{hint}")))
}

/// The kernel's mount flags of an option list.
fn mount_flags(options: &Options) -> libc::c_ulong {
    let read_only = options.own.iter().rev().find_map(|o| if let Opt::ReadOnly(ro) = o { Some(*ro) } else { None });
    let words = MOUNT_FLAGS.iter().filter(|(word, _)| options.has(word)).map(|(_, flag)| flag);
    words.fold(if read_only == Some(true) { libc::MS_RDONLY } else { 0 }, |all, flag| all | flag)
}

/// The kernel's side of a remount: `ro`, `noexec` and their kin. mount(8) gives all that shall hold, not only what is new.
///
/// # Errors
/// `EBUSY` if a file is open for writing and the mount shall be read-only.
pub fn remount_kernel(target: &Path, options: &Options) -> Result<(), Refused> {
    let path =
        CString::new(target.as_os_str().as_bytes()).map_err(|_| Refused::new(Errno::EINVAL, "a NUL in a path"))?;
    let flags = libc::MS_REMOUNT | mount_flags(options);
    let (none, data) = (c"none".as_ptr(), std::ptr::null());
    // SAFETY: all strings are NUL-terminated and outlive the call.
    if unsafe { libc::mount(none, path.as_ptr(), none, flags, data) } == 0 {
        return Ok(());
    }
    let errno = last();
    let hint = if errno == Errno::EBUSY { " (a file is open for writing)" } else { "" };
    Err(Refused::new(errno, format!("remount: {errno}{hint}")))
}

/// Takes a mount away; 0 or the error.
pub fn unmount(target: &Path, flags: i32) -> i32 {
    let Ok(path) = CString::new(target.as_os_str().as_bytes()) else { return libc::EINVAL };
    // SAFETY: the path is NUL-terminated and outlives the call.
    if unsafe { libc::umount2(path.as_ptr(), flags) } == 0 { 0 } else { last().0 }
}

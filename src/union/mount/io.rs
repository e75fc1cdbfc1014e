//! System calls on open files below that are neither reading nor writing.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use super::real::RealBranch;
use super::shared::RealUnion;
use crate::union::branch::{Errno, Kind, Result};
use crate::union::{Node, options::Coo};

fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

fn done(result: libc::c_int) -> Result<()> {
    if result < 0 { Err(last()) } else { Ok(()) }
}

fn offset(value: u64) -> Result<libc::off_t> {
    libc::off_t::try_from(value).map_err(|_| Errno::EFBIG)
}

/// Whether an object may be opened with these flags: for writing only where a writable branch is at or above. A branch
/// marked `coo_reg`, `coo_all` or `moo` has it copied up now.
///
/// # Errors
/// `EROFS`; those of copying.
pub fn may_open(union: &RealUnion, node: &Arc<Node<RealBranch>>, flags: i32) -> Result<()> {
    let top = node.state.read().unwrap().top.clone();
    let write = flags & libc::O_ACCMODE != libc::O_RDONLY;
    if write && !union.members().iter().any(|m| m.index() <= top.index() && m.writable()) {
        return Err(Errno::EROFS);
    }
    let copy = matches!((top.permission().coo, node.kind), (Some(_), Kind::File) | (Some(Coo::All), Kind::Dir));
    match copy.then(|| union.copy_at_open(node)) {
        Some(Err(Errno::EROFS)) | None => Ok(()),
        Some(copied) => copied,
    }
}

/// Brings content to the disk.
///
/// # Errors
/// Of the system call.
pub fn sync(union: &RealUnion, node: &Arc<Node<RealBranch>>, data_only: bool) -> Result<()> {
    if node.kind != Kind::File {
        return Ok(());
    }
    let file = union.opened(node, false)?;
    // SAFETY: an open file.
    done(unsafe { if data_only { libc::fdatasync(file.as_raw_fd()) } else { libc::fsync(file.as_raw_fd()) } })
}

/// Brings the names of a directory to the disk, on the branches that are written to.
///
/// # Errors
/// Of the system calls.
pub fn sync_dir(node: &Node<RealBranch>) -> Result<()> {
    for place in node.places().iter().filter(|p| p.member.writable()) {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: a constant path relative to a held directory.
        let fd = unsafe { libc::openat(place.dir.fd()?.as_raw_fd(), c".".as_ptr(), flags) };
        done(fd)?;
        // SAFETY: the kernel has just given us this descriptor.
        let dir = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: an open directory.
        done(unsafe { libc::fsync(dir.as_raw_fd()) })?;
    }
    Ok(())
}

/// `fallocate(2)`.
///
/// # Errors
/// Of the system call.
pub fn allocate(file: &OwnedFd, start: u64, length: u64, mode: i32) -> Result<()> {
    let (start, length) = (offset(start)?, offset(length)?);
    // SAFETY: plain numbers.
    done(unsafe { libc::fallocate(file.as_raw_fd(), mode, start, length) })
}

/// `lseek(2)` for data and holes.
///
/// # Errors
/// Of the system call: `ENXIO` beyond the end.
pub fn seek(file: &OwnedFd, start: i64, whence: i32) -> Result<i64> {
    // SAFETY: plain numbers.
    let found = unsafe { libc::lseek(file.as_raw_fd(), start, whence) };
    if found < 0 { Err(last()) } else { Ok(found) }
}

/// `copy_file_range(2)`.
///
/// # Errors
/// Of the system call.
pub fn copy_range(from: &OwnedFd, start: u64, to: &OwnedFd, at: u64, length: u64) -> Result<u32> {
    let (mut start, mut at) = (offset(start)?, offset(at)?);
    let length = usize::try_from(length.min(1 << 30)).unwrap_or(1 << 30);
    // SAFETY: the offsets outlive the call.
    let copied =
        unsafe { libc::copy_file_range(from.as_raw_fd(), &raw mut start, to.as_raw_fd(), &raw mut at, length, 0) };
    u32::try_from(copied).map_err(|_| last())
}

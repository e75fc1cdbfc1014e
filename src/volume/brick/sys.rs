//! System calls that the standard library does not have, as thin as they can be. Errors are errnos.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// An errno.
pub type Errno = i32;
/// The outcome of a system call.
pub type Result<T> = std::result::Result<T, Errno>;

fn last() -> Errno {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn check(outcome: libc::c_int) -> Result<libc::c_int> {
    if outcome < 0 { Err(last()) } else { Ok(outcome) }
}

fn check_long(outcome: libc::ssize_t) -> Result<usize> {
    usize::try_from(outcome).map_err(|_| last())
}

/// A string for the kernel; EINVAL if it has a NUL inside.
pub fn cstr(bytes: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(bytes).map_err(|_| libc::EINVAL)
}

/// openat(2), always close-on-exec.
pub fn open_at(dir: RawFd, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    // SAFETY: the path is a C string; the result is checked and then owned by nobody else.
    let fd = check(unsafe { libc::openat(dir, path.as_ptr(), flags | libc::O_CLOEXEC, mode) })?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// fstatat(2) without following a link at the end.
pub fn stat_at(dir: RawFd, path: &CStr) -> Result<libc::stat> {
    let mut stat = std::mem::MaybeUninit::uninit();
    // SAFETY: the kernel fills the buffer when it says so.
    check(unsafe { libc::fstatat(dir, path.as_ptr(), stat.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW) })?;
    Ok(unsafe { stat.assume_init() })
}

/// fstat(2).
pub fn stat_fd(fd: RawFd) -> Result<libc::stat> {
    let mut stat = std::mem::MaybeUninit::uninit();
    // SAFETY: as above.
    check(unsafe { libc::fstat(fd, stat.as_mut_ptr()) })?;
    Ok(unsafe { stat.assume_init() })
}

/// mkdirat(2).
pub fn mkdir_at(dir: RawFd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: a C string.
    check(unsafe { libc::mkdirat(dir, path.as_ptr(), mode) }).map(drop)
}

/// mknodat(2).
pub fn mknod_at(dir: RawFd, path: &CStr, mode: u32, rdev: u32) -> Result<()> {
    // SAFETY: a C string.
    check(unsafe { libc::mknodat(dir, path.as_ptr(), mode, libc::dev_t::from(rdev)) }).map(drop)
}

/// symlinkat(2).
pub fn symlink_at(target: &CStr, dir: RawFd, path: &CStr) -> Result<()> {
    // SAFETY: C strings.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir, path.as_ptr()) }).map(drop)
}

/// linkat(2); a link at the end of `from` is linked itself.
pub fn link_at(from_dir: RawFd, from: &CStr, dir: RawFd, path: &CStr) -> Result<()> {
    // SAFETY: C strings.
    check(unsafe { libc::linkat(from_dir, from.as_ptr(), dir, path.as_ptr(), 0) }).map(drop)
}

/// unlinkat(2); `directory`: rmdir.
pub fn unlink_at(dir: RawFd, path: &CStr, directory: bool) -> Result<()> {
    let flags = if directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: a C string.
    check(unsafe { libc::unlinkat(dir, path.as_ptr(), flags) }).map(drop)
}

/// renameat(2).
pub fn rename_at(from_dir: RawFd, from: &CStr, dir: RawFd, to: &CStr) -> Result<()> {
    // SAFETY: C strings.
    check(unsafe { libc::renameat(from_dir, from.as_ptr(), dir, to.as_ptr()) }).map(drop)
}

/// readlinkat(2).
pub fn readlink_at(dir: RawFd, path: &CStr) -> Result<Vec<u8>> {
    let mut target = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is as long as said.
    let n = check_long(unsafe { libc::readlinkat(dir, path.as_ptr(), target.as_mut_ptr().cast(), target.len()) })?;
    target.truncate(n);
    Ok(target)
}

/// fchmodat(2), following nothing (a symbolic link has no mode to change: EOPNOTSUPP).
pub fn chmod_at(dir: RawFd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: a C string.
    check(unsafe { libc::fchmodat(dir, path.as_ptr(), mode, 0) }).map(drop)
}

/// fchownat(2) without following; `u32::MAX` leaves one as it is.
pub fn chown_at(dir: RawFd, path: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: a C string.
    check(unsafe { libc::fchownat(dir, path.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

/// utimensat(2) without following; `None` leaves one as it is.
pub fn utimens_at(dir: RawFd, path: &CStr, atime: Option<(i64, u32)>, mtime: Option<(i64, u32)>) -> Result<()> {
    let spec = |time: Option<(i64, u32)>| match time {
        Some((tv_sec, nsec)) => libc::timespec { tv_sec, tv_nsec: nsec.into() },
        None => libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT },
    };
    let times = [spec(atime), spec(mtime)];
    // SAFETY: a C string and two times.
    check(unsafe { libc::utimensat(dir, path.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

/// Gives ever larger buffers to a call that fills them, until one is large enough.
fn filled(first: usize, call: impl Fn(&mut [u8]) -> libc::ssize_t) -> Result<Vec<u8>> {
    let mut buffer = vec![0_u8; first];
    loop {
        match check_long(call(&mut buffer)) {
            Ok(n) => {
                buffer.truncate(n);
                return Ok(buffer);
            }
            Err(libc::ERANGE) if buffer.len() < 65536 => buffer.resize(65536, 0),
            Err(e) => return Err(e),
        }
    }
}

/// Whether the kernel knows attributes by directory and name (Linux 6.13 and later).
fn has_xattrat() -> bool {
    static KNOWN: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *KNOWN.get_or_init(|| {
        // SAFETY: asks for a length only.
        let n = unsafe { libc::syscall(LISTXATTRAT, libc::AT_FDCWD, c"/".as_ptr(), 0, std::ptr::null::<u8>(), 0) };
        n >= 0
    })
}

const SETXATTRAT: libc::c_long = 463;
const GETXATTRAT: libc::c_long = 464;
const LISTXATTRAT: libc::c_long = 465;
const REMOVEXATTRAT: libc::c_long = 466;
const NOFOLLOW: libc::c_int = libc::AT_SYMLINK_NOFOLLOW;

/// `struct xattr_args` of linux/xattr.h.
#[repr(C, align(8))]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

fn args(value: *const u8, size: usize, flags: i32) -> XattrArgs {
    XattrArgs { value: value as u64, size: u32::try_from(size).unwrap_or(u32::MAX), flags: flags.cast_unsigned() }
}

/// A path to a name in an open directory, for kernels that know attributes by path only.
fn by_path(dir: RawFd, name: &CStr) -> Result<CString> {
    let mut path = format!("/proc/self/fd/{dir}/").into_bytes();
    path.extend_from_slice(name.to_bytes());
    cstr(path)
}

/// getxattrat(2) without following.
pub fn get_xattr_at(dir: RawFd, name: &CStr, key: &CStr) -> Result<Vec<u8>> {
    if !has_xattrat() {
        return get_xattr(&by_path(dir, name)?, key);
    }
    filled(256, |buffer| {
        let args = args(buffer.as_mut_ptr(), buffer.len(), 0);
        let (size, args) = (size_of::<XattrArgs>(), &raw const args);
        // SAFETY: the buffer is as long as said.
        unsafe { libc::syscall(GETXATTRAT, dir, name.as_ptr(), NOFOLLOW, key.as_ptr(), args, size) as libc::ssize_t }
    })
}

/// setxattrat(2) without following.
pub fn set_xattr_at(dir: RawFd, name: &CStr, key: &CStr, value: &[u8], flags: i32) -> Result<()> {
    if !has_xattrat() {
        return set_xattr(&by_path(dir, name)?, key, value, flags);
    }
    let args = args(value.as_ptr(), value.len(), flags);
    let (size, args) = (size_of::<XattrArgs>(), &raw const args);
    // SAFETY: the value is as long as said.
    let n = unsafe { libc::syscall(SETXATTRAT, dir, name.as_ptr(), NOFOLLOW, key.as_ptr(), args, size) };
    check_long(n as libc::ssize_t).map(drop)
}

/// removexattrat(2) without following.
pub fn remove_xattr_at(dir: RawFd, name: &CStr, key: &CStr) -> Result<()> {
    if !has_xattrat() {
        return remove_xattr(&by_path(dir, name)?, key);
    }
    // SAFETY: C strings.
    let n = unsafe { libc::syscall(REMOVEXATTRAT, dir, name.as_ptr(), NOFOLLOW, key.as_ptr()) };
    check_long(n as libc::ssize_t).map(drop)
}

/// listxattrat(2) without following, split into keys.
pub fn list_xattrs_at(dir: RawFd, name: &CStr) -> Result<Vec<Vec<u8>>> {
    if !has_xattrat() {
        return list_xattrs(&by_path(dir, name)?);
    }
    let list = |b: &mut [u8]| {
        // SAFETY: the buffer is as long as said.
        let n = unsafe { libc::syscall(LISTXATTRAT, dir, name.as_ptr(), NOFOLLOW, b.as_mut_ptr(), b.len()) };
        n as libc::ssize_t
    };
    filled(1024, list).map(keys)
}

/// lgetxattr(2).
fn get_xattr(path: &CStr, key: &CStr) -> Result<Vec<u8>> {
    // SAFETY: the buffer is as long as said.
    filled(256, |b| unsafe { libc::lgetxattr(path.as_ptr(), key.as_ptr(), b.as_mut_ptr().cast(), b.len()) })
}

/// fgetxattr(2).
pub fn get_xattr_fd(fd: RawFd, key: &CStr) -> Result<Vec<u8>> {
    // SAFETY: as above.
    filled(256, |b| unsafe { libc::fgetxattr(fd, key.as_ptr(), b.as_mut_ptr().cast(), b.len()) })
}

/// fsetxattr(2).
pub fn set_xattr_fd(fd: RawFd, key: &CStr, value: &[u8], flags: i32) -> Result<()> {
    // SAFETY: the value is as long as said.
    check(unsafe { libc::fsetxattr(fd, key.as_ptr(), value.as_ptr().cast(), value.len(), flags) }).map(drop)
}

/// fchown(2).
pub fn chown_fd(fd: RawFd, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::fchown(fd, uid, gid) }).map(drop)
}

/// fchmod(2).
pub fn chmod_fd(fd: RawFd, mode: u32) -> Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::fchmod(fd, mode) }).map(drop)
}

/// lsetxattr(2).
pub fn set_xattr(path: &CStr, key: &CStr, value: &[u8], flags: i32) -> Result<()> {
    // SAFETY: the value is as long as said.
    check(unsafe { libc::lsetxattr(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), flags) }).map(drop)
}

/// lremovexattr(2).
pub fn remove_xattr(path: &CStr, key: &CStr) -> Result<()> {
    // SAFETY: C strings.
    check(unsafe { libc::lremovexattr(path.as_ptr(), key.as_ptr()) }).map(drop)
}

/// llistxattr(2), split into keys.
fn list_xattrs(path: &CStr) -> Result<Vec<Vec<u8>>> {
    // SAFETY: the buffer is as long as said.
    filled(1024, |b| unsafe { libc::llistxattr(path.as_ptr(), b.as_mut_ptr().cast(), b.len()) }).map(keys)
}

/// flistxattr(2), split into keys.
pub fn list_xattrs_fd(fd: RawFd) -> Result<Vec<Vec<u8>>> {
    // SAFETY: as above.
    filled(1024, |b| unsafe { libc::flistxattr(fd, b.as_mut_ptr().cast(), b.len()) }).map(keys)
}

fn keys(names: Vec<u8>) -> Vec<Vec<u8>> {
    names.split(|b| *b == 0).filter(|k| !k.is_empty()).map(<[u8]>::to_vec).collect()
}

/// pread(2) until `size` bytes or the end of the file.
pub fn read_at(fd: RawFd, offset: u64, size: usize) -> Result<Vec<u8>> {
    let mut data: Vec<u8> = Vec::with_capacity(size);
    while data.len() < size {
        let at = libc::off_t::try_from(offset + data.len() as u64).map_err(|_| libc::EINVAL)?;
        // SAFETY: the spare room is as long as said, and only what was filled is taken over.
        let n = unsafe { libc::pread(fd, data.as_mut_ptr().add(data.len()).cast(), size - data.len(), at) };
        match check_long(n)? {
            0 => break,
            n => unsafe { data.set_len(data.len() + n) },
        }
    }
    Ok(data)
}

/// pwrite(2) of all bytes.
pub fn write_at(fd: RawFd, offset: u64, mut data: &[u8]) -> Result<()> {
    let mut at = libc::off_t::try_from(offset).map_err(|_| libc::EINVAL)?;
    while !data.is_empty() {
        // SAFETY: the data is as long as said.
        let n = check_long(unsafe { libc::pwrite(fd, data.as_ptr().cast(), data.len(), at) })?;
        data = &data[n..];
        at += n as libc::off_t;
    }
    Ok(())
}

/// sync_file_range(2): begins to write these bytes to the disk and waits for nothing. Only a hint: what it says is not asked.
pub fn begin_sync(fd: RawFd, offset: u64, size: usize) {
    let (at, n) = (offset as libc::off64_t, size as libc::off64_t);
    // SAFETY: numbers only.
    unsafe { libc::sync_file_range(fd, at, n, libc::SYNC_FILE_RANGE_WRITE) };
}

/// ftruncate(2).
pub fn truncate(fd: RawFd, size: u64) -> Result<()> {
    let size = libc::off_t::try_from(size).map_err(|_| libc::EFBIG)?;
    // SAFETY: numbers only.
    check(unsafe { libc::ftruncate(fd, size) }).map(drop)
}

/// fallocate(2).
pub fn allocate(fd: RawFd, mode: i32, offset: u64, size: u64) -> Result<()> {
    let off = |n: u64| libc::off_t::try_from(n).map_err(|_| libc::EFBIG);
    // SAFETY: numbers only.
    check(unsafe { libc::fallocate(fd, mode, off(offset)?, off(size)?) }).map(drop)
}

/// lseek(2); gives the new offset.
pub fn seek(fd: RawFd, offset: u64, whence: i32) -> Result<u64> {
    let offset = libc::off_t::try_from(offset).map_err(|_| libc::EINVAL)?;
    // SAFETY: numbers only.
    let n = unsafe { libc::lseek(fd, offset, whence) };
    u64::try_from(n).map_err(|_| last())
}

/// fsync(2) or fdatasync(2).
pub fn sync(fd: RawFd, data: bool) -> Result<()> {
    // SAFETY: numbers only.
    check(unsafe { if data { libc::fdatasync(fd) } else { libc::fsync(fd) } }).map(drop)
}

/// fstatvfs(2).
pub fn stat_fs(fd: BorrowedFd<'_>) -> Result<libc::statvfs> {
    let mut stat = std::mem::MaybeUninit::uninit();
    // SAFETY: the kernel fills the buffer when it says so.
    check(unsafe { libc::fstatvfs(fd.as_raw_fd(), stat.as_mut_ptr()) })?;
    Ok(unsafe { stat.assume_init() })
}

/// A file that is mapped into memory, shared with the file.
#[derive(Debug)]
pub struct Mapped {
    start: *mut u8,
    length: usize,
}

// SAFETY: it is plain memory that belongs to this value; who may touch it when is the borrow checker's business.
unsafe impl Send for Mapped {}

impl Mapped {
    /// Maps the first bytes of a file that is at least as long, and stays so.
    pub fn new(file: &OwnedFd, length: usize) -> Result<Self> {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping somewhere; its outcome is checked.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, rights, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(last()) } else { Ok(Self { start: start.cast(), length }) }
    }

    /// A part of it.
    pub fn bytes(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: the mapping is as long as said, and lives as long as this value.
        let all = unsafe { std::slice::from_raw_parts(self.start, self.length) };
        &all[at..at + length]
    }

    /// Writes a record whose first byte says that it is valid: that byte last, so that who dies in between leaves no half of one.
    pub fn put(&mut self, at: usize, record: &[u8]) {
        // SAFETY: as above.
        let all = unsafe { std::slice::from_raw_parts_mut(self.start, self.length) };
        let [first, rest @ ..] = &mut all[at..at + record.len()] else { return };
        rest.copy_from_slice(&record[1..]);
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        *first = record[0];
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: nobody has a part of it any more.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

/// One raw directory entry.
pub struct Dirent {
    /// Its name.
    pub name: Vec<u8>,
    /// Where the next one is.
    pub cookie: u64,
    /// `DT_…`.
    pub kind: u8,
}

/// getdents64(2): the next entries from the directory's position on; none at the end. `.` and `..` are left out, so `end`
/// tells whether the directory has no more.
pub fn entries(fd: RawFd, size: usize) -> Result<(Vec<Dirent>, bool)> {
    let mut raw: Vec<u64> = vec![0; size / 8];
    // SAFETY: the buffer is as long as said and aligned to 8.
    let n = unsafe { libc::syscall(libc::SYS_getdents64, fd, raw.as_mut_ptr(), raw.len() * 8) };
    let n = usize::try_from(n).map_err(|_| last())?;
    // SAFETY: plain bytes of the same buffer.
    let bytes = unsafe { std::slice::from_raw_parts(raw.as_ptr().cast::<u8>(), n) };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 19) {
        let word = |i: usize| u64::from_ne_bytes(head[i..i + 8].try_into().unwrap_or_default());
        let length = usize::from(u16::from_ne_bytes([head[16], head[17]]));
        let name = bytes[at + 19..at + length].split(|b| *b == 0).next().unwrap_or_default().to_vec();
        if name != b"." && name != b".." {
            found.push(Dirent { name, cookie: word(8), kind: head[18] });
        }
        at += length;
    }
    Ok((found, n == 0))
}

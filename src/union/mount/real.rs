//! A real directory as a [`Branch`]: held directories (`O_PATH`), and the system calls that end in `at`.
//!
//! No path longer than one name is ever resolved, and no symbolic link followed, so nothing that happens in a branch can
//! lead out of it. Extended attributes have no such calls on older kernels; they go through `/proc/self/fd/N/name`.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::held::{Dir, Held};
use crate::union::branch::{At, Branch, Change, Entry, Errno, Key, Kind, Replace, Result, SetTime, Space, Stat, Time};

/// A branch in the file system.
pub struct RealBranch {
    root: Dir,
}

impl RealBranch {
    /// Holds a directory.
    ///
    /// # Errors
    /// Of opening it; `ENOTDIR` if it is none.
    pub fn open(path: &OsStr) -> Result<Self> {
        let path = cstring(path)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: `path` is a NUL-terminated string that outlives the call.
        let root = owned(unsafe { libc::openat(libc::AT_FDCWD, path.as_ptr(), flags) })?;
        Ok(Self { root: Held::top(root) })
    }
}

fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

fn cstring(name: &OsStr) -> Result<CString> {
    CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL)
}

fn done(result: libc::c_int) -> Result<()> {
    if result < 0 { Err(last()) } else { Ok(()) }
}

fn owned(fd: RawFd) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(last());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn count(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| last())
}

/// Runs `f` with the name as a C string, without allocating for ordinary lengths.
fn with_name<T>(name: &OsStr, f: impl FnOnce(*const libc::c_char) -> Result<T>) -> Result<T> {
    let bytes = name.as_bytes();
    let mut buffer = [0u8; 256];
    if bytes.len() >= buffer.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    if bytes.contains(&0) {
        return Err(Errno::EINVAL);
    }
    buffer[..bytes.len()].copy_from_slice(bytes);
    f(buffer.as_ptr().cast())
}

fn stat_of(s: &libc::stat) -> Stat {
    let time = |secs: i64, nanos: i64| Time { secs, nanos: u32::try_from(nanos).unwrap_or(0) };
    Stat {
        key: Key { dev: s.st_dev, ino: s.st_ino },
        kind: Kind::of_mode(s.st_mode),
        mode: s.st_mode & 0o7777,
        nlink: u32::try_from(s.st_nlink).unwrap_or(u32::MAX),
        uid: s.st_uid,
        gid: s.st_gid,
        rdev: s.st_rdev,
        size: u64::try_from(s.st_size).unwrap_or(0),
        blocks: u64::try_from(s.st_blocks).unwrap_or(0),
        blksize: u32::try_from(s.st_blksize).unwrap_or(4096),
        atime: time(s.st_atime, s.st_atime_nsec),
        mtime: time(s.st_mtime, s.st_mtime_nsec),
        ctime: time(s.st_ctime, s.st_ctime_nsec),
    }
}

fn timespec(time: SetTime) -> libc::timespec {
    match time {
        SetTime::Keep => libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT },
        SetTime::Now => libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW },
        SetTime::At(t) => libc::timespec { tv_sec: t.secs, tv_nsec: i64::from(t.nanos) },
    }
}

/// Runs `f` with the path by which calls without an `at` form reach an object; a symbolic link itself at its end is not
/// followed by the `l…` calls.
fn with_path<T>(at: At<'_, RealBranch>, f: impl FnOnce(*const libc::c_char) -> Result<T>) -> Result<T> {
    let (dir, name) = match at {
        At::Name(dir, name) => (dir, name.as_bytes()),
        At::Dir(dir) => (dir, b".".as_slice()),
        At::File(_) => return Err(Errno::EBADF),
    };
    let fd = dir.fd()?;
    let mut path = format!("/proc/self/fd/{}/", fd.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    f(CString::new(path).map_err(|_| Errno::EINVAL)?.as_ptr())
}

/// A directory descriptor and a name in it, as the `at` calls take them; a directory itself is `.` in itself.
fn with_at<T>(at: At<'_, RealBranch>, f: impl FnOnce(RawFd, *const libc::c_char) -> Result<T>) -> Result<T> {
    match at {
        At::Name(dir, name) => with_name(name, |name| f(dir.fd()?.as_raw_fd(), name)),
        At::Dir(dir) => f(dir.fd()?.as_raw_fd(), c".".as_ptr()),
        At::File(file) => f(file.as_raw_fd(), c"".as_ptr()),
    }
}

impl Branch for RealBranch {
    type Dir = Dir;
    type File = OwnedFd;

    fn root(&self) -> Self::Dir {
        self.root.clone()
    }

    fn dir(&self, at: &Self::Dir, name: &OsStr) -> Result<Self::Dir> {
        let dir = Held::below(at, name, None);
        dir.fd()?;
        Ok(dir)
    }

    fn known_dir(&self, at: &Self::Dir, name: &OsStr, key: Key) -> Result<Self::Dir> {
        Ok(Held::below(at, name, Some(key)))
    }

    fn keep(&self, dir: &Self::Dir) {
        dir.keep();
    }

    fn moved(&self, dir: &Self::Dir, parent: &Self::Dir, name: &OsStr) {
        dir.moved(parent, name);
    }

    fn stat(&self, at: At<'_, Self>) -> Result<Stat> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT;
        match at {
            At::Name(dir, name) => with_name(name, |name| {
                // SAFETY: the name is NUL-terminated and `stat` is large enough.
                done(unsafe { libc::fstatat(dir.fd()?.as_raw_fd(), name, stat.as_mut_ptr(), flags) })
            })?,
            // SAFETY: as above, with an empty name.
            At::Dir(dir) => {
                done(unsafe { libc::fstatat(dir.fd()?.as_raw_fd(), c"".as_ptr(), stat.as_mut_ptr(), flags) })?
            }
            // SAFETY: `stat` is large enough.
            At::File(file) => done(unsafe { libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) })?,
        }
        // SAFETY: the call has filled it.
        let stat = unsafe { stat.assume_init() };
        Ok(stat_of(&stat))
    }

    fn list(&self, dir: &Self::Dir, each: &mut dyn FnMut(Entry<'_>)) -> Result<()> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: a constant path relative to a held directory.
        let opened = owned(unsafe { libc::openat(dir.fd()?.as_raw_fd(), c".".as_ptr(), flags) });
        let opened = match opened {
            Err(Errno::ENOENT) => return Ok(()),
            opened => opened?,
        };
        let mut buffer = Vec::<u8>::with_capacity(64 << 10);
        loop {
            buffer.clear();
            let (start, size) = (buffer.as_mut_ptr(), buffer.capacity());
            // SAFETY: the buffer is as large as said.
            let got = unsafe { libc::syscall(libc::SYS_getdents64, opened.as_raw_fd(), start, size) };
            match usize::try_from(got) {
                Ok(0) => return Ok(()),
                // SAFETY: the kernel has just filled so much.
                Ok(got) => unsafe { buffer.set_len(got) },
                Err(_) if last() == Errno::ENOENT => return Ok(()),
                Err(_) => return Err(last()),
            }
            read_entries(&buffer, each);
        }
    }

    fn create(&self, at: &Self::Dir, name: &OsStr, mode: u32) -> Result<Self::File> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the name is NUL-terminated and outlives the call.
        with_name(name, |name| owned(unsafe { libc::openat(at.fd()?.as_raw_fd(), name, flags, mode) }))
    }

    fn mkdir(&self, at: &Self::Dir, name: &OsStr, mode: u32) -> Result<()> {
        // SAFETY: the name is NUL-terminated and outlives the call.
        with_name(name, |name| done(unsafe { libc::mkdirat(at.fd()?.as_raw_fd(), name, mode) }))
    }

    fn mknod(&self, at: &Self::Dir, name: &OsStr, kind: Kind, mode: u32, rdev: u64) -> Result<()> {
        // SAFETY: the name is NUL-terminated and outlives the call.
        with_name(name, |name| done(unsafe { libc::mknodat(at.fd()?.as_raw_fd(), name, kind.bits() | mode, rdev) }))
    }

    fn symlink(&self, at: &Self::Dir, name: &OsStr, target: &OsStr) -> Result<()> {
        let target = cstring(target)?;
        // SAFETY: both strings are NUL-terminated and outlive the call.
        with_name(name, |name| done(unsafe { libc::symlinkat(target.as_ptr(), at.fd()?.as_raw_fd(), name) }))
    }

    fn readlink(&self, at: &Self::Dir, name: &OsStr) -> Result<OsString> {
        let mut target = vec![0u8; libc::PATH_MAX as usize];
        let length = with_name(name, |name| {
            // SAFETY: the buffer is as large as said.
            count(unsafe { libc::readlinkat(at.fd()?.as_raw_fd(), name, target.as_mut_ptr().cast(), target.len()) })
        })?;
        target.truncate(length);
        Ok(OsString::from_vec(target))
    }

    fn link(&self, from: &Self::Dir, name: &OsStr, to: &Self::Dir, new: &OsStr) -> Result<()> {
        with_name(name, |name| {
            // SAFETY: both names are NUL-terminated and outlive the call.
            with_name(new, |new| {
                done(unsafe { libc::linkat(from.fd()?.as_raw_fd(), name, to.fd()?.as_raw_fd(), new, 0) })
            })
        })
    }

    fn unlink(&self, at: &Self::Dir, name: &OsStr) -> Result<()> {
        // SAFETY: the name is NUL-terminated and outlives the call.
        with_name(name, |name| done(unsafe { libc::unlinkat(at.fd()?.as_raw_fd(), name, 0) }))
    }

    fn rmdir(&self, at: &Self::Dir, name: &OsStr) -> Result<()> {
        // SAFETY: the name is NUL-terminated and outlives the call.
        with_name(name, |name| done(unsafe { libc::unlinkat(at.fd()?.as_raw_fd(), name, libc::AT_REMOVEDIR) }))
    }

    fn rename(&self, from: &Self::Dir, name: &OsStr, to: &Self::Dir, new: &OsStr, replace: Replace) -> Result<()> {
        let flags = match replace {
            Replace::Yes => 0,
            Replace::No => libc::RENAME_NOREPLACE,
            Replace::Exchange => libc::RENAME_EXCHANGE,
        };
        with_name(name, |name| {
            with_name(new, |new| {
                let (from, to) = (from.fd()?, to.fd()?);
                let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
                // SAFETY: both names are NUL-terminated and outlive the call.
                match done(unsafe { libc::renameat2(from, name, to, new, flags) }) {
                    // File systems without flags (some FUSE): the name is free as far as we looked.
                    Err(Errno::EINVAL) if replace == Replace::No => {
                        done(unsafe { libc::renameat2(from, name, to, new, 0) })
                    }
                    renamed => renamed,
                }
            })
        })
    }

    fn open(&self, at: &Self::Dir, name: &OsStr, write: bool) -> Result<Self::File> {
        let access = if write { libc::O_RDWR } else { libc::O_RDONLY };
        let flags = access | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        with_name(name, |name| {
            // SAFETY: the name is NUL-terminated and outlives the call.
            match owned(unsafe { libc::openat(at.fd()?.as_raw_fd(), name, flags | libc::O_NOATIME) }) {
                Err(Errno::EPERM) => owned(unsafe { libc::openat(at.fd()?.as_raw_fd(), name, flags) }),
                opened => opened,
            }
        })
    }

    fn reopen(file: &Self::File) -> Result<Self::File> {
        let path = cstring(OsStr::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?;
        let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: the path is NUL-terminated and outlives the call.
        owned(unsafe { libc::openat(libc::AT_FDCWD, path.as_ptr(), flags) })
    }

    fn change(&self, at: At<'_, Self>, change: &Change) -> Result<()> {
        if change.uid.is_some() || change.gid.is_some() {
            let (uid, gid) = (change.uid.unwrap_or(u32::MAX), change.gid.unwrap_or(u32::MAX));
            let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
            // SAFETY: the name is NUL-terminated and outlives the call.
            with_at(at, |dir, name| done(unsafe { libc::fchownat(dir, name, uid, gid, flags) }))?;
        }
        if let Some(mode) = change.mode {
            chmod(at, mode)?;
        }
        if let Some(size) = change.size {
            let size = libc::off_t::try_from(size).map_err(|_| Errno::EFBIG)?;
            match at {
                // SAFETY: plain numbers.
                At::File(file) => done(unsafe { libc::ftruncate(file.as_raw_fd(), size) })?,
                At::Name(dir, name) => {
                    let file = self.open(dir, name, true)?;
                    // SAFETY: plain numbers.
                    done(unsafe { libc::ftruncate(file.as_raw_fd(), size) })?;
                }
                At::Dir(_) => return Err(Errno::EISDIR),
            }
        }
        if change.atime != SetTime::Keep || change.mtime != SetTime::Keep {
            let times = [timespec(change.atime), timespec(change.mtime)];
            match at {
                // SAFETY: `times` has two elements.
                At::File(file) => done(unsafe { libc::futimens(file.as_raw_fd(), times.as_ptr()) })?,
                _ => with_at(at, |dir, name| {
                    // SAFETY: the name is NUL-terminated, `times` has two elements.
                    done(unsafe { libc::utimensat(dir, name, times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) })
                })?,
            }
        }
        Ok(())
    }

    fn xattr(&self, at: At<'_, Self>, name: &OsStr) -> Result<Vec<u8>> {
        let name = cstring(name)?;
        let read = |buffer: *mut libc::c_void, size: usize| match at {
            // SAFETY: the name is NUL-terminated and the buffer as large as said.
            At::File(file) => count(unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), buffer, size) }),
            // SAFETY: as above.
            _ => with_path(at, |path| count(unsafe { libc::lgetxattr(path, name.as_ptr(), buffer, size) })),
        };
        let mut small = [0u8; 256];
        match read(small.as_mut_ptr().cast(), small.len()) {
            Err(Errno::ERANGE) => {}
            got => return got.map(|length| small[..length].to_vec()),
        }
        let mut value = vec![0u8; 64 << 10];
        let length = read(value.as_mut_ptr().cast(), value.len())?;
        value.truncate(length);
        Ok(value)
    }

    fn xattrs(&self, at: At<'_, Self>) -> Result<Vec<OsString>> {
        let mut list = vec![0u8; 64 << 10];
        let (buffer, size) = (list.as_mut_ptr().cast(), list.len());
        let length = match at {
            // SAFETY: the buffer is as large as said.
            At::File(file) => count(unsafe { libc::flistxattr(file.as_raw_fd(), buffer, size) })?,
            // SAFETY: as above, and the path is NUL-terminated.
            _ => with_path(at, |path| count(unsafe { libc::llistxattr(path, buffer, size) }))?,
        };
        let names = list[..length].split(|b| *b == 0).filter(|n| !n.is_empty());
        Ok(names.map(|n| OsStr::from_bytes(n).to_owned()).collect())
    }

    fn set_xattr(&self, at: At<'_, Self>, name: &OsStr, value: &[u8], flags: i32) -> Result<()> {
        let name = cstring(name)?;
        let (data, size) = (value.as_ptr().cast(), value.len());
        match at {
            // SAFETY: the name is NUL-terminated and the value as long as said.
            At::File(file) => done(unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), data, size, flags) }),
            // SAFETY: as above.
            _ => with_path(at, |path| done(unsafe { libc::lsetxattr(path, name.as_ptr(), data, size, flags) })),
        }
    }

    fn remove_xattr(&self, at: At<'_, Self>, name: &OsStr) -> Result<()> {
        let name = cstring(name)?;
        match at {
            // SAFETY: the name is NUL-terminated.
            At::File(file) => done(unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) }),
            // SAFETY: as above.
            _ => with_path(at, |path| done(unsafe { libc::lremovexattr(path, name.as_ptr()) })),
        }
    }

    fn copy(from: &Self::File, to: &Self::File, size: u64) -> Result<()> {
        super::copy::content(from, to, size)
    }

    fn read(file: &Self::File, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let at = libc::off_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
        loop {
            // SAFETY: the buffer is as large as said. A regular file gives less than was asked for at its end alone.
            match count(unsafe { libc::pread(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), at) }) {
                Err(Errno(libc::EINTR)) => {}
                read => return read,
            }
        }
    }

    fn write(file: &Self::File, data: &[u8], offset: u64) -> Result<usize> {
        let mut put = 0;
        while put < data.len() {
            let at = libc::off_t::try_from(offset + put as u64).map_err(|_| Errno::EFBIG)?;
            let rest = &data[put..];
            // SAFETY: the data is as long as said.
            match count(unsafe { libc::pwrite(file.as_raw_fd(), rest.as_ptr().cast(), rest.len(), at) }) {
                Ok(0) => break,
                Ok(more) => put += more,
                Err(Errno(libc::EINTR)) => {}
                Err(e) if put == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(put)
    }

    fn space(&self) -> Result<Space> {
        let mut s = MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: `s` is large enough, and filled when the call succeeds.
        let s = unsafe {
            done(libc::fstatvfs(self.root.fd()?.as_raw_fd(), s.as_mut_ptr()))?;
            s.assume_init()
        };
        let bsize = if s.f_frsize > 0 { s.f_frsize } else { s.f_bsize };
        let dev = self.stat(At::Dir(&self.root))?.key.dev;
        let read_only = s.f_flag & libc::ST_RDONLY != 0;
        let (blocks, bfree, bavail) = (s.f_blocks, s.f_bfree, s.f_bavail);
        Ok(Space { dev, bsize, blocks, bfree, bavail, files: s.f_files, ffree: s.f_ffree, read_only })
    }
}

fn chmod(at: At<'_, RealBranch>, mode: u32) -> Result<()> {
    if let At::File(file) = at {
        // SAFETY: plain numbers.
        return done(unsafe { libc::fchmod(file.as_raw_fd(), mode) });
    }
    with_at(at, |dir, name| {
        // SAFETY: the name is NUL-terminated and outlives the call (fchmodat2, Linux 6.6).
        let new = unsafe { libc::syscall(452, dir, name, mode, libc::AT_SYMLINK_NOFOLLOW) };
        match done(new as libc::c_int) {
            // SAFETY: as above. Callers never ask this of a symbolic link.
            Err(Errno::ENOSYS) => done(unsafe { libc::fchmodat(dir, name, mode, 0) }),
            changed => changed,
        }
    })
}

/// Reads the records of `getdents64(2)`.
fn read_entries(mut records: &[u8], each: &mut dyn FnMut(Entry<'_>)) {
    while records.len() > 19 {
        let ino = u64::from_ne_bytes(records[..8].try_into().unwrap_or_default());
        let length = usize::from(u16::from_ne_bytes([records[16], records[17]]));
        let name = CStr::from_bytes_until_nul(&records[19..length]).map_or(b"".as_slice(), CStr::to_bytes);
        if name != b"." && name != b".." {
            let kind = match records[18] {
                libc::DT_UNKNOWN => None,
                kind => Some(Kind::of_mode(u32::from(kind) << 12)),
            };
            each(Entry { name: OsStr::from_bytes(name), kind, ino });
        }
        records = &records[length..];
    }
}

//! Attributes, times, errors: from the core's form to the kernel's, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno as FuseErrno, FileAttr, FileType, INodeNo, Request, TimeOrNow};

use crate::union::Caller;
use crate::union::branch::{Errno, Kind, SetTime, Stat, Time};

/// An error of the core as fuser has it.
pub(super) fn fail(errno: Errno) -> FuseErrno {
    FuseErrno::from_i32(errno.0)
}

/// A kind as fuser has it.
pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Dir => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::Char => FileType::CharDevice,
        Kind::Block => FileType::BlockDevice,
    }
}

/// A time of the core, before or after the epoch.
fn system_time(time: Time) -> SystemTime {
    let nanos = Duration::from_nanos(u64::from(time.nanos));
    if time.secs >= 0 {
        UNIX_EPOCH + Duration::from_secs(time.secs.unsigned_abs()) + nanos
    } else {
        UNIX_EPOCH - Duration::from_secs(time.secs.unsigned_abs()) + nanos
    }
}

/// A time of a request. fuser gives a time before the epoch as `epoch − seconds − nanoseconds`, where the kernel means
/// the nanoseconds to be added.
pub(super) fn request_time(time: TimeOrNow) -> SetTime {
    let TimeOrNow::SpecificTime(time) = time else { return SetTime::Now };
    SetTime::At(match time.duration_since(UNIX_EPOCH) {
        Ok(d) => Time { secs: i64::try_from(d.as_secs()).unwrap_or(i64::MAX), nanos: d.subsec_nanos() },
        Err(e) => {
            let d = e.duration();
            Time { secs: -i64::try_from(d.as_secs()).unwrap_or(i64::MAX), nanos: d.subsec_nanos() }
        }
    })
}

/// The kernel's 32-bit form of a device number (`new_encode_dev`), as FUSE carries it.
fn fuse_rdev(rdev: u64) -> u32 {
    let (major, minor) = (libc::major(rdev), libc::minor(rdev));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The inverse of [`fuse_rdev`].
pub(super) fn real_rdev(rdev: u32) -> u64 {
    let (major, minor) = ((rdev & 0xfff00) >> 8, (rdev & 0xff) | ((rdev >> 12) & 0xfff00));
    libc::makedev(major, minor)
}

/// Attributes under a number.
pub(super) fn attr(ino: u64, stat: &Stat) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size: stat.size,
        blocks: stat.blocks,
        atime: system_time(stat.atime),
        mtime: system_time(stat.mtime),
        ctime: system_time(stat.ctime),
        crtime: UNIX_EPOCH,
        kind: file_type(stat.kind),
        perm: stat.mode as u16,
        nlink: stat.nlink,
        uid: stat.uid,
        gid: stat.gid,
        rdev: fuse_rdev(stat.rdev),
        blksize: stat.blksize,
        flags: 0,
    }
}

/// The answer "there is no such name, and you may remember that": an entry without a number.
pub(super) fn absent() -> FileAttr {
    let epoch = Time::default();
    let stat = Stat {
        key: crate::union::Key { dev: 0, ino: 0 },
        kind: Kind::File,
        mode: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        size: 0,
        blocks: 0,
        blksize: 0,
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
    };
    attr(0, &stat)
}

/// An ordinary user who writes: his process and group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer {
    pid: u32,
    gid: u32,
}

impl Writer {
    /// Who asks.
    pub fn of(req: &Request) -> Self {
        Self { pid: req.pid(), gid: req.gid() }
    }

    /// Who asks, unless it is root.
    pub fn unless_root(req: &Request) -> Option<Self> {
        (req.uid() != 0).then(|| Self::of(req))
    }

    /// Whether his process is in a group neither by its own nor by its further groups. One that we cannot see counts as in it.
    pub fn is_outside(self, gid: u32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
        self.gid != gid && groups.is_some_and(|all| all.split_whitespace().all(|one| one.parse() != Ok(gid)))
    }
}

/// Who asks.
pub(super) fn caller(req: &Request, umask: u32) -> Caller {
    Caller { uid: req.uid(), gid: req.gid(), umask }
}

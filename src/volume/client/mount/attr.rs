//! What the volume says of an inode, in the kernel's words, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};

use crate::volume::rpc::Iatt;
use crate::volume::xattr::Time;

/// The time.
pub fn now() -> Time {
    from_system(SystemTime::now())
}

fn from_system(time: SystemTime) -> Time {
    match time.duration_since(UNIX_EPOCH) {
        Ok(d) => Time { sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX), nsec: d.subsec_nanos() },
        Err(before) => {
            let d = before.duration();
            let (sec, nsec) = (i64::try_from(d.as_secs()).unwrap_or(i64::MAX), d.subsec_nanos());
            if nsec == 0 { Time { sec: -sec, nsec } } else { Time { sec: -sec - 1, nsec: 1_000_000_000 - nsec } }
        }
    }
}

fn to_system(time: Time) -> SystemTime {
    let whole = Duration::from_secs(time.sec.unsigned_abs());
    let base = if time.sec < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    base.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(time.nsec.into())
}

/// The time that somebody asks for.
pub fn wished(time: TimeOrNow) -> Time {
    match time {
        TimeOrNow::SpecificTime(time) => from_system(time),
        TimeOrNow::Now => now(),
    }
}

/// Figures as the kernel wants them.
pub fn attr(number: u64, iatt: &Iatt) -> FileAttr {
    let kind = match iatt.kind() {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    };
    FileAttr {
        ino: INodeNo(number),
        size: iatt.size,
        blocks: iatt.blocks,
        atime: to_system(iatt.atime),
        mtime: to_system(iatt.mtime),
        ctime: to_system(iatt.ctime),
        crtime: UNIX_EPOCH,
        kind,
        perm: u16::try_from(iatt.mode & 0o7777).unwrap_or_default(),
        nlink: iatt.nlink,
        uid: iatt.uid,
        gid: iatt.gid,
        rdev: iatt.rdev,
        blksize: 131_072,
        flags: 0,
    }
}

/// Another mount removed what the kernel knows by a name, and the kernel has not heard of it yet: told so (ESTALE), it looks the name up
/// once more by itself, and makes a new file where one may be made.
pub fn stale(errno: i32) -> i32 {
    if errno == libc::ENOENT { libc::ESTALE } else { errno }
}

/// The mode of a file that somebody else than root wrote to or cut, if that takes its set-user-id and set-group-id bits away.
pub fn stripped(iatt: &Iatt) -> Option<u32> {
    let runs_as_group = iatt.mode & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID | libc::S_IXGRP;
    let bits = (iatt.mode & libc::S_ISUID) | if runs_as_group { libc::S_ISGID } else { 0 };
    (iatt.is_file() && bits != 0).then_some(iatt.mode & 0o7777 & !bits)
}

/// Figures of which only the type is known.
pub fn bare(kind: u32) -> FileAttr {
    attr(0, &Iatt { mode: kind, ..Iatt::default() })
}

/// The kind of an entry of a listing.
pub fn kind_of(entry: u8) -> FileType {
    match entry {
        libc::DT_DIR => FileType::Directory,
        libc::DT_LNK => FileType::Symlink,
        libc::DT_FIFO => FileType::NamedPipe,
        libc::DT_SOCK => FileType::Socket,
        libc::DT_CHR => FileType::CharDevice,
        libc::DT_BLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

//! A branch: one member directory of a union, as the few verbs that the union needs of it.
//!
//! The core is written against [`Branch`] alone, so the same decisions run over real directories (the role's
//! `mount::real`) and over a small model in memory ([`super::memory`]) in which a test can make ten thousand unions.
//! A directory is a handle, never a path: whoever holds one keeps reaching the same directory whatever is renamed
//! above it, and no symbolic link can lead out of the branch.
//!
//! Left out: nothing here knows of whiteouts, permissions of branches or merging; a branch is a plain directory.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// An error number of the kernel (positive), as a system call gives it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $value:literal, $words:literal;)*) => {
        impl Errno {
            $(#[doc = $words] pub const $name: Errno = Errno($value);)*
            /// The symbolic name, or `errno`.
            pub fn name(self) -> &'static str {
                match self { $(Errno::$name => stringify!($name),)* _ => "errno" }
            }
            /// What it says, in words.
            pub fn words(self) -> &'static str {
                match self { $(Errno::$name => $words,)* _ => "an error of the system" }
            }
        }
    };
}

errnos! {
    EPERM = 1, "operation not permitted";
    ENOENT = 2, "no such file or directory";
    EIO = 5, "input/output error";
    E2BIG = 7, "argument list too long";
    EBADF = 9, "bad file descriptor";
    EAGAIN = 11, "try again";
    ENOMEM = 12, "out of memory";
    EACCES = 13, "permission denied";
    EBUSY = 16, "busy";
    EEXIST = 17, "file exists";
    EXDEV = 18, "crosses branches";
    ENODEV = 19, "no such device";
    ENOTDIR = 20, "not a directory";
    EISDIR = 21, "is a directory";
    EINVAL = 22, "invalid argument";
    EMFILE = 24, "too many open files";
    ENOTTY = 25, "inappropriate ioctl";
    EFBIG = 27, "file too large";
    ENOSPC = 28, "no space left on the branch";
    EROFS = 30, "read-only: no writable branch at or above";
    EMLINK = 31, "too many links";
    EDOM = 33, "index out of range";
    ERANGE = 34, "result too large";
    ENAMETOOLONG = 36, "file name too long";
    ENOSYS = 38, "not implemented";
    ENOTEMPTY = 39, "directory not empty";
    ENODATA = 61, "no such attribute";
    EOPNOTSUPP = 95, "operation not supported";
    ESTALE = 116, "changed underneath";
    EDQUOT = 122, "quota exceeded";
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.words(), self.name())
    }
}

impl std::error::Error for Errno {}

impl From<&std::io::Error> for Errno {
    fn from(e: &std::io::Error) -> Self {
        Errno(e.raw_os_error().unwrap_or(Errno::EIO.0))
    }
}

impl From<std::io::Error> for Errno {
    fn from(e: std::io::Error) -> Self {
        Errno(e.raw_os_error().unwrap_or(Errno::EIO.0))
    }
}

/// What a union's operations give: a value or an error number.
pub type Result<T> = std::result::Result<T, Errno>;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
}

impl Kind {
    /// From the type bits of a mode (`st_mode`).
    pub fn of_mode(mode: u32) -> Kind {
        match mode & 0o170_000 {
            0o040_000 => Kind::Dir,
            0o120_000 => Kind::Symlink,
            0o010_000 => Kind::Fifo,
            0o140_000 => Kind::Socket,
            0o020_000 => Kind::Char,
            0o060_000 => Kind::Block,
            _ => Kind::File,
        }
    }

    /// The type bits of a mode.
    pub fn bits(self) -> u32 {
        match self {
            Kind::Dir => 0o040_000,
            Kind::Symlink => 0o120_000,
            Kind::Fifo => 0o010_000,
            Kind::Socket => 0o140_000,
            Kind::Char => 0o020_000,
            Kind::Block => 0o060_000,
            Kind::File => 0o100_000,
        }
    }
}

/// A moment: seconds since the epoch, possibly negative, and nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since the epoch.
    pub secs: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanos: u32,
}

/// The identity of an object below: device and inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Device.
    pub dev: u64,
    /// Inode number on it.
    pub ino: u64,
}

/// Attributes, as `stat(2)` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Identity.
    pub key: Key,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-id and sticky bits: 0 to 07777.
    pub mode: u32,
    /// Number of names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    /// Preferred size of I/O.
    pub blksize: u32,
    /// Last access.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of attributes.
    pub ctime: Time,
}

/// One entry of a directory below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name; never `.` or `..`.
    pub name: &'a OsStr,
    /// What it is; `None` where the file system does not say.
    pub kind: Option<Kind>,
    /// Its inode number.
    pub ino: u64,
}

/// What to do with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SetTime {
    /// Leave it (`UTIME_OMIT`).
    #[default]
    Keep,
    /// The present (`UTIME_NOW`).
    Now,
    /// This moment.
    At(Time),
}

/// A change of attributes; what is `None` stays. Carried out in the order owner, mode, size, times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
    /// New permission bits.
    pub mode: Option<u32>,
    /// New size in bytes.
    pub size: Option<u64>,
    /// Access time.
    pub atime: SetTime,
    /// Modification time.
    pub mtime: SetTime,
}

/// Room on a branch's file system (`statvfs(3)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Identity of the file system, so that two branches on one are counted once.
    pub dev: u64,
    /// Size of a block in bytes; the next three count these.
    pub bsize: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub bfree: u64,
    /// Free blocks for ordinary users.
    pub bavail: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub ffree: u64,
    /// Whether the file system is read-only now.
    pub read_only: bool,
}

impl Space {
    /// Free bytes as the policies count them: available blocks times their size.
    pub fn free_bytes(&self) -> u64 {
        self.bavail.saturating_mul(self.bsize)
    }
}

/// How a rename treats the new name (`renameat2(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Replaces it.
    Yes,
    /// Fails with `EEXIST` when it exists.
    No,
    /// The two names change places.
    Exchange,
}

/// What an attribute verb works on.
pub enum At<'a, B: Branch + ?Sized> {
    /// A name in a directory; a symbolic link itself, never what it points to.
    Name(&'a B::Dir, &'a OsStr),
    /// A directory.
    Dir(&'a B::Dir),
    /// An open file.
    File(&'a B::File),
}

impl<B: Branch + ?Sized> Clone for At<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Branch + ?Sized> Copy for At<'_, B> {}

/// One member directory. Names are single components. Errors are those of the system call named like the verb.
pub trait Branch: Send + Sync + 'static {
    /// A held directory.
    type Dir: Clone + Send + Sync + 'static;
    /// An open file.
    type File: Send + Sync + 'static;

    /// The branch's top directory.
    fn root(&self) -> Self::Dir;
    /// Holds the directory `name` in `at`; a symbolic link is `ENOTDIR`.
    fn dir(&self, at: &Self::Dir, name: &OsStr) -> Result<Self::Dir>;
    /// Holds the directory `name` in `at` that was just seen under this identity; what is wrong with it may show when it is used.
    fn known_dir(&self, at: &Self::Dir, name: &OsStr, _key: Key) -> Result<Self::Dir> {
        self.dir(at, name)
    }
    /// The held directory is about to lose its name, for good or until [`Branch::moved`]: it must stay usable.
    fn keep(&self, _dir: &Self::Dir) {}
    /// The held directory is `name` in `parent` from now on.
    fn moved(&self, _dir: &Self::Dir, _parent: &Self::Dir, _name: &OsStr) {}
    /// Attributes.
    fn stat(&self, at: At<'_, Self>) -> Result<Stat>;
    /// Gives all entries but `.` and `..`, in the file system's order.
    fn list(&self, dir: &Self::Dir, each: &mut dyn FnMut(Entry<'_>)) -> Result<()>;
    /// The names of all entries.
    ///
    /// # Errors
    /// As [`Branch::list`].
    fn names(&self, dir: &Self::Dir) -> Result<Vec<OsString>> {
        let mut names = Vec::new();
        self.list(dir, &mut |entry| names.push(entry.name.to_owned()))?;
        Ok(names)
    }
    /// Makes and opens (read and write) a new regular file; `EEXIST` if the name is taken.
    fn create(&self, at: &Self::Dir, name: &OsStr, mode: u32) -> Result<Self::File>;
    /// Makes a directory.
    fn mkdir(&self, at: &Self::Dir, name: &OsStr, mode: u32) -> Result<()>;
    /// Makes a pipe, socket, device or empty regular file.
    fn mknod(&self, at: &Self::Dir, name: &OsStr, kind: Kind, mode: u32, rdev: u64) -> Result<()>;
    /// Makes a symbolic link.
    fn symlink(&self, at: &Self::Dir, name: &OsStr, target: &OsStr) -> Result<()>;
    /// Reads a symbolic link.
    fn readlink(&self, at: &Self::Dir, name: &OsStr) -> Result<OsString>;
    /// Gives an object a second name.
    fn link(&self, from: &Self::Dir, name: &OsStr, to: &Self::Dir, new: &OsStr) -> Result<()>;
    /// Removes a name that is not a directory's.
    fn unlink(&self, at: &Self::Dir, name: &OsStr) -> Result<()>;
    /// Removes an empty directory.
    fn rmdir(&self, at: &Self::Dir, name: &OsStr) -> Result<()>;
    /// Renames.
    fn rename(&self, from: &Self::Dir, name: &OsStr, to: &Self::Dir, new: &OsStr, replace: Replace) -> Result<()>;
    /// Opens a regular file for reading, or for reading and writing.
    fn open(&self, at: &Self::Dir, name: &OsStr, write: bool) -> Result<Self::File>;
    /// Opens the same file for writing too, whether or not it still has a name.
    fn reopen(file: &Self::File) -> Result<Self::File>;
    /// Changes attributes.
    fn change(&self, at: At<'_, Self>, change: &Change) -> Result<()>;
    /// Value of an extended attribute.
    fn xattr(&self, at: At<'_, Self>, name: &OsStr) -> Result<Vec<u8>>;
    /// Names of the extended attributes.
    fn xattrs(&self, at: At<'_, Self>) -> Result<Vec<OsString>>;
    /// Sets an extended attribute; `flags` as `setxattr(2)`: 0, 1 (create), 2 (replace).
    fn set_xattr(&self, at: At<'_, Self>, name: &OsStr, value: &[u8], flags: i32) -> Result<()>;
    /// Removes an extended attribute.
    fn remove_xattr(&self, at: At<'_, Self>, name: &OsStr) -> Result<()>;
    /// Copies the first `size` bytes of `from` into the empty `to`; holes stay holes.
    fn copy(from: &Self::File, to: &Self::File, size: u64) -> Result<()>;
    /// Reads at an offset; short only at the end.
    fn read(file: &Self::File, buffer: &mut [u8], offset: u64) -> Result<usize>;
    /// Writes at an offset, all of it or an error.
    fn write(file: &Self::File, data: &[u8], offset: u64) -> Result<usize>;
    /// Room on the file system.
    fn space(&self) -> Result<Space>;
}

//! What a client and a brick say to each other.
//!
//! A request is a short list of **fops** (file operations) that the brick carries out one after the other and stops at the first
//! that fails: lock, count what is begun, write, all in one round trip. Files are named by gfid, names by their directory's
//! gfid; the only thing that a brick remembers of a connection is its locks, its interest and the files it keeps
//! open beyond their last name, so a connection may be replaced at any time.
//!
//! On the wire each message is an `Envelope` (see `wire`) whose body is: length of the header (u32,
//! big-endian), header (MessagePack of [`Request`] or [`ToClient`]), payload (the bytes written or read, raw). Requests and
//! answers are matched by `id`; a brick answers in any order.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::gfid::Gfid;
use super::xattr::{Kind, Pending, Time};

/// A file name, or a key or value of an attribute: any bytes.
pub type Blob = Bytes;

/// One message from a client: fops to carry out in order, until one fails. At most one of them is a [`Fop::Write`]; its data
/// is the message's payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client; comes back in the answer. 0: no answer is wanted.
    pub id: u64,
    /// What to do.
    pub fops: Vec<Fop>,
}

/// One message from a brick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToClient {
    /// The outcome of a request: one entry a fop, up to and with the first that failed (errno). If one of them is a
    /// [`Reply::Data`], its bytes are the message's payload.
    Answer {
        /// The request's id.
        id: u64,
        /// What each fop gave.
        results: Vec<Result<Reply, i32>>,
    },
    /// Somebody else changed a file that this client has looked at.
    Invalidate {
        /// The file; for a changed name: its directory.
        gfid: Gfid,
        /// The name that came, went or changed.
        name: Option<Blob>,
    },
    /// Somebody else removed the last name of a file that this client has looked at. It is kept, as if this client had
    /// removed it with `keep`: say [`Fop::Close`] when you do not have it open (any more).
    Gone {
        /// The file.
        gfid: Gfid,
    },
    /// A lock of a process that this client was refused may be free now.
    Freed {
        /// The file.
        gfid: Gfid,
    },
    /// Somebody else wants a lock that this client holds. Give it back when you can.
    Contention {
        /// The lock.
        lock: Lock,
    },
    /// Whether files on this brick blame other copies (or are dirty), as of now.
    Blaming(bool),
}

/// Who calls, and how it wants to be seen in `volume status clients`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Unique to the process, the same on all its connections and reconnections.
    pub client: Gfid,
    /// `fuse`, `glustershd`, `rebalance`, `glfsheal`.
    pub process: String,
    /// The path on the brick's server that the client believes it is talking to; another one is refused (ENOENT).
    pub brick: String,
}

/// Which lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lock {
    /// Locks of different domains do not know each other.
    pub domain: Domain,
    /// The file or directory.
    pub gfid: Gfid,
    /// In the entry domain: one name of the directory; `None`: all names at once.
    pub name: Option<Blob>,
}

/// What a lock protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Domain {
    /// Contents and attributes of one inode.
    Inode,
    /// Names in one directory.
    Entry,
    /// The right to heal one inode: keeps healers apart.
    Heal,
}

/// Whoever holds a lock of a process: the number that a client's kernel knows it by.
pub type Owner = u64;

/// How a process holds bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// Not at all: gives them back.
    None,
    /// With others who read.
    Read,
    /// Alone.
    Write,
}

/// A lock of a process (fcntl, flock).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Whose.
    pub owner: Owner,
    /// The process, for those who ask who is in the way.
    pub pid: u32,
    /// How.
    pub hold: Hold,
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

/// Adds to counters on one inode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xattrop {
    /// The inode.
    pub gfid: Gfid,
    /// Key (`trusted.afr.dirty`, `trusted.afr.gv0-client-2`) and what to add.
    pub add: Vec<(String, Pending)>,
    /// The name whose change is counted, remembered under `indices/entry-changes/<gfid>/`.
    pub name: Option<Blob>,
}

/// Something new in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its identity.
    pub gfid: Gfid,
    /// Type and permissions (`S_IFREG | 0o644`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a special file.
    pub rdev: u32,
    /// Target of a symbolic link.
    pub target: Blob,
    /// When it is made.
    pub time: Time,
    /// Attributes that it begins with.
    pub xattrs: Vec<(Blob, Blob)>,
}

/// What to change of an inode; `None`: leave it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    /// Permissions.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last access.
    pub atime: Option<Time>,
    /// Last change of the contents.
    pub mtime: Option<Time>,
    /// Last change of the inode.
    pub ctime: Option<Time>,
}

/// One operation on a brick. Names of GlusterFS's own fops where it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fop {
    /// Who calls. First on every connection. Gives [`Reply::Welcome`].
    Hello(Hello),
    /// Are you there? Gives [`Reply::Done`].
    Ping,
    /// A name in a directory. Gives [`Reply::Inode`]; ENOENT.
    Lookup {
        /// The directory.
        parent: Gfid,
        /// The name.
        name: Blob,
        /// The identity that the file gets if it was put on the brick by hand and has none.
        fresh: Gfid,
    },
    /// After a [`Fop::Lookup`]: the contents of what it found, if that is a file of no more bytes. Gives [`Reply::Data`], else
    /// [`Reply::Done`].
    Content {
        /// How many bytes at most.
        most: u32,
    },
    /// An inode by its gfid. Gives [`Reply::Inode`]; ENOENT.
    Stat {
        /// The inode.
        gfid: Gfid,
    },
    /// The figures of an inode by its gfid. Gives [`Reply::Changed`]; ENOENT.
    Figures {
        /// The inode.
        gfid: Gfid,
    },
    /// The next entries of a directory with their inodes, and with the contents of small files: whoever asks for names one by
    /// one will ask for these. Gives [`Reply::Entries`]; the payload is a piece for each file that came along: its place among
    /// the entries and its length (both u32, big-endian), its contents.
    Ahead {
        /// The directory.
        gfid: Gfid,
        /// The cookie of the last entry seen; 0 at first.
        after: u64,
        /// How many entries at most.
        count: u32,
        /// The largest contents that come along; 0: none.
        most: u32,
    },
    /// The next entries of a directory. Gives [`Reply::Entries`].
    Readdir {
        /// The directory.
        gfid: Gfid,
        /// The cookie of the last entry seen; 0 at first.
        after: u64,
        /// Whether to send each entry's inode too.
        plus: bool,
    },
    /// The target of a symbolic link. Gives [`Reply::Bytes`].
    Readlink {
        /// The link.
        gfid: Gfid,
    },
    /// Gives [`Reply::Data`]; fewer bytes than asked only at the end of the file.
    Read {
        /// The file.
        gfid: Gfid,
        /// Where.
        offset: u64,
        /// How many bytes.
        size: u32,
    },
    /// Writes the payload. Gives [`Reply::Changed`].
    Write {
        /// The file.
        gfid: Gfid,
        /// Where.
        offset: u64,
        /// New mtime and ctime; `None` (heal): leave them.
        time: Option<Time>,
    },
    /// Sets the length. Gives [`Reply::Changed`].
    Truncate {
        /// The file.
        gfid: Gfid,
        /// Its new length.
        size: u64,
        /// New mtime and ctime; `None` (heal): leave them.
        time: Option<Time>,
    },
    /// Sets mode, owner, times. Gives [`Reply::Changed`].
    Setattr {
        /// The inode.
        gfid: Gfid,
        /// What to set.
        change: Change,
    },
    /// `create`, `mkdir`, `mknod`, `symlink`: by the type in `node.mode`. Gives [`Reply::Inode`]; EEXIST.
    Make {
        /// The directory.
        parent: Gfid,
        /// The name.
        name: Blob,
        /// What.
        node: Box<Node>,
    },
    /// Another name for a file. Gives [`Reply::Inode`]; EEXIST. Does nothing if the name is this file already.
    Link {
        /// The file.
        gfid: Gfid,
        /// The directory of the new name.
        parent: Gfid,
        /// The new name.
        name: Blob,
        /// When.
        time: Time,
    },
    /// Removes a name of something that is no directory. Gives [`Reply::Changed`] of the directory.
    Unlink {
        /// The directory.
        parent: Gfid,
        /// The name.
        name: Blob,
        /// The caller has it open: keep the contents until [`Fop::Close`].
        keep: bool,
        /// When.
        time: Time,
    },
    /// Removes an empty directory. Gives [`Reply::Changed`] of the parent; ENOTEMPTY.
    Rmdir {
        /// The parent.
        parent: Gfid,
        /// The name.
        name: Blob,
        /// When.
        time: Time,
    },
    /// Moves a name, over what has the new name. Gives [`Reply::Inode`] of what was moved.
    Rename {
        /// The old directory.
        parent: Gfid,
        /// The old name.
        name: Blob,
        /// The new directory.
        to: Gfid,
        /// The new name.
        newname: Blob,
        /// The caller has the file that is overwritten open.
        keep: bool,
        /// When.
        time: Time,
    },
    /// The value of one attribute. Gives [`Reply::Bytes`]; ENODATA.
    Getxattr {
        /// The inode.
        gfid: Gfid,
        /// The key.
        key: Blob,
    },
    /// All attributes with their values, internal ones too if asked for. Gives [`Reply::Xattrs`].
    Xattrs {
        /// The inode.
        gfid: Gfid,
        /// With the volume's own.
        internal: bool,
    },
    /// Gives [`Reply::Changed`]. `flags` as of setxattr(2).
    Setxattr {
        /// The inode.
        gfid: Gfid,
        /// The key.
        key: Blob,
        /// The value.
        value: Blob,
        /// `XATTR_CREATE`, `XATTR_REPLACE` or 0.
        flags: i32,
    },
    /// Gives [`Reply::Changed`]; ENODATA.
    Removexattr {
        /// The inode.
        gfid: Gfid,
        /// The key.
        key: Blob,
    },
    /// What was written is on the disk when this is answered. Gives [`Reply::Done`].
    Fsync {
        /// The file or directory.
        gfid: Gfid,
        /// Contents alone.
        data: bool,
    },
    /// fallocate(2). Gives [`Reply::Changed`].
    Fallocate {
        /// The file.
        gfid: Gfid,
        /// As of fallocate(2).
        mode: i32,
        /// Where.
        offset: u64,
        /// How much.
        size: u64,
        /// When.
        time: Time,
    },
    /// lseek(2) for data or holes. Gives [`Reply::Number`]; ENXIO.
    Seek {
        /// The file.
        gfid: Gfid,
        /// From where.
        offset: u64,
        /// `SEEK_DATA` or `SEEK_HOLE`.
        whence: i32,
    },
    /// Room on the brick. Gives [`Reply::Room`].
    Statfs,
    /// The caller no longer needs a file that was unlinked with `keep`. Gives [`Reply::Done`].
    Close {
        /// The file.
        gfid: Gfid,
    },
    /// Adds to counters. Gives [`Reply::Counters`]: the sums.
    Xattrop(Xattrop),
    /// Takes a lock. Gives [`Reply::Done`], later if it must wait; EAGAIN if it must not.
    Lock {
        /// Which.
        lock: Lock,
        /// Whether to wait until it is free.
        wait: bool,
    },
    /// Gives a lock back. Gives [`Reply::Done`], also if it was not held.
    Unlock {
        /// Which.
        lock: Lock,
    },
    /// Takes or gives back a lock of a process; never waits. Gives [`Reply::Done`]; EAGAIN, and [`ToClient::Freed`] later.
    Hold {
        /// The file.
        gfid: Gfid,
        /// What.
        held: Held,
    },
    /// Who is in the way of such a lock. Gives [`Reply::Holder`].
    Holder {
        /// The file.
        gfid: Gfid,
        /// What is wished for.
        held: Held,
    },
    /// The gfids in an index. Gives [`Reply::Gfids`].
    Index {
        /// `false`: those that blame somebody; `true`: those that are dirty.
        dirty: bool,
    },
    /// The names of a directory whose change somebody missed. Gives [`Reply::Names`]; ENOENT if that is not known.
    EntryChanges {
        /// The directory.
        gfid: Gfid,
    },
    /// Forgets one of them, or all. Gives [`Reply::Done`].
    EntryChangeDone {
        /// The directory.
        gfid: Gfid,
        /// The name; `None`: all.
        name: Option<Blob>,
    },
    /// A checksum of a part of a file (`rchecksum`). Gives [`Reply::Checksums`], one a block.
    Checksum {
        /// The file.
        gfid: Gfid,
        /// Where.
        offset: u64,
        /// Bytes a block.
        block: u32,
        /// How many blocks at most.
        count: u32,
    },
    /// A path of an inode on this brick, from the volume's root: `/d1/f`. Gives [`Reply::Bytes`]; ENOENT if it has none.
    Path {
        /// The inode.
        gfid: Gfid,
    },
    /// Puts a file that healing must remove out of sight, under `.glusterfs-anonymous-inode-<volume-id>`. Gives [`Reply::Done`].
    Park {
        /// The directory.
        parent: Gfid,
        /// The name.
        name: Blob,
    },
    /// Which gfids exist on this brick, next after one given. Gives [`Reply::Gfids`]. For a full crawl.
    Crawl {
        /// The last one seen; `None` at first.
        after: Option<Gfid>,
    },
}

/// What kind of thing, how large, whose, since when: `struct stat` as the volume tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Iatt {
    /// Type and permissions.
    pub mode: u32,
    /// Names that a user can see (the handle is not counted).
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a special file.
    pub rdev: u32,
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the contents.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
}

impl Iatt {
    /// The type bits of the mode (`S_IFREG`, `S_IFDIR`, …).
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }
}

/// An inode as one brick has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inode {
    /// Who it is.
    pub gfid: Gfid,
    /// What it is.
    pub iatt: Iatt,
    /// Whom this copy accuses: slot name (`gv0-client-2`, or `dirty`) and counters. Zeros are left out.
    pub blame: Vec<(String, Pending)>,
    /// A directory's range of hashes, raw.
    pub dht: Option<Blob>,
    /// The subvolume that has the data, if this is a link-to file.
    pub linkto: Option<String>,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: Blob,
    /// Its place: give the last one as `after` to go on.
    pub cookie: u64,
    /// `DT_REG`, `DT_DIR`, …
    pub kind: u8,
    /// Its inode, if asked for and readable.
    pub inode: Option<Inode>,
}

/// Room on a brick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Room {
    /// Bytes a block.
    pub block: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free ones.
    pub free: u64,
    /// Free ones for everybody.
    pub available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free ones.
    pub files_free: u64,
    /// Which file system it is; equal for bricks that share one.
    pub fsid: u64,
}

/// What a fop gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done.
    Done,
    /// You are known; whether files on this brick blame other copies.
    Welcome {
        /// See [`ToClient::Blaming`].
        blaming: bool,
    },
    /// An inode.
    Inode(Box<Inode>),
    /// The inode after the change.
    Changed(Iatt),
    /// So many bytes were read; they are the message's payload.
    Data(u32),
    /// A value, a target, a path.
    Bytes(Blob),
    /// Keys and values.
    Xattrs(Vec<(Blob, Blob)>),
    /// Entries; none: the end.
    Entries(Vec<Entry>),
    /// The sums.
    Counters(Vec<(String, Pending)>),
    /// Identities.
    Gfids(Vec<Gfid>),
    /// Names.
    Names(Vec<Blob>),
    /// An offset.
    Number(u64),
    /// xxHash64 of each block, and how many bytes it has.
    Checksums(Vec<(u64, u32)>),
    /// Room.
    Room(Room),
    /// A lock that is in the way.
    Holder(Option<Held>),
}

impl Fop {
    /// Its name in GlusterFS's style, for counters and the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "SETVOLUME",
            Self::Ping => "PING",
            Self::Lookup { .. } => "LOOKUP",
            Self::Stat { .. } => "STAT",
            Self::Figures { .. } => "STAT",
            Self::Readdir { plus: true, .. } | Self::Ahead { .. } => "READDIRP",
            Self::Readdir { .. } => "READDIR",
            Self::Readlink { .. } => "READLINK",
            Self::Read { .. } | Self::Content { .. } => "READ",
            Self::Write { .. } => "WRITE",
            Self::Truncate { .. } => "TRUNCATE",
            Self::Setattr { .. } => "SETATTR",
            Self::Make { node, .. } => match node.mode & libc::S_IFMT {
                libc::S_IFDIR => "MKDIR",
                libc::S_IFREG => "CREATE",
                libc::S_IFLNK => "SYMLINK",
                _ => "MKNOD",
            },
            Self::Link { .. } => "LINK",
            Self::Unlink { .. } => "UNLINK",
            Self::Rmdir { .. } => "RMDIR",
            Self::Rename { .. } | Self::Park { .. } => "RENAME",
            Self::Getxattr { .. } | Self::Xattrs { .. } | Self::Path { .. } => "GETXATTR",
            Self::Setxattr { .. } => "SETXATTR",
            Self::Removexattr { .. } => "REMOVEXATTR",
            Self::Fsync { .. } => "FSYNC",
            Self::Fallocate { .. } => "FALLOCATE",
            Self::Seek { .. } => "SEEK",
            Self::Statfs => "STATFS",
            Self::Close { .. } => "RELEASE",
            Self::Xattrop(_) => "XATTROP",
            Self::Lock { lock, .. } | Self::Unlock { lock } if lock.domain == Domain::Entry => "ENTRYLK",
            Self::Lock { .. } | Self::Unlock { .. } => "INODELK",
            Self::Hold { .. } | Self::Holder { .. } => "LK",
            Self::Index { .. } | Self::EntryChanges { .. } | Self::Crawl { .. } => "READDIR",
            Self::EntryChangeDone { .. } => "UNLINK",
            Self::Checksum { .. } => "RCHECKSUM",
        }
    }

    /// Which kind of change it is, if it changes what copies must agree on.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Write { .. } | Self::Truncate { .. } | Self::Fallocate { .. } => Some(Kind::Data),
            Self::Setattr { .. } | Self::Setxattr { .. } | Self::Removexattr { .. } => Some(Kind::Metadata),
            Self::Make { .. } | Self::Link { .. } | Self::Unlink { .. } | Self::Rmdir { .. } | Self::Rename { .. } => {
                Some(Kind::Entry)
            }
            _ => None,
        }
    }
}

impl Reply {
    /// The inode in it, whole or its figures alone.
    pub fn iatt(&self) -> Option<Iatt> {
        match self {
            Self::Inode(inode) => Some(inode.iatt),
            Self::Changed(iatt) => Some(*iatt),
            _ => None,
        }
    }
}

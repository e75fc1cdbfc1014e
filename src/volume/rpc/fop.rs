//! The operations, with what each needs and gives, the name that `profile` counts it by, and what kind of change it is.

use serde::{Deserialize, Serialize};

use super::{Blob, Change, Domain, Held, Hello, Lock, Node, Xattrop};
use crate::volume::gfid::Gfid;
use crate::volume::xattr::{Kind, Time};

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
        /// The identity that the file gets if it was put on the brick by hand and has none; nil: none (ENODATA).
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
    /// The caller heeds what it was told ([`ToClient::Invalidate`]). Gives [`Reply::Done`].
    ///
    /// [`ToClient::Invalidate`]: super::ToClient::Invalidate
    Heard {
        /// The number that came with it.
        number: u64,
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
    /// A file was opened so many times since the last word of it, and so many descriptors are open here now. Gives [`Reply::Done`].
    Opened {
        /// The file.
        gfid: Gfid,
        /// How often it was opened.
        times: u64,
        /// How many descriptors are open.
        now: u64,
    },
    /// Which gfids exist on this brick, next after one given. Gives [`Reply::Gfids`]. For a full crawl.
    Crawl {
        /// The last one seen; `None` at first.
        after: Option<Gfid>,
    },
}

impl Fop {
    /// Whether it changes what programs see in the file system; counters and locks are none of that.
    pub fn changes(&self) -> bool {
        use Fop::{Fallocate, Link, Make, Removexattr, Rename, Rmdir, Setattr, Setxattr, Truncate, Unlink, Write};
        match self {
            Write { .. } | Truncate { .. } | Fallocate { .. } | Setattr { .. } | Removexattr { .. } => true,
            Make { .. } | Link { .. } | Unlink { .. } | Rmdir { .. } | Rename { .. } => true,
            // A mount that finds a directory without its ranges writes them.
            Setxattr { key, .. } => !key.starts_with(b"trusted.glusterfs."),
            _ => false,
        }
    }

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
            Self::Heard { .. } => "HEARD",
            Self::Xattrop(_) => "XATTROP",
            Self::Lock { lock, .. } | Self::Unlock { lock } if lock.domain == Domain::Entry => "ENTRYLK",
            Self::Lock { .. } | Self::Unlock { .. } => "INODELK",
            Self::Hold { .. } | Self::Holder { .. } => "LK",
            Self::Opened { .. } => "OPEN",
            Self::Index { .. } | Self::EntryChanges { .. } | Self::Crawl { .. } => "READDIR",
            Self::EntryChangeDone { .. } => "UNLINK",
            Self::Checksum { .. } => "RCHECKSUM",
        }
    }

    /// Inodes with which the brick has something under way after it, until the lock under which it was done goes back.
    pub fn under_way(&self) -> [Option<Gfid>; 2] {
        match self {
            Self::Write { gfid, .. } | Self::Truncate { gfid, .. } | Self::Fallocate { gfid, .. } => {
                [Some(*gfid), None]
            }
            Self::Xattrop(op) => [Some(op.gfid), None],
            Self::Make { parent, node, .. } => [Some(*parent), Some(node.gfid)],
            Self::Link { parent, .. } | Self::Unlink { parent, .. } | Self::Rmdir { parent, .. } => {
                [Some(*parent), None]
            }
            Self::Rename { parent, to, .. } => [Some(*parent), Some(*to)],
            _ => [None, None],
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

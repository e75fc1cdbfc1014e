//! `.meta` in the kernel's terms: its files have small numbers of their own, and the bricks never hear of it.

use std::ffi::OsStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fuser::{FileAttr, INodeNo};

use super::attr::attr;
use super::fs::Fs;
use crate::volume::client::{dump, meta};
use crate::volume::dump::Section;
use crate::volume::rpc::{Entry, Iatt};
use crate::volume::xattr::Time;
use crate::volume::{options, volfile};

pub use meta::Node;

/// The directory's name in the root of a mount.
const NAME: &str = ".meta";
/// The first number; 1 is the mount's root, and gfids give numbers that are never so small.
const FIRST: u64 = 2;
/// How many numbers there are.
const NUMBERS: u64 = 1 << 16;

/// What does not change while it is mounted, and the paths that the kernel was told of.
#[derive(Debug)]
pub struct Meta {
    point: String,
    graph: String,
    log: String,
    began: Time,
    paths: Mutex<Vec<String>>,
}

impl Meta {
    /// Of the mount at `point`, by a process that began now.
    pub fn new(point: &std::path::Path, machine: &str) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let stamp = crate::volume::manager::format_time(since.as_secs(), since.subsec_micros());
        let log = std::env::var("TERRARIUM_MOUNT_LOG").unwrap_or_default();
        Self {
            point: point.display().to_string(),
            graph: format!("{machine}-{}-{}", std::process::id(), stamp.replacen(' ', "-", 1)),
            log,
            began: super::attr::now(),
            paths: Mutex::default(),
        }
    }

    fn number(&self, path: String) -> INodeNo {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let known = paths.iter().position(|other| *other == path);
        let place = known.unwrap_or_else(|| {
            paths.push(path);
            paths.len() - 1
        });
        INodeNo(FIRST + place as u64)
    }

    /// The path of a number, if it is one of these.
    fn path(&self, ino: INodeNo) -> Option<String> {
        let place = ino.0.checked_sub(FIRST).filter(|place| *place < NUMBERS)?;
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.get(usize::try_from(place).ok()?).cloned()
    }
}

impl Fs {
    fn tree(&self) -> Node {
        let (files, own) = (&self.0.session.files, &self.0.meta);
        let volume = &files.graph().volume;
        let command = std::fs::read("/proc/self/cmdline").unwrap_or_default();
        let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
        meta::tree(&meta::About {
            stack: &volfile::mount(volume, true),
            graph: &own.graph,
            private: &|name| dump::of_translator(files, name),
            fuse: self.0.fuse_section(),
            point: &own.point,
            command: &command,
            uuid: &self.0.session.client().to_string(),
            log: &own.log,
            level: options::value(volume, "diagnostics.client-log-level"),
        })
    }

    /// The node of a number; `None`: the number is none of `.meta`.
    pub(super) fn meta(&self, ino: INodeNo) -> Option<Result<Node, i32>> {
        let path = self.0.meta.path(ino)?;
        Some(meta::at(&self.tree(), &path).cloned().ok_or(libc::ENOENT))
    }

    /// A name of `.meta`, or `.meta` itself; `None`: it is a name of the volume.
    pub(super) fn meta_lookup(&self, parent: INodeNo, name: &OsStr) -> Option<Result<FileAttr, i32>> {
        let path = match self.0.meta.path(parent) {
            Some(path) => format!("{path}/{}", name.to_string_lossy()),
            None if parent == INodeNo(1) && name == NAME => String::new(),
            None => return None,
        };
        let tree = self.tree();
        let node = meta::at(&tree, &path).ok_or(libc::ENOENT);
        Some(node.map(|node| self.meta_attr(self.0.meta.number(path), node)))
    }

    pub(super) fn meta_attr(&self, ino: INodeNo, node: &Node) -> FileAttr {
        let (mode, nlink, size) = match node {
            Node::Dir(_) => (libc::S_IFDIR | 0o555, 2, 0),
            // How much there is turns out when it is read.
            Node::File(_) => (libc::S_IFREG | 0o444, 1, 0),
            Node::Link(to) => (libc::S_IFLNK | 0o777, 1, to.len() as u64),
        };
        let time = self.0.meta.began;
        attr(ino.0, &Iatt { mode, nlink, size, atime: time, mtime: time, ctime: time, ..Iatt::default() })
    }
}

/// The names in a directory of it.
pub fn entries(node: &Node) -> Result<Vec<Entry>, i32> {
    let Node::Dir(entries) = node else { return Err(libc::ENOTDIR) };
    let kind = |node: &Node| match node {
        Node::Dir(_) => libc::DT_DIR,
        Node::File(_) => libc::DT_REG,
        Node::Link(_) => libc::DT_LNK,
    };
    let entry = |(name, node): &(String, Node)| Entry {
        name: Bytes::copy_from_slice(name.as_bytes()),
        cookie: 0,
        kind: kind(node),
        inode: None,
    };
    Ok(entries.iter().map(entry).collect())
}

/// A piece of a file, or where a link leads.
pub fn content(node: &Node, offset: u64, size: u32) -> Result<Bytes, i32> {
    let (Node::File(text) | Node::Link(text)) = node else { return Err(libc::EISDIR) };
    let rest = text.as_bytes().get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
    Ok(Bytes::copy_from_slice(&rest[..rest.len().min(size as usize)]))
}

impl super::Mounted {
    /// What the mount itself tells.
    pub(super) fn fuse_section(&self) -> Section {
        let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
        Section::new("xlator.mount.fuse.priv")
            .with("mount_point", &self.meta.point)
            .with("entry_timeout", seconds(self.ttl.entry))
            .with("attribute_timeout", seconds(self.ttl.attribute))
    }

    /// The same, and how many inodes the kernel knows.
    pub(super) fn sections(&self) -> Vec<Section> {
        let inodes = Section::new("xlator.mount.fuse.itable").with("active_size", self.inodes.all().len());
        vec![self.fuse_section(), inodes.with("lru_size", 0)]
    }
}

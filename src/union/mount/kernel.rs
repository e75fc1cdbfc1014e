//! The kernel's side of a mount: what it remembers, and how it is told to forget.
//!
//! Messages that nobody asked for (`FUSE_NOTIFY_…`) go to the mount's own device. fuser's notifier lacks the one that lets a
//! name be looked up again without throwing it out.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::shared::Shared;
use crate::union::branch::Kind;

/// The kernel's side of the mount, to be told what to forget.
pub struct Kernel {
    device: File,
}

/// `FUSE_NOTIFY_INVAL_INODE` and `FUSE_NOTIFY_INVAL_ENTRY` of `linux/fuse.h`.
const INVAL_INODE: i32 = 2;
const INVAL_ENTRY: i32 = 3;
/// The entry is only made to be looked up again, not thrown out.
const EXPIRE_ONLY: u32 = 1;

impl Kernel {
    /// Over the mount's device.
    pub fn new(device: OwnedFd) -> Self {
        Self { device: File::from(device) }
    }

    /// The device itself.
    pub fn device(&self) -> &File {
        &self.device
    }

    fn notify(&self, code: i32, body: &[&[u8]]) {
        let length = 16 + body.iter().map(|b| b.len()).sum::<usize>();
        let mut message = Vec::with_capacity(length);
        message.extend_from_slice(&(length as u32).to_ne_bytes());
        message.extend_from_slice(&code.to_ne_bytes());
        message.extend_from_slice(&0u64.to_ne_bytes());
        body.iter().for_each(|b| message.extend_from_slice(b));
        // An entry that the kernel does not hold is an error of no interest.
        let _ = (&self.device).write(&message);
    }

    /// The name must be looked up again at its next use.
    pub fn expire(&self, parent: u64, name: &OsStr) {
        self.entry(parent, name, EXPIRE_ONLY);
    }

    /// The name is thrown out, and what hangs on it alone is forgotten.
    pub fn throw_out(&self, parent: u64, name: &OsStr) {
        self.entry(parent, name, 0);
    }

    fn entry(&self, parent: u64, name: &OsStr, flags: u32) {
        let length = name.len() as u32;
        let (parent, length, flags) = (parent.to_ne_bytes(), length.to_ne_bytes(), flags.to_ne_bytes());
        self.notify(INVAL_ENTRY, &[&parent, &length, &flags, name.as_bytes(), b"\0"]);
    }

    /// Cached content of a file between two offsets is thrown out.
    pub fn drop_pages(&self, ino: u64, offset: u64, length: u64) {
        self.notify(INVAL_INODE, &[&ino.to_ne_bytes(), &offset.to_ne_bytes(), &length.to_ne_bytes()]);
    }

    /// Attributes of an object are thrown out. Safe while the kernel waits for our answer about it.
    pub fn forget_attributes(&self, ino: u64) {
        self.notify(INVAL_INODE, &[&ino.to_ne_bytes(), &(-1i64).to_ne_bytes(), &0i64.to_ne_bytes()]);
    }

    /// Attributes and cached content of an object are thrown out.
    pub fn refresh(&self, ino: u64) {
        self.notify(INVAL_INODE, &[&ino.to_ne_bytes(), &0i64.to_ne_bytes(), &0i64.to_ne_bytes()]);
    }
}

/// Every name must be looked up again, every listing read again.
pub fn expire_all(shared: &Shared, kernel: &Kernel) {
    shared.expire_absent(kernel, |_| true);
    for node in shared.union.nodes() {
        let names = node.state.read().unwrap().names.clone();
        names.iter().for_each(|(parent, name)| kernel.expire(parent.ino, name));
        if node.kind == Kind::Dir {
            kernel.refresh(node.ino);
        }
    }
}

/// The device number of the mount, from the mount table: asking the mount itself would need it to answer already.
pub fn device_of(target: &Path) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let of = |line: &str| {
        let mut words = line.split(' ').skip(2);
        let (device, at) = (words.next()?, words.nth(1)?);
        (unescape(at) == target.as_os_str().as_bytes()).then(|| device.to_owned())
    };
    let device = table.lines().rev().find_map(of)?;
    let (major, minor) = device.split_once(':')?;
    Some(libc::makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// Undoes the octal escapes of the mount table.
fn unescape(word: &str) -> Vec<u8> {
    let bytes = word.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let octal = || u8::from_str_radix(word.get(i + 1..i + 4)?, 8).ok();
        match (bytes[i], octal()) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                i += 4;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    out
}

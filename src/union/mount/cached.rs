//! What the kernel caches, corrected on a thread of its own: a page that is being filled is locked until we have answered, so
//! the threads that answer must not wait for it.
//!
//! **Files that are being made** are written straight through (`FOPEN_DIRECT_IO`): the content is copied once less, and the
//! kernel does not ask for `security.capability` before the first write. What others read of such a file, or map, is
//! cached as ever; so when the kernel may hold pages of it ([`Node::paged`]), a write is answered only after the pages that
//! it changed were thrown out.
//!
//! **Opens.** That `open` needs no answer the kernel learns at the first one, and until then it tells of each close. So who
//! has mounted opens a file that is not there ([`learn`]), whose look-up and open [`super::fs`] answers for this once.
//!
//! **Listings.** A read costs the kernel its knowledge of the time of access, so the next `stat` of that object is a
//! request. Where this happened to many objects of one directory the kernel is made to forget the directory's listing:
//! the next reader of the directory gets the attributes along with the names, a few hundred in one request. The same
//! where listed names are looked up one by one, while their reader is still at it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};

use fuser::{FileHandle, FopenFlags, LockOwner, ReplyWrite};

use super::kernel::{Kernel, device_of};
use super::real::RealBranch;
use crate::union::Node;

/// The handle of a file that is written straight through. Any other handle is 0: opens are answered in the kernel.
pub const DIRECT: FileHandle = FileHandle(1);

/// The file that is opened to learn that opens need no answer; a reserved name, so nobody else's.
pub const PROBE: &str = ".wh..wh.open";
/// Its number: no node has it.
pub const PROBE_INO: u64 = u64::MAX - 1;

/// Lets the kernel learn that opens need no answer. An error means that they do, and does not matter.
pub fn learn(target: &Path) {
    let _ = std::fs::File::open(target.join(PROBE));
}

/// How many objects of a directory are asked for singly before its listing is thrown out.
const SINGLY: u32 = 16;

enum Job {
    Refresh(u64),
    Pages { ino: u64, offset: u64, length: u32, reply: ReplyWrite },
}

/// The line to the thread that corrects; the thread ends with the last clone.
#[derive(Clone)]
pub struct Corrections {
    jobs: Sender<Job>,
}

impl Corrections {
    /// Starts the thread.
    pub fn start(kernel: Arc<Kernel>) -> Self {
        let (jobs, todo) = channel();
        let _ = std::thread::Builder::new().name("cached".into()).spawn(move || serve(&todo, &kernel));
        Self { jobs }
    }

    /// What the kernel remembers of an object is thrown out.
    pub fn refresh(&self, ino: u64) {
        let _ = self.jobs.send(Job::Refresh(ino));
    }

    /// An object of this directory was asked for singly, or will have to be.
    pub fn singly(&self, dir: &Node<RealBranch>) {
        let listed = || dir.listing.lock().unwrap().is_some();
        if dir.singly.fetch_add(1, Relaxed) + 1 == SINGLY && listed() {
            let _ = self.jobs.send(Job::Refresh(dir.ino));
        }
    }

    /// As [`Corrections::singly`], for the directory around an object.
    pub fn singly_around(&self, node: &Node<RealBranch>) {
        if let Some((dir, _)) = node.state.read().unwrap().names.first() {
            self.singly(dir);
        }
    }

    /// Answers a write through a handle.
    pub fn written(&self, node: &Node<RealBranch>, handle: FileHandle, offset: u64, size: usize, reply: ReplyWrite) {
        let length = size as u32;
        if handle != DIRECT || !node.paged.load(SeqCst) {
            return reply.written(length);
        }
        let _ = self.jobs.send(Job::Pages { ino: node.ino, offset, length, reply });
    }
}

/// To be called before content is read or written for a request: notes that the kernel will keep pages, unless the request
/// comes from a read or write straight through. Only such a read names the owner of its locks.
pub fn note_pages(node: &Node<RealBranch>, handle: FileHandle, direct_read: Option<LockOwner>, write: bool) {
    let direct = handle == DIRECT && (write || direct_read.is_some());
    if !direct && !node.paged.load(Relaxed) {
        node.paged.store(true, SeqCst);
    }
}

/// The listing of a directory is being read from its beginning.
pub fn listed(dir: &Node<RealBranch>) {
    dir.singly.store(0, Relaxed);
}

/// Handle and flags of a file that was just made.
pub fn made(direct: bool) -> (FileHandle, FopenFlags) {
    let flags = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH;
    if direct { (DIRECT, flags | FopenFlags::FOPEN_DIRECT_IO) } else { (FileHandle(0), flags) }
}

/// How far the kernel reads ahead, in KiB. Measured: a big file is read in less than half the time that 128 KiB takes.
const READ_AHEAD: u32 = 1024;

/// Makes the kernel read further ahead than the 128 KiB that FUSE may ask for. Only the machine's root may say so; for
/// anybody else it stays.
pub fn read_ahead(target: &Path) {
    let Some(device) = device_of(target) else { return };
    let (major, minor) = (libc::major(device), libc::minor(device));
    let _ = std::fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), READ_AHEAD.to_string());
}

fn serve(todo: &Receiver<Job>, kernel: &Kernel) {
    for job in todo {
        match job {
            Job::Refresh(ino) => kernel.refresh(ino),
            Job::Pages { ino, offset, length, reply } => {
                kernel.drop_pages(ino, offset, u64::from(length));
                reply.written(length);
            }
        }
    }
}

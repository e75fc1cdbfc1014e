//! Contents: reading, writing, copying a range of one file into another.
//!
//! What begins with the copy-up of a big file goes on on a thread of its own, so that nobody else waits for it. Who writes
//! without being root takes the set-id bits away; the kernel, which leaves that to us, is told before the answer, as it
//! remembers the mode.

use std::cell::RefCell;
use std::sync::Arc;

use fuser::{FileHandle, INodeNo, LockOwner, ReplyData, ReplyWrite};

use super::attributes::{Writer, fail};
use super::fs::UnionFs;
use super::real::RealBranch;
use super::{cached, io};
use crate::union::Node;
use crate::union::branch::Result;

/// From how many bytes on a copy-up is made on a thread of its own.
const LONG_COPY: u64 = 1 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is to be written where; with `strip` the set-id bits are taken away first, as this writer has it.
pub(super) struct Write<'a> {
    pub fh: FileHandle,
    pub data: &'a [u8],
    pub offset: u64,
    pub strip: Option<Writer>,
}

/// What is to be copied from one file to another, and whether the set-id bits of that are taken away first.
pub(super) struct Range {
    pub from: u64,
    pub to: u64,
    pub length: u64,
    pub strip: Option<Writer>,
}

impl UnionFs {
    /// Whether changing an object begins with the copy-up of a big file.
    pub(super) fn is_long(&self, node: &Arc<Node<RealBranch>>) -> bool {
        self.union().to_copy(node) >= LONG_COPY
    }

    /// Takes the set-id bits of a file away as a write by an ordinary user does.
    pub(super) fn strip(&self, node: &Arc<Node<RealBranch>>, writer: Writer) -> Result<()> {
        if self.union().strip_ids(node, &|gid| writer.is_outside(gid))? {
            self.kernel.forget_attributes(node.ino);
        }
        Ok(())
    }

    /// Answers a read.
    pub(super) fn read_content(
        &self,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(e) => return reply.error(fail(e)),
        };
        cached::note_pages(&node, fh, lock_owner, false);
        if offset == 0 {
            self.corrections.singly_around(&node);
        }
        BUFFER.with_borrow_mut(|buffer| {
            let size = size as usize;
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            match self.union().read(&node, &mut buffer[..size], offset) {
                Ok(got) => reply.data(&buffer[..got]),
                Err(e) => reply.error(fail(e)),
            }
        });
    }

    /// Answers a write.
    pub(super) fn write_content(&self, ino: INodeNo, write: Write<'_>, reply: ReplyWrite) {
        let node = match self.node(ino) {
            Ok(node) => node,
            Err(e) => return reply.error(fail(e)),
        };
        if !self.is_long(&node) {
            return self.write_now(&node, &write, reply);
        }
        let (fs, data) = (self.clone(), write.data.to_vec());
        let Write { fh, offset, strip, .. } = write;
        std::thread::spawn(move || fs.write_now(&node, &Write { fh, data: &data, offset, strip }, reply));
    }

    fn write_now(&self, node: &Arc<Node<RealBranch>>, write: &Write<'_>, reply: ReplyWrite) {
        cached::note_pages(node, write.fh, None, true);
        match self.written(node, write) {
            Ok(size) => self.corrections.written(node, write.fh, write.offset, size, reply),
            Err(e) => reply.error(fail(e)),
        }
    }

    fn written(&self, node: &Arc<Node<RealBranch>>, write: &Write<'_>) -> Result<usize> {
        if let Some(writer) = write.strip {
            self.union().make_writable(node, None)?;
            self.strip(node, writer)?;
        }
        self.union().write(node, write.data, write.offset)
    }

    /// Answers the copying of a range.
    pub(super) fn copy_content(&self, from: INodeNo, to: INodeNo, range: Range, reply: ReplyWrite) {
        let (source, target) = match (self.node(from), self.node(to)) {
            (Ok(source), Ok(target)) => (source, target),
            (Err(e), _) | (_, Err(e)) => return reply.error(fail(e)),
        };
        let (fs, held) = (self.clone(), target.clone());
        self.aside(&target, move || match fs.copied(&source, &held, &range) {
            Ok(size) => reply.written(size),
            Err(e) => reply.error(fail(e)),
        });
    }

    fn copied(&self, source: &Arc<Node<RealBranch>>, target: &Arc<Node<RealBranch>>, range: &Range) -> Result<u32> {
        let to = self.union().opened(target, true)?;
        if let Some(writer) = range.strip {
            self.strip(target, writer)?;
        }
        io::copy_range(&*self.union().opened(source, false)?, range.from, &to, range.to, range.length)
    }
}

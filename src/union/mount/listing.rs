//! Reading a directory: the merged listing as the kernel takes it, with or without attributes.

use std::ffi::OsStr;
use std::time::Duration;

use fuser::{FileAttr, FileType, Generation, INodeNo, ReplyDirectoryPlus};

use super::attributes::{absent, attr, file_type};
use super::cached;
use super::fs::UnionFs;
use super::real::RealBranch;
use super::watch::Of;
use crate::union::Node;
use crate::union::branch::{Kind, Result};
use crate::union::list::FIRST_COOKIE;

/// From how many names on a directory is large: its reader gets the attributes of the first [`SAMPLE`] names at first, if they are
/// files. Who looks at any of them is given those of the further names too, which the kernel asks for then; who wants names alone
/// is not made to wait for what he does not look at, nor for the watcher to watch all of it.
const LARGE: usize = 500;
const SAMPLE: usize = 4;

impl UnionFs {
    /// Reading a directory from its beginning: the directory around it loses the time of access of this one.
    fn begin(&self, dir: &Node<RealBranch>, offset: u64) {
        if offset == 0 {
            cached::listed(dir);
            self.corrections.singly_around(dir);
        }
    }

    /// Fills one reply of a directory: `.` and `..` first, then the listing from the cookie on.
    pub(super) fn fill(
        &self,
        ino: INodeNo,
        offset: u64,
        mut add: impl FnMut(u64, u64, FileType, &OsStr) -> bool,
    ) -> Result<()> {
        let node = self.node(ino)?;
        self.shared.watch(&node, Of::Names);
        self.begin(&node, offset);
        let told = self.shared.is_told();
        let up = node.name().map_or(1, |(parent, _)| parent.ino);
        let dots = [(1, ino.0, "."), (2, up, "..")];
        for (cookie, number, name) in dots {
            if offset < cookie && add(number, cookie, FileType::Directory, OsStr::new(name)) {
                return Ok(());
            }
        }
        let listing = self.union().listing(&node, if offset <= FIRST_COOKIE { 0 } else { offset }, told)?;
        for item in listing.after(offset) {
            let kind = item.kind().map_or(FileType::RegularFile, file_type);
            if add(item.ino, item.cookie, kind, listing.name(item)) {
                break;
            }
        }
        Ok(())
    }

    /// The same with the attributes of each name, which the kernel remembers with it.
    pub(super) fn fill_plus(&self, ino: INodeNo, offset: u64, reply: &mut ReplyDirectoryPlus) -> Result<()> {
        let node = self.node(ino)?;
        self.shared.watch(&node, Of::Names);
        self.begin(&node, offset);
        let ttl = self.shared.ttl();
        let told = self.shared.is_told();
        let up = node.name().map_or(1, |(parent, _)| parent.ino);
        for (cookie, number, name) in [(1, ino.0, "."), (2, up, "..")] {
            let dot = FileAttr { ino: INodeNo(number), kind: FileType::Directory, ..absent() };
            if offset < cookie && reply.add(dot.ino, cookie, name, &Duration::ZERO, &dot, Generation(0)) {
                return Ok(());
            }
        }
        let listing = self.union().listing(&node, if offset <= FIRST_COOKIE { 0 } else { offset }, told)?;
        let sample = offset == 0 && listing.items().len() > LARGE;
        if sample {
            self.shared.awake.stream();
        } else {
            self.shared.watch(&node, Of::Children);
        }
        for item in listing.after(offset).iter().take(if sample { SAMPLE } else { usize::MAX }) {
            if sample {
                let place = node.places().get(item.place()).cloned();
                let Some(place) = place.filter(|_| item.kind() == Some(Kind::File)) else { break };
                if !self.shared.watch_file(&place, listing.name(item)) {
                    break;
                }
            }
            let Ok((child, stat)) = self.union().lookup_listed(&node, &listing, item, told) else { continue };
            if reply.add(
                INodeNo(child.ino),
                item.cookie,
                listing.name(item),
                &ttl,
                &attr(child.ino, &stat),
                Generation(0),
            ) {
                self.union().forget(child.ino, 1);
                break;
            }
        }
        Ok(())
    }
}

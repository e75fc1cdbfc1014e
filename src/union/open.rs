//! The files below that are open.
//!
//! A file is opened at the first read or write and kept open for the next, since nobody tells us when the last one closes it.
//! It is opened for reading until something is written: a file that is held open for writing cannot be executed in its
//! branch. For the same reason one that was written is closed when it rests ([`Union::rest`]). Only [`OPEN_FILES`] stay open;
//! beyond that the least recently opened is closed. An object that has lost its last name stays open until the last one
//! who holds it lets go, as nothing else leads to it.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Union;
use super::branch::{Branch, Key, Result};
use super::lookup::Found;
use super::node::{Node, Opened};

/// How many files below stay open for objects that still have a name.
pub const OPEN_FILES: usize = 256;

impl<B: Branch> Union<B> {
    /// The open file below, for reading or for writing too.
    ///
    /// # Errors
    /// `EROFS`, `ESTALE`, and those of opening.
    pub fn opened(&self, node: &Arc<Node<B>>, write: bool) -> Result<Arc<B::File>> {
        if write {
            self.make_writable(node, None)?;
            node.wrote.store(true, Relaxed);
        }
        let (top, key, held) = {
            let state = node.state.read().unwrap();
            match &state.file {
                Some(opened) if opened.writable || !write => return Ok(opened.file.clone()),
                held => (state.top.clone(), state.key, held.clone()),
            }
        };
        let file = match (self.locate(node), held) {
            (Ok(at), _) => top.branch.open(&at.dir, &at.name, write)?,
            (Err(_), Some(held)) => B::reopen(&held.file)?,
            (Err(e), None) => return Err(e),
        };
        let opened = Opened { file: Arc::new(file), writable: write };
        self.keep(node, key, &opened);
        Ok(opened.file)
    }

    /// Opens it for reading, if it is not open; where it was just found, unless that is not its top copy (a pseudo-link).
    pub(super) fn hold_open(&self, node: &Arc<Node<B>>, found: &Found<B>, dir: &B::Dir, name: &OsStr) -> Result<()> {
        let (open, here) = {
            let state = node.state.read().unwrap();
            (state.file.is_some(), state.key == found.stat.key && state.top.id == found.top.id)
        };
        if open {
            return Ok(());
        }
        if !here {
            return self.opened(node, false).map(drop);
        }
        let file = Arc::new(found.top.branch.open(dir, name, false)?);
        self.keep(node, found.stat.key, &Opened { file, writable: false });
        Ok(())
    }

    fn keep(&self, node: &Arc<Node<B>>, key: Key, opened: &Opened<B>) {
        let mut state = node.state.write().unwrap();
        if state.key == key {
            state.file = Some(opened.clone());
        }
        drop(state);
        self.remember_open(node, opened.writable);
    }

    /// Keeps a file that was just created open.
    pub(super) fn keep_open(&self, node: &Arc<Node<B>>, file: B::File) {
        node.wrote.store(true, Relaxed);
        node.state.write().unwrap().file = Some(Opened { file: Arc::new(file), writable: true });
        self.remember_open(node, true);
    }

    fn remember_open(&self, node: &Arc<Node<B>>, write: bool) {
        let mut recent = self.recent.lock().unwrap();
        recent.push_back(Arc::downgrade(node));
        let oldest = if recent.len() > OPEN_FILES { recent.pop_front() } else { None };
        drop(recent);
        if write {
            self.host.writing();
        }
        if let Some(node) = oldest.and_then(|n| n.upgrade()) {
            close(&node, |_| true);
        }
    }

    /// Closes the files that are open for writing and were not written since the last call; whether any is left.
    pub fn rest(&self) -> bool {
        let nodes: Vec<_> = self.recent.lock().unwrap().iter().filter_map(|node| node.upgrade()).collect();
        let mut left = false;
        for node in nodes {
            let wrote = node.wrote.swap(false, Relaxed);
            if !wrote {
                close(&node, |opened| opened.writable);
            }
            left |= wrote;
        }
        left
    }
}

/// Closes the file of an object that still has a name, if it is such a one.
fn close<B: Branch>(node: &Node<B>, which: impl Fn(&Opened<B>) -> bool) {
    let closed = {
        let mut state = node.state.write().unwrap();
        let named = !state.names.is_empty();
        if named && state.file.as_ref().is_some_and(which) { state.file.take() } else { None }
    };
    drop(closed);
}

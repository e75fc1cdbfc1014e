//! Reading: from one copy that nobody accuses; from the next if that one is lost.

use bytes::Bytes;

use super::Set;
use crate::volume::gfid::Gfid;
use crate::volume::replicate::{Kids, NoCopy};
use crate::volume::rpc::{Blob, Entry, Fop, Reply};

impl Set {
    /// Bytes of a file; fewer than asked only at its end. `choice`: the copy that a person chose in split-brain.
    ///
    /// # Errors
    /// EIO in split-brain, ENOTCONN if no good copy is up, else what the brick says.
    pub fn read(&self, gfid: Gfid, offset: u64, size: u32, choice: Option<usize>) -> Result<Bytes, i32> {
        let readable = match choice {
            Some(kid) => Kids::one(kid),
            None => self.knowing(gfid)?.data.map_err(NoCopy::errno)?,
        };
        let quick = || self.quick().read(gfid, offset, size, self.wire.generation());
        if let Some(part) = quick().filter(|_| choice.is_none()) {
            return Ok(part);
        }
        let (_, data) = self.ask_one(gfid, readable, &Fop::Read { gfid, offset, size })?;
        if offset == 0 && data.len() <= super::quick::SMALL as usize {
            self.quick().missed();
        }
        Ok(data)
    }

    /// What one copy tells.
    ///
    /// # Errors
    /// As of that brick.
    pub fn told_by(&self, copy: usize, fop: &Fop) -> Result<Reply, i32> {
        let (_, answer) = self.wire.ask(Kids::one(copy), std::slice::from_ref(fop)).swap_remove(0);
        answer.last().cloned()
    }

    /// The target of a symbolic link, a value, a position: whatever one good copy can tell.
    ///
    /// # Errors
    /// As of [`Set::read`].
    pub fn tell(&self, gfid: Gfid, fop: &Fop) -> Result<Reply, i32> {
        let known = self.knowing(gfid)?;
        let kids = if matches!(fop, Fop::Seek { .. }) { known.data } else { known.metadata };
        self.ask_one(gfid, kids.map_err(NoCopy::errno)?, fop).map(|(reply, _)| reply)
    }

    /// All entries of a directory: of one copy whose names nobody disputes; if all are disputed, of all copies together.
    ///
    /// # Errors
    /// As of [`Set::read`].
    pub fn readdir(&self, gfid: Gfid, plus: bool) -> Result<Vec<Entry>, i32> {
        let up = self.ready()?;
        let sources = if self.wire.is_blaming() {
            let copies = self.ask_inode(up, &Fop::Stat { gfid });
            let copies: Vec<_> = copies.iter().map(|c| c.as_ref().ok()).collect();
            let blames = crate::volume::replicate::Blames::new(&self.shape, &copies);
            if blames.present().is_empty() {
                return Err(libc::ENOENT);
            }
            blames.sources(crate::volume::xattr::Kind::Entry)
        } else {
            up
        };
        if sources.is_empty() {
            return self.readdir_all(gfid, up, plus);
        }
        let with_data = sources - self.shape.arbiters;
        let mut left = if with_data.is_empty() { sources } else { with_data };
        while let Some(kid) = self.preferred(gfid, left) {
            match self.entries(kid, gfid, plus, usize::MAX) {
                Err(libc::ENOTCONN) => left -= Kids::one(kid),
                other => return other,
            }
        }
        Err(libc::ENOTCONN)
    }

    /// The union of all copies' names.
    fn readdir_all(&self, gfid: Gfid, up: Kids, plus: bool) -> Result<Vec<Entry>, i32> {
        let mut all: Vec<Entry> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for kid in up.iter() {
            let more = self.entries(kid, gfid, plus, usize::MAX)?;
            all.extend(more.into_iter().filter(|e| seen.insert(e.name.clone())));
        }
        Ok(all)
    }

    /// All entries of a directory on one brick; no more are asked for when there are `most`.
    ///
    /// # Errors
    /// As of the brick.
    pub fn entries(&self, kid: usize, gfid: Gfid, plus: bool, most: usize) -> Result<Vec<Entry>, i32> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            if all.len() >= most {
                return Ok(all);
            }
            let after = all.last().map_or(0, |e| e.cookie);
            let answers = self.wire.ask(Kids::one(kid), &[Fop::Readdir { gfid, after, plus }]);
            match answers[0].1.last()? {
                Reply::Entries(more) if more.is_empty() => return Ok(all),
                Reply::Entries(more) => all.extend(more.iter().cloned()),
                _ => return Err(libc::EIO),
            }
        }
    }

    fn ask_one(&self, gfid: Gfid, mut kids: Kids, fop: &Fop) -> Result<(Reply, Bytes), i32> {
        while let Some(kid) = self.preferred(gfid, kids & self.wire.up()) {
            let answer = self.wire.ask(Kids::one(kid), std::slice::from_ref(fop)).swap_remove(0).1;
            match answer.last() {
                Ok(reply) => return Ok((reply.clone(), answer.data)),
                Err(libc::ENOTCONN) => kids -= Kids::one(kid),
                Err(errno) => return Err(errno),
            }
        }
        Err(libc::ENOTCONN)
    }

    /// The value of an attribute, from a good copy.
    ///
    /// # Errors
    /// ENODATA; else as of [`Set::read`].
    pub fn getxattr(&self, gfid: Gfid, key: &Blob) -> Result<Blob, i32> {
        match self.tell(gfid, &Fop::Getxattr { gfid, key: key.clone() })? {
            Reply::Bytes(value) => Ok(value),
            _ => Err(libc::EIO),
        }
    }
}

//! Small files that come with their names.
//!
//! Whoever looks a small file up often reads it next. As long as that turns out to be so, a brick is asked to send the contents along
//! with the answer, and the read costs no round trip of its own (GlusterFS: quick-read). What came is used as long as nobody
//! changed the file (the bricks tell) and no brick came or went, and for [`KEEP`] at most.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::volume::gfid::Gfid;

/// The largest contents that are sent along.
pub const SMALL: u32 = 64 << 10;
/// For how long they are used.
const KEEP: Duration = Duration::from_secs(1);
/// How many bytes are kept in all.
const ROOM: usize = 16 << 20;
/// How many of them come along at once at most, about.
const AT_ONCE: usize = 2 << 20;
/// How sure one can become that names are read next.
const SURE: i32 = 16;

/// Contents that came with names.
#[derive(Debug, Default)]
pub struct Quick {
    kept: HashMap<Gfid, (Bytes, u64, Instant)>,
    bytes: usize,
    /// Above 0: who looks up reads next.
    score: i32,
}

impl Quick {
    /// Whether contents should come along.
    pub fn is_wanted(&self) -> bool {
        self.score > 0
    }

    /// Whether there is room for as much as comes along at once.
    pub fn has_room(&mut self) -> bool {
        if self.bytes + AT_ONCE > ROOM {
            self.kept.retain(|_, (.., since)| since.elapsed() <= KEEP);
            self.bytes = self.kept.values().map(|(content, ..)| content.len()).sum();
        }
        self.bytes + AT_ONCE <= ROOM
    }

    /// Contents came, in a generation of connections.
    pub fn put(&mut self, gfid: Gfid, content: Bytes, generation: u64) {
        self.put_all([(gfid, content)].into_iter(), generation);
    }

    /// Contents of several files came at once.
    pub fn put_all(&mut self, all: impl Iterator<Item = (Gfid, Bytes)>, generation: u64) {
        self.score -= 1;
        all.for_each(|(gfid, content)| self.keep(gfid, content, generation));
    }

    fn keep(&mut self, gfid: Gfid, content: Bytes, generation: u64) {
        self.forget(gfid);
        if self.bytes + content.len() > ROOM {
            self.kept.clear();
            self.bytes = 0;
        }
        self.bytes += content.len();
        self.kept.insert(gfid, (content, generation, Instant::now()));
    }

    /// The part of a file that is asked for, if its contents are here.
    pub fn read(&mut self, gfid: Gfid, offset: u64, size: u32, generation: u64) -> Option<Bytes> {
        let (content, at, since) = self.kept.get(&gfid)?;
        if *at != generation || since.elapsed() > KEEP {
            self.forget(gfid);
            return None;
        }
        let first = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let last = first.saturating_add(size as usize).min(content.len());
        let part = content.slice(first..last);
        self.score = SURE.min(self.score + 2);
        Some(part)
    }

    /// A small file was read whole, and a brick had to be asked.
    pub fn missed(&mut self) {
        self.score = SURE.min(self.score.max(0) + 2);
    }

    /// Somebody changed the file.
    pub fn forget(&mut self, gfid: Gfid) {
        if let Some((content, ..)) = self.kept.remove(&gfid) {
            self.bytes = self.bytes.saturating_sub(content.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contents are asked for as long as they are used, and never used when a brick came or went.
    #[test]
    fn contents_come_along_while_they_are_read() {
        let mut quick = Quick::default();
        assert!(!quick.is_wanted());
        quick.missed();
        quick.put(Gfid::ROOT, Bytes::from_static(b"hello"), 1);
        assert_eq!(quick.read(Gfid::ROOT, 1, 100, 1).as_deref(), Some(&b"ello"[..]));
        assert_eq!(quick.read(Gfid::ROOT, 9, 100, 1).as_deref(), Some(&b""[..]));
        assert_eq!(quick.read(Gfid::ROOT, 0, 100, 2), None);
        (0..40).for_each(|_| quick.put(Gfid::ROOT, Bytes::new(), 2));
        assert!(!quick.is_wanted(), "nobody reads what comes");
    }
}

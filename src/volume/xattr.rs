//! The extended attributes in which a volume keeps its truth on the bricks: names and encodings.
//!
//! Everything that GlusterFS knows about a file beyond what the file system under the brick holds is in attributes of
//! the file itself: who it is (`trusted.gfid`), whose copy is behind (`trusted.afr.…`), which range of hashes a directory
//! holds (`trusted.glusterfs.dht`), its times as the client saw them (`trusted.glusterfs.mdata`). Encodings are big-endian.
//!
//! The names here are the canonical ones. A brick without the right to `trusted.*` stores the same keys under `user.*`.

use serde::{Deserialize, Serialize};

use super::gfid::Gfid;

/// The file's identity, 16 raw bytes.
pub const GFID: &str = "trusted.gfid";
/// The volume's id, 16 raw bytes, on the brick's root.
pub const VOLUME_ID: &str = "trusted.glusterfs.volume-id";
/// Times as the client saw them ([`Mdata`]).
pub const MDATA: &str = "trusted.glusterfs.mdata";
/// A directory's range of hashes on this brick ([`super::layout::Range`]).
pub const DHT: &str = "trusted.glusterfs.dht";
/// On a link-to file: the name of the subvolume that has the data, with a trailing NUL.
pub const LINKTO: &str = "trusted.glusterfs.dht.linkto";
/// On the copy of a directory on the subvolume that its name hashes to.
pub const MDS: &str = "trusted.glusterfs.dht.mds";
/// What is under way or undecided ([`Pending`]).
pub const DIRTY: &str = "trusted.afr.dirty";
/// Every accusation begins so; the accused brick's client name follows.
pub const AFR: &str = "trusted.afr.";
/// One per name of a file that is no directory; 16 hex digits follow.
pub const GFID2PATH: &str = "trusted.gfid2path.";

/// Whether a key belongs to the volume itself, so that neither listing nor changing it is for users of a mount.
pub fn is_internal(key: &[u8]) -> bool {
    let known = |rest: &[u8]| [&b"gfid"[..], b"afr.", b"glusterfs."].iter().any(|p| rest.starts_with(p));
    [&b"trusted."[..], b"user."].iter().any(|space| key.strip_prefix(*space).is_some_and(known))
}

/// The key under which a name of a file is recorded: `trusted.gfid2path.` and the xxhash of `<parent>/<name>`.
/// The value is `<parent>/<name>` itself.
pub fn gfid2path(parent: Gfid, name: &[u8]) -> (String, Vec<u8>) {
    let mut value = format!("{parent}/").into_bytes();
    value.extend_from_slice(name);
    (format!("{GFID2PATH}{:016x}", xxhash_rust::xxh64::xxh64(&value, 0)), value)
}

/// Counters of operations that a copy missed: 3 × u32, big-endian: data, metadata, entry.
///
/// As `trusted.afr.<V>-client-<N>` on one copy it is that copy's accusation of brick N; as `trusted.afr.dirty` it counts what was
/// begun here and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Pending {
    /// Writes, truncations.
    pub data: u32,
    /// Mode, owner, times, attributes.
    pub metadata: u32,
    /// Names in a directory.
    pub entry: u32,
}

/// What kind of change a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Writes, truncations.
    Data,
    /// Mode, owner, times, attributes.
    Metadata,
    /// Names in a directory.
    Entry,
}

impl Pending {
    /// `n` in the counter of `kind`, 0 in the others.
    pub fn of(kind: Kind, n: u32) -> Self {
        let mut pending = Self::default();
        *pending.at(kind) = n;
        pending
    }

    fn at(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Data => &mut self.data,
            Kind::Metadata => &mut self.metadata,
            Kind::Entry => &mut self.entry,
        }
    }

    /// The counter of `kind`.
    pub fn get(mut self, kind: Kind) -> u32 {
        *self.at(kind)
    }

    /// Whether nothing is counted.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// Whether adding it makes some counter larger.
    pub fn is_more(self) -> bool {
        [self.data, self.metadata, self.entry].iter().any(|n| n.cast_signed() > 0)
    }

    /// Counter by counter, wrapping, as the bricks add.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            data: self.data.wrapping_add(other.data),
            metadata: self.metadata.wrapping_add(other.metadata),
            entry: self.entry.wrapping_add(other.entry),
        }
    }

    /// What added to it gives zero.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            data: self.data.wrapping_neg(),
            metadata: self.metadata.wrapping_neg(),
            entry: self.entry.wrapping_neg(),
        }
    }

    /// Twelve bytes, as on disk.
    pub fn encode(self) -> [u8; 12] {
        let mut raw = [0; 12];
        for (place, n) in raw.chunks_exact_mut(4).zip([self.data, self.metadata, self.entry]) {
            place.copy_from_slice(&n.to_be_bytes());
        }
        raw
    }

    /// From the bytes on disk; anything that is not twelve bytes long counts as nothing.
    pub fn decode(raw: &[u8]) -> Self {
        let word = |i: usize| raw.get(i..i + 4).map_or(0, |w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
        if raw.len() == 12 { Self { data: word(0), metadata: word(4), entry: word(8) } } else { Self::default() }
    }
}

/// A point in time: seconds and nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
pub struct Time {
    /// Seconds; may be negative.
    pub sec: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nsec: u32,
}

/// `trusted.glusterfs.mdata`: 0x01, u64 flags, then ctime, mtime, atime as u64 seconds and u64 nanoseconds each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mdata {
    /// Last change of the inode.
    pub ctime: Time,
    /// Last change of the contents.
    pub mtime: Time,
    /// Last access, as far as it is kept.
    pub atime: Time,
}

impl Mdata {
    /// Everything happened at `time`.
    pub fn at(time: Time) -> Self {
        Self { ctime: time, mtime: time, atime: time }
    }

    /// 57 bytes, as on disk.
    pub fn encode(&self) -> [u8; 57] {
        let mut raw = [0; 57];
        raw[0] = 1;
        for (place, t) in raw[9..].chunks_exact_mut(16).zip([self.ctime, self.mtime, self.atime]) {
            place[..8].copy_from_slice(&t.sec.to_be_bytes());
            place[8..].copy_from_slice(&u64::from(t.nsec).to_be_bytes());
        }
        raw
    }

    /// From the bytes on disk; `None` if they are of another version.
    pub fn decode(raw: &[u8]) -> Option<Self> {
        if raw.len() != 57 || raw[0] != 1 {
            return None;
        }
        let word = |i: usize| raw[i..i + 8].try_into().map(i64::from_be_bytes).unwrap_or_default();
        let time = |i: usize| Time { sec: word(i), nsec: u32::try_from(word(i + 8)).unwrap_or_default() };
        Some(Self { ctime: time(9), mtime: time(25), atime: time(41) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters as they were captured on a brick after two batches of writes with one brick away.
    #[test]
    fn counters_are_three_big_endian_words() {
        let raw = [0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0];
        let pending = Pending { data: 2, metadata: 2, entry: 0 };
        assert_eq!((Pending::decode(&raw), pending.encode()), (pending, raw));
        assert!(pending.plus(pending.negated()).is_zero());
        assert!(Pending::decode(b"short").is_zero());
    }

    /// Times survive; the record is as long as on a real brick.
    #[test]
    fn mdata_is_57_bytes() {
        let mdata = Mdata { mtime: Time { sec: 1_700_000_000, nsec: 999_999_999 }, ..Mdata::default() };
        let raw = mdata.encode();
        assert_eq!((raw.len(), raw[0]), (57, 1));
        assert_eq!(Mdata::decode(&raw), Some(mdata));
        assert_eq!(Mdata::decode(&raw[1..]), None);
    }

    /// What a mount hides, in both spellings; what people set themselves stays visible.
    #[test]
    fn the_volumes_own_keys_are_hidden() {
        for key in ["trusted.gfid", "user.gfid", "user.afr.dirty", "user.glusterfs.dht"] {
            assert!(is_internal(key.as_bytes()), "{key}");
        }
        for key in ["user.comment", "security.selinux", "user.after", "trusted.anything"] {
            assert!(!is_internal(key.as_bytes()), "{key}");
        }
    }
}

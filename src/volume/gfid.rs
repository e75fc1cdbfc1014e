//! The identity of a file: sixteen random bytes that are the same on every copy.
//!
//! A name says where a file hangs; the gfid says which file it is. A client chooses it when it creates something, every
//! brick stores it as `trusted.gfid`, and each brick keeps a second way to the file by it: the **handle**
//! `.glusterfs/xx/yy/<gfid>` (`xx`, `yy`: the first two bytes in hex).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A file's identity. Shown in the form of a UUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Gfid(pub [u8; 16]);

impl Gfid {
    /// The root of every volume: `00000000-0000-0000-0000-000000000001`.
    pub const ROOT: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// A fresh identity.
    pub fn random() -> Self {
        Self(*uuid::Uuid::new_v4().as_bytes())
    }

    /// A fresh identity whose handle lies in a given directory.
    pub fn beside(handles: [u8; 2]) -> Self {
        let mut fresh = Self::random();
        [fresh.0[0], fresh.0[1]] = handles;
        fresh
    }

    /// Reads the textual form; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(|u| Self(*u.as_bytes()))
    }

    /// From the raw sixteen bytes of `trusted.gfid`.
    pub fn from_slice(raw: &[u8]) -> Option<Self> {
        raw.try_into().ok().map(Self)
    }

    /// The inode number that a mount shows: the last eight bytes; 1 for the root.
    pub fn ino(self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        match u64::from_be_bytes([a, b, c, d, e, f, g, h]) {
            0 | 1 if self != Self::ROOT => u64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1 << 63,
            ino => ino,
        }
    }

    /// Where its handle lies, relative to the brick's root: `.glusterfs/xx/yy/<gfid>`.
    pub fn handle(self) -> String {
        format!(".glusterfs/{:02x}/{:02x}/{self}", self.0[0], self.0[1])
    }

    /// What a directory's handle points to, given the directory's parent and name: `../../pp/qq/<parent>/<name>`.
    pub fn target(parent: Self, name: &[u8]) -> Vec<u8> {
        let mut target = format!("../../{:02x}/{:02x}/{parent}/", parent.0[0], parent.0[1]).into_bytes();
        target.extend_from_slice(name);
        target
    }

    /// The inverse of [`Gfid::target`]: the parent and name that a directory's handle tells.
    pub fn from_target(target: &[u8]) -> Option<(Self, &[u8])> {
        let rest = target.strip_prefix(b"../../")?.get(6..)?;
        let parent = Self::parse(std::str::from_utf8(rest.get(..36)?).ok()?)?;
        Some((parent, rest.get(37..)?))
    }
}

impl fmt::Display for Gfid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for Gfid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Gfid {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Gfid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("a gfid is 16 bytes, or a UUID in text");
        if d.is_human_readable() {
            return Self::parse(&String::deserialize(d)?).ok_or_else(wrong);
        }
        Self::from_slice(&bytes::Bytes::deserialize(d)?).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The handle of a file, and that of a directory there and back, as GlusterFS writes them on a brick.
    #[test]
    fn handles_are_where_glusterfs_has_them() {
        let gfid = Gfid::parse("a1b2c3d4-0000-4000-8000-00000000beef").unwrap();
        assert_eq!(gfid.handle(), ".glusterfs/a1/b2/a1b2c3d4-0000-4000-8000-00000000beef");
        let target = Gfid::target(Gfid::ROOT, b"d1");
        assert_eq!(target, b"../../00/00/00000000-0000-0000-0000-000000000001/d1");
        assert_eq!(Gfid::from_target(&target), Some((Gfid::ROOT, b"d1".as_slice())));
        assert_eq!(Gfid::from_target(b"../../.."), None, "the root has no parent");
        assert_eq!((Gfid::ROOT.ino(), gfid.ino()), (1, 0x8000_0000_0000_beef));
    }
}

//! Names with a meaning on disk: AUFS's whiteouts and bookkeeping.
//!
//! A file `.wh.NAME` on an upper branch hides `NAME` below; a file `.wh..wh..opq` inside a directory hides everything
//! that lower branches have in it. The same form is used by OCI image layers. All of it begins with [`PREFIX`], and no
//! such name can be seen, made or removed through the union.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::branch::{Errno, Result};

/// Every reserved name begins so.
pub const PREFIX: &[u8] = b".wh.";
/// Bookkeeping names begin so; they hide nothing.
pub const META: &[u8] = b".wh..wh.";
/// Inside a directory: lower directories of the name are not merged.
pub const OPAQUE: &str = ".wh..wh..opq";
/// At the top of a writable branch: the file that whiteouts are hard links of.
pub const BASE: &str = ".wh..wh.aufs";
/// At the top of a writable branch: pseudo-links.
pub const PLINK: &str = ".wh..wh.plnk";
/// At the top of a writable branch: copies of open files that have no name any more.
pub const ORPHAN: &str = ".wh..wh.orph";
/// Longest name through the union: 255 − 4·2 − 1 − 4.
pub const NAME_MAX: usize = 242;

/// Whether a name is reserved.
pub fn is_reserved(name: &OsStr) -> bool {
    name.as_bytes().starts_with(PREFIX)
}

/// Refuses a name that cannot be used through the union.
///
/// # Errors
/// `EPERM` for `.wh.*`, `ENAMETOOLONG` above 242 bytes.
pub fn check(name: &OsStr) -> Result<()> {
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if is_reserved(name) { Err(Errno::EPERM) } else { Ok(()) }
}

/// `.wh.NAME`.
pub fn whiteout(name: &OsStr) -> OsString {
    let mut bytes = Vec::with_capacity(PREFIX.len() + name.len());
    bytes.extend_from_slice(PREFIX);
    bytes.extend_from_slice(name.as_bytes());
    OsString::from_vec(bytes)
}

/// The name that a whiteout hides; `None` if this is no whiteout. Bookkeeping names, `.wh.`, `.wh..` and `.wh...` hide nothing.
pub fn hidden_by(name: &OsStr) -> Option<&OsStr> {
    let bytes = name.as_bytes();
    let hidden = bytes.strip_prefix(PREFIX)?;
    let nothing = bytes.starts_with(META) || hidden.is_empty() || hidden == b"." || hidden == b"..";
    (!nothing).then(|| OsStr::from_bytes(hidden))
}

/// The name of something in progress: `.wh..wh.NAME.XXXX`, four hex digits. At most 255 bytes.
pub fn temporary(name: &OsStr, number: u16) -> OsString {
    let mut bytes = META.to_vec();
    bytes.extend_from_slice(&name.as_bytes()[..name.len().min(NAME_MAX)]);
    bytes.extend_from_slice(format!(".{number:04x}").as_bytes());
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hides(name: &str) -> Option<&str> {
        hidden_by(OsStr::new(name)).map(|n| n.to_str().unwrap())
    }

    #[test]
    fn a_whiteout_hides_one_name_and_bookkeeping_hides_none() {
        assert_eq!(hides(".wh.a"), Some("a"));
        assert_eq!(hides(".wh..a"), Some(".a"), "a hidden file can be whited out");
        for none in ["a", ".wh.", ".wh..", ".wh...", OPAQUE, BASE, PLINK, ORPHAN, ".wh..wh.a.00ff"] {
            assert_eq!(hides(none), None, "{none} hides nothing");
        }
    }

    #[test]
    fn the_longest_name_still_fits_while_it_is_copied() {
        let longest = "x".repeat(NAME_MAX);
        assert_eq!(temporary(OsStr::new(&longest), 0xffff).len(), 255);
        assert_eq!(check(OsStr::new(&longest)), Ok(()));
        assert_eq!(check(OsStr::new(&"x".repeat(NAME_MAX + 1))), Err(Errno::ENAMETOOLONG));
        assert_eq!(check(OsStr::new(".wh.x")), Err(Errno::EPERM));
    }
}

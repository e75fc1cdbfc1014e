//! Access control lists, as far as something new inherits one: what the kernel does for its own file systems (`posix_acl_create`).
//!
//! A list is an extended attribute: version 2, then entries of 8 bytes (tag, permissions, who), all little-endian.

/// The list that a directory hands down.
pub const DEFAULT: &str = "system.posix_acl_default";
/// The same for the system's calls.
pub const HANDED_DOWN: &std::ffi::CStr = c"system.posix_acl_default";
/// The list that decides about access.
pub const ACCESS: &str = "system.posix_acl_access";

const USER_OBJ: u16 = 0x01;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// What something that is made with `mode` in a directory with this default list begins with: its mode, and its list unless the mode
/// says all. `None`: it is no such list.
pub fn inherit(default: &[u8], mode: u32) -> Option<(u32, Option<Vec<u8>>)> {
    let (version, entries) = default.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || entries.len() % 8 != 0 {
        return None;
    }
    let tag = |entry: &[u8]| u16::from_le_bytes([entry[0], entry[1]]);
    let has_mask = entries.chunks(8).any(|entry| tag(entry) == MASK);
    let mut list = default.to_vec();
    let mut rights = mode & !0o777;
    for entry in list[4..].chunks_mut(8) {
        let shift = match tag(entry) {
            USER_OBJ => 6,
            MASK => 3,
            GROUP_OBJ if !has_mask => 3,
            OTHER => 0,
            _ => continue,
        };
        entry[2] &= u8::try_from(mode >> shift & 7).unwrap_or_default();
        rights |= u32::from(entry[2] & 7) << shift;
    }
    let says_all = entries.len() == 3 * 8;
    Some((rights, (!says_all).then_some(list)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let entry = |(tag, perm, who): &(u16, u16, u32)| {
            [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &who.to_le_bytes()].concat()
        };
        [2_u32.to_le_bytes().to_vec(), entries.iter().flat_map(entry).collect()].concat()
    }

    /// The caller's mode takes away, the list grants; with a mask, the group's own entry stays.
    #[test]
    fn what_is_new_inherits() {
        let nobody = u32::MAX;
        let plain = list(&[(USER_OBJ, 7, nobody), (GROUP_OBJ, 5, nobody), (OTHER, 5, nobody)]);
        assert_eq!(inherit(&plain, 0o100_666), Some((0o100_644, None)));
        let rich = |mask, group| {
            list(&[
                (USER_OBJ, 6, nobody),
                (0x02, 7, 1000),
                (GROUP_OBJ, group, nobody),
                (MASK, mask, nobody),
                (OTHER, 0, nobody),
            ])
        };
        assert_eq!(inherit(&rich(7, 7), 0o640), Some((0o640, Some(rich(4, 7)))));
        assert_eq!(inherit(b"nonsense", 0o640), None);
    }
}

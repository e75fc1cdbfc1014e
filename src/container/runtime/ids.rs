//! Which user and group ids a container's user namespace has.
//!
//! The container gets exactly the ids that the world has, each under its own number, so that files mean the same inside
//! and outside: all of them when the world was opened by root, a range or a single one when by an ordinary user.
//! `lxc.idmap` asks for others.

use std::fs;
use std::io::Write;

use super::super::spec::Mapped;
use super::{Doing, Error};

/// The first column and the length of each extent of an id map (`/proc/self/uid_map`), mapped onto themselves.
pub fn identity(map: &str) -> Vec<(u32, u32, u32)> {
    let extents = map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u32>);
        match (fields.next(), fields.next(), fields.next()) {
            (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) => Some((inside, inside, count)),
            _ => None,
        }
    });
    extents.collect()
}

/// Gives the process `pid`, alone in a new user namespace, its ids.
///
/// # Errors
/// When the kernel refuses, with what was asked.
pub fn give(pid: i32, wanted: &[Mapped]) -> Result<(), Error> {
    for (group, name) in [(false, "uid_map"), (true, "gid_map")] {
        let asked: Vec<_> =
            wanted.iter().filter(|m| m.group == group).map(|m| (m.inside, m.outside, m.count)).collect();
        let own = fs::read_to_string(format!("/proc/self/{name}")).doing(|| format!("read /proc/self/{name}"))?;
        let map = if asked.is_empty() { identity(&own) } else { asked };
        let text: String = map.iter().map(|(i, o, n)| format!("{i} {o} {n}\n")).collect();
        write_at_once(&format!("/proc/{pid}/{name}"), &text).doing(|| {
            let asked = text.trim_end().replace('\n', ", ");
            format!("map ids `{asked}` (this world has `{}`)", own.split_whitespace().collect::<Vec<_>>().join(" "))
        })?;
    }
    Ok(())
}

fn write_at_once(path: &str, text: &str) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Whether the group with this id exists in our user namespace.
pub fn has_group(gid: u32) -> bool {
    let map = fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    identity(&map).iter().any(|(first, _, count)| (*first..first.saturating_add(*count)).contains(&gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ordinary user's one id, a range, and root's everything are each mapped onto themselves.
    #[test]
    fn ids_keep_their_numbers() {
        assert_eq!(identity("         0       1001          1\n"), [(0, 0, 1)]);
        assert_eq!(identity("0 1001 1\n1 100000 65536\n"), [(0, 0, 1), (1, 1, 65536)]);
        assert_eq!(identity("0 0 4294967295\n"), [(0, 0, u32::MAX)]);
    }
}

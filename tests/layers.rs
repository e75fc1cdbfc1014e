//! Who may import whom: the table of the design, held against the imports of every file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A room, and the rooms of this crate that it may use besides itself. What stands first fits first.
const ROOMS: &[(&str, &[&str])] = &[
    ("raft/server", &["raft", "world", "sandbox"]),
    ("union/mount", &["union", "world", "sandbox"]),
    ("volume/wire", &["volume", "world"]),
    ("volume/brick", &["volume", "world", "sandbox"]),
    ("volume/manager", &["volume", "world", "sandbox"]),
    ("volume/client", &["volume", "world", "sandbox"]),
    ("container/runtime", &["container", "world", "sandbox"]),
    ("raft", &[]),
    ("union", &[]),
    ("volume", &[]),
    ("container", &[]),
    ("world", &["raft", "union", "volume", "container"]),
    ("sandbox", &["world"]),
    ("keeper", &["sandbox", "world"]),
    ("lab", &["world", "raft"]),
    ("tui", &["world", "lab", "raft", "union", "volume", "container"]),
];

/// What the pure rooms must not name: clock, sockets, disk, threads, chance, the runtime.
const IMPURE: &[&str] = &[
    "std::net",
    "std::fs",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "SystemTime::now",
    "Instant::now",
    "tokio",
    "rand::",
    "nix::",
    "libc::",
    "fuser",
];
const PURE: &[&str] = &["raft", "union", "volume", "container"];
/// The drivers within the pure rooms.
const DRIVERS: &[&str] = &[
    "raft/server",
    "union/mount",
    "volume/wire",
    "volume/brick",
    "volume/manager",
    "volume/client",
    "container/runtime",
];

/// The lines of `source` in room `room` that break the table, as `crate::x` or the impure name.
fn breaches(room: &str, source: &str) -> BTreeSet<String> {
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else { return BTreeSet::new() };
    let own = room.split('/').next().unwrap_or(room);
    let lines = source.lines().map(str::trim_start).take_while(|line| !line.starts_with("#[cfg(test)]"));
    let code: Vec<&str> = lines.filter(|line| !line.starts_with("//")).collect();
    let named = code.iter().flat_map(|line| line.split("crate::").skip(1)).map(|rest| {
        let word = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        word.to_string()
    });
    let rooms: BTreeSet<&str> =
        ROOMS.iter().map(|(name, _)| name.split('/').next().unwrap_or(name)).chain(["cli"]).collect();
    let mut found: BTreeSet<String> = named
        .filter(|word| rooms.contains(word.as_str()) && word != own && !allowed.contains(&word.as_str()))
        .map(|word| format!("crate::{word}"))
        .collect();
    if PURE.contains(&room) {
        let text: String = code.iter().map(|line| format!("{line}\n")).collect();
        found.extend(IMPURE.iter().filter(|name| names(&text, name)).map(|name| (*name).to_string()));
        found.extend(
            DRIVERS
                .iter()
                .filter_map(|driver| driver.strip_prefix(&format!("{room}/")))
                .filter(|driver| {
                    text.contains(&format!("crate::{room}::{driver}")) || text.contains(&format!("super::{driver}::"))
                })
                .map(str::to_string),
        );
    }
    found
}

/// Whether `text` names a path that begins with `name`. A constant (`libc::EIO`) is a number and does nothing.
fn names(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let constant = name == "libc::" && text[at + name.len()..].starts_with(|c: char| c.is_uppercase());
        !before && !constant
    })
}

/// The room that a file below `src` belongs to.
fn room_of(file: &Path) -> &'static str {
    let file = file.to_string_lossy();
    ROOMS.iter().map(|(name, _)| *name).find(|name| file.starts_with(&format!("{name}/"))).unwrap_or("")
}

fn sources(dir: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, into);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            into.push(entry);
        }
    }
}

/// Every file keeps to its room's row of the table.
#[test]
fn imports_go_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 20, "the sources are here");
    let mut wrong = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&src).unwrap();
        let found = breaches(room_of(relative), &fs::read_to_string(file).unwrap());
        wrong.extend(found.into_iter().map(|name| format!("src/{}: {name}", relative.display())));
    }
    assert!(wrong.is_empty(), "against the table of imports:\n{}", wrong.join("\n"));
}

/// A planted import is found: in a core, in a driver, in the screen; and what is allowed is not.
#[test]
fn a_planted_import_is_found() {
    for (room, source, breach) in [
        ("raft", "use crate::world::Event;", Some("crate::world")),
        ("raft", "use std::fs::File;", Some("std::fs")),
        ("raft", "use super::server::disk;", Some("server")),
        ("raft/server", "use crate::lab::Course;", Some("crate::lab")),
        ("tui", "use crate::keeper::Keeper;", Some("crate::keeper")),
        ("lab", "use crate::sandbox::place;", Some("crate::sandbox")),
        ("sandbox", "use crate::raft::Role;", Some("crate::raft")),
        ("raft/server", "use crate::raft::Role;\nuse crate::world::What;\nuse tokio::net::TcpStream;", None),
        ("tui", "use crate::world::World;\nuse crate::lab::Step;", None),
        ("raft", "// see crate::world\nuse serde::Serialize;", None),
    ] {
        let found = breaches(room, source);
        assert_eq!(found.into_iter().next().as_deref(), breach, "{room}: {source}");
    }
}

//! What a union says of itself: the listing that AUFS shows in `/sys/fs/aufs`, and the story of a path.

use serde_json::{Value, json};

use super::attach::open_branch;
use super::check;
use super::shared::RealUnion;
use crate::union::branch::{At, Branch, Errno, Kind};
use crate::union::names;
use crate::union::reshape::option_words;
use crate::world::reporter::Answer;
use crate::world::wire::Ask;

/// Answers a question of the keeper.
///
/// # Errors
/// In words, what can be asked.
pub fn answer(union: &RealUnion, ask: &Ask) -> Answer {
    let Ask::Words(words) = ask else { return Ok(Value::Null) };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["union"] => Ok(listing(union)),
        ["story", path] => story(union, path).map_err(|e| format!("{path}: {e}")),
        ["busy", path] => busy(union, path),
        ["check", path] => {
            check::check(path.as_ref()).map(|found| json!({ "schema": 1, "branch": path, "found": found }))
        }
        _ => Err(format!(
            "a union answers `union`, `story PATH`, `busy BRANCH` and `check BRANCH`, not `{}`",
            words.join(" ")
        )),
    }
}

/// What keeps a branch from being removed: paths of objects in use that live on it alone.
///
/// # Errors
/// If it is no branch of the union.
fn busy(union: &RealUnion, path: &str) -> Answer {
    let found = union.member_at(path, &|path| open_branch(path, None)).map_err(|e| e.why)?;
    let users: Vec<String> = union.users(&found).iter().map(|node| node.path()).collect();
    Ok(json!({ "schema": 1, "branch": found.path, "in_use": users }))
}

/// Gives the last report a moment to leave before the process ends.
pub fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

/// Branches, permissions, free bytes, options and totals.
pub fn listing(union: &RealUnion) -> Value {
    use std::sync::atomic::Ordering::Relaxed;
    let branches = union.branch_infos().into_iter().zip(union.members()).enumerate().map(|(index, (info, member))| {
        json!({
            "index": index,
            "id": member.id,
            "path": info.path,
            "permission": info.permission,
            "free": info.free,
            "total": info.total,
            "held": union.users(&member).len(),
        })
    });
    json!({
        "schema": 1,
        "at": union.at,
        "branches": branches.collect::<Vec<_>>(),
        "options": option_words(&union.settings()),
        "held": union.held(),
        "totals": {
            "lookups": union.totals.lookups.load(Relaxed),
            "copy_ups": union.totals.copy_ups.load(Relaxed),
            "whiteouts": union.totals.whiteouts.load(Relaxed),
        },
    })
}

/// Who serves a path, and what lies on each branch where its directory is: the name, its whiteout, an opaque mark.
///
/// # Errors
/// `ENOENT` if the directory around it does not exist; those of the branches.
pub fn story(union: &RealUnion, path: &str) -> Result<Value, Errno> {
    let path = path.trim_matches('/');
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let dir = union.walk(parent)?;
    let mut served = None;
    let mut copies = Vec::new();
    for place in dir.places().iter() {
        let branch = &place.member.branch;
        let own = if name.is_empty() {
            branch.stat(At::Dir(&place.dir))
        } else {
            branch.stat(At::Name(&place.dir, name.as_ref()))
        };
        let marked = |mark: &std::ffi::OsStr| branch.stat(At::Name(&place.dir, mark)).is_ok();
        let whiteout = !name.is_empty() && marked(&names::whiteout(name.as_ref()));
        let opaque = branch
            .dir(&place.dir, name.as_ref())
            .is_ok_and(|d| branch.stat(At::Name(&d, names::OPAQUE.as_ref())).is_ok());
        copies.push(json!({
            "branch": place.member.index(),
            "path": place.member.path,
            "permission": place.member.permission().to_string(),
            "exists": own.is_ok(),
            "kind": own.as_ref().ok().map(|s| kind_word(s.kind)),
            "size": own.as_ref().ok().map(|s| s.size),
            "whiteout": whiteout,
            "opaque": opaque,
        }));
    }
    if let Ok(node) = union.walk(path) {
        served = Some(node.state.read().unwrap().top.index());
        union.forget(node.ino, 1);
    }
    union.forget(dir.ino, 1);
    Ok(json!({ "schema": 1, "path": format!("/{path}"), "served_by": served, "copies": copies }))
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Symlink => "symbolic link",
        Kind::Fifo => "pipe",
        Kind::Socket => "socket",
        Kind::Char => "character device",
        Kind::Block => "block device",
    }
}

//! Looking a branch over, as `auchk` does: on the directory itself, not through a union.
//!
//! It finds what a union would stumble over or what one that was killed left behind: a name beside its own whiteout, a
//! whiteout that is no regular file, unfinished copies, pseudo-links and orphans nobody leads to any more. Nothing is changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::union::names;

/// One thing found in a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The path within the branch.
    pub path: String,
    /// What it is.
    pub what: What,
}

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A name and its whiteout side by side.
    NameAndWhiteout,
    /// A whiteout or mark that is no regular file.
    BadWhiteout,
    /// Something left under a temporary name.
    Unfinished,
    /// A pseudo-link.
    PseudoLink,
    /// A nameless file's copy.
    Orphan,
}

/// Looks a branch over. Must not be run while a union writes to it.
///
/// # Errors
/// In words: what could not be read.
pub fn check(branch: &Path) -> Result<Vec<Finding>, String> {
    let mut found = Vec::new();
    look(branch, branch, &mut found).map_err(|e| format!("{}: {e}", branch.display()))?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn look(branch: &Path, dir: &Path, found: &mut Vec<Finding>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let kind = entry.file_type()?;
        let mut add = |path: &Path, what| {
            let path = path.strip_prefix(branch).unwrap_or(path).to_string_lossy().into_owned();
            found.push(Finding { path, what });
        };
        if name == names::PLINK || name == names::ORPHAN {
            let what = if name == names::PLINK { What::PseudoLink } else { What::Orphan };
            for left in fs::read_dir(&path)? {
                add(&left?.path(), what);
            }
        } else if let Some(hidden) = names::hidden_by(&name) {
            if !kind.is_file() {
                add(&path, What::BadWhiteout);
            } else if dir.join(hidden).symlink_metadata().is_ok() {
                add(&path, What::NameAndWhiteout);
            }
        } else if is_temporary(&name) {
            add(&path, What::Unfinished);
        } else if kind.is_dir() {
            look(branch, &path, found)?;
        }
    }
    Ok(())
}

/// `.wh..wh.NAME.XXXX`.
fn is_temporary(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    let tail = bytes.len().checked_sub(5).map(|at| &bytes[at..]);
    bytes.starts_with(names::META) && tail.is_some_and(|t| t[0] == b'.' && t[1..].iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_that_was_left_in_disorder_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("d")).unwrap();
        fs::create_dir(at(names::PLINK)).unwrap();
        for file in
            [names::BASE, "f", ".wh.f", ".wh.gone", "d/.wh..wh..opq", "d/.wh..wh.big.00a1", ".wh..wh.plnk/12.34"]
        {
            fs::write(at(file), b"").unwrap();
        }
        fs::create_dir(at("d/.wh.odd")).unwrap();
        let found = check(dir.path()).unwrap();
        let told: Vec<(&str, What)> = found.iter().map(|f| (f.path.as_str(), f.what)).collect();
        let hoped = [
            (".wh..wh.plnk/12.34", What::PseudoLink),
            (".wh.f", What::NameAndWhiteout),
            ("d/.wh..wh.big.00a1", What::Unfinished),
            ("d/.wh.odd", What::BadWhiteout),
        ];
        assert_eq!(told, hoped);
    }
}

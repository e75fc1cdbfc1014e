//! Hooks: programs of the administrator that are run before and after a change of a volume, on each server.
//!
//! They lie in `hooks/1/<change>/pre` and `…/post` of the manager's folder, have names that begin with `S`, and are run in the order of
//! their names with `--volname=gv0` and what else GlusterFS gives them. What they say and how they end changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::op::{Change, Op};

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The changes that have hooks.
const CHANGES: [&str; 8] = ["create", "start", "stop", "delete", "set", "reset", "add-brick", "remove-brick"];

/// Makes the folders for them.
pub fn prepare(state: &Path) {
    for change in CHANGES {
        for when in ["pre", "post"] {
            // Without them there are no hooks.
            let _ = fs::create_dir_all(state.join("hooks/1").join(change).join(when));
        }
    }
}

/// Runs those of a change; `when`: `pre` or `post`.
pub async fn run(state: &Path, op: &Op, when: &str) {
    let Some(change) = name(&op.change) else { return };
    for program in programs(&state.join("hooks/1").join(change).join(when)) {
        let mut command = tokio::process::Command::new(&program);
        command.args(arguments(state, op, change)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.kill_on_drop(true);
        let _ = tokio::time::timeout(PATIENCE, command.status()).await;
    }
}

fn name(change: &Change) -> Option<&'static str> {
    Some(match change {
        Change::Create(_) => "create",
        Change::Start => "start",
        Change::Stop => "stop",
        Change::Delete => "delete",
        Change::Set(_) => "set",
        Change::Reset(_) => "reset",
        Change::AddBrick { .. } => "add-brick",
        Change::RemoveBrick { .. } => "remove-brick",
        _ => return None,
    })
}

fn arguments(state: &Path, op: &Op, change: &str) -> Vec<String> {
    let mut all = vec![format!("--volname={}", op.volume)];
    match &op.change {
        Change::Set(options) => all.extend(options.iter().flat_map(|(k, v)| ["-o".to_owned(), format!("{k}={v}")])),
        Change::Start | Change::AddBrick { .. } => {
            all.extend(["--version=1".to_owned(), format!("--volume-op={change}")]);
            all.push(format!("--gd-workdir={}", state.display()));
        }
        _ => {}
    }
    all
}

fn programs(folder: &Path) -> Vec<PathBuf> {
    let runs = |path: &PathBuf| {
        let named = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"S"));
        named && fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let mut all: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    all.retain(runs);
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only programs whose names begin with S, in the order of their names.
    #[test]
    fn programs_are_those_that_begin_with_s() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let folder = dir.path().join("hooks/1/start/post");
        for (name, mode) in [("S20b", 0o755), ("S10a", 0o755), ("K30c", 0o755), ("S30d", 0o644)] {
            fs::write(folder.join(name), "").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let found = programs(&folder);
        let names: Vec<_> = found.iter().filter_map(|p| p.file_name()?.to_str()).collect();
        assert_eq!(names, ["S10a", "S20b"]);
        let op = Op { volume: "gv0".into(), change: Change::Set(vec![("a.b".into(), "c".into())]), force: false };
        assert_eq!(arguments(dir.path(), &op, "set"), ["--volname=gv0", "-o", "a.b=c"]);
    }
}

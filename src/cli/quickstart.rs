//! What quick starts do besides, and what it comes to in a world: kernel modules are there or brought, repositories are
//! not needed, and an editor is whichever there is.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::sandbox::shims;

/// Modules that homeworks load, which here are in the kernel or brought by the program.
const THERE: &[&str] = &["aufs", "fuse", "overlay", "veth", "bridge", "xt_comment"];

/// `modprobe`: those of [`THERE`] are there; no other can be loaded from inside a world.
pub fn modprobe(args: &[OsString]) -> ExitCode {
    let names: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let wanted = names.iter().filter(|name| !name.starts_with('-'));
    let missing: Vec<&String> = wanted.filter(|name| !THERE.contains(&name.as_str())).collect();
    for name in &missing {
        eprintln!("modprobe: {name}: no module can be loaded from inside a world; it needs none for the homework");
    }
    ExitCode::from(u8::from(!missing.is_empty()))
}

/// `lsmod`: as far as quick starts look.
pub fn lsmod(_: &[OsString]) -> ExitCode {
    super::say("Module                  Size  Used by\n");
    THERE.iter().for_each(|name| super::say(&format!("{name:<22} {:>6}  0\n", 16_384)));
    ExitCode::SUCCESS
}

/// `add-apt-repository`.
pub fn repository(_: &[OsString]) -> ExitCode {
    super::say("Nothing to do: a world has no network and needs no packages.\n");
    ExitCode::SUCCESS
}

/// Editors, in the order in which one stands in for another.
const EDITORS: &[&str] = &["vim", "vi", "nano", "nvim", "emacs", "ed"];

/// `vim`, `vi`, `nano`: the machine's own; where it is missing, `$EDITOR` or another one that there is.
pub fn editor(args: &[OsString]) -> ExitCode {
    let called = super::own_name();
    let chosen = std::env::var_os("EDITOR").filter(|own| !own.is_empty());
    let wanted = std::iter::once(called.clone()).chain(chosen).chain(EDITORS.iter().map(OsString::from));
    let found = wanted.filter_map(|name| real(Path::new(&name)).map(|path| (name, path))).next();
    let Some((name, path)) = found else {
        eprintln!("{}: this machine has no editor; `sed -i` and `cat > FILE` change files too", called.display());
        return ExitCode::from(127);
    };
    if name != called {
        eprintln!("{}: not on this machine; {} stands in", called.display(), name.display());
    }
    let error = Command::new(path).args(args).exec();
    eprintln!("{}: {error}", called.display());
    ExitCode::from(126)
}

/// The program of this name that is not one of ours.
fn real(name: &Path) -> Option<PathBuf> {
    if name.is_absolute() {
        return Some(name.into()).filter(|path: &PathBuf| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&path).filter(|folder| folder != Path::new(shims::BIN));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

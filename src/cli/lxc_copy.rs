//! `lxc-copy`: another container like this one. Source: lxc-copy(1).
//!
//! A plain copy copies the root filesystem; `-s -B overlay` makes a container whose root is a kernel overlay over the first one's, so that
//! both share its bytes; `-R` renames; `-e` starts an overlay copy that is destroyed when it stops.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::lxc::{Asked, Tool, is_name, opt};
use crate::container::config::modern;
use crate::container::runtime::store::Place;
use crate::container::runtime::{Doing, Error, build, client};
use crate::container::spec::{Rootfs, Spec};

static COPY: Tool = Tool {
    name: "lxc-copy",
    usage: "--name=NAME [-P lxcpath] -N newname [-p newpath] [-B backingstorage] [-s] [-R] [-e]",
    about: "lxc-copy copies (or renames) a container",
    options: &[
        opt('N', "newname", Some("NEWNAME"), "NEWNAME for the copy"),
        opt('p', "newpath", Some("NEWPATH"), "NEWPATH for the container to be stored"),
        opt('R', "rename", None, "rename container"),
        opt('s', "snapshot", None, "create snapshot instead of clone"),
        opt('B', "backingstorage", Some("TYPE"), "dir, overlay or aufs"),
        opt('e', "ephemeral", None, "start ephemeral container"),
        opt('F', "foreground", None, "start with current tty attached to /dev/console"),
        opt('d', "daemon", None, "daemonize the container (default)"),
        opt('K', "keepname", None, "keep the hostname of the original container"),
        opt('D', "keepdata", None, "pass together with -e to keep the container when it stops"),
        opt('a', "allow-running", None, "copy a container that is running"),
    ],
    wants_name: true,
};

/// `lxc-copy`.
pub fn copy(args: &[OsString]) -> ExitCode {
    let asked = match COPY.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let ephemeral = asked.has("ephemeral");
    let new = match (asked.value("newname"), ephemeral) {
        (Some(name), _) => name.to_string(),
        (None, true) => unused(&asked),
        (None, false) => return asked.fail("You must provide a NEWNAME for the clone"),
    };
    let path = asked.value("newpath").map_or_else(|| asked.lxcpath(), Into::into);
    let to = Place::new(&path, &new);
    if let Err(error) = check(&asked, &to).and_then(|()| make(&asked, &asked.place(), &to)) {
        return asked.fail(error);
    }
    if ephemeral { start(&asked, &to) } else { ExitCode::SUCCESS }
}

/// A name that no container has yet: NAME_1, NAME_2, …
fn unused(asked: &Asked) -> String {
    let names = (1..).map(|n| format!("{}_{n}", asked.name()));
    names.into_iter().find(|n| !asked.place_of(n).dir().exists()).unwrap_or_default()
}

fn check(asked: &Asked, to: &Place) -> Result<(), Error> {
    let from = asked.place();
    if !from.is_defined() {
        return Err(Error::said(format!("Container is not defined ({} is not there)", from.config_path().display())));
    }
    if !is_name(&to.name) {
        return Err(Error::said(format!("`{}` cannot be a container's name", to.name)));
    }
    if to.dir().exists() {
        return Err(Error::said(format!("{} exists already", to.dir().display())));
    }
    if client::is_running(&from) && !(asked.has("allow-running") || is_snapshot(asked)) {
        return Err(Error::said("it is running: stop it first, or copy with --allow-running"));
    }
    Ok(())
}

fn is_snapshot(asked: &Asked) -> bool {
    asked.has("snapshot")
        || asked.has("ephemeral")
        || matches!(asked.value("backingstorage"), Some("overlay" | "overlayfs" | "aufs"))
}

fn make(asked: &Asked, from: &Place, to: &Place) -> Result<(), Error> {
    match asked.value("backingstorage") {
        None | Some("dir" | "overlay" | "overlayfs" | "aufs") => {}
        Some(other) => {
            return Err(Error::said(format!("there is no backing store `{other}`; there are: dir overlay aufs")));
        }
    }
    let spec = from.spec()?;
    if asked.has("rename") {
        return rename(asked, &spec, from, to);
    }
    fs::create_dir_all(to.dir()).doing(|| format!("make {}", to.dir().display()))?;
    let made = if is_snapshot(asked) { snapshot(asked, &spec, to) } else { clone(&spec, to) };
    let made = made.and_then(|rootfs| write_config(asked, from, to, &rootfs));
    if made.is_err() {
        let _ = fs::remove_dir_all(to.dir());
    }
    made
}

/// A full copy; gives its `lxc.rootfs.path`.
fn clone(spec: &Spec, to: &Place) -> Result<String, Error> {
    let Rootfs::Dir(root) = &spec.rootfs else {
        return Err(Error::said("only a root that is a directory can be copied whole; use -s for an overlay over it"));
    };
    let rootfs = to.dir().join("rootfs");
    build::copy_tree(Path::new(root), &rootfs).doing(|| format!("copy {root} to {}", rootfs.display()))?;
    Ok(format!("dir:{}", rootfs.display()))
}

/// A writable branch over the first one's root; gives its `lxc.rootfs.path`.
fn snapshot(asked: &Asked, spec: &Spec, to: &Place) -> Result<String, Error> {
    let union = asked.value("backingstorage") == Some("aufs");
    let (lower, union) = match &spec.rootfs {
        Rootfs::None => return Err(Error::said("the original has no root filesystem")),
        Rootfs::Dir(path) => (path.clone(), union),
        Rootfs::Overlay { lower, upper } if !union => (format!("{upper}:{}", lower.join(":")), false),
        Rootfs::Overlay { .. } => {
            return Err(Error::said("a union cannot lie over an overlay's branches; use -B overlay"));
        }
        Rootfs::Aufs { lower, upper } => (format!("{upper}:{}", lower.join(":")), true),
    };
    let backend = if union { "aufs" } else { "overlay" };
    let delta = to.dir().join(backend).join("delta");
    fs::create_dir_all(&delta).doing(|| format!("make {}", delta.display()))?;
    Ok(format!("{backend}:{lower}:{}", delta.display()))
}

fn rename(asked: &Asked, spec: &Spec, from: &Place, to: &Place) -> Result<(), Error> {
    fs::rename(from.dir(), to.dir()).doing(|| format!("rename {} to {}", from.dir().display(), to.dir().display()))?;
    let (old, new) = (from.dir().display().to_string(), to.dir().display().to_string());
    let root = match &spec.rootfs {
        Rootfs::None => String::new(),
        Rootfs::Dir(path) => format!("dir:{}", path.replacen(&old, &new, 1)),
        Rootfs::Overlay { lower, upper } => format!("overlay:{}:{}", lower.join(":"), upper.replacen(&old, &new, 1)),
        Rootfs::Aufs { lower, upper } => format!("aufs:{}:{}", lower.join(":"), upper.replacen(&old, &new, 1)),
    };
    write_config(asked, to, to, &root)
}

/// The original's configuration with another root and, unless it is to be kept, another host name.
fn write_config(asked: &Asked, from: &Place, to: &Place, rootfs: &str) -> Result<(), Error> {
    let path = from.config_path();
    let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
    let mut new = renamed(&text, rootfs, (!asked.has("keepname")).then_some(&to.name));
    if asked.has("ephemeral") && !asked.has("keepdata") {
        new += "lxc.ephemeral = 1\n";
    }
    fs::write(to.config_path(), new).doing(|| format!("write {}", to.config_path().display()))
}

pub(super) fn renamed(text: &str, rootfs: &str, hostname: Option<&String>) -> String {
    let line = |line: &str| {
        let key = line.split('=').next().map(|k| modern(k.trim())).unwrap_or_default();
        match (key.as_str(), hostname) {
            ("lxc.rootfs.path", _) if !rootfs.is_empty() => format!("lxc.rootfs.path = {rootfs}\n"),
            ("lxc.uts.name", Some(name)) => format!("lxc.uts.name = {name}\n"),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

fn start(asked: &Asked, to: &Place) -> ExitCode {
    let mut args: Vec<OsString> = vec!["-n".into(), to.name.clone().into(), "-P".into(), to.lxcpath.clone().into()];
    if asked.has("foreground") {
        args.push("-F".into());
    }
    println!(
        "Created {} as {} of {}",
        to.name,
        if asked.has("keepdata") { "copy" } else { "ephemeral copy" },
        asked.name()
    );
    super::lxc_start::start(&args)
}

#[cfg(test)]
mod tests {
    use super::renamed;

    /// Only the two lines change that must; comments and everything else stay as they were written.
    #[test]
    fn a_configuration_with_another_name() {
        let text = "# mine\nlxc.rootfs = /var/lib/lxc/a/rootfs\nlxc.utsname=a\nlxc.mount.entry = /x y none bind 0 0\n";
        let new = renamed(text, "dir:/var/lib/lxc/b/rootfs", Some(&"b".to_string()));
        assert_eq!(
            new,
            "# mine\nlxc.rootfs.path = dir:/var/lib/lxc/b/rootfs\nlxc.uts.name = b\nlxc.mount.entry = /x y none bind 0 0\n"
        );
        assert!(renamed(text, "dir:/b", None).contains("lxc.utsname=a\n"));
    }
}

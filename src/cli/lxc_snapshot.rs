//! `lxc-snapshot`: whole copies of a stopped container, kept in its own folder and put back. Source: lxc-snapshot(1).
//!
//! ```text
//! /var/lib/lxc/NAME/snaps/snap0/{config,rootfs,ts,comment}
//! ```

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::lxc::{Asked, Tool, is_name, opt};
use super::lxc_copy::renamed;
use crate::container::runtime::store::Place;
use crate::container::runtime::{Doing, Error, build, client};
use crate::container::spec::Rootfs;

static SNAPSHOT: Tool = Tool {
    name: "lxc-snapshot",
    usage: "--name=NAME [-c FILE] [-L [-C]] [-d SNAPNAME] [-r SNAPNAME [-N NEWNAME]]",
    about: "lxc-snapshot snapshots a container",
    options: &[
        opt('L', "list", None, "list all snapshots"),
        opt('C', "showcomments", None, "show snapshot comments"),
        opt('c', "comment", Some("FILE"), "add FILE as a comment"),
        opt('r', "restore", Some("NAME"), "restore snapshot NAME, e.g. 'snap0'"),
        opt('N', "newname", Some("NEWNAME"), "NEWNAME for the restored container"),
        opt('d', "destroy", Some("NAME"), "destroy snapshot NAME, or ALL of them"),
        opt('f', "rcfile", Some("FILE"), "Load configuration file FILE"),
    ],
    wants_name: true,
};

/// `lxc-snapshot`.
pub fn snapshot(args: &[OsString]) -> ExitCode {
    let asked = match SNAPSHOT.read(args) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    let done = match (asked.value("restore"), asked.value("destroy")) {
        (Some(snap), _) => restore(&asked, snap),
        (_, Some(snap)) => destroy(&asked, snap),
        _ if asked.has("list") || asked.has("showcomments") => list(&asked),
        _ => take(&asked),
    };
    done.map_or_else(|error| asked.fail(error), |()| ExitCode::SUCCESS)
}

fn snaps(asked: &Asked) -> PathBuf {
    asked.place().dir().join("snaps")
}

/// The folder of a snapshot that there is.
fn snap(asked: &Asked, name: &str) -> Result<PathBuf, Error> {
    let folder = snaps(asked).join(name);
    let there = is_name(name) && folder.join("config").is_file();
    there.then_some(folder).ok_or_else(|| Error::said(format!("there is no snapshot `{name}` (-L lists them)")))
}

/// A container that stands still, with a root that is a directory of its own; gives the root.
fn root_of(place: &Place) -> Result<PathBuf, Error> {
    if client::is_running(place) {
        return Err(Error::said("it is running: stop it first"));
    }
    match place.spec()?.rootfs {
        Rootfs::Dir(path) => Ok(path.into()),
        _ => Err(Error::said("only a root that is a directory can be kept; lxc-copy -s makes a branch over another")),
    }
}

fn take(asked: &Asked) -> Result<(), Error> {
    let place = asked.place();
    let root = root_of(&place)?;
    let all = snaps(asked);
    let to = (0..).map(|n| all.join(format!("snap{n}"))).find(|path| !path.exists()).unwrap_or_default();
    fs::create_dir_all(&to).doing(|| format!("make {}", to.display()))?;
    let copied = copy(asked, &place, &root, &to);
    if copied.is_err() {
        let _ = fs::remove_dir_all(&to);
    }
    copied
}

fn copy(asked: &Asked, place: &Place, root: &Path, to: &Path) -> Result<(), Error> {
    build::copy_tree(root, &to.join("rootfs")).doing(|| format!("copy {} to {}", root.display(), to.display()))?;
    fs::copy(place.config_path(), to.join("config")).doing(|| "copy the config")?;
    let now = chrono_like(std::time::SystemTime::now());
    fs::write(to.join("ts"), now).doing(|| "write the time")?;
    if let Some(comment) = asked.value("comment") {
        fs::copy(comment, to.join("comment")).doing(|| format!("copy the comment {comment}"))?;
    }
    Ok(())
}

/// `2026:11:23 20:15:00`, in universal time, as LXC writes it.
fn chrono_like(time: std::time::SystemTime) -> String {
    let seconds = time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // The civil date of a day number, by the 400-year cycle that begins on a first of March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, era * 400 + year) } else { (month - 9, era * 400 + year + 1) };
    format!("{year}:{month:02}:{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

fn list(asked: &Asked) -> Result<(), Error> {
    let names = fs::read_dir(snaps(asked)).into_iter().flatten().flatten();
    let mut names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    if names.is_empty() {
        super::say("No snapshots\n");
    }
    for name in names {
        let folder = snap(asked, &name)?;
        let time = fs::read_to_string(folder.join("ts")).unwrap_or_default();
        let comment = fs::read_to_string(folder.join("comment")).ok().filter(|_| asked.has("showcomments"));
        super::say(&format!("{name} ({}) {time}\n{}", snaps(asked).display(), comment.unwrap_or_default()));
    }
    Ok(())
}

fn destroy(asked: &Asked, name: &str) -> Result<(), Error> {
    let folder = if name == "ALL" { snaps(asked) } else { snap(asked, name)? };
    fs::remove_dir_all(&folder).doing(|| format!("remove {}", folder.display()))
}

/// Puts a snapshot back in the container's own place, or under a new name.
fn restore(asked: &Asked, name: &str) -> Result<(), Error> {
    let from = snap(asked, name)?;
    let new = asked.value("newname").unwrap_or(asked.name());
    let place = asked.place_of(new);
    if !is_name(new) {
        return Err(Error::said(format!("`{new}` cannot be a container's name")));
    }
    if new == asked.name() {
        let root = root_of(&place)?;
        fs::remove_dir_all(&root).doing(|| format!("remove {}", root.display()))?;
    } else if place.dir().exists() {
        return Err(Error::said(format!("{} exists already", place.dir().display())));
    }
    fs::create_dir_all(place.dir()).doing(|| format!("make {}", place.dir().display()))?;
    let root = place.dir().join("rootfs");
    build::copy_tree(&from.join("rootfs"), &root).doing(|| format!("copy to {}", root.display()))?;
    let text = fs::read_to_string(from.join("config")).doing(|| "read the snapshot's config")?;
    let config = renamed(&text, &format!("dir:{}", root.display()), Some(&place.name));
    fs::write(place.config_path(), config).doing(|| format!("write {}", place.config_path().display()))
}

#[cfg(test)]
mod tests {
    use super::chrono_like;
    use std::time::{Duration, UNIX_EPOCH};

    /// The civil date, leap days and the ends of years among them.
    #[test]
    fn dates() {
        let at = |seconds| chrono_like(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970:01:01 00:00:00");
        assert_eq!(at(951_782_400), "2000:02:29 00:00:00");
        assert_eq!(at(1_767_225_599), "2025:12:31 23:59:59");
        assert_eq!(at(1_790_000_000), "2026:09:21 13:33:20");
    }
}

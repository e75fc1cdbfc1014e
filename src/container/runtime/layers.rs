//! What a container's root is made of, and how much lies in its own writable branch.
//!
//! A kernel overlay's layers are known from the configuration. Of a union that a person mounted the mount itself is asked, over its
//! control socket: one connection, one line of JSON each way. A plain directory has no layers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::spec::Rootfs;

/// Where the unions of a world have their sockets, each named after its mount's device number.
const SOCKETS: &str = "/run/terrarium/union";
/// How long a union may take to answer.
const PATIENCE: Duration = Duration::from_millis(200);

/// The layers of a root, topmost first: `PATH=rw`, `PATH=ro`.
pub fn of(rootfs: &Rootfs) -> Vec<String> {
    match rootfs {
        Rootfs::None => Vec::new(),
        Rootfs::Overlay { lower, upper } | Rootfs::Aufs { lower, upper } => {
            std::iter::once(format!("{upper}=rw")).chain(lower.iter().map(|path| format!("{path}=ro"))).collect()
        }
        Rootfs::Dir(path) => branches(Path::new(path)).unwrap_or_default(),
    }
}

/// The branches of the union mounted at `point`, if there is one.
fn branches(point: &Path) -> Option<Vec<String>> {
    let socket = format!("{SOCKETS}/{:x}.sock", fs::metadata(point).ok()?.dev());
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"\"union\"\n").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    let said: Value = serde_json::from_str(&line).ok()?;
    let branches = said["done"]["branches"].as_array()?.iter();
    branches.map(|b| Some(format!("{}={}", b["path"].as_str()?, b["permission"].as_str()?))).collect()
}

/// The writable one of some layers.
pub fn writable(layers: &[String]) -> Option<&str> {
    layers
        .iter()
        .find_map(|layer| layer.rsplit_once('=').filter(|(_, how)| how.starts_with("rw")).map(|(path, _)| path))
}

/// Looks now and then at how much lies in a branch, and takes at most a hundredth of the time for it.
#[derive(Debug, Default)]
pub struct Gauge {
    next: Option<Instant>,
    told: Option<(u64, u64)>,
}

/// What a look costs at most is this often waited for until the next.
const REST: u32 = 100;
/// The least time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

impl Gauge {
    /// Bytes and names in the branch, when it is time to look and they have changed.
    pub fn changed(&mut self, branch: &str) -> Option<(u64, u64)> {
        let begun = Instant::now();
        if self.next.is_some_and(|next| begun < next) {
            return None;
        }
        let (mut bytes, mut names) = (0, 0);
        count(Path::new(branch), &mut bytes, &mut names);
        self.next = Some(Instant::now() + (begun.elapsed() * REST).max(PAUSE));
        let now = Some((bytes, names));
        (std::mem::replace(&mut self.told, now) != now).then_some((bytes, names))
    }
}

/// Adds up what lies below a folder, the folder itself left out.
fn count(folder: &Path, bytes: &mut u64, names: &mut u64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        *names += 1;
        if meta.is_dir() {
            count(&entry.path(), bytes, names);
        } else {
            *bytes += meta.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The writable branch is found among the layers, attributes or not; a root that is read-only has none.
    #[test]
    fn the_writable_one() {
        let layers = |words: &[&str]| words.iter().map(|w| (*w).to_string()).collect::<Vec<_>>();
        assert_eq!(writable(&layers(&["/w=rw+nolwh", "/b=ro"])), Some("/w"));
        assert_eq!(writable(&layers(&["/b=ro", "/c=rr"])), None);
    }

    /// A change is told once, and not before its time.
    #[test]
    fn a_change_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/f"), "12345").unwrap();
        let path = dir.path().to_str().unwrap();
        let mut gauge = Gauge::default();
        assert_eq!(gauge.changed(path), Some((5, 2)));
        fs::write(dir.path().join("g"), "1").unwrap();
        assert_eq!(gauge.changed(path), None, "not yet");
        gauge.next = None;
        assert_eq!(gauge.changed(path), Some((6, 3)));
        gauge.next = None;
        assert_eq!(gauge.changed(path), None, "nothing new");
    }
}

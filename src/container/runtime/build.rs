//! Root filesystems made, copied and removed.
//!
//! Bytes come by copy (a reflink where the filesystem can), never by a link into the host. Libraries are found where the
//! dynamic loader would find them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::elf;
use super::super::image::{EXTRA, Host, Item, Recipe, TOOLS};
use super::store::Place;
use super::{Doing, Error};
use crate::sandbox::shims;

/// Where programs are looked for.
const PROGRAM_DIRS: &[&str] = &["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];
/// Where libraries are looked for, besides what `/etc/ld.so.conf` names.
const LIBRARY_DIRS: &[&str] = &["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"];

/// Finds out what this machine has for an image.
pub fn host() -> Host {
    let find = |name: &&str| PROGRAM_DIRS.iter().map(|d| format!("{d}/{name}")).find(|p| Path::new(p).is_file());
    let busybox = find(&"busybox").and_then(static_busybox);
    let names = if busybox.is_some() { EXTRA } else { TOOLS };
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let machines = hosts.lines().filter(|l| l.starts_with("10.77.")).fold(String::new(), |all, l| all + l + "\n");
    let own = own_program().map(|p| p.display().to_string());
    let helpers = shims::MOUNT_HELPERS.iter().map(ToString::to_string).collect();
    Host { busybox, tools: names.iter().filter_map(find).collect(), own, helpers, machines }
}

/// Our own program, where it can be bound from.
pub fn own_program() -> Option<PathBuf> {
    std::env::current_exe().ok().filter(|p| p.is_file())
}

fn static_busybox(path: String) -> Option<(String, Vec<String>)> {
    let needs = elf::read(&fs::read(&path).ok()?).ok()?;
    if needs.interpreter.is_some() {
        return None;
    }
    let listed = Command::new(&path).arg("--list-full").output().ok().filter(|o| o.status.success())?;
    let applets = String::from_utf8(listed.stdout).ok()?.lines().map(String::from).collect();
    Some((path, applets))
}

/// Makes what the recipe says below `root`; gives the number of bytes.
///
/// # Errors
/// What could not be made.
pub fn make(recipe: &Recipe, root: &Path) -> Result<u64, Error> {
    let mut maker = Maker { root, folders: library_folders(), carried: BTreeSet::new() };
    fs::create_dir_all(root).doing(|| format!("make {}", root.display()))?;
    for item in &recipe.items {
        maker.item(item).doing(|| format!("make {item:?} in {}", root.display()))?;
    }
    Ok(size(root))
}

struct Maker<'a> {
    root: &'a Path,
    folders: Vec<PathBuf>,
    carried: BTreeSet<PathBuf>,
}

impl Maker<'_> {
    fn item(&mut self, item: &Item) -> io::Result<()> {
        match item {
            Item::Dir(path, mode) => self.dir(path, *mode),
            Item::Text(path, mode, text) => {
                let path = self.inside(path);
                fs::write(&path, text)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
            }
            Item::Link(path, target) => match symlink(target, self.inside(path)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                done => done,
            },
            Item::Copy(from, to) => copy_file(Path::new(from), &self.inside(to)),
            Item::Program(path) => self.carry(Path::new(path)),
            Item::Needs(path) => self.carry_needs(Path::new(path), &fs::read(path)?),
        }
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn dir(&self, path: &str, mode: u32) -> io::Result<()> {
        let path = self.inside(path);
        match fs::DirBuilder::new().mode(mode).create(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
            Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(mode)),
        }
    }

    /// Copies a program or library with everything that it needs, each under its own path.
    fn carry(&mut self, path: &Path) -> io::Result<()> {
        if !self.carried.insert(path.into()) {
            return Ok(());
        }
        let target = self.inside(&path.to_string_lossy());
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        copy_file(path, &target)?;
        self.carry_needs(path, &fs::read(path)?)
    }

    fn carry_needs(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let Ok(needs) = elf::read(bytes) else { return self.carry_interpreter(bytes) };
        for library in &needs.libraries {
            if let Some(found) = self.find(library, &needs, path) {
                self.carry(&found)?;
            }
        }
        needs.interpreter.map_or(Ok(()), |loader| self.carry(Path::new(&loader)))
    }

    /// A script needs what its first line names.
    fn carry_interpreter(&mut self, bytes: &[u8]) -> io::Result<()> {
        let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let Some(line) = line.strip_prefix(b"#!").and_then(|l| std::str::from_utf8(l).ok()) else { return Ok(()) };
        line.split_whitespace().next().map(Path::new).filter(|p| p.exists()).map_or(Ok(()), |p| self.carry(p))
    }

    fn find(&self, library: &str, needs: &elf::Needs, user: &Path) -> Option<PathBuf> {
        let origin = user.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        let own =
            needs.runpath.iter().map(|p| PathBuf::from(p.replace("$ORIGIN", &origin).replace("${ORIGIN}", &origin)));
        let fits = |path: &PathBuf| {
            let read = fs::read(path).ok().and_then(|bytes| elf::read(&bytes).ok());
            read.is_some_and(|n| (n.bits, n.machine) == (needs.bits, needs.machine))
        };
        own.chain(self.folders.iter().cloned()).map(|folder| folder.join(library)).find(fits)
    }
}

/// The folders of `/etc/ld.so.conf` and the usual ones.
fn library_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    files.extend(fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten().flatten().map(|e| e.path()));
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        folders.extend(text.lines().map(str::trim).filter(|l| l.starts_with('/')).map(PathBuf::from));
    }
    folders.extend(LIBRARY_DIRS.iter().map(PathBuf::from));
    folders
}

/// Copies a file's bytes and permission bits; set-user-id bits are kept.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        return Ok(());
    }
    fs::copy(from, to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// Copies a whole tree: files, links, directories, permissions, owners where we may.
///
/// # Errors
/// What could not be copied.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    let kind = meta.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if kind.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if kind.is_file() {
        fs::copy(from, to)?;
    } else {
        let mode = nix::sys::stat::Mode::from_bits_truncate(meta.mode());
        let kind = nix::sys::stat::SFlag::from_bits_truncate(meta.mode());
        let _ = nix::sys::stat::mknod(to, kind, mode, meta.rdev()); // an ordinary user may make fifos and sockets alone
        return Ok(());
    }
    let _ = std::os::unix::fs::lchown(to, Some(meta.uid()), Some(meta.gid()));
    if !kind.is_symlink() {
        fs::set_permissions(to, meta.permissions())?;
    }
    Ok(())
}

/// How many bytes the files below a directory have; a file with several names counts once.
pub fn size(root: &Path) -> u64 {
    fn walk(path: &Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
        let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
        if meta.is_dir() {
            return fs::read_dir(path).into_iter().flatten().flatten().map(|e| walk(&e.path(), seen)).sum();
        }
        if meta.nlink() > 1 && !seen.insert((meta.dev(), meta.ino())) { 0 } else { meta.len() }
    }
    walk(root, &mut BTreeSet::new())
}

/// Removes a container: its root filesystem and its directory. What is mounted below it stays mounted and is an error.
///
/// # Errors
/// What could not be removed.
pub fn destroy(place: &Place) -> Result<(), Error> {
    let dir = place.dir();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let below = mounts.lines().filter_map(|l| l.split(' ').nth(4)).find(|p| Path::new(p).starts_with(&dir));
    if let Some(point) = below {
        return Err(Error::said(format!("{point} is mounted: unmount it first (umount {point})")));
    }
    fs::remove_dir_all(&dir).doing(|| format!("remove {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root filesystem is really made, small and whole, and its shell is a program that can be read.
    #[test]
    fn a_root_filesystem_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("rootfs");
        let recipe = Recipe::of("debian", "c1", &host()).unwrap();
        let bytes = make(&recipe, &root).unwrap();
        assert!(bytes > 100_000, "{bytes}");
        let shell = fs::read(root.join("usr/bin/bash")).or_else(|_| fs::read(root.join("usr/bin/busybox"))).unwrap();
        let needs = elf::read(&shell).unwrap();
        for library in needs.libraries {
            let found = library_folders().into_iter().map(|f| f.join(&library)).find(|p| p.exists()).unwrap();
            assert!(root.join(found.strip_prefix("/").unwrap()).exists(), "{library} was not carried along");
        }
        let sticky = fs::metadata(root.join("tmp")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(sticky, 0o1777);
    }

    /// A copy has everything: links stay links, modes stay modes.
    #[test]
    fn a_tree_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir_all(a.join("d")).unwrap();
        fs::write(a.join("d/f"), "text").unwrap();
        fs::set_permissions(a.join("d/f"), fs::Permissions::from_mode(0o750)).unwrap();
        symlink("/nowhere", a.join("l")).unwrap();
        copy_tree(&a, &b).unwrap();
        assert_eq!(fs::read_to_string(b.join("d/f")).unwrap(), "text");
        assert_eq!(fs::metadata(b.join("d/f")).unwrap().mode() & 0o777, 0o750);
        assert_eq!(fs::read_link(b.join("l")).unwrap(), Path::new("/nowhere"));
        assert_eq!(size(&b), 4 + "/nowhere".len() as u64);
    }
}

//! What a manager looks at and does on its own server's disks: whether a directory may become a brick, and the mark
//! that makes it one (`trusted.glusterfs.volume-id`).
//!
//! Refusals are GlusterFS's words. A mark that may not be `trusted.` (an ordinary user's) is the same key under `user.`.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::protocol::Disk;
use crate::volume::definition::{Brick, Volume};
use crate::volume::xattr::VOLUME_ID;

/// Sees whether a directory may become a brick, and makes it if its last component is missing.
///
/// # Errors
/// Why not.
pub fn stage_new_brick(brick: &Brick, force: bool) -> Result<(), String> {
    let path = Path::new(&brick.path);
    make_directory(brick, path)?;
    if !force {
        let mounts = Mounts::read();
        let name = brick.name();
        if mounts.is_mount_point(path) {
            return Err(format!(
                "The brick {name} is a mount point. Please create a sub-directory under the mount point and use that as the brick directory. Or use 'force' at the end of the command if you want to override this behavior."
            ));
        }
        if mounts.of(path).is_some_and(|m| m.point == Path::new("/")) {
            return Err(format!(
                "The brick {name} is being created in the root partition. It is recommended that you don't use the system's root partition for storage backend. Or use 'force' at the end of the command if you want to override this behavior."
            ));
        }
        if volume_id(path).is_some() {
            return Err(format!("{} is already part of a volume", brick.path));
        }
    }
    let above = path.ancestors().skip(1).find(|dir| volume_id(dir).is_some());
    above.map_or(Ok(()), |_| Err(format!("{} or a prefix of it is already part of a volume", brick.path)))
}

fn make_directory(brick: &Brick, path: &Path) -> Result<(), String> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(_) if path.is_dir() => Ok(()),
        Err(_) if path.exists() => {
            Err(format!("The provided path {} which is already present, is not a directory", brick.path))
        }
        Err(e) => {
            Err(format!("Failed to create brick directory for brick {}. Reason : {} ", brick.name(), errno_text(&e)))
        }
    }
}

/// Sees whether what an option names is there.
///
/// # Errors
/// Why not.
pub fn stage_option(key: &str, value: &str) -> Result<(), String> {
    match key {
        "server.statedump-path" if !Path::new(value).is_dir() => Err(format!("Failed: {value} is not a directory")),
        _ => Ok(()),
    }
}

/// Makes a directory a brick of the volume.
///
/// # Errors
/// As of setxattr(2), in words.
pub fn mark_brick(volume: &Volume, brick: &Brick) -> Result<(), String> {
    let set = |key: &str| set_xattr(Path::new(&brick.path), key, volume.id.as_bytes());
    let outcome = set(VOLUME_ID).or_else(|e| if forbidden(&e) { set(&private(VOLUME_ID)) } else { Err(e) });
    outcome.map_err(|e| {
        format!("Failed to set extended attribute {VOLUME_ID} on {}. Reason : {}", brick.path, errno_text(&e))
    })
}

/// Sees whether a brick of a volume that is to start is there and is the volume's.
///
/// # Errors
/// Why not.
pub fn check_brick(volume: &Volume, brick: &Brick) -> Result<(), String> {
    let path = Path::new(&brick.path);
    if let Err(e) = fs::metadata(path) {
        let (path, name, reason) = (&brick.path, &volume.name, errno_text(&e));
        return Err(format!("Failed to find brick directory {path} for volume {name}. Reason : {reason}"));
    }
    match volume_id(path) {
        Some(id) if id == volume.id => Ok(()),
        Some(id) => Err(format!(
            "Volume id mismatch for brick {}. Expected volume id {}, volume id {id} found",
            brick.name(),
            volume.id
        )),
        None => Err(format!(
            "Failed to get extended attribute {VOLUME_ID} for brick dir {}. Reason : No data available",
            brick.path
        )),
    }
}

/// The volume that a directory is marked as a brick of.
pub fn volume_id(path: &Path) -> Option<Uuid> {
    let bytes = get_xattr(path, VOLUME_ID).or_else(|| get_xattr(path, &private(VOLUME_ID)))?;
    Uuid::from_slice(&bytes).ok()
}

/// How many inodes accuse another copy, according to a brick's index. (What is only begun does not count, as in GlusterFS.)
///
/// # Errors
/// If the index cannot be read.
pub fn heal_count(brick: &Brick) -> io::Result<usize> {
    let entries = match fs::read_dir(Path::new(&brick.path).join(".glusterfs/indices/xattrop")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.parse::<Uuid>().is_ok()).count())
}

/// What `volume status detail` tells of a brick's disk.
pub fn describe(path: &str) -> Option<Disk> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    let mounts = Mounts::read();
    let mount = mounts.of(Path::new(path));
    let text = |of: fn(&Mount) -> &str| mount.map_or("N/A", of).to_owned();
    let block = stat.fragment_size();
    Some(Disk {
        kind: text(|m| &m.kind),
        device: text(|m| &m.device),
        options: text(|m| &m.options),
        block,
        free: stat.blocks_available() * block,
        total: stat.blocks() * block,
        inodes: stat.files(),
        free_inodes: stat.files_free(),
    })
}

struct Mount {
    point: PathBuf,
    device: String,
    kind: String,
    options: String,
}

struct Mounts(Vec<Mount>);

impl Mounts {
    fn read() -> Self {
        Self(fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines().filter_map(Mount::parse).collect())
    }

    /// The mount that a path lies on: the longest point, the last one of equals.
    fn of(&self, path: &Path) -> Option<&Mount> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let over = self.0.iter().filter(|m| path.starts_with(&m.point));
        over.max_by_key(|m| m.point.components().count())
    }

    fn is_mount_point(&self, path: &Path) -> bool {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        self.0.iter().any(|m| m.point == path)
    }
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ').map(|f| f.replace("\\040", " "));
        let (device, point) = (fields.next()?, fields.next()?.into());
        Some(Self { point, device, kind: fields.next()?, options: fields.next()? })
    }
}

/// `trusted.x` → `user.x`.
fn private(key: &str) -> String {
    key.replacen("trusted.", "user.", 1)
}

fn forbidden(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOTSUP))
}

/// What strerror(3) says, without the number that Rust appends.
pub fn errno_text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |n| nix::errno::Errno::from_raw(n).desc().to_owned())
}

fn set_xattr(path: &Path, key: &str, value: &[u8]) -> io::Result<()> {
    let (path, key) = (CString::new(path.as_os_str().as_bytes())?, CString::new(key)?);
    // SAFETY: C strings, and a buffer with its length.
    let outcome = unsafe { libc::setxattr(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get_xattr(path: &Path, key: &str) -> Option<Vec<u8>> {
    let (path, key) = (CString::new(path.as_os_str().as_bytes()).ok()?, CString::new(key).ok()?);
    let mut value = vec![0; 256];
    // SAFETY: C strings, and a buffer with its length.
    let length = unsafe { libc::getxattr(path.as_ptr(), key.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::op::tests::volume;
    use super::*;

    fn brick(path: &Path) -> Brick {
        Brick { path: path.to_string_lossy().into(), ..volume(1, 1).bricks.remove(0) }
    }

    /// The last component is made, a missing parent and a file in the way are refused, in GlusterFS's words.
    #[test]
    fn directories_are_judged_as_gluster_judges_them() {
        let dir = tempfile::tempdir().unwrap();
        let (fine, deep, file) = (dir.path().join("b"), dir.path().join("x/y"), dir.path().join("file"));
        fs::write(&file, "").unwrap();
        assert_eq!(stage_new_brick(&brick(&fine), true), Ok(()));
        assert!(fine.is_dir());
        assert_eq!(
            stage_new_brick(&brick(&deep), true),
            Err(format!(
                "Failed to create brick directory for brick server1:{}. Reason : No such file or directory ",
                deep.display()
            ))
        );
        assert_eq!(
            stage_new_brick(&brick(&file), true),
            Err(format!("The provided path {} which is already present, is not a directory", file.display()))
        );
    }

    /// A brick is known by its mark, and a directory without it does not start.
    #[test]
    fn a_brick_is_known_by_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        let (gv0, b) = (volume(1, 1), brick(dir.path()));
        assert!(check_brick(&gv0, &b).unwrap_err().ends_with("Reason : No data available"));
        mark_brick(&gv0, &b).unwrap();
        assert_eq!(check_brick(&gv0, &b), Ok(()));
        let other = Volume { id: Uuid::from_u128(1), ..gv0 };
        assert!(check_brick(&other, &b).unwrap_err().starts_with("Volume id mismatch"));
    }

    /// Each entry of the index of accusations counts; its base file and what is only begun do not.
    #[test]
    fn accusations_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(heal_count(&brick(dir.path())).unwrap(), 0);
        for (kind, name) in
            [("xattrop", Uuid::from_u128(1)), ("xattrop", Uuid::from_u128(2)), ("dirty", Uuid::from_u128(3))]
        {
            let folder = dir.path().join(".glusterfs/indices").join(kind);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name.to_string()), "").unwrap();
            fs::write(folder.join(format!("{kind}-{name}")), "").unwrap();
        }
        assert_eq!(heal_count(&brick(dir.path())).unwrap(), 2);
    }
}

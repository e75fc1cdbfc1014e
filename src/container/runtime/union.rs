//! A root filesystem that is a union: mounted when its container starts, unmounted when it ends.
//!
//! By mount(8) and umount(8), as a person would: the helper `mount.aufs` is found where the world has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::spec::{Rootfs, Spec};
use super::store::Place;
use super::{Doing, Error};

/// Mounts the container's union at its `rootfs` and makes that its root; gives the mount point if it was mounted now.
///
/// # Errors
/// When it cannot be mounted, with mount's own words.
pub fn mount(place: &Place, spec: &mut Spec) -> Result<Option<PathBuf>, Error> {
    let Rootfs::Aufs { lower, upper } = &spec.rootfs else { return Ok(None) };
    let point = place.dir().join("rootfs");
    fs::create_dir_all(&point).doing(|| format!("make {}", point.display()))?;
    let fresh = !is_mounted(&point);
    if fresh {
        run("mount", &["-t", "aufs", "-o", &branches(lower, upper), "none", &point.to_string_lossy()])?;
    }
    spec.rootfs = Rootfs::Dir(point.display().to_string());
    Ok(fresh.then_some(point))
}

/// The mount option that names the branches, topmost first. What a lower one hides (`.wh.NAME`) is hidden.
fn branches(lower: &[String], upper: &str) -> String {
    let below: String = lower.iter().map(|path| format!(":{path}=ro+wh")).collect();
    format!("br={upper}=rw{below}")
}

/// Unmounts it again.
///
/// # Errors
/// When somebody still uses it.
pub fn unmount(point: &Path) -> Result<(), Error> {
    run("umount", &[&point.to_string_lossy()])
}

/// Whether something is mounted exactly there.
pub fn is_mounted(point: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|l| l.split(' ').nth(4)).any(|p| Path::new(p) == point)
}

fn run(program: &str, args: &[&str]) -> Result<(), Error> {
    let done = Command::new(program).args(args).output().doing(|| format!("run {program}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(Error::said(format!("{program} {}: {}", args.join(" "), said.trim())))
}

#[cfg(test)]
mod tests {
    use super::branches;

    /// The writable branch is on top, the image's layers below it in their order.
    #[test]
    fn the_order_of_branches() {
        assert_eq!(branches(&["/l2".into(), "/l1".into()], "/w"), "br=/w=rw:/l2=ro+wh:/l1=ro+wh");
    }
}

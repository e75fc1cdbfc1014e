//! The private root: the host's directories, read-only, with the lab's own places over them.
//!
//! Built on a small tmpfs in the outer mount namespace. What is where:
//!
//! | path | what |
//! |---|---|
//! | `/bin` `/usr` `/home` `/opt` … | the host's, bound read-only with everything mounted below |
//! | `/etc` `/var` `/usr/sbin` (and `/sbin`; for `run` by root, `/root`) | the host's under a layer of our own (overlayfs on the tmpfs): writable, forgotten at the end |
//! | `/var/lib/lxc` `/var/lib/glusterd` `/data` `/mnt` `/srv` (else `/root`) | the world's, kept in its folder |
//! | `/tmp` `/run` `/dev` `/dev/shm` | fresh and private |
//! | `/proc` | of the world's own pid namespace |
//! | `/sys/fs/cgroup/…` | for root: the world's own control groups (see [`cgroup`]) |
//! | the working folder | the host's, writable, at its own path |
//!
//! Where the kernel refuses overlayfs in a user namespace, the layer is a folder of symbolic links to the host's entries
//! instead: the same to read, and new names can still be made.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use super::{Error, Result, While, cgroup, is_host_root, machines, own_exe, place::Place, shims};

/// What a root is made of.
#[derive(Debug)]
pub struct Root {
    /// The world's folder.
    pub place: Place,
    /// The host's folder that stays writable, at its own path.
    pub work: Option<PathBuf>,
}

/// Host directories that get a layer of our own.
const LAYERED: &[&str] = &["etc", "var"];
/// Folders that are the world's own in a layer from the start: a host directory whose owner is not mapped could not be
/// written to later.
const OURS: &[&str] = &["var/lib/lxc", "var/lib/glusterd", "var/log/glusterfs", "var/tmp", "var/cache", "var/spool"];
/// Top-level names that are made anew and not taken from the host.
const OWN: &[&str] = &["proc", "dev", "tmp", "run", "data", "mnt", "srv", "root", "lost+found"];
/// Device nodes taken from the host.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty", "fuse"];
/// Those that only the machine's root can use (see [`super::awake`]).
const ROOTS_DEVICES: &[&str] = &["cpu_dma_latency"];
/// Folders of the world's place and where they are seen.
const KEPT: &[(&str, &str)] =
    &[("lxc", "var/lib/lxc"), ("glusterd", "var/lib/glusterd"), ("data", "data"), ("mnt", "mnt"), ("srv", "srv")];

impl Root {
    /// Builds the root and makes it this process's own: afterwards the host's tree is out of reach. The process must
    /// be in a mount namespace of its own and be pid 1 of a pid namespace.
    ///
    /// # Errors
    /// With the path whose mount failed.
    pub fn enter(&self) -> Result<()> {
        let root = self.place.dir.join("root");
        mount_at(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
        tmpfs(&root, "mode=755,size=25%")?;
        self.host_directories(&root)?;
        self.own_places(&root)?;
        devices(&root)?;
        self.tools(&root)?;
        self.work_folder(&root)?;
        self.own_groups(&root)?;
        chdir(&root).when(|| "entering the private root")?;
        pivot_root(".", ".").when(|| "making the private root the root")?;
        umount2(".", MntFlags::MNT_DETACH).when(|| "leaving the host's root")?;
        chdir("/").when(|| "entering the private root")
    }

    fn host_directories(&self, root: &Path) -> Result<()> {
        for entry in fs::read_dir("/").when(|| "reading /")?.filter_map(std::result::Result::ok) {
            let (name, from) = (entry.file_name(), entry.path());
            let (Some(word), Ok(kind)) = (name.to_str(), entry.file_type()) else { continue };
            let to = root.join(&name);
            if OWN.contains(&word) {
                continue;
            } else if kind.is_symlink() {
                let target = fs::read_link(&from).when(|| format!("reading {}", from.display()))?;
                symlink(target, &to).when(|| format!("linking /{word}"))?;
            } else if kind.is_dir() && LAYERED.contains(&word) {
                layer(root, &from)?;
            } else if kind.is_dir() {
                bind_read_only(&from, &to)?;
            }
        }
        let seen_twice = root.join(root.strip_prefix("/").unwrap_or(root));
        let _ = umount2(&seen_twice, MntFlags::MNT_DETACH);
        let sbins = ["/usr/sbin", "/sbin"].map(Path::new);
        for sbin in sbins.into_iter().filter(|dir| dir.is_dir() && !is_below_link(dir)) {
            layer(root, sbin)?;
        }
        Ok(())
    }

    fn own_places(&self, root: &Path) -> Result<()> {
        let folder = |name: &str, mode: u32| make_dir(&root.join(name), mode);
        for (name, mode) in
            [("proc", 0o555), ("data", 0o755), ("mnt", 0o755), ("srv", 0o755), ("tmp", 0o1777), ("run", 0o755)]
        {
            folder(name, mode)?;
        }
        tmpfs(&root.join("tmp"), "mode=1777")?;
        tmpfs(&root.join("run"), "mode=755")?;
        for sub in ["run/lock", "run/terrarium", "run/terrarium/bin", "run/terrarium/world", "run/gluster"] {
            folder(sub, 0o755)?;
        }
        for (kept, seen) in KEPT {
            bind(&self.place.dir.join("disk").join(kept), &root.join(seen))?;
        }
        let world = root.join("run/terrarium/world");
        mount(Some(&self.place.dir), &world, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .when(|| "binding the world's folder")?;
        symlink("world/keeper.sock", root.join("run/terrarium/keeper.sock")).when(|| "linking the keeper's socket")?;
        if self.work.is_some() && fs::read_dir("/root").is_ok() {
            layer(root, Path::new("/root"))?;
        } else {
            folder("root", 0o700)?;
            bind(&self.place.dir.join("disk/home"), &root.join("root"))?;
        }
        put(root, "etc/hosts", &machines::hosts_file())?;
        put(root, "etc/hostname", &format!("{}\n", machines::HOME_MACHINE))?;
        put(root, "etc/fstab", "# <file system> <mount point> <type> <options> <dump> <pass>\n")?;
        mount_at(Some("proc"), &root.join("proc"), Some("proc"), nosuid_nodev_noexec(), None)
    }

    fn tools(&self, root: &Path) -> Result<()> {
        let bin = root.join(shims::BIN.trim_start_matches('/'));
        let own = bin.join("terrarium");
        fs::write(&own, "").when(|| "making the place of this program")?;
        bind_read_only(&own_exe()?, &own)?;
        let link = |path: PathBuf| {
            let _ = fs::remove_file(&path);
            symlink(format!("{}/terrarium", shims::BIN), &path).when(|| format!("linking {}", path.display()))
        };
        shims::COMMANDS.iter().filter(|name| **name != "terrarium").try_for_each(|name| link(bin.join(name)))?;
        let sbin = if root.join("usr/sbin").is_dir() { "usr/sbin" } else { "sbin" };
        let real = if is_below_link(Path::new("/usr/sbin")) { "usr/bin" } else { sbin };
        shims::MOUNT_HELPERS.iter().try_for_each(|name| link(root.join(real).join(name)))?;
        let separate = !is_below_link(Path::new("/sbin")) && Path::new("/sbin").is_dir();
        let also = if separate { shims::MOUNT_HELPERS } else { &[] };
        also.iter().try_for_each(|name| link(root.join("sbin").join(name)))
    }

    /// The world's control groups, where it has some, in the place of the machine's.
    fn own_groups(&self, root: &Path) -> Result<()> {
        let inside = |seen: &Path| root.join(seen.strip_prefix("/").unwrap_or(seen));
        cgroup::delegated(&self.place).iter().try_for_each(|(group, seen)| bind(group, &inside(seen)))
    }

    fn work_folder(&self, root: &Path) -> Result<()> {
        let Some(work) = &self.work else { return Ok(()) };
        let to = root.join(work.strip_prefix("/").unwrap_or(work));
        if !to.is_dir() {
            fs::create_dir_all(&to).when(|| format!("making {} in the world", work.display()))?;
        }
        bind(work, &to)
    }
}

/// Whether a path or one of its parents is a symbolic link, so that another path is the real one.
fn is_below_link(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|real| real != path)
}

/// The host's `dir` (absolute) at the same path of `root`, with a writable layer over it.
fn layer(root: &Path, dir: &Path) -> Result<()> {
    let relative = dir.strip_prefix("/").unwrap_or(dir);
    let to = root.join(relative);
    let store = root.join(".layers").join(relative.to_string_lossy().replace('/', "-"));
    let [upper, work] = ["upper", "work"].map(|name| store.join(name));
    for path in [&to, &upper, &work] {
        fs::create_dir_all(path).when(|| format!("making {}", path.display()))?;
    }
    for ours in OURS.iter().filter_map(|path| Path::new(path).strip_prefix(relative).ok()) {
        fs::create_dir_all(upper.join(ours)).when(|| format!("making {}", upper.join(ours).display()))?;
    }
    let mode = fs::metadata(dir).map_or(0o755, |m| m.permissions().mode());
    fs::set_permissions(&upper, fs::Permissions::from_mode(mode))
        .when(|| format!("setting the mode of {}", upper.display()))?;
    let paths = format!("lowerdir={},upperdir={},workdir={}", dir.display(), upper.display(), work.display());
    let options = if is_host_root() { paths } else { paths + ",userxattr" };
    match mount_at(Some("overlay"), &to, Some("overlay"), MsFlags::empty(), Some(&options)) {
        Ok(()) => Ok(()),
        Err(_) => farm(root, dir, &to),
    }
}

/// A tmpfs at `to` that holds a symbolic link for each entry of the host's `dir`.
fn farm(root: &Path, dir: &Path, to: &Path) -> Result<()> {
    let hidden = Path::new("/.host").join(dir.strip_prefix("/").unwrap_or(dir));
    bind_read_only(dir, &root.join(hidden.strip_prefix("/").unwrap_or(&hidden)))?;
    tmpfs(to, "mode=755")?;
    for name in
        fs::read_dir(dir).when(|| format!("reading {}", dir.display()))?.filter_map(|e| Some(e.ok()?.file_name()))
    {
        let target = hidden.join(&name);
        symlink(&target, to.join(&name)).when(|| format!("linking {}", target.display()))?;
    }
    Ok(())
}

fn devices(root: &Path) -> Result<()> {
    let dev = root.join("dev");
    make_dir(&dev, 0o755)?;
    tmpfs(&dev, "mode=755")?;
    let roots = if is_host_root() { ROOTS_DEVICES } else { &[] };
    for name in DEVICES.iter().chain(roots) {
        let from = Path::new("/dev").join(name);
        if fs::metadata(&from).is_ok_and(|m| m.file_type().is_char_device()) {
            fs::write(dev.join(name), "").when(|| format!("making /dev/{name}"))?;
            bind(&from, &dev.join(name))?;
        }
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, dev.join(name)).when(|| format!("linking /dev/{name}"))?;
    }
    for name in ["pts", "shm"] {
        make_dir(&dev.join(name), 0o755)?;
    }
    tmpfs(&dev.join("shm"), "mode=1777")?;
    let options = Some("newinstance,ptmxmode=0666,mode=620");
    mount_at(Some("devpts"), &dev.join("pts"), Some("devpts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, options)
}

fn nosuid_nodev_noexec() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

/// Mounts /proc of the pid namespace that this process is pid 1 of.
///
/// # Errors
/// If the kernel refuses, as it does where parts of the present /proc are covered.
pub fn mount_proc() -> Result<()> {
    mount_at(Some("proc"), Path::new("/proc"), Some("proc"), nosuid_nodev_noexec(), None)
}

fn put(root: &Path, name: &str, text: &str) -> Result<()> {
    let path = root.join(name);
    let _ = fs::remove_file(&path);
    fs::write(&path, text).when(|| format!("writing /{name}"))
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir(path).when(|| format!("making {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .when(|| format!("setting the mode of {}", path.display()))
}

fn tmpfs(at: &Path, options: &str) -> Result<()> {
    mount_at(Some("tmpfs"), at, Some("tmpfs"), MsFlags::MS_NOSUID, Some(options))
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from), to, None::<&str>, flags, None::<&str>).when(|| format!("binding {}", from.display()))
}

/// Binds a directory or file with everything mounted below it, all of it read-only.
pub(super) fn bind_read_only(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() && !to.is_dir() {
        fs::create_dir_all(to).when(|| format!("making {}", to.display()))?;
    }
    bind(from, to)?;
    set_read_only(to).when(|| format!("making {} read-only", to.display()))
}

/// mount_setattr(2), recursive.
fn set_read_only(path: &Path) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| nix::errno::Errno::EINVAL)?;
    let attr = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the pointers are to live values of the sizes given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attr,
            std::mem::size_of::<libc::mount_attr>(),
        )
    };
    nix::errno::Errno::result(done).map(drop)
}

fn mount_at(
    source: Option<&str>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> Result<()> {
    mount(source, target, kind, flags, options)
        .map_err(|reason| Error::new(format!("mounting {} on {}", kind.unwrap_or("a bind"), target.display()), reason))
}

//! What this machine allows, found out by doing it: each probe runs in a child of its own (`terrarium probe NAME`), for
//! some systems allow the unshare and refuse the mount.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::{Error, Result, While, ids, is_host_root, root};

/// What can be probed, in the order in which one needs the other.
pub const PROBES: &[&str] = &["userns", "mounts", "pidns", "netns", "overlay", "fuse"];

/// What forbids user namespaces, as far as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbids {
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1 (Ubuntu ≥ 23.10).
    AppArmor,
    /// `kernel.unprivileged_userns_clone` is 0 (Debian, hardened kernels).
    CloneSysctl,
    /// `user.max_user_namespaces` is 0 (Red Hat's old default, hardening guides).
    MaxSysctl,
    /// A seccomp filter is on this process: most likely a container's.
    Seccomp,
    /// The system does not say.
    Unknown,
}

/// Reads what is likely to forbid user namespaces here.
pub fn what_forbids() -> Forbids {
    let says = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let filtered = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("Seccomp:\t2"));
    if says("/proc/sys/user/max_user_namespaces", "0") {
        Forbids::MaxSysctl
    } else if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        Forbids::CloneSysctl
    } else if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        Forbids::AppArmor
    } else if filtered {
        Forbids::Seccomp
    } else {
        Forbids::Unknown
    }
}

/// Does one thing for real in this process, which must be single-threaded and is of no use afterwards. Gives a detail
/// worth telling.
///
/// # Errors
/// The step that the kernel refused.
pub fn run(name: &str) -> Result<String> {
    match name {
        "userns" => userns(),
        "mounts" => mounts(),
        "pidns" => pidns(),
        "netns" => netns(),
        "overlay" => overlay(),
        "fuse" => fuse(),
        _ => Err(Error::new(format!("probe {name}"), format!("there are {}", PROBES.join(" ")))),
    }
}

fn enter(flags: CloneFlags) -> Result<()> {
    if is_host_root() { unshare(flags).when(|| "making namespaces") } else { ids::unshare_user(flags, ids::Ids::Outer) }
}

fn userns() -> Result<String> {
    enter(CloneFlags::CLONE_NEWNS)?;
    let map = fs::read_to_string("/proc/self/uid_map").when(|| "reading the id map")?;
    let ids: u64 = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
    Ok(ids.to_string())
}

/// A private mount namespace with a tmpfs on /tmp to try things on.
fn scratch() -> Result<&'static Path> {
    enter(CloneFlags::CLONE_NEWNS)?;
    let scratch = Path::new("/tmp");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).when(|| "making mounts private")?;
    mount(Some("tmpfs"), scratch, Some("tmpfs"), MsFlags::empty(), none).when(|| "mounting a tmpfs")?;
    Ok(scratch)
}

fn mounts() -> Result<String> {
    let to = scratch()?.join("usr");
    root::bind_read_only(Path::new("/usr"), &to)?;
    match fs::write(to.join("probe"), "") {
        Ok(()) => Err(Error::new("a read-only bind", "it can be written to")),
        Err(_) => Ok(String::new()),
    }
}

fn pidns() -> Result<String> {
    enter(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }.when(|| "forking")? {
        // SAFETY: ends the child without running the parent's exit handlers.
        ForkResult::Child => unsafe { libc::_exit(i32::from(root::mount_proc().is_err())) },
        ForkResult::Parent { child } => match waitpid(child, None).when(|| "waiting")? {
            WaitStatus::Exited(_, 0) => Ok(String::new()),
            _ => Err(Error::new("mounting /proc in a pid namespace", "refused; parts of this /proc may be covered")),
        },
    }
}

fn netns() -> Result<String> {
    enter(CloneFlags::CLONE_NEWNET)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().when(|| "starting")?;
    runtime.block_on(super::network::bring_up()).map(|()| String::new())
}

fn overlay() -> Result<String> {
    let scratch = scratch()?;
    let [upper, work, to] = ["upper", "work", "to"].map(|name| scratch.join(name));
    for dir in [&upper, &work, &to] {
        fs::create_dir(dir).when(|| format!("making {}", dir.display()))?;
    }
    let options = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
    let options = if is_host_root() { options } else { options + ",userxattr" };
    mount(Some("overlay"), &to, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .when(|| "mounting an overlay")?;
    Ok(String::new())
}

fn fuse() -> Result<String> {
    use std::os::fd::AsRawFd;
    let to = scratch()?.join("fuse");
    let device = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").when(|| "opening /dev/fuse")?;
    fs::create_dir(&to).when(|| "making a folder")?;
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    mount(Some("probe"), &to, Some("fuse"), MsFlags::empty(), Some(options.as_str())).when(|| "mounting FUSE")?;
    Ok(String::new())
}

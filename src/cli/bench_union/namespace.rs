//! Mounts of our own: nothing of the bench is seen or left outside.

use std::fs;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Enters a mount namespace; as an ordinary user a user namespace first. Whether we are the machine's root.
pub fn enter() -> Result<bool, String> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let owns_machine = fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.contains("4294967295"));
    let root = uid.is_root();
    let flags = if root { CloneFlags::CLONE_NEWNS } else { CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUSER };
    unshare(flags).map_err(|e| format!("cannot have mounts of its own ({e}); `terrarium doctor` says more"))?;
    if !root {
        let write = |file: &str, text: String| fs::write(format!("/proc/self/{file}"), text).map_err(|e| e.to_string());
        write("setgroups", "deny".to_owned())?;
        write("uid_map", format!("0 {uid} 1"))?;
        write("gid_map", format!("0 {gid} 1"))?;
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(|e| format!("private mounts: {e}"))?;
    Ok(root && owns_machine)
}

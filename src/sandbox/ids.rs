//! Who inside is whom outside: the maps of a user namespace (user_namespaces(7)).
//!
//! Inside, the student is uid 0. With `newuidmap` and an entry in /etc/subuid the ids 1…65535 are mapped too, so that
//! files of several owners can exist; otherwise there is the one id. A map with more than one id may only be written
//! from outside the namespace, by a process that was there before: the [`Mapper`], forked before the `unshare`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, getpid, pipe, read, write};

use super::{Error, Result, While};

/// How many ids are mapped where subordinate ids are to be had.
const RANGE: u32 = 65536;

/// How the ids of a new user namespace are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// 0 is the caller; 1… are its subordinate ids where it has some (asks newuidmap(1)).
    Outer,
    /// The same ids as in the parent namespace, as many as it has.
    Same,
}

/// Moves this single-threaded process into a new user namespace and the other namespaces of `flags`.
///
/// # Errors
/// If the kernel refuses; the reason says which limit is likely.
pub fn unshare_user(flags: CloneFlags, ids: Ids) -> Result<()> {
    let (uid, gid, me) = (nix::unistd::geteuid(), nix::unistd::getegid(), getpid());
    let (wait, go) = pipe().when(|| "making a pipe")?;
    // SAFETY: this process has one thread; the child runs a few lines and leaves without unwinding.
    let mapper = match unsafe { fork() }.when(|| "forking the mapper")? {
        ForkResult::Child => {
            drop(go);
            let unshared = read(&wait, &mut [0]).is_ok_and(|n| n == 1);
            let mapped = unshared && map(me, uid, gid, ids).is_ok();
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { nix::libc::_exit(i32::from(!mapped)) }
        }
        ForkResult::Parent { child } => child,
    };
    drop(wait);
    let unshared = unshare(flags | CloneFlags::CLONE_NEWUSER);
    if unshared.is_ok() {
        write(&go, &[1]).when(|| "waking the mapper")?;
    }
    drop(go);
    let status = waitpid(mapper, None).when(|| "waiting for the mapper")?;
    unshared.when(|| "making a user namespace (see `terrarium doctor`)")?;
    match status {
        WaitStatus::Exited(_, 0) => Ok(()),
        _ => map_single(uid, gid),
    }
}

/// Maps the ids of process `pid`'s new namespace, from outside.
fn map(pid: Pid, uid: Uid, gid: Gid, ids: Ids) -> io::Result<()> {
    match ids {
        Ids::Outer => map_range(pid, "newuidmap", "/etc/subuid", uid.as_raw())
            .and_then(|()| map_range(pid, "newgidmap", "/etc/subgid", gid.as_raw())),
        Ids::Same => {
            let same = |name: &str| {
                let parent = fs::read_to_string(format!("/proc/self/{name}"))?;
                let lines = parent.lines().filter_map(|line| {
                    let mut fields = line.split_whitespace();
                    let (first, _, count) = (fields.next()?, fields.next()?, fields.next()?);
                    Some(format!("{first} {first} {count}\n"))
                });
                fs::write(format!("/proc/{pid}/{name}"), lines.collect::<String>())
            };
            same("uid_map").and_then(|()| same("gid_map"))
        }
    }
}

/// Asks newuidmap(1) or newgidmap(1) for 0 → `own` and 1… → the subordinate ids.
fn map_range(pid: Pid, tool: &str, table: &str, own: u32) -> io::Result<()> {
    let (start, count) = subordinate(table).ok_or(io::ErrorKind::NotFound)?;
    let ids = [0, own, 1, 1, start, count.min(RANGE - 1)].map(|id| id.to_string());
    let status = Command::new(tool).arg(pid.to_string()).args(ids).stderr(std::process::Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// The first range of the caller in a table of subuid(5) form: its start and length.
fn subordinate(table: &str) -> Option<(u32, u32)> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??;
    let number = user.uid.to_string();
    fs::read_to_string(table).ok()?.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (owner == user.name || owner == number).then_some(range)
    })
}

/// Maps the one id, from inside.
fn map_single(uid: Uid, gid: Gid) -> Result<()> {
    let write =
        |name: &str, text: String| fs::write(format!("/proc/self/{name}"), text).when(|| format!("writing {name}"));
    write("uid_map", format!("0 {uid} 1"))?;
    write("setgroups", "deny".into())?;
    write("gid_map", format!("0 {gid} 1"))
}

/// Removes `dir` with everything in it, as the owner of mapped ids where need be.
///
/// # Errors
/// If something could not be removed.
pub fn remove_as_owner(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => remove_in_namespace(dir),
        _ => Ok(()),
    }
}

/// Removes `dir` from a child process that owns the mapped ids.
fn remove_in_namespace(dir: &Path) -> Result<()> {
    let exe = super::own_exe()?;
    let status = Command::new(exe).arg("remove-world").arg(dir).status().when(|| "starting the remover")?;
    if status.success() { Ok(()) } else { Err(Error::new(format!("removing {}", dir.display()), status)) }
}

/// The body of the hidden verb `remove-world`: this single-threaded process becomes the owner of the mapped ids and
/// removes `dir`.
///
/// # Errors
/// If something could not be removed.
pub fn remove_world(dir: &Path) -> Result<()> {
    if !super::is_host_root() {
        unshare_user(CloneFlags::empty(), Ids::Outer)?;
    }
    fs::remove_dir_all(dir).when(|| format!("removing {}", dir.display()))
}

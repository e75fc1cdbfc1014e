//! A storage server of the world: a machine with a mount and uts namespace of its own.
//!
//! `server1` is the world itself. `server2`… are held open by a process each (`terrarium server NAME`), started by the
//! keeper: its own hostname, and its own `/data`, `/var/lib/glusterd`, `/var/log`, `/run` and `/tmp`. Acting as a server is
//! joining its holder's two namespaces.

use std::fs::{self, File};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::sethostname;

use super::{Error, Result, While, machines};

/// Where the servers' own folders are kept, inside the world.
const KEPT: &str = "/run/terrarium/world/disk";
/// A server's own places (`/data/brick1` is there from the start, as the disk of the quick start): its name below its kept folder, and where it is seen.
const OWN: &[(&str, &str)] = &[
    ("data", "/data"),
    ("glusterd", "/var/lib/glusterd"),
    ("log", "/var/log/glusterfs"),
    ("gluster-run", "/run/gluster"),
];

/// Makes this single-threaded process the holder of server `name`'s namespaces.
///
/// # Errors
/// If there is no such server, or the kernel refuses.
pub fn become_server(name: &str) -> Result<()> {
    if machines::address(name).is_none() {
        return Err(Error::new(
            format!("server {name:?}"),
            format!("there are server1 to server{}", machines::SERVERS),
        ));
    }
    if name == machines::HOME_MACHINE {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS).when(|| "making the server's namespaces")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).when(|| "making its mounts private")?;
    sethostname(name).when(|| "setting its hostname")?;
    for (kept, seen) in OWN {
        let from = Path::new(KEPT).join(name).join(kept);
        for path in [from.as_path(), Path::new(seen)] {
            fs::create_dir_all(path).when(|| format!("making {}", path.display()))?;
        }
        mount(Some(&from), *seen, none, MsFlags::MS_BIND, none).when(|| format!("binding {seen}"))?;
    }
    fs::create_dir_all("/data/brick1").when(|| "making /data/brick1")?;
    fs::write(format!("{KEPT}/{name}/hostname"), format!("{name}\n")).when(|| "writing its hostname")?;
    let hostname = format!("{KEPT}/{name}/hostname");
    mount(Some(hostname.as_str()), "/etc/hostname", none, MsFlags::MS_BIND, none).when(|| "binding /etc/hostname")
}

/// Moves this single-threaded process into the namespaces of the server whose holder has process id `holder`.
///
/// # Errors
/// If the holder is gone.
pub fn act_as(holder: i32) -> Result<()> {
    for (space, flag) in [("uts", CloneFlags::CLONE_NEWUTS), ("mnt", CloneFlags::CLONE_NEWNS)] {
        let path = format!("/proc/{holder}/ns/{space}");
        let file = File::open(&path).when(|| format!("opening {path}"))?;
        setns(file, flag).when(|| format!("joining {path}"))?;
    }
    Ok(())
}

//! Where one manager lives: its server's name and address, its folders, and how it is started there.
//!
//! In the world a server is a pair of namespaces, and its folders are where GlusterFS has them. Outside (tests, several
//! servers side by side) `$TERRARIUM_SERVER` names the server and `$TERRARIUM_ROOT` a folder in which each server has its
//! own folder.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::volume::hosts::resolve;
use crate::world;

/// A manager's server and folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The server's name, under which the others know it.
    pub name: String,
    /// Its address.
    pub ip: IpAddr,
    /// `/var/lib/glusterd`: what must survive.
    pub state: PathBuf,
    /// `/run/gluster`: sockets, process ids.
    pub run: PathBuf,
    /// `/var/log/glusterfs`.
    pub log: PathBuf,
}

impl Place {
    /// The server that this process is on: by `$TERRARIUM_SERVER`, else by its hostname.
    pub fn here() -> Self {
        let own = || nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let name = std::env::var("TERRARIUM_SERVER").ok().or_else(own).unwrap_or_else(|| "localhost".into());
        Self::of(&name)
    }

    /// The server of this name.
    pub fn of(name: &str) -> Self {
        let ip = resolve(name).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (state, run, log) = match std::env::var_os("TERRARIUM_ROOT") {
            Some(root) => {
                let root = Path::new(&root).join(name);
                (root.join("glusterd"), root.join("run"), root.join("log"))
            }
            None => ("/var/lib/glusterd".into(), "/run/gluster".into(), "/var/log/glusterfs".into()),
        };
        Self { name: name.into(), ip, state, run, log }
    }

    /// The socket on which the manager serves the command line of its own server.
    pub fn socket(&self) -> PathBuf {
        self.run.join("glusterd.socket")
    }

    /// Where the manager writes its process id. The file stays when the manager is killed.
    pub fn pid_file(&self) -> PathBuf {
        self.run.join("glusterd.pid")
    }

    /// Whether a manager was started here since the world began: then one that does not answer was ended by somebody.
    pub fn was_started(&self) -> bool {
        let written = std::fs::metadata(self.pid_file()).and_then(|m| m.modified());
        written.is_ok_and(|at| world_began().is_none_or(|began| at >= began))
    }

    /// Whether a host name or address means this server.
    pub fn is_here(&self, host: &str) -> bool {
        host == self.name
            || host == "localhost"
            || resolve(host).is_ok_and(|ip| ip == self.ip || ip.is_loopback() && !self.ip.is_loopback())
    }
}

/// Sees to it that the manager of `host` runs: in the world its keeper knows the server's namespaces; outside, a server
/// whose folder is in `$TERRARIUM_ROOT` is started beside us. Does nothing for hosts that are neither.
///
/// # Errors
/// One line that says why it could not be started.
pub fn ensure_manager(host: &str) -> io::Result<()> {
    let host = canonical(host);
    if world::wire::socket_path().exists() {
        let keeper = world::client::Client::connect(&world::wire::socket_path())?;
        let holder = keeper.run("gluster", world::Command::Server(host.clone())).map_err(io::Error::other)?;
        return start(&host, holder.as_i64());
    }
    let beside = std::env::var_os("TERRARIUM_ROOT").is_some_and(|root| Path::new(&root).join(&host).is_dir());
    if beside { start(&host, None) } else { Ok(()) }
}

/// The world's name for a server that was given by its address.
fn canonical(host: &str) -> String {
    let by_address = |ip: IpAddr| crate::sandbox::machines::all().find(|(_, other)| IpAddr::V4(*other) == ip);
    host.parse().ok().and_then(by_address).map_or_else(|| host.to_owned(), |(name, _)| name)
}

/// Runs `glusterd` for a server, which returns when it listens.
fn start(host: &str, holder: Option<i64>) -> io::Result<()> {
    let mut command = Command::new(crate::sandbox::own_exe().map_err(io::Error::other)?);
    command.args(["glusterd", "--first-use", "--name", host]);
    if let Some(holder) = holder {
        command.args(["--holder", &holder.to_string()]);
    }
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(io::Error::other(said)) }
}

/// When process 1 was started, to the second: what was written before is of an earlier world.
fn world_began() -> Option<SystemTime> {
    let stat = std::fs::read_to_string("/proc/1/stat").ok()?;
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let boot = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = boot.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()?;
    let hertz = u64::try_from(nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(boot + ticks / hertz))
}

//! `mount.glusterfs HOST[,HOST…]:/VOLUME[/DIR] TARGET [-o options]`: what mount(8) calls for a volume.
//!
//! It asks the servers in turn for the volume (their managers are started at first use), starts the client process and
//! waits until that has mounted or ended. Texts and exit codes are GlusterFS's. `umount.glusterfs` is there because
//! umount(8) calls it once it exists.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::volume::handshake::{GetSpec, MANAGER_PORT, Request, Spec};
use crate::volume::hosts::resolve;
use crate::volume::manager::{Place, ensure_manager};
use crate::world::wire::{Dial, Envelope, decode, encode, read_frame, write_frame};

/// How long a client may take to mount.
const MOUNTS: Duration = Duration::from_secs(30);
/// How long a manager may take to connect and to answer.
const ANSWERS: Duration = Duration::from_secs(10);
/// mount(8)'s exit code for a mount that failed.
const MOUNT_FAILED: u8 = 32;

const NO_MOUNT_POINT: &str =
    "ERROR: Mount point does not exist\nPlease specify a mount point\nUsage:\nman 8 /sbin/mount.glusterfs";

/// What is to be mounted where.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    servers: Vec<String>,
    volume: String,
    subdir: Option<String>,
    target: PathBuf,
    /// Further arguments of the client process.
    flags: Vec<String>,
    log: Option<PathBuf>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let words: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let outcome = parse(&words).and_then(|plan| carry_out(&plan));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((said, code)) => {
            eprintln!("{said}");
            ExitCode::from(code)
        }
    }
}

type Failed = (String, u8);

fn parse(words: &[String]) -> Result<Plan, Failed> {
    let usage = || ("Usage: mount.glusterfs <server>:<volume/subvolume> <mountpoint> -o <options>".to_owned(), 1);
    let (mut plain, mut options, mut words) = (vec![], vec![], words.iter());
    while let Some(word) = words.next() {
        match word.as_str() {
            "-o" => options.extend(words.next().ok_or_else(usage)?.split(',').map(str::to_owned)),
            "-t" | "-N" => drop(words.next()),
            w if w.starts_with("-o") => options.extend(w[2..].split(',').map(str::to_owned)),
            "-V" | "--version" => return Err(("glusterfs 10.3".into(), 0)),
            w if w.starts_with('-') => {}
            w => plain.push(w.to_owned()),
        }
    }
    let [spec, target] = plain.as_slice() else { return Err(usage()) };
    let mut plan = Plan { target: target.into(), ..spec_of(spec).ok_or_else(usage)? };
    options.iter().filter(|o| !o.is_empty()).try_for_each(|option| plan.take(option))?;
    Ok(plan)
}

/// `server1,server2:/gv0/dir`, the slash before the volume being optional.
fn spec_of(spec: &str) -> Option<Plan> {
    let (servers, path) = spec.split_once(':')?;
    let mut parts = path.trim_matches('/').splitn(2, '/');
    let volume = parts.next().filter(|v| !v.is_empty())?.to_owned();
    let servers: Vec<String> = servers.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
    let subdir = parts.next().map(|dir| format!("/{dir}"));
    (!servers.is_empty()).then(|| Plan { servers, volume, subdir, ..Plan::default() })
}

/// Options of mount(8) itself, which mean nothing to the client.
const GENERIC: &[&str] = &[
    "rw",
    "defaults",
    "_netdev",
    "auto",
    "noauto",
    "user",
    "users",
    "nouser",
    "nofail",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "sync",
    "async",
    "remount",
    "lazytime",
    "nolazytime",
];
/// Options that GlusterFS takes and that change nothing here.
pub(super) const IGNORED: &[&str] = &[
    "fetch-attempts",
    "transport",
    "reader-thread-count",
    "event-history",
    "halo-max-latency",
    "mem-accounting",
    "resolve-gids",
    "congestion-threshold",
    "background-qlen",
    "gid-timeout",
    "fopen-keep-cache",
    "use-readdirp",
    "dump-fuse",
    "ibrix",
    "auto-invalidation",
    "no-root-squash",
    "root-squash",
    "oom-score-adj",
    "process-name",
    "kernel-writeback-cache",
    "attr-times-granularity",
    "fuse-flush-handle-interrupt",
    "fuse-dev-eperm-ratelimit-ns",
    "invalidate-limit",
    "inode-table-size",
    "acl",
    "selinux",
    "log-level",
    "negative-timeout",
    "lru-limit",
    "xlator-option",
    "direct-io-mode",
];
/// Options that would change something, and are not here.
pub(super) const ABSENT: &[&str] = &["worm", "thin-client"];
/// Options that the client process takes under the same name.
const PASSED: &[&str] = &["attribute-timeout", "entry-timeout"];

impl Plan {
    fn take(&mut self, option: &str) -> Result<(), Failed> {
        let (key, value) = option.split_once('=').map_or((option, None), |(k, v)| (k, Some(v)));
        match (key, value) {
            ("backup-volfile-servers", Some(hosts)) => self.servers.extend(hosts.split(':').map(str::to_owned)),
            ("backupvolfile-server" | "backup-volfile-server", Some(host)) => self.servers.push(host.into()),
            ("aux-gfid-mount", _) => self.flags.push("--aux-gfid-mount".into()),
            ("ro", None) => self.flags.push("--read-only".into()),
            ("log-file", Some(file)) => self.log = Some(file.into()),
            (key, _) if ABSENT.contains(&key) => {
                return Err((format!("gluster has the mount option {key}, terrarium does not"), 1));
            }
            (key, Some(value)) if PASSED.contains(&key) => self.flags.push(format!("--{key}={value}")),
            (key, _) if IGNORED.contains(&key) || GENERIC.contains(&key) => {}
            (key, _) if key.starts_with("x-") || key.starts_with("comment") => {}
            _ => return Err((format!("Invalid option: {key}"), 1)),
        }
        Ok(())
    }
}

fn carry_out(plan: &Plan) -> Result<(), Failed> {
    let target = &plan.target;
    if !target.is_dir() {
        return Err((NO_MOUNT_POINT.into(), 1));
    }
    if is_mounted(target) {
        let target = target.display();
        let said = format!("/sbin/mount.glusterfs: according to mtab, GlusterFS is already mounted on {target}");
        return Err((said, MOUNT_FAILED));
    }
    match plan.servers.iter().find_map(|host| ask_for_volume(host, &plan.volume)) {
        None => return Err((format!("Mounting glusterfs on {} failed.", target.display()), 1)),
        Some(Err(why)) if why.ends_with("is not started") => {
            return Err(("Mount failed. Check the log file  for more details.".into(), 1));
        }
        Some(Err(_)) => return Err((format!("Mounting glusterfs on {} failed.", target.display()), 1)),
        Some(Ok(())) => {}
    }
    let log = plan.log.clone().unwrap_or_else(|| log_of(target));
    let failed = |e: io::Error| (format!("mount.glusterfs: {e}"), 1);
    let mut child = spawn(plan, &log).map_err(failed)?;
    until_mounted(target, &mut child)
}

/// Whether a volume is mounted there.
fn is_mounted(target: &Path) -> bool {
    let target = std::fs::canonicalize(target).unwrap_or_else(|_| target.into());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.any(|f| f.len() > 2 && f[2] == "fuse.glusterfs" && Path::new(&f[1].replace("\\040", " ")) == target)
}

/// `/mnt/gv0` → `/var/log/glusterfs/mnt-gv0.log`.
fn log_of(target: &Path) -> PathBuf {
    let name = target.display().to_string().trim_matches('/').replace('/', "-");
    Place::here().log.join(format!("{name}.log"))
}

/// Asks a server's manager for the volume; `None` if the server does not answer.
fn ask_for_volume(host: &str, volume: &str) -> Option<Result<(), String>> {
    let connect = || -> io::Result<TcpStream> {
        TcpStream::connect_timeout(&SocketAddr::new(resolve(host)?, MANAGER_PORT), ANSWERS)
    };
    let stream = connect().or_else(|_| ensure_manager(host).and_then(|()| connect())).ok()?;
    get_spec(stream, host, volume).ok().map(|outcome| outcome.map(drop))
}

fn get_spec(mut stream: TcpStream, host: &str, volume: &str) -> io::Result<Result<Spec, String>> {
    let (from, to) = (Place::here().name, host.to_owned());
    stream.set_read_timeout(Some(ANSWERS))?;
    write_frame(&mut stream, &Dial { from: from.clone(), to: to.clone() })?;
    let request = GetSpec { volume_id: format!("/{volume}"), process: "mount".into() };
    let (kind, body) = (GetSpec::KIND.to_owned(), encode(&request).into());
    let id = format!("{from}/mount#{}", std::process::id());
    write_frame(&mut stream, &Envelope { id, from, to, logical: 0, cause: None, kind, note: String::new(), body })?;
    let reply: Envelope = read_frame(&mut stream)?;
    decode(&reply.body)
}

fn spawn(plan: &Plan, path: &Path) -> io::Result<Child> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let log = OpenOptions::new().create(true).append(true).open(path)?;
    let mut command = Command::new(crate::sandbox::own_exe().map_err(io::Error::other)?);
    command.arg0("glusterfs").args(["--process-name", "fuse"]);
    command.args(plan.servers.iter().map(|host| format!("--volfile-server={host}")));
    command.arg(format!("--volfile-id=/{}", plan.volume)).args(&plan.flags);
    command.arg(&plan.target).process_group(0).env("TERRARIUM_MOUNT_LOG", path);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

/// Waits until the mount is there. A client that ends with 0 has gone into the background.
fn until_mounted(target: &Path, child: &mut Child) -> Result<(), Failed> {
    let deadline = Instant::now() + MOUNTS;
    let failed = || ("Mount failed. Check the log file  for more details.".to_owned(), 1);
    while !is_mounted(target) {
        let ended = child.try_wait().ok().flatten();
        if ended.is_some_and(|status| !status.success()) || Instant::now() > deadline {
            let _ = child.kill();
            return Err(failed());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// `umount.glusterfs TARGET [-flnrv]`.
pub fn unmount(args: &[OsString]) -> ExitCode {
    let (mut flags, mut target, mut words) = (nix::mount::MntFlags::empty(), None, args.iter());
    while let Some(arg) = words.next() {
        let word = arg.to_string_lossy();
        match word.as_ref() {
            "-t" | "-N" => drop(words.next()),
            w if w.starts_with('-') => {
                flags.set(
                    nix::mount::MntFlags::MNT_DETACH,
                    flags.contains(nix::mount::MntFlags::MNT_DETACH) || w.contains('l'),
                );
                flags.set(
                    nix::mount::MntFlags::MNT_FORCE,
                    flags.contains(nix::mount::MntFlags::MNT_FORCE) || w.contains('f'),
                );
            }
            _ => target = Some(PathBuf::from(arg)),
        }
    }
    let Some(target) = target else {
        eprintln!("umount.glusterfs: needs a mount point: umount.glusterfs TARGET [-flnrv]");
        return ExitCode::from(1);
    };
    match nix::mount::umount2(&target, flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            let busy = errno == nix::errno::Errno::EBUSY;
            let hint = if busy { " (somebody works in it; `umount -l` lets them finish)" } else { "" };
            eprintln!("umount.glusterfs: {}: {}{hint}", target.display(), errno.desc());
            ExitCode::from(MOUNT_FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> Result<Plan, Failed> {
        parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
    }

    /// The forms of the manual: several servers, no slash, a directory of the volume, backup servers.
    #[test]
    fn specs_are_read_as_the_manual_writes_them() {
        let read = plan(&["node1,node2:/gv0/d", "/mnt", "-o", "rw,backup-volfile-servers=node3:node4,ro"]).unwrap();
        assert_eq!(read.servers, ["node1", "node2", "node3", "node4"]);
        assert_eq!((read.volume.as_str(), read.subdir.as_deref()), ("gv0", Some("/d")));
        assert_eq!(read.flags, ["--read-only"]);
        assert_eq!(plan(&["node1:gv0", "/mnt"]).unwrap().volume, "gv0");
    }

    /// What is not known is refused, and what is known but absent is said to be absent.
    #[test]
    fn options_are_judged() {
        assert_eq!(plan(&["n:/v", "/m", "-o", "bogus"]), Err(("Invalid option: bogus".into(), 1)));
        assert!(plan(&["n:/v", "/m", "-o", "worm"]).unwrap_err().0.contains("terrarium does not"));
        assert!(plan(&["n:/v", "/m", "-o", "defaults,_netdev,log-level=WARNING,fetch-attempts=5"]).is_ok());
        assert_eq!(plan(&["gv0", "/m"]).unwrap_err().1, 1);
    }
}

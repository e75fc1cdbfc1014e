//! What pid 1 does before it becomes the container's own program: it makes the room that the plan describes.
//!
//! Order matters everywhere here; see the picture in [`super`].

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd;

use super::super::capability;
use super::super::plan::{Create, Flags, Mount, Plan, Source, Step};
use super::super::spec::{Rootfs, Spec};
use super::{Doing, Error, hooks, network, sys};
use crate::sandbox::keyring;

/// What pid 1 is to become.
pub struct Role<'a> {
    /// The container.
    pub spec: &'a Spec,
    /// Its room.
    pub plan: &'a Plan,
    /// The holder of its other namespaces.
    pub holder: &'a OwnedFd,
    /// The line to the monitor.
    pub line: &'a OwnedFd,
    /// Run this under an init of our own, on the caller's own terminal (`lxc-execute`), instead of the container's.
    pub execute: Option<&'a [String]>,
    /// Stay on the caller's own terminal.
    pub own_terminal: bool,
}

/// Makes the room and becomes the container's program; returns only if that fails.
pub fn become_container(role: &Role) -> Error {
    match make(role).and_then(|()| step_inside(role)) {
        Ok(()) => begin(role),
        Err(error) => error,
    }
}

/// First and second movement: the mounts of the world picked up, the root changed and furnished.
fn make(role: &Role) -> Result<(), Error> {
    let Role { spec, plan, holder, line, .. } = role;
    let network = if spec.shares_network() { 0 } else { libc::CLONE_NEWNET };
    sys::enter(holder, libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | network).doing(|| "enter the new namespaces")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).doing(|| "keep our mounts to ourselves")?;
    let root = root_of(plan)?;
    let picked = plan.steps.iter().map(pick_up).collect::<Result<Vec<_>, _>>()?;
    change_root(&root)?;
    let mut terminals = Vec::new();
    for (step, picked) in plan.steps.iter().zip(picked) {
        carry_out(step, picked, &mut terminals)?;
    }
    unistd::sethostname(&spec.hostname).doing(|| format!("set the host name {}", spec.hostname))?;
    network::inside(spec)?;
    let fds: Vec<RawFd> = terminals.iter().map(AsRawFd::as_raw_fd).collect();
    sys::send_fds(*line, b"terminals", &fds).doing(|| "hand over the terminals")?;
    wait_for_go(line)
}

fn wait_for_go(line: &OwnedFd) -> Result<(), Error> {
    let (word, _) = sys::receive_fds(line, 16).doing(|| "wait for the monitor")?;
    if word == b"go" { Ok(()) } else { Err(Error::said("the monitor is gone")) }
}

/// Mounts the root filesystem where it will be left from; gives its path.
fn root_of(plan: &Plan) -> Result<String, Error> {
    let (none, bind) = (None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC);
    let path = match &plan.rootfs {
        Rootfs::None | Rootfs::Aufs { .. } => return Err(Error::said("there is no root filesystem")),
        Rootfs::Dir(path) => {
            mount(Some(path.as_str()), path.as_str(), none, bind, none)
                .doing(|| format!("open the root filesystem {path}"))?;
            path
        }
        Rootfs::Overlay { lower, upper } => {
            overlay(lower, upper)?;
            upper
        }
    };
    if plan.rootfs_flags != Flags::default() {
        change_flags(path, plan.rootfs_flags).doing(|| format!("set lxc.rootfs.options of {path}"))?;
    }
    Ok(path.clone())
}

/// A kernel overlay, mounted over its own writable directory; its work directory lies beside that one.
fn overlay(lower: &[String], upper: &str) -> Result<(), Error> {
    let work = format!("{}/olwork", Path::new(upper).parent().unwrap_or(Path::new("/")).display());
    fs::create_dir_all(&work).doing(|| format!("make the overlay's work directory {work}"))?;
    let data = format!("lowerdir={},upperdir={upper},workdir={work}", lower.join(":"));
    let user = format!("{data},userxattr");
    let try_with = |data: &str| mount(Some("overlay"), upper, Some("overlay"), MsFlags::empty(), Some(data));
    try_with(&data).or_else(|_| try_with(&user)).doing(|| format!("mount the overlay {data}"))
}

fn pick_up(step: &Step) -> Result<Option<OwnedFd>, Error> {
    let Step::Mount(mount) = step else { return Ok(None) };
    if !mount.from_outside() {
        return Ok(None);
    }
    let picked = match &mount.source {
        Source::Outside { path, recursive } => sys::pick_up(path, *recursive),
        Source::Fs { fstype, name } => sys::new_mount(fstype, name, &mount.data, mount.flags.0),
        Source::Inside(_) => return Ok(None),
    };
    match picked {
        Ok(fd) => Ok(Some(fd)),
        Err(_) if mount.optional => Ok(None),
        Err(e) => Err(e).doing(|| described(mount)),
    }
}

fn described(mount: &Mount) -> String {
    match &mount.source {
        Source::Outside { path, .. } => format!("bind {path} to {} in the container", mount.target),
        Source::Inside(path) => format!("bind the container's {path} to {}", mount.target),
        Source::Fs { fstype, name } => format!("mount {fstype} ({name}) at {} in the container", mount.target),
    }
}

fn change_root(root: &str) -> Result<(), Error> {
    unistd::chdir(root).doing(|| format!("enter the root filesystem {root}"))?;
    unistd::pivot_root(".", ".").doing(|| format!("make {root} the root"))?;
    umount2(".", MntFlags::MNT_DETACH).doing(|| "leave the world's root")?;
    unistd::chdir("/").doing(|| "enter the new root")
}

fn carry_out(step: &Step, picked: Option<OwnedFd>, terminals: &mut Vec<OwnedFd>) -> Result<(), Error> {
    match step {
        Step::Dir(path) => make_dir(Path::new(path)).doing(|| format!("make {path} in the container")),
        Step::Link(path, target) => match symlink(target, path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e).doing(|| format!("make the link {path}")),
            _ => Ok(()),
        },
        Step::Terminals(count) => make_terminals(*count, terminals),
        Step::Mount(mount) => match put_down(mount, picked.as_ref()) {
            Err(_) if mount.optional => Ok(()),
            done => done.doing(|| described(mount)),
        },
    }
}

fn put_down(what: &Mount, picked: Option<&OwnedFd>) -> io::Result<()> {
    if what.from_outside() && picked.is_none() {
        return Err(io::ErrorKind::NotFound.into());
    }
    make_place(what)?;
    let (none, target) = (None::<&str>, what.target.as_str());
    match (&what.source, picked) {
        (_, Some(mount)) => {
            sys::put_down(mount, target)?;
            let bound = matches!(what.source, Source::Outside { .. });
            if bound && what.flags != Flags::default() { change_flags(target, what.flags) } else { Ok(()) }
        }
        (Source::Fs { fstype, name }, None) => {
            let flags = MsFlags::from_bits_truncate(what.flags.0);
            Ok(mount(Some(name.as_str()), target, Some(fstype.as_str()), flags, Some(what.data.as_str()))?)
        }
        (Source::Inside(path), None) => {
            mount(Some(path.as_str()), target, none, MsFlags::MS_BIND, none)?;
            change_flags(target, what.flags)
        }
        (Source::Outside { .. }, None) => Err(io::ErrorKind::NotFound.into()),
    }
}

fn make_place(mount: &Mount) -> io::Result<()> {
    let target = Path::new(&mount.target);
    match mount.create {
        _ if target.symlink_metadata().is_ok() => Ok(()),
        None => Ok(()),
        Some(Create::Dir) => make_dir(target),
        Some(Create::File) => match fs::File::create(target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make_dir(target.parent().unwrap_or(target))?;
                fs::File::create(target).map(drop)
            }
            made => made.map(drop),
        },
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Gives a bound mount these flags besides those that it cannot lose; read-only is set or cleared as asked.
fn change_flags(path: &str, flags: Flags) -> io::Result<()> {
    let had = nix::sys::statvfs::statvfs(path)?.flags().bits() & 0xf; // ST_* and MS_* agree on the four low flags
    let all = (had & !Flags::RDONLY.0) | flags.0;
    if all == had {
        return Ok(());
    }
    let wanted = MsFlags::from_bits_truncate(all) | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
    Ok(mount(None::<&str>, path, None::<&str>, wanted, None::<&str>)?)
}

/// Opens the console and the numbered terminals on the container's own pseudo-terminals. Of each the monitor gets both
/// ends: the other one keeps it from hanging up while nobody uses it.
fn make_terminals(count: usize, all: &mut Vec<OwnedFd>) -> Result<(), Error> {
    let names = std::iter::once("/dev/console".to_string()).chain((1..=count).map(|n| format!("/dev/tty{n}")));
    for name in names {
        let (master, slave, path) = super::terminal::open_pair().doing(|| format!("open a terminal for {name}"))?;
        let make = Mount { create: Some(Create::File), ..Mount::new(Source::Inside(path), &name) };
        match put_down(&make, None) {
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => {} // no /dev of its own, and nowhere to make one
            done => done.doing(|| described(&make))?,
        }
        all.extend([master, slave]);
    }
    Ok(())
}

/// Third movement: into the user namespace, with a locked copy of the mounts and fewer powers.
fn step_inside(role: &Role) -> Result<(), Error> {
    let spec = role.spec;
    let flags = nix::sched::CloneFlags::CLONE_NEWCGROUP;
    let _ = nix::sched::unshare(flags); // a kernel without control groups is none the worse
    limit(spec)?;
    sys::enter(role.holder, libc::CLONE_NEWUSER).doing(|| "enter the user namespace")?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).doing(|| "take the mounts along")?;
    keyring::take_fresh();
    sys::hide_from_others();
    sys::die_with_parent().doing(|| "tie our life to the monitor's")?;
    let left = capability::bounding(&spec.cap_drop, spec.cap_keep.as_deref());
    sys::bound_capabilities(left.0).doing(|| "drop capabilities")?;
    become_user(spec.init_ids)
}

/// Takes user and group ids; without supplementary groups where they may be dropped.
///
/// # Errors
/// An id that this user namespace does not have.
pub fn become_user((uid, gid): (u32, u32)) -> Result<(), Error> {
    let _ = unistd::setgroups(&[]); // refused in a user namespace of one id; then there are none of note
    let (u, g) = (unistd::Uid::from_raw(uid), unistd::Gid::from_raw(gid));
    unistd::setresgid(g, g, g).doing(|| format!("take the group id {gid}"))?;
    unistd::setresuid(u, u, u).doing(|| format!("take the user id {uid}"))
}

fn limit(spec: &Spec) -> Result<(), Error> {
    use nix::sys::resource::{RLIM_INFINITY, setrlimit};
    bound_processes();
    for (name, soft, hard) in &spec.prlimits {
        let kind = resource(name).ok_or_else(|| Error::said(format!("lxc.prlimit.{name}: no such limit")))?;
        let value = |v: &Option<u64>| v.unwrap_or(RLIM_INFINITY);
        setrlimit(kind, value(soft), value(hard)).doing(|| format!("set lxc.prlimit.{name}"))?;
    }
    Ok(())
}

/// So many processes may an ordinary user's container have, so that a fork bomb stays in its box. Root in it cannot raise it.
const MOST_PROCESSES: u64 = 1024;

/// Sets the bound on processes for ourselves and what we start; the kernel counts for each user namespace by itself.
pub fn bound_processes() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let most = getrlimit(Resource::RLIMIT_NPROC).map_or(MOST_PROCESSES, |(_, hard)| hard.min(MOST_PROCESSES));
    let _ = setrlimit(Resource::RLIMIT_NPROC, most, most);
}

fn resource(name: &str) -> Option<nix::sys::resource::Resource> {
    use nix::sys::resource::Resource as R;
    Some(match name.to_ascii_lowercase().as_str() {
        "as" => R::RLIMIT_AS,
        "core" => R::RLIMIT_CORE,
        "cpu" => R::RLIMIT_CPU,
        "data" => R::RLIMIT_DATA,
        "fsize" => R::RLIMIT_FSIZE,
        "memlock" => R::RLIMIT_MEMLOCK,
        "msgqueue" => R::RLIMIT_MSGQUEUE,
        "nice" => R::RLIMIT_NICE,
        "nofile" => R::RLIMIT_NOFILE,
        "nproc" => R::RLIMIT_NPROC,
        "rss" => R::RLIMIT_RSS,
        "rtprio" => R::RLIMIT_RTPRIO,
        "sigpending" => R::RLIMIT_SIGPENDING,
        "stack" => R::RLIMIT_STACK,
        _ => return None,
    })
}

/// The last act: becomes the program. With `execute`, stays as a small init and runs that beneath itself.
fn begin(role: &Role) -> Error {
    let spec = role.spec;
    let environment = environment(&spec.environment);
    let seated = if role.own_terminal { Ok(()) } else { take_console() };
    let hooked = || hooks::run("start", spec, Path::new(""), None);
    if let Err(error) = seated.and_then(|()| hooked()) {
        return error;
    }
    if unistd::chdir(spec.init_cwd.as_str()).is_err() {
        return Error::said(format!("lxc.init.cwd: {} is not there", spec.init_cwd));
    }
    match role.execute {
        Some(command) => super::start::small_init(role.line, command, &environment),
        None => run(&spec.init, &environment),
    }
}

fn take_console() -> Result<(), Error> {
    unistd::setsid().doing(|| "begin a session")?;
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
    let console = match open("/dev/console", flags, Mode::empty()) {
        Ok(console) => console,
        Err(_) => open("/dev/null", flags, Mode::empty()).doing(|| "open /dev/null in the container")?,
    };
    // SAFETY: no memory is handed over; a console that is no terminal is refused, and that is well.
    unsafe { libc::ioctl(console.as_raw_fd(), libc::TIOCSCTTY, 0) };
    stand_on(&console).doing(|| "take the console")
}

/// Makes a descriptor standard input, output and error.
///
/// # Errors
/// As dup2(2).
pub fn stand_on(fd: &OwnedFd) -> nix::Result<()> {
    unistd::dup2_stdin(fd)?;
    unistd::dup2_stdout(fd)?;
    unistd::dup2_stderr(fd)
}

/// What pid 1 finds in its environment.
fn environment(configured: &[(String, String)]) -> Vec<String> {
    let fixed = [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "USER=root",
        "container=lxc",
    ];
    let term = std::env::var("TERM").unwrap_or_else(|_| "linux".into());
    let configured = configured.iter().map(|(name, value)| format!("{name}={value}"));
    fixed.into_iter().map(String::from).chain([format!("TERM={term}")]).chain(configured).collect()
}

/// Becomes a program; returns only if that fails. A name without `/` is looked for in the `PATH` of `environment`.
pub fn run(command: &[String], environment: &[String]) -> Error {
    let named = command.first().cloned().unwrap_or_default();
    match try_run(command, environment) {
        Ok(never) => match never {},
        Err(source) => Error::Io { doing: format!("Failed to exec \"{named}\""), source },
    }
}

fn try_run(command: &[String], environment: &[String]) -> io::Result<std::convert::Infallible> {
    let zeroed = |words: &[String]| words.iter().map(|w| CString::new(w.as_str())).collect::<Result<Vec<_>, _>>();
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (args, env) = (zeroed(command).map_err(invalid)?, zeroed(environment).map_err(invalid)?);
    let program = args.first().ok_or(io::ErrorKind::NotFound)?;
    sys::close_others_on_exec();
    reset_signals();
    if program.as_bytes().contains(&b'/') {
        return Ok(unistd::execve(program, &args, &env)?);
    }
    let path = environment.iter().rev().find_map(|e| e.strip_prefix("PATH=")).unwrap_or("/bin:/usr/bin");
    let mut last = nix::errno::Errno::ENOENT;
    for folder in path.split(':') {
        let full = CString::new(format!("{folder}/{}", program.to_string_lossy())).map_err(invalid)?;
        match unistd::execve(&full, &args, &env) {
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => {}
            Err(e) => last = e,
            Ok(never) => return Ok(never),
        }
    }
    Err(last.into())
}

/// Every signal unblocked and at its default, as a program expects.
pub fn reset_signals() {
    use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
    let _ = SigSet::empty().thread_set_mask();
    for number in Signal::iterator().filter(|s| ![Signal::SIGKILL, Signal::SIGSTOP].contains(s)) {
        // SAFETY: the default disposition runs no code of ours.
        let _ = unsafe { signal(number, SigHandler::SigDfl) };
    }
}

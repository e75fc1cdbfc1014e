//! Mounting: from an option list to a union that answers.
//!
//! `mount.aufs` forks. The child opens the branches, makes the mount itself (`mount(2)` with type `fuse.aufs`, so that
//! `mount -o remount` and `umount` find their helpers), greets the kernel, and serves until it is unmounted. The parent
//! waits for one line from the child, empty when all is well, and ends with it: so when `mount` returns, the mount answers.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use super::fs::UnionFs;
use super::passthrough::Passthrough;
use super::real::RealBranch;
use super::shared::Shared;
use super::{answer, cached, control, rest, watch};
use crate::sandbox::awake::Awake;
use crate::union::branch::Errno;
use crate::union::options::{Opt, Options};
use crate::union::reshape::{Candidate, Refused};
use crate::union::{Happening, Host, Union};
use crate::world::reporter::Introduction;
use crate::world::{Reporter, What, wire};

/// What is to be mounted where.
pub struct Request {
    /// The source as given; shown, without meaning.
    pub source: String,
    /// The mount point.
    pub target: PathBuf,
    /// The options.
    pub options: Options,
    /// How many threads serve; 0: as many as processors, at least two.
    pub threads: usize,
}

/// The world around the core: a clock and a line to the keeper.
struct Around {
    start: Instant,
    reporter: Reporter,
    budget: watch::Budget,
    bell: Arc<rest::Bell>,
}

impl Host for Around {
    fn now(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn is_watched(&self) -> bool {
        self.reporter.is_watched()
    }

    fn is_curious(&self) -> bool {
        self.is_watched() && self.budget.spend()
    }

    fn tell(&self, happening: Happening) {
        self.reporter.report(None, What::Union(happening));
    }

    fn writing(&self) {
        self.bell.ring();
    }
}

fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Mounts in a process of its own; returns when the mount answers.
///
/// # Errors
/// Whatever is wrong with the options, a branch or the machine.
pub fn mount(request: Request) -> Result<(), Refused> {
    let target = absolute(&request.target)?;
    let (mut reader, writer) = pipe()?;
    // SAFETY: no other thread exists in a helper; the child goes on alone.
    match unsafe { libc::fork() } {
        -1 => Err(Refused::new(last(), "cannot start a process")),
        0 => {
            drop(reader);
            let code = serve(request, &target, writer);
            std::process::exit(code);
        }
        _ => {
            drop(writer);
            let mut said = String::new();
            let _ = reader.read_to_string(&mut said);
            match said.split_once('\n') {
                Some(("0", _)) => {
                    cached::learn(&target);
                    Ok(())
                }
                Some((errno, why)) => Err(Refused::new(Errno(errno.parse().unwrap_or(libc::EIO)), why.trim_end())),
                None => Err(Refused::new(Errno::EIO, "the mount process ended before it answered")),
            }
        }
    }
}

fn pipe() -> Result<(File, File), Refused> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(Refused::new(last(), "cannot make a pipe"));
    }
    // SAFETY: the kernel has just given us both.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}

/// The directory that a path names, absolute and without links.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`.
pub fn absolute(path: &Path) -> Result<PathBuf, Refused> {
    let full =
        path.canonicalize().map_err(|e| Refused::new((&e).into(), format!("mount point {}: {e}", path.display())))?;
    if full.is_dir() {
        Ok(full)
    } else {
        Err(Refused::new(Errno::ENOTDIR, format!("mount point {} is no directory", path.display())))
    }
}

/// The child: says one line when it is ready or has failed, then serves.
fn serve(request: Request, target: &Path, mut tell: File) -> i32 {
    let mut say = |line: &str| drop(tell.write_all(line.as_bytes()));
    match prepare(request, target) {
        Err(refused) => {
            say(&format!("{}\n{}\n", refused.errno.0, refused.why));
            1
        }
        Ok(ready) => {
            detach();
            say("0\n\n");
            drop(tell);
            ready.run()
        }
    }
}

/// Leaves the terminal: a session of its own, no standard input or output.
fn detach() {
    // SAFETY: plain calls; the descriptors stay open as /dev/null.
    unsafe {
        libc::setsid();
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for fd in 0..3 {
            libc::dup2(null, fd);
        }
        libc::chdir(c"/".as_ptr());
    }
}

/// A union that is mounted and has greeted the kernel.
struct Ready {
    session: fuser::Session<UnionFs>,
    shared: Arc<Shared>,
    reporter: Reporter,
    kernel: Arc<control::Kernel>,
    bell: Arc<rest::Bell>,
    at: String,
}

fn prepare(request: Request, target: &Path) -> Result<Ready, Refused> {
    raise_open_files();
    // SAFETY: a plain call. Modes are masked by the union, knowing each caller's mask.
    unsafe { libc::umask(0) };
    let at = target.to_string_lossy().into_owned();
    let (reporter, asked) = connect(&at);
    let bell = Arc::new(rest::Bell::default());
    let (start, budget) = (Instant::now(), watch::Budget::default());
    let around = Around { start, reporter: reporter.clone(), budget, bell: bell.clone() };
    let union: Union<RealBranch> = Union::new(&at, Box::new(around));
    union.mount(&request.options.own, &|path| open_branch(path, Some(target)))?;
    let watcher = watch::Watcher::start(&union);
    let passthrough = request.options.has(PASSTHROUGH).then(Passthrough::default);
    let shared = Arc::new(Shared {
        no_open: AtomicBool::new(passthrough.is_none() && opens_can_stay_in_kernel(&union)),
        passthrough,
        union,
        ttl: AtomicU64::new(0),
        watcher,
        awake: if request.options.has(NO_POLL) { Awake::default() } else { Awake::start() },
        absent: std::sync::Mutex::default(),
    });
    shared.set_ttl();
    let device = open_device()?;
    let kernel = Arc::new(control::Kernel::new(device.try_clone().map_err(|e| Refused::new(e.into(), "/dev/fuse"))?));
    mount_fuse(&request, target, &device)?;
    let config = session_config(request.threads);
    let session = fuser::Session::from_fd(UnionFs::new(&shared, &kernel), device, fuser::SessionACL::All, config);
    let session = session.map_err(|e| {
        unmount(target, libc::MNT_DETACH);
        Refused::new((&e).into(), format!("the kernel does not speak our FUSE: {e}"))
    })?;
    if let Some(refused) = shared.passthrough.as_ref().and_then(|p| p.check(kernel.device()).err()) {
        unmount(target, libc::MNT_DETACH);
        return Err(refused);
    }
    cached::read_ahead(target);
    *asked.lock().unwrap() = Some(shared.clone());
    Ok(Ready { session, shared, reporter, kernel, bell, at })
}

fn session_config(threads: usize) -> fuser::Config {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let mut config = fuser::Config::default();
    config.acl = fuser::SessionACL::All;
    config.n_threads = Some(if threads > 0 { threads } else { processors.clamp(2, 8) });
    config.clone_fd = true;
    config
}

impl Ready {
    fn run(self) -> i32 {
        let Ready { session, shared, reporter, kernel, bell, at } = self;
        shared.union.tell_branches("mount");
        let control = control::listen(&shared, &kernel, Path::new(&at));
        rest::run(&bell, &shared);
        if let Some(watcher) = &shared.watcher {
            watcher.run(&shared, &kernel);
        }
        let ended = session.run();
        drop(control);
        shared.union.flush_plinks();
        reporter.report(None, What::Union(Happening::Unmounted { at }));
        answer::settle();
        i32::from(ended.is_err())
    }
}

type Asked = Arc<std::sync::Mutex<Option<Arc<Shared>>>>;

/// Connects to the keeper if there is one; questions are answered once the union is there.
fn connect(at: &str) -> (Reporter, Asked) {
    let asked = Asked::default();
    let name = format!("mount:{at}");
    let introduction = Introduction { name: name.clone(), role: "mount".to_owned(), ..Introduction::default() };
    let shared = asked.clone();
    let connected = Reporter::connect(&wire::socket_path(), introduction, move |question| {
        let union = shared.lock().unwrap().clone();
        let result = match union {
            Some(shared) => answer::answer(&shared.union, &question.ask),
            None => Err("the union is being mounted; ask again".to_owned()),
        };
        question.answer(result);
    });
    (connected.unwrap_or_else(|_| Reporter::silent(&name)), asked)
}

/// Whether `open` may be answered in the kernel: everything can be written somewhere above, and no branch wants to be told.
fn opens_can_stay_in_kernel(union: &Union<RealBranch>) -> bool {
    let members = union.members();
    let first = members.first().is_some_and(|m| m.writable());
    let readable = union.settings().read_only;
    (first || readable) && members.iter().all(|m| m.permission().coo.is_none())
}

/// As many open files as we may have: every cached directory is held on each branch.
fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for one limit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// The option that hands files over to the kernel (see [`super::passthrough`]).
pub const PASSTHROUGH: &str = "passthrough";

/// The option that lets processors sleep between requests (see [`Awake`]).
const NO_POLL: &str = "nopoll";

/// File systems that cannot change: their branches are `rr` by default (squashfs, iso9660, cramfs, romfs).
const IMMUTABLE: [i64; 4] = [0x7371_7368, 0x9660, 0x28cd_3d45, 0x7275];
/// File systems that cannot be a branch (proc, sysfs, configfs, debugfs, securityfs, ecryptfs).
const REFUSED: [(i64, &str); 6] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x6265_6570, "configfs"),
    (0x6462_6720, "debugfs"),
    (0x7363_6673, "securityfs"),
    (0xf15f, "ecryptfs"),
];

/// Opens a directory as a branch.
///
/// # Errors
/// `EINVAL` for what cannot be one, with the reason.
pub fn open_branch(path: &str, target: Option<&Path>) -> Result<Candidate<RealBranch>, Refused> {
    let bad = |why: String| Refused::new(Errno::EINVAL, why);
    let full = Path::new(path).canonicalize().map_err(|e| bad(format!("branch {path}: {e}")))?;
    if !full.is_dir() {
        return Err(bad(format!("branch {path} is no directory")));
    }
    if target.is_some_and(|t| full.starts_with(t)) {
        return Err(bad(format!("branch {path} is the mount point itself or lies in it")));
    }
    let magic = file_system(&full).map_err(|e| bad(format!("branch {path}: {e}")))?;
    if let Some((_, name)) = REFUSED.iter().find(|(refused, _)| *refused == magic) {
        return Err(bad(format!("branch {path} lies on {name}, which cannot be a branch")));
    }
    let branch = RealBranch::open(full.as_os_str()).map_err(|e| bad(format!("branch {path}: {e}")))?;
    Ok(Candidate { branch, path: full.to_string_lossy().into_owned(), immutable: IMMUTABLE.contains(&magic) })
}

/// Whether a directory lies on a file system that is stacked on another (overlayfs, another union).
pub fn is_stacked(path: &Path) -> bool {
    const STACKED: [i64; 2] = [0x794c_7630, 0x6573_5546];
    file_system(path).is_ok_and(|magic| STACKED.contains(&magic))
}

fn file_system(path: &Path) -> Result<i64, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut s = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is NUL-terminated, `s` large enough and filled when the call succeeds.
    unsafe {
        if libc::statfs(path.as_ptr(), s.as_mut_ptr()) < 0 {
            return Err(last());
        }
        Ok(s.assume_init().f_type)
    }
}

fn open_device() -> Result<OwnedFd, Refused> {
    let open = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    open.map(OwnedFd::from).map_err(|e| {
        Refused::new((&e).into(), format!("/dev/fuse: {e} (load the fuse module; `terrarium doctor` says more)"))
    })
}

/// The mount flags of option words.
const MOUNT_FLAGS: [(&str, libc::c_ulong); 8] = [
    ("nosuid", libc::MS_NOSUID),
    ("nodev", libc::MS_NODEV),
    ("noexec", libc::MS_NOEXEC),
    ("sync", libc::MS_SYNCHRONOUS),
    ("dirsync", libc::MS_DIRSYNC),
    ("noatime", libc::MS_NOATIME),
    ("nodiratime", libc::MS_NODIRATIME),
    ("silent", libc::MS_SILENT),
];

fn mount_fuse(request: &Request, target: &Path, device: &OwnedFd) -> Result<(), Refused> {
    let flags = mount_flags(&request.options);
    // SAFETY: plain calls.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let fd = device.as_raw_fd();
    let data = format!("fd={fd},rootmode=40000,user_id={uid},group_id={gid},default_permissions,allow_other");
    let text = |s: &OsStr| CString::new(s.as_bytes()).map_err(|_| Refused::new(Errno::EINVAL, "a NUL in a path"));
    let (source, data) = (text(OsStr::new(&request.source))?, text(OsStr::new(&data))?);
    let target = text(target.as_os_str())?;
    // SAFETY: all strings are NUL-terminated and outlive the call.
    let done =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), c"fuse.aufs".as_ptr(), flags, data.as_ptr().cast()) };
    if done == 0 {
        return Ok(());
    }
    let errno = last();
    let hint = if errno == Errno::EPERM { " (mounting needs root, here or in a world: `terrarium run`)" } else { "" };
    Err(Refused::new(errno, format!("mount: {errno}{hint}")))
}

/// The kernel's mount flags of an option list.
fn mount_flags(options: &Options) -> libc::c_ulong {
    let read_only = options.own.iter().rev().find_map(|o| if let Opt::ReadOnly(ro) = o { Some(*ro) } else { None });
    let words = MOUNT_FLAGS.iter().filter(|(word, _)| options.has(word)).map(|(_, flag)| flag);
    words.fold(if read_only == Some(true) { libc::MS_RDONLY } else { 0 }, |all, flag| all | flag)
}

/// The kernel's side of a remount: `ro`, `noexec` and their kin. mount(8) gives all that shall hold, not only what is new.
///
/// # Errors
/// `EBUSY` if a file is open for writing and the mount shall be read-only.
pub fn remount_kernel(target: &Path, options: &Options) -> Result<(), Refused> {
    let path =
        CString::new(target.as_os_str().as_bytes()).map_err(|_| Refused::new(Errno::EINVAL, "a NUL in a path"))?;
    let flags = libc::MS_REMOUNT | mount_flags(options);
    let (none, data) = (c"none".as_ptr(), std::ptr::null());
    // SAFETY: all strings are NUL-terminated and outlive the call.
    if unsafe { libc::mount(none, path.as_ptr(), none, flags, data) } == 0 {
        return Ok(());
    }
    let errno = last();
    let hint = if errno == Errno::EBUSY { " (a file is open for writing)" } else { "" };
    Err(Refused::new(errno, format!("remount: {errno}{hint}")))
}

/// Takes a mount away; 0 or the error.
pub fn unmount(target: &Path, flags: i32) -> i32 {
    let Ok(path) = CString::new(target.as_os_str().as_bytes()) else { return libc::EINVAL };
    // SAFETY: the path is NUL-terminated and outlives the call.
    if unsafe { libc::umount2(path.as_ptr(), flags) } == 0 { 0 } else { last().0 }
}

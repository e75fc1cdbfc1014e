//! Mounting: from an option list to a union that answers.
//!
//! `mount.aufs` forks. The child opens the branches, makes the mount itself (`mount(2)` with type `fuse.aufs`, so that
//! `mount -o remount` and `umount` find their helpers), greets the kernel, and serves until it is unmounted. The parent
//! waits for one line from the child, empty when all is well, and ends with it: so when `mount` returns, the mount answers.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::attach::{mount_fuse, open_branch, unmount};
use super::fs::UnionFs;
use super::kernel::Kernel;
use super::passthrough::Passthrough;
use super::real::RealBranch;
use super::shared::Shared;
use super::{answer, cached, control, rest, watch};
use crate::sandbox::awake::Awake;
use crate::union::branch::Errno;
use crate::union::options::{Options, Udba};
use crate::union::reshape::Refused;
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
}

/// The world around the core: a clock and a line to the keeper.
struct Around {
    start: Instant,
    reporter: Reporter,
    budget: Budget,
    bell: Arc<rest::Bell>,
    shared: Arc<OnceLock<Weak<Shared>>>,
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

    fn regrouped(&self, ino: u64) {
        if let Some(shared) = self.shared.get().and_then(Weak::upgrade) {
            shared.regrouped(ino);
        }
    }

    fn writing(&self) {
        self.bell.ring();
    }
}

/// How many look-ups are reported per second.
const PER_SECOND: u64 = 50;

/// A budget of reports that are only interesting while they are few.
#[derive(Default)]
struct Budget {
    second: AtomicU64,
    spent: AtomicU64,
}

impl Budget {
    /// Whether one more may be spent this second.
    fn spend(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if self.second.swap(now, Relaxed) != now {
            self.spent.store(0, Relaxed);
        }
        self.spent.fetch_add(1, Relaxed) < PER_SECOND
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
    kernel: Arc<Kernel>,
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
    let (start, budget) = (Instant::now(), Budget::default());
    let known = Arc::new(OnceLock::new());
    let around = Around { start, reporter: reporter.clone(), budget, bell: bell.clone(), shared: known.clone() };
    let union: Union<RealBranch> = Union::new(&at, Box::new(around));
    union.mount(&request.options.own, &|path| open_branch(path, Some(target)))?;
    let watcher = watch::Watcher::start(&union);
    let passthrough = request.options.has(PASSTHROUGH).then(Passthrough::default);
    let shared = Arc::new(Shared {
        no_open: AtomicBool::new(passthrough.is_none() && opens_can_stay_in_kernel(&union)),
        no_opendir: union.settings().udba != Udba::Reval && (watcher.is_some() || union.settings().udba == Udba::None),
        passthrough,
        union,
        ttl: AtomicU64::new(0),
        watcher,
        awake: if request.options.has(NO_POLL) { Awake::default() } else { Awake::start() },
        absent: std::sync::Mutex::default(),
    });
    let _ = known.set(Arc::downgrade(&shared));
    shared.set_ttl();
    let device = open_device()?;
    let kernel = Arc::new(Kernel::new(device.try_clone().map_err(|e| Refused::new(e.into(), "/dev/fuse"))?));
    mount_fuse(&request, target, &device)?;
    let config = session_config(shared.awake.is_on());
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

/// How many threads serve. One a processor, where those do not sleep. Else several: the longer a thread has waited, the more likely
/// it is woken on a processor that has nothing else to do. Measured on two processors: reading many small files takes a quarter
/// less time with eight threads than with two; with wakeful processors it takes a quarter more.
fn session_config(awake: bool) -> fuser::Config {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = if awake { processors.clamp(2, 8) } else { (4 * processors).clamp(4, 16) };
    let mut config = fuser::Config::default();
    config.acl = fuser::SessionACL::All;
    config.n_threads = Some(threads);
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
pub const NO_POLL: &str = "nopoll";

fn open_device() -> Result<OwnedFd, Refused> {
    let open = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    open.map(OwnedFd::from).map_err(|e| {
        Refused::new((&e).into(), format!("/dev/fuse: {e} (load the fuse module; `terrarium doctor` says more)"))
    })
}

//! The mount: a volume as a file system of this machine, through FUSE.
//!
//! The kernel caches names, figures and contents; what another client changes is told by the bricks and taken out of the kernel's
//! caches ([`heed`]), so that two mounts of a volume see the same. Locks of processes (fcntl, flock) are held on
//! the bricks ([`locks`]).

mod attr;
mod aux;
mod buffer;
mod contents;
mod fs;
mod heed;
mod inodes;
mod listing;
mod locks;
mod meta;
mod names;
mod virtuals;
mod xattrs;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fuser::{Notifier, SessionACL};

use self::buffer::Buffers;
use self::heed::Stale;
use self::inodes::Inodes;
use super::heal;
use super::session::{Notice, Session};
use crate::volume::gfid::Gfid;
use crate::volume::heal::Choice;
use crate::volume::options;
use crate::volume::rpc::Fop;

/// The largest read that the kernel may send.
const MAX_READ: usize = 1 << 20;

/// How long the kernel may believe what it was told.
#[derive(Debug, Clone, Copy)]
pub struct Ttl {
    /// Figures (`attribute-timeout`).
    pub attribute: Duration,
    /// Names (`entry-timeout`).
    pub entry: Duration,
}

/// How to mount.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// Where.
    pub point: PathBuf,
    /// What the mount table shows as its source: `server1:/gv0`.
    pub source: String,
    /// `ro`.
    pub read_only: bool,
    /// A directory of the volume to mount instead of its root.
    pub subdir: Option<String>,
    /// Whether everything is also found by its identity, below `.gfid`.
    pub aux_gfid: bool,
    /// The machine that mounts.
    pub machine: String,
    /// Time-outs.
    pub ttl: Ttl,
}

/// A mounted volume.
pub struct Mounted {
    session: Arc<Session>,
    buffers: Buffers,
    inodes: Inodes,
    locks: locks::Locks,
    meta: meta::Meta,
    /// How many minutes a choice in split-brain holds.
    choice_minutes: AtomicU64,
    /// Whether there is a `.gfid`.
    aux_gfid: bool,
    ttl: Ttl,
    notifier: OnceLock<Notifier>,
    /// The kernel's end, for a message that [`Notifier`] does not have.
    device: OwnedFd,
    /// What the kernel is to forget.
    stale: Sender<Stale>,
    /// What is to be healed from here.
    heals: Sender<Gfid>,
}

impl Mounted {
    /// Listings come from one copy; they are believed when no copy blames another.
    fn trusts_listings(&self) -> bool {
        self.session.files.graph().sets.iter().all(|set| !set.wire.is_blaming())
    }

    /// A person chose a copy to read in split-brain.
    fn choose(&self, number: u64, gfid: Gfid, slot: &[u8]) -> Result<(), i32> {
        let choice = virtuals::slot(&self.session.files, gfid, slot)?;
        let until = Instant::now() + Duration::from_secs(60 * self.choice_minutes.load(Relaxed));
        self.inodes.with(number, |k| k.choice = choice.map(|copy| (copy, until)));
        self.forget_contents(gfid);
        Ok(())
    }

    /// How long later choices hold, in minutes.
    fn choose_for(&self, minutes: &[u8]) -> Result<(), i32> {
        let minutes = std::str::from_utf8(minutes).ok().and_then(|text| text.parse().ok()).ok_or(libc::EINVAL)?;
        self.choice_minutes.store(minutes, Relaxed);
        Ok(())
    }

    /// A person says which copy is right: the others are healed from it.
    fn finalize(&self, number: u64, gfid: Gfid, slot: &[u8]) -> Result<(), i32> {
        let source = virtuals::slot(&self.session.files, gfid, slot)?.ok_or(libc::EINVAL)?;
        heal::inode(&*self.session.files.set_of(gfid)?, gfid, Some(Choice::Source(source)), false)?;
        self.inodes.with(number, |k| k.choice = None);
        self.forget_contents(gfid);
        Ok(())
    }

    /// Copies accuse each other: they are healed from here, in the background, if the volume's options want it.
    fn heal(&self, gfid: Gfid) {
        let volume = &self.session.files.graph().volume;
        let wanted = ["cluster.data-self-heal", "cluster.metadata-self-heal", "cluster.entry-self-heal"];
        if wanted.iter().any(|key| options::is_on(volume, key)) {
            let _ = self.heals.send(gfid);
        }
    }
}

/// Mounts a volume whose session `start` makes, calls `ready` when it is mounted, and serves it until it is unmounted.
///
/// # Errors
/// If it cannot be mounted.
pub fn serve(
    options: &MountOptions,
    start: impl FnOnce(Box<dyn Fn(Notice) + Send>) -> io::Result<Arc<Session>>,
    ready: impl FnOnce(),
) -> io::Result<()> {
    let (stale, waiting) = channel();
    let ear = heed::Ear::default();
    let own = ear.clone();
    let session = start(Box::new(move |news| own.get().into_iter().for_each(|mounted| mounted.heed(&news))))?;
    let root = match &options.subdir {
        Some(dir) => session.files.directory(dir.as_bytes()).map_err(io::Error::from_raw_os_error)?,
        None => Gfid::ROOT,
    };
    let (buffers, inodes) = (Buffers::new(session.clone(), stale.clone())?, Inodes::new(root));
    let fd = mount(options)?;
    let (heals, accused) = channel();
    let mounted = Arc::new(Mounted {
        session,
        device: fd.try_clone()?,
        buffers,
        inodes,
        locks: <_>::default(),
        meta: meta::Meta::new(&options.point, &options.machine),
        choice_minutes: AtomicU64::new(5),
        aux_gfid: options.aux_gfid,
        ttl: options.ttl,
        notifier: OnceLock::new(),
        stale,
        heals,
    });
    let healed = mounted.session.clone();
    std::thread::Builder::new().name("heal".into()).spawn(move || heal_all(&healed, &accused))?;
    let told = Arc::downgrade(&mounted);
    crate::volume::dump::on_request(move || told.upgrade().map(|mounted| mounted.sections()));
    let mut config = fuser::Config::default();
    config.acl = SessionACL::All;
    config.n_threads = Some(8);
    let fuse = fuser::Session::from_fd(fs::Fs(mounted.clone()), fd, SessionACL::All, config);
    let fuse = fuse.inspect_err(|_| unmount(&options.point))?;
    read_ahead(&options.point);
    let _ = mounted.notifier.set(fuse.notifier());
    let own = mounted.clone();
    std::thread::Builder::new().name("forget".into()).spawn(move || heed::forget_all(&own, &waiting))?;
    let _ = ear.set(mounted.clone());
    ready();
    let outcome = fuse.run();
    mounted.buffers.flush_all();
    outcome
}

/// Heals one inode after the other; who asked for one meanwhile is not served twice.
fn heal_all(session: &Session, accused: &Receiver<Gfid>) {
    while let Ok(first) = accused.recv() {
        let all: BTreeSet<Gfid> = std::iter::once(first).chain(accused.try_iter()).collect();
        let policy = options::value(&session.files.graph().volume, "cluster.favorite-child-policy").to_owned();
        for gfid in all {
            if let Ok(set) = session.files.set_of(gfid) {
                // What cannot be healed now is left to the self-heal daemon.
                let _ = heal::inode(&set, gfid, Choice::policy(&policy), false);
            }
        }
    }
}

/// mount(2) with a type of our own, so that the mount table says `fuse.glusterfs`.
fn mount(options: &MountOptions) -> io::Result<OwnedFd> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
    let c = |bytes: &[u8]| CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    // SAFETY: these cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let data = format!(
        "fd={},rootmode=40000,user_id={uid},group_id={gid},default_permissions,allow_other,max_read={MAX_READ}",
        device.as_raw_fd()
    );
    let (source, point) = (c(options.source.as_bytes())?, c(options.point.as_os_str().as_bytes())?);
    let flags = if options.read_only { libc::MS_RDONLY } else { 0 };
    let data = c(data.as_bytes())?;
    // SAFETY: all strings live until the call returns.
    let outcome = unsafe {
        libc::mount(source.as_ptr(), point.as_ptr(), c"fuse.glusterfs".as_ptr(), flags, data.as_ptr().cast())
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(device.into())
}

/// Lets the kernel read ahead as much as it may read at once. Only root may say so; without it, reading goes in smaller steps.
fn read_ahead(point: &Path) {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let at_point = |line: &&str| line.split(' ').nth(4) == point.to_str();
    if let Some(device) = table.lines().rfind(at_point).and_then(|l| l.split(' ').nth(2)) {
        let _ = std::fs::write(format!("/sys/class/bdi/{device}/read_ahead_kb"), (MAX_READ >> 10).to_string());
    }
}

fn unmount(point: &Path) {
    if let Ok(point) = CString::new(point.as_os_str().as_bytes()) {
        // SAFETY: a C string. If it fails, it was not mounted.
        unsafe { libc::umount2(point.as_ptr(), libc::MNT_DETACH) };
    }
}

impl super::files::Files {
    /// An unlinked file is open here no longer.
    pub fn close(&self, gfid: Gfid) {
        for set in &self.graph().sets {
            let up = set.wire.up();
            set.wire.ask(up, &[Fop::Close { gfid }]);
        }
    }
}

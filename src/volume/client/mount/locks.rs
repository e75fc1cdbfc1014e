//! Locks of processes (fcntl, flock): held on the bricks, so that they hold between mounts.
//!
//! A lock is asked for on the first brick of a set that is up, then on the others. Whoever must wait sleeps on a thread of its own until
//! a brick says that something became free, and tries again; a signal to the waiting process ends that (`EINTR`). What this
//! mount holds is written down here, to be taken anew on a brick that comes back.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use fuser::{Errno, INodeNo, LockOwner, ReplyEmpty, ReplyLock, Request};

use super::Mounted;
use super::fs::Fs;
use crate::volume::client::session::Session;
use crate::volume::gfid::Gfid;
use crate::volume::ranges::Ranges;
use crate::volume::rpc::{Held, Hold};

/// How often somebody who waits looks whether a signal came.
const GLANCE: Duration = Duration::from_millis(100);
/// After how many of these it tries again without being told: the one who would tell may be gone.
const PATIENCE: u32 = 10;

/// What this mount holds, and a bell for those who wait.
#[derive(Debug, Default)]
pub struct Locks {
    held: Mutex<Ranges>,
    /// Written while they are all taken anew: what is given back meanwhile must not come again.
    anew: RwLock<()>,
    freed: (Mutex<u64>, Condvar),
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel's numbers mean.
fn hold(kind: i32) -> Result<Hold, i32> {
    match kind {
        libc::F_UNLCK => Ok(Hold::None),
        libc::F_RDLCK => Ok(Hold::Read),
        libc::F_WRLCK => Ok(Hold::Write),
        _ => Err(libc::EINVAL),
    }
}

fn kind(hold: Hold) -> i32 {
    match hold {
        Hold::None => libc::F_UNLCK,
        Hold::Read => libc::F_RDLCK,
        Hold::Write => libc::F_WRLCK,
    }
}

impl Locks {
    /// Something became free somewhere.
    pub fn ring(&self) {
        *guard(&self.freed.0) += 1;
        self.freed.1.notify_all();
    }

    /// Takes a lock or gives one back.
    ///
    /// # Errors
    /// EAGAIN if somebody is in the way; ENOTCONN without enough bricks.
    pub fn set(&self, session: &Session, gfid: Gfid, wish: &Held) -> Result<(), i32> {
        let _one = self.anew.read().unwrap_or_else(PoisonError::into_inner);
        session.files.hold(gfid, wish)?;
        // Bricks decide; this is a record of what they granted.
        let _ = guard(&self.held).set(0, gfid, wish);
        Ok(())
    }

    /// The same, until it is had or a signal is pending for the process.
    ///
    /// # Errors
    /// EINTR; else as of [`Locks::set`].
    pub fn wait(&self, session: &Session, gfid: Gfid, wish: &Held, process: u32) -> Result<(), i32> {
        loop {
            let seen = *guard(&self.freed.0);
            match self.set(session, gfid, wish) {
                Err(libc::EAGAIN) => {}
                other => return other,
            }
            for _ in 0..PATIENCE {
                let waited = self.freed.1.wait_timeout_while(guard(&self.freed.0), GLANCE, |now| *now == seen);
                if *waited.unwrap_or_else(PoisonError::into_inner).0 != seen {
                    break;
                }
                if has_signal(process) {
                    return Err(libc::EINTR);
                }
            }
        }
    }

    /// A file was closed: all that an owner holds of it is free.
    pub fn close(&self, session: &Session, gfid: Gfid, owner: u64) {
        let any = guard(&self.held).of(gfid).iter().any(|h| h.owner == owner);
        if any {
            let all = Held { owner, pid: 0, hold: Hold::None, first: 0, last: u64::MAX };
            // Without bricks there is nobody who holds it either.
            let _ = self.set(session, gfid, &all);
        }
    }

    /// A brick came back and knows of none: takes them anew.
    pub fn restore(&self, session: &Session) {
        let _all = self.anew.write().unwrap_or_else(PoisonError::into_inner);
        let all = guard(&self.held).all();
        for (gfid, held) in all {
            let _ = session.files.hold(gfid, &held);
        }
    }
}

/// Whether a signal that it does not block waits for a process; `false` if it cannot be seen from here.
fn has_signal(process: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else { return false };
    let mask = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let of = |key: &str| mask(key).unwrap_or_default();
    (of("SigPnd:") | of("ShdPnd:")) & !of("SigBlk:") & !of("SigIgn:") != 0
}

impl Fs {
    pub(super) fn set_lock(
        &self,
        req: &Request,
        ino: INodeNo,
        (owner, pid, typ): (LockOwner, u32, i32),
        (first, last): (u64, u64),
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let wish = hold(typ).map(|hold| Held { owner: owner.0, pid, hold, first, last });
        let (gfid, wish) = match self.gfid(ino).and_then(|gfid| Ok((gfid, wish?))) {
            Ok(both) => both,
            Err(errno) => return reply.error(Errno::from_i32(errno)),
        };
        let (mounted, process) = (self.0.clone(), req.pid());
        if !sleep || wish.hold == Hold::None {
            return super::fs::empty(reply, mounted.locks.set(&mounted.session, gfid, &wish));
        }
        let body = move || {
            super::fs::empty(reply, mounted.locks.wait(&mounted.session, gfid, &wish, process));
        };
        // Without a thread the reply is dropped, which answers EIO.
        let _ = std::thread::Builder::new().name("lock".into()).spawn(body);
    }

    pub(super) fn get_lock(&self, ino: INodeNo, wish: (LockOwner, u32, i32), part: (u64, u64), reply: ReplyLock) {
        let (owner, pid, typ) = wish;
        let holder = hold(typ).and_then(|hold| {
            let wish = Held { owner: owner.0, pid, hold, first: part.0, last: part.1 };
            self.0.session.files.holder(self.gfid(ino)?, &wish)
        });
        match holder {
            Ok(Some(held)) => reply.locked(held.first, held.last, kind(held.hold), held.pid),
            Ok(None) => reply.locked(0, 0, libc::F_UNLCK, 0),
            Err(errno) => reply.error(Errno::from_i32(errno)),
        }
    }
}

impl Mounted {
    /// A descriptor of a file is closed by an owner of locks.
    pub(super) fn unlock(&self, gfid: Gfid, owner: LockOwner) {
        self.locks.close(&self.session, gfid, owner.0);
    }
}

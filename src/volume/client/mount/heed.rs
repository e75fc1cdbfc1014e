//! What others did, taken out of the kernel's caches.
//!
//! Whoever changed something waits until the other mounts have heeded it ([`crate::volume::client::session::Notice`]). So what cannot
//! wait is done at once, and by what never waits itself: figures are taken back, and the inode is in **doubt**: the next open asks the
//! bricks whether it is still there, and does not trust cached pages. Pages and names go after that, on a thread of their own: the kernel may have
//! locked them while it waits for an answer of ours.

use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fuser::INodeNo;

use super::Mounted;
use crate::volume::client::session::Notice;
use crate::volume::gfid::Gfid;

/// What the kernel is to forget as soon as it can.
#[derive(Debug)]
pub(super) enum Stale {
    /// Figures and contents of an inode.
    Inode(Gfid),
    /// A name in a directory.
    Name(Gfid, Bytes),
    /// Everything. `came`: a brick came, which knows of no locks.
    All {
        /// See above.
        came: bool,
    },
}

/// Where a session tells its news: to the mount, once there is one.
pub(super) type Ear = Arc<OnceLock<Arc<Mounted>>>;

impl Mounted {
    /// Heeds what somebody did, without waiting for anything.
    pub(super) fn heed(&self, news: &Notice) {
        match news {
            Notice::Freed => self.locks.ring(),
            Notice::Changed(gfid, None) => {
                self.doubt(*gfid);
                self.outdated(Stale::Inode(*gfid));
            }
            Notice::Changed(dir, Some((name, came))) => {
                self.forget_figures(*dir);
                // That a name is missing is nothing that the kernel remembers.
                if !came {
                    self.outdated(Stale::Name(*dir, name.clone()));
                }
            }
            Notice::Gone(gfid, brick) => {
                self.doubt(*gfid);
                let open = self.inodes.with(self.inodes.number(*gfid), |k| {
                    k.kept = k.open > 0;
                    k.kept
                });
                if open != Some(true) {
                    self.session.let_go(*gfid, *brick);
                }
                self.outdated(Stale::Inode(*gfid));
            }
            // What a brick that went would have told is told by nobody. One that came may show that copies accuse each other, and
            // what was changed on it meanwhile was told to nobody.
            Notice::Brick { up, .. } => {
                self.inodes.doubt_all();
                // Where the kernel cannot do it, names live out their time.
                let _ = self.expire_all();
                self.outdated(Stale::All { came: *up });
            }
        }
    }

    /// The kernel forgets this soon; nobody need wait for it.
    pub(super) fn outdated(&self, what: Stale) {
        // The thread ends with the process only.
        let _ = self.stale.send(what);
    }

    fn doubt(&self, gfid: Gfid) {
        self.inodes.doubt(self.inodes.number(gfid));
        self.forget_figures(gfid);
    }

    /// The kernel asks for an inode's figures again.
    fn forget_figures(&self, gfid: Gfid) {
        if let Some(notifier) = self.notifier.get() {
            // The kernel may not know it (any more): then there is nothing to do.
            let _ = notifier.inval_inode(INodeNo(self.inodes.number(gfid)), -1, 0);
        }
    }

    /// The kernel forgets figures and contents of an inode.
    pub(super) fn forget_contents(&self, gfid: Gfid) {
        if let Some(notifier) = self.notifier.get() {
            let _ = notifier.inval_inode(INodeNo(self.inodes.number(gfid)), 0, 0);
        }
    }

    /// A name is looked up again before it is used. (To drop it, as [`fuser::Notifier::inval_entry`] does, would pull a working
    /// directory from under a process. Kernels before 6.2 do not know the difference and drop it.)
    fn expire(&self, dir: Gfid, name: &[u8]) -> io::Result<()> {
        const INVAL_ENTRY: i32 = 3;
        const EXPIRE_ONLY: u32 = 1;
        let length = u32::try_from(name.len()).map_err(io::Error::other)?;
        let parent = self.inodes.number(dir);
        let head = [&parent.to_ne_bytes()[..], &length.to_ne_bytes(), &EXPIRE_ONLY.to_ne_bytes()];
        self.tell_kernel(INVAL_ENTRY, &[&head.concat(), name, &[0]].concat())
    }

    /// All names are looked up again before they are used. (Kernels before 6.16 do not know this; there they stay as long as
    /// `entry-timeout` says.)
    fn expire_all(&self) -> io::Result<()> {
        const INC_EPOCH: i32 = 8;
        self.tell_kernel(INC_EPOCH, &[])
    }

    /// A message to the kernel that answers nothing: length, kind, 0, body.
    fn tell_kernel(&self, kind: i32, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
        let message = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &0_u64.to_ne_bytes(), body].concat();
        nix::unistd::write(&self.device, &message).map(drop).map_err(io::Error::from)
    }

    fn make_forget(&self, what: &Stale) {
        match what {
            Stale::Inode(gfid) => self.forget_contents(*gfid),
            Stale::Name(dir, name) => drop(self.expire(*dir, name)),
            Stale::All { came } => {
                if *came {
                    self.locks.restore(&self.session);
                }
                for number in self.inodes.all() {
                    if let Ok(known) = self.inodes.get(number) {
                        self.forget_contents(known.gfid);
                    }
                }
            }
        }
    }
}

/// Makes the kernel forget, one thing after the other.
pub(super) fn forget_all(mounted: &Arc<Mounted>, waiting: &Receiver<Stale>) {
    while let Ok(what) = waiting.recv() {
        match what {
            // It takes long when the kernel knows much, and what others change meanwhile must not wait for it.
            Stale::All { .. } => {
                let own = mounted.clone();
                let _ = std::thread::Builder::new().name("doubt".into()).spawn(move || own.make_forget(&what));
            }
            what => mounted.make_forget(&what),
        }
    }
}

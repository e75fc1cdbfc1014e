//! What inodes' attributes said when they were last read.
//!
//! To describe an inode takes several system calls, most of them for its attributes. Whatever changes an attribute, also by hand on
//! the brick, gives the inode a new ctime: as long as it has the one that it was described with, what was read still holds. An inode
//! that changed a moment ago is not remembered, as the clock of a file system may be too coarse to tell two changes apart.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::inode::figures;
use super::{Store, held};
use crate::volume::rpc::Inode;
use crate::volume::xattr::Mdata;

/// How many inodes are remembered.
const MOST: usize = 131_072;
/// How long ago the last change must be.
const SETTLED: Duration = Duration::from_millis(100);

/// By inode number: the ctime at which it was so, the inode, its times on record.
pub(super) type Faces = HashMap<u64, ((i64, i64), Inode, Option<Mdata>)>;

impl Store {
    /// The inode with these figures, if it was described before and did not change since.
    pub(super) fn face(&self, stat: &libc::stat) -> Option<Inode> {
        let faces = held(&self.faces);
        let (_, inode, mdata) = faces.get(&stat.st_ino).filter(|(at, ..)| *at == changed(stat))?;
        if self.flight(inode.gfid).is_some() {
            return None;
        }
        Some(Inode { iatt: figures(stat, *mdata), ..inode.clone() })
    }

    /// Remembers an inode as it was just described.
    pub(super) fn keep_face(&self, stat: &libc::stat, inode: &Inode, mdata: Option<Mdata>) {
        if !is_settled(stat, SystemTime::now()) {
            return;
        }
        let mut faces = held(&self.faces);
        if faces.len() >= MOST {
            faces.clear();
        }
        faces.insert(stat.st_ino, (changed(stat), inode.clone(), mdata));
    }
}

fn changed(stat: &libc::stat) -> (i64, i64) {
    (stat.st_ctime, stat.st_ctime_nsec)
}

/// Whether a change from now on would show.
fn is_settled(stat: &libc::stat, now: SystemTime) -> bool {
    let (sec, nsec) = changed(stat);
    let at = Duration::new(u64::try_from(sec).unwrap_or_default(), u32::try_from(nsec).unwrap_or_default());
    now.duration_since(UNIX_EPOCH).is_ok_and(|now| now > at + SETTLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What changed just now, or has a time in the future, may change again without showing it.
    #[test]
    fn what_just_changed_is_not_remembered() {
        let at = |sec| {
            // SAFETY: a plain structure of numbers.
            let mut stat: libc::stat = unsafe { std::mem::zeroed() };
            stat.st_ctime = sec;
            stat
        };
        let now = UNIX_EPOCH + Duration::from_secs(100);
        assert!(is_settled(&at(99), now));
        assert!(!is_settled(&at(100), now) && !is_settled(&at(200), now));
    }
}

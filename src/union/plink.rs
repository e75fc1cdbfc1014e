//! Making pseudo-links real before an unmount.
//!
//! While the union is mounted, a file with several names of which one was copied up is one file under all of them
//! ([`super::place`]). That knowledge is lost at the unmount; so before it every other name is made a real hard link of the
//! copy, as AUFS's `auplink flush` does.

use std::ffi::OsStr;
use std::sync::Arc;

use super::branch::{Branch, Kind};
use super::node::Node;
use super::{Union, lookup};

impl<B: Branch> Union<B> {
    /// Walks the union and links every name that still stands for a copied-up file; forgets the pseudo-links.
    pub fn flush_plinks(&self) {
        if self.plinks.read().unwrap().is_empty() {
            return;
        }
        let root = self.root();
        self.flush_dir(&root);
        for plink in self.plinks.write().unwrap().drain().map(|(_, plink)| plink) {
            let _ = plink.member.branch.unlink(&plink.dir, &plink.name);
        }
    }

    fn flush_dir(&self, dir: &Arc<Node<B>>) {
        let Ok(listing) = self.listing(dir, 0, false) else { return };
        for item in listing.items() {
            if self.plinks.read().unwrap().is_empty() {
                return;
            }
            match item.kind() {
                Some(Kind::Dir) => {
                    let Ok((child, _)) = self.lookup(dir, listing.name(item)) else { continue };
                    self.flush_dir(&child);
                    self.forget(child.ino, 1);
                }
                _ => self.flush_name(dir, listing.name(item)),
            }
        }
    }

    /// Links one name to the copy if it stands for a file that has one.
    fn flush_name(&self, dir: &Arc<Node<B>>, name: &OsStr) {
        let Ok(Some(found)) = lookup::find(&dir.places(), 0, name) else { return };
        let old = found.stat.key;
        let (copy, Some(from)) = self.through_plink(found) else { return };
        let member = copy.top;
        let mut changes = self.changing();
        if let Ok(at) = self.ensure_dir(&mut changes, dir, &member)
            && member.branch.link(&from.0, &from.1, &at.dir, name).is_ok()
        {
            self.settle_plink(old);
        }
    }
}

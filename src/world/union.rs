//! The union part of the picture: a fold over its happenings.
//!
//! Each mount is known with its branches, the last resolutions of names, and what happened lately. It stays small: only the
//! last [`NAMES`] names and [`RECENT`] happenings are kept.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::union::{BranchInfo, Happening, Overlap};

/// How many names are remembered per mount.
pub const NAMES: usize = 512;
/// How many happenings are remembered per mount.
pub const RECENT: usize = 64;

/// What is known of the union mounts, by mount point.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Mount point → mount.
    pub mounts: BTreeMap<String, Mount>,
}

/// One union mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// The process that serves it, by its name in the world.
    pub who: String,
    /// The branches, topmost first.
    pub branches: Vec<BranchInfo>,
    /// Options that differ from the defaults.
    pub options: String,
    /// The names seen last and who serves them.
    pub names: BTreeMap<String, Served>,
    /// The same names, the oldest first.
    pub order: VecDeque<String>,
    /// What happened last: wall time (microseconds since the epoch) and what; the newest last.
    pub recent: VecDeque<(u64, Happening)>,
    /// How many objects were copied up since the mount.
    pub copy_ups: u64,
    /// Bytes of content copied up since the mount.
    pub copied_bytes: u64,
    /// How many whiteouts were made since the mount.
    pub whiteouts: u64,
}

/// Who serves a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Index of the branch that serves it; `None`: it was removed.
    pub branch: Option<usize>,
    /// Branches merged into it (a directory), or that it was copied up from (a file).
    pub others: Vec<usize>,
    /// Branches that hold a whiteout of it.
    pub whiteouts: Vec<usize>,
    /// Whether it is an opaque directory.
    pub opaque: bool,
}

impl Picture {
    /// Folds one happening, reported by `who` at wall time `at` (microseconds since the epoch), into the picture.
    pub fn apply(&mut self, who: &str, at: u64, happening: &Happening) {
        if let Happening::Unmounted { at } = happening {
            self.mounts.remove(at);
            return;
        }
        let mount = self.mounts.entry(mount_of(happening).to_owned()).or_default();
        mount.apply(happening);
        if mount.who != who {
            who.clone_into(&mut mount.who);
        }
        if !matches!(happening, Happening::Resolved { .. } | Happening::Listed { .. }) {
            mount.recent.push_back((at, happening.clone()));
            let surplus = mount.recent.len().saturating_sub(RECENT);
            mount.recent.drain(..surplus);
        }
    }
}

impl Mount {
    fn apply(&mut self, happening: &Happening) {
        match happening {
            Happening::Branches { branches, options, because, .. } => {
                // A mount that was killed says no farewell: what was counted of it ends here.
                if because == "mount" {
                    *self = Self { who: std::mem::take(&mut self.who), ..Self::default() };
                }
                if self.branches.len() != branches.len() {
                    self.names.clear();
                    self.order.clear();
                }
                self.branches.clone_from(branches);
                self.options.clone_from(options);
            }
            Happening::Resolved { path, branch, merged, .. } => {
                let served = self.served(path);
                served.branch = Some(*branch);
                // A file's shadowed copies are not looked for; what a listing told of them stays true.
                if !merged.is_empty() {
                    served.others.clone_from(merged);
                }
            }
            Happening::Listed { path, overlaps, opaque, .. } => {
                overlaps.iter().for_each(|o| self.listed(path, o));
                if !opaque.is_empty() {
                    self.served(path).opaque = true;
                }
            }
            Happening::Placed { path, branch, .. } => self.served(path).branch = Some(*branch),
            Happening::CopiedUp { path, from, to, bytes, .. } => {
                self.copy_ups += 1;
                self.copied_bytes += bytes;
                let served = self.served(path);
                served.branch = Some(*to);
                if !served.others.contains(from) {
                    served.others.push(*from);
                }
            }
            Happening::WhiteoutMade { path, branch, .. } => {
                self.whiteouts += 1;
                let served = self.served(path);
                let hidden = served.branch.filter(|below| below > branch && !served.others.contains(below));
                served.others.extend(hidden);
                if !served.whiteouts.contains(branch) {
                    served.whiteouts.push(*branch);
                }
            }
            Happening::WhiteoutRemoved { path, branch, .. } => self.served(path).whiteouts.retain(|b| b != branch),
            Happening::MadeOpaque { path, .. } => {
                self.empty(path);
                self.served(path).opaque = true;
            }
            Happening::Removed { path, .. } => {
                self.empty(path);
                let served = self.served(path);
                served.branch = None;
                served.opaque = false;
            }
            Happening::Renamed { from, to, branch, .. } => {
                self.served(from).branch = None;
                self.served(to).branch = Some(*branch);
            }
            Happening::ChangedDirectly { .. } | Happening::Unmounted { .. } => {}
        }
    }

    /// A directory was removed, or made anew in the place of one that was: nothing that was in it shows, and the whiteouts that
    /// hid some of it are gone.
    fn empty(&mut self, dir: &str) {
        let inside = format!("{}/", dir.trim_end_matches('/'));
        for (_, served) in self.names.range_mut(inside.clone()..).take_while(|(path, _)| path.starts_with(&inside)) {
            served.branch = None;
            served.whiteouts.clear();
        }
    }

    fn listed(&mut self, dir: &str, overlap: &Overlap) {
        let served = self.served(&format!("{}/{}", dir.trim_end_matches('/'), overlap.name));
        let above = if overlap.is_hidden() { 0 } else { 1 };
        served.branch = overlap.copies.first().filter(|_| above == 1).copied();
        served.others = overlap.copies.iter().skip(above).copied().collect();
        served.whiteouts.clone_from(&overlap.whiteouts);
    }

    fn served(&mut self, path: &str) -> &mut Served {
        if !self.names.contains_key(path) {
            self.order.push_back(path.to_owned());
            if self.order.len() > NAMES
                && let Some(oldest) = self.order.pop_front()
            {
                self.names.remove(&oldest);
            }
        }
        self.names.entry(path.to_owned()).or_default()
    }
}

/// The mount point of a happening.
fn mount_of(happening: &Happening) -> &str {
    match happening {
        Happening::Branches { at, .. }
        | Happening::Unmounted { at }
        | Happening::Resolved { at, .. }
        | Happening::Listed { at, .. }
        | Happening::Placed { at, .. }
        | Happening::CopiedUp { at, .. }
        | Happening::WhiteoutMade { at, .. }
        | Happening::WhiteoutRemoved { at, .. }
        | Happening::MadeOpaque { at, .. }
        | Happening::Removed { at, .. }
        | Happening::Renamed { at, .. }
        | Happening::ChangedDirectly { at, .. } => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(path: &str) -> Happening {
        Happening::Resolved { at: "/mnt".into(), path: path.into(), branch: 1, merged: vec![] }
    }

    #[test]
    fn a_copy_up_moves_a_name_to_the_upper_branch_and_is_counted() {
        let mut picture = Picture::default();
        picture.apply("mount:/mnt", 1, &resolved("/a"));
        let up = Happening::CopiedUp { at: "/mnt".into(), path: "/a".into(), from: 1, to: 0, bytes: 5 };
        picture.apply("mount:/mnt", 2, &up);
        let mount = &picture.mounts["/mnt"];
        assert_eq!(mount.names["/a"].branch, Some(0));
        assert_eq!(mount.names["/a"].others, [1]);
        assert_eq!((mount.copy_ups, mount.copied_bytes), (1, 5));
    }

    #[test]
    fn a_listing_tells_what_is_shadowed_and_what_is_hidden() {
        let mut picture = Picture::default();
        let overlap = |name: &str, copies: &[usize], whiteouts: &[usize]| Overlap {
            name: name.into(),
            copies: copies.into(),
            whiteouts: whiteouts.into(),
        };
        let overlaps = vec![overlap("a", &[1, 2], &[]), overlap("b", &[2], &[0])];
        let listed = Happening::Listed { at: "/mnt".into(), path: "/".into(), overlaps, opaque: vec![] };
        picture.apply("mount:/mnt", 1, &listed);
        picture.apply("mount:/mnt", 2, &resolved("/a"));
        let names = &picture.mounts["/mnt"].names;
        assert_eq!((names["/a"].branch, &names["/a"].others[..]), (Some(1), &[2][..]));
        assert_eq!(
            (names["/b"].branch, &names["/b"].others[..], &names["/b"].whiteouts[..]),
            (None, &[2][..], &[0][..])
        );
    }

    #[test]
    fn the_picture_stays_small() {
        let mut picture = Picture::default();
        (0..NAMES + 100).for_each(|i| picture.apply("mount:/mnt", 1, &resolved(&format!("/{i}"))));
        let mount = &picture.mounts["/mnt"];
        assert_eq!((mount.names.len(), mount.order.len()), (NAMES, NAMES));
        assert!(!mount.names.contains_key("/0"), "the oldest name is forgotten");
    }

    #[test]
    fn a_union_that_is_mounted_again_after_a_kill_is_counted_anew() {
        let mut picture = Picture::default();
        let whiteout = Happening::WhiteoutMade { at: "/mnt".into(), path: "/a".into(), branch: 0 };
        picture.apply("mount:/mnt", 1, &whiteout);
        let (at, options, because) = ("/mnt".into(), String::new(), "mount".into());
        picture.apply("mount:/mnt", 2, &Happening::Branches { at, branches: vec![], options, because });
        assert_eq!((picture.mounts["/mnt"].whiteouts, picture.mounts["/mnt"].names.len()), (0, 0));
    }

    #[test]
    fn an_unmounted_union_is_gone() {
        let mut picture = Picture::default();
        picture.apply("mount:/mnt", 1, &resolved("/a"));
        picture.apply("mount:/mnt", 2, &Happening::Unmounted { at: "/mnt".into() });
        assert!(picture.mounts.is_empty());
    }

    #[test]
    fn whiteouts_in_a_removed_directory_are_gone_with_it() {
        let mut picture = Picture::default();
        let (at, branch) = ("/mnt".to_owned(), 0);
        let hide = |path: &str| Happening::WhiteoutMade { at: "/mnt".into(), path: path.into(), branch };
        picture.apply("mount:/mnt", 1, &resolved("/d/a"));
        picture.apply("mount:/mnt", 2, &resolved("/da"));
        picture.apply("mount:/mnt", 3, &hide("/d/a"));
        picture.apply("mount:/mnt", 4, &hide("/d"));
        picture.apply("mount:/mnt", 5, &Happening::MadeOpaque { at, path: "/d".into(), branch });
        let names = &picture.mounts["/mnt"].names;
        assert_eq!((names["/d/a"].branch, &names["/d/a"].whiteouts[..]), (None, &[][..]), "hidden by the mark alone");
        assert_eq!(names["/d/a"].others, [1], "still there, below");
        assert_eq!(names["/da"].branch, Some(1), "not in it");
    }
}

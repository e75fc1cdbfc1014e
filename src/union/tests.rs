//! The core over branches in memory: what a union does must be what a plain directory does, and lower branches never change.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::branch::{At, Branch, Change, Errno, Kind, Replace, Result};
use super::make::New;
use super::memory::{MemoryBranch, MemoryFs};
use super::options;
use super::rename::Side;
use super::reshape::{Candidate, Refused};
use super::{Caller, Happening, Host, Node, Union, names};

#[derive(Default, Clone)]
struct Quiet(Arc<Mutex<Vec<Happening>>>);

impl Host for Quiet {
    fn now(&self) -> u64 {
        0
    }
    fn is_watched(&self) -> bool {
        true
    }
    fn is_curious(&self) -> bool {
        true
    }
    fn tell(&self, happening: Happening) {
        self.0.lock().unwrap().push(happening);
    }
}

/// A union over named branches in memory.
struct World {
    union: Union<MemoryBranch>,
    branches: BTreeMap<String, MemoryBranch>,
    told: Quiet,
}

const ROOMY: u64 = 1 << 40;

impl World {
    /// Branches `/0`, `/1`, … each on a file system of its own, mounted with these options.
    fn mounted(count: usize, list: &str, prepare: impl Fn(usize, &MemoryBranch)) -> World {
        let branch = |i: usize| (format!("/{i}"), MemoryFs::new(i as u64 + 1, ROOMY).branch());
        let branches: BTreeMap<_, _> = (0..count).map(branch).collect();
        branches.values().enumerate().for_each(|(i, b)| prepare(i, b));
        let told = Quiet::default();
        let world = World { union: Union::new("/mnt", Box::new(told.clone())), branches, told };
        let own = options::parse(list, false).unwrap().own;
        world.union.mount(&own, &|path| world.open(path)).unwrap();
        world
    }

    fn open(&self, path: &str) -> std::result::Result<Candidate<MemoryBranch>, Refused> {
        let branch = self.branches.get(path).cloned();
        let branch = branch.ok_or_else(|| Refused::new(Errno::EINVAL, format!("no directory {path}")))?;
        Ok(Candidate { branch, path: path.to_owned(), immutable: false })
    }

    fn remount(&self, list: &str) -> std::result::Result<(), Refused> {
        let own = options::parse(list, false).unwrap().own;
        own.iter().try_for_each(|opt| self.union.apply(opt, &|path| self.open(path), false))
    }

    fn dir_of<'p>(&self, path: &'p str) -> Result<(Arc<Node<MemoryBranch>>, &'p OsStr)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.union.walk(parent)?;
        if dir.kind == Kind::Dir { Ok((dir, OsStr::new(name))) } else { Err(Errno::ENOTDIR) }
    }

    fn branch_has(&self, branch: &str, path: &str) -> bool {
        stat_in(&self.branches[branch], path).is_some()
    }
}

/// What a test does to a tree: to the union and to the plain directory alike.
trait Tree {
    fn make(&self, path: &str, new: New<'_>) -> Result<()>;
    fn write(&self, path: &str, data: &[u8]) -> Result<()>;
    fn unlink(&self, path: &str) -> Result<()>;
    fn rmdir(&self, path: &str) -> Result<()>;
    fn rename(&self, from: &str, to: &str, replace: Replace) -> Result<()>;
    fn link(&self, from: &str, to: &str) -> Result<()>;
    fn chmod(&self, path: &str, mode: u32) -> Result<()>;
    fn truncate(&self, path: &str, size: u64) -> Result<()>;
    fn snapshot(&self) -> BTreeMap<String, String>;
}

impl Tree for World {
    fn make(&self, path: &str, new: New<'_>) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        if self.union.lookup(&dir, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.union.make(&dir, name, new, &Caller::default()).map(drop)
    }
    fn write(&self, path: &str, data: &[u8]) -> Result<()> {
        let node = self.union.walk(path)?;
        if node.kind != Kind::File {
            return Err(Errno::EINVAL);
        }
        self.union.write(&node, data, 0).map(drop)
    }
    fn unlink(&self, path: &str) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.union.unlink(&dir, name)
    }
    fn rmdir(&self, path: &str) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.union.rmdir(&dir, name)
    }
    fn rename(&self, from: &str, to: &str, replace: Replace) -> Result<()> {
        let ((one, name), (other, new)) = (self.dir_of(from)?, self.dir_of(to)?);
        self.union.lookup(&one, name)?;
        if replace == Replace::Exchange {
            // The kernel refuses to move a directory into itself in either direction.
            let target = self.union.lookup(&other, new)?.0;
            if one.is_within(&target) && target.kind == Kind::Dir {
                return Err(Errno::EINVAL);
            }
        }
        self.union.rename(&Side { parent: &one, name }, &Side { parent: &other, name: new }, replace)
    }
    fn link(&self, from: &str, to: &str) -> Result<()> {
        let node = self.union.walk(from)?;
        let (dir, name) = self.dir_of(to)?;
        if self.union.lookup(&dir, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.union.link(&node, &dir, name).map(drop)
    }
    fn chmod(&self, path: &str, mode: u32) -> Result<()> {
        let node = self.union.walk(path)?;
        self.union.set_attributes(&node, &Change { mode: Some(mode), ..Change::default() }, false).map(drop)
    }
    fn truncate(&self, path: &str, size: u64) -> Result<()> {
        let node = self.union.walk(path)?;
        if node.kind != Kind::File {
            return Err(Errno::EISDIR);
        }
        self.union.set_attributes(&node, &Change { size: Some(size), ..Change::default() }, false).map(drop)
    }
    fn snapshot(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        snap_union(&self.union, &self.union.root(), "", &mut all);
        all
    }
}

fn snap_union(
    union: &Union<MemoryBranch>,
    dir: &Arc<Node<MemoryBranch>>,
    at: &str,
    all: &mut BTreeMap<String, String>,
) {
    let listing = union.listing(dir, 0).unwrap();
    for item in &listing.items {
        let (node, stat) = union.lookup(dir, &item.name).expect("what is listed can be looked up");
        assert_eq!(node.ino, item.ino, "the listing's number is the object's");
        let path = format!("{at}/{}", item.name.to_string_lossy());
        let mut content = vec![0; 4096];
        let body = match node.kind {
            Kind::File => {
                let got = union.read(&node, &mut content, 0).unwrap();
                format!("{:?}", String::from_utf8_lossy(&content[..got]))
            }
            Kind::Dir => {
                snap_union(union, &node, &path, all);
                String::new()
            }
            _ => String::new(),
        };
        all.insert(path, format!("{:?} {:o} {body}", stat.kind, stat.mode));
    }
}

/// A plain directory in memory.
struct Plain(MemoryBranch);

impl Plain {
    fn dir_of<'p>(&self, path: &'p str) -> Result<(u64, &'p OsStr)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = self.0.root();
        for step in parent.split('/').filter(|s| !s.is_empty()) {
            at = self.0.dir(&at, OsStr::new(step))?;
        }
        Ok((at, OsStr::new(name)))
    }
}

impl Tree for Plain {
    fn make(&self, path: &str, new: New<'_>) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        match new {
            New::File(mode) => self.0.create(&dir, name, mode).map(drop),
            New::Dir(mode) => self.0.mkdir(&dir, name, mode),
            New::Symlink(target) => self.0.symlink(&dir, name, target),
            New::Node(kind, mode, rdev) => self.0.mknod(&dir, name, kind, mode, rdev),
        }
    }
    fn write(&self, path: &str, data: &[u8]) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        let file = self.0.open(&dir, name, true)?;
        MemoryBranch::write(&file, data, 0).map(drop)
    }
    fn unlink(&self, path: &str) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.0.unlink(&dir, name)
    }
    fn rmdir(&self, path: &str) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.0.rmdir(&dir, name)
    }
    fn rename(&self, from: &str, to: &str, replace: Replace) -> Result<()> {
        let ((one, name), (other, new)) = (self.dir_of(from)?, self.dir_of(to)?);
        let source = self.0.stat(At::Name(&one, name))?;
        if replace == Replace::No && self.0.stat(At::Name(&other, new)).is_ok() {
            return Err(Errno::EEXIST);
        }
        if source.kind == Kind::Dir && format!("{to}/").starts_with(&format!("{from}/")) {
            return if from == to { Ok(()) } else { Err(Errno::EINVAL) };
        }
        if replace == Replace::Exchange && format!("{from}/").starts_with(&format!("{to}/")) && from != to {
            self.0.stat(At::Name(&other, new))?;
            return Err(Errno::EINVAL);
        }
        self.0.rename(&one, name, &other, new, replace)
    }
    fn link(&self, from: &str, to: &str) -> Result<()> {
        let ((one, name), (other, new)) = (self.dir_of(from)?, self.dir_of(to)?);
        self.0.stat(At::Name(&one, name))?;
        if self.0.stat(At::Name(&other, new)).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.0.link(&one, name, &other, new)
    }
    fn chmod(&self, path: &str, mode: u32) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.0.change(At::Name(&dir, name), &Change { mode: Some(mode), ..Change::default() })
    }
    fn truncate(&self, path: &str, size: u64) -> Result<()> {
        let (dir, name) = self.dir_of(path)?;
        self.0.change(At::Name(&dir, name), &Change { size: Some(size), ..Change::default() })
    }
    fn snapshot(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        snap_plain(&self.0, self.0.root(), "", &mut all);
        all
    }
}

fn snap_plain(branch: &MemoryBranch, dir: u64, at: &str, all: &mut BTreeMap<String, String>) {
    for entry in branch.list(&dir).unwrap() {
        let stat = branch.stat(At::Name(&dir, &entry.name)).unwrap();
        let path = format!("{at}/{}", entry.name.to_string_lossy());
        let mut content = vec![0; 4096];
        let body = match stat.kind {
            Kind::File => {
                let file = branch.open(&dir, &entry.name, false).unwrap();
                let got = MemoryBranch::read(&file, &mut content, 0).unwrap();
                format!("{:?}", String::from_utf8_lossy(&content[..got]))
            }
            Kind::Dir => {
                snap_plain(branch, branch.dir(&dir, &entry.name).unwrap(), &path, all);
                String::new()
            }
            _ => String::new(),
        };
        all.insert(path, format!("{:?} {:o} {body}", stat.kind, stat.mode));
    }
}

fn stat_in(branch: &MemoryBranch, path: &str) -> Option<super::Stat> {
    let plain = Plain(branch.clone());
    let (dir, name) = plain.dir_of(path).ok()?;
    branch.stat(At::Name(&dir, name)).ok()
}

fn put(branch: &MemoryBranch, path: &str, content: &str) {
    let plain = Plain(branch.clone());
    let mut at = String::new();
    let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
    for step in parent.split('/').filter(|s| !s.is_empty()) {
        at = format!("{at}/{step}");
        let _ = plain.make(&at, New::Dir(0o755));
    }
    plain.make(path, New::File(0o644)).unwrap();
    plain.write(path, content.as_bytes()).unwrap();
}

#[test]
fn writing_to_a_lower_file_copies_it_up_and_leaves_the_lower_one() {
    let world = World::mounted(2, "br=/0:/1", |i, b| {
        if i == 1 {
            put(b, "/d/f", "lower")
        }
    });
    let before = world.union.walk("/d/f").unwrap();
    world.write("/d/f", b"UPPER").unwrap();
    assert_eq!(world.snapshot()["/d/f"], "File 644 \"UPPER\"");
    assert_eq!(Plain(world.branches["/1"].clone()).snapshot()["/d/f"], "File 644 \"lower\"");
    let after = world.union.walk("/d/f").unwrap();
    assert_eq!(before.ino, after.ino, "the number stays");
    let up = |h: &Happening| matches!(h, Happening::CopiedUp { path, from: 1, to: 0, .. } if path == "/d/f");
    assert!(world.told.0.lock().unwrap().iter().any(up), "the copy-up is reported");
}

#[test]
fn removing_a_lower_name_leaves_a_whiteout_and_making_it_again_removes_that() {
    let world = World::mounted(2, "br=/0:/1", |i, b| {
        if i == 1 {
            put(b, "/f", "lower")
        }
    });
    world.unlink("/f").unwrap();
    assert!(world.branch_has("/0", "/.wh.f") && world.branch_has("/1", "/f"));
    assert_eq!(world.union.walk("/f").err(), Some(Errno::ENOENT));
    world.make("/f", New::File(0o600)).unwrap();
    assert!(!world.branch_has("/0", "/.wh.f"));
    assert_eq!(world.snapshot()["/f"], "File 600 \"\"");
}

#[test]
fn a_listing_tells_what_lies_over_what() {
    let world = World::mounted(2, "br=/0:/1", |i, b| {
        put(b, "/both", "x");
        put(b, if i == 0 { "/upper" } else { "/lower" }, "x");
    });
    world.unlink("/lower").unwrap();
    world.union.listing(&world.union.root(), 0).unwrap();
    let told = world.told.0.lock().unwrap();
    let Some(Happening::Listed { path, overlaps, opaque, .. }) = told.last() else { panic!("{told:?}") };
    let told: Vec<_> = overlaps.iter().map(|o| (&*o.name, &*o.copies, &*o.whiteouts, o.is_hidden())).collect();
    assert_eq!((&**path, opaque), ("/", &vec![]));
    assert_eq!(told, [("both", &[0, 1][..], &[][..], false), ("lower", &[1], &[0], true)]);
}

#[test]
fn a_directory_in_the_place_of_a_removed_one_is_opaque() {
    let world = World::mounted(2, "br=/0:/1", |i, b| {
        if i == 1 {
            put(b, "/d/old", "x")
        }
    });
    world.unlink("/d/old").unwrap();
    world.rmdir("/d").unwrap();
    world.make("/d", New::Dir(0o755)).unwrap();
    assert!(world.branch_has("/0", &format!("/d/{}", names::OPAQUE)));
    assert_eq!(world.snapshot().len(), 1, "nothing of the old directory shines through");
}

#[test]
fn a_file_between_two_directories_does_not_stop_the_merge() {
    let world = World::mounted(3, "br=/0:/1:/2", |i, b| match i {
        0 => put(b, "/d/upper", "0"),
        1 => put(b, "/d", "a file"),
        _ => put(b, "/d/lower", "2"),
    });
    let snapshot = world.snapshot();
    assert!(snapshot.contains_key("/d/upper") && snapshot.contains_key("/d/lower"));
}

#[test]
fn whiteouts_on_a_plain_ro_branch_do_not_count_and_with_wh_they_do() {
    let prepare = |i: usize, b: &MemoryBranch| match i {
        1 => put(b, "/.wh.f", ""),
        2 => put(b, "/f", "lowest"),
        _ => {}
    };
    assert!(World::mounted(3, "br=/0:/1=ro:/2", prepare).union.walk("/f").is_ok());
    let honoured = World::mounted(3, "br=/0:/1=ro+wh:/2", prepare);
    assert_eq!(honoured.union.walk("/f").err(), Some(Errno::ENOENT));
}

#[test]
fn a_directory_that_lies_on_a_lower_branch_is_not_renamed() {
    let world = World::mounted(2, "br=/0:/1", |i, b| {
        if i == 1 {
            put(b, "/d/f", "x")
        }
    });
    assert_eq!(world.rename("/d", "/e", Replace::Yes), Err(Errno::EXDEV));
    world.unlink("/d/f").unwrap();
    assert_eq!(world.rename("/d", "/e", Replace::Yes), Ok(()), "an empty one is");
    assert_eq!(world.snapshot().keys().collect::<Vec<_>>(), ["/e"]);
}

#[test]
fn reserved_names_are_refused_and_long_ones_too() {
    let world = World::mounted(1, "br=/0", |_, _| {});
    assert_eq!(world.make("/.wh.x", New::File(0o644)), Err(Errno::EPERM));
    assert_eq!(world.make(&format!("/{}", "x".repeat(243)), New::File(0o644)), Err(Errno::ENAMETOOLONG));
    assert_eq!(world.make(&format!("/{}", "x".repeat(242)), New::File(0o644)), Ok(()));
}

#[test]
fn without_a_writable_branch_above_nothing_changes() {
    let world = World::mounted(1, "br=/0=ro", |_, b| put(b, "/f", "x"));
    assert_eq!(world.write("/f", b"y"), Err(Errno::EROFS));
    assert_eq!(world.unlink("/f"), Err(Errno::EROFS));
    assert_eq!(world.make("/g", New::File(0o644)), Err(Errno::EROFS));
}

#[test]
fn round_robin_spreads_new_files_over_the_writable_branches() {
    let world = World::mounted(3, "br=/0=rw:/1=rw:/2=rw,create=rr", |_, _| {});
    (0..6).for_each(|i| world.make(&format!("/f{i}"), New::File(0o644)).unwrap());
    for (branch, here) in [("/0", [0, 3]), ("/1", [1, 4]), ("/2", [2, 5])] {
        assert!(here.iter().all(|i| world.branch_has(branch, &format!("/f{i}"))), "{branch}");
    }
}

#[test]
fn a_full_branch_fails_the_copy_up_and_leaves_nothing_half() {
    let fs = MemoryFs::new(1, 3);
    let lower = MemoryFs::new(2, ROOMY).branch();
    put(&lower, "/f", "ten letters");
    let branches = BTreeMap::from([("/0".to_owned(), fs.branch()), ("/1".to_owned(), lower)]);
    let told = Quiet::default();
    let world = World { union: Union::new("/mnt", Box::new(told.clone())), branches, told };
    world.remount("append:/0=rw,append:/1").unwrap();
    assert_eq!(world.write("/f", b"y"), Err(Errno::ENOSPC));
    assert_eq!(world.snapshot()["/f"], "File 644 \"ten letters\"");
    let left: Vec<OsString> =
        world.branches["/0"].list(&world.branches["/0"].root()).unwrap().into_iter().map(|e| e.name).collect();
    let bookkeeping = [names::BASE, names::PLINK, names::ORPHAN];
    assert!(left.iter().all(|n| bookkeeping.iter().any(|b| n == b)), "left over: {left:?}");
}

#[test]
fn an_open_file_goes_on_after_its_name_is_gone_and_can_still_be_written() {
    let world = World::mounted(2, "br=/0:/1", |i, b| {
        if i == 1 {
            put(b, "/f", "lower")
        }
    });
    let node = world.union.walk("/f").unwrap();
    world.unlink("/f").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(world.union.read(&node, &mut buffer, 0), Ok(5));
    assert_eq!(world.union.write(&node, b"still", 0), Ok(5), "it is copied to a file without a name");
    assert_eq!(world.union.read(&node, &mut buffer, 0), Ok(5));
    assert_eq!(&buffer[..5], b"still");
    assert_eq!(Plain(world.branches["/1"].clone()).snapshot()["/f"], "File 644 \"lower\"");
}

#[test]
fn hard_links_stay_one_file_across_a_copy_up() {
    let prepare = |i: usize, b: &MemoryBranch| {
        if i == 1 {
            put(b, "/a", "lower");
            Plain(b.clone()).link("/a", "/b").unwrap();
        }
    };
    let world = World::mounted(2, "br=/0:/1", prepare);
    world.write("/a", b"UPPER").unwrap();
    let snapshot = world.snapshot();
    assert_eq!(
        (&snapshot["/a"], &snapshot["/b"]),
        (&"File 644 \"UPPER\"".to_owned(), &"File 644 \"UPPER\"".to_owned())
    );
    assert_eq!(world.union.walk("/a").unwrap().ino, world.union.walk("/b").unwrap().ino);
    world.union.flush_plinks();
    let upper = Plain(world.branches["/0"].clone()).snapshot();
    assert_eq!(upper["/b"], "File 644 \"UPPER\"", "flushed, the other name is a real link");
    let apart = World::mounted(2, "br=/0:/1,noplink", prepare);
    apart.write("/a", b"UPPER").unwrap();
    assert_eq!(apart.snapshot()["/b"], "File 644 \"lower\"", "noplink: the copy-up breaks the link");
}

#[test]
fn branches_come_and_go_on_a_live_union() {
    let world = World::mounted(3, "br=/0:/1", |i, b| put(b, &format!("/f{i}"), "x"));
    assert!(world.union.walk("/f2").is_err());
    world.remount("append:/2").unwrap();
    let held = world.union.walk("/f2").unwrap();
    assert_eq!(world.remount("del:/2").unwrap_err().errno, Errno::EBUSY, "a file of it is held");
    world.union.forget(held.ino, 1);
    world.remount("del:/2").unwrap();
    assert!(world.union.walk("/f2").is_err());
    world.remount("del:/nowhere").unwrap_err();
    assert_eq!(world.remount("add:7:/2").unwrap_err().errno, Errno::EDOM);
    world.remount("append:/1").unwrap();
    assert_eq!(world.union.members().len(), 2, "a directory that is a branch already changes nothing");
    world.remount("mod:/1=rw,mod:/0=ro").unwrap();
    world.write("/f1", b"y").unwrap();
    assert!(!world.branch_has("/0", "/f1"), "written where it is");
}

#[derive(Debug, Clone)]
enum Step {
    File(String),
    Dir(String),
    Symlink(String),
    Write(String, u8),
    Unlink(String),
    Rmdir(String),
    Rename(String, String, u8),
    Link(String, String),
    Chmod(String, u32),
    Truncate(String, u64),
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => path().prop_map(Step::File),
        2 => path().prop_map(Step::Dir),
        1 => path().prop_map(Step::Symlink),
        2 => (path(), any::<u8>()).prop_map(|(p, b)| Step::Write(p, b)),
        2 => path().prop_map(Step::Unlink),
        2 => path().prop_map(Step::Rmdir),
        4 => (path(), path(), 0..5u8).prop_map(|(p, q, r)| Step::Rename(p, q, r)),
        1 => (path(), path()).prop_map(|(p, q)| Step::Link(p, q)),
        1 => (path(), 0..0o777u32).prop_map(|(p, m)| Step::Chmod(p, m)),
        1 => (path(), 0..20u64).prop_map(|(p, s)| Step::Truncate(p, s)),
    ]
}

fn take(tree: &impl Tree, step: &Step) -> Result<()> {
    match step {
        Step::File(p) => tree.make(p, New::File(0o644)),
        Step::Dir(p) => tree.make(p, New::Dir(0o755)),
        Step::Symlink(p) => tree.make(p, New::Symlink(OsStr::new("a"))),
        Step::Write(p, b) => tree.write(p, &[b"abcdefgh"[usize::from(*b % 8)]; 7]),
        Step::Unlink(p) => tree.unlink(p),
        Step::Rmdir(p) => tree.rmdir(p),
        Step::Rename(p, q, r) => {
            tree.rename(p, q, [Replace::Yes, Replace::Yes, Replace::Yes, Replace::No, Replace::Exchange][*r as usize])
        }
        Step::Link(p, q) => tree.link(p, q),
        Step::Chmod(p, m) => tree.chmod(p, *m),
        Step::Truncate(p, s) => tree.truncate(p, *s),
    }
}

/// What each branch holds before the union is made.
fn prepared(steps: &[(usize, Step)], which: usize, branch: &MemoryBranch) {
    let plain = Plain(branch.clone());
    for (_, step) in steps.iter().filter(|(i, _)| *i == which) {
        if matches!(step, Step::File(_) | Step::Dir(_) | Step::Write(..) | Step::Symlink(_)) {
            let _ = take(&plain, step);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any sequence of operations on the union gives what the same sequence gives on a plain directory that began as what
    /// the union showed; and no lower branch changes.
    #[test]
    fn a_union_is_a_directory(
        before in prop::collection::vec((0..3usize, step()), 0..30),
        steps in prop::collection::vec(step(), 1..40),
        options in prop::sample::select(vec!["br=/0:/1:/2", "br=/0:/1=ro+wh:/2", "br=/0:/1=rw:/2", "br=/0=rw:/1=rw:/2=ro,create=rr", "br=/0=rw:/1=rw:/2=ro,create=mfs,cpup=bu", "br=/0:/1:/2,diropq=a"]),
    ) {
        let world = World::mounted(3, options, |i, b| prepared(&before, i, b));
        let plain = Plain(MemoryFs::new(9, ROOMY).branch());
        for (path, what) in world.snapshot() {
            copy_into(&plain, &path, &what);
        }
        let lower = Plain(world.branches["/2"].clone()).snapshot();
        for step in &steps {
            let on_union = take(&world, step);
            if on_union == Err(Errno::EXDEV) {
                continue;
            }
            let on_plain = take(&plain, step);
            prop_assert_eq!(on_union.is_ok(), on_plain.is_ok(), "{:?}: union {:?}, plain {:?}", step, on_union, on_plain);
            prop_assert_eq!(world.snapshot(), plain.snapshot(), "after {:?}", step);
        }
        prop_assert_eq!(lower, Plain(world.branches["/2"].clone()).snapshot(), "the lowest branch changed");
    }
}

/// Makes in the plain directory what the union showed. Parents come first in the order of paths.
fn copy_into(plain: &Plain, path: &str, what: &str) {
    let mut words = what.splitn(3, ' ');
    let (kind, mode) = (words.next().unwrap(), u32::from_str_radix(words.next().unwrap(), 8).unwrap());
    match kind {
        "Dir" => plain.make(path, New::Dir(mode)).unwrap(),
        "Symlink" => plain.make(path, New::Symlink(OsStr::new("a"))).unwrap(),
        _ => {
            plain.make(path, New::File(mode)).unwrap();
            let content = words.next().unwrap().trim_matches('"').to_owned();

            plain.write(path, content.as_bytes()).unwrap();
        }
    }
}

#[path = "tests_fault.rs"]
mod fault;

//! Policies, full branches, open files, links, and branches that come and go.

use std::collections::BTreeMap;

use super::Tree;
use super::plain::{Plain, put};
use super::world::{Quiet, ROOMY, World};
use crate::union::branch::{Branch, Errno, Replace};
use crate::union::make::New;
use crate::union::memory::{MemoryBranch, MemoryFs};
use crate::union::{Union, names};

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
    let left = world.branches["/0"].names(&world.branches["/0"].root()).unwrap();
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
    let dir = world.union.root();
    let listing = world.union.listing(&dir, 0, false).unwrap();
    for item in listing.items() {
        let (_, listed) = world.union.lookup_listed(&dir, &listing, item, false).unwrap();
        assert_eq!(listed.nlink, 2, "each name is one of two");
    }
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

/// Who removes names while listing them gets every name all the same, and none that is gone: the first removal brings the
/// directory to the upper branch, so that the listing's places are others from then on.
#[test]
fn a_listing_goes_on_while_its_names_are_removed() {
    let all = |names: &[&str]| -> Vec<String> { names.iter().map(|n| (*n).to_owned()).collect() };
    let prepare = |i: usize, b: &MemoryBranch| {
        if i == 1 {
            ["/d/a", "/d/b", "/d/c", "/d/e"].iter().for_each(|path| put(b, path, "lower"));
        }
    };
    let world = World::mounted(2, "br=/0:/1", prepare);
    let dir = world.union.walk("/d").unwrap();
    let listing = world.union.listing(&dir, 0, false).unwrap();
    world.unlink("/d/b").unwrap();
    world.write("/d/c", b"copied").unwrap();
    let found = listing.items().iter().filter_map(|item| {
        let (_, stat) = world.union.lookup_listed(&dir, &listing, item, true).ok()?;
        Some((listing.name(item).to_string_lossy().into_owned(), stat.size))
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    let (names, sizes): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    assert_eq!(names, all(&["a", "c", "e"]), "the rest, and not what was removed");
    assert_eq!(sizes, [5, 6, 5], "as they are now");
}

#[test]
fn what_was_seen_of_a_lower_file_holds_until_the_next_change() {
    let prepare = |i: usize, b: &MemoryBranch| {
        if i == 1 {
            put(b, "/d/a", "lower");
        }
    };
    let world = World::mounted(2, "br=/0:/1", prepare);
    let dir = world.union.walk("/d").unwrap();
    let size = |told| {
        let listing = world.union.listing(&dir, 0, told).unwrap();
        let (node, stat) = world.union.lookup_listed(&dir, &listing, &listing.items()[0], told).unwrap();
        world.union.forget(node.ino, 1);
        stat.size
    };
    // Held, as the kernel holds what it remembers.
    let _held = world.union.walk("/d/a").unwrap();
    let lower = &world.branches["/1"];
    assert_eq!(size(true), 5);
    let file = lower.open(&lower.dir(&lower.root(), "d".as_ref()).unwrap(), "a".as_ref(), true).unwrap();
    MemoryBranch::write(&file, b"changed past the union", 0).unwrap();
    assert_eq!(size(true), 5, "nobody has told of it");
    assert_eq!(size(false), 22, "looked again");
    world.union.changed_directly();
    assert_eq!(size(true), 22, "told");
    world.write("/d/a", b"copied up").unwrap();
    assert_eq!(size(true), 22, "written over its beginning, on the branch above");
    world.write("/d/a", b"and longer than it was before").unwrap();
    assert_eq!(size(true), 29, "what can be written is asked each time");
}

/// A lower file with several names, of which one was copied to the first branch: a rename of another one goes there too, not to a
/// lower writable branch, where the copy would be another file.
#[test]
fn a_pseudo_link_is_renamed_on_the_branch_of_its_copy() {
    let prepare = |i: usize, b: &MemoryBranch| match i {
        0 => put(b, "/d/y", ""),
        2 => {
            put(b, "/d/f", "lower");
            put(b, "/d/s/x", "");
            Plain(b.clone()).link("/d/f", "/d/s/n").unwrap();
        }
        _ => {}
    };
    let world = World::mounted(3, "br=/0=rw:/1=rw:/2=ro", prepare);
    // Held, as the kernel holds what it remembers.
    let _held = (world.union.walk("/d").unwrap(), world.union.walk("/d/s").unwrap());
    world.link("/d/f", "/d/n").unwrap();
    world.rename("/d/s/n", "/d/g", Replace::Yes).unwrap();
    world.write("/d/g", b"UPPER").unwrap();
    world.union.flush_plinks();
    let upper = Plain(world.branches["/0"].clone()).snapshot();
    for name in ["/d/f", "/d/n", "/d/g"] {
        assert_eq!(upper.get(name).map(String::as_str), Some("File 644 \"UPPER\""), "{name}");
    }
}

/// A name that is hidden on an upper branch is made there, also where the file would be copied to a lower one.
#[test]
fn a_link_is_made_where_it_shows() {
    let prepare = |i: usize, b: &MemoryBranch| match i {
        0 => put(b, "/d/.wh.x", ""),
        1 => put(b, "/s/other", ""),
        _ => ["/s/f", "/d/x"].iter().for_each(|path| put(b, path, "lower")),
    };
    let world = World::mounted(3, "br=/0=rw:/1=rw:/2=ro", prepare);
    let _held = (world.union.walk("/d").unwrap(), world.union.walk("/s").unwrap());
    world.link("/s/f", "/d/x").unwrap();
    assert_eq!(world.snapshot()["/d/x"], "File 644 \"lower\"");
}

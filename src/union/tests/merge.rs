//! What is seen of several branches, and where it is written.

use super::Tree;
use super::plain::{Plain, put};
use super::world::World;
use crate::union::branch::{Errno, Replace};
use crate::union::make::New;
use crate::union::memory::MemoryBranch;
use crate::union::{Happening, names};

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
    world.union.listing(&world.union.root(), 0, false).unwrap();
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

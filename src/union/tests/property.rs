//! Any sequence of operations on the union is the same sequence on a plain directory.

use std::ffi::OsStr;

use proptest::prelude::*;

use super::Tree;
use super::plain::Plain;
use super::world::{ROOMY, World};
use crate::union::branch::{Errno, Replace, Result};
use crate::union::make::New;
use crate::union::memory::{MemoryBranch, MemoryFs};

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

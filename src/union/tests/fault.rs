//! Killed, or refused by the branch, at every step of an operation: what is seen afterwards is what was before or what should
//! be, never half of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::Tree;
use super::plain::{Plain, put};
use super::world::{Quiet, World};
use crate::union::branch::{Errno, Replace, Result};
use crate::union::make::New;
use crate::union::memory::Fault;
use crate::union::{Union, options};

/// A union in which there is something of each kind, on the upper branch, on the lower one, on both.
fn world() -> World {
    let world = World::mounted(2, "br=/0:/1", |i, b| {
        let plain = Plain(b.clone());
        if i == 0 {
            put(b, "/u", "upper");
            put(b, "/ud/x", "x");
            put(b, "/d/new", "new");
        } else {
            put(b, "/d/f", "lower f");
            put(b, "/d/g", "lower g");
            put(b, "/h", "linked");
            put(b, "/gone", "to be hidden");
            put(b, "/gd/in", "to be hidden");
            plain.link("/h", "/d/h2").unwrap();
            plain.make("/e", New::Dir(0o755)).unwrap();
            plain.make("/s", New::Symlink(OsStr::new("d/f"))).unwrap();
        }
    });
    world.unlink("/gone").unwrap();
    world.unlink("/gd/in").unwrap();
    world.rmdir("/gd").unwrap();
    world
}

type Deed = (&'static str, fn(&World) -> Result<()>);

/// What is done to it; each is one system call that shows as a whole or not at all. (Not among them: a change of one of several
/// names, which after a kill the other names do not know of.)
const DEEDS: &[Deed] = &[
    ("chmod of a lower file", |w| w.chmod("/d/f", 0o600)),
    ("chmod of a merged directory", |w| w.chmod("/d", 0o700)),
    ("unlink of a lower file", |w| w.unlink("/d/f")),
    ("unlink of an upper file", |w| w.unlink("/u")),
    ("rmdir of a lower directory", |w| w.rmdir("/e")),
    ("rename of a lower file", |w| w.rename("/d/f", "/d/n", Replace::Yes)),
    ("rename of a lower file over an upper one", |w| w.rename("/d/f", "/u", Replace::Yes)),
    ("rename of an upper file over a lower one", |w| w.rename("/u", "/d/f", Replace::Yes)),
    ("rename of an upper directory over a lower one", |w| w.rename("/ud", "/e", Replace::Yes)),
    ("rename onto a hidden name", |w| w.rename("/u", "/gone", Replace::Yes)),
    ("rename of a directory onto a hidden one", |w| w.rename("/ud", "/gd", Replace::Yes)),
    ("exchange of an upper and a lower file", |w| w.rename("/u", "/d/g", Replace::Exchange)),
    ("rename of a lower link", |w| w.rename("/s", "/d/s", Replace::Yes)),
    ("a further name of a lower file", |w| w.link("/d/f", "/d/l")),
    ("a file in the place of a hidden one", |w| w.make("/gone", New::File(0o644))),
    ("a directory in the place of a hidden one", |w| w.make("/gd", New::Dir(0o755))),
    ("a directory in a lower directory", |w| w.make("/e/sub", New::Dir(0o755))),
];

/// Cutting is two steps: the copy is made as long as it shall be, and then cut, which gives it its time.
const CUT: Deed = ("cutting a lower file", |w| w.truncate("/d/f", 0));

/// The same branches in a union that knows nothing of the one before.
fn mounted_again(world: &World) -> World {
    let again = World {
        union: Union::new("/mnt", Box::new(Quiet::default())),
        branches: world.branches.clone(),
        told: Quiet::default(),
    };
    let own = options::parse("br=/0:/1", false).unwrap().own;
    again.union.mount(&own, &|path| again.open(path)).unwrap();
    again
}

/// Does a deed with the upper branch failing after so many steps. `None`: it was done before that.
fn struck(deed: &Deed, fault: Fault) -> Option<(World, Result<()>)> {
    let world = world();
    let fs = world.branches["/0"].file_system();
    fs.set_fault(Some(fault));
    let done = (deed.1)(&world);
    let reached = fs.set_fault(None).is_none();
    reached.then_some((world, done))
}

fn before_and_after(deed: &Deed) -> [BTreeMap<String, String>; 2] {
    let world = world();
    let before = world.snapshot();
    (deed.1)(&world).unwrap_or_else(|e| panic!("{} works undisturbed: {e:?}", deed.0));
    [before, world.snapshot()]
}

#[test]
fn killed_at_any_step_nothing_is_half_visible() {
    for deed in DEEDS.iter().chain([&CUT]) {
        let [before, after] = before_and_after(deed);
        assert_ne!(before, after, "{} does something", deed.0);
        let lower = Plain(world().branches["/1"].clone()).snapshot();
        let mut steps = 0;
        while let Some((world, _)) = struck(deed, Fault { after: steps, errno: Errno::EIO, for_ever: true }) {
            let seen = mounted_again(&world).snapshot();
            assert!(seen == before || seen == after, "{}, killed after {steps} steps: {seen:#?}", deed.0);
            assert_eq!(Plain(world.branches["/1"].clone()).snapshot(), lower, "the lower branch is as it was");
            steps += 1;
        }
        assert!(steps > 0, "{} was struck", deed.0);
    }
}

#[test]
fn what_fails_leaves_all_as_it_was_and_what_succeeds_is_done() {
    let mut wrong = Vec::new();
    for deed in DEEDS {
        let [before, after] = before_and_after(deed);
        for errno in [Errno::ENOSPC, Errno::EROFS, Errno::EACCES] {
            let mut steps = 0;
            while let Some((world, done)) = struck(deed, Fault { after: steps, errno, for_ever: false }) {
                let hoped = if done.is_ok() { &after } else { &before };
                if world.snapshot() != *hoped || mounted_again(&world).snapshot() != *hoped {
                    wrong.push(format!("{}: {errno:?} after {steps} steps, answered {done:?}", deed.0));
                }
                steps += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

//! The data path with bricks as processes: a client writes over TCP, bricks are killed, and what lies on their disks is read.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use terrarium::volume::client::heal;
use terrarium::volume::client::info::heal_info;
use terrarium::volume::client::manager::Source;
use terrarium::volume::client::session::{Options, Session};
use terrarium::volume::definition::{Brick, Status, Volume};
use terrarium::volume::gfid::Gfid;
use terrarium::volume::rpc::Node;
use terrarium::volume::xattr::Time;
use terrarium::world::Reporter;

/// Bricks of one volume as processes on 127.0.0.1, and a client.
struct World {
    dir: tempfile::TempDir,
    volume: Volume,
    bricks: Vec<Option<Child>>,
    session: Arc<Session>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl World {
    fn new(replica: usize, count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let brick = |slot: usize| Brick {
            host: "127.0.0.1".into(),
            path: dir.path().join(format!("b{slot}")).display().to_string(),
            peer: uuid::Uuid::nil(),
            slot,
            port: free_port(),
            decommissioned: false,
        };
        let volume = Volume {
            name: "gv0".into(),
            id: uuid::Uuid::from_u128(7),
            status: Status::Started,
            replica,
            arbiter: 0,
            bricks: (0..count).map(brick).collect(),
            options: vec![],
            version: 1,
            commit_hash: 1,
        };
        std::fs::write(dir.path().join("vol.json"), serde_json::to_string(&volume).unwrap()).unwrap();
        let source = Source::File(dir.path().join("vol.json"));
        let options = Options { source, process: "fuse".into(), machine: "laptop".into(), name: "laptop".into() };
        let session = Session::start(volume.clone(), options, Reporter::silent("test"), |_| {}).unwrap();
        let mut world = Self { dir, volume, bricks: (0..count).map(|_| None).collect(), session };
        (0..count).for_each(|slot| world.start(slot));
        world.session.files.prepare().unwrap();
        world
    }

    fn disk(&self, slot: usize) -> PathBuf {
        self.volume.bricks[slot].path.clone().into()
    }

    fn start(&mut self, slot: usize) {
        let brick = &self.volume.bricks[slot];
        std::fs::create_dir_all(&brick.path).unwrap();
        let file = self.dir.path().join("vol.json");
        let child = Command::new(env!("CARGO_BIN_EXE_terrarium"))
            .args(["brick", "--name", &brick.name(), "--path", &brick.path, "--bind", "127.0.0.1", "--port"])
            .args([brick.port.to_string().as_str(), "--volume", file.to_str().unwrap()])
            .env("TERRARIUM_KEEPER", "/nonexistent")
            .stderr(Stdio::inherit())
            .spawn();
        self.bricks[slot] = Some(child.unwrap());
        let graph = self.session.files.graph();
        let set = &graph.sets[slot / self.volume.replica];
        self.until("the brick is connected", || {
            self.session.kick();
            set.wire.up().has(slot % self.volume.replica)
        });
    }

    fn kill(&mut self, slot: usize) {
        let mut child = self.bricks[slot].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < deadline, "waited for a minute: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn make(&self, dir: Gfid, name: &str, mode: u32) -> Gfid {
        let (gfid, time) = (Gfid::random(), Time { sec: 1, nsec: 0 });
        let node =
            Node { gfid, mode, uid: 0, gid: 0, rdev: 0, target: Bytes::new(), time, xattrs: vec![], umask: None };
        self.session.files.make(dir, &Bytes::copy_from_slice(name.as_bytes()), node).unwrap();
        gfid
    }

    fn write(&self, gfid: Gfid, text: &str) {
        self.session.files.write(gfid, 0, &Bytes::copy_from_slice(text.as_bytes())).unwrap();
        self.session.files.sync(gfid, false).unwrap();
        self.session.files.settle(gfid);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.session.end();
        for mut child in self.bricks.iter_mut().filter_map(Option::take) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

const FILE: u32 = libc::S_IFREG | 0o644;

/// Files land on the bricks where GlusterFS put them: four bricks, the names of the reference.
#[test]
fn names_land_where_glusterfs_puts_them() {
    let world = World::new(1, 4);
    let placed =
        [("a", 0), ("hello.c", 0), ("README.md", 1), ("日本.txt", 1), ("hello", 2), ("file1", 2), (".bashrc", 3)];
    for (name, slot) in placed {
        world.make(Gfid::ROOT, name, FILE);
        let holders: Vec<usize> = (0..4).filter(|s| world.disk(*s).join(name).exists()).collect();
        assert_eq!(holders, [slot], "{name}");
    }
}

/// Kill a brick, go on, bring it back: `heal info` tells what waits, and after healing all bricks are equal.
#[test]
fn a_brick_that_was_away_is_healed() {
    let mut world = World::new(3, 3);
    let dir = world.make(Gfid::ROOT, "d", libc::S_IFDIR | 0o755);
    let old = world.make(dir, "old", FILE);
    world.write(old, "before");
    world.kill(2);
    world.write(old, "after!");
    let new = world.make(dir, "new", FILE);
    world.write(new, "only on two");
    assert_eq!(read(&world.disk(2).join("d/old")), "before");
    let source = Source::File(world.dir.path().join("vol.json"));
    let info = heal_info(&world.volume, &source, "laptop").unwrap();
    let names: Vec<String> = info[0].entries.as_ref().unwrap().iter().map(|w| w.name()).collect();
    for name in ["/d", "/d/old", "/d/new"] {
        assert!(names.contains(&name.to_string()), "{name} is not among {names:?}");
    }
    assert_eq!(info[2].entries, None, "a killed brick is not connected");
    world.start(2);
    let set = world.session.files.graph().sets[0].clone();
    world.until("everything is healed", || {
        [dir, old, new].iter().for_each(|gfid| drop(heal::inode(&set, *gfid, None, false)));
        let info = heal_info(&world.volume, &source, "laptop").unwrap();
        info.iter().all(|brick| brick.entries.as_ref().is_some_and(Vec::is_empty))
    });
    for slot in 0..3 {
        assert_eq!(read(&world.disk(slot).join("d/old")), "after!", "brick {slot}");
        assert_eq!(read(&world.disk(slot).join("d/new")), "only on two", "brick {slot}");
    }
}

/// With one of three bricks there is no quorum: nothing is read, nothing is written, and the error is ENOTCONN.
#[test]
fn without_a_quorum_nothing_works() {
    let mut world = World::new(3, 3);
    let file = world.make(Gfid::ROOT, "f", FILE);
    world.write(file, "x");
    world.kill(0);
    world.kill(1);
    let files = &world.session.files;
    world.until("the loss is noticed", || files.stat(file).is_err());
    assert_eq!(files.stat(file).map(drop), Err(libc::ENOTCONN));
    assert_eq!(files.read(file, 0, 1, None).map(drop), Err(libc::ENOTCONN));
    assert_eq!(files.write(file, 0, &Bytes::from_static(b"y")).map(drop), Err(libc::ENOTCONN));
}

/// Copies that are all known to be stale take no write, not even when they are a quorum: the good one, which is away, would come
/// to be accused by them as they are by it.
#[test]
fn stale_copies_alone_take_no_write() {
    let mut world = World::new(3, 3);
    let file = world.make(Gfid::ROOT, "f", FILE);
    world.write(file, "all three");
    world.kill(0);
    world.write(file, "not on 0!");
    world.start(0);
    world.kill(1);
    world.write(file, "2 has all");
    world.kill(2);
    world.start(1);
    let write = || world.session.files.write(file, 0, &Bytes::from_static(b"on 0 and 1"));
    assert!(write().is_err(), "0 missed a write, and so did 1");
    world.start(2);
    let set = world.session.files.graph().sets[0].clone();
    world.until("everything is healed", || {
        heal::inode(&set, file, None, false).is_ok() && read(&world.disk(1).join("f")) == "2 has all"
    });
    assert_eq!(read(&world.disk(0).join("f")), "2 has all");
}

/// A copy that missed that a name was given to another file moves the old file when the name is moved: it is as if it had missed
/// the move too, so that the heal finds it.
#[test]
fn a_stale_name_that_is_moved_is_healed() {
    let mut world = World::new(3, 3);
    let (old, new) = (world.make(Gfid::ROOT, "name", FILE), world.make(Gfid::ROOT, "new", FILE));
    let to = world.make(Gfid::ROOT, "to", libc::S_IFDIR | 0o755);
    world.write(old, "old");
    world.write(new, "new");
    let name = |text: &'static str| Bytes::from_static(text.as_bytes());
    let session = world.session.clone();
    let rename = |from: (Gfid, &'static str), to: (Gfid, &'static str)| {
        session.files.rename((from.0, &name(from.1)), (to.0, &name(to.1)), false).unwrap();
    };
    world.kill(0);
    rename((Gfid::ROOT, "new"), (Gfid::ROOT, "name"));
    world.start(0);
    rename((Gfid::ROOT, "name"), (to, "moved"));
    let set = world.session.files.graph().sets[0].clone();
    world.until("everything is healed", || {
        [Gfid::ROOT, to, new].iter().for_each(|gfid| drop(heal::inode(&set, *gfid, None, false)));
        (0..3).all(|slot| read(&world.disk(slot).join("to/moved")) == "new")
    });
    assert!((0..3).all(|slot| !world.disk(slot).join("name").exists() && !world.disk(slot).join("new").exists()));
}

/// A copy that lost its identity (or was put there by hand) gets that of the others, not one of its own.
#[test]
fn a_copy_without_identity_gets_that_of_the_others() {
    let world = World::new(3, 3);
    let file = world.make(Gfid::ROOT, "f", FILE);
    world.write(file, "the same");
    let own = world.disk(1).join("f");
    std::fs::remove_file(&own).unwrap();
    std::fs::remove_file(world.disk(1).join(file.handle())).unwrap();
    std::fs::write(&own, "the same").unwrap();
    let set = world.session.files.graph().sets[0].clone();
    let name = Bytes::from_static(b"f");
    let found = set.ask_name(set.shape.all(), Gfid::ROOT, &name);
    assert!(found.iter().all(|copy| copy.as_ref().is_ok_and(|c| c.gfid == file)), "{found:?}");
    assert!(world.disk(1).join(file.handle()).exists());
}

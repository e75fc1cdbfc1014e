//! The other half of the homework as a story: a union mount, a replicated volume, two containers.

use crate::container::{Happening as InContainer, Mounted, Room};
use crate::union::{BranchInfo, Happening as InUnion};
use crate::volume::definition::{Brick, Status, Volume};
use crate::volume::xattr::{Kind, Pending};
use crate::volume::{Copy, CopyState, Happening as InVolume};
use crate::world::What;
use crate::world::event::Process;

use super::{BEGIN, Story};

/// Where the union is.
const AT: &str = "/var/lib/lxc/aufstest2/rootfs";

/// The whole story.
pub fn storage() -> Story {
    let mut story = Story::new(BEGIN);
    story.happens("keeper", false, What::Opened { name: "homework".into(), seed: 7 });
    union(&mut story);
    volume(&mut story);
    containers(&mut story);
    story
}

fn union(story: &mut Story) {
    let branch = |path: &str, permission: &str| BranchInfo {
        path: path.into(),
        permission: permission.into(),
        free: 12_300_000_000,
        total: 50_000_000_000,
    };
    let branches = vec![branch("/var/lib/lxc/aufstest2/writable", "rw"), branch("/var/lib/lxc/aufstest1/rootfs", "ro")];
    let (at, options, because) = (AT.to_owned(), "create=tdp".to_owned(), "mount".to_owned());
    let mut says = |what| {
        story.wait(20).happens("mount:/var/lib/lxc", false, What::Union(what));
    };
    says(InUnion::Branches { at: at.clone(), branches, options, because });
    let path = |p: &str| (AT.to_owned(), p.to_owned());
    for (name, branch, merged) in [("/bin", 1, vec![0]), ("/bin/ls", 1, vec![]), ("/etc", 1, vec![0])] {
        let (at, path) = path(name);
        says(InUnion::Resolved { at, path, branch, merged });
    }
    let (at, path_) = path("/etc/motd");
    says(InUnion::CopiedUp { at, path: path_, from: 1, to: 0, bytes: 286 });
    let (at, path_) = path("/root/新文件.txt");
    says(InUnion::Placed { at, path: path_, branch: 0, policy: "tdp".into() });
    let (at, path_) = path("/etc/issue");
    says(InUnion::WhiteoutMade { at, path: path_, branch: 0 });
    let (at, path_) = path("/srv/www");
    says(InUnion::Placed { at: at.clone(), path: path_.clone(), branch: 0, policy: "tdp".into() });
    says(InUnion::MadeOpaque { at, path: path_, branch: 0 });
}

fn volume(story: &mut Story) {
    let brick = |slot: usize| Brick {
        host: format!("server{}", slot % 3 + 1),
        path: format!("/data/brick{}/gv0", slot / 3 + 1),
        peer: uuid::Uuid::nil(),
        slot,
        port: 49152,
        decommissioned: false,
    };
    let volume = Volume {
        name: "gv0".into(),
        id: uuid::Uuid::nil(),
        status: Status::Started,
        replica: 3,
        arbiter: 0,
        bricks: (0..6).map(brick).collect(),
        options: vec![],
        version: 2,
        commit_hash: 1,
    };
    for (i, brick) in volume.bricks.iter().enumerate() {
        let (role, machine, pid) = ("brick".into(), brick.host.clone(), 40 + i32::try_from(i).unwrap_or(0));
        story.happens(&brick.name(), false, What::Process(Process::Started { role, machine, pid }));
        let pending = if i == 0 { 2 } else { 0 };
        let (volume, brick) = (volume.name.clone(), brick.name());
        let what =
            InVolume::Brick { volume, brick: brick.clone(), written: 4_200_000, read: 912, pending, trusted: true };
        story.happens(&brick, false, What::Volume(what));
    }
    let dead = volume.bricks[1].name();
    story.happens(&dead, false, What::Process(Process::Ended { how: "killed by SIGKILL".into() }));
    let mut says = |who: &str, what| {
        story.wait(10).happens(who, false, What::Volume(what));
    };
    let gv0 = || String::from("gv0");
    for (name, hash, set) in [("hello.txt", 0x1a2b_3c4d, 0), ("照片.jpg", 0xd00d_0001, 1)] {
        let (subvolume, half) = (volume.subvolume_name(set), u32::MAX / 2);
        let ranges = vec![(volume.subvolume_name(0), 0, half), (volume.subvolume_name(1), half + 1, u32::MAX)];
        let (dir, name) = ("/".into(), name.into());
        says("mount:/mnt/gv0", InVolume::Placed { volume: gv0(), dir, name, hash, subvolume, ranges });
    }
    let (from, to) = (volume.bricks[0].name(), vec![volume.bricks[2].name()]);
    says(
        "server1/glustershd",
        InVolume::Healed { volume: gv0(), path: "/f".into(), kind: Kind::Data, from, to, bytes: 9000 },
    );
    says("server1/glustershd", InVolume::SplitBrain { volume: gv0(), path: "/both".into(), kind: Kind::Data });
    for (who, layer, note, args) in [
        ("mount:/mnt/gv0", "vfs", "way-write", vec![("path", "/both"), ("size", "5"), ("offset", "0")]),
        ("mount:/mnt/gv0", "fuse", "way-fuse", vec![("fop", "WRITE")]),
        ("mount:/mnt/gv0", "dht", "way-cached", vec![("subvolume", "gv0-replicate-0")]),
        ("mount:/mnt/gv0", "afr", "way-inodelk", vec![]),
        ("mount:/mnt/gv0", "client", "way-network", vec![("brick", "server1:/data/brick1/gv0"), ("fops", "WRITE")]),
        ("server1:/data/brick1/gv0", "posix", "way-disk", vec![("calls", "pwrite(/data/brick1/gv0/both, 5 bytes)")]),
    ] {
        let (layer, note) = (layer.into(), note.into());
        let args = args.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        says(who, InVolume::Step { volume: gv0(), request: 9, layer, note, args });
    }
    let states = [CopyState::Split, CopyState::Away, CopyState::Split];
    let copy = |(i, state): (usize, &CopyState)| Copy {
        brick: volume.bricks[i].name(),
        state: *state,
        size: 5,
        blame: vec![(format!("gv0-client-{}", 2 - i), Pending::of(Kind::Data, 1))],
    };
    let copies = states.iter().enumerate().map(copy).collect();
    says("mount:/mnt/gv0", InVolume::Copies { volume: gv0(), path: "/both".into(), copies });
    says("server1/glusterd", InVolume::Volume(Box::new(volume)));
}

fn containers(story: &mut Story) {
    let mut says = |who: &str, what| {
        story.wait(5).happens(who, false, What::Container(what));
    };
    let made = |name: &str| InContainer::Created {
        template: "debian".into(),
        rootfs: format!("/var/lib/lxc/{name}/rootfs"),
        bytes: 4_800_000,
    };
    says("container:aufstest1", made("aufstest1"));
    let who = "container:aufstest2";
    says(who, InContainer::State { state: "RUNNING".into(), pid: 77 });
    let mount = Mounted { target: "/mnt/gv0".into(), source: "/mnt/gv0".into(), fstype: "fuse.glusterfs".into() };
    let own = ["mnt", "net", "pid", "uts"].map(|n| (n.to_owned(), format!("{n}:[4026532201]")));
    says(
        who,
        InContainer::Room(Room {
            rootfs: AT.into(),
            fstype: "fuse.aufs".into(),
            layers: vec!["/var/lib/lxc/aufstest2/writable=rw".into(), "/var/lib/lxc/aufstest1/rootfs=ro".into()],
            hostname: "aufstest2".into(),
            namespaces: own.into_iter().collect(),
            mounts: vec![mount],
            addresses: vec!["10.0.3.2".into()],
        }),
    );
    says(who, InContainer::Processes { list: vec![(1, "/sbin/init".into()), (12, "sh".into())], count: 2 });
    says(who, InContainer::Wrote { branch: "/var/lib/lxc/aufstest2/writable".into(), bytes: 12_288, names: 9 });
    says(who, InContainer::Attached { pid: 91, command: vec!["bash".into()] });
}

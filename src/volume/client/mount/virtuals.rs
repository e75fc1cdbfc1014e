//! Attributes that exist on the mount only and tell about the volume.

use bytes::Bytes;

use crate::volume::client::files::Files;
use crate::volume::gfid::Gfid;
use crate::volume::replicate::{Blames, Kids};
use crate::volume::rpc::{Fop, Inode, Reply};
use crate::volume::xattr::Kind;

/// The value of a virtual attribute; `None`: it is none.
pub fn get(files: &Files, gfid: Gfid, key: &[u8]) -> Option<Result<Bytes, i32>> {
    let key = std::str::from_utf8(key).ok()?;
    if let Some(name) = key.strip_prefix("dht.file.hashed-subvol.") {
        let graph = files.graph();
        return Some(files.hashed(&graph, gfid, name.as_bytes()).map(|at| graph.name(at).into()));
    }
    match key {
        "glusterfs.gfid.string" => Some(Ok(gfid.to_string().into())),
        "trusted.glusterfs.pathinfo" | "glusterfs.pathinfo" => Some(pathinfo(files, gfid)),
        "replica.split-brain-status" => Some(split_brain_status(files, gfid)),
        _ => None,
    }
}

/// `(<DISTRIBUTE:gv0-dht> (<REPLICATE:gv0-replicate-0> <POSIX(/data/b):server1:/data/b/f> …))`.
fn pathinfo(files: &Files, gfid: Gfid) -> Result<Bytes, i32> {
    let graph = files.graph();
    let volume = &graph.volume;
    let is_dir = files.stat(gfid)?.inode.iatt.is_dir();
    let set = files.set_of(gfid)?;
    let path = match set.tell(gfid, &Fop::Path { gfid })? {
        Reply::Bytes(path) => String::from_utf8_lossy(&path).into_owned(),
        _ => return Err(libc::EIO),
    };
    let replica = volume.replica.max(1);
    let one = |i: usize| {
        let bricks = volume.bricks.iter().skip(i * replica).take(replica);
        let copies: Vec<String> = bricks.map(|b| format!("<POSIX({}):{}:{}{path}>", b.path, b.host, b.path)).collect();
        let copies = copies.join(" ");
        if volume.is_replicated() { format!("(<REPLICATE:{}> {copies})", graph.name(i)) } else { copies }
    };
    let whole: Vec<usize> =
        (0..graph.sets.len()).filter(|i| is_dir || std::sync::Arc::ptr_eq(&graph.sets[*i], &set)).collect();
    let places: Vec<String> = whole.into_iter().map(one).collect();
    let mut text = format!("(<DISTRIBUTE:{}-dht> {})", volume.name, places.join(" "));
    if is_dir {
        let layout = files.layout(&graph, gfid)?;
        let range = |(i, r): (usize, &Option<crate::volume::layout::Range>)| {
            let r = r.unwrap_or_default();
            format!("({} {} {})", graph.name(i), r.start, r.stop)
        };
        let ranges: Vec<String> = layout.0.iter().enumerate().map(range).collect();
        text = format!("({text} ({}-dht-layout {}))", volume.name, ranges.join(" "));
    }
    Ok(text.into())
}

fn split_brain_status(files: &Files, gfid: Gfid) -> Result<Bytes, i32> {
    let set = files.set_of(gfid)?;
    let copies = set.ask_inode(set.ready()?, &Fop::Stat { gfid });
    let copies: Vec<Option<&Inode>> = copies.iter().map(|c| c.as_ref().ok()).collect();
    let blames = Blames::new(&set.shape, &copies);
    let split = |kind| blames.is_split(kind);
    if !split(Kind::Data) && !split(Kind::Metadata) {
        return Ok(Bytes::from_static(b"The file is not under data or metadata split-brain"));
    }
    let say = |yes| if yes { "yes" } else { "no" };
    let choices: Vec<&str> = blames.present().iter().map(|i| set.shape.slots[i].as_str()).collect();
    let (data, metadata) = (say(split(Kind::Data)), say(split(Kind::Metadata)));
    Ok(format!("data-split-brain:{data}    metadata-split-brain:{metadata}    Choices:{}", choices.join(",")).into())
}

/// The copy that a slot's name means.
pub fn slot(files: &Files, gfid: Gfid, name: &[u8]) -> Result<Option<usize>, i32> {
    if name == b"none" {
        return Ok(None);
    }
    let set = files.set_of(gfid)?;
    let place = set.shape.slots.iter().position(|s| s.as_bytes() == name).ok_or(libc::EINVAL)?;
    if (set.wire.up() & Kids::one(place)).is_empty() { Err(libc::ENOTCONN) } else { Ok(Some(place)) }
}

//! Attributes that exist on the mount only and tell about the volume.

use bytes::Bytes;

use crate::volume::client::files::Files;
use crate::volume::definition::Brick;
use crate::volume::gfid::Gfid;
use crate::volume::options;
use crate::volume::replicate::{Blames, Kids};
use crate::volume::rpc::{Fop, Inode, Reply};
use crate::volume::xattr::{self, Kind};

/// The value of a virtual attribute; `None`: it is none.
pub fn get(files: &Files, gfid: Gfid, key: &[u8]) -> Option<Result<Bytes, i32>> {
    let key = std::str::from_utf8(key).ok()?;
    if let Some(name) = key.strip_prefix("dht.file.hashed-subvol.") {
        let graph = files.graph();
        return Some(files.hashed(&graph, gfid, name.as_bytes()).map(|at| graph.name(at).into()));
    }
    if let Some(name) = key.strip_prefix("glusterfs.get_real_filename:") {
        return Some(real_name(files, gfid, name));
    }
    match key {
        "glusterfs.gfidtopath" => Some(paths(files, gfid)),
        "glusterfs.ancestry.path" => Some(path(files, gfid).map(Bytes::from)),
        "trusted.glusterfs.node-uuid" => Some(nodes(files, gfid).map(|all| all.into_iter().next().unwrap_or_default())),
        "trusted.glusterfs.list-node-uuids" => Some(nodes(files, gfid).map(|all| all.join(&b' ').into())),
        "glusterfs.gfid.string" => Some(Ok(gfid.to_string().into())),
        "trusted.glusterfs.pathinfo" | "glusterfs.pathinfo" => Some(pathinfo(files, gfid)),
        "replica.split-brain-status" => Some(split_brain_status(files, gfid)),
        _ => None,
    }
}

fn path(files: &Files, gfid: Gfid) -> Result<Vec<u8>, i32> {
    match files.tell(gfid, &Fop::Path { gfid })? {
        Reply::Bytes(path) if path.is_empty() => Ok(b"/".into()),
        Reply::Bytes(path) => Ok(path.into()),
        _ => Err(libc::EIO),
    }
}

/// Every path of a file, with colons between them.
fn paths(files: &Files, gfid: Gfid) -> Result<Bytes, i32> {
    let Reply::Xattrs(all) = files.tell(gfid, &Fop::Xattrs { gfid, internal: true })? else { return Err(libc::EIO) };
    let named = all.iter().filter(|(key, _)| key.starts_with(xattr::GFID2PATH.as_bytes()));
    let mut found: Vec<Vec<u8>> = vec![];
    for (_, value) in named {
        let Some((parent, name)) = std::str::from_utf8(value).ok().and_then(|text| text.split_once('/')) else {
            continue;
        };
        let parent: uuid::Uuid = parent.parse().map_err(|_| libc::EIO)?;
        let above = path(files, Gfid(*parent.as_bytes()))?;
        found.push([above.strip_suffix(b"/").unwrap_or(&above), b"/", name.as_bytes()].concat());
    }
    if found.is_empty() { path(files, gfid).map(Bytes::from) } else { Ok(found.join(&b':').into()) }
}

/// The name in a directory that is this one but for the case of its letters.
fn real_name(files: &Files, dir: Gfid, name: &str) -> Result<Bytes, i32> {
    let entries = files.readdir(dir, false)?;
    let same = |found: &Bytes| found.eq_ignore_ascii_case(name.as_bytes());
    let exact = entries.iter().find(|e| e.name == name.as_bytes());
    exact.or_else(|| entries.iter().find(|e| same(&e.name))).map(|e| e.name.clone()).ok_or(libc::ENOENT)
}

/// The servers that have the copies of a file, by their identities.
fn nodes(files: &Files, gfid: Gfid) -> Result<Vec<Bytes>, i32> {
    let (graph, set) = (files.graph(), files.set_of(gfid)?);
    let place = graph.sets.iter().position(|other| std::sync::Arc::ptr_eq(other, &set)).ok_or(libc::EIO)?;
    let replica = graph.volume.replica.max(1);
    let bricks = graph.volume.bricks.iter().skip(place * replica).take(replica);
    Ok(bricks.map(|brick| brick.peer.to_string().into()).collect())
}

/// `(<DISTRIBUTE:gv0-dht> (<REPLICATE:gv0-replicate-0> <POSIX(/data/b):server1:/data/b/f> …))`; bricks that are away are left out, and
/// so is the hash where there is nothing to distribute over.
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
    let by_id = options::is_on(volume, "storage.node-uuid-pathinfo");
    let one = |i: usize| {
        let up = graph.sets[i].wire.up();
        let bricks = volume.bricks.iter().skip(i * replica).take(replica).enumerate();
        let bricks = bricks.filter(|(kid, _)| up.has(*kid)).map(|(_, brick)| brick);
        let host = |b: &Brick| if by_id { b.peer.to_string() } else { b.host.clone() };
        let copies: Vec<String> = bricks.map(|b| format!("<POSIX({}):{}:{}{path}>", b.path, host(b), b.path)).collect();
        let copies = copies.join(" ");
        if volume.is_replicated() { format!("(<REPLICATE:{}> {copies})", graph.name(i)) } else { copies }
    };
    let whole: Vec<usize> =
        (0..graph.sets.len()).filter(|i| is_dir || std::sync::Arc::ptr_eq(&graph.sets[*i], &set)).collect();
    let places: Vec<String> = whole.into_iter().map(one).collect();
    if graph.sets.len() == 1 {
        return Ok(places.concat().into());
    }
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

//! What the copies of one inode say of each other, for those who watch.

use super::files::Graph;
use super::set::Set;
use crate::volume::gfid::Gfid;
use crate::volume::replicate::Blames;
use crate::volume::rpc::{Fop, Inode};
use crate::volume::xattr::Kind;
use crate::volume::{Copy, CopyState, Happening};

/// The copies of an inode on the set that is `place` in the volume, and what each holds against the others.
pub fn copies(graph: &Graph, place: usize, gfid: Gfid, path: String) -> Option<Happening> {
    let set = graph.sets.get(place)?;
    let up = set.wire.up();
    let asked = set.ask_inode(up, &Fop::Stat { gfid });
    let present: Vec<Option<&Inode>> = asked.iter().map(|c| c.as_ref().ok()).collect();
    let blames = Blames::new(&set.shape, &present);
    let replica = graph.volume.replica.max(1);
    let bricks = graph.volume.bricks.iter().skip(place * replica).take(replica);
    let copy = |(i, brick): (usize, &crate::volume::definition::Brick)| Copy {
        brick: brick.name(),
        state: match &asked[i] {
            Ok(_) => state(set, &blames, i),
            Err(libc::ENOENT) => CopyState::Missing,
            Err(_) => CopyState::Away,
        },
        size: present[i].map_or(0, |c| c.iatt.size),
        blame: present[i].map_or(vec![], |c| c.blame.clone()),
    };
    let copies = bricks.enumerate().map(copy).collect();
    Some(Happening::Copies { volume: graph.volume.name.clone(), path, copies })
}

fn state(set: &Set, blames: &Blames, i: usize) -> CopyState {
    let kinds = [Kind::Data, Kind::Metadata, Kind::Entry];
    let accused = |kind| blames.accused(kind).has(i);
    if !kinds.into_iter().any(accused) {
        CopyState::Good
    } else if kinds.into_iter().any(|k| accused(k) && blames.is_split(k)) && set.shape.len() > 1 {
        CopyState::Split
    } else {
        CopyState::Stale
    }
}

/// Where a set is in the volume.
pub fn place(graph: &Graph, set: &Set) -> Option<usize> {
    graph.sets.iter().position(|s| std::ptr::eq(&**s, set))
}

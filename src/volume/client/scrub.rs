//! The scrub of one server's bricks: every file on them is compared with its other copies, and a corrupt copy is accused by the
//! others, so that nobody reads it and the next heal mends it. Part of the self-heal daemon.
//!
//! A file is compared under its lock, so that no write is under way; copies that are behind anyhow are left out. Every server
//! scrubs its own bricks, so each copy is compared, and each server tells of its own disks alone.

use bytes::Bytes;

use super::set::{Set, lease};
use super::wire::Call;
use crate::volume::gfid::Gfid;
use crate::volume::replicate::{Blames, Kids};
use crate::volume::rpc::{Fop, Inode, Reply, Xattrop};
use crate::volume::scrub::{Compared, Sums, compare};
use crate::volume::xattr::{AFR, Kind, Pending};

/// Bytes that have one checksum.
const BLOCK: u32 = 128 << 10;
/// How many checksums are asked for at once.
const BATCH: u32 = 64;

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is no file with contents here.
    Nothing,
    /// It could not be compared: too few copies are there, or no majority.
    Skipped,
    /// Its copy here is as it should be.
    Sound,
    /// Its copy here is corrupt.
    Corrupt,
}

/// Compares the copies of one file, and has that on `own` accused if it is corrupt.
pub fn file(set: &Set, gfid: Gfid, own: usize) -> Found {
    let is_file = |i: &Inode| i.iatt.is_file() && i.linkto.is_none();
    match &set.ask_inode(Kids::one(own), &Fop::Stat { gfid })[own] {
        Ok(inode) if is_file(inode) => {}
        Ok(_) => return Found::Nothing,
        Err(_) => return Found::Skipped,
    }
    let Ok(entered) = set.lease(&lease::inode(gfid), lease::ALL) else { return Found::Skipped };
    let found = under_lock(set, gfid, own, entered.kids());
    set.leave(entered);
    set.settle(gfid);
    found
}

fn under_lock(set: &Set, gfid: Gfid, own: usize, there: Kids) -> Found {
    let asked = set.ask_inode(there, &Fop::Stat { gfid });
    let copies: Vec<Option<&Inode>> = asked.iter().map(|c| c.as_ref().ok()).collect();
    let blames = Blames::new(&set.shape, &copies);
    let sound = blames.sources(Kind::Data) - set.shape.arbiters;
    if !sound.has(own) || sound.count() < 2 {
        return Found::Skipped;
    }
    match corrupt(set, gfid, sound) {
        Compared::Equal => Found::Sound,
        Compared::Undecided => Found::Skipped,
        Compared::Corrupt(bad) if bad.contains(&own) => {
            accuse(set, gfid, sound - bad.into_iter().collect::<Kids>(), own);
            Found::Corrupt
        }
        // Another server's copy is that server's to find, so that it is told once, and by the one whose disk it is.
        Compared::Corrupt(_) => Found::Sound,
    }
}

/// Compares whole files, some blocks at a time; ends at the first difference that no majority settles.
fn corrupt(set: &Set, gfid: Gfid, kids: Kids) -> Compared {
    let mut bad: Vec<usize> = Vec::new();
    for turn in 0_u64.. {
        let offset = turn * u64::from(BATCH) * u64::from(BLOCK);
        let answers = set.wire.ask(kids, &[Fop::Checksum { gfid, offset, block: BLOCK, count: BATCH }]);
        let sums = |(kid, answer): (usize, super::wire::Answer)| match answer.last() {
            Ok(Reply::Checksums(sums)) => Some((kid, sums.clone())),
            _ => None,
        };
        let Some(sums) = answers.into_iter().map(sums).collect::<Option<Vec<(usize, Sums)>>>() else {
            return Compared::Undecided;
        };
        match compare(&sums) {
            Compared::Corrupt(more) => bad.extend(more),
            Compared::Undecided => return Compared::Undecided,
            Compared::Equal => {}
        }
        if sums.iter().all(|(_, s)| s.len() < BATCH as usize) {
            break;
        }
    }
    bad.sort_unstable();
    bad.dedup();
    if bad.is_empty() { Compared::Equal } else { Compared::Corrupt(bad) }
}

/// The sound copies hold one missed write against the corrupt one. A witness that is lost meanwhile leaves the others.
fn accuse(set: &Set, gfid: Gfid, witnesses: Kids, bad: usize) {
    let add = vec![(format!("{AFR}{}", set.shape.slots[bad]), Pending::of(Kind::Data, 1))];
    let call = |kid| Call { kid, epoch: 0, fops: vec![Fop::Xattrop(Xattrop { gfid, add: add.clone(), name: None })] };
    set.wire.exchange(witnesses.iter().map(call).collect(), &Bytes::new());
    set.forget(gfid);
}

/// Whether the other copies still accuse that of a file on `own`.
pub fn is_accused(set: &Set, gfid: Gfid, own: usize) -> bool {
    let asked = set.ask_inode(set.wire.up(), &Fop::Stat { gfid });
    let copies: Vec<Option<&Inode>> = asked.iter().map(|c| c.as_ref().ok()).collect();
    Blames::new(&set.shape, &copies).accused(Kind::Data).has(own)
}

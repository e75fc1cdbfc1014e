//! What waits to be healed, and how a person resolves a split-brain: `volume heal V info`, `… split-brain …`.
//!
//! A client of its own asks the bricks; managers and self-heal daemons need not run.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::heal;
use super::manager::Source;
use super::role;
use super::session::Session;
use super::set::Set;
use crate::volume::definition::Volume;
use crate::volume::gfid::Gfid;
use crate::volume::heal::{Choice, chosen};
use crate::volume::replicate::{Blames, Kids};
use crate::volume::rpc::{Domain, Fop, Inode, Lock, Reply};
use crate::volume::xattr::Kind;

/// How long bricks may take to be reached.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What waits on one brick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrickInfo {
    /// `server1:/data/brick1/gv0`.
    pub name: String,
    /// What waits; `None`: the brick is not connected.
    pub entries: Option<Vec<Waiting>>,
}

/// One inode that waits to be healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Who it is.
    pub gfid: Gfid,
    /// Its path from the volume's root, if the brick knows one.
    pub path: Option<String>,
    /// Whether copies accuse each other.
    pub split_brain: bool,
    /// Whether somebody heals it right now.
    pub healing: bool,
    /// Which bricks are accused, of what.
    pub accused: Vec<(String, Kind)>,
}

impl Waiting {
    /// `/d/f`, or `<gfid:…>`.
    pub fn name(&self) -> String {
        self.path.clone().unwrap_or_else(|| format!("<gfid:{}>", self.gfid))
    }
}

/// Why a split-brain was not resolved. Texts as of GlusterFS.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// The path leads nowhere.
    #[error("Lookup failed on {0}:{1}.")]
    Lookup(String, io::Error),
    /// Nothing to resolve.
    #[error("Healing {0} failed: File not in split-brain.")]
    NotSplit(String),
    /// No copy is bigger.
    #[error("No bigger file for file {0}")]
    NoBigger(String),
    /// No copy is younger.
    #[error("Healing {0} failed: No difference in mtime.")]
    NoNewer(String),
    /// There is no such brick.
    #[error("\"{0}\"- No such brick available in the volume.")]
    NoBrick(String),
    /// It could not be carried out.
    #[error("Healing {0} failed: {1}.")]
    Failed(String, io::Error),
}

fn connect(volume: &Volume, source: &Source, machine: &str) -> io::Result<Arc<Session>> {
    let session = role::start(volume.clone(), source, machine, ("glfsheal", "client", "glfsheal"), |_| {})?;
    session.wait_ready(PATIENCE);
    Ok(session)
}

/// What waits to be healed, brick by brick in the volume's order.
///
/// # Errors
/// If no client can be made.
pub fn heal_info(volume: &Volume, source: &Source, machine: &str) -> io::Result<Vec<BrickInfo>> {
    let session = connect(volume, source, machine)?;
    let graph = session.files.graph();
    let replica = volume.replica.max(1);
    let one = |(n, brick): (usize, &crate::volume::definition::Brick)| {
        let entries = graph.sets.get(n / replica).and_then(|set| waiting(set, n % replica));
        BrickInfo { name: brick.name(), entries }
    };
    let all = volume.bricks.iter().enumerate().map(one).collect();
    session.end();
    Ok(all)
}

/// The inodes in a brick's indices.
fn indexed(set: &Set, kid: usize) -> Option<BTreeSet<Gfid>> {
    let mut all = BTreeSet::new();
    for dirty in [false, true] {
        match set.wire.ask(Kids::one(kid), &[Fop::Index { dirty }])[0].1.last() {
            Ok(Reply::Gfids(gfids)) => all.extend(gfids.iter().copied()),
            _ => return None,
        }
    }
    Some(all)
}

fn waiting(set: &Set, kid: usize) -> Option<Vec<Waiting>> {
    let gfids = indexed(set, kid)?;
    Some(gfids.into_iter().filter_map(|gfid| inspect(set, kid, gfid)).collect())
}

/// What is the matter with an inode; `None`: nothing (any more).
fn inspect(set: &Set, kid: usize, gfid: Gfid) -> Option<Waiting> {
    let copies = set.ask_inode(set.wire.up(), &Fop::Stat { gfid });
    copies.get(kid)?.as_ref().ok()?;
    let copies: Vec<Option<&Inode>> = copies.iter().map(|c| c.as_ref().ok()).collect();
    let blames = Blames::new(&set.shape, &copies);
    let kinds = [Kind::Data, Kind::Metadata, Kind::Entry];
    let accused: Vec<(String, Kind)> = kinds
        .iter()
        .flat_map(|k| blames.accused(*k).iter().map(|i| (set.shape.slots[i].clone(), *k)).collect::<Vec<_>>())
        .collect();
    let is_free = |domain| is_free(set, kid, Lock { domain, gfid, name: None });
    // What is only begun, by a client that holds the lock, is under way and not to be healed.
    if blames.is_clean() || (accused.is_empty() && !is_free(Domain::Inode)) {
        return None;
    }
    let path = match set.wire.ask(Kids::one(kid), &[Fop::Path { gfid }])[0].1.last() {
        Ok(Reply::Bytes(path)) => Some(String::from_utf8_lossy(path).into_owned()),
        _ => None,
    };
    let split_brain = kinds.iter().any(|k| blames.is_split(*k));
    let healing = !split_brain && !is_free(Domain::Heal);
    Some(Waiting { gfid, path, split_brain, healing, accused })
}

/// Whether nobody holds a lock on a brick.
fn is_free(set: &Set, kid: usize, lock: Lock) -> bool {
    let fops = [Fop::Lock { lock: lock.clone(), wait: false }, Fop::Unlock { lock }];
    set.wire.ask(Kids::one(kid), &fops)[0].1.outcome().is_ok()
}

/// Resolves the split-brain of one file as a person chose. `brick`: the brick (`server1:/b`) to take the file from.
///
/// # Errors
/// [`Unresolved`].
pub fn resolve(
    volume: &Volume,
    source: &Source,
    machine: &str,
    path: &str,
    how: &Resolution,
) -> Result<Resolved, Unresolved> {
    let failed = |e: io::Error| Unresolved::Failed(path.into(), e);
    let session = connect(volume, source, machine).map_err(failed)?;
    let outcome = resolve_in(&session, volume, path, how);
    session.end();
    outcome
}

/// What was resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// Copies of one file had different contents or attributes.
    Contents,
    /// Copies had different files under one name.
    Identity,
}

/// How to resolve a split-brain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The bigger file.
    Bigger,
    /// The file that was written last.
    Newest,
    /// What this brick has.
    Brick(String),
}

fn resolve_in(session: &Session, volume: &Volume, path: &str, how: &Resolution) -> Result<Resolved, Unresolved> {
    let lookup = |e: i32| Unresolved::Lookup(path.into(), io::Error::from_raw_os_error(e));
    if let Some((parent, name)) = path.trim_end_matches('/').rsplit_once('/') {
        let (set, dir) = walk(session, parent).map_err(lookup)?;
        let name = bytes::Bytes::copy_from_slice(name.as_bytes());
        let choice = choice(volume, &set, how)?;
        match patiently(|| heal::settle_name(&set, dir, &name, choice)) {
            Ok(None) => {}
            Ok(Some(())) => return Ok(Resolved::Identity),
            Err(libc::EIO) => return Err(undecided(path, how)),
            Err(e) => return Err(Unresolved::Failed(path.into(), io::Error::from_raw_os_error(e))),
        }
    }
    let (set, gfid) = walk(session, path).map_err(lookup)?;
    let choice = choice(volume, &set, how)?;
    let copies = set.ask_inode(set.wire.up(), &Fop::Stat { gfid });
    let copies: Vec<Option<&Inode>> = copies.iter().map(|c| c.as_ref().ok()).collect();
    let blames = Blames::new(&set.shape, &copies);
    if !blames.is_split(Kind::Data) && !blames.is_split(Kind::Metadata) {
        return Err(Unresolved::NotSplit(path.into()));
    }
    if chosen(&copies, blames.present() - set.shape.arbiters, choice).is_none() {
        return Err(undecided(path, how));
    }
    let failed = |e: i32| Unresolved::Failed(path.into(), io::Error::from_raw_os_error(e));
    patiently(|| heal::inode(&set, gfid, Some(choice), true)).map(|_| Resolved::Contents).map_err(failed)
}

/// How long a heal that a person asked for waits for one that is under way.
const WAIT: Duration = Duration::from_secs(10);

/// Tries again as long as somebody else is healing the same.
fn patiently<T>(heal: impl Fn() -> Result<T, i32>) -> Result<T, i32> {
    let deadline = Instant::now() + WAIT;
    loop {
        match heal() {
            Err(libc::EAGAIN) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            healed => return healed,
        }
    }
}

fn undecided(path: &str, how: &Resolution) -> Unresolved {
    match how {
        Resolution::Newest => Unresolved::NoNewer(path.into()),
        Resolution::Bigger | Resolution::Brick(_) => Unresolved::NoBigger(path.into()),
    }
}

fn choice(volume: &Volume, set: &Set, how: &Resolution) -> Result<Choice, Unresolved> {
    Ok(match how {
        Resolution::Bigger => Choice::Bigger,
        Resolution::Newest => Choice::Newest,
        Resolution::Brick(name) => {
            let brick = volume.bricks.iter().find(|b| b.name() == *name);
            let slot = brick.map(|b| volume.client_name(b));
            let place = slot.and_then(|slot| set.shape.slots.iter().position(|s| *s == slot));
            Choice::Source(place.ok_or_else(|| Unresolved::NoBrick(name.clone()))?)
        }
    })
}

/// The file at a path, and its set. Names are looked for on any copy, since in split-brain no copy may be believed.
fn walk(session: &Session, path: &str) -> Result<(Arc<Set>, Gfid), i32> {
    let graph = session.files.graph();
    let mut at = (graph.sets.first().cloned().ok_or(libc::ENOTCONN)?, Gfid::ROOT);
    for name in path.split('/').filter(|n| !n.is_empty()) {
        let fop =
            Fop::Lookup { parent: at.1, name: bytes::Bytes::copy_from_slice(name.as_bytes()), fresh: Gfid::random() };
        let found = graph.sets.iter().find_map(|set| {
            let copies = set.ask_inode(set.wire.up(), &fop);
            let copy = copies.into_iter().flatten().find(|c| c.linkto.is_none())?;
            Some((set.clone(), copy.gfid))
        });
        at = found.ok_or(libc::ENOENT)?;
    }
    Ok(at)
}

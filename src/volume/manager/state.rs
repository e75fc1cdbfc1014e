//! Everything that one manager knows, and the judgement whether a change is allowed by what it knows.
//!
//! [`State`] is a value: the driver loads it from `/var/lib/glusterd`, changes it under one lock and stores what changed.
//! [`State::judge`] is the part of a transaction's validation that needs no disk; its refusals are GlusterFS's words and
//! follow `volume start: gv0: failed: `.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::volume::definition::{Brick, Kind, Status, Volume};
use crate::volume::handshake::{DefragState, ScrubReport};
use crate::volume::options;

use super::op::{Change, Op, Removal};
use super::peer::Peer;
use super::task::Task;

/// How long a transaction may hold its lock.
pub const LOCK_EXPIRES: Duration = Duration::from_secs(180);

/// What one manager knows.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Its own identity.
    pub uuid: Uuid,
    /// The other managers of the pool.
    pub peers: Vec<Peer>,
    /// The volumes of the pool.
    pub volumes: BTreeMap<String, Volume>,
    /// Options of the whole pool (`volume set all`), newest first.
    pub globals: Vec<(String, String)>,
    /// Ids of volumes that were deleted: a peer that missed it must not bring them back.
    pub deleted: BTreeSet<Uuid>,
    /// The task of a volume, if it ever had one that was not forgotten.
    pub tasks: BTreeMap<String, Task>,
    /// What the last scrub of this server's bricks found, by volume.
    pub scrubs: BTreeMap<String, ScrubReport>,
    /// Locked volumes, by which manager and since when.
    pub locks: HashMap<String, (Uuid, Instant)>,
    /// Bricks that were taken offline by `reset-brick … start`, as (volume, brick name).
    pub reset: BTreeSet<(String, String)>,
    /// Volumes whose bricks were stopped for lack of server quorum.
    pub without_quorum: BTreeSet<String>,
}

impl State {
    /// The volume of this name.
    ///
    /// # Errors
    /// `Volume V does not exist`.
    pub fn volume(&self, name: &str) -> Result<&Volume, String> {
        self.volumes.get(name).ok_or_else(|| format!("Volume {name} does not exist"))
    }

    /// The peer with this name or id.
    pub fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|p| p.is_named(name))
    }

    /// A volume with the pool's options in force.
    pub fn effective(&self, volume: &Volume) -> Volume {
        let mut volume = volume.clone();
        let unset: Vec<_> = self.globals.iter().filter(|(k, _)| volume.option(k).is_none()).cloned().collect();
        volume.options.extend(unset);
        volume
    }

    /// Locks a volume for a manager's transaction, as of `now`. A lock that is older than [`LOCK_EXPIRES`] is void.
    ///
    /// # Errors
    /// If another transaction holds it.
    pub fn lock(&mut self, volume: &str, by: Uuid, now: Instant) -> Result<(), String> {
        self.locks.retain(|_, (_, since)| now.saturating_duration_since(*since) < LOCK_EXPIRES);
        if self.locks.contains_key(volume) {
            return Err(format!("Another transaction is in progress for {volume}. Please try again after some time."));
        }
        self.locks.insert(volume.into(), (by, now));
        Ok(())
    }

    /// Unlocks what this manager locked.
    pub fn unlock(&mut self, volume: &str, by: Uuid) {
        self.locks.retain(|name, (owner, _)| name != volume || *owner != by);
    }

    /// Unlocks everything of a manager that is gone.
    pub fn unlock_all(&mut self, by: Uuid) {
        self.locks.retain(|_, (owner, _)| *owner != by);
    }

    /// Whether so many connected managers (this one included) are a quorum of the pool for this volume's bricks.
    pub fn has_quorum(&self, volume: &Volume, up: usize) -> bool {
        if options::value(volume, "cluster.server-quorum-type") != "server" {
            return true;
        }
        let all = self.peers.len() + 1;
        let ratio = self.globals.iter().find(|(k, _)| k == "cluster.server-quorum-ratio").map(|(_, v)| v);
        match ratio.and_then(|r| r.trim_end_matches('%').parse::<f64>().ok()) {
            Some(percent) => up as f64 * 100.0 >= percent * all as f64,
            None => up * 2 > all,
        }
    }

    /// Whether the change is allowed, as far as definitions tell. `up`: connected managers, this one included.
    ///
    /// # Errors
    /// Why not, in GlusterFS's words.
    pub fn judge(&self, op: &Op, up: usize) -> Result<(), String> {
        let name = &op.volume;
        match &op.change {
            Change::Create(volume) => return self.judge_creation(volume, op.force),
            Change::Set(options) => return self.judge_set(name, options, up),
            Change::Reset(_) if name == "all" => return Ok(()),
            Change::AddBrick { .. } if !self.volumes.contains_key(name) => {
                return Err(format!("Unable to get volinfo for volume name {name}"));
            }
            _ => {}
        }
        let volume = self.volume(name)?;
        let lenient = matches!(op.change, Change::Stop | Change::Delete | Change::Reset(_));
        if !lenient && !self.has_quorum(volume, up) {
            return Err("Quorum not met. Volume operation not allowed.".into());
        }
        match &op.change {
            Change::Start if volume.status == Status::Started && !op.force => {
                Err(format!("Volume {name} already started"))
            }
            Change::Stop if volume.status != Status::Started && !op.force => {
                Err(format!("Volume {name} is not in the started state"))
            }
            Change::Stop if !op.force => self.judge_stop(volume),
            Change::Delete if volume.status == Status::Started => {
                Err(format!("Volume {name} has been started.Volume needs to be stopped before deletion."))
            }
            Change::Reset(Some(key)) if options::row(key).is_none() && !key.starts_with("user.") => {
                Err(format!("Option {key} does not exist\nDid you mean {}?", options::nearest(key)))
            }
            Change::AddBrick { bricks, replica, arbiter } => {
                self.judge_addition(volume, bricks, *replica, *arbiter)?;
                let after = op.apply(Some(volume)).unwrap_or_else(|| volume.clone());
                let shared = !op.force && after.is_replicated() && after.sets().any(shares_a_server);
                if shared { Err(SAME_SERVER.into()) } else { Ok(()) }
            }
            Change::RemoveBrick { bricks, replica, action, .. } => {
                self.judge_removal(volume, bricks, *replica, *action, op.force)
            }
            Change::Rebalance { mode, .. } => self.judge_rebalance(volume, mode.is_some()),
            Change::ReplaceBrick { old, new } => self.judge_replacement(volume, old, new),
            Change::ResetBrick { old, new } => self.judge_reset(volume, old, new.as_ref(), op.force),
            Change::Profile(on) => judge_profile(volume, *on),
            Change::Bitrot(options) => judge_bitrot(volume, options),
            _ => Ok(()),
        }
    }

    fn judge_creation(&self, volume: &Volume, force: bool) -> Result<(), String> {
        if self.volumes.contains_key(&volume.name) {
            return Err(format!("Volume {} already exists", volume.name));
        }
        if !force && volume.is_replicated() && volume.sets().any(shares_a_server) {
            return Err(SAME_SERVER.into());
        }
        self.judge_new_bricks(&volume.bricks)
    }

    /// No new brick may be, contain, or be contained by a brick that a volume has.
    fn judge_new_bricks(&self, bricks: &[Brick]) -> Result<(), String> {
        let owned: Vec<&Brick> = self.volumes.values().flat_map(|v| &v.bricks).collect();
        let clash = bricks.iter().find(|b| owned.iter().any(|o| o.peer == b.peer && overlap(&o.path, &b.path)));
        clash.map_or(Ok(()), |brick| {
            let name = brick.name();
            Err(format!("Brick: {name} not available. Brick may be containing or be contained by an existing brick."))
        })
    }

    fn judge_set(&self, name: &str, set: &[(String, String)], up: usize) -> Result<(), String> {
        let volume = if name == "all" { None } else { Some(self.volume(name)?) };
        for (key, value) in set {
            options::fits(volume, key, value).map_err(|refused| refused.to_string())?;
        }
        let Some(volume) = volume else { return Ok(()) };
        let quorum = set.iter().any(|(key, _)| key == "cluster.server-quorum-type");
        if quorum || self.has_quorum(volume, up) {
            return Ok(());
        }
        Err("Quorum not met. Volume operation not allowed.".into())
    }

    fn judge_stop(&self, volume: &Volume) -> Result<(), String> {
        match self.tasks.get(&volume.name) {
            Some(task) if task.is_running() && !task.is_removal() => {
                Err(format!("rebalance session is in progress for the volume '{}'", volume.name))
            }
            Some(task) if task.is_running() => {
                Err(format!("remove-brick operation is in progress for the volume '{}'", volume.name))
            }
            _ => Ok(()),
        }
    }

    fn judge_addition(&self, volume: &Volume, bricks: &[Brick], replica: usize, arbiter: usize) -> Result<(), String> {
        let (count, old) = (bricks.len(), volume.replica);
        if let Some(task) = self.tasks.get(&volume.name).filter(|t| t.is_running() || undecided(volume, t)) {
            let what = if task.is_removal() { "remove-brick" } else { "rebalance" };
            return Err(format!("Volume name {} {what} is in progress. Please retry after completion", volume.name));
        }
        if replica < old {
            return Err(format!("Incorrect replica count ({replica}) supplied. Volume already has ({old})"));
        }
        if arbiter > 0 && replica == old && volume.arbiter == 0 {
            return Err("Cannot convert replica 3 volume to arbiter volume.".into());
        }
        let arbiter_of_two = matches!(old, 1 | 2) && replica == 3 && arbiter == 1;
        let grown = volume.arbiter > 0 && replica > old;
        if grown || (arbiter > volume.arbiter && !arbiter_of_two) {
            return Err("Increasing replica count for arbiter volumes is not supported.".into());
        }
        let due = if replica > old { volume.set_count() * (replica - old) } else { replica };
        if count == 0 || (replica > old && count != due) || (replica == old && count % due != 0) {
            return Err(format!("Incorrect number of bricks supplied {count} with count {due}"));
        }
        if replica > old && volume.status != Status::Started {
            let down = volume.bricks.first().map(|b| b.path.as_str()).unwrap_or_default();
            return Err(format!(
                "Brick {down} is down, changing replica count needs all the bricks to be up to avoid data loss"
            ));
        }
        self.judge_new_bricks(bricks)
    }

    fn judge_removal(
        &self,
        volume: &Volume,
        bricks: &[(String, String)],
        replica: usize,
        action: Removal,
        force: bool,
    ) -> Result<(), String> {
        let name = &volume.name;
        if volume.kind() == Kind::Replicate && replica == volume.replica && action == Removal::Start {
            return Err(WITHOUT_REDUCING.into());
        }
        let found = |(host, path): &(String, String)| volume.brick(host, path).map(|(i, b)| (i, b.decommissioned));
        if let Some((host, path)) = bricks.iter().find(|b| found(b).is_none()) {
            return Err(format!("Incorrect brick {host}:{path} for volume {name}"));
        }
        let task = self.tasks.get(name).filter(|t| t.is_removal());
        match action {
            Removal::Stop if task.is_none() => return Err(format!("remove-brick not started for volume {name}.")),
            Removal::Stop => return Ok(()),
            Removal::Commit if !force => {
                if let Some((host, path)) = bricks.iter().find(|b| found(b).is_some_and(|(_, marked)| !marked)) {
                    return Err(format!("Brick {host}:{path} is not decommissioned. Use start or force option"));
                }
                if task.is_some_and(Task::is_running) {
                    return Err("use 'force' option as migration is in progress".into());
                }
                if task.is_some_and(|t| t.progress.state == DefragState::Failed) {
                    return Err("use 'force' option as migration has failed".into());
                }
                return Ok(());
            }
            Removal::Start => {
                if volume.status != Status::Started {
                    return Err(format!(
                        "Volume {name} needs to be started before remove-brick (you can use 'force' or 'commit' to override this behavior)"
                    ));
                }
                if self.tasks.get(name).is_some_and(|t| t.is_running() || undecided(volume, t)) {
                    return Err(format!(
                        "An earlier remove-brick task exists for volume {name}. Either commit it or stop it before starting a new task."
                    ));
                }
            }
            Removal::Commit | Removal::Force => {}
        }
        judge_shrink(volume, bricks, replica, action)
    }

    fn judge_rebalance(&self, volume: &Volume, start: bool) -> Result<(), String> {
        let name = &volume.name;
        let task = self.tasks.get(name);
        if !start {
            let known = task.filter(|t| !t.is_removal());
            return known.map_or_else(|| Err(format!("Rebalance not started for volume {name}.")), |_| Ok(()));
        }
        if volume.set_count() < 2 {
            return Err(format!(
                "Volume {name} is not a distribute volume or contains only 1 brick.\nNot performing rebalance"
            ));
        }
        if volume.status != Status::Started {
            return Err(format!("Volume {name} needs to be started to perform rebalance"));
        }
        match task {
            Some(task) if undecided(volume, task) => Err(format!(
                "A remove-brick task on volume {name} is not yet committed. Either commit or stop the remove-brick task."
            )),
            Some(task) if task.is_running() => Err(format!("Rebalance on {name} is already started")),
            _ => Ok(()),
        }
    }

    fn judge_replacement(&self, volume: &Volume, old: &(String, String), new: &Brick) -> Result<(), String> {
        if volume.kind() == Kind::Distribute {
            return Err("replace-brick is not permitted on distribute only volumes. Please use add-brick and remove-brick operations instead.".into());
        }
        if volume.brick(&old.0, &old.1).is_none() {
            return Err(format!("brick: {}:{} does not exist in volume: {}", old.0, old.1, volume.name));
        }
        self.judge_new_bricks(std::slice::from_ref(new))
    }

    fn judge_reset(
        &self,
        volume: &Volume,
        old: &(String, String),
        new: Option<&Brick>,
        force: bool,
    ) -> Result<(), String> {
        let name = format!("{}:{}", old.0, old.1);
        if volume.brick(&old.0, &old.1).is_none() {
            return Err(format!("brick: {name} does not exist in volume: {}", volume.name));
        }
        let Some(new) = new else { return Ok(()) };
        if !self.reset.contains(&(volume.name.clone(), name)) && volume.status == Status::Started {
            return Err("Source brick must be stopped. Please use reset-brick start.".into());
        }
        let same = new.path == old.1 && new.host == old.0;
        match same {
            true if !force => Err("When destination brick is same as source brick, please use 'commit force'.".into()),
            true => Ok(()),
            false => self.judge_new_bricks(std::slice::from_ref(new)),
        }
    }
}

const WITHOUT_REDUCING: &str =
    "Removing bricks from replicate configuration is not allowed without reducing replica count explicitly.";
const SAME_SERVER: &str = "Multiple bricks of a replicate volume are present on the same server. This setup is not optimal. Bricks should be on different nodes to have best fault tolerant configuration. Use 'force' at the end of the command if you want to override this behavior. ";

/// Whether two bricks of a set are on one server.
fn shares_a_server(set: &[Brick]) -> bool {
    set.iter().enumerate().any(|(i, b)| set[..i].iter().any(|other| other.peer == b.peer))
}

/// Whether a removal is neither committed nor stopped.
fn undecided(volume: &Volume, task: &Task) -> bool {
    task.is_removal() && volume.bricks.iter().any(|b| b.decommissioned)
}

fn judge_shrink(volume: &Volume, bricks: &[(String, String)], replica: usize, action: Removal) -> Result<(), String> {
    let (count, old) = (bricks.len(), volume.replica);
    let indices: Vec<usize> = bricks.iter().filter_map(|(h, p)| volume.brick(h, p).map(|(i, _)| i)).collect();
    let per_set = |set: usize| indices.iter().filter(|i| *i / old == set).count();
    if replica < old {
        if action == Removal::Start {
            return Err("Migration of data is not needed when reducing replica count. Use the 'force' option".into());
        }
        let is_arbiter = |i: &usize| volume.is_arbiter(*i);
        if volume.arbiter > 0 && replica == 2 && !indices.iter().all(is_arbiter) {
            return Err("Remove arbiter brick(s) only when converting from arbiter to replica 2 subvolume.".into());
        }
        if volume.arbiter > 0 && replica == 1 && indices.iter().filter(|i| is_arbiter(i)).count() < volume.set_count() {
            return Err(
                "Removed bricks must contain arbiter when converting from arbiter to plain distribute volume.".into()
            );
        }
        let each = old - replica;
        let fits = count == each * volume.set_count() && (0..volume.set_count()).all(|s| per_set(s) == each);
        return fits.then_some(()).ok_or_else(|| {
            format!(
                "need {}(xN) bricks for reducing replica count of the volume from {old} to {replica}",
                each * volume.set_count()
            )
        });
    }
    if replica > old {
        return Err(format!("given replica count ({replica}) is more than volume's replica count ({old})"));
    }
    if count >= volume.bricks.len() {
        return Err("Deleting all the bricks of the volume is not allowed".into());
    }
    if volume.kind() == Kind::Replicate {
        return Err(WITHOUT_REDUCING.into());
    }
    if count % old != 0 {
        return Err(format!("Remove brick incorrect brick count of {count} for replica {old}"));
    }
    let whole = (0..volume.set_count()).all(|s| matches!(per_set(s), n if n == 0 || n == old));
    whole.then_some(()).ok_or_else(|| "Bricks not from same subvol for replica".into())
}

/// A scrub compares copies: it needs a started volume that has some, and is switched on once.
fn judge_bitrot(volume: &Volume, options: &[(String, String)]) -> Result<(), String> {
    let (on, name) = (volume.option("features.bitrot") == Some("on"), &volume.name);
    let sets = |key: &str, value: &str| options.iter().any(|(k, v)| k == key && v == value);
    if volume.status != Status::Started {
        return Err("Volume is stopped, start volume before executing bit rot command.".into());
    }
    match options {
        [] if !on => Err(format!("Bitrot is not enabled on volume {name}")),
        [] => Ok(()),
        _ if sets("features.bitrot", "on") && on => Err("Bitrot is already enabled".into()),
        _ if sets("features.bitrot", "on") && volume.replica - volume.arbiter < 2 => {
            Err("gluster has bitrot for files of a single copy, terrarium does not: its scrub compares copies".into())
        }
        _ if sets("features.bitrot", "on") => Ok(()),
        _ if !on => Err(format!("Bitrot is not enabled on volume {name}")),
        _ if sets("features.scrub", "pause") && volume.option("features.scrub") == Some("pause") => {
            Err(format!("Scrub is already paused for volume {name}"))
        }
        _ if sets("features.scrub", "Active") && volume.option("features.scrub") != Some("pause") => {
            Err(format!("Scrub is not paused for volume {name}"))
        }
        _ => Ok(()),
    }
}

fn judge_profile(volume: &Volume, on: bool) -> Result<(), String> {
    let running = volume.option("diagnostics.count-fop-hits") == Some("on");
    match (running, on) {
        (true, true) => Err(format!("Profile on Volume {} is already started", volume.name)),
        (false, false) => Err(format!("Profile on Volume {} is not started", volume.name)),
        _ => Ok(()),
    }
}

/// Whether one path is the other or lies in it.
fn overlap(a: &str, b: &str) -> bool {
    let inside =
        |outer: &str, inner: &str| inner == outer || inner.starts_with(&format!("{}/", outer.trim_end_matches('/')));
    inside(a, b) || inside(b, a)
}

#[cfg(test)]
mod tests {
    use super::super::op::DefragMode;
    use super::super::op::tests::volume;
    use super::*;

    fn state(volume: Volume) -> State {
        State { volumes: [("gv0".to_owned(), volume)].into(), ..State::default() }
    }

    fn refusal(state: &State, change: Change) -> String {
        let op = Op { volume: "gv0".into(), change, force: false };
        state.judge(&op, 1).err().unwrap_or_else(|| "allowed".into())
    }

    /// Starting, stopping and deleting ask for the right status, in GlusterFS's words.
    #[test]
    fn status_decides_what_may_be_done() {
        let (created, started) = (state(volume(3, 3)), state(Volume { status: Status::Started, ..volume(3, 3) }));
        assert_eq!(refusal(&started, Change::Start), "Volume gv0 already started");
        assert_eq!(refusal(&created, Change::Stop), "Volume gv0 is not in the started state");
        assert_eq!(
            refusal(&started, Change::Delete),
            "Volume gv0 has been started.Volume needs to be stopped before deletion."
        );
        assert_eq!(refusal(&created, Change::Start), "allowed");
        assert_eq!(refusal(&State::default(), Change::Start), "Volume gv0 does not exist");
    }

    /// A brick that is, holds or lies in a brick of a volume is not free.
    #[test]
    fn bricks_may_not_overlap() {
        let state = state(volume(3, 3));
        let inside = Brick { path: "/b1/deeper".into(), ..volume(3, 3).bricks[0].clone() };
        let other = Volume { name: "gv1".into(), bricks: vec![inside], ..volume(1, 1) };
        assert_eq!(
            refusal(&state, Change::Create(Box::new(other))),
            "Brick: server1:/b1/deeper not available. Brick may be containing or be contained by an existing brick."
        );
    }

    /// Bricks come in sets.
    #[test]
    fn bricks_are_added_and_removed_in_sets() {
        let state = state(Volume { status: Status::Started, ..volume(3, 6) });
        let one = vec![Brick { path: "/x".into(), ..volume(1, 1).bricks.remove(0) }];
        assert_eq!(
            refusal(&state, Change::AddBrick { bricks: one, replica: 3, arbiter: 0 }),
            "Incorrect number of bricks supplied 1 with count 3"
        );
        let removal = |bricks: &[usize]| Change::RemoveBrick {
            bricks: bricks.iter().map(|n| (format!("server{n}"), format!("/b{n}"))).collect(),
            replica: 3,
            action: Removal::Start,
            task: Uuid::nil(),
        };
        assert_eq!(refusal(&state, removal(&[4])), "Remove brick incorrect brick count of 1 for replica 3");
        assert_eq!(refusal(&state, removal(&[3, 4, 5])), "Bricks not from same subvol for replica");
        assert_eq!(refusal(&state, removal(&[4, 5, 6])), "allowed");
    }

    /// A rebalance needs something to spread over, and one at a time.
    #[test]
    fn a_rebalance_needs_two_sets_and_runs_once() {
        let start = || Change::Rebalance { mode: Some(DefragMode::Rebalance), task: Uuid::nil(), commit_hash: 2 };
        let single = state(Volume { status: Status::Started, ..volume(3, 3) });
        assert!(
            refusal(&single, start()).starts_with("Volume gv0 is not a distribute volume or contains only 1 brick.")
        );
        let mut spread = state(Volume { status: Status::Started, ..volume(1, 3) });
        assert_eq!(refusal(&spread, start()), "allowed");
        spread.tasks.insert("gv0".into(), Task::begin("gv0", Uuid::nil(), DefragMode::Rebalance, vec![], true));
        assert_eq!(refusal(&spread, start()), "Rebalance on gv0 is already started");
    }

    /// Server quorum: more than half, or the ratio of the pool.
    #[test]
    fn server_quorum_counts_managers() {
        let mut state = state(volume(3, 3));
        let uuid =
            |n| Peer { uuid: Uuid::from_u128(n), hostnames: vec![], state: super::super::peer::PeerState::InCluster };
        state.peers = vec![uuid(1), uuid(2)];
        let mut gv0 = volume(3, 3);
        assert!(state.has_quorum(&gv0, 1), "it is off by default");
        gv0.set_option("cluster.server-quorum-type", "server");
        assert!(!state.has_quorum(&gv0, 1) && state.has_quorum(&gv0, 2));
        state.globals = vec![("cluster.server-quorum-ratio".into(), "80%".into())];
        assert!(!state.has_quorum(&gv0, 2) && state.has_quorum(&gv0, 3));
    }
}

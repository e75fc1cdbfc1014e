//! What a change means for one server: may it be done here, and then doing it.
//!
//! Staging looks at definitions ([`super::state::State::judge`]) and at this server's disks. Committing computes the new
//! definition, stores it, and lets the processes follow the difference ([`Manager::follow`]): bricks that should run are
//! started, those that should not are stopped, and everybody who uses the volume is told.

use std::sync::Arc;
use std::time::Duration;

use super::daemons::{BrickKey, key};
use super::disk;
use super::hooks;
use super::op::{Change, DefragMode, Op, Removal};
use super::server::Manager;
use super::task::Task;
use super::wire::Caller;
use crate::volume::definition::{Brick, Status, Volume};
use crate::volume::handshake::{BrickAsk, Defrag, DefragState};
use crate::volume::options;

/// How long a brick may take to answer its manager.
pub const BRICK_ANSWERS: Duration = Duration::from_secs(5);
/// How long the last word of a mover that has ended may be under way.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How long until a brick that died is started again, when that is wanted.
const RESTART: Duration = Duration::from_secs(1);

impl Manager {
    /// Whether the change could be done here.
    ///
    /// # Errors
    /// Why not, in GlusterFS's words.
    pub fn stage(&self, op: &Op) -> Result<(), String> {
        let up = self.up();
        let state = self.state();
        state.judge(op, up)?;
        let own = state.uuid;
        let local = |b: &&Brick| b.peer == own;
        match &op.change {
            Change::Create(volume) => {
                volume.bricks.iter().filter(local).try_for_each(|b| disk::stage_new_brick(b, op.force))
            }
            Change::AddBrick { bricks, .. } => {
                bricks.iter().filter(local).try_for_each(|b| disk::stage_new_brick(b, op.force))
            }
            Change::ReplaceBrick { new, .. } if new.peer == own => disk::stage_new_brick(new, op.force),
            Change::ResetBrick { new: Some(new), .. } if new.peer == own => disk::stage_new_brick(new, true),
            Change::Set(options) => options.iter().try_for_each(|(key, value)| disk::stage_option(key, value)),
            Change::Start if !op.force => {
                let volume = state.volume(&op.volume)?;
                volume.bricks.iter().filter(local).try_for_each(|b| disk::check_brick(volume, b))
            }
            _ => Ok(()),
        }
    }

    /// Does it here.
    ///
    /// # Errors
    /// What failed, in GlusterFS's words.
    pub async fn commit(self: &Arc<Self>, op: &Op) -> Result<(), String> {
        hooks::run(&self.place.state, op, "pre").await;
        let outcome = self.carry_out(op).await;
        if outcome.is_ok() {
            hooks::run(&self.place.state, op, "post").await;
        }
        outcome
    }

    async fn carry_out(self: &Arc<Self>, op: &Op) -> Result<(), String> {
        if op.volume == "all" {
            return self.commit_globals(op).await;
        }
        let old = self.state().volumes.get(&op.volume).cloned();
        let new = op.apply(old.as_ref());
        self.mark_new_bricks(op, new.as_ref())?;
        if let Some(volume) = new.as_ref().filter(|v| v.bricks.len() % v.replica.max(1) != 0) {
            self.log('E', &format!("{} bricks are no multiple of {}", volume.bricks.len(), volume.replica));
            return Err("Failed to create volume files".into());
        }
        match &new {
            Some(volume) => {
                self.store_volume(volume);
                self.state().volumes.insert(op.volume.clone(), volume.clone());
            }
            None => self.forget_volume(&op.volume),
        }
        self.commit_task(op, new.as_ref());
        self.commit_reset(op).await;
        self.follow(old.as_ref(), new.as_ref()).await;
        match (&op.change, &new) {
            (Change::Start, Some(volume)) => self.started(old.as_ref(), volume, op.force).await,
            (Change::ReplaceBrick { new: brick, .. } | Change::ResetBrick { new: Some(brick), .. }, Some(volume)) => {
                self.blame_newcomers(volume, std::slice::from_ref(brick)).await;
                Ok(())
            }
            (Change::AddBrick { bricks, replica, .. }, Some(volume)) => {
                if old.is_some_and(|v| v.replica < *replica) {
                    self.blame_newcomers(volume, bricks).await;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn commit_globals(self: &Arc<Self>, op: &Op) -> Result<(), String> {
        {
            let globals = &mut self.state().globals;
            match &op.change {
                Change::Set(options) => {
                    globals.retain(|(k, _)| options.iter().all(|(key, _)| key != k));
                    options.iter().for_each(|option| globals.insert(0, option.clone()));
                }
                Change::Reset(Some(key)) => globals.retain(|(k, _)| k != key),
                _ => globals.clear(),
            }
        }
        self.save_pool();
        self.settle().await;
        Ok(())
    }

    fn mark_new_bricks(&self, op: &Op, new: Option<&Volume>) -> Result<(), String> {
        let Some(volume) = new else { return Ok(()) };
        let own = self.uuid();
        let bricks: Vec<&Brick> = match &op.change {
            Change::Create(volume) => volume.bricks.iter().collect(),
            Change::AddBrick { bricks, .. } => bricks.iter().collect(),
            Change::ReplaceBrick { new, .. } | Change::ResetBrick { new: Some(new), .. } => vec![new],
            _ => vec![],
        };
        bricks.into_iter().filter(|b| b.peer == own).try_for_each(|b| disk::mark_brick(volume, b))
    }

    /// Stores a volume. A full disk is told in the log; the change stands in memory.
    pub fn store_volume(&self, volume: &Volume) {
        if let Err(e) = self.store.save_volume(volume) {
            self.log('E', &format!("volume {} could not be stored: {e}", volume.name));
        }
    }

    fn forget_volume(&self, name: &str) {
        {
            let mut state = self.state();
            state.tasks.remove(name);
            state.scrubs.remove(name);
            state.reset.retain(|(volume, _)| volume != name);
            if let Some(volume) = state.volumes.remove(name) {
                state.deleted.insert(volume.id);
            }
        }
        if let Err(e) = self.store.remove_volume(name) {
            self.log('E', &format!("volume {name} could not be removed from the store: {e}"));
        }
        self.save_pool();
    }

    /// A start without `force` starts all bricks or, on this server, nothing.
    async fn started(self: &Arc<Self>, old: Option<&Volume>, volume: &Volume, force: bool) -> Result<(), String> {
        self.state().reset.retain(|(name, _)| *name != volume.name);
        let failed = self.start_bricks(volume).await;
        self.push_volume(&volume.name);
        match (failed, old) {
            (Some(_), Some(old)) if !force => {
                self.store_volume(old);
                self.state().volumes.insert(old.name.clone(), old.clone());
                self.follow(Some(volume), Some(old)).await;
                Err("Commit failed on localhost. Please check log file for details.".into())
            }
            _ => Ok(()),
        }
    }

    /// Lets the processes of this server follow a change: none → created, started, stopped, smaller, larger, gone.
    pub async fn follow(self: &Arc<Self>, old: Option<&Volume>, new: Option<&Volume>) {
        let started = new.filter(|v| v.status == Status::Started);
        if let Some(old) = old {
            for brick in gone(old, started, self.uuid()) {
                self.daemons.stop_brick(&key(old, brick)).await;
            }
        }
        if let Some(volume) = started {
            let effective = self.state().effective(volume);
            let _ = self.daemons.write_definition(&self.place, &effective);
            self.start_new_bricks(old, volume).await;
            self.reconfigure_bricks(&effective).await;
        }
        self.settle().await;
        if let Some(volume) = new.or(old) {
            self.push_volume(&volume.name);
            self.tell_volume(&volume.name);
        }
    }

    /// Starts what came with this change; a brick that died earlier stays dead.
    async fn start_new_bricks(self: &Arc<Self>, old: Option<&Volume>, volume: &Volume) {
        let ran = |b: &Brick| old.is_some_and(|v| v.status == Status::Started && v.brick(&b.host, &b.path).is_some());
        self.start_some_bricks(volume, |b| !ran(b)).await;
    }

    /// Starts every brick of this server that does not run and is not taken offline. Gives why one could not, if so.
    pub async fn start_bricks(self: &Arc<Self>, volume: &Volume) -> Option<String> {
        self.start_some_bricks(volume, |_| true).await
    }

    async fn start_some_bricks(self: &Arc<Self>, volume: &Volume, which: impl Fn(&Brick) -> bool) -> Option<String> {
        if volume.status != Status::Started {
            return None;
        }
        let (own, effective, quorum, reset) = {
            let up = self.connected().len() + 1;
            let state = self.state();
            (state.uuid, state.effective(volume), state.has_quorum(volume, up), state.reset.clone())
        };
        let offline = |b: &Brick| reset.contains(&(volume.name.clone(), b.name()));
        let mut failed = None;
        for brick in volume.bricks.iter().filter(|b| quorum && b.peer == own && which(b) && !offline(b)) {
            if let Err(why) = self.start_one_brick(&effective, brick).await {
                self.log('E', &format!("Failed to start brick {}: {why}", brick.name()));
                failed = Some(why);
            }
        }
        failed
    }

    async fn start_one_brick(self: &Arc<Self>, volume: &Volume, brick: &Brick) -> Result<(), String> {
        disk::check_brick(volume, brick)?;
        let started = self.daemons.start_brick(&self.place, volume, brick).await;
        let started = started.map_err(|e| format!("brick {} does not run: {e}; its log says more", brick.name()))?;
        if let Some(process) = started {
            let (ended, key) = (self.ended.clone(), key(volume, brick));
            tokio::spawn(async move {
                process.ended().await;
                let _ = ended.send(key);
            });
        }
        Ok(())
    }

    /// A brick ended by itself. It stays so, unless the volume wants its bricks back.
    pub async fn brick_ended(self: &Arc<Self>, (volume, path): &BrickKey) {
        self.log('I', &format!("brick {path} of {volume} is not running any more"));
        self.push_volume(volume);
        let wanted = || {
            let state = self.state();
            let volume = state.volumes.get(volume).filter(|v| v.status == Status::Started);
            volume.filter(|v| options::is_on(v, "terrarium.restart-bricks")).cloned()
        };
        if wanted().is_some() {
            tokio::time::sleep(RESTART).await;
            if let Some(volume) = wanted() {
                self.start_bricks(&volume).await;
                self.push_volume(&volume.name);
            }
        }
    }

    async fn reconfigure_bricks(&self, volume: &Volume) {
        let own = self.uuid();
        for brick in volume.bricks.iter().filter(|b| b.peer == own) {
            if self.daemons.brick(&key(volume, brick)).is_none() {
                continue;
            }
            let ask = BrickAsk::Reconfigure(Box::new(volume.clone()));
            if let Err(e) = self.ask_brick(volume, brick, &ask).await {
                self.log('W', &format!("brick {} was not told of the change: {e}", brick.name()));
            }
        }
    }

    /// Asks one of this server's bricks.
    ///
    /// # Errors
    /// If it does not run, or refuses.
    pub async fn ask_brick(&self, volume: &Volume, brick: &Brick, ask: &BrickAsk) -> Result<serde_json::Value, String> {
        let running = self.daemons.brick(&key(volume, brick)).ok_or("Brick is not connected")?;
        let address = (self.place.ip, running.port).into();
        let caller =
            Caller::dial(&self.place.name, (&brick.host, &brick.name()), address).await.map_err(|e| e.to_string())?;
        caller.call(ask, BRICK_ANSWERS).await.map_err(|e| e.to_string())
    }

    /// Sees to it that daemons and quorum are as the definitions say: after every change, and when peers come and go.
    pub async fn settle(self: &Arc<Self>) {
        self.tell_pool();
        let volumes: Vec<Volume> = self.state().volumes.values().cloned().collect();
        let healed = |v: &Volume| {
            v.status == Status::Started && v.is_replicated() && options::is_on(v, "cluster.self-heal-daemon")
        };
        if volumes.iter().any(healed) {
            if let Err(e) = self.daemons.start_healer(&self.place) {
                self.log('E', &format!("the self-heal daemon could not be started: {e}"));
            }
        } else {
            self.daemons.stop_healer().await;
        }
        for volume in volumes.iter().filter(|v| options::value(v, "cluster.server-quorum-type") == "server") {
            self.hold_quorum(volume).await;
        }
    }

    /// Stops this server's bricks of a volume without server quorum, and starts them again with it.
    async fn hold_quorum(self: &Arc<Self>, volume: &Volume) {
        let met = {
            let up = self.up();
            self.state().has_quorum(volume, up)
        };
        let own = self.uuid();
        let local: Vec<_> = volume.bricks.iter().filter(|b| b.peer == own).map(|b| key(volume, b)).collect();
        if !met {
            for key in local.iter().filter(|key| self.daemons.brick(key).is_some()) {
                self.log('C', &format!("Server quorum lost for volume {}. Stopping local bricks.", volume.name));
                self.daemons.stop_brick(key).await;
            }
            self.state().without_quorum.insert(volume.name.clone());
        } else if self.state().without_quorum.remove(&volume.name) {
            self.log('C', &format!("Server quorum regained for volume {}. Starting local bricks.", volume.name));
            self.start_bricks(volume).await;
            self.push_volume(&volume.name);
        }
    }

    async fn commit_reset(self: &Arc<Self>, op: &Op) {
        let Change::ResetBrick { old: (host, path), new } = &op.change else { return };
        let name = (op.volume.clone(), format!("{host}:{path}"));
        let here = self.place.is_here(host);
        match new {
            None => {
                self.state().reset.insert(name);
                if here {
                    self.daemons.stop_brick(&(op.volume.clone(), path.clone())).await;
                }
            }
            Some(_) => {
                self.state().reset.remove(&name);
                if here {
                    self.daemons.stop_brick(&(op.volume.clone(), path.clone())).await;
                }
                let volume = self.state().volumes.get(&op.volume).cloned();
                if let Some(volume) = volume {
                    self.start_bricks(&volume).await;
                }
            }
        }
    }

    /// Begins, stops or forgets the volume's task.
    fn commit_task(self: &Arc<Self>, op: &Op, new: Option<&Volume>) {
        let Some(volume) = new else { return };
        match &op.change {
            Change::Rebalance { mode: Some(mode), task, .. } => self.begin_task(volume, *task, *mode, vec![]),
            Change::RemoveBrick { bricks, action: Removal::Start, task, .. } => {
                let bricks = bricks.iter().map(|(host, path)| format!("{host}:{path}")).collect();
                self.begin_task(volume, *task, DefragMode::RemoveBrick, bricks);
            }
            Change::Rebalance { mode: None, .. } | Change::RemoveBrick { action: Removal::Stop, .. } => {
                self.end_task(&volume.name, DefragState::Stopped);
            }
            Change::RemoveBrick { action: Removal::Commit | Removal::Force, .. } => {
                self.state().tasks.remove(&volume.name);
                let _ = self.store.save_task(&volume.name, None);
            }
            _ => {}
        }
    }

    fn begin_task(self: &Arc<Self>, volume: &Volume, id: uuid::Uuid, mode: DefragMode, bricks: Vec<String>) {
        let own = self.uuid();
        let concerned = |b: &Brick| b.peer == own && (bricks.is_empty() || bricks.contains(&b.name()));
        let works = volume.bricks.iter().any(concerned);
        let task = Task::begin(&volume.name, id, mode, bricks, works);
        self.tell_task(&task);
        let _ = self.store.save_task(&volume.name, Some(&task));
        self.state().tasks.insert(volume.name.clone(), task);
        if !works {
            return;
        }
        match self.daemons.start_mover(&self.place, &volume.name, mode) {
            Ok(process) => {
                let (manager, name) = (self.clone(), volume.name.clone());
                tokio::spawn(async move {
                    process.ended().await;
                    tokio::time::sleep(LAST_WORD).await;
                    manager.mover_ended(&name, id);
                });
            }
            Err(e) => {
                self.log('E', &format!("the rebalance process could not be started: {e}"));
                self.end_task(&volume.name, DefragState::Failed);
            }
        }
    }

    /// A mover that ends without having said how it went has failed.
    fn mover_ended(&self, volume: &str, id: uuid::Uuid) {
        let left = self.state().tasks.get(volume).is_some_and(|t| t.id == id && t.is_running());
        if left {
            self.end_task(volume, DefragState::Failed);
        }
    }

    fn end_task(&self, volume: &str, how: DefragState) {
        let task = {
            let mut state = self.state();
            let Some(task) = state.tasks.get_mut(volume) else { return };
            if task.is_running() {
                task.progress.state = how;
            }
            task.clone()
        };
        self.tell_task(&task);
        let _ = self.store.save_task(volume, Some(&task));
    }

    /// A mover tells how far it is; the answer is whether it shall go on.
    ///
    /// # Errors
    /// If there is no such task.
    pub fn moved(&self, progress: Defrag) -> Result<bool, String> {
        let name = progress.volume.clone();
        let (task, goes_on) = {
            let mut state = self.state();
            let task = state.tasks.get_mut(&name).ok_or_else(|| format!("volume {name} has no task"))?;
            let goes_on = task.is_running();
            let state_now = if goes_on { progress.state } else { task.progress.state };
            task.progress = Defrag { state: state_now, ..progress };
            (task.clone(), goes_on)
        };
        self.tell_task(&task);
        let _ = self.store.save_task(&name, Some(&task));
        Ok(goes_on)
    }

    /// Marks in the other copies that the new bricks of their sets have everything to learn.
    async fn blame_newcomers(&self, volume: &Volume, new: &[Brick]) {
        let own = self.uuid();
        for set in volume.sets() {
            let newcomers: Vec<&Brick> =
                set.iter().filter(|b| new.iter().any(|n| (&n.host, &n.path) == (&b.host, &b.path))).collect();
            let witnesses = set.iter().filter(|b| b.peer == own && !newcomers.iter().any(|n| n.slot == b.slot));
            for witness in witnesses {
                for newcomer in &newcomers {
                    if let Err(e) = self.blame(volume, witness, newcomer).await {
                        self.log('W', &format!("{} does not blame {}: {e}", witness.name(), newcomer.name()));
                    }
                }
            }
        }
    }

    async fn blame(&self, volume: &Volume, witness: &Brick, newcomer: &Brick) -> Result<(), String> {
        let ask = BrickAsk::Blame { client: volume.client_name(newcomer) };
        self.ask_brick(volume, witness, &ask).await.map(drop)
    }
}

/// This server's bricks that should not run after a change. Bricks of other servers may have the same path.
fn gone<'a>(old: &'a Volume, started: Option<&Volume>, own: uuid::Uuid) -> Vec<&'a Brick> {
    let kept = |b: &Brick| started.is_some_and(|v| v.brick(&b.host, &b.path).is_some());
    old.bricks.iter().filter(|b| b.peer == own && !kept(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When server1's brick leaves, server2 goes on with its own, although it has the same path.
    #[test]
    fn a_brick_that_leaves_takes_no_namesake_along() {
        let mut old = super::super::op::tests::volume(1, 3);
        old.bricks.iter_mut().for_each(|b| b.path = "/data/brick1/gv0".into());
        let mut new = old.clone();
        new.bricks.remove(0);
        let (first, second) = (old.bricks[0].peer, old.bricks[1].peer);
        assert_eq!(gone(&old, Some(&new), first), [&old.bricks[0]]);
        assert!(gone(&old, Some(&new), second).is_empty());
        assert_eq!(gone(&old, None, second), [&old.bricks[1]]);
    }
}

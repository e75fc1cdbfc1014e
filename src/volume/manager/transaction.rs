//! A change of the pool's volumes: lock, stage, commit, unlock, on this manager and on every connected one.
//!
//! Peers that are not connected are skipped; they catch up when they come back ([`super::pool`]). A refusal while
//! staging changes nothing anywhere. A failure while committing is told, and leaves what was done: as in GlusterFS.

use std::sync::Arc;

use futures::future::join_all;
use uuid::Uuid;

use super::op::{Change, Op, birth_options};
use super::peer::Peer;
use super::protocol::{Answer, Commit, Lock, Stage, Unlock};
use super::server::{Manager, PATIENCE};
use super::wire::{CallError, Caller};
use crate::volume::definition::Brick;
use crate::volume::handshake::Request;

type Links = Vec<(Peer, Arc<Caller>)>;

/// The answer to a request that timed out, as the command line shows it.
pub const TIMED_OUT: &str = "Error : Request timed out";

impl Manager {
    /// Carries out a change that was asked for here.
    ///
    /// # Errors
    /// Why not, in GlusterFS's words.
    pub async fn transact(self: &Arc<Self>, mut op: Op) -> Result<Answer, String> {
        self.complete(&mut op)?;
        let (links, by) = (self.connected(), self.uuid());
        self.state().lock(&op.volume, by, std::time::Instant::now())?;
        let outcome = match self.lock_peers(&links, &op, by).await {
            Ok(()) => self.stage_and_commit(&links, &op).await,
            refused => refused,
        };
        let unlock = Unlock { by, volume: op.volume.clone() };
        join_all(links.iter().map(|(_, link)| link.call(&unlock, PATIENCE))).await;
        self.state().unlock(&op.volume, by);
        outcome.map(|()| match op.change {
            Change::Rebalance { mode: Some(_), task, .. } => Answer::Task(task),
            Change::RemoveBrick { action: super::op::Removal::Start, task, .. } => Answer::Task(task),
            _ => Answer::Done,
        })
    }

    async fn lock_peers(&self, links: &Links, op: &Op, by: Uuid) -> Result<(), String> {
        let lock = Lock { by, volume: op.volume.clone() };
        self.everywhere(links, &lock, |host, refused| {
            if refused.starts_with("Another transaction") {
                refused
            } else {
                format!("Locking failed on {host}. {refused}")
            }
        })
        .await
    }

    async fn stage_and_commit(self: &Arc<Self>, links: &Links, op: &Op) -> Result<(), String> {
        self.stage(op)?;
        let stage = Stage { op: op.clone() };
        self.everywhere(links, &stage, |host, refused| match op.change {
            Change::Create(_) | Change::Stop | Change::Delete | Change::Set(_) | Change::Reset(_) => {
                format!("Staging failed on {host}. Error: {refused}")
            }
            _ => format!("Pre Validation failed on {host}. {refused}"),
        })
        .await?;
        self.commit(op).await?;
        let commit = Commit { op: op.clone() };
        self.everywhere(links, &commit, |host, refused| match refused.strip_prefix("Commit failed on localhost") {
            Some(rest) => format!("Commit failed on {host}{rest}"),
            None => format!("Commit failed on {host}. Error: {refused}"),
        })
        .await
    }

    /// Asks all peers at once; the first failure counts. A peer that is lost meanwhile is skipped.
    async fn everywhere<R: Request>(
        &self,
        links: &Links,
        request: &R,
        words: impl Fn(&str, String) -> String,
    ) -> Result<(), String> {
        let asked = links.iter().map(|(peer, link)| async move { (peer, link.call(request, PATIENCE).await) });
        for (peer, outcome) in join_all(asked).await {
            match outcome {
                Ok(_) | Err(CallError::Disconnected) => {}
                Err(CallError::TimedOut) => return Err(TIMED_OUT.into()),
                Err(CallError::Refused(text)) => return Err(words(peer.hostname(), text)),
            }
        }
        Ok(())
    }

    /// Fills in what the command line does not know: identities of peers and volumes, slots, counts left as they are.
    fn complete(&self, op: &mut Op) -> Result<(), String> {
        let old = self.state().volumes.get(&op.volume).cloned();
        match &mut op.change {
            Change::Create(volume) => {
                if old.is_some() {
                    return Err(format!("Volume {} already exists", volume.name));
                }
                volume.id = Uuid::new_v4();
                volume.options = birth_options(volume.replica);
                volume.bricks.iter_mut().enumerate().for_each(|(slot, brick)| brick.slot = slot);
                self.find_owners(&mut volume.bricks)
            }
            Change::AddBrick { bricks, replica, arbiter } => {
                let Some(old) = old else { return Err(format!("Unable to get volinfo for volume name {}", op.volume)) };
                if *replica == 0 {
                    (*replica, *arbiter) = (old.replica, old.arbiter);
                }
                self.find_owners(bricks)
            }
            Change::RemoveBrick { replica, task, .. } => {
                *task = Uuid::new_v4();
                *replica = if *replica == 0 { old.map_or(1, |v| v.replica) } else { *replica };
                Ok(())
            }
            Change::Rebalance { task, commit_hash, .. } => {
                *task = Uuid::new_v4();
                *commit_hash = (task.as_u128() as u32).max(2);
                Ok(())
            }
            Change::ReplaceBrick { new, .. } | Change::ResetBrick { new: Some(new), .. } => {
                self.find_owners(std::slice::from_mut(new))
            }
            Change::Set(options) => {
                for (key, _) in options {
                    if let Some(row) = crate::volume::options::row(key) {
                        *key = row.key.into();
                    }
                }
                Ok(())
            }
            Change::Reset(Some(key)) => {
                *key = crate::volume::options::row(key).map_or(key.clone(), |row| row.key.into());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Finds out which manager each new brick's host is.
    fn find_owners(&self, bricks: &mut [Brick]) -> Result<(), String> {
        for brick in bricks {
            if self.place.is_here(&brick.host) {
                brick.peer = self.uuid();
                continue;
            }
            let unknown = || format!("Host {} is not in 'Peer in Cluster' state", brick.host);
            let peer = self.find_peer(&brick.host).ok_or_else(unknown)?;
            if !self.is_connected(peer.uuid) {
                return Err(format!("Host {} not connected", brick.host));
            }
            if peer.state != super::peer::PeerState::InCluster {
                return Err(unknown());
            }
            brick.peer = peer.uuid;
        }
        Ok(())
    }
}

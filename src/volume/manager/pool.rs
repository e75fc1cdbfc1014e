//! The trusted pool: who belongs to it, how a manager joins and leaves, and how one that was away catches up.
//!
//! Every manager keeps a connection to every other. When one comes up, both compare their volumes: of each, the higher
//! version wins; the same version with another checksum is a contradiction that nobody may resolve by guessing, and the
//! peer is rejected. Deleted volumes are remembered by id, so that a manager that was away does not bring them back.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use uuid::Uuid;

use super::info::checksum;
use super::peer::{Peer, PeerState};
use super::place::ensure_manager;
use super::protocol::{Answer, Compare, Compared, FriendRemove, FriendUpdate, Probe};
use super::server::{Manager, PATIENCE};
use super::state::State;
use super::wire::{CallError, Caller, Incoming};
use crate::volume::definition::Volume;
use crate::volume::hosts::resolve;

/// How long until a lost connection is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a peer that is reached may take to say what it has.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// How long a probe waits until the new peer is connected.
const JOINED: Duration = Duration::from_secs(2);

impl Manager {
    /// `peer probe HOST`.
    ///
    /// # Errors
    /// Why the host cannot join, in GlusterFS's words.
    pub async fn probe(self: &Arc<Self>, host: &str) -> Result<Answer, String> {
        let unreachable = || "Probe returned with Transport endpoint is not connected".to_owned();
        if self.place.is_here(host) {
            return Ok(Answer::Said("Probe on localhost not needed".into()));
        }
        if self.state().peer(host).is_some() {
            return Ok(Answer::Said(format!("Host {host} port 24007 already in peer list")));
        }
        let caller = self.dial_or_start(host).await.ok_or_else(unreachable)?;
        let request = Probe { uuid: self.uuid(), hostname: host.into() };
        let uuid = caller.call(&request, PATIENCE).await.map_err(|e| match e {
            CallError::Refused(text) => text,
            _ => unreachable(),
        })?;
        self.befriend(uuid, host);
        self.spread_pool(&caller).await;
        self.until_connected(&[uuid], JOINED).await;
        Ok(Answer::Done)
    }

    /// Calls a host's manager, starting it if it does not run.
    async fn dial_or_start(&self, host: &str) -> Option<Caller> {
        if let Ok(caller) = self.dial(host).await {
            return Some(caller);
        }
        let name = host.to_owned();
        let started = tokio::task::spawn_blocking(move || ensure_manager(&name)).await.ok()?;
        if let Err(e) = started {
            self.log('W', &format!("the manager of {host} could not be started: {e}"));
        }
        self.dial(host).await.ok()
    }

    /// Takes a manager into the pool, or gives one that is in it another name.
    fn befriend(self: &Arc<Self>, uuid: Uuid, host: &str) {
        self.acquaint(uuid, host);
        self.keep_all_peers();
    }

    fn acquaint(&self, uuid: Uuid, host: &str) {
        {
            let mut state = self.state();
            match state.peers.iter_mut().find(|p| p.uuid == uuid) {
                Some(peer) if peer.is_named(host) => {}
                Some(peer) => peer.hostnames.push(host.into()),
                None => state.peers.push(Peer { uuid, hostnames: vec![host.into()], state: PeerState::InCluster }),
            }
        }
        self.save_pool();
    }

    /// Tells the new one, and all others, who is in the pool now.
    async fn spread_pool(&self, newcomer: &Caller) {
        let (update, links) = (FriendUpdate { peers: self.everybody() }, self.connected());
        let all = links.iter().map(|(_, link)| &**link).chain([newcomer]);
        join_all(all.map(|link| link.call(&update, PATIENCE))).await;
    }

    /// Says that it is there, and returns when those who heard it are connected to it: from then on no transaction of
    /// theirs leaves it out.
    pub async fn announce(&self) {
        let own = Peer { uuid: self.uuid(), hostnames: vec![], state: PeerState::InCluster };
        let (update, links) = (FriendUpdate { peers: vec![own] }, self.connected());
        join_all(links.iter().map(|(_, link)| link.call(&update, JOINED))).await;
    }

    fn everybody(&self) -> Vec<Peer> {
        let state = self.state();
        let own = Peer { uuid: state.uuid, hostnames: vec![self.place.name.clone()], state: PeerState::InCluster };
        state.peers.iter().cloned().chain([own]).collect()
    }

    /// Waits until these peers are connected, at most so long.
    pub async fn until_connected(&self, peers: &[Uuid], limit: Duration) {
        let connected = async {
            while !peers.iter().all(|uuid| self.is_connected(*uuid)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(limit, connected).await;
    }

    /// Somebody wants us in its pool.
    ///
    /// # Errors
    /// If we have a pool, or volumes, of our own.
    pub async fn probed(self: &Arc<Self>, request: Probe, incoming: &Incoming) -> Result<Uuid, String> {
        let (own, taken) = {
            let state = self.state();
            let stranger = state.peers.iter().all(|p| p.uuid != request.uuid);
            (state.uuid, stranger && !(state.peers.is_empty() && state.volumes.is_empty()))
        };
        if taken {
            let host = request.hostname;
            return Err(format!("{host} is either already part of another cluster or having volumes configured"));
        }
        // It is called back when it tells who is in the pool: until then it does not know us.
        self.acquaint(request.uuid, &incoming.from);
        Ok(own)
    }

    /// Somebody tells who is in the pool.
    ///
    /// # Errors
    /// None; the signature is the protocol's.
    pub async fn updated(self: &Arc<Self>, request: FriendUpdate) -> Result<(), String> {
        let mut new = vec![];
        {
            let mut state = self.state();
            let own = state.uuid;
            for peer in request.peers.into_iter().filter(|p| p.uuid != own) {
                match state.peers.iter_mut().find(|p| p.uuid == peer.uuid) {
                    Some(known) => {
                        let more = peer.hostnames.into_iter().filter(|h| !known.is_named(h)).collect::<Vec<_>>();
                        known.hostnames.extend(more);
                        new.extend((!self.is_connected(known.uuid)).then_some(known.uuid));
                    }
                    None if peer.hostnames.is_empty() => {}
                    None => {
                        new.push(peer.uuid);
                        state.peers.push(peer);
                    }
                }
            }
        }
        self.save_pool();
        self.keep_all_peers();
        self.until_connected(&new, JOINED).await;
        Ok(())
    }

    /// `peer detach HOST [force]`.
    ///
    /// # Errors
    /// Why not, in GlusterFS's words.
    pub async fn detach(self: &Arc<Self>, host: &str, force: bool) -> Result<Answer, String> {
        if self.place.is_here(host) {
            return Err(format!("{host} is localhost"));
        }
        let peer = self.find_peer(host).ok_or_else(|| format!("{host} is not part of cluster"))?;
        let owns = self.state().volumes.values().flat_map(|v| &v.bricks).any(|b| b.peer == peer.uuid);
        if owns {
            return Err(format!(
                "Peer {host} hosts one or more bricks. If the peer is in not recoverable state then use either replace-brick or remove-brick command with force to remove all bricks from the peer and attempt the peer detach again."
            ));
        }
        let all_up = self.connected().len() == self.state().peers.len();
        if !all_up && !force {
            return Err("One of the peers is probably down. Check with 'peer status'".into());
        }
        let leaving = FriendRemove { uuid: peer.uuid };
        for (_, link) in self.connected() {
            let _ = link.call(&leaving, PATIENCE).await;
        }
        self.forget(peer.uuid);
        Ok(Answer::Done)
    }

    /// The peer that a name or address means.
    pub fn find_peer(&self, host: &str) -> Option<Peer> {
        let state = self.state();
        if let Some(peer) = state.peer(host) {
            return Some(peer.clone());
        }
        let ip = resolve(host).ok()?;
        state.peers.iter().find(|p| p.hostnames.iter().any(|h| resolve(h).is_ok_and(|other| other == ip))).cloned()
    }

    fn forget(&self, uuid: Uuid) {
        self.state().peers.retain(|p| p.uuid != uuid);
        self.link(uuid, None);
        self.save_pool();
    }

    /// Somebody leaves the pool; perhaps it is us.
    ///
    /// # Errors
    /// None; the signature is the protocol's.
    pub async fn removed(self: &Arc<Self>, request: FriendRemove) -> Result<(), String> {
        if request.uuid != self.uuid() {
            self.forget(request.uuid);
            return Ok(());
        }
        let (peers, volumes) = {
            let mut state = self.state();
            (std::mem::take(&mut state.peers), std::mem::take(&mut state.volumes))
        };
        peers.iter().for_each(|p| self.link(p.uuid, None));
        for name in volumes.keys() {
            let _ = self.store.remove_volume(name);
        }
        self.save_pool();
        self.settle().await;
        Ok(())
    }

    /// Sees to it that the connection to every peer is kept.
    pub fn keep_all_peers(self: &Arc<Self>) {
        let peers: Vec<Uuid> = self.state().peers.iter().map(|p| p.uuid).collect();
        for uuid in peers.into_iter().filter(|uuid| self.keep(*uuid)) {
            let manager = self.clone();
            tokio::spawn(async move {
                manager.keep_connected(uuid).await;
                manager.unkeep(uuid);
            });
        }
    }

    /// Connects to a peer again and again, until it is no peer any more.
    async fn keep_connected(self: &Arc<Self>, uuid: Uuid) {
        loop {
            let Some(peer) = self.state().peers.iter().find(|p| p.uuid == uuid).cloned() else { return };
            let mut retired = false;
            for host in &peer.hostnames {
                if let Ok(caller) = self.dial(host).await {
                    retired = self.stay_connected(uuid, Arc::new(caller)).await;
                    break;
                }
            }
            // What is made anew on purpose is no loss until it turns out that it cannot be had.
            if !retired {
                self.lost(uuid).await;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Returns when the connection has ended, with whether it is to be made anew.
    async fn stay_connected(self: &Arc<Self>, uuid: Uuid, link: Arc<Caller>) -> bool {
        // A link that is cut is silent.
        let compared = tokio::time::timeout(FIRST_WORD, self.compare_with(uuid, &link)).await;
        if let Err(e) = compared.unwrap_or(Err(CallError::TimedOut)) {
            self.log('W', &format!("peer {uuid} could not be compared with: {e}"));
            return link.is_retired();
        }
        self.link(uuid, Some(link.clone()));
        self.settle().await;
        link.closed().await;
        link.is_retired()
    }

    /// The connection to a peer is gone.
    async fn lost(self: &Arc<Self>, uuid: Uuid) {
        if !self.has_link(uuid) {
            return;
        }
        self.link(uuid, None);
        self.state().unlock_all(uuid);
        self.settle().await;
    }

    async fn compare_with(self: &Arc<Self>, uuid: Uuid, link: &Caller) -> Result<(), CallError> {
        let request = {
            let state = self.state();
            let head = |v: &Volume| (v.name.clone(), v.id, v.version, checksum(v));
            let deleted = state.deleted.iter().copied().collect();
            Compare { uuid: state.uuid, volumes: state.volumes.values().map(head).collect(), deleted }
        };
        let compared = link.call(&request, PATIENCE).await?;
        let judged = if compared.contradiction.is_some() { PeerState::Rejected } else { PeerState::InCluster };
        if let Some(name) = &compared.contradiction {
            self.log('E', &format!("Version of Cksums {name} differ. peer {uuid} is rejected"));
        }
        let changed = {
            let mut state = self.state();
            let peer = state.peers.iter_mut().find(|p| p.uuid == uuid);
            peer.is_some_and(|p| std::mem::replace(&mut p.state, judged) != judged)
        };
        if changed {
            self.save_pool();
        }
        self.import(compared).await;
        Ok(())
    }

    /// Somebody compares its volumes with ours.
    ///
    /// # Errors
    /// If it is not a peer.
    pub async fn compared(self: &Arc<Self>, request: Compare) -> Result<Compared, String> {
        if self.state().peers.iter().all(|p| p.uuid != request.uuid) {
            return Err(format!("{} is not part of cluster", request.uuid));
        }
        let behind = is_behind(&self.state(), &request);
        if behind {
            self.clone().catch_up(request.uuid);
        }
        let state = self.state();
        let theirs = |v: &Volume| request.volumes.iter().find(|(_, id, _, _)| *id == v.id);
        let newer = |v: &&Volume| theirs(v).is_none_or(|(_, _, version, _)| *version < v.version);
        let gone = |v: &&Volume| request.deleted.contains(&v.id);
        let clash = |v: &&Volume| theirs(v).is_some_and(|(_, _, n, sum)| *n == v.version && *sum != checksum(v));
        Ok(Compared {
            newer: state.volumes.values().filter(newer).filter(|v| !gone(v)).cloned().collect(),
            deleted: state.deleted.iter().copied().collect(),
            contradiction: state.volumes.values().find(clash).map(|v| v.name.clone()),
            globals: state.globals.clone(),
        })
    }

    /// Compares with a peer that turned out to know more. Without a connection to it this happens when there is one.
    fn catch_up(self: Arc<Self>, uuid: Uuid) {
        let link = self.connected().into_iter().find(|(peer, _)| peer.uuid == uuid);
        if let Some((_, link)) = link {
            tokio::spawn(async move { drop(self.compare_with(uuid, &link).await) });
        }
    }

    /// Takes over what a peer knows better.
    async fn import(self: &Arc<Self>, compared: Compared) {
        let (mut gone, mut new) = (vec![], vec![]);
        {
            let mut state = self.state();
            for id in compared.deleted {
                let known = state.volumes.values().find(|v| v.id == id).map(|v| v.name.clone());
                gone.extend(known.and_then(|name| state.volumes.remove(&name)));
                state.deleted.insert(id);
            }
            if state.globals.is_empty() {
                state.globals = compared.globals;
            }
            // What is locked is being changed here too, by the transaction that made it newer there.
            let wanted = |v: &Volume| !state.deleted.contains(&v.id) && !state.locks.contains_key(&v.name);
            for volume in compared.newer.into_iter().filter(wanted).collect::<Vec<_>>() {
                let newer = state.volumes.get(&volume.name).is_none_or(|own| own.version < volume.version);
                if newer {
                    let old = state.volumes.insert(volume.name.clone(), volume.clone());
                    new.push((old, volume));
                }
            }
        }
        for volume in &gone {
            let _ = self.store.remove_volume(&volume.name);
            self.follow(Some(volume), None).await;
        }
        for (old, volume) in &new {
            self.store_volume(volume);
            self.follow(old.as_ref(), Some(volume)).await;
        }
        if !gone.is_empty() || !new.is_empty() {
            self.save_pool();
        }
    }
}

/// Whether the one who compares has something newer, or something that is not known here.
fn is_behind(state: &State, request: &Compare) -> bool {
    let own = |id: &Uuid| state.volumes.values().find(|v| v.id == *id);
    let newer = |(_, id, version, _): &(String, Uuid, u64, u32)| match own(id) {
        Some(volume) => volume.version < *version,
        None => !state.deleted.contains(id),
    };
    request.volumes.iter().any(newer) || request.deleted.iter().any(|id| own(id).is_some())
}

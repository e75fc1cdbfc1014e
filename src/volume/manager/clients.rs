//! Who asked for which volume, so that changes can be pushed to them: mounts, self-heal daemons, movers.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::server::Manager;
use super::wire::{Incoming, Pusher};
use crate::volume::definition::{Status, Volume};
use crate::volume::handshake::{FETCHSPEC, GetSpec, HealOrder, SHD_VOLUME_ID, Spec};

/// The clients that keep a connection.
#[derive(Default)]
pub struct Clients {
    all: Mutex<Vec<Client>>,
}

struct Client {
    volume_id: String,
    pusher: Pusher,
    closed: CancellationToken,
}

impl Clients {
    fn add(&self, client: Client) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|c| !c.closed.is_cancelled());
        all.push(client);
    }

    /// Those that asked for one of these, each with what it asked for.
    fn of(&self, wanted: impl Fn(&str) -> bool) -> Vec<(String, Pusher)> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let live = all.iter().filter(|c| !c.closed.is_cancelled() && wanted(&c.volume_id));
        live.map(|c| (c.volume_id.clone(), c.pusher.clone())).collect()
    }
}

/// `/gv0`, `gv0`, `rebalance/gv0`, `/gv0/dir` → `gv0`.
fn volume_of(volume_id: &str) -> &str {
    let id = volume_id.trim_start_matches('/');
    let id = id.strip_prefix("rebalance/").unwrap_or(id);
    id.split('/').next().unwrap_or_default()
}

impl Manager {
    /// Answers `GETSPEC`, and remembers who asked.
    ///
    /// # Errors
    /// If there is no such volume, or it is not started.
    pub async fn spec_for(self: &Arc<Self>, request: GetSpec, incoming: &Incoming) -> Result<Spec, String> {
        let spec = self.spec(&request.volume_id)?;
        let (pusher, closed) = (incoming.pusher.clone(), incoming.closed.clone());
        self.clients.add(Client { volume_id: request.volume_id, pusher, closed });
        Ok(spec)
    }

    fn spec(&self, volume_id: &str) -> Result<Spec, String> {
        let state = self.state();
        if volume_id == SHD_VOLUME_ID {
            let healed = state.volumes.values().filter(|v| v.status == Status::Started && v.is_replicated());
            return Ok(Spec { volumes: healed.map(|v| self.with_ports(&state.effective(v), state.uuid)).collect() });
        }
        let volume = state.volume(volume_of(volume_id))?;
        if volume.status != Status::Started {
            return Err(format!("Volume {} is not started", volume.name));
        }
        Ok(Spec { volumes: vec![self.with_ports(&state.effective(volume), state.uuid)] })
    }

    /// The definition with the ports of this server's bricks.
    pub fn with_ports(&self, volume: &Volume, own: Uuid) -> Volume {
        let (mut volume, name) = (volume.clone(), volume.name.clone());
        for brick in &mut volume.bricks {
            let own = if brick.peer == own { self.daemons.brick(&(name.clone(), brick.path.clone())) } else { None };
            brick.port = own.map_or(0, |b| b.port);
        }
        volume
    }

    /// Pushes a changed volume to everybody who uses it: a stopped one too, so that they know.
    pub fn push_volume(&self, name: &str) {
        let changed = self.state().volumes.get(name).cloned();
        for (volume_id, pusher) in self.clients.of(|id| id == SHD_VOLUME_ID || volume_of(id) == name) {
            let spec = match (&changed, volume_id == SHD_VOLUME_ID) {
                (_, true) => self.spec(SHD_VOLUME_ID).unwrap_or(Spec { volumes: vec![] }),
                (Some(volume), false) => {
                    let state = self.state();
                    Spec { volumes: vec![self.with_ports(&state.effective(volume), state.uuid)] }
                }
                (None, false) => Spec { volumes: vec![] },
            };
            pusher.push(FETCHSPEC, &spec);
        }
    }

    /// Tells this server's self-heal daemon to begin now; `false` if none is connected.
    pub fn order_heal(&self, order: &HealOrder) -> bool {
        let healers = self.clients.of(|id| id == SHD_VOLUME_ID);
        healers.iter().fold(false, |any, (_, pusher)| pusher.push(HealOrder::KIND, order) || any)
    }
}

//! The socket of the command line: one frame with what was typed and what it means, one frame back.

use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::Framed;

use super::history;
use super::op::{Change, Op};
use super::protocol::{Answer, Ask};
use super::server::Manager;
use crate::world::wire::{codec, decode, encode};

/// What the command line is told: an answer, or why not, in GlusterFS's words.
pub type Outcome = Result<Answer, String>;

impl Manager {
    /// Serves the command line of this server until the socket fails.
    pub async fn serve_command_line(self: Arc<Self>, socket: UnixListener) {
        while let Ok((stream, _)) = socket.accept().await {
            let manager = self.clone();
            tokio::spawn(async move { manager.serve_one(stream).await });
        }
    }

    async fn serve_one(self: Arc<Self>, stream: UnixStream) {
        let mut frames = Framed::new(stream, codec());
        while let Some(Ok(frame)) = frames.next().await {
            let Ok((words, ask)) = decode::<(String, Ask)>(&frame) else { return };
            let outcome = self.obey(ask).await;
            history::append(&self.place.log, &words, outcome.as_ref().err().map(String::as_str));
            if frames.send(Bytes::from(encode(&outcome))).await.is_err() {
                return;
            }
        }
    }

    async fn obey(self: &Arc<Self>, ask: Ask) -> Outcome {
        match ask {
            Ask::Probe(host) => self.probe(&host).await,
            Ask::Detach { host, force } => self.detach(&host, force).await,
            Ask::Peers => Ok(self.peers()),
            Ask::Change(op) => self.transact(op).await,
            Ask::SetGroup { volume, group } => {
                let missing =
                    || format!("Unable to open file '{}'", self.place.state.join("groups").join(&group).display());
                let options = self.store.group(&group).ok_or_else(missing)?;
                self.transact(Op { volume, change: Change::Set(options), force: false }).await
            }
            Ask::Volumes(name) => self.volumes(name.as_deref()),
            Ask::Globals => Ok(Answer::Options(self.state().globals.clone())),
            Ask::Query(query) => self.collect(&query).await,
        }
    }

    fn peers(&self) -> Answer {
        let (own, peers) = {
            let state = self.state();
            (state.uuid, state.peers.clone())
        };
        let with_link = |peer: super::peer::Peer| {
            let connected = self.is_connected(peer.uuid);
            (peer, connected)
        };
        Answer::Peers { own, peers: peers.into_iter().map(with_link).collect() }
    }

    fn volumes(&self, name: Option<&str>) -> Outcome {
        let state = self.state();
        match name {
            Some(name) => Ok(Answer::Volumes(vec![state.effective(state.volume(name)?)])),
            None => Ok(Answer::Volumes(state.volumes.values().map(|v| state.effective(v)).collect())),
        }
    }
}

//! # The role `node`: a process around a replica
//!
//! The driver of [`Replica`](super::replica::Replica): it brings in what happens (a message, the passing of time, a client's
//! request) and carries out the effects in their order. It decides nothing.
//!
//! * [`disk`]: stable storage, one redb file; a thread of its own does the fsync while the sockets go on reading, and what
//!   comes in meanwhile is one step together (group commit);
//! * [`peers`]: the sockets between nodes; each node dials each other for what it sends. A peer that is down or hangs costs
//!   the messages to it, never time;
//! * [`clients`]: the client port, which speaks Redis's protocol;
//! * [`clock`]: ticks at the speed of the world, and its freeze;
//! * [`driver`]: the loop; [`tale`]: what a person reads of it on stderr; [`show`]: state as JSON.
//!
//! One thread runs all of it but the fsync: five nodes on a laptop shall be nothing.

mod clients;
mod clock;
pub mod disk;
mod driver;
mod peers;
pub mod show;
mod tale;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::event::NodeName;
use super::log::Log;
use super::node::{Config, Node};
use super::replica::{BadSnapshot, Replica};
use crate::world::Reporter;
use crate::world::reporter::Introduction;
use crate::world::wire;

/// How to run a node.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name.
    pub name: NodeName,
    /// The address of both its ports.
    pub bind: IpAddr,
    /// Where clients connect.
    pub client_port: u16,
    /// Where the other nodes connect.
    pub peer_port: u16,
    /// The other nodes and where they listen.
    pub peers: BTreeMap<NodeName, SocketAddr>,
    /// The directory of its stable storage; made if it does not exist.
    pub data: PathBuf,
    /// Seed of its election timeouts.
    pub seed: u64,
    /// Speed of its clock: 1 is the paper's time.
    pub speed: f64,
    /// Whether its clock stands still at first.
    pub frozen: bool,
}

/// Why a node could not run, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its stable storage failed.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// Its snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] BadSnapshot),
    /// A port is taken, or the address is not this machine's.
    #[error("cannot listen on {address}: {source}; is another node running there?")]
    Listen {
        /// Where it wanted to listen.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The system refused something else.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
/// As told by [`Error`]; a node that cannot write its disk stops, for it could not keep its promises.
pub fn run(options: Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Error> {
    let (disk, saved) = disk::Disk::open(&options.data, &options.name)?;
    let peer_port = listen(SocketAddr::new(options.bind, options.peer_port)).await?;
    let client_port = listen(SocketAddr::new(options.bind, options.client_port)).await?;
    let session = first_session(&options, saved.life);
    let replica = Replica::new(node(&options, saved))?;

    let (inbox_in, inbox) = mpsc::channel(driver::INBOX);
    let reporter = reporter(&options, &inbox_in);
    tokio::spawn(peers::accept(
        peer_port,
        options.name.clone(),
        options.peers.keys().cloned().collect(),
        inbox_in.clone(),
    ));
    tokio::spawn(clients::accept(client_port, session, inbox_in));
    let peers = peers::Peers::new(&options.name, &options.peers);
    driver::Driver::new(&options, replica, disk, peers, reporter).run(inbox).await
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

fn node(options: &Options, saved: disk::Saved) -> Node {
    let config = Config {
        name: options.name.clone(),
        peers: options.peers.keys().cloned().collect(),
        seed: options.seed.wrapping_add(saved.life),
    };
    let base = saved.snapshot.as_ref().map_or((0, 0), |s| (s.index, s.term));
    Node::new(config, saved.hard_state, saved.snapshot, Log::new(base, saved.entries))
}

/// The first client session of this life of this node: see [`super::message::ClientId`]. 8 bits tell the node, 24 its life.
fn first_session(options: &Options, life: u64) -> u64 {
    let rank = options.peers.keys().filter(|peer| **peer < options.name).count() as u64;
    ((rank & 0xFF) << 24 | (life & 0xFF_FFFF)) << 32
}

fn reporter(options: &Options, inbox: &mpsc::Sender<driver::Input>) -> Reporter {
    let introduction = Introduction {
        name: options.name.clone(),
        role: "node".into(),
        machine: options.name.clone(),
        listen: Some(SocketAddr::new(options.bind, options.peer_port)),
    };
    let inbox = inbox.clone();
    let ask = move |question| drop(inbox.blocking_send(driver::Input::Question(question)));
    Reporter::connect(&wire::socket_path(), introduction, ask).unwrap_or_else(|_| Reporter::silent(&options.name))
}

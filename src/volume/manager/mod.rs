//! # The manager: GlusterFS's glusterd
//!
//! One manager runs on each server. It knows the **pool** (which servers belong together) and the **volumes** (which
//! bricks on which of them), and keeps both on disk. Whoever is asked to change something leads a **transaction** over
//! all managers; no one of them is the master, and any may be asked. It starts a server process for each brick of its
//! own server, the self-heal daemon, and the movers of files; it tells clients what a volume consists of and where its
//! bricks listen. Files never pass through it: kill it, and every mount goes on.
//!
//! Read in this order:
//!
//! * pure: [`peer`], [`op`] (what may change, and what the definition is then), [`task`], [`state`] (what is allowed),
//!   [`info`] (definitions as files), [`protocol`] (what is said);
//! * [`hosts`], [`place`], [`store`], [`disk`], [`hooks`], [`process`], [`daemons`], [`wire`]: hands and ears;
//! * [`server`] (the manager as a whole), [`pool`], [`transaction`], [`commit`], [`query`], [`clients`], [`command`].
//!
//! Left out: RDMA, TLS, brick multiplexing, snapshots, quota, geo-replication. Two managers that start opposite
//! transactions on a volume at once may refuse each other; both then say so, and one asks again.

pub mod clients;
pub mod command;
pub mod commit;
pub mod daemons;
pub mod disk;
pub mod history;
mod hooks;
pub mod hosts;
pub mod info;
pub mod op;
pub mod peer;
pub mod place;
pub mod pool;
pub mod process;
pub mod protocol;
pub mod query;
pub mod server;
pub mod state;
pub mod store;
pub mod task;
pub mod transaction;
pub mod wire;

pub use history::{format_time, timestamp_of};
pub use place::{Place, ensure_manager};
pub use server::Manager;

use crate::volume::handshake::MANAGER_PORT;

/// Runs the manager of a server until the process ends.
///
/// # Errors
/// If the store cannot be read, or the server's address is taken.
pub fn run(place: Place) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        // The address first: of two managers that start at once, only one may touch the store.
        let address = std::net::SocketAddr::new(place.ip, MANAGER_PORT);
        let taken = |e: std::io::Error| std::io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
        let network = tokio::net::TcpListener::bind(address).await.map_err(taken)?;
        Manager::open(place)?.serve(network).await
    })
}

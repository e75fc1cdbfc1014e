//! The manager itself: what it holds, and the sockets on which it is spoken to.
//!
//! One [`Manager`] is shared by all tasks. Its [`State`] is behind a lock that is never held while waiting; every change
//! of the pool is stored before it is answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::clients::Clients;
use super::daemons::{BrickKey, Daemons};
use super::peer::Peer;
use super::place::Place;
use super::protocol::{Commit, Compare, FriendRemove, FriendUpdate, Lock, Probe, Query, Stage, Unlock};
use super::state::State;
use super::store::Store;
use super::task::Task;
use super::wire::{Caller, Incoming, serve};
use crate::volume::Happening;
use crate::volume::handshake::{Defrag, GetSpec, MANAGER_PORT, PortByBrick, Request, ScrubReport};
use crate::volume::hosts::resolve;
use crate::world::reporter::{Introduction, Question};
use crate::world::wire::{Ask, encode, socket_path};
use crate::world::{Reporter, What};

/// How long a manager waits for another's answer before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long a manager that starts waits for its peers before it serves the command line.
const FIRST_CALLS: Duration = Duration::from_secs(1);

/// How machines are reached when not directly: by the link switch. Every change is told, so that the connection is made anew.
#[derive(Clone)]
struct Routes {
    by_machine: Arc<Mutex<HashMap<String, SocketAddr>>>,
    changed: mpsc::UnboundedSender<String>,
}

impl Routes {
    /// The way to a machine, or to all of them (`*`).
    fn set(&self, to: &str, via: Option<SocketAddr>) {
        let mut routes = lock(&self.by_machine);
        let old = match via {
            Some(address) => routes.insert(to.into(), address),
            None => routes.remove(to),
        };
        if old != via {
            let _ = self.changed.send(to.into());
        }
    }
}

/// One server's manager.
pub struct Manager {
    /// Where it lives.
    pub place: Place,
    /// Its disk.
    pub store: Store,
    /// Its processes.
    pub daemons: Daemons,
    /// Who mounted what.
    pub clients: Clients,
    /// Its line to the keeper.
    pub reporter: Reporter,
    /// Where bricks that end are told.
    pub ended: mpsc::UnboundedSender<BrickKey>,
    mourned: Mutex<Option<mpsc::UnboundedReceiver<BrickKey>>>,
    rerouted: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
    state: Mutex<State>,
    links: Mutex<BTreeMap<Uuid, Arc<Caller>>>,
    kept: Mutex<BTreeSet<Uuid>>,
    routes: Routes,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Manager {
    /// Opens the store and the line to the keeper.
    ///
    /// # Errors
    /// As of the disk.
    pub fn open(place: Place) -> io::Result<Arc<Self>> {
        let (store, state) = Store::open(&place.state)?;
        let (changed, rerouted) = mpsc::unbounded_channel();
        let routes = Routes { by_machine: Arc::default(), changed };
        let reporter = report(&place, &routes);
        let (ended, mourned) = mpsc::unbounded_channel();
        Ok(Arc::new(Self {
            place,
            store,
            daemons: Daemons::default(),
            clients: Clients::default(),
            reporter,
            ended,
            mourned: Mutex::new(Some(mourned)),
            rerouted: Mutex::new(Some(rerouted)),
            state: Mutex::new(state),
            links: Mutex::default(),
            kept: Mutex::default(),
            routes,
        }))
    }

    /// What it knows. Never hold it while waiting.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Its identity.
    pub fn uuid(&self) -> Uuid {
        self.state().uuid
    }

    /// The peers that it is connected to.
    pub fn connected(&self) -> Vec<(Peer, Arc<Caller>)> {
        let links = lock(&self.links).clone();
        let peers = self.state().peers.clone();
        let linked = |p: Peer| links.get(&p.uuid).filter(|l| !l.is_closed()).map(|l| (p, l.clone()));
        peers.into_iter().filter_map(linked).collect()
    }

    /// Whether it is connected to this peer.
    pub fn is_connected(&self, uuid: Uuid) -> bool {
        lock(&self.links).get(&uuid).is_some_and(|l| !l.is_closed())
    }

    /// Whether there is, or was until now, a connection to this peer.
    pub fn has_link(&self, uuid: Uuid) -> bool {
        lock(&self.links).contains_key(&uuid)
    }

    /// How many managers are up, this one included.
    pub fn up(&self) -> usize {
        self.connected().len() + 1
    }

    /// Remembers, or forgets, the connection to a peer.
    pub fn link(&self, uuid: Uuid, caller: Option<Arc<Caller>>) {
        let mut links = lock(&self.links);
        match caller {
            Some(caller) => drop(links.insert(uuid, caller)),
            None => links.remove(&uuid).into_iter().for_each(|caller| caller.close()),
        }
    }

    /// Claims the task of keeping up the connection to a peer; `false` if it is kept already.
    pub fn keep(&self, uuid: Uuid) -> bool {
        lock(&self.kept).insert(uuid)
    }

    /// Gives that task up.
    pub fn unkeep(&self, uuid: Uuid) {
        lock(&self.kept).remove(&uuid);
    }

    fn route_to(&self, host: &str) -> Option<SocketAddr> {
        let routes = lock(&self.routes.by_machine);
        routes.get(host).or_else(|| routes.get("*")).copied()
    }

    /// Connects to another machine's manager, through the link switch when told so.
    ///
    /// # Errors
    /// As of resolving and connecting.
    pub async fn dial(&self, host: &str) -> io::Result<Caller> {
        let address = match self.route_to(host) {
            Some(address) => address,
            None => SocketAddr::new(resolve(host)?, MANAGER_PORT),
        };
        Caller::dial(&self.place.name, (host, &format!("{host}/glusterd")), address).await
    }

    /// Stores what is not a volume. A full disk is told in the log; the change stands in memory.
    pub fn save_pool(&self) {
        let state = self.state().clone();
        if let Err(e) = self.store.save_pool(&state) {
            self.log('E', &format!("the pool could not be stored: {e}"));
        }
    }

    /// Tells the keeper who is in the pool.
    pub fn tell_pool(&self) {
        let peers = self.state().peers.clone();
        let peers = peers.iter().map(|p| (p.hostname().to_owned(), self.is_connected(p.uuid))).collect();
        self.tell(Happening::Pool { peers });
    }

    /// Tells the keeper what a volume is now.
    pub fn tell_volume(&self, name: &str) {
        let volume = self.state().volumes.get(name).cloned();
        self.tell(match volume {
            Some(volume) => Happening::Volume(Box::new(volume)),
            None => Happening::Deleted { volume: name.into() },
        });
    }

    /// Tells the keeper how far a task is here.
    pub fn tell_task(&self, task: &Task) {
        self.tell(Happening::Task { label: task.label().into(), progress: task.progress.clone() });
    }

    fn tell(&self, happening: Happening) {
        self.reporter.report(None, What::Volume(happening));
    }

    /// Writes a line to the log (standard error of the role). `level`: `I`, `W`, `E`.
    pub fn log(&self, level: char, text: &str) {
        eprintln!("[{}] {level} 0-management: {text}", super::history::timestamp());
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// If the socket of the command line cannot be made.
    pub async fn serve(self: Arc<Self>, network: TcpListener) -> io::Result<()> {
        std::fs::create_dir_all(&self.place.run)?;
        let socket = self.place.socket();
        let _ = std::fs::remove_file(&socket);
        tokio::spawn(self.clone().mourn());
        tokio::spawn(self.clone().reroute());
        let answering = tokio::spawn(self.clone().serve_machines(network));
        self.clone().begin().await;
        let local = UnixListener::bind(&socket)?;
        tokio::spawn(self.clone().serve_command_line(local));
        answering.await.map_err(io::Error::other)?
    }

    async fn serve_machines(self: Arc<Self>, network: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = network.accept().await?;
            let (manager, name) = (self.clone(), self.place.name.clone());
            tokio::spawn(serve(stream, name, move |incoming| {
                let manager = manager.clone();
                async move { manager.answer(incoming).await }
            }));
        }
    }

    /// Takes note of bricks that end.
    async fn mourn(self: Arc<Self>) {
        let Some(mut ended) = lock(&self.mourned).take() else { return };
        while let Some(brick) = ended.recv().await {
            let manager = self.clone();
            tokio::spawn(async move { manager.brick_ended(&brick).await });
        }
    }

    /// Makes connections anew whose way has changed.
    async fn reroute(self: Arc<Self>) {
        let Some(mut changed) = lock(&self.rerouted).take() else { return };
        while let Some(machine) = changed.recv().await {
            let concerned = |peer: &Peer| machine == "*" || peer.is_named(&machine);
            let links: Vec<_> = self.connected().into_iter().filter(|(peer, _)| concerned(peer)).collect();
            futures::future::join_all(links.iter().map(|(_, link)| link.retire())).await;
        }
    }

    /// What a manager does first: finds its processes, starts those that are missing, and calls its peers.
    async fn begin(self: Arc<Self>) {
        let volumes: Vec<_> = self.state().volumes.values().cloned().collect();
        for volume in volumes {
            self.tell_volume(&volume.name);
            self.start_bricks(&volume).await;
        }
        self.settle().await;
        self.keep_all_peers();
        let peers: Vec<Uuid> = self.state().peers.iter().map(|p| p.uuid).collect();
        self.until_connected(&peers, FIRST_CALLS).await;
        self.announce().await;
    }

    async fn answer(self: Arc<Self>, incoming: Incoming) -> Vec<u8> {
        macro_rules! by_kind {
            ($($request:ty => $answer:expr),* $(,)?) => {
                match incoming.kind.as_str() {
                    $(<$request>::KIND => match incoming.read::<$request>() {
                        Ok(request) => encode(&$answer(request).await),
                        Err(e) => encode(&Err::<(), String>(e)),
                    },)*
                    other => encode(&Err::<(), String>(format!("a manager does not understand {other}"))),
                }
            };
        }
        by_kind! {
            Probe => |r| self.probed(r, &incoming),
            FriendUpdate => |r| self.updated(r),
            FriendRemove => |r| self.removed(r),
            Compare => |r| self.compared(r),
            Lock => |r: Lock| async move { self.state().lock(&r.volume, r.by, std::time::Instant::now()) },
            Unlock => |r: Unlock| async move { self.state().unlock(&r.volume, r.by); Ok::<(), String>(()) },
            Stage => |r: Stage| async move { self.stage(&r.op) },
            Commit => |r: Commit| async move { self.commit(&r.op).await },
            Query => |r: Query| async move { self.report_on(&r.volume, &r.about).await },
            GetSpec => |r: GetSpec| self.spec_for(r, &incoming),
            PortByBrick => |r: PortByBrick| async move { self.port_of(&r.path) },
            Defrag => |r: Defrag| async move { self.moved(r) },
            ScrubReport => |r: ScrubReport| async move { self.scrubbed(r) },
        }
    }

    /// The self-heal daemon tells what its scrub found.
    fn scrubbed(&self, report: ScrubReport) -> Result<(), String> {
        let mut state = self.state();
        state.volume(&report.volume)?;
        state.scrubs.insert(report.volume.clone(), report);
        Ok(())
    }

    fn port_of(&self, path: &str) -> Result<u16, String> {
        self.daemons.port(path).ok_or_else(|| format!("no brick {path} runs on {}", self.place.name))
    }
}

/// Connects to the keeper, if there is one; its questions are about routes alone.
fn report(place: &Place, routes: &Routes) -> Reporter {
    let name = format!("{}/glusterd", place.name);
    let listen = Some(SocketAddr::new(place.ip, MANAGER_PORT));
    let introduction =
        Introduction { name: name.clone(), role: "glusterd".into(), machine: place.name.clone(), listen };
    let routes = routes.clone();
    let asked = move |question: Question| {
        let answer = match &question.ask {
            Ask::Route { to, via } => {
                routes.set(to, *via);
                Ok(serde_json::Value::Null)
            }
            Ask::Words(words) => Err(format!("glusterd does not understand {words:?}; ask `gluster`")),
            _ => Ok(serde_json::Value::Null),
        };
        question.answer(answer);
    };
    Reporter::connect(&socket_path(), introduction, asked).unwrap_or_else(|_| Reporter::silent(&name))
}

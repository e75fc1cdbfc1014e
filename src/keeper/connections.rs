//! The keeper's socket: roles report and are asked, clients ask for commands and watch.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::net::{UnixListener, UnixStream, unix::OwnedReadHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use super::{Keeper, Refusal};
use crate::world::event::Process;
use crate::world::reporter::Answer;
use crate::world::wire::{Ask, FromKeeper, ToKeeper, codec, decode, encode};
use crate::world::{Name, What};

/// How long a role may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The roles that are connected now.
#[derive(Default)]
pub struct Roles {
    by_name: HashMap<Name, Role>,
    next: u64,
}

/// A role's connection.
struct Role {
    kind: String,
    pid: i32,
    listen: Option<SocketAddr>,
    out: mpsc::Sender<FromKeeper>,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Keeper {
    /// Makes the socket and takes connections.
    pub(super) fn listen(self: &Rc<Self>) -> io::Result<()> {
        let path = self.dir.join("keeper.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let keeper = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(Rc::clone(&keeper).converse(stream));
            }
        });
        Ok(())
    }

    async fn converse(self: Rc<Self>, stream: UnixStream) {
        let pid = stream.peer_cred().ok().and_then(|cred| cred.pid()).unwrap_or(0);
        let (from, to) = stream.into_split();
        let mut from = FramedRead::new(from, codec());
        let (out, mut to_write) = mpsc::channel::<FromKeeper>(1024);
        tokio::task::spawn_local(async move {
            let mut to = FramedWrite::new(to, codec());
            while let Some(message) = to_write.recv().await {
                if to.send(Bytes::from(encode(&message))).await.is_err() {
                    break;
                }
            }
        });
        match next(&mut from).await {
            Some(ToKeeper::Hello { name, role, machine, listen }) => {
                let (waiting, kind) = (HashMap::new(), role.clone());
                self.greet(&name, machine, Role { kind, pid, listen, out, waiting });
                self.hear_role(&name, &mut from).await;
                self.lose(&name, pid);
            }
            Some(first) => {
                self.serve_client(first, &out);
                while let Some(message) = next(&mut from).await {
                    self.serve_client(message, &out);
                }
                drop(out);
                tokio::task::yield_now().await;
                self.forget_watchers();
                self.retune_soon();
            }
            None => {}
        }
    }

    fn greet(self: &Rc<Self>, name: &str, machine: Name, role: Role) {
        let (kind, pid) = (role.kind.clone(), role.pid);
        self.roles.borrow_mut().by_name.insert(name.into(), role);
        if !self.processes.borrow().is_ours(name) {
            self.report_of(name, None, What::Process(Process::Started { role: kind, machine, pid }));
        }
        self.tune_newcomer(name);
    }

    async fn hear_role(self: &Rc<Self>, name: &str, from: &mut Frames) {
        while let Some(message) = next(from).await {
            match message {
                ToKeeper::Event(event) => self.take(*event),
                ToKeeper::Answer { id, result } => {
                    let waiting =
                        self.roles.borrow_mut().by_name.get_mut(name).and_then(|role| role.waiting.remove(&id));
                    waiting.into_iter().for_each(|told| drop(told.send(result.clone())));
                }
                _ => {}
            }
        }
    }

    /// A role's connection ended.
    fn lose(self: &Rc<Self>, name: &str, pid: i32) {
        let is_same = self.roles.borrow().by_name.get(name).is_some_and(|role| role.pid == pid);
        if is_same {
            self.roles.borrow_mut().by_name.remove(name);
        }
        if is_same && !self.processes.borrow().is_ours(name) {
            self.report_of(name, None, What::Process(Process::Ended { how: "ended".into() }));
        }
    }

    fn serve_client(self: &Rc<Self>, message: ToKeeper, out: &mpsc::Sender<FromKeeper>) {
        match message {
            ToKeeper::Do { id, command, by } => {
                let (keeper, out) = (Rc::clone(self), out.clone());
                tokio::task::spawn_local(async move {
                    let result = keeper.carry_out(command, &by).await;
                    let _ = out.send(FromKeeper::Reply { id, result }).await;
                });
            }
            ToKeeper::Watch => {
                let (mut watched, out) = (self.watch(), out.downgrade());
                self.retune_soon();
                tokio::task::spawn_local(async move {
                    while let Some(message) = watched.recv().await {
                        let Some(out) = out.upgrade() else { break };
                        if out.send(message).await.is_err() {
                            break;
                        }
                    }
                });
            }
            ToKeeper::Hello { .. } | ToKeeper::Event(_) | ToKeeper::Answer { .. } => {}
        }
    }

    /// Asks a role and waits for its answer.
    pub(super) async fn ask(&self, who: &str, ask: Ask) -> Answer {
        let answer = {
            let mut roles = self.roles.borrow_mut();
            roles.next += 1;
            let id = roles.next;
            let role = roles.by_name.get_mut(who).ok_or_else(|| format!("{who} does not run, or does not answer"))?;
            let (told, answer) = oneshot::channel();
            role.waiting.insert(id, told);
            role.out.try_send(FromKeeper::Ask { id, ask }).map_err(|_| gone(who))?;
            answer
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer.map_err(|_| gone(who))?,
            Err(_) => Err(format!("{who} did not answer within {} s; is it paused?", PATIENCE.as_secs())),
        }
    }

    /// The names of the connected roles of one kind, in order.
    pub(super) fn roles_of(&self, kind: &str) -> Vec<Name> {
        let roles = self.roles.borrow();
        let mut names: Vec<_> =
            roles.by_name.iter().filter(|(_, role)| role.kind == kind).map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// Where a role takes machine-wire connections.
    pub(super) fn listens_at(&self, name: &str) -> Option<SocketAddr> {
        self.roles.borrow().by_name.get(name)?.listen
    }

    /// The process id of a connected role.
    pub(super) fn role_pid(&self, name: &str) -> Result<i32, Refusal> {
        self.roles.borrow().by_name.get(name).map(|role| role.pid).ok_or_else(|| format!("{name} does not run"))
    }
}

type Frames = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;

/// The next message; none at the end of the connection or when it is not one of ours.
async fn next(from: &mut Frames) -> Option<ToKeeper> {
    decode(&from.next().await?.ok()?).ok()
}

fn gone(who: &str) -> Refusal {
    format!("{who} ended before it answered")
}

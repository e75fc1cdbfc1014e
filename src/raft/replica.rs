//! A node, its state machine and its clients together (§8).
//!
//! A client may ask any node. The replica remembers each request that its own clients wait for, and gets it to whoever
//! leads: to its own [`Node`], or in a [`Message::Forward`] to another. As soon as an entry with the request's
//! name is applied *anywhere it hears of* (here, or at the leader, which then sends a [`Message::ForwardReply`]) the client
//! gets its answer. If the leader changes, or nothing comes back, the request goes out again under the same name, and the
//! session table of the state machine sees to it that it is applied once.
//!
//! A client is never left without a word: after [`Replica::set_patience`] it is told that nobody answered, and, for a write
//! that may be in some log, that it may still happen.
//!
//! The replica carries out `apply` and `readable` of the node's effects itself, on the state machine, and puts what comes of
//! it into `answer` and `send`; so its driver sees to disk, network and clients alone. Since all of that is pure and in one
//! value, the order of [`super::effects`] is kept: nothing is seen of an applied entry before the driver has persisted.

use std::collections::{BTreeMap, HashMap};

use super::effects::{Effects, ReadId};
use super::event::{Happening, Index, NodeName, Role, Term};
use super::kv::{Command, Machine, Reply};
use super::message::{Entry, Message, Outgoing, Payload, Request, RequestId, Wanted};
use super::node::{ELECTION_TIMEOUT, Node, NotLeader};
use super::snapshot::Snapshot;

/// A request that was not answered goes out again after so many ticks: the longest election timeout.
const RETRY: u64 = *ELECTION_TIMEOUT.end();
/// A client waits so many ticks by default: ten longest election timeouts.
const PATIENCE: u64 = 10 * RETRY;
/// A snapshot is taken at each multiple of so many entries,
const SNAPSHOT_EVERY: Index = 16_384;
/// and replaces the log when so many more are applied, so that a follower that is a little behind gets entries.
const SNAPSHOT_LAG: Index = 8_192;

/// About so many bytes are forwarded in one message at most.
const MESSAGE_BYTES: usize = 8 << 20;

/// What a client wants of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The request's name; its serial number follows that of the client's last request.
    pub id: RequestId,
    /// All requests of the client below this serial number were answered.
    pub settled: u64,
    /// The command.
    pub command: Command,
}

/// A request of a client of this node, under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    wanted: Wanted,
    /// When it came, and when it was sent last, in ticks.
    since: u64,
    sent: u64,
    /// To whom it was sent, and in which term.
    to: Option<(NodeName, Term)>,
}

/// A node with its state machine and its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    node: Node,
    machine: Machine,
    now: u64,
    patience: u64,
    waiting: BTreeMap<RequestId, Waiting>,
    /// As a leader: from whom an unapplied request was forwarded.
    forwarded: HashMap<RequestId, NodeName>,
    /// As a leader: the reads that the node is to confirm.
    reads: HashMap<ReadId, (NodeName, RequestId, super::kv::Query)>,
    next_read: ReadId,
    /// A snapshot that was taken, for the log to be replaced later; and one for which it is time.
    ripe: Option<Snapshot>,
    due: Option<Snapshot>,
    snapshots: (Index, Index),
    watched: bool,
}

impl Replica {
    /// A replica whose state machine begins from the node's snapshot.
    ///
    /// # Errors
    /// If the snapshot is not one of this program's.
    pub fn new(node: Node) -> Result<Self, BadSnapshot> {
        let machine = node.snapshot().map_or(Ok(Machine::default()), restore)?;
        Ok(Self {
            node,
            machine,
            now: 0,
            patience: PATIENCE,
            waiting: BTreeMap::new(),
            forwarded: HashMap::new(),
            reads: HashMap::new(),
            next_read: 0,
            ripe: None,
            due: None,
            snapshots: (SNAPSHOT_EVERY, SNAPSHOT_LAG),
            watched: true,
        })
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The state machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// A client waits so many ticks for an answer.
    pub fn set_patience(&mut self, ticks: u64) {
        self.patience = ticks;
    }

    /// A snapshot is taken at each multiple of `every` entries, and replaces the log `lag` entries later, which are fewer.
    /// The same on all nodes, or their logs begin at different places.
    pub fn set_snapshots(&mut self, every: Index, lag: Index) {
        assert!((1..every).contains(&lag), "a snapshot replaces the log before the next is taken");
        self.snapshots = (every, lag);
    }

    /// Whether each small thing is told, or changes of state alone.
    pub fn watch(&mut self, watched: bool) {
        self.watched = watched;
        self.node.watch(watched);
    }

    /// How many clients' requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes in a message from `from`.
    pub fn step(&mut self, from: &str, message: Message) -> Effects {
        let (leader, mut effects) = (self.reign(), Effects::default());
        match message {
            Message::Rpc(rpc) => effects = self.node.step(from, rpc),
            Message::Forward(wanted) => self.lead(from, wanted, &mut effects),
            Message::ForwardReply(replies) => {
                replies.into_iter().for_each(|(id, reply)| self.answer(id, Ok(reply), &mut effects));
            }
        }
        self.finish(leader, effects)
    }

    /// Lets one tick of time pass.
    pub fn tick(&mut self) -> Effects {
        let leader = self.reign();
        self.now += 1;
        let mut effects = self.node.tick();
        self.give_up(&mut effects);
        self.retry(&mut effects);
        self.finish(leader, effects)
    }

    /// Takes in what clients of this node want. Each is answered once, in [`Effects::answer`].
    pub fn ask(&mut self, asked: Vec<Asked>) -> Effects {
        let (leader, mut effects) = (self.reign(), Effects::default());
        let ids = asked.iter().map(|asked| asked.id).collect();
        for Asked { id, settled, command } in asked {
            self.tell_asked(id, &command, &mut effects);
            let wanted = match command {
                Command::Write(command) => Wanted::Write(Request { id, settled, command }),
                Command::Query(query) => Wanted::Read { id, query },
            };
            self.waiting.insert(id, Waiting { wanted, since: self.now, sent: self.now, to: None });
        }
        self.dispatch(ids, &mut effects);
        self.finish(leader, effects)
    }

    /// A client is gone: nobody waits for its answers.
    pub fn forget(&mut self, client: super::message::ClientId) {
        let serial = |serial| RequestId { client, serial };
        let gone: Vec<RequestId> = self.waiting.range(serial(0)..=serial(u64::MAX)).map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| drop(self.waiting.remove(id)));
    }

    /// Who leads, and in which term.
    fn reign(&self) -> Option<(NodeName, Term)> {
        Some((self.node.leader()?.clone(), self.node.term()))
    }

    /// Carries out what concerns the state machine, and, under a new leader, sends again what waits.
    fn finish(&mut self, before: Option<(NodeName, Term)>, mut effects: Effects) -> Effects {
        self.carry_out(&mut effects);
        if self.reign() != before {
            if self.node.role() != Role::Leader {
                self.forwarded.clear();
                self.reads.clear();
            }
            let ids = self.waiting.keys().copied().collect();
            self.dispatch(ids, &mut effects);
        }
        effects
    }

    /// Gets requests of own clients to the leader. Without one they wait for it.
    fn dispatch(&mut self, ids: Vec<RequestId>, effects: &mut Effects) {
        let Some(reign) = self.reign().filter(|_| !ids.is_empty()) else { return };
        let mut wanted = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                (waiting.to, waiting.sent) = (Some(reign.clone()), self.now);
                wanted.push(waiting.wanted.clone());
            }
        }
        if reign.0 == *self.node.name() {
            let me = reign.0;
            self.lead(&me, wanted, effects);
        } else {
            let message = |wanted| Outgoing { to: reign.0.clone(), message: Message::Forward(wanted) };
            // If one request of a client were lost, its later ones must not come first.
            let same_client = |a: &Wanted, b: &Wanted| a.id().client == b.id().client;
            effects.send.extend(portions(wanted, Wanted::size, same_client).into_iter().map(message));
        }
    }

    /// As the leader: takes requests of clients of node `from` (which may be this one) into the log, or reads. A node that
    /// does not lead drops them: who sent them will hear of the new leader and send them there.
    fn lead(&mut self, from: &str, wanted: Vec<Wanted>, effects: &mut Effects) {
        if self.node.role() != Role::Leader {
            return;
        }
        let (mut writes, mut reads) = (Vec::new(), Vec::new());
        for wanted in wanted {
            match wanted {
                Wanted::Write(request) => writes.extend(self.admit(from, request, effects)),
                Wanted::Read { id, query } => {
                    self.next_read += 1;
                    self.reads.insert(self.next_read, (from.into(), id, query));
                    reads.push(self.next_read);
                }
            }
        }
        if !writes.is_empty() {
            let proposed = self.node.propose(writes).map(|(_, effects)| effects);
            self.add(proposed, effects);
        }
        if !reads.is_empty() {
            let read = self.node.read(reads);
            self.add(read, effects);
        }
    }

    /// What becomes of a write at the leader: an entry; the known reply, if it was applied before; nothing, if it is
    /// already in this leader's log.
    fn admit(&mut self, from: &str, request: Request, effects: &mut Effects) -> Option<Payload> {
        if let Some(reply) = self.machine.reply_of(request.id).cloned() {
            self.deliver(from, vec![(request.id, reply)], effects);
            return None;
        }
        let known = self.forwarded.insert(request.id, from.into()).is_some();
        (!known).then_some(Payload::Request(request))
    }

    fn add(&mut self, more: Result<Effects, NotLeader>, effects: &mut Effects) {
        let mut more = more.expect("only a leader takes requests in");
        self.carry_out(&mut more);
        effects.merge(more);
    }

    /// Applies committed entries and answers what that brings: this replica's own clients, and those of other nodes.
    fn carry_out(&mut self, effects: &mut Effects) {
        if let Some(snapshot) = &effects.persist.snapshot
            && snapshot.index > self.machine.applied()
        {
            self.machine = restore(snapshot).expect("a leader's snapshot is one of this program's");
        }
        let mut remote: BTreeMap<NodeName, Vec<(RequestId, Reply)>> = BTreeMap::new();
        for entry in std::mem::take(&mut effects.apply) {
            let Some((id, reply)) = self.apply(&entry) else { continue };
            if let Some(origin) = self.forwarded.remove(&id).filter(|origin| origin != self.node.name()) {
                remote.entry(origin).or_default().push((id, reply));
            } else {
                self.answer(id, Ok(reply), effects);
            }
        }
        for read in std::mem::take(&mut effects.readable) {
            let Some((origin, id, query)) = self.reads.remove(&read) else { continue };
            let reply = self.machine.query(&query);
            if origin == *self.node.name() {
                self.answer(id, Ok(reply), effects);
            } else {
                remote.entry(origin).or_default().push((id, reply));
            }
        }
        remote.into_iter().for_each(|(origin, replies)| self.deliver(&origin, replies, effects));
        self.compact(effects);
    }

    fn apply(&mut self, entry: &Entry) -> Option<(RequestId, Reply)> {
        let reply = self.machine.apply(entry);
        let (every, lag) = self.snapshots;
        if self.ripe.as_ref().is_some_and(|snapshot| snapshot.index + lag == entry.index) {
            self.due = self.ripe.take();
        }
        if entry.index.is_multiple_of(every) {
            let data = rmp_serde::to_vec(&self.machine).expect("a state machine always encodes").into();
            self.ripe = Some(Snapshot { index: entry.index, term: entry.term, data });
        }
        reply
    }

    fn compact(&mut self, effects: &mut Effects) {
        if let Some(snapshot) = self.due.take() {
            effects.merge(self.node.compact(snapshot));
        }
    }

    /// Brings answers to where the clients are.
    fn deliver(&mut self, origin: &str, replies: Vec<(RequestId, Reply)>, effects: &mut Effects) {
        if origin == self.node.name() {
            replies.into_iter().for_each(|(id, reply)| self.answer(id, Ok(reply), effects));
        } else {
            let name = self.node.name();
            let fitting = |(id, reply): (RequestId, Reply)| match reply.size() {
                size if size <= MESSAGE_BYTES => (id, reply),
                _ => (id, Reply::Error(format!("ERR the answer is too large to be forwarded; ask {name} itself"))),
            };
            let replies = replies.into_iter().map(fitting).collect();
            for portion in portions(replies, |(_, reply)| reply.size(), |_, _| false) {
                effects.send.push(Outgoing { to: origin.into(), message: Message::ForwardReply(portion) });
            }
        }
    }

    fn answer(&mut self, id: RequestId, outcome: Result<Reply, Unanswered>, effects: &mut Effects) {
        if self.waiting.remove(&id).is_none() {
            return;
        }
        if self.watched {
            let text = outcome.as_ref().map_or_else(ToString::to_string, ToString::to_string);
            effects.happened.push(Happening::Answered { request: id.to_string(), text });
        }
        effects.answer.push((id, outcome));
    }

    /// Those who waited too long are told so.
    fn give_up(&mut self, effects: &mut Effects) {
        let late = |(id, w): (&RequestId, &Waiting)| (self.now - w.since >= self.patience).then_some(*id);
        let late: Vec<RequestId> = self.waiting.iter().filter_map(late).collect();
        for id in late {
            let waiting = &self.waiting[&id];
            let why = match (&waiting.to, &waiting.wanted) {
                (None, _) => Unanswered::NoLeader,
                (Some((to, _)), Wanted::Write(_)) => Unanswered::Unconfirmed(to.clone()),
                (Some((to, _)), Wanted::Read { .. }) => Unanswered::Silent(to.clone()),
            };
            self.answer(id, Err(why), effects);
        }
    }

    /// What another node leads is sent to it again when it has been silent for long: a message may have been lost.
    fn retry(&mut self, effects: &mut Effects) {
        if self.node.role() == Role::Leader {
            return;
        }
        let silent = |(id, w): (&RequestId, &Waiting)| (self.now - w.sent >= RETRY).then_some(*id);
        let ids = self.waiting.iter().filter_map(silent).collect();
        self.dispatch(ids, effects);
    }

    fn tell_asked(&self, id: RequestId, command: &Command, effects: &mut Effects) {
        if self.watched {
            let forwarded_to = self.node.leader().filter(|leader| *leader != self.node.name()).cloned();
            let (request, text) = (id.to_string(), command.to_string());
            effects.happened.push(Happening::Asked { request, text, forwarded_to });
        }
    }
}

/// Cuts what is to be sent into messages of bounded size, but not between items that belong together.
fn portions<T>(items: Vec<T>, size: impl Fn(&T) -> usize, together: impl Fn(&T, &T) -> bool) -> Vec<Vec<T>> {
    let (mut portions, mut bytes): (Vec<Vec<T>>, usize) = (Vec::new(), 0);
    for item in items {
        bytes += size(&item);
        match portions.last_mut() {
            Some(last) if bytes <= MESSAGE_BYTES || last.last().is_some_and(|before| together(before, &item)) => {
                last.push(item);
            }
            _ => {
                bytes = size(&item);
                portions.push(vec![item]);
            }
        }
    }
    portions
}

/// Why a client got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nobody led as long as it waited.
    #[error("CLUSTERDOWN no leader was elected while this waited; are a majority of the nodes up and connected?")]
    NoLeader,
    /// A write went to a leader that could not get a majority.
    #[error("CLUSTERDOWN {0} took the write but no majority confirmed it in time; it may still be applied, or lost")]
    Unconfirmed(NodeName),
    /// A read went to a leader that could not prove that it still leads.
    #[error("CLUSTERDOWN {0} could not confirm in time that it is still the leader; try again")]
    Silent(NodeName),
}

/// A snapshot that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot at index {index} cannot be read: {reason}; was it written by another version?")]
pub struct BadSnapshot {
    index: Index,
    reason: rmp_serde::decode::Error,
}

fn restore(snapshot: &Snapshot) -> Result<Machine, BadSnapshot> {
    rmp_serde::from_slice(&snapshot.data).map_err(|reason| BadSnapshot { index: snapshot.index, reason })
}

//! The loop: what came in goes to the replica, and the effects are carried out in their order.

use std::collections::{BTreeMap, HashMap};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::clock::Clock;
use super::disk::Disk;
use super::peers::Peers;
use super::{Error, Options, show, tale};
use crate::raft::effects::Effects;
use crate::raft::event::{EntryView, Happening, NodeName, Role, TAIL};
use crate::raft::kv::Reply;
use crate::raft::message::{ClientId, Entry, Message, Outgoing};
use crate::raft::node::ELECTION_TIMEOUT;
use crate::raft::replica::{Asked, Replica, Unanswered};
use crate::world::reporter::Question;
use crate::world::wire::{Ask, Envelope};
use crate::world::{EventId, Reporter, What};

/// How much may wait for the loop.
pub const INBOX: usize = 1024;
/// A client waits at least so long in wall time, in seconds, and at least two longest election timeouts.
const PATIENCE: f64 = 3.0;
/// At full speed, counters are reported so often at most.
const COUNT_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What a client is told of one request.
pub type Outcome = Result<Reply, Unanswered>;

/// What can come in.
pub enum Input {
    /// A message of another node.
    Message {
        /// The envelope's id: the cause of what follows.
        id: EventId,
        /// The sender.
        from: NodeName,
        /// The sender's logical time.
        logical: u64,
        /// The message.
        message: Message,
    },
    /// A client asks; the outcomes are wanted in the order of the requests.
    Asked(Vec<Asked>, oneshot::Sender<Vec<Outcome>>),
    /// A client is gone.
    Gone(ClientId),
    /// A client wants INFO.
    Info(oneshot::Sender<String>),
    /// The keeper asks.
    Question(Question),
}

/// A client's run of requests under way.
struct Run {
    first: u64,
    outcomes: Vec<Option<Outcome>>,
    missing: usize,
    answer: oneshot::Sender<Vec<Outcome>>,
}

/// What the counters count, at full speed.
#[derive(Default)]
struct Counters {
    totals: BTreeMap<String, u64>,
    reported: Option<Instant>,
}

/// See the module's head.
pub struct Driver {
    replica: Replica,
    disk: Disk,
    peers: Peers,
    reporter: Reporter,
    clock: Clock,
    runs: HashMap<ClientId, Run>,
    /// Whether each small thing is reported.
    detail: bool,
    /// The latest `State`, for the tale.
    state: Option<Happening>,
    counters: Counters,
}

impl Driver {
    /// A driver of a replica. The clock runs from now on.
    pub fn new(options: &Options, replica: Replica, disk: Disk, peers: Peers, reporter: Reporter) -> Self {
        let mut driver = Self {
            replica,
            disk,
            peers,
            reporter,
            clock: Clock::new(options.speed, options.frozen),
            runs: HashMap::new(),
            detail: false,
            state: None,
            counters: Counters::default(),
        };
        driver.set_detail(false);
        driver.set_patience();
        driver
    }

    /// Runs until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// If the disk fails.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Input>) -> Result<(), Error> {
        let mut stop = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        self.report(None, vec![self.booted(), self.replica.node().describe("boot")]);
        let mut inputs = Vec::new();
        loop {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = stopped(&mut stop) => {
                    self.disk.close();
                    return Ok(());
                }
                count = inbox.recv_many(&mut inputs, INBOX) => if count == 0 { return Ok(()) },
                () = wait_until(wake) => {}
            }
            let began = Instant::now();
            self.turn(&mut inputs).await?;
            if self.replica.node().role() != Role::Leader {
                self.clock.pardon(began.elapsed());
            }
        }
    }

    /// One turn: the ticks that are due, then all that came in. At full speed its effects are carried out as one.
    async fn turn(&mut self, inputs: &mut Vec<Input>) -> Result<(), Error> {
        let mut merged = Effects::default();
        for _ in 0..self.clock.due() {
            let effects = self.replica.tick();
            self.gather(None, effects, &mut merged).await?;
        }
        let mut asked = Vec::new();
        for input in inputs.drain(..) {
            match input {
                Input::Message { id, from, logical, message } => {
                    self.reporter.receive(logical);
                    let effects = self.replica.step(&from, message);
                    self.gather(Some(id), effects, &mut merged).await?;
                }
                Input::Asked(requests, answer) => {
                    self.begin_run(&requests, answer);
                    asked.extend(requests);
                }
                Input::Gone(client) => {
                    self.replica.forget(client);
                    self.runs.remove(&client);
                }
                Input::Info(answer) => drop(answer.send(show::info(&self.replica))),
                Input::Question(question) => self.answer_question(question).await?,
            }
        }
        if !asked.is_empty() {
            let effects = self.replica.ask(asked);
            self.gather(None, effects, &mut merged).await?;
        }
        self.carry_out(None, merged).await?;
        self.count();
        Ok(())
    }

    /// In detail each step is carried out, and told, by itself.
    async fn gather(&mut self, cause: Option<EventId>, effects: Effects, merged: &mut Effects) -> Result<(), Error> {
        if self.detail {
            return self.carry_out(cause, effects).await;
        }
        merged.merge(effects);
        Ok(())
    }

    /// Carries out effects in the order that [`crate::raft::effects`] gives. That a client asked is told first: it is the
    /// cause of the rest.
    async fn carry_out(&mut self, cause: Option<EventId>, effects: Effects) -> Result<(), Error> {
        let Effects { replicate, persist, send, apply, readable, answer, mut happened } = effects;
        debug_assert!(apply.is_empty() && readable.is_empty(), "a replica applies and reads by itself");
        let later = happened.split_off(happened.iter().take_while(|h| matches!(h, Happening::Asked { .. })).count());
        let (cause, _) = self.report(cause, happened);
        self.post(replicate, cause.as_ref());
        if !persist.is_empty() {
            self.disk.save(persist).await?;
        }
        let (_, latest) = self.report(cause, later);
        self.post(send, latest.as_ref());
        answer.into_iter().for_each(|(id, outcome)| self.settle(id.client, id.serial, outcome));
        Ok(())
    }

    fn post(&mut self, messages: Vec<Outgoing>, cause: Option<&EventId>) {
        for Outgoing { to, message } in messages {
            if !self.detail {
                self.counters.add(message.kind());
            }
            let note = if self.detail { message.to_string() } else { String::new() };
            self.peers.send(&Envelope {
                id: self.reporter.next_id(),
                from: self.replica.node().name().clone(),
                to,
                logical: self.reporter.tick(),
                cause: cause.cloned(),
                kind: message.kind().into(),
                note,
                body: rmp_serde::to_vec(&message).expect("our own types always encode").into(),
            });
        }
    }

    /// Reports what happened in one step. What has no cause yet (a timer rang, a client asked) is the cause of what follows.
    /// Gives that cause, and the latest event that may have caused a message.
    fn report(&mut self, mut cause: Option<EventId>, happened: Vec<Happening>) -> (Option<EventId>, Option<EventId>) {
        let mut latest = cause.clone();
        for mut happening in happened {
            if let Happening::Timer { timeout_us } = &mut happening {
                *timeout_us = self.clock.wall_us(*timeout_us);
            }
            if let Some(line) = tale::line(&happening, self.state.as_ref()) {
                eprintln!("{}: {line}", self.replica.node().name());
            }
            if matches!(happening, Happening::State { .. }) {
                self.state = Some(happening.clone());
            }
            let timer = matches!(happening, Happening::Timer { .. });
            let id = self.reporter.report(cause.clone(), What::Raft(happening));
            if !timer {
                cause = cause.or_else(|| Some(id.clone()));
                latest = Some(id);
            }
        }
        (cause, latest)
    }

    fn begin_run(&mut self, requests: &[Asked], answer: oneshot::Sender<Vec<Outcome>>) {
        let Some(first) = requests.first().map(|asked| asked.id) else { return };
        let outcomes = vec![None; requests.len()];
        self.runs.insert(first.client, Run { first: first.serial, missing: outcomes.len(), outcomes, answer });
    }

    fn settle(&mut self, client: ClientId, serial: u64, outcome: Outcome) {
        let Some(run) = self.runs.get_mut(&client) else { return };
        let place = serial.checked_sub(run.first).and_then(|i| run.outcomes.get_mut(i as usize));
        if place.is_some_and(|place| place.replace(outcome).is_none()) {
            run.missing -= 1;
        }
        if run.missing == 0
            && let Some(run) = self.runs.remove(&client)
        {
            let _ = run.answer.send(run.outcomes.into_iter().flatten().collect());
        }
    }

    /// When the next tick that matters is due: the node's timer; any tick, while clients wait.
    fn next_wake(&mut self) -> Option<Instant> {
        let ticks = if self.replica.waiting() > 0 { 1 } else { self.replica.node().ticks_left() };
        self.clock.after(ticks)
    }

    async fn answer_question(&mut self, question: Question) -> Result<(), Error> {
        let answer = match question.ask.clone() {
            Ask::Speed(speed) if speed > 0.0 && speed.is_finite() => {
                self.clock.set_speed(speed);
                self.set_patience();
                self.tell_timer();
                Ok(serde_json::Value::Null)
            }
            Ask::Speed(speed) => Err(format!("a clock cannot run at speed {speed}")),
            Ask::Freeze(frozen) => {
                self.clock.freeze(frozen);
                self.tell_timer();
                Ok(serde_json::Value::Null)
            }
            Ask::Tick if self.clock.is_frozen() => {
                let effects = self.replica.tick();
                self.carry_out(None, effects).await?;
                Ok(serde_json::Value::Null)
            }
            Ask::Tick => Err("the clock runs; freeze it first".into()),
            Ask::Route { to, via } => {
                let routed = self.peers.route(&to, via);
                tokio::spawn(async move {
                    for wait in routed {
                        let _ = wait.await;
                    }
                    question.answer(Ok(serde_json::Value::Null));
                });
                return Ok(());
            }
            Ask::Detail(detail) => {
                self.set_detail(detail);
                Ok(serde_json::Value::Null)
            }
            Ask::Words(words) => match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["log"] => Ok(show::log(&self.replica)),
                ["status"] => Ok(show::status(&self.replica)),
                _ => Err(format!("a node does not understand `{}`; it knows: log, status", words.join(" "))),
            },
        };
        question.answer(answer);
        Ok(())
    }

    fn set_patience(&mut self) {
        let wall = (PATIENCE / self.clock.tick().as_secs_f64()) as u64;
        self.replica.set_patience(wall.max(2 * ELECTION_TIMEOUT.end()));
    }

    /// Begins or ends to tell each small thing. Whoever begins to watch is first told how things stand.
    fn set_detail(&mut self, detail: bool) {
        let begins = detail && !self.detail;
        self.detail = detail;
        self.replica.watch(detail);
        if begins {
            let node = self.replica.node();
            let (commit, applied) = (node.commit_index(), node.last_applied());
            let mut now = vec![node.describe("watched")];
            let entries = self.tail();
            now.extend((!entries.is_empty()).then_some(Happening::Appended { entries }));
            now.extend([Happening::Committed { index: commit }, Happening::Applied { index: applied }]);
            let progress = node.progress().into_iter().flatten();
            now.extend(progress.map(|(peer, p)| Happening::Progress {
                peer: peer.clone(),
                next: p.next_index,
                matched: p.match_index,
            }));
            self.reporter_only(now);
            self.tell_timer();
        }
    }

    /// Tells the watchers how long the election timer still runs.
    fn tell_timer(&mut self) {
        let node = self.replica.node();
        if self.detail && node.role() != Role::Leader {
            let timeout_us = self.clock.wall_us(node.ticks_left() * crate::raft::node::TICK_US);
            self.reporter_only(vec![Happening::Timer { timeout_us }]);
        }
    }

    fn reporter_only(&self, happenings: Vec<Happening>) {
        for happening in happenings {
            self.reporter.report(None, What::Raft(happening));
        }
    }

    fn tail(&self) -> Vec<EntryView> {
        let log = self.replica.node().log();
        let from = (log.last_index() + 1).saturating_sub(TAIL as u64);
        log.range(from, log.last_index()).map(Entry::view).collect()
    }

    fn booted(&self) -> Happening {
        let node = self.replica.node();
        let mut nodes: Vec<NodeName> = node.peers().to_vec();
        nodes.push(node.name().clone());
        nodes.sort();
        let state = node.hard_state();
        let (term, voted_for, applied, log) = (state.current_term, state.voted_for, node.last_applied(), self.tail());
        Happening::Booted { term, voted_for, applied, log, nodes }
    }

    /// At full speed: the counters, now and then.
    fn count(&mut self) {
        let due = self.counters.reported.is_none_or(|last| last.elapsed() >= COUNT_EVERY);
        if self.detail || !due || self.counters.totals.is_empty() || !self.reporter.is_watched() {
            return;
        }
        let node = self.replica.node();
        let mut totals = self.counters.totals.clone();
        totals.insert("commit".into(), node.commit_index());
        totals.insert("applied".into(), node.last_applied());
        totals.insert("last".into(), node.log().last_index());
        self.counters.reported = Some(Instant::now());
        self.reporter.report(None, What::Counters { totals });
    }
}

impl Counters {
    fn add(&mut self, name: &str) {
        match self.totals.get_mut(name) {
            Some(total) => *total += 1,
            None => drop(self.totals.insert(name.into(), 1)),
        }
    }
}

async fn stopped([terminate, interrupt]: &mut [Signal; 2]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn wait_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

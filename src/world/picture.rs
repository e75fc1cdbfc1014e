//! The picture itself, and its fold.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::event::{self, LinkRule, Message};
use super::{Event, EventId, Name, What, container, raft, union, volume};

/// How many lines of each process's output the picture holds.
pub const OUTPUT_LINES: usize = 500;
/// How many of the last events the picture holds.
pub const RECENT: usize = 1000;

/// Everything that is known of a world at one moment. A pure fold over its events: two worlds that saw the same
/// events are equal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// The world's name.
    pub name: String,
    /// The seed of everything random in it.
    pub seed: u64,
    /// `seq` of the last event folded in.
    pub seq: u64,
    /// Wall time of the last event, microseconds since the epoch.
    pub at: u64,
    /// Speed of the clocks; 1 is the paper's time.
    pub speed: f64,
    /// Whether clocks and links stand still.
    pub frozen: bool,
    /// Every process that ever ran here and is of note, by name.
    pub processes: BTreeMap<Name, Process>,
    /// Links with a rule of their own, and the messages on their way.
    pub links: Links,
    /// What each process wrote to standard error, newest last.
    pub output: BTreeMap<Name, VecDeque<String>>,
    /// The last events, newest last; outputs are left out.
    pub recent: VecDeque<Event>,
    /// Figures of reporters at full speed: reporter → counter → total.
    pub counters: BTreeMap<Name, BTreeMap<String, u64>>,
    /// The Raft nodes.
    pub raft: raft::Picture,
    /// The union mounts.
    pub union: union::Picture,
    /// The replicated volumes.
    pub volume: volume::Picture,
    /// The containers.
    pub container: container::Picture,
}

/// A process of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What it is: `node`, `mount`, `brick`, …
    pub role: String,
    /// The machine that it runs on; empty for the world itself.
    pub machine: Name,
    /// Its process id inside the world; of the last run if it ended.
    pub pid: i32,
    /// Whether it runs.
    pub state: State,
    /// How often it was started.
    pub starts: u32,
}

/// Whether a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs.
    Running,
    /// It is stopped by SIGSTOP.
    Paused,
    /// It ended; how, in words.
    Ended(String),
}

impl Process {
    /// Whether the process exists, paused or not.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, State::Ended(_))
    }
}

/// The links between machines.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Links {
    /// Rules that are not clear, as (from, to, rule).
    pub rules: Vec<(Name, Name, LinkRule)>,
    /// Messages on their way, oldest first.
    pub flying: Vec<Flying>,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flying {
    /// The message.
    pub message: Message,
    /// Wall time at which it was sent, microseconds since the epoch.
    pub since: u64,
    /// Whether it waits to be delivered by hand.
    pub held: bool,
}

impl Links {
    /// The rule of the link `from` → `to`.
    pub fn rule(&self, from: &str, to: &str) -> LinkRule {
        self.rules.iter().find(|(f, t, _)| f == from && t == to).map(|(_, _, r)| r.clone()).unwrap_or_default()
    }

    fn apply(&mut self, at: u64, link: &event::Link) {
        use event::Link::{Delivered, Dropped, Held, Rule, Sent};
        match link {
            Sent(message) => self.flying.push(Flying { message: message.clone(), since: at, held: false }),
            Delivered { id } | Dropped { id, .. } => self.flying.retain(|f| f.message.id != *id),
            Held { id } => self.flying.iter_mut().filter(|f| f.message.id == *id).for_each(|f| f.held = true),
            Rule { from, to, rule } => {
                self.rules.retain(|(f, t, _)| (f, t) != (from, to));
                if !rule.is_clear() {
                    self.rules.push((from.clone(), to.clone(), rule.clone()));
                }
            }
        }
    }
}

impl World {
    /// Folds one event into the picture.
    pub fn apply(&mut self, event: &Event) {
        let Event { who, at, what, .. } = event;
        self.seq = event.seq.max(self.seq);
        self.at = (*at).max(self.at);
        match what {
            What::Opened { name, seed } => {
                *self =
                    Self { name: name.clone(), seed: *seed, speed: 1.0, seq: self.seq, at: self.at, ..Self::default() }
            }
            What::Command { .. } => {}
            What::Clock { speed, frozen } => (self.speed, self.frozen) = (*speed, *frozen),
            What::Process(process) => self.process(who, process),
            What::Output { line } => {
                return push(self.output.entry(who.clone()).or_default(), line.clone(), OUTPUT_LINES);
            }
            What::Link(link) => self.links.apply(*at, link),
            What::Lost { count } => {
                *self.counters.entry(who.clone()).or_default().entry("events lost".into()).or_default() += count
            }
            What::Counters { totals } => self.counters.entry(who.clone()).or_default().extend(totals.clone()),
            What::Raft(happening) => self.raft.apply(who, *at, happening),
            What::Union(happening) => self.union.apply(who, *at, happening),
            What::Volume(happening) => self.volume.apply(who, *at, happening),
            What::Container(happening) => self.container.apply(who, *at, happening),
        }
        push(&mut self.recent, event.clone(), RECENT);
    }

    /// The event with this id, if it is among the last ones.
    pub fn event(&self, id: &EventId) -> Option<&Event> {
        self.recent.iter().rev().find(|e| e.id == *id)
    }

    fn process(&mut self, who: &Name, happening: &event::Process) {
        use event::Process::{Ended, Paused, Resumed, Started};
        if let Started { role, machine, pid } = happening {
            let starts = self.processes.get(who).map_or(0, |p| p.starts) + 1;
            let process =
                Process { role: role.clone(), machine: machine.clone(), pid: *pid, state: State::Running, starts };
            self.processes.insert(who.clone(), process);
        } else if let Some(process) = self.processes.get_mut(who) {
            process.state = match happening {
                Paused => State::Paused,
                Ended { how } => State::Ended(how.clone()),
                Started { .. } | Resumed => State::Running,
            };
        }
        if matches!(happening, Ended { .. }) {
            self.raft.ended(who);
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}

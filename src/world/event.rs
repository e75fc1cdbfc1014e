//! What happened: the one unit of information in the program.

use serde::{Deserialize, Serialize};

use super::Name;

/// The identity of an event: `who#n`, where `n` counts that reporter's events from 1. Unique within a world.
pub type EventId = String;

/// One thing that happened, as its reporter saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the journal, from 1; given by the keeper. 0 before the keeper has seen it.
    #[serde(default)]
    pub seq: u64,
    /// `who#n`.
    pub id: EventId,
    /// The machine or process that it happened to (`n1`, `keeper`, `server2/glusterd`).
    pub who: Name,
    /// Wall time in microseconds since the Unix epoch, by the reporter's clock.
    pub at: u64,
    /// Logical (Lamport) time of the reporter.
    pub logical: u64,
    /// The event or message that caused it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EventId>,
    /// What happened.
    pub what: What,
}

/// Everything that can happen in a world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The world was opened.
    Opened {
        /// The name of the world.
        name: String,
        /// The seed of everything that is random in it.
        seed: u64,
    },
    /// Somebody asked for a command.
    Command {
        /// The command in its text form, as `lab` would take it.
        text: String,
        /// Who asked: `screen`, `lab`, `check`, `run`.
        by: String,
        /// Why it was refused, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// The speed of the world's clocks, or its freeze, was set.
    Clock {
        /// 1 is the paper's time; 0.1 is ten times slower.
        speed: f64,
        /// Whether clocks and links stand still.
        frozen: bool,
    },
    /// Something happened to a process.
    Process(Process),
    /// A line that a process wrote to its standard error.
    Output {
        /// The line, without its newline.
        line: String,
    },
    /// Something happened on a link between two machines.
    Link(Link),
    /// Events that a reporter had to leave out because it must never wait.
    Lost {
        /// How many.
        count: u64,
    },
    /// Figures of a reporter at full speed, instead of one event each.
    Counters {
        /// Name of the counter → its total so far.
        totals: std::collections::BTreeMap<String, u64>,
    },
    /// In the Raft part.
    Raft(crate::raft::Happening),
    /// In a union mount.
    Union(crate::union::Happening),
    /// In a replicated volume.
    Volume(crate::volume::Happening),
    /// In a container.
    Container(crate::container::Happening),
}

/// What can happen to a process of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// It runs.
    Started {
        /// What it is: `node`, `mount`, `brick`, `glusterd`, `glustershd`, `client`, `container`.
        role: String,
        /// The machine that it runs on (`n1`, `server1`); empty for the world itself.
        machine: Name,
        /// Its process id inside the world.
        pid: i32,
    },
    /// It was stopped with SIGSTOP.
    Paused,
    /// It was continued with SIGCONT.
    Resumed,
    /// It ended.
    Ended {
        /// In words: `killed by SIGKILL`, `exited with 1`.
        how: String,
    },
}

/// What can happen on a link. A link is directed: `from` → `to`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// A message entered the link.
    Sent(Message),
    /// It reached the other end.
    Delivered {
        /// The message's id.
        id: EventId,
    },
    /// It was lost on the way.
    Dropped {
        /// The message's id.
        id: EventId,
        /// `cut`, `loss`, `asked`, `receiver down`.
        why: String,
    },
    /// It waits on a held link until it is delivered by hand.
    Held {
        /// The message's id.
        id: EventId,
    },
    /// The rule of a link changed.
    Rule {
        /// The sending machine.
        from: Name,
        /// The receiving machine.
        to: Name,
        /// The new rule.
        rule: LinkRule,
    },
}

/// A message on its way between two machines, as far as the link knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `sender#n`.
    pub id: EventId,
    /// The sending machine.
    pub from: Name,
    /// The receiving machine.
    pub to: Name,
    /// The message's name in its protocol: `AppendEntries`, `RequestVote`.
    pub kind: String,
    /// Its telling arguments, short: `term 3, prevLogIndex 7`.
    pub note: String,
}

/// How a directed link treats what is sent over it. The default lets everything through at once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkRule {
    /// Nothing passes; silence, not a reset.
    pub cut: bool,
    /// Messages wait until they are delivered by hand.
    pub held: bool,
    /// Each message takes this long, in milliseconds of the wall clock.
    pub delay_ms: u64,
    /// Percentage of messages that are lost, 0–100.
    pub loss: u8,
    /// Percentage of messages that arrive twice, 0–100.
    pub dup: u8,
}

impl LinkRule {
    /// Whether the link does anything but pass messages on.
    pub fn is_clear(&self) -> bool {
        *self == Self::default()
    }
}

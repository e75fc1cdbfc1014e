//! Checks: questions to the system, with an answer in words.
//!
//! A check looks at the world, the events of this step, the client port, the logs on disk or a file, and gives a
//! [`Finding`]: passed or not, and in either case what it saw, what it hoped for and where to look. The words are keys
//! of texts (`labs/checks.*.yaml`, or the step's own `says`).
//!
//! Each kind of check is a small module with one type that deserializes from YAML and has a [`Look`]; the table at the
//! end of this file names it. In a lab a check is a map with the kind as its key:
//!
//! ```yaml
//! - node: {who: was:leader, is: down}
//! - seen: [{raft: {state: {role: candidate}}}]
//!   as: candidacy            # a text of the step that says what is hoped for
//! ```

pub(in crate::lab) use client::plain;
pub(in crate::lab) use node::term_of;
pub(in crate::lab) use union::server;

mod answer;
mod client;
mod clock;
mod entry;
mod event;
mod file;
mod leader;
mod link;
mod logic;
mod logs;
mod node;
mod process;
mod shell;
#[cfg(test)]
mod tests;
mod union;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::course::Question;
use super::pattern::Words;
use super::select::Scene;
use super::stage::{Shelled, Stage};
use super::text::{Message, fill};
use super::vars::Vars;
use crate::world::{Command, Event, World};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Whether it is as hoped.
    pub passed: bool,
    /// What was seen.
    pub saw: Message,
    /// What was hoped for.
    pub hoped: Message,
    /// Where to look.
    pub look: Message,
}

impl Finding {
    /// A finding of the check kind `kind`, whose texts are `kind.saw`, `kind.hoped` and `kind.look`; `saw` is the last
    /// word of the first one's key.
    pub fn new(kind: &str, passed: bool, saw: &str) -> Self {
        let text = |word: &str| Message::new(format!("{kind}.{word}"));
        Self { passed, saw: text(saw), hoped: text("hoped"), look: text("look") }
    }

    /// The finding with one more argument for all its texts.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        for message in [&mut self.saw, &mut self.hoped, &mut self.look] {
            message.args.insert(name.into(), value.to_string());
        }
        self
    }
}

/// What a check may look at.
pub struct Eyes {
    /// The running world.
    pub stage: Arc<dyn Stage>,
    /// The world now.
    pub world: Arc<World>,
    /// The world when the step began.
    pub start: Arc<World>,
    /// The events of this step, oldest first.
    pub events: Vec<Arc<Event>>,
    /// The student's own names and numbers.
    pub vars: Vars,
    /// The step's questions.
    pub questions: Arc<Vec<Question>>,
    /// The student's answers so far: question → choice.
    pub answers: BTreeMap<String, String>,
    /// Set when the student does not want to wait any more.
    pub cancelled: Arc<AtomicBool>,
}

/// How long a check waits for a client's answer or a shell line.
pub const PATIENCE: Duration = Duration::from_secs(15);

impl Eyes {
    /// The same eyes with the world and the events as they are now.
    #[must_use]
    pub fn now(&self) -> Self {
        Self {
            stage: self.stage.clone(),
            world: self.stage.world(),
            start: self.start.clone(),
            events: self.stage.events_since(self.start.seq),
            vars: self.vars.clone(),
            questions: self.questions.clone(),
            answers: self.answers.clone(),
            cancelled: self.cancelled.clone(),
        }
    }

    /// What selectors are looked up in.
    pub fn scene(&self) -> Scene<'_> {
        Scene { now: &self.world, start: &self.start }
    }

    /// The text with the student's own values, and machines for selectors, in its holes.
    pub fn fill(&self, text: &str) -> String {
        fill(text, &|name| self.vars.get(name).cloned().or_else(|| self.selected(name)))
    }

    /// The machine of a selector written in a hole; a word that is no selector is nothing.
    fn selected(&self, word: &str) -> Option<String> {
        self.scene().find(word).ok().filter(|found| found != word)
    }

    /// A word of a pattern or a check: holes filled, then looked up as a selector. `None` if no machine fits.
    pub fn word(&self, word: &str) -> Option<String> {
        self.scene().find(&self.fill(word)).ok()
    }

    /// The machine that `word` selects, or the word itself if there is none (for a text).
    pub fn name(&self, word: &str) -> String {
        self.word(word).unwrap_or_else(|| word.into())
    }

    /// Parses a lab's command line for this student and this moment.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn command(&self, line: &str) -> Result<Command, String> {
        let command = self.fill(line).parse::<Command>().map_err(|e| e.to_string())?;
        self.scene().resolve(command).map_err(|e| e.to_string())
    }

    /// Asks the world something that may take long, at most [`PATIENCE`].
    ///
    /// # Errors
    /// As the world says, or that there was no answer in time.
    pub fn ask(&self, command: Command) -> Result<Value, String> {
        let stage = self.stage.clone();
        self.patiently(PATIENCE, move || stage.run(command))
    }

    /// Runs a shell line in the world, at most [`PATIENCE`].
    ///
    /// # Errors
    /// Why it could not be run.
    pub fn shell(&self, line: &str) -> Result<Shelled, String> {
        let (stage, line) = (self.stage.clone(), self.fill(line));
        self.patiently(PATIENCE, move || stage.shell(&line, PATIENCE))
    }

    /// Whether the student does not want to wait any more.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// Does blocking work on a thread of its own, so that Esc is heard. An answer after the limit goes nowhere.
    fn patiently<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let (done, answer) = std::sync::mpsc::channel();
        let patient = std::thread::Builder::new().name("patient".into());
        patient.spawn(move || done.send(work())).map_err(|e| format!("starting a thread: {e}"))?;
        let deadline = Instant::now() + limit;
        loop {
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(result) => return result,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Err("the world gave no answer".into()),
                Err(_) if self.is_cancelled() => return Err("cancelled".into()),
                Err(_) if Instant::now() >= deadline => return Err(format!("no answer in {} s", limit.as_secs())),
                Err(_) => {}
            }
        }
    }
}

impl Words for Eyes {
    fn fill(&self, text: &str) -> String {
        self.fill(text)
    }

    fn machine(&self, word: &str) -> Option<String> {
        self.word(word)
    }
}

/// What every kind of check can do.
pub trait Look {
    /// Looks, and says what it found.
    fn look(&self, eyes: &Eyes) -> Finding;

    /// The questions, variables and texts of the step that it needs, for the linter.
    fn needs(&self, _needs: &mut Needs) {}
}

/// What a step must have for its checks to make sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Ids of questions.
    pub questions: Vec<String>,
    /// Keys of the step's own texts.
    pub says: Vec<String>,
}

/// A check of any kind, and how the step itself calls what it hopes for.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is looked at.
    pub kind: Kind,
    /// The step's text that says what is hoped for, in place of the kind's own. `KEY-saw` and `KEY-look` may stand
    /// beside it.
    pub named: Option<String>,
}

impl Check {
    /// Looks, and says what it found.
    pub fn look(&self, eyes: &Eyes) -> Finding {
        let mut finding = self.kind.look(eyes);
        if let Some(key) = &self.named {
            finding.hoped.key.clone_from(key);
            finding.saw.key = format!("{key}-saw|{}", finding.saw.key);
            finding.look.key = format!("{key}-look|{}", finding.look.key);
        }
        finding
    }

    /// What the step must have for this check.
    pub fn needs(&self, needs: &mut Needs) {
        needs.says.extend(self.named.clone());
        self.kind.needs(needs);
    }
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (check, extra) = from.deserialize_map(CheckVisitor { extra: None })?;
        debug_assert!(extra.is_none());
        Ok(check)
    }
}

/// A check with one more key beside it, such as `within` of a wait.
pub(super) struct CheckVisitor {
    /// The name of the further key.
    pub extra: Option<&'static str>,
}

impl<'de> de::Visitor<'de> for CheckVisitor {
    type Value = (Check, Option<String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a check: a map with one of {}", Kind::NAMES.join(", "))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut named, mut extra) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            if key == "as" {
                named = Some(map.next_value()?);
            } else if Some(key.as_str()) == self.extra {
                extra = Some(map.next_value()?);
            } else if kind.is_some() {
                return Err(de::Error::custom(format!("`{key}` is too much, expected one kind of check")));
            } else {
                kind = Some(Kind::read(&key, &mut map)?);
            }
        }
        let kind =
            kind.ok_or_else(|| de::Error::custom(format!("no check here, expected {}", Kind::NAMES.join(", "))))?;
        Ok((Check { kind, named }, extra))
    }
}

/// Makes [`Kind`] from the table of check kinds.
macro_rules! kinds {
    ($($name:literal $variant:ident($type:ty)),* $(,)?) => {
        /// The kinds of checks there are.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`")] $variant($type),)*
        }

        impl Kind {
            /// Their names in YAML.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// This one's name in YAML.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            fn read<'de, A: de::MapAccess<'de>>(name: &str, map: &mut A) -> Result<Self, A::Error> {
                match name {
                    $($name => Ok(Self::$variant(map.next_value()?)),)*
                    _ => Err(de::Error::unknown_variant(name, Self::NAMES)),
                }
            }
        }

        impl Look for Kind {
            fn look(&self, eyes: &Eyes) -> Finding {
                match self { $(Self::$variant(check) => check.look(eyes),)* }
            }

            fn needs(&self, needs: &mut Needs) {
                match self { $(Self::$variant(check) => check.needs(needs),)* }
            }
        }
    };
}

kinds! {
    "one_leader" OneLeader(leader::OneLeader),
    "no_leader" NoLeader(leader::NoLeader),
    "leaders" Leaders(leader::Leaders),
    "node" Node(node::Node),
    "link" Link(link::Link),
    "clock" Clock(clock::Clock),
    "committed" Committed(entry::Committed),
    "not_committed" NotCommitted(entry::NotCommitted),
    "applied" Applied(entry::Applied),
    "on_disk" OnDisk(logs::OnDisk),
    "logs_equal" LogsEqual(logs::LogsEqual),
    "seen" Seen(event::Seen),
    "client" Client(client::Client),
    "predicted" Predicted(answer::Predicted),
    "file" File(file::File),
    "shell" Shell(shell::Shell),
    "process" Process(process::Process),
    "union" Union(union::Union),
    "served" Served(union::Served),
    "all" All(logic::All),
    "any" Any(logic::Any),
    "not" Not(logic::Not),
}

//! A stage without a world: its picture is a fold over events that a script gives it.
//!
//! For proving checks, labs and sessions where no keeper is. Commands are noted, and answered from what the script
//! prepared; nothing happens by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stage::{Shelled, Stage};
use crate::world::{Command, Event, Name, What, World};

/// A stage over scripted events.
#[derive(Default)]
pub struct Fake {
    inside: Mutex<Inside>,
    news: Condvar,
}

#[derive(Default)]
struct Inside {
    world: World,
    events: Vec<Arc<Event>>,
    commands: Vec<String>,
    answers: BTreeMap<String, Result<Value, String>>,
    effects: BTreeMap<String, Vec<(Name, What)>>,
    shelled: BTreeMap<String, Shelled>,
}

impl Fake {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets something happen.
    pub fn happen(&self, who: &str, what: What) {
        self.inside().happen(who, what);
        self.news.notify_all();
    }

    /// Lets something happen, written as the journal writes it.
    ///
    /// # Panics
    /// If the text is no event.
    pub fn tell(&self, who: &str, what: &str) {
        self.happen(who, serde_json::from_str(what).unwrap_or_else(|e| panic!("{what}: {e}")));
    }

    /// Prepares the answer to a command, in its text form. Others are answered with null.
    pub fn answers(&self, command: &str, answer: Result<Value, String>) {
        self.inside().answers.insert(command.into(), answer);
    }

    /// Prepares what happens when a command comes.
    pub fn when(&self, command: &str, happens: Vec<(Name, What)>) {
        self.inside().effects.insert(command.into(), happens);
    }

    /// Prepares what a shell line gives. Others are not found (127).
    pub fn shells(&self, line: &str, output: &str, status: i32) {
        self.inside().shelled.insert(line.into(), Shelled { output: output.into(), status });
    }

    /// The commands that came, in their text form.
    pub fn commands(&self) -> Vec<String> {
        self.inside().commands.clone()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn happen(&mut self, who: &str, what: What) {
        let seq = self.world.seq + 1;
        let event =
            Event { seq, id: format!("{who}#{seq}"), who: who.into(), at: seq, logical: seq, cause: None, what };
        self.world.apply(&event);
        self.events.push(Arc::new(event));
    }
}

impl Stage for Fake {
    fn run(&self, command: Command) -> Result<Value, String> {
        let text = command.to_string();
        let mut inside = self.inside();
        inside.commands.push(text.clone());
        for (who, what) in inside.effects.get(&text).cloned().unwrap_or_default() {
            inside.happen(&who, what);
        }
        self.news.notify_all();
        inside.answers.get(&text).cloned().unwrap_or(Ok(Value::Null))
    }

    fn world(&self) -> Arc<World> {
        Arc::new(self.inside().world.clone())
    }

    fn events_since(&self, seq: u64) -> Vec<Arc<Event>> {
        self.inside().events.iter().filter(|e| e.seq > seq).cloned().collect()
    }

    fn changed(&self, seq: u64, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = self.news.wait_timeout_while(self.inside(), left, |inside| inside.world.seq <= seq);
        wait.unwrap_or_else(PoisonError::into_inner).0.world.seq > seq
    }

    fn shell(&self, line: &str, _limit: Duration) -> Result<Shelled, String> {
        let unknown = || Shelled { output: format!("sh: {line}: not found"), status: 127 };
        Ok(self.inside().shelled.get(line).cloned().unwrap_or_else(unknown))
    }
}

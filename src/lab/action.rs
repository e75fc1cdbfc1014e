//! Actions: what a lab does itself, in `setup`, `solve` and in making a mistake.
//!
//! An action is a line or a map:
//!
//! | written | what it does |
//! |---|---|
//! | `kill leader` | a [`Command`], with selectors and holes |
//! | `calm` | makes the Raft world whole: thawed, healed, every node up, one leader, equal logs |
//! | `{wait: {one_leader: {}, within: 20s}}` | until the check passes, woken by events |
//! | `{meanwhile: client leader SET x 5}` | a command that may wait for an answer, on the side |
//! | `{shell: redis-cli -h n1 PING}` | a shell line; it must end with 0 |
//! | `{answer: {who: leader}}` | answers a question |
//! | `{try: [...]}` | the actions until one does not work, which does no harm |
//! | `{repeat: [...], until: CHECK, within: 60s}` | the actions again and again until the check passes |

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, de};

use super::check::{Check, CheckVisitor, Eyes, Needs};
use super::course::Options;
use super::select::Scene;
use crate::world::{Command, World, picture::State};

/// Something that a lab does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A command of the world.
    Run(Line),
    /// Make the Raft world whole.
    Calm,
    /// Until a check passes.
    Wait(Check, Duration),
    /// A command on the side.
    Meanwhile(Line),
    /// A shell line.
    Shell(String),
    /// Answers to questions.
    Answer(BTreeMap<String, String>),
    /// Actions until one does not work.
    Try(Vec<Action>),
    /// Actions, until a check passes.
    Repeat(Vec<Action>, Check, Duration),
}

/// A command line that was found to be one; its holes and selectors are filled when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(pub String);

impl Line {
    fn parse<E: de::Error>(line: &str) -> Result<Self, E> {
        // A hole stands for one word or number, so any number will do for looking at the grammar.
        let sample = super::text::fill(line, &|_| Some("1".into()));
        sample.parse::<Command>().map_err(|e| E::custom(format!("`{line}` is not a command: {e}")))?;
        Ok(Self(line.into()))
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?)
    }
}

/// How long a wait lasts at most if it does not say.
const WITHIN: Duration = Duration::from_secs(30);

/// Reads `20s`, `500ms`, `2m`.
///
/// # Errors
/// What was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: Option<u64> = text[..digits].parse().ok();
    match (number, &text[digits..]) {
        (Some(n), "ms") => Ok(Duration::from_millis(n)),
        (Some(n), "s") => Ok(Duration::from_secs(n)),
        (Some(n), "m") => Ok(Duration::from_secs(n * 60)),
        _ => Err(format!("`{text}` is not a time, expected one like 500ms, 20s or 2m")),
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ActionVisitor)
    }
}

struct ActionVisitor;

impl<'de> de::Visitor<'de> for ActionVisitor {
    type Value = Action;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an action: a command line, `calm`, or a map with wait, meanwhile, shell, answer, try or repeat")
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<Action, E> {
        if line == "calm" { Ok(Action::Calm) } else { Line::parse(line).map(Action::Run) }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Action, A::Error> {
        const KEYS: &[&str] = &["wait", "meanwhile", "shell", "answer", "try", "repeat"];
        let key = map.next_key::<String>()?.unwrap_or_default();
        let action = match key.as_str() {
            "wait" => map.next_value::<Wait>().map(|Wait(check, within)| Action::Wait(check, within))?,
            "meanwhile" => Action::Meanwhile(map.next_value()?),
            "shell" => Action::Shell(map.next_value()?),
            "answer" => Action::Answer(map.next_value()?),
            "try" => Action::Try(map.next_value()?),
            "repeat" => repeat(&mut map)?,
            other => return Err(de::Error::unknown_variant(other, KEYS)),
        };
        match map.next_key::<String>()? {
            Some(more) => Err(de::Error::custom(format!("`{more}` is too much beside `{key}`"))),
            None => Ok(action),
        }
    }
}

fn repeat<'de, A: de::MapAccess<'de>>(map: &mut A) -> Result<Action, A::Error> {
    let actions = map.next_value()?;
    let (mut until, mut within) = (None, WITHIN);
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "until" => until = Some(map.next_value()?),
            "within" => within = duration(&map.next_value::<String>()?).map_err(de::Error::custom)?,
            other => return Err(de::Error::unknown_field(other, &["until", "within"])),
        }
    }
    let until = until.ok_or_else(|| de::Error::missing_field("until"))?;
    Ok(Action::Repeat(actions, until, within))
}

/// A check with `within` beside it.
struct Wait(Check, Duration);

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (check, within) = from.deserialize_map(CheckVisitor { extra: Some("within") })?;
        let within = within.map_or(Ok(WITHIN), |text| duration(&text)).map_err(de::Error::custom)?;
        Ok(Self(check, within))
    }
}

impl Action {
    /// Carries the action out. `answer` takes the answers to questions.
    ///
    /// # Errors
    /// What was done and why it did not work, in one line.
    pub fn act(&self, eyes: &Eyes, answer: &mut dyn FnMut(&str, String)) -> Result<(), String> {
        match self {
            Self::Run(line) => {
                let command = eyes.now().command(&line.0).map_err(|why| format!("`{}`: {why}", line.0))?;
                let shown = command.to_string();
                eyes.ask(command).map(drop).map_err(|why| format!("`{shown}`: {why}"))
            }
            Self::Calm => calm(eyes),
            Self::Wait(check, within) => wait(eyes, check, *within),
            Self::Meanwhile(line) => {
                let command = eyes.now().command(&line.0).map_err(|why| format!("`{}`: {why}", line.0))?;
                let stage = eyes.stage.clone();
                let aside = std::thread::Builder::new().name("meanwhile".into()).spawn(move || stage.run(command));
                aside.map(drop).map_err(|e| format!("`{}`: {e}", line.0))
            }
            Self::Shell(line) => match eyes.now().shell(line)? {
                shelled if shelled.status == 0 => Ok(()),
                shelled => Err(format!("`{line}` ended with {}: {}", shelled.status, shelled.output.trim())),
            },
            Self::Answer(answers) => {
                let eyes = eyes.now();
                answers.iter().for_each(|(question, choice)| answer(question, chosen(&eyes, question, choice)));
                Ok(())
            }
            Self::Try(actions) => match act_all(actions, eyes, answer) {
                Err(why) if eyes.is_cancelled() => Err(why),
                _ => Ok(()),
            },
            Self::Repeat(actions, until, within) => repeated(eyes, actions, until, *within, answer),
        }
    }

    /// What the step must have for this action.
    pub fn needs(&self, needs: &mut Needs) {
        match self {
            Self::Wait(check, _) => check.needs(needs),
            Self::Answer(answers) => needs.questions.extend(answers.keys().cloned()),
            Self::Repeat(actions, until, _) => {
                until.needs(needs);
                actions.iter().for_each(|action| action.needs(needs));
            }
            Self::Try(actions) => actions.iter().for_each(|action| action.needs(needs)),
            Self::Run(_) | Self::Calm | Self::Meanwhile(_) | Self::Shell(_) => {}
        }
    }
}

/// A choice: where a machine is asked for, the one that a selector finds; else the word itself, its holes filled.
fn chosen(eyes: &Eyes, question: &str, choice: &str) -> String {
    let asks_machine = eyes.questions.iter().any(|q| q.id == question && q.options == Options::Nodes);
    if asks_machine { eyes.name(choice) } else { eyes.fill(choice) }
}

/// Carries out actions one after another.
///
/// # Errors
/// As of the first that does not work; none after it is tried.
pub fn act_all(actions: &[Action], eyes: &Eyes, answer: &mut dyn FnMut(&str, String)) -> Result<(), String> {
    actions.iter().try_for_each(|action| match eyes.is_cancelled() {
        true => Err("cancelled".into()),
        false => action.act(eyes, answer),
    })
}

fn repeated(
    eyes: &Eyes,
    actions: &[Action],
    until: &Check,
    within: Duration,
    answer: &mut dyn FnMut(&str, String),
) -> Result<(), String> {
    let deadline = Instant::now() + within;
    while !until.look(&eyes.now()).passed {
        if Instant::now() >= deadline {
            return Err(format!("{} not reached in {} s of trying", until.kind.name(), within.as_secs()));
        }
        if let Err(why) = act_all(actions, eyes, answer) {
            // A turn that does not work out is followed by the next; only the end counts.
            if eyes.is_cancelled() {
                return Err(why);
            }
            eyes.stage.changed(eyes.stage.world().seq, Instant::now() + Duration::from_millis(100));
        }
    }
    Ok(())
}

/// Waits until the check passes: looked at again whenever something happened, and now and then besides, since files and
/// clients' answers change without an event.
///
/// # Errors
/// What the check saw last, when the time is over.
pub fn wait(eyes: &Eyes, check: &Check, within: Duration) -> Result<(), String> {
    let deadline = Instant::now() + within;
    loop {
        let eyes = eyes.now();
        let finding = check.look(&eyes);
        if finding.passed {
            return Ok(());
        }
        if eyes.is_cancelled() {
            return Err("cancelled".into());
        }
        if Instant::now() >= deadline {
            let args: Vec<_> = finding.saw.args.iter().map(|(k, v)| format!("{k}={v}")).collect();
            return Err(format!("waited {} s for {} {}", within.as_secs(), finding.saw.key, args.join(" ")));
        }
        eyes.stage.changed(eyes.world.seq, deadline.min(Instant::now() + Duration::from_millis(200)));
    }
}

/// How long a world may take to become calm, even at classroom speed.
const CALM: Duration = Duration::from_secs(90);

fn calm(eyes: &Eyes) -> Result<(), String> {
    let world = eyes.stage.world();
    let names = |pick: &dyn Fn(&State) -> bool| -> Vec<String> {
        let nodes = world.processes.iter().filter(|(_, p)| p.role == "node" && pick(&p.state));
        nodes.map(|(name, _)| name.clone()).collect()
    };
    let (paused, down) = (names(&|s| *s == State::Paused), names(&|s| matches!(s, State::Ended(_))));
    let mut commands = vec![Command::Heal(crate::world::command::Links::All)];
    commands.extend(world.frozen.then_some(Command::Thaw));
    commands.extend((!paused.is_empty()).then_some(Command::Resume(paused)));
    commands.extend((!down.is_empty()).then_some(Command::Start(down)));
    for command in commands {
        let shown = command.to_string();
        eyes.ask(command).map_err(|why| format!("`{shown}`: {why}"))?;
    }
    let deadline = Instant::now() + CALM;
    loop {
        let world = eyes.stage.world();
        if is_calm(&world) {
            return Ok(());
        }
        if eyes.is_cancelled() {
            return Err("cancelled".into());
        }
        if Instant::now() >= deadline {
            return Err(format!("the nodes found no common leader in {} s", CALM.as_secs()));
        }
        eyes.stage.changed(world.seq, deadline);
    }
}

/// Whether every node is up, all follow one leader in its term, and all have its log, committed.
pub fn is_calm(world: &World) -> bool {
    let scene = Scene { now: world, start: world };
    let Some(leader) = scene.find("leader").ok().and_then(|name| world.raft.nodes.get(&name)) else { return false };
    let same = |node: &crate::world::raft::Node| {
        let leads_or_follows = node.leader == leader.leader || node.leader.is_none() && std::ptr::eq(node, leader);
        node.alive && node.term == leader.term && leads_or_follows
    };
    let caught_up = |node: &crate::world::raft::Node| {
        let end = (node.last(), node.last_term(), node.commit);
        end == (leader.last(), leader.last_term(), leader.last()) && leader.last_term() == leader.term
    };
    world.raft.nodes.values().all(|node| same(node) && caught_up(node))
}

//! Everything that a person, a lab or a demo may do to the world, and its one grammar.
//!
//! Keys, the palette, the `lab` command in the shell and the labs' YAML all speak these verbs; [`Command`] is the
//! value behind them, parsed from words ([`Command::parse`]) and shown as the same words again (`Display`).
//!
//! Links are named by two groups of machines (`n1,n2 n3`: both directions between the groups) or by one arrow
//! (`n1>n2`: that direction alone); `all` stands for every link.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Name;

/// A request to the world. See the module's head for its text form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// `nodes N`: have N Raft nodes n1…nN (started if they do not run).
    Nodes(usize),
    /// `start WHO…`: start processes that ended.
    Start(Vec<Name>),
    /// `kill WHO…`: SIGKILL.
    Kill(Vec<Name>),
    /// `pause WHO…`: SIGSTOP.
    Pause(Vec<Name>),
    /// `resume WHO…`: SIGCONT.
    Resume(Vec<Name>),
    /// `cut LINKS`: nothing passes; silence, not a reset.
    Cut(Links),
    /// `heal [LINKS]`: back to normal: cuts, holds, delays, losses. Held messages are delivered.
    Heal(Links),
    /// `hold LINKS`: messages wait until they are delivered by hand.
    Hold(Links),
    /// `delay LINKS MS`: each message takes this long.
    Delay(Links, u64),
    /// `drop LINKS PERCENT%`: that share of messages is lost.
    Loss(Links, u8),
    /// `dup LINKS PERCENT%`: that share of messages arrives twice.
    Double(Links, u8),
    /// `deliver WHICH`: let one held message arrive.
    Deliver(Which),
    /// `drop WHICH`: lose one held message.
    Drop(Which),
    /// `dup WHICH`: let one held message arrive, and keep it held too.
    Dup(Which),
    /// `speed X`: the world's clocks run at X times the paper's time; 0.001 to 1.
    Speed(f64),
    /// `freeze`: clocks and links stand still.
    Freeze,
    /// `thaw`: they go on.
    Thaw,
    /// `step WHO [tick|message]`: in a frozen world, one tick of one machine's clock, or its next message.
    Step(Name, Step),
    /// `client NODE WORD…`: a client's request (`SET x 5`) to a node's client port. Gives the reply.
    Client(Name, Vec<String>),
    /// `status`: what the world looks like. Gives an object.
    Status,
    /// `log NODE`: a node's log, from its disk. Gives an object with `entries`.
    Log(Name),
    /// `server NAME`: have the server's namespaces. Gives the pid of their holder.
    Server(Name),
    /// `ask WHO WORD…`: a question that roles of one kind understand (`ask mount:/mnt union`). Gives the answer.
    Ask(Name, Vec<String>),
}

/// A set of directed links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Links {
    /// Every link.
    All,
    /// Both directions between two groups.
    Between(Vec<Name>, Vec<Name>),
    /// One direction.
    Arrow(Name, Name),
}

impl Links {
    /// Whether the directed link `from` → `to` belongs to the set.
    pub fn contains(&self, from: &str, to: &str) -> bool {
        let has = |group: &[Name], name: &str| group.iter().any(|n| n == name || n == "*");
        match self {
            Self::All => true,
            Self::Between(a, b) => (has(a, from) && has(b, to)) || (has(b, from) && has(a, to)),
            Self::Arrow(f, t) => f == from && t == to,
        }
    }
}

/// One held message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The one with this id, `n1#42`.
    Id(String),
    /// The oldest on these links.
    Oldest(Links),
}

/// What one step of a frozen world lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// One tick of the machine's clock.
    Tick,
    /// The oldest message that waits for the machine.
    Message,
}

/// Why words are not a command: one line that says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// Every verb with its arguments, in the order in which help shows them.
pub const VERBS: &[(&str, &str)] = &[
    ("status", ""),
    ("log", "NODE"),
    ("nodes", "N"),
    ("start", "WHO…"),
    ("kill", "WHO…"),
    ("pause", "WHO…"),
    ("resume", "WHO…"),
    ("cut", "A,B C,D | A>B"),
    ("heal", "[A,B C,D | A>B]"),
    ("hold", "A,B C,D | A>B | all"),
    ("deliver", "[MESSAGE | A>B | all]"),
    ("drop", "[MESSAGE | A>B | all] [PERCENT%]"),
    ("dup", "[MESSAGE | A>B | all] [PERCENT%]"),
    ("delay", "A,B C,D | A>B | all MILLISECONDS"),
    ("speed", "X"),
    ("freeze", ""),
    ("thaw", ""),
    ("step", "WHO [tick|message]"),
    ("client", "NODE WORD…"),
    ("server", "NAME"),
    ("ask", "WHO WORD…"),
];

impl Command {
    /// Parses the words of a command, verb first.
    ///
    /// # Errors
    /// [`Malformed`] with the verb's usage, or the verbs there are.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, Malformed> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let Some((&verb, args)) = words.split_first() else { return Err(unknown("")) };
        let Some((_, usage)) = VERBS.iter().find(|(v, _)| *v == verb) else { return Err(unknown(verb)) };
        Self::from_verb(verb, args).ok_or_else(|| Malformed(format!("usage: {verb} {usage}").trim_end().into()))
    }

    fn from_verb(verb: &str, args: &[&str]) -> Option<Self> {
        let some = |make: fn(Vec<Name>) -> Self| (!args.is_empty()).then(|| make(names(args)));
        Some(match (verb, args) {
            ("nodes", [n]) => Self::Nodes(n.parse().ok().filter(|n| (1..=9).contains(n))?),
            ("start", _) => some(Self::Start)?,
            ("kill", _) => some(Self::Kill)?,
            ("pause", _) => some(Self::Pause)?,
            ("resume", _) => some(Self::Resume)?,
            ("cut", links) => Self::Cut(links_of(links)?),
            ("heal", []) => Self::Heal(Links::All),
            ("heal", links) => Self::Heal(links_of(links)?),
            ("hold", links) => Self::Hold(links_of(links)?),
            ("delay", [links @ .., ms]) => Self::Delay(links_of(links)?, ms.trim_end_matches("ms").parse().ok()?),
            ("drop", [links @ .., share]) if share.ends_with('%') => Self::Loss(links_or_all(links)?, percent(share)?),
            ("dup", [links @ .., share]) if share.ends_with('%') => Self::Double(links_or_all(links)?, percent(share)?),
            ("deliver", which) => Self::Deliver(which_of(which)?),
            ("drop", which) => Self::Drop(which_of(which)?),
            ("dup", which) => Self::Dup(which_of(which)?),
            ("speed", [x]) => Self::Speed(x.parse().ok().filter(|x| (0.001..=1.0).contains(x))?),
            ("freeze", []) => Self::Freeze,
            ("thaw", []) => Self::Thaw,
            ("step", [who] | [who, "tick"]) => Self::Step((*who).into(), Step::Tick),
            ("step", [who, "message"]) => Self::Step((*who).into(), Step::Message),
            ("client", [node, words @ ..]) if !words.is_empty() => Self::Client((*node).into(), names(words)),
            ("status", []) => Self::Status,
            ("log", [node]) => Self::Log((*node).into()),
            ("server", [name]) => Self::Server((*name).into()),
            ("ask", [who, words @ ..]) => Self::Ask((*who).into(), names(words)),
            _ => return None,
        })
    }
}

impl FromStr for Command {
    type Err = Malformed;

    /// Parses a line; words are separated by blanks.
    fn from_str(line: &str) -> Result<Self, Malformed> {
        Self::parse(&line.split_whitespace().collect::<Vec<_>>())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(n) => write!(f, "nodes {n}"),
            Self::Start(who) => write!(f, "start {}", who.join(" ")),
            Self::Kill(who) => write!(f, "kill {}", who.join(" ")),
            Self::Pause(who) => write!(f, "pause {}", who.join(" ")),
            Self::Resume(who) => write!(f, "resume {}", who.join(" ")),
            Self::Cut(links) => write!(f, "cut {links}"),
            Self::Heal(Links::All) => write!(f, "heal"),
            Self::Heal(links) => write!(f, "heal {links}"),
            Self::Hold(links) => write!(f, "hold {links}"),
            Self::Delay(links, ms) => write!(f, "delay {links} {ms}"),
            Self::Loss(links, share) => write!(f, "drop {links} {share}%"),
            Self::Double(links, share) => write!(f, "dup {links} {share}%"),
            Self::Deliver(which) => write!(f, "deliver {which}"),
            Self::Drop(which) => write!(f, "drop {which}"),
            Self::Dup(which) => write!(f, "dup {which}"),
            Self::Speed(x) => write!(f, "speed {x}"),
            Self::Freeze => write!(f, "freeze"),
            Self::Thaw => write!(f, "thaw"),
            Self::Step(who, Step::Tick) => write!(f, "step {who} tick"),
            Self::Step(who, Step::Message) => write!(f, "step {who} message"),
            Self::Client(node, words) => write!(f, "client {node} {}", words.join(" ")),
            Self::Status => write!(f, "status"),
            Self::Log(node) => write!(f, "log {node}"),
            Self::Server(name) => write!(f, "server {name}"),
            Self::Ask(who, words) => write!(f, "ask {who} {}", words.join(" ")),
        }
    }
}

impl Links {
    /// The machines and processes that are named.
    pub fn named(&self) -> Vec<&Name> {
        match self {
            Self::All => Vec::new(),
            Self::Between(a, b) => a.iter().chain(b).collect(),
            Self::Arrow(from, to) => vec![from, to],
        }
    }
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => write!(f, "all"),
            Self::Between(a, b) => write!(f, "{} {}", a.join(","), b.join(",")),
            Self::Arrow(from, to) => write!(f, "{from}>{to}"),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Oldest(links) => write!(f, "{links}"),
        }
    }
}

fn unknown(verb: &str) -> Malformed {
    let verbs: Vec<_> = VERBS.iter().map(|(v, _)| *v).collect();
    Malformed(format!("there is no `{verb}`; there are: {}", verbs.join(" ")))
}

fn names(words: &[&str]) -> Vec<Name> {
    words.iter().map(|w| (*w).to_string()).collect()
}

fn group(word: &str) -> Option<Vec<Name>> {
    let names: Vec<Name> = word.split(',').map(str::to_string).collect();
    names.iter().all(|n| !n.is_empty() && !n.contains(['>', '#', '%'])).then_some(names)
}

fn links_of(words: &[&str]) -> Option<Links> {
    match words {
        ["all"] => Some(Links::All),
        [a, b] => Some(Links::Between(group(a)?, group(b)?)),
        [arrow] => {
            let (from, to) = arrow.split_once('>')?;
            (!from.is_empty() && !to.is_empty()).then(|| Links::Arrow(from.into(), to.into()))
        }
        _ => None,
    }
}

fn links_or_all(words: &[&str]) -> Option<Links> {
    if words.is_empty() { Some(Links::All) } else { links_of(words) }
}

fn which_of(words: &[&str]) -> Option<Which> {
    match words {
        [id] if id.contains('#') => Some(Which::Id((*id).into())),
        links => links_or_all(links).map(Which::Oldest),
    }
}

fn percent(word: &str) -> Option<u8> {
    word.strip_suffix('%')?.parse().ok().filter(|p| *p <= 100)
}

#[cfg(test)]
mod tests {
    use super::Command;

    /// What is shown is what was typed: every verb survives a round through its text.
    #[test]
    fn words_and_values_are_the_same() {
        for line in [
            "nodes 5",
            "kill n1",
            "start n1 n2",
            "cut n1,n2 n3,n4,n5",
            "cut n1>n2",
            "heal",
            "heal n1 n2",
            "hold all",
            "deliver n1#42",
            "drop n1>n2",
            "drop n1>n2 30%",
            "dup all 5%",
            "delay n1,n2 n3 200",
            "speed 0.1",
            "freeze",
            "thaw",
            "step n1 tick",
            "step n2 message",
            "client n1 SET x 5",
            "status",
            "log n3",
            "server server2",
            "ask mount union",
        ] {
            assert_eq!(line.parse::<Command>().map(|c| c.to_string()).as_deref(), Ok(line));
        }
    }

    /// Bad input names what was expected.
    #[test]
    fn a_bad_command_says_what_it_should_be() {
        for (line, says) in [
            ("", "there are: status"),
            ("explode n1", "there is no `explode`"),
            ("kill", "usage: kill WHO…"),
            ("nodes 0", "usage: nodes N"),
            ("cut n1", "usage: cut"),
            ("speed 7", "usage: speed X"),
            ("drop n1>n2 300%", "usage: drop"),
        ] {
            let said = line.parse::<Command>().unwrap_err().to_string();
            assert!(said.contains(says), "{line:?} said {said:?}");
        }
    }
}

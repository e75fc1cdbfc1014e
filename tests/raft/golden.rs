//! Golden scripts: a scene of the paper each, to be read like a protocol diagram. `tests/raft/golden/*.txt`.
//!
//! A script says what happens to whom; behind `---` stands all that comes of it, in the order of the effects: what a
//! leader sends at once, what is persisted, what is sent after that, what clients hear. The verbs:
//!
//! * `nodes n1 n2 n3`: a new cluster of nodes that never ran; `has n1 term=2 [vote=n2] log=1.1.2`: a node that starts with that
//!   on its disk (the terms of its entries, as in Figure 7);
//! * `timeout n1`: ticks until its election timer ends, or a leader's next heartbeat is due; `tick n1 [N]`: N ticks;
//! * `deliver [n1-n2 …] [KIND]`: what is on its way now arrives, in order; `drop …`: is lost; `dup …`: arrives, and will again;
//!   `settle`: deliver until nothing is on its way;
//! * `ask n1 SET x 5`: a client; `n1/b` is another client of n1; `again n2 n1 SERIAL SET x 5`: n2's client's request is forwarded to
//!   n1 once more;
//! * `matched n3 n1 2`: n3's reply that its log agrees with n1's up to 2 is on its way;
//! * `crash n1`, `restart n1`; `cut n1-n2`, `heal`; `snapshots EVERY LAG`;
//! * `state`, `logs`, `flying`: what there is.
//!
//! A verb in parentheses shows nothing of what comes of it. `UPDATE_GOLDENFILES=1 cargo test` writes what is.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Argument, Command, Context, Runner};
use terrarium::raft::effects::{Effects, Persist};
use terrarium::raft::message::{
    AppendOutcome, ClientId, Entry, Message, Outgoing, Payload, Request, RequestId, Rpc, Wanted,
};
use terrarium::raft::node::{Config, Node};
use terrarium::raft::replica::{Asked, Replica};
use terrarium::raft::{Happening, Index, Role, Term, kv};

use super::disk::Disk;

#[derive(Default)]
struct Scene {
    nodes: BTreeMap<String, Option<Replica>>,
    disks: BTreeMap<String, Disk>,
    flying: Vec<(String, String, Message)>,
    cut: BTreeSet<(String, String)>,
    serials: BTreeMap<String, u64>,
    snapshots: Option<(Index, Index)>,
    told: String,
}

type Fallible<T> = Result<T, Box<dyn Error>>;

impl Runner for Scene {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Fallible<String> {
        let words: Vec<&str> = command.args.iter().filter_map(positional).collect();
        match &command.name[..] {
            "nodes" => self.nodes(&words),
            "has" => self.has(words.first().ok_or("who?")?, command)?,
            "timeout" => self.tick(words.first().ok_or("who?")?, None)?,
            "tick" => self.tick(words.first().ok_or("who?")?, Some(words.get(1).map_or(Ok(1), |n| n.parse())?))?,
            "deliver" | "drop" | "dup" => self.transport(&command.name, &words)?,
            "settle" => self.settle()?,
            "ask" => self.ask(words.first().ok_or("whom?")?, &words[1..])?,
            "again" => self.again(&words)?,
            "matched" => self.matched(&words)?,
            "crash" => drop(self.nodes.insert(words.first().ok_or("who?")?.to_string(), None)),
            "restart" => self.start(words.first().ok_or("who?")?),
            "cut" => self.cut.extend(words.iter().filter_map(|link| arrow(link))),
            "heal" => self.cut.clear(),
            "snapshots" => self.snapshots = Some((words[0].parse()?, words[1].parse()?)),
            "state" => self.state(),
            "logs" => self.logs(),
            "flying" => self.list_flying(),
            other => return Err(format!("no verb {other}").into()),
        }
        Ok(std::mem::take(&mut self.told))
    }
}

fn positional(argument: &Argument) -> Option<&str> {
    match argument {
        Argument::Positional(word) => Some(word),
        _ => None,
    }
}

fn arrow(link: &str) -> Option<(String, String)> {
    link.split_once('-').map(|(from, to)| (from.into(), to.into()))
}

impl Scene {
    fn nodes(&mut self, names: &[&str]) {
        *self = Self::default();
        for name in names {
            self.disks.entry(name.to_string()).or_default();
            self.nodes.insert(name.to_string(), None);
        }
        names.iter().for_each(|name| self.start(name));
    }

    /// A node with a past. Entries of a past term are `SET x <index>`.
    fn has(&mut self, name: &str, command: &Command) -> Fallible<()> {
        let disk = self.disks.get_mut(name).ok_or("name it with `nodes` first")?;
        let value = |wanted: &str| {
            command.args.iter().find_map(|argument| match argument {
                Argument::KeyValue(key, value) if key == wanted => Some(value.clone()),
                _ => None,
            })
        };
        disk.hard_state.current_term = value("term").map_or(Ok(0), |term| term.parse())?;
        disk.hard_state.voted_for = value("vote");
        let log = value("log").unwrap_or_default();
        let terms = log.split('.').filter(|term| !term.is_empty()).map(str::parse);
        for (term, index) in terms.collect::<Result<Vec<Term>, _>>()?.into_iter().zip(1..) {
            let id = RequestId { client: ClientId(0xFF00 + term), serial: index };
            let command =
                kv::Write::Set { key: "x".into(), value: format!("{index}").into(), condition: None, get: false };
            let payload = Payload::Request(Request { id, settled: 0, command });
            disk.log.insert(index, Entry { index, term, payload });
        }
        self.start(name);
        Ok(())
    }

    fn start(&mut self, name: &str) {
        let peers = self.nodes.keys().filter(|peer| *peer != name).cloned().collect();
        let disk = self.disks.entry(name.into()).or_default();
        disk.lives += 1;
        let config = Config { name: name.into(), peers, seed: 1 };
        let node = Node::new(config, disk.hard_state.clone(), disk.snapshot.clone(), disk.log());
        let mut replica = Replica::new(node).expect("own snapshots can be read");
        if let Some((every, lag)) = self.snapshots {
            replica.set_snapshots(every, lag);
        }
        self.nodes.insert(name.into(), Some(replica));
    }

    fn replica(&mut self, name: &str) -> Fallible<&mut Replica> {
        let node = self.nodes.get_mut(name).ok_or_else(|| format!("no node {name}"))?;
        node.as_mut().ok_or_else(|| format!("{name} is down").into())
    }

    fn tick(&mut self, name: &str, count: Option<u64>) -> Fallible<()> {
        let count = count.unwrap_or(self.replica(name)?.node().ticks_left());
        for _ in 0..count {
            let effects = self.replica(name)?.tick();
            self.carry_out(name, effects);
        }
        Ok(())
    }

    fn ask(&mut self, client: &str, words: &[&str]) -> Fallible<()> {
        let (name, letter) = client.split_once('/').unwrap_or((client, "a"));
        let serial = self.serials.entry(client.into()).or_default();
        *serial += 1;
        let serial = *serial;
        let asked = Asked { id: self.request(name, letter, serial), settled: serial, command: parse(words)? };
        let effects = self.replica(name)?.ask(vec![asked]);
        self.carry_out(name, effects);
        Ok(())
    }

    /// `c11` is client `a` of n1, `c12` its client `b`.
    fn request(&self, name: &str, letter: &str, serial: u64) -> RequestId {
        let digit: u64 = name.trim_start_matches(char::is_alphabetic).parse().unwrap_or(0);
        let rank = u64::from(letter.bytes().next().unwrap_or(b'a') - b'a') + 1;
        RequestId { client: ClientId(digit * 10 + rank), serial }
    }

    /// `again FROM TO SERIAL WORDS…`: FROM's client's request is forwarded to TO once more.
    fn again(&mut self, words: &[&str]) -> Fallible<()> {
        let [from, to, serial, words @ ..] = words else { return Err("again FROM TO SERIAL WORDS…".into()) };
        let id = self.request(from, "a", serial.parse()?);
        let kv::Command::Write(command) = parse(words)? else { return Err("a write".into()) };
        let message = Message::Forward(vec![Wanted::Write(Request { id, settled: 0, command })]);
        self.post(from, vec![Outgoing { to: to.to_string(), message }]);
        Ok(())
    }

    /// `matched FROM TO INDEX`: FROM tells TO, in TO's term, that their logs agree up to there.
    fn matched(&mut self, words: &[&str]) -> Fallible<()> {
        let [from, to, index] = words else { return Err("matched FROM TO INDEX".into()) };
        let term = self.replica(to)?.node().term();
        let outcome = AppendOutcome::Matched(index.parse()?);
        let message = Message::Rpc(Rpc::AppendEntriesReply { term, outcome, round: 0 });
        self.post(from, vec![Outgoing { to: to.to_string(), message }]);
        Ok(())
    }

    /// Delivers, drops or doubles what is on its way on these links, of this kind.
    fn transport(&mut self, verb: &str, words: &[&str]) -> Fallible<()> {
        let links: Vec<_> = words.iter().filter_map(|word| arrow(word)).collect();
        let kinds: Vec<&str> = words.iter().filter(|word| !word.contains('-')).copied().collect();
        let chosen = |(from, to, message): &(String, String, Message)| {
            let on = |(a, b): &(String, String)| (a == "all" || a == from) && (b == "all" || b == to);
            (links.is_empty() || links.iter().any(on)) && (kinds.is_empty() || kinds.contains(&message.kind()))
        };
        let (moving, staying): (Vec<_>, Vec<_>) = std::mem::take(&mut self.flying).into_iter().partition(chosen);
        self.flying = staying;
        if moving.is_empty() {
            return Err("nothing like that is on its way".into());
        }
        if verb == "dup" {
            self.flying.extend(moving.iter().cloned());
        }
        for (from, to, message) in moving {
            match verb {
                "drop" => writeln!(self.told, "{from} → {to} {} is lost", message.kind())?,
                _ => self.arrive(&from, &to, message)?,
            }
        }
        Ok(())
    }

    fn arrive(&mut self, from: &str, to: &str, message: Message) -> Fallible<()> {
        writeln!(self.told, "{to} ← {from} {}", message.kind())?;
        if let Ok(replica) = self.replica(to) {
            let effects = replica.step(from, message);
            self.carry_out(to, effects);
        } else {
            writeln!(self.told, "  (down)")?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Fallible<()> {
        for _ in 0..100 {
            if self.flying.is_empty() {
                return Ok(());
            }
            self.transport("deliver", &[])?;
        }
        Err("it does not settle".into())
    }

    /// The effects, in their order.
    fn carry_out(&mut self, name: &str, effects: Effects) {
        self.post(name, effects.replicate);
        self.tell_persist(&effects.persist, name);
        self.disks.entry(name.into()).or_default().write(effects.persist);
        for happening in &effects.happened {
            if let Some(text) = tell(happening) {
                writeln!(self.told, "  {name} {text}").expect("to memory");
            }
        }
        self.post(name, effects.send);
        for (id, outcome) in effects.answer {
            let text = outcome.map_or_else(|e| e.to_string(), |reply| reply.to_string());
            writeln!(self.told, "  {name} answers {id}: {text}").expect("to memory");
        }
    }

    fn post(&mut self, from: &str, messages: Vec<Outgoing>) {
        for Outgoing { to, message } in messages {
            let cut = self.cut.contains(&(from.to_owned(), to.clone()));
            let note = if cut { " (cut)" } else { "" };
            writeln!(self.told, "  {from} → {to} {} {message}{note}", message.kind()).expect("to memory");
            if !cut {
                self.flying.push((from.into(), to, message));
            }
        }
    }

    fn tell_persist(&mut self, persist: &Persist, name: &str) {
        let mut parts = Vec::new();
        if let Some(state) = &persist.hard_state {
            let vote = state.voted_for.as_deref().unwrap_or("nobody");
            parts.push(format!("currentTerm {}, votedFor {vote}", state.current_term));
        }
        if let Some(snapshot) = &persist.snapshot {
            parts.push(format!("a snapshot up to {}", snapshot.index));
        }
        if let Some((from, entries)) = &persist.log {
            let entries: Vec<String> = entries.iter().map(|e| format!("{}:{}", e.index, e.view().text)).collect();
            parts.push(format!(
                "the log from {from} on: {}",
                if entries.is_empty() { "nothing".into() } else { entries.join(", ") }
            ));
        }
        if !parts.is_empty() {
            writeln!(self.told, "  {name} persists {}", parts.join("; ")).expect("to memory");
        }
    }

    fn state(&mut self) {
        for (name, node) in &self.nodes {
            let Some(replica) = node else {
                writeln!(self.told, "{name} down").expect("to memory");
                continue;
            };
            let node = replica.node();
            let vote = node.hard_state().voted_for.unwrap_or_else(|| "nobody".into());
            let role = role(node.role());
            let (term, commit, applied) = (node.term(), node.commit_index(), node.last_applied());
            writeln!(
                self.told,
                "{name} {role}, term {term}, votedFor {vote}, commitIndex {commit}, lastApplied {applied}"
            )
            .expect("to memory");
        }
    }

    /// Each node's log as Figure 7 draws it: the terms; committed ones in brackets.
    fn logs(&mut self) {
        for (name, node) in &self.nodes {
            let disk = &self.disks[name];
            let commit = node.as_ref().map_or(0, |replica| replica.node().commit_index());
            let base = disk.snapshot.as_ref().map_or(String::new(), |s| format!(" …{}", s.index));
            let show = |e: &Entry| if e.index <= commit { format!("[{}]", e.term) } else { format!(" {} ", e.term) };
            let terms: String = disk.log.values().map(show).collect();
            writeln!(self.told, "{name}:{base} {}", terms.trim_end()).expect("to memory");
        }
    }

    fn list_flying(&mut self) {
        for (from, to, message) in &self.flying {
            writeln!(self.told, "{from} → {to} {} {message}", message.kind()).expect("to memory");
        }
    }
}

fn parse(words: &[&str]) -> Fallible<kv::Command> {
    let words: Vec<bytes::Bytes> = words.iter().map(|word| word.as_bytes().to_vec().into()).collect();
    Ok(kv::Command::parse(&words).ok_or("no such command")??)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// A happening in a line. What the effects show anyway is left out.
fn tell(happening: &Happening) -> Option<String> {
    Some(match happening {
        Happening::State { term, role: r, leader, why, .. } => {
            let of = match leader {
                Some(leader) if *r == Role::Follower => format!(" of {leader}"),
                _ => String::new(),
            };
            format!("is {}{of} in term {term} ({why})", role(*r))
        }
        Happening::Vote { candidate, granted: true, .. } => format!("votes for {candidate}"),
        Happening::Vote { candidate, why, .. } => format!("refuses {candidate} its vote ({why})"),
        Happening::Truncated { from } => format!("removes its entries from {from} on"),
        Happening::Committed { index } => format!("commits up to {index}"),
        Happening::Progress { peer, next, matched } => {
            format!("has for {peer}: nextIndex {next}, matchIndex {matched}")
        }
        Happening::Snapshot { index, .. } => format!("has a snapshot in place of its log up to {index}"),
        _ => return None,
    })
}

/// Runs one script; compares what came of it with what is written there.
fn scene(name: &str) {
    let path = format!("{}/tests/raft/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    goldenscript::run(&mut Scene::default(), path).expect("the script can be run");
}

macro_rules! scenes {
    ($($(#[$doc:meta])* $name:ident)*) => { $($(#[$doc])* #[test] fn $name() { scene(stringify!($name)) })* };
}

scenes! {
    /// §5.2: a follower that hears nothing becomes candidate, and wins with a majority.
    election
    /// §5.2: the three ends of a candidacy; votes are given once a term, and remembered over a crash.
    candidacy
    /// §5.4.1: a candidate whose log is behind gets no vote.
    up_to_date
    /// §5.3: entries go to followers, are committed by a majority, applied, and answered.
    replication
    /// §5.3: what is lost, late or doubled changes nothing in the end.
    rough_links
    /// Figure 7: a new leader brings any log in line with its own.
    figure_7
    /// Figure 8 and §5.4.2: counting replicas does not commit an entry of an earlier term.
    figure_8
    /// §8: reads see every write before them, or are not answered.
    read_index
    /// §8: followers forward; a request is applied once, however often it comes.
    forwarding
    /// §7: a snapshot in place of the log, and of what a follower lacks.
    snapshots
}

//! A cluster that does not exist: the events of a story, for tests, pictures and trying the screen without a world
//! ([`DemoHost`]).
//!
//! Five nodes; n1 leads term 2, replicates three entries; n5 is dead, the link n1 to n4 is cut, a message is held.

mod host;
mod storage;

pub use host::DemoHost;
pub use storage::storage;

use crate::raft::{EntryView, Happening, Role};
use crate::world::event::{Link, LinkRule, Message, Process};
use crate::world::{Event, What, World};

/// Wall time of the first event, microseconds since the epoch.
pub const BEGIN: u64 = 1_700_000_000_000_000;

/// Writes a story event by event.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// The events so far.
    pub events: Vec<Event>,
    at: u64,
}

impl Story {
    /// A story that begins at this wall time.
    pub fn new(at: u64) -> Self {
        Self { events: Vec::new(), at }
    }

    /// Lets so many milliseconds pass.
    pub fn wait(&mut self, ms: u64) -> &mut Self {
        self.at += ms * 1000;
        self
    }

    /// Something happens to `who`, because of the event before if `caused`.
    pub fn happens(&mut self, who: &str, caused: bool, what: What) -> &mut Self {
        self.at += 1000;
        let seq = self.events.len() as u64 + 1;
        let cause = self.events.last().filter(|_| caused).map(|e| e.id.clone());
        let (id, who) = (format!("{who}#{seq}"), who.to_owned());
        self.events.push(Event { seq, id, who, at: self.at, logical: seq, cause, what });
        self
    }

    fn raft(&mut self, who: &str, caused: bool, happening: Happening) -> &mut Self {
        self.happens(who, caused, What::Raft(happening))
    }

    /// Node `who` starts with an empty log.
    pub fn boot(&mut self, who: &str, nodes: &[&str], pid: i32) -> &mut Self {
        let (role, machine) = ("node".into(), who.into());
        self.happens(who, false, What::Process(Process::Started { role, machine, pid }));
        self.happens(who, false, What::Output { line: format!("{who}: listening, 节点已启动") });
        let nodes = nodes.iter().map(|n| (*n).to_owned()).collect();
        self.raft(who, true, Happening::Booted { term: 0, voted_for: None, applied: 0, log: vec![], nodes })
    }

    /// Node `who` takes a role.
    pub fn state(&mut self, who: &str, role: Role, term: u64, vote: &str, why: &str) -> &mut Self {
        let leader = (why == "found_leader" || why == "won").then(|| vote.to_owned());
        let (voted_for, why) = (Some(vote.to_owned()), why.to_owned());
        self.raft(who, true, Happening::State { term, role, voted_for, leader, why })
    }

    /// Node `who`'s election timer starts.
    pub fn timer(&mut self, who: &str, ms: u64) -> &mut Self {
        self.raft(who, false, Happening::Timer { timeout_us: ms * 1000 })
    }

    /// An entry is appended by node `who`.
    pub fn append(&mut self, who: &str, index: u64, term: u64, text: &str) -> &mut Self {
        self.raft(who, true, Happening::Appended { entries: vec![EntryView { index, term, text: text.into() }] })
    }

    /// A message leaves; it arrives if `arrives`.
    pub fn message(&mut self, from: &str, to: &str, kind: &str, note: &str, arrives: bool) -> &mut Self {
        let id = format!("{from}#m{}", self.events.len());
        let message =
            Message { id: id.clone(), from: from.into(), to: to.into(), kind: kind.into(), note: note.into() };
        self.happens("keeper", true, What::Link(Link::Sent(message)));
        if arrives {
            self.happens("keeper", false, What::Link(Link::Delivered { id }));
        }
        self
    }

    /// The picture that the events add up to.
    pub fn world(&self) -> World {
        let mut world = World { speed: 1.0, ..World::default() };
        self.events.iter().for_each(|e| world.apply(e));
        world
    }
}

/// The nodes of the story.
pub const NODES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];

/// The whole story; its last event is the moment to look at.
pub fn story() -> Story {
    let mut story = Story::new(BEGIN);
    story.happens("keeper", false, What::Opened { name: "raft-election".into(), seed: 7 });
    story.happens("keeper", false, What::Clock { speed: 0.1, frozen: false });
    for (node, pid) in NODES.iter().zip(20..) {
        story.boot(node, &NODES, pid);
    }
    elect(&mut story);
    replicate(&mut story);
    trouble(&mut story);
    story
}

fn elect(story: &mut Story) {
    story.wait(1500).state("n1", Role::Candidate, 2, "n1", "election_timeout");
    story.message("n1", "n2", "RequestVote", "term 2, lastLogIndex 0", true);
    for node in &NODES[1..] {
        let vote = Happening::Vote { term: 2, candidate: "n1".into(), granted: true, why: String::new() };
        story.raft(node, true, vote).state(node, Role::Follower, 2, "n1", "voted");
    }
    story.state("n1", Role::Leader, 2, "n1", "won").append("n1", 1, 2, "no-op");
}

fn replicate(story: &mut Story) {
    let asked = Happening::Asked { request: "c1:1".into(), text: "SET x 5".into(), forwarded_to: None };
    story.raft("n1", false, asked).append("n1", 2, 2, "SET x 5").append("n1", 3, 2, "SET 城市 杭州");
    for (node, last) in [("n2", 3), ("n3", 3), ("n4", 1)] {
        for (index, text) in [(1, "no-op"), (2, "SET x 5"), (3, "SET 城市 杭州")].into_iter().take(last) {
            story.append(node, index, 2, text);
        }
    }
    story.raft("n1", true, Happening::Committed { index: 3 }).raft("n1", true, Happening::Applied { index: 3 });
    story.raft("n1", true, Happening::Answered { request: "c1:1".into(), text: "OK".into() });
    story.raft("n2", true, Happening::Committed { index: 3 }).raft("n2", true, Happening::Applied { index: 2 });
    story.raft("n3", true, Happening::Committed { index: 2 }).raft("n3", true, Happening::Applied { index: 2 });
    story.append("n5", 1, 1, "SET old 1");
    story.append("n1", 4, 2, "INCR visits");
}

fn trouble(story: &mut Story) {
    let kill = What::Command { text: "kill n5".into(), by: "screen".into(), refused: None };
    story.happens("keeper", false, kill);
    story.happens("n5", true, What::Process(Process::Ended { how: "killed by SIGKILL".into() }));
    for (from, to) in [("n1", "n4"), ("n4", "n1")] {
        let rule = LinkRule { cut: true, ..LinkRule::default() };
        story.happens("keeper", false, What::Link(Link::Rule { from: from.into(), to: to.into(), rule }));
    }
    let rule = LinkRule { held: true, ..LinkRule::default() };
    story.happens("keeper", false, What::Link(Link::Rule { from: "n3".into(), to: "n1".into(), rule }));
    story.timer("n2", 2400).timer("n3", 1800).wait(600);
    story.state("n4", Role::Candidate, 3, "n4", "election_timeout").timer("n4", 2000);
    story.message("n3", "n1", "AppendEntriesReply", "term 2, success, match 3", false);
    let held = story.events.last().and_then(|e| match &e.what {
        What::Link(Link::Sent(m)) => Some(m.id.clone()),
        _ => None,
    });
    if let Some(id) = held {
        story.happens("keeper", false, What::Link(Link::Held { id }));
    }
    story.wait(500).message("n1", "n2", "AppendEntries", "term 2, prev 3, 1 entry, commit 3", false);
    story.message("n4", "n3", "RequestVote", "term 3, lastLogIndex 1", false).wait(200);
}

/// The story, and then a minute of heartbeats and writes by a leader, its death, and an election.
pub fn play() -> Story {
    let mut story = story();
    let healed =
        |from: &str, to: &str| What::Link(Link::Rule { from: from.into(), to: to.into(), rule: LinkRule::default() });
    story.wait(4000);
    for (from, to) in [("n1", "n4"), ("n4", "n1"), ("n3", "n1")] {
        story.happens("keeper", false, healed(from, to));
    }
    let mut index = 4;
    for round in 0..12 {
        let (leader, term) = if round < 6 { ("n1", 4) } else { ("n3", 5) };
        if round % 6 == 0 {
            reign(&mut story, leader, term, index + 1);
            index += 1;
        }
        heartbeat(&mut story, leader, term, &mut index);
        if round == 5 {
            story.happens("n1", false, What::Process(Process::Ended { how: "killed by SIGKILL".into() }));
        }
    }
    story
}

fn reign(story: &mut Story, leader: &str, term: u64, index: u64) {
    story.wait(1500).state(leader, Role::Candidate, term, leader, "election_timeout");
    for node in NODES.iter().filter(|n| **n != leader && **n != "n5") {
        story.message(leader, node, "RequestVote", &format!("term {term}"), true);
        let vote = Happening::Vote { term, candidate: leader.into(), granted: true, why: String::new() };
        story.wait(150).raft(node, true, vote);
        story.message(node, leader, "RequestVoteReply", &format!("term {term}, granted"), true);
        story.state(node, Role::Follower, term, leader, "found_leader");
    }
    story.wait(500).state(leader, Role::Leader, term, leader, "won").append(leader, index, term, "no-op");
}

fn heartbeat(story: &mut Story, leader: &str, term: u64, index: &mut u64) {
    *index += 1;
    let text = format!("SET visits {index}");
    story.wait(700).append(leader, *index, term, &text);
    for (i, node) in NODES.iter().filter(|n| **n != leader && **n != "n5").enumerate() {
        story.message(leader, node, "AppendEntries", &format!("term {term}, 1 entry"), true);
        story.wait(60).append(node, *index, term, &text).timer(node, 2000 + 300 * i as u64);
        story.message(node, leader, "AppendEntriesReply", &format!("term {term}, match {index}"), true);
    }
    story.raft(leader, true, Happening::Committed { index: *index });
    story.wait(300).raft(leader, true, Happening::Applied { index: *index }).wait(1000);
}

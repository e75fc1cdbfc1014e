//! Every kind of check is seen to fail and to pass, each for its own reason.

use std::sync::Arc;

use serde_json::json;

use super::{Check, Eyes, Kind};
use crate::lab::fake::Fake;
use crate::lab::stage::Stage;
use crate::lab::text::Lang;
use crate::lab::{Course, Question};

/// A scripted world and a way to look at it.
struct Scene {
    fake: Arc<Fake>,
    start: Arc<crate::world::World>,
    questions: Vec<Question>,
    answers: Vec<(String, String)>,
}

impl Scene {
    /// Five nodes; n1 leads in term 2, with `SET x 5` as entry 1, committed everywhere.
    fn new() -> Self {
        let fake = Arc::new(Fake::new());
        for node in ["n1", "n2", "n3", "n4", "n5"] {
            fake.tell(node, r#"{"process":{"started":{"role":"node","machine":"","pid":7}}}"#);
            fake.tell(node, r#"{"raft":{"booted":{"term":1,"voted_for":null,"applied":0,"log":[],"nodes":[]}}}"#);
        }
        let mut scene = Self { start: fake.world(), fake, questions: Vec::new(), answers: Vec::new() };
        scene.leads("n1", 2);
        for node in ["n1", "n2", "n3", "n4", "n5"] {
            scene.fake.tell(node, r#"{"raft":{"appended":{"entries":[{"index":1,"term":2,"text":"SET x 5"}]}}}"#);
            scene.fake.tell(node, r#"{"raft":{"committed":{"index":1}}}"#);
            scene.fake.tell(node, r#"{"raft":{"applied":{"index":1}}}"#);
        }
        scene.begin();
        scene
    }

    /// The step begins now.
    fn begin(&mut self) {
        self.start = self.fake.world();
    }

    fn state(&self, node: &str, role: &str, term: u64, leader: Option<&str>) {
        let state = json!({"term": term, "role": role, "voted_for": null, "leader": leader, "why": "test"});
        self.fake.tell(node, &json!({"raft": {"state": state}}).to_string());
    }

    fn leads(&self, leader: &str, term: u64) {
        for node in ["n1", "n2", "n3", "n4", "n5"].into_iter().filter(|node| *node != leader) {
            self.state(node, "follower", term, Some(leader));
        }
        self.state(leader, "leader", term, Some(leader));
    }

    fn ends(&self, node: &str) {
        self.fake.tell(node, r#"{"process":{"ended":{"how":"killed by SIGKILL"}}}"#);
    }

    fn eyes(&self) -> Eyes {
        Eyes {
            stage: self.fake.clone(),
            world: self.fake.world(),
            start: self.start.clone(),
            events: self.fake.events_since(self.start.seq),
            vars: [("key".to_owned(), "x".to_owned())].into(),
            questions: Arc::new(self.questions.clone()),
            answers: self.answers.iter().cloned().collect(),
            cancelled: Arc::default(),
        }
    }

    /// Looks with a check; gives whether it passed and the key of what it saw. Every text it needs must be there.
    fn look(&self, yaml: &str) -> (bool, String) {
        let check: Check = serde_yaml::from_str(yaml).unwrap_or_else(|e| panic!("{yaml}: {e}"));
        let finding = check.look(&self.eyes());
        let course = Course::built_in();
        for message in [&finding.saw, &finding.hoped, &finding.look] {
            for lang in Lang::ALL {
                let said = course.labs[0].say(&course.labs[0].steps[0], message, lang);
                assert!(said != message.key, "{yaml}: no {} text for {}", lang.tag(), message.key);
                assert!(!said.contains('{'), "{yaml}: an open hole in {said:?}");
            }
        }
        (finding.passed, finding.saw.key)
    }

    fn passes(&self, yaml: &str) {
        assert!(self.look(yaml).0, "{yaml} saw {}", self.look(yaml).1);
    }

    fn fails(&self, yaml: &str, saw: &str) {
        assert_eq!(self.look(yaml), (false, saw.to_owned()), "{yaml}");
    }
}

/// One leader is one that a majority is with; none, two and a lonely one are told apart.
#[test]
fn one_leader() {
    let scene = Scene::new();
    scene.passes("one_leader: {}");
    scene.fails("one_leader: {not: [was:leader]}", "one_leader.barred");
    scene.fails("no_leader: {}", "no_leader.some");
    scene.ends("n1");
    scene.fails("one_leader: {}", "one_leader.none");
    scene.passes("no_leader: {}");
    scene.leads("n2", 3);
    scene.state("n3", "leader", 2, Some("n3"));
    scene.fails("one_leader: {}", "one_leader.many");
    scene.passes("leaders: {are: 2}");
    scene.passes("node: {who: leader, term: 3}");
    scene.passes("node: {who: leader:2, term: 2}");
    scene.fails("leaders: {are: 1}", "leaders.saw");
    for node in ["n3", "n4", "n5"] {
        scene.ends(node);
    }
    scene.ends("n1");
    scene.fails("one_leader: {}", "one_leader.lonely");
    scene.passes("node: {who: was:leader, is: down}");
}

/// A node's role, life and term; the term may be compared with what it was when the step began.
#[test]
fn node() {
    let scene = Scene::new();
    scene.passes("node: {who: leader, is: leader, term: 2}");
    scene.passes("node: {who: n2, is: follower}");
    scene.fails("node: {who: leader, term_above: was:leader}", "node.saw");
    scene.fails("node: {who: candidate, is: candidate}", "node.nobody");
    scene.state("n3", "candidate", 3, None);
    scene.passes("node: {who: candidate, is: candidate, term_above: was:leader}");
    scene.fake.tell("n4", r#"{"process":"paused"}"#);
    scene.passes("node: {who: n4, is: paused}");
    scene.fails("node: {who: n4, is: down}", "node.saw");
    scene.ends("n4");
    scene.passes("node: {who: n4, is: down}");
    scene.fails("node: {who: n4, is: up}", "node.saw");
    scene.fails("node: {who: n4, is: follower}", "node.saw");
}

/// An entry is committed when a majority knows it, and not before.
#[test]
fn entries() {
    let scene = Scene::new();
    scene.passes("committed: {entry: 'SET {key} 5'}");
    scene.passes("applied: {entry: SET x 5}");
    scene.fails("committed: {entry: SET y 1}", "committed.nowhere");
    // It was committed before the step began, so it is not the one that is meant.
    scene.fails("not_committed: {entry: SET x 5}", "not_committed.nowhere");
    scene.fails("not_committed: {entry: SET y 1}", "not_committed.nowhere");
    for node in ["n1", "n2"] {
        scene.fake.tell(node, r#"{"raft":{"appended":{"entries":[{"index":2,"term":2,"text":"SET y 1"}]}}}"#);
    }
    scene.passes("not_committed: {entry: SET y 1, held_by: 2}");
    scene.fails("not_committed: {entry: SET y 1, held_by: 3}", "not_committed.saw");
    scene.fails("committed: {entry: SET y 1}", "committed.saw");
    scene.fake.tell("n1", r#"{"raft":{"committed":{"index":2}}}"#);
    scene.fails("committed: {entry: SET y 1}", "committed.saw");
    scene.passes("committed: {entry: SET y 1, on: [leader]}");
    scene.fails("not_committed: {entry: SET y 1}", "not_committed.committed");
    scene.fails("applied: {entry: SET y 1, on: [leader]}", "applied.saw");
    scene.fails("applied: {entry: SET y 1, on: [candidate]}", "applied.saw");
}

/// The logs on disk are asked for, and compared entry by entry.
#[test]
fn logs() {
    let scene = Scene::new();
    let log = |entries: &[(u64, u64, &str)]| {
        let entries: Vec<_> = entries.iter().map(|(i, t, x)| json!({"index": i, "term": t, "text": x})).collect();
        Ok(json!({ "entries": entries }))
    };
    for node in ["n1", "n2", "n3", "n4", "n5"] {
        scene.fake.answers(&format!("log {node}"), log(&[(1, 2, "SET x 5")]));
    }
    scene.passes("logs_equal: {}");
    scene.passes("on_disk: {node: leader, entry: SET x 5}");
    // Entry 1 was committed before the step, so it is not the one that must be absent; entry 2 is.
    scene.passes("on_disk: {node: leader, entry: SET x 5, absent: true}");
    scene.fake.answers("log n1", log(&[(1, 2, "SET x 5"), (2, 2, "SET x 5")]));
    scene.fails("on_disk: {node: leader, entry: SET x 5, absent: true}", "on_disk.there");
    scene.fake.answers("log n1", log(&[(1, 2, "SET x 5")]));
    scene.fails("on_disk: {node: leader, entry: SET y 1}", "on_disk.absent");
    scene.passes("on_disk: {node: leader, entry: SET y 1, absent: true}");
    scene.fake.answers("log n3", log(&[(1, 3, "SET x 5")]));
    scene.fails("logs_equal: {}", "logs_equal.differ");
    scene.passes("logs_equal: {of: [n1, n2]}");
    // A snapshot took the first entry of n3; what both still have is the same.
    for (node, entries) in [("n2", &[(1, 2, "SET x 5"), (2, 2, "SET y 1")][..]), ("n3", &[(2, 2, "SET y 1")][..])] {
        scene.fake.answers(&format!("log {node}"), log(entries));
    }
    scene.passes("logs_equal: {of: [n2, n3]}");
    scene.fake.answers("log n3", Err("no such node".into()));
    scene.fails("logs_equal: {}", "logs_equal.unreadable");
    scene.fails("on_disk: {node: n3, entry: SET x 5}", "on_disk.unreadable");
}

/// Only what happened in this step is seen, in order.
#[test]
fn seen() {
    let mut scene = Scene::new();
    let won = "seen: [{who: $c, raft: {state: {role: candidate, term: $t}}}, {who: $c, raft: {state: {role: leader, term: $t}}}]";
    scene.fails(won, "seen.none");
    scene.state("n2", "candidate", 3, None);
    scene.fails(won, "seen.part");
    scene.state("n2", "leader", 3, Some("n2"));
    scene.passes(won);
    scene.fails(
        "seen: {events: [{raft: {state: {role: candidate}}}], never: [{raft: {state: {role: leader}}}]}",
        "seen.spoiled",
    );
    scene.passes("seen: [{who: was:follower, raft: {state: {role: leader}}}]");
    scene.fails("seen: [{who: candidate, raft: {}}]", "seen.none");
    scene.begin();
    scene.fails(won, "seen.none");
}

/// A client's answer is what the client port says.
#[test]
fn client() {
    let scene = Scene::new();
    scene.fake.answers("client n1 GET x", Ok(json!("5")));
    scene.fake.answers("client n2 GET x", Err("no leader".into()));
    scene.passes("client: {node: leader, words: 'GET {key}', is: '5'}");
    scene.fails("client: {node: leader, words: GET x, is: '6'}", "client.answered");
    scene.fails("client: {node: leader, words: GET x, fails: true}", "client.answered");
    scene.passes("client: {node: n2, words: GET x, fails: true}");
    scene.fails("client: {node: n2, words: GET x, is: '5'}", "client.failed");
}

/// Links and the clock are what their last rule says.
#[test]
fn links_and_clock() {
    let scene = Scene::new();
    scene.passes("link: {from: leader, to: n2, is: clear}");
    scene.fails("link: {from: leader, to: n2, is: cut}", "link.saw");
    let rule = |rule: &str| format!(r#"{{"link":{{"rule":{{"from":"n1","to":"n2","rule":{rule}}}}}}}"#);
    for (is, words) in [
        ("cut", r#"{"cut":true}"#),
        ("held", r#"{"held":true}"#),
        ("lossy", r#"{"loss":60}"#),
        ("slow", r#"{"delay_ms":9}"#),
    ] {
        scene.fake.tell("keeper", &rule(words));
        scene.passes(&format!("link: {{from: leader, to: n2, is: {is}}}"));
        scene.fails("link: {from: leader, to: n2, is: clear}", "link.saw");
        scene.passes("link: {from: n2, to: leader, is: clear}");
    }
    scene.passes("clock: running");
    scene.fails("clock: frozen", "clock.running");
    scene.fake.tell("keeper", r#"{"clock":{"speed":0.1,"frozen":true}}"#);
    scene.passes("clock: frozen");
    scene.fails("clock: running", "clock.frozen");
}

/// A file is what `cat` in the world shows.
#[test]
fn file() {
    let scene = Scene::new();
    let line = "if [ -e '/mnt/a' ] || [ -L '/mnt/a' ]; then cat -- '/mnt/a'; else exit 44; fi";
    scene.fake.shells(line, "hello world\n", 0);
    scene.passes("file: {path: /mnt/a}");
    scene.passes("file: {path: /mnt/a, contains: hello}");
    scene.passes("file: {path: /mnt/a, equal: hello world}");
    scene.fails("file: {path: /mnt/a, equal: hello}", "file.there");
    scene.fails("file: {path: /mnt/a, absent: true}", "file.there");
    scene.fake.shells(line, "", 44);
    scene.passes("file: {path: /mnt/a, absent: true}");
    scene.fails("file: {path: /mnt/a}", "file.absent");
    scene.fake.shells(line, "cat: /mnt/a: Is a directory", 1);
    scene.fails("file: {path: /mnt/a}", "file.unreadable");
}

/// The escape hatch judges by status and output.
#[test]
fn shell() {
    let scene = Scene::new();
    scene.fake.shells("echo x", "x\n", 0);
    scene.passes("shell: {run: 'echo {key}', contains: x}");
    scene.fails("shell: {run: echo x, contains: y}", "shell.ended");
    scene.fails("shell: {run: nonsense}", "shell.ended");
    scene.passes("shell: {run: nonsense, status: 127}");
}

/// A prediction is judged by the student's own run: unanswered, too early, wrong, right.
#[test]
fn predicted() {
    let mut scene = Scene::new();
    let question = |answer: &str| Question {
        id: "q".into(),
        ask: Default::default(),
        options: crate::lab::course::Options::Nodes,
        because: Default::default(),
        answer: serde_yaml::from_str(answer).unwrap(),
    };
    scene.fails("predicted: q", "predicted.unknown");
    scene.questions = vec![question("{bound: {name: c, seen: [{who: $c, raft: {state: {role: leader}}}]}}")];
    scene.fails("predicted: q", "predicted.unanswered");
    scene.answers = vec![("q".into(), "n3".into())];
    scene.fails("predicted: q", "predicted.open");
    scene.state("n2", "leader", 3, Some("n2"));
    scene.fails("predicted: q", "predicted.wrong");
    scene.answers = vec![("q".into(), "n2".into())];
    scene.passes("predicted: q");
}

/// What really happened, by each kind of fact.
#[test]
fn facts() {
    let scene = Scene::new();
    let find = |fact: &str| serde_yaml::from_str::<crate::lab::fact::Fact>(fact).unwrap().find(&scene.eyes());
    let is = |fact: &str, truth: &str| assert_eq!(find(fact).as_deref(), Some(truth), "{fact}");
    is("{node: leader}", "n1");
    is("{term: leader}", "2");
    is("{yes: {one_leader: {}}}", "yes");
    is("{yes: {no_leader: {}}}", "no");
    is("{is: b}", "b");
    let entry = r#"{"raft":{"appended":{"entries":[{"index":2,"term":2,"text":"SET x 6"}]}}}"#;
    scene.fake.tell("n1", entry);
    for peer in ["n2", "n3"] {
        scene.fake.tell("n1", &format!(r#"{{"raft":{{"progress":{{"peer":"{peer}","next":3,"matched":2}}}}}}"#));
    }
    assert_eq!(find("{copies_at_commit: 'SET {key} 6'}"), None, "not committed yet");
    scene.fake.tell("n1", r#"{"raft":{"committed":{"index":2}}}"#);
    is("{copies_at_commit: 'SET {key} 6'}", "3");
    let sent = r#"{"link":{"sent":{"id":"n1#1","from":"n1","to":"n2","kind":"AppendEntries","note":""}}}"#;
    scene.fake.tell("n1", sent);
    is("{role: {of: a, seen: [{link: {sent: {from: $a, kind: AppendEntries}}}]}}", "leader");
    scene.fake.answers("client n1 GET x", Ok(json!("6")));
    is("{client: {node: leader, words: GET x}}", "6");
}

/// Checks of checks, and the step's own words for what is hoped for.
#[test]
fn logic() {
    let scene = Scene::new();
    scene.passes("all: [{one_leader: {}}, {node: {who: n2, is: follower}}]");
    scene.fails("all: [{one_leader: {}}, {no_leader: {}}]", "no_leader.some");
    scene.passes("any: [{no_leader: {}}, {one_leader: {}}]");
    scene.fails("any: [{no_leader: {}}, {node: {who: n2, is: down}}]", "no_leader.some");
    scene.passes("not: {no_leader: {}}");
    let named: Check = serde_yaml::from_str("{no_leader: {}, as: mine}").unwrap();
    let finding = named.look(&scene.eyes());
    assert_eq!((finding.hoped.key.as_str(), finding.saw.key.as_str()), ("mine", "mine-saw|no_leader.some"));
    assert!(matches!(named.kind, Kind::NoLeader(_)));
}

/// A process is up, down, paused, or never was.
#[test]
fn process() {
    let scene = Scene::new();
    scene.passes("process: {who: n1, is: up}");
    scene.fails("process: {who: n1, is: down}", "process.up");
    scene.fails("process: {who: nobody, is: down}", "process.nobody");
    scene.ends("n1");
    scene.passes("process: {who: n1, is: down}");
    scene.fails("process: {who: n1, is: up}", "process.down");
    scene.fake.tell("n2", r#"{"process":"paused"}"#);
    scene.passes("process: {who: n2, is: paused}");
}

/// The live branches of a union, in order and with their permissions, and its options.
#[test]
fn union() {
    let scene = Scene::new();
    scene.fake.answers("ask mount:/m union", Err("nobody is called `mount:/m`".into()));
    scene.fails("union: {at: /m}", "union.none");
    let branches = json!([{"path": "/a", "permission": "rw"}, {"path": "/b", "permission": "ro+wh"}]);
    let listing = json!({"branches": branches, "options": "udba=notify,create=mfs:30"});
    scene.fake.answers("ask mount:/m union", Ok(listing));
    scene.passes("union: {at: /m}");
    scene.passes("union: {at: /m, branches: [/a=rw, /b], has: [/b=ro+wh], lacks: [/c, /a=ro], options: [create=mfs]}");
    scene.passes("union: {at: /m, options: ['create=mfs:30']}");
    scene.fails("union: {at: /m, branches: [/a]}", "union.saw");
    scene.fails("union: {at: /m, branches: [/b, /a]}", "union.saw");
    scene.fails("union: {at: /m, has: [/a=ro]}", "union.saw");
    scene.fails("union: {at: /m, lacks: [/b]}", "union.saw");
    scene.fails("union: {at: /m, options: [create=rr]}", "union.saw");
}

/// Which branch serves a name, as a check and as the answer of a question.
#[test]
fn served() {
    let scene = Scene::new();
    scene.fake.answers("ask mount:/m story /f", Err("no".into()));
    scene.fails("served: {at: /m, path: /f, by: /x/b}", "served.unknown");
    let copies = json!([{"branch": 0, "path": "/x/a"}, {"branch": 1, "path": "/x/b"}]);
    scene.fake.answers("ask mount:/m story /f", Ok(json!({"served_by": 1, "copies": copies})));
    scene.passes("served: {at: /m, path: /f, by: /x/b}");
    scene.fails("served: {at: /m, path: /f, by: /x/a}", "served.saw");
    scene.fails("served: {at: /m, path: /f, hidden: true}", "served.saw");
    let find = |fact: &str| serde_yaml::from_str::<crate::lab::fact::Fact>(fact).unwrap().find(&scene.eyes());
    assert_eq!(find("{served: {at: /m, path: /f}}").as_deref(), Some("b"));
    scene.fake.answers("ask mount:/m story /f", Ok(json!({"served_by": null, "copies": copies})));
    scene.passes("served: {at: /m, path: /f, hidden: true}");
    scene.fails("served: {at: /m, path: /f, by: /x/b}", "served.hidden");
    assert_eq!(find("{served: {at: /m, path: /f}}"), None);
    scene.fake.shells("cat /f", " tea\n", 0);
    assert_eq!((find("{shell: cat /f}").as_deref(), find("{shell: cat /g}")), (Some("tea"), None));
}

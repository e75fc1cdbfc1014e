//! The life of a lab, on a stage that a script plays.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::{Phase, Probe, Session, View};
use crate::lab::fake::Fake;
use crate::lab::progress::{Progress, State};
use crate::lab::{Lab, Lang};

const LAB: &str = "
schema: 1
world: {}
vars: {key: [tea]}
steps:
  - id: one
    points: 60
    setup: [speed 0.5]
    predict:
      - {id: who, options: nodes, answer: {node: leader}}
    checks:
      - seen: [{raft: {asked: {text: 'SET {key} 1'}}}]
        as: asked
    mistakes:
      - when: {seen: [{raft: {asked: {text: 'GET {key}'}}}]}
        say: only-read
    solve:
      - answer: {who: n1}
      - kill n1
  - id: two
    points: 40
    setup:
      - wait: {node: {who: n9, is: up}, within: 10m}
    checks: [{clock: running}]
    solve: []
";

const TEXTS: &str = "
title: a lab
steps:
  one:
    title: one
    goal: ask {key} of {leader}
    hints: [first, second, third]
    debrief: done
    says: {asked: somebody asked, only-read: 'you only read {key}'}
    predict: {who: {ask: who?, because: it is}}
  two: {title: two, goal: wait, hints: [a, b, c], debrief: done}
";

/// A session with what a test needs around it.
struct Play {
    fake: Arc<Fake>,
    session: Session,
    news: Receiver<()>,
    folder: tempfile::TempDir,
}

impl Play {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lab")).unwrap();
        for (name, text) in [("lab.yaml", LAB), ("en.yaml", TEXTS), ("zh-CN.yaml", "{title: 实验}")] {
            std::fs::write(folder.path().join("lab").join(name), text).unwrap();
        }
        let fake = Arc::new(Fake::new());
        let state = r#"{"raft":{"state":{"term":1,"role":"leader","voted_for":null,"leader":"n1","why":""}}}"#;
        fake.tell("n1", state);
        let (session, news) = Self::session(&folder, &fake);
        Self { fake, session, news, folder }
    }

    fn session(folder: &tempfile::TempDir, fake: &Arc<Fake>) -> (Session, Receiver<()>) {
        let lab = Arc::new(Lab::from_folder(&folder.path().join("lab")).unwrap());
        let (told, news) = channel();
        let progress = Progress::open(&folder.path().join("state"), "lab");
        (Session::open(lab, fake.clone(), progress, move || told.send(()).unwrap_or_default()), news)
    }

    /// Waits until the view is so.
    fn until(&self, what: &str, so: impl Fn(&View) -> bool) -> Arc<View> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let view = self.session.view();
            if so(&view) {
                return view;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never {what}: {:?} {:?}", view.phase, view.probes);
            let _ = self.news.recv_timeout(left);
        }
    }

    fn asks(&self, text: &str) {
        let asked = format!(r#"{{"raft":{{"asked":{{"request":"c1:1","text":"{text}","forwarded_to":null}}}}}}"#);
        self.fake.tell("n1", &asked);
    }

    /// Checks, and waits for the verdict.
    fn check(&self) -> Arc<View> {
        let attempts = |view: &View| view.record.steps.get("one").map_or(0, |r| r.attempts);
        let before = attempts(&self.session.view());
        self.session.check();
        self.until("checked", |view| attempts(view) > before && matches!(view.phase, Phase::Acting | Phase::Passed))
    }
}

/// Set up, failed with a known mistake, passed, and on to the next step; each with its words.
#[test]
fn a_step_is_failed_and_passed() {
    let play = Play::open();
    let view = play.until("acting", |view| view.phase == Phase::Acting);
    assert_eq!(play.fake.commands(), ["speed 0.5"], "the setup ran");
    assert_eq!(view.goal(Lang::ZhCn), "ask tea of n1", "holes are filled, a missing language falls back");
    play.asks("GET tea");
    let view = play.check();
    assert_eq!(view.mistake(Lang::En).as_deref(), Some("you only read tea"));
    assert_eq!(view.probes(Lang::En)[1].hoped, "somebody asked");
    assert_eq!(view.probes(Lang::En)[1].passed, Some(false));
    play.asks("SET tea 1");
    assert_eq!(play.check().phase, Phase::Acting, "the question is not answered yet");
    play.session.answer("who", "n2");
    assert_eq!(play.check().probes(Lang::En)[0].passed, Some(false));
    play.session.answer("who", "n1");
    let view = play.check();
    assert_eq!((view.phase.clone(), view.state(0), view.points()), (Phase::Passed, State::Passed, (60, 100)));
    assert_eq!(view.questions(Lang::En)[0].truth.as_deref(), Some("n1"));
    assert_eq!(view.record.steps["one"].answers["who"].before, ["n2"]);
    assert_eq!(view.mistake, None);
    play.session.next();
    play.until("the next step", |view| view.at == 1);
}

/// Only from a step that is done does one go on; hints open one by one.
#[test]
fn a_step_is_not_skipped_and_hints_open_one_by_one() {
    let play = Play::open();
    play.until("acting", |view| view.phase == Phase::Acting);
    play.session.next();
    for opened in 1..=3 {
        play.session.hint();
        play.until("a hint", |view| view.hints(Lang::En).len() == opened);
    }
    play.session.hint();
    let view = play.check();
    assert_eq!((view.at, view.hints(Lang::En).len()), (0, 3));
}

/// What runs is ended at once by a cancel, and a session that is opened again is where it was left.
#[test]
fn a_cancel_ends_what_runs_and_a_restart_resumes() {
    let mut play = Play::open();
    play.until("acting", |view| view.phase == Phase::Acting);
    play.asks("SET tea 1");
    play.session.answer("who", "n1");
    assert_eq!(play.check().phase, Phase::Passed);
    play.session.next();
    play.until("preparing", |view| view.at == 1 && view.phase == Phase::Preparing);
    play.session.cancel();
    play.until("stuck", |view| view.phase == Phase::Stuck("cancelled".into()));
    (play.session, play.news) = Play::session(&play.folder, &play.fake);
    let view = play.session.view();
    assert_eq!((view.at, view.state(0), view.state(1)), (1, State::Passed, State::Begun));
    play.session.cancel();
}

/// A step that the machine shows is done, and gives no points.
#[test]
fn a_shown_step_gives_no_points() {
    let play = Play::open();
    play.until("acting", |view| view.phase == Phase::Acting);
    let asked = serde_json::from_str(r#"{"raft":{"asked":{"request":"c1:1","text":"SET tea 1","forwarded_to":null}}}"#);
    play.fake.when("kill n1", vec![("n1".into(), asked.unwrap())]);
    play.session.show();
    let view = play.until("shown", |view| view.phase == Phase::Passed);
    assert_eq!((view.state(0), view.points()), (State::Shown, (0, 100)));
}

/// A reset of the step forgets its answers and what was seen, and runs the setup again.
#[test]
fn a_reset_begins_the_step_anew() {
    let play = Play::open();
    play.until("acting", |view| view.phase == Phase::Acting);
    play.asks("SET tea 1");
    play.session.answer("who", "n1");
    play.session.reset_step();
    play.until("reset", |view| {
        let forgotten = view.record.steps.get("one").is_some_and(|r| r.answers.is_empty() && r.state == State::Begun);
        forgotten && view.phase == Phase::Acting && play.fake.commands().len() == 2
    });
    let view = play.check();
    assert!(matches!(&view.probes[1], Probe::Found(finding) if !finding.passed), "what was seen before does not count");
}

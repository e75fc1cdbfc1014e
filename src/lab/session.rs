//! The life of a lab under a student's hands.
//!
//! A [`Session`] owns a thread. The screen gives it orders, which never wait ([`Session::check`], [`Session::hint`], …), and
//! draws its [`View`], an immutable picture that the session replaces whenever something changed; a callback tells the
//! screen that it did. So nothing that a lab does can make the screen stop.
//!
//! A step goes: *preparing* (its setup runs) → *acting* (the student's turn) → *checking* (one probe after the other) →
//! *acting* again, or *passed*. [`Session::cancel`] ends what runs.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::action::act_all;
use super::check::{Check, Eyes, Finding, Kind};
use super::course::{Lab, Step};
use super::progress::{self, Progress, Record, State};
use super::select::Scene;
use super::stage::Stage;
use super::text::{Lang, Message, fill};
use super::vars::{self, Vars};
use crate::world::{Command, World};

/// What the session does at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// The step's setup runs.
    Preparing,
    /// It is the student's turn.
    Acting,
    /// The checks look.
    Checking,
    /// The machine shows how.
    Showing,
    /// The step is passed; its debrief can be read.
    Passed,
    /// The setup or the machine's solution did not work; why, in one line. A reset of the step tries again.
    Stuck(String),
}

/// One check of the step as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Not looked at since the student acted.
    Waiting,
    /// Looking.
    Looking,
    /// It has found something.
    Found(Finding),
}

/// The session as it is at one moment; everything that a screen draws of a lab.
#[derive(Debug, Clone)]
pub struct View {
    /// The lab.
    pub lab: Arc<Lab>,
    /// The number of the present step, from 0.
    pub at: usize,
    /// What goes on.
    pub phase: Phase,
    /// The step's checks, in order.
    pub probes: Vec<Probe>,
    /// The known mistake that the last check recognized.
    pub mistake: Option<Message>,
    /// What is kept of every step: states, hints opened, answers.
    pub record: Record,
    /// Question → what happened, for the questions of a step that is passed.
    pub truths: BTreeMap<String, String>,
    /// Something about the progress file that the student should read.
    pub notice: Option<String>,
    /// The student's own names and numbers.
    pub vars: Vars,
    /// The world when the step began.
    pub start: Arc<World>,
}

/// One check in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeLine {
    /// Passed or failed; `None` while it is not looked at.
    pub passed: Option<bool>,
    /// Whether it looks just now.
    pub looking: bool,
    /// What is hoped for; empty while it is not looked at.
    pub hoped: String,
    /// What was seen.
    pub saw: String,
    /// Where to look.
    pub look: String,
}

/// One question in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionLine {
    /// Its id, for [`Session::answer`].
    pub id: String,
    /// The question, in Markdown.
    pub ask: String,
    /// (choice, its text).
    pub choices: Vec<(String, String)>,
    /// The student's choice so far.
    pub chosen: Option<String>,
    /// Whether the last check saw it come out otherwise; then it may be answered anew.
    pub missed: bool,
    /// What happened; after the step is passed.
    pub truth: Option<String>,
    /// Why; after the step is passed.
    pub because: String,
}

/// Whether a check is that of this question.
fn asks(check: &Check, question: &str) -> bool {
    matches!(&check.kind, Kind::Predicted(asked) if asked.0 == question)
}

impl View {
    /// The present step.
    pub fn step(&self) -> &Step {
        &self.lab.steps[self.at]
    }

    /// How far a step is.
    pub fn state(&self, step: usize) -> State {
        self.lab.steps.get(step).and_then(|s| self.record.steps.get(&s.id)).map_or(State::New, |r| r.state)
    }

    /// Whether every step is done.
    pub fn is_done(&self) -> bool {
        (0..self.lab.steps.len()).all(|i| self.state(i).is_done())
    }

    /// The points so far, and those of the whole lab. A step that the machine showed gives none.
    pub fn points(&self) -> (u32, u32) {
        let passed = |i: &usize| self.state(*i) == State::Passed;
        let so_far = (0..self.lab.steps.len()).filter(passed).map(|i| self.lab.steps[i].points).sum();
        (so_far, self.lab.points())
    }

    /// The present step's title.
    pub fn title(&self, lang: Lang) -> String {
        self.fill(self.step().title.get(lang))
    }

    /// What to do, in Markdown.
    pub fn goal(&self, lang: Lang) -> String {
        self.fill(self.step().goal.get(lang))
    }

    /// The hints opened so far, in Markdown.
    pub fn hints(&self, lang: Lang) -> Vec<String> {
        let opened = self.record.steps.get(&self.step().id).map_or(0, |r| r.hints);
        self.step().hints.iter().take(opened).map(|hint| self.fill(hint.get(lang))).collect()
    }

    /// The message for the mistake that the last check recognized.
    pub fn mistake(&self, lang: Lang) -> Option<String> {
        self.mistake.as_ref().map(|message| self.fill(&self.lab.say(self.step(), message, lang)))
    }

    /// What the step meant, in Markdown; once it is passed.
    pub fn debrief(&self, lang: Lang) -> Option<String> {
        self.state(self.at).is_done().then(|| self.fill(self.step().debrief.get(lang)))
    }

    /// The checks in words.
    pub fn probes(&self, lang: Lang) -> Vec<ProbeLine> {
        let say = |message: &Message| self.fill(&self.lab.say(self.step(), message, lang));
        let line = |probe: &Probe| match probe {
            Probe::Found(f) => ProbeLine {
                passed: Some(f.passed),
                looking: false,
                hoped: say(&f.hoped),
                saw: say(&f.saw),
                look: say(&f.look),
            },
            waiting => ProbeLine {
                passed: None,
                looking: *waiting == Probe::Looking,
                hoped: String::new(),
                saw: String::new(),
                look: String::new(),
            },
        };
        self.probes.iter().map(line).collect()
    }

    /// The step's questions in words.
    pub fn questions(&self, lang: Lang) -> Vec<QuestionLine> {
        let nodes: Vec<_> = self.start.raft.nodes.keys().cloned().collect();
        let answers = self.record.steps.get(&self.step().id).map(|r| &r.answers);
        let line = |q: &super::Question| QuestionLine {
            id: q.id.clone(),
            ask: self.fill(q.ask.get(lang)),
            choices: q.choices(&nodes, lang).into_iter().map(|(c, text)| (c, self.fill(&text))).collect(),
            chosen: answers.and_then(|a| Some(a.get(&q.id)?.choice.clone())),
            missed: self.missed(&q.id),
            truth: self.truths.get(&q.id).cloned(),
            because: self.truths.get(&q.id).map_or(String::new(), |_| self.fill(q.because.get(lang))),
        };
        self.step().predict.iter().map(line).collect()
    }

    /// Whether the last check saw that it came out otherwise than this question was answered.
    fn missed(&self, question: &str) -> bool {
        let mut probes = self.step().checks.iter().zip(&self.probes);
        let wrong = |probe: &Probe| matches!(probe, Probe::Found(f) if f.saw.key == "predicted.wrong");
        probes.any(|(check, probe)| asks(check, question) && wrong(probe))
    }

    /// The text with the student's own values and the machines of when the step began in its holes.
    fn fill(&self, text: &str) -> String {
        let scene = Scene { now: &self.start, start: &self.start };
        fill(text, &|name| {
            let machine = || match scene.find(name) {
                Ok(found) if found == name => None,
                Ok(found) => Some(found),
                Err(_) => Some(name.trim_start_matches("was:").into()),
            };
            self.vars.get(name).cloned().or_else(machine)
        })
    }
}

enum Order {
    Check,
    Hint,
    Answer(String, String),
    Go(usize),
    ResetStep,
    ResetLab,
    Show,
}

/// A lab that lives. Dropping it ends what runs, and the thread.
pub struct Session {
    orders: Option<Sender<Order>>,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    view: Mutex<Arc<View>>,
    cancelled: Arc<AtomicBool>,
    changed: Box<dyn Fn() + Send + Sync>,
}

impl Session {
    /// Opens a lab at the step where the student was, and begins to prepare it. `changed` is called, on the session's
    /// thread, whenever there is a new [`View`].
    pub fn open(
        lab: Arc<Lab>,
        stage: Arc<dyn Stage>,
        progress: Progress,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let vars = vars::pick(&lab.vars, &lab.id, progress.seed);
        let resumed = progress.record.at.as_ref().and_then(|at| lab.steps.iter().position(|step| step.id == *at));
        let view = View {
            at: resumed.unwrap_or(0),
            phase: Phase::Preparing,
            probes: Vec::new(),
            mistake: None,
            record: progress.record.clone(),
            truths: BTreeMap::new(),
            notice: progress.notice.clone(),
            vars,
            start: stage.world(),
            lab,
        };
        let cancelled = Arc::new(AtomicBool::new(false));
        let (orders, inbox) = channel();
        let shared =
            Arc::new(Shared { view: Mutex::new(Arc::new(view.clone())), cancelled, changed: Box::new(changed) });
        let worker = Worker { view, stage, progress, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("lab".into()).spawn(move || worker.live(&inbox)).ok();
        Self { orders: Some(orders), shared, thread }
    }

    /// The session as it is now.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Checks the step.
    pub fn check(&self) {
        self.order(Order::Check);
    }

    /// Opens the next hint.
    pub fn hint(&self) {
        self.order(Order::Hint);
    }

    /// Answers a question of the step.
    pub fn answer(&self, question: &str, choice: &str) {
        self.order(Order::Answer(question.into(), choice.into()));
    }

    /// Goes to the next step. Only from a step that is done.
    pub fn next(&self) {
        let view = self.view();
        if view.state(view.at).is_done() && view.at + 1 < view.lab.steps.len() {
            self.order(Order::Go(view.at + 1));
        }
    }

    /// Goes back to the step before.
    pub fn back(&self) {
        if let Some(at) = self.view().at.checked_sub(1) {
            self.order(Order::Go(at));
        }
    }

    /// Goes to a step that is done, or to the first that is not.
    pub fn go(&self, step: usize) {
        let view = self.view();
        if step < view.lab.steps.len() && (0..step).all(|i| view.state(i).is_done()) {
            self.order(Order::Go(step));
        }
    }

    /// Begins the step anew: its answers, hints and marks are forgotten, and its setup runs.
    pub fn reset_step(&self) {
        self.cancel();
        self.order(Order::ResetStep);
    }

    /// Begins the lab anew. The old record is archived under its attempt's number.
    pub fn reset_lab(&self) {
        self.cancel();
        self.order(Order::ResetLab);
    }

    /// Shows how the step is done; it then gives no points.
    pub fn show(&self) {
        self.order(Order::Show);
    }

    /// Ends what runs just now.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Relaxed);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The worker is gone only if it panicked; then the view stays as it is.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cancel();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The session's thread.
struct Worker {
    view: View,
    stage: Arc<dyn Stage>,
    progress: Progress,
    shared: Arc<Shared>,
}

impl Worker {
    fn live(mut self, orders: &Receiver<Order>) {
        self.begin();
        while let Ok(order) = orders.recv() {
            self.shared.cancelled.store(false, Relaxed);
            match order {
                Order::Check => self.check(),
                Order::Hint => self.hint(),
                Order::Answer(question, choice) => self.answer(&question, choice),
                Order::Go(step) => {
                    self.view.at = step;
                    self.begin();
                }
                Order::ResetStep => {
                    self.progress.reset_step(&self.id());
                    self.begin();
                }
                Order::ResetLab => {
                    self.progress.reset();
                    self.view.at = 0;
                    self.begin();
                }
                Order::Show => self.show(),
            }
        }
    }

    fn id(&self) -> String {
        self.view.step().id.clone()
    }

    /// Publishes the view.
    fn publish(&mut self) {
        self.view.record = self.progress.record.clone();
        self.view.notice.clone_from(&self.progress.notice);
        *self.shared.view.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(self.view.clone());
        (self.shared.changed)();
    }

    fn phase(&mut self, phase: Phase) {
        self.view.phase = phase;
        self.publish();
    }

    fn eyes(&self) -> Eyes {
        let answers = self.progress.step(&self.id()).answers.into_iter().map(|(q, a)| (q, a.choice)).collect();
        Eyes {
            stage: self.stage.clone(),
            world: self.stage.world(),
            start: self.view.start.clone(),
            events: self.stage.events_since(self.view.start.seq),
            vars: self.view.vars.clone(),
            questions: self.view.step().predict.clone(),
            answers,
            cancelled: self.shared.cancelled.clone(),
        }
    }

    /// Prepares the present step.
    fn begin(&mut self) {
        let step = self.view.step().clone();
        self.progress.record.at = Some(step.id.clone());
        (self.view.mistake, self.view.truths) = (None, BTreeMap::new());
        self.view.probes = vec![Probe::Waiting; step.checks.len()];
        self.view.start = self.stage.world();
        self.phase(Phase::Preparing);
        let prepared = prepare(&self.view.lab, &step, &self.eyes(), self.view.lab.stage.speed);
        self.view.start = self.stage.world();
        if !self.progress.step(&step.id).state.is_done() {
            self.progress.note(&step.id, |record| record.state = State::Begun);
        }
        self.phase(match prepared {
            Ok(()) if self.progress.step(&step.id).state.is_done() => Phase::Passed,
            Ok(()) => Phase::Acting,
            Err(why) => Phase::Stuck(why),
        });
    }

    fn check(&mut self) {
        self.phase(Phase::Checking);
        let done = self.progress.step(&self.id()).state.is_done();
        let passed = self.probe();
        if self.shared.cancelled.load(Relaxed) {
            return self.phase(if done { Phase::Passed } else { Phase::Acting });
        }
        self.progress.note(&self.id(), |record| record.attempts += 1);
        if passed { self.pass(State::Passed) } else { self.fail() }
    }

    /// Looks with every check, publishing each finding. Whether all passed.
    fn probe(&mut self) -> bool {
        let step = self.view.step().clone();
        self.view.mistake = None;
        self.view.probes = vec![Probe::Waiting; step.checks.len()];
        let mut passed = true;
        for (i, check) in step.checks.iter().enumerate() {
            if self.shared.cancelled.load(Relaxed) {
                return false;
            }
            self.view.probes[i] = Probe::Looking;
            self.publish();
            let finding = check.look(&self.eyes());
            passed &= finding.passed;
            self.view.probes[i] = Probe::Found(finding);
            self.publish();
        }
        passed
    }

    fn pass(&mut self, state: State) {
        let eyes = self.eyes();
        let truths = self.view.step().predict.iter().filter_map(|q| Some((q.id.clone(), q.answer.find(&eyes)?)));
        self.view.truths = truths.collect();
        self.progress.note(&self.id(), |record| {
            record.state = if record.state.is_done() { record.state } else { state };
            record.passed_at.get_or_insert_with(progress::now);
        });
        self.phase(Phase::Passed);
    }

    fn fail(&mut self) {
        let eyes = self.eyes();
        self.view.mistake = recognized(self.view.step(), &eyes);
        self.phase(Phase::Acting);
    }

    fn hint(&mut self) {
        let most = self.view.step().hints.len();
        self.progress.note(&self.id(), |record| record.hints = (record.hints + 1).min(most));
        self.publish();
    }

    fn answer(&mut self, question: &str, choice: String) {
        if self.view.step().predict.iter().any(|q| q.id == question) {
            self.progress.answer(&self.id(), question, choice);
            let asked = self.view.step().checks.iter().position(|check| asks(check, question));
            if let Some(probe) = asked.and_then(|at| self.view.probes.get_mut(at)) {
                *probe = Probe::Waiting;
            }
            self.publish();
        }
    }

    /// Does the step from its beginning as the lab's own solution does.
    fn show(&mut self) {
        let step = self.view.step().clone();
        self.progress.reset_step(&step.id);
        self.begin();
        if self.view.phase != Phase::Acting {
            return;
        }
        self.phase(Phase::Showing);
        let eyes = self.eyes();
        let mut answers = Vec::new();
        let solved = act_all(&step.solve, &eyes, &mut |q, choice| answers.push((q.to_owned(), choice)));
        answers.into_iter().for_each(|(q, choice)| self.progress.answer(&step.id, &q, choice));
        match solved {
            Err(why) => self.phase(Phase::Stuck(why)),
            Ok(()) if self.probe() => self.pass(State::Shown),
            Ok(()) => self.fail(),
        }
    }
}

/// Brings the world to where a step begins: at the lab's speed, and by the step's setup unless it is ready already.
///
/// # Errors
/// What did not work, in one line.
pub(super) fn prepare(lab: &Lab, step: &Step, eyes: &Eyes, speed: f64) -> Result<(), String> {
    if lab.stage.nodes > 0 {
        if eyes.world.raft.nodes.len() < lab.stage.nodes {
            eyes.ask(Command::Nodes(lab.stage.nodes)).map_err(|why| format!("`nodes {}`: {why}", lab.stage.nodes))?;
        }
        eyes.ask(Command::Speed(speed)).map_err(|why| format!("`speed {speed}`: {why}"))?;
    }
    let now = eyes.now();
    let ready = !step.ready.is_empty() && step.ready.iter().all(|check| check.look(&now).passed);
    if ready { Ok(()) } else { act_all(&step.setup, eyes, &mut |_, _| {}) }
}

/// The message of the first known mistake that was made.
pub(super) fn recognized(step: &Step, eyes: &Eyes) -> Option<Message> {
    let mistake = step.mistakes.iter().find(|mistake| mistake.when.look(eyes).passed)?;
    Some(Message::new(&mistake.say))
}

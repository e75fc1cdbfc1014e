//! The machine does the labs.
//!
//! A lab is shipped only if a machine has shown of each step that it fails untouched, that it passes after its `solve`,
//! and that each listed mistake is answered with its own message. Every step is begun by its own setup, again and
//! again, so that "reset the step" is proved as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::action::{Action, act_all};
use super::check::{Eyes, Finding, Kind};
use super::course::{Lab, Options, Step};
use super::session::{prepare, recognized};
use super::stage::Stage;
use super::text::Lang;
use super::vars;

/// One thing that was to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The step.
    pub step: String,
    /// What was tried: `untouched`, `solve`, or the key of a mistake.
    pub case: String,
    /// Why it did not come out as it should, if it did not.
    pub failed: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Proves a lab on a stage; calls `said` after each proof. `only` restricts it to one step. Gives whether all came out.
pub fn prove(
    lab: &Arc<Lab>,
    stage: &Arc<dyn Stage>,
    seed: u64,
    only: Option<&str>,
    said: &mut dyn FnMut(Proof),
) -> bool {
    let mut good = true;
    for step in lab.steps.iter().filter(|step| only.is_none_or(|id| step.id == id)) {
        let run = Run { lab, step, stage, seed };
        let mistakes = step.mistakes.iter().enumerate().filter(|(_, m)| !m.make.is_empty());
        let cases = std::iter::once(Case::Untouched).chain(mistakes.map(|(i, _)| Case::Mistake(i)));
        for case in cases.chain([Case::Solve]) {
            let started = Instant::now();
            let failed = run.case(case).err();
            good &= failed.is_none();
            said(Proof { step: step.id.clone(), case: case.name(step), failed, took: started.elapsed() });
        }
    }
    good
}

#[derive(Clone, Copy)]
enum Case {
    Untouched,
    Mistake(usize),
    Solve,
}

impl Case {
    fn name(self, step: &Step) -> String {
        match self {
            Self::Untouched => "untouched".into(),
            Self::Mistake(i) => step.mistakes[i].say.clone(),
            Self::Solve => "solve".into(),
        }
    }
}

struct Run<'a> {
    lab: &'a Arc<Lab>,
    step: &'a Step,
    stage: &'a Arc<dyn Stage>,
    seed: u64,
}

impl Run<'_> {
    fn case(&self, case: Case) -> Result<(), String> {
        let mut eyes = self.eyes();
        prepare(self.lab, self.step, &eyes, self.lab.stage.test_speed).map_err(|why| format!("setup: {why}"))?;
        eyes = self.eyes();
        match case {
            Case::Untouched => self.untouched(&eyes),
            Case::Mistake(i) => {
                let mistake = &self.step.mistakes[i];
                self.act(&mut eyes, &mistake.make)?;
                self.answered(&eyes, &mistake.say)
            }
            Case::Solve => {
                self.act(&mut eyes, &self.step.solve)?;
                self.passes(&eyes)
            }
        }
    }

    /// Eyes for a step that begins now.
    fn eyes(&self) -> Eyes {
        let world = self.stage.world();
        Eyes {
            stage: self.stage.clone(),
            start: world.clone(),
            world,
            events: Vec::new(),
            vars: vars::pick(&self.lab.vars, &self.lab.id, self.seed),
            questions: self.step.predict.clone(),
            answers: BTreeMap::new(),
            cancelled: Arc::new(AtomicBool::new(false)),
        }
    }

    fn act(&self, eyes: &mut Eyes, actions: &[Action]) -> Result<(), String> {
        let mut answers = BTreeMap::new();
        act_all(actions, eyes, &mut |question, choice| drop(answers.insert(question.to_owned(), choice)))?;
        eyes.answers = answers;
        eyes.questions.iter().try_for_each(|question| match (eyes.answers.get(&question.id), &question.options) {
            (Some(given), Options::These(these)) if these.iter().all(|(choice, _)| choice != given) => {
                Err(format!("`{given}` cannot be chosen in the question `{}`", question.id))
            }
            _ => Ok(()),
        })
    }

    /// A check that is not about an answer fails (any check, if there is none but those).
    fn untouched(&self, eyes: &Eyes) -> Result<(), String> {
        let eyes = eyes.now();
        let asks = |kind: &Kind| matches!(kind, Kind::Predicted(_));
        let all_ask = self.step.checks.iter().all(|check| asks(&check.kind));
        let mut acting = self.step.checks.iter().filter(|check| all_ask || !asks(&check.kind));
        match acting.any(|check| !check.look(&eyes).passed) {
            true => Ok(()),
            false => Err("passes although nothing was done".into()),
        }
    }

    fn answered(&self, eyes: &Eyes, say: &str) -> Result<(), String> {
        settled(eyes, |eyes| {
            if self.step.checks.iter().all(|check| check.look(eyes).passed) {
                return Err("passes in spite of the mistake".into());
            }
            match recognized(self.step, eyes) {
                Some(message) if message.key == say => Ok(()),
                Some(message) => Err(format!("is answered with `{}`", message.key)),
                None => Err(format!("is not recognized; {}", self.wanted(eyes, say))),
            }
        })
    }

    fn passes(&self, eyes: &Eyes) -> Result<(), String> {
        self.step.checks.iter().enumerate().try_for_each(|(i, check)| {
            settled(eyes, |eyes| match check.look(eyes) {
                finding if finding.passed => Ok(()),
                finding => Err(format!("check {} ({}) fails: {}", i + 1, check.kind.name(), self.words(&finding))),
            })
        })
    }

    /// What the mistake's own condition saw.
    fn wanted(&self, eyes: &Eyes, say: &str) -> String {
        let mistake = self.step.mistakes.iter().find(|mistake| mistake.say == say);
        mistake.map_or(String::new(), |mistake| self.words(&mistake.when.look(eyes)))
    }

    fn words(&self, finding: &Finding) -> String {
        let say = |message| self.lab.say(self.step, message, Lang::En);
        let truth = finding.saw.args.get("truth").map_or(String::new(), |truth| format!(" It was {truth}."));
        format!("hoped: {} saw: {}{truth}", say(&finding.hoped), say(&finding.saw))
    }
}

/// What happened is known a moment after it did. A student is no quicker than that, but a machine is.
const MOMENT: Duration = Duration::from_secs(5);

/// Tries until it comes out, woken by what happens, for at most a [`MOMENT`].
fn settled(eyes: &Eyes, attempt: impl Fn(&Eyes) -> Result<(), String>) -> Result<(), String> {
    let deadline = Instant::now() + MOMENT;
    loop {
        let now = eyes.now();
        match attempt(&now) {
            Err(_) if Instant::now() < deadline => now.stage.changed(now.world.seq, deadline),
            outcome => return outcome,
        };
    }
}

//! The real course behind the screen's window: `lab`'s course, sessions and progress, as plain values in one language.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::lab::live::Live;
use crate::lab::session::{Phase, Probe as Looked, QuestionLine};
use crate::lab::stage::{Shelled, Stage};
use crate::lab::{Course, Lang, Picture, Progress, Session, View, progress};
use crate::tui::action::Wish;
use crate::tui::guide::{Busy, Card, Check, Guide, Probe, Question};
use crate::tui::host::Host;
use crate::tui::panes::PaneId;
use crate::world::{Command, Event, World};

use super::{Changed, Lesson, Tutor};

/// The course and where its progress is kept.
pub struct School {
    course: Course,
    folder: PathBuf,
    host: Arc<dyn Host>,
}

impl School {
    /// The labs of the environment, with the progress of this person.
    ///
    /// # Errors
    /// One line: which lab file is invalid, and where.
    pub fn open(host: Arc<dyn Host>) -> Result<Self, String> {
        let course = Course::of_environment().map_err(|bad| bad.to_string())?;
        Ok(Self { course, folder: progress::folder(), host })
    }
}

impl Tutor for School {
    fn cards(&self, language: &str) -> Vec<Card> {
        let language = Lang::from_tag(language);
        let card = |lab: &Arc<crate::lab::Lab>| {
            let progress = Progress::open(&self.folder, &lab.id);
            Card {
                id: lab.id.clone(),
                title: lab.title.get(language).into(),
                about: lab.about.get(language).into(),
                done: lab.steps.iter().filter(|step| progress.step(&step.id).state.is_done()).count(),
                steps: lab.steps.len(),
            }
        };
        self.course.labs.iter().map(card).collect()
    }

    fn open(&self, lab: &str, socket: &Path, changed: Changed) -> Result<Box<dyn Lesson>, String> {
        let found = self.course.lab(lab).ok_or_else(|| format!("there is no lab `{lab}`"))?;
        let live = Live::connect(socket, "check").map_err(|e| format!("the lab's world cannot be watched: {e}"))?;
        let stage = Arc::new(Outside { live, inside: self.host.shell(lab) });
        let progress = Progress::open(&self.folder, lab);
        Ok(Box::new(Open(Session::open(Arc::clone(found), stage, progress, changed))))
    }

    fn forget(&self, lab: &str) {
        Progress::open(&self.folder, lab).reset();
    }
}

/// A stage seen from outside of the world: shell lines must first go in.
struct Outside {
    live: Live,
    inside: Vec<OsString>,
}

impl Stage for Outside {
    fn run(&self, command: Command) -> Result<Value, String> {
        self.live.run(command)
    }

    fn world(&self) -> Arc<World> {
        self.live.world()
    }

    fn events_since(&self, seq: u64) -> Vec<Arc<Event>> {
        self.live.events_since(seq)
    }

    fn changed(&self, seq: u64, deadline: std::time::Instant) -> bool {
        self.live.changed(seq, deadline)
    }

    fn shell(&self, line: &str, limit: Duration) -> Result<Shelled, String> {
        let words: Vec<String> = self.inside.iter().map(|w| quoted(&w.to_string_lossy())).collect();
        self.live.shell(&format!("exec {} sh -c {}", words.join(" "), quoted(line)), limit)
    }
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A lab's session.
struct Open(Session);

impl Lesson for Open {
    fn guide(&self, language: &str) -> Guide {
        guide(&self.0.view(), Lang::from_tag(language))
    }

    fn wish(&self, wish: Wish) {
        match wish {
            Wish::Check => self.0.check(),
            Wish::Cancel => self.0.cancel(),
            Wish::Hint => self.0.hint(),
            Wish::Next => self.0.next(),
            Wish::Undo => self.0.reset_step(),
            Wish::Reset => self.0.reset_lab(),
            Wish::Solve => self.0.show(),
            Wish::Answer(question, choice) => self.answer(question, choice),
        }
    }
}

impl Open {
    fn answer(&self, question: usize, choice: usize) {
        let view = self.0.view();
        let questions = view.questions(Lang::En);
        let Some(asked) = questions.get(question) else { return };
        if let Some((choice, _)) = asked.choices.get(choice) {
            self.0.answer(&asked.id, choice);
        }
    }
}

fn guide(view: &View, language: Lang) -> Guide {
    let hints = view.hints(language);
    let passed = view.state(view.at).is_done();
    Guide {
        lab: view.lab.title.get(language).into(),
        picture: view.lab.picture.map(pane),
        step: view.at + 1,
        steps: view.lab.steps.len(),
        done: (0..view.lab.steps.len()).filter(|i| view.state(*i).is_done()).count(),
        title: view.title(language),
        text: view.goal(language),
        goal: String::new(),
        hints_left: view.step().hints.len().saturating_sub(hints.len()),
        hints,
        questions: view.questions(language).into_iter().map(question).collect(),
        check: check(view, language),
        passed,
        debrief: view.debrief(language).unwrap_or_default(),
        busy: match &view.phase {
            Phase::Preparing => Busy::Preparing,
            Phase::Showing => Busy::Showing,
            Phase::Stuck(why) => Busy::Stuck(why.clone()),
            Phase::Acting | Phase::Checking | Phase::Passed => Busy::No,
        },
        notice: view.notice.clone().unwrap_or_default(),
    }
}

fn pane(picture: Picture) -> PaneId {
    match picture {
        Picture::Cluster => PaneId::Cluster,
        Picture::Union => PaneId::Union,
        Picture::Volume => PaneId::Volume,
        Picture::Container => PaneId::Container,
    }
}

fn question(line: QuestionLine) -> Question {
    let index = |choice: &String| line.choices.iter().position(|(c, _)| c == choice);
    let truth = line.truth.as_ref().map(|t| index(t).map_or(t.clone(), |i| line.choices[i].1.clone()));
    Question {
        chosen: line.chosen.as_ref().and_then(index),
        right: line.truth.as_ref().and_then(|t| Some(line.chosen.as_ref()? == t)),
        missed: line.missed,
        truth: truth.unwrap_or_default(),
        ask: line.ask,
        choices: line.choices.into_iter().map(|(_, text)| text).collect(),
        because: line.because,
    }
}

fn check(view: &View, language: Lang) -> Check {
    let probe = |line: crate::lab::session::ProbeLine| Probe {
        hope: line.hoped,
        saw: line.saw,
        look: line.look,
        held: line.passed,
    };
    let probes: Vec<Probe> = view.probes(language).into_iter().map(probe).filter(|p| p.held.is_some()).collect();
    if view.phase == Phase::Checking {
        return Check::Running(probes);
    }
    if !view.probes.iter().any(|p| matches!(p, Looked::Found(_))) {
        return Check::Never;
    }
    let passed = probes.len() == view.probes.len() && probes.iter().all(|p| p.held == Some(true));
    Check::Ended { passed, probes, say: view.mistake(language).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{School, Tutor, quoted};
    use crate::lab::{Course, Lang};
    use crate::tui::host::Host;

    struct Nobody;

    impl Host for Nobody {
        fn open(&self, _: &str) -> Result<std::path::PathBuf, String> {
            Err("no world".into())
        }
        fn shell(&self, _: &str) -> Vec<std::ffi::OsString> {
            Vec::new()
        }
        fn reset(&self, _: &str) -> Result<(), String> {
            Ok(())
        }
    }

    /// The list shows every lab of the course with its own words, and nothing done in a fresh folder.
    #[test]
    fn the_cards_are_the_courses() {
        let folder = tempfile::tempdir().expect("a folder");
        let school = School { course: Course::built_in(), folder: folder.path().into(), host: Arc::new(Nobody) };
        let cards = school.cards("zh-CN");
        assert_eq!(cards.len(), school.course.labs.len());
        for (card, lab) in cards.iter().zip(&school.course.labs) {
            assert_eq!((card.title.as_str(), card.done), (lab.title.get(Lang::ZhCn), 0));
            assert_eq!(card.steps, lab.steps.len());
        }
    }

    /// A line of shell goes in whole, quotes and all.
    #[test]
    fn a_line_is_one_word() {
        assert_eq!(quoted("echo 'a b'"), r"'echo '\''a b'\'''");
    }
}

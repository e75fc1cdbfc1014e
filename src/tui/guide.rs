//! What the guide and the list of labs show: plain values, made by the course ([`super::tutor::Tutor`]) in the person's language.

use super::panes::PaneId;

/// One lab in the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Card {
    /// The lab's id: `raft-election`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// One or two sentences about it.
    pub about: String,
    /// How many steps are passed.
    pub done: usize,
    /// How many steps there are.
    pub steps: usize,
}

/// The lab's current step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guide {
    /// The lab's title.
    pub lab: String,
    /// The pane that the lab is about.
    pub picture: Option<PaneId>,
    /// Which step this is, from 1; 0 while the lab is not open yet.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// How many steps are passed.
    pub done: usize,
    /// The step's title.
    pub title: String,
    /// What is told in this step, in Markdown.
    pub text: String,
    /// What is to be reached.
    pub goal: String,
    /// Hints shown so far, in Markdown.
    pub hints: Vec<String>,
    /// How many more there are.
    pub hints_left: usize,
    /// Questions of the step.
    pub questions: Vec<Question>,
    /// The last check.
    pub check: Check,
    /// Whether the step is passed.
    pub passed: bool,
    /// What is said after passing, in Markdown.
    pub debrief: String,
    /// What the course does at the moment.
    pub busy: Busy,
    /// Something about the progress that should be read; empty if nothing.
    pub notice: String,
}

/// What the course does at the moment, besides checking.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Busy {
    /// Nothing: it is the person's turn.
    #[default]
    No,
    /// It brings the world to where the step begins.
    Preparing,
    /// It shows how the step is done.
    Showing,
    /// It could not; why, in one line.
    Stuck(String),
}

/// A check's state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Check {
    /// None was made in this step.
    #[default]
    Never,
    /// It runs; the probes that have an outcome.
    Running(Vec<Probe>),
    /// It ended.
    Ended {
        /// Whether the step is passed.
        passed: bool,
        /// Each probe.
        probes: Vec<Probe>,
        /// The mistake that was recognized, in Markdown; empty if none.
        say: String,
    },
}

/// One thing that a check looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// What was hoped for.
    pub hope: String,
    /// What was seen; empty while it is not known.
    pub saw: String,
    /// Where to look; empty while it is not known.
    pub look: String,
    /// Whether it held; `None` while it is not known.
    pub held: Option<bool>,
}

/// A question that is answered before it is tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The question.
    pub ask: String,
    /// The choices.
    pub choices: Vec<String>,
    /// The chosen one, from 0.
    pub chosen: Option<usize>,
    /// Whether the last check saw it come out otherwise; then it may be answered anew.
    pub missed: bool,
    /// Whether it was right, once that is known.
    pub right: Option<bool>,
    /// What happened, as a choice in words, once that is known.
    pub truth: String,
    /// Why, once that is known; Markdown.
    pub because: String,
}

impl Guide {
    /// The first question without an answer.
    pub fn open_question(&self) -> Option<usize> {
        self.questions.iter().position(|q| q.chosen.is_none())
    }

    /// The question that may be answered now: the first without an answer, else the first that came out otherwise.
    pub fn question_to_answer(&self) -> Option<usize> {
        self.open_question().or_else(|| self.questions.iter().position(|q| q.missed))
    }
}

//! The course: labs, their steps, and the words for them.
//!
//! A [`Course`] is read from a folder with one folder a lab, or is the one that is built into the program. Everything
//! here is a value without life; [`super::session`] gives a lab its life.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::action::Action;
use super::check::Check;
use super::fact::Fact;
use super::file::{self, Bad, Source};
use super::text::{Lang, Message, Text};
use super::vars::Choice;

/// The labs that are built in.
pub(super) static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/labs");

/// Labs in their order, and the texts that all of them share.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// The labs.
    pub labs: Vec<Arc<Lab>>,
}

/// A lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Lab {
    /// The name of its folder.
    pub id: String,
    /// Its place in the course.
    pub order: u32,
    /// What it is called.
    pub title: Text,
    /// What it is about, in Markdown.
    pub about: Text,
    /// The world that it needs.
    pub stage: StageNeeds,
    /// The picture that it is about, shown from the beginning on; without one it is whatever has something to show.
    pub picture: Option<Picture>,
    /// The student's own names and numbers.
    pub vars: BTreeMap<String, Choice>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The texts of the check kinds, by key.
    pub words: Arc<BTreeMap<String, Text>>,
}

/// What a lab is about, as a picture on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Picture {
    Cluster,
    Union,
    Volume,
    Container,
}

/// The world that a lab needs.
#[derive(Debug, Clone, PartialEq)]
pub struct StageNeeds {
    /// How many Raft nodes.
    pub nodes: usize,
    /// The speed of the world's clocks while a student works.
    pub speed: f64,
    /// Their speed while a machine proves the lab.
    pub test_speed: f64,
}

/// A step of a lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name within the lab.
    pub id: String,
    /// What it is called.
    pub title: Text,
    /// What to do and where to look, in Markdown.
    pub goal: Text,
    /// Three hints, each telling more than the one before.
    pub hints: Vec<Text>,
    /// What it meant, in Markdown; shown when the step is passed.
    pub debrief: Text,
    /// The step's own texts, by key.
    pub says: BTreeMap<String, Text>,
    /// What it is worth.
    pub points: u32,
    /// If these pass already, the step begins without its setup.
    pub ready: Vec<Check>,
    /// Brings the world to where the step begins, from anywhere.
    pub setup: Vec<Action>,
    /// The questions to answer before acting.
    pub predict: Arc<Vec<Question>>,
    /// What must be so in the end.
    pub checks: Vec<Check>,
    /// Known mistakes.
    pub mistakes: Vec<Mistake>,
    /// How a machine does the step.
    pub solve: Vec<Action>,
}

/// A question whose answer is read from the student's own run.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its name within the step.
    pub id: String,
    /// The question, in Markdown.
    pub ask: Text,
    /// What may be chosen.
    pub options: Options,
    /// Why the right answer is right, in Markdown; shown when the step is passed.
    pub because: Text,
    /// Where the answer is found.
    pub answer: Fact,
}

/// What may be chosen.
#[derive(Debug, Clone, PartialEq)]
pub enum Options {
    /// One of the Raft nodes.
    Nodes,
    /// One of these: (choice, its text; an empty text shows the choice itself).
    These(Vec<(String, Text)>),
}

/// A mistake that students make.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// How it is recognized.
    pub when: Check,
    /// The key of the step's text that answers it.
    pub say: String,
    /// How a machine makes the mistake.
    pub make: Vec<Action>,
}

impl Course {
    /// The labs that are built in.
    ///
    /// # Panics
    /// If a built-in lab is invalid; a test reads them all.
    pub fn built_in() -> Self {
        Self::read(&Source::BuiltIn(&BUILT_IN)).unwrap_or_else(|bad| panic!("{bad}"))
    }

    /// The labs of a folder.
    ///
    /// # Errors
    /// [`Bad`]: what is wrong with the first lab that is not as it should be, and where.
    pub fn from_folder(folder: &Path) -> Result<Self, Bad> {
        Self::read(&Source::Folder(folder.into()))
    }

    /// The labs of the folder that `TERRARIUM_LABS` names, or else the built-in ones.
    ///
    /// # Errors
    /// As of [`Course::from_folder`].
    pub fn of_environment() -> Result<Self, Bad> {
        std::env::var_os("TERRARIUM_LABS")
            .map_or_else(|| Ok(Self::built_in()), |folder| Self::from_folder(&PathBuf::from(folder)))
    }

    fn read(source: &Source) -> Result<Self, Bad> {
        let words = Arc::new(file::words(source)?);
        let mut labs = source
            .labs()
            .iter()
            .map(|id| file::lab(source, id, &words).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        labs.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        Ok(Self { labs })
    }

    /// The lab with this id.
    pub fn lab(&self, id: &str) -> Option<&Arc<Lab>> {
        self.labs.iter().find(|lab| lab.id == id)
    }
}

impl Lab {
    /// The lab in a folder of its own, with the texts of the check kinds beside the folder or else the built-in ones.
    ///
    /// # Errors
    /// [`Bad`].
    pub fn from_folder(folder: &Path) -> Result<Self, Bad> {
        let source = Source::Folder(folder.parent().unwrap_or(Path::new(".")).into());
        let id = folder.file_name().unwrap_or_default().to_string_lossy();
        file::lab(&source, &id, &Arc::new(file::words(&source)?))
    }

    /// What all its steps are worth.
    pub fn points(&self) -> u32 {
        self.steps.iter().map(|step| step.points).sum()
    }

    /// A message in words: the step's own text with that key, or else the check kinds'. A key may be a row of keys
    /// divided by `|`; the first that has a text counts. What has no text shows its key.
    pub fn say(&self, step: &Step, message: &Message, lang: Lang) -> String {
        let text = message.key.split('|').find_map(|key| step.says.get(key).or_else(|| self.words.get(key)));
        let text = text.map_or(message.key.as_str(), |text| text.get(lang));
        super::text::fill(text, &|name| message.args.get(name).cloned())
    }
}

impl Question {
    /// The choices with their texts, in the language.
    pub fn choices(&self, nodes: &[String], lang: Lang) -> Vec<(String, String)> {
        match &self.options {
            Options::Nodes => nodes.iter().map(|node| (node.clone(), node.clone())).collect(),
            Options::These(these) => these
                .iter()
                .map(|(choice, text)| {
                    let shown = text.get(lang);
                    (choice.clone(), if shown.is_empty() { choice.clone() } else { shown.into() })
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Course;
    use crate::lab::Lang;
    use crate::lab::file::missing_texts;

    /// The labs that are shipped can be read, and every text is there in every language.
    #[test]
    fn the_built_in_labs_are_whole() {
        let course = Course::built_in();
        assert!(!course.labs.is_empty());
        for lab in &course.labs {
            for lang in Lang::ALL {
                assert_eq!(missing_texts(lab, lang), Vec::<String>::new(), "{} in {}", lab.id, lang.tag());
            }
        }
    }

    /// A lab's marks add up to a hundred.
    #[test]
    fn a_lab_is_worth_a_hundred_points() {
        for lab in &Course::built_in().labs {
            assert_eq!(lab.points(), 100, "{}", lab.id);
        }
    }
}

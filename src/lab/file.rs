//! The files of a lab, read and put together.
//!
//! A lab's folder holds `lab.yaml` (what happens) and one file of texts a language (`zh-CN.yaml`, `en.yaml`); beside the
//! labs lie `checks.zh-CN.yaml` and `checks.en.yaml`, the texts of the check kinds. A file that is not as it should be
//! gives one [`Bad`]: file, line, column, what is wrong and what was expected. What a language lacks falls back to the
//! other one; [`missing_texts`] tells.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use include_dir::Dir;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::action::Action;
use super::check::{Check, Kind, Needs};
use super::course::{Lab, Mistake, Options, Picture, Question, StageNeeds, Step};
use super::fact::Fact;
use super::text::{Lang, Text};
use super::vars::Choice;

/// `:LINE:COLUMN`; nothing for a file as a whole.
fn place(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}:{column}") }
}

/// What is wrong with a lab file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {what}", place(*.line, *.column))]
pub struct Bad {
    /// The file, as it can be opened.
    pub file: String,
    /// The line, from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// The column, from 1; 0 if the line as a whole is meant.
    pub column: usize,
    /// What is wrong and what was expected.
    pub what: String,
}

/// Where the files are.
#[derive(Debug, Clone)]
pub enum Source {
    /// In the program.
    BuiltIn(&'static Dir<'static>),
    /// In a folder.
    Folder(PathBuf),
}

impl Source {
    /// The names of the folders that hold a lab, sorted.
    pub fn labs(&self) -> Vec<String> {
        let mut labs: Vec<String> = match self {
            Self::BuiltIn(dir) => dir.dirs().map(|d| d.path().display().to_string()).collect(),
            Self::Folder(folder) => std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
                .collect(),
        };
        labs.retain(|lab| self.read(&format!("{lab}/lab.yaml")).is_ok());
        labs.sort();
        labs
    }

    /// The file as it would be opened.
    fn name(&self, path: &str) -> String {
        match self {
            Self::BuiltIn(_) => format!("labs/{path}"),
            Self::Folder(folder) => folder.join(path).display().to_string(),
        }
    }

    fn read(&self, path: &str) -> Result<String, Bad> {
        let bad = |what: String| Bad { file: self.name(path), line: 0, column: 0, what };
        match self {
            Self::BuiltIn(dir) => {
                let text = dir.get_file(path).and_then(include_dir::File::contents_utf8);
                text.map(str::to_owned).ok_or_else(|| bad("the file is missing".into()))
            }
            Self::Folder(folder) => std::fs::read_to_string(folder.join(path)).map_err(|e| bad(e.to_string())),
        }
    }

    fn yaml<T: DeserializeOwned>(&self, path: &str) -> Result<(T, Origin), Bad> {
        let text = self.read(path)?;
        let origin = Origin { file: self.name(path), text };
        let value = serde_yaml::from_str(&origin.text).map_err(|e| origin.bad_yaml(&e))?;
        Ok((value, origin))
    }
}

/// A file that was read, kept to say where something stands in it.
struct Origin {
    file: String,
    text: String,
}

impl Origin {
    fn bad_yaml(&self, error: &serde_yaml::Error) -> Bad {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let said = error.to_string();
        let what = said.split(" at line ").next().unwrap_or(&said).to_owned();
        Bad { file: self.file.clone(), line, column, what }
    }

    /// A mistake at the line where `text` stands, as a whole value, after the line that names `step`.
    fn bad(&self, step: &str, text: &str, what: String) -> Bad {
        let lines = || self.text.lines().enumerate();
        let names_step = |line: &str| line.trim_start().trim_start_matches("- ") == format!("id: {step}");
        let start = lines().find(|(_, line)| names_step(line)).map_or(0, |(i, _)| i);
        let word = |line: &str| {
            line.match_indices(text).map(|(i, _)| i).find(|i| {
                let end = line[i + text.len()..].chars().next();
                let begin = line[..*i].chars().next_back();
                let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_');
                !joined(begin) && !joined(end)
            })
        };
        let at = lines().skip(start).find_map(|(i, line)| Some((i + 1, line[..word(line)?].chars().count() + 1)));
        let (line, column) = at.unwrap_or((start + 1, 1));
        Bad { file: self.file.clone(), line, column, what }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabFile {
    schema: u32,
    #[serde(default)]
    order: u32,
    world: WorldFile,
    picture: Option<Picture>,
    #[serde(default)]
    vars: BTreeMap<String, Choice>,
    steps: Vec<StepFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldFile {
    #[serde(default)]
    nodes: usize,
    #[serde(default = "full_speed")]
    speed: f64,
    #[serde(default = "full_speed")]
    test_speed: f64,
}

fn full_speed() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFile {
    id: String,
    points: u32,
    #[serde(default)]
    ready: Vec<Check>,
    #[serde(default)]
    setup: Vec<Action>,
    #[serde(default)]
    predict: Vec<QuestionFile>,
    checks: Vec<Check>,
    #[serde(default)]
    mistakes: Vec<MistakeFile>,
    solve: Vec<Action>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuestionFile {
    id: String,
    options: OptionsFile,
    answer: Fact,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`nodes` or a list of choices")]
enum OptionsFile {
    Word(NodesWord),
    These(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum NodesWord {
    Nodes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MistakeFile {
    when: Check,
    say: String,
    #[serde(default)]
    make: Vec<Action>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextsFile {
    title: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    steps: BTreeMap<String, StepTexts>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StepTexts {
    title: String,
    goal: String,
    hints: Vec<String>,
    debrief: String,
    says: BTreeMap<String, String>,
    predict: BTreeMap<String, QuestionTexts>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct QuestionTexts {
    ask: String,
    options: BTreeMap<String, String>,
    because: String,
}

/// The texts of the check kinds, by `kind.word`.
///
/// # Errors
/// [`Bad`].
pub fn words(source: &Source) -> Result<BTreeMap<String, Text>, Bad> {
    let mut words = BTreeMap::<String, Text>::new();
    for lang in Lang::ALL {
        type Kinds = BTreeMap<String, BTreeMap<String, String>>;
        let path = format!("checks.{}.yaml", lang.tag());
        // A folder of one's own need not repeat the texts that are built in.
        let (kinds, _) = match (source, source.read(&path)) {
            (Source::Folder(_), Err(_)) => Source::BuiltIn(&super::course::BUILT_IN).yaml::<Kinds>(&path)?,
            _ => source.yaml::<Kinds>(&path)?,
        };
        for (kind, texts) in kinds {
            for (word, text) in texts {
                words.entry(format!("{kind}.{word}")).or_default().set(lang, &text);
            }
        }
    }
    Ok(words)
}

/// The lab in the folder `id`.
///
/// # Errors
/// [`Bad`].
pub fn lab(source: &Source, id: &str, words: &Arc<BTreeMap<String, Text>>) -> Result<Lab, Bad> {
    let (written, origin) = source.yaml::<LabFile>(&format!("{id}/lab.yaml"))?;
    if written.schema != 1 {
        return Err(origin.bad("", "schema", format!("schema {} is not known, expected 1", written.schema)));
    }
    let WorldFile { nodes, speed, test_speed } = written.world;
    let mut lab = Lab {
        id: id.into(),
        order: written.order,
        title: Text::default(),
        about: Text::default(),
        stage: StageNeeds { nodes, speed, test_speed },
        picture: written.picture,
        vars: written.vars,
        steps: written.steps.into_iter().map(step).collect(),
        words: words.clone(),
    };
    examine(&lab, &origin)?;
    for lang in Lang::ALL {
        let (texts, origin) = source.yaml::<TextsFile>(&format!("{id}/{}.yaml", lang.tag()))?;
        translate(&mut lab, lang, texts, &origin)?;
    }
    complete(&lab, &origin)?;
    Ok(lab)
}

fn step(file: StepFile) -> Step {
    let question = |q: QuestionFile| Question {
        id: q.id,
        ask: Text::default(),
        options: match q.options {
            OptionsFile::Word(NodesWord::Nodes) => Options::Nodes,
            OptionsFile::These(these) => Options::These(these.into_iter().map(|o| (o, Text::default())).collect()),
        },
        because: Text::default(),
        answer: q.answer,
    };
    let mistake = |m: MistakeFile| Mistake { when: m.when, say: m.say, make: m.make };
    // Each question is checked, before all else, whether or not the lab says so.
    let asked = file.predict.iter().map(|q| Check { kind: Kind::Predicted(q.id.clone().into()), named: None });
    let checks: Vec<_> =
        asked.filter(|check| !file.checks.contains(check)).chain(file.checks.iter().cloned()).collect();
    Step {
        id: file.id,
        title: Text::default(),
        goal: Text::default(),
        hints: Vec::new(),
        debrief: Text::default(),
        says: BTreeMap::new(),
        points: file.points,
        ready: file.ready,
        setup: file.setup,
        predict: Arc::new(file.predict.into_iter().map(question).collect()),
        checks,
        mistakes: file.mistakes.into_iter().map(mistake).collect(),
        solve: file.solve,
    }
}

/// What a reader of one file alone cannot see: names that are used but not given, or given twice.
fn examine(lab: &Lab, origin: &Origin) -> Result<(), Bad> {
    if lab.steps.is_empty() {
        return Err(origin.bad("", "steps", "a lab needs at least one step".into()));
    }
    for (i, step) in lab.steps.iter().enumerate() {
        if lab.steps[..i].iter().any(|other| other.id == step.id) {
            return Err(origin.bad("", &step.id, format!("two steps are called `{}`", step.id)));
        }
        if step.checks.is_empty() {
            return Err(origin.bad(&step.id, "checks", "a step needs at least one check".into()));
        }
        let known: Vec<_> = step.predict.iter().map(|q| q.id.as_str()).collect();
        if let Some(odd) = needs(step).questions.iter().find(|q| !known.contains(&q.as_str())) {
            let what = format!("there is no question `{odd}` in this step, expected one of: {}", known.join(", "));
            return Err(origin.bad(&step.id, odd, what));
        }
    }
    Ok(())
}

fn needs(step: &Step) -> Needs {
    let mut needs = Needs::default();
    let made = step.mistakes.iter().flat_map(|m| &m.make);
    step.checks.iter().chain(&step.ready).for_each(|check| check.needs(&mut needs));
    step.setup.iter().chain(&step.solve).chain(made).for_each(|action| action.needs(&mut needs));
    for mistake in &step.mistakes {
        mistake.when.needs(&mut needs);
        needs.says.push(mistake.say.clone());
    }
    needs
}

/// Puts one language's texts into the lab.
fn translate(lab: &mut Lab, lang: Lang, texts: TextsFile, origin: &Origin) -> Result<(), Bad> {
    lab.title.set(lang, &texts.title);
    lab.about.set(lang, &texts.about);
    for (id, texts) in texts.steps {
        let known: Vec<_> = lab.steps.iter().map(|step| step.id.clone()).collect();
        let Some(step) = lab.steps.iter_mut().find(|step| step.id == id) else {
            return Err(origin.bad("", &id, format!("there is no step `{id}`, expected one of: {}", known.join(", "))));
        };
        step.title.set(lang, &texts.title);
        step.goal.set(lang, &texts.goal);
        step.debrief.set(lang, &texts.debrief);
        step.hints.resize(step.hints.len().max(texts.hints.len()), Text::default());
        step.hints.iter_mut().zip(&texts.hints).for_each(|(hint, text)| hint.set(lang, text));
        texts.says.iter().for_each(|(key, text)| step.says.entry(key.clone()).or_default().set(lang, text));
        translate_questions(step, lang, texts.predict, origin)?;
    }
    Ok(())
}

fn translate_questions(
    step: &mut Step,
    lang: Lang,
    mut texts: BTreeMap<String, QuestionTexts>,
    origin: &Origin,
) -> Result<(), Bad> {
    for question in Arc::make_mut(&mut step.predict) {
        let Some(mut text) = texts.remove(&question.id) else { continue };
        question.ask.set(lang, &text.ask);
        question.because.set(lang, &text.because);
        if let Options::These(these) = &mut question.options {
            for (choice, shown) in these {
                if let Some(text) = text.options.remove(choice) {
                    shown.set(lang, &text);
                }
            }
        }
        if let Some(odd) = text.options.keys().next() {
            return Err(origin.bad("", odd, format!("question `{}` has no choice `{odd}`", question.id)));
        }
    }
    match texts.keys().next() {
        Some(odd) => Err(origin.bad("", odd, format!("step `{}` has no question `{odd}`", step.id))),
        None => Ok(()),
    }
}

/// Every text that is needed is there in at least one language.
fn complete(lab: &Lab, origin: &Origin) -> Result<(), Bad> {
    for step in &lab.steps {
        let missing =
            |what: String| origin.bad("", &format!("id: {}", step.id), format!("step `{}` has no {what}", step.id));
        for (text, what) in [(&step.title, "title"), (&step.goal, "goal"), (&step.debrief, "debrief")] {
            if text.is_empty() {
                return Err(missing(format!("text `{what}` in any language")));
            }
        }
        if step.hints.len() != 3 {
            return Err(missing(format!("three hints, but {}", step.hints.len())));
        }
        if let Some(question) = step.predict.iter().find(|q| q.ask.is_empty()) {
            return Err(origin.bad(&step.id, &question.id, format!("question `{}` has no text `ask`", question.id)));
        }
        if let Some(key) = needs(step).says.iter().find(|key| !step.says.contains_key(*key)) {
            return Err(origin.bad(
                &step.id,
                key,
                format!("no language says `{key}` in the texts of step `{}`", step.id),
            ));
        }
    }
    Ok(())
}

/// What a lab lacks in a language, as paths of texts: `steps.meet.goal`.
pub fn missing_texts(lab: &Lab, lang: Lang) -> Vec<String> {
    let mut missing = Vec::new();
    let mut need = |text: &Text, path: String| {
        if !text.is_empty() && !text.has(lang) {
            missing.push(path);
        }
    };
    need(&lab.title, "title".into());
    need(&lab.about, "about".into());
    for step in &lab.steps {
        let at = |rest: &str| format!("steps.{}.{rest}", step.id);
        need(&step.title, at("title"));
        need(&step.goal, at("goal"));
        need(&step.debrief, at("debrief"));
        step.hints.iter().enumerate().for_each(|(i, hint)| need(hint, at(&format!("hints.{}", i + 1))));
        step.says.iter().for_each(|(key, text)| need(text, at(&format!("says.{key}"))));
        for question in step.predict.iter() {
            need(&question.ask, at(&format!("predict.{}.ask", question.id)));
            need(&question.because, at(&format!("predict.{}.because", question.id)));
            if let Options::These(these) = &question.options {
                these.iter().for_each(|(c, text)| need(text, at(&format!("predict.{}.options.{c}", question.id))));
            }
        }
    }
    missing
}

//! What stays of a student's work: which steps are passed, what was answered, how many hints it took.
//!
//! One JSON file a lab in the state directory (`$XDG_STATE_HOME/terrarium/progress`), written whole to a file beside it
//! and renamed over the old one, so that a crash leaves the old or the new and nothing between. A file that cannot be
//! read is set aside under a name of its own, with a notice; it is never overwritten. `student.json` holds the
//! student's seed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the files' form.
const VERSION: u32 = 1;

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not begun.
    #[default]
    New,
    /// Begun.
    Begun,
    /// Passed by the student.
    Passed,
    /// Passed, but the machine showed how: it gives no points.
    Shown,
}

impl State {
    /// Whether the step need not be done again.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Passed | Self::Shown)
    }
}

/// What is known of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepRecord {
    /// How far it is.
    pub state: State,
    /// How often it was checked.
    pub attempts: u32,
    /// How many hints were opened.
    pub hints: usize,
    /// Question → what was answered.
    pub answers: BTreeMap<String, Answered>,
    /// When it was passed, in seconds since the Unix epoch.
    pub passed_at: Option<u64>,
}

/// An answer to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The choice that counts now.
    pub choice: String,
    /// The choices before it, oldest first.
    #[serde(default)]
    pub before: Vec<String>,
}

/// What is known of one lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this form.
    pub version: u32,
    /// The lab's id.
    pub lab: String,
    /// How often the lab was begun anew, from 1.
    pub attempt: u32,
    /// The step that the student is at.
    pub at: Option<String>,
    /// Step → what is known.
    pub steps: BTreeMap<String, StepRecord>,
}

/// The progress in one lab, and where it is kept.
#[derive(Debug, Clone)]
pub struct Progress {
    /// What is known.
    pub record: Record,
    /// The student's seed.
    pub seed: u64,
    /// Something that the student should read: a damaged file was set aside, or nothing can be saved.
    pub notice: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Default, Serialize, Deserialize)]
struct Student {
    seed: u64,
}

/// `$XDG_STATE_HOME/terrarium/progress`, or `~/.local/state/terrarium/progress`.
pub fn folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    state.unwrap_or_else(|| "/tmp".into()).join("terrarium/progress")
}

/// The student's seed: the one in the folder, or a new one that is kept there.
pub fn student_seed(folder: &Path) -> u64 {
    let path = folder.join("student.json");
    if let Ok(Some(Student { seed })) = read(&path) {
        return seed;
    }
    let student = Student { seed: rand::random() };
    // A student without a state directory has a new seed each time; the progress's own notice says so.
    let _ = write(&path, &student);
    student.seed
}

/// How many steps of a lab are done, without touching the files.
pub fn peek(folder: &Path, lab: &super::Lab) -> usize {
    let record = read::<Record>(&folder.join(format!("{}.json", lab.id))).ok().flatten().unwrap_or_default();
    let done = |step: &&super::Step| record.steps.get(&step.id).is_some_and(|r| r.state.is_done());
    lab.steps.iter().filter(done).count()
}

impl Progress {
    /// The progress in the lab `lab`, kept in `folder`. Never fails: what is damaged is set aside, and what cannot be
    /// kept is held in memory; the notice says so.
    pub fn open(folder: &Path, lab: &str) -> Self {
        let path = folder.join(format!("{lab}.json"));
        let seed = student_seed(folder);
        let (record, notice) = match read::<Record>(&path) {
            Ok(Some(record)) if record.version == VERSION => (record, None),
            Ok(None) => (Record::default(), None),
            Ok(Some(record)) => aside(&path, &format!("version {} is not known", record.version)),
            Err(why) => aside(&path, &why.to_string()),
        };
        Self {
            record: Record { version: VERSION, lab: lab.into(), attempt: record.attempt.max(1), ..record },
            seed,
            notice,
            path: Some(path),
        }
    }

    /// Progress that is not kept anywhere.
    pub fn in_memory(lab: &str, seed: u64) -> Self {
        let record = Record { version: VERSION, lab: lab.into(), attempt: 1, ..Record::default() };
        Self { record, seed, notice: None, path: None }
    }

    /// What is known of a step.
    pub fn step(&self, id: &str) -> StepRecord {
        self.record.steps.get(id).cloned().unwrap_or_default()
    }

    /// Changes what is known of a step, and saves.
    pub fn note(&mut self, id: &str, change: impl FnOnce(&mut StepRecord)) {
        change(self.record.steps.entry(id.into()).or_default());
        self.save();
    }

    /// Notes an answer; the one before it is remembered.
    pub fn answer(&mut self, step: &str, question: &str, choice: String) {
        self.note(step, |record| {
            let answered = record.answers.entry(question.into()).or_default();
            if answered.choice != choice {
                let before = std::mem::replace(&mut answered.choice, choice);
                answered.before.extend(Some(before).filter(|b| !b.is_empty()));
            }
        });
    }

    /// Forgets a step, but for how often it was tried.
    pub fn reset_step(&mut self, id: &str) {
        self.note(id, |record| *record = StepRecord { attempts: record.attempts, ..StepRecord::default() });
    }

    /// Begins the lab anew under the next attempt's number. The old record stays beside the new one.
    pub fn reset(&mut self) {
        if let Some(path) = &self.path {
            let old = path.with_extension(format!("attempt-{}.json", self.record.attempt));
            let _ = write(&old, &self.record);
        }
        let (lab, attempt) = (self.record.lab.clone(), self.record.attempt + 1);
        self.record = Record { version: VERSION, lab, attempt, ..Record::default() };
        self.save();
    }

    /// Saves. A failure becomes the notice; the work goes on in memory.
    pub fn save(&mut self) {
        let Some(path) = &self.path else { return };
        if let Err(why) = write(path, &self.record) {
            self.notice = Some(format!("progress is not saved: {}: {why}", path.display()));
        }
    }
}

/// Seconds since the Unix epoch.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes beside the file and renames over it.
fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path).inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

/// Moves a file that cannot be read out of the way.
fn aside(path: &Path, why: &str) -> (Record, Option<String>) {
    let name = (1..).map(|n| path.with_extension(format!("damaged-{n}.json"))).find(|name| !name.exists());
    let name = name.unwrap_or_else(|| path.with_extension("damaged.json"));
    let notice = match std::fs::rename(path, &name) {
        Ok(()) => format!("the progress file could not be read ({why}); it is kept as {}", name.display()),
        Err(e) => format!("the progress file {} can be neither read ({why}) nor moved ({e})", path.display()),
    };
    (Record::default(), Some(notice))
}

#[cfg(test)]
mod tests {
    use super::{Progress, State};

    /// What was noted is there after a restart, at the same step, and the seed stays the student's own.
    #[test]
    fn progress_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut progress = Progress::open(folder.path(), "lab");
        let seed = progress.seed;
        progress.record.at = Some("two".into());
        progress.note("one", |record| (record.state, record.hints) = (State::Passed, 2));
        progress.answer("two", "who", "n1".into());
        progress.answer("two", "who", "n2".into());
        let again = Progress::open(folder.path(), "lab");
        assert_eq!((again.record.at.as_deref(), again.step("one").hints, again.seed), (Some("two"), 2, seed));
        assert_eq!(again.step("two").answers["who"].before, ["n1"]);
        assert_eq!(again.notice, None);
    }

    /// A damaged file is set aside with words; it is not lost and not in the way.
    #[test]
    fn a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lab.json"), "{\"version\":1,\"la").unwrap();
        let mut progress = Progress::open(folder.path(), "lab");
        assert!(progress.notice.as_ref().is_some_and(|n| n.contains("lab.damaged-1.json")), "{:?}", progress.notice);
        progress.note("one", |record| record.state = State::Begun);
        assert_eq!(Progress::open(folder.path(), "lab").step("one").state, State::Begun);
        let kept = std::fs::read_to_string(folder.path().join("lab.damaged-1.json")).unwrap();
        assert_eq!(kept, "{\"version\":1,\"la");
    }

    /// A reset counts a new attempt and archives the old one.
    #[test]
    fn a_reset_keeps_the_old_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let mut progress = Progress::open(folder.path(), "lab");
        progress.note("one", |record| record.state = State::Passed);
        progress.reset();
        assert_eq!((progress.record.attempt, progress.step("one").state), (2, State::New));
        assert!(folder.path().join("lab.attempt-1.json").exists());
    }
}

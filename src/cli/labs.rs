//! `terrarium lab …`: the course's own tools. (Inside a world the bare command `lab` is another thing: see [`super::lab`].)

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use clap::{Parser, Subcommand};
use serde_json::json;

use super::{fail, lab::is_inside};
use crate::lab::file::{Bad, missing_texts};
use crate::lab::live::Live;
use crate::lab::prove::{Proof, prove};
use crate::lab::{Course, Lab, Lang, Stage, progress, schema};
use crate::world::wire;

/// A lab file is invalid.
const INVALID: u8 = 4;
/// This machine cannot.
const CANNOT: u8 = 3;

/// The course's tools.
#[derive(Parser)]
#[command(
    name = "terrarium lab",
    before_help = "\
Examples:
  terrarium lab list                       the labs, and how far you are
  terrarium lab lint                       whether every lab file is as it should be
  terrarium lab lint my-course/partition   one lab of your own
  terrarium lab test                       the machine does every lab, and every known mistake
  terrarium lab schema > schema.json       for an editor"
)]
struct Args {
    #[command(subcommand)]
    what: What,
    /// A folder of labs instead of the built-in ones (also: TERRARIUM_LABS).
    #[arg(long, global = true, value_name = "FOLDER")]
    labs: Option<PathBuf>,
    /// For programs: JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// List the labs.
    List,
    /// Look for mistakes in lab files: a lab's folder or its lab.yaml; without one, every lab.
    Lint {
        /// A lab's folder, or its lab.yaml.
        file: Option<PathBuf>,
    },
    /// Let the machine do the labs: untouched each step fails, solved it passes, each mistake is recognized.
    Test {
        /// The lab's id; without one, every lab.
        lab: Option<String>,
        /// This step alone.
        #[arg(long)]
        step: Option<String>,
        /// The student's seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How often to do it all.
        #[arg(long, default_value_t = 1)]
        times: u32,
    },
    /// Print the JSON Schema of lab.yaml.
    Schema,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args = match super::parse::<Args>("terrarium lab", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    match &args.what {
        What::Schema => print(schema::TEXT),
        What::Lint { file: Some(file) } => lint_one(file, &args),
        _ => match course(args.labs.as_deref()) {
            Ok(course) => with_course(&args, &course),
            Err(bad) => invalid(&bad),
        },
    }
}

fn with_course(args: &Args, course: &Course) -> ExitCode {
    match &args.what {
        What::List => list(course, args.json),
        What::Lint { .. } => lint(&course.labs, args.json),
        What::Test { lab, .. } => match chosen(course, lab.as_deref()) {
            Ok(labs) => test(&labs, args),
            Err(reason) => fail("lab", &reason, 2),
        },
        What::Schema => ExitCode::SUCCESS,
    }
}

fn course(folder: Option<&Path>) -> Result<Course, Bad> {
    folder.map_or_else(Course::of_environment, Course::from_folder)
}

fn chosen(course: &Course, id: Option<&str>) -> Result<Vec<Arc<Lab>>, String> {
    let Some(id) = id else { return Ok(course.labs.clone()) };
    let known: Vec<_> = course.labs.iter().map(|lab| lab.id.as_str()).collect();
    let lab = course.lab(id).ok_or_else(|| format!("there is no lab `{id}`; there are: {}", known.join(", ")))?;
    Ok(vec![lab.clone()])
}

fn print(text: &str) -> ExitCode {
    // Whoever closed the pipe has read enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn invalid(bad: &Bad) -> ExitCode {
    eprintln!("{bad}");
    ExitCode::from(INVALID)
}

fn language() -> Lang {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Lang::from_tag(&set("LC_ALL").or_else(|| set("LC_MESSAGES")).or_else(|| set("LANG")).unwrap_or_default())
}

fn list(course: &Course, as_json: bool) -> ExitCode {
    let folder = progress::folder();
    let (lang, mut text, mut rows) = (language(), String::new(), Vec::new());
    for lab in &course.labs {
        let done = progress::peek(&folder, lab);
        let (steps, title) = (lab.steps.len(), lab.title.get(lang));
        text += &format!("{:<28} {done:>2}/{steps:<2}  {title}\n", lab.id);
        rows.push(json!({"id": lab.id, "title": title, "steps": steps, "done": done, "points": lab.points()}));
    }
    if as_json { print(&format!("{:#}\n", json!({"schema": 1, "labs": rows}))) } else { print(&text) }
}

fn lint_one(file: &Path, args: &Args) -> ExitCode {
    if !file.exists() {
        return fail("lab lint", &format!("{}: no such file or folder", file.display()), INVALID);
    }
    let folder = if file.is_dir() { file } else { file.parent().unwrap_or(Path::new(".")) };
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.into());
    match Lab::from_folder(&folder) {
        Ok(lab) => lint(&[Arc::new(lab)], args.json),
        Err(bad) => invalid(&bad),
    }
}

/// What can be read is valid; what a language lacks is told, and fails no lab.
fn lint(labs: &[Arc<Lab>], as_json: bool) -> ExitCode {
    let (mut text, mut rows) = (String::new(), Vec::new());
    for lab in labs {
        let missing: Vec<_> = Lang::ALL.iter().map(|lang| (lang.tag(), missing_texts(lab, *lang))).collect();
        text += &format!("{}: ok, {} steps, {} points\n", lab.id, lab.steps.len(), lab.points());
        for (tag, paths) in &missing {
            paths.iter().for_each(|path| text += &format!("{}: {tag} lacks {path}\n", lab.id));
        }
        let lacks: serde_json::Map<_, _> = missing.into_iter().map(|(tag, paths)| (tag.into(), json!(paths))).collect();
        rows.push(json!({"id": lab.id, "steps": lab.steps.len(), "points": lab.points(), "missing": lacks}));
    }
    if as_json { print(&format!("{:#}\n", json!({"schema": 1, "labs": rows}))) } else { print(&text) }
}

/// Each lab in a world of its own, opened by `terrarium run` around this same command; inside, the proof itself.
fn test(labs: &[Arc<Lab>], args: &Args) -> ExitCode {
    let What::Test { step, seed, times, .. } = &args.what else { return ExitCode::SUCCESS };
    if is_inside() {
        return labs.iter().fold(ExitCode::SUCCESS, |code, lab| match inside(lab, step.as_deref(), *seed, args.json) {
            Ok(true) => code,
            Ok(false) => ExitCode::FAILURE,
            Err(reason) => fail("lab test", &reason, CANNOT),
        });
    }
    let mut worst = 0;
    for turn in 0..*times {
        for lab in labs {
            match outside(lab, step.as_deref(), seed + u64::from(turn), args) {
                Ok(code) => worst = worst.max(code),
                Err(reason) => return fail("lab test", &reason, CANNOT),
            }
        }
    }
    ExitCode::from(worst)
}

fn inside(lab: &Arc<Lab>, step: Option<&str>, seed: u64, as_json: bool) -> Result<bool, String> {
    let stage = Live::connect(&wire::socket_path(), "check").map_err(|e| format!("reaching the keeper: {e}"))?;
    let stage: Arc<dyn Stage> = Arc::new(stage);
    Ok(prove(lab, &stage, seed, step, &mut |proof| {
        print(&told(lab, &proof, as_json));
    }))
}

fn told(lab: &Lab, proof: &Proof, as_json: bool) -> String {
    let Proof { step, case, failed, took } = proof;
    let seconds = took.as_secs_f64();
    if as_json {
        return format!(
            "{}\n",
            json!({"lab": lab.id, "step": step, "case": case, "failed": failed, "seconds": seconds})
        );
    }
    let verdict = failed.as_ref().map_or("ok".into(), |why| format!("FAILED: {why}"));
    format!("{}/{step} {case}: {verdict} ({seconds:.1} s)\n", lab.id)
}

/// Opens a world in a folder of its own and runs this program in it. Gives its exit code.
fn outside(lab: &Lab, step: Option<&str>, seed: u64, args: &Args) -> Result<u8, String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let labs = args.labs.clone().or_else(|| std::env::var_os("TERRARIUM_LABS").map(PathBuf::from));
    let labs =
        labs.map(|folder| folder.canonicalize().map_err(|e| format!("{}: {e}", folder.display()))).transpose()?;
    let own = std::env::temp_dir().join(format!("terrarium-lab-test-{}", std::process::id()));
    // The folder that a world is opened in is the one that can be seen inside at its own path.
    let work = labs.clone().unwrap_or_else(|| own.clone());
    std::fs::create_dir_all(&own).map_err(|e| format!("{}: {e}", own.display()))?;
    let mut run = Command::new(exe);
    run.args(["run", "--seed", &seed.to_string(), "--", "terrarium", "lab", "test", &lab.id]).current_dir(&work);
    run.args(["--seed", &seed.to_string()]).stdin(Stdio::null());
    run.args(step.map(|step| format!("--step={step}")));
    if let Some(folder) = &labs {
        run.arg("--labs").arg(folder);
    }
    run.args(args.json.then_some("--json"));
    let status = run.status().map_err(|e| format!("opening a world: {e}"));
    let _ = std::fs::remove_dir(&own);
    Ok(status?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

//! A union mount: its live branches, and which of them serves a name. The mount itself is asked, not its history.

use serde::Deserialize;
use serde_json::Value;

use super::{Eyes, Finding, Look};
use crate::world::Command;

/// `union: {at: /mnt, branches: [/a=rw, /b=ro], options: [create=rr]}`: a union is mounted there and every part that is
/// given holds. A branch without `=PERMISSION` may have any.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Union {
    /// Where it is mounted.
    pub at: String,
    /// These are its branches, topmost first, and no others.
    #[serde(default)]
    pub branches: Option<Vec<String>>,
    /// These are among its branches.
    #[serde(default)]
    pub has: Vec<String>,
    /// These are not.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// These are among its options.
    #[serde(default)]
    pub options: Vec<String>,
}

impl Look for Union {
    fn look(&self, eyes: &Eyes) -> Finding {
        let at = eyes.fill(&self.at);
        let finding = match ask(eyes, &at, &["union"]) {
            Err(why) => Finding::new("union", false, "none").with("why", why),
            Ok(listing) => {
                let (live, options) = (live(&listing), listing["options"].as_str().unwrap_or_default().to_owned());
                let passed = self.fits(eyes, &live) && self.has_options(eyes, &options);
                Finding::new("union", passed, "saw").with("live", live.join(" : ")).with("live_options", options)
            }
        };
        finding.with("at", at).with("wanted", self.wanted(eyes))
    }
}

impl Union {
    fn fits(&self, eyes: &Eyes, live: &[String]) -> bool {
        let some = |wanted: &String| live.iter().any(|branch| is(branch, &eyes.fill(wanted)));
        let exactly = self.branches.as_ref().is_none_or(|wanted| {
            wanted.len() == live.len() && live.iter().zip(wanted).all(|(branch, wanted)| is(branch, &eyes.fill(wanted)))
        });
        exactly && self.has.iter().all(some) && !self.lacks.iter().any(some)
    }

    fn has_options(&self, eyes: &Eyes, live: &str) -> bool {
        // What stands behind a colon (`mfs:30`) matters only if it is asked for.
        let is = |option: &str, wanted: &str| option == wanted || option.split(':').next() == Some(wanted);
        self.options.iter().all(|wanted| live.split(',').any(|option| is(option, &eyes.fill(wanted))))
    }

    /// What is wanted, as it would be written after `-o`.
    fn wanted(&self, eyes: &Eyes) -> String {
        let join = |list: &[String]| list.iter().map(|word| eyes.fill(word)).collect::<Vec<_>>().join(" : ");
        let lacks: Vec<_> = self.lacks.iter().map(|branch| format!("≠ {branch}")).collect();
        let parts = [self.branches.as_deref().unwrap_or_default(), &self.has, &lacks, &self.options];
        parts.iter().filter(|part| !part.is_empty()).map(|part| join(part)).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a live branch (`/a=rw`) is the one wanted (`/a=rw`, or `/a` for any permission).
fn is(live: &str, wanted: &str) -> bool {
    live == wanted || live.rsplit_once('=').is_some_and(|(path, _)| path == wanted)
}

/// The branches as `PATH=PERMISSION`, topmost first.
fn live(listing: &Value) -> Vec<String> {
    let word = |branch: &Value, field: &str| branch[field].as_str().unwrap_or_default().to_owned();
    let branches = listing["branches"].as_array().into_iter().flatten();
    branches.map(|b| format!("{}={}", word(b, "path"), word(b, "permission"))).collect()
}

/// `served: {at: /mnt, path: /a/b, by: /branch}`: this branch serves the name in the union mounted there; with
/// `hidden: true`, none does.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// Where the union is mounted.
    pub at: String,
    /// The name, from the union's root.
    pub path: String,
    /// The branch that serves it.
    #[serde(default)]
    pub by: Option<String>,
    /// Whether no branch serves it.
    #[serde(default)]
    pub hidden: bool,
}

impl Look for Served {
    fn look(&self, eyes: &Eyes) -> Finding {
        let (at, path) = (eyes.fill(&self.at), eyes.fill(&self.path));
        let by = self.by.as_ref().map(|by| eyes.fill(by));
        let mut finding = match server(eyes, &at, &path) {
            Err(why) => Finding::new("served", false, "unknown").with("why", why),
            Ok(None) => Finding::new("served", self.hidden, "hidden"),
            Ok(Some(branch)) => {
                let passed = !self.hidden && by.as_ref().is_none_or(|by| *by == branch);
                Finding::new("served", passed, "saw").with("branch", branch)
            }
        };
        finding.hoped.key = if self.hidden { "served.hoped_hidden" } else { "served.hoped" }.into();
        finding.with("at", at).with("path", path).with("by", by.unwrap_or_default())
    }
}

/// The branch that serves `path` in the union at `at`; `None` if the name does not exist there.
///
/// # Errors
/// Why the union cannot be asked.
pub(in crate::lab) fn server(eyes: &Eyes, at: &str, path: &str) -> Result<Option<String>, String> {
    let story = ask(eyes, at, &["story", path])?;
    let Some(index) = story["served_by"].as_u64() else { return Ok(None) };
    let copies = story["copies"].as_array().into_iter().flatten();
    let path = |copy: &Value| copy["path"].as_str().map(str::to_owned);
    Ok(copies.filter(|copy| copy["branch"] == index).find_map(path))
}

fn ask(eyes: &Eyes, at: &str, words: &[&str]) -> Result<Value, String> {
    eyes.ask(Command::Ask(format!("mount:{at}"), words.iter().map(|word| (*word).to_owned()).collect()))
}

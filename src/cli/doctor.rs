//! `terrarium doctor`: what this machine can do, found out by doing it, and the one line that mends what it cannot.

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Parser;
use fluent_bundle::FluentValue;
use serde::Serialize;

use super::fail;
use crate::sandbox::{is_host_root, own_exe, probe};
use crate::tui::text::Texts;

/// Tell what this machine can do, and what would mend what it cannot.
#[derive(Parser)]
#[command(
    name = "terrarium doctor",
    before_help = "\
Examples:
  terrarium doctor
  terrarium doctor --json

Exit status: 0 if worlds open here, 3 if they do not."
)]
struct Args {
    /// The findings as one JSON object.
    #[arg(long)]
    json: bool,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// The verb.
pub fn main(args: &[OsString]) -> ExitCode {
    let args = match super::parse::<Args>("terrarium doctor", args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let texts = Texts::of_environment();
    let findings = examine(&texts);
    let works = findings.iter().all(|finding| finding.state != State::Fail);
    if args.json {
        super::say(&format!("{:#}\n", serde_json::json!({ "version": 1, "works": works, "checks": findings })));
    } else {
        super::say(&plain(&findings, &texts, works));
    }
    ExitCode::from(if works { 0 } else { 3 })
}

fn plain(findings: &[Finding], texts: &Texts, works: bool) -> String {
    let mut text = String::new();
    let name = |finding: &Finding| texts.get(&format!("doctor-{}", finding.name));
    let width = |word: &str| unicode_width::UnicodeWidthStr::width(word);
    let widest = findings.iter().map(|finding| width(&name(finding))).max().unwrap_or(0);
    for finding in findings {
        let (name, mark) = (
            name(finding),
            match finding.state {
                State::Ok => "+",
                State::Warn => "!",
                State::Fail => "x",
            },
        );
        let gap = " ".repeat(widest - width(&name));
        text += format!("{mark} {name}{gap}  {}", finding.detail).trim_end();
        text += "\n";
        for line in [&finding.cause, &finding.mend].into_iter().flatten() {
            text += &format!("    {line}\n");
        }
    }
    text + "\n" + &texts.get(if works { "doctor-all-well" } else { "doctor-raft-only" }) + "\n"
}

fn examine(texts: &Texts) -> Vec<Finding> {
    let mut findings = vec![kernel(texts)];
    findings.extend(probe::PROBES.iter().map(|name| probed(texts, name)));
    findings.push(ids(texts));
    findings.push(world(texts));
    findings.extend([terminal(texts), utf8(texts), colours(texts)]);
    findings
}

fn well(name: &'static str, detail: String) -> Finding {
    Finding { name, state: State::Ok, detail, cause: None, mend: None }
}

/// A finding with the cause and the mend of this name.
fn ill(name: &'static str, state: State, detail: String, texts: &Texts, why: &str, reason: &str) -> Finding {
    let reason = [("reason", FluentValue::from(reason))];
    let cause = texts.with(&format!("doctor-cause-{why}"), &reason);
    Finding { name, state, detail, cause: Some(cause), mend: Some(texts.get(&format!("doctor-mend-{why}"))) }
}

fn kernel(texts: &Texts) -> Finding {
    let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 12) { well("kernel", release) } else { ill("kernel", State::Fail, release, texts, "kernel", "") }
}

/// Runs one probe in a child; gives what it said, or its reason.
fn in_child(name: &str) -> Result<String, String> {
    let exe = own_exe().map_err(|e| e.to_string())?;
    let output = Command::new(exe).args(["probe", name]).output().map_err(|e| e.to_string())?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

fn probed(texts: &Texts, name: &&'static str) -> Finding {
    match (in_child(name), *name) {
        (Ok(_), "userns") if is_host_root() => well("userns", texts.get("doctor-detail-root")),
        (Ok(_), name) => well(name, String::new()),
        (Err(reason), "userns") => ill("userns", State::Fail, String::new(), texts, forbids(), &reason),
        (Err(_), "overlay") => ill("overlay", State::Warn, String::new(), texts, "overlay", ""),
        (Err(reason), "fuse") => ill("fuse", State::Warn, reason, texts, "fuse", ""),
        (Err(reason), name) => ill(name, State::Fail, String::new(), texts, "refused", &reason),
    }
}

fn forbids() -> &'static str {
    match probe::what_forbids() {
        probe::Forbids::AppArmor => "apparmor",
        probe::Forbids::CloneSysctl => "clone",
        probe::Forbids::MaxSysctl => "max",
        probe::Forbids::Seccomp => "seccomp",
        probe::Forbids::Unknown => "refused",
    }
}

fn ids(texts: &Texts) -> Finding {
    let count = in_child("userns").ok().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
    let detail = texts.with("doctor-detail-ids", &[("count", FluentValue::from(count.to_string()))]);
    if count > 1 { well("ids", detail) } else { ill("ids", State::Warn, detail, texts, "ids", "") }
}

/// Opens a whole world, for the parts may work and not the whole.
fn world(texts: &Texts) -> Finding {
    let begun = Instant::now();
    let tried = own_exe().map_err(|e| e.to_string()).and_then(|exe| {
        let dir = std::env::temp_dir().join(format!("terrarium-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        let output = Command::new(exe).args(["run", "--", "true"]).current_dir(&dir).output();
        let _ = std::fs::remove_dir(&dir);
        let output = output.map_err(|e| e.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_string()) }
    });
    let took = [("ms", FluentValue::from(begun.elapsed().as_millis().to_string()))];
    match tried {
        Ok(()) => well("world", texts.with("doctor-detail-took", &took)),
        Err(reason) => ill("world", State::Fail, String::new(), texts, "refused", &reason),
    }
}

fn terminal(texts: &Texts) -> Finding {
    let Ok((columns, rows)) = crossterm::terminal::size() else { return well("terminal", "-".into()) };
    let size = [("columns", FluentValue::from(columns.to_string())), ("rows", FluentValue::from(rows.to_string()))];
    let detail = texts.with("doctor-detail-size", &size);
    if columns >= 80 && rows >= 24 {
        well("terminal", detail)
    } else {
        ill("terminal", State::Warn, detail, texts, "terminal", "")
    }
}

fn utf8(texts: &Texts) -> Finding {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_else(|| "C".into());
    let is_utf8 = locale.to_lowercase().replace('-', "").contains("utf8");
    if is_utf8 { well("utf8", locale) } else { ill("utf8", State::Warn, locale, texts, "utf8", "") }
}

fn colours(texts: &Texts) -> Finding {
    let term = std::env::var("TERM").unwrap_or_default();
    let plain = matches!(term.as_str(), "" | "dumb" | "vt100" | "vt220");
    if plain { ill("colours", State::Warn, term, texts, "colours", "") } else { well("colours", term) }
}

/// `probe NAME`: does one thing for real.
pub fn probe(args: &[OsString]) -> ExitCode {
    let [name] = args else { return ExitCode::from(2) };
    match probe::run(&name.to_string_lossy()) {
        Ok(detail) => {
            println!("{detail}");
            ExitCode::SUCCESS
        }
        Err(error) => fail("probe", &error, 3),
    }
}

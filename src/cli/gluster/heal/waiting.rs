//! `volume heal V info` and `volume heal V split-brain`: a client of its own asks the bricks, as the real tool's `glfsheal`
//! does. So the answer needs the bricks and this server's manager alone.
//!
//! `info why` is terrarium's own: for each entry it says which copies are accused, and of what.

use std::fmt::Write as _;

use super::super::session::{Failure, Outcome, Session};
use super::super::xml::{Node, leaf, node, refused_first, result_first};
use super::HEAL;
use crate::volume::client::info::{BrickInfo, Resolution, Resolved, Unresolved, Waiting, heal_info, resolve as settle};
use crate::volume::client::manager::Source;
use crate::volume::definition::{Status, Volume};
use crate::volume::manager::disk::errno_text;
use crate::volume::xattr::Kind;

const FAILED: &str = "Volume heal failed.";

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Entries,
    Summary,
    SplitBrain,
    Why,
}

/// `volume heal V info [summary|split-brain|why]`.
///
/// # Errors
/// [`Failure`]; the exit codes are those of the real tool.
pub fn info(session: &Session, name: &str, words: &[&str]) -> Outcome {
    let form = match words {
        [] => Form::Entries,
        ["summary"] => Form::Summary,
        ["split-brain"] => Form::SplitBrain,
        ["why"] => Form::Why,
        _ => return Err(Failure::Usage(HEAL)),
    };
    let volume = healed_volume(session, name)?;
    let bricks = ask(session, &volume)?;
    if session.xml {
        print!("{}", result_first(element(&volume, &bricks, form)));
    } else {
        print!("{}", text(&bricks, form));
    }
    Ok(0)
}

/// The volume, if it is one that is healed and runs.
fn healed_volume(session: &Session, name: &str) -> Result<Volume, Failure> {
    let found = session.volumes(Some(name));
    let Some(volume) = found.as_ref().ok().and_then(|v| v.first().cloned()) else {
        return Err(refuse(session, &found.err().unwrap_or_default(), 254));
    };
    if !volume.is_replicated() {
        let why = format!(
            "This command is supported for only volumes of replicate/disperse type. Volume {name} is not of type replicate/disperse"
        );
        return Err(refuse(session, &why, 234));
    }
    if volume.status != Status::Started {
        return Err(no_volfile(session, name));
    }
    Ok(volume)
}

/// These refusals go to standard output, as the real tool's do.
fn refuse(session: &Session, why: &str, code: u8) -> Failure {
    if session.xml {
        print!("{}", refused_first(node("healInfo", vec![node("bricks", vec![])]), why));
    } else {
        println!("{why}\n{FAILED}");
    }
    Failure::Said(code)
}

fn no_volfile(session: &Session, name: &str) -> Failure {
    refuse(session, &format!("{name}: Not able to fetch volfile from glusterd"), 251)
}

fn source(session: &Session) -> Source {
    Source::Managers(vec![session.place.name.clone()])
}

fn ask(session: &Session, volume: &Volume) -> Result<Vec<BrickInfo>, Failure> {
    let bricks = heal_info(volume, &source(session), &session.place.name);
    let mut bricks = bricks.map_err(|e| Failure::text(format!("{}: {e}\n{FAILED}", volume.name)))?;
    for entries in bricks.iter_mut().filter_map(|b| b.entries.as_mut()) {
        entries.sort_by_key(Waiting::name);
        entries.iter_mut().flat_map(|e| &mut e.accused).for_each(|(client, _)| *client = brick_name(volume, client));
    }
    if bricks.iter().all(|b| b.entries.is_none()) { Err(no_volfile(session, &volume.name)) } else { Ok(bricks) }
}

/// `gv0-client-2` → `server3:/data/brick1/gv0`.
fn brick_name(volume: &Volume, client: &str) -> String {
    let brick = volume.bricks.iter().find(|b| volume.client_name(b) == client);
    brick.map_or_else(|| client.to_owned(), |b| b.name())
}

fn text(bricks: &[BrickInfo], form: Form) -> String {
    let mut out = String::new();
    for brick in bricks {
        let _ = writeln!(out, "Brick {}", brick.name);
        let entries = brick.entries.as_deref();
        let shown = entries.into_iter().flatten().filter(|e| form != Form::SplitBrain || e.split_brain);
        shown.filter(|_| form != Form::Summary).for_each(|entry| out += &line(entry, form));
        let status = if entries.is_some() { "Connected" } else { "Transport endpoint is not connected" };
        let _ = writeln!(out, "Status: {status}");
        for (label, count) in counts(entries, form) {
            let _ = writeln!(out, "{label}: {count}");
        }
        out.push('\n');
    }
    out
}

fn line(entry: &Waiting, form: Form) -> String {
    let name = entry.name();
    match form {
        Form::SplitBrain => format!("{name}\n"),
        _ if entry.split_brain => format!("{name} - Is in split-brain\n{}", accusations(entry, form)),
        _ if entry.healing => format!("{name} - Possibly undergoing heal\n{}", accusations(entry, form)),
        _ => format!("{name} \n{}", accusations(entry, form)),
    }
}

/// `    server3:/data/brick1/gv0 missed: data, metadata`.
fn accusations(entry: &Waiting, form: Form) -> String {
    if form != Form::Why {
        return String::new();
    }
    let mut accused: Vec<&str> = entry.accused.iter().map(|(brick, _)| brick.as_str()).collect();
    accused.sort_unstable();
    accused.dedup();
    let kinds = |brick: &str| {
        let of_it = entry.accused.iter().filter(|(b, _)| b == brick);
        of_it.map(|(_, kind)| label(*kind)).collect::<Vec<_>>().join(", ")
    };
    let lines = accused.iter().map(|brick| format!("    {brick} missed: {}\n", kinds(brick)));
    if accused.is_empty() { "    begun on every copy, ended on none (dirty)\n".into() } else { lines.collect() }
}

fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Data => "data",
        Kind::Metadata => "metadata",
        Kind::Entry => "entries",
    }
}

/// The figures below a brick's entries; `-` for a brick that is not connected.
fn counts(entries: Option<&[Waiting]>, form: Form) -> Vec<(&'static str, String)> {
    let count = |which: fn(&Waiting) -> bool| {
        entries.map_or("-".to_owned(), |all| all.iter().filter(|e| which(e)).count().to_string())
    };
    match form {
        Form::Entries | Form::Why => vec![("Number of entries", count(|_| true))],
        Form::SplitBrain => vec![("Number of entries in split-brain", count(|e| e.split_brain))],
        Form::Summary => vec![
            ("Total Number of entries", count(|_| true)),
            ("Number of entries in heal pending", count(|e| !e.split_brain && !e.healing)),
            ("Number of entries in split-brain", count(|e| e.split_brain)),
            ("Number of entries possibly healing", count(|e| e.healing)),
        ],
    }
}

fn element(volume: &Volume, bricks: &[BrickInfo], form: Form) -> Node {
    let one = |(brick, info): (&crate::volume::definition::Brick, &BrickInfo)| {
        let entries = info.entries.as_deref();
        let shown = entries.into_iter().flatten().filter(|e| form != Form::SplitBrain || e.split_brain);
        let files = shown.filter(|_| form != Form::Summary).map(|e| leaf("file", e.name()).with("gfid", e.gfid));
        let status = if entries.is_some() { "Connected" } else { "Transport endpoint is not connected" };
        let tags: &[&str] = match form {
            Form::Summary => &[
                "totalNumberOfEntries",
                "numberOfEntriesInHealPending",
                "numberOfEntriesInSplitBrain",
                "numberOfEntriesPossiblyHealing",
            ],
            _ => &["numberOfEntries"],
        };
        let figures = tags.iter().zip(counts(entries, form)).map(|(tag, (_, count))| leaf(tag, count));
        let head = [leaf("name", &info.name)];
        let children = head.into_iter().chain(files).chain([leaf("status", status)]).chain(figures).collect();
        node("brick", children).with("hostUuid", brick.peer)
    };
    node("healInfo", vec![node("bricks", volume.bricks.iter().zip(bricks).map(one).collect())])
}

/// `volume heal V split-brain {bigger-file F|latest-mtime F|source-brick B [F]}`.
///
/// # Errors
/// [`Failure`].
pub fn resolve(session: &Session, name: &str, words: &[&str]) -> Outcome {
    let (how, file) = match words {
        ["bigger-file", file] => (Resolution::Bigger, Some(*file)),
        ["latest-mtime", file] => (Resolution::Newest, Some(*file)),
        ["source-brick", brick] => (Resolution::Brick((*brick).into()), None),
        ["source-brick", brick, file] => (Resolution::Brick((*brick).into()), Some(*file)),
        _ => return Err(Failure::Usage(HEAL)),
    };
    if file.is_some_and(|f| !f.starts_with('/') && !f.starts_with("gfid:")) {
        return Err(Failure::text("<FILE> must be absolute path w.r.t. the volume, starting with '/'"));
    }
    let volume = healed_volume(session, name)?;
    match (file, &how) {
        (Some(file), _) => {
            let settled = settle(&volume, &source(session), &session.place.name, file, &how);
            match settled.map_err(|why| unresolved(session, &why))? {
                Resolved::Contents => println!("Healed {file}."),
                Resolved::Identity => println!("GFID split-brain resolved for file {file}"),
            }
            Ok(0)
        }
        (None, Resolution::Brick(brick)) => resolve_all(session, &volume, brick),
        (None, _) => Err(Failure::Usage(HEAL)),
    }
}

/// Takes every file that is in split-brain from one brick.
fn resolve_all(session: &Session, volume: &Volume, brick: &str) -> Outcome {
    let bricks = ask(session, volume)?;
    let Some(chosen) = bricks.iter().find(|b| b.name == brick) else {
        return Err(refuse(session, &format!("\"{brick}\"- No such brick available in the volume."), 1));
    };
    let Some(entries) = &chosen.entries else {
        return Err(refuse(session, "Status: Transport endpoint is not connected", 1));
    };
    let how = Resolution::Brick(brick.into());
    let mut healed = 0;
    for entry in entries.iter().filter(|e| e.split_brain) {
        let path = entry.name();
        match settle(volume, &source(session), &session.place.name, &path, &how) {
            Ok(_) => {
                healed += 1;
                println!("Healed gfid:{}.", entry.gfid);
            }
            Err(why) => println!("{}", words(&why)),
        }
    }
    println!("Status: Connected\nNumber of healed entries: {healed}");
    Ok(0)
}

fn unresolved(session: &Session, why: &Unresolved) -> Failure {
    let code = if matches!(why, Unresolved::Lookup(..)) { 22 } else { 1 };
    refuse(session, &words(why), code)
}

fn words(why: &Unresolved) -> String {
    match why {
        Unresolved::Lookup(path, e) => format!("Lookup failed on {path}:{}.", errno_text(e)),
        Unresolved::Failed(path, e) => format!("Healing {path} failed: {}.", errno_text(e)),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::gfid::Gfid;

    fn waiting(path: Option<&str>, split_brain: bool) -> Waiting {
        let accused = vec![("node3:/b".to_owned(), Kind::Data), ("node3:/b".to_owned(), Kind::Metadata)];
        Waiting { gfid: Gfid::ROOT, path: path.map(str::to_owned), split_brain, healing: false, accused }
    }

    fn bricks() -> Vec<BrickInfo> {
        let entries = Some(vec![waiting(Some("/big"), false), waiting(None, false), waiting(Some("/data.txt"), true)]);
        vec![
            BrickInfo { name: "node1:/srv/data/fv".into(), entries },
            BrickInfo { name: "node3:/srv/data/fv".into(), entries: None },
        ]
    }

    /// The captured text, to the byte: a blank after each entry that is no split-brain.
    #[test]
    fn heal_info_is_the_captured_text() {
        let expected = "Brick node1:/srv/data/fv\n/big \n<gfid:00000000-0000-0000-0000-000000000001> \n\
            /data.txt - Is in split-brain\nStatus: Connected\nNumber of entries: 3\n\n\
            Brick node3:/srv/data/fv\nStatus: Transport endpoint is not connected\nNumber of entries: -\n\n";
        assert_eq!(text(&bricks(), Form::Entries), expected);
    }

    /// The summary counts, and split-brain lists its own without the blank.
    #[test]
    fn the_other_forms_are_the_captured_texts() {
        let summary = "Brick node1:/srv/data/fv\nStatus: Connected\nTotal Number of entries: 3\n\
            Number of entries in heal pending: 2\nNumber of entries in split-brain: 1\nNumber of entries possibly healing: 0\n\n";
        assert!(text(&bricks(), Form::Summary).starts_with(summary));
        let split = "Brick node1:/srv/data/fv\n/data.txt\nStatus: Connected\nNumber of entries in split-brain: 1\n\n";
        assert!(text(&bricks(), Form::SplitBrain).starts_with(split));
    }

    /// `why` names the copies that missed something.
    #[test]
    fn why_names_the_accused() {
        assert!(text(&bricks(), Form::Why).contains("/big \n    node3:/b missed: data, metadata\n"));
    }
}

//! An event in words.

use fluent_bundle::FluentValue;
use serde_json::Value;

use crate::container::Happening as Room;
use crate::raft::{EntryView, Happening, Role};
use crate::tui::panes::size;
use crate::tui::panes::volume::copies::standing;
use crate::tui::text::Texts;
use crate::tui::theme::Paint;
use crate::volume::{Copy, Happening as Told};
use crate::world::event::{Link, LinkRule, Process};
use crate::world::{Event, What};

/// What happened, in the person's language, and how to paint it.
pub fn describe(texts: &Texts, event: &Event) -> (Paint, String) {
    let say = |id: &str, blanks: &[(&str, &str)]| {
        let blanks: Vec<_> = blanks.iter().map(|(k, v)| (*k, FluentValue::from((*v).to_owned()))).collect();
        texts.with(id, &blanks)
    };
    match &event.what {
        What::Opened { name, seed } => {
            (Paint::Accent, say("ev-opened", &[("name", name), ("seed", &seed.to_string())]))
        }
        What::Command { text, by, refused: None } => (Paint::Accent, say("ev-command", &[("text", text), ("by", by)])),
        What::Command { text, by, refused: Some(why) } => {
            (Paint::Bad, say("ev-refused", &[("text", text), ("by", by), ("why", why)]))
        }
        What::Clock { frozen: true, .. } => (Paint::Warn, say("ev-frozen", &[])),
        What::Clock { speed, .. } => (Paint::Warn, say("ev-speed", &[("speed", &speed.to_string())])),
        What::Process(process) => self::process(&say, process),
        What::Output { line } => (Paint::Dim, line.clone()),
        What::Link(link) => self::link(&say, link),
        What::Lost { count } => (Paint::Warn, say("ev-lost", &[("count", &count.to_string())])),
        What::Counters { totals } => {
            (Paint::Dim, totals.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join("  "))
        }
        What::Raft(happening) => raft(texts, &say, happening),
        What::Volume(happening) => volume(&say, happening).unwrap_or_else(|| by_name(texts, &event.what)),
        What::Container(Room::Processes { list, count }) => {
            let list: Vec<String> = list.iter().map(|(pid, command)| format!("{pid} {command}")).collect();
            let blanks = [("count", count.to_string()), ("list", list.join(", "))];
            (Paint::Dim, say("ev-container-processes", &blanks.each_ref().map(|(k, v)| (*k, v.as_str()))))
        }
        other => by_name(texts, other),
    }
}

/// A happening of the union, a volume or a container: its text is named after it (`ev-union-copied-up`), and its fields
/// are the text's blanks. One that has no text shows its fields.
fn by_name(texts: &Texts, what: &What) -> (Paint, String) {
    let value = serde_json::to_value(what).unwrap_or_default();
    let found = value.as_object().and_then(|o| o.iter().next()).and_then(|(part, inner)| {
        let (name, fields) = match inner {
            Value::String(name) => (name, None),
            Value::Object(map) => map.iter().next().map(|(name, fields)| (name, fields.as_object()))?,
            _ => return None,
        };
        let id = format!("ev-{part}-{}", name.replace('_', "-"));
        texts.find(&id)?;
        let blanks: Vec<(&str, FluentValue<'_>)> =
            fields.into_iter().flatten().map(|(k, v)| (k.as_str(), FluentValue::from(word(v)))).collect();
        let bad = ["split_brain", "aborting"].contains(&name.as_str());
        Some((if bad { Paint::Bad } else { Paint::Text }, texts.with(&id, &blanks)))
    });
    found.unwrap_or_else(|| (Paint::Text, raw(what)))
}

/// A field's value in words.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(word).collect::<Vec<_>>().join(" "),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

type Say<'a> = dyn Fn(&str, &[(&str, &str)]) -> String + 'a;

/// The plain value, for happenings that have no words here.
fn raw(what: &What) -> String {
    serde_json::to_string(what).unwrap_or_default().replace(['"', '{', '}'], "").replace([':', ','], " ")
}

fn process(say: &Say<'_>, process: &Process) -> (Paint, String) {
    match process {
        Process::Started { role, pid, .. } => {
            (Paint::Good, say("ev-started", &[("role", role), ("pid", &pid.to_string())]))
        }
        Process::Paused => (Paint::Warn, say("ev-paused", &[])),
        Process::Resumed => (Paint::Good, say("ev-resumed", &[])),
        Process::Ended { how } => (Paint::Bad, ended(say, how)),
    }
}

/// How a process ended; of one that another process started nobody knows.
fn ended(say: &Say<'_>, how: &str) -> String {
    match how.rsplit_once(' ') {
        Some(("exited with", code)) => say("ev-exited", &[("code", code)]),
        Some(("killed by", signal)) => say("ev-killed", &[("signal", signal)]),
        Some(_) => say("ev-ended", &[("how", how)]),
        None => say("ev-gone", &[]),
    }
}

/// A happening of a volume whose fields are lists or figures.
fn volume(say: &Say<'_>, happening: &Told) -> Option<(Paint, String)> {
    Some(match happening {
        Told::Pool { peers } if peers.is_empty() => (Paint::Dim, say("ev-volume-alone", &[])),
        Told::Pool { peers } => {
            let away = say("copy-away", &[]);
            let peer = |(name, here): &(String, bool)| if *here { name.clone() } else { format!("{name} ({away})") };
            (Paint::Text, say("ev-volume-pool", &[("peers", &peers.iter().map(peer).collect::<Vec<_>>().join(", "))]))
        }
        Told::Connection { brick, up: true, .. } => (Paint::Good, say("ev-volume-connected", &[("brick", brick)])),
        Told::Connection { brick, up: false, .. } => (Paint::Bad, say("ev-volume-disconnected", &[("brick", brick)])),
        Told::Task { label, progress } => {
            let (files, seen) = (progress.files.to_string(), progress.scanned.to_string());
            let blanks = [("label", label.as_str()), ("volume", &progress.volume), ("files", &files), ("seen", &seen)];
            (Paint::Text, say("ev-volume-task", &blanks))
        }
        Told::Brick { brick, written, read, pending, .. } => {
            let (written, read, pending) = (size(*written), size(*read), pending.to_string());
            let blanks = [("brick", brick.as_str()), ("written", &written), ("read", &read), ("pending", &pending)];
            (Paint::Dim, say("ev-volume-brick", &blanks))
        }
        Told::Copies { path, copies, .. } => {
            let copy = |c: &Copy| format!("{} {}", c.brick, say(standing(c.state).2, &[]));
            let copies = copies.iter().map(copy).collect::<Vec<_>>().join(", ");
            (Paint::Dim, say("ev-volume-copies", &[("path", path), ("copies", &copies)]))
        }
        Told::Scrubbed { brick, files, skipped, bad, .. } => {
            let (files, skipped) = (files.to_string(), skipped.to_string());
            let corrupt = if bad.is_empty() { say("ev-volume-sound", &[]) } else { bad.join(" ") };
            let blanks = [("brick", brick.as_str()), ("files", &files), ("skipped", &skipped), ("corrupt", &corrupt)];
            (if bad.is_empty() { Paint::Good } else { Paint::Bad }, say("ev-volume-scrubbed", &blanks))
        }
        _ => return None,
    })
}

fn link(say: &Say<'_>, link: &Link) -> (Paint, String) {
    match link {
        Link::Sent(m) => (Paint::Message, format!("{} -> {}  {}  {}", m.from, m.to, m.kind, m.note)),
        Link::Delivered { id } => (Paint::Reply, say("ev-delivered", &[("id", id)])),
        Link::Dropped { id, why } => (Paint::Bad, say("ev-dropped", &[("id", id), ("why", why)])),
        Link::Held { id } => (Paint::Held, say("ev-held", &[("id", id)])),
        Link::Rule { from, to, rule } => (Paint::Warn, format!("{from} -> {to}  {}", self::rule(say, rule))),
    }
}

/// A link's rule in words.
fn rule(say: &Say<'_>, rule: &LinkRule) -> String {
    let mut words = Vec::new();
    if rule.cut {
        words.push(say("rule-cut", &[]));
    }
    if rule.held {
        words.push(say("rule-held", &[]));
    }
    for (id, n) in [("rule-delay", rule.delay_ms), ("rule-loss", rule.loss.into()), ("rule-dup", rule.dup.into())] {
        if n > 0 {
            words.push(say(id, &[("n", &n.to_string())]));
        }
    }
    if words.is_empty() { say("rule-clear", &[]) } else { words.join("  ") }
}

fn raft(texts: &Texts, say: &Say<'_>, happening: &Happening) -> (Paint, String) {
    let n = |n: &u64| n.to_string();
    let why = |why: &str| texts.find(&format!("why-{why}")).unwrap_or_else(|| why.to_owned());
    match happening {
        Happening::Booted { term, log, .. } => {
            let last = log.last().map_or(0, |e| e.index);
            (Paint::Good, say("ev-booted", &[("term", &n(term)), ("last", &n(&last))]))
        }
        Happening::State { term, role, why: reason, .. } => {
            let (paint, role) = match role {
                Role::Leader => (Paint::Leader, "role-leader"),
                Role::Candidate => (Paint::Candidate, "role-candidate"),
                Role::Follower => (Paint::Follower, "role-follower"),
            };
            (paint, say("ev-state", &[("role", &texts.get(role)), ("term", &n(term)), ("why", &why(reason))]))
        }
        Happening::Vote { term, candidate, granted: true, .. } => {
            (Paint::Good, say("ev-vote", &[("term", &n(term)), ("candidate", candidate)]))
        }
        Happening::Vote { term, candidate, why: reason, .. } => {
            let blanks = [("term", n(term)), ("candidate", candidate.clone()), ("why", why(reason))];
            (Paint::Bad, say("ev-no-vote", &blanks.each_ref().map(|(k, v)| (*k, v.as_str()))))
        }
        Happening::Timer { timeout_us } => (Paint::Dim, say("ev-timer", &[("ms", &n(&(timeout_us / 1000)))])),
        Happening::Appended { entries } => (Paint::Open, say("ev-appended", &[("entries", &listed(entries))])),
        Happening::Truncated { from } => (Paint::Conflict, say("ev-truncated", &[("from", &n(from))])),
        Happening::Refused { leader, prev_index, .. } => {
            (Paint::Conflict, say("ev-append-refused", &[("leader", leader), ("prev", &n(prev_index))]))
        }
        Happening::Committed { index } => (Paint::Committed, say("ev-committed", &[("index", &n(index))])),
        Happening::Applied { index } => (Paint::Applied, say("ev-applied", &[("index", &n(index))])),
        Happening::Progress { peer, next, matched } => {
            (Paint::Dim, say("ev-progress", &[("peer", peer), ("next", &n(next)), ("matched", &n(matched))]))
        }
        Happening::Snapshot { index, .. } => (Paint::Accent, say("ev-snapshot", &[("index", &n(index))])),
        Happening::Asked { request, text, forwarded_to: None } => {
            (Paint::Accent, say("ev-asked", &[("request", request), ("text", text)]))
        }
        Happening::Asked { request, text, forwarded_to: Some(to) } => {
            (Paint::Accent, say("ev-forwarded", &[("request", request), ("text", text), ("to", to)]))
        }
        Happening::Answered { request, text } => {
            (Paint::Accent, say("ev-answered", &[("request", request), ("text", text)]))
        }
        #[allow(unreachable_patterns)]
        other => (Paint::Text, raw(&What::Raft(other.clone()))),
    }
}

/// Entries as `7:3 SET x 5`: index, term, command.
fn listed(entries: &[EntryView]) -> String {
    let one = |e: &EntryView| format!("{}:{} {}", e.index, e.term, e.text);
    match entries {
        [] => String::new(),
        [a] => one(a),
        [a, .., b] => format!("{} .. {}", one(a), one(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(what: What) -> String {
        let event =
            Event { seq: 1, id: "n1#1".parse().unwrap(), who: "n1".into(), at: 0, logical: 0, cause: None, what };
        describe(&Texts::new("en"), &event).1
    }

    /// Lists and endings are told in words, not as they are stored.
    #[test]
    fn told_in_words() {
        let pool = |peers: &[(&str, bool)]| {
            words(What::Volume(Told::Pool { peers: peers.iter().map(|(n, up)| ((*n).to_string(), *up)).collect() }))
        };
        assert_eq!(pool(&[("server2", true), ("server3", false)]), "knows of the pool: server2, server3 (away)");
        assert_eq!(pool(&[]), "knows no other server");
        let end = |how: &str| words(What::Process(Process::Ended { how: how.into() }));
        assert_eq!([end("killed by SIGKILL"), end("ended")], ["killed by SIGKILL", "ended"]);
    }
}

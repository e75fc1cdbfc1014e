//! Patterns of events.
//!
//! A pattern is a part of an event as the journal writes it: `{who: n1, raft: {state: {role: leader}}}`. It fits an
//! event when everything that it names is there and equal; what it does not name may be anything. Two words have
//! a meaning of their own:
//!
//! * `$c`: anything that is there (not null), but the same thing wherever `$c` stands again, in this pattern and in later ones. Thus "*a node
//!   became candidate and the same node became leader in the same term*" is two patterns that share `$c` and `$t`;
//! * a selector of a machine (`leader`, `was:leader`, `follower:2`) where the event names a machine (`who`, `from`, `to`, …).
//!
//! A pattern for a list fits when each of its items fits one of the list's. Left out: numbers are equal or not, never
//! compared; a rule that needs more than that is a check of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::world::Event;

/// What `$names` stand for.
pub type Bound = BTreeMap<String, Value>;

/// A part of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    who: Option<Value>,
    what: Value,
}

/// The families of events, as the journal names them.
const FAMILIES: &[&str] =
    &["opened", "command", "clock", "process", "output", "link", "lost", "raft", "union", "volume", "container"];

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut map = serde_json::Map::deserialize(from)?;
        let who = map.remove("who");
        if let Some(odd) = map.keys().find(|key| !FAMILIES.contains(&key.as_str())) {
            return Err(de::Error::custom(format!(
                "`{odd}` is not a kind of event, expected `who` and one of {}",
                FAMILIES.join(", ")
            )));
        }
        if map.len() > 1 {
            return Err(de::Error::custom("an event is of one kind, expected one key beside `who`"));
        }
        Ok(Self { who, what: Value::Object(map) })
    }
}

impl Pattern {
    /// The pattern with each of its words replaced: selectors by machines, holes by the student's own values. `None` if a
    /// selector finds no machine now; then the pattern fits nothing.
    pub fn resolved(&self, words: &dyn Words) -> Option<Self> {
        let who = match &self.who {
            Some(who) => Some(replaced("who", who, words)?),
            None => None,
        };
        Some(Self { who, what: replaced("", &self.what, words)? })
    }

    /// What `$names` stand for if the pattern fits `event`, given what they stood for before.
    pub fn fits(&self, event: &Event, bound: &Bound) -> Option<Bound> {
        let mut bound = bound.clone();
        let who = self.who.as_ref().is_none_or(|who| unify(who, &Value::from(event.who.as_str()), &mut bound));
        let plain = self.what.as_object().is_some_and(serde_json::Map::is_empty);
        let what = || serde_json::to_value(&event.what).unwrap_or(Value::Null);
        (who && (plain || unify(&self.what, &what(), &mut bound))).then_some(bound)
    }
}

/// How far a row of patterns was seen: each in a later event than the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// How many of the patterns, from the first on, were seen in order.
    pub reached: usize,
    /// What the `$names` stand for on the longest way.
    pub bound: Bound,
    /// `seq` of the last event on that way,
    pub at: u64,
    /// and its wall time.
    pub time: u64,
    /// Whether all of it was seen, but something that must never be seen as well.
    pub spoiled: bool,
}

/// A row of events to look for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// Each in a later event than the one before.
    pub events: Vec<Pattern>,
    /// Each somewhere, before or after: for what different reporters tell, whose order says nothing.
    pub also: Vec<Pattern>,
    /// None of these anywhere.
    pub never: Vec<Pattern>,
}

impl Row {
    /// How many events are to be seen.
    pub fn len(&self) -> usize {
        self.events.len() + self.also.len()
    }

    /// Whether no event is to be seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row with each word replaced as of [`Pattern::resolved`]; `None` if an event of it cannot be now.
    pub fn resolved(&self, words: &dyn Words) -> Option<Self> {
        let all = |patterns: &[Pattern]| patterns.iter().map(|p| p.resolved(words)).collect::<Option<Vec<_>>>();
        // What nothing stands for now cannot have happened.
        let never = self.never.iter().filter_map(|p| p.resolved(words)).collect();
        Some(Self { events: all(&self.events)?, also: all(&self.also)?, never })
    }

    /// Looks for the row among `events`; every `$name` is the same thing throughout.
    pub fn search<E: AsRef<Event>>(&self, events: &[E]) -> Seen {
        let best = Seen { reached: 0, bound: Bound::new(), at: 0, time: 0, spoiled: false };
        let mut search = Search { row: self, events, best, budget: BUDGET };
        search.walk(0, 0, 0, &Bound::new());
        search.best
    }
}

/// How many comparisons a search may cost; far above what a lab's step needs, so that a bad pattern cannot hang.
const BUDGET: usize = 2_000_000;

struct Search<'a, E> {
    row: &'a Row,
    events: &'a [E],
    best: Seen,
    budget: usize,
}

impl<E: AsRef<Event>> Search<'_, E> {
    /// Goes on from `reached` patterns with the events from number `from` on; `last` was the last of the row proper.
    fn walk(&mut self, reached: usize, from: usize, last: usize, bound: &Bound) -> bool {
        if reached == self.row.len() {
            self.best.spoiled = self.is_spoiled(bound);
            return !self.best.spoiled && self.note(reached, last, bound);
        }
        let in_row = reached < self.row.events.len();
        let pattern = if in_row { &self.row.events[reached] } else { &self.row.also[reached - self.row.events.len()] };
        for i in if in_row { from } else { 0 }..self.events.len() {
            if self.budget == 0 {
                return false;
            }
            self.budget -= 1;
            let Some(bound) = pattern.fits(self.events[i].as_ref(), bound) else { continue };
            let last = if in_row { i } else { last };
            if reached + 1 > self.best.reached && reached + 1 < self.row.len() {
                self.note(reached + 1, last, &bound);
            }
            if self.walk(reached + 1, i + 1, last, &bound) {
                return true;
            }
        }
        false
    }

    fn is_spoiled(&self, bound: &Bound) -> bool {
        self.events.iter().any(|e| self.row.never.iter().any(|p| p.fits(e.as_ref(), bound).is_some()))
    }

    fn note(&mut self, reached: usize, last: usize, bound: &Bound) -> bool {
        let event = self.events.get(last).map(AsRef::as_ref);
        let (at, time) = event.map_or((0, 0), |e| (e.seq, e.at));
        self.best = Seen { reached, bound: bound.clone(), at, time, spoiled: self.best.spoiled };
        true
    }
}

fn unify(pattern: &Value, value: &Value, bound: &mut Bound) -> bool {
    match (pattern, value) {
        (Value::String(name), _) if name.starts_with('$') => match bound.get(name) {
            Some(before) => before == value,
            None if value.is_null() => false,
            None => {
                bound.insert(name.clone(), value.clone());
                true
            }
        },
        (Value::Object(parts), Value::Object(whole)) => {
            parts.iter().all(|(key, part)| whole.get(key).is_some_and(|value| unify(part, value, bound)))
        }
        // An event without fields is written as its bare name: `thawed`, not `{thawed: {}}`.
        (Value::Object(parts), Value::String(name)) => parts.len() == 1 && parts.contains_key(name),
        (Value::Array(parts), Value::Array(whole)) => parts.iter().all(|part| {
            whole.iter().any(|value| {
                let mut attempt = bound.clone();
                let fits = unify(part, value, &mut attempt);
                if fits {
                    *bound = attempt;
                }
                fits
            })
        }),
        _ => pattern == value,
    }
}

/// Fields of events that name a machine; elsewhere `leader` is a role and no selector.
const MACHINES: &[&str] = &["who", "from", "to", "peer", "leader", "candidate", "voted_for", "forwarded_to"];

/// What the words of a pattern stand for.
pub trait Words {
    /// The text with its holes filled.
    fn fill(&self, text: &str) -> String;
    /// The machine that a selector finds, or the word itself; `None` if no machine fits now.
    fn machine(&self, word: &str) -> Option<String>;
}

fn replaced(field: &str, value: &Value, words: &dyn Words) -> Option<Value> {
    Some(match value {
        Value::String(name) if name.starts_with('$') => value.clone(),
        Value::String(word) if MACHINES.contains(&field) => Value::String(words.machine(word)?),
        Value::String(word) => Value::String(words.fill(word)),
        Value::Array(items) => items.iter().map(|item| replaced(field, item, words)).collect::<Option<_>>()?,
        Value::Object(map) => {
            let each = map.iter().map(|(key, item)| Some((key.clone(), replaced(key, item, words)?)));
            Value::Object(each.collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Pattern, Row};
    use crate::lab::Stage;
    use crate::lab::fake::Fake;
    use crate::world::Event;

    fn patterns(yaml: &str) -> Vec<Pattern> {
        serde_yaml::from_str(yaml).unwrap()
    }

    /// n2 is a candidate in term 3 and in term 4; n1 wins term 4.
    fn events() -> Vec<Arc<Event>> {
        let fake = Fake::new();
        let state = |role: &str, term: u64| {
            format!(
                r#"{{"raft":{{"state":{{"term":{term},"role":"{role}","voted_for":null,"leader":null,"why":""}}}}}}"#
            )
        };
        fake.tell("n2", &state("candidate", 3));
        fake.tell("n1", &state("candidate", 4));
        fake.tell("n2", &state("candidate", 4));
        fake.tell("n1", &state("leader", 4));
        fake.tell("n2", r#"{"process":"paused"}"#);
        fake.events_since(0)
    }

    /// `$c` and `$t` are the same wherever they stand: n1 won the term in which it was a candidate, n2 did not.
    #[test]
    fn names_bind() {
        let row = |who: &str| Row {
            events: patterns(&format!(
                "- {{who: {who}, raft: {{state: {{role: candidate, term: $t}}}}}}\n\
                 - {{who: {who}, raft: {{state: {{role: leader, term: $t}}}}}}"
            )),
            ..Row::default()
        };
        let seen = row("$c").search(&events());
        assert_eq!((seen.reached, &seen.bound["$c"], &seen.bound["$t"]), (2, &"n1".into(), &4.into()));
        assert_eq!(row("n2").search(&events()).reached, 1);
    }

    /// Order counts among `events`, and not for `also`; `never` spoils.
    #[test]
    fn order_counts_where_it_says_something() {
        let leader = patterns("- {raft: {state: {role: leader, term: $t}}}");
        let then_candidate = patterns("- {who: n2, raft: {state: {role: candidate, term: $t}}}");
        let in_order = Row { events: [leader.clone(), then_candidate.clone()].concat(), ..Row::default() };
        assert_eq!(in_order.search(&events()).reached, 1);
        let also = Row { events: leader.clone(), also: then_candidate.clone(), ..Row::default() };
        assert_eq!(also.search(&events()).reached, 2);
        let never = Row { events: then_candidate, never: leader, ..Row::default() };
        // Term 4 is spoiled by its leader, but n2 was a candidate in term 3 too.
        assert_eq!(never.search(&events()).bound["$t"], 3);
    }

    /// An event without fields is written like any other.
    #[test]
    fn an_event_without_fields_is_found() {
        let row = Row { events: patterns("- {who: n2, process: {paused: {}}}"), ..Row::default() };
        assert_eq!(row.search(&events()).reached, 1);
    }

    /// A key that is no kind of event is refused, with those that are.
    #[test]
    fn an_unknown_kind_is_refused() {
        let said = serde_yaml::from_str::<Pattern>("{who: n1, rfat: {}}").unwrap_err().to_string();
        assert!(said.contains("`rfat`") && said.contains("raft"), "{said}");
    }
}

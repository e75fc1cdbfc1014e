//! Patterns of events.
//!
//! A pattern is a part of an event as the journal writes it: `{who: n1, raft: {state: {role: leader}}}`. It fits an
//! event when everything that it names is there and equal; what it does not name may be anything. Two words have
//! a meaning of their own:
//!
//! * `$c`: anything, but the same thing wherever `$c` stands again, in this pattern and in later ones. Thus "*a node
//!   became candidate and the same node became leader in the same term*" is two patterns that share `$c` and `$t`;
//! * a selector of a machine (`leader`, `was:leader`, `follower:2`) in the place of a machine's name.
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
    /// The pattern with each of its words replaced: selectors by machines, holes by the student's own values. `None`
    /// from `find` is a word that nothing stands for now; then the pattern fits nothing.
    pub fn resolved(&self, find: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let who = match &self.who {
            Some(who) => Some(replaced(who, find)?),
            None => None,
        };
        Some(Self { who, what: replaced(&self.what, find)? })
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
    /// `seq` of the last event on that way.
    pub at: u64,
}

/// Looks for events that fit the patterns in order, such that no event of all `events` fits one of `never` under the
/// same `$names`.
pub fn search<E: AsRef<Event>>(patterns: &[Pattern], never: &[Pattern], events: &[E]) -> Seen {
    let mut best = Seen { reached: 0, bound: Bound::new(), at: 0 };
    let mut budget = BUDGET;
    walk(patterns, never, events, 0, 0, &Bound::new(), &mut best, &mut budget);
    best
}

/// How many comparisons a search may cost; far above what a lab's step needs, so that a bad pattern cannot hang.
const BUDGET: usize = 2_000_000;

#[allow(clippy::too_many_arguments)]
fn walk<E: AsRef<Event>>(
    patterns: &[Pattern],
    never: &[Pattern],
    events: &[E],
    reached: usize,
    from: usize,
    bound: &Bound,
    best: &mut Seen,
    budget: &mut usize,
) -> bool {
    if reached == patterns.len() {
        let spoiled = events.iter().any(|e| never.iter().any(|p| p.fits(e.as_ref(), bound).is_some()));
        if !spoiled {
            let at = from.checked_sub(1).map_or(0, |last| events[last].as_ref().seq);
            *best = Seen { reached, bound: bound.clone(), at };
        }
        return !spoiled;
    }
    for (i, event) in events.iter().enumerate().skip(from) {
        if *budget == 0 {
            return false;
        }
        *budget -= 1;
        let Some(bound) = patterns[reached].fits(event.as_ref(), bound) else { continue };
        let so_far = reached + 1;
        if so_far > best.reached && so_far < patterns.len() {
            *best = Seen { reached: so_far, bound: bound.clone(), at: event.as_ref().seq };
        }
        if walk(patterns, never, events, so_far, i + 1, &bound, best, budget) {
            return true;
        }
    }
    false
}

fn unify(pattern: &Value, value: &Value, bound: &mut Bound) -> bool {
    match (pattern, value) {
        (Value::String(name), _) if name.starts_with('$') => match bound.get(name) {
            Some(before) => before == value,
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

fn replaced(value: &Value, find: &dyn Fn(&str) -> Option<String>) -> Option<Value> {
    Some(match value {
        Value::String(name) if name.starts_with('$') => value.clone(),
        Value::String(word) => Value::String(find(word)?),
        Value::Array(items) => items.iter().map(|item| replaced(item, find)).collect::<Option<_>>()?,
        Value::Object(map) => Value::Object(
            map.iter().map(|(key, item)| Some((key.clone(), replaced(item, find)?))).collect::<Option<_>>()?,
        ),
        other => other.clone(),
    })
}

//! Events seen in this step, one after another.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Eyes, Finding, Look};
use crate::lab::pattern::{Bound, Pattern, Row};

/// `seen: [A, B]`: an event that fits A, and later one that fits B; or `seen: {events: [A, B], also: [C], never: [D]}`:
/// and, under the same `$names`, one that fits C at any time and none that fits D. See [`crate::lab::pattern`].
#[derive(Debug, Clone, PartialEq)]
pub struct Seen(Row);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    events: Vec<Pattern>,
    #[serde(default)]
    also: Vec<Pattern>,
    #[serde(default)]
    never: Vec<Pattern>,
}

/// Reads either form by hand, so that a mistake is reported at its own line.
struct Written;

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Written)
    }
}

impl<'de> Visitor<'de> for Written {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a list of events, or {events: [...], also: [...], never: [...]}, each event as the journal writes it",
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Seen, A::Error> {
        let events = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(Seen(Row { events, ..Row::default() }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Seen, A::Error> {
        let Full { events, also, never } = Full::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Seen(Row { events, also, never }))
    }
}

impl Look for Seen {
    fn look(&self, eyes: &Eyes) -> Finding {
        let of = self.0.len();
        let Some(row) = self.0.resolved(eyes) else {
            return Finding::new("seen", false, "none").with("reached", 0).with("of", of).with("bound", "");
        };
        let seen = row.search(&eyes.events);
        let saw = match seen.reached {
            n if n < of && seen.spoiled => "spoiled",
            0 => "none",
            n if n < of => "part",
            _ => "all",
        };
        let finding = Finding::new("seen", seen.reached == of, saw).with("reached", seen.reached).with("of", of);
        finding.with("bound", in_words(&seen.bound)).with("at", seen.at)
    }
}

/// `$c` and `$t` in words: `c = n2, t = 4`.
fn in_words(bound: &Bound) -> String {
    let plain = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    bound.iter().map(|(k, v)| format!("{} = {}", k.trim_start_matches('$'), plain(v))).collect::<Vec<_>>().join(", ")
}

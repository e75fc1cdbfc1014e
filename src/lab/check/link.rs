//! The rule of a link.

use serde::Deserialize;

use super::{Eyes, Finding, Look};
use crate::world::event::LinkRule;

/// `link: {from: n1, to: n2, is: cut}`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The sending machine.
    pub from: String,
    /// The receiving machine.
    pub to: String,
    /// What the link is.
    pub is: Is,
}

/// What a link can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    /// Everything passes at once.
    Clear,
    /// Nothing passes.
    Cut,
    /// Messages wait to be delivered by hand.
    Held,
    /// A share of the messages is lost.
    Lossy,
    /// Messages take their time.
    Slow,
}

impl Look for Link {
    fn look(&self, eyes: &Eyes) -> Finding {
        let (from, to) = (eyes.name(&self.from), eyes.name(&self.to));
        let rule = eyes.world.links.rule(&from, &to);
        let passed = match self.is {
            Is::Clear => rule.is_clear(),
            Is::Cut => rule.cut,
            Is::Held => rule.held,
            Is::Lossy => rule.loss > 0,
            Is::Slow => rule.delay_ms > 0,
        };
        let wanted = format!("{:?}", self.is).to_lowercase();
        let finding = Finding::new("link", passed, "saw").with("from", from).with("to", to);
        finding.with("rule", in_words(&rule)).with("wanted", wanted)
    }
}

fn in_words(rule: &LinkRule) -> String {
    let part = |there: bool, word: String| there.then_some(word);
    let parts = [
        part(rule.cut, "cut".into()),
        part(rule.held, "held".into()),
        part(rule.delay_ms > 0, format!("delay {} ms", rule.delay_ms)),
        part(rule.loss > 0, format!("drop {}%", rule.loss)),
        part(rule.dup > 0, format!("dup {}%", rule.dup)),
    ];
    let words: Vec<_> = parts.into_iter().flatten().collect();
    if words.is_empty() { "clear".into() } else { words.join(", ") }
}

//! Checks made of checks.

use serde::Deserialize;

use super::{Check, Eyes, Finding, Look, Needs};

/// `all: [A, B]`: each of them holds. Speaks with the words of the first that does not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct All(pub Vec<Check>);

/// `any: [A, B]`: one of them holds. Speaks with the words of the first that does, or of the first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Any(pub Vec<Check>);

/// `not: A`: it does not hold. It has seen what A saw; name what is hoped for with `as`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Not(pub Box<Check>);

impl Look for All {
    fn look(&self, eyes: &Eyes) -> Finding {
        let mut last = Finding::new("all", true, "nothing");
        for check in &self.0 {
            last = check.look(eyes);
            if !last.passed {
                break;
            }
        }
        last
    }

    fn needs(&self, needs: &mut Needs) {
        self.0.iter().for_each(|check| check.needs(needs));
    }
}

impl Look for Any {
    fn look(&self, eyes: &Eyes) -> Finding {
        let mut first = None;
        for check in &self.0 {
            let finding = check.look(eyes);
            if finding.passed {
                return finding;
            }
            first.get_or_insert(finding);
        }
        first.unwrap_or_else(|| Finding::new("all", false, "nothing"))
    }

    fn needs(&self, needs: &mut Needs) {
        self.0.iter().for_each(|check| check.needs(needs));
    }
}

impl Look for Not {
    fn look(&self, eyes: &Eyes) -> Finding {
        let finding = self.0.look(eyes);
        Finding { passed: !finding.passed, hoped: super::Message::new("not.hoped"), ..finding }
    }

    fn needs(&self, needs: &mut Needs) {
        self.0.needs(needs);
    }
}

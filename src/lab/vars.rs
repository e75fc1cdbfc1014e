//! The student's own names and numbers.
//!
//! Two students of one course should not hand in the same log lines. A lab therefore declares variables with the values
//! that they may take, and each student's seed picks one of them, always the same. They are written `{key}` in
//! commands, checks and texts.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The values that a variable may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a list of words, or {from: NUMBER, to: NUMBER}")]
pub enum Choice {
    /// One of these words.
    Words(Vec<String>),
    /// A whole number between two, both included.
    Range(Range),
}

/// A range of whole numbers, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub from: u64,
    /// The greatest.
    pub to: u64,
}

/// Variable → its value for one student.
pub type Vars = BTreeMap<String, String>;

/// Picks a value for each variable. The same seed, lab and name give the same value; the order of declaration does not
/// matter.
pub fn pick(choices: &BTreeMap<String, Choice>, lab: &str, seed: u64) -> Vars {
    choices.iter().map(|(name, choice)| (name.clone(), one(choice, mix(seed, &format!("{lab}/{name}"))))).collect()
}

fn one(choice: &Choice, dice: u64) -> String {
    match choice {
        Choice::Words(words) if words.is_empty() => String::new(),
        Choice::Words(words) => words[usize::try_from(dice % words.len() as u64).unwrap_or(0)].clone(),
        Choice::Range(Range { from, to }) => (from + dice % (to.saturating_sub(*from) + 1)).to_string(),
    }
}

/// FNV-1a over the name, started from the seed, and SplitMix64's last mix.
fn mix(seed: u64, name: &str) -> u64 {
    let start = seed ^ 0xcbf2_9ce4_8422_2325;
    let hash = name.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut z = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Choice, Range, pick};

    /// A seed always gives the same values, within what was declared; other seeds give others.
    #[test]
    fn a_seed_picks_its_own_values() {
        let choices = [
            ("key".into(), Choice::Words(vec!["tea".into(), "rice".into(), "salt".into()])),
            ("value".into(), Choice::Range(Range { from: 10, to: 99 })),
        ];
        let choices = choices.into_iter().collect();
        assert_eq!(pick(&choices, "a", 7), pick(&choices, "a", 7));
        let values: std::collections::BTreeSet<_> = (0..50).map(|seed| pick(&choices, "a", seed)).collect();
        assert!(values.len() > 30, "only {} different values for 50 students", values.len());
        assert!(values.iter().all(|v| (10..=99).contains(&v["value"].parse::<u64>().unwrap())));
    }
}

//! Is a history of one key linearizable, i.e. is there an order in which each operation takes effect between its call and
//! its return, so that a single copy would have given the same replies (Herlihy and Wing 1990)?
//!
//! In general that is a search. Here the key is a string to which clients append letters, each letter once, so the value at
//! the end *is* the order of all writes, and each reply tells its own place in it. What is left to check is that no
//! operation has a place before one that had returned when it was called.

/// What was done to the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Replies with the value.
    Get,
    /// Adds a letter; replies with the new length.
    Append(char),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    Value(String),
    Length(usize),
}

/// One operation: when it was called, and when it returned what. Without a return it may have happened or not.
#[derive(Debug, Clone)]
pub struct Call {
    pub op: Op,
    pub called: u64,
    pub returned: Option<(u64, Got)>,
}

/// Checks the history of a key whose value is `last` now. Says what is wrong.
pub fn check(history: &[Call], last: &str) -> Result<(), String> {
    let letters: Vec<char> = last.chars().collect();
    if let Some(twice) = letters.iter().find(|a| letters.iter().filter(|b| a == b).count() > 1) {
        return Err(format!("{twice} was applied twice"));
    }
    let mut placed = Vec::new();
    for call in history {
        if let Some(place) = place(call, &letters)? {
            placed.push((place, call));
        }
    }
    for (a, first) in &placed {
        for (b, second) in &placed {
            if first.returned.as_ref().is_some_and(|(at, _)| *at < second.called) && a > b {
                return Err(format!(
                    "{first:?} had returned when {second:?} was called, yet that takes effect before it"
                ));
            }
        }
    }
    Ok(())
}

/// The place of a call in the order of effects: after so many appends, reads behind the append that they see. `None` for a
/// call that never returned and had no effect.
fn place(call: &Call, letters: &[char]) -> Result<Option<(usize, bool)>, String> {
    match (&call.op, &call.returned) {
        (Op::Get, None) => Ok(None),
        (Op::Get, Some((_, Got::Value(value)))) => {
            let seen: Vec<char> = value.chars().collect();
            let prefix = letters.starts_with(&seen);
            prefix.then_some(Some((seen.len(), true))).ok_or_else(|| format!("{call:?} saw what never was"))
        }
        (Op::Append(letter), returned) => match (letters.iter().position(|l| l == letter), returned) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(format!("{call:?} was acknowledged and lost")),
            (Some(i), Some((_, got))) if *got != Got::Length(i + 1) => {
                Err(format!("{call:?} took effect at {}", i + 1))
            }
            (Some(i), _) => Ok(Some((i + 1, false))),
        },
        (Op::Get, Some(_)) => Err(format!("{call:?} gave no value")),
    }
}

mod tests {
    use super::*;

    fn call(op: Op, called: u64, returned: Option<(u64, Got)>) -> Call {
        Call { op, called, returned }
    }

    fn read(at: u64, text: &str) -> Call {
        call(Op::Get, at, Some((at + 1, Got::Value(text.into()))))
    }

    /// A read that began after a write returned must see it; and a write lost, or applied twice, shows.
    #[test]
    fn stale_reads_and_lost_and_doubled_writes_are_found() {
        let write = call(Op::Append('a'), 1, Some((2, Got::Length(1))));
        assert_eq!(check(&[write.clone(), read(3, "a")], "a"), Ok(()));
        assert!(check(&[write.clone(), read(3, "")], "a").is_err(), "stale");
        assert!(check(std::slice::from_ref(&write), "").is_err(), "lost");
        assert!(check(&[write], "aa").is_err(), "doubled");
    }

    /// A write without an answer may have happened before, after, or never; but not come and go.
    #[test]
    fn a_write_without_an_answer_may_be_seen_or_not() {
        let lost = call(Op::Append('a'), 1, None);
        assert_eq!(check(&[lost.clone(), read(3, ""), read(5, "a")], "a"), Ok(()));
        assert_eq!(check(&[lost.clone(), read(3, "")], ""), Ok(()));
        assert!(check(&[lost, read(3, "a"), read(5, "")], "a").is_err(), "it came and went");
    }
}

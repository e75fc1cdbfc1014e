//! Answers that wait until everybody who must know of a change has heard of it, so that nobody is told "done" while another
//! mount still shows what was before. Pure but for the clock.
//!
//! Whoever does not say in time that it heard is waited for no longer, until it speaks again: a mount that hangs must not hold up the others.
//! What its kernel believes runs out by itself in as long a time (`attribute-timeout`, `entry-timeout`).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::locks::Session;

/// How long somebody may take to hear.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Answers (`A`) and who has to hear before they go out.
#[derive(Debug)]
pub struct Hearing<A> {
    last: u64,
    open: HashMap<u64, Open<A>>,
    /// They did not hear in time.
    deaf: HashSet<Session>,
}

#[derive(Debug)]
struct Open<A> {
    /// How many words each has to hear.
    who: HashMap<Session, u32>,
    answer: Option<(A, Instant)>,
}

impl<A> Default for Hearing<A> {
    fn default() -> Self {
        Self { last: 0, open: HashMap::new(), deaf: HashSet::new() }
    }
}

impl<A> Hearing<A> {
    /// These are told of a change; gives the number under which they say that they heard. `number`: of the same request's earlier
    /// changes; 0: this is its first.
    pub fn tell(&mut self, number: u64, who: &[Session]) -> u64 {
        let number = if number > 0 {
            number
        } else {
            self.last += 1;
            self.last
        };
        let open = self.open.entry(number).or_insert_with(|| Open { who: HashMap::new(), answer: None });
        for session in who.iter().filter(|s| !self.deaf.contains(s)) {
            *open.who.entry(*session).or_default() += 1;
        }
        number
    }

    /// The request is done: gives the answer back if it may go out at once.
    pub fn answer(&mut self, number: u64, answer: A) -> Option<A> {
        match self.open.get_mut(&number) {
            Some(open) if !open.who.is_empty() => {
                open.answer = Some((answer, Instant::now()));
                None
            }
            _ => {
                self.open.remove(&number);
                Some(answer)
            }
        }
    }

    /// Somebody heard one word: gives the answer that may go out now.
    pub fn heard(&mut self, session: Session, number: u64) -> Option<A> {
        self.deaf.remove(&session);
        let open = self.open.get_mut(&number)?;
        let left = open.who.get_mut(&session)?;
        *left -= 1;
        if *left == 0 {
            open.who.remove(&session);
        }
        self.free(number)
    }

    /// Gives an answer for which nobody has to hear any more.
    fn free(&mut self, number: u64) -> Option<A> {
        let open = self.open.get(&number)?;
        if open.who.is_empty() && open.answer.is_some() { self.take(number) } else { None }
    }

    fn take(&mut self, number: u64) -> Option<A> {
        self.open.remove(&number)?.answer.map(|(answer, _)| answer)
    }

    /// Somebody is gone: gives the answers that may go out now.
    pub fn end(&mut self, session: Session) -> Vec<A> {
        let all: Vec<u64> = self.open.iter().filter(|(_, o)| o.who.contains_key(&session)).map(|(n, _)| *n).collect();
        self.deaf.remove(&session);
        let free = |number: u64| {
            self.open.get_mut(&number)?.who.remove(&session);
            self.free(number)
        };
        all.into_iter().filter_map(free).collect()
    }

    /// Gives the answers that have waited for so long; for whom they waited is waited for no longer.
    pub fn overdue(&mut self, patience: Duration) -> Vec<A> {
        let late = |open: &Open<A>| open.answer.as_ref().is_some_and(|(_, since)| since.elapsed() >= patience);
        let late: Vec<u64> = self.open.iter().filter(|(_, open)| late(open)).map(|(number, _)| *number).collect();
        late.iter().for_each(|number| self.deaf.extend(self.open[number].who.keys()));
        late.into_iter().filter_map(|number| self.take(number)).collect()
    }

    /// Whether any answer waits.
    pub fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer goes out when the last one has heard, whether that is before or after the request is done.
    #[test]
    fn an_answer_waits_for_everybody() {
        let mut hearing = Hearing::default();
        let one = hearing.tell(0, &[1, 2]);
        assert_eq!(hearing.tell(one, &[2, 3]), one, "one request has one number");
        assert_eq!(hearing.heard(1, one), None);
        assert_eq!(hearing.answer(one, "done"), None);
        assert_eq!(hearing.heard(2, one), None, "it was told twice");
        assert_eq!(hearing.heard(2, one), None);
        assert_eq!(hearing.heard(3, one), Some("done"));
        let two = hearing.tell(0, &[1]);
        assert_eq!(hearing.heard(1, two), None, "it is not done yet");
        assert_eq!(hearing.answer(two, "done"), Some("done"));
        assert!(!hearing.is_waiting());
    }

    /// Nobody waits for somebody who is gone, nor for long for somebody who hangs, and the next time not at all.
    #[test]
    fn nobody_is_held_up() {
        let mut hearing = Hearing::default();
        let one = hearing.tell(0, &[1, 2]);
        assert_eq!(hearing.answer(one, "one"), None);
        assert!(hearing.end(1).is_empty());
        assert!(hearing.overdue(PATIENCE).is_empty(), "it has waited for no time yet");
        assert_eq!(hearing.overdue(Duration::ZERO), ["one"]);
        let two = hearing.tell(0, &[2]);
        assert_eq!(hearing.answer(two, "two"), Some("two"), "2 is deaf");
        assert_eq!(hearing.heard(2, one), None);
        let three = hearing.tell(0, &[2]);
        assert_eq!(hearing.answer(three, "three"), None, "2 has spoken again");
        assert_eq!(hearing.end(2), ["three"]);
    }
}

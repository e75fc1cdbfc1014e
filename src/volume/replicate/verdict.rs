//! What to make of the answers of all copies to one change.

use super::{Kids, Shape};

/// The outcome of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It happened on these copies, which are enough; the others missed it.
    Done {
        /// Where it happened.
        on: Kids,
    },
    /// It happened nowhere: the errno to give, and nobody is to blame.
    Refused(i32),
    /// It happened on too few copies: the caller gets an error, these stay dirty, and nobody can say who is right.
    Doubtful {
        /// Where it happened.
        on: Kids,
        /// The errno to give.
        errno: i32,
    },
}

/// Judges the answers: one place a brick; `None`: it was not asked, being away. `good`: the copies that nobody accuses; a change
/// that reached only stale ones would make copies accuse each other.
pub fn verdict(shape: &Shape, answers: &[Option<Result<(), i32>>], good: Kids) -> Verdict {
    let on: Kids = answers.iter().enumerate().filter(|(_, a)| matches!(a, Some(Ok(())))).map(|(i, _)| i).collect();
    if !(on & good).is_empty() && shape.suffices(on) {
        return Verdict::Done { on };
    }
    let errors = || answers.iter().flatten().filter_map(|a| a.err());
    let said = errors().filter(|e| *e != libc::ENOTCONN);
    // What most copies say; among equals the first.
    let most = said.clone().map(|e| said.clone().filter(|o| *o == e).count()).max();
    let errno = said.clone().find(|e| Some(said.clone().filter(|o| o == e).count()) == most);
    if on.is_empty() {
        return Verdict::Refused(errno.unwrap_or(libc::ENOTCONN));
    }
    Verdict::Doubtful { on, errno: libc::ENOTCONN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::replicate::blame::tests::shape;

    /// Enough copies make a change; too few make it doubtful; a common refusal is just that.
    #[test]
    fn answers_are_weighed() {
        let (ok, no, gone) = (Some(Ok(())), Some(Err(libc::EEXIST)), Some(Err(libc::ENOTCONN)));
        let on = |list: &[usize]| list.iter().copied().collect::<Kids>();
        let all = shape(3).all();
        assert_eq!(verdict(&shape(3), &[ok, ok, None], all), Verdict::Done { on: on(&[0, 1]) });
        assert_eq!(verdict(&shape(3), &[ok, gone, ok], all), Verdict::Done { on: on(&[0, 2]) });
        assert_eq!(verdict(&shape(3), &[no, no, gone], all), Verdict::Refused(libc::EEXIST));
        assert_eq!(verdict(&shape(3), &[gone, None, gone], all), Verdict::Refused(libc::ENOTCONN));
        let doubt = Verdict::Doubtful { on: on(&[1]), errno: libc::ENOTCONN };
        assert_eq!(verdict(&shape(3), &[gone, ok, None], all), doubt);
        let stale = Verdict::Doubtful { on: on(&[0, 1]), errno: libc::ENOTCONN };
        assert_eq!(verdict(&shape(3), &[ok, ok, gone], on(&[2])), stale, "only stale copies took it");
    }
}

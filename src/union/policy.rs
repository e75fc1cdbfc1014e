//! Which writable branch takes a new name or a copy-up: the `create=` and `cpup=` policies as pure choices.
//!
//! A policy sees one [`Candidate`] per branch, topmost first, and answers with an index. One rule stands above all of
//! them: where a whiteout of the name, or an opaque directory above it, hides what is lower than some branch, nothing
//! may be placed lower than that branch, or it would be born hidden ([`Question::limit`]).

use serde::{Deserialize, Serialize};

/// What a policy knows of one branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Candidate {
    /// Whether it takes writes now.
    pub writable: bool,
    /// Whether the parent directory exists on it and is merged.
    pub has_parent: bool,
    /// Free bytes; only filled in for policies that ask ([`Create::asks_space`]).
    pub free: u64,
}

/// The situation in which a branch is to be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The branches, topmost first.
    pub branches: &'a [Candidate],
    /// The lowest index that would not be hidden; `None` if every branch would be visible.
    pub limit: Option<usize>,
    /// How many new names the union has placed so far: what round-robin turns on.
    pub turn: usize,
}

/// Policies for new names (`create=`). `low` and the thresholds are bytes; `secs` is how long a free-space answer is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Create {
    /// The topmost branch that has the parent, or the nearest writable one above it.
    #[default]
    TopDownParent,
    /// The topmost writable branch with more than `low` free bytes; else as most-free-space.
    TopDownMostFree {
        /// Bytes.
        low: u64,
        /// Seconds.
        secs: u64,
    },
    /// Each new file on the next writable branch in turn.
    RoundRobin,
    /// The writable branch with the most free bytes.
    MostFree {
        /// Seconds.
        secs: u64,
    },
    /// Most-free-space; when even that has less than `low`, round-robin.
    MostFreeRoundRobin {
        /// Bytes.
        low: u64,
        /// Seconds.
        secs: u64,
    },
    /// Most-free-space among the branches that have the parent.
    ParentMostFree {
        /// Seconds.
        secs: u64,
    },
    /// The same; when that has less than `low`, as [`Create::MostFreeRoundRobin`] over all.
    ParentMostFreeRoundRobin {
        /// Bytes.
        low: u64,
        /// Seconds.
        secs: u64,
    },
}

/// Policies for copy-up (`cpup=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyUp {
    /// The highest writable branch above that has the parent, else the nearest writable one.
    #[default]
    TopDownParent,
    /// The nearest writable branch upwards that has the parent, else the nearest above the parent's top copy.
    BottomUpParent,
    /// The nearest writable branch upwards.
    BottomUp,
}

impl Create {
    /// Whether the policy needs [`Candidate::free`], and for how many seconds an answer is good.
    pub fn asks_space(self) -> Option<u64> {
        match self {
            Create::TopDownParent | Create::RoundRobin => None,
            Create::TopDownMostFree { secs, .. }
            | Create::MostFree { secs }
            | Create::MostFreeRoundRobin { secs, .. }
            | Create::ParentMostFree { secs }
            | Create::ParentMostFreeRoundRobin { secs, .. } => Some(secs),
        }
    }

    /// The index of the branch that takes a new name; `None`: no branch may (`EROFS`).
    pub fn choose(self, q: &Question<'_>) -> Option<usize> {
        let chosen = match self {
            Create::TopDownParent => top_down_parent(q),
            Create::TopDownMostFree { low, .. } => {
                let floor = q.branches.iter().rposition(|b| b.has_parent)?;
                writable(q).find(|&i| i <= floor && q.branches[i].free > low).or_else(|| most_free(q, |_| true))
            }
            Create::RoundRobin => round_robin(q),
            Create::MostFree { .. } => most_free(q, |_| true),
            Create::MostFreeRoundRobin { low, .. } => most_free_or_turn(q, low),
            Create::ParentMostFree { .. } => parent_most_free(q),
            Create::ParentMostFreeRoundRobin { low, .. } => {
                parent_most_free(q).filter(|&i| q.branches[i].free >= low).or_else(|| most_free_or_turn(q, low))
            }
        }?;
        not_hidden(q, chosen)
    }
}

impl CopyUp {
    /// The index of the branch to which the object on branch `source` is copied; always above it.
    pub fn choose(self, branches: &[Candidate], source: usize) -> Option<usize> {
        let above = || (0..source).filter(|&i| branches[i].writable);
        let nearest = || above().next_back();
        match self {
            CopyUp::TopDownParent => above().find(|&i| branches[i].has_parent).or_else(nearest),
            CopyUp::BottomUp => nearest(),
            CopyUp::BottomUpParent => above().rfind(|&i| branches[i].has_parent).or_else(|| {
                let top = branches.iter().position(|b| b.has_parent)?;
                above().rfind(|&i| i < top)
            }),
        }
    }
}

fn writable<'a>(q: &Question<'a>) -> impl DoubleEndedIterator<Item = usize> + use<'a> {
    let branches = q.branches;
    (0..branches.len()).filter(|&i| branches[i].writable)
}

fn top_down_parent(q: &Question<'_>) -> Option<usize> {
    let top = q.branches.iter().position(|b| b.has_parent)?;
    writable(q).rfind(|&i| i <= top)
}

fn round_robin(q: &Question<'_>) -> Option<usize> {
    let all: Vec<usize> = writable(q).collect();
    (!all.is_empty()).then(|| all[q.turn % all.len()])
}

/// The most free bytes; of equals the lower branch.
fn most_free(q: &Question<'_>, allowed: impl Fn(&Candidate) -> bool) -> Option<usize> {
    writable(q).filter(|&i| allowed(&q.branches[i])).max_by_key(|&i| q.branches[i].free)
}

fn most_free_or_turn(q: &Question<'_>, low: u64) -> Option<usize> {
    most_free(q, |_| true).filter(|&i| q.branches[i].free >= low).or_else(|| round_robin(q))
}

/// The most free bytes among branches with the parent; of equals the upper one. Without any: as top-down-parent.
fn parent_most_free(q: &Question<'_>) -> Option<usize> {
    let having = writable(q).filter(|&i| q.branches[i].has_parent);
    having.rev().max_by_key(|&i| q.branches[i].free).or_else(|| top_down_parent(q))
}

/// Moves a choice that would be hidden up to the limit, or to the nearest writable branch above it.
fn not_hidden(q: &Question<'_>, chosen: usize) -> Option<usize> {
    match q.limit {
        Some(limit) if chosen > limit => writable(q).rfind(|&i| i <= limit),
        _ => Some(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `w` writable, `r` read-only; capital letters have the parent; digits after it are the free bytes.
    fn branches(text: &str) -> Vec<Candidate> {
        let one = |word: &str| {
            let kind = word.chars().next().unwrap();
            let free = word[1..].parse().unwrap_or(0);
            Candidate { writable: kind.eq_ignore_ascii_case(&'w'), has_parent: kind.is_uppercase(), free }
        };
        text.split_whitespace().map(one).collect()
    }

    fn create(policy: Create, text: &str, limit: Option<usize>, turn: usize) -> Option<usize> {
        policy.choose(&Question { branches: &branches(text), limit, turn })
    }

    #[test]
    fn top_down_parent_never_goes_lower() {
        let tdp = Create::TopDownParent;
        assert_eq!(create(tdp, "W R", None, 0), Some(0));
        assert_eq!(create(tdp, "w R", None, 0), Some(0), "the parent is made on the branch above");
        assert_eq!(create(tdp, "r W", None, 0), Some(1), "the topmost branch that has the parent is writable");
        assert_eq!(create(tdp, "R w", None, 0), None, "below the parent's top copy nothing may be written: EROFS");
    }

    #[test]
    fn round_robin_turns_over_the_writable_ones() {
        let turns: Vec<_> = (0..4).map(|t| create(Create::RoundRobin, "W R W w", None, t).unwrap()).collect();
        assert_eq!(turns, [0, 2, 3, 0]);
    }

    #[test]
    fn most_free_prefers_the_lower_of_equals_and_with_parent_the_upper() {
        assert_eq!(create(Create::MostFree { secs: 30 }, "W5 W9 W9 R99", None, 0), Some(2));
        assert_eq!(create(Create::ParentMostFree { secs: 30 }, "w99 W9 W9", None, 0), Some(1));
    }

    #[test]
    fn thresholds_fall_back() {
        let tdmfs = Create::TopDownMostFree { low: 5, secs: 30 };
        assert_eq!(create(tdmfs, "W5 W6 W9", None, 0), Some(1));
        assert_eq!(create(tdmfs, "W1 W2 W3", None, 0), Some(2), "nobody has enough: most free");
        let rr = Create::MostFreeRoundRobin { low: 5, secs: 30 };
        assert_eq!(create(rr, "W1 W2", None, 0), Some(0), "nobody has enough: in turn");
        let pmfsrr = Create::ParentMostFreeRoundRobin { low: 5, secs: 30 };
        assert_eq!(create(pmfsrr, "w9 W2", None, 0), Some(0), "the one with the parent is too full");
    }

    #[test]
    fn nothing_is_born_hidden() {
        assert_eq!(create(Create::MostFree { secs: 30 }, "W1 W2 W9", Some(1), 0), Some(1));
        assert_eq!(
            create(Create::MostFree { secs: 30 }, "W1 R2 W9", Some(1), 0),
            Some(0),
            "ro+wh: the writable one above"
        );
        assert_eq!(create(Create::MostFree { secs: 30 }, "R1 R2 W9", Some(1), 0), None);
    }

    #[test]
    fn copy_up_goes_up() {
        let up = |policy: CopyUp, text: &str, source| policy.choose(&branches(text), source);
        assert_eq!(up(CopyUp::TopDownParent, "W W R", 2), Some(0));
        assert_eq!(up(CopyUp::TopDownParent, "w w R", 2), Some(1), "no parent above: the nearest");
        assert_eq!(up(CopyUp::BottomUpParent, "W w R", 2), Some(0));
        assert_eq!(up(CopyUp::BottomUp, "W w R", 2), Some(1));
        assert_eq!(up(CopyUp::BottomUp, "R W", 0), None);
    }
}

//! How many copies must be reachable before anything is read or written (`cluster.quorum-type`).

use super::Kids;

/// The rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// One is enough: available, and prone to split-brain.
    None,
    /// More than half; exactly half if the first brick is among them.
    Auto,
    /// At least so many.
    Fixed(usize),
}

impl Quorum {
    /// The rule that a volume's options give: `cluster.quorum-type`, `cluster.quorum-count`.
    pub fn from_options(kind: &str, count: &str) -> Self {
        match kind {
            "auto" => Self::Auto,
            "fixed" => Self::Fixed(count.parse().unwrap_or(1)),
            _ => Self::None,
        }
    }

    /// Whether these bricks of `n` are enough.
    pub fn is_met(self, up: Kids, n: usize) -> bool {
        match self {
            Self::None => !up.is_empty(),
            Self::Auto => up.count() * 2 > n || (up.count() * 2 == n && up.has(0)),
            Self::Fixed(count) => up.count() >= count.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the reference: who works with which bricks up.
    #[test]
    fn the_table_of_the_manual() {
        let kids = |list: &[usize]| list.iter().copied().collect::<Kids>();
        assert!(Quorum::Auto.is_met(kids(&[1, 2]), 3) && !Quorum::Auto.is_met(kids(&[0]), 3));
        assert!(Quorum::Auto.is_met(kids(&[0]), 2), "half, and the first is among them");
        assert!(!Quorum::Auto.is_met(kids(&[1]), 2), "half without the first");
        assert!(Quorum::None.is_met(kids(&[2]), 3) && !Quorum::None.is_met(Kids::NONE, 3));
        assert!(Quorum::Fixed(2).is_met(kids(&[1, 2]), 3) && !Quorum::Fixed(2).is_met(kids(&[0]), 3));
    }
}

//! Which copy is corrupt? The majority of the copies says so.
//!
//! A disk may give back other bytes than were written, with no error and nobody accused. A **scrub** reads every copy and compares
//! checksums, block by block: what more than half of the copies have is right, and a copy with something else is corrupt. Two
//! copies that differ cannot say which of them is; that needs a third.
//!
//! GlusterFS does it otherwise: it signs each file some time after its last write, and its scrubber compares a copy with its own
//! signature. That works without other copies, but what is corrupted before it is signed is signed as it is.

/// The checksums of one copy's blocks, each with how many bytes it has.
pub type Sums = Vec<(u64, u32)>;

/// What comparing copies shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// All are equal.
    Equal,
    /// These differ from what most copies have.
    Corrupt(Vec<usize>),
    /// They differ, and no majority says which is right.
    Undecided,
}

/// Compares copies, each with its place: what differs from a majority in any block is corrupt.
pub fn compare(copies: &[(usize, Sums)]) -> Compared {
    let blocks = copies.iter().map(|(_, sums)| sums.len()).max().unwrap_or(0);
    let mut corrupt: Vec<usize> = Vec::new();
    for block in 0..blocks {
        let of = |(_, sums): &(usize, Sums)| sums.get(block).copied();
        let count = |wanted: Option<(u64, u32)>| copies.iter().filter(|c| of(c) == wanted).count();
        let Some(right) = copies.iter().map(of).find(|sum| count(*sum) * 2 > copies.len()) else {
            return Compared::Undecided;
        };
        corrupt.extend(copies.iter().filter(|c| of(c) != right).map(|(place, _)| *place));
    }
    corrupt.sort_unstable();
    corrupt.dedup();
    if corrupt.is_empty() { Compared::Equal } else { Compared::Corrupt(corrupt) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(place: usize, sums: &[u64]) -> (usize, Sums) {
        (place, sums.iter().map(|s| (*s, 512)).collect())
    }

    /// One of three differs in one block: it is the corrupt one.
    #[test]
    fn the_majority_says_which_is_corrupt() {
        let copies = [copy(0, &[1, 2, 3]), copy(1, &[1, 9, 3]), copy(2, &[1, 2, 3])];
        assert_eq!(compare(&copies), Compared::Corrupt(vec![1]));
        assert_eq!(compare(&[copy(0, &[1]), copy(1, &[1])]), Compared::Equal);
        assert_eq!(compare(&[]), Compared::Equal);
    }

    /// A copy that is shorter or longer is corrupt too; different blocks may be corrupt on different copies.
    #[test]
    fn lengths_count_and_each_block_counts_for_itself() {
        let copies = [copy(0, &[1, 2]), copy(1, &[1]), copy(2, &[1, 2])];
        assert_eq!(compare(&copies), Compared::Corrupt(vec![1]));
        let copies = [copy(0, &[9, 2]), copy(1, &[1, 2]), copy(2, &[1, 9])];
        assert_eq!(compare(&copies), Compared::Corrupt(vec![0, 2]));
        let copies = [(0, vec![(1, 512)]), (1, vec![(1, 511)]), (2, vec![(1, 512)])];
        assert_eq!(compare(&copies), Compared::Corrupt(vec![1]));
    }

    /// Two copies that differ cannot say which is right, nor can three that all differ.
    #[test]
    fn without_a_majority_nobody_is_accused() {
        assert_eq!(compare(&[copy(0, &[1]), copy(1, &[2])]), Compared::Undecided);
        assert_eq!(compare(&[copy(0, &[1]), copy(1, &[2]), copy(2, &[3])]), Compared::Undecided);
    }
}

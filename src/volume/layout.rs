//! Who holds which names of a directory: ranges of the hash.
//!
//! Each directory exists on every subvolume (a replica set, or a brick when nothing is replicated), and on each it carries
//! the **range** of hashes whose names belong there ([`super::xattr::DHT`]). Together the ranges cover all 2³² values. They are
//! written once, when the directory is made; a brick that is added later holds nothing of an old directory until
//! `rebalance fix-layout` deals the ranges out again.

/// Sixteen bytes on disk: commit hash, type (0), start, stop; 4 × u32, big-endian, `stop` inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// Of which generation of the volume the layout is; equal to the volume's: a name that is not here is nowhere.
    pub commit: u32,
    /// The first hash.
    pub start: u32,
    /// The last hash. 0–0 holds nothing.
    pub stop: u32,
}

impl Range {
    /// As on disk.
    pub fn encode(self) -> [u8; 16] {
        let mut raw = [0; 16];
        for (place, n) in raw.chunks_exact_mut(4).zip([self.commit, 0, self.start, self.stop]) {
            place.copy_from_slice(&n.to_be_bytes());
        }
        raw
    }

    /// From the bytes on disk; `None` if they are none.
    pub fn decode(raw: &[u8]) -> Option<Self> {
        let raw: &[u8; 16] = raw.try_into().ok()?;
        let word = |i: usize| u32::from_be_bytes([raw[i], raw[i + 1], raw[i + 2], raw[i + 3]]);
        Some(Self { commit: word(0), start: word(8), stop: word(12) })
    }

    /// Whether it holds nothing.
    pub fn is_empty(self) -> bool {
        self.start == 0 && self.stop == 0
    }

    fn contains(self, hash: u32) -> bool {
        !self.is_empty() && (self.start..=self.stop).contains(&hash)
    }
}

/// A directory's ranges, one place a subvolume, in the volume's order; `None`: that copy of the directory has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout(pub Vec<Option<Range>>);

/// What is known of a subvolume when ranges are dealt out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its name (`gv0-client-10`); ranges are dealt in the order of the names as strings.
    pub name: String,
    /// How much it may hold, in MiB, divided by the number of bricks that share the file system; 0: unknown.
    pub chunks: u32,
    /// Whether it may hold anything: it is up and not about to be removed.
    pub usable: bool,
}

impl Layout {
    /// The subvolume that a hash belongs to.
    pub fn find(&self, hash: u32) -> Option<usize> {
        self.0.iter().position(|r| r.is_some_and(|r| r.contains(hash)))
    }

    /// Whether every hash belongs to exactly one subvolume.
    pub fn is_whole(&self) -> bool {
        let mut ranges: Vec<_> = self.0.iter().flatten().filter(|r| !r.is_empty()).collect();
        ranges.sort_by_key(|r| r.start);
        let mut next = Some(0);
        for range in &ranges {
            if next != Some(range.start) {
                return false;
            }
            next = range.stop.checked_add(1);
        }
        !ranges.is_empty() && next.is_none()
    }

    /// Deals out all hashes for the directory at `path` (`/`, `/d1/e`). The subvolumes take their turns in the order of their
    /// names, beginning with the one that the path's own hash picks; each gets a part as large as its share.
    pub fn assign(path: &[u8], commit: u32, shares: &[Share], weighted: bool) -> Self {
        let mut order: Vec<usize> = (0..shares.len()).filter(|i| shares[*i].usable).collect();
        order.sort_by(|a, b| shares[*a].name.cmp(&shares[*b].name));
        let mut layout = Self(vec![Some(Range { commit, start: 0, stop: 0 }); shares.len()]);
        if order.is_empty() {
            return layout;
        }
        let first = super::hash::of_name(path) as usize % order.len();
        order.rotate_left(first);
        let known = weighted && order.iter().all(|i| shares[*i].chunks > 0);
        let weight = |i: usize| if known { f64::from(shares[i].chunks) } else { 1.0 };
        let chunk = f64::from(u32::MAX) / order.iter().map(|i| weight(*i)).sum::<f64>();
        let mut start = 0_u32;
        for (turn, i) in order.iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let width = (chunk * weight(*i)) as u32;
            let last = turn + 1 == order.len();
            let stop = if last { u32::MAX } else { start.wrapping_add(width).wrapping_sub(1) };
            layout.0[*i] = Some(Range { commit, start, stop });
            start = stop.wrapping_add(1);
        }
        layout
    }

    /// The same ranges, permuted among the subvolumes so that as little as possible changes hands compared with `old`
    /// (only among ranges of one width, as when all bricks are of one size). `fix-layout` uses it.
    #[must_use]
    pub fn kept_close_to(mut self, old: &Self) -> Self {
        let overlap = |a: Option<Range>, b: Option<Range>| match (a, b) {
            (Some(a), Some(b)) if !a.is_empty() && !b.is_empty() => {
                u64::from(a.stop.min(b.stop)).saturating_add(1).saturating_sub(u64::from(a.start.max(b.start)))
            }
            _ => 0,
        };
        let places: Vec<usize> = (0..self.0.len()).filter(|i| self.0[*i].is_some_and(|r| !r.is_empty())).collect();
        for (n, &i) in places.iter().enumerate() {
            for &j in &places[n + 1..] {
                let before = |i: usize| old.0.get(i).copied().flatten();
                let now = overlap(self.0[i], before(i)) + overlap(self.0[j], before(j));
                let swapped = overlap(self.0[j], before(i)) + overlap(self.0[i], before(j));
                if swapped > now {
                    self.0.swap(i, j);
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(chunks: &[u32]) -> Vec<Share> {
        let share = |(n, c): (usize, &u32)| Share { name: format!("dist-client-{n}"), chunks: *c, usable: true };
        chunks.iter().enumerate().map(share).collect()
    }

    fn ranges(layout: &Layout) -> Vec<(u32, u32)> {
        layout.0.iter().map(|r| r.map_or((0, 0), |r| (r.start, r.stop))).collect()
    }

    /// Four equal bricks: the ranges that were read from the bricks of a real volume.
    #[test]
    fn the_root_of_four_equal_bricks() {
        let layout = Layout::assign(b"/", 1, &shares(&[2048; 4]), true);
        let expected =
            [(0, 0x3fff_fffe), (0x3fff_ffff, 0x7fff_fffd), (0x7fff_fffe, 0xbfff_fffc), (0xbfff_fffd, 0xffff_ffff)];
        assert_eq!(ranges(&layout), expected);
        assert!(layout.is_whole());
        let raw = layout.0[1].unwrap().encode();
        assert_eq!(raw, [0, 0, 0, 1, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xfd]);
        assert_eq!(Range::decode(&raw), layout.0[1]);
    }

    /// The directory's own path picks who begins: for `/d1` it is the third brick.
    #[test]
    fn the_path_says_who_begins() {
        let layout = Layout::assign(b"/d1", 0, &shares(&[2048; 4]), true);
        assert_eq!(ranges(&layout)[2], (0, 0x3fff_fffe));
        assert_eq!(layout.find(0), Some(2));
        assert_eq!(layout.find(u32::MAX), Some(1));
    }

    /// Names are compared as strings, so `client-10` comes before `client-2`.
    #[test]
    fn subvolumes_take_turns_in_the_order_of_their_names() {
        let layout = Layout::assign(b"/", 1, &shares(&[0; 11]), true);
        let first = super::super::hash::of_name(b"/") as usize % 11;
        let by_name = ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"];
        let begins: usize = by_name[first].parse().unwrap();
        assert_eq!(layout.0[begins].unwrap().start, 0);
    }

    /// Two of five bricks on one file system get half the width each.
    #[test]
    fn shares_weigh() {
        let layout = Layout::assign(b"/", 1, &shares(&[1000, 1000, 1000, 500, 500]), true);
        let widths: Vec<u32> = layout.0.iter().map(|r| r.map_or(0, |r| r.stop - r.start)).collect();
        assert!(widths[3] / 1000 == widths[4] / 1000 && widths[0] / 1000 == widths[3] / 500, "{widths:x?}");
        assert!(layout.is_whole());
    }

    /// A brick about to be removed gets nothing; holes and overlaps are seen.
    #[test]
    fn whole_means_every_hash_once() {
        let mut shares = shares(&[0; 3]);
        shares[1].usable = false;
        let mut layout = Layout::assign(b"/x", 1, &shares, true);
        assert!(layout.is_whole() && layout.0[1].unwrap().is_empty());
        layout.0[0] = None;
        assert!(!layout.is_whole());
        assert!(!Layout::default().is_whole());
    }

    /// After a fourth brick joins, most hashes of the three stay where they were.
    #[test]
    fn fix_layout_moves_little() {
        let old = Layout::assign(b"/", 1, &shares(&[0; 3]), true);
        let new = Layout::assign(b"/d1", 2, &shares(&[0; 4]), true).kept_close_to(&old);
        assert!(new.is_whole());
        let stays = (0..=255_u32).filter(|h| old.find(h << 24) == new.find(h << 24)).count();
        assert!(stays >= 128, "{stays} of 256");
    }
}

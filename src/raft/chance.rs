//! Chance from a seed.
//!
//! Raft needs luck in one place: "election timeouts are chosen randomly from a fixed interval" (§5.2). A core that is
//! to run the same in a process, a simulator and a golden script may not take its luck from the system, so it draws from
//! this generator (SplitMix64, Steele, Lea and Flood 2014): a few lines, good enough for spreading timers, no more.

/// A stream of pseudo-random numbers. The same seed gives the same stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chance(u64);

impl Chance {
    /// A stream from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, uniform over all 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`. Both ends can occur.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        debug_assert!(low <= high, "an empty range {low}..={high}");
        low + self.draw() % (high - low + 1)
    }
}

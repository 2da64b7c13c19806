//! Random numbers from one seed (`SplitMix64`).

use steprill::hash::{INCREMENT, avalanche};

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(INCREMENT);
        avalanche(self.0)
    }

    /// Returns a number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    /// Returns true once in `times`.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Combines many numbers into one that looks random in each.
pub(crate) fn hash(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |hash, part| avalanche(hash.rotate_left(5) ^ part.wrapping_add(INCREMENT)))
}

//! A part of a head by its position.

use std::num::NonZeroU32;

/// A range in a head. 32 bits suffice, as heads are limited. It follows the method, so its end is never 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: NonZeroU32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: NonZeroU32::new(end as u32).expect("the method stands before it") }
    }

    /// Returns the position of `part` in `whole`, which must contain it.
    pub(super) fn locate(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Self::new(start, start + part.len())
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end.get() as usize]
    }
}

//! A part of a head by its position.

use std::num::NonZeroU32;

/// A place in a head: 32 bits, as a head is bounded far below. It lies behind the method, so its end is never 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: NonZeroU32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: NonZeroU32::new(end as u32).expect("the method stands before it") }
    }

    /// Where `part` stands in `whole`, of which it is a part.
    pub(super) fn locate(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Self::new(start, start + part.len())
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end.get() as usize]
    }
}

//! Memory that is no longer needed and takes long to free.

use std::fmt;

use super::Scheduler;
use crate::limits::WASTE_BYTES_MIN;

/// A large value of many parts. Dropping it takes milliseconds, so the server does that outside its loop.
pub struct Waste {
    bytes: usize,
    #[expect(dead_code, reason = "it is only dropped")]
    unneeded: Box<dyn Send>,
}

impl Waste {
    /// Wraps a value that takes this many bytes.
    pub fn new(bytes: usize, unneeded: impl Send + 'static) -> Self {
        Self { bytes, unneeded: Box::new(unneeded) }
    }

    /// Returns what it takes until it is dropped.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Scheduler {
    /// Takes a value of this many bytes that is no longer needed.
    pub fn discard(&mut self, bytes: usize, unneeded: impl Send + 'static) {
        discard(&mut self.waste, bytes, unneeded);
    }

    /// Returns the next value to be dropped.
    pub fn poll_waste(&mut self) -> Option<Waste> {
        self.waste.pop()
    }
}

/// Drops a value of this many bytes, at once if they are few.
pub(super) fn discard(waste: &mut Vec<Waste>, bytes: usize, unneeded: impl Send + 'static) {
    if bytes >= WASTE_BYTES_MIN {
        waste.push(Waste::new(bytes, unneeded));
    }
}

impl fmt::Debug for Waste {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Waste").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

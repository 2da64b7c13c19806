//! What is no longer needed and takes long to free.

use std::fmt;

use super::Scheduler;
use crate::limits::WASTE_BYTES_MIN;

/// Something large of many parts. To drop it takes milliseconds, which the server spends apart from its loop.
pub struct Waste {
    bytes: usize,
    #[expect(dead_code, reason = "it is only dropped")]
    unneeded: Box<dyn Send>,
}

impl Waste {
    /// Something that takes so many bytes.
    pub fn new(bytes: usize, unneeded: impl Send + 'static) -> Self {
        Self { bytes, unneeded: Box::new(unneeded) }
    }

    /// What it takes until it is dropped.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Scheduler {
    /// Takes something of so many bytes that is no longer needed.
    pub fn discard(&mut self, bytes: usize, unneeded: impl Send + 'static) {
        discard(&mut self.waste, bytes, unneeded);
    }

    /// The next thing to be dropped.
    pub fn poll_waste(&mut self) -> Option<Waste> {
        self.waste.pop()
    }
}

/// Drops what takes so many bytes: now if they are few.
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

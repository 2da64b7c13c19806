//! Memory that is no longer needed and takes long to free.

use std::fmt;

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

impl fmt::Debug for Waste {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Waste").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

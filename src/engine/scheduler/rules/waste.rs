//! Memory that is no longer needed and takes long to free.

use crate::engine::scheduler::{Scheduler, waste::Waste};

impl Scheduler {
    /// Takes a value of this many bytes that is no longer needed.
    pub fn discard(&mut self, bytes: usize, unneeded: impl Send + 'static) {
        self.outbox.discard(bytes, unneeded);
    }

    /// Returns the next value to be dropped.
    pub fn poll_waste(&mut self) -> Option<Waste> {
        self.outbox.poll_waste()
    }
}

//! Memory that is no longer needed and takes long to free.

use crate::engine::scheduler::{
    Scheduler,
    waste::{Waste, discard},
};

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

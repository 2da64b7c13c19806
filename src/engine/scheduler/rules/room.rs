//! The size of the store, and its limit: finished handlers are removed, and new runs are refused when none is left that
//! may be removed.

use crate::engine::scheduler::Scheduler;

impl Scheduler {
    /// The store takes this many bytes, including all that is committed.
    pub fn handle_size(&mut self, bytes: u64) {
        self.room.handle_size(bytes, self.limits.data_bytes_max);
    }

    /// Returns whether the store exceeds its limit, as far as is known.
    pub(super) fn is_over_bytes(&self) -> bool {
        self.room.excess(self.limits.data_bytes_max).is_some()
    }

    /// Returns how many finished handlers to remove to get below the limit, assuming that all handlers take the same.
    /// If they do not, the next report corrects this.
    pub(super) fn excess_by_bytes(&self, finished: usize) -> usize {
        let excess = self.room.excess(self.limits.data_bytes_max);
        excess.map_or(0, |bytes| self.room.handlers_of(bytes, finished + self.tally.running))
    }
}

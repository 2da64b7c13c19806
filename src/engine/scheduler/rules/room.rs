//! The size of the store, and its limit: finished handlers are removed, and new runs are refused when none is left that
//! may be removed.

use crate::engine::scheduler::Scheduler;

impl Scheduler {
    /// The store takes this many bytes, including all that is committed.
    pub fn handle_size(&mut self, bytes: u64) {
        self.room.used = bytes;
        self.room.is_measured = true;
        self.room.is_full &= self.is_over_bytes();
    }

    /// Returns whether the store exceeds its limit, as far as is known.
    pub(super) fn is_over_bytes(&self) -> bool {
        self.room.is_measured && self.limits.data_bytes_max.is_some_and(|max| self.room.used > max)
    }

    /// Returns how many finished handlers to remove to get below the limit, assuming that all handlers take the same.
    /// If they do not, the next report corrects this.
    pub(super) fn excess_by_bytes(&self, finished: usize) -> usize {
        let Some(max) = self.limits.data_bytes_max.filter(|_| self.is_over_bytes()) else { return 0 };
        let handlers = (finished + self.tally.running).max(1) as u64;
        let of_each = (self.room.used / handlers).max(1);
        usize::try_from((self.room.used - max).div_ceil(of_each)).unwrap_or(usize::MAX).max(1)
    }
}

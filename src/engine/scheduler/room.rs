//! The size of the store, and its limit: finished handlers are removed, and new runs are refused when none is left that
//! may be removed.

use super::Scheduler;

/// The size of the store compared with its limit.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The bytes of the store, as last reported.
    used: u64,
    /// Whether that includes the last removals.
    is_measured: bool,
    /// Whether the store exceeds its limit and has nothing that may be removed.
    is_full: bool,
}

impl Room {
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Handlers were removed: how much that frees is known when the store reports its size again.
    pub(super) fn note_removed(&mut self) {
        self.is_measured = false;
    }

    /// The removals have failed.
    pub(super) fn handle_failed(&mut self) {
        self.is_measured = self.used > 0;
    }

    /// The store was asked for handlers to remove, of which `removed` are removed.
    pub(super) fn note_asked(&mut self, is_over: bool, removed: usize) {
        self.is_full = is_over && removed == 0;
    }
}

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

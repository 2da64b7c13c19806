//! How many bytes the store takes, and what becomes of that: finished handlers go, and new runs are refused when none
//! is left that may.

use super::Scheduler;

/// The size of the store beside its bound.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes of the store, as it said last.
    used: u64,
    /// Whether that counts what was removed last.
    is_measured: bool,
    /// Whether the store is over its bound and has nothing that may go.
    is_full: bool,
}

impl Room {
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Handlers have been removed: how much that frees is known when the store has said its size again.
    pub(super) fn note_removed(&mut self) {
        self.is_measured = false;
    }

    /// What was removed is still there.
    pub(super) fn handle_failed(&mut self) {
        self.is_measured = self.used > 0;
    }

    /// The store was asked for handlers to remove, and `removed` of them go.
    pub(super) fn note_asked(&mut self, is_over: bool, removed: usize) {
        self.is_full = is_over && removed == 0;
    }
}

impl Scheduler {
    /// The store takes so many bytes, of all that is committed.
    pub fn handle_size(&mut self, bytes: u64) {
        self.room.used = bytes;
        self.room.is_measured = true;
        self.room.is_full &= self.is_over_bytes();
    }

    /// Whether the store takes more than it may, as far as that is known.
    pub(super) fn is_over_bytes(&self) -> bool {
        self.room.is_measured && self.limits.data_bytes_max.is_some_and(|max| self.room.used > max)
    }

    /// How many finished handlers are to go for the bytes' sake: as many as take what is too much if all handlers take
    /// the same. Where they do not, the next size says so.
    pub(super) fn excess_by_bytes(&self, finished: usize) -> usize {
        let Some(max) = self.limits.data_bytes_max.filter(|_| self.is_over_bytes()) else { return 0 };
        let handlers = (finished + self.tally.running).max(1) as u64;
        let of_each = (self.room.used / handlers).max(1);
        usize::try_from((self.room.used - max).div_ceil(of_each)).unwrap_or(usize::MAX).max(1)
    }
}

//! When the loop takes the notes of running passes.

use std::time::Duration;

use crate::limits::{NOTES_PAUSE_US, STORE_BEHIND_US_MAX};

/// How far the store is behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreProgress {
    /// Nothing is being committed.
    pub(super) is_settled: bool,
    /// How long the oldest batch has waited for its commit.
    pub(super) behind_us: u64,
}

/// Decides when notes are taken. While a commit is in progress they are taken only now and then: they would wait for
/// the next commit anyway, and taken together they need fewer records. With no commit in progress they are taken at
/// once. While the store is blocked they stay with their passes, which wait when they have many.
#[derive(Debug, Default)]
pub(super) struct NotesPace {
    /// When notes were last taken, on the alive clock.
    taken_us: u64,
}

impl NotesPace {
    /// Returns whether notes are to be taken now; if so, they count as taken.
    pub(super) fn take(&mut self, store: StoreProgress, alive_us: u64) -> bool {
        let takes = store.is_settled || (!store.stands_still() && alive_us >= self.due_us());
        if takes {
            self.taken_us = alive_us;
        }
        takes
    }

    /// Returns how long until notes that were left with their passes are to be taken; `None` if the store wakes the
    /// loop first.
    pub(super) fn poll_timeout(&self, store: StoreProgress, alive_us: u64) -> Option<Duration> {
        let due_us = if store.is_settled { 0 } else { self.due_us() };
        (!store.stands_still()).then(|| Duration::from_micros(due_us.saturating_sub(alive_us)))
    }

    fn due_us(&self) -> u64 {
        self.taken_us + NOTES_PAUSE_US
    }
}

impl StoreProgress {
    fn stands_still(self) -> bool {
        self.behind_us >= STORE_BEHIND_US_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_taken_at_once_now_and_then_or_not_at_all() {
        let idle = StoreProgress { is_settled: true, behind_us: 0 };
        let busy = StoreProgress { is_settled: false, behind_us: 1_000 };
        let stuck = StoreProgress { is_settled: false, behind_us: STORE_BEHIND_US_MAX };
        let mut pace = NotesPace::default();
        assert!(pace.take(idle, 1_000_000) && pace.take(idle, 1_000_001));
        assert!(!pace.take(busy, 1_000_001 + NOTES_PAUSE_US - 1));
        assert_eq!(pace.poll_timeout(busy, 1_000_001), Some(Duration::from_micros(NOTES_PAUSE_US)));
        assert_eq!(pace.poll_timeout(idle, 1_000_001), Some(Duration::ZERO));
        assert!(pace.take(busy, 1_000_001 + NOTES_PAUSE_US));
        assert!(!pace.take(stuck, u64::MAX));
        assert_eq!(pace.poll_timeout(stuck, u64::MAX), None);
    }
}

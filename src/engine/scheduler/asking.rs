//! Queries that the store works on.

use std::collections::BTreeMap;

/// When a query was made: [`Scheduler::begin_read`](super::Scheduler::begin_read).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asked(pub(super) u64);

/// The queries on which the store works.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// The number of queries made while this was the first uncommitted batch.
    pub(super) asked: BTreeMap<u64, usize>,
    /// Answers to queries made while an earlier batch was the first uncommitted one cannot be used: something has been
    /// rolled back since to what is committed, and they may be older than that.
    pub(super) sound_from: u64,
    /// The first batch that the last answer may not know about.
    pub(super) answered: u64,
}

impl Asking {
    /// Something is rolled back to what is committed, which is all before this batch.
    pub(super) fn handle_rolled_back(&mut self, uncommitted: u64) {
        self.sound_from = self.sound_from.max(uncommitted);
    }

    /// Returns the first batch that the present answer may not know about.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }
}

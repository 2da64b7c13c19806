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
    /// The first batch after the last failure: answers to earlier queries cannot be used.
    pub(super) sound_from: u64,
    /// The first batch that the last answer may not know about.
    pub(super) answered: u64,
}

impl Asking {
    /// Batches have failed.
    pub(super) fn handle_failed(&mut self, next: u64) {
        self.sound_from = next;
    }

    /// Returns the first batch that the present answer may not know about.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }
}

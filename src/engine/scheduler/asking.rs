//! Queries that the store works on.

use std::collections::BTreeMap;

/// When a query was made: [`Scheduler::begin_read`](super::Scheduler::begin_read).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asked {
    /// The first uncommitted batch at that time.
    uncommitted: u64,
    /// How many queries there had been, with this one.
    serial: u64,
}

/// The queries on which the store works.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// The number of queries made while this was the first uncommitted batch.
    asked: BTreeMap<u64, usize>,
    /// The number of queries ever made.
    count: u64,
    /// Answers to queries made while an earlier batch was the first uncommitted one cannot be used: something has been
    /// rolled back since to what is committed, and they may be older than that.
    sound_from: u64,
    /// The answers to queries up to this one cannot be used: the store has since failed to read what they are about.
    refused_upto: u64,
    /// The first batch that the last answer may not know about.
    answered: u64,
}

impl Asking {
    /// Records a query that is made while this is the first uncommitted batch.
    pub(super) fn begin(&mut self, uncommitted: u64) -> Asked {
        *self.asked.entry(uncommitted).or_insert(0) += 1;
        self.count += 1;
        Asked { uncommitted, serial: self.count }
    }

    /// Records an answer. Returns whether it may be used.
    pub(super) fn end(&mut self, asked: Asked) -> bool {
        let Asked { uncommitted, serial } = asked;
        if let Some(count) = self.asked.get_mut(&uncommitted) {
            *count -= 1;
            if *count == 0 {
                self.asked.remove(&uncommitted);
            }
        }
        self.answered = uncommitted;
        uncommitted >= self.sound_from && serial > self.refused_upto
    }

    /// Something is rolled back to what is committed, which is all before this batch.
    pub(super) fn handle_rolled_back(&mut self, uncommitted: u64) {
        self.sound_from = self.sound_from.max(uncommitted);
    }

    /// Refuses the answers to all pending queries, so that they are repeated.
    pub(super) fn refuse_pending(&mut self) {
        self.refused_upto = self.count;
    }

    /// Returns the first batch that a pending answer may not know about; `None` if no query is pending.
    pub(super) fn first_asked(&self) -> Option<u64> {
        self.asked.first_key_value().map(|(&asked, _)| asked)
    }

    /// Returns the first batch that the present answer may not know about.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }
}

//! Finished handlers in the order of their ends: which of them are too many, and in what steps they are removed.

use std::collections::VecDeque;

use super::policies::Retained;
use crate::{
    engine::keys::RunKey,
    limits::{REST_US, RETENTION_SLICE},
    now::Now,
};

/// The finished handlers, resident and in the store.
#[derive(Debug)]
pub(super) struct Retention {
    pub(super) place: Retained,
    /// The resident ones, in the order in which they ended or were loaded.
    pub(super) resident: VecDeque<RunKey>,
    /// Runs that have ended since the last scan.
    pub(super) ended_since: usize,
    /// Runs that have ended since the store was last asked for the oldest.
    pub(super) ended_since_asked: usize,
    /// Whether the store has more handlers that were retained for long enough.
    pub(super) has_expired: bool,
    /// The number of finished handlers where they are retained.
    pub(super) retained_count: isize,
    /// Whether the store was asked for the oldest.
    pub(super) is_asked: bool,
    /// How many of those are removed at most.
    pub(super) slice: usize,
    /// The batch that removes them; the next query waits until that is committed.
    pub(super) removing: u64,
    /// Whether none of them could be removed: the next query waits for a change.
    pub(super) is_stuck: bool,
    /// Until when the store is not asked, as it could not be read or a removal failed, on the alive clock.
    pub(super) rests_until_us: Option<u64>,
    /// When to check the ages of handlers, on the alive clock.
    pub(super) ages_due_us: Option<u64>,
    /// When to remove a small excess, unless it grows before, on the alive clock.
    pub(super) excess_due_us: Option<u64>,
}

impl Retention {
    pub(super) fn new(place: Retained, retained_count: usize) -> Self {
        Self {
            place,
            resident: VecDeque::new(),
            ended_since: 0,
            ended_since_asked: 0,
            has_expired: false,
            retained_count: retained_count.cast_signed(),
            is_asked: false,
            slice: RETENTION_SLICE,
            removing: 0,
            is_stuck: false,
            rests_until_us: None,
            // Handlers in the store may have been retained for long enough.
            ages_due_us: (retained_count > 0).then_some(0),
            excess_due_us: None,
        }
    }

    /// The run has ended and that is committed.
    pub(super) fn handle_ended(&mut self, run: RunKey) {
        self.ended_since += 1;
        self.handle_here(run);
    }

    /// The store has one more finished handler.
    pub(super) fn count(&mut self) {
        self.retained_count += 1;
        self.ended_since_asked += 1;
        self.is_stuck = false;
    }

    /// A reader has left, or something is committed: handlers that had to stay may be removed now.
    pub(super) fn look_again(&mut self) {
        self.is_stuck = false;
    }

    /// A finished handler is resident.
    pub(super) fn handle_here(&mut self, run: RunKey) {
        self.resident.push_back(run);
        self.ages_due_us.get_or_insert(0);
    }

    /// A finished handler of the store was continued or removed.
    pub(super) fn uncount(&mut self) {
        self.retained_count -= 1;
    }

    /// The removals of this many finished handlers were not committed. Removing them again at once would most likely
    /// fail again.
    pub(super) fn handle_removal_failed(&mut self, count: usize, now: Now) {
        if count > 0 {
            self.rest(now);
        }
        self.retained_count += count.cast_signed();
        self.ages_due_us.get_or_insert(0);
    }

    /// Removes nothing for a while.
    pub(super) fn rest(&mut self, now: Now) {
        self.rests_until_us = Some(now.alive_us.saturating_add(REST_US));
    }

    /// A handler was set aside that was uncounted this often. The store no longer has it among the finished ones.
    pub(super) fn handle_aside(&mut self, uncounted: usize, was_finished: bool) {
        self.retained_count += uncounted.cast_signed() - isize::from(was_finished);
        self.ages_due_us.get_or_insert(0);
    }

    /// Returns how many more handlers are finished than are to be retained.
    pub(super) fn excess(&self, keep_finished: usize) -> usize {
        self.finished().saturating_sub(keep_finished)
    }

    /// Returns the number of finished handlers in the store.
    pub(super) fn finished(&self) -> usize {
        usize::try_from(self.retained_count).unwrap_or(0)
    }

    pub(super) fn due_us(&self) -> Option<u64> {
        self.ages_due_us
    }
}

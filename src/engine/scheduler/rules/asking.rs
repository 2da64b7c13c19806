//! Tracks queries to the store, so that no answer is considered newer than it is.

use crate::engine::{
    keys::{CallerId, HandlerKey, RunKey},
    scheduler::{Scheduler, absent::Removed, asking::Asked},
};

impl Scheduler {
    /// Records a query for a handler or for the oldest ones; call [`Scheduler::end_read`] once the store has answered.
    pub fn begin_read(&mut self) -> Asked {
        let (asked, unseen) = (self.uncommitted(), self.unseen());
        self.absent.trim(unseen);
        *self.asking.asked.entry(asked).or_insert(0) += 1;
        Asked(asked)
    }

    /// Records that the store has answered. Returns whether the answer may be used; if not, something has been rolled
    /// back since, and the query must be repeated.
    #[must_use]
    pub fn end_read(&mut self, Asked(asked): Asked) -> bool {
        if let Some(count) = self.asking.asked.get_mut(&asked) {
            *count -= 1;
            if *count == 0 {
                self.asking.asked.remove(&asked);
            }
        }
        self.asking.answered = asked;
        asked >= self.asking.sound_from
    }

    /// Returns the first batch that an answer, now or later, may not know about. What it contains stays in memory.
    pub(super) fn unseen(&self) -> u64 {
        let uncommitted = self.uncommitted();
        self.asking.asked.first_key_value().map_or(uncommitted, |(&asked, _)| asked.min(uncommitted))
    }

    /// Records that a handler is removed with the open batch. `run` is its newest run if it was resident.
    pub(super) fn note_removed(&mut self, key: HandlerKey, run: Option<RunKey>, caller: Option<CallerId>) {
        self.absent.remove(key, Removed { batch: self.batch.number, run, caller });
    }
}

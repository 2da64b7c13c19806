//! Tracks queries to the store, so that no answer is considered newer than it is.

use crate::engine::{
    keys::{CallerId, HandlerKey, RunKey},
    scheduler::{Scheduler, asking::Asked, life::Removed},
};

impl Scheduler {
    /// Records a query for a handler or for the oldest ones; call [`Scheduler::end_read`] once the store has answered.
    pub fn begin_read(&mut self) -> Asked {
        self.handlers.trim(self.commits.unseen());
        self.commits.begin_read()
    }

    /// Records that the store has answered. Returns whether the answer may be used; if not, something has been rolled
    /// back or found damaged since, and the query must be repeated.
    #[must_use]
    pub fn end_read(&mut self, asked: Asked) -> bool {
        self.commits.end_read(asked)
    }

    /// Records that a handler is removed with the open batch. `run` is its newest run if it was resident.
    pub(super) fn note_removed(&mut self, key: HandlerKey, run: Option<RunKey>, caller: Option<CallerId>) {
        self.handlers.note_removed(key, Removed { batch: self.commits.batch.number, run, caller });
    }
}

//! Positions of removed handlers in lists, so that a client that lists page by page can continue after the last id that
//! it got.
//!
//! An id made by the server determines its position. Of removed ids that clients chose, the newest are remembered.

use std::sync::Arc;

use crate::engine::{
    keys::{HandlerKey, RunKey},
    scheduler::Scheduler,
};

impl Scheduler {
    /// The store has removed handlers under ids that clients chose.
    pub fn handle_gone(&mut self, gone: &[(Arc<str>, HandlerKey)]) {
        for (id, key) in gone {
            self.names.gone.note(id, *key);
        }
    }

    /// Returns the position in lists of a handler that is resident or removed; `None` if there never was one with that
    /// id, as far as that is known without the store.
    pub fn place_of(&self, id: &str) -> Option<HandlerKey> {
        let made = || self.names.ids.key(id).filter(|key| self.names.keys.issued().contains(*key));
        self.find(id).or_else(|| self.names.gone.keys.get(id).copied()).or_else(made)
    }

    /// Returns the batch whose commit decides whether the handler with this id exists, if its newest run has begun or
    /// it is removed and that is not committed yet; with `changes`, also whether its run has ended.
    pub fn unsettled(&self, id: &str, changes: bool) -> Option<u64> {
        let Some(key) = self.find(id) else {
            let removed = self.handlers.removed(self.place_of(id)?)?;
            return Some(removed.batch).filter(|batch| *batch >= self.first_unsettled());
        };
        let handler = self.handlers.get(key).filter(|_| self.is_changing(key))?;
        let ended = (changes && handler.has_ended() && !handler.is_over()).then_some(handler.journal.batch);
        ended.or_else(|| self.commits.begun_with(RunKey { handler: key, run: handler.run }))
    }

    /// Returns whether a change of this handler is not committed yet.
    pub fn is_changing(&self, key: HandlerKey) -> bool {
        let is_open = |batch| batch >= self.first_unsettled();
        self.handlers.get(key).is_some_and(|handler| is_open(handler.journal.batch))
    }

    /// Returns the number of the first batch that is not known to be committed.
    pub fn first_unsettled(&self) -> u64 {
        self.commits.uncommitted()
    }
}

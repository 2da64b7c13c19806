//! What the store is asked for, so that no answer is taken for newer than it is.

use std::collections::BTreeMap;

use super::{Scheduler, absent::Removed};
use crate::engine::keys::{CallerId, HandlerKey, RunKey};

/// When the store was asked for something: [`Scheduler::begin_read`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asked(u64);

/// Questions that the store works on.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// How many were asked when this was the first batch that was not committed.
    asked: BTreeMap<u64, usize>,
    /// The first batch after the last that failed: answers to what was asked before are of no use.
    sound_from: u64,
    /// The first batch that the last answer may not know of.
    answered: u64,
}

impl Asking {
    /// Batches were not committed.
    pub(super) fn handle_failed(&mut self, next: u64) {
        self.sound_from = next;
    }

    /// The first batch that the answer in hand may not know of.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }
}

impl Scheduler {
    /// The store is asked for a handler, or for the oldest, now; [`Scheduler::end_read`] follows when it has answered.
    pub fn begin_read(&mut self) -> Asked {
        let (asked, unseen) = (self.uncommitted(), self.unseen());
        self.absent.trim(unseen);
        *self.asking.asked.entry(asked).or_insert(0) += 1;
        Asked(asked)
    }

    /// The store has answered. Whether the answer may be used; if not, batches have failed since, and the store is to
    /// be asked again.
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

    /// The first batch that an answer of the store, now or later, may not know of. What is in it stays in memory.
    pub(super) fn unseen(&self) -> u64 {
        let uncommitted = self.uncommitted();
        self.asking.asked.first_key_value().map_or(uncommitted, |(&asked, _)| asked.min(uncommitted))
    }

    /// A handler is removed with the open batch: `run` is its newest if it was in memory.
    pub(super) fn note_removed(&mut self, key: HandlerKey, run: Option<RunKey>, caller: Option<CallerId>) {
        self.absent.remove(key, Removed { batch: self.batch.number, run, caller });
    }
}

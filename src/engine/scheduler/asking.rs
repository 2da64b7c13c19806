//! What the store is asked for, so that no answer is taken for newer than it is.

use std::collections::{BTreeMap, VecDeque};

use super::Scheduler;
use crate::engine::keys::HandlerKey;

/// When the store was asked for something: [`Scheduler::begin_read`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asked(u64);

/// Questions that the store works on, and what has changed beside them.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// How many were asked when this was the first batch that was not kept.
    asked: BTreeMap<u64, usize>,
    /// The first batch after the last that could not be kept: what was asked before is of no use.
    sound_from: u64,
    /// Handlers that were removed, in order, with the batch of that: an answer that was asked for before that is kept
    /// may still have them.
    removed: VecDeque<(u64, HandlerKey)>,
    removed_keys: BTreeMap<HandlerKey, u64>,
}

impl Asking {
    pub(super) fn note_removed(&mut self, key: HandlerKey, batch: u64) {
        if self.removed_keys.insert(key, batch).is_none() {
            self.removed.push_back((batch, key));
        }
    }

    /// Whether an answer about this handler may be older than its removal.
    pub(super) fn has_removed(&self, key: HandlerKey) -> bool {
        self.removed_keys.contains_key(&key)
    }

    /// The batch of a removal that answers may be older than.
    pub(super) fn removed_with(&self, key: HandlerKey) -> Option<u64> {
        self.removed_keys.get(&key).copied()
    }

    /// Batches were not kept, nor what was removed with them.
    pub(super) fn handle_failed(&mut self, next: u64) {
        self.sound_from = next;
        self.removed.clear();
        self.removed_keys.clear();
    }

    /// This handler was not removed.
    pub(super) fn handle_aside(&mut self, key: HandlerKey) {
        if self.removed_keys.remove(&key).is_some() {
            self.removed.retain(|(_, removed)| *removed != key);
        }
    }

    /// Forgets what was removed so long ago that every answer knows of it.
    fn trim(&mut self, unseen: u64) {
        while let Some(&(_, key)) = self.removed.front().filter(|&&(batch, _)| batch < unseen) {
            self.removed.pop_front();
            self.removed_keys.remove(&key);
        }
    }
}

impl Scheduler {
    /// The store is asked for a handler, or for the oldest, now; [`Scheduler::end_read`] follows when it has answered.
    pub fn begin_read(&mut self) -> Asked {
        let (asked, unseen) = (self.uncommitted(), self.unseen());
        self.asking.trim(unseen);
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
        asked >= self.asking.sound_from
    }

    /// The first batch that an answer of the store, now or later, may not know of. What is in it stays in memory.
    pub(super) fn unseen(&self) -> u64 {
        let uncommitted = self.uncommitted();
        self.asking.asked.first_key_value().map_or(uncommitted, |(&asked, _)| asked.min(uncommitted))
    }

    /// A handler is removed with the open batch.
    pub(super) fn note_removed(&mut self, key: HandlerKey) {
        let unseen = self.unseen();
        self.asking.trim(unseen);
        self.asking.note_removed(key, self.batch.number);
    }
}

//! Cursors of queues that have moved and are not stored yet.

use std::collections::BTreeSet;

use crate::{engine::keys::HandlerKey, limits::CURSOR_AGE_US, now::Now};

/// Queues that were read since their cursors were last stored.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    pub(super) moved: BTreeSet<HandlerKey>,
    /// When to store them if there is no other batch before, on the alive clock.
    due_us: Option<u64>,
    /// Whether the cursors are due to be stored.
    pub(super) is_due: bool,
}

impl Cursors {
    pub(super) fn has_moved(&self, key: HandlerKey) -> bool {
        self.moved.contains(&key)
    }

    pub(super) fn forget(&mut self, key: HandlerKey) {
        self.moved.remove(&key);
        if self.moved.is_empty() {
            *self = Self::default();
        }
    }

    pub(super) fn due_us(&self, now: Now) -> Option<u64> {
        let later = || (!self.moved.is_empty()).then_some(now.alive_us + CURSOR_AGE_US);
        self.due_us.or_else(later)
    }

    pub(super) fn handle_time(&mut self, now: Now) {
        self.due_us = self.due_us(now);
        self.is_due |= self.due_us.is_some_and(|due_us| due_us <= now.alive_us);
    }
}

//! Which handlers are damaged, and what of them the log was told.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{input::Outcome, keys::HandlerKey};

/// The handlers that are known to be damaged.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// Handlers whose rows cannot be changed, and how their runs count as ended if the store has no end of them. They
    /// are no longer among the store's finished handlers.
    pub(super) aside: BTreeMap<HandlerKey, Outcome>,
    /// Handlers that could not be read.
    pub(super) unread: BTreeSet<HandlerKey>,
    /// Handlers in `aside` that are intact. They are still among the store's finished handlers, but are not counted.
    pub(super) whole: BTreeSet<HandlerKey>,
    /// Handlers that the log has named.
    pub(super) said: BTreeSet<HandlerKey>,
    /// Whether something of a handler could not be committed because of a damaged page of another.
    pub(super) has_bad_page: bool,
}

impl Damage {
    pub(super) fn new(aside: &[(HandlerKey, Box<str>)]) -> Self {
        let aside = aside.iter().map(|(key, cause)| (*key, Outcome::Failed(text(cause)))).collect();
        Self { aside, ..Self::default() }
    }

    /// Returns how the run of a handler that was set aside counts as ended.
    pub(super) fn aside(&self, key: HandlerKey) -> Option<&Outcome> {
        self.aside.get(&key)
    }

    /// Returns how many of the store's finished handlers are intact but cannot be removed.
    pub(super) fn whole_count(&self) -> usize {
        self.whole.len()
    }

    /// Forgets a handler that was removed.
    pub(super) fn forget(&mut self, key: HandlerKey) {
        self.aside.remove(&key);
        self.unread.remove(&key);
        self.whole.remove(&key);
        self.said.remove(&key);
    }
}

/// Returns the error with which a damaged run counts as failed.
pub(super) fn text(cause: &str) -> String {
    format!("The run's stored rows are damaged: {cause}")
}

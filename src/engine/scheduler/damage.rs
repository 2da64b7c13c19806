//! Which handlers are damaged, and which of them the log has named.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    engine::{input::Outcome, keys::HandlerKey, stored::Aside},
    limits::{DAMAGED_LOGGED_MAX, DAMAGED_NOTED_MAX},
};

/// The handlers that are known to be damaged.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// Handlers whose rows cannot be changed, and how their runs count as ended if the store has no end of them. They
    /// are no longer among the store's finished handlers.
    aside: BTreeMap<HandlerKey, Outcome>,
    /// Handlers that could not be read.
    unread: BTreeSet<HandlerKey>,
    /// Handlers in `aside` that are intact. They are still among the store's finished handlers, but are not counted.
    whole: BTreeSet<HandlerKey>,
    /// Handlers that the log has named.
    named: BTreeSet<HandlerKey>,
    /// Whether something of a handler could not be committed because of a damaged page of another.
    has_bad_page: bool,
}

/// Whether the log names a damaged handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Naming {
    /// It does.
    Names,
    /// It does not, but reports once that there are more.
    SaysMore,
    /// It neither names this handler nor reports more.
    Silent,
}

impl Damage {
    pub(super) fn new(aside: &[(HandlerKey, Box<str>)]) -> Self {
        let aside = aside.iter().map(|(key, cause)| (*key, Outcome::Failed(text(cause)))).collect();
        Self { aside, ..Self::default() }
    }

    /// A handler was set aside: see [`Health::handle_aside`](super::health::Health::handle_aside).
    pub(super) fn handle_aside(&mut self, aside: &Aside, is_new: bool, is_stuck: bool) -> bool {
        let key = aside.handler;
        self.has_bad_page |= !aside.is_own;
        let stays = is_stuck && self.whole.len() < DAMAGED_NOTED_MAX;
        if stays {
            self.whole.insert(key);
        }
        if (aside.is_own || stays) && !is_new {
            self.set_aside(key, Outcome::Failed(text(&aside.cause)));
        }
        stays
    }

    pub(super) fn set_aside(&mut self, key: HandlerKey, outcome: Outcome) {
        self.aside.insert(key, outcome);
    }

    /// Counts a handler that cannot be read.
    pub(super) fn count_unread(&mut self, key: HandlerKey) {
        if !self.aside.contains_key(&key) && self.unread.len() < DAMAGED_NOTED_MAX {
            self.unread.insert(key);
        }
    }

    /// Returns whether the log is to name this handler now: once, whatever is found out about it later, until there are
    /// too many.
    pub(super) fn name(&mut self, key: HandlerKey) -> Naming {
        let count = self.named.len();
        if count > DAMAGED_LOGGED_MAX || self.aside.contains_key(&key) || !self.named.insert(key) {
            return Naming::Silent;
        }
        if count < DAMAGED_LOGGED_MAX { Naming::Names } else { Naming::SaysMore }
    }

    /// Returns how many handlers are known to be damaged.
    pub(super) fn count(&self) -> usize {
        self.aside.len() + self.unread.iter().filter(|key| !self.aside.contains_key(key)).count()
    }

    /// Returns whether something could not be committed because of a damaged page that belongs to no handler involved.
    pub(super) fn has_bad_page(&self) -> bool {
        self.has_bad_page
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
        self.named.remove(&key);
    }
}

/// Returns the error with which a damaged run counts as failed.
pub(super) fn text(cause: &str) -> String {
    format!("The run's stored rows are damaged: {cause}")
}

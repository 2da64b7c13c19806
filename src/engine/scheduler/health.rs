//! The health of the store: whether its last commit failed, how often that happened recently, and what is damaged.

use super::{
    damage::{Damage, Naming},
    failure::Failing,
};
use crate::{
    engine::{input::Outcome, keys::HandlerKey, storage::StoreError, stored::Aside},
    now::Now,
};

/// The health of the store.
#[derive(Debug)]
pub(super) struct Health {
    damage: Damage,
    /// The most recent reason why something could not be committed.
    fault: Option<StoreError>,
    /// Whether the last commit failed.
    has_failed: bool,
    failing: Failing,
}

impl Health {
    /// `aside` are the handlers that earlier processes set aside, and why.
    pub(super) fn new(aside: &[(HandlerKey, Box<str>)]) -> Self {
        Self { damage: Damage::new(aside), fault: None, has_failed: false, failing: Failing::default() }
    }

    /// Sets why the last commit failed; `None` once one has succeeded.
    pub(super) fn note_store_fault(&mut self, fault: Option<StoreError>) {
        self.has_failed = fault.is_some();
        self.fault = fault.or(self.fault.take());
    }

    /// Returns the most recent reason why something could not be committed, even if the store works again.
    pub(super) fn last_fault(&self) -> StoreError {
        self.fault.clone().unwrap_or_else(|| StoreError::Failed { cause: Box::default() })
    }

    /// A commit has failed.
    pub(super) fn handle_failed(&mut self, now: Now) {
        self.failing.note(now);
    }

    /// Returns whether commits have failed so often recently that what is rolled back is loaded only after a pause.
    pub(super) fn fails_often(&self) -> bool {
        self.failing.is_often()
    }

    /// A handler was set aside. `is_new` says whether no run of it is committed, and `is_stuck` whether it is intact
    /// but cannot be removed. Returns whether it is remembered as such, so that retention does not choose it again.
    pub(super) fn handle_aside(&mut self, aside: &Aside, is_new: bool, is_stuck: bool, now: Now) -> bool {
        self.fault = Some(StoreError::Damaged { handler: aside.handler, cause: aside.cause.clone() });
        if !aside.is_own {
            // A change made as soon as the handler is loaded would meet the same page at once.
            self.failing.note(now);
        }
        self.damage.handle_aside(aside, is_new, is_stuck)
    }

    /// The run of a handler whose rows are damaged counts as ended with this outcome, which cannot be committed.
    pub(super) fn give_up(&mut self, key: HandlerKey, outcome: Outcome) {
        self.damage.set_aside(key, outcome);
    }

    /// Counts a handler whose rows cannot be read.
    pub(super) fn count_damaged(&mut self, key: HandlerKey) {
        self.damage.count_unread(key);
    }

    /// Returns whether the log is to name this handler now.
    pub(super) fn name(&mut self, key: HandlerKey) -> Naming {
        self.damage.name(key)
    }

    /// Forgets a handler that was removed.
    pub(super) fn forget(&mut self, key: HandlerKey) {
        self.damage.forget(key);
    }

    /// Returns whether the rows of this handler cannot be changed.
    pub(super) fn is_aside(&self, key: HandlerKey) -> bool {
        self.damage.aside(key).is_some()
    }

    /// Returns how the run of a handler that was set aside counts as ended.
    pub(super) fn aside(&self, key: HandlerKey) -> Option<&Outcome> {
        self.damage.aside(key)
    }

    /// Returns how many handlers are known to be damaged.
    pub(super) fn damaged_count(&self) -> usize {
        self.damage.count()
    }

    /// Returns how many of the store's finished handlers are intact but cannot be removed.
    pub(super) fn whole_count(&self) -> usize {
        self.damage.whole_count()
    }

    /// Returns what does not work as it should, including an overloaded executor; empty if nothing is wrong.
    pub(super) fn degradations(&self, overload: Option<&String>) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(fault) = self.fault.as_ref().filter(|_| self.has_failed) {
            reasons.push(format!("the last commit failed, and what cannot be stored is refused: {fault}"));
        }
        reasons.extend(overload.cloned());
        match self.damage.count() {
            0 => {}
            1 => reasons.push("the stored rows of 1 handler are damaged (the log names it)".into()),
            count => reasons.push(format!("the stored rows of {count} handlers are damaged (the log names them)")),
        }
        if self.damage.has_bad_page() {
            reasons.push("a page of the database is damaged, and not all can be stored (see the log)".into());
        }
        reasons
    }
}

//! Tracks whether the store commits what it is given, and when to report that it does not.

use crate::{
    engine::storage::Batch,
    limits::STORE_WARNING_PAUSE_US,
    now::{Now, Seldom},
};

#[derive(Debug, Default)]
pub(super) struct Failures {
    /// The log line about the failing store.
    complaint: Seldom,
    failing: Option<Failing>,
}

/// The last commit has failed.
#[derive(Debug)]
struct Failing {
    /// The first batch since then that has something to write.
    tried: Option<u64>,
    /// Whether the failure was reported.
    is_told: bool,
}

impl Failures {
    /// The store has failed. Returns whether to report that: at most once a minute.
    pub(super) fn complain(&mut self, now: Now) -> bool {
        self.complaint.take(now.alive_us, STORE_WARNING_PAUSE_US)
    }

    /// A commit has failed. Returns whether to report that.
    pub(super) fn handle_failed(&mut self, now: Now) -> bool {
        let was_told = self.failing.take().is_some_and(|failing| failing.is_told);
        let tells = self.complain(now);
        self.failing = Some(Failing { tried: None, is_told: tells || was_told });
        tells
    }

    /// This batch was submitted. An empty batch proves nothing: it is committed without a write.
    pub(super) fn handle_submitted(&mut self, batch: &Batch) {
        if let Some(failing) = self.failing.as_mut().filter(|failing| failing.tried.is_none() && !batch.is_empty()) {
            failing.tried = Some(batch.number);
        }
    }

    /// All batches up to this one are committed. If the store works again, returns whether its failure was reported.
    pub(super) fn handle_committed(&mut self, number: u64) -> Option<bool> {
        let works = |failing: &mut Failing| failing.tried.is_some_and(|tried| tried <= number);
        self.failing.take_if(works).map(|failing| failing.is_told)
    }
}

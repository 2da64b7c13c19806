//! What the scheduler does and leaves undone because of what its store gives back: decided once, when it begins.
//!
//! | a store that recalls | everything | feeds alone |
//! |---|---|---|
//! | inputs, starts and ends | are recorded ([`Recording`]) | are not |
//! | feeds | are in the store, windows of `feed_keep` | are in memory, whole |
//! | a handler that is not in memory | is perhaps in the store | does not exist |
//! | finished handlers | leave memory early, and the store by its own bounds ([`Retained`]) | are removed |
//! | runs that only wait | are parked after `idle_after` | stay |
//! | cursors, the clock | are stored now and then | are not |

use std::time::Duration;

use super::SchedulerLimits;
use crate::engine::{
    storage::{Batch, Recall},
    window::FeedKeep,
};

/// The decisions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policies {
    pub(super) recall: Recall,
    pub(super) recording: Recording,
    pub(super) retained: Retained,
    /// What is retained of a run's feed; `None`: all, in memory.
    pub(super) feed_keep: Option<FeedKeep>,
    /// After what time a run that only waits leaves memory; `None`: never.
    pub(super) idle_after: Option<Duration>,
    /// Whether the store is told how far queues are read, and the time.
    pub(super) stores_progress: bool,
}

/// Whether batches hold what a run can be made of again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recording {
    /// They do not. No batch fails, so nothing is needed for rolling one back either.
    Nothing,
    /// Inputs, starts and ends.
    Runs {
        /// States that cost more are stored apart.
        state_bytes_max: usize,
    },
}

/// Where finished handlers are retained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retained {
    /// In memory alone: one that leaves it is gone.
    InMemory,
    /// In the store; some are in memory, too.
    InStore,
}

impl Policies {
    pub(super) fn new(recall: Recall, limits: &SchedulerLimits) -> Self {
        match recall {
            Recall::Feeds => Self {
                recall,
                recording: Recording::Nothing,
                retained: Retained::InMemory,
                feed_keep: None,
                idle_after: None,
                stores_progress: false,
            },
            Recall::Everything => Self {
                recall,
                recording: Recording::Runs { state_bytes_max: limits.record_state_bytes_max },
                retained: Retained::InStore,
                feed_keep: Some(limits.feed_keep),
                idle_after: Some(limits.idle_after),
                stores_progress: true,
            },
        }
    }

    /// Whether every handler is in memory: one that is not does not exist.
    pub(super) fn has_all_resident(&self) -> bool {
        self.retained == Retained::InMemory
    }

    /// Whether feeds are in memory, and count as bytes of their runs.
    pub(super) fn counts_feeds(&self) -> bool {
        self.feed_keep.is_none()
    }
}

impl Recording {
    pub(super) fn is_on(self) -> bool {
        matches!(self, Self::Runs { .. })
    }

    /// Whether a state that costs so much is stored apart from the record of its run's start.
    pub(super) fn keeps_apart(self, state_cost_bytes: usize) -> bool {
        matches!(self, Self::Runs { state_bytes_max } if state_cost_bytes > state_bytes_max)
    }

    /// What a batch costs while it is on its way, beside what counts as bytes of its runs.
    pub(super) fn bytes(self, batch: &Batch) -> usize {
        if self.is_on() { batch.bytes() } else { 0 }
    }
}

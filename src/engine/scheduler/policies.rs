//! What the scheduler does depending on what its store recalls, decided once at the beginning.
//!
//! | a store that recalls | everything | only feeds |
//! |---|---|---|
//! | inputs, starts and ends | are recorded ([`Recording`]) | are not recorded |
//! | feeds | are in the store, as windows of `feed_keep` | are in memory, complete |
//! | a handler that is not resident | may be in the store | does not exist |
//! | finished handlers | leave memory early, and the store by its own limits ([`Retained`]) | are removed |
//! | runs that only wait | are parked after `idle_after` | stay in memory |
//! | cursors, the clock | are stored now and then | are not stored |

use std::time::Duration;

use super::limits::SchedulerLimits;
use crate::engine::{
    storage::{Batch, Recall},
    window::FeedKeep,
};

/// The decisions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policies {
    pub(super) limits: SchedulerLimits,
    pub(super) recall: Recall,
    pub(super) recording: Recording,
    pub(super) retained: Retained,
    /// How much of a run's feed is retained; `None` for all, in memory.
    pub(super) feed_keep: Option<FeedKeep>,
    /// How long a run that only waits stays in memory; `None` for ever.
    pub(super) idle_after: Option<Duration>,
    /// Whether the store gets the time and the cursors of queues.
    pub(super) stores_progress: bool,
}

/// Whether batches contain what is needed to restore a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recording {
    /// They do not. No batch fails, so nothing is needed for rolling one back either.
    Nothing,
    /// Inputs, starts and ends.
    Runs {
        /// States that cost more are stored separately.
        state_bytes_max: usize,
    },
}

/// Where finished handlers are retained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retained {
    /// Only in memory: a handler that leaves it is removed.
    InMemory,
    /// In the store; some are resident, too.
    InStore,
}

impl Policies {
    pub(super) fn new(recall: Recall, limits: SchedulerLimits) -> Self {
        match recall {
            Recall::Feeds => Self {
                limits,
                recall,
                recording: Recording::Nothing,
                retained: Retained::InMemory,
                feed_keep: None,
                idle_after: None,
                stores_progress: false,
            },
            Recall::Everything => Self {
                limits,
                recall,
                recording: Recording::Runs { state_bytes_max: limits.record_state_bytes_max },
                retained: Retained::InStore,
                feed_keep: Some(limits.feed_keep),
                idle_after: Some(limits.idle_after),
                stores_progress: true,
            },
        }
    }

    /// Returns whether every handler is resident, so that one that is not does not exist.
    pub(super) fn has_all_resident(&self) -> bool {
        self.retained == Retained::InMemory
    }

    /// Returns whether feeds are in memory and count as bytes of their runs.
    pub(super) fn counts_feeds(&self) -> bool {
        self.feed_keep.is_none()
    }
}

impl Recording {
    pub(super) fn is_on(self) -> bool {
        matches!(self, Self::Runs { .. })
    }

    /// Returns whether a state with this cost is stored separately from the record of its run's start.
    pub(super) fn keeps_apart(self, state_cost_bytes: usize) -> bool {
        matches!(self, Self::Runs { state_bytes_max } if state_cost_bytes > state_bytes_max)
    }

    /// Returns what a batch costs while it is being committed, besides what counts as bytes of its runs.
    pub(super) fn bytes(self, batch: &Batch) -> usize {
        if self.is_on() { batch.bytes() } else { 0 }
    }
}

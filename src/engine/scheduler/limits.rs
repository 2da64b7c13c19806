//! The limits of a scheduler.

use std::time::Duration;

use crate::{
    engine::window::FeedKeep,
    limits::{
        COMPACTED_COST_BYTES_MIN, EVENTS_AT_ONCE, FINISHED_BYTES_MAX_DEFAULT, IDLE_AFTER_DEFAULT,
        KEEP_FINISHED_DEFAULT, ROW_STATE_BYTES_MAX, RUNS_MAX_DEFAULT,
    },
};

/// The limits of a scheduler.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerLimits {
    /// The most runs, including waiting ones; beyond it a start is refused.
    pub runs_max: usize,
    /// The most finished handlers that are retained.
    pub keep_finished: usize,
    /// How long these are retained; `None` for as long as their number allows.
    pub keep_for: Option<Duration>,
    /// The most bytes of outcomes, states and feeds of resident finished handlers; the newest is always retained. If
    /// the store recalls them, they leave memory but not the store.
    pub finished_bytes_max: usize,
    /// If the store recalls everything: how long a run that only waits stays in memory.
    pub idle_after: Duration,
    /// If the store recalls everything: how much of a run's feed is retained.
    pub feed_keep: FeedKeep,
    /// If the store recalls everything: the most bytes that it may take. Beyond, finished handlers are removed, the
    /// longest ended first, and when none is left that may be removed, no run starts. `None` for no limit.
    pub data_bytes_max: Option<u64>,
    /// The most events that one input turns into works: see
    /// [`Run::with_events_at_once`](crate::engine::run::Run::with_events_at_once).
    pub events_at_once: u32,
    /// If the store recalls everything: the snapshots of runs that cost at least this are made outside the loop.
    pub compacted_cost_bytes_min: usize,
    /// If the store recalls everything: the most that a state in the record of its run's start may cost. A larger one
    /// is stored separately, and a run that continues its handler does not write it again.
    pub record_state_bytes_max: usize,
}

impl Default for SchedulerLimits {
    fn default() -> Self {
        Self {
            runs_max: RUNS_MAX_DEFAULT,
            keep_finished: KEEP_FINISHED_DEFAULT,
            keep_for: None,
            finished_bytes_max: FINISHED_BYTES_MAX_DEFAULT,
            idle_after: IDLE_AFTER_DEFAULT,
            feed_keep: FeedKeep::default(),
            data_bytes_max: None,
            events_at_once: EVENTS_AT_ONCE,
            compacted_cost_bytes_min: COMPACTED_COST_BYTES_MIN,
            record_state_bytes_max: ROW_STATE_BYTES_MAX,
        }
    }
}

//! What the scheduler tells, its bounds, and what it refuses.

use std::time::Duration;

use crate::{
    engine::{
        channel::ReaderId,
        input::Refusal,
        keys::{CallerId, HandlerKey, RunKey},
        window::FeedKeep,
    },
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

/// What the server is to do, once the cause is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The run has new events, or its end, for its readers.
    Published(RunKey),
    /// The run has ended; reply to the caller who waits for it.
    Ended(RunKey, CallerId),
    /// This waiting reader now has the queue's lock.
    Turn(ReaderId),
    /// The handler that this reader reads, or waits to read, was purged.
    Gone(ReaderId),
    /// The run that this reader reads, or waits to read, could not be committed and does not exist.
    Lost(ReaderId),
    /// The handler whose end this caller waits for was removed.
    CallerGone(CallerId),
    /// The run that this caller began could not be committed and does not exist.
    NotCommitted(CallerId),
    /// The run whose end this caller waits for is rolled back, because the store has failed: its end cannot be
    /// committed or read now. Repeated with each failure.
    Delayed(HandlerKey, CallerId),
    /// The run whose end this caller waits for cannot continue, and nothing of it can be read.
    Unread(CallerId),
    /// Load this handler and pass it to [`Scheduler::handle_loaded`](super::Scheduler::handle_loaded): something has
    /// arrived for its run.
    Load(HandlerKey),
    /// Query this many of the longest ended handlers, and pass them to
    /// [`Scheduler::handle_oldest`](super::Scheduler::handle_oldest).
    Oldest(usize),
}

/// The run of this handler is only in the store. Once [`Scheduler::handle_loaded`](super::Scheduler::handle_loaded) has
/// got the handler, the command can
/// be repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotResident(pub HandlerKey);

/// Why an event from outside is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostRefused {
    /// The run is not resident.
    NotResident(NotResident),
    /// The run refuses it.
    ByRun(Refusal),
}

impl From<NotResident> for PostRefused {
    fn from(not_resident: NotResident) -> Self {
        Self::NotResident(not_resident)
    }
}

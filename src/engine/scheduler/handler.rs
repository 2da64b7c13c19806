//! A handler: an id, and its newest run.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    compaction::Compaction,
    phase::{Life, Phase, Share},
};
use crate::{
    cost,
    engine::{
        armed::Armed,
        channel::Channel,
        input::Outcome,
        keys::{CallerId, WorkflowId},
        timers::Timer,
        window::{FeedKeep, Mark, Window},
    },
    graph::Graph,
    limits::{FAILED_JOURNAL_BYTES_MAX, SNAPSHOT_BYTES_MIN, SNAPSHOT_FACTOR},
    now::{Deadline, Now},
};

/// A handler as the API shows it.
#[derive(Clone, Copy, Debug)]
pub struct HandlerView<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its workflow.
    pub graph: &'a Graph,
    /// Its newest run.
    pub run_id: Uuid,
    /// The outcome of that run; `None` while it runs.
    pub outcome: Option<&'a Outcome>,
    /// Microseconds since the epoch.
    pub started_us: i64,
    /// Microseconds since the epoch.
    pub updated_us: i64,
    /// Microseconds since the epoch.
    pub completed_us: Option<i64>,
    /// The step that failed the run; known while the handler is resident.
    pub failed_step: Option<&'a str>,
}

/// What the scheduler has of a resident handler.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) id: Arc<str>,
    pub(super) workflow: WorkflowId,
    /// The number of earlier runs of this handler.
    pub(super) run: u32,
    pub(super) run_id: Uuid,
    pub(super) life: Life,
    pub(super) started_us: i64,
    pub(super) updated_us: i64,
    /// The number that the next event gets.
    pub(super) next_sequence: u64,
    pub(super) channel: Channel,
    /// The armed timers of the run.
    pub(super) armed: Armed,
    /// The tags of its passes that executors have.
    pub(super) passes: Vec<u64>,
    /// What these were granted of a feed in memory and have not used yet.
    pub(super) granted_bytes: usize,
    /// Where its feed's window begins and may begin later; `None` while the feed is short or in memory.
    pub(super) window: Option<Box<Window>>,
    /// Whom to notify when the run has ended.
    pub(super) caller: Option<CallerId>,
    /// The state of its journal in the store; unused unless runs are recorded.
    pub(super) journal: Journal,
}

/// The state of a running handler's journal in the store.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The newest batch that contains something of it.
    pub(super) batch: u64,
    /// When that was, on the alive clock.
    pub(super) touched_us: u64,
    /// Bytes of records since the newest snapshot.
    pub(super) bytes: usize,
    /// Bytes of that snapshot.
    pub(super) snapshot_bytes: usize,
    /// Bytes of the largest record since then: the start contains the run's state, others very many events.
    pub(super) largest_bytes: usize,
    /// The snapshot of a large run that is being made.
    pub(super) compaction: Option<Box<Compaction>>,
}

impl Journal {
    /// Adds a record. Returns whether to take a snapshot: the length of a journal is bounded by the size of the run,
    /// not by its age.
    pub(super) fn grow(&mut self, record: &[u8], batch: u64, now: Now) -> bool {
        let bytes = record.len();
        if let Some(compaction) = &mut self.compaction {
            compaction.note(record);
        }
        self.batch = batch;
        self.touched_us = now.alive_us;
        self.largest_bytes = self.largest_bytes.max(bytes);
        self.bytes += bytes;
        self.bytes > SNAPSHOT_BYTES_MIN.max(SNAPSHOT_FACTOR * self.snapshot_bytes.max(self.largest_bytes))
    }

    /// A snapshot of this size replaces all records.
    pub(super) fn replace(&mut self, snapshot_bytes: usize) {
        (self.bytes, self.snapshot_bytes, self.largest_bytes) = (0, snapshot_bytes, 0);
    }

    /// The snapshot cannot be made now: the journal may grow by as much again.
    pub(super) fn put_compaction_off(&mut self) {
        self.compaction = None;
        self.largest_bytes = self.bytes;
    }

    /// Returns whether the journal is retained after this outcome, because it shows why the run failed.
    pub(super) fn outlives(&self, outcome: &Outcome, state_bytes: usize) -> bool {
        let bytes = self.bytes + self.snapshot_bytes + state_bytes;
        matches!(outcome, Outcome::Failed(_)) && bytes <= FAILED_JOURNAL_BYTES_MAX
    }
}

impl Handler {
    /// Returns what the API shows. A run counts as ended only once its end is committed.
    pub(super) fn view<'a>(&'a self, graph: &'a Graph) -> HandlerView<'a> {
        let end = self.life.end().filter(|_| self.channel.is_ended());
        let failed_step = end.and_then(|end| end.failed_step);
        HandlerView {
            id: &self.id,
            graph,
            run_id: self.run_id,
            outcome: end.map(|end| &end.outcome),
            started_us: self.started_us,
            updated_us: self.updated_us,
            completed_us: end.map(|end| end.completed_us),
            failed_step: failed_step.map(|step| &*graph.step(step).name),
        }
    }

    /// Returns how it counts, and with how many bytes, including those of its feed if that is in memory.
    pub(super) fn share(&self, counts_feeds: bool) -> Share {
        let bytes = match self.life.phase() {
            Phase::Running(run) | Phase::BackingOff { run, .. } => {
                let feed_bytes = if counts_feeds { run.feed_bytes() } else { 0 };
                HANDLER_BYTES + self.armed_bytes() + run.cost_bytes() + feed_bytes
            }
            Phase::Parked(_) => HANDLER_BYTES,
            Phase::Ended(end) => end.bytes,
        };
        Share { bytes, standing: self.life.standing(self.channel.is_ended()) }
    }

    /// Returns the memory that its timers take, here and among those of all handlers.
    fn armed_bytes(&self) -> usize {
        if self.armed.is_empty() { 0 } else { self.armed.cost_bytes() + EARLIEST_BYTES }
    }

    /// The newest run has published this many bytes. Returns where its feed's window now begins, if that has changed.
    pub(super) fn slide(&mut self, bytes: usize, keep: &FeedKeep) -> Option<Mark> {
        let next = Mark { sequence: self.next_sequence, bytes: bytes as u64 };
        if self.window.is_none() {
            let first = Mark { sequence: self.channel.begin(), bytes: 0 };
            if !keep.needs_window(first, next) {
                return None;
            }
            self.window = Some(Box::new(Window::new(first)));
        }
        self.window.as_mut()?.advance(next, keep)
    }

    /// Returns whether its newest run has ended, though perhaps that is not committed yet.
    pub(super) fn has_ended(&self) -> bool {
        self.life.end().is_some()
    }

    /// Returns whether its newest run has ended and that is committed.
    pub(super) fn is_over(&self) -> bool {
        self.finished_bytes().is_some()
    }

    /// Returns the bytes retained of its newest run, if the end of that is committed.
    pub(super) fn finished_bytes(&self) -> Option<usize> {
        self.life.end().filter(|_| self.channel.is_ended()).map(|end| end.bytes)
    }

    /// Returns whether retention may remove it.
    pub(super) fn is_idle(&self) -> bool {
        self.is_over() && !self.channel.is_busy()
    }
}

/// The memory of a handler with its id and its entries in lists.
pub(super) const HANDLER_BYTES: usize = cost::boxed::<Handler>() + cost::text(10) + 2 * cost::elements::<(u64, u64)>(2);

/// The memory of the earliest timer, which is in two lists, one for each clock.
const EARLIEST_BYTES: usize = 2 * cost::elements::<(u64, Timer, Deadline)>(1);

//! Counts of runs, places and bytes. They follow from the phases of the resident handlers, and are updated where these
//! change.

use std::collections::BTreeSet;

use super::{
    handler::Handler,
    phase::{Share, Standing},
};
use crate::{
    account::HeldBytes,
    engine::keys::{HandlerKey, RunKey, WorkflowId},
};

/// All stored counts and sums of a scheduler.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// The bytes that it adds to the account.
    pub held: HeldBytes,
    /// Runs that have not ended.
    pub running: usize,
    /// Runs that are only in the store.
    pub parked: usize,
    /// Handlers that are reloading after a failed commit.
    pub reloading: usize,
    /// Resident finished handlers.
    pub finished: usize,
    /// Abandoned passes that have not ended.
    pub hanging: usize,
    /// Timers that are due only on the alive clock.
    pub time_outs: usize,
    /// By workflow, the admitted runs and those that wait for admission.
    pub places: Vec<[usize; 2]>,
}

/// What is counted of resident handlers, by phase.
#[derive(Debug)]
pub(super) struct Tally {
    /// Whether feeds are in memory.
    pub(super) counts_feeds: bool,
    /// Runs that have not ended, including parked ones.
    pub(super) running: usize,
    /// Runs that are only in the store.
    pub(super) parked: usize,
    /// Resident finished handlers, and their bytes.
    pub(super) finished: usize,
    pub(super) finished_bytes: usize,
    /// Bytes of all other resident handlers.
    pub(super) live_bytes: usize,
    /// By workflow.
    pub(super) queues: Vec<AdmissionQueue>,
}

/// The runs of one workflow under its `max_runs`.
#[derive(Debug, Default)]
pub(super) struct AdmissionQueue {
    pub(super) admitted: usize,
    /// Runs that wait for admission, by when they began.
    pub(super) waiting: BTreeSet<(i64, RunKey)>,
}

impl Tally {
    pub(super) fn new(workflows: usize, counts_feeds: bool) -> Self {
        Self {
            counts_feeds,
            running: 0,
            parked: 0,
            finished: 0,
            finished_bytes: 0,
            live_bytes: 0,
            queues: std::iter::repeat_with(AdmissionQueue::default).take(workflows).collect(),
        }
    }

    /// Updates the counts for a changed handler. Its workflow, its run and the start of that may change only while it
    /// has no running run.
    pub(super) fn recount(&mut self, key: HandlerKey, handler: &mut Handler) {
        let share = handler.share(self.counts_feeds);
        let counted = handler.life.counted;
        if share.standing == counted.standing && share.standing != Standing::Finished {
            self.live_bytes = self.live_bytes - counted.bytes + share.bytes;
        } else {
            self.forget(key, handler);
            self.add(key, handler, share);
        }
        handler.life.counted = share;
    }

    pub(super) fn add(&mut self, key: HandlerKey, handler: &Handler, Share { bytes, standing }: Share) {
        match standing {
            Standing::Uncounted => {}
            Standing::Finished => {
                self.finished += 1;
                self.finished_bytes += bytes;
            }
            Standing::Ending => self.live_bytes += bytes,
            Standing::Running { is_admitted } | Standing::Parked { is_admitted } => {
                self.live_bytes += bytes;
                self.running += 1;
                self.parked += usize::from(matches!(standing, Standing::Parked { .. }));
                let queue = &mut self.queues[usize::from(handler.workflow.0)];
                if is_admitted {
                    queue.admitted += 1;
                } else {
                    queue.waiting.insert((handler.started_us, RunKey { handler: key, run: handler.run }));
                }
            }
        }
    }

    /// Subtracts a handler that leaves memory.
    pub(super) fn forget(&mut self, key: HandlerKey, handler: &Handler) {
        let Share { bytes, standing } = handler.life.counted;
        match standing {
            Standing::Uncounted => {}
            Standing::Finished => {
                self.finished -= 1;
                self.finished_bytes -= bytes;
            }
            Standing::Ending => self.live_bytes -= bytes,
            Standing::Running { is_admitted } | Standing::Parked { is_admitted } => {
                self.live_bytes -= bytes;
                self.running -= 1;
                self.parked -= usize::from(matches!(standing, Standing::Parked { .. }));
                let queue = &mut self.queues[usize::from(handler.workflow.0)];
                if is_admitted {
                    queue.admitted -= 1;
                } else {
                    queue.waiting.remove(&(handler.started_us, RunKey { handler: key, run: handler.run }));
                }
            }
        }
    }

    /// Returns whether fewer than `max` runs of the workflow are admitted.
    pub(super) fn has_place(&self, workflow: WorkflowId, max: usize) -> bool {
        self.queues[usize::from(workflow.0)].admitted < max
    }

    /// Removes the first run from the workflow's queue, to be admitted.
    pub(super) fn take_first(&mut self, workflow: WorkflowId) -> Option<RunKey> {
        self.queues[usize::from(workflow.0)].waiting.pop_first().map(|(_, run)| run)
    }
}

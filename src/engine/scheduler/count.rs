//! What handlers that are here cost, kept as a sum; and all counts that are kept beside what they count.

use super::{
    Scheduler,
    handler::{Handler, Phase},
    starts::Admission,
};
use crate::{account::Held, engine::keys::HandlerKey};

/// Counts and sums that a scheduler keeps beside what it counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Bytes that it adds to the account.
    pub held: Held,
    /// Runs that go on.
    pub running: usize,
    /// Those that are in the store alone.
    pub parked: usize,
    /// Finished handlers that are here.
    pub finished: usize,
    /// Passes that are abandoned and still hold a thread.
    pub hanging: usize,
    /// Timers that are due on the alive clock alone.
    pub time_outs: usize,
    /// Of each workflow the runs that have their places, and those that wait for one.
    pub places: Vec<[usize; 2]>,
}

/// Sums over what is here.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Of handlers that are not finished.
    live_bytes: usize,
    /// Of batches that are not kept yet.
    unkept_bytes: usize,
}

impl Counted {
    /// The handler has changed.
    pub(super) fn recount(&mut self, handler: &mut Handler, journaled: bool) {
        let bytes = handler.live_bytes(journaled);
        self.live_bytes = self.live_bytes - handler.counted_bytes + bytes;
        handler.counted_bytes = bytes;
    }

    /// The handler is no longer here.
    pub(super) fn forget(&mut self, handler: &Handler) {
        self.live_bytes -= handler.counted_bytes;
    }

    /// A batch is on its way to the store.
    pub(super) fn handle_sealed(&mut self, bytes: usize) {
        self.unkept_bytes += bytes;
    }

    /// A batch is kept, or is not going to be.
    pub(super) fn handle_settled(&mut self, bytes: usize) {
        self.unkept_bytes -= bytes;
    }
}

impl Scheduler {
    /// Adds what is here to an account.
    pub fn count_held(&self, held: &mut Held) {
        held.runs = self.counted.live_bytes;
        held.finished = self.retention.resident_bytes();
        held.unkept = self.counted.unkept_bytes;
    }

    /// All counts as they are kept.
    pub fn counts(&self) -> Counts {
        let mut held = Held::default();
        self.count_held(&mut held);
        Counts {
            held,
            running: self.running,
            parked: self.parking.parked,
            finished: self.retention.resident_count(),
            hanging: self.passes.hanging(),
            time_outs: self.timers.time_outs(),
            places: self.admissions.iter().map(Admission::counts).collect(),
        }
    }

    /// The same, counted anew: for tests.
    ///
    /// # Panics
    /// When a timer is lost.
    pub fn recounts(&self) -> Counts {
        let mut counts = Counts {
            hanging: self.passes.recount_hanging(),
            time_outs: self.timers.recount_time_outs(),
            places: vec![[0, 0]; self.admissions.len()],
            ..Counts::default()
        };
        counts.held.unkept = self.committing.iter().map(|(_, held)| held.bytes).sum();
        let mut earliest = std::collections::BTreeSet::new();
        for (&key, handler) in &self.handlers {
            let run = super::RunKey { handler: key, run: handler.run };
            earliest.extend(self.timers.earliest_of(run, &handler.armed));
            counts.time_outs += handler.armed.recount_time_outs();
            counts.held.runs += handler.live_bytes(self.batch.journaled);
            counts.held.finished += handler.finished_bytes().unwrap_or(0);
            counts.finished += usize::from(handler.is_over());
            counts.parked += usize::from(matches!(handler.phase, Phase::Parked { .. }));
            if !handler.has_ended() {
                counts.running += 1;
                counts.places[usize::from(handler.workflow.0)][usize::from(!handler.admitted)] += 1;
            }
        }
        assert_eq!(self.timers.earliest_of_runs(), earliest, "the earliest timers of all runs are armed");
        counts
    }

    /// Finished handlers of the store, as far as is known here.
    pub fn kept_count(&self) -> usize {
        self.retention.finished()
    }

    pub(super) fn recount(&mut self, key: HandlerKey) {
        if let Some(handler) = self.handlers.get_mut(&key) {
            self.counted.recount(handler, self.batch.journaled);
        }
    }
}

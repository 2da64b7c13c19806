//! What the handlers in memory cost together, and a recount of everything for tests.

use std::collections::BTreeSet;

use crate::{
    account::HeldBytes,
    engine::{
        keys::{HandlerKey, RunKey},
        scheduler::{
            Scheduler,
            count::Counts,
            phase::{Share, Standing},
        },
    },
};

impl Scheduler {
    /// Adds the bytes that the scheduler holds to an account.
    pub fn count_held(&self, held: &mut HeldBytes) {
        held.runs = self.tally.live_bytes;
        held.finished = self.tally.finished_bytes;
        held.uncommitted = self.commits.sealed_bytes();
    }

    /// Returns all counts as stored.
    pub fn counts(&self) -> Counts {
        let mut held = HeldBytes::default();
        self.count_held(&mut held);
        Counts {
            held,
            running: self.tally.running,
            parked: self.tally.parked,
            reloading: self.handlers.reloading_count(),
            finished: self.tally.finished,
            hanging: self.passes.hanging(),
            time_outs: self.timers.time_outs(),
            places: self.tally.queues.iter().map(|queue| [queue.admitted, queue.waiting.len()]).collect(),
        }
    }

    /// Computes all counts anew, for tests.
    ///
    /// # Panics
    /// If a timer is missing, or the queue of a workflow does not contain exactly the runs that wait for admission.
    pub fn recounts(&self) -> Counts {
        let mut counts = Counts {
            reloading: self.handlers.recount_reloading(),
            hanging: self.passes.recount_hanging(),
            time_outs: self.timers.recount_time_outs(),
            places: vec![[0, 0]; self.workflows.count()],
            ..Counts::default()
        };
        counts.held.uncommitted = self.commits.recount_sealed_bytes();
        let mut earliest = BTreeSet::new();
        let mut waiting = vec![BTreeSet::new(); self.workflows.count()];
        for (key, handler) in self.handlers.iter() {
            let run = RunKey { handler: key, run: handler.run };
            assert_eq!(handler.granted_bytes, self.passes.recount_granted(run), "what its passes were granted");
            earliest.extend(self.timers.earliest_of(run, &handler.armed));
            counts.time_outs += handler.armed.recount_time_outs();
            let Share { bytes, standing } = handler.share(self.policies.counts_feeds());
            match standing {
                Standing::Uncounted => {}
                Standing::Ending => counts.held.runs += bytes,
                Standing::Finished => {
                    counts.held.finished += bytes;
                    counts.finished += 1;
                }
                Standing::Running { is_admitted } | Standing::Parked { is_admitted } => {
                    counts.held.runs += bytes;
                    counts.running += 1;
                    counts.parked += usize::from(handler.life.is_parked());
                    counts.places[usize::from(handler.workflow.0)][usize::from(!is_admitted)] += 1;
                    if !is_admitted {
                        waiting[usize::from(handler.workflow.0)].insert((handler.started_us, run));
                    }
                }
            }
        }
        assert_eq!(self.timers.earliest_of_runs(), earliest, "the earliest timers of all runs are armed");
        assert!(self.tally.queues.iter().map(|queue| &queue.waiting).eq(&waiting), "who waits for admission");
        counts
    }

    /// Returns the number of finished handlers in the store, as far as is known.
    pub fn retained_count(&self) -> usize {
        self.retention.finished()
    }

    pub(super) fn recount(&mut self, key: HandlerKey) {
        if let Some(handler) = self.handlers.get_mut(key) {
            self.tally.recount(key, handler);
        }
    }
}

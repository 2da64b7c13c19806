//! Ends of runs: what a run held is freed, and the next in the queue is admitted.

use crate::{
    engine::{
        input::Outcome,
        keys::{HandlerKey, RunKey},
        published::Published,
        scheduler::{
            Scheduler,
            life::end_bytes,
            phase::{End, Phase, Share},
        },
        storage::Ended,
    },
    graph::StepId,
    now::Now,
    values::Values,
};

impl Scheduler {
    /// Ends a run, resident or not: frees what it held and admits the next run in the queue. Its passes are told to
    /// stop once its end is committed.
    pub(super) fn finish(&mut self, run: RunKey, outcome: Outcome, failed_step: Option<StepId>, now: Now) {
        let Some(handler) = self.handlers.get_mut(run.handler) else { return };
        let is_recorded = self.policies.recording.is_on();
        let (mut state, mut changed, mut feed_bytes) = (Values::default(), None, 0);
        let keeps_journal = match handler.life.phase() {
            Phase::Running(live) | Phase::BackingOff { run: live, .. } => {
                if matches!(outcome, Outcome::Completed(_)) {
                    state = live.state();
                }
                if is_recorded {
                    changed = live.changed();
                }
                if self.policies.counts_feeds() {
                    // A feed in memory is retained with the end.
                    feed_bytes = live.feed_bytes();
                }
                is_recorded && handler.journal.outlives(&outcome, live.initial_state_bytes())
            }
            // It fails because it cannot be read, and its journal shows why.
            Phase::Parked(_) => true,
            Phase::Ended(_) => return,
        };
        let bytes = feed_bytes + end_bytes(&outcome, &state);
        if is_recorded {
            let (outcome, state) = (outcome.clone(), state.clone());
            self.commits.batch.ended.push(Ended {
                run,
                outcome,
                state,
                changed,
                updated_us: now.wall_us,
                keeps_journal,
            });
        }
        handler.updated_us = now.wall_us;
        let armed = self.timers.disarm_all(run, &mut handler.armed);
        let Share { bytes: counted_bytes, standing } = handler.life.counted;
        let freed_bytes = counted_bytes.saturating_sub(feed_bytes);
        let end = End { outcome, state, completed_us: now.wall_us, bytes, failed_step };
        let phase = handler.end(run.handler, end, &mut self.tally);
        let workflow = handler.workflow;
        self.outbox.discard(freed_bytes, (phase, armed));
        self.commits.held.stops.extend(&handler.passes);
        self.commits.held.ended.push(run);
        if standing.is_admitted() {
            self.admit_waiting(workflow, now);
        }
    }

    /// Fails a run that cannot be read: it is parked, or is reloading.
    pub(super) fn fail_damaged(&mut self, key: HandlerKey, error: String, now: Now) {
        self.health.count_damaged(key);
        self.report_damaged(key, "its run fails", &error);
        let Some(handler) = self.handlers.get_mut(key) else { return };
        let run = RunKey { handler: key, run: handler.run };
        let failed = Published::Failed { step: None, error: error.clone(), attempts: 0 };
        let end = Published::Ended { step: None, error: Some(error.clone()) };
        self.commits.batch.published.extend([(run, failed), (run, end)]);
        self.commits.batch.now = now;
        handler.next_sequence += 2;
        self.commits.held.note_published(run, handler.next_sequence);
        self.commits.change(key, handler);
        self.commits.held.damaged.push(key);
        self.finish(run, Outcome::Failed(error), None, now);
    }
}

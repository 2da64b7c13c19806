//! Reduces an input of a run, and carries out its effects.

use crate::{
    engine::{
        input::{Effect, Input, Outcome, TimerId},
        keys::{HandlerKey, RunKey},
        published::{Published, StepState},
        record,
        scheduler::{
            Scheduler,
            commits::Commits,
            notice::Notice,
            phase::Offered,
            troubles::{Blamed, Trouble, TroubleKind},
        },
    },
    limits::{EFFECTS_KEPT_MAX, WASTE_BYTES_MIN},
    now::Now,
};

impl Scheduler {
    pub(super) fn handle_due(&mut self, run: RunKey, timer: TimerId, now: Now) {
        let Some(handler) = self.handlers.of_newest(run) else { return };
        self.timers.disarm_of_run(run, &mut handler.armed, timer);
        self.reduce(run.handler, Input::Due { timer }, now);
        self.recount(run.handler);
    }

    /// Lets the run that has deferred something for longest carry out the next part of it.
    pub(super) fn go_on(&mut self, now: Now) {
        let Some(run) = self.timers.poll_deferred() else { return };
        if self.run_of(run.handler) == Some(run) {
            self.reduce(run.handler, Input::GoOn, now);
        }
    }

    pub(super) fn reduce(&mut self, key: HandlerKey, input: Input, now: Now) {
        self.reduce_recorded(key, input, None, now);
    }

    /// Reduces an input; the only place where a run changes. `record` is that of the input, if it was made already.
    pub(super) fn reduce_recorded(&mut self, key: HandlerKey, input: Input, record: Option<Vec<u8>>, now: Now) {
        let Self {
            handlers,
            workflows,
            timers,
            policies,
            commits: Commits { batch, held, .. },
            effects,
            outbox,
            tally,
            ..
        } = self;
        let Some(handler) = handlers.get_mut(key) else { return };
        if !workflows.is_served(handler.workflow) && !matches!(input, Input::Cancel | Input::Fail(_)) {
            return;
        }
        let run_key = RunKey { handler: key, run: handler.run };
        // The run is admitted only if the end that made room for it is committed.
        let admits = matches!(input, Input::Admitted);
        let (run, input) = match handler.life.offer(input) {
            Offered::Taken(run, input) => (run, input),
            Offered::Late(input) => return held.note_late(run_key, input, &handler.channel),
            offered @ (Offered::Postponed | Offered::Parked) => {
                if matches!(offered, Offered::Parked) {
                    outbox.notify(Notice::Load(key));
                }
                if admits {
                    held.touch(key);
                    tally.recount(key, handler);
                }
                return;
            }
        };
        if policies.recording.is_on() {
            held.note_input(run_key, &input);
            let record = record.unwrap_or_else(|| record::encode(&input, now));
            if handler.journal.grow(&record, batch.number, now) {
                held.snapshots.push(run_key);
            }
            batch.record(run_key, record, now);
        }
        run.handle(input, now, effects);
        let feed_bytes = run.feed_bytes();
        if let Some(remains) = run.take_remains() {
            outbox.discard(WASTE_BYTES_MIN, remains);
        }
        let (mut outcome, published, mut blamed) = (None, handler.next_sequence, Blamed::NONE);
        for effect in effects.drain(..) {
            match effect {
                Effect::StartPass(pass) => held.ready.push((run_key, pass)),
                Effect::Publish(event) => {
                    match &event {
                        Published::Step { state: StepState::NotRunning, .. } => handler.updated_us = now.wall_us,
                        Published::Failed { step, attempts, .. } => {
                            blamed = Blamed { step: *step, attempt: *attempts };
                        }
                        Published::Retried { .. } | Published::StepFailed { .. } => {
                            let graph = workflows.graph(handler.workflow);
                            held.troubles.extend(Trouble::of_event(handler, graph, &event));
                        }
                        _ => {}
                    }
                    handler.next_sequence += 1;
                    batch.published.push((run_key, event));
                }
                Effect::Arm(timer, deadline) => {
                    timers.arm_of_run(run_key, &mut handler.armed, timer, deadline);
                }
                Effect::GoOn => timers.defer(run_key),
                Effect::Disarm(timer) => timers.disarm_of_run(run_key, &mut handler.armed, timer),
                Effect::Finish(end) => outcome = Some(end),
            }
        }
        if effects.capacity() > EFFECTS_KEPT_MAX {
            let bytes = effects.capacity() * size_of::<Effect>();
            outbox.discard(bytes, std::mem::take(effects));
        }
        if handler.next_sequence > published {
            held.note_published(run_key, handler.next_sequence);
            if let Some(feed_keep) = &policies.feed_keep
                && let Some(first) = handler.slide(feed_bytes, feed_keep)
            {
                batch.left.push((run_key, first));
                held.left.push((run_key, first.sequence));
            }
        }
        if let Some(outcome) = outcome {
            if let Outcome::Failed(error) = &outcome {
                let graph = workflows.graph(handler.workflow);
                held.troubles.push(Trouble::of(TroubleKind::RunFailed, handler, graph, blamed, error.clone()));
            }
            self.finish(run_key, outcome, blamed.step, now);
        } else {
            tally.recount(key, handler);
        }
    }
}

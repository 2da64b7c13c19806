//! The life of a handler's newest run: how it ends.

use super::{
    Ended, Scheduler,
    handler::{HANDLER_BYTES, Phase},
    waste::discard,
};
use crate::{
    engine::{
        input::Outcome,
        keys::{HandlerKey, RunKey},
        published::Published,
    },
    graph::StepId,
    now::Now,
    values::Values,
};

impl Scheduler {
    /// Ends a run, in memory or not: frees what it held and admits the next run in the queue. Its passes are told to
    /// stop once its end is committed.
    pub(super) fn finish(&mut self, run: RunKey, outcome: Outcome, failed_step: Option<StepId>, now: Now) {
        let Some(handler) = self.handlers.get_mut(&run.handler) else { return };
        let is_journaled = self.batch.journaled;
        let (mut state, mut changed, mut feed_bytes) = (Values::default(), None, 0);
        let keeps_journal = match &handler.phase {
            Phase::Running(live) => {
                if matches!(outcome, Outcome::Completed(_)) {
                    state = live.state();
                }
                if is_journaled {
                    changed = live.changed();
                } else {
                    // With a journal the feed is in the store alone, without one it stays with the end.
                    feed_bytes = live.feed_bytes();
                }
                is_journaled && handler.journal.outlives(&outcome, live.kept_state_bytes())
            }
            // It fails because it cannot be read: its journal tells why.
            Phase::Parked { .. } => true,
            Phase::Ended { .. } => return,
        };
        let bytes = feed_bytes + end_bytes(&outcome, &state);
        if is_journaled {
            let (outcome, state) = (outcome.clone(), state.clone());
            self.batch.ended.push(Ended { run, outcome, state, changed, updated_us: now.wall_us, keeps_journal });
        }
        handler.updated_us = now.wall_us;
        handler.feed_room_bytes = None;
        let armed = self.timers.disarm_all(run, &mut handler.armed);
        let ended = Phase::Ended { outcome, state, completed_us: now.wall_us, bytes, failed_step };
        let phase = std::mem::replace(&mut handler.phase, ended);
        let freed_bytes = handler.counted_bytes.saturating_sub(feed_bytes);
        discard(&mut self.waste, freed_bytes, (phase, armed));
        self.counted.recount(handler, is_journaled);
        self.held.stops.extend(&handler.passes);
        self.held.ended.push(run);
        self.running -= 1;
        self.admit_next(run, now);
    }

    /// Fails a run that cannot be read: it is parked, or was to come back into memory.
    pub(super) fn fail_damaged(&mut self, key: HandlerKey, error: String, now: Now) {
        self.count_damaged(key);
        self.say_damaged(key, "its run fails", &error);
        let Some(handler) = self.handlers.get_mut(&key) else { return };
        let run = RunKey { handler: key, run: handler.run };
        let failed = Published::Failed { step: None, error: error.clone(), attempts: 0 };
        let end = Published::Ended { step: None, error: Some(error.clone()) };
        self.batch.published.extend([(run, failed), (run, end)]);
        self.batch.now = now;
        handler.next_sequence += 2;
        handler.journal.batch = self.batch.number;
        self.held.note_published(run, handler.next_sequence);
        self.held.touch(key);
        self.held.damaged.push(key);
        self.finish(run, Outcome::Failed(error), None, now);
    }
}

/// Bytes that an ended run takes beside its feed, with its handler.
pub(super) fn end_bytes(outcome: &Outcome, state: &Values) -> usize {
    HANDLER_BYTES + state.cost_bytes() + outcome.cost_bytes()
}

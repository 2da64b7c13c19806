//! Handles failed batches: their handlers are rolled back to what is committed. Inputs from outside are refused;
//! reports of passes are passed to their runs again.

use crate::{
    engine::{
        channel::Channel,
        input::Input,
        keys::{HandlerKey, RunKey},
        scheduler::{
            Scheduler,
            failure::Lost,
            life::{Reloading, Removed},
            notice::Notice,
            phase::Phase,
        },
        timers::Timer,
    },
    limits::BACK_OFF_US,
    now::{Clock, Now},
};

impl Scheduler {
    /// Nothing of this batch and those after it is committed. Notifies callers whose runs do not exist, or are delayed;
    /// whoever calls this refuses the replies that waited for these batches.
    pub fn handle_failed(&mut self, number: u64, now: Now) {
        self.health.handle_failed(now);
        let (mut lost, mut uncounted) = (Lost::default(), 0);
        for held in self.commits.handle_failed(number, now) {
            held.damaged.iter().for_each(|key| self.give_up(*key));
            lost.add(held.touched, held.opened, held.purged, held.reported);
            uncounted += held.uncounted.len();
        }
        self.retention.handle_failed(uncounted, now);
        self.passes.retain_ready(|handler| !lost.touched.contains(&handler));
        for key in std::mem::take(&mut lost.touched) {
            self.roll_back(key, &mut lost, now);
        }
        self.handlers.handle_failed(number);
        self.fill_places(now);
    }

    /// Drops the uncommitted changes of a handler, and asks the store for its committed state.
    pub(super) fn roll_back(&mut self, key: HandlerKey, lost: &mut Lost, now: Now) {
        self.cursors.forget(key);
        let mut reported = lost.reported.remove(&key).unwrap_or_default();
        let removed = self.handlers.take_removed(key).filter(|_| lost.purged.contains(&key));
        let (run, mut caller, id) = match (self.handlers.remove(key, &mut self.tally), removed) {
            (Some(mut handler), _) => {
                let run = RunKey { handler: key, run: handler.run };
                let armed = self.timers.disarm_all(run, &mut handler.armed);
                self.names.chosen.remove(&handler.id);
                let counted_bytes = handler.life.counted.bytes;
                let (phase, postponed) = handler.life.into_postponed();
                // An admission is released, for this run or another one.
                let postponed = postponed.into_iter().filter(|input| !matches!(input, Input::Admitted));
                reported.extend(postponed.map(|input| (run.run, input)));
                if handler.channel.is_busy() {
                    self.channels.insert(run, handler.channel);
                }
                self.outbox.discard(counted_bytes, (phase, armed));
                (run, handler.caller, Some(handler.id))
            }
            (None, Some(Removed { run: Some(run), caller, .. })) => (run, caller, None),
            (None, _) => return,
        };
        let mut newest = run.run;
        if lost.opened.contains(&run) {
            // The run does not exist.
            let channel = self.channels.take(run);
            self.outbox.notify_all(channel.iter().flat_map(Channel::everybody).map(Notice::Lost));
            self.outbox.notify_all(caller.take().map(Notice::NotCommitted));
            let Some(before) = newest.checked_sub(1) else { return };
            newest = before;
        }
        self.outbox.notify_all(caller.map(|caller| Notice::Delayed(key, caller)));
        self.handlers.reload(key, Reloading { run: newest, id, caller, reported });
        if self.health.fails_often() {
            self.handle_unread(key, now);
        } else {
            self.outbox.notify(Notice::Load(key));
        }
    }

    /// A pass of this run has reported something, or the scheduler does so in its place. If the handler is reloading,
    /// the run gets it once it is resident again.
    pub(super) fn report(&mut self, run: RunKey, input: Input, now: Now) {
        if let Some(reloading) = self.handlers.reloading_mut(run.handler) {
            reloading.reported.push((run.run, input));
        } else if self.run_of(run.handler) == Some(run) {
            self.reduce(run.handler, input, now);
        } else if self.is_being_purged(run) {
            // This matters only if the removal is not committed.
            self.commits.held.reported.push((run, input));
        }
    }

    /// Returns whether the handler of this run, its newest, is removed but the removal is not committed.
    fn is_being_purged(&self, run: RunKey) -> bool {
        let removed = self.handlers.removed(run.handler).filter(|removed| removed.run == Some(run));
        removed.is_some_and(|removed| removed.batch >= self.commits.uncommitted())
    }

    /// A reloaded run gets no inputs for a while, as their effects could not be committed either.
    pub(super) fn back_off(&mut self, key: HandlerKey, reloading: Reloading, now: Now) {
        let Some(handler) = self.handlers.get_mut(key) else { return };
        let of_run = reloading.reported.into_iter().filter(|&(run, _)| run == handler.run);
        let inputs = of_run.map(|(_, input)| input).collect();
        let deadline = now.deadline(Clock::Alive, std::time::Duration::from_micros(BACK_OFF_US));
        handler.back_off(key, inputs, &mut self.tally);
        self.timers.arm(Timer::Again(key), deadline);
    }

    /// Returns whether the handler is backing off, so that a change could not be committed now.
    pub fn is_backing_off(&self, key: HandlerKey) -> bool {
        self.handlers.get(key).is_some_and(|handler| matches!(handler.life.phase(), Phase::BackingOff { .. }))
    }

    /// The pause is over.
    pub(super) fn handle_pause_over(&mut self, key: HandlerKey, now: Now) {
        let is_parked = || self.handlers.get(key).is_some_and(|handler| handler.life.is_parked());
        if self.handlers.reloading(key).is_some() || is_parked() {
            return self.outbox.notify(Notice::Load(key));
        }
        let Some(inputs) = self.handlers.get_mut(key).and_then(|handler| handler.resume(key, &mut self.tally)) else {
            return;
        };
        for input in inputs {
            self.reduce(key, input, now);
        }
    }
}

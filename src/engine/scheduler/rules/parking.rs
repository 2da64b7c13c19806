//! Parking: runs that only wait leave memory, and are loaded when something arrives for them.

use std::{sync::Arc, time::Duration};

use crate::{
    engine::{
        input::{Effect, Input, PassId},
        keys::{HandlerKey, RunKey},
        scheduler::{
            Scheduler,
            fold::{Folded, JournalError},
            notice::Notice,
            parking::Residence,
            phase::Phase,
        },
        stored::{HandlerAddress, Stored},
        timers::Timer,
    },
    limits::{
        BACK_OFF_US, CLOCK_AGE_US, PARKING_PAUSE_MAX_US, PARKING_PAUSE_MIN_US, PARKING_SLICE, PARKING_SLICE_PAUSE_US,
    },
    now::{Clock, Now},
};

impl Scheduler {
    /// Returns where the handler with that id is; `with_run` asks for its run as well, which is to get an input.
    pub fn residence(&self, id: &str, with_run: bool) -> Residence {
        match self.find(id) {
            Some(key) => match self.handlers.get(key) {
                Some(handler) if with_run && handler.life.is_parked() => Residence::InStore(HandlerAddress::Key(key)),
                _ => Residence::HereOrNone,
            },
            None if self.policies.has_all_resident() => Residence::HereOrNone,
            None => Residence::InStore(HandlerAddress::Id(id.into())),
        }
    }

    /// Handles what the store has under an address from [`Scheduler::residence`] or
    /// [`Notice::Load`], if [`Scheduler::end_read`] says that it may be used. A handler that has
    /// become resident in the meantime does not change.
    pub fn handle_loaded(&mut self, stored: &Stored, now: Now) {
        self.handle_loaded_with(stored, |scheduler| scheduler.fold_of(stored).fold(stored), now);
    }

    /// The same with the journal already folded: see [`Scheduler::fold_of`].
    pub fn handle_folded(&mut self, stored: &Stored, folded: Result<Folded, JournalError>, now: Now) {
        self.handle_loaded_with(stored, |_| folded, now);
    }

    fn handle_loaded_with(
        &mut self,
        stored: &Stored,
        fold: impl FnOnce(&Self) -> Result<Folded, JournalError>,
        now: Now,
    ) {
        let key = stored.handler.key;
        if self.handlers.removed(key).is_some() {
            // Until that is committed, requests for it wait: see `unsettled`, which finds the key by this.
            if let Some(id) = &stored.handler.id {
                self.names.gone.note(id, key);
            }
            return;
        }
        match self.handlers.get(key) {
            None => self.take_in(stored, fold, now),
            Some(handler) if handler.life.is_parked() => {
                let folded = fold(self);
                self.unpark(key, folded, now);
            }
            Some(handler) if handler.journal.compaction.is_some() => {
                let folded = fold(self);
                self.handle_compacted(stored, folded);
            }
            Some(_) => {}
        }
    }

    /// The store has no handler with this key.
    pub fn handle_absent(&mut self, key: HandlerKey, now: Now) {
        if let Some(reloading) = self.handlers.take_reloading(key) {
            self.outbox.notify_all(reloading.caller.map(Notice::NotCommitted));
            self.handle_reloaded(true, now);
        }
    }

    /// The store could not read this handler now: what waits for its run is retried.
    pub fn handle_unread(&mut self, key: HandlerKey, now: Now) {
        self.put_compaction_off(key);
        let deadline = now.deadline(Clock::Alive, Duration::from_micros(BACK_OFF_US));
        self.timers.arm(Timer::Again(key), deadline);
        let caller = self.handlers.reloading(key).and_then(|reloading| reloading.caller);
        self.outbox.notify_all(caller.map(|caller| Notice::Delayed(key, caller)));
    }

    fn unpark(&mut self, key: HandlerKey, folded: Result<Folded, JournalError>, now: Now) {
        let Some(handler) = self.handlers.get_mut(key) else { return };
        match folded {
            Err(error) => self.fail_damaged(key, error.to_string(), now),
            Ok(folded) => {
                let run = RunKey { handler: key, run: handler.run };
                folded.measure(&mut handler.journal);
                handler.journal.touched_us = now.alive_us;
                let pending = folded.run.pending();
                let is_admitted = handler.load(key, folded.run, &mut self.tally);
                self.resume_pending(run, pending);
                if is_admitted {
                    self.reduce(key, Input::Admitted, now);
                }
            }
        }
    }

    /// Memory is short, or no longer.
    pub fn set_pressed(&mut self, is_pressed: bool) {
        if is_pressed && !self.parking.is_pressed {
            (self.parking.next_us, self.parking.from) = (0, HandlerKey(0));
        }
        self.parking.is_pressed = is_pressed;
    }

    /// Arms the timers of a run that was loaded, and starts its pending passes.
    pub(super) fn resume_pending(&mut self, run: RunKey, pending: Vec<Effect>) {
        let Some(handler) = self.handlers.get_mut(run.handler) else { return };
        let is_served = self.workflows.is_served(handler.workflow);
        let postponed = handler.life.postponed();
        let is_end = |input: &Input, of: PassId| match input {
            Input::Done { pass, .. } | Input::LargeDone { pass, .. } | Input::PassLost { pass } => *pass == of,
            _ => false,
        };
        let is_said = |pass| postponed.iter().any(|input| is_end(input, pass));
        let mut ready = Vec::new();
        for effect in pending.into_iter().filter(|_| is_served) {
            match effect {
                Effect::StartPass(pass) if is_said(pass) => {}
                Effect::Arm(timer, deadline) => {
                    self.timers.arm_of_run(run, &mut handler.armed, timer, deadline);
                }
                Effect::GoOn => self.timers.defer(run),
                Effect::StartPass(pass) if !self.passes.is_out(&handler.passes, pass) => {
                    ready.push(pass);
                }
                _ => {}
            }
        }
        for pass in ready {
            self.add_ready(run, pass);
        }
        self.recount(run.handler);
    }

    /// Parks runs that have only waited for a while.
    pub(super) fn park_some(&mut self, now: Now) {
        if self.parking.due_us(&self.tally).is_none_or(|due_us| due_us > now.alive_us) {
            return;
        }
        let Some(idle_after_us) = self.parking.idle_after_us else { return };
        let idle_us = if self.parking.is_pressed { 0 } else { idle_after_us };
        let (unseen, mut looked_at) = (self.commits.unseen(), 0);
        for (key, handler) in self.handlers.iter_mut_from(self.parking.from).take(PARKING_SLICE) {
            looked_at += 1;
            self.parking.from = HandlerKey(key.0 + 1);
            let journal = &handler.journal;
            let Phase::Running(run) = handler.life.phase() else { continue };
            let is_idle = journal.touched_us.saturating_add(idle_us) <= now.alive_us
                && journal.batch < unseen
                && handler.passes.is_empty()
                && (run.only_waits() || !self.workflows.is_served(handler.workflow));
            if is_idle {
                handler.park(key, &mut self.tally);
            }
        }
        if looked_at < PARKING_SLICE {
            self.parking.from = HandlerKey(0);
            self.parking.next_us =
                now.alive_us.saturating_add((idle_us / 4).clamp(PARKING_PAUSE_MIN_US, PARKING_PAUSE_MAX_US));
        } else {
            self.parking.next_us = now.alive_us + PARKING_SLICE_PAUSE_US;
        }
    }

    /// Keeps the store's clock up to date while a time-out is pending, so that a crash loses little time.
    pub(super) fn handle_clock(&mut self, now: Now) {
        if self.commits.has_changes() || !self.timers.has_alive() {
            self.parking.clock_us = now.alive_us;
        } else if self.clock_due_us().is_some_and(|due_us| due_us <= now.alive_us) {
            self.parking.clock_us = now.alive_us;
            self.note_time(now);
        }
    }

    /// Adds the time to the next batch.
    pub fn note_time(&mut self, now: Now) {
        self.commits.note_time(now);
    }

    pub(super) fn clock_due_us(&self) -> Option<u64> {
        (self.policies.stores_progress && self.timers.has_alive()).then_some(self.parking.clock_us + CLOCK_AGE_US)
    }

    /// Returns the id of a handler that the store returned.
    pub fn id_of(&self, handler: &crate::engine::stored::StoredHandler) -> Arc<str> {
        handler.id.clone().unwrap_or_else(|| self.spell(handler.key))
    }

    pub(super) fn spell(&self, key: HandlerKey) -> Arc<str> {
        String::from_utf8_lossy(&self.names.ids.spell(key)).into()
    }
}

//! Loads handlers from the store: at the start, on demand, and after a failed commit.

use std::sync::Arc;

use crate::{
    engine::{
        armed::Armed,
        channel::Channel,
        input::Input,
        keys::{CallerId, RunKey},
        record::Names,
        run::Run,
        scheduler::{
            Scheduler,
            fold::{Folded, JournalError},
            handler::{Handler, Journal},
            life::Reloading,
            life::end_bytes,
            notice::Notice,
            phase::{End, Life, Phase},
        },
        storage::Snapshotted,
        stored::{Stored, StoredHandler},
        window::Window,
    },
    now::Now,
    values::Values,
};

impl Scheduler {
    /// Recovers a handler whose run has not ended, at the start. Runs that only wait stay in the store.
    pub fn recover(&mut self, stored: &Stored, now: Now) {
        let key = stored.handler.key;
        self.take_in(stored, |scheduler| scheduler.fold_of(stored).fold(stored), now);
        let Some(handler) = self.handlers.get_mut(key) else { return };
        let is_new_version = handler.journal.batch > 0;
        if let Phase::Running(run) = handler.life.phase()
            && !is_new_version
            && (run.only_waits() || !self.workflows.is_served(handler.workflow))
        {
            handler.park(key, &mut self.tally);
        }
    }

    /// All handlers are recovered: admits as many runs as `max_runs` allows.
    pub fn handle_recovered(&mut self, now: Now) {
        self.fill_places(now);
    }

    /// Admits the first runs of every queue, as many as allowed.
    pub(super) fn fill_places(&mut self, now: Now) {
        for workflow in self.workflows.served() {
            self.admit_waiting(workflow, now);
        }
    }

    /// Makes the handler resident.
    pub(super) fn take_in(
        &mut self,
        stored: &Stored,
        fold: impl FnOnce(&Self) -> Result<Folded, JournalError>,
        now: Now,
    ) {
        let key = stored.handler.key;
        let reloading = self.handlers.take_reloading(key);
        let caller = reloading.as_ref().and_then(|reloading| reloading.caller);
        let mut handler = self.handler_of(&stored.handler, caller);
        let run = RunKey { handler: key, run: handler.run };
        if stored.handler.id.is_some() {
            self.names.chosen.insert(Arc::clone(&handler.id), key);
        }
        let end = stored.handler.end.as_ref().map(|end| (end.outcome.clone(), end.state.clone()));
        let aside = || self.health.aside(key).map(|outcome| (outcome.clone(), Values::default()));
        if let Some((outcome, state)) = end.or_else(aside) {
            if !handler.channel.is_ended() {
                // Its readers have all that there will ever be.
                handler.channel.handle_ended();
                self.outbox.notify(Notice::Published(run));
            }
            let bytes = end_bytes(&outcome, &state);
            let end = End { outcome, state, completed_us: handler.updated_us, bytes, failed_step: None };
            handler.end(key, end, &mut self.tally);
            self.outbox.notify_all(handler.caller.take().map(|caller| Notice::Ended(run, caller)));
            self.handlers.insert(key, handler);
            self.retention.handle_here(run);
            return self.handle_reloaded(reloading.is_some(), now);
        }
        let was_reloading = reloading.is_some();
        match fold(self) {
            Err(error) => {
                self.handlers.insert(key, handler);
                self.fail_damaged(key, error.to_string(), now);
            }
            Ok(folded) => {
                handler.updated_us = folded.updated_us.min(now.wall_us);
                folded.measure(&mut handler.journal);
                self.take_in_running(handler, run, folded.run, reloading, now);
            }
        }
        self.handle_reloaded(was_reloading, now);
    }

    /// Admits runs: once no handler is reloading, it is known how many are admitted.
    pub(super) fn handle_reloaded(&mut self, was_reloading: bool, now: Now) {
        if was_reloading {
            self.fill_places(now);
        }
    }

    fn take_in_running(
        &mut self,
        mut handler: Handler,
        run: RunKey,
        live: Run,
        reloading: Option<Reloading>,
        now: Now,
    ) {
        let key = run.handler;
        let (live, change) = self.carry_over(&mut handler, run, live);
        let pending = live.pending();
        handler.load(key, live, &mut self.tally);
        self.handlers.insert(key, handler);
        if let Some(reloading) = reloading {
            self.back_off(key, reloading, now);
        }
        self.resume_pending(run, pending);
        if let Some(error) = change {
            self.reduce(key, Input::Fail(error), now);
        }
    }

    /// Translates the run to the present version of its workflow. Returns also why that is not possible, if so.
    fn carry_over(&mut self, handler: &mut Handler, run: RunKey, live: Run) -> (Run, Option<String>) {
        let Some(current) = self.workflows.current(handler.workflow).filter(|current| *current != handler.workflow)
        else {
            return (live, None);
        };
        let (old, new) = (self.graph(handler.workflow), self.graph(current));
        let restored = Run::restore(&live.snapshot(), &Names::of(old).translation(new), Arc::clone(new))
            .map(|run| run.with_window().with_events_at_once(self.policies.limits.events_at_once));
        match restored.map(|restored| restored.with_initial_state(&live.state())) {
            Err(error) => (live, Some(error.to_string())),
            Ok(restored) => {
                handler.workflow = current;
                let (workflow, updated_us, snapshot) = (current, handler.updated_us, restored.snapshot());
                handler.journal = Journal { snapshot_bytes: snapshot.len(), ..Journal::default() };
                self.commits.change(run.handler, handler);
                // What follows in the same batch has the new ids; if anything does, another snapshot includes it.
                self.commits.held.snapshots.push(run);
                self.commits.batch.snapshots.push(Snapshotted { run, workflow, updated_us, snapshot });
                // The events that it waited for from outside may not exist any longer.
                let stuck = restored.stuck();
                (restored, stuck)
            }
        }
    }

    pub(super) fn handler_of(&mut self, stored: &StoredHandler, caller: Option<CallerId>) -> Handler {
        let run = RunKey { handler: stored.key, run: stored.run };
        let events = stored.first_sequence..stored.next_sequence;
        let first = stored.window.map_or(stored.first_sequence, |mark| mark.sequence);
        let resumed = || Channel::resumed(events, first, stored.cursor, stored.end.is_some());
        let channel = self.channels.take(run).unwrap_or_else(resumed);
        Handler {
            id: self.id_of(stored),
            workflow: stored.workflow,
            run: stored.run,
            run_id: stored.run_id,
            life: Life::stored(),
            started_us: stored.started_us,
            updated_us: stored.updated_us,
            next_sequence: stored.next_sequence,
            channel,
            armed: Armed::default(),
            passes: self.passes.of_run(run),
            granted_bytes: 0,
            window: stored.window.map(|mark| Box::new(Window::new(mark))),
            caller,
            journal: Journal::default(),
        }
    }
}

//! Inputs of the scheduler: events from outside, cancels, purges, notes of passes, and the time.

use std::time::Duration;

use crate::{
    engine::{
        input::{External, Input, Refusal},
        keys::HandlerKey,
        run::{OpenQuestion, Run},
        scheduler::{
            Scheduler,
            handler::Handler,
            notice::{NotResident, Notice, PostRefused},
        },
        timers::Timer,
    },
    limits::TURN_TIMERS_MAX,
    now::Now,
};

impl Scheduler {
    /// Passes an event from outside to a handler's run.
    ///
    /// # Errors
    /// Why the run refuses it; nothing has changed then.
    pub fn post(&mut self, key: HandlerKey, external: External, now: Now) -> Result<(), PostRefused> {
        let handler = self.resident(key)?;
        let run = handler.life.run().ok_or(PostRefused::ByRun(Refusal::Ended))?;
        if !self.workflows.is_served(handler.workflow) {
            return Err(PostRefused::ByRun(Refusal::NotServed));
        }
        run.check_external(&external).map_err(PostRefused::ByRun)?;
        self.reduce(key, Input::External(external), now);
        Ok(())
    }

    /// Iterates over the questions of a handler's run that may be answered now.
    pub fn open_questions(&self, key: HandlerKey) -> impl Iterator<Item = OpenQuestion<'_>> {
        self.live_run(key).into_iter().flat_map(Run::open_questions)
    }

    /// Returns the number of those, without examining each.
    pub fn open_question_count(&self, key: HandlerKey) -> usize {
        self.live_run(key).map_or(0, Run::open_question_count)
    }

    fn live_run(&self, key: HandlerKey) -> Option<&Run> {
        self.handlers.get(key)?.life.run()
    }

    /// Cancels a running handler. Returns `false` if it is not running.
    ///
    /// # Errors
    /// If its run is not resident; nothing has changed then.
    pub fn cancel(&mut self, key: HandlerKey, now: Now) -> Result<bool, NotResident> {
        self.resident(key)?;
        let is_running = self.live_run(key).is_some();
        if is_running {
            self.reduce(key, Input::Cancel, now);
        }
        Ok(is_running)
    }

    /// Removes a handler, running or not. Its readers end after the events that they have been given.
    ///
    /// # Errors
    /// If its run is not resident; nothing has changed then.
    pub fn purge(&mut self, key: HandlerKey, now: Now) -> Result<(), NotResident> {
        self.cancel(key, now)?;
        self.remove(key);
        Ok(())
    }

    /// Returns a handler whose run is resident or has ended.
    fn resident(&self, key: HandlerKey) -> Result<&Handler, NotResident> {
        let handler = self.handlers.get(key).filter(|handler| !handler.life.is_parked());
        handler.ok_or(NotResident(key))
    }

    /// The pass with this tag has noted something.
    pub fn handle_notes(&mut self, tag: u64, notes: Vec<crate::pass::Note>, now: Now) {
        let Some((run, pass)) = self.passes.get(tag) else { return };
        let spent_bytes = self.spent_bytes(tag, &notes);
        self.report(run, Input::Noted { pass, notes }, now);
        if spent_bytes > 0 {
            self.spend(run, tag, spent_bytes);
        }
    }

    /// Passes due timers to their runs, [`TURN_TIMERS_MAX`] at most, and lets one run continue with what it has
    /// deferred; while there is more of either, [`Scheduler::poll_timeout`] returns zero. Also does periodic work.
    pub fn handle_time(&mut self, now: Now) {
        for _ in 0..TURN_TIMERS_MAX {
            let Some(timer) = self.timers.poll_due(now) else { break };
            match timer {
                Timer::Run(run, timer) => self.handle_due(run, timer, now),
                Timer::Pass(tag) => self.handle_pass_timed_out(tag, now),
                Timer::Straggler(tag) => self.abandon(tag),
                Timer::Again(key) => self.handle_pause_over(key, now),
            }
        }
        self.go_on(now);
        self.handle_ages(now);
        self.park_some(now);
        self.cursors.handle_time(now);
        self.handle_clock(now);
        self.handle_excess(now);
    }

    /// Returns how long until something is due.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let until = |at_us: u64| Duration::from_micros(at_us.saturating_sub(now.alive_us));
        let cursors_us = self.cursors.due_us(now);
        let parking_us = self.parking.due_us(&self.tally);
        let clock_us = self.clock_due_us();
        let ages_us = self.retention.ages_due_us();
        let excess_us = self.retention.excess_due_us(self.commits.uncommitted(), now);
        let due = [cursors_us, parking_us, clock_us, ages_us, excess_us].into_iter().flatten().min().map(until);
        self.timers.poll_timeout(now).into_iter().chain(due).min()
    }

    /// Returns what is to be done next, in order.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.outbox.poll_notice()
    }
}

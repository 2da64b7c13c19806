//! Passes: ready ones wait here until an executor takes them; those that executors have are watched.

use std::{sync::Arc, time::Duration};

use crate::{
    engine::{
        input::{Input, PassId},
        keys::{RunKey, WorkflowId},
        record::LargeDone,
        run::{self, PassStage},
        scheduler::{
            Scheduler,
            passes::{Capacity, Lane, Out, PassState, StartPass, StepLanes},
            troubles::{Blamed, TroubleKind},
        },
        timers::Timer,
    },
    graph::StepId,
    limits::STRAGGLER_GRACE_US,
    now::{Clock, Now},
    pass::{Done, Emitted, Order, PassEnd, Report, Stop},
};

impl Scheduler {
    /// Makes several executors run passes: `lanes` are by workflow and step.
    pub fn set_lanes(&mut self, lanes: Vec<Vec<StepLanes>>) {
        self.passes.lanes = lanes;
        for (run, pass) in self.passes.take_ready() {
            self.add_ready(run, pass);
        }
    }

    /// Queues a pass, which starts as soon as its executor takes it.
    pub(super) fn add_ready(&mut self, run: RunKey, pass: PassId) {
        let lane = if self.passes.lanes.is_empty() { None } else { self.lane(run, pass) };
        // Whatever has no lane is stale, and any executor finds that out.
        self.passes.add_ready(lane.unwrap_or(Lane(0)), run, pass);
    }

    fn lane(&self, run: RunKey, pass: PassId) -> Option<Lane> {
        let handler = self.handlers.get(run.handler).filter(|handler| handler.run == run.run)?;
        let (step, stage) = handler.life.run()?.pass_stage(pass)?;
        let lanes = self.passes.lanes(handler.workflow, step)?;
        Some(match stage {
            PassStage::First => lanes.first,
            PassStage::Later => lanes.later,
            PassStage::Failure => lanes.failure,
        })
    }

    /// Returns the next pass for an executor with this capacity, with the run's state as it is now. A step with a
    /// time-out is only started if it begins at once, so that its time begins when its body does; others may wait in
    /// the executor's queue.
    pub fn poll_pass(&mut self, now: Now, lane: Lane, capacity: Capacity) -> Option<StartPass> {
        // A run that has ended may have left very many.
        let mut over = None;
        loop {
            let (run, pass) = self.passes.first_ready(lane).filter(|_| capacity.queued > 0)?;
            if over == Some(run) {
                self.passes.remove_first_ready(lane);
                continue;
            }
            let handler = self.handlers.of_newest(run);
            let is_over = handler.as_ref().is_none_or(|handler| handler.has_ended());
            let Some((handler, step, input)) = handler.and_then(|handler| {
                let live = handler.life.run()?;
                let (step, input) = (live.pass_step(pass)?, live.pass_input(pass)?);
                Some((handler, step, input))
            }) else {
                // Stale: its run has ended, or has continued without it.
                over = is_over.then_some(run);
                self.passes.remove_first_ready(lane);
                continue;
            };
            let timeout = self.workflows.graph(handler.workflow).step(step).timeout;
            if timeout.is_some() && capacity.at_once == 0 {
                return None;
            }
            self.passes.remove_first_ready(lane);
            let tag = self.passes.next_tag;
            self.passes.next_tag += 1;
            let timer = timeout.map(|timeout| (Timer::Pass(tag), now.deadline(Clock::Alive, timeout)));
            if let Some((timer, deadline)) = timer {
                self.timers.arm(timer, deadline);
            }
            let (workflow, blamed) = (handler.workflow, Blamed { step: Some(step), attempt: input.attempt });
            let (grant, grant_bytes) = handler.first_grant();
            self.passes.out.insert(tag, Out { run, pass, workflow, blamed, timer, standing: PassState::Wanted, grant });
            handler.passes.push(tag);
            return Some(StartPass { tag, workflow, step, input, grant_bytes });
        }
    }

    /// Returns the number of passes that executors have, without hanging ones.
    pub fn working(&self) -> usize {
        self.passes.out.len() - self.passes.hanging
    }

    /// Returns the number of abandoned passes that have not ended.
    pub fn hanging(&self) -> usize {
        self.passes.hanging
    }

    /// Returns the next order for a pass.
    pub fn poll_order(&mut self) -> Option<(u64, Order)> {
        self.passes.orders.pop_front()
    }

    /// Records why the executor cannot do all that it should, if so.
    pub fn note_overload(&mut self, overload: Option<String>) {
        self.passes.overload = overload;
    }

    /// An executor reports something about the pass with this tag.
    pub fn handle_report(&mut self, tag: u64, report: Report, now: Now) {
        match report {
            Report::NotBegun => self.handle_not_begun(tag),
            Report::Noted(notes) => self.handle_notes(tag, notes, now),
            Report::FeedWanted(bytes) => self.handle_feed_wanted(tag, bytes),
            Report::FeedGivenBack(bytes) => self.handle_feed_given_back(tag, bytes),
            Report::Panicked(text) => self.handle_panic(tag, text),
            Report::Done(done) => self.handle_done(tag, done, now),
            Report::Lost => self.handle_lost(tag, now),
        }
    }

    /// The executor lost the pass; no further report follows.
    pub fn handle_lost(&mut self, tag: u64, now: Now) {
        let blamed = self.passes.blamed(tag);
        let Some(Out { run, pass, .. }) = self.take_out(tag).filter(Out::is_wanted) else { return };
        if let Some((_, workflow, blamed)) = blamed {
            let error = "what ran it has ended without a report; the body runs again".to_owned();
            self.tell(TroubleKind::Lost, run, workflow, blamed, error);
        }
        self.report(run, Input::PassLost { pass }, now);
        self.serve_wanting(run);
    }

    /// A pass that was told to stop had not begun: nothing is executing it.
    pub fn handle_not_begun(&mut self, tag: u64) {
        if let Some(out) = self.take_out(tag) {
            self.serve_wanting(out.run);
        }
    }

    /// An executor has finished a pass. If that was abandoned or its run has ended, this changes nothing.
    pub fn handle_done(&mut self, tag: u64, done: Done, now: Now) {
        let Some(out) = self.take_out(tag).filter(Out::is_wanted) else { return };
        let pass = out.pass;
        let input = match done {
            Done { end: PassEnd::Returned(returned), sent, state }
                if returned.len() + sent.len() > self.policies.limits.events_at_once as usize =>
            {
                Input::LargeDone { emitted: Arc::new(Emitted { sent, returned }), state, pass }
            }
            done => Input::Done { pass, done },
        };
        self.report(out.run, input, now);
        self.serve_wanting(out.run);
    }

    /// Like [`Self::handle_done`], for a pass that emitted very many events.
    pub fn handle_large_done(&mut self, tag: u64, done: LargeDone, now: Now) {
        let Some(Out { run, pass, .. }) = self.take_out(tag).filter(Out::is_wanted) else { return };
        if self.run_of(run.handler) == Some(run) {
            let (input, record) = done.complete(pass, now);
            self.reduce_recorded(run.handler, input, Some(record), now);
        } else {
            self.report(run, done.into_input(pass), now);
        }
        self.serve_wanting(run);
    }

    /// Removes a pass that no executor has any longer.
    fn take_out(&mut self, tag: u64) -> Option<Out> {
        let out = self.passes.out.remove(&tag)?;
        self.release_grant(out.run, &out.grant);
        if let Some((timer, deadline)) = out.timer {
            self.timers.disarm(timer, deadline);
        }
        self.passes.hanging -= usize::from(out.standing == PassState::Hangs);
        if let Some(handler) = self.handlers.of_newest(out.run) {
            handler.passes.retain(|&other| other != tag);
        }
        Some(out)
    }

    /// The attempt has timed out; its body is told, and watched until it ends.
    pub(super) fn handle_pass_timed_out(&mut self, tag: u64, now: Now) {
        let Some((run, pass)) = self.passes.get(tag) else { return };
        let Some(out) = self.passes.out.get_mut(&tag) else { return };
        out.standing = PassState::Over;
        out.timer = None;
        let (workflow, step) = (out.workflow, out.blamed.step);
        self.watch(tag, Stop::TimedOut, now);
        let end = step.and_then(|step| self.final_time_out(workflow, step)).unwrap_or(PassEnd::TimedOut);
        self.report(run, Input::Done { pass, done: Done::of(end) }, now);
        self.serve_wanting(run);
    }

    /// Returns how a pass of this step ends when it has timed out, if that is not retried.
    fn final_time_out(&self, workflow: WorkflowId, step: StepId) -> Option<PassEnd> {
        let lanes = self.passes.lanes(workflow, step).filter(|lanes| !lanes.retries_time_outs)?;
        let error = run::timed_out(self.workflows.graph(workflow).step(step));
        Some(PassEnd::Failed { error, retry: lanes.retries_time_outs })
    }

    /// The pass was told to stop long ago. It no longer counts as working, though it has not ended.
    pub(super) fn abandon(&mut self, tag: u64) {
        let Some(out) = self.passes.out.get_mut(&tag).filter(|out| out.standing != PassState::Hangs) else { return };
        let why = if out.is_wanted() { "its run has ended" } else { "its step has timed out" };
        out.standing = PassState::Hangs;
        out.timer = None;
        self.passes.hanging += 1;
        self.passes.orders.push_back((tag, Order::Abandon));
        let hanging = self.passes.hanging;
        if let Some((run, workflow, blamed)) = self.passes.blamed(tag) {
            let error = format!("it was told to stop because {why}, and does not end ({hanging} such passes now)");
            self.tell(TroubleKind::Abandoned, run, workflow, blamed, error);
        }
    }

    /// The run of these passes has ended: they are told to stop, and watched until they end.
    pub(super) fn stop_passes(&mut self, tags: &[u64], now: Now) {
        for &tag in tags {
            if self.passes.get(tag).is_some() {
                self.watch(tag, Stop::Cancelled, now);
            }
        }
    }

    /// Tells a pass to stop. It is abandoned if it does not end soon.
    fn watch(&mut self, tag: u64, stop: Stop, now: Now) {
        let Some(out) = self.passes.out.get(&tag) else { return };
        let lanes = out.blamed.step.and_then(|step| self.passes.lanes(out.workflow, step));
        let grace = Duration::from_micros(STRAGGLER_GRACE_US + lanes.map_or(0, |lanes| lanes.ends_after_us));
        let Some(out) = self.passes.out.get_mut(&tag) else { return };
        let straggler = (Timer::Straggler(tag), now.deadline(Clock::Alive, grace));
        if let Some((timer, deadline)) = out.timer.replace(straggler) {
            self.timers.disarm(timer, deadline);
        }
        let (run, grant) = (out.run, std::mem::take(&mut out.grant));
        self.timers.arm(straggler.0, straggler.1);
        self.passes.orders.push_back((tag, Order::Stop(stop)));
        self.release_grant(run, &grant);
    }
}

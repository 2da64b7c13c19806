//! Passes that are ready, and those that an executor has.

use std::collections::{BTreeMap, VecDeque};

use super::{grants::Grant, troubles::Blamed};
use crate::{
    engine::{
        input::PassId,
        keys::{HandlerKey, RunKey, WorkflowId},
        timers::Timer,
    },
    graph::StepId,
    now::Deadline,
    pass::{Order, PassInput},
};

/// A pass for an executor.
#[derive(Debug)]
pub struct StartPass {
    /// Identifies the pass to the server. Never reused.
    pub tag: u64,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The step whose body it runs.
    pub step: StepId,
    /// The input of the body.
    pub input: PassInput,
    /// Bytes that it may stream; when it needs more, it requests them:
    /// [`Scheduler::handle_feed_wanted`](super::Scheduler::handle_feed_wanted).
    pub grant_bytes: usize,
}

/// What an executor takes now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Passes that it would begin at once.
    pub at_once: usize,
    /// Passes that it accepts in total; those beyond `at_once` are queued.
    pub queued: usize,
}

impl Capacity {
    /// Accepts any number.
    pub const UNBOUNDED: Self = Self { at_once: usize::MAX, queued: usize::MAX };
}

/// An executor: its index among those of the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane(pub u8);

/// Which executor runs the passes of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StepLanes {
    /// Runs a pass whose work has not waited, or is to ask again.
    pub first: Lane,
    /// Runs a pass after a wait.
    pub later: Lane,
    /// Makes the `on_failure` event.
    pub failure: Lane,
    /// Whether the step's policy retries a pass that has timed out; else that is final.
    pub retries_time_outs: bool,
    /// Microseconds in which the executor itself ends a pass that does not return when it is told to stop.
    pub ends_after_us: u64,
}

/// The passes that are ready, and those that executors have.
#[derive(Debug, Default)]
pub(super) struct Passes {
    /// By lane.
    ready: Vec<VecDeque<(RunKey, PassId)>>,
    /// By workflow and step; empty if one executor runs all passes.
    pub(super) lanes: Vec<Vec<StepLanes>>,
    pub(super) out: BTreeMap<u64, Out>,
    pub(super) next_tag: u64,
    pub(super) hanging: usize,
    /// Orders for passes.
    pub(super) orders: VecDeque<(u64, Order)>,
    /// Passes that wait to be granted more of a feed.
    pub(super) wanting: usize,
    /// Why the executor cannot do all that it should.
    pub(super) overload: Option<String>,
}

#[derive(Debug)]
pub(super) struct Out {
    pub(super) run: RunKey,
    pub(super) pass: PassId,
    pub(super) workflow: WorkflowId,
    pub(super) blamed: Blamed,
    pub(super) timer: Option<(Timer, Deadline)>,
    pub(super) standing: PassState,
    pub(super) grant: Grant,
}

/// The state of a pass that an executor has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PassState {
    /// Its run waits for it.
    Wanted,
    /// It has exceeded its time-out: its run continues without it, and it gets a moment to end.
    Over,
    /// It does not end: it is abandoned.
    Hangs,
}

impl Passes {
    pub(super) fn add_ready(&mut self, lane: Lane, run: RunKey, pass: PassId) {
        let lane = usize::from(lane.0);
        if self.ready.len() <= lane {
            self.ready.resize_with(lane + 1, VecDeque::new);
        }
        self.ready[lane].push_back((run, pass));
    }

    /// Returns the pass that has been ready longest.
    pub(super) fn first_ready(&self, lane: Lane) -> Option<(RunKey, PassId)> {
        self.ready.get(usize::from(lane.0))?.front().copied()
    }

    pub(super) fn remove_first_ready(&mut self, lane: Lane) {
        if let Some(ready) = self.ready.get_mut(usize::from(lane.0)) {
            ready.pop_front();
        }
    }

    /// Keeps only the ready passes of these handlers.
    pub(super) fn retain_ready(&mut self, keeps: impl Fn(HandlerKey) -> bool) {
        self.ready.iter_mut().for_each(|ready| ready.retain(|(run, _)| keeps(run.handler)));
    }

    pub(super) fn take_ready(&mut self) -> impl Iterator<Item = (RunKey, PassId)> + use<> {
        std::mem::take(&mut self.ready).into_iter().flatten()
    }

    /// Returns the lanes of a step, unless one executor runs all passes.
    pub(super) fn lanes(&self, workflow: WorkflowId, step: StepId) -> Option<StepLanes> {
        self.lanes.get(usize::from(workflow.0))?.get(usize::from(step.0)).copied()
    }

    /// Returns whether this pass has one of these tags.
    pub(super) fn is_out(&self, tags: &[u64], pass: PassId) -> bool {
        tags.iter().any(|tag| self.out.get(tag).is_some_and(|out| out.pass == pass && out.is_wanted()))
    }

    /// Returns the tags of this run's passes that executors have.
    pub(super) fn of_run(&self, run: RunKey) -> Vec<u64> {
        self.tags(|of| of == run)
    }

    /// Returns the tags of this handler's passes that executors have.
    pub(super) fn of_handler(&self, key: HandlerKey) -> Vec<u64> {
        self.tags(|of| of.handler == key)
    }

    fn tags(&self, is_of: impl Fn(RunKey) -> bool) -> Vec<u64> {
        self.out.iter().filter(|(_, out)| is_of(out.run)).map(|(&tag, _)| tag).collect()
    }

    pub(super) fn get(&self, tag: u64) -> Option<(RunKey, PassId)> {
        self.out.get(&tag).filter(|out| out.is_wanted()).map(|out| (out.run, out.pass))
    }

    pub(super) fn grant_mut(&mut self, tag: u64) -> Option<&mut Grant> {
        self.out.get_mut(&tag).map(|out| &mut out.grant)
    }

    /// Returns the run of the pass, and which attempt of which step it is.
    pub(super) fn blamed(&self, tag: u64) -> Option<(RunKey, WorkflowId, Blamed)> {
        self.out.get(&tag).map(|out| (out.run, out.workflow, out.blamed))
    }
}

impl Passes {
    pub(super) fn hanging(&self) -> usize {
        self.hanging
    }

    pub(super) fn recount_granted(&self, run: RunKey) -> usize {
        self.out.values().filter(|out| out.run == run).map(|out| out.grant.bytes).sum()
    }

    pub(super) fn recount_hanging(&self) -> usize {
        self.out.values().filter(|out| out.standing == PassState::Hangs).count()
    }
}

impl Out {
    pub(super) fn is_wanted(&self) -> bool {
        self.standing == PassState::Wanted
    }
}

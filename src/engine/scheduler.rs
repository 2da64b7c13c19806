//! All handlers and their runs: who may start, what is ready, what is due.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use crate::{
    engine::input::{Outcome, Refusal},
    graph::{EventId, Graph, StepId},
    json::Json,
    now::Now,
};

/// A handler, by order of creation. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HandlerKey(pub u64);

/// A registered workflow, by order of registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkflowId(pub u16);

/// Which handler a new run belongs to; the outcome of [`Scheduler::check_start`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A new handler; its id is made by the server, or given by the client.
    New(Option<Box<str>>),
    /// This handler, which has ended, carrying over its state.
    Continue(HandlerKey),
    /// This handler, which has ended, with a new state.
    Restart(HandlerKey),
}

/// Why a run may not start; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartRefused {
    /// No such handler to continue, or it did not complete, or it is of another workflow: 404.
    NotFound,
    /// 409 `Handler is still running`.
    StillRunning,
    /// With a context: the id is taken by a handler of another workflow: 409.
    OtherWorkflow,
    /// More runs than are kept at a time, or too many hanging passes: 503 with `Retry-After`.
    Full,
}

/// What a new run is made of. The server draws the random ids.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The workflow.
    pub workflow: WorkflowId,
    /// Which handler it belongs to.
    pub place: Place,
    /// The id of a new handler that has none given.
    pub fresh_id: [u8; 10],
    /// The run's id.
    pub run_id: Uuid,
    /// The start event's value.
    pub event: Json,
    /// The state from a `context`.
    pub state: BTreeMap<Arc<str>, Json>,
}

/// A handler as the API shows it.
#[derive(Clone, Copy, Debug)]
pub struct HandlerView<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its workflow.
    pub graph: &'a Graph,
    /// Its newest run.
    pub run_id: Uuid,
    /// The outcome of that run; `None`: running.
    pub outcome: Option<&'a Outcome>,
    /// Microseconds since the epoch.
    pub started_us: i64,
    /// Microseconds since the epoch.
    pub updated_us: i64,
    /// Microseconds since the epoch.
    pub completed_us: Option<i64>,
}

/// Handlers, runs, timers, passes that are ready.
#[derive(Debug, Default)]
pub struct Scheduler {
    graphs: Vec<Arc<Graph>>,
}

impl Scheduler {
    /// The workflows, in order of registration.
    pub fn graphs(&self) -> &[Arc<Graph>] {
        &self.graphs
    }

    /// The workflow of that name.
    pub fn workflow(&self, _name: &str) -> Option<WorkflowId> {
        todo!()
    }

    /// The handler of that id.
    pub fn find(&self, _id: &str) -> Option<HandlerKey> {
        todo!()
    }

    /// What the API shows of a handler; `None` once it is gone.
    pub fn view(&self, _key: HandlerKey) -> Option<HandlerView<'_>> {
        todo!()
    }

    /// The next handler in order of creation.
    pub fn next_handler(&self, _after: Option<HandlerKey>) -> Option<HandlerKey> {
        todo!()
    }

    /// Whether the queue of this handler's newest run is used up: it has ended and the cursor is at its end.
    pub fn is_drained(&self, _key: HandlerKey) -> bool {
        todo!()
    }

    /// First and next number of the newest run's feed.
    pub fn feed_range(&self, _key: HandlerKey) -> Option<std::ops::Range<u64>> {
        todo!()
    }

    /// Decides which handler a run would belong to: `handler_id` without a context continues, with one takes the id as given.
    ///
    /// # Errors
    /// Why there is none.
    pub fn check_start(
        &self,
        _workflow: WorkflowId,
        _handler_id: Option<&str>,
        _with_context: bool,
    ) -> Result<Place, StartRefused> {
        todo!()
    }

    /// Starts a run. All checks have passed.
    pub fn start(&mut self, _new: NewRun, _now: Now) -> HandlerKey {
        todo!()
    }

    /// Gives an event from outside to a handler's run.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn post(
        &mut self,
        _key: HandlerKey,
        _event: EventId,
        _value: Json,
        _step: Option<StepId>,
        _now: Now,
    ) -> Result<(), Refusal> {
        todo!()
    }

    /// Cancels a running handler; `false` if it is not running.
    pub fn cancel(&mut self, _key: HandlerKey, _now: Now) -> bool {
        todo!()
    }

    /// Removes a handler, running or not.
    pub fn purge(&mut self, _key: HandlerKey, _now: Now) {
        todo!()
    }
}

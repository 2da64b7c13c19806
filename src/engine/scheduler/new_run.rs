//! What a run is started with, and why it may not start.

use uuid::Uuid;

use crate::{
    engine::keys::{HandlerKey, WorkflowId},
    json::Json,
    values::Values,
};

/// The handler that a new run belongs to; the result of [`Scheduler::check_start`](super::Scheduler::check_start).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StartAs {
    /// A new handler; the server makes its id, unless the client chose one.
    New(Option<Box<str>>),
    /// This handler, which has ended, continuing with its state.
    Continue(HandlerKey),
    /// This handler, which has ended, with a new state.
    Restart(HandlerKey),
}

/// Why a run may not start; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartRefused {
    /// There is no such handler to continue, it did not complete, or it is of another workflow: 404.
    NotFound,
    /// 409 `Handler is still running`.
    StillRunning,
    /// With a context: the id belongs to a handler of another workflow: 409.
    OtherWorkflow,
    /// The store has reached its limit, and nothing in it may be removed: 507.
    StoreFull,
    /// The handler's rows in the store cannot be changed: 500.
    Damaged,
    /// There are too many runs: 503 with `Retry-After`.
    Full,
}

/// The data of a new run. The server draws the random id.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The handler that it belongs to.
    pub start_as: StartAs,
    /// The run's id.
    pub run_id: Uuid,
    /// The start event's value.
    pub event: Json,
    /// The state from a `context`.
    pub state: Values,
}

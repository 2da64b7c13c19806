//! One run: a reducer. [`Run::handle`] is the only way it changes.

use std::sync::Arc;

use crate::{
    engine::input::{Effect, Input, Outcome, PassId, Refusal},
    graph::{EventId, Graph, StepId},
    json::Json,
    now::Now,
    pass::PassInput,
};

/// One execution of a workflow.
#[derive(Debug)]
pub struct Run {
    _graph: Arc<Graph>,
}

impl Run {
    /// A run before its [`Input::Started`]. `id` seeds what looks random: the jitter of retries.
    pub fn new(_graph: Arc<Graph>, _id: uuid::Uuid, _handler_id: Arc<str>) -> Self {
        todo!()
    }

    /// Reduces one input. Appends what is to be done to `effects`, in order. Never panics: an input that is late,
    /// twice or unknown changes nothing.
    pub fn handle(&mut self, _input: Input, _now: Now, _effects: &mut Vec<Effect>) {
        todo!()
    }

    /// What is still owed: passes to start, timers to arm. After a crash, exactly what the lost effects were.
    pub fn pending(&self) -> Vec<Effect> {
        todo!()
    }

    /// What to hand to a worker for this pass, with the state as it is now; `None` if the pass is stale.
    pub fn pass_input(&self, _pass: PassId) -> Option<PassInput> {
        todo!()
    }

    /// The step whose body this pass runs; `None` if the pass is stale.
    pub fn pass_step(&self, _pass: PassId) -> Option<StepId> {
        todo!()
    }

    /// Whether an event from outside would be taken: asked before it is made an input.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check_external(&self, _event: EventId, _step: Option<StepId>) -> Result<(), Refusal> {
        todo!()
    }

    /// Bytes of what it has published.
    pub fn feed_bytes(&self) -> usize {
        todo!()
    }

    /// The outcome, once there is one.
    pub fn outcome(&self) -> Option<&Outcome> {
        todo!()
    }

    /// The state, for continuing this run's handler.
    pub fn state(&self) -> std::collections::BTreeMap<Arc<str>, Json> {
        todo!()
    }
}

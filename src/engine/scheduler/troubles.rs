//! What people should know: failed runs, retried attempts, panics, passes that do not end.

use std::sync::Arc;

use super::{Scheduler, handler::Handler, newest};
use crate::{
    engine::{
        keys::{RunKey, WorkflowId},
        published::Published,
    },
    graph::{Graph, StepId},
};

/// Something that people should know.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What has happened.
    pub kind: TroubleKind,
    /// The handler's id.
    pub handler: Arc<str>,
    /// The run's id; nil if the run is gone.
    pub run_id: uuid::Uuid,
    /// The run's workflow.
    pub graph: Arc<Graph>,
    /// The step; `None` if no step caused it.
    pub step: Option<StepId>,
    /// The attempt, from 1; 0 if no step caused it.
    pub attempt: u32,
    /// The error's text.
    pub error: String,
}

/// Kinds of [`Trouble`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TroubleKind {
    /// The run has failed.
    RunFailed,
    /// The attempt has failed, and another one will follow.
    AttemptFailed,
    /// The last attempt has failed, and the step's `on_failure` event follows.
    StepFailed,
    /// The body has panicked; the attempt has failed, too.
    Panicked,
    /// The pass was told to stop and does not end: its thread is abandoned.
    Abandoned,
    /// The pass was lost with what ran it, and its body runs again.
    Lost,
}

/// A step and its attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blamed {
    pub(super) step: Option<StepId>,
    pub(super) attempt: u32,
}

impl Blamed {
    /// Nobody.
    pub(super) const NONE: Self = Self { step: None, attempt: 0 };
}

impl Trouble {
    /// Returns the trouble that this event describes, if any.
    pub(super) fn of_event(handler: &Handler, graph: &Arc<Graph>, event: &Published) -> Option<Self> {
        let (kind, step, attempt, error) = match event {
            Published::Retried { step, error, attempt, .. } => (TroubleKind::AttemptFailed, *step, *attempt, error),
            Published::StepFailed { step, error, attempts } => (TroubleKind::StepFailed, *step, *attempts, error),
            _ => return None,
        };
        let blamed = Blamed { step: Some(step), attempt };
        Some(Self::of(kind, handler, graph, blamed, error.clone()))
    }

    pub(super) fn of(kind: TroubleKind, handler: &Handler, graph: &Arc<Graph>, blamed: Blamed, error: String) -> Self {
        let Blamed { step, attempt } = blamed;
        let (handler, run_id) = (Arc::clone(&handler.id), handler.run_id);
        Self { kind, handler, run_id, graph: Arc::clone(graph), step, attempt, error }
    }
}

impl Scheduler {
    /// Returns the next trouble whose cause is committed.
    pub fn poll_trouble(&mut self) -> Option<Trouble> {
        self.troubles.pop_front()
    }

    /// The pass with this tag has panicked, with this position and text; its end follows.
    pub fn handle_panic(&mut self, tag: u64, text: String) {
        if let Some((run, workflow, blamed)) = self.passes.blamed(tag) {
            self.tell(TroubleKind::Panicked, run, workflow, blamed, text);
        }
    }

    /// Reports it at once.
    pub(super) fn tell(&mut self, kind: TroubleKind, run: RunKey, workflow: WorkflowId, blamed: Blamed, error: String) {
        let graph = &self.graphs[usize::from(workflow.0)];
        let trouble = if let Some(handler) = newest(&mut self.handlers, run) {
            Trouble::of(kind, handler, graph, blamed, error)
        } else {
            // The handler was purged, or has a new run.
            let handler = self.handlers.get(&run.handler).map(|handler| Arc::clone(&handler.id));
            let (handler, run_id) = (handler.unwrap_or_else(|| self.spell(run.handler)), uuid::Uuid::nil());
            let Blamed { step, attempt } = blamed;
            Trouble { kind, handler, run_id, graph: Arc::clone(graph), step, attempt, error }
        };
        self.troubles.push_back(trouble);
    }

    /// Sets why the last commit failed; `None` once one has succeeded.
    pub fn note_store_fault(&mut self, fault: Option<String>) {
        self.store_fault = fault;
    }

    /// Returns why the server does less than it could; empty when it is healthy.
    pub fn degradations(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(fault) = &self.store_fault {
            reasons.push(format!("the last commit failed, and what cannot be stored is refused: {fault}"));
        }
        reasons.extend(self.passes.overload.clone());
        match self.damaged_count() {
            0 => {}
            1 => reasons.push("the stored rows of 1 handler are damaged (the log names it)".into()),
            count => reasons.push(format!("the stored rows of {count} handlers are damaged (the log names them)")),
        }
        if self.has_bad_page() {
            reasons.push("a page of the database is damaged, and not all can be stored (see the log)".into());
        }
        reasons
    }
}

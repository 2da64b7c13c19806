//! What people should know: failed runs, retried attempts, panics, passes that do not end.

use std::sync::Arc;

use super::handler::Handler;
use crate::{
    engine::published::Published,
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
    /// The pass was told to stop and does not end: it is abandoned.
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

//! The authoring API: events, steps, what a step can do, and the builder. Knows no engine and no server.

pub mod line;

use std::{fmt, sync::Arc};

use crate::{
    graph::{Graph, StepId},
    pass::{Done, PassInput},
};
use line::Line;

/// The body of a step with its types erased: one pass in, what it did out. It catches the panics of the step.
pub type Body = Arc<dyn Fn(PassInput, &Arc<Line>) -> Done + Send + Sync>;

/// A validated workflow: a graph, and a body for each of its steps. Cheap to clone.
#[derive(Clone)]
pub struct Workflow {
    graph: Arc<Graph>,
    bodies: Arc<[Body]>,
}

impl Workflow {
    /// Its graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The body of a step of its graph.
    pub fn body(&self, step: StepId) -> &Body {
        &self.bodies[usize::from(step.0)]
    }
}

impl fmt::Debug for Workflow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Workflow").field("graph", &self.graph).finish_non_exhaustive()
    }
}

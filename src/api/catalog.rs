//! What is rendered once at start, so that reads and streams only copy it.

use std::sync::Arc;

use crate::{
    api::wire::{self, EventTexts, StepTexts},
    engine::keys::WorkflowId,
    graph::{EventId, Graph, StepId},
};

/// The texts of all workflows.
#[derive(Debug)]
pub struct Catalog {
    /// Body of `GET /workflows`.
    pub names: Vec<u8>,
    workflows: Box<[WorkflowTexts]>,
}

/// The texts of one workflow.
#[derive(Debug)]
pub struct WorkflowTexts {
    /// Body of `GET /workflows/{name}/schema`.
    pub schema: Vec<u8>,
    /// Body of `GET /workflows/{name}/events`.
    pub events: Vec<u8>,
    /// Body of `GET /workflows/{name}/representation`.
    pub representation: Vec<u8>,
    graph: Arc<Graph>,
    event_texts: Box<[EventTexts]>,
    step_texts: Box<[StepTexts]>,
}

impl Catalog {
    /// Renders the workflows. The first `registered` of the graphs are those that there are now, in order of
    /// registration; the others are what events of earlier ones need.
    pub fn new(graphs: &[Arc<Graph>], registered: usize) -> Self {
        Self {
            names: wire::workflows(graphs.iter().take(registered).map(|graph| &*graph.name)),
            workflows: graphs.iter().map(WorkflowTexts::new).collect(),
        }
    }

    /// The texts of a workflow.
    ///
    /// # Panics
    /// When it is not one of those that the catalog was made from.
    pub fn workflow(&self, workflow: WorkflowId) -> &WorkflowTexts {
        &self.workflows[usize::from(workflow.0)]
    }
}

impl WorkflowTexts {
    pub(super) fn new(graph: &Arc<Graph>) -> Self {
        Self {
            schema: wire::schema(graph),
            events: wire::event_schemas(graph),
            representation: wire::representation(graph),
            graph: Arc::clone(graph),
            event_texts: graph.events.iter().map(wire::event_texts).collect(),
            step_texts: graph.steps.iter().map(wire::step_texts).collect(),
        }
    }

    /// The texts of an event type of this workflow.
    pub(super) fn event(&self, event: EventId) -> &EventTexts {
        &self.event_texts[usize::from(event.0)]
    }

    /// The texts of a step of this workflow.
    pub(super) fn step(&self, step: StepId) -> &StepTexts {
        &self.step_texts[usize::from(step.0)]
    }

    /// The name of a step of this workflow.
    pub(super) fn step_name(&self, step: StepId) -> &str {
        &self.graph.step(step).name
    }
}

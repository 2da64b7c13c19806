//! Texts that are rendered once at start, so that reads and streams only copy them.

use std::sync::Arc;

use crate::{
    api::wire::{self, EventTexts, StepTexts},
    engine::keys::WorkflowId,
    graph::{EventId, Graph, StepId},
};

/// The texts of all workflows.
#[derive(Debug)]
pub struct Catalog {
    /// The body of `GET /workflows`.
    pub names: Vec<u8>,
    workflows: Box<[WorkflowTexts]>,
}

/// The texts of one workflow.
#[derive(Debug)]
pub struct WorkflowTexts {
    /// The body of `GET /workflows/{name}/schema`.
    pub schema: Vec<u8>,
    /// The body of `GET /workflows/{name}/events`.
    pub events: Vec<u8>,
    /// The body of `GET /workflows/{name}/representation`.
    pub representation: Vec<u8>,
    graph: Arc<Graph>,
    event_texts: Box<[EventTexts]>,
    step_texts: Box<[StepTexts]>,
}

impl Catalog {
    /// Renders the workflows. The first `registered` graphs are those of the present program, in order of registration;
    /// the others are earlier ones whose events are still in the store.
    pub fn new(graphs: &[Arc<Graph>], registered: usize) -> Self {
        Self {
            names: wire::workflows(graphs.iter().take(registered).map(|graph| &*graph.name)),
            workflows: graphs.iter().map(WorkflowTexts::new).collect(),
        }
    }

    /// Returns the texts of a workflow.
    ///
    /// # Panics
    /// If the catalog was not made from it.
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

    /// Returns the texts of an event type of this workflow.
    pub(super) fn event(&self, event: EventId) -> &EventTexts {
        &self.event_texts[usize::from(event.0)]
    }

    /// Returns the texts of a step of this workflow.
    pub(super) fn step(&self, step: StepId) -> &StepTexts {
        &self.step_texts[usize::from(step.0)]
    }

    /// Returns the name of a step of this workflow.
    pub(super) fn step_name(&self, step: StepId) -> &str {
        &self.graph.step(step).name
    }
}

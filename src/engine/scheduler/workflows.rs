//! The workflows whose runs the scheduler has: those that the program serves, and others that the store knows.

use std::{collections::HashMap, sync::Arc};

use crate::{engine::keys::WorkflowId, graph::Graph};

/// Graphs, by the ids of their workflows.
#[derive(Debug)]
pub(super) struct Workflows {
    graphs: Vec<Arc<Graph>>,
    /// The number of those that the program serves; they come first.
    served: usize,
    by_name: HashMap<Box<str>, WorkflowId>,
}

impl Workflows {
    pub(super) fn new(graphs: Vec<Arc<Graph>>, served: usize) -> Self {
        let named = |(index, graph): (usize, &Arc<Graph>)| (graph.name.clone(), WorkflowId(index as u16));
        let by_name = graphs.iter().take(served).enumerate().map(named).collect();
        Self { graphs, served, by_name }
    }

    /// Returns how many there are, those included that are not served.
    pub(super) fn count(&self) -> usize {
        self.graphs.len()
    }

    /// Returns the graph of a workflow.
    ///
    /// # Panics
    /// If there is no such workflow.
    pub(super) fn graph(&self, workflow: WorkflowId) -> &Arc<Graph> {
        &self.graphs[usize::from(workflow.0)]
    }

    /// Returns the served workflow with this name.
    pub(super) fn find(&self, name: &str) -> Option<WorkflowId> {
        self.by_name.get(name).copied()
    }

    /// Returns the served workflows.
    pub(super) fn served(&self) -> impl Iterator<Item = WorkflowId> + use<> {
        (0..self.served).map(|index| WorkflowId(index as u16))
    }

    /// Returns whether this program serves the workflow. A run of one that it does not serve may only end: it takes no
    /// input but its end, is not admitted, starts no pass and arms no timer until a program serves it again.
    pub(super) fn is_served(&self, workflow: WorkflowId) -> bool {
        usize::from(workflow.0) < self.served
    }

    /// Returns the served workflow with the same name; `None` if this program no longer has it.
    pub(super) fn current(&self, workflow: WorkflowId) -> Option<WorkflowId> {
        if self.is_served(workflow) { Some(workflow) } else { self.find(&self.graph(workflow).name) }
    }
}

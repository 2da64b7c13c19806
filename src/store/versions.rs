//! The graphs that a store has seen, and their workflows in the server.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{engine::keys::WorkflowId, graph::Graph};

/// Graphs by their number in the backend, and by their workflow id in the server. Fixed when the store is opened.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// The registered ones first, then earlier versions and those that are no longer registered.
    graphs: Vec<Arc<Graph>>,
    /// The number of each in the backend.
    numbers: Vec<i64>,
    /// The workflow by number. Never iterated, as its order is random.
    workflows: HashMap<i64, WorkflowId>,
}

impl Versions {
    /// Adds a graph; the registered ones come first, in their order.
    pub(super) fn push(&mut self, number: i64, graph: Arc<Graph>) -> Result<(), Unknown> {
        let index = u16::try_from(self.graphs.len());
        let index = index.map_err(|_| Unknown("it has more versions of workflows than are possible".into()))?;
        self.graphs.push(graph);
        self.numbers.push(number);
        self.workflows.insert(number, WorkflowId(index));
        Ok(())
    }

    pub(super) fn graphs(&self) -> &[Arc<Graph>] {
        &self.graphs
    }

    /// Returns the number of a workflow in the backend.
    pub(super) fn number(&self, workflow: WorkflowId) -> Result<i64, Unknown> {
        let number = self.numbers.get(usize::from(workflow.0)).copied();
        number.ok_or_else(|| Unknown(format!("a batch names workflow {}, which nobody has", workflow.0)))
    }

    /// Returns the workflow and graph with a number in the backend.
    pub(super) fn workflow(&self, number: i64) -> Result<(WorkflowId, &Arc<Graph>), Unknown> {
        let known = self.workflows.get(&number);
        let known = known.and_then(|&id| Some((id, self.graphs.get(usize::from(id.0))?)));
        known.ok_or_else(|| Unknown(format!("a row names version {number} of a workflow, which is not there")))
    }
}

/// There is no such version or workflow; the text says which.
#[derive(Debug)]
pub(super) struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

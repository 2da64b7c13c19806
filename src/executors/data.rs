//! Steps that are data and need no program for what they do: pauses, events made from fields, questions before a
//! program starts, and the events that replace failed runs. The loop does them at once.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use super::{Executor, ExecutorReport};
use crate::{
    command::{Begun, Command, begin},
    engine::scheduler::{Capacity, StartPass},
    graph::Graph,
    limits::DATA_PASSES_MAX,
    pass::{self, Order},
    workflow::{Runs, Workflow},
};

/// The steps of a workflow that are data.
#[derive(Clone)]
pub struct Commands {
    pub(super) graph: Arc<Graph>,
    /// By step; none for a function.
    pub(super) steps: Vec<Option<Arc<Command>>>,
}

/// Does them.
pub struct Data {
    /// By workflow.
    commands: Arc<[Commands]>,
    reports: VecDeque<ExecutorReport>,
}

impl Commands {
    /// Returns those of a workflow.
    pub fn of(workflow: &Workflow) -> Self {
        let command = |runs: &Runs| match runs {
            Runs::Command(command) => Some(Arc::clone(command)),
            Runs::Body(_) => None,
        };
        Self { graph: Arc::clone(workflow.graph()), steps: workflow.all_runs().map(command).collect() }
    }

    /// Begins a pass. Returns `None` for a step that is a function.
    pub(super) fn begin(&self, pass: StartPass) -> Option<Begun> {
        let command = self.steps.get(usize::from(pass.step.0))?.as_ref()?;
        Some(begin(command, &self.graph, pass.step, pass.input))
    }
}

impl Data {
    /// Creates the executor for these workflows.
    pub fn new(commands: Arc<[Commands]>) -> Self {
        Self { commands, reports: VecDeque::new() }
    }
}

impl Executor for Data {
    fn capacity(&self) -> Capacity {
        let free = DATA_PASSES_MAX.saturating_sub(self.reports.len());
        Capacity { at_once: free, queued: free }
    }

    fn start(&mut self, pass: StartPass) {
        let tag = pass.tag;
        let report = match self.commands[usize::from(pass.workflow.0)].begin(pass) {
            Some(Begun::Done(done)) => pass::Report::Done(done),
            // A program is not started here: its pass runs again, on the lane of its stage.
            Some(Begun::Launch(_)) | None => pass::Report::Lost,
        };
        self.reports.push_back(ExecutorReport::Of(tag, report));
    }

    /// Every pass has ended before an order can come.
    fn order(&mut self, _: u64, _: Order) {}

    fn wake(&mut self, _: u64) {}

    fn poll_report(&mut self, _: bool) -> Option<ExecutorReport> {
        self.reports.pop_front()
    }

    fn overload(&self) -> Option<String> {
        None
    }

    fn handle_time(&mut self, _: u64) {}

    fn poll_timeout(&self, _: u64) -> Option<Duration> {
        (!self.reports.is_empty()).then_some(Duration::ZERO)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Data").field("reports", &self.reports.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Commands").field("workflow", &self.graph.name).finish_non_exhaustive()
    }
}

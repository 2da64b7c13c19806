//! Builds a validated workflow from steps.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    Body, Ctx, Event, EventEntry, Result, Runs, Step, StepInput, StepOutput, Workflow,
    running::{StepNames, TypeTable},
};
use crate::graph::{EventKind, EventType, Faults, Graph, Parts};

/// A workflow being built: add its steps, then [build](WorkflowBuilder::build) it.
#[must_use = "a workflow is made by `.build()`"]
pub struct WorkflowBuilder {
    name: String,
    module: Option<String>,
    timeout: Option<Duration>,
    max_runs: Option<usize>,
    start: EventEntry,
    stop: EventEntry,
    steps: Vec<Step>,
}

impl WorkflowBuilder {
    pub(super) fn new<S: Event, T: Event>(name: String) -> Self {
        let (start, stop) = (EventEntry::of::<S>(), EventEntry::of::<T>());
        Self { name, module: None, timeout: None, max_runs: None, start, stop, steps: Vec::new() }
    }

    /// Adds a step with default settings that neither sends nor asks. Add others with [`WorkflowBuilder::add`].
    ///
    /// A function whose context grants more, such as `&Ctx<Asks<Approve>>`, does not fit here: the compiler reports a
    /// type mismatch in function arguments (E0631). Add it as a [`Step`]:
    ///
    /// ```
    /// use steprill::{Asks, Ctx, Result, StartEvent, Step, StopEvent, Workflow, event};
    ///
    /// event! {
    ///     pub struct Approve: Asks<Verdict> { pub subject: String }
    ///     pub struct Verdict { pub good: bool }
    /// }
    ///
    /// fn review(ctx: &Ctx<Asks<Approve>>, start: StartEvent) -> Result<StopEvent> {
    ///     let verdict = ctx.ask(Approve { subject: start.get_or("subject", String::new())? }).wait()?;
    ///     Ok(StopEvent::new(verdict.good))
    /// }
    ///
    /// Workflow::new::<StartEvent, StopEvent>("review").add(Step::new("review", review)).build().unwrap();
    /// ```
    pub fn step<I, O, F>(self, name: impl Into<String>, function: F) -> Self
    where
        I: StepInput,
        O: StepOutput,
        // The compiler shows the next line if the function has another context.
        F: Fn(&Ctx, I) -> Result<O> + Send + Sync + 'static, // if it sends or asks: `.add(Step::new(name, function))`
    {
        self.add(Step::new(name, function))
    }

    /// Adds a step.
    #[allow(clippy::should_implement_trait)] // Nobody takes it for a sum.
    pub fn add(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sets the module in the qualified names of its events. Defaults to the workflow's name.
    pub fn module(mut self, module: impl Into<String>) -> Self {
        self.module = Some(module.into());
        self
    }

    /// Sets how long a run may take, not counting downtime of the server, before it fails. Unlimited by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how many of its runs may run at a time; further ones wait. Unlimited by default.
    pub fn max_runs(mut self, max_runs: usize) -> Self {
        self.max_runs = Some(max_runs);
        self
    }

    /// Checks the graph and returns the workflow.
    ///
    /// # Errors
    /// All faults of the graph at once.
    pub fn build(self) -> std::result::Result<Workflow, Faults> {
        let entries: Vec<EventEntry> =
            [&self.start, &self.stop].into_iter().chain(self.steps.iter().flat_map(Step::entries)).cloned().collect();
        let module = self.module.as_deref().unwrap_or(&self.name);
        let events = describe(&entries, module);
        let faults: Vec<_> = self.steps.iter().filter_map(Step::fault).collect();
        let built = Graph::build(Parts {
            events,
            steps: self.steps.iter().map(Step::parts).collect(),
            start: self.start.name.to_string(),
            stop: self.stop.name.to_string(),
            timeout: self.timeout,
            max_runs: self.max_runs,
            module: self.module.clone(),
            name: self.name.clone(),
        });
        let graph = match built {
            Ok(graph) if faults.is_empty() => graph,
            Ok(_) => return Err(Faults(faults)),
            Err(others) => return Err(Faults(others.0.into_iter().chain(faults).collect())),
        };
        let bodies = bodies(&graph, &entries, self.steps);
        Ok(Workflow::from_parts(graph, bodies.into_iter().map(Runs::Body).collect()))
    }
}

/// Returns each type once. Answers to questions that a step returns come from outside, though no step waits for them.
fn describe(entries: &[EventEntry], module: &str) -> Vec<EventType> {
    let answers: BTreeSet<_> = entries.iter().filter_map(|entry| (entry.answer)()).map(|entry| entry.type_id).collect();
    let mut seen = BTreeSet::new();
    let once = entries.iter().filter(|entry| seen.insert(entry.type_id));
    once.map(|entry| {
        let mut event = entry.describe(module);
        if answers.contains(&entry.type_id) && event.kind == EventKind::Plain {
            event.kind = EventKind::HumanResponse;
        }
        event
    })
    .collect()
}

/// Returns the bodies in the order of the graph's steps, which is by name.
fn bodies(graph: &Graph, entries: &[EventEntry], mut steps: Vec<Step>) -> Vec<Body> {
    let ids = entries.iter().filter_map(|entry| Some((entry.type_id, graph.event_id(&entry.name)?)));
    let names = graph.events.iter().map(|event| event.name.clone()).collect();
    let table = Arc::new(TypeTable::new(ids, names, &graph.module, Some(graph.stop)));
    steps.sort_by(|one, other| one.name.cmp(&other.name));
    let bodies = steps.into_iter().map(|step| {
        let takes = step.takes.iter().filter_map(|entry| graph.event_id(&entry.name)).collect();
        let names = StepNames { name: step.name.as_str().into(), takes, table: Arc::clone(&table) };
        step.into_body(names)
    });
    bodies.collect()
}

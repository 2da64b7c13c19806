//! A workflow as data: its event types and steps by interned index. Built from Rust types by [`crate::workflow`],
//! later from files; knows neither.

mod check;
mod fault;
mod flow;
mod retry;
mod scopes;
mod shape;
mod stored;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use check::{Parts, StepParts};
pub use fault::{Fault, Faults};
pub use retry::Retry;
pub use shape::{PathStep, Shape};
pub use stored::StoredGraphError;
pub(crate) use stored::what_to_do;

/// An event type of a graph: its place in [`Graph::events`], which are in order of name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EventId(pub u16);

/// A step of a graph: its place in [`Graph::steps`], which are in order of name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct StepId(pub u16);

/// What an event is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EventKind {
    /// Passes between steps, or is streamed.
    Plain,
    /// Starts a run.
    Start,
    /// Ends a run with its result.
    Stop,
    /// Asks somebody outside; shows in the feed.
    InputRequired,
    /// Comes from outside as an answer.
    HumanResponse,
}

/// One event type.
#[derive(Clone)]
pub struct EventType {
    /// The wire name: `ApprovalStart`.
    pub name: Box<str>,
    /// Module and name: `conformance.ApprovalStart`, `workflows.events.StopEvent`.
    pub qualified_name: Box<str>,
    /// What it is for.
    pub kind: EventKind,
    /// Whether it is one of the built-in `StartEvent` and `StopEvent`, whose base kind is not named in `types`
    /// and whose result is its `result` member.
    pub builtin: bool,
    /// Whether its program opens it to the outside: clients may send it though it is no answer.
    pub external: bool,
    /// Its JSON Schema, as `GET /workflows/{name}/events` shows it.
    pub schema: serde_json::Value,
    /// What its values look like: checked where they come from outside.
    pub shape: Shape,
}

/// One step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StepType {
    /// Its name in the workflow.
    pub name: Box<str>,
    /// The types it takes one of; for a fan-in those of its elements.
    pub takes: Box<[EventId]>,
    /// Whether it takes a `Vec` of its types, when a scope closes.
    pub fan_in: bool,
    /// The types it returns, in order of declaration.
    pub returns: Box<[EventId]>,
    /// Whether it returns a `Vec`.
    pub fan_out: bool,
    /// The type that a work of it gives when its last attempt has failed; without it the run fails.
    pub on_failure: Option<EventId>,
    /// The types it sends.
    pub sends: Box<[EventId]>,
    /// The questions it asks, each with the type that answers it.
    pub asks: Box<[(EventId, EventId)]>,
    /// The answers that may wait for its next question, each with how many of them.
    pub inboxes: Box<[(EventId, u32)]>,
    /// The types it declares to stream.
    pub streams: Box<[EventId]>,
    /// Passes at a time in one run; at least 1.
    pub workers: u16,
    /// What happens after a failure.
    pub retry: Retry,
    /// How long one pass may run.
    pub timeout: Option<Duration>,
    /// The fan-in steps that close the scopes which this step opens; empty if it opens none.
    pub closers: Box<[StepId]>,
}

impl StepType {
    /// All types that it returns, sends, or gives on its failure.
    pub fn outputs(&self) -> impl Iterator<Item = EventId> {
        self.returns.iter().chain(&self.on_failure).chain(&self.sends).copied()
    }
}

/// A validated graph.
pub struct Graph {
    /// The workflow's name, as it was registered.
    pub name: Box<str>,
    /// The module of its own events: the workflow's name unless said otherwise.
    pub module: Box<str>,
    /// All event types that steps take, return, send, ask, wait for or declare to stream, in order of name.
    pub events: Box<[EventType]>,
    /// All steps, in order of name.
    pub steps: Box<[StepType]>,
    /// The event that starts a run.
    pub start: EventId,
    /// The event that ends one.
    pub stop: EventId,
    /// The time-out of a run.
    pub timeout: Option<Duration>,
    /// Runs at a time; further ones wait.
    pub max_runs: Option<usize>,
    /// Per event type, the steps that take it singly.
    pub takers: Box<[Box<[StepId]>]>,
    /// Per event type, the fan-in steps that take a `Vec` of it.
    pub joiners: Box<[Box<[StepId]>]>,
    /// Per event type, whether clients may send it: a human response, or a type that is opened to the outside, if a
    /// step takes it singly or waits for it.
    pub open: Box<[bool]>,
}

impl Graph {
    /// The event type behind an id of this graph.
    pub fn event(&self, id: EventId) -> &EventType {
        &self.events[usize::from(id.0)]
    }

    /// The step behind an id of this graph.
    pub fn step(&self, id: StepId) -> &StepType {
        &self.steps[usize::from(id.0)]
    }

    /// The event type of that wire name.
    pub fn event_id(&self, name: &str) -> Option<EventId> {
        self.events.binary_search_by(|event| (*event.name).cmp(name)).ok().map(|index| EventId(index as u16))
    }

    /// The step of that name.
    pub fn step_id(&self, name: &str) -> Option<StepId> {
        self.steps.binary_search_by(|step| (*step.name).cmp(name)).ok().map(|index| StepId(index as u16))
    }

    /// Steps that take this type singly, in order of name.
    pub fn takers(&self, id: EventId) -> &[StepId] {
        &self.takers[usize::from(id.0)]
    }

    /// Whether clients may send this type.
    pub fn is_open(&self, id: EventId) -> bool {
        self.open[usize::from(id.0)]
    }

    /// Whether it answers some step's question.
    pub fn is_answer(&self, id: EventId) -> bool {
        self.steps.iter().any(|step| step.asks.iter().any(|(_, answer)| *answer == id))
    }

    /// The types that clients may send, in order of name.
    pub fn open_types(&self) -> impl Iterator<Item = &EventType> {
        self.events.iter().zip(&self.open).filter(|(_, open)| **open).map(|(event, _)| event)
    }

    /// Whether an event from outside can become work although no step runs: a step takes a type that clients may send.
    pub fn goes_on_from_outside(&self) -> bool {
        self.open.iter().zip(&self.takers).any(|(open, takers)| *open && !takers.is_empty())
    }

    /// Fan-in steps that take a `Vec` of this type, in order of name.
    pub fn joiners(&self, id: EventId) -> &[StepId] {
        &self.joiners[usize::from(id.0)]
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EventType").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Graph").field("name", &self.name).field("steps", &self.steps).finish_non_exhaustive()
    }
}

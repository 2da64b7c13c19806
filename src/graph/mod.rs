//! A workflow as data: its event types and steps by interned index. [`crate::workflow`] builds it from Rust types;
//! graphs from files may follow. This module knows neither.

mod check;
mod fault;
mod flow;
mod retry;
mod scopes;
mod shape;
#[cfg(feature = "internals")]
pub mod sketch;
mod stored;
mod words;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use check::{Parts, StepParts};
pub use fault::{EventFault, Fault, Faults, StepFault, Subject, Use};
pub use retry::Retry;
pub use shape::{Mismatch, PathStep, Shape};
pub use stored::StoredGraphError;
pub(crate) use stored::what_to_do;
pub use words::{RUST, Words};

/// An event type of a graph: its index in [`Graph::events`], which are in order of name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EventId(pub u16);

/// A step of a graph: its index in [`Graph::steps`], which are in order of name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct StepId(pub u16);

/// The role of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EventKind {
    /// Passes between steps, or is streamed.
    Plain,
    /// Starts a run.
    Start,
    /// Ends a run with its result.
    Stop,
    /// Asks somebody outside; shown in the feed.
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
    /// Its role.
    pub kind: EventKind,
    /// Whether it is the built-in `StartEvent` or `StopEvent`, whose base kind is not listed in `types` and whose
    /// result is its member `result`.
    pub builtin: bool,
    /// Whether the program opens it to the outside: clients may send it although it is not an answer.
    pub external: bool,
    /// Its JSON Schema, as `GET /workflows/{name}/events` shows it.
    pub schema: serde_json::Value,
    /// The shape of its values, by which those from outside are checked.
    pub shape: Shape,
}

/// One step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StepType {
    /// Its name in the workflow.
    pub name: Box<str>,
    /// The types of which it takes one; for a fan-in, the types of its elements.
    pub takes: Box<[EventId]>,
    /// Whether it takes a `Vec` of its types once a scope closes.
    pub fan_in: bool,
    /// The types it returns, in order of declaration.
    pub returns: Box<[EventId]>,
    /// Whether it returns a `Vec`.
    pub fan_out: bool,
    /// The type that a work of the step emits when its last attempt has failed. Without one, the run fails.
    pub on_failure: Option<EventId>,
    /// The types it sends.
    pub sends: Box<[EventId]>,
    /// The questions it asks, each with its answer's type.
    pub asks: Box<[(EventId, EventId)]>,
    /// The answers that may wait for its next question, each with their maximum number.
    pub inboxes: Box<[(EventId, u32)]>,
    /// The types it declares to stream.
    pub streams: Box<[EventId]>,
    /// The most passes at a time in one run; at least 1.
    pub workers: u16,
    /// When to retry after a failure.
    pub retry: Retry,
    /// How long one pass may run.
    pub timeout: Option<Duration>,
    /// The fan-in steps that close the scopes opened by this step; empty if it opens none.
    pub closers: Box<[StepId]>,
}

impl StepType {
    /// Returns all types that it returns, sends or emits on failure.
    pub fn outputs(&self) -> impl Iterator<Item = EventId> {
        self.returns.iter().chain(&self.on_failure).chain(&self.sends).copied()
    }
}

/// A validated graph.
pub struct Graph {
    /// The workflow's name, as it was registered.
    pub name: Box<str>,
    /// The module of its own events: the workflow's name unless set otherwise.
    pub module: Box<str>,
    /// All event types that steps take, return, send, ask, wait for or declare to stream, in order of name.
    pub events: Box<[EventType]>,
    /// All steps, in order of name.
    pub steps: Box<[StepType]>,
    /// The event that starts a run.
    pub start: EventId,
    /// The event that ends a run.
    pub stop: EventId,
    /// The time-out of a run.
    pub timeout: Option<Duration>,
    /// The most runs at a time; further ones wait.
    pub max_runs: Option<usize>,
    /// By event type, the steps that take it as a single event.
    pub takers: Box<[Box<[StepId]>]>,
    /// By event type, the fan-in steps that take a `Vec` of it.
    pub joiners: Box<[Box<[StepId]>]>,
    /// By event type, whether clients may send it: an answer, or a type opened to the outside, that a step takes as a
    /// single event or waits for.
    pub open: Box<[bool]>,
}

impl Graph {
    /// Returns the event type with this id, which must be one of this graph.
    pub fn event(&self, id: EventId) -> &EventType {
        &self.events[usize::from(id.0)]
    }

    /// Returns the step with this id, which must be one of this graph.
    pub fn step(&self, id: StepId) -> &StepType {
        &self.steps[usize::from(id.0)]
    }

    /// Returns the event type with this wire name.
    pub fn event_id(&self, name: &str) -> Option<EventId> {
        self.events.binary_search_by(|event| (*event.name).cmp(name)).ok().map(|index| EventId(index as u16))
    }

    /// Returns the step with this name.
    pub fn step_id(&self, name: &str) -> Option<StepId> {
        self.steps.binary_search_by(|step| (*step.name).cmp(name)).ok().map(|index| StepId(index as u16))
    }

    /// Returns the steps that take this type as a single event, in order of name.
    pub fn takers(&self, id: EventId) -> &[StepId] {
        &self.takers[usize::from(id.0)]
    }

    /// Returns whether clients may send this type.
    pub fn is_open(&self, id: EventId) -> bool {
        self.open[usize::from(id.0)]
    }

    /// Returns whether this type answers some step's question.
    pub fn is_answer(&self, id: EventId) -> bool {
        self.steps.iter().any(|step| step.asks.iter().any(|(_, answer)| *answer == id))
    }

    /// Returns the types that clients may send, in order of name.
    pub fn open_types(&self) -> impl Iterator<Item = &EventType> {
        self.events.iter().zip(&self.open).filter(|(_, open)| **open).map(|(event, _)| event)
    }

    /// Returns whether an event from outside can become work while no step runs: a step takes a type that clients may
    /// send.
    pub fn can_continue_from_outside(&self) -> bool {
        self.open.iter().zip(&self.takers).any(|(open, takers)| *open && !takers.is_empty())
    }

    /// Returns the fan-in steps that take a `Vec` of this type, in order of name.
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

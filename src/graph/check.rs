//! From parts to a validated [`Graph`]: every fault of the graph at once, in words a newcomer can act on.

use std::{fmt, time::Duration};

use super::{EventId, EventType, Graph, Retry, StepType};

/// What a workflow is made of, by name, before it is checked.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The workflow's name.
    pub name: String,
    /// The module of its own events.
    pub module: Option<String>,
    /// The event types, in any order; one type may stand there many times.
    pub events: Vec<EventType>,
    /// The steps, in order of declaration.
    pub steps: Vec<StepParts>,
    /// The start event's name.
    pub start: String,
    /// The stop event's name.
    pub stop: String,
    /// The time-out of a run.
    pub timeout: Option<Duration>,
    /// Runs at a time.
    pub max_runs: Option<usize>,
}

/// One step, its types by name.
#[derive(Clone, Debug, Default)]
pub struct StepParts {
    /// The step's name.
    pub name: String,
    /// Types it takes.
    pub takes: Vec<String>,
    /// Whether it takes a `Vec`.
    pub fan_in: bool,
    /// Types it returns.
    pub returns: Vec<String>,
    /// Whether it returns a `Vec`.
    pub fan_out: bool,
    /// Types it sends.
    pub sends: Vec<String>,
    /// Questions it asks, and their answers.
    pub asks: Vec<(String, String)>,
    /// Types it declares to stream.
    pub streams: Vec<String>,
    /// Passes at a time.
    pub workers: u16,
    /// Retry policy.
    pub retry: Retry,
    /// Time-out of a pass.
    pub timeout: Option<Duration>,
}

/// One thing that is wrong with a graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault(pub String);

/// Everything that is wrong with a graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults(pub Vec<Fault>);

impl Graph {
    /// Checks the parts and interns them.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn build(_parts: Parts) -> Result<Self, Faults> {
        let _: fn(Vec<StepType>, EventId) = |_, _| {};
        todo!()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(formatter, "- {}", fault.0)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

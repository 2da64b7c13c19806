//! The stored form of a graph, which is needed to read what refers to its ids: a byte for the version, then [`Stored`]
//! in the [postcard](https://postcard.jamesmunns.com/wire-format) format.
//!
//! It contains all that a run and its feed need of a graph, but no schemas and checks. What follows from the rest
//! (takers, joiners, what may come from outside) is computed again; closers are stored, because runs were reduced with
//! them. Equal graphs have equal bytes.
//!
//! Only version 2 is read: version 1 was used before the first release. Any change of [`Stored`] or of a type in it
//! requires a new version; a later program must read the earlier ones, each through types of its own.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    EventId, EventKind, EventType, Graph, Shape, StepId, StepType,
    check::{open, takers},
};
use crate::limits::{GRAPH_NAMES_MAX, INBOX_ANSWERS_MAX};

/// Why bytes could not be read as a graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoredGraphError {
    /// They are damaged; the text says how.
    Malformed(String),
    /// They have this version, which this program does not read.
    Version(u8),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    name: Box<str>,
    module: Box<str>,
    events: Vec<StoredEvent>,
    steps: Box<[StepType]>,
    start: EventId,
    stop: EventId,
    timeout: Option<Duration>,
    max_runs: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent {
    name: Box<str>,
    qualified_name: Box<str>,
    kind: EventKind,
    builtin: bool,
    external: bool,
}

impl Graph {
    /// Encodes the graph without schemas and checks.
    ///
    /// # Panics
    /// Never: the contents of a graph serialize.
    pub fn to_stored(&self) -> Vec<u8> {
        let event = |event: &EventType| StoredEvent {
            name: event.name.clone(),
            qualified_name: event.qualified_name.clone(),
            kind: event.kind,
            builtin: event.builtin,
            external: event.external,
        };
        let stored = Stored {
            name: self.name.clone(),
            module: self.module.clone(),
            events: self.events.iter().map(event).collect(),
            steps: self.steps.clone(),
            start: self.start,
            stop: self.stop,
            timeout: self.timeout,
            max_runs: self.max_runs.map(|runs| runs as u64),
        };
        postcard::to_extend(&stored, vec![VERSION]).expect("plain data serialises")
    }

    /// Decodes a graph. Its schemas are null, and its checks accept everything. All ids in it are valid, whatever the
    /// bytes were.
    ///
    /// # Errors
    /// If the bytes are not those of a graph.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, StoredGraphError> {
        let (&version, bytes) = bytes.split_first().ok_or_else(|| malformed("there are none"))?;
        if version != VERSION {
            return Err(StoredGraphError::Version(version));
        }
        let (stored, rest) = postcard::take_from_bytes::<Stored>(bytes).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(malformed("something stands behind it"));
        }
        stored.check().map_err(malformed)?;
        Ok(stored.into_graph())
    }
}

impl Stored {
    fn into_graph(self) -> Graph {
        let event = |event: StoredEvent| EventType {
            name: event.name,
            qualified_name: event.qualified_name,
            kind: event.kind,
            builtin: event.builtin,
            external: event.external,
            schema: serde_json::Value::Null,
            shape: Shape::default(),
        };
        let events: Box<[EventType]> = self.events.into_iter().map(event).collect();
        let takers_of = takers(&self.steps, events.len(), false);
        Graph {
            name: self.name,
            module: self.module,
            joiners: takers(&self.steps, events.len(), true),
            open: open(&events, &self.steps, &takers_of),
            takers: takers_of,
            events,
            steps: self.steps,
            start: self.start,
            stop: self.stop,
            timeout: self.timeout,
            max_runs: self.max_runs.map(|runs| usize::try_from(runs).unwrap_or(usize::MAX)),
        }
    }

    /// Checks that every id is in range and every list searched by name is sorted.
    fn check(&self) -> Result<(), &'static str> {
        let ensure = |holds: bool, fault| if holds { Ok(()) } else { Err(fault) };
        ensure(self.events.len() <= GRAPH_NAMES_MAX && self.steps.len() <= GRAPH_NAMES_MAX, "it is too large")?;
        ensure(self.events.is_sorted_by(|one, other| one.name < other.name), "its event types are not in order")?;
        ensure(self.steps.is_sorted_by(|one, other| one.name < other.name), "its steps are not in order")?;
        let known = |event: &EventId| usize::from(event.0) < self.events.len();
        let known_all = |events: &[EventId]| events.iter().all(known);
        ensure(known(&self.start) && known(&self.stop), "its start or stop event is not among its types")?;
        for step in &self.steps {
            let asks = step.asks.iter().all(|(question, answer)| known(question) && known(answer));
            let events = [&step.takes, &step.returns, &step.sends, &step.streams];
            ensure(
                asks && events.iter().all(|events| known_all(events)) && step.on_failure.iter().all(known),
                "a step names a type that is not there",
            )?;
            let inbox = |(answer, count): &(EventId, u32)| {
                known(answer) && (1..=INBOX_ANSWERS_MAX).contains(&(*count as usize))
            };
            ensure(step.inboxes.iter().all(inbox), "a step has an inbox that cannot be")?;
            ensure(step.workers > 0, "a step has no workers")?;
            let closes = |closer: &StepId| self.steps.get(usize::from(closer.0)).is_some_and(|step| step.fan_in);
            ensure(
                step.closers.is_sorted_by(|one, other| one < other) && step.closers.iter().all(closes),
                "a step's scopes are closed by what cannot close them",
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for StoredGraphError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(fault) => write!(formatter, "the stored graph of a workflow is damaged: {fault}"),
            Self::Version(version) => {
                write!(
                    formatter,
                    "the stored graph of a workflow has version {version}, and this program reads {VERSION}: "
                )?;
                formatter.write_str(what_to_do(*version, VERSION))
            }
        }
    }
}

impl std::error::Error for StoredGraphError {}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn malformed(fault: impl ToString) -> StoredGraphError {
    StoredGraphError::Malformed(fault.to_string())
}

/// Says what to do about bytes of a version that this program does not read.
pub(crate) fn what_to_do(found: u8, known: u8) -> &'static str {
    if found > known {
        "use a newer program"
    } else {
        "an earlier development version made this directory; start with a new one, or go on with that version"
    }
}

/// The version that is written.
const VERSION: u8 = 2;

//! The journal: inputs as bytes, and how they are read under a workflow that has changed since.
//!
//! A record is one JSON text, `[version, wall_us, alive_us, input]`: an [`Input`] as serde writes it, and the [`Now`]
//! that it was reduced with. Event types and steps stand in it as ids of the graph; the [`Names`] behind the ids are
//! kept once beside all records of one graph. A run's snapshot ([`Run::snapshot`](super::run::Run::snapshot)) is
//! `[version, facts]` in the same manner. Values are JSON texts in strings, and are checked when read.
//!
//! Version 1 is the only one so far. A later program reads the earlier versions.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    engine::input::Input,
    graph::{EventId, Graph, StepId},
    now::Now,
    pass::{Done, EventRef, NewWait, Note, PassEnd, Wait, WorkEvent},
};

/// The version that is written.
pub const VERSION: u32 = 1;

/// The names behind the ids of a graph.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Names {
    /// Wire names of event types, by id.
    pub events: Vec<Box<str>>,
    /// Names of steps, by id.
    pub steps: Vec<Box<str>>,
}

/// From the ids of one graph to those of another, by name.
#[derive(Clone, Debug)]
pub struct Translation {
    names: Names,
    events: Vec<Option<EventId>>,
    steps: Vec<Option<StepId>>,
}

/// Why a record or a snapshot cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// It is no record, or names an id that its names do not have: what is wrong with it.
    Malformed(String),
    /// It is of a version that this program does not know: a newer one wrote it.
    Version(u32),
    /// The workflow has changed: it has no event type of this name any more.
    EventGone(Box<str>),
    /// The workflow has changed: it has no step of this name any more.
    StepGone(Box<str>),
}

/// The bytes of a record.
pub fn encode(input: &Input, now: Now) -> Vec<u8> {
    encode_value(&(VERSION, now.wall_us, now.alive_us, input))
}

/// Reads a record under the graph that `translation` leads to.
///
/// # Errors
/// When it cannot be read, or the graph has not all that it speaks of.
pub fn decode(bytes: &[u8], translation: &Translation) -> Result<(Input, Now), RecordError> {
    let (version, wall_us, alive_us, input): (u32, i64, u64, &RawValue) =
        serde_json::from_slice(bytes).map_err(malformed)?;
    check_version(version)?;
    let mut input: Input = serde_json::from_str(input.get()).map_err(malformed)?;
    translation.input(&mut input)?;
    Ok((input, Now { wall_us, alive_us }))
}

/// The bytes of what is known to serialise: numbers, strings, lists and maps with string keys.
pub(super) fn encode_value<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data serialises")
}

pub(super) fn check_version(version: u32) -> Result<(), RecordError> {
    if version == VERSION { Ok(()) } else { Err(RecordError::Version(version)) }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(super) fn malformed(error: serde_json::Error) -> RecordError {
    RecordError::Malformed(error.to_string())
}

impl Names {
    /// The names of a graph.
    pub fn of(graph: &Graph) -> Self {
        let events = graph.events.iter().map(|event| event.name.clone()).collect();
        Self { events, steps: graph.steps.iter().map(|step| step.name.clone()).collect() }
    }

    /// The way from these names to a graph, maybe a later one.
    pub fn translation(self, graph: &Graph) -> Translation {
        let events = self.events.iter().map(|name| graph.event_id(name)).collect();
        let steps = self.steps.iter().map(|name| graph.step_id(name)).collect();
        Translation { names: self, events, steps }
    }
}

impl Translation {
    pub(super) fn event(&self, event: &mut EventId) -> Result<(), RecordError> {
        let index = usize::from(event.0);
        let unknown = || RecordError::Malformed(format!("it names event type {index} of {}", self.events.len()));
        let gone = || RecordError::EventGone(self.names.events[index].clone());
        *event = self.events.get(index).ok_or_else(unknown)?.ok_or_else(gone)?;
        Ok(())
    }

    pub(super) fn step(&self, step: &mut StepId) -> Result<(), RecordError> {
        let index = usize::from(step.0);
        let unknown = || RecordError::Malformed(format!("it names step {index} of {}", self.steps.len()));
        let gone = || RecordError::StepGone(self.names.steps[index].clone());
        *step = self.steps.get(index).ok_or_else(unknown)?.ok_or_else(gone)?;
        Ok(())
    }

    pub(super) fn wait(&self, wait: &mut Wait) -> Result<(), RecordError> {
        match wait {
            Wait::Slept => Ok(()),
            Wait::Asked { question, .. } | Wait::Forgotten { question } => self.event(question),
        }
    }

    pub(super) fn work_event(&self, event: &mut WorkEvent) -> Result<(), RecordError> {
        match event {
            WorkEvent::One(event, _) => self.event(event),
            WorkEvent::All(_) => Ok(()),
        }
    }

    fn input(&self, input: &mut Input) -> Result<(), RecordError> {
        match input {
            Input::External { event, step, .. } => {
                self.event(event)?;
                step.as_mut().map_or(Ok(()), |step| self.step(step))
            }
            Input::Noted { notes, .. } => notes.iter_mut().try_for_each(|note| match note {
                Note::Stream { event: EventRef::Known(event), .. } => self.event(event),
                Note::Stream { event: EventRef::Other(_), .. } | Note::Once { .. } => Ok(()),
            }),
            Input::Done { done, .. } => self.done(done),
            Input::Started { .. } | Input::Admitted | Input::Due { .. } | Input::Cancel | Input::Fail(_) => Ok(()),
        }
    }

    fn done(&self, done: &mut Done) -> Result<(), RecordError> {
        done.sent.iter_mut().try_for_each(|(event, _)| self.event(event))?;
        match &mut done.end {
            PassEnd::Returned(events) => events.iter_mut().try_for_each(|(event, _)| self.event(event)),
            PassEnd::Waits { wait: NewWait::Ask { question, answer, .. }, .. } => {
                self.event(question)?;
                self.event(answer)
            }
            PassEnd::Waits { wait: NewWait::Sleep(_), .. }
            | PassEnd::Failed { .. }
            | PassEnd::Panicked(_)
            | PassEnd::TimedOut
            | PassEnd::Diverged(_) => Ok(()),
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(formatter, "the record is damaged: {error}"),
            Self::Version(version) => {
                write!(formatter, "the record has version {version}, and this program knows {VERSION}: use a newer one")
            }
            Self::EventGone(name) => write!(
                formatter,
                "the run needs event type `{name}`, which the workflow no longer has: bring it back, or cancel the run"
            ),
            Self::StepGone(name) => write!(
                formatter,
                "the run needs step `{name}`, which the workflow no longer has: bring it back, or cancel the run"
            ),
        }
    }
}

impl std::error::Error for RecordError {}

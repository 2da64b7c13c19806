//! The journal: inputs as bytes, and a run's snapshot under a workflow that has changed since.
//!
//! # Layout
//!
//! | bytes | record | snapshot |
//! |---|---|---|
//! | 1 | version | version |
//! | rest, [postcard] | input, microseconds of the wall clock, of the alive clock | all that the run is |
//!
//! In postcard a number is as many bytes as it needs, a list is its length and its elements, one of several variants
//! is its place among them and its fields; nothing is named. So the layout is that of the types as they stand:
//! [`Input`] and all in it, and the facts of a run; behind these what it has deferred, if anything. Values are JSON
//! texts, checked anew when read. Of a stream write stand its type, if the graph has it, and the bytes that it took of
//! the feed: the event itself is in the feed, and nothing is kept twice. A large state that a run begins with is kept
//! apart, too: [`KeptJournal::state`]. The record of the start is without it, and a snapshot has the keys that have
//! changed since.
//!
//! Ids of event types and steps are those of the graph under which the input was reduced, and a record is always read
//! under that graph. A run goes on under another one by way of its snapshot: [`Run::restore`](super::run::Run::restore)
//! finds steps and types by their [`Names`].
//!
//! # Versions
//!
//! Version 3 is written. Version 2, in whose records the clocks stand before the input, is read as well. Version 1 was
//! that of programs before the first release. A new variant behind the last one of its type keeps the version: what was
//! written before is read as before, and an earlier program refuses what it does not know. Any other change to these
//! types is a new version. A later program reads the earlier ones: it keeps their types beside its own, decodes by the
//! version, and converts.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format
//! [`KeptJournal::state`]: super::kept::KeptJournal::state

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    engine::input::{External, Input, PassId},
    graph::{EventId, Graph, StepId, what_to_do},
    now::Now,
    pass::{Done, Emitted, EventRef, NewWait, Note, PassEnd, StateUse, Wait, WorkEvent},
};

/// The version that is written.
pub const VERSION: u8 = 3;

/// The earliest version that is read.
const VERSION_MIN: u8 = 2;

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
    /// It is of a version that this program does not read.
    Version(u8),
    /// The workflow has changed: it has no event type of this name any more.
    EventGone(Box<str>),
    /// The workflow has changed: it has no step of this name any more.
    StepGone(Box<str>),
}

/// The bytes of a record. Stream writes are recorded as [`Note::Kept`].
///
/// # Panics
/// Never: what an input holds serialises.
pub fn encode(input: &Input, now: Now) -> Vec<u8> {
    encode_value(&(input, now.wall_us, now.alive_us), RECORD_BYTES)
}

/// The end of a pass that gave out a great deal, with its record as far as it can be made beside the loop.
#[derive(Debug)]
pub struct LargeDone {
    emitted: Arc<Emitted>,
    state: StateUse,
    record: Vec<u8>,
}

impl LargeDone {
    /// Makes the record of what a pass gave out and did with the state.
    ///
    /// # Panics
    /// Never: what a pass gives out serialises.
    pub fn new(emitted: Emitted, state: StateUse) -> Self {
        let bytes: usize = emitted.iter().map(|(_, value)| value.as_str().len() + EVENT_BYTES).sum();
        let record = encode_value(&(LARGE_DONE, &emitted, &state), bytes + RECORD_BYTES);
        Self { emitted: Arc::new(emitted), state, record }
    }

    /// The input of this pass's end, and its whole record.
    pub fn complete(self, pass: PassId, now: Now) -> (Input, Vec<u8>) {
        let Self { emitted, state, mut record } = self;
        append_value(&mut record, &(pass, now.wall_us, now.alive_us));
        (Input::LargeDone { emitted, state, pass }, record)
    }

    /// The input of this pass's end.
    pub(super) fn into_input(self, pass: PassId) -> Input {
        Input::LargeDone { emitted: self.emitted, state: self.state, pass }
    }
}

/// Reads a record under the graph that its input was reduced under.
///
/// # Errors
/// When it is none, or speaks of what the graph does not have.
pub fn decode(bytes: &[u8], graph: &Graph) -> Result<(Input, Now), RecordError> {
    let (input, wall_us, alive_us) = if bytes.first() == Some(&VERSION_MIN) {
        let (wall_us, alive_us, input) = decode_value(bytes)?;
        (input, wall_us, alive_us)
    } else {
        decode_value(bytes)?
    };
    Bounds { events: graph.events.len(), steps: graph.steps.len() }.input(&input)?;
    Ok((input, Now { wall_us, alive_us }))
}

/// The version and the bytes of what is known to serialise, with room for so many from the start.
pub(super) fn encode_value<T: Serialize>(value: &T, room_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room_bytes);
    bytes.push(VERSION);
    postcard::to_extend(value, bytes).expect("plain data serialises")
}

/// The same behind bytes that are there.
pub(super) fn append_value<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    *bytes = postcard::to_extend(value, std::mem::take(bytes)).expect("plain data serialises");
}

/// Reads what [`encode_value`] gave: all of it.
pub(super) fn decode_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    whole(decode_first(bytes)?)
}

/// Reads what [`encode_value`] gave; and what stands behind it.
pub(super) fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), RecordError> {
    let (version, bytes) = bytes.split_first().ok_or_else(|| malformed("it is empty"))?;
    let version = version & !JOINED;
    if !(VERSION_MIN..=VERSION).contains(&version) {
        return Err(RecordError::Version(version));
    }
    take(bytes)
}

/// A snapshot with the records after it, as one snapshot.
pub(super) fn join(mut snapshot: Vec<u8>, records: &[Vec<u8>]) -> Vec<u8> {
    if let (false, Some(version)) = (records.is_empty(), snapshot.first_mut()) {
        *version |= JOINED;
        let end = snapshot.len() as u64;
        for record in records {
            snapshot.extend((record.len() as u64).to_le_bytes());
            snapshot.extend_from_slice(record);
        }
        snapshot.extend(end.to_le_bytes());
    }
    snapshot
}

/// A snapshot as the store has it: what [`Run::restore`](super::run::Run::restore) reads, and the records that are to
/// be reduced then.
///
/// # Errors
/// When it is damaged.
pub fn split(snapshot: &[u8]) -> Result<(&[u8], Vec<&[u8]>), RecordError> {
    if snapshot.first().is_none_or(|version| version & JOINED == 0) {
        return Ok((snapshot, Vec::new()));
    }
    let fault = || malformed("the records behind it are cut");
    let (rest, end) = snapshot.split_last_chunk().ok_or_else(fault)?;
    let end = usize::try_from(u64::from_le_bytes(*end)).map_err(|_| fault())?;
    let (snapshot, mut rest) = rest.split_at_checked(end).ok_or_else(fault)?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (bytes, behind) = rest.split_first_chunk().ok_or_else(fault)?;
        let bytes = usize::try_from(u64::from_le_bytes(*bytes)).map_err(|_| fault())?;
        let (record, behind) = behind.split_at_checked(bytes).ok_or_else(fault)?;
        records.push(record);
        rest = behind;
    }
    Ok((snapshot, records))
}

/// Reads what [`append_value`] gave: all of it.
pub(super) fn decode_rest<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    whole(take(bytes)?)
}

/// Reads a value, and gives what stands behind it.
pub(super) fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), RecordError> {
    postcard::take_from_bytes(bytes).map_err(|error| malformed(&error.to_string()))
}

/// A value behind which nothing may stand.
fn whole<T>((value, behind): (T, &[u8])) -> Result<T, RecordError> {
    if behind.is_empty() { Ok(value) } else { Err(malformed("something stands behind it")) }
}

pub(super) fn malformed(fault: &str) -> RecordError {
    RecordError::Malformed(fault.to_owned())
}

/// How many ids there are.
struct Bounds {
    events: usize,
    steps: usize,
}

impl Bounds {
    fn input(&self, input: &Input) -> Result<(), RecordError> {
        match input {
            Input::External(External { event, step, .. }) => {
                self.event(*event)?;
                step.map_or(Ok(()), |step| self.step(step))
            }
            Input::Noted { notes, .. } => notes.iter().try_for_each(|note| match note {
                Note::Stream { event: EventRef::Known(event), .. } | Note::Kept { event: Some(event), .. } => {
                    self.event(*event)
                }
                Note::Stream { .. } | Note::Kept { .. } | Note::Once { .. } => Ok(()),
            }),
            Input::Done { done, .. } => self.done(done),
            Input::LargeDone { emitted, .. } => emitted.iter().try_for_each(|(event, _)| self.event(*event)),
            Input::Started { .. }
            | Input::StartedFrom { .. }
            | Input::Admitted
            | Input::Due { .. }
            | Input::Cancel
            | Input::GoOn
            | Input::PassLost { .. }
            | Input::Fail(_) => Ok(()),
        }
    }

    fn done(&self, done: &Done) -> Result<(), RecordError> {
        done.sent.iter().try_for_each(|(event, _)| self.event(*event))?;
        match &done.end {
            PassEnd::Returned(events) => events.iter().try_for_each(|(event, _)| self.event(*event)),
            PassEnd::Waits { wait: NewWait::Ask { question, answer, .. }, .. } => {
                self.event(*question)?;
                self.event(*answer)
            }
            PassEnd::Waits { wait: NewWait::Sleep(_), .. }
            | PassEnd::Failed { .. }
            | PassEnd::Panicked(_)
            | PassEnd::TimedOut
            | PassEnd::Diverged(_) => Ok(()),
        }
    }

    fn event(&self, event: EventId) -> Result<(), RecordError> {
        let (index, count) = (usize::from(event.0), self.events);
        if index < count { Ok(()) } else { Err(malformed(&format!("it names event type {index} of {count}"))) }
    }

    fn step(&self, step: StepId) -> Result<(), RecordError> {
        let (index, count) = (usize::from(step.0), self.steps);
        if index < count { Ok(()) } else { Err(malformed(&format!("it names step {index} of {count}"))) }
    }
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
            // Its `Arc` was just read, so nobody shares it.
            WorkEvent::All(events) => match Arc::get_mut(events) {
                Some(events) => events.iter_mut().try_for_each(|(event, _)| self.event(event)),
                None => Err(malformed("it shares its events")),
            },
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(formatter, "the record is damaged: {error}"),
            Self::Version(version) => {
                write!(formatter, "the record has version {version}, and this program reads {VERSION}: ")?;
                formatter.write_str(what_to_do(*version, VERSION))
            }
            Self::EventGone(name) => write!(
                formatter,
                "the run needs event type `{name}`, which the workflow no longer has: keep it until no run needs it"
            ),
            Self::StepGone(name) => write!(
                formatter,
                "the run needs step `{name}`, which the workflow no longer has: keep it until no run needs it"
            ),
        }
    }
}

impl std::error::Error for RecordError {}

/// Set in the version of a snapshot behind which records stand: each after its length, and at last the length of what
/// is before them.
const JOINED: u8 = 0x80;

/// What the records of small events take.
const RECORD_BYTES: usize = 64;

/// What the type and the length of an event take, at most.
const EVENT_BYTES: usize = 7;

/// The place of [`Input::LargeDone`] among the variants.
const LARGE_DONE: u32 = 9;

//! The journal: encoded inputs, and snapshots of a run, also under a workflow that has changed.
//!
//! # Layout
//!
//! | bytes | record | snapshot |
//! |---|---|---|
//! | 1 | version | version |
//! | rest, [postcard] | input, microseconds of the wall clock, of the alive clock | the whole run |
//!
//! In postcard a number has as many bytes as it needs, a list is its length and its elements, and an enum is the index
//! of its variant and its fields; nothing is named. So the layout is that of the types in the code: [`Input`] and
//! everything in it, and the facts of a run, followed by what it has deferred, if anything. Values are JSON texts,
//! which are checked again when decoded. A stream write is recorded as its type, if the graph has it, and the bytes
//! that it took in the feed: the event itself is in the feed, so that nothing is stored twice. A large state that a run
//! begins with is stored separately, too: [`StoredJournal::state`]. The record of the start does not contain it, and a
//! snapshot contains only the keys that have changed since.
//!
//! Ids of event types and steps are those of the graph under which the input was reduced, and a record is always
//! decoded under that graph. A run continues under another one through its snapshot:
//! [`Run::restore`](super::run::Run::restore) finds steps and types by their [`Names`].
//!
//! # Versions
//!
//! Version 3 is written. Version 2, whose records have the clocks before the input, is read as well. Version 1 was used
//! before the first release. Appending a variant to a type keeps the version: earlier records are decoded as before,
//! and an earlier program refuses what it does not know. Any other change to these types requires a new version. A
//! later program reads the earlier ones: it has their types beside its own, decodes by the version, and converts.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format
//! [`StoredJournal::state`]: super::stored::StoredJournal::state

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

/// A translation from the ids of one graph to those of another, by name.
#[derive(Clone, Debug)]
pub struct Translation {
    names: Names,
    events: Vec<Option<EventId>>,
    steps: Vec<Option<StepId>>,
}

/// Why a record or a snapshot cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// It is not a record, or contains an id that its graph does not have; the text says what is wrong.
    Malformed(String),
    /// It has a version that this program does not read.
    Version(u8),
    /// The workflow has changed: it no longer has an event type with this name.
    EventGone(Box<str>),
    /// The workflow has changed: it no longer has a step with this name.
    StepGone(Box<str>),
}

/// Encodes a record. Stream writes are recorded as [`Note::Recorded`].
///
/// # Panics
/// Never: the contents of an input serialize.
pub fn encode(input: &Input, now: Now) -> Vec<u8> {
    encode_value(&(input, now.wall_us, now.alive_us), RECORD_BYTES)
}

/// The end of a pass that emitted very many events, with the part of its record that can be made outside the loop.
#[derive(Debug)]
pub struct LargeDone {
    emitted: Arc<Emitted>,
    state: StateUse,
    record: Vec<u8>,
}

impl LargeDone {
    /// Makes the record of what a pass emitted and did with the state.
    ///
    /// # Panics
    /// Never: what a pass emits serializes.
    pub fn new(emitted: Emitted, state: StateUse) -> Self {
        let bytes: usize = emitted.iter().map(|(_, value)| value.as_str().len() + EVENT_BYTES).sum();
        let record = encode_value(&(LARGE_DONE, &emitted, &state), bytes + RECORD_BYTES);
        Self { emitted: Arc::new(emitted), state, record }
    }

    /// Returns the input of this pass's end, and its complete record.
    pub fn complete(self, pass: PassId, now: Now) -> (Input, Vec<u8>) {
        let Self { emitted, state, mut record } = self;
        append_value(&mut record, &(pass, now.wall_us, now.alive_us));
        (Input::LargeDone { emitted, state, pass }, record)
    }

    /// Returns the input of this pass's end.
    pub(super) fn into_input(self, pass: PassId) -> Input {
        Input::LargeDone { emitted: self.emitted, state: self.state, pass }
    }
}

/// Decodes a record under the graph under which its input was reduced.
///
/// # Errors
/// If it is not a record, or refers to something that the graph does not have.
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

/// Encodes the version and a value that is known to serialize. Reserves `room_bytes` in advance.
pub(super) fn encode_value<T: Serialize>(value: &T, room_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room_bytes);
    bytes.push(VERSION);
    postcard::to_extend(value, bytes).expect("plain data serialises")
}

/// Appends an encoded value without a version.
pub(super) fn append_value<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    *bytes = postcard::to_extend(value, std::mem::take(bytes)).expect("plain data serialises");
}

/// Decodes all of what [`encode_value`] returned.
pub(super) fn decode_value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    whole(decode_first(bytes)?)
}

/// Decodes what [`encode_value`] returned, and returns the bytes after it.
pub(super) fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), RecordError> {
    let (version, bytes) = bytes.split_first().ok_or_else(|| malformed("it is empty"))?;
    let version = version & !JOINED;
    if !(VERSION_MIN..=VERSION).contains(&version) {
        return Err(RecordError::Version(version));
    }
    take(bytes)
}

/// Joins a snapshot and the records after it to one snapshot.
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

/// Splits a snapshot as stored into what [`Run::restore`](super::run::Run::restore) reads and the records that are to
/// be reduced then.
///
/// # Errors
/// If it is damaged.
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

/// Decodes all of what [`append_value`] appended.
pub(super) fn decode_rest<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    whole(take(bytes)?)
}

/// Decodes a value, and returns the bytes after it.
pub(super) fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), RecordError> {
    postcard::take_from_bytes(bytes).map_err(|error| malformed(&error.to_string()))
}

/// Returns a value after which there must be no bytes.
fn whole<T>((value, behind): (T, &[u8])) -> Result<T, RecordError> {
    if behind.is_empty() { Ok(value) } else { Err(malformed("something stands behind it")) }
}

pub(super) fn malformed(fault: &str) -> RecordError {
    RecordError::Malformed(fault.to_owned())
}

/// The numbers of ids.
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
                Note::Stream { event: EventRef::Known(event), .. } | Note::Recorded { event: Some(event), .. } => {
                    self.event(*event)
                }
                Note::Stream { .. } | Note::Recorded { .. } | Note::Once { .. } => Ok(()),
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
    /// Returns the names of a graph.
    pub fn of(graph: &Graph) -> Self {
        let events = graph.events.iter().map(|event| event.name.clone()).collect();
        Self { events, steps: graph.steps.iter().map(|step| step.name.clone()).collect() }
    }

    /// Returns the translation from these names to a graph, perhaps a later one.
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
            // Its `Arc` was just decoded, so nobody shares it.
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

/// Set in the version of a snapshot that is followed by records: each after its length, and finally the length of what
/// precedes them.
const JOINED: u8 = 0x80;

/// The approximate size of the records of small events.
const RECORD_BYTES: usize = 64;

/// The most that the type and the length of an event take.
const EVENT_BYTES: usize = 7;

/// The index of [`Input::LargeDone`] among the variants.
const LARGE_DONE: u32 = 9;

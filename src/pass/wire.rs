//! Passes, orders and reports as bytes, for an executor that shares no memory with the loop.
//!
//! # Layout
//!
//! | bytes | start | order | report |
//! |---|---|---|---|
//! | 1 | version | version | version |
//! | 16 | fingerprint of the graph | the same | the same |
//! | rest, [postcard] | [`Start`] | tag, [`Order`] | tag, [`Report`] |
//!
//! The fingerprint is a hash of [`Graph::to_stored`]. Ids of event types and steps mean something under that graph
//! alone, so a receiver with another graph refuses the bytes. [`fingerprint`] shows which graph they need.
//!
//! Decoding any bytes is harmless: what comes out names only ids of the graph, and is within the bounds of a work.
//! Values are JSON texts, which are checked when they are read. The version changes with any change of these types.
//!
//! [postcard]: https://postcard.jamesmunns.com/wire-format

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Done, EventRef, NewWait, Note, Order, PassEnd, PassInput, Report, Wait, WorkEvent};
use crate::{
    graph::{EventId, Graph, StepId},
    hash::hash128,
    limits::{PASS_WIRE_BYTES_MAX, WORK_NOTES_MAX, WORK_STREAMS_MAX, WORK_WAITS_MAX},
};

/// The version that is written and read.
pub const VERSION: u8 = 1;

/// A pass that starts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Identifies the pass in orders and reports.
    pub tag: u64,
    /// The step whose body it runs.
    pub step: StepId,
    /// Bytes that it may stream before it asks for more.
    pub grant_bytes: usize,
    /// The input of the body.
    pub input: PassInput,
}

/// Encodes and decodes messages about passes of one graph.
#[derive(Clone, Debug)]
pub struct Wire {
    graph: Arc<Graph>,
    fingerprint: u128,
}

/// Why something is not sent, or a message is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WireError {
    /// The bytes are damaged.
    Malformed(Damage),
    /// The bytes have this version: run the same version of the program at both ends.
    Version(u8),
    /// The bytes are for a graph with this fingerprint: register the same workflow at both ends.
    OtherGraph(u128),
    /// It is longer than [`PASS_WIRE_BYTES_MAX`].
    TooLong(usize),
}

/// How the bytes of a message are damaged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// There are none.
    Empty,
    /// They end within the fingerprint.
    Cut,
    /// They go on behind the message.
    Trailing,
    /// They do not decode.
    Undecodable(postcard::Error),
    /// An event type is not in the graph.
    NoEvent {
        /// Its index.
        index: usize,
        /// How many the graph has.
        count: usize,
    },
    /// A step is not in the graph.
    NoStep {
        /// Its index.
        index: usize,
        /// How many the graph has.
        count: usize,
    },
    /// A work remembers more than any may, or has no attempt.
    Memory,
    /// A note has a form that only a journal has.
    JournalNote,
    /// A pass has timed out, which only the scheduler decides.
    TimedOut,
}

/// Returns the fingerprint of the graph that the bytes need.
///
/// # Errors
/// If they are not of this version, or too short.
pub fn fingerprint(bytes: &[u8]) -> Result<u128, WireError> {
    header(bytes).map(|(fingerprint, _)| fingerprint)
}

impl Wire {
    /// Creates the codec for passes of this graph.
    pub fn new(graph: Arc<Graph>) -> Self {
        let fingerprint = hash128(&[&graph.to_stored()]);
        Self { graph, fingerprint }
    }

    /// Returns the fingerprint of its graph.
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// Encodes a pass that starts.
    ///
    /// # Errors
    /// If it is too long.
    pub fn encode_start(&self, start: &Start) -> Result<Vec<u8>, WireError> {
        self.encode(start)
    }

    /// Encodes an order.
    ///
    /// # Errors
    /// If it is too long.
    pub fn encode_order(&self, tag: u64, order: Order) -> Result<Vec<u8>, WireError> {
        self.encode(&(tag, order))
    }

    /// Encodes a report.
    ///
    /// # Errors
    /// If it is too long.
    pub fn encode_report(&self, tag: u64, report: &Report) -> Result<Vec<u8>, WireError> {
        self.encode(&(tag, report))
    }

    /// Decodes a pass that starts.
    ///
    /// # Errors
    /// If the bytes are not one of this graph.
    pub fn decode_start(&self, bytes: &[u8]) -> Result<Start, WireError> {
        let start: Start = self.decode(bytes)?;
        self.check_start(&start)?;
        Ok(start)
    }

    /// Decodes an order, and the tag of its pass.
    ///
    /// # Errors
    /// If the bytes are not one of this graph.
    pub fn decode_order(&self, bytes: &[u8]) -> Result<(u64, Order), WireError> {
        self.decode(bytes)
    }

    /// Decodes a report, and the tag of its pass.
    ///
    /// # Errors
    /// If the bytes are not one of this graph.
    pub fn decode_report(&self, bytes: &[u8]) -> Result<(u64, Report), WireError> {
        let (tag, report) = self.decode(bytes)?;
        match &report {
            Report::Noted(notes) => notes.iter().try_for_each(|note| self.check_note(note))?,
            Report::Done(done) => self.check_done(done)?,
            Report::NotBegun
            | Report::FeedWanted(_)
            | Report::FeedGivenBack(_)
            | Report::Panicked(_)
            | Report::Lost => {}
        }
        Ok((tag, report))
    }

    fn encode<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, WireError> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.fingerprint.to_le_bytes());
        let bytes = postcard::to_extend(value, bytes).expect("plain data serialises");
        if bytes.len() <= PASS_WIRE_BYTES_MAX { Ok(bytes) } else { Err(WireError::TooLong(bytes.len())) }
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, WireError> {
        let (fingerprint, rest) = header(bytes)?;
        if fingerprint != self.fingerprint {
            return Err(WireError::OtherGraph(fingerprint));
        }
        match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            Ok(_) => Err(WireError::Malformed(Damage::Trailing)),
            Err(error) => Err(WireError::Malformed(Damage::Undecodable(error))),
        }
    }

    fn check_start(&self, Start { step, input, .. }: &Start) -> Result<(), WireError> {
        let (index, count) = (usize::from(step.0), self.graph.steps.len());
        if index >= count {
            return Err(WireError::Malformed(Damage::NoStep { index, count }));
        }
        match &input.event {
            WorkEvent::One(event, _) => self.check_event(*event)?,
            WorkEvent::All(events) => self.check_events(events)?,
        }
        input.waits.iter().try_for_each(|wait| match wait {
            Wait::Slept => Ok(()),
            Wait::Asked { question, .. } | Wait::Forgotten { question } => self.check_event(*question),
        })?;
        let PassInput { waits, once, published, attempt, .. } = input;
        let is_within =
            waits.len() <= WORK_WAITS_MAX && once.len() <= WORK_NOTES_MAX && published.len() <= WORK_STREAMS_MAX;
        if is_within && *attempt > 0 { Ok(()) } else { Err(WireError::Malformed(Damage::Memory)) }
    }

    fn check_note(&self, note: &Note) -> Result<(), WireError> {
        match note {
            Note::Stream { event: EventRef::Known(event), .. } => self.check_event(*event),
            Note::Stream { event: EventRef::Other(_), .. } | Note::Once { .. } => Ok(()),
            Note::Recorded { .. } => Err(WireError::Malformed(Damage::JournalNote)),
        }
    }

    fn check_done(&self, Done { end, sent, .. }: &Done) -> Result<(), WireError> {
        self.check_events(sent)?;
        match end {
            PassEnd::Returned(events) => self.check_events(events),
            PassEnd::Waits { wait: NewWait::Ask { question, answer, .. }, .. } => {
                self.check_event(*question)?;
                self.check_event(*answer)
            }
            PassEnd::TimedOut => Err(WireError::Malformed(Damage::TimedOut)),
            PassEnd::Waits { wait: NewWait::Sleep(_), .. }
            | PassEnd::Failed { .. }
            | PassEnd::Panicked(_)
            | PassEnd::Diverged(_) => Ok(()),
        }
    }

    fn check_events<V>(&self, events: &[(EventId, V)]) -> Result<(), WireError> {
        events.iter().try_for_each(|(event, _)| self.check_event(*event))
    }

    fn check_event(&self, event: EventId) -> Result<(), WireError> {
        let (index, count) = (usize::from(event.0), self.graph.events.len());
        if index < count { Ok(()) } else { Err(WireError::Malformed(Damage::NoEvent { index, count })) }
    }
}

fn header(bytes: &[u8]) -> Result<(u128, &[u8]), WireError> {
    if bytes.len() > PASS_WIRE_BYTES_MAX {
        return Err(WireError::TooLong(bytes.len()));
    }
    let (version, rest) = bytes.split_first().ok_or(WireError::Malformed(Damage::Empty))?;
    if *version != VERSION {
        return Err(WireError::Version(*version));
    }
    let (fingerprint, rest) = rest.split_first_chunk().ok_or(WireError::Malformed(Damage::Cut))?;
    Ok((u128::from_le_bytes(*fingerprint), rest))
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("it is empty"),
            Self::Cut => formatter.write_str("it is cut"),
            Self::Trailing => formatter.write_str("something stands behind it"),
            Self::Undecodable(error) => write!(formatter, "{error}"),
            Self::NoEvent { index, count } => write!(formatter, "it names event type {index} of {count}"),
            Self::NoStep { index, count } => write!(formatter, "it names step {index} of {count}"),
            Self::Memory => formatter.write_str("its work remembers what none can"),
            Self::JournalNote => formatter.write_str("it notes what only a journal has"),
            Self::TimedOut => formatter.write_str("it ends as only the scheduler may say"),
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(damage) => write!(formatter, "what came of a pass is damaged: {damage}"),
            Self::Version(version) => write!(
                formatter,
                "what came of a pass has version {version}, and this program reads {VERSION}: run the same program at \
                 both ends"
            ),
            Self::OtherGraph(_) => formatter.write_str(
                "what came of a pass is of a workflow that this program does not have: run the same program at both \
                 ends",
            ),
            Self::TooLong(bytes) => write!(
                formatter,
                "a pass takes {bytes} bytes on its way to its executor, and may take {PASS_WIRE_BYTES_MAX}: keep less \
                 in the state, or split the work"
            ),
        }
    }
}

impl std::error::Error for WireError {}

//! What passes between a run and the body of a step: the pass's input, its notes while it runs, and what it did. Plain
//! values: [`crate::engine`] makes decisions with them, [`crate::workflow`] runs bodies with them.

mod list;
mod report;
pub mod wire;
mod write;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::{
    graph::{EventId, EventKind},
    hash::hash128,
    json::Json,
    limits::FEED_BYTES_MAX,
    values::Values,
};

pub use list::SharedList;
pub use report::{FeedOrder, Order, Report, Stop};
pub use write::{WriteError, WriteFault};

/// A run's state as one pass sees it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// The number of changes of the state, which identifies this snapshot.
    pub version: u64,
    /// The values.
    pub values: Values,
}

/// The input of one pass of a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PassInput {
    /// The run's id.
    pub run_id: uuid::Uuid,
    /// The handler's id.
    pub handler_id: Arc<str>,
    /// The number of the work in its run, from 0.
    pub work: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The event, or what a scope collected.
    pub event: WorkEvent,
    /// The state.
    pub state: Snapshot,
    /// What this work asked or slept for, by call ordinal.
    pub waits: SharedList<Wait>,
    /// Values of `once`, by call ordinal.
    pub once: SharedList<OnceValue>,
    /// Hashes of the stream writes of this attempt, by ordinal.
    pub published: SharedList<u128>,
    /// The error of the last attempt, if this pass makes the `on_failure` event.
    pub failure: Option<Arc<str>>,
}

impl PassInput {
    /// Returns an id of the work among all works of all runs.
    pub fn work_id(&self) -> String {
        format!("{}-{}", self.run_id, self.work)
    }
}

/// The event or events of a work.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum WorkEvent {
    /// One event of this type.
    One(EventId, Json),
    /// The events of a fan-in, in order, each with its type.
    All(Arc<Vec<(EventId, Json)>>),
}

/// One wait of a work, remembered across passes and attempts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Wait {
    /// A sleep that is over.
    Slept,
    /// A question and its answer; `None` if it timed out in this attempt.
    Asked {
        /// The question's type.
        question: EventId,
        /// The answer's value.
        answer: Option<Json>,
    },
    /// A question that timed out in an earlier attempt, and is asked again.
    Forgotten {
        /// The question's type.
        question: EventId,
    },
}

/// A noted `once` value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OnceValue {
    /// What the closure returned.
    pub value: Json,
    /// The number of stream writes at its end, including those inside the closure.
    pub stream_ordinal: u32,
}

/// What a running pass reports to the loop at once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Note {
    /// A stream write.
    Stream {
        /// Its ordinal among the stream writes of the attempt, from 0.
        ordinal: u32,
        /// Hash of type name and value.
        hash: u128,
        /// Its type.
        event: EventRef,
        /// Its value.
        value: Json,
    },
    /// A `once` closure has run.
    Once {
        /// Its ordinal among the `once` calls of the work, from 0.
        ordinal: u32,
        /// What it returned.
        value: OnceValue,
    },
    /// A stream write in a journal: its event is in the feed. Passes do not emit this.
    Recorded {
        /// See [`Note::Stream`].
        ordinal: u32,
        /// See [`Note::Stream`].
        hash: u128,
        /// Its type, if the graph has it.
        event: Option<EventId>,
        /// What its event takes in the feed.
        bytes: u32,
    },
}

impl Note {
    /// Bytes of its grant that it uses up: at least what its event takes of the feed.
    pub fn feed_bytes(&self) -> usize {
        match self {
            Self::Stream { event, value, .. } => value.as_str().len() + event.name_bytes() + NOTE_OVERHEAD_BYTES,
            Self::Once { .. } | Self::Recorded { .. } => 0,
        }
    }

    /// Bytes that it counts for while it waits to be taken.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Once { value, .. } => value.value.as_str().len() + NOTE_OVERHEAD_BYTES,
            Self::Stream { .. } | Self::Recorded { .. } => self.feed_bytes(),
        }
    }
}

/// Returns the hash of a stream write, from its type's name and its value's text.
pub fn stream_hash(name: &str, value: &str) -> u128 {
    hash128(&[name.as_bytes(), value.as_bytes()])
}

/// Returns the error of a pass that streams more than the feed of its run may hold.
pub fn feed_full() -> String {
    format!(
        "the feed of this run is full: it holds at most {FEED_BYTES_MAX} bytes of events; stream fewer or smaller ones"
    )
}

/// What an event takes in the feed beyond its text and names.
pub const NOTE_OVERHEAD_BYTES: usize = 16;

/// A type of the graph, or one that is only streamed and not declared.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum EventRef {
    /// A type of the graph.
    Known(EventId),
    /// A type that no step declares.
    Other(Arc<OtherEvent>),
}

/// An event type that no step declares.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OtherEvent {
    /// Its wire name.
    pub name: Box<str>,
    /// Its module and name.
    pub qualified_name: Box<str>,
    /// Its kind.
    pub kind: EventKind,
}

/// Everything that one pass did, as one atomic record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// How it ended.
    pub end: PassEnd,
    /// The events that it sent, in order. Dropped if it waits or fails.
    pub sent: Vec<(EventId, Json)>,
    /// What it did with the state.
    pub state: StateUse,
}

/// The events that a pass emitted when it returned.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Emitted {
    /// The events that it sent, in order.
    pub sent: Vec<(EventId, Json)>,
    /// The events that it returned, in order, after those that it sent.
    pub returned: Vec<(EventId, Json)>,
}

impl Emitted {
    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.sent.len() + self.returned.len()
    }

    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over all events, in order.
    pub fn iter(&self) -> impl Iterator<Item = &(EventId, Json)> {
        self.sent.iter().chain(&self.returned)
    }
}

impl Done {
    /// A pass that sent nothing and did not use the state.
    pub fn of(end: PassEnd) -> Self {
        Self { end, sent: Vec::new(), state: StateUse::default() }
    }

    /// Sets the version of the snapshot that the pass saw.
    #[must_use]
    pub fn with_version(mut self, version: u64) -> Self {
        self.state.version = version;
        self
    }

    /// Returns the bytes of its events and of its writes to the state.
    pub fn bytes(&self) -> usize {
        let returned = if let PassEnd::Returned(events) = &self.end { &events[..] } else { &[] };
        let events = returned.iter().chain(&self.sent).map(|(_, value)| value.as_str().len());
        let writes = self.state.writes.iter().map(|(key, write)| key.len() + write.bytes());
        events.chain(writes).sum()
    }
}

impl Write {
    /// Returns the bytes of its value.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Set(value) | Self::Add(value) | Self::Push(value) | Self::Extend(value) => value.as_str().len(),
            Self::Remove => 0,
        }
    }
}

/// How a pass ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum PassEnd {
    /// It returned these events.
    Returned(Vec<(EventId, Json)>),
    /// It waits; its body runs again when the wait is over.
    Waits {
        /// The wait's ordinal among the waits of the work, from 0.
        ordinal: u32,
        /// What it waits for.
        wait: NewWait,
    },
    /// It failed.
    Failed {
        /// The error's text.
        error: String,
        /// Whether a retry is worthwhile: false if `retry_if` says so, or the program is at fault.
        retry: bool,
    },
    /// It panicked with this message.
    Panicked(String),
    /// It exceeded its step's time-out; reported by the scheduler, not by the pass.
    TimedOut,
    /// Its waits differ from those that it made before: the run fails, naming both.
    Diverged(String),
}

/// A wait that a pass asks for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum NewWait {
    /// `ctx.sleep`.
    Sleep(Duration),
    /// `ctx.ask`.
    Ask {
        /// The question's type.
        question: EventId,
        /// The type that answers it.
        answer: EventId,
        /// The question's value, shown in the feed.
        value: Json,
        /// Only an answer whose member equals this value.
        matching: Vec<(String, Json)>,
        /// How long it waits, on the alive clock.
        timeout: Option<Duration>,
    },
}

/// What a pass did with the run's state.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StateUse {
    /// The version of the snapshot that it saw.
    pub version: u64,
    /// The keys that it read from the snapshot, including absent ones; sorted, each once.
    pub reads: Vec<Arc<str>>,
    /// Whether it listed the keys.
    pub listed: bool,
    /// Its writes, in order.
    pub writes: Vec<(Arc<str>, Write)>,
}

/// One write to the state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Write {
    /// Sets the key.
    Set(Json),
    /// Removes the key.
    Remove,
    /// Adds to a number; an absent key counts as 0.
    Add(Json),
    /// Appends to an array; an absent key counts as `[]`.
    Push(Json),
    /// Appends the elements of this array to an array; an absent key counts as `[]`.
    Extend(Json),
}

impl EventRef {
    /// Returns the type, if the graph has it.
    pub fn known(&self) -> Option<EventId> {
        match self {
            Self::Known(event) => Some(*event),
            Self::Other(_) => None,
        }
    }

    fn name_bytes(&self) -> usize {
        match self {
            Self::Known(_) => 0,
            Self::Other(other) => other.name.len() + other.qualified_name.len(),
        }
    }
}

impl Write {
    /// Returns a single write with the effect of this one followed by the next, if there is one.
    #[must_use]
    pub fn then(&self, next: &Self) -> Option<Self> {
        match (self, next) {
            (_, Self::Set(_) | Self::Remove) => Some(next.clone()),
            (Self::Add(one), Self::Add(other)) => {
                let (one, other) = (one.decode::<Number>().ok()?.as_i128()?, other.decode::<Number>().ok()?.as_i128()?);
                Json::from_value(&Number::from_i128(one + other)?).ok().map(Self::Add)
            }
            _ => None,
        }
    }
}

//! What passes between a run and the body of a step: the pass's input, its notes while it runs, what it did.
//! Plain values; [`crate::engine`] decides with them, [`crate::workflow`] runs bodies on them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    graph::{EventId, EventKind},
    json::Json,
};

/// A run's state as one pass sees it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Counts the changes of the state; names this snapshot.
    pub version: u64,
    /// The values.
    pub values: Arc<BTreeMap<Arc<str>, Json>>,
}

/// What a pass of a step is given.
#[derive(Clone, Debug)]
pub struct PassInput {
    /// The run's id.
    pub run_id: uuid::Uuid,
    /// The handler's id.
    pub handler_id: Arc<str>,
    /// The work, counted in its run from 0.
    pub work: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The event, or what a scope collected.
    pub event: WorkEvent,
    /// The state.
    pub state: Snapshot,
    /// What this work asked or slept for, by call ordinal.
    pub waits: Arc<Vec<Wait>>,
    /// Values of `once`, by call ordinal.
    pub once: Arc<Vec<OnceValue>>,
    /// Hashes of the stream writes of this attempt, by ordinal.
    pub published: Arc<Vec<u128>>,
}

/// What a work is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum WorkEvent {
    /// One event of this type.
    One(EventId, Json),
    /// The values of a fan-in, in order.
    All(Arc<[Json]>),
}

/// One wait of a work, remembered over passes and attempts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Wait {
    /// A sleep that is over.
    Slept,
    /// A question and the answer that came; `None`: it timed out, in this attempt.
    Asked {
        /// The question's type.
        question: EventId,
        /// The answer's value.
        answer: Option<Json>,
    },
}

/// A noted `once` value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OnceValue {
    /// What the closure gave.
    pub value: Json,
    /// Stream writes counted at its end, those inside the closure included.
    pub stream_ordinal: u32,
}

/// What a running pass tells the loop at once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Note {
    /// A stream write.
    Stream {
        /// Its place among the stream writes of the attempt, from 0.
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
        /// Its place among the `once` calls of the work, from 0.
        ordinal: u32,
        /// What it gave.
        value: OnceValue,
    },
}

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

/// All that one pass did: one atomic record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// How it ended.
    pub end: PassEnd,
    /// Events it sent, in order. Dropped when it waits or fails.
    pub sent: Vec<(EventId, Json)>,
    /// What it did with the state.
    pub state: StateUse,
}

/// How a pass ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum PassEnd {
    /// It returned these events.
    Returned(Vec<(EventId, Json)>),
    /// It waits; its body runs again when that is over.
    Waits {
        /// The wait's place among the waits of the work, from 0.
        ordinal: u32,
        /// For what.
        wait: NewWait,
    },
    /// It failed.
    Failed {
        /// The error's text.
        error: String,
        /// Whether another attempt is worth it: false if `only_if` says so, or the fault is the program's.
        retry: bool,
    },
    /// It panicked with this message.
    Panicked(String),
    /// It ran past its step's time-out; said by the scheduler, not by the pass.
    TimedOut,
    /// Its waits differ from those it made before: fails the run, naming both.
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
        /// Only an answer whose member has exactly this value.
        matching: Vec<(String, Json)>,
        /// How long it waits, on the alive clock.
        timeout: Option<Duration>,
    },
}

/// What a pass did with the run's state.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StateUse {
    /// Version of the snapshot it saw.
    pub version: u64,
    /// Keys it read from the snapshot, absent ones too; sorted, each once.
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
}

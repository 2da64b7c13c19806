//! The inputs and effects of a run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    cost,
    engine::published::Published,
    graph::{EventId, StepId},
    json::{Json, Members},
    now::Deadline,
    pass::{Done, Emitted, Note, StateUse},
    values::Values,
};

/// One execution of a body: the `pass`-th (from 0) of this work. Pass numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PassId {
    /// The number of the work in its run, from 0.
    pub work: u64,
    /// The number of earlier executions.
    pub pass: u32,
}

/// A timer of a run. Its id is never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TimerId(pub u64);

/// An input of a run: a record of its journal. The stored form depends on the order of variants and fields, here and in
/// all types that it contains: see [`record`](super::record).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Input {
    /// The run begins. The first input, and only once.
    Started {
        /// The start event's value.
        event: Json,
        /// The state that it begins with.
        state: Values,
        /// Whether it may start passes at once; otherwise it waits for [`Input::Admitted`].
        admitted: bool,
        /// The handler's next feed number.
        sequence: u64,
    },
    /// The run is admitted under `max_runs`: passes start now, and the run's time-out begins.
    Admitted,
    /// An event posted from outside, which [`Run::check_external`](super::run::Run::check_external) has accepted.
    External(External),
    /// What a running pass wrote or remembered, in order.
    Noted {
        /// The pass.
        pass: PassId,
        /// Its notes.
        #[serde(with = "super::notes")]
        notes: Vec<Note>,
    },
    /// A pass has ended. All events that it emitted become works at once.
    Done {
        /// The pass.
        pass: PassId,
        /// What it did.
        done: Done,
    },
    /// A timer is due.
    Due {
        /// The timer.
        timer: TimerId,
    },
    /// The run is cancelled from outside.
    Cancel,
    /// The run cannot continue for an external reason: it fails with this text.
    Fail(String),
    /// The run begins, as with [`Input::Started`], with a state that the store has separately from the journal.
    StartedFrom {
        /// The start event's value.
        event: Json,
        /// The state that it begins with. The record does not contain it.
        #[serde(skip)]
        state: Values,
        /// See [`Input::Started`].
        admitted: bool,
        /// See [`Input::Started`].
        sequence: u64,
    },
    /// A pass has returned and emitted very many events. They become works in parts, with the [`Input::GoOn`]s that
    /// follow.
    LargeDone {
        /// The events that it emitted.
        emitted: Arc<Emitted>,
        /// What it did with the state.
        state: StateUse,
        /// The pass. It comes last in the record, as it is not known where the rest of that is made.
        pass: PassId,
    },
    /// The run continues with the next part of what it has deferred: see [`Effect::GoOn`].
    GoOn,
    /// A pass was lost with the executor that ran it. Its body runs again, with the same work and attempt number, as
    /// after a restart of the server.
    PassLost {
        /// The pass.
        pass: PassId,
    },
}

/// An event posted from outside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct External {
    /// Its type.
    pub event: EventId,
    /// Its value.
    pub value: Json,
    /// The step it is for.
    pub step: Option<StepId>,
    /// The feed number of the question that it answers.
    pub in_reply_to: Option<u64>,
    /// The members of its value, which questions examine. Reading those of a large value takes long, so it is done
    /// before the event gets here.
    #[serde(skip)]
    pub members: Members,
}

impl External {
    /// Creates an event for any step that replies to no question in particular.
    pub fn new(event: EventId, value: Json) -> Self {
        Self { event, value, step: None, in_reply_to: None, members: Members::default() }
    }
}

/// An effect that a run wants carried out.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Start this pass, once an executor takes it.
    StartPass(PassId),
    /// Append this to the feed.
    Publish(Published),
    /// Pass [`Input::Due`] to the run when the deadline is reached.
    Arm(TimerId, Deadline),
    /// Forget the timer.
    Disarm(TimerId),
    /// Pass [`Input::GoOn`] to the run soon: it has deferred what would take too long at once.
    GoOn,
    /// The run has ended: forget its timers, and stop its passes that still run. Always the last effect of a run.
    Finish(Outcome),
}

/// The one outcome of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// A step returned the stop event; this is its value.
    Completed(Json),
    /// It failed with this error.
    Failed(String),
    /// It was cancelled from outside.
    Cancelled,
}

impl Outcome {
    /// Returns the memory that its value or text takes.
    pub fn cost_bytes(&self) -> usize {
        match self {
            Self::Completed(value) => cost::text(value.as_str().len()),
            Self::Failed(error) => cost::block(error.len()),
            Self::Cancelled => 0,
        }
    }
}

/// Why an event from outside is refused; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The run has ended: 409.
    Ended,
    /// Its type may not come from outside: 400.
    NotOpen,
    /// No open question waits for it, its type was asked for before, and no inbox stores it: 409.
    NoQuestion,
    /// The question that it replies to is not open, or expects another answer of its type: 409.
    NotThatQuestion,
    /// The question that it replies to is answered by another type: 400.
    AnswersOther,
    /// There are too many early answers: 409.
    EarlyAnswersFull,
    /// The inboxes for its type are full: 409.
    InboxFull,
    /// The run has too many works, or too many bytes of events: 503 with `Retry-After`.
    WorksFull,
    /// Its works remember too many bytes of answers: 503 with `Retry-After`.
    AnswersFull,
    /// This program does not have the run's workflow: 503.
    NotServed,
    /// The named step neither takes nor awaits that type, or is a fan-in: 400.
    StepDoesNotAccept,
}

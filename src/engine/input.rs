//! What goes into a run and what comes out of it.

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

/// One execution of a body: the `pass`-th (from 0) of this work. A pass number is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PassId {
    /// The work, counted in its run from 0.
    pub work: u64,
    /// Executions before this one.
    pub pass: u32,
}

/// A timer of a run. A timer's id is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TimerId(pub u64);

/// An input of a run: a record of its journal. What it looks like there hangs on the order of variants and fields, here
/// and in all that it holds: see [`record`](super::record).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Input {
    /// The run begins. First and once.
    Started {
        /// The start event's value.
        event: Json,
        /// The state that it begins with.
        state: Values,
        /// Whether it may start passes at once; else it waits for [`Input::Admitted`].
        admitted: bool,
        /// The handler's next feed number.
        sequence: u64,
    },
    /// A place under `max_runs` is free: passes start now, and the run's time-out begins.
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
    /// A pass has ended. All that it gave out becomes work at once.
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
    /// Somebody outside ends the run.
    Cancel,
    /// The run cannot go on, for a reason that lies outside of it: it fails with this text.
    Fail(String),
    /// The run begins, as with [`Input::Started`], with a state that the store keeps apart from the journal.
    StartedFrom {
        /// The start event's value.
        event: Json,
        /// The state that it begins with. Its record is without it.
        #[serde(skip)]
        state: Values,
        /// As in [`Input::Started`].
        admitted: bool,
        /// As in [`Input::Started`].
        sequence: u64,
    },
    /// A pass has returned and has given out a great deal. Its events become work part by part, with the
    /// [`Input::GoOn`]s that follow.
    LargeDone {
        /// What it gave out.
        emitted: Arc<Emitted>,
        /// What it did with the state.
        state: StateUse,
        /// The pass. It stands last in the record: where the rest of that is made it is not known.
        pass: PassId,
    },
    /// The run takes up the next part of what it has put off: see [`Effect::GoOn`].
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
    /// Its value's members, which questions look at. To read those of a large value takes long: it is done before the
    /// event comes here.
    #[serde(skip)]
    pub members: Members,
}

impl External {
    /// For any step, and in reply to no question in particular.
    pub fn new(event: EventId, value: Json) -> Self {
        Self { event, value, step: None, in_reply_to: None, members: Members::default() }
    }
}

/// What a run wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Hand this pass to a worker, when one is free.
    StartPass(PassId),
    /// Append to the feed.
    Publish(Published),
    /// Give [`Input::Due`] when the deadline is reached.
    Arm(TimerId, Deadline),
    /// Forget the timer.
    Disarm(TimerId),
    /// Give [`Input::GoOn`] soon: some of what an input led to is put off, because it would take too long at once.
    GoOn,
    /// The run has ended: its timers are to be forgotten, and passes of it that still run to be stopped. Always the
    /// last effect of a run.
    Finish(Outcome),
}

/// The one outcome of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// A step returned the stop event; this is its value.
    Completed(Json),
    /// It failed, with this text.
    Failed(String),
    /// Somebody outside ended it.
    Cancelled,
}

impl Outcome {
    /// What its value or text costs in memory.
    pub fn cost_bytes(&self) -> usize {
        match self {
            Self::Completed(value) => cost::text(value.as_str().len()),
            Self::Failed(error) => cost::block(error.len()),
            Self::Cancelled => 0,
        }
    }
}

/// Why an event from outside is not taken; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The run has ended: 409.
    Ended,
    /// Its type may not come from outside: 400.
    NotOpen,
    /// No open question waits for it, its type was asked for before, and no inbox keeps it: 409.
    NoQuestion,
    /// The question that it replies to is not open, or takes another answer of its type: 409.
    NotThatQuestion,
    /// The question that it replies to is answered by another type: 400.
    AnswersOther,
    /// As many early answers as are kept: 409.
    EarlyAnswersFull,
    /// As many answers as the inboxes for its type hold: 409.
    InboxFull,
    /// The run has as many works, or as many bytes of events, as it may have at once: 503 with `Retry-After`.
    WorksFull,
    /// Its works remember as many bytes of answers as they may: 503 with `Retry-After`.
    AnswersFull,
    /// This program does not have the run's workflow: 503.
    NotServed,
    /// The named step does not take or await that type, or is a fan-in: 400.
    StepDoesNotAccept,
}

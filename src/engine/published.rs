//! What a run publishes: the events of its feed.

use std::time::Duration;

use crate::{
    graph::{EventId, EventKind, StepId},
    json::Json,
    pass::EventRef,
};

/// One event of the feed.
#[derive(Clone, PartialEq, Debug)]
pub enum Published {
    /// `StepStateChanged` (internal).
    Step {
        /// The step.
        step: StepId,
        /// What it does now.
        state: StepState,
        /// The slot, the lowest that was free; `None` while enqueued.
        slot: Option<u16>,
        /// The type of the work's event; a fan-in's is its element's.
        input: EventId,
        /// What it gave.
        output: StepOutput,
    },
    /// An event that shows: streamed, input-required, or the stop event.
    Event(EventRef, Json),
    /// `WorkflowFailedEvent` (internal).
    Failed {
        /// The step that failed; `None` when no step is to blame.
        step: Option<StepId>,
        /// The error's text.
        error: String,
        /// Attempts of that work, 0 when no step is to blame.
        attempts: u32,
    },
    /// `StepRetriedEvent` (internal): an attempt has failed, and another one follows.
    Retried {
        /// The step.
        step: StepId,
        /// The error's text, cut to [`EVENT_ERROR_BYTES_MAX`](crate::limits::EVENT_ERROR_BYTES_MAX).
        error: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// When the next one is due, in microseconds on the wall clock.
        next_us: u64,
    },
    /// `StepFailedEvent` (internal): the last attempt has failed, and the step's `on_failure` event follows.
    StepFailed {
        /// The step.
        step: StepId,
        /// The error's text, cut as that of [`Published::Retried`].
        error: String,
        /// Attempts of that work.
        attempts: u32,
    },
    /// `WorkflowTimedOutEvent` (internal).
    TimedOut {
        /// The run's time-out.
        timeout: Duration,
        /// Steps with live work, in order of name.
        active: Vec<StepId>,
    },
    /// `WorkflowCancelledEvent` (internal).
    Cancelled,
    /// The plain `StopEvent` without a result that ends the feed of a run that did not complete.
    Ended {
        /// The step that failed; `None` when no step is to blame.
        step: Option<StepId>,
        /// The error's text; `None` if the run was cancelled.
        error: Option<String>,
    },
}

/// `step_state` of a `StepStateChanged`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepState {
    /// The work had to queue.
    Preparing,
    /// A slot is taken.
    Running,
    /// The slot is free again.
    NotRunning,
}

/// `output_event_name` of a `StepStateChanged`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepOutput {
    /// Still running, failed, or waiting.
    None,
    /// It returned nothing.
    Nothing,
    /// The first event that it returned.
    Event(EventId),
}

/// One event of the feed, borrowed from it.
#[derive(Clone, PartialEq, Debug)]
pub enum Item<'a> {
    /// As [`Published::Step`].
    Step {
        /// The step.
        step: StepId,
        /// Its state.
        state: StepState,
        /// Its slot.
        slot: Option<u16>,
        /// The input's type.
        input: EventId,
        /// The output.
        output: StepOutput,
    },
    /// As [`Published::Event`] with a known type: type and JSON text.
    Event(EventId, &'a str),
    /// As [`Published::Event`] with a type that no step declares.
    Other {
        /// Its wire name.
        name: &'a str,
        /// Its qualified name.
        qualified_name: &'a str,
        /// Its kind.
        kind: EventKind,
        /// Its JSON text.
        value: &'a str,
    },
    /// As [`Published::Failed`].
    Failed {
        /// The step.
        step: Option<StepId>,
        /// The error.
        error: &'a str,
        /// Attempts.
        attempts: u32,
    },
    /// As [`Published::Retried`].
    Retried {
        /// The step.
        step: StepId,
        /// The error.
        error: &'a str,
        /// The attempt that failed.
        attempt: u32,
        /// When the next one begins.
        next_us: u64,
    },
    /// As [`Published::StepFailed`].
    StepFailed {
        /// The step.
        step: StepId,
        /// The error.
        error: &'a str,
        /// Attempts.
        attempts: u32,
    },
    /// As [`Published::TimedOut`].
    TimedOut {
        /// The time-out.
        timeout: Duration,
        /// Active steps.
        active: Vec<StepId>,
    },
    /// As [`Published::Cancelled`].
    Cancelled,
    /// As [`Published::Ended`].
    Ended {
        /// The step that failed.
        step: Option<StepId>,
        /// The error; `None` if the run was cancelled.
        error: Option<&'a str>,
    },
}

impl Item<'_> {
    /// The same without the JSON text of its value.
    #[must_use]
    pub fn without_value(&self) -> Self {
        match self.clone() {
            Self::Event(event, _) => Self::Event(event, ""),
            Self::Other { name, qualified_name, kind, .. } => Self::Other { name, qualified_name, kind, value: "" },
            item => item,
        }
    }

    /// Whether it shows only with `include_internal`.
    pub fn is_internal(&self) -> bool {
        !matches!(self, Self::Event(..) | Self::Other { .. } | Self::Ended { .. })
    }
}

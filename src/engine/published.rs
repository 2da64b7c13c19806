//! The events that a run publishes in its feed.

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
        /// What the step now does.
        state: StepState,
        /// The slot, the lowest that was free; `None` while queued.
        slot: Option<u16>,
        /// The type of the work's event; for a fan-in, that of its elements.
        input: EventId,
        /// What the step returned.
        output: StepOutput,
    },
    /// A visible event: streamed, input-required, or the stop event.
    Event(EventRef, Json),
    /// `WorkflowFailedEvent` (internal).
    Failed {
        /// The step that failed; `None` if no step caused the failure.
        step: Option<StepId>,
        /// The error's text.
        error: String,
        /// The number of attempts of that work; 0 if no step caused the failure.
        attempts: u32,
    },
    /// `StepRetriedEvent` (internal): an attempt has failed, and another one will follow.
    Retried {
        /// The step.
        step: StepId,
        /// The error's text, cut to [`EVENT_ERROR_BYTES_MAX`](crate::limits::EVENT_ERROR_BYTES_MAX).
        error: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// When the next attempt is due, in microseconds on the wall clock.
        next_us: u64,
    },
    /// `StepFailedEvent` (internal): the last attempt has failed, and the step's `on_failure` event follows.
    StepFailed {
        /// The step.
        step: StepId,
        /// The error's text, cut like that of [`Published::Retried`].
        error: String,
        /// The number of attempts of that work.
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
        /// The step that failed; `None` if no step caused the failure.
        step: Option<StepId>,
        /// The error's text; `None` if the run was cancelled.
        error: Option<String>,
    },
}

/// `step_state` of a `StepStateChanged`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepState {
    /// The work was queued.
    Preparing,
    /// The work took a slot.
    Running,
    /// The work released its slot.
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
    /// See [`Published::Step`].
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
    /// A [`Published::Event`] of a known type: its type and JSON text.
    Event(EventId, &'a str),
    /// A [`Published::Event`] of a type that no step declares.
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
    /// See [`Published::Failed`].
    Failed {
        /// The step.
        step: Option<StepId>,
        /// The error.
        error: &'a str,
        /// The number of attempts.
        attempts: u32,
    },
    /// See [`Published::Retried`].
    Retried {
        /// The step.
        step: StepId,
        /// The error.
        error: &'a str,
        /// The attempt that failed.
        attempt: u32,
        /// When the next attempt is due.
        next_us: u64,
    },
    /// See [`Published::StepFailed`].
    StepFailed {
        /// The step.
        step: StepId,
        /// The error.
        error: &'a str,
        /// The number of attempts.
        attempts: u32,
    },
    /// See [`Published::TimedOut`].
    TimedOut {
        /// The time-out.
        timeout: Duration,
        /// Active steps.
        active: Vec<StepId>,
    },
    /// See [`Published::Cancelled`].
    Cancelled,
    /// See [`Published::Ended`].
    Ended {
        /// The step that failed.
        step: Option<StepId>,
        /// The error; `None` if the run was cancelled.
        error: Option<&'a str>,
    },
}

impl Item<'_> {
    /// Returns the event without the JSON text of its value.
    #[must_use]
    pub fn without_value(&self) -> Self {
        match self.clone() {
            Self::Event(event, _) => Self::Event(event, ""),
            Self::Other { name, qualified_name, kind, .. } => Self::Other { name, qualified_name, kind, value: "" },
            item => item,
        }
    }

    /// Returns whether it is shown only with `include_internal`.
    pub fn is_internal(&self) -> bool {
        !matches!(self, Self::Event(..) | Self::Other { .. } | Self::Ended { .. })
    }
}

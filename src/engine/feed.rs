//! The numbered list of what a handler's run has published, held compactly and rendered when read.

use crate::engine::input::Published;

/// The feed of one run.
#[derive(Debug, Default)]
pub struct Feed {
    _first: u64,
}

impl Feed {
    /// An empty feed whose first event gets the number `first`.
    pub fn new(_first: u64) -> Self {
        todo!()
    }

    /// Appends an event and gives its number.
    pub fn push(&mut self, _event: &Published) -> u64 {
        todo!()
    }

    /// The number of the first event, or of the next one if there is none.
    pub fn first(&self) -> u64 {
        todo!()
    }

    /// The number that the next event will get.
    pub fn next(&self) -> u64 {
        todo!()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        todo!()
    }

    /// Bytes that [`Feed::push`] would add for `event`.
    pub fn cost_bytes(_event: &Published) -> usize {
        todo!()
    }

    /// The events of that range, as far as they are there and up to about `bytes_max` bytes, but one at least.
    pub fn page(&self, _range: std::ops::Range<u64>, _bytes_max: usize) -> Self {
        todo!()
    }

    /// The event with that number.
    pub fn get(&self, _sequence: u64) -> Option<Item<'_>> {
        todo!()
    }
}

/// One event of the feed, borrowed from it.
#[derive(Clone, PartialEq, Debug)]
pub enum Item<'a> {
    /// As [`Published::Step`].
    Step {
        /// The step.
        step: crate::graph::StepId,
        /// Its state.
        state: crate::engine::input::StepState,
        /// Its slot.
        slot: Option<u16>,
        /// The input's type.
        input: crate::graph::EventId,
        /// The output.
        output: crate::engine::input::StepOutput,
    },
    /// As [`Published::Event`] with a known type: type and JSON text.
    Event(crate::graph::EventId, &'a str),
    /// As [`Published::Event`] with a type that no step declares.
    Other {
        /// Its wire name.
        name: &'a str,
        /// Its qualified name.
        qualified_name: &'a str,
        /// Its kind.
        kind: crate::graph::EventKind,
        /// Its JSON text.
        value: &'a str,
    },
    /// As [`Published::Failed`].
    Failed {
        /// The step.
        step: Option<crate::graph::StepId>,
        /// The error.
        error: &'a str,
        /// Attempts.
        attempts: u32,
    },
    /// As [`Published::TimedOut`].
    TimedOut {
        /// The time-out.
        timeout: std::time::Duration,
        /// Active steps.
        active: Vec<crate::graph::StepId>,
    },
    /// As [`Published::Cancelled`].
    Cancelled,
    /// As [`Published::Ended`].
    Ended,
}

impl Item<'_> {
    /// Whether it shows only with `include_internal`.
    pub fn is_internal(&self) -> bool {
        !matches!(self, Self::Event(..) | Self::Other { .. } | Self::Ended)
    }
}

//! Where a handler is, and when to look for runs that only wait.

use std::time::Duration;

use super::count::Tally;
use crate::engine::{keys::HandlerKey, stored::HandlerAddress};

/// Where the handler with an id is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Residence {
    /// In memory, or nowhere.
    HereOrNone,
    /// The store must be asked; pass its answer to [`Scheduler::handle_loaded`](super::Scheduler::handle_loaded).
    InStore(HandlerAddress),
}

/// The search for runs that only wait.
#[derive(Debug, Default)]
pub(super) struct Parking {
    /// How long a run that only waits stays in memory; `None` for ever.
    pub(super) idle_after_us: Option<u64>,
    /// When the search continues, on the alive clock.
    pub(super) next_us: u64,
    /// Where it continues.
    pub(super) from: HandlerKey,
    /// Whether memory is short, so that runs leave it as soon as they only wait.
    pub(super) is_pressed: bool,
    /// When a batch was last sealed only to store the clock, on the alive clock.
    pub(super) clock_us: u64,
}

impl Parking {
    /// `idle_after` is how long a run that only waits stays in memory; `None` for ever.
    pub(super) fn new(idle_after: Option<Duration>) -> Self {
        let idle_after_us = idle_after.map(|after| u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
        Self { idle_after_us, ..Self::default() }
    }

    /// Returns when to search for runs that only wait, if there may be any.
    pub(super) fn due_us(&self, tally: &Tally) -> Option<u64> {
        (self.idle_after_us.is_some() && tally.running > tally.parked).then_some(self.next_us)
    }
}

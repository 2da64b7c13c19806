//! Collects the events that a step returns.

use super::{
    Event, Result,
    running::{Pass, encode},
};
use crate::{graph::EventId, json::Json};

/// Takes the events that a step returns.
#[doc(hidden)]
pub struct Emitter<'a> {
    pub(super) pass: &'a Pass,
    pub(super) events: Vec<(EventId, Json)>,
}

impl Emitter<'_> {
    /// Reserves room for `events` more events.
    #[doc(hidden)]
    pub fn reserve(&mut self, events: usize) {
        self.events.reserve(events);
    }

    /// Adds one event.
    #[doc(hidden)]
    pub fn push<E: Event>(&mut self, event: &E) -> Result<()> {
        let (id, value) = (self.pass.id_of::<E>()?, encode(event, Json::of_encoded)?);
        self.pass.count_output(value.as_str().len())?;
        self.events.push((id, value));
        Ok(())
    }
}

//! Deferred work: consequences of an input that would take too long at once.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::scope::{Closing, ScopePosition, event_bytes, position_bytes};
use crate::{
    cost,
    engine::record::{RecordError, Translation, malformed},
    graph::{EventId, Graph, StepId},
    json::Json,
    pass::Emitted,
};

/// Something that was deferred.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Deferred {
    /// The events of a pass become works.
    Emission(Emission),
    /// The fan-ins of a closed scope get the events that it collected.
    Closing(Closing),
}

/// Events of one pass that are still to be routed. The pass's work stays in its scope until all of them are.
#[derive(Debug)]
pub(super) struct Emission {
    /// The step that emitted them.
    pub(super) step: StepId,
    /// The position of its work.
    pub(super) around: Option<Box<ScopePosition>>,
    /// The scope that the pass opened.
    pub(super) opened: Option<u64>,
    /// The events of the pass, or those that were left when it was read from a snapshot.
    pub(super) emitted: Arc<Emitted>,
    /// The index of the first of them among all emissions of the pass.
    pub(super) first: u32,
    /// How many of them have been routed.
    pub(super) routed: usize,
    /// The works and inputs of fan-ins that the remaining events lead to at most.
    pub(super) comes_to: ComesTo,
}

/// The most work that some events lead to.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct ComesTo {
    pub(super) works: usize,
    pub(super) collected: usize,
}

/// The encoded form of an [`Emission`], without the events that have been routed.
type EmissionParts<E> = (StepId, Option<Box<ScopePosition>>, Option<u64>, u32, [E; 2], ComesTo);

impl Deferred {
    pub(super) fn cost_bytes(&self) -> usize {
        DEFERRED_BYTES
            + match self {
                Self::Emission(emission) => emission.cost_bytes(),
                Self::Closing(closing) => closing.cost_bytes(),
            }
    }

    /// Returns the scopes that contain it, which do not close before it is done.
    pub(super) fn scopes(&self) -> impl Iterator<Item = u64> {
        let scopes = match self {
            Self::Emission(emission) => [emission.opened, emission.around.as_ref().map(|around| around.scope)],
            Self::Closing(closing) => [closing.outer.as_ref().map(|outer| outer.scope), None],
        };
        scopes.into_iter().flatten()
    }

    /// Returns whether its paths are sound, as their order requires.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Emission(emission) => {
                let end = u32::try_from(emission.emitted.len()).ok().and_then(|len| emission.first.checked_add(len));
                end.is_some() && emission.around.as_ref().is_none_or(|around| around.path.is_sound())
            }
            Self::Closing(closing) => closing.is_sound(),
        }
    }

    /// Translates its ids to another graph.
    pub(super) fn translate(&mut self, translation: &Translation) -> Result<(), RecordError> {
        match self {
            Self::Emission(Emission { step, around, emitted, .. }) => {
                translation.step(step)?;
                let mut steps = around.iter_mut().flat_map(|around| around.path.steps_mut());
                steps.try_for_each(|step| translation.step(step))?;
                // It was just decoded, so nobody shares it.
                let emitted = Arc::get_mut(emitted).ok_or_else(|| malformed("it shares its events"))?;
                let mut events = emitted.sent.iter_mut().chain(&mut emitted.returned);
                events.try_for_each(|(event, _)| translation.event(event))
            }
            Self::Closing(closing) => closing.translate(translation),
        }
    }
}

impl Emission {
    pub(super) fn new(
        step: StepId,
        around: Option<Box<ScopePosition>>,
        opened: Option<u64>,
        emitted: Arc<Emitted>,
        comes_to: ComesTo,
    ) -> Self {
        Self { step, around, opened, emitted, first: 0, routed: 0, comes_to }
    }

    pub(super) fn cost_bytes(&self) -> usize {
        self.around.as_deref().map_or(0, position_bytes) + self.left().flatten().map(event_bytes).sum::<usize>()
    }

    /// Returns the next event, its index among all emissions of the pass, and whether it was sent.
    pub(super) fn next(&mut self) -> Option<(u32, bool, (EventId, Json))> {
        let Emitted { sent, returned } = &*self.emitted;
        let is_sent = self.routed < sent.len();
        let event = if is_sent { &sent[self.routed] } else { returned.get(self.routed - sent.len())? };
        let index = self.first + self.routed as u32;
        self.routed += 1;
        Some((index, is_sent, event.clone()))
    }

    pub(super) fn is_routed(&self) -> bool {
        self.routed >= self.emitted.len()
    }

    /// Returns the events that were sent and those that were returned, without those that have been routed.
    fn left(&self) -> impl Iterator<Item = &[(EventId, Json)]> {
        let Emitted { sent, returned } = &*self.emitted;
        let of_sent = self.routed.min(sent.len());
        [&sent[of_sent..], &returned[self.routed - of_sent..]].into_iter()
    }
}

impl ComesTo {
    /// Returns the most work that one event leads to.
    pub(super) fn of(graph: &Graph, event: EventId) -> Self {
        Self { works: graph.takers(event).len(), collected: graph.joiners(event).len() }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { works: self.works + other.works, collected: self.collected + other.collected }
    }

    /// Subtracts without underflow: under a later graph an event may lead to more than was counted.
    pub(super) fn less(self, other: Self) -> Self {
        Self {
            works: self.works.saturating_sub(other.works),
            collected: self.collected.saturating_sub(other.collected),
        }
    }
}

impl Serialize for Emission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { step, around, opened, comes_to, .. } = self;
        let mut left = self.left();
        let left = [left.next().unwrap_or_default(), left.next().unwrap_or_default()];
        (step, around, opened, self.first + self.routed as u32, left, comes_to).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Emission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = EmissionParts::<Vec<(EventId, Json)>>::deserialize(deserializer)?;
        let (step, around, opened, first, [sent, returned], comes_to) = parts;
        Ok(Self { first, ..Self::new(step, around, opened, Arc::new(Emitted { sent, returned }), comes_to) })
    }
}

pub(super) const DEFERRED_BYTES: usize = cost::boxed::<Deferred>() + cost::elements::<(u64, u64)>(1);

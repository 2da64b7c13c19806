//! Scopes: what a fan-out opened, and what was collected for its fan-ins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::path::Path;
use crate::{
    cost,
    engine::record::{RecordError, Translation},
    graph::{EventId, StepId},
    json::Json,
};

/// The position of something in a scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ScopePosition {
    pub(super) scope: u64,
    pub(super) path: Path,
}

/// An open scope. It closes when nothing in it is live.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Scope {
    /// The step whose pass opened it.
    pub(super) opener: StepId,
    /// The scope around it, if any.
    pub(super) outer: Option<Outer>,
    /// The number of works, open scopes and deferred items directly in it.
    pub(super) live: u32,
    #[serde(with = "in_order")]
    pub(super) collected: Collected,
}

/// Where the output of a scope's fan-ins continues: in the outer scope, after the emissions of the opener's pass.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outer {
    pub(super) scope: u64,
    /// The opener's path.
    pub(super) path: Path,
    /// How many emissions the opener made.
    pub(super) index: u32,
}

/// Inputs of fan-ins, in the order in which these get them.
pub(super) type Collected = BTreeMap<(StepId, Path), (EventId, Json)>;

/// A closed scope whose collected events are being passed to its fan-ins.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Closing {
    pub(super) opener: StepId,
    pub(super) outer: Option<Outer>,
    /// The events that were not passed on yet.
    #[serde(with = "in_order")]
    pub(super) collected: Collected,
    /// The last fan-in that became a work.
    pub(super) given: Option<StepId>,
    /// The events that the next fan-in has so far.
    pub(super) events: Vec<(EventId, Json)>,
}

impl Scope {
    pub(super) fn cost_bytes(&self) -> usize {
        SCOPE_BYTES + self.collected.iter().map(collected_bytes).sum::<usize>()
    }

    pub(super) fn is_sound(&self) -> bool {
        paths_are_sound(self.outer.as_ref(), &self.collected)
    }

    /// Translates its ids to another graph.
    pub(super) fn translate(&mut self, translation: &Translation) -> Result<(), RecordError> {
        translation.step(&mut self.opener)?;
        translate(self.outer.as_mut(), &mut self.collected, translation)
    }
}

impl Closing {
    pub(super) fn cost_bytes(&self) -> usize {
        let collected: usize = self.collected.iter().map(collected_bytes).sum();
        collected + self.events.iter().map(event_bytes).sum::<usize>()
    }

    pub(super) fn is_sound(&self) -> bool {
        paths_are_sound(self.outer.as_ref(), &self.collected)
    }

    /// Translates its ids to another graph.
    pub(super) fn translate(&mut self, translation: &Translation) -> Result<(), RecordError> {
        translation.step(&mut self.opener)?;
        self.given.as_mut().map_or(Ok(()), |step| translation.step(step))?;
        self.events.iter_mut().try_for_each(|(event, _)| translation.event(event))?;
        translate(self.outer.as_mut(), &mut self.collected, translation)
    }
}

fn paths_are_sound(outer: Option<&Outer>, collected: &Collected) -> bool {
    outer.is_none_or(|outer| outer.path.is_sound()) && collected.keys().all(|(_, path)| path.is_sound())
}

/// Ids are in order of name in every graph, so translation preserves the order.
fn translate(
    outer: Option<&mut Outer>,
    collected: &mut Collected,
    translation: &Translation,
) -> Result<(), RecordError> {
    let mut of_outer = outer.into_iter().flat_map(|outer| outer.path.steps_mut());
    of_outer.try_for_each(|step| translation.step(step))?;
    let each = std::mem::take(collected).into_iter().map(|((mut fan_in, mut path), (mut event, value))| {
        translation.step(&mut fan_in)?;
        path.steps_mut().try_for_each(|step| translation.step(step))?;
        translation.event(&mut event)?;
        Ok(((fan_in, path), (event, value)))
    });
    *collected = each.collect::<Result<_, _>>()?;
    Ok(())
}

/// Returns the memory of one input of a fan-in, including its key.
pub(super) fn collected_bytes((at, event): (&(StepId, Path), &(EventId, Json))) -> usize {
    (size_of_val(at) + size_of_val(event)) * 3 / 2 + at.1.cost_bytes() + cost::text(event.1.as_str().len())
}

/// Returns the memory of one event of a list.
pub(super) fn event_bytes(event: &(EventId, Json)) -> usize {
    size_of_val(event) + cost::text(event.1.as_str().len())
}

pub(super) fn position_bytes(position: &ScopePosition) -> usize {
    cost::block(size_of_val(position)) + position.path.cost_bytes()
}

pub(super) const SCOPE_BYTES: usize = cost::boxed::<Scope>() + cost::elements::<(u64, u64)>(1);

/// Serializes as a list of fan-in, path, event and value.
mod in_order {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::{
        engine::run::{path::Path, scope::Collected},
        graph::{EventId, StepId},
        json::Json,
    };

    pub(super) fn serialize<S: Serializer>(collected: &Collected, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(collected.iter().map(|((fan_in, path), (event, value))| (fan_in, path, event, value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Collected, D::Error> {
        let inputs = Vec::<(StepId, Path, EventId, Json)>::deserialize(deserializer)?;
        let count = inputs.len();
        let keyed = inputs.into_iter().map(|(fan_in, path, event, value)| ((fan_in, path), (event, value)));
        let collected: Collected = keyed.collect();
        if collected.len() == count { Ok(collected) } else { Err(D::Error::custom("two inputs have one position")) }
    }
}

//! Scopes: what a fan-out opened, and what its fan-ins have collected so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Facts, Turn,
    deferred::Deferred,
    memory::{SCOPE_BYTES, collected_bytes, event_bytes},
    path::Path,
    work::Work,
};
use crate::{
    engine::record::{RecordError, Translation},
    graph::{EventId, StepId},
    json::Json,
    pass::WorkEvent,
};

/// Where something stands in a scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) scope: u64,
    pub(super) path: Path,
}

/// An open scope. It closes when nothing in it is live.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Scope {
    /// The step whose pass opened it.
    pub(super) opener: StepId,
    /// `None`: no scope is around it.
    pub(super) outer: Option<Outer>,
    /// Works in it, open scopes directly in it, and what is deferred in it.
    pub(super) live: u32,
    #[serde(with = "in_order")]
    pub(super) collected: Collected,
}

/// Where the fan-ins of a scope come in: in the scope around it, behind the emissions of the pass that opened it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outer {
    pub(super) scope: u64,
    /// The opener's.
    pub(super) path: Path,
    /// How many emissions the opener made.
    index: u32,
}

/// Inputs of fan-ins, in the order in which these are given them.
pub(super) type Collected = BTreeMap<(StepId, Path), (EventId, Json)>;

/// A scope that has closed, while its fan-ins are given what it collected.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Closing {
    opener: StepId,
    pub(super) outer: Option<Outer>,
    /// What has not been given yet.
    #[serde(with = "in_order")]
    collected: Collected,
    /// The last fan-in that has become a work.
    given: Option<StepId>,
    /// What the next one has been given so far.
    events: Vec<(EventId, Json)>,
}

impl Scope {
    pub(super) fn is_sound(&self) -> bool {
        paths_are_sound(self.outer.as_ref(), &self.collected)
    }

    /// Puts it in terms of another graph.
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

    /// Puts it in terms of another graph.
    pub(super) fn translate(&mut self, translation: &Translation) -> Result<(), RecordError> {
        translation.step(&mut self.opener)?;
        self.given.as_mut().map_or(Ok(()), |step| translation.step(step))?;
        self.events.iter_mut().try_for_each(|(event, _)| translation.event(event))?;
        translate(self.outer.as_mut(), &mut self.collected, translation)
    }
}

impl Facts {
    /// The scope of one pass of `opener`, which made so many emissions. It is kept open until it is left once.
    pub(super) fn open_scope(&mut self, opener: &Work, emissions: usize) -> Place {
        let outer = opener.place.as_deref().map(|place| {
            if let Some(around) = self.scopes.get_mut(place.scope) {
                around.live += 1;
            }
            Outer { scope: place.scope, path: place.path.clone(), index: emissions as u32 }
        });
        let number = self.number();
        let scope = Scope { opener: opener.step, outer, live: 1, collected: Collected::new() };
        self.cost_bytes += scope.cost_bytes();
        self.scopes.push(number, Box::new(scope));
        Place { scope: number, path: Path::default() }
    }

    /// Keeps an event for a fan-in, if that closes the scope.
    pub(super) fn collect(
        &mut self,
        turn: &Turn<'_>,
        fan_in: StepId,
        (place, index): (&Place, u32),
        event: (EventId, Json),
    ) {
        let Some(scope) = self.scopes.get_mut(place.scope) else { return };
        if turn.graph.step(scope.opener).closers.contains(&fan_in) {
            let at = (fan_in, place.path.then(index, None));
            self.cost_bytes += collected_bytes((&at, &event));
            scope.collected.insert(at, event);
            self.collected += 1;
        }
    }

    /// Something in the scope is through. If it was the last, the scope closes: its fan-ins become works of the scope
    /// around it, which then has one thing less in it in turn.
    pub(super) fn leave_scope(&mut self, turn: &mut Turn<'_>, number: u64) {
        let mut number = number;
        loop {
            let Some(scope) = self.scopes.get_mut(number) else { return };
            scope.live -= 1;
            if scope.live > 0 {
                return;
            }
            let Some(scope) = self.scopes.remove(number) else { return };
            self.cost_bytes -= SCOPE_BYTES;
            let Scope { opener, outer, collected, .. } = *scope;
            self.collected -= collected.len() as u32;
            let is_large = collected.len() > self.events_at_once as usize;
            let mut closing = Closing { opener, outer, collected, given: None, events: Vec::new() };
            if is_large {
                return self.defer(Deferred::Closing(closing));
            }
            let mut all = usize::MAX;
            self.give_some(turn, &mut closing, &mut all);
            match closing.outer {
                Some(outer) => number = outer.scope,
                None => return,
            }
        }
    }

    /// Gives fan-ins about `left` events of those that they get; whether each has become a work.
    pub(super) fn give_some(&mut self, turn: &mut Turn<'_>, closing: &mut Closing, left: &mut usize) -> bool {
        let fan_ins = &turn.graph.step(closing.opener).closers;
        for &fan_in in fan_ins {
            if closing.given.is_some_and(|given| given >= fan_in) {
                continue;
            }
            while closing.collected.first_key_value().is_some_and(|((step, _), _)| *step <= fan_in) {
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                if let Some((at, event)) = closing.collected.pop_first() {
                    self.cost_bytes = self.cost_bytes + event_bytes(&event) - collected_bytes((&at, &event));
                    closing.events.push(event);
                }
            }
            self.cost_bytes -= closing.events.iter().map(event_bytes).sum::<usize>();
            let taken_by = (fan_ins.len() > 1).then_some(fan_in);
            let within = |outer: &Outer| Place { scope: outer.scope, path: outer.path.then(outer.index, taken_by) };
            let place = closing.outer.as_ref().map(|outer| Box::new(within(outer)));
            self.add_work(turn, fan_in, WorkEvent::All(std::mem::take(&mut closing.events).into()), place);
            closing.given = Some(fan_in);
        }
        true
    }
}

fn paths_are_sound(outer: Option<&Outer>, collected: &Collected) -> bool {
    outer.is_none_or(|outer| outer.path.is_sound()) && collected.keys().all(|(_, path)| path.is_sound())
}

/// Ids are in order of name in every graph, so what is ordered by them stays in order.
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

/// As a list of fan-in, path, event and value.
mod in_order {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::{Collected, EventId, Json, Path, StepId};

    pub(super) fn serialize<S: Serializer>(collected: &Collected, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(collected.iter().map(|((fan_in, path), (event, value))| (fan_in, path, event, value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Collected, D::Error> {
        let inputs = Vec::<(StepId, Path, EventId, Json)>::deserialize(deserializer)?;
        let count = inputs.len();
        let keyed = inputs.into_iter().map(|(fan_in, path, event, value)| ((fan_in, path), (event, value)));
        let collected: Collected = keyed.collect();
        if collected.len() == count { Ok(collected) } else { Err(D::Error::custom("two inputs have one place")) }
    }
}

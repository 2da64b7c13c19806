//! Routing: which works an event becomes.

use super::{Facts, Turn, question, scope::Place};
use crate::{
    engine::input::Effect,
    graph::{EventId, Graph, StepId},
    json::Json,
    limits::EARLY_ANSWERS_MAX,
    pass::WorkEvent,
};

impl Facts {
    /// An event from a step goes to every step that takes it, in order of their names, and to the fan-ins of its scope.
    /// `index` is its place among the emissions of its pass.
    pub(super) fn route(
        &mut self,
        turn: &mut Turn<'_>,
        (event, value): (EventId, Json),
        place: Option<&Place>,
        index: u32,
    ) {
        let graph = turn.graph;
        let takers = graph.takers(event);
        for &step in takers {
            let taken_by = (takers.len() > 1).then_some(step);
            let place =
                place.map(|place| Box::new(Place { scope: place.scope, path: place.path.then(index, taken_by) }));
            self.add_work(turn, step, WorkEvent::One(event, value.clone()), place);
        }
        if let Some(place) = place {
            for &fan_in in graph.joiners(event) {
                self.collect(turn, fan_in, (place, index), (event, &value));
            }
        }
    }

    /// An event from outside answers the oldest question that it fits, or else goes to the steps that take it, or else
    /// is kept for a question to come, or else is dropped.
    pub(super) fn external(&mut self, turn: &mut Turn<'_>, event: EventId, value: Json, step: Option<StepId>) {
        let graph = turn.graph;
        if graph.events.len() <= usize::from(event.0)
            || step.is_some_and(|step| graph.steps.len() <= usize::from(step.0))
        {
            turn.effects.push(Effect::Dropped(event));
            return;
        }
        if let Some(number) = self.find_question(event, &value, step) {
            self.answer(turn, number, value);
            return;
        }
        let takers = takers_outside(graph, event, step);
        let fits = self.takes_more(takers.len());
        let keeps = question::declared(graph, event, step)
            && !self.asked.contains(&event)
            && self.early.len() < EARLY_ANSWERS_MAX
            && fits;
        match takers {
            [] if keeps => self.keep_early(event, value, step),
            [] => turn.effects.push(Effect::Dropped(event)),
            _ if !fits => turn.effects.push(Effect::Dropped(event)),
            takers => {
                for &step in takers {
                    self.add_work(turn, step, WorkEvent::One(event, value.clone()), None);
                }
            }
        }
    }
}

/// The steps that take an event from outside: all that take it, or the named one if it does.
pub(super) fn takers_outside(graph: &Graph, event: EventId, step: Option<StepId>) -> &[StepId] {
    let takers = graph.takers(event);
    match step.map(|step| takers.iter().position(|taker| *taker == step)) {
        None => takers,
        Some(None) => &[],
        Some(Some(place)) => &takers[place..=place],
    }
}

//! Routing: the works that an event becomes.

use super::{
    facts::{Facts, Reduction},
    question,
    scope::ScopePosition,
};
use crate::{
    engine::input::{External, Refusal},
    graph::{EventId, EventKind, Graph, StepId},
    json::Json,
    limits::RUN_EVENT_BYTES_MAX,
    pass::WorkEvent,
};

impl Facts {
    /// Routes an event from a step to every step that takes it, in order of their names, and to the fan-ins of its
    /// scope. `index` is its index among the emissions of its pass.
    pub(super) fn route(
        &mut self,
        reduction: &mut Reduction<'_>,
        (event, value): (EventId, Json),
        position: Option<&ScopePosition>,
        index: u32,
    ) {
        let graph = reduction.graph;
        let takers = graph.takers(event);
        let joiners = if position.is_some() { graph.joiners(event) } else { &[] };
        let mut copies = std::iter::repeat_n(value, takers.len() + joiners.len());
        for (&step, value) in takers.iter().zip(&mut copies) {
            let taken_by = (takers.len() > 1).then_some(step);
            let position = position.map(|position| {
                Box::new(ScopePosition { scope: position.scope, path: position.path.then(index, taken_by) })
            });
            self.add_work(reduction, step, WorkEvent::One(event, value), position);
        }
        if let Some(position) = position {
            for (&fan_in, value) in joiners.iter().zip(copies) {
                self.collect(reduction, fan_in, (position, index), (event, value));
            }
        }
    }

    /// Routes an event that [`Run::check_external`](super::Run::check_external) accepts; any other changes nothing.
    pub(super) fn external(&mut self, reduction: &mut Reduction<'_>, external: External) {
        let Ok(destination) = self.destination(reduction.graph, &external) else { return };
        match destination {
            Destination::Question(work) => self.answer(reduction, work, external.value),
            Destination::Steps(takers) => {
                let External { event, value, in_reply_to, .. } = external;
                if let Some(sequence) = in_reply_to {
                    self.forget_shown(sequence);
                }
                for &step in takers {
                    self.add_work(reduction, step, WorkEvent::One(event, value.clone()), None);
                }
            }
            Destination::Early => {
                let step = external.step;
                self.store_early(external, step, false);
            }
            Destination::Inbox(step) => self.store_early(external, Some(step), true),
        }
    }

    /// Returns where an event from outside goes: to the oldest open question that it matches, or the one that it
    /// replies to; else to the steps that take it; else it waits as an early answer or in an inbox.
    pub(super) fn destination<'g>(&self, graph: &'g Graph, external: &External) -> Result<Destination<'g>, Refusal> {
        let External { event, step, in_reply_to, .. } = *external;
        if usize::from(event.0) >= graph.events.len() || !graph.is_open(event) {
            return Err(Refusal::NotOpen);
        }
        if step.is_some_and(|step| usize::from(step.0) >= graph.steps.len()) {
            return Err(Refusal::StepDoesNotAccept);
        }
        let takers = takers_outside(graph, event, step);
        if takers.is_empty() && !question::declared(graph, event, step) {
            return Err(Refusal::StepDoesNotAccept);
        }
        if let Some(sequence) = in_reply_to {
            match self.replied(sequence, external)? {
                Some(work) => return self.answerable(work),
                None if takers.is_empty() || graph.event(event).kind != EventKind::HumanResponse => {
                    return Err(Refusal::AnswersOther);
                }
                None => {}
            }
        } else if let Some(work) = self.find_question(external) {
            return self.answerable(work);
        }
        let waits =
            if takers.is_empty() { self.waiting_place(graph, event, step)? } else { Destination::Steps(takers) };
        if self.takes_more(takers.len()) { Ok(waits) } else { Err(Refusal::WorksFull) }
    }
}

impl Facts {
    /// Returns this work's question as destination, unless the run already holds too many answers. Its other contents
    /// do not count: a run with many events of its own must still accept answers.
    fn answerable<'g>(&self, work: u64) -> Result<Destination<'g>, Refusal> {
        if self.answers_bytes > RUN_EVENT_BYTES_MAX {
            return Err(Refusal::AnswersFull);
        }
        Ok(Destination::Question(work))
    }
}

/// Where an event from outside goes.
pub(super) enum Destination<'g> {
    /// To the question of this work.
    Question(u64),
    /// To these steps, as work.
    Steps(&'g [StepId]),
    /// It waits until a step asks for its type the first time.
    Early,
    /// It waits for the next question of this step.
    Inbox(StepId),
}

/// Returns the steps that take an event from outside: all, or the named one if it does.
fn takers_outside(graph: &Graph, event: EventId, step: Option<StepId>) -> &[StepId] {
    let takers = graph.takers(event);
    match step.map(|step| takers.iter().position(|taker| *taker == step)) {
        None => takers,
        Some(None) => &[],
        Some(Some(index)) => &takers[index..=index],
    }
}

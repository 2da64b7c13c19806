//! What a run costs in memory, counted as it changes: the bounds that a run is held to mean this.

use super::{
    Facts, Run,
    path::Path,
    question::{Asking, EarlyAnswer, Question},
    scope::{Place, Scope},
    work::{Memory, Work, WorkPhase},
};
use crate::{
    cost,
    graph::{EventId, StepId},
    json::Json,
    pass::{OnceValue, Wait, WorkEvent},
};

impl Run {
    /// What it costs in memory beside its feed: events, questions, state, what its works remember. Follows from its
    /// inputs; does not count passes that are with workers.
    pub fn cost_bytes(&self) -> usize {
        RUN_BYTES + self.facts.cost_bytes + self.facts.index_bytes() + self.facts.state.values().cost_bytes()
    }
}

impl Run {
    /// What the answers that its works remember cost of that.
    pub fn answers_bytes(&self) -> usize {
        self.facts.answers_bytes
    }
}

impl Facts {
    /// Changes a work, and counts what that makes of its cost.
    pub(super) fn change<R>(&mut self, number: u64, change: impl FnOnce(&mut Work) -> R) -> Option<R> {
        let work = self.works.get_mut(number)?;
        self.cost_bytes -= work.kept_bytes();
        self.answers_bytes -= work.answers_bytes();
        let changed = change(work);
        self.cost_bytes += work.kept_bytes();
        self.answers_bytes += work.answers_bytes();
        Some(changed)
    }

    /// A work is no longer there.
    pub(super) fn uncount(&mut self, work: &Work) {
        self.cost_bytes -= work.cost_bytes();
        self.answers_bytes -= work.answers_bytes();
    }

    /// Counts everything, where it was read from bytes.
    pub(super) fn count(&mut self) {
        for (_, work) in self.works.iter_mut() {
            if let Some(memory) = &mut work.memory {
                memory.count();
            }
        }
        for (_, early) in self.early.iter() {
            early.members.read(&early.value);
        }
        self.index_questions();
        let works: usize = self.works.iter().map(|(_, work)| work.cost_bytes()).sum();
        let scopes: usize = self.scopes.iter().map(|(_, scope)| scope.cost_bytes()).sum();
        let early: usize = self.early.iter().map(|(_, early)| early.cost_bytes()).sum();
        let deferred: usize = self.deferred.iter().map(|(_, deferred)| deferred.cost_bytes()).sum();
        self.cost_bytes = works + scopes + early + deferred;
        self.answers_bytes = self.works.iter().map(|(_, work)| work.answers_bytes()).sum();
    }
}

impl Work {
    /// Its own cost and that of its event, which stay as they are.
    fn fixed_bytes(&self) -> usize {
        WORK_BYTES + self.place.as_deref().map_or(0, place_bytes) + work_event_bytes(&self.event)
    }

    /// What it remembers, and the question that it asks.
    fn kept_bytes(&self) -> usize {
        let asking = if let WorkPhase::Asking(asking) = &self.phase { asking.cost_bytes() } else { 0 };
        asking + self.memory.as_ref().map_or(0, |memory| memory.total_bytes())
    }

    pub(super) fn cost_bytes(&self) -> usize {
        self.fixed_bytes() + self.kept_bytes()
    }

    fn answers_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.answers_bytes)
    }
}

impl Memory {
    fn total_bytes(&self) -> usize {
        let failure = self.failure.as_ref().map_or(0, |error| cost::text(error.len()));
        MEMORY_BYTES + failure + self.cost_bytes
    }

    fn count(&mut self) {
        let waits: usize = self.waits.iter().map(wait_bytes).sum();
        self.answers_bytes = self.waits.iter().map(answer_bytes).sum();
        let once: usize = self.once.iter().map(once_bytes).sum();
        self.cost_bytes = waits + once + cost::elements::<u128>(1) * self.published.len();
    }
}

impl Asking {
    fn cost_bytes(&self) -> usize {
        let matching = self.matching.iter().map(|(member, value)| {
            size_of::<(String, Json)>() + cost::block(member.len()) + cost::text(value.as_str().len())
        });
        QUESTION_BYTES + matching.sum::<usize>()
    }
}

impl EarlyAnswer {
    pub(super) fn cost_bytes(&self) -> usize {
        size_of::<Self>() + cost::text(self.value.as_str().len()) + self.members.cost_bytes()
    }
}

impl Scope {
    pub(super) fn cost_bytes(&self) -> usize {
        SCOPE_BYTES + self.collected.iter().map(collected_bytes).sum::<usize>()
    }
}

/// An input of a fan-in, with its place in the order of them.
pub(super) fn collected_bytes((at, event): (&(StepId, Path), &(EventId, Json))) -> usize {
    (size_of_val(at) + size_of_val(event)) * 3 / 2 + at.1.cost_bytes() + cost::text(event.1.as_str().len())
}

/// One event of a list.
pub(super) fn event_bytes(event: &(EventId, Json)) -> usize {
    size_of_val(event) + cost::text(event.1.as_str().len())
}

pub(super) fn place_bytes(place: &Place) -> usize {
    cost::block(size_of_val(place)) + place.path.cost_bytes()
}

pub(super) fn wait_bytes(wait: &Wait) -> usize {
    cost::elements::<Wait>(1) + answer_bytes(wait)
}

pub(super) fn answer_bytes(wait: &Wait) -> usize {
    if let Wait::Asked { answer: Some(answer), .. } = wait { cost::text(answer.as_str().len()) } else { 0 }
}

pub(super) fn once_bytes(once: &OnceValue) -> usize {
    cost::elements::<OnceValue>(1) + cost::text(once.value.as_str().len())
}

fn work_event_bytes(event: &WorkEvent) -> usize {
    match event {
        WorkEvent::One(_, value) => cost::text(value.as_str().len()),
        WorkEvent::All(events) => events.iter().map(event_bytes).sum::<usize>() + cost::text(0),
    }
}

/// A run that has nothing to do.
const RUN_BYTES: usize = cost::boxed::<Run>();

/// A work, its place among the works, and its slot or timer.
const WORK_BYTES: usize = cost::boxed::<Work>() + cost::elements::<(u64, u64)>(2) + 64;

const MEMORY_BYTES: usize = cost::boxed::<Memory>() + 3 * cost::boxed::<Vec<u64>>();

/// What a work keeps of its question, and the question's place among those of the run.
const QUESTION_BYTES: usize = cost::boxed::<Asking>() + cost::elements::<(u64, Question)>(1);

pub(super) const SCOPE_BYTES: usize = cost::boxed::<Scope>() + cost::elements::<(u64, u64)>(1);

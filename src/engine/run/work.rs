//! Works: their phases, what they remember, and the memory that they take.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    question::Asking,
    scope::{ScopePosition, event_bytes, position_bytes},
    timer::Timer,
};
use crate::{
    cost,
    graph::{EventId, Graph, StepId},
    pass::{OnceValue, SharedList, Wait, WorkEvent},
};

/// One (event, step) pair to be processed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) step: StepId,
    pub(super) event: WorkEvent,
    /// Its position in its scope; `None` outside of all scopes.
    pub(super) position: Option<Box<ScopePosition>>,
    /// The number of the attempt, from 1.
    pub(super) attempt: u32,
    /// The number of the running pass, or of the next one.
    pub(super) pass: u32,
    /// The number of consecutive conflicts.
    pub(super) conflicts: u32,
    /// When its first attempt began, on the alive clock.
    pub(super) began_us: u64,
    pub(super) phase: WorkPhase,
    pub(super) memory: Option<Box<Memory>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum WorkPhase {
    Queued,
    Held { slot: u16 },
    Running { slot: u16 },
    Sleeping { slot: u16, ordinal: u32, timer: Timer },
    Asking(Box<Asking>),
    Delayed(Timer),
}

impl WorkPhase {
    /// Names the phase in a word.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queues",
            Self::Held { .. } => "is held back",
            Self::Running { .. } => "runs",
            Self::Sleeping { .. } => "sleeps",
            Self::Asking(_) => "asks",
            Self::Delayed(_) => "waits to be tried again",
        }
    }
}

/// What a work remembers across passes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) waits: SharedList<Wait>,
    pub(super) once: SharedList<OnceValue>,
    pub(super) published: SharedList<u128>,
    /// The error of the last attempt, if the next pass makes the `on_failure` event.
    pub(super) failure: Option<Arc<str>>,
    /// The memory that the entries of the three take.
    #[serde(skip)]
    pub(super) cost_bytes: usize,
    /// How much of that the answers take.
    #[serde(skip)]
    pub(super) answers_bytes: usize,
}

impl Memory {
    /// Returns how many stream writes this attempt has published, or a noted `once` stands for.
    pub(super) fn streams_counted(&self) -> usize {
        let stood_for = self.once.last().map_or(0, |noted| noted.stream_ordinal as usize);
        self.published.len().max(stood_for)
    }

    fn total_bytes(&self) -> usize {
        let failure = self.failure.as_ref().map_or(0, |error| cost::text(error.len()));
        MEMORY_BYTES + failure + self.cost_bytes
    }

    pub(super) fn count(&mut self) {
        let waits: usize = self.waits.iter().map(wait_bytes).sum();
        self.answers_bytes = self.waits.iter().map(answer_bytes).sum();
        let once: usize = self.once.iter().map(once_bytes).sum();
        self.cost_bytes = waits + once + cost::elements::<u128>(1) * self.published.len();
    }
}

impl Work {
    /// Returns the type of its event; for a fan-in, the first element type that its step declares.
    pub(super) fn input(&self, graph: &Graph) -> EventId {
        match self.event {
            WorkEvent::One(event, _) => event,
            WorkEvent::All(_) => graph.step(self.step).takes.first().copied().unwrap_or(graph.start),
        }
    }

    pub(super) fn timer(&self) -> Option<Timer> {
        match &self.phase {
            WorkPhase::Sleeping { timer, .. } | WorkPhase::Delayed(timer) => Some(*timer),
            WorkPhase::Asking(asking) => asking.timer,
            WorkPhase::Queued | WorkPhase::Held { .. } | WorkPhase::Running { .. } => None,
        }
    }

    /// Returns the error of the last attempt, if its pass makes the `on_failure` event.
    pub(super) fn failure(&self) -> Option<&Arc<str>> {
        self.memory.as_ref()?.failure.as_ref()
    }

    pub(super) fn memory_mut(&mut self) -> &mut Memory {
        self.memory.get_or_insert_default()
    }

    /// Prepares a new attempt, which publishes anew and asks again what timed out; everything else is remembered.
    pub(super) fn renew(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
        let Some(memory) = &mut self.memory else { return };
        memory.cost_bytes -= cost::elements::<u128>(1) * memory.published.len();
        memory.published = SharedList::default();
        let timed_out = |wait: &Wait| matches!(wait, Wait::Asked { answer: None, .. });
        let indices = memory.waits.iter().enumerate().filter(|(_, wait)| timed_out(wait)).map(|(index, _)| index);
        for index in indices.collect::<Vec<_>>() {
            if let Some(wait) = memory.waits.get_mut(index)
                && let Wait::Asked { question, .. } = *wait
            {
                *wait = Wait::Forgotten { question };
            }
        }
    }

    /// Returns the memory of the work and its event, which do not change.
    fn fixed_bytes(&self) -> usize {
        WORK_BYTES + self.position.as_deref().map_or(0, position_bytes) + work_event_bytes(&self.event)
    }

    /// Returns the memory of what it remembers, and of the question that it asks.
    pub(super) fn variable_bytes(&self) -> usize {
        let asking = if let WorkPhase::Asking(asking) = &self.phase { asking.cost_bytes() } else { 0 };
        asking + self.memory.as_ref().map_or(0, |memory| memory.total_bytes())
    }

    pub(super) fn cost_bytes(&self) -> usize {
        self.fixed_bytes() + self.variable_bytes()
    }

    pub(super) fn answers_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.answers_bytes)
    }
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

/// The memory of a work, its entry in the table, and its slot or timer.
const WORK_BYTES: usize = cost::boxed::<Work>() + cost::elements::<(u64, u64)>(2) + 64;

const MEMORY_BYTES: usize = cost::boxed::<Memory>() + 3 * cost::boxed::<Vec<u64>>();

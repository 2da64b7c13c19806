//! Works: how they come in, take slots, start passes, and are held back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Facts, Phase, Turn, question::Asking, scope::Place};
use crate::{
    cost,
    engine::{
        input::{Effect, PassId, TimerId},
        published::{Published, StepOutput, StepState},
    },
    graph::{EventId, Graph, StepId},
    limits::CONFLICTS_MAX,
    now::Deadline,
    pass::{OnceValue, SharedList, Wait, WorkEvent},
};

/// One (event, step) pair that has to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) step: StepId,
    pub(super) event: WorkEvent,
    /// Where it stands in its scope; outside of all scopes it needs no place.
    pub(super) place: Option<Box<Place>>,
    /// From 1.
    pub(super) attempt: u32,
    /// The pass that runs, or else the next one.
    pub(super) pass: u32,
    /// Conflicts in a row.
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
    /// What a work in it does, in a word.
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

/// A timer that is armed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Timer {
    pub(super) id: TimerId,
    pub(super) deadline: Deadline,
}

/// What a work remembers from pass to pass.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) waits: SharedList<Wait>,
    pub(super) once: SharedList<OnceValue>,
    pub(super) published: SharedList<u128>,
    /// The error of the last attempt: the next pass makes the event that the work gives because of it.
    pub(super) failure: Option<Arc<str>>,
    /// What the entries of the three cost in memory.
    #[serde(skip)]
    pub(super) cost_bytes: usize,
    /// What the answers among them cost of that.
    #[serde(skip)]
    pub(super) answers_bytes: usize,
}

impl Memory {
    /// Stream writes that this attempt has published, or that a noted `once` stands for.
    pub(super) fn streams_counted(&self) -> usize {
        let stood_for = self.once.last().map_or(0, |noted| noted.stream_ordinal as usize);
        self.published.len().max(stood_for)
    }
}

impl Work {
    /// The type of its event; a fan-in's is its element's, the first that its step declares.
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

    /// The error of the last attempt, if its pass makes the `on_failure` event.
    pub(super) fn failure(&self) -> Option<&Arc<str>> {
        self.memory.as_ref()?.failure.as_ref()
    }

    pub(super) fn memory_mut(&mut self) -> &mut Memory {
        self.memory.get_or_insert_default()
    }

    /// A new attempt publishes anew and asks again what timed out; all else it remembers.
    fn renew(&mut self) {
        self.attempt = self.attempt.saturating_add(1);
        let Some(memory) = &mut self.memory else { return };
        memory.cost_bytes -= cost::elements::<u128>(1) * memory.published.len();
        memory.published = SharedList::default();
        let timed_out = |wait: &Wait| matches!(wait, Wait::Asked { answer: None, .. });
        let places = memory.waits.iter().enumerate().filter(|(_, wait)| timed_out(wait)).map(|(place, _)| place);
        for place in places.collect::<Vec<_>>() {
            if let Some(wait) = memory.waits.get_mut(place)
                && let Wait::Asked { question, .. } = *wait
            {
                *wait = Wait::Forgotten { question };
            }
        }
    }
}

impl Facts {
    pub(super) fn add_work(&mut self, turn: &mut Turn<'_>, step: StepId, event: WorkEvent, place: Option<Box<Place>>) {
        if let Some(scope) = place.as_deref().and_then(|place| self.scopes.get_mut(place.scope)) {
            scope.live += 1;
        }
        let work = Work {
            step,
            event,
            place,
            attempt: 1,
            pass: 0,
            conflicts: 0,
            began_us: 0,
            phase: WorkPhase::Queued,
            memory: None,
        };
        self.cost_bytes += work.cost_bytes();
        let number = self.next_work;
        self.next_work += 1;
        self.works.push(number, Box::new(work));
        self.enter(turn, number);
    }

    /// The work takes a slot, or queues for one.
    pub(super) fn enter(&mut self, turn: &mut Turn<'_>, number: u64) {
        let Some(work) = self.works.get_mut(number) else { return };
        let step = work.step;
        if let Some(slot) = self.slots.take_or_queue(step, turn.graph.step(step).workers, number) {
            self.run_in_slot(turn, number, slot);
        } else {
            work.phase = WorkPhase::Queued;
            let input = work.input(turn.graph);
            let (state, output) = (StepState::Preparing, StepOutput::None);
            self.publish(turn, Published::Step { step, state, slot: None, input, output });
        }
    }

    /// The slot is free again; the oldest queued work of the step takes one.
    pub(super) fn free_slot(&mut self, turn: &mut Turn<'_>, step: StepId, slot: u16) {
        if let Some((number, slot)) = self.slots.release(step, turn.graph.step(step).workers, slot) {
            self.run_in_slot(turn, number, slot);
        }
    }

    fn run_in_slot(&mut self, turn: &mut Turn<'_>, number: u64, slot: u16) {
        let Some(work) = self.works.get_mut(number) else { return };
        work.phase = WorkPhase::Held { slot };
        let (step, input) = (work.step, work.input(turn.graph));
        let (state, output) = (StepState::Running, StepOutput::None);
        self.publish(turn, Published::Step { step, state, slot: Some(slot), input, output });
        self.launch_unless_held(turn, number);
    }

    /// Starts the pass of a work that has a slot, unless none of the run may start now.
    pub(super) fn launch_unless_held(&mut self, turn: &mut Turn<'_>, number: u64) {
        if matches!(self.phase, Phase::Admitted) && self.alone.is_empty() {
            self.launch(turn, number);
        } else {
            self.held = true;
        }
    }

    pub(super) fn launch(&mut self, turn: &mut Turn<'_>, number: u64) {
        let Some(work) = self.works.get_mut(number) else { return };
        let WorkPhase::Held { slot } = work.phase else { return };
        work.phase = WorkPhase::Running { slot };
        if work.pass == 0 {
            work.began_us = turn.now.alive_us;
        }
        self.running += 1;
        turn.effects.push(Effect::StartPass(PassId { work: number, pass: work.pass }));
    }

    pub(super) fn release_held(&mut self, turn: &mut Turn<'_>) {
        self.held = false;
        let held = self.works.iter().filter(|(_, work)| matches!(work.phase, WorkPhase::Held { .. }));
        for number in held.map(|(number, _)| number).collect::<Vec<_>>() {
            self.launch(turn, number);
        }
    }

    /// The pass has ended: its number is used up, its work keeps the slot. `None` if the pass is stale.
    pub(super) fn end_pass(&mut self, pass: PassId) -> Option<u16> {
        let work = self.works.get_mut(pass.work).filter(|work| work.pass == pass.pass)?;
        let WorkPhase::Running { slot } = work.phase else { return None };
        work.phase = WorkPhase::Held { slot };
        work.pass = work.pass.saturating_add(1);
        self.running -= 1;
        if self.alone.first() == Some(&pass.work) {
            self.alone.remove(0);
        }
        Some(slot)
    }

    /// What the pass read has changed meanwhile: its body runs again, after some conflicts alone.
    pub(super) fn run_again(&mut self, turn: &mut Turn<'_>, number: u64) {
        let Some(work) = self.works.get_mut(number) else { return };
        work.conflicts = work.conflicts.saturating_add(1);
        if work.conflicts >= CONFLICTS_MAX {
            self.alone.push(number);
        } else {
            self.launch_unless_held(turn, number);
        }
    }

    /// The delay before the next attempt is over.
    pub(super) fn try_again(&mut self, turn: &mut Turn<'_>, number: u64) {
        if self.change(number, Work::renew).is_some() {
            self.enter(turn, number);
        }
    }
}

//! Works of a run: how they are created, take slots, start passes, and are held back.

use super::{
    facts::{Facts, Reduction, RunPhase},
    scope::ScopePosition,
    work::{Work, WorkPhase},
};
use crate::{
    engine::{
        input::{Effect, PassId},
        published::{Published, StepOutput, StepState},
    },
    graph::StepId,
    limits::CONFLICTS_MAX,
    pass::WorkEvent,
};

impl Facts {
    pub(super) fn add_work(
        &mut self,
        reduction: &mut Reduction<'_>,
        step: StepId,
        event: WorkEvent,
        position: Option<Box<ScopePosition>>,
    ) {
        if let Some(scope) = position.as_deref().and_then(|position| self.scopes.get_mut(position.scope)) {
            scope.live += 1;
        }
        let work = Work {
            step,
            event,
            position,
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
        self.enter(reduction, number);
    }

    /// Gives the work a slot, or queues it for one.
    pub(super) fn enter(&mut self, reduction: &mut Reduction<'_>, number: u64) {
        let Some(work) = self.works.get_mut(number) else { return };
        let step = work.step;
        if let Some(slot) = self.slots.take_or_queue(step, reduction.graph.step(step).workers, number) {
            self.run_in_slot(reduction, number, slot);
        } else {
            work.phase = WorkPhase::Queued;
            let input = work.input(reduction.graph);
            let (state, output) = (StepState::Preparing, StepOutput::None);
            self.publish(reduction, Published::Step { step, state, slot: None, input, output });
        }
    }

    /// Frees a slot, which the oldest queued work of the step takes.
    pub(super) fn free_slot(&mut self, reduction: &mut Reduction<'_>, step: StepId, slot: u16) {
        if let Some((number, slot)) = self.slots.release(step, reduction.graph.step(step).workers, slot) {
            self.run_in_slot(reduction, number, slot);
        }
    }

    fn run_in_slot(&mut self, reduction: &mut Reduction<'_>, number: u64, slot: u16) {
        let Some(work) = self.works.get_mut(number) else { return };
        work.phase = WorkPhase::Held { slot };
        let (step, input) = (work.step, work.input(reduction.graph));
        let (state, output) = (StepState::Running, StepOutput::None);
        self.publish(reduction, Published::Step { step, state, slot: Some(slot), input, output });
        self.launch_unless_held(reduction, number);
    }

    /// Starts the pass of a work that has a slot, unless no work of the run may start now.
    pub(super) fn launch_unless_held(&mut self, reduction: &mut Reduction<'_>, number: u64) {
        if matches!(self.phase, RunPhase::Admitted) && self.alone.is_empty() {
            self.launch(reduction, number);
        } else {
            self.held = true;
        }
    }

    pub(super) fn launch(&mut self, reduction: &mut Reduction<'_>, number: u64) {
        let Some(work) = self.works.get_mut(number) else { return };
        let WorkPhase::Held { slot } = work.phase else { return };
        work.phase = WorkPhase::Running { slot };
        if work.pass == 0 {
            work.began_us = reduction.now.alive_us;
        }
        self.running += 1;
        reduction.effects.push(Effect::StartPass(PassId { work: number, pass: work.pass }));
    }

    pub(super) fn release_held(&mut self, reduction: &mut Reduction<'_>) {
        self.held = false;
        let held = self.works.iter().filter(|(_, work)| matches!(work.phase, WorkPhase::Held { .. }));
        for number in held.map(|(number, _)| number).collect::<Vec<_>>() {
            self.launch(reduction, number);
        }
    }

    /// Ends the pass: its number is used up, its work retains the slot. Returns `None` if the pass is stale.
    pub(super) fn end_pass(&mut self, pass: PassId) -> Option<u16> {
        let work = self.works.get_mut(pass.work).filter(|work| work.pass == pass.pass)?;
        let WorkPhase::Running { slot } = work.phase else { return None };
        work.phase = WorkPhase::Held { slot };
        work.pass = work.pass.saturating_add(1);
        self.running -= 1;
        self.lost.remove(pass.work);
        if self.alone.first() == Some(&pass.work) {
            self.alone.remove(0);
        }
        Some(slot)
    }

    /// Runs the body again because state that the pass read has changed; after several conflicts it runs alone.
    pub(super) fn run_again(&mut self, reduction: &mut Reduction<'_>, number: u64) {
        let Some(work) = self.works.get_mut(number) else { return };
        work.conflicts = work.conflicts.saturating_add(1);
        if work.conflicts >= CONFLICTS_MAX {
            self.alone.push(number);
        } else {
            self.launch_unless_held(reduction, number);
        }
    }

    /// Begins the next attempt after its delay.
    pub(super) fn try_again(&mut self, reduction: &mut Reduction<'_>, number: u64) {
        if self.change(number, Work::renew).is_some() {
            self.enter(reduction, number);
        }
    }
}

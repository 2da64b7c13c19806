//! Checks the flow of events: producers, consumers, steps that never run, steps that lead nowhere.

use std::collections::BTreeSet;

use super::{EventId, EventKind, Fault, Graph, StepFault, StepId, StepType, scopes};

/// Reports types without producer or consumer, and steps that never run or never lead to the stop event. Does not
/// report what follows from a fault that is already reported.
pub(super) fn check(graph: &Graph, faults: &mut Vec<Fault>) {
    let flow = Flow { graph, produced: produced(graph) };
    flow.check_producers(faults);
    flow.check_consumers(faults);
    flow.check_reachable(faults);
    flow.check_ends(faults);
}

struct Flow<'a> {
    graph: &'a Graph,
    /// The types that some step returns or sends.
    produced: BTreeSet<EventId>,
}

impl Flow<'_> {
    fn check_producers(&self, faults: &mut Vec<Fault>) {
        for step in &self.graph.steps {
            for event in step.takes.iter().filter(|event| !self.comes(step, **event)) {
                let event = self.graph.event(*event);
                let may_be_external = event.kind == EventKind::Plain && !step.fan_in;
                let fault = StepFault::NeverComes { event: event.name.clone(), may_be_external };
                faults.push(step.with(fault));
            }
        }
        if self.consumers(self.graph.start).next().is_none() {
            let start = &self.graph.event(self.graph.start).name;
            faults.push(Fault::StartUnused(start.clone()));
        }
    }

    fn check_consumers(&self, faults: &mut Vec<Fault>) {
        for step in &self.graph.steps {
            for event in self.lost(step) {
                faults.push(step.with(StepFault::NeverTaken(self.graph.event(event).name.clone())));
            }
        }
    }

    /// Types without a producer are treated as reachable, so that only steps cut off for other reasons are reported.
    fn check_reachable(&self, faults: &mut Vec<Fault>) {
        let mut reached = BTreeSet::new();
        let mut steps: Vec<StepId> = Vec::new();
        for (id, step) in self.steps() {
            let begins = |event: &EventId| *event == self.graph.start || self.is_from_outside(step, *event);
            if step.takes.iter().any(|event| begins(event) || !self.comes(step, *event)) {
                steps.push(id);
            }
        }
        while let Some(id) = steps.pop() {
            if reached.insert(id) {
                steps.extend(self.graph.step(id).outputs().flat_map(|event| self.consumers(event)));
            }
        }
        let start = &self.graph.event(self.graph.start).name;
        for (_, step) in self.steps().filter(|(id, step)| !reached.contains(id) && !step.takes.is_empty()) {
            let takes = step.takes.iter().map(|event| self.graph.event(*event).name.clone()).collect();
            faults.push(step.with(StepFault::Unreachable { start: start.clone(), takes }));
        }
    }

    /// Reports a step if the stop event cannot be reached from it and the run may depend on it: no other step takes its
    /// event and continues, no scope around it closes, and it was not sent beside an event that continues.
    fn check_ends(&self, faults: &mut Vec<Fault>) {
        let end = &self.graph.event(self.graph.stop).name;
        let stop = self.graph.stop;
        let returns_stop = |step: &StepType| step.returns.contains(&stop) && !step.fan_out;
        if !self.graph.steps.iter().any(|step| returns_stop(step) || step.on_failure == Some(stop)) {
            if !self.graph.steps.iter().any(|step| step.outputs().any(|event| event == self.graph.stop)) {
                faults.push(Fault::NoEnd(end.clone()));
            }
            return;
        }
        let ending = self.ending();
        let opens = |event: &EventId| self.graph.event(*event).external && self.graph.is_open(*event);
        if self
            .graph
            .steps
            .iter()
            .enumerate()
            .any(|(index, step)| ending.contains(&StepId(index as u16)) && !step.fan_in && step.takes.iter().any(opens))
        {
            // Clients can continue the run, wherever the steps lead.
            return;
        }
        let dispensable = self.dispensable(&ending);
        let stuck: BTreeSet<StepId> = self
            .steps()
            .filter(|(id, step)| !ending.contains(id) && step.takes.iter().any(|event| !dispensable.contains(event)))
            .map(|(id, _)| id)
            .collect();
        for id in &stuck {
            let step = self.graph.step(*id);
            let leads_on = |event: EventId| self.consumers(event).any(|next| next != *id && stuck.contains(&next));
            let told_elsewhere =
                self.lost(step).next().is_some() || (step.outputs().any(leads_on) && self.leads_to_leaf(*id));
            if !told_elsewhere {
                faults.push(step.with(StepFault::EndsNowhere(end.clone())));
            }
        }
    }

    /// Returns the steps from which the stop event can be reached, searching backwards from those that return it. A
    /// question that is emitted leads to every step that takes an answer from outside.
    fn ending(&self) -> BTreeSet<StepId> {
        let mut producers = vec![Vec::new(); self.graph.events.len()];
        let mut questioners = Vec::new();
        for (id, step) in self.steps() {
            for event in step.outputs() {
                producers[usize::from(event.0)].push(id);
                if self.graph.event(event).kind == EventKind::InputRequired {
                    questioners.push(id);
                }
            }
        }
        let mut ending = BTreeSet::new();
        let mut steps = producers[usize::from(self.graph.stop.0)].clone();
        while let Some(id) = steps.pop() {
            if ending.insert(id) {
                let step = self.graph.step(id);
                steps.extend(step.takes.iter().flat_map(|event| &producers[usize::from(event.0)]));
                if step.takes.iter().any(|event| self.is_from_outside(step, *event)) {
                    steps.append(&mut questioners);
                }
            }
        }
        ending
    }

    /// Returns the types whose arrival at a step that leads nowhere does not stall the run, and those that never
    /// arrive.
    fn dispensable(&self, ending: &BTreeSet<StepId>) -> BTreeSet<EventId> {
        let goes_on = |event: EventId| self.consumers(event).any(|step| ending.contains(&step));
        let ids = (0..self.graph.events.len()).map(|index| EventId(index as u16));
        let human = |event: EventId| self.graph.is_open(event);
        let never = |event: EventId| event != self.graph.start && !self.produced.contains(&event);
        let spare = |event: EventId| goes_on(event) || human(event) || never(event);
        let mut dispensable: BTreeSet<EventId> = ids.filter(|event| spare(*event)).collect();
        for (id, step) in self.steps().filter(|(id, _)| ending.contains(id)) {
            dispensable.extend(&step.sends);
            if step.fan_out {
                dispensable.extend(&step.returns);
            }
            if step.closers.iter().any(|closer| ending.contains(closer) && *closer != id) {
                dispensable.extend(scopes::types_inside(self.graph, step));
            }
        }
        loop {
            let before = dispensable.len();
            for (id, step) in self.steps() {
                if !ending.contains(&id) && step.takes.iter().all(|event| dispensable.contains(event)) {
                    dispensable.extend(step.outputs());
                }
            }
            if dispensable.len() == before {
                return dispensable;
            }
        }
    }

    /// Returns whether a step that emits nothing can be reached; only that step is reported then.
    fn leads_to_leaf(&self, from: StepId) -> bool {
        let (mut seen, mut steps) = (BTreeSet::new(), vec![from]);
        while let Some(id) = steps.pop() {
            if seen.insert(id) {
                let step = self.graph.step(id);
                if step.outputs().next().is_none() || self.lost(step).next().is_some() {
                    return true;
                }
                steps.extend(step.outputs().flat_map(|event| self.consumers(event)));
            }
        }
        false
    }

    /// Returns the types that a step emits and no step takes.
    fn lost(&self, step: &StepType) -> impl Iterator<Item = EventId> {
        let lost = |event: &EventId| {
            let shows = *event == self.graph.stop || self.graph.event(*event).kind == EventKind::InputRequired;
            !shows && self.consumers(*event).next().is_none()
        };
        step.outputs().filter(lost).collect::<BTreeSet<_>>().into_iter()
    }

    fn comes(&self, step: &StepType, event: EventId) -> bool {
        event == self.graph.start || self.produced.contains(&event) || self.is_from_outside(step, event)
    }

    /// Returns whether the event may reach the step from outside, which is never so for fan-in steps.
    fn is_from_outside(&self, step: &StepType, event: EventId) -> bool {
        !step.fan_in && self.graph.is_open(event)
    }

    fn consumers(&self, event: EventId) -> impl Iterator<Item = StepId> {
        self.graph.takers(event).iter().chain(self.graph.joiners(event)).copied()
    }

    fn steps(&self) -> impl Iterator<Item = (StepId, &StepType)> {
        self.graph.steps.iter().enumerate().map(|(index, step)| (StepId(index as u16), step))
    }
}

fn produced(graph: &Graph) -> BTreeSet<EventId> {
    graph.steps.iter().flat_map(StepType::outputs).collect()
}

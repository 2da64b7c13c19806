//! Fan-out and fan-in as a property of the graph: which steps open a scope, which close it, and at which depth.
//!
//! A step that returns a `Vec` or declares sends *may* open a scope, and does if a fan-in can be reached from the
//! events that it puts into it. Those fan-ins are its closers. A walk through a scope continues after each step with
//! the types that the step returns singly and, if it opens a scope of its own, with the outputs of that scope's
//! closers, which belong to the outer scope.

use std::collections::BTreeSet;

use super::{EventId, EventKind, Fault, Graph, StepFault, StepId, StepType};

/// Returns, by step, the fan-in steps that close the scopes opened by that step.
///
/// They are the least fixed point: a step is an opener once a fan-in can be reached from it without a walk through the
/// elements of another step that may open a scope. This misses none, as on any longer path the last such step is an
/// opener itself. A walk is repeated only after a step on it has gained closers; sets only grow, so this terminates.
pub(super) fn closers(graph: &Graph) -> Vec<Box<[StepId]>> {
    let mut closers: Vec<Box<[StepId]>> = vec![Box::default(); graph.steps.len()];
    let mut seen_from: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); graph.steps.len()];
    let mut queue: BTreeSet<usize> = (0..graph.steps.len()).filter(|index| graph.steps[*index].may_open()).collect();
    while let Some(index) = queue.pop_first() {
        let walk = Walk::inside(graph, &graph.steps[index], |step| &closers[usize::from(step.0)]);
        for step in walk.steps {
            seen_from[usize::from(step.0)].insert(index);
        }
        if walk.closers.len() > closers[index].len() {
            closers[index] = walk.closers.into_iter().collect();
            queue.extend(&seen_from[index]);
        }
    }
    closers
}

/// Returns the event types that may occur in the scopes opened by `opener`, excluding scopes nested in those.
pub(super) fn types_inside(graph: &Graph, opener: &StepType) -> BTreeSet<EventId> {
    Walk::inside(graph, opener, |step| &graph.step(step).closers).types
}

/// Reports fan-ins without a scope or at two depths, and questions returned inside a scope.
pub(super) fn check(graph: &Graph, faults: &mut Vec<Fault>) {
    let mut depths = Depths::new(graph);
    depths.fill();
    for (step, depths) in graph.steps.iter().zip(&depths.of_steps) {
        if step.fan_in && !step.takes.is_empty() {
            let takes = || step.takes.iter().map(|element| graph.event(*element).name.clone()).collect();
            let fault = match depths[..] {
                [0] => Some(StepFault::NoFanOut(takes())),
                [one, other] => Some(StepFault::TwoDepths { takes: takes(), depths: [one.min(other), one.max(other)] }),
                _ => None,
            };
            faults.extend(fault.map(|fault| step.with(fault)));
        }
        let returned_depth = |depth: u32| if step.fan_in { depth.saturating_sub(1) } else { depth };
        let inside = depths.iter().any(|depth| returned_depth(*depth) > 0);
        let opens = !step.closers.is_empty();
        let returns_inside = inside || (opens && step.fan_out);
        let sends_inside = inside || opens;
        let returned = step.returns.iter().filter(|_| returns_inside && !depths.is_empty());
        let sent = step.sends.iter().filter(|_| sends_inside && !depths.is_empty());
        let failed = step.on_failure.iter().filter(|_| inside);
        let questions =
            returned.chain(failed).chain(sent).filter(|event| graph.event(**event).kind == EventKind::InputRequired);
        for question in questions.collect::<BTreeSet<_>>() {
            faults.push(step.with(StepFault::QuestionInside(graph.event(*question).name.clone())));
        }
    }
}

impl StepType {
    /// Returns this fault as one of the step.
    pub(super) fn with(&self, fault: StepFault) -> Fault {
        Fault::Step { step: self.name.clone(), fault }
    }

    /// Returns whether its passes open a scope if a fan-in can be reached.
    fn may_open(&self) -> bool {
        self.fan_out || !self.sends.is_empty()
    }

    /// Returns the types that it puts into the scope that it may open.
    fn elements(&self) -> impl Iterator<Item = EventId> {
        let returned: &[EventId] = if self.fan_out { &self.returns } else { &[] };
        returned.iter().chain(&self.sends).copied()
    }

    /// Returns the types that it emits into the scope in which it runs.
    fn singles(&self) -> impl Iterator<Item = EventId> {
        let returned: &[EventId] = if self.fan_out { &[] } else { &self.returns };
        returned.iter().chain(&self.on_failure).copied()
    }
}

/// A walk through everything that may happen in one scope.
struct Walk {
    types: BTreeSet<EventId>,
    steps: BTreeSet<StepId>,
    closers: BTreeSet<StepId>,
}

impl Walk {
    fn inside<'a>(graph: &Graph, opener: &StepType, closers: impl Fn(StepId) -> &'a [StepId]) -> Self {
        let mut walk = Self { types: BTreeSet::new(), steps: BTreeSet::new(), closers: BTreeSet::new() };
        let mut types: Vec<EventId> = opener.elements().collect();
        while let Some(event) = types.pop() {
            if !walk.types.insert(event) {
                continue;
            }
            walk.closers.extend(graph.joiners(event));
            let mut steps = graph.takers(event).to_vec();
            while let Some(step) = steps.pop() {
                if walk.steps.insert(step) {
                    types.extend(graph.step(step).singles());
                    steps.extend(closers(step));
                }
            }
        }
        walk
    }
}

/// The depths of scopes at which events occur and steps take them, found by following a run in the abstract. At most
/// two depths are recorded: they suffice to tell one from many, and keep the search finite where a fan-out feeds
/// itself.
struct Depths<'a> {
    graph: &'a Graph,
    of_events: Vec<Vec<u32>>,
    /// For a fan-in, the depth of its elements; its output is one level up.
    of_steps: Vec<Vec<u32>>,
    arrivals: Vec<(EventId, u32)>,
}

impl<'a> Depths<'a> {
    fn new(graph: &'a Graph) -> Self {
        let (events, steps) = (vec![Vec::new(); graph.events.len()], vec![Vec::new(); graph.steps.len()]);
        Self { graph, of_events: events, of_steps: steps, arrivals: Vec::new() }
    }

    fn fill(&mut self) {
        self.arrive(self.graph.start, 0);
        for event in (0..self.graph.events.len()).map(|index| EventId(index as u16)) {
            if self.graph.is_open(event) {
                for step in self.graph.takers(event) {
                    self.take(*step, 0);
                }
            }
        }
        while let Some((event, depth)) = self.arrivals.pop() {
            for step in self.graph.takers(event).iter().chain(self.graph.joiners(event)) {
                self.take(*step, depth);
            }
        }
    }

    fn arrive(&mut self, event: EventId, depth: u32) {
        if note(&mut self.of_events[usize::from(event.0)], depth) {
            self.arrivals.push((event, depth));
        }
    }

    fn take(&mut self, step: StepId, depth: u32) {
        if !note(&mut self.of_steps[usize::from(step.0)], depth) {
            return;
        }
        let step = self.graph.step(step);
        let depth = match (step.fan_in, depth) {
            (true, 0) => return,
            (true, _) => depth - 1,
            (false, _) => depth,
        };
        for event in step.singles() {
            self.arrive(event, depth);
        }
        let elements_depth = if step.closers.is_empty() { depth } else { depth + 1 };
        for event in step.elements() {
            self.arrive(event, elements_depth);
        }
    }
}

/// Records `depth`. Returns whether it is new and among the first two.
fn note(depths: &mut Vec<u32>, depth: u32) -> bool {
    let new = depths.len() < 2 && !depths.contains(&depth);
    if new {
        depths.push(depth);
    }
    new
}

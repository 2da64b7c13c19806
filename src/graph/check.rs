//! Builds a validated [`Graph`] from parts, or reports every fault at once, in words that a newcomer can act on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    EventId, EventKind, EventType, Graph, Retry, StepId, StepType,
    fault::{EventFault, Fault, Faults, StepFault, Use},
    flow, scopes,
};
use crate::limits::{GRAPH_NAMES_MAX, INBOX_ANSWERS_MAX};

/// The parts of a workflow, by name, before they are checked.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The workflow's name.
    pub name: String,
    /// The module of its own events.
    pub module: Option<String>,
    /// The event types, in any order; a type may occur several times.
    pub events: Vec<EventType>,
    /// The steps, in order of declaration.
    pub steps: Vec<StepParts>,
    /// The start event's name.
    pub start: String,
    /// The stop event's name.
    pub stop: String,
    /// The time-out of a run.
    pub timeout: Option<Duration>,
    /// The most runs at a time.
    pub max_runs: Option<usize>,
}

/// The parts of one step, with its types by name.
#[derive(Clone, Debug, Default)]
pub struct StepParts {
    /// The step's name.
    pub name: String,
    /// The types it takes.
    pub takes: Vec<String>,
    /// Whether it takes a `Vec`.
    pub fan_in: bool,
    /// The types it returns.
    pub returns: Vec<String>,
    /// Whether it returns a `Vec`.
    pub fan_out: bool,
    /// The type it emits when its last attempt has failed.
    pub on_failure: Option<String>,
    /// The types it sends.
    pub sends: Vec<String>,
    /// The questions it asks, and their answers.
    pub asks: Vec<(String, String)>,
    /// The answers that may wait for its next question, and how many of each.
    pub inboxes: Vec<(String, usize)>,
    /// The types it declares to stream.
    pub streams: Vec<String>,
    /// The most passes at a time.
    pub workers: u16,
    /// The retry policy.
    pub retry: Retry,
    /// The time-out of a pass.
    pub timeout: Option<Duration>,
}

impl Graph {
    /// Checks the parts and interns their names.
    ///
    /// # Errors
    /// All faults of the parts.
    pub fn build(parts: Parts) -> Result<Self, Faults> {
        if parts.steps.len() > GRAPH_NAMES_MAX {
            return Err(Faults(vec![Fault::TooManySteps(parts.steps.len())]));
        }
        let mut faults = Vec::new();
        check_settings(&parts, &mut faults);
        let kinds = kinds(&parts, &mut faults);
        let events = intern_events(parts.events, &kinds, &mut faults);
        if events.len() > GRAPH_NAMES_MAX {
            return Err(Faults(vec![Fault::TooManyEvents(events.len())]));
        }
        let ids: Ids = events.iter().enumerate().map(|(i, event)| (event.name.clone(), EventId(i as u16))).collect();
        let steps = intern_steps(parts.steps, &ids, &mut faults);
        let (start, stop) = (find(&ids, &parts.start, || Use::Start), find(&ids, &parts.stop, || Use::Stop));
        let (start, stop) = match (start, stop) {
            (Ok(start), Ok(stop)) => (start, stop),
            (start, stop) => {
                faults.extend(start.err());
                faults.extend(stop.err());
                return Err(Faults(faults));
            }
        };
        let takers_of = takers(&steps, events.len(), false);
        let mut graph = Self {
            module: parts.module.unwrap_or_else(|| parts.name.clone()).into(),
            name: parts.name.into(),
            joiners: takers(&steps, events.len(), true),
            open: open(&events, &steps, &takers_of),
            takers: takers_of,
            events,
            steps,
            start,
            stop,
            timeout: parts.timeout,
            max_runs: parts.max_runs,
        };
        let closers = scopes::closers(&graph);
        for (step, closers) in graph.steps.iter_mut().zip(closers) {
            step.closers = closers;
        }
        check_external(&graph, &mut faults);
        if !graph.steps.is_empty() {
            flow::check(&graph, &mut faults);
            scopes::check(&graph, &mut faults);
        }
        if faults.is_empty() { Ok(graph) } else { Err(Faults(faults)) }
    }
}

type Ids = BTreeMap<Box<str>, EventId>;

/// Names that have another meaning on the wire.
const RESERVED_NAMES: [&str; 12] = [
    "Event",
    "HumanResponseEvent",
    "InputRequiredEvent",
    "InternalDispatchEvent",
    "StartEvent",
    "StepFailedEvent",
    "StepRetriedEvent",
    "StepStateChanged",
    "StopEvent",
    "WorkflowCancelledEvent",
    "WorkflowFailedEvent",
    "WorkflowTimedOutEvent",
];

fn check_settings(parts: &Parts, faults: &mut Vec<Fault>) {
    if parts.name.is_empty() {
        faults.push(Fault::NoName);
    }
    if parts.module.as_ref().is_some_and(String::is_empty) {
        faults.push(Fault::NoModule);
    }
    if parts.steps.is_empty() {
        faults.push(Fault::NoSteps { start: parts.start.as_str().into(), stop: parts.stop.as_str().into() });
    }
    if parts.timeout == Some(Duration::ZERO) {
        faults.push(Fault::NoTime);
    }
    if parts.max_runs == Some(0) {
        faults.push(Fault::NoRuns);
    }
    let mut seen = BTreeSet::new();
    for step in &parts.steps {
        let name = step.name.as_str();
        if name.is_empty() {
            faults.push(Fault::NamelessStep(step.takes.iter().map(|event| event.as_str().into()).collect()));
        } else if !seen.insert(name) {
            faults.push(Fault::SameStep(name.into()));
        }
        check_step(step, &parts.stop, &mut |fault| faults.push(Fault::Step { step: name.into(), fault }));
    }
}

fn check_step(step: &StepParts, stop: &String, fault: &mut impl FnMut(StepFault)) {
    let StepParts { takes, returns, sends, streams, workers, timeout, fan_out, .. } = step;
    let name = || stop.as_str().into();
    if *workers == 0 {
        fault(StepFault::NoWorkers);
    }
    if *timeout == Some(Duration::ZERO) {
        fault(StepFault::NoTime);
    }
    if takes.is_empty() {
        fault(StepFault::TakesNothing);
    }
    if takes.contains(stop) {
        fault(StepFault::TakesStop(name()));
    }
    if *fan_out && returns.contains(stop) {
        fault(StepFault::ReturnsStops(name()));
    }
    check_inboxes(step, fault);
    if sends.contains(stop) {
        fault(StepFault::SendsStop(name()));
    }
    if streams.contains(stop) {
        fault(StepFault::StreamsStop(name()));
    }
}

fn check_inboxes(step: &StepParts, fault: &mut impl FnMut(StepFault)) {
    for (index, (answer, count)) in step.inboxes.iter().enumerate() {
        let name = || answer.as_str().into();
        if !step.asks.iter().any(|(_, by)| by == answer) {
            fault(StepFault::InboxUnasked(name()));
        }
        if *count == 0 || *count > INBOX_ANSWERS_MAX {
            fault(StepFault::InboxSize { answer: name(), count: *count });
        }
        if step.inboxes[..index].iter().any(|(other, _)| other == answer) {
            fault(StepFault::TwoInboxes(name()));
        }
    }
}

/// Returns the kind of each type whose use determines more than its declaration. A type has one purpose.
fn kinds(parts: &Parts, faults: &mut Vec<Fault>) -> BTreeMap<String, EventKind> {
    let mut uses: BTreeMap<String, Vec<(EventKind, Use)>> = BTreeMap::new();
    let mut note = |name: &str, kind: EventKind, of: Use| {
        let uses = uses.entry(name.to_owned()).or_default();
        if uses.iter().all(|(known, _)| *known != kind) {
            uses.push((kind, of));
        }
    };
    note(&parts.start, EventKind::Start, Use::Start);
    note(&parts.stop, EventKind::Stop, Use::Stop);
    for step in &parts.steps {
        for (question, answer) in &step.asks {
            note(question, EventKind::InputRequired, Use::Question(step.name.as_str().into()));
            note(answer, EventKind::HumanResponse, Use::Answer(step.name.as_str().into()));
        }
    }
    for event in &parts.events {
        match event.kind {
            EventKind::Plain | EventKind::Start | EventKind::Stop => {}
            EventKind::InputRequired | EventKind::HumanResponse => {
                note(&event.name, event.kind, Use::Declared(event.kind));
            }
        }
    }
    let mut kinds = BTreeMap::new();
    for (name, uses) in uses {
        if let [(_, one), (_, other), ..] = uses.as_slice() {
            let fault = EventFault::TwoUses(one.clone(), other.clone());
            faults.push(Fault::Event { event: name.as_str().into(), fault });
        }
        kinds.insert(name, uses[0].0);
    }
    kinds
}

fn intern_events(
    events: Vec<EventType>,
    kinds: &BTreeMap<String, EventKind>,
    faults: &mut Vec<Fault>,
) -> Box<[EventType]> {
    let mut known: BTreeMap<Box<str>, EventType> = BTreeMap::new();
    let mut clashing = BTreeSet::new();
    for event in events {
        let Some(first) = known.get(&event.name) else {
            known.insert(event.name.clone(), event);
            continue;
        };
        let same = first.qualified_name == event.qualified_name && first.schema == event.schema;
        if !same && clashing.insert(event.name.clone()) {
            let (one, other) = (&first.qualified_name, &event.qualified_name);
            let fault =
                if one == other { EventFault::OtherFields } else { EventFault::TwoTypes(one.clone(), other.clone()) };
            faults.push(Fault::Event { event: event.name, fault });
        }
    }
    for event in known.values_mut() {
        event.kind = kinds.get(&*event.name).copied().unwrap_or(EventKind::Plain);
        if event.name.is_empty() {
            faults.push(Fault::NamelessEvent);
        }
        if !event.builtin && RESERVED_NAMES.contains(&&*event.name) {
            faults.push(Fault::Event { event: event.name.clone(), fault: EventFault::Reserved });
        }
    }
    known.into_values().collect()
}

fn intern_steps(steps: Vec<StepParts>, ids: &Ids, faults: &mut Vec<Fault>) -> Box<[StepType]> {
    let mut known = BTreeMap::new();
    for step in steps {
        let mut all = |names: &[String]| -> Box<[EventId]> {
            let mut found = Vec::new();
            for name in names {
                match find(ids, name, || Use::Step(step.name.as_str().into())) {
                    Ok(id) if found.contains(&id) => {}
                    Ok(id) => found.push(id),
                    Err(fault) => faults.push(fault),
                }
            }
            found.into()
        };
        let asks =
            step.asks.iter().filter_map(|(question, answer)| match all(&[question.clone(), answer.clone()])[..] {
                [question, answer] => Some((question, answer)),
                _ => None,
            });
        let asks = asks.collect();
        // An inbox for a missing type is reported as a fault of its step.
        let inbox = |(name, count): &(String, usize)| Some((*ids.get(name.as_str())?, *count as u32));
        let inboxes: Vec<_> = step.inboxes.iter().filter_map(inbox).collect();
        let step = StepType {
            takes: all(&step.takes),
            fan_in: step.fan_in,
            returns: all(&step.returns),
            fan_out: step.fan_out,
            on_failure: all(step.on_failure.as_slice()).first().copied(),
            sends: all(&step.sends),
            asks,
            inboxes: inboxes.into(),
            streams: all(&step.streams),
            workers: step.workers,
            retry: step.retry,
            timeout: step.timeout,
            closers: Box::default(),
            name: step.name.into(),
        };
        known.entry(step.name.clone()).or_insert(step);
    }
    known.into_values().collect()
}

fn find(ids: &Ids, name: &str, used_by: impl FnOnce() -> Use) -> Result<EventId, Fault> {
    let unknown = || Fault::Event { event: name.into(), fault: EventFault::Unknown(used_by()) };
    ids.get(name).copied().ok_or_else(unknown)
}

pub(super) fn takers(steps: &[StepType], events: usize, fan_in: bool) -> Box<[Box<[StepId]>]> {
    let mut takers = vec![Vec::new(); events];
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.fan_in == fan_in) {
        for event in &step.takes {
            takers[usize::from(event.0)].push(StepId(index as u16));
        }
    }
    takers.into_iter().map(Vec::into_boxed_slice).collect()
}

/// Returns for each event type whether clients may send it: see [`Graph::open`].
pub(super) fn open(events: &[EventType], steps: &[StepType], takers: &[Box<[StepId]>]) -> Box<[bool]> {
    let is_used = |index: usize| {
        let answers = |step: &StepType| step.asks.iter().any(|(_, answer)| usize::from(answer.0) == index);
        !takers[index].is_empty() || steps.iter().any(answers)
    };
    let is_open = |(index, event): (usize, &EventType)| {
        (event.external || event.kind == EventKind::HumanResponse) && is_used(index)
    };
    events.iter().enumerate().map(is_open).collect()
}

/// Checks that what is opened to the outside is taken by a step.
fn check_external(graph: &Graph, faults: &mut Vec<Fault>) {
    for (index, event) in graph.events.iter().enumerate().filter(|(_, event)| event.external) {
        let fault = match event.kind {
            EventKind::Stop | EventKind::InputRequired => EventFault::ExternalKind(event.kind),
            _ if graph.open[index] => continue,
            _ => EventFault::ExternalUnused,
        };
        faults.push(Fault::Event { event: event.name.clone(), fault });
    }
}

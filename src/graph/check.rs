//! Builds a validated [`Graph`] from parts, or reports every fault at once, in words that a newcomer can act on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    EventId, EventKind, EventType, Graph, Retry, StepId, StepType,
    fault::{Fault, Faults},
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
            return Err(Faults(vec![too_many("steps", parts.steps.len())]));
        }
        let mut faults = Vec::new();
        check_settings(&parts, &mut faults);
        let kinds = kinds(&parts, &mut faults);
        let events = intern_events(parts.events, &kinds, &mut faults);
        if events.len() > GRAPH_NAMES_MAX {
            return Err(Faults(vec![too_many("event types", events.len())]));
        }
        let ids: Ids = events.iter().enumerate().map(|(i, event)| (event.name.clone(), EventId(i as u16))).collect();
        let steps = intern_steps(parts.steps, &ids, &mut faults);
        let (start, stop) = (find(&ids, &parts.start, "the start event"), find(&ids, &parts.stop, "the stop event"));
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

fn too_many(what: &str, count: usize) -> Fault {
    Fault(format!("The workflow has {count} {what}; at most {GRAPH_NAMES_MAX} are possible. Split it."))
}

fn check_settings(parts: &Parts, faults: &mut Vec<Fault>) {
    let mut fault = |text: String| faults.push(Fault(text));
    if parts.name.is_empty() {
        fault("The workflow has an empty name; clients call it by its name.".into());
    }
    if parts.module.as_ref().is_some_and(String::is_empty) {
        fault("The workflow's module is empty; leave it out to use the workflow's name.".into());
    }
    if parts.steps.is_empty() {
        let (start, stop) = (&parts.start, &parts.stop);
        fault(format!("The workflow has no step: add one that takes `{start}`, and one that returns `{stop}`."));
    }
    if parts.timeout == Some(Duration::ZERO) {
        fault("The workflow's timeout is 0, so every run would fail at once: leave it out for none.".into());
    }
    if parts.max_runs == Some(0) {
        fault("The workflow's max_runs is 0, so no run would ever start: leave it out for no bound.".into());
    }
    let mut seen = BTreeSet::new();
    for step in &parts.steps {
        let StepParts { name, takes, returns, sends, streams, workers, timeout, fan_out, .. } = step;
        if name.is_empty() {
            fault(format!("A step that takes {} has an empty name.", list(takes)));
        } else if !seen.insert(name) {
            fault(format!("Two steps are named `{name}`: give one of them another name."));
        }
        if *workers == 0 {
            fault(format!("Step `{name}` has 0 workers, so it would never run: give it at least 1."));
        }
        if *timeout == Some(Duration::ZERO) {
            fault(format!("Step `{name}` has a timeout of 0, so every pass would fail: leave it out for none."));
        }
        if takes.is_empty() {
            fault(format!("Step `{name}` takes no event, so nothing would ever run it."));
        }
        let stop = &parts.stop;
        if takes.contains(stop) {
            fault(format!("Step `{name}` takes the stop event `{stop}`, but the run has ended by then: take another."));
        }
        if *fan_out && returns.contains(stop) {
            fault(format!(
                "Step `{name}` returns the stop event `{stop}` inside a `Vec`; a run has one outcome: return \
                 it instead."
            ));
        }
        check_inboxes(step, &mut fault);
        if sends.contains(stop) {
            fault(format!("Step `{name}` sends the stop event `{stop}`; a run has one outcome: return it instead."));
        }
        if streams.contains(stop) {
            fault(format!(
                "Step `{name}` streams the stop event `{stop}`, which must be the last of the feed: return it instead."
            ));
        }
    }
}

fn check_inboxes(step: &StepParts, fault: &mut impl FnMut(String)) {
    let name = &step.name;
    for (index, (answer, count)) in step.inboxes.iter().enumerate() {
        if !step.asks.iter().any(|(_, by)| by == answer) {
            fault(format!(
                "Step `{name}` has an inbox for `{answer}`, but asks no question that `{answer}` answers: let its \
                 context name the question, or leave the inbox out."
            ));
        }
        if *count == 0 || *count > INBOX_ANSWERS_MAX {
            fault(format!("Step `{name}` has an inbox for {count} `{answer}`; it may hold 1 to {INBOX_ANSWERS_MAX}."));
        }
        if step.inboxes[..index].iter().any(|(other, _)| other == answer) {
            fault(format!("Step `{name}` has two inboxes for `{answer}`: leave one of them out."));
        }
    }
}

/// Returns the kind of each type whose use determines more than its declaration. A type has one purpose.
fn kinds(parts: &Parts, faults: &mut Vec<Fault>) -> BTreeMap<String, EventKind> {
    let mut uses: BTreeMap<String, Vec<(EventKind, String)>> = BTreeMap::new();
    let mut note = |name: &str, kind: EventKind, words: String| {
        let uses = uses.entry(name.to_owned()).or_default();
        if uses.iter().all(|(known, _)| *known != kind) {
            uses.push((kind, words));
        }
    };
    note(&parts.start, EventKind::Start, "the start event".into());
    note(&parts.stop, EventKind::Stop, "the stop event".into());
    for step in &parts.steps {
        for (question, answer) in &step.asks {
            note(question, EventKind::InputRequired, format!("a question of step `{}`", step.name));
            note(answer, EventKind::HumanResponse, format!("an answer that step `{}` waits for", step.name));
        }
    }
    for event in &parts.events {
        match event.kind {
            EventKind::Plain | EventKind::Start | EventKind::Stop => {}
            EventKind::InputRequired => note(&event.name, event.kind, "declared as input-required".into()),
            EventKind::HumanResponse => note(&event.name, event.kind, "declared as a human response".into()),
        }
    }
    let mut kinds = BTreeMap::new();
    for (name, uses) in uses {
        if let [(_, one), (_, other), ..] = uses.as_slice() {
            faults.push(Fault(format!("`{name}` is {one} and also {other}: use a type of its own for each.")));
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
            let differ =
                if one == other { "with differing fields".to_owned() } else { format!("`{one}` and `{other}`") };
            faults.push(Fault(format!(
                "Two event types are named `{}`, {differ}: rename one, or give it another wire name.",
                event.name
            )));
        }
    }
    for event in known.values_mut() {
        event.kind = kinds.get(&*event.name).copied().unwrap_or(EventKind::Plain);
        if event.name.is_empty() {
            faults.push(Fault("An event type has an empty name.".into()));
        }
        if !event.builtin && RESERVED_NAMES.contains(&&*event.name) {
            faults.push(Fault(format!(
                "`{}` is the name of a built-in event: rename yours, or give it another wire name.",
                event.name
            )));
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
                match find(ids, name, &format!("step `{}`", step.name)) {
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

fn find(ids: &Ids, name: &str, used_by: &str) -> Result<EventId, Fault> {
    let unknown = || Fault(format!("`{name}`, used by {used_by}, is not among the event types."));
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
        let name = &event.name;
        match event.kind {
            EventKind::Stop | EventKind::InputRequired => {
                let kind = if event.kind == EventKind::Stop { "the stop event" } else { "a question" };
                faults.push(Fault(format!(
                    "`{name}` is declared `External` and is {kind}, which never comes from outside: use a type of its \
                     own for what clients send."
                )));
            }
            _ if graph.open[index] => {}
            _ => faults.push(Fault(format!(
                "`{name}` is declared `External`, but no step takes it: add a step that takes `{name}` singly, or \
                 declare it without `External`."
            ))),
        }
    }
}

/// Formats a list: "`A`, `B` and `C`".
fn list<T: AsRef<str>>(names: &[T]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        text += match index {
            0 => "",
            _ if index + 1 == names.len() => " and ",
            _ => ", ",
        };
        text.extend(["`", name.as_ref(), "`"]);
    }
    if text.is_empty() { "nothing".into() } else { text }
}

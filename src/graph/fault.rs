//! Faults of a graph. Their texts are in [`words`](super::words).

use std::fmt;

use super::EventKind;

/// One fault of a graph.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The workflow has too many steps.
    TooManySteps(usize),
    /// The workflow has too many event types.
    TooManyEvents(usize),
    /// The workflow's name is empty.
    NoName,
    /// The workflow's module is empty.
    NoModule,
    /// The workflow has no steps.
    NoSteps {
        /// Its start event.
        start: Box<str>,
        /// Its stop event.
        stop: Box<str>,
    },
    /// The workflow's time-out is 0.
    NoTime,
    /// The workflow's `max_runs` is 0.
    NoRuns,
    /// No step takes the start event, which has this name.
    StartUnused(Box<str>),
    /// No step returns the stop event, which has this name.
    NoEnd(Box<str>),
    /// A step that takes these events has an empty name.
    NamelessStep(Box<[Box<str>]>),
    /// Two steps have this name.
    SameStep(Box<str>),
    /// A step has a fault.
    Step {
        /// The step.
        step: Box<str>,
        /// What is wrong with it.
        fault: StepFault,
    },
    /// An event type has an empty name.
    NamelessEvent,
    /// An event type has a fault.
    Event {
        /// The event type.
        event: Box<str>,
        /// What is wrong with it.
        fault: EventFault,
    },
}

/// What is wrong with a step. Names are of event types.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StepFault {
    /// It has no workers.
    NoWorkers,
    /// Its time-out is 0.
    NoTime,
    /// It takes no event.
    TakesNothing,
    /// It takes the stop event.
    TakesStop(Box<str>),
    /// It returns the stop event in a list.
    ReturnsStops(Box<str>),
    /// It sends the stop event.
    SendsStop(Box<str>),
    /// It streams the stop event.
    StreamsStop(Box<str>),
    /// It has an inbox for this answer, but asks no question that it answers.
    InboxUnasked(Box<str>),
    /// An inbox cannot be of this size.
    InboxSize {
        /// The answer.
        answer: Box<str>,
        /// How many it is to hold.
        count: usize,
    },
    /// It has two inboxes for this answer.
    TwoInboxes(Box<str>),
    /// It takes an event that no step emits.
    NeverComes {
        /// The event.
        event: Box<str>,
        /// Whether it could come from outside.
        may_be_external: bool,
    },
    /// It emits an event that no step takes.
    NeverTaken(Box<str>),
    /// Nothing leads to it.
    Unreachable {
        /// The start event.
        start: Box<str>,
        /// The events that it takes.
        takes: Box<[Box<str>]>,
    },
    /// It does not lead to the stop event, which has this name.
    EndsNowhere(Box<str>),
    /// It is a fan-in, but no fan-out leads to these events.
    NoFanOut(Box<[Box<str>]>),
    /// It is a fan-in, but these events come at two depths of fan-out.
    TwoDepths {
        /// The events.
        takes: Box<[Box<str>]>,
        /// The depths, the lower one first.
        depths: [u32; 2],
    },
    /// It emits this question inside a fan-out.
    QuestionInside(Box<str>),
    /// Its `on_failure` expects another type than it takes.
    OnFailure {
        /// The type that it takes.
        takes: Box<str>,
        /// The type in the `Failure` that is expected.
        expects: Box<str>,
    },
}

/// What is wrong with an event type.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EventFault {
    /// Its uses need different kinds of events.
    TwoUses(Use, Use),
    /// Another type with the same name has other fields.
    OtherFields,
    /// Two types with its name are declared in different places: their qualified names.
    TwoTypes(Box<str>, Box<str>),
    /// A built-in event has its name.
    Reserved,
    /// It is not among the event types.
    Unknown(Use),
    /// It is open to clients, but of this kind, which never comes from them.
    ExternalKind(EventKind),
    /// It is open to clients, but no step takes it.
    ExternalUnused,
}

/// What an event type is used for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Use {
    /// It starts the workflow.
    Start,
    /// It ends the workflow.
    Stop,
    /// This step refers to it.
    Step(Box<str>),
    /// This step asks it.
    Question(Box<str>),
    /// This step waits for it as an answer.
    Answer(Box<str>),
    /// It is declared to be of this kind.
    Declared(EventKind),
}

/// A step or event type that a fault is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject<'a> {
    /// The step with this name.
    Step(&'a str),
    /// The event type with this name.
    Event(&'a str),
}

impl Fault {
    /// Returns what it is about, the most important first.
    pub fn subjects(&self) -> Vec<Subject<'_>> {
        match self {
            Self::NoSteps { start, stop } => vec![Subject::Event(start), Subject::Event(stop)],
            Self::StartUnused(event) | Self::NoEnd(event) => vec![Subject::Event(event)],
            Self::NamelessStep(takes) => takes.iter().map(|event| Subject::Event(event)).collect(),
            Self::SameStep(step) | Self::Step { step, .. } => vec![Subject::Step(step)],
            Self::Event { event, fault } => {
                let steps = match fault {
                    EventFault::TwoUses(one, other) => vec![one.step(), other.step()],
                    EventFault::Unknown(by) => vec![by.step()],
                    _ => Vec::new(),
                };
                let steps = steps.into_iter().flatten().map(Subject::Step);
                std::iter::once(Subject::Event(event)).chain(steps).collect()
            }
            Self::TooManySteps(_)
            | Self::TooManyEvents(_)
            | Self::NoName
            | Self::NoModule
            | Self::NoTime
            | Self::NoRuns
            | Self::NamelessEvent => Vec::new(),
        }
    }
}

impl Use {
    fn step(&self) -> Option<&str> {
        match self {
            Self::Step(step) | Self::Question(step) | Self::Answer(step) => Some(step),
            Self::Start | Self::Stop | Self::Declared(_) => None,
        }
    }
}

/// All faults of a graph.
#[derive(Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(formatter, "{line_break}- {fault}")?;
        }
        Ok(())
    }
}

/// The same text as [`Display`](fmt::Display): a `main` that returns the error shows it in this form.
impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the workflow's graph has faults\n{self}")
    }
}

impl std::error::Error for Faults {}

impl std::error::Error for Fault {}

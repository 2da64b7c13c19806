//! What faults of a graph say, in the words of what it was written in.

use std::fmt::{self, Formatter};

use super::{
    EventKind,
    fault::{EventFault, Fault, StepFault, Use},
};
use crate::limits::{GRAPH_NAMES_MAX, INBOX_ANSWERS_MAX};

/// The words for what a graph was written in. Some are the text around a name.
#[derive(Debug)]
pub struct Words {
    /// A step *takes* an event.
    pub takes: &'static str,
    /// *Take* another event.
    pub take: &'static str,
    /// A step *returns* an event.
    pub returns: &'static str,
    /// *Return* another event.
    pub return_: &'static str,
    /// A step *returns or sends* an event.
    pub returns_or_sends: &'static str,
    /// A step *gives out* an event.
    pub gives_out: &'static str,
    /// Stands around the types of a list.
    pub list: [&'static str; 2],
    /// The stop event is *inside a list*.
    pub in_list: &'static str,
    /// *Return a list*.
    pub return_list: &'static str,
    /// *Write the event to the stream* instead of giving it out.
    pub stream: &'static str,
    /// *Name the question* of an inbox.
    pub name_question: &'static str,
    /// An event type *is declared* as one from outside.
    pub is_external: &'static str,
    /// *Declare it* as another.
    pub not_external: &'static str,
    /// Stands around the name of a type that is to be declared as one from outside.
    pub declare_external: [&'static str; 2],
    /// *Give the type another name*.
    pub rename: &'static str,
}

/// The words of workflows in Rust.
pub const RUST: Words = Words {
    takes: "takes",
    take: "take",
    returns: "returns",
    return_: "return",
    returns_or_sends: "returns or sends",
    gives_out: "gives out",
    list: ["Vec<", ">"],
    in_list: "inside a `Vec`",
    return_list: "return a `Vec` or declare sends",
    stream: "write it to the stream with `ctx.stream`",
    name_question: "let its context name the question",
    is_external: "is declared `External`",
    not_external: "declare it without `External`",
    declare_external: ["declare it as `struct ", ": External`"],
    rename: "rename yours, or give it another wire name",
};

/// In the words of Rust.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.write(&RUST, out)
    }
}

impl Fault {
    /// Returns what it says in these words.
    pub fn in_words<'a>(&'a self, words: &'a Words) -> impl fmt::Display {
        InWords(self, words)
    }

    fn write(&self, words: &Words, out: &mut Formatter<'_>) -> fmt::Result {
        let Words { takes, returns, return_, .. } = words;
        match self {
            Self::TooManySteps(count) => write_too_many(out, *count, "steps"),
            Self::TooManyEvents(count) => write_too_many(out, *count, "event types"),
            Self::NoName => out.write_str("The workflow has an empty name; clients call it by its name."),
            Self::NoModule => out.write_str("The workflow's module is empty; leave it out to use the workflow's name."),
            Self::NoSteps { start, stop } => write!(
                out,
                "The workflow has no step: add one that {takes} `{start}`, and one that {returns} `{stop}`."
            ),
            Self::NoTime => {
                out.write_str("The workflow's timeout is 0, so every run would fail at once: leave it out for none.")
            }
            Self::NoRuns => {
                out.write_str("The workflow's max_runs is 0, so no run would ever start: leave it out for no bound.")
            }
            Self::StartUnused(start) => {
                write!(out, "No step {takes} the start event `{start}`, so no run would do anything.")
            }
            Self::NoEnd(stop) => write!(
                out,
                "No step {returns} the stop event `{stop}`, so no run could end: let the last step {return_} it."
            ),
            Self::NamelessStep(events) => write!(out, "A step that {takes} {} has an empty name.", list(events)),
            Self::SameStep(step) => write!(out, "Two steps are named `{step}`: give one of them another name."),
            Self::Step { step, fault } => {
                write!(out, "Step `{step}` ")?;
                fault.write(words, out)
            }
            Self::NamelessEvent => out.write_str("An event type has an empty name."),
            Self::Event { event, fault } => fault.write(event, words, out),
        }
    }
}

fn write_too_many(out: &mut Formatter<'_>, count: usize, what: &str) -> fmt::Result {
    write!(out, "The workflow has {count} {what}; at most {GRAPH_NAMES_MAX} are possible. Split it.")
}

struct InWords<'a>(&'a Fault, &'a Words);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.0.write(self.1, out)
    }
}

impl StepFault {
    /// Continues "Step `name` ".
    fn write(&self, words: &Words, out: &mut Formatter<'_>) -> fmt::Result {
        let Words { takes, take, returns, return_, gives_out, .. } = words;
        match self {
            Self::NoWorkers => out.write_str("has 0 workers, so it would never run: give it at least 1."),
            Self::NoTime => out.write_str("has a timeout of 0, so every pass would fail: leave it out for none."),
            Self::TakesNothing => write!(out, "{takes} no event, so nothing would ever run it."),
            Self::TakesStop(stop) => {
                write!(out, "{takes} the stop event `{stop}`, but the run has ended by then: {take} another.")
            }
            Self::ReturnsStops(stop) => write!(
                out,
                "{returns} the stop event `{stop}` {}; a run has one outcome: {return_} it instead.",
                words.in_list
            ),
            Self::SendsStop(stop) => {
                write!(out, "sends the stop event `{stop}`; a run has one outcome: {return_} it instead.")
            }
            Self::StreamsStop(stop) => write!(
                out,
                "streams the stop event `{stop}`, which must be the last of the feed: {return_} it instead."
            ),
            Self::InboxUnasked(answer) => write!(
                out,
                "has an inbox for `{answer}`, but asks no question that `{answer}` answers: {}, or leave the inbox \
                 out.",
                words.name_question
            ),
            Self::InboxSize { answer, count } => {
                write!(out, "has an inbox for {count} `{answer}`; it may hold 1 to {INBOX_ANSWERS_MAX}.")
            }
            Self::TwoInboxes(answer) => write!(out, "has two inboxes for `{answer}`: leave one of them out."),
            Self::NeverComes { event, may_be_external } => write_never_comes(out, words, event, *may_be_external),
            Self::NeverTaken(event) => write!(
                out,
                "{gives_out} `{event}`, but no step {takes} it: add a step that does, or {} if only clients are to \
                 see it.",
                words.stream
            ),
            Self::Unreachable { start, takes } => write!(
                out,
                "can never run: nothing that follows from the start event `{start}` leads to {}.",
                one_of(takes)
            ),
            Self::EndsNowhere(stop) => {
                write!(out, "cannot reach an end: nothing that follows from it {returns} the stop event `{stop}`.")
            }
            Self::NoFanOut(events) => write_no_fan_out(out, words, events),
            Self::TwoDepths { takes, depths } => write_two_depths(out, words, takes, *depths),
            Self::QuestionInside(question) => write!(
                out,
                "{gives_out} the question `{question}` inside a fan-out, where its answer could not find back: ask \
                 it there with `ctx.ask({question} {{ .. }})`, or outside of the fan-out."
            ),
            Self::OnFailure { takes, expects } => {
                write!(out, "takes `{takes}`, but its `on_failure` a `Failure<{expects}>`: let both agree.")
            }
        }
    }
}

fn write_never_comes(out: &mut Formatter<'_>, words: &Words, event: &str, may_be_external: bool) -> fmt::Result {
    let Words { takes, returns_or_sends, return_, declare_external: [before, after], .. } = words;
    write!(out, "{takes} `{event}`, but no step {returns_or_sends} it: {return_} it from the step before")?;
    if may_be_external {
        write!(out, ", or {before}{event}{after} if it comes from outside")?;
    }
    out.write_str(".")
}

fn write_no_fan_out(out: &mut Formatter<'_>, words: &Words, events: &[Box<str>]) -> fmt::Result {
    let Words { takes, take, list: [before, after], return_list, .. } = words;
    let (elements, or) = (events.join(" | "), one_of(events));
    write!(
        out,
        "{takes} `{before}{elements}{after}`, but no {or} comes out of a fan-out: let a step before it {return_list}, \
         or {take} {or} singly."
    )
}

fn write_two_depths(out: &mut Formatter<'_>, words: &Words, events: &[Box<str>], depths: [u32; 2]) -> fmt::Result {
    let Words { takes, list: [before, after], .. } = words;
    let (elements, or, [one, other]) = (events.join(" | "), one_of(events), depths);
    write!(
        out,
        "{takes} `{before}{elements}{after}`, but {or} comes at two depths of fan-out ({one} and {other}), so nobody \
         could say when all have arrived: give one of them a type of its own."
    )
}

impl EventFault {
    fn write(&self, event: &str, words: &Words, out: &mut Formatter<'_>) -> fmt::Result {
        let Words { takes, is_external, not_external, rename, .. } = words;
        match self {
            Self::TwoUses(one, other) => {
                write!(out, "`{event}` is {one} and also {other}: use a type of its own for each.")
            }
            Self::OtherFields => write!(
                out,
                "Two event types are named `{event}`, with differing fields: rename one, or give it another wire name."
            ),
            Self::TwoTypes(one, other) => write!(
                out,
                "Two event types are named `{event}`, `{one}` and `{other}`: rename one, or give it another wire name."
            ),
            Self::Reserved => write!(out, "`{event}` is the name of a built-in event: {rename}."),
            Self::Unknown(by) => write!(out, "`{event}`, used by {by}, is not among the event types."),
            Self::ExternalKind(kind) => write!(
                out,
                "`{event}` {is_external} and is {}, which never comes from outside: use a type of its own for what \
                 clients send.",
                if *kind == EventKind::Stop { "the stop event" } else { "a question" }
            ),
            Self::ExternalUnused => write!(
                out,
                "`{event}` {is_external}, but no step {takes} it: add a step that {takes} `{event}` singly, or \
                 {not_external}."
            ),
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start | Self::Declared(EventKind::Start) => out.write_str("the start event"),
            Self::Stop | Self::Declared(EventKind::Stop) => out.write_str("the stop event"),
            Self::Step(step) => write!(out, "step `{step}`"),
            Self::Question(step) => write!(out, "a question of step `{step}`"),
            Self::Answer(step) => write!(out, "an answer that step `{step}` waits for"),
            Self::Declared(EventKind::InputRequired) => out.write_str("declared as input-required"),
            Self::Declared(EventKind::HumanResponse) => out.write_str("declared as a human response"),
            Self::Declared(EventKind::Plain) => out.write_str("a plain event"),
        }
    }
}

/// Formats a list: "`A` or `B`".
fn one_of(names: &[Box<str>]) -> String {
    format!("`{}`", names.join("` or `"))
}

/// Formats a list: "`A`, `B` and `C`".
fn list(names: &[Box<str>]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        text += match index {
            0 => "",
            _ if index + 1 == names.len() => " and ",
            _ => ", ",
        };
        text.extend(["`", name, "`"]);
    }
    if text.is_empty() { "nothing".into() } else { text }
}

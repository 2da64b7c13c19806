//! Steps that are written down as data instead of Rust code: a program to run, a pause, or an event made from the
//! fields of another. Pure: [`crate::files`] reads them from workflow files, [`crate::executors`] runs them.

mod begin;
mod dialogue;
mod lines;
mod scope;
mod stderr;
pub mod template;

use std::{path::PathBuf, time::Duration};

use crate::{
    graph::{EventId, Retry, Shape},
    json::Json,
    limits::{PROGRAM_RETRY_ATTEMPTS, PROGRAM_RETRY_DELAY},
};
use template::Template;

pub use begin::{Begun, Launch, begin};
pub use dialogue::{Dialogue, Exit};

/// A step as data. Names and types are in the graph beside it.
///
/// The retry policy is in the graph, too. A program without one is tried again only if it ends with code 75, so a step
/// without `retry` gets [`Program::retry_by_default`] in its graph, and [`Program::has_retry`] says that every other
/// failure of it is final.
///
/// After a question, the fields of its input are those of the event and of the answer; if both have a field, that
/// of the answer. A fan-in has no fields.
#[derive(Clone, Debug)]
pub struct Command {
    /// The step's name.
    pub step: Box<str>,
    /// What it asks before it does anything.
    pub ask: Option<AskFirst>,
    /// What it does.
    pub action: Action,
    /// The event that replaces a failed run, made from the fields of the input, `error`, `attempts` and `step`.
    pub on_failure: Option<Construct>,
    /// Whether it may end without an event: `emits = "X?"`, or no `emits`.
    pub may_emit_nothing: bool,
}

/// A question that is asked before the step begins.
#[derive(Clone, Debug)]
pub struct AskFirst {
    /// The question, from the fields of the input.
    pub question: Construct,
    /// The type of the answer.
    pub answer: EventId,
    /// How long to wait for it.
    pub timeout: Option<Duration>,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Runs a program.
    Run(Program),
    /// Waits this long, then emits the event.
    Wait(Duration, Option<Construct>),
    /// Emits the event of the first case that applies.
    Emit(Box<[Case]>),
}

/// One case of [`Action::Emit`].
#[derive(Clone, Debug)]
pub struct Case {
    /// The condition on the input; `None` always applies.
    pub when: Option<Shape>,
    /// The event.
    pub event: Construct,
}

/// An event made from the fields of another.
#[derive(Clone, Debug)]
pub struct Construct {
    /// Its type.
    pub event: EventId,
    /// Its fields, in order.
    pub fields: Box<[(Box<str>, Source)]>,
}

/// Where the value of a field comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A member of the input; left out if the input lacks it.
    Field(Box<str>),
    /// This value.
    Value(Json),
    /// Text with members of the input in it.
    Text(Template),
}

/// A program and how it is run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments. Without a shell.
    pub argv: Box<[Template]>,
    /// Where it runs: the directory of its workflow file.
    pub directory: PathBuf,
    /// Variables and their values.
    pub env: Box<[(Box<str>, Box<str>)]>,
    /// Variables whose values are read from these files when the program starts.
    pub secrets: Box<[(Box<str>, PathBuf)]>,
    /// Variables that are passed on from the server's environment.
    pub pass_env: Box<[Box<str>]>,
    /// How its output is read.
    pub output: Output,
    /// The most memory of each of its processes, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// The most CPU time of each of its processes.
    pub cpu_max: Option<Duration>,
    /// Whether the file has a retry policy: without one, only exit code 75 is retried.
    pub has_retry: bool,
}

impl Program {
    /// Returns the policy of a step whose program has none.
    pub fn retry_by_default() -> Retry {
        Retry::exponential(PROGRAM_RETRY_DELAY).attempts(PROGRAM_RETRY_ATTEMPTS).without_jitter()
    }
}

/// How the standard output of a program is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// All of it is one JSON value: the event's, or an array of them if the step fans out.
    Value,
    /// One JSON object a line: an event or a change of the state.
    Events,
    /// All of it is the text of this field.
    Text(Box<str>),
}

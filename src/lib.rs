//! A workflow server in one small binary.
//!
//! A program builds [`Workflow`]s of typed steps, and [`Server`] serves them over the HTTP API that the *Workflows API*
//! clients for Python and JavaScript speak. [`Runtime`] runs a workflow without HTTP. Complete programs to copy are in
//! `examples/`; `docs/behaviour.md` describes the HTTP API.
//!
//! - [A workflow](#a-workflow)
//! - [What a step can do](#what-a-step-can-do)
//! - [Waits and replay](#waits-and-replay)
//! - [Fan-out and fan-in](#fan-out-and-fan-in)
//! - [Failure](#failure)
//! - [Testing](#testing)
//! - [A small binary](#a-small-binary)
//!
//! # A workflow
//!
//! A step is a function from an event to an event. Their types determine which step follows which:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use steprill::{Ctx, Result, Server, StartEvent, StopEvent, Workflow};
//!
//! fn greet(_: &Ctx, start: StartEvent) -> Result<StopEvent> {
//!     let name: String = start.get_or("name", "world".to_owned())?;
//!     Ok(StopEvent::new(format!("hello {name}")))
//! }
//!
//! fn main() -> ExitCode {
//!     let hello = Workflow::new::<StartEvent, StopEvent>("hello").step("greet", greet).build();
//!     Server::new().add(hello.expect("the graph is valid")).run()
//! }
//! ```
//!
//! `cargo run` serves it on `127.0.0.1:8080`, and `cargo run -- --help` lists the flags. Start a run with
//! `curl localhost:8080/workflows/hello/run -d '{"start_event": {"name": "Ada"}}'`.
//!
//! [`StartEvent`] takes any fields and [`StopEvent`] any result. A workflow may have its own types instead, declared
//! with [`event!`]; the server then checks what clients send, and publishes JSON Schemas.
//! [`build`](WorkflowBuilder::build) checks the graph and reports everything that is wrong with it at once.
//!
//! # What a step can do
//!
//! A step takes one event, one of several ([`one_of!`]), or a `Vec` of either (fan-in). It returns nothing (`()`), one
//! event, an `Option`, one of several, or a `Vec` (fan-out). Everything else it does through its [`Ctx`]:
//!
//! | call | what it does |
//! |---|---|
//! | [`ctx.stream(event)`](Ctx::stream) | shows an event to clients at once |
//! | [`ctx.send(event)`](Ctx::send) | sends an event to the steps that take it, when this step succeeds |
//! | [`ctx.ask(question).wait()`](Ctx::ask) | asks somebody and waits, perhaps until a [deadline](Ask::timeout) |
//! | [`ctx.sleep(duration)`](Ctx::sleep) | waits, for seconds or months |
//! | [`ctx.pause(duration)`](Ctx::pause) | blocks the thread, for pacing below a second |
//! | [`ctx.once(closure)`](Ctx::once) | runs a closure once and remembers its value |
//! | [`ctx.state()`](Ctx::state) | reads and writes the state that the steps of a run share, as a transaction |
//! | [`ctx.work_id()`](Ctx::work_id), [`ctx.attempt()`](Ctx::attempt) | name this piece of work, for other systems |
//!
//! A step that sends or asks declares this in the type of its context, as in `ctx: &Ctx<Asks<Approve>>`, and is added
//! with [`add`](WorkflowBuilder::add) as a [`Step`], which also has the settings: [`workers`](Step::workers),
//! [`retry`](Step::retry), [`timeout`](Step::timeout), [`on_failure`](Step::on_failure), [`inbox`](Step::inbox).
//!
//! # Waits and replay
//!
//! A waiting step holds no thread, and survives a restart of the server if there is a data directory. `ask` and `sleep`
//! end the pass with an error that `?` carries out of the body. When the answer has arrived or the time has come, the
//! body runs again from its top, and the waits that are over return at once. The same happens after a crash, and when
//! another step has changed state that this one has read. Five rules follow:
//!
//! 1. Use `?` on what the calls of `ctx` return.
//! 2. Code before a wait runs more than once. What must not repeat, such as a payment, belongs in
//!    [`ctx.once`](Ctx::once).
//! 3. A body must make the same waits in the same order each time. Decide from the event, the state, answers and values
//!    of `once`, never directly from a clock, a random number or the environment. A body that makes another wait than
//!    before fails the run, and the error names both.
//! 4. State that is written and events that are sent take effect when the step succeeds. What was streamed before a
//!    wait is not shown again if it is the same.
//! 5. Instead of a loop around a wait, return the event that the step takes. Each round is then a work of its own, and
//!    a run of a million rounds stays as small as one of ten.
//!
//! ```
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//! use steprill::{Ctx, Result, Runtime, StartEvent, StopEvent, Workflow};
//!
//! static STARTED: AtomicU32 = AtomicU32::new(0);
//! static ORDERED: AtomicU32 = AtomicU32::new(0);
//!
//! fn order(ctx: &Ctx, _: StartEvent) -> Result<StopEvent> {
//!     STARTED.fetch_add(1, Ordering::Relaxed);
//!     let order: u32 = ctx.once(|| Ok(ORDERED.fetch_add(1, Ordering::Relaxed)))?;
//!     ctx.sleep(Duration::from_secs(86_400))?;
//!     Ok(StopEvent::new(order))
//! }
//!
//! let workflow = Workflow::new::<StartEvent, StopEvent>("order").step("order", order).build().unwrap();
//! Runtime::test(&workflow).run(StartEvent::new());
//! assert_eq!(STARTED.load(Ordering::Relaxed), 2, "before the sleep, and after it");
//! assert_eq!(ORDERED.load(Ordering::Relaxed), 1, "once");
//! ```
//!
//! # Fan-out and fan-in
//!
//! A step that returns a `Vec`, or sends, starts work that runs concurrently: up to [`workers`](Step::workers) of a
//! step at a time. A step that takes a `Vec` runs once when all of that work has ended, with the events that arrived,
//! in the order in which they were sent and not that in which work ended. Fan-outs nest.
//!
//! ```
//! use steprill::{Ctx, Result, Runtime, StartEvent, Step, StopEvent, Workflow, event};
//!
//! event! {
//!     struct Word { text: String }
//!     struct Length { letters: usize }
//! }
//!
//! fn split(_: &Ctx, start: StartEvent) -> Result<Vec<Word>> {
//!     let text: String = start.get_or("text", String::new())?;
//!     Ok(text.split_whitespace().map(|word| Word { text: word.to_owned() }).collect())
//! }
//!
//! fn measure(_: &Ctx, word: Word) -> Result<Length> {
//!     Ok(Length { letters: word.text.len() })
//! }
//!
//! fn collect(_: &Ctx, lengths: Vec<Length>) -> Result<StopEvent> {
//!     Ok(StopEvent::new(lengths.iter().map(|length| length.letters).collect::<Vec<_>>()))
//! }
//!
//! let workflow = Workflow::new::<StartEvent, StopEvent>("lengths")
//!     .step("split", split)
//!     .add(Step::new("measure", measure).workers(8))
//!     .step("collect", collect)
//!     .build()
//!     .unwrap();
//! let run = Runtime::test(&workflow).run(StartEvent::new().with("text", "to be or not"));
//! assert_eq!(run.stop::<StopEvent>().result::<Vec<usize>>().unwrap(), [2, 2, 2, 3]);
//! ```
//!
//! # Failure
//!
//! An attempt fails when the body returns an error, panics, or takes longer than the step's
//! [`timeout`](Step::timeout). `?` turns any error into a [`StepError`], and `Err("text")?` makes one. Then
//!
//! - a [`Retry`] policy makes further attempts, after a delay, as far as [`retry_if`](Step::retry_if) allows;
//! - after the last one [`on_failure`](Step::on_failure) turns the [`Failure`] into an event, and the run continues;
//! - without `on_failure` the run fails: clients see the error and the step, and the log names both.
//!
//! Attempts and delays are counted across restarts of the server. A run also ends when it is cancelled or exceeds [the
//! workflow's time-out](WorkflowBuilder::timeout). Then each call of `ctx` fails; long work between such calls should
//! call [`ctx.check()`](Ctx::check).
//!
//! ```
//! use std::time::Duration;
//! use steprill::{Ctx, Failure, Result, Retry, Runtime, StartEvent, Step, StopEvent, Workflow};
//!
//! fn fetch(ctx: &Ctx, _: StartEvent) -> Result<StopEvent> {
//!     Err(format!("no answer to attempt {}", ctx.attempt()))?
//! }
//!
//! let step = Step::new("fetch", fetch)
//!     .retry(Retry::exponential(Duration::from_secs(1)).attempts(3))
//!     .on_failure(|failure: Failure<StartEvent>| StopEvent::new(failure.error));
//! let workflow = Workflow::new::<StartEvent, StopEvent>("fetch").add(step).build().unwrap();
//! let run = Runtime::test(&workflow).run(StartEvent::new());
//! assert_eq!(run.stop::<StopEvent>().result::<String>().unwrap(), "no answer to attempt 3");
//! assert!(run.elapsed >= Duration::from_millis(1_500), "two delays, by the clock of the test");
//! ```
//!
//! # Testing
//!
//! [`TestCtx`] runs one pass of one step: set the state, the answers and the attempt before, and examine afterwards
//! what the step returned, sent, streamed and wrote. [`Runtime::test`] runs a whole workflow, with scripted answers and
//! a clock that jumps to the next timer, so that a deadline of a day takes no time. Neither uses threads or sockets.
//!
//! ```
//! use std::time::Duration;
//! use steprill::{Answer, Asks, Ctx, Result, Runtime, StartEvent, Step, StopEvent, TestCtx, Workflow, event};
//!
//! event! {
//!     struct Approve: Asks<Verdict> { text: String }
//!     struct Verdict { good: bool }
//! }
//!
//! const DAY: Duration = Duration::from_secs(86_400);
//!
//! fn review(ctx: &Ctx<Asks<Approve>>, start: StartEvent) -> Result<StopEvent> {
//!     let text = start.get_or("text", String::new())?;
//!     match ctx.ask(Approve { text }).timeout(DAY).wait()? {
//!         Answer::Given(verdict) => Ok(StopEvent::new(verdict.good)),
//!         Answer::TimedOut => Ok(StopEvent::new(false)),
//!     }
//! }
//!
//! // One step: it asks, and goes on with the answer.
//! let asked = TestCtx::new().run(review, StartEvent::new().with("text", "hello"));
//! assert_eq!(asked.question::<Approve>().unwrap().text, "hello");
//! let answered = TestCtx::new().answer::<Approve>(Verdict { good: true }).run(review, StartEvent::new());
//! assert!(answered.returned().result::<bool>().unwrap());
//!
//! // The whole workflow: nobody answers.
//! let workflow = Workflow::new::<StartEvent, StopEvent>("review").add(Step::new("review", review)).build().unwrap();
//! let late = Runtime::test(&workflow).run(StartEvent::new());
//! assert!(!late.stop::<StopEvent>().result::<bool>().unwrap());
//! assert_eq!(late.elapsed, DAY);
//! ```
//!
//! # A small binary
//!
//! These lines in the `Cargo.toml` of a program make its release binary about half as large:
//!
//! ```toml
//! [profile.release]
//! opt-level = "s"
//! lto = "fat"
//! codegen-units = 1
//! strip = true
//! ```
//!
//! A program of one step takes 3.34 MB instead of 6.54, and 3.08 MB with a copy of the repository's
//! `.cargo/config.toml`, too, which compiles SQLite without features that the server does not use. Do not add `panic =
//! "abort"`: a panic in a step must fail its run, not end the server.
//!
//! Without the feature `sqlite`, which is on by default, there is no `--data DIR`: the server keeps everything in
//! memory, and SQLite is not built.
//!
//! # How it works inside
//!
//! [The design page](https://github.com/steprill/steprill/blob/main/docs/design.md) in the repository has a glossary
//! and the map of the code.

#![cfg_attr(
    not(feature = "internals"),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "tests, benches and fuzz targets use more, by the feature `internals`"
    )
)]

pub mod limits;

// The modules are private. The feature `internals` opens them to the repository's own tests, benches and fuzz targets;
// it comes without any promise, and docs.rs does not build it.
#[cfg(not(feature = "internals"))]
mod account;
#[cfg(not(feature = "internals"))]
mod api;
#[cfg(not(feature = "internals"))]
mod awaited;
#[cfg(not(feature = "internals"))]
mod client_id;
#[cfg(not(feature = "internals"))]
mod command;
#[cfg(not(feature = "internals"))]
mod core;
#[cfg(not(feature = "internals"))]
mod cost;
#[cfg(not(feature = "internals"))]
mod engine;
#[cfg(not(feature = "internals"))]
mod executable;
#[cfg(not(feature = "internals"))]
mod executors;
#[cfg(feature = "files")]
#[cfg(not(feature = "internals"))]
mod files;
#[cfg(not(feature = "internals"))]
mod graph;
#[cfg(not(feature = "internals"))]
mod hash;
#[cfg(not(feature = "internals"))]
mod http;
#[cfg(not(feature = "internals"))]
mod json;
#[cfg(not(feature = "internals"))]
mod net;
#[cfg(not(feature = "internals"))]
mod now;
#[cfg(not(feature = "internals"))]
mod pass;
#[cfg(not(feature = "internals"))]
mod server;
#[cfg(not(feature = "internals"))]
mod store;
#[cfg(not(feature = "internals"))]
mod text;
#[cfg(not(feature = "internals"))]
mod values;
#[cfg(not(feature = "internals"))]
mod wake;
#[cfg(not(feature = "internals"))]
mod workflow;

#[cfg(feature = "internals")]
pub mod account;
#[cfg(feature = "internals")]
pub mod api;
#[cfg(feature = "internals")]
pub mod awaited;
#[cfg(feature = "internals")]
pub mod client_id;
#[cfg(feature = "internals")]
pub mod command;
#[cfg(feature = "internals")]
pub mod core;
#[cfg(feature = "internals")]
pub mod cost;
#[cfg(feature = "internals")]
pub mod engine;
#[cfg(feature = "internals")]
pub mod executable;
#[cfg(feature = "internals")]
pub mod executors;
#[cfg(feature = "files")]
#[cfg(feature = "internals")]
pub mod files;
#[cfg(feature = "internals")]
pub mod graph;
#[cfg(feature = "internals")]
pub mod hash;
#[cfg(feature = "internals")]
pub mod http;
#[cfg(feature = "internals")]
pub mod json;
#[cfg(feature = "internals")]
pub mod net;
#[cfg(feature = "internals")]
pub mod now;
#[cfg(feature = "internals")]
pub mod pass;
#[cfg(feature = "internals")]
pub mod server;
#[cfg(feature = "internals")]
pub mod store;
#[cfg(feature = "internals")]
pub mod text;
#[cfg(feature = "internals")]
pub mod values;
#[cfg(feature = "internals")]
pub mod wake;
#[cfg(feature = "internals")]
pub mod workflow;

pub use api::AccessError;
pub use engine::{input::Outcome, window::FeedKeep};
#[cfg(feature = "files")]
pub use files::{FileFault, FileFaults, SCHEMA as WORKFLOW_FILE_SCHEMA};
pub use graph::{EventKind, Faults, Retry};
pub use json::{Json, JsonError};
pub use net::{Address, AddressError};
pub use server::{
    Bound, Config, LogFormat, Runtime, ServeError, Server, Stopper, TestRun, UsageError, ValueError, WorkflowTest,
};
pub use store::{Durability, OpenError, StoreError};
pub use text::InvalidValue;
pub use workflow::{
    Answer, Ask, Asks, Ctx, Event, Failure, Question, Result, Sends, StartEvent, State, Step, StepError, StopEvent,
    TestCtx, Tested, TimedAsk, Workflow, WorkflowBuilder,
};
/// For deriving their traits: `#[serde(crate = "steprill::serde")]`.
pub use {schemars, serde};

// The derives written by `event!` name the crate by this name, also inside of it.
extern crate self as steprill;

/// What the macros write. Not for programs.
#[doc(hidden)]
pub mod __macros {
    pub use crate::{
        graph::EventKind,
        json::Json,
        workflow::{Emitter, EventEntry, OneEvent, OneInput},
    };
}

/// Compiles the program in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! steprill: a workflow server in one small binary.
//!
//! A program builds [`Workflow`]s of typed steps and serves them with [`Server`] over the Workflows API; or runs one
//! with [`Runtime`]. What a step can do is on [`Ctx`]; a step is tested alone with [`TestCtx`].
//!
//! # Bird's eye
//!
//! One loop thread owns every socket, run and timer, and alone reads the clocks, once a turn. Steps run on a pool of
//! worker threads; with a data directory, one thread writes what is to be kept and another reads it. The rules are in
//! two pure cores, into which bytes, values and `now` go and from which values come: [`http`] (one connection's life)
//! and [`engine`] (one run's life, and all runs together).
//!
//! ```text
//! main → server → { core, net, api, workers, store } → { http, engine, workflow }
//!      → { graph, pass, json, hash, now, account, limits }
//! ```
//!
//! Nothing points left. A request's way: [`net`]'s reactor and connection → [`http::exchange`] → [`api`]'s route and
//! calls → [`engine::scheduler`] → [`engine::run`] → `StartPass` → [`workers`] → the step ([`workflow`]) → `Done` →
//! scheduler → run → `Publish` → [`store`] → the reader → exchange → connection.
//!
//! # Code map
//!
//! | module | what it knows |
//! |---|---|
//! | [`server`] | the loop: one turn = poll, clock, inputs, commit, effects, flush; flags; the stop in order |
//! | [`mod@core`] | the server without sockets: the scheduler, what is asked of the store, who waits for what |
//! | [`net`] | sockets: poll, listeners, connections |
//! | [`api`] | the Workflows API: access, routes, bodies, replies; `api/wire` alone knows JSON member names |
//! | [`workers`] | the pool of threads |
//! | [`store`] | what is kept, in memory or in SQLite: batches in; pages of feeds, handlers and journals out |
//! | [`http`] | HTTP/1.1 and streams, as machines without sockets |
//! | [`engine`] | `run` is the reducer: the semantics of one run; `scheduler` has all runs, `feed` their events |
//! | [`workflow`] | the authoring API: events, steps, [`Ctx`], the builder |
//! | [`graph`], [`pass`] | a workflow as data; what passes between a run and the body of a step |
//! | [`text`] | text for people: one line, the spelling that was meant |
//! | [`values`], [`cost`] | the values of a run's state; what things cost in memory |
//! | [`account`] | bytes that are held, and the bound on all of them together |
//! | [`limits`] | every bound, its unit in its name, its reason beside it |
//!
//! # Invariants
//!
//! - The same inputs in the same order give the same run, always: ids are counters, jitter is a hash.
//! - What a client was told is kept first: effects of an input wait until its batch is committed.
//! - A run is what its journal comes to: what a crash, or a batch that could not be kept, takes from memory, the store
//!   gives back.
//! - `Done` is one atomic record of what a pass did; an event is never in neither its producer's record nor its
//!   consumer's queue.
//! - What is accepted from outside answers a question, becomes work, or waits as an early answer or in an inbox; only
//!   the end of its run clears what waits. Everything else is refused.
//! - One outcome per run; it is the last event of its feed. Feed numbers have no gaps.
//! - At most `max_runs` runs of a workflow are admitted. Only damage to the database exceeds that: an end that cannot
//!   be stored because of a damaged page is dropped, and its run goes on, if only after a restart, although the next in
//!   line may have been admitted in its place. Such runs come on top of `max_runs`, and count: nobody else is admitted
//!   until fewer than `max_runs` are left.
//! - Every buffer, queue, count and wait has a bound, and reaching it is an answer.

pub mod account;
pub mod api;
pub mod core;
pub mod cost;
pub mod engine;
pub mod graph;
pub mod hash;
pub mod http;
pub mod json;
pub mod limits;
pub mod net;
pub mod now;
pub mod pass;
pub mod server;
pub mod store;
pub mod text;
pub mod values;
pub mod workers;
pub mod workflow;

pub use engine::input::Outcome;
pub use graph::{Faults, Retry};
pub use server::{Bound, Config, Runtime, Server, Stopper, TestRun, WorkflowTest};
pub use workflow::{
    Answer, Ask, Asks, Ctx, Event, Failure, Question, Result, Sends, StartEvent, State, Step, StepError, StopEvent,
    TestCtx, Tested, TimedAsk, Workflow, WorkflowBuilder,
};
/// For the derives of one's own types: `#[serde(crate = "steprill::serde")]`.
pub use {schemars, serde};

// The derives that `event!` writes name the crate by this name, inside of it too.
extern crate self as steprill;

/// Compiles the README's program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

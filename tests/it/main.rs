//! Tests from outside, in one binary. Each module holds one subject; CONTRIBUTING.md says where a new test belongs.

// Without a store some helpers have no test that calls them.
#![cfg_attr(not(feature = "sqlite"), allow(dead_code))]

/// Stored bytes: what is written is read back, and damaged bytes do no harm.
mod byte_forms;
/// The commands of `steprill` that call a server.
#[cfg(feature = "client")]
mod client;
/// Usual mistakes in a step: they do not compile, and the compiler's message names the remedy.
mod compile_fail;
/// The contract of stores: each rule on every store.
mod contract;
/// The conformance program, killed at random under load: what it acknowledged is still there.
#[cfg(feature = "sqlite")]
mod crash;
/// `steprill demo`: the lines to try that it prints, and its usage errors.
mod demo;
/// The workflows in `examples/workflows`: each does what its description says.
#[cfg(feature = "files")]
mod example_workflows;
/// The programs in `examples/`: each does what its header says.
mod examples;
/// Full disks, missing permissions, foreign and damaged files.
#[cfg(feature = "sqlite")]
mod faults;
/// Workflow files: what they say, and every fault with its place.
#[cfg(feature = "files")]
mod files;
/// Recorded exchanges of the reference implementation, replayed.
mod golden;
/// One connection's state machine: streams, waits, ends, time-outs.
mod http_exchange;
/// The reactor over real sockets.
mod http_net;
/// HTTP as a table: bytes in, bytes out, however they are cut.
mod http_table;
/// How long small requests wait behind large ones. Ignored by default: for a quiet machine.
mod latency;
/// Steps that are data: programs as child processes, pauses, events made from fields.
mod program_steps;
/// Whole programs on the library: workers, the loop, clients.
mod programs;
/// The API over HTTP, beyond the recorded exchanges.
mod protocol;
/// README and docs/behaviour.md agree with the program.
mod readme;
/// A program that is killed and started again.
#[cfg(feature = "sqlite")]
mod recovery;
/// The effects of one run, input by input.
mod run_effects;
/// Records and snapshots, read under a changed workflow.
mod run_record;
/// The scheduler, without threads, sockets or clocks.
mod scheduler;
/// Checks of events from outside against the shape of their type.
mod shapes;
/// The real engine in worlds of chance: single runs, and the whole server, from one seed.
mod simulation;
/// The SQLite store: what it keeps, returns, and loses to a fault.
#[cfg(feature = "sqlite")]
mod store;
/// What the tests share: programs as child processes, an HTTP client, JSON that keeps its order.
mod support;
/// The public items of the crate.
mod surface;
/// The pool of worker threads.
mod threads;
/// Rules about the source text: size, layers, clocks.
mod tidy;
/// The README's workflow without Rust, as printed.
#[cfg(feature = "files")]
mod tutorial;
/// The authoring API: which graph the types of the steps give.
mod workflow_authoring;
/// `Graph::build`: what it refuses, and in which words.
mod workflow_graph;
/// One pass of a step's body: waits, `once`, streams, state, stops.
mod workflow_pass;
/// Whole workflows on the engine, without HTTP.
mod workflow_run;
/// Schemas and checks of events.
mod workflow_schema;
/// `TestCtx`.
mod workflow_test_ctx;

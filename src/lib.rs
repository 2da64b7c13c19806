//! steprill: a workflow server in one small binary.

pub mod api;
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
pub mod workers;
pub mod workflow;

pub use engine::input::Outcome;
pub use graph::{Faults, Retry};
pub use server::{Bound, Config, Runtime, Server, Stopper};
pub use workflow::{
    Ask, AskTimedOut, Asks, Ctx, Event, Question, Result, Sends, StartEvent, State, Step, StepError, StopEvent,
    TestCtx, Tested, Workflow, WorkflowBuilder,
};
/// For the derives of one's own types: `#[serde(crate = "steprill::serde")]`.
pub use {schemars, serde};

// The derives that `event!` writes name the crate by this name, inside of it too.
extern crate self as steprill;

//! Complete programs as a user of the library writes them: real workers, the real loop, and clients where needed.

mod asks;
mod failures;
mod fan_in;
mod limits;
mod loads;
mod max_runs;
mod outcomes;
mod passes;
mod retries;
mod routing;
pub(crate) mod served;
mod slots;
mod state;
mod time_outs;
mod trials;
mod values;

use std::sync::{
    Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde::Serialize;
use serde_json::Value;
use steprill::{Event, Outcome, Runtime, StartEvent, StopEvent, Workflow, WorkflowBuilder};

use crate::support::PATIENCE;
use served::Served;

pub(crate) fn workflow(name: &str) -> WorkflowBuilder {
    Workflow::new::<StartEvent, StopEvent>(name)
}

#[track_caller]
pub(crate) fn build(builder: WorkflowBuilder) -> Workflow {
    builder.build().unwrap_or_else(|faults| panic!("{faults}"))
}

/// Runs a workflow to its end. Returns the result in its stop event.
#[track_caller]
fn result_of(builder: WorkflowBuilder, start: impl Event) -> Value {
    match Runtime::run(&build(builder), start) {
        Outcome::Completed(stop) => result(stop.as_str()),
        other => panic!("{other:?}"),
    }
}

/// Runs a workflow that fails. Returns the text of the error.
#[track_caller]
fn error_of(builder: WorkflowBuilder, start: impl Event) -> String {
    match Runtime::run(&build(builder), start) {
        Outcome::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn result(stop: &str) -> Value {
    let mut stop: Value = serde_json::from_str(stop).expect("JSON");
    stop["result"].take()
}

pub(crate) fn done(result: impl Serialize) -> StopEvent {
    StopEvent::new(result)
}

/// A counter across passes and threads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Adds one. Returns the count before.
    pub(crate) fn count(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Blocks threads until it is opened.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    /// Blocks until [`Gate::open`].
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        let (_state, waited) = self.changed.wait_timeout_while(state, PATIENCE, |state| !state.1).unwrap();
        assert!(!waited.timed_out(), "nobody opened the gate");
    }

    /// Blocks until this many have come.
    #[track_caller]
    pub(crate) fn await_comers(&self, comers: usize) {
        let state = self.state.lock().unwrap();
        let (state, waited) = self.changed.wait_timeout_while(state, PATIENCE, |state| state.0 < comers).unwrap();
        assert!(!waited.timed_out(), "{} of {comers} came", state.0);
    }

    fn comers(&self) -> usize {
        self.state.lock().unwrap().0
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

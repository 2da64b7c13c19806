//! Batches as a scheduler makes them, for tests of stores.

use std::{collections::BTreeMap, sync::Arc};

use steprill::{
    engine::{
        input::{Input, Outcome},
        keys::{HandlerKey, RunKey, WorkflowId},
        published::Published,
        record,
        run::Changed,
        storage::{Batch, Ended, Head, OpenedRun, Snapshotted, StartState},
    },
    graph::{Graph, sketch::parts},
    json::Json,
    pass::EventRef,
    values::Values,
};
use uuid::Uuid;

pub(crate) const SECRET: u128 = 0x1234_5678_9ABC_DEF0_1122_3344_5566_7788;

/// The graph of the tests: `S` starts, `T` stops, `E` is streamed.
pub(crate) fn graph() -> Arc<Graph> {
    graph_of("a: S -> T ~ E")
}

pub(crate) fn graph_of(lines: &str) -> Arc<Graph> {
    Arc::new(Graph::build(parts(lines)).unwrap_or_else(|faults| panic!("refused:\n{faults}")))
}

pub(crate) fn run(handler: u64, run: u32) -> RunKey {
    RunKey { handler: HandlerKey(handler), run }
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).expect("good JSON")
}

/// Begins a run of a new handler, the next one, with a record and an event.
pub(crate) fn begin(batch: &mut Batch, next_handler: &mut u64, id: Option<&str>) -> RunKey {
    let run = run(*next_handler, 0);
    *next_handler += 1;
    batch.next_handler = *next_handler;
    open(batch, run, 0, id);
    record(batch, run, "start");
    publish(batch, run, 1);
    run
}

pub(crate) fn open(batch: &mut Batch, run: RunKey, first: u64, id: Option<&str>) {
    open_with(batch, run, first, id, StartState::Recorded);
}

pub(crate) fn open_with(batch: &mut Batch, run: RunKey, first: u64, id: Option<&str>, state: StartState) {
    let (id, workflow, started_us) = (id.map(Arc::from), WorkflowId(0), batch.now.wall_us);
    let head = Head { id, workflow, run_id: run_id(run), started_us, state };
    batch.opened.push(OpenedRun { run, first, head: Some(Box::new(head)) });
}

pub(crate) fn run_id(run: RunKey) -> Uuid {
    Uuid::from_u128(u128::from(run.handler.0) << 32 | u128::from(run.run))
}

pub(crate) fn record(batch: &mut Batch, run: RunKey, text: &str) {
    let state = BTreeMap::from([(text.into(), json("1"))]);
    let input = Input::Started { event: json("{}"), state: state.into(), admitted: true, sequence: 0 };
    batch.records.push((run, record::encode(&input, batch.now)));
}

/// Events that say which they are.
pub(crate) fn publish(batch: &mut Batch, run: RunKey, number: u64) {
    let event = graph().event_id("E").expect("E");
    batch.published.push((run, Published::Event(EventRef::Known(event), json(&format!(r#"{{"n":{number}}}"#)))));
}

/// Ends a run with a failure; its journal stays.
pub(crate) fn fail(batch: &mut Batch, run: RunKey, error: &str) {
    batch.published.push((run, Published::Ended { step: None, error: Some(error.into()) }));
    let (outcome, updated_us) = (Outcome::Failed(error.into()), batch.now.wall_us);
    let (state, changed) = (Values::default(), None);
    batch.ended.push(Ended { run, outcome, state, changed, updated_us, keeps_journal: true });
}

pub(crate) fn complete(batch: &mut Batch, run: RunKey, result: &str) {
    let state = BTreeMap::from([("seen".into(), json("[1]"))]);
    complete_with(batch, run, result, state.into(), None);
}

pub(crate) fn complete_with(batch: &mut Batch, run: RunKey, result: &str, state: Values, changed: Option<Changed>) {
    let value = json(result);
    batch.published.push((run, Published::Event(EventRef::Known(graph().stop), value.clone())));
    let (outcome, updated_us) = (Outcome::Completed(value), batch.now.wall_us);
    batch.ended.push(Ended { run, outcome, state, changed, updated_us, keeps_journal: false });
}

pub(crate) fn snapshot(batch: &mut Batch, run: RunKey, workflow: u16, bytes: &[u8]) {
    let (workflow, updated_us) = (WorkflowId(workflow), batch.now.wall_us);
    batch.snapshots.push(Snapshotted { run, workflow, updated_us, snapshot: bytes.to_vec() });
}

//! Steps that were interrupted run once more; those that had ended do not.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use steprill::{Config, Retry, StartEvent, Step, Workflow, event};

use super::*;
use crate::programs::{Counter, Gate, build, done, served::Served, workflow};

event! {
    struct Between {}
    struct Shown { n: i64 }
}

#[test]
fn a_stream_that_was_interrupted_is_published_once_and_in_order() {
    let data = DataDir::new();
    let program = data.start();
    let id = program.begin("streaming", json!({ "count": 40, "delay_ms": 3 }));
    let mut reader = follow(&program, &id);
    while reader.event_of("StreamEvent")["value"]["sequence"] != 10 {}
    kill(program);
    let program = data.start();
    assert_eq!(ended(&program, &id)["result"]["value"]["result"], "completed_40_events");
    let feed = feed(&program, &id);
    let published: Vec<&Value> =
        feed.iter().filter(|event| event["type"] == "StreamEvent").map(|event| &event["value"]["sequence"]).collect();
    assert_eq!(published, (0..40).collect::<Vec<_>>());
    let running = feed.iter().filter(|event| event["value"]["step_state"] == "running").count();
    assert_eq!(running, 1, "a pass that is made again is not announced again");
}

#[test]
fn a_pass_that_was_under_way_is_made_once_more_with_the_same_work_and_attempt() {
    let data = DataDir::new();
    let (before, after) = (Arc::new(Witness::default()), Arc::new(Witness::default()));
    let server = serve(&data, before.workflow());
    let id = server.begin("w", &json!({}));
    // What a reader has seen is committed, and so is what was noted before it.
    server.follow(&id).event_of("Shown");
    before.gate.await_comers(1);
    let crashed = image(&data);
    before.gate.open();

    after.gate.open();
    let server = serve(&crashed, after.workflow());
    assert_eq!(server.ended(&id)["result"]["value"]["result"], 7);
    let feed = server.feed(&id);
    assert_eq!(count(&feed, "Shown"), 1);
    assert_eq!((before.first.get(), after.first.get()), (1, 0), "what had ended does not run again");
    assert_eq!((before.once.get(), after.once.get()), (1, 0), "what was noted is not done again");
    let said = |witness: &Witness| witness.second.lock().expect("nobody panics").clone();
    assert_eq!(said(&before).len(), 1);
    assert_eq!(said(&before), said(&after));
}

/// Observes the steps of a workflow: one that ends, and one that waits at a gate.
#[derive(Default)]
struct Witness {
    first: Counter,
    once: Counter,
    /// Work and attempt of each pass.
    second: Mutex<Vec<(String, u32)>>,
    gate: Gate,
}

impl Witness {
    fn workflow(self: &Arc<Self>) -> Workflow {
        let (first, second) = (Arc::clone(self), Arc::clone(self));
        let builder = workflow("w").step("first", move |_, _: StartEvent| {
            first.first.count();
            Ok(Between {})
        });
        build(builder.step("second", move |ctx, _: Between| {
            second.second.lock().expect("nobody panics").push((ctx.work_id(), ctx.attempt()));
            let n = ctx.once(|| {
                second.once.count();
                Ok(7)
            })?;
            ctx.stream(Shown { n })?;
            second.gate.pass();
            Ok(done(n))
        }))
    }
}

#[test]
fn attempts_and_their_delays_are_counted_across_restarts() {
    let data = DataDir::new();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let failing = || {
        let attempts = Arc::clone(&attempts);
        let step = Step::new("fails", move |ctx: &steprill::Ctx, _: StartEvent| {
            attempts.lock().expect("nobody panics").push(ctx.attempt());
            Err("no")?;
            Ok(done(ctx.attempt()))
        });
        build(workflow("w").add(step.retry(Retry::fixed(Duration::from_millis(300)).attempts(3))))
    };
    let server = serve(&data, failing());
    let id = server.begin("w", &json!({}));
    let mut reader = server.follow(&id);
    while reader.event_of("StepStateChanged")["value"]["step_state"] != "not_running" {}
    let crashed = image(&data);
    drop((reader, server));
    attempts.lock().expect("nobody panics").clear();

    let server = serve(&crashed, failing());
    assert_eq!(server.ended(&id)["error"], "no");
    assert_eq!(*attempts.lock().expect("nobody panics"), [2, 3]);
    let running = server.feed(&id).iter().filter(|event| event["value"]["step_state"] == "running").count();
    assert_eq!(running, 3);
}

/// Serves the directory inside the test.
fn serve(data: &DataDir, workflow: Workflow) -> Served {
    Served::with([workflow], |config: &mut Config| config.data = Some(data.directory.path().to_owned()))
}

/// Returns a copy of what a crash would leave at this moment, at which nothing is being written. The log is copied
/// first: what leaves it in the meantime is then in the database.
fn image(data: &DataDir) -> DataDir {
    let crashed = DataDir::new();
    let copy = |name: &str| {
        let (from, to) = (data.directory.path().join(name), crashed.directory.path().join(name));
        match fs::copy(Path::new(&from), to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => drop(copied.expect("it can be copied")),
        }
    };
    copy("steprill.db-wal");
    copy("steprill.db");
    crashed
}

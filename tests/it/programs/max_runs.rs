//! Workflows with a limited number of concurrent runs.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use steprill::{StartEvent, StopEvent, Workflow, event};

use super::{Gate, Served, build, done, served::values, workflow};

event! {
    struct Wanted: InputRequired {}
    struct Given: HumanResponse { n: i64 }
}

fn one_at_a_time(gate: &Arc<Gate>) -> Workflow {
    let gate = Arc::clone(gate);
    build(workflow("w").max_runs(1).step("w", move |_, _: StartEvent| {
        gate.pass();
        Ok(done(1))
    }))
}

#[test]
fn runs_wait_as_running_and_begin_in_order() {
    let gate = Arc::new(Gate::default());
    let server = Served::start([one_at_a_time(&gate)]);
    let handlers: Vec<String> = (0..3).map(|_| server.begin("w", &json!({}))).collect();
    gate.await_comers(1);
    for handler in &handlers {
        assert_eq!(server.get(&format!("/handlers/{handler}")).json()["status"], "running");
    }
    assert_eq!(gate.comers(), 1);
    gate.open();
    let ended: Vec<Value> = handlers.iter().map(|handler| server.ended(handler)).collect();
    let times: Vec<&str> = ended.iter().filter_map(|handler| handler["completed_at"].as_str()).collect();
    assert!(times.is_sorted() && times.len() == 3, "{ended:#?}");
    assert_eq!(gate.comers(), 3);
}

#[test]
fn a_waiting_run_can_be_cancelled_and_the_next_one_begins() {
    let gate = Arc::new(Gate::default());
    let server = Served::start([one_at_a_time(&gate)]);
    let handlers: Vec<String> = (0..3).map(|_| server.begin("w", &json!({}))).collect();
    gate.await_comers(1);
    assert_eq!(server.cancel(&handlers[1]).status, 200);
    gate.open();
    assert_eq!(server.ended(&handlers[2])["status"], "completed");
    assert_eq!(server.ended(&handlers[1])["status"], "cancelled");
    assert_eq!(gate.comers(), 2);
    assert_eq!(server.run("w", &json!({})).status, 200);
}

#[test]
fn events_posted_to_a_waiting_run_count() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let server = Served::start([build(
        workflow("w")
            .max_runs(1)
            .step("begin", move |_, _: StartEvent| {
                held.pass();
                Ok(Wanted {})
            })
            .step("take", |ctx, given: Given| {
                ctx.state().push("all", given.n)?;
                Ok((given.n == 3).then(|| StopEvent::new(given.n)))
            }),
    )]);
    let first = server.begin("w", &json!({}));
    gate.await_comers(1);
    let second = server.begin("w", &json!({}));
    for n in [1, 2, 3] {
        assert_eq!(server.send(&second, "Given", &json!({ "n": n })).status, 200);
    }
    let waiting = server.get(&format!("/handlers/{second}"));
    assert_eq!(waiting.json()["status"], "running");
    gate.open();
    server.send(&first, "Given", &json!({ "n": 3 }));
    let feed = server.feed(&second);
    assert_eq!(values(&feed, "StopEvent"), [&json!({ "result": 3 })]);
}

#[test]
fn the_time_out_of_a_run_counts_from_its_admission() {
    let server = Served::start([build(workflow("w").max_runs(1).timeout(Duration::from_secs(1)).step(
        "w",
        |ctx, _: StartEvent| {
            ctx.sleep(Duration::from_millis(600))?;
            Ok(done(1))
        },
    ))]);
    let handlers: Vec<String> = (0..3).map(|_| server.begin("w", &json!({}))).collect();
    for handler in &handlers {
        assert_eq!(server.ended(handler)["status"], "completed");
    }
}

#[test]
fn a_run_that_fails_or_is_purged_gives_up_its_place() {
    let gate = Arc::new(Gate::default());
    let server = Served::start([one_at_a_time(&gate)]);
    let handlers: Vec<String> = (0..3).map(|_| server.begin("w", &json!({}))).collect();
    gate.await_comers(1);
    for handler in [&handlers[2], &handlers[0]] {
        let purged = server.post(&format!("/handlers/{handler}/cancel?purge=true"), &json!({}));
        assert_eq!(purged.status, 200);
        assert_eq!(server.get(&format!("/handlers/{handler}")).status, 404);
    }
    gate.open();
    assert_eq!(server.ended(&handlers[1])["status"], "completed");
}

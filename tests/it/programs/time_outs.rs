//! Time-outs of steps and runs, and threads that hang.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use steprill::{Ctx, Retry, StartEvent, Step, Workflow};

use super::{Counter, Gate, Served, build, done, error_of, served::values, workflow};
use crate::support::PATIENCE;

/// A body that ignores its time-out until the gate is opened.
fn deaf(gate: &Arc<Gate>) -> Workflow {
    let gate = Arc::clone(gate);
    let step = Step::new("deaf", move |_: &Ctx, _: StartEvent| {
        gate.pass();
        Ok(done("late"))
    });
    build(workflow("deaf").add(step.timeout(Duration::from_millis(20))))
}

fn quick() -> Workflow {
    build(workflow("quick").step("w", |_, _: StartEvent| Ok(done("quick"))))
}

#[test]
fn a_step_past_its_time_fails_and_its_thread_is_replaced() {
    let gate = Arc::new(Gate::default());
    let server = Served::with([deaf(&gate), quick()], |config| config.workers = 2);
    let response = server.run("deaf", &json!({}));
    assert_eq!(response.status, 500);
    assert!(response.text().contains("Step deaf timed out after 0.02 seconds"), "{}", response.text());
    for _ in 0..20 {
        assert_eq!(server.run("quick", &json!({})).status, 200);
    }
    gate.open();
}

#[test]
fn with_every_thread_hanging_runs_are_accepted_and_wait_and_health_reports_why() {
    let gate = Arc::new(Gate::default());
    let server = Served::with([deaf(&gate), quick()], |config| config.workers = 1);
    let hung = [server.begin("deaf", &json!({})), server.begin("deaf", &json!({}))];
    for handler in &hung {
        assert_eq!(server.ended(handler)["status"], "failed");
    }
    let waiting = server.begin("quick", &json!({}));
    let since = Instant::now();
    let health = loop {
        let reply = server.get("/health");
        assert_eq!(reply.status, 200);
        if reply.json()["status"] == "degraded" {
            break reply.json();
        }
        assert!(since.elapsed() < PATIENCE, "{}", reply.text());
    };
    let reason = health["reasons"][0].as_str().expect("a reason");
    assert!(reason.starts_with("2 passes were told to stop and do not end"), "{reason}");
    let started = server.begin("quick", &json!({}));
    for handler in [&waiting, &started] {
        assert_eq!(server.get(&format!("/results/{handler}")).status, 202);
    }
    gate.open();
    for handler in [&waiting, &started] {
        assert_eq!(server.ended(handler)["status"], "completed");
    }
    while server.get("/health").text() != r#"{"status":"healthy"}"# {
        assert!(since.elapsed() < PATIENCE, "it does not recover");
    }
}

#[test]
fn a_late_result_changes_nothing() {
    let gate = Arc::new(Gate::default());
    let server = Served::with([deaf(&gate), quick()], |config| config.workers = 2);
    let handler = server.begin("deaf", &json!({}));
    let feed = server.feed(&handler);
    gate.open();
    assert_eq!(server.run("quick", &json!({})).status, 200);
    assert_eq!(server.feed(&handler), feed);
    assert_eq!(server.ended(&handler)["status"], "failed");
}

#[test]
fn a_step_time_out_ends_an_attempt_and_the_next_may_succeed() {
    let step = Step::new("w", |ctx: &Ctx, _: StartEvent| {
        if ctx.attempt() < 3 {
            ctx.pause(Duration::from_mins(1))?;
        }
        Ok(done(ctx.attempt()))
    });
    let step = step.timeout(Duration::from_millis(10)).retry(Retry::fixed(Duration::from_millis(1)));
    assert_eq!(super::result_of(workflow("w").add(step), StartEvent::new()), json!(3));
}

#[test]
fn a_step_time_out_does_not_count_sleeps() {
    let step = Step::new("w", |ctx: &Ctx, _: StartEvent| {
        (0..10).try_for_each(|_| ctx.sleep(Duration::from_millis(100)))?;
        Ok(done(1))
    });
    let builder = workflow("w").add(step.timeout(Duration::from_millis(500)));
    assert_eq!(super::result_of(builder, StartEvent::new()), json!(1));
}

#[test]
fn a_step_time_out_does_not_count_the_queue_for_a_worker() {
    let slow = build(workflow("slow").step("w", |ctx, _: StartEvent| {
        ctx.pause(Duration::from_millis(400))?;
        Ok(done(1))
    }));
    let timed = Step::new("w", |_: &Ctx, _: StartEvent| Ok(done(2))).timeout(Duration::from_millis(200));
    let timed = build(workflow("timed").add(timed));
    let server = Served::with([slow, timed], |config| config.workers = 1);
    let slow = server.begin("slow", &json!({}));
    assert_eq!(server.run("timed", &json!({})).status, 200);
    assert_eq!(server.ended(&slow)["status"], "completed");
}

#[test]
fn a_run_past_its_time_fails_and_names_its_active_steps() {
    let builder = workflow("w").timeout(Duration::from_millis(50)).step("long", |ctx, _: StartEvent| {
        ctx.sleep(Duration::from_mins(1))?;
        Ok(done(1))
    });
    let expected = "Operation timed out after 0.05 seconds. Currently active steps: long";
    assert_eq!(error_of(builder, StartEvent::new()), expected);
}

#[test]
fn a_body_that_continues_after_its_run_has_ended_is_told_to_stop_and_harms_no_other_run() {
    static CALLS: Counter = Counter::new();
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let server = Served::start([build(workflow("w").step("w", move |ctx, _: StartEvent| {
        held.pass();
        CALLS.0.fetch_add(usize::from(ctx.check().is_ok()), std::sync::atomic::Ordering::SeqCst);
        Ok(done(1))
    }))]);
    let handler = server.begin("w", &json!({}));
    gate.await_comers(1);
    assert_eq!(server.cancel(&handler).status, 200);
    let before = server.feed(&handler);
    gate.open();
    drop(server);
    assert_eq!(CALLS.get(), 0);
    let names: Vec<&Value> = before.iter().map(|event| &event["type"]).collect();
    assert_eq!(values(&before, "WorkflowCancelledEvent").len(), 1, "{names:?}");
}

#[test]
fn a_pass_of_a_run_that_has_ended_in_the_queue_is_not_begun_and_no_thread_counts_as_hanging() {
    static BEGUN: Counter = Counter::new();
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let slow = build(workflow("slow").step("w", move |_, _: StartEvent| {
        held.pass();
        Ok(done(1))
    }));
    let counted = build(workflow("counted").step("w", |_, _: StartEvent| {
        BEGUN.count();
        Ok(done(1))
    }));
    let server = Served::with([slow, counted], |config| config.workers = 1);
    let slow = server.begin("slow", &json!({}));
    gate.await_comers(1);
    let waiting = server.begin("counted", &json!({}));
    assert_eq!(server.cancel(&waiting).status, 200);
    // Longer than a pass may outlast its run: the one worker is busy, not hung, so runs are still accepted.
    let until = Instant::now() + Duration::from_millis(1_200);
    while Instant::now() < until {
        let other = server.begin("counted", &json!({}));
        assert_eq!(server.cancel(&other).status, 200);
    }
    gate.open();
    assert_eq!(server.ended(&slow)["status"], "completed");
    assert_eq!(server.run("counted", &json!({})).status, 200);
    assert_eq!(BEGUN.get(), 1);
}

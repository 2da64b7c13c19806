//! Retry policies, as a program sees them.

use std::{
    io,
    time::{Duration, Instant},
};

use serde_json::json;
use steprill::{Ctx, Retry, StartEvent, Step, StepError};

use super::{Counter, Served, build, done, error_of, result_of, served::values, workflow};

fn failing(retry: Retry, passes: &'static Counter) -> steprill::WorkflowBuilder {
    let step = Step::new("w", |ctx: &Ctx, _: StartEvent| {
        passes.count();
        if true {
            Err(format!("attempt {}", ctx.attempt()))?;
        }
        Ok(done(1))
    });
    workflow("w").add(step.retry(retry))
}

#[test]
fn the_last_of_so_many_attempts_fails_the_run_with_its_error() {
    static PASSES: Counter = Counter::new();
    let retry = Retry::fixed(Duration::from_millis(2)).attempts(4);
    let began = Instant::now();
    assert_eq!(error_of(failing(retry, &PASSES), StartEvent::new()), "attempt 4");
    assert!(began.elapsed() >= Duration::from_millis(6));
    assert_eq!(PASSES.get(), 4);
}

#[test]
fn without_a_policy_the_first_failure_is_final() {
    static PASSES: Counter = Counter::new();
    assert_eq!(error_of(failing(Retry::never(), &PASSES), StartEvent::new()), "attempt 1");
    assert_eq!(PASSES.get(), 1);
}

#[test]
fn exponential_delays_grow() {
    static PASSES: Counter = Counter::new();
    let retry = Retry::exponential(Duration::from_millis(4)).without_jitter().attempts(4);
    let began = Instant::now();
    assert_eq!(error_of(failing(retry, &PASSES), StartEvent::new()), "attempt 4");
    assert!(began.elapsed() >= Duration::from_millis(4 + 8 + 16));
}

#[test]
fn no_attempt_begins_after_the_total_time() {
    static PASSES: Counter = Counter::new();
    let retry = Retry::fixed(Duration::from_millis(40)).attempts(1_000).within(Duration::from_millis(100));
    error_of(failing(retry, &PASSES), StartEvent::new());
    assert!((1..=3).contains(&PASSES.get()), "{}", PASSES.get());
}

#[test]
fn only_errors_that_are_worth_it_are_tried_again() {
    static PASSES: Counter = Counter::new();
    let step = Step::new("w", |ctx: &Ctx, _: StartEvent| {
        PASSES.count();
        let kind = if ctx.attempt() == 1 { io::ErrorKind::TimedOut } else { io::ErrorKind::NotFound };
        if true {
            Err(io::Error::from(kind))?;
        }
        Ok(done(1))
    });
    let judge = |error: &StepError| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    };
    let step = step.retry(Retry::fixed(Duration::ZERO).attempts(10)).retry_if(judge);
    let error = error_of(workflow("w").add(step), StartEvent::new());
    assert_eq!((PASSES.get(), error), (2, io::Error::from(io::ErrorKind::NotFound).to_string()));
}

#[test]
fn a_judge_that_panics_is_a_failure_of_the_step() {
    let step = Step::new("w", |_: &Ctx, _: StartEvent| if true { Err("bad")? } else { Ok(done(1)) });
    let step = step.retry_if(|_| panic!("cannot judge"));
    assert_eq!(error_of(workflow("w").add(step), StartEvent::new()), "Step w panicked: cannot judge");
}

#[test]
fn a_panic_is_tried_again_like_a_failure() {
    let step = Step::new("w", |ctx: &Ctx, _: StartEvent| {
        assert!(ctx.attempt() >= 3, "not yet");
        Ok(done(ctx.attempt()))
    });
    let step = step.retry(Retry::fixed(Duration::ZERO));
    assert_eq!(result_of(workflow("w").add(step), StartEvent::new()), json!(3));
}

#[test]
fn a_delay_releases_the_slot_and_reports_not_running_once() {
    let step = Step::new("w", |ctx: &Ctx, _: StartEvent| {
        if ctx.attempt() < 2 {
            Err("again")?;
        }
        Ok(done(1))
    });
    let server = Served::start([build(workflow("w").add(step.retry(Retry::fixed(Duration::from_millis(1)))))]);
    let handler = server.begin("w", &json!({}));
    let feed = server.feed(&handler);
    let states: Vec<String> = values(&feed, "StepStateChanged")
        .iter()
        .map(|value| value["step_state"].as_str().unwrap_or_default().to_lowercase())
        .collect();
    assert_eq!(states, ["running", "not_running", "running", "not_running"]);
}

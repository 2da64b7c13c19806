//! Steps whose last attempt fails and that emit an event because of it.

#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "what steps take and give is the library's to say"
)]

use std::{sync::Arc, time::Duration};

use serde_json::json;
use steprill::{Ctx, Failure, Result, Retry, StartEvent, Step, StopEvent, event, one_of};

use super::{Counter, Served, build, done, error_of, result_of, served::values, workflow};

event! {
    struct File { number: usize }
    struct Priced { number: usize }
    struct Unpriced { number: usize, error: String, attempts: u32 }
    struct Other { number: usize }
}
one_of! {
    enum Outcome { Priced, Unpriced }
}

fn files(_: &Ctx, _: StartEvent) -> Result<Vec<File>> {
    Ok((0..100).map(|number| File { number }).collect())
}

fn total(_: &Ctx, all: Vec<Outcome>) -> Result<StopEvent> {
    let texts: Vec<String> = all
        .iter()
        .map(|outcome| match outcome {
            Outcome::Priced(Priced { number }) => number.to_string(),
            Outcome::Unpriced(Unpriced { number, error, attempts }) => format!("{number}: {error} ({attempts})"),
        })
        .collect();
    Ok(done(texts))
}

fn unpriced(failure: Failure<File>) -> Unpriced {
    Unpriced { number: failure.input.number, error: failure.error, attempts: failure.attempts }
}

#[test]
fn one_bad_file_of_a_hundred_does_not_cost_the_other_ninety_nine() {
    fn price(_: &Ctx, file: File) -> Result<Priced> {
        match file.number {
            17 => Err("no such article")?,
            40 => panic!("boom"),
            number => Ok(Priced { number }),
        }
    }
    let retry = Retry::fixed(Duration::from_millis(1)).attempts(3);
    let server = Served::start([build(
        workflow("w")
            .step("files", files)
            .add(Step::new("price", price).workers(8).retry(retry).on_failure(unpriced))
            .step("total", total),
    )]);
    let handler = server.begin("w", &json!({}));
    let feed = server.feed(&handler);
    let result = server.ended(&handler)["result"]["value"]["result"].clone();
    let mut expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    expected[17] = "17: no such article (3)".to_owned();
    expected[40] = "40: Step price panicked: boom (3)".to_owned();
    assert_eq!(result, json!(expected));
    assert_eq!(values(&feed, "StepRetriedEvent").len(), 4);
    let failed = values(&feed, "StepFailedEvent");
    let value = json!({"step_name": "price", "exception": "no such article", "attempts": 3});
    assert!(failed.len() == 2 && failed.contains(&&value), "{failed:#?}");
    let graph = server.get("/workflows/w/representation").json()["graph"].take();
    let edge = |source, target| json!({"source": source, "target": target});
    for edge in [edge("price", "Unpriced"), edge("Unpriced", "total"), edge("Priced", "total")] {
        assert!(graph["edges"].as_array().is_some_and(|edges| edges.contains(&edge)), "{edge} {graph:#}");
    }
}

#[test]
fn a_step_that_times_out_emits_its_failure_event() {
    let slow = Step::new("slow", |ctx: &Ctx, _: StartEvent| {
        ctx.pause(Duration::from_mins(1))?;
        Ok(done("never"))
    });
    let slow = slow.timeout(Duration::from_millis(20)).on_failure(|failure: Failure<StartEvent>| done(failure.error));
    assert_eq!(result_of(workflow("w").add(slow), StartEvent::new()), "Step slow timed out after 0.02 seconds");
}

#[test]
fn a_panic_in_on_failure_fails_the_run_and_both_are_named() {
    let calls = Arc::new(Counter::new());
    let counted = Arc::clone(&calls);
    let step = Step::new("a", |_: &Ctx, _: StartEvent| -> Result<StopEvent> { Err("first")? });
    let step =
        step.retry(Retry::fixed(Duration::ZERO).attempts(2)).on_failure(move |_: Failure<StartEvent>| -> StopEvent {
            counted.count();
            panic!("second")
        });
    assert_eq!(
        error_of(workflow("w").add(step), StartEvent::new()),
        "first; then on_failure of step a: panicked: second"
    );
    assert_eq!(calls.get(), 1, "it is not tried again");
}

#[test]
fn on_failure_takes_what_its_step_takes() {
    let step = Step::new("price", |_: &Ctx, file: File| Ok(Priced { number: file.number }));
    let step = step.on_failure(|failure: Failure<Other>| Unpriced {
        number: failure.input.number,
        error: failure.error,
        attempts: failure.attempts,
    });
    let built = workflow("w").step("files", files).add(step).step("total", total).build();
    let faults = built.expect_err("it takes another type").to_string();
    let says = "Step `price` takes `File`, but its `on_failure` a `Failure<Other>`: let both agree.";
    assert!(faults.contains(says), "{faults}");
}

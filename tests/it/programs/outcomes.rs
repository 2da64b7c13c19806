//! How runs end, and what a program learns of it.

use std::panic::panic_any;

use serde_json::{Value, json};
use steprill::{Outcome, Runtime, Server, StartEvent, event};

use super::{Served, build, done, error_of, result_of, served::values, workflow};

event! {
    struct Other { n: i64 }
}

#[test]
fn a_panic_fails_the_run_with_its_message() {
    let of_str = workflow("w").step("boom", |_, start: StartEvent| {
        assert!(start.get_or("fine", false)?, "plain text");
        Ok(done(1))
    });
    assert_eq!(error_of(of_str, StartEvent::new()), "Step boom panicked: plain text");
    let of_string = workflow("w").step("boom", |_, start: StartEvent| {
        let n = start.get_or("n", 7)?;
        assert!(n == 8, "number {n}");
        Ok(done(1))
    });
    assert_eq!(error_of(of_string, StartEvent::new()), "Step boom panicked: number 7");
    let of_other = workflow("w").step("boom", |_, start: StartEvent| {
        if !start.get_or("fine", false)? {
            panic_any(42_u8);
        }
        Ok(done(1))
    });
    assert_eq!(error_of(of_other, StartEvent::new()), "Step boom panicked: no message");
}

/// Panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

impl std::fmt::Debug for Grenade {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("grenade")
    }
}

impl std::fmt::Display for Grenade {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("grenade")
    }
}

impl std::error::Error for Grenade {}

#[test]
fn a_panic_while_an_error_or_a_panic_is_dropped_fails_the_run_too() {
    let of_payload = workflow("w").step("boom", |_, start: StartEvent| {
        if !start.get_or("fine", false)? {
            panic_any(Grenade);
        }
        Ok(done(1))
    });
    assert!(error_of(of_payload, StartEvent::new()).starts_with("Step boom panicked"));
    let of_error = workflow("w").step("boom", |_, start: StartEvent| {
        if !start.get_or("fine", false)? {
            Err(Grenade)?;
        }
        Ok(done(1))
    });
    let error = error_of(of_error, StartEvent::new());
    assert!(error == "grenade" || error.starts_with("Step boom panicked"), "{error}");
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn output_that_nests_too_deep_fails_the_run_with_that_reason() {
    let deep = |depth| workflow("w").step("w", move |_, _: StartEvent| Ok(done(nested(depth))));
    assert_eq!(result_of(deep(99), StartEvent::new()), nested(99));
    let error = error_of(deep(100), StartEvent::new());
    assert!(error.contains("StopEvent") && error.contains("nested deeper than 100"), "{error}");
}

#[test]
fn output_that_is_too_large_fails_the_run_with_that_reason() {
    event! { struct Big { text: String } }
    let builder = workflow("w")
        .step("w", |_, _: StartEvent| Ok((0..65).map(|_| Big { text: "x".repeat(1 << 20) }).collect::<Vec<_>>()))
        .step("take", |_, _: Big| Ok(done(1)));
    let error = error_of(builder, StartEvent::new());
    assert!(error.contains("exceed 67108864 bytes"), "{error}");
}

#[test]
fn a_result_that_does_not_serialise_fails_the_run_with_that_reason() {
    let builder = workflow("w").step("w", |_, _: StartEvent| {
        let bad: std::collections::HashMap<(i32, i32), i32> = [((1, 2), 3)].into();
        Ok(done(bad))
    });
    let error = error_of(builder, StartEvent::new());
    assert!(error.contains("key must be a string"), "{error}");
}

#[test]
fn a_run_is_started_with_the_event_that_its_workflow_starts_with() {
    let workflow = build(workflow("w").step("w", |_, _: StartEvent| Ok(done(1))));
    let Outcome::Failed(error) = Runtime::run(&workflow, Other { n: 1 }) else { panic!("it cannot start") };
    assert_eq!(error, "workflow w starts with StartEvent, not Other");
    assert!(matches!(Runtime::run(&workflow, StartEvent::new()), Outcome::Completed(_)));
}

#[test]
fn a_server_refuses_two_workflows_of_one_name() {
    let one = || build(workflow("twice").step("w", |_, _: StartEvent| Ok(done(1))));
    let config = steprill::Config { listen: Vec::new(), ..steprill::Config::default() };
    let error = Server::new().add(one()).add(one()).bind(&config).expect_err("two of one name");
    assert_eq!(error.to_string(), "two workflows are named \"twice\"; rename one");
}

#[test]
fn the_outcome_is_the_last_event_of_the_feed_and_appears_once() {
    let server = Served::start([build(workflow("w").step("w", |_, start: StartEvent| {
        if start.get_or("fail", false)? {
            Err("bad")?;
        }
        Ok(done(1))
    }))]);
    let last = |feed: &[Value]| feed.last().map(|event| event["type"].clone());
    for fail in [false, true] {
        let feed = server.feed(&server.begin("w", &json!({ "fail": fail })));
        assert_eq!(last(&feed), Some(json!("StopEvent")), "{feed:#?}");
        assert_eq!(values(&feed, "StopEvent").len(), 1);
        assert_eq!(values(&feed, "WorkflowFailedEvent").len(), usize::from(fail));
    }
}

#[test]
fn two_simultaneous_stops_lead_to_one_outcome() {
    event! { struct Item { n: usize } }
    let server = Served::start([build(
        workflow("w")
            .step("split", |_, _: StartEvent| Ok((0..8).map(|n| Item { n }).collect::<Vec<_>>()))
            .add(steprill::Step::new("stop", |_: &steprill::Ctx, item: Item| Ok(done(item.n))).workers(8)),
    )]);
    for _ in 0..20 {
        let handler = server.begin("w", &json!({}));
        let feed = server.feed(&handler);
        assert_eq!(values(&feed, "StopEvent").len(), 1);
        assert_eq!(
            feed.last().map(|event| &event["value"]["result"]),
            Some(&server.ended(&handler)["result"]["value"]["result"])
        );
    }
}

//! Limits that a program can reach, and the errors that it gets.

use serde_json::{Value, json};
use steprill::{Ctx, StartEvent, Step, StopEvent, event};

use super::{Gate, Served, build, done, workflow};

event! {
    struct Big { text: String }
    struct Small { n: u64 }
    struct Item { n: usize }
}

#[test]
fn a_stream_over_the_bound_of_the_feed_fails_and_the_end_still_shows() {
    let server = Served::start([build(workflow("w").add(Step::new("w", |ctx: &Ctx, _: StartEvent| {
        let text = "x".repeat(1 << 20);
        (0..70).try_for_each(|_| ctx.stream(Big { text: text.clone() }))?;
        Ok(done(1))
    })))]);
    let handler = server.begin("w", &json!({}));
    // The step publishes one event before the 63 that it can stream; the end follows them.
    let end = server.get(&format!("/events/{handler}?sse=false&include_internal=true&after_sequence=63"));
    let names: Vec<Value> = end.events().into_iter().map(|mut event| event["type"].take()).collect();
    assert_eq!(names, ["StepStateChanged", "WorkflowFailedEvent", "StopEvent"]);
    let error = server.get(&format!("/handlers/{handler}")).json()["error"].clone();
    assert!(error.as_str().is_some_and(|error| error.contains("feed of this run is full")), "{error}");
}

#[test]
fn what_an_answer_is_to_match_is_bounded() {
    event! {
        struct Name: Asks<Named> {}
        struct Named: HumanResponse { name: String }
    }
    let ask = |length: usize| {
        move |ctx: &Ctx<steprill::Asks<(Name,)>>, _: StartEvent| {
            Ok(done(ctx.ask(Name {}).matching("name", "x".repeat(length)).wait()?.name))
        }
    };
    // Less the quotes and the name of the member.
    let longest = 4_096 - 6;
    let server = Served::start([
        build(workflow("fits").add(Step::new("w", ask(longest)))),
        build(workflow("longer").add(Step::new("w", ask(longest + 1)))),
    ]);
    let fits = server.begin("fits", &json!({}));
    server.follow(&fits).event_of("Name");
    assert_eq!(server.send(&fits, "Named", &json!({ "name": "x".repeat(longest) })).status, 200);
    assert_eq!(server.ended(&fits)["status"], "completed");
    let error = server.ended(&server.begin("longer", &json!({})))["error"].clone();
    let says = |text| error.as_str().is_some_and(|error| error.contains(text));
    assert!(says("has 4097 bytes, at most 4096 are compared: match an id"), "{error}");
}

#[test]
fn a_hundred_thousand_streamed_events_arrive_whole_and_in_order() {
    let server = Served::start([build(workflow("w").add(Step::new("w", |ctx: &Ctx, _: StartEvent| {
        (0..100_000).try_for_each(|n| ctx.stream(Small { n }))?;
        Ok(done(1))
    })))]);
    let handler = server.begin("w", &json!({}));
    let mut reader = server.follow(&handler);
    let (mut next, mut sequence) = (0, 0);
    while let Some(event) = reader.event() {
        assert_eq!(event["sequence"], sequence);
        sequence += 1;
        if event["type"] == "Small" {
            assert_eq!(event["value"]["n"], next);
            next += 1;
        }
    }
    assert_eq!(next, 100_000);
}

#[test]
fn a_pass_that_streams_without_end_stops_when_its_run_is_cancelled() {
    let gate = std::sync::Arc::new(Gate::default());
    let begun = std::sync::Arc::clone(&gate);
    let server = Served::start([build(workflow("w").add(Step::new("w", move |ctx: &Ctx, _: StartEvent| {
        begun.open();
        begun.pass();
        loop {
            ctx.stream(Big { text: "x".repeat(1000) })?;
        }
        #[expect(unreachable_code, reason = "it says what the step returns")]
        Ok(None::<StopEvent>)
    })))]);
    for _ in 0..5 {
        let handler = server.begin("w", &json!({}));
        gate.await_comers(1);
        // It may have filled its feed by now.
        assert!([200, 404].contains(&server.cancel(&handler).status));
        let status = server.ended(&handler)["status"].clone();
        assert!(status == "cancelled" || status == "failed", "{status}");
    }
}

#[test]
fn a_step_that_creates_too_many_works_fails_with_that_reason() {
    let builder = workflow("w")
        .step("w", |_, _: StartEvent| Ok((0..100_001).map(|n| Item { n }).collect::<Vec<_>>()))
        .step("take", |_, item: Item| Ok((item.n == usize::MAX).then(|| done(1))));
    let error = super::error_of(builder, StartEvent::new());
    assert!(error.contains("Step w would give its run 100001 works at once; it may have 100000"), "{error}");
}

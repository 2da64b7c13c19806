//! Steps without a program, questions before one, and events instead of failed runs.

use std::time::{Duration, Instant};

use serde_json::json;
use steprill::{
    EventKind,
    command::{Action, Case, Source, template::Template},
    graph::Shape,
};

use super::{Flow, Step, construct, json_text, sh};
use crate::programs::served::{Served, values};

#[test]
fn a_pause_is_a_sleep_of_the_run() {
    let flow = Flow::new("pause").step(Step::new("wait", "StartEvent", "StopEvent", |graph| {
        let event = construct(graph, "StopEvent", &[("result", Source::Field("a".into()))]);
        Action::Wait(Duration::from_millis(30), Some(event))
    }));
    let begun = Instant::now();
    assert_eq!(flow.run(&json!({ "a": [1] })), Ok(json!({ "result": [1] })));
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

/// A step that emits the result of the first case that applies.
fn sorted(may_emit_nothing: bool) -> Flow {
    let returns = if may_emit_nothing { "StopEvent?" } else { "StopEvent" };
    Flow::new("sort").step(Step::new("sort", "StartEvent", returns, |graph| {
        let when = |minimum: i64| {
            let schema = json!({
                "type": "object",
                "properties": { "n": { "type": "integer", "minimum": minimum } },
                "required": ["n"],
            });
            Some(Shape::compile(&schema, &|_| None))
        };
        let case =
            |minimum, source| Case { when: when(minimum), event: construct(graph, "StopEvent", &[("result", source)]) };
        let text = Source::Text(Template::parse("{n} of {who}: {missing}{list}").expect("a template"));
        Action::Emit([case(100, Source::Value(json_text(&json!({ "size": "large" })))), case(10, text)].into())
    }))
}

#[test]
fn the_first_case_that_applies_is_emitted() {
    let large = sorted(false).run(&json!({ "n": 100 }));
    assert_eq!(large, Ok(json!({ "result": { "size": "large" } })));
    let middle = sorted(false).run(&json!({ "n": 10, "who": "Ada", "list": [true] }));
    assert_eq!(middle, Ok(json!({ "result": "10 of Ada: [true]" })));
    let none = sorted(false).run(&json!({ "n": 1 })).expect_err("no case applies");
    assert!(none.contains(r#"no case of `emit` applies to {"n":1}"#), "{none}");
    let nothing = sorted(true).run(&json!({ "n": 1 })).expect_err("nothing is left to do");
    assert!(nothing.contains("no step is left to run"), "{nothing}");
}

fn confirmed(timeout: Option<Duration>) -> Flow {
    let step = Step::sh("price", "StartEvent", "StopEvent", r#"read -r all; echo "{\"result\":$all}""#);
    Flow::new("confirm")
        .kind("Confirm", EventKind::InputRequired, &json!({ "name": { "type": "string" } }))
        .kind("Approval", EventKind::HumanResponse, &json!({ "approved": { "type": "boolean" } }))
        .step(step.ask("Confirm", "Approval", timeout))
}

#[test]
fn a_program_gets_the_answer_to_the_question_that_was_asked_first() {
    let server = Served::start([confirmed(None).build()]);
    let handler = server.begin("confirm", &json!({ "name": "tea", "n": 1 }));
    let mut reader = server.follow(&handler);
    while reader.event().expect("the question")["type"] != "Confirm" {}
    assert_eq!(server.send(&handler, "Approval", &json!({ "approved": true })).status, 200);
    let feed = server.feed(&handler);
    assert_eq!(values(&feed, "Confirm"), [&json!({ "name": "tea" })]);
    let result = json!({ "event": { "name": "tea", "n": 1 }, "answer": { "approved": true } });
    assert_eq!(values(&feed, "StopEvent"), [&json!({ "result": result })]);
}

#[test]
fn a_question_without_an_answer_fails_in_time() {
    let server = Served::start([confirmed(Some(Duration::from_millis(10))).build()]);
    let handler = server.begin("confirm", &json!({ "name": "tea" }));
    assert_eq!(server.ended(&handler)["error"], "nobody answered Confirm in time");
}

#[test]
fn a_question_that_does_not_fit_its_type_is_not_asked() {
    let error = confirmed(None).run(&json!({ "name": 1 })).expect_err("it fails");
    assert_eq!(error, "event Confirm: field name: expected string, got number");
}

#[test]
fn an_event_replaces_a_run_that_would_fail() {
    let unpriced = json!({
        "name": { "type": "string" },
        "error": { "type": "string" },
        "attempts": { "type": "integer" },
        "step": { "type": "string" },
    });
    let flow = Flow::new("unpriced")
        .event("Unpriced", &unpriced)
        .step(Step::sh("price", "StartEvent", "StopEvent", "echo broken >&2; exit 75").on_failure("Unpriced"))
        .step(Step::sh("tell", "Unpriced", "StopEvent", r#"read -r all; echo "{\"result\":$all}""#));
    let expected = json!({ "name": "tea", "error": "exit code 75: broken", "attempts": 3, "step": "price" });
    assert_eq!(flow.run(&json!({ "name": "tea", "n": 1 })), Ok(json!({ "result": expected })));
}

#[test]
fn programs_that_take_all_slots_delay_no_pause_and_no_question() {
    let fifo = super::Fifo::new();
    let hang = format!("{} sleep 100", fifo.open_in_script());
    let hanging = Flow::new("hang").step(Step::run("hang", "StartEvent", "StopEvent", sh(&hang))).build();
    let pause = Flow::new("pause").step(Step::new("wait", "StartEvent", "StopEvent", |graph| {
        Action::Wait(Duration::from_millis(1), Some(construct(graph, "StopEvent", &[])))
    }));
    let server = Served::with([hanging, pause.build(), confirmed(None).build()], |config| config.programs_max = 1);
    let handler = server.begin("hang", &json!({}));
    let opened = fifo.opened();
    assert_eq!(server.run("pause", &json!({})).json()["status"], "completed");
    let asking = server.begin("confirm", &json!({ "name": "tea" }));
    let mut reader = server.follow(&asking);
    while reader.event().expect("the question")["type"] != "Confirm" {}
    assert_eq!(server.cancel(&handler).status, 200);
    opened.all_ended();
    server.send(&asking, "Approval", &json!({ "approved": true }));
    assert_eq!(server.ended(&asking)["status"], "completed");
}

use super::*;
use crate::{
    api::fixtures,
    graph::{EventId, EventKind, Graph},
};

#[track_caller]
fn check(item: &Item<'_>, expected: &str) {
    let graph = fixtures::graph(false);
    let workflow = WorkflowTexts::new(&graph);
    let mut out = Vec::new();
    render_event(&mut out, &workflow, item, true, None);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

fn event(graph: &Graph, name: &str) -> EventId {
    graph.event_id(name).unwrap()
}

#[test]
fn types_name_the_base_kinds_and_null_if_there_are_none() {
    let graph = fixtures::graph(false);
    for (name, module, types) in [
        ("Answer", "m", "[\"HumanResponseEvent\"]"),
        ("Question", "m", "[\"InputRequiredEvent\"]"),
        ("StartEvent", "workflows.events", "null"),
        ("Token", "m", "null"),
        ("Verdict", "m", "[\"StopEvent\"]"),
    ] {
        let expected = format!(
            "{{\"value\":{{\"a\":1}},\"qualified_name\":\"{module}.{name}\",\"type\":\"{name}\",\"types\":{types}}}"
        );
        check(&Item::Event(event(&graph, name), "{\"a\":1}"), &expected);
    }
    let other = Item::Other { name: "O\"", qualified_name: "x.O\"", kind: EventKind::Plain, value: "{}" };
    check(&other, "{\"value\":{},\"qualified_name\":\"x.O\\\"\",\"type\":\"O\\\"\",\"types\":null}");
    let other = Item::Other { name: "O", qualified_name: "x.O", kind: EventKind::InputRequired, value: "{}" };
    check(&other, "{\"value\":{},\"qualified_name\":\"x.O\",\"type\":\"O\",\"types\":[\"InputRequiredEvent\"]}");
}

#[test]
fn a_step_change_names_step_state_slot_input_and_output() {
    let graph = fixtures::graph(false);
    let (step, input) = (StepId(0), event(&graph, "StartEvent"));
    let item = |state, slot, output| Item::Step { step, state, slot, input, output };
    for (item, state, worker_id, output) in [
        (item(StepState::Preparing, None, StepOutput::None), "preparing", "<enqueued>", "null"),
        (item(StepState::Running, Some(0), StepOutput::None), "running", "0", "null"),
        (item(StepState::NotRunning, Some(12), StepOutput::Nothing), "not_running", "12", "\"NoneType\""),
        (
            item(StepState::NotRunning, Some(3), StepOutput::Event(event(&graph, "Work"))),
            "not_running",
            "3",
            "\"Work\"",
        ),
    ] {
        let expected = format!(
            "{{\"value\":{{\"name\":\"ask\",\"step_state\":\"{state}\",\"worker_id\":\"{worker_id}\",\
             \"input_event_name\":\"StartEvent\",\"output_event_name\":{output}}},\
             \"qualified_name\":\"workflows.events.StepStateChanged\",\"type\":\"StepStateChanged\",\
             \"types\":[\"InternalDispatchEvent\"]}}"
        );
        check(&item, &expected);
    }
}

#[test]
fn an_end_without_result_is_a_plain_stop_event_that_says_why() {
    let internal = |value: &str, name: &str| {
        format!(
            "{{\"value\":{value},\"qualified_name\":\"workflows.events.{name}\",\"type\":\"{name}\",\
             \"types\":[\"InternalDispatchEvent\"]}}"
        )
    };
    check(
        &Item::Failed { step: Some(StepId(1)), error: "no \"luck\"\n", attempts: 3 },
        &internal(
            "{\"step_name\":\"finish\",\"exception\":\"no \\\"luck\\\"\\n\",\"attempts\":3}",
            "WorkflowFailedEvent",
        ),
    );
    check(
        &Item::Failed { step: None, error: "e", attempts: 0 },
        &internal("{\"step_name\":null,\"exception\":\"e\",\"attempts\":0}", "WorkflowFailedEvent"),
    );
    check(
        &Item::Retried { step: StepId(1), error: "no \"luck\"", attempt: 2, next_us: 1_500_000 },
        &internal(
            "{\"step_name\":\"finish\",\"attempt\":2,\"exception\":\"no \\\"luck\\\"\",\
             \"next_attempt_at\":\"1970-01-01T00:00:01.500000+00:00\"}",
            "StepRetriedEvent",
        ),
    );
    check(
        &Item::StepFailed { step: StepId(1), error: "e", attempts: 3 },
        &internal("{\"step_name\":\"finish\",\"exception\":\"e\",\"attempts\":3}", "StepFailedEvent"),
    );
    check(
        &Item::TimedOut { timeout: Duration::from_millis(200), active: vec![StepId(0), StepId(1)] },
        &internal("{\"timeout\":0.2,\"active_steps\":[\"ask\",\"finish\"]}", "WorkflowTimedOutEvent"),
    );
    check(&Item::Cancelled, &internal("{}", "WorkflowCancelledEvent"));
    let stop = |value: &str| {
        format!(
            "{{\"value\":{value},\"qualified_name\":\"workflows.events.StopEvent\",\"type\":\"StopEvent\",\
             \"types\":null}}"
        )
    };
    check(
        &Item::Ended { step: Some(StepId(1)), error: Some("no \"luck\"\n") },
        &stop("{\"status\":\"failed\",\"error\":\"no \\\"luck\\\"\\n\",\"step\":\"finish\"}"),
    );
    check(
        &Item::Ended { step: None, error: Some("e") },
        &stop("{\"status\":\"failed\",\"error\":\"e\",\"step\":null}"),
    );
    check(&Item::Ended { step: None, error: None }, &stop("{\"status\":\"cancelled\",\"error\":null,\"step\":null}"));
}

#[test]
fn the_qualified_name_is_null_and_the_sequence_last_where_asked_for() {
    let graph = fixtures::graph(true);
    let workflow = WorkflowTexts::new(&graph);
    let step = Item::Step {
        step: StepId(0),
        state: StepState::Running,
        slot: Some(0),
        input: event(&graph, "StartEvent"),
        output: StepOutput::None,
    };
    let ended = Item::Ended { step: None, error: Some("e") };
    for item in [Item::Event(event(&graph, "Token"), "{}"), step, Item::Cancelled, ended] {
        let mut named = Vec::new();
        render_event(&mut named, &workflow, &item, true, None);
        let mut named: serde_json::Value = serde_json::from_slice(&named).unwrap();
        let mut out = b"before".to_vec();
        render_event(&mut out, &workflow, &item, false, Some(17));
        let text = std::str::from_utf8(&out).unwrap().strip_prefix("before").unwrap();
        assert!(text.ends_with(",\"sequence\":17}"), "{text}");
        let anonymous: serde_json::Value = serde_json::from_str(text).unwrap();
        named["qualified_name"] = serde_json::Value::Null;
        named["sequence"] = 17.into();
        assert_eq!(anonymous, named);
    }
}

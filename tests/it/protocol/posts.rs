//! POST events: forms, refusals in their order, what may come from outside, replies to a question.

use super::*;

fn post(program: &Program, handler: &str, body: &Value) -> Response {
    program.post(&format!("/events/{handler}"), body)
}

#[test]
fn event_is_accepted_in_every_form() {
    let fields = json!({"response": "pong"});
    for event in [
        json!({"type": "ExternalEvent", "value": fields}),
        json!({"type": "ExternalEvent", "data": fields}),
        json!({"type": "ExternalEvent", "value": {"_data": fields}}),
        json!({"type": "ExternalEvent", "value": fields, "qualified_name": null, "types": null}),
        json!({"qualified_name": "conformance.ExternalEvent", "value": fields}),
        json!({"qualified_name": "os.path.ExternalEvent", "data": fields}),
        json!(r#"{"type":"ExternalEvent","value":{"response":"pong"}}"#),
        json!(r#"{"qualified_name":"x.ExternalEvent","value":{"response":"pong"}}"#),
    ] {
        for step in [json!(null), json!("answer")] {
            let program = Program::start();
            let (handler, mut reader) = asked(&program);
            let reply = post(&program, &handler, &json!({"event": event, "step": step}));
            assert_eq!((reply.status, reply.text()), (200, r#"{"status":"sent"}"#), "{event}");
            assert_eq!(reader.event().expect("the end")["value"]["result"], "received: pong", "{event}");
        }
    }
}

#[test]
fn refusals_are_checked_in_order_and_leave_the_run_unchanged() {
    let program = Program::start();
    let (handler, mut reader) = asked(&program);
    let good = json!({"type": "ExternalEvent", "value": {"response": "pong"}});
    refused(&program.post_text("/events/nope", "{"), 404, "Handler not found");
    for body in [json!({}), json!({"event": {}}), json!({"event": ""}), json!({"event": null})] {
        refused(&post(&program, &handler, &body), 400, "Event data is required");
    }
    for (body, names) in [
        (json!({"event": "no JSON"}), &[][..]),
        (json!({"event": "[]"}), &[]),
        (json!({"event": 5}), &[]),
        (json!({"event": [good]}), &[]),
        (json!({"event": {"value": {"response": "pong"}}}), &["type"]),
        (json!({"event": {"type": "Nope", "value": {}}}), &["Nope", "ExternalEvent"]),
        (json!({"event": {"type": "Nope", "value": {}}, "step": "nope"}), &["Nope"]),
        (json!({"event": {"qualified_name": "conformance.Nope", "value": {}}}), &["Nope", "ExternalEvent"]),
        (json!({"event": {"type": "ExternalEvent", "value": {}}}), &["response"]),
        (json!({"event": {"type": "ExternalEvent", "value": {"response": 5}}}), &["response", "string"]),
        (json!({"event": {"type": "ExternalEvent", "value": "pong"}}), &[]),
        (json!({"event": {"type": "ExternalEvent", "value": {}}, "step": "nope"}), &["response"]),
        (json!({"event": good, "step": 5}), &["step"]),
    ] {
        refused_naming(&post(&program, &handler, &body), 400, names);
    }
    for (step, text) in [
        ("nope", "Failed to send event: Step nope does not exist"),
        ("ask", "Failed to send event: Step ask does not accept ExternalEvent"),
    ] {
        refused(&post(&program, &handler, &json!({"event": good, "step": step})), 400, text);
    }
    answer(&program, &handler);
    assert_eq!(reader.event().expect("the end")["value"]["result"], "received: pong");
    assert_eq!(reader.event(), None);
    refused(&program.post_text(&format!("/events/{handler}"), "{"), 409, "Workflow already completed");
}

#[test]
fn an_event_that_is_not_open_to_clients_is_refused_and_changes_nothing() {
    let program = Program::start();
    let (handler, mut reader) = asked(&program);
    for (name, value) in [
        ("StopEvent", json!({"result": "from outside"})),
        ("StartEvent", json!({})),
        ("RequestedExternalEvent", json!({"message": "echo"})),
        ("RequestedExternalEvent", json!(5)),
    ] {
        for step in [json!(null), json!("answer"), json!("nope")] {
            let event = json!({"type": name, "value": value});
            let text =
                format!("Failed to send event: {name} may not be sent from outside; interactive takes ExternalEvent");
            refused(&post(&program, &handler, &json!({"event": event, "step": step})), 400, &text);
        }
    }
    assert_eq!(program.get(&format!("/results/{handler}")).status, 202);
    answer(&program, &handler);
    assert_eq!(types(&[reader.event().expect("the end")]), ["StopEvent"]);
    assert_eq!(program.get(&format!("/results/{handler}")).json()["result"], "received: pong");
    // What passes between steps or is streamed may not come from outside either.
    for (workflow, start, name) in [
        ("looping", json!({"target": 2_000_000_000}), "Tick"),
        ("fan_out", json!({"items": [1], "delay_ms": 60_000}), "ItemDone"),
    ] {
        let handler = program.begin(workflow, start);
        let refusal = post(&program, &handler, &json!({"event": {"type": name, "value": {"n": 1, "index": 0}}}));
        refused_naming(&refusal, 400, &[name, &format!("{workflow} takes no events from outside")]);
        program.post(&format!("/handlers/{handler}/cancel?purge=true"), &json!({}));
    }
}

#[test]
fn a_reply_answers_the_question_of_its_number_and_a_second_click_nothing() {
    let program = Program::start();
    let given = json!({"type": "ApprovalGiven", "value": {"approved": true, "by": "me"}});
    let pong = json!({"type": "ExternalEvent", "value": {"response": "pong"}});
    for (workflow, start, question, event) in [
        ("approval", json!({"subject": "budget"}), "ApprovalRequested", given),
        ("interactive", json!({}), "RequestedExternalEvent", pong),
    ] {
        let handler = program.begin(workflow, start);
        let mut reader = follow(&program, &handler, "sse=false&after_sequence=-1");
        let asked = reader.event().expect("the question");
        assert_eq!(asked["type"], question);
        let number = asked["sequence"].as_u64().expect("a number");
        let reply = |in_reply_to: Value| post(&program, &handler, &json!({"event": event, "in_reply_to": in_reply_to}));
        let open = format!("open: {question} (number {number})");
        for wrong in [number + 1, 1_000_000] {
            let name = event["type"].as_str().expect("a name");
            refused(&reply(json!(wrong)), 409, &format!("Question {wrong} does not wait for this {name} now; {open}"));
        }
        for wrong in [json!("0"), json!(-1), json!(0.5)] {
            refused_naming(&reply(wrong), 400, &["in_reply_to"]);
        }
        assert_eq!(reply(json!(number)).text(), r#"{"status":"sent"}"#);
        assert_eq!(reply(json!(number)).status, 409);
        assert!(reader.event().is_some_and(|event| event["value"]["status"].is_null()), "it completes");
    }
}

#[test]
fn early_answer_waits_for_its_question() {
    let program = Program::start();
    for step in [json!(null), json!("review")] {
        let handler = program.begin("approval", json!({"subject": "budget"}));
        let event = json!({"type": "ApprovalGiven", "value": {"approved": true, "by": "me"}});
        assert_eq!(post(&program, &handler, &json!({"event": event, "step": step})).status, 200);
        let mut reader = follow(&program, &handler, "sse=false");
        assert_eq!(reader.event().expect("the question")["type"], "ApprovalRequested");
        assert_eq!(reader.event().expect("the end")["type"], "ApprovalResult");
    }
}

#[test]
fn fan_in_takes_nothing_from_outside() {
    let program = Program::start();
    let handler = program.begin("fan_out", json!({"items": [1], "delay_ms": 60_000}));
    let event = json!({"type": "WorkDone", "value": {"index": 0, "value": 1}});
    assert_eq!(post(&program, &handler, &json!({"event": event, "step": "join"})).status, 400);
}

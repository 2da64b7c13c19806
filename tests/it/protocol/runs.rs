//! POST run and run-nowait: the forms of a start event, continuing, contexts, the order of checks, waiting callers.

use super::*;

#[test]
fn start_event_is_accepted_in_every_form() {
    let program = Program::start();
    for (body, message) in [
        ("", "default"),
        ("{}", "default"),
        (" \n{ } ", "default"),
        (r#"{"start_event":null}"#, "default"),
        (r#"{"start_event":""}"#, "default"),
        (r#"{"start_event":{}}"#, "default"),
        (r#"{"start_event":{"message":"hi"}}"#, "hi"),
        (r#"{"start_event":"{\"message\":\"hi\"}"}"#, "hi"),
        (r#"{"start_event":"{\"type\":\"StartEvent\",\"value\":{\"message\":\"hi\"}}"}"#, "hi"),
        (r#"{"start_event":{"_data":{"message":"hi"}},"context":{}}"#, "hi"),
        (r#"{"start_event":{"type":"StartEvent","value":{"message":"hi"}}}"#, "hi"),
        (r#"{"start_event":{"type":"StartEvent","data":{"message":"hi"}}}"#, "hi"),
        (r#"{"start_event":{"types":[],"value":{"message":"hi"}}}"#, "hi"),
        (r#"{"start_event":{"qualified_name":"any.where.StartEvent","value":{"message":"hi"}}}"#, "hi"),
        (r#"{"start_event":{"value":{"_data":{"message":"hi"}},"type":"StartEvent","qualified_name":null}}"#, "hi"),
        // Not envelopes: the members are the fields.
        (r#"{"start_event":{"value":{"message":"no"}}}"#, "default"),
        (r#"{"start_event":{"value":{"message":"no"},"message":"hi"}}"#, "hi"),
        (r#"{"start_event":{"type":"Any","message":"hi"}}"#, "hi"),
        (r#"{"start_event":{"type":"Any","data":{"message":"no"},"message":"hi"}}"#, "hi"),
        (r#"{"kwargs":{"message":"hi"}}"#, "hi"),
        (r#"{"kwargs":{"message":"no"},"start_event":{"message":"hi"}}"#, "hi"),
        (r#"{"kwargs":{"message":"hi"},"start_event":null}"#, "hi"),
        (r#"{"handler_id":null,"context":null,"kwargs":null,"further":[1]}"#, "default"),
        (r#"{"start_event":{"message":"\ud83d\ude00 \u0000"}}"#, "\u{1f600} \0"),
    ] {
        let reply = program.post_text("/workflows/echo/run", body);
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        assert_eq!(reply.json()["result"], format!("processed: {message}"), "{body}");
        let begun = program.post_text("/workflows/echo/run-nowait", body);
        assert_eq!(begun.status, 200, "{body}: {}", begun.text());
        assert_eq!(begun.json()["status"], "running", "{body}");
    }
}

#[test]
fn every_workflow_returns_its_result() {
    let program = Program::start();
    for (workflow, start_event, result) in [
        ("streaming", json!({}), json!("completed_3_events")),
        ("streaming", json!({"count": 0}), json!("completed_0_events")),
        ("cumulative", json!({"increment": -2}), json!("count: -2, runs: 1")),
        ("structured", json!({"message": "hi"}), json!("hi")),
        ("fan_out", json!({"items": [3, -1, 2, 0, 5, 6, 7], "delay_ms": 1}), json!([9, 1, 4, 0, 25, 36, 49])),
        ("fan_out", json!({"items": []}), json!([])),
        ("looping", json!({"target": 3}), json!(3)),
        ("looping", json!({"target": 0}), json!(0)),
        ("branching", json!({"kind": "left"}), json!("left")),
        ("branching", json!({"kind": "right"}), json!("right")),
        ("flaky", json!({"failures": 0}), json!(1)),
        ("flaky", json!({"failures": 2, "max_attempts": 1}), json!(3)),
        ("sleepy", json!({"delay_ms": 0}), json!("slept 0")),
        ("sleepy", json!({"delay_ms": 5}), json!("slept 5")),
        ("timeout", json!({"delay_ms": 1}), json!("slept 1")),
    ] {
        let reply = run(&program, workflow, &json!({"start_event": start_event}));
        assert_eq!(reply.status, 200, "{workflow} {start_event}: {}", reply.text());
        assert_eq!(reply.json()["result"], result, "{workflow} {start_event}");
    }
}

#[test]
fn failing_run_says_why() {
    let program = Program::start();
    for (workflow, start_event, error) in [
        ("error", json!({}), "Test error"),
        ("branching", json!({"kind": "up"}), "unknown branch: up"),
        ("flaky", json!({"failures": 3}), "attempt 3 failed"),
        ("timeout", json!({}), "Operation timed out after 0.2 seconds. Currently active steps: sleep"),
        ("echo", json!({"message": 5}), "field message: expected string, got number"),
        ("echo", json!({"message": null}), "field message: expected string, got null"),
    ] {
        let reply = run(&program, workflow, &json!({"start_event": start_event}));
        refused(&reply, 500, &format!("Error running workflow: {error}"));
        let handler = program.finish(workflow, start_event.clone());
        let result = program.get(&format!("/results/{handler}"));
        refused(&result, 500, &format!("Error getting workflow result: {error}"));
        let view = program.get(&format!("/handlers/{handler}")).json();
        assert_eq!((&view["status"], &view["error"], &view["result"]), (&json!("failed"), &json!(error), &json!(null)));
    }
}

#[test]
fn a_failing_run_names_its_handler_and_its_step() {
    let program = Program::start();
    for (workflow, error, step) in [
        ("error", "Test error", json!("error_step")),
        ("timeout", "Operation timed out after 0.2 seconds. Currently active steps: sleep", json!(null)),
    ] {
        let accept = [("Accept", "application/json")];
        let reply = program.connect().request("POST", &format!("/workflows/{workflow}/run"), &accept, Some(b"{}"));
        assert_eq!(reply.status, 500);
        let location = reply.header("location").expect("it says where the handler is").to_owned();
        let id = location.strip_prefix("/handlers/").expect("a handler's path");
        let detail = format!("Error running workflow: {error}");
        assert_eq!(reply.json(), json!({"detail": detail, "error": error, "step": step, "handler_id": id}));
        assert_eq!(program.get(&location).json()["error"], error);
        let text = run(&program, workflow, &json!({}));
        assert_eq!(text.text(), detail);
        assert!(text.header("location").is_some_and(|location| location.starts_with("/handlers/")));
    }
}

#[test]
fn bad_start_event_names_its_field() {
    let program = Program::start();
    for (workflow, start_event, names) in [
        ("structured", json!({}), &["message"][..]),
        ("structured", json!({"message": 5}), &["message", "string"]),
        ("structured", json!({"type": "RequiredStartEvent", "value": {}}), &["message"]),
        ("approval", json!({"subject": ["budget"]}), &["subject", "string"]),
        ("fan_out", json!({}), &["items"]),
        ("fan_out", json!({"items": [1, "2"]}), &["items", "integer"]),
        ("fan_out", json!({"items": [1.5]}), &["items"]),
        ("fan_out", json!({"items": {}}), &["items", "array"]),
        ("looping", json!({"target": "3"}), &["target", "integer"]),
        ("branching", json!({"kind": null}), &["kind", "string"]),
        ("structured", json!({"type": "StartEvent", "value": {"message": "x"}}), &["StartEvent"]),
        ("interactive", json!({"type": "ExternalEvent", "value": {"response": "x"}}), &["ExternalEvent"]),
    ] {
        for path in ["run", "run-nowait"] {
            let reply = program.post(&format!("/workflows/{workflow}/{path}"), &json!({"start_event": start_event}));
            refused_naming(&reply, 400, names);
            assert!(reply.text().starts_with("Validation error for 'start_event': "), "{}", reply.text());
        }
    }
    assert!(program.listed("").is_empty());
}

#[test]
fn checks_stand_in_order_and_nothing_is_created_before_all_pass() {
    let program = Program::start();
    let running = program.begin("sleepy", json!({}));
    let bad_context = json!({"state": {"state_data": {"_data": {"key": "{"}}}});
    let bad_start = json!({"type": "Nope", "value": {}});
    refused(&program.post_text("/workflows/nope/run", "{"), 404, "Workflow not found");
    let both = json!({"handler_id": "a b", "context": bad_context, "start_event": bad_start});
    refused_naming(&run(&program, "sleepy", &both), 400, &["handler_id"]);
    let both = json!({"handler_id": "unknown", "start_event": bad_start});
    refused(&run(&program, "sleepy", &both), 404, "Handler not found");
    let both = json!({"handler_id": running, "context": bad_context, "start_event": bad_start});
    refused(&run(&program, "sleepy", &both), 409, "Handler is still running");
    let both = json!({"context": bad_context, "start_event": bad_start});
    refused_naming(&run(&program, "sleepy", &both), 400, &["key"]);
    assert_eq!(program.listed(""), [running]);
}

#[test]
fn only_a_completed_handler_of_this_workflow_is_continued() {
    let program = Program::start();
    let first = run(&program, "cumulative", &json!({"start_event": {"increment": 5}})).json();
    let running = program.begin("sleepy", json!({}));
    let failed = program.finish("error", json!({}));
    let cancelled = program.begin("sleepy", json!({}));
    assert_eq!(cancel(&program, &cancelled, "").status, 200);
    for (workflow, handler, status, text) in [
        ("cumulative", "unknown", 404, "Handler not found"),
        (
            "echo",
            first["handler_id"].as_str().expect("an id"),
            404,
            "Handler not found: it belongs to workflow cumulative",
        ),
        ("error", &*failed, 404, "Handler not found: it has already failed"),
        ("sleepy", &*cancelled, 404, "Handler not found: it has already been cancelled"),
        ("sleepy", &*running, 409, "Handler is still running"),
    ] {
        refused(&run(&program, workflow, &json!({"handler_id": handler})), status, text);
    }
    let second = run(&program, "cumulative", &json!({"handler_id": first["handler_id"]})).json();
    assert_eq!(second["result"], "count: 6, runs: 2");
    assert_eq!(second["handler_id"], first["handler_id"]);
    assert_ne!(second["run_id"], first["run_id"]);
    assert!(second["started_at"].as_str() > first["completed_at"].as_str());
    assert_eq!(program.listed("")[0], first["handler_id"].as_str().expect("an id"), "it keeps its place");
}

#[test]
fn context_brings_state_and_names_the_handler() {
    let program = Program::start();
    let context =
        |data: Value| json!({"version": 1, "state": {"state_type": "DictState", "state_data": {"_data": data}}});
    for (context, result) in [
        (context(json!({"count": "7", "run_history": "[\"a\",\"b\"]"})), "count: 8, runs: 3"),
        (json!({"state": {"state_data": {"_data": {"count": "7"}}}}), "count: 8, runs: 1"),
        (json!({"version": 2, "state": {"state_data": {"_data": {"count": "7"}}}}), "count: 8, runs: 1"),
        (json!({"version": 1, "state": {}, "is_running": true, "workers": {"any": []}}), "count: 1, runs: 1"),
        (json!({"version": 1}), "count: 1, runs: 1"),
        (json!({}), "count: 1, runs: 1"),
    ] {
        let reply = run(&program, "cumulative", &json!({"context": context}));
        assert_eq!(reply.status, 200, "{context}: {}", reply.text());
        assert_eq!(reply.json()["result"], result, "{context}");
    }
    let named = json!({"handler_id": "mine.A-1_", "context": context(json!({"count": "1"}))});
    assert_eq!(run(&program, "cumulative", &named).json()["handler_id"], "mine.A-1_");
    let again = run(&program, "cumulative", &named).json();
    assert_eq!(again["result"], "count: 2, runs: 1", "the context's state, not the handler's");
    assert_eq!(program.listed("").iter().filter(|id| *id == "mine.A-1_").count(), 1);
    assert_eq!(run(&program, "echo", &named).status, 409, "of another workflow");
}

#[test]
fn bad_context_says_what_is_wrong_with_it() {
    let program = Program::start();
    let with = |member: &str| format!(r#"{{"context":{member}}}"#);
    for context in ["5", "[]", "\"{}\"", "true"] {
        let reply = program.post_text("/workflows/echo/run", with(context));
        assert_eq!(reply.status, 500, "{context}: {}", reply.text());
        assert!(reply.text().starts_with("Error processing request body: "), "{context}: {}", reply.text());
        assert_eq!(program.post_text("/workflows/echo/run-nowait", with(context)).status, 400, "{context}");
    }
    for value in ["\"{\"", "\"\"", "5", "{}", r#""\"\\ud800\"""#, "\"1e400\"", "null"] {
        let body = with(&format!(r#"{{"state":{{"state_data":{{"_data":{{"the_key":{value}}}}}}}}}"#));
        refused_naming(&program.post_text("/workflows/echo/run", &body), 400, &["the_key"]);
    }
    for handler in ["a b", "a/b", "\u{fc}", &"x".repeat(65), "\n"] {
        let body = json!({"handler_id": handler, "context": {"version": 1}});
        refused_naming(&run(&program, "echo", &body), 400, &["handler_id"]);
    }
    assert!(program.listed("").is_empty());
    let longest = "x".repeat(64);
    let body = json!({"handler_id": longest, "context": {"version": 1}});
    assert_eq!(run(&program, "echo", &body).json()["handler_id"], longest);
}

/// Sends POST run of `interactive` and waits until the run exists. Returns its handler.
fn waiting_caller(program: &Program) -> (Connection, String) {
    let mut caller = program.connect();
    caller.send("POST", "/workflows/interactive/run", &[], Some(b""));
    loop {
        if let [handler] = &program.listed("")[..] {
            return (caller, handler.clone());
        }
    }
}

#[test]
fn caller_that_disconnects_does_not_end_the_run() {
    let program = Program::start();
    let (caller, handler) = waiting_caller(&program);
    drop(caller);
    settle(&program);
    answer(&program, &handler);
    follow(&program, &handler, "").rest();
    assert_eq!(program.get(&format!("/results/{handler}")).json()["result"], "received: pong");
}

#[test]
fn caller_that_has_sent_all_still_gets_its_reply() {
    let program = Program::start();
    let (mut caller, handler) = waiting_caller(&program);
    caller.half_close();
    settle(&program);
    answer(&program, &handler);
    assert_eq!(caller.head().status, 200);
    assert!(String::from_utf8(caller.rest()).expect("UTF-8").contains("received: pong"));
}

#[test]
fn caller_of_a_cancelled_run_gets_an_error() {
    for query in ["", "?purge=true"] {
        let program = Program::start();
        let (mut caller, handler) = waiting_caller(&program);
        assert_eq!(cancel(&program, &handler, query).status, 200);
        let mut reply = caller.head();
        reply.body = caller.rest();
        refused(&reply, 500, "Error running workflow: Workflow was cancelled");
    }
}

//! GET events: framing, envelopes, which events are shown in which order, how a feed ends.

use super::*;

#[test]
fn accept_decides_the_framing_unless_sse_does() {
    const SSE: &str = "text/event-stream; charset=utf-8";
    const NDJSON: &str = "application/x-ndjson";
    let program = Program::start();
    let handler = program.begin("sleepy", json!({}));
    for (query, accept, content_type) in [
        ("", None, SSE),
        ("", Some("*/*"), SSE),
        ("", Some("application/json"), SSE),
        ("", Some("text/event-stream"), SSE),
        ("", Some("application/x-ndjson"), NDJSON),
        ("", Some("application/ndjson"), NDJSON),
        ("", Some("Application/X-NDJSON"), NDJSON),
        ("", Some("text/html, application/x-ndjson;q=0.4"), NDJSON),
        ("", Some("application/x-ndjson, */*;q=0.1"), NDJSON),
        ("", Some("application/x-ndjson;q=0.5, text/event-stream"), SSE),
        ("", Some("application/x-ndjson, text/event-stream;q=0.5"), NDJSON),
        ("", Some("application/x-ndjson;q=0"), SSE),
        ("sse=true", Some("application/x-ndjson"), SSE),
        ("sse=TRUE", Some("application/x-ndjson"), SSE),
        ("sse=false", Some("text/event-stream"), NDJSON),
        ("sse=1", None, NDJSON),
        ("sse=", None, NDJSON),
        ("unknown=1", None, SSE),
    ] {
        let headers: Vec<_> = accept.map(|accept| ("Accept", accept)).into_iter().collect();
        let path = format!("/events/{handler}?{query}");
        let head = program.connect().request("HEAD", &path, &headers, None);
        assert_eq!(head.header("content-type"), Some(content_type), "HEAD {query} {accept:?}");
        let mut reader = program.connect();
        reader.send("GET", &path, &headers, None);
        let reply = reader.head();
        assert_eq!(reply.status, 200, "{query} {accept:?}");
        assert_eq!(reply.header("content-type"), Some(content_type), "{query} {accept:?}");
        for reply in [&head, &reply] {
            assert_eq!(reply.header("cache-control"), Some("no-cache, no-transform"));
            assert_eq!(reply.header("x-accel-buffering"), Some("no"));
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        }
        assert_eq!(reply.header("content-length"), None);
        drop(reader);
        settle(&program);
    }
}

#[test]
fn sse_is_a_number_and_a_line_of_data() {
    let program = Program::start();
    let handler = program.begin("looping", json!({"target": 1}));
    let text = String::from_utf8(follow(&program, &handler, "").rest()).expect("UTF-8");
    let data = |id: u64, value: &str, kind: &str, module: &str| {
        let name = format!(r#""qualified_name":"{module}.{kind}","type":"{kind}","types":null"#);
        format!("id: {id}\ndata: {{\"value\":{value},{name}}}\n\n")
    };
    let ids: Vec<u64> =
        text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().expect("a number")).collect();
    let [first, second, stop] = ids[..] else { panic!("{text}") };
    let expected = [
        data(first, r#"{"n":0}"#, "Tick", "conformance"),
        data(second, r#"{"n":1}"#, "Tick", "conformance"),
        data(stop, r#"{"result":1}"#, "StopEvent", "workflows.events"),
    ];
    assert_eq!(text, expected.concat());
    assert!(first < second && second < stop);
}

#[test]
fn qualified_name_is_null_when_not_wanted() {
    let program = Program::start();
    let handler = program.begin("streaming", json!({"count": 1}));
    let mut reader = follow(&program, &handler, "sse=false&include_internal=true&include_qualified_name=no");
    let mut seen = 0;
    while let Some(event) = reader.event() {
        assert_eq!(event["qualified_name"], json!(null), "{event}");
        assert_eq!(event.as_object().expect("an object").len(), 4);
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn queue_uses_internal_events_up_unseen() {
    let program = Program::start();
    let (handler, reader) = asked(&program);
    drop(reader);
    settle(&program);
    answer(&program, &handler);
    let events = follow(&program, &handler, "sse=false&include_internal=true");
    let first = { events }.event().expect("an event");
    assert_eq!((&first["value"]["name"], &first["value"]["step_state"]), (&json!("answer"), &json!("running")));
}

/// Returns the state changes of a finished run as `step state worker`.
fn changes(program: &Program, workflow: &str, start_event: Value) -> Vec<String> {
    let handler = program.begin(workflow, start_event);
    let mut reader = follow(program, &handler, "sse=false&include_internal=true");
    let mut changes = Vec::new();
    while let Some(event) = reader.event() {
        if event["type"] == "StepStateChanged" {
            let value = &event["value"];
            let text = |member: &str| value[member].as_str().expect("a string").to_owned();
            changes.push(format!("{} {} {}", text("name"), text("step_state"), text("worker_id")));
        }
    }
    changes
}

#[test]
fn each_retry_runs_and_ends_and_shows_why_with_internal_events_alone() {
    let program = Program::start();
    let handler = program.finish("flaky", json!({"failures": 2}));
    let log = |query: &str| program.get(&format!("/events/{handler}?after_sequence=-1&sse=false{query}")).events();
    let events = log("&include_internal=true");
    let retried: Vec<_> = events.iter().enumerate().filter(|(_, event)| event["type"] == "StepRetriedEvent").collect();
    for ((place, event), attempt) in retried.iter().zip(1..) {
        assert_eq!(event["qualified_name"], "workflows.events.StepRetriedEvent");
        assert_eq!(event["types"], json!(["InternalDispatchEvent"]));
        let next_at = event["value"]["next_attempt_at"].as_str().expect("a time");
        let exception = format!("attempt {attempt} failed");
        let expected =
            json!({"step_name": "attempt", "attempt": attempt, "exception": exception, "next_attempt_at": next_at});
        assert_eq!(event["value"], expected);
        assert!(next_at.starts_with("20") && next_at.ends_with("+00:00"), "{next_at}");
        let states = [place - 1, place + 1].map(|place| &events[place]["value"]["step_state"]);
        assert_eq!(states, ["not_running", "running"]);
    }
    assert_eq!(retried.len(), 2, "{events:#?}");
    assert_eq!(types(&log("")), ["StopEvent"]);
    let expected = ["attempt running 0", "attempt not_running 0"].repeat(3);
    assert_eq!(changes(&program, "flaky", json!({"failures": 2})), expected);
}

#[test]
fn work_beyond_the_slots_is_prepared_first() {
    let program = Program::start();
    let changes = changes(&program, "fan_out", json!({"items": [1, 2, 3, 4, 5, 6], "delay_ms": 5}));
    let of = |prefix: &str| changes.iter().filter(|change| change.starts_with(prefix)).count();
    assert_eq!(of("square preparing <enqueued>"), 2, "{changes:#?}");
    assert_eq!(of("square running "), 6, "{changes:#?}");
    assert_eq!(of("square not_running "), 6, "{changes:#?}");
    for worker in 0..4 {
        assert!(of(&format!("square running {worker}")) > 0, "{changes:#?}");
    }
    assert_eq!(of("join running 0"), 1, "{changes:#?}");
    assert_eq!(changes.last().map(String::as_str), Some("join not_running 0"));
}

#[test]
fn failed_run_ends_its_feed_with_the_reason_and_a_stop_event_that_says_so() {
    let program = Program::start();
    let internal = |value: Value, kind: &str| {
        let qualified_name = format!("workflows.events.{kind}");
        json!({"value": value, "qualified_name": qualified_name, "type": kind, "types": ["InternalDispatchEvent"]})
    };
    let stop = |status: &str, error: Option<&str>, step: Option<&str>| {
        let value = json!({"status": status, "error": error, "step": step});
        json!({"value": value, "qualified_name": "workflows.events.StopEvent", "type": "StopEvent", "types": null})
    };
    let reason = json!({"step_name": "error_step", "exception": "Test error", "attempts": 1});
    let timed_out = json!({"timeout": 0.2, "active_steps": ["sleep"]});
    let error = "Operation timed out after 0.2 seconds. Currently active steps: sleep";
    for (workflow, reason, stop) in [
        ("error", internal(reason, "WorkflowFailedEvent"), stop("failed", Some("Test error"), Some("error_step"))),
        ("timeout", internal(timed_out, "WorkflowTimedOutEvent"), stop("failed", Some(error), None)),
        ("sleepy", internal(json!({}), "WorkflowCancelledEvent"), stop("cancelled", None, None)),
    ] {
        let handler = program.begin(workflow, json!({}));
        let mut reader = follow(&program, &handler, "sse=false&include_internal=true");
        if workflow == "sleepy" {
            assert_eq!(reader.event().expect("an event")["value"]["step_state"], "running");
            assert_eq!(cancel(&program, &handler, "").status, 200);
        }
        let mut events = Vec::new();
        while let Some(event) = reader.event() {
            events.push(event);
        }
        assert_eq!(events[events.len() - 2..], [reason, stop], "{workflow}");
        let ended = events.iter().any(|event| event["value"]["step_state"] == "not_running");
        assert_eq!(ended, workflow == "error", "{workflow}: after a time-out or cancel there is no not_running");
    }
}

#[test]
fn feed_of_an_awaited_run_is_retained() {
    let program = Program::start();
    let handler = run(&program, "looping", &json!({"start_event": {"target": 2}})).json();
    let path = format!("/events/{}?sse=false", handler["handler_id"].as_str().expect("an id"));
    assert_eq!(types(&program.get(&path).events()), ["Tick", "Tick", "Tick", "StopEvent"]);
    assert_eq!(program.get(&path).status, 204);
}

#[test]
fn stream_ends_after_the_final_state_is_stored() {
    let program = Program::start();
    for _ in 0..20 {
        let handler = program.finish("echo", json!({}));
        assert_eq!(program.get(&format!("/results/{handler}")).status, 200);
        assert_eq!(program.get(&format!("/events/{handler}")).status, 204);
    }
}

#[test]
fn http_1_0_gets_a_stream_that_ends_with_the_connection() {
    let program = Program::start();
    let handler = program.begin("streaming", json!({"count": 2}));
    let mut reader = program.connect();
    reader.write(format!("GET /events/{handler}?sse=false HTTP/1.0\r\n\r\n").as_bytes());
    let mut reply = reader.head();
    assert_eq!((reply.status, reply.header("transfer-encoding")), (200, None));
    reply.body = reader.rest();
    assert_eq!(types(&reply.events()), ["StreamEvent", "StreamEvent", "StopEvent"]);
}

#[test]
fn slow_reader_gets_every_event() {
    let program = Program::start();
    let count = 20_000;
    let handler = program.begin("streaming", json!({"count": count, "delay_ms": 0}));
    let mut reader = follow(&program, &handler, "sse=false");
    // Continues to read only after the run has ended: what the socket did not take is still in the feed.
    while program.get(&format!("/results/{handler}")).status == 202 {}
    for sequence in 0..count {
        assert_eq!(reader.event().expect("an event")["value"]["sequence"], sequence);
    }
    assert_eq!(reader.event().expect("the end")["type"], "StopEvent");
    assert_eq!(reader.event(), None);
}

#[test]
fn line_separators_of_other_standards_are_escaped_in_ndjson() {
    // The stock Python client splits NDJSON lines as `str.splitlines` does, inside of strings, too.
    let program = Program::start();
    let message = "a\u{85}b\u{2028}c\u{2029}d";
    let handler = program.begin("echo", json!({"message": message}));
    let reply = program.get(&format!("/events/{handler}?sse=false"));
    assert!(!reply.text().contains(['\u{85}', '\u{2028}', '\u{2029}']), "{}", reply.text());
    assert_eq!(reply.events()[0]["value"]["result"], format!("processed: {message}"));
}

#[test]
fn large_event_is_whole_in_every_framing_and_beside_small_ones() {
    let program = Program::start();
    let subject = format!("\u{2028}{}\u{e9}", "x".repeat(1 << 20));
    let handler = program.begin("approval", json!({"subject": subject}));
    let mut reader = program.connect();
    reader.send("GET", &format!("/events/{handler}?sse=false&include_internal=true"), &[], None);
    reader.head();
    let line = loop {
        let line = reader.line().expect("the question comes");
        if line.contains("ApprovalRequested\",\"types") {
            break line;
        }
    };
    assert!(line.is_char_boundary(20) && !line.contains('\u{2028}') && line.contains("\\u2028xxx"));
    let asked: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(asked["value"]["subject"], subject);
    let given = json!({"type": "ApprovalGiven", "value": {"approved": true, "by": "x"}});
    assert_eq!(program.post(&format!("/events/{handler}"), &json!({"event": given})).status, 200);
    let rest = String::from_utf8(reader.rest()).expect("UTF-8");
    let last: Value = serde_json::from_str(rest.lines().last().expect("the end")).expect("JSON");
    assert_eq!((&last["type"], &last["value"]["subject"]), (&json!("ApprovalResult"), &json!(subject)));
    assert_eq!(program.get(&format!("/handlers/{handler}")).json()["status"], "completed", "the connection continues");

    let log = |query: &str| program.get(&format!("/events/{handler}?after_sequence=-1&{query}"));
    let numbered = log("sse=false").text().to_owned();
    let events: Vec<Value> = numbered.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["value"]["subject"] == *subject && event["sequence"].is_u64()));
    let sse = log("sse=true").text().to_owned();
    let data: Vec<&str> = sse.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let events: Vec<Value> = data.iter().map(|data| serde_json::from_str(data).expect("JSON")).collect();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["value"]["subject"] == *subject));
    let mut old = program.connect();
    old.write(format!("GET /events/{handler}?sse=false&after_sequence=-1 HTTP/1.0\r\n\r\n").as_bytes());
    old.head();
    assert_eq!(String::from_utf8(old.rest()).expect("UTF-8"), numbered);
}

#[test]
fn large_event_that_was_not_fully_taken_remains_for_the_next_reader() {
    let program = Program::start();
    let handler = program.begin("approval", json!({"subject": "x".repeat(1 << 20)}));
    let mut first = program.connect();
    first.send("GET", &format!("/events/{handler}?sse=false"), &[], None);
    first.head();
    drop(first);
    let mut second = program.connect();
    second.send("GET", &format!("/events/{handler}?sse=false&acquire_timeout=10"), &[], None);
    assert_eq!(second.head().status, 200);
    assert_eq!(second.event_of("ApprovalRequested")["value"]["subject"].as_str().map(str::len), Some(1 << 20));
    drop(second);
    let mut third = program.connect();
    third.send("GET", &format!("/events/{handler}?sse=false&acquire_timeout=10"), &[], None);
    assert_eq!(third.head().status, 200);
    let given = json!({"type": "ApprovalGiven", "value": {"approved": true, "by": "x"}});
    assert_eq!(program.post(&format!("/events/{handler}"), &json!({"event": given})).status, 200);
    assert_eq!(third.event().expect("the end")["type"], "ApprovalResult", "what was taken whole is used up");
}

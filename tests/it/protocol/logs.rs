//! The numbered log: any number of readers, from any number, also after the end.

use super::*;

/// Returns the numbers of an NDJSON log, and the types of its events.
fn numbered(reply: &Response) -> Vec<(u64, String)> {
    let event = |event: &Value| {
        (event["sequence"].as_u64().expect("a number"), event["type"].as_str().expect("a type").to_owned())
    };
    reply.events().iter().map(event).collect()
}

fn log(program: &Program, handler: &str, query: &str, last_event_id: Option<&str>) -> Response {
    let headers: Vec<_> = last_event_id.map(|id| ("Last-Event-ID", id)).into_iter().collect();
    program.connect().request("GET", &format!("/events/{handler}?{query}"), &headers, None)
}

#[test]
fn numbers_count_every_event_from_0_without_gaps() {
    let program = Program::start();
    let handler = program.finish("fan_out", json!({"items": [1, 2, 3]}));
    let all = numbered(&log(&program, &handler, "sse=false&include_internal=true&after_sequence=-1", None));
    let numbers: Vec<u64> = all.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..all.len() as u64).collect::<Vec<_>>());
    let shown: Vec<_> = all.iter().filter(|(_, name)| name != "StepStateChanged").cloned().collect();
    assert_eq!(numbered(&log(&program, &handler, "sse=false&after_sequence=-1", None)), shown);
    for cursor in 0..all.len() - 1 {
        let query = format!("sse=false&include_internal=true&after_sequence={cursor}");
        assert_eq!(numbered(&log(&program, &handler, &query, None)), all[cursor + 1..], "after {cursor}");
    }
    let last = all.len() - 1;
    for beyond in [last, last + 1, last + 1_000] {
        assert_eq!(log(&program, &handler, &format!("after_sequence={beyond}"), None).status, 204, "{beyond}");
    }
    assert_eq!(log(&program, &handler, "after_sequence=now", None).status, 204);
}

#[test]
fn log_is_read_beside_the_queue() {
    let program = Program::start();
    let (handler, mut queue) = asked(&program);
    let mut logs = [
        follow(&program, &handler, "sse=false&after_sequence=-1"),
        follow(&program, &handler, "sse=false&after_sequence=-1&acquire_timeout=0"),
    ];
    for log in &mut logs {
        assert_eq!(log.event().expect("an event")["type"], "RequestedExternalEvent");
    }
    let mut new = follow(&program, &handler, "sse=false&after_sequence=now");
    answer(&program, &handler);
    for reader in [&mut queue, &mut new].into_iter().chain(&mut logs) {
        assert_eq!(reader.event().expect("an event")["type"], "StopEvent");
        assert_eq!(reader.event(), None);
    }
    assert_eq!(log(&program, &handler, "", None).status, 204, "the queue is drained");
    assert_eq!(log(&program, &handler, "after_sequence=-1", None).status, 200, "the log is not");
}

#[test]
fn last_event_id_wins_over_after_sequence() {
    let program = Program::start();
    let handler = program.finish("looping", json!({"target": 1}));
    let all = numbered(&log(&program, &handler, "sse=false&after_sequence=-1", None));
    let first = all[0].0.to_string();
    let text = log(&program, &handler, "", Some(&first)).text().to_owned();
    assert_eq!(text.matches("data: ").count(), all.len() - 1);
    assert!(text.starts_with(&format!("id: {}\n", all[1].0)), "{text}");
    let both = log(&program, &handler, "after_sequence=-1", Some(&first));
    assert_eq!(both.text(), text);
    assert_eq!(log(&program, &handler, "after_sequence=0", Some(&all[all.len() - 1].0.to_string())).status, 204);
    for bad in ["", "abc", "-7", "1.5", "0x1"] {
        let ignored = log(&program, &handler, &format!("after_sequence={first}"), Some(bad));
        assert_eq!(ignored.text(), text, "{bad:?} is ignored");
        assert_eq!(log(&program, &handler, "", Some(bad)).status, 204, "{bad:?}: the queue, which is drained");
    }
}

#[test]
fn bad_after_sequence_is_400() {
    let program = Program::start();
    let handler = program.finish("echo", json!({}));
    for bad in ["abc", "-2", "1.5", "", "NOW", "0x1"] {
        let reply = log(&program, &handler, &format!("after_sequence={bad}"), None);
        refused_naming(&reply, 400, &["after_sequence"]);
    }
}

#[test]
fn numbers_continue_across_the_runs_of_a_handler() {
    let program = Program::start();
    let first = run(&program, "cumulative", &json!({})).json();
    let handler = first["handler_id"].as_str().expect("an id");
    let all = "sse=false&include_internal=true&after_sequence=-1";
    let before = numbered(&log(&program, handler, all, None));
    assert_eq!(run(&program, "cumulative", &json!({"handler_id": handler})).status, 200);
    let after = numbered(&log(&program, handler, all, None));
    assert_eq!(after[0].0, before.len() as u64, "the newest run only");
    assert_eq!(after.len(), before.len());
    let older = log(&program, handler, "sse=false&include_internal=true&after_sequence=0", None);
    assert_eq!(numbered(&older), after, "a smaller number starts there too");
}

#[test]
fn queue_shows_numbers_in_sse_and_none_in_ndjson() {
    let program = Program::start();
    let handler = program.begin("echo", json!({}));
    let events = program.get(&format!("/events/{handler}?sse=false")).events();
    assert_eq!(events[0].get("sequence"), None);
    let log = log(&program, &handler, "after_sequence=-1", None);
    assert!(log.text().starts_with("id: 2\ndata: {"), "{}", log.text());
}

#[test]
fn readers_end_properly_at_a_purge() {
    let program = Program::start();
    let (handler, mut queue) = asked(&program);
    let mut log = follow(&program, &handler, "sse=false&after_sequence=now");
    assert_eq!(cancel(&program, &handler, "?purge=true").status, 200);
    assert!(!queue.breaks_off());
    assert!(!log.breaks_off());
}

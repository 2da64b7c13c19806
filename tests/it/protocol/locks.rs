//! The queue and its one reader: who waits, who is refused, who is next, and what stays in the queue.

use super::*;

#[test]
fn acquire_timeout_is_checked_first() {
    let program = Program::start();
    for value in ["abc", "", "nan", "inf", "-inf", "-1", "1e999", "1s"] {
        let reply = program.get(&format!("/events/unknown?acquire_timeout={value}"));
        refused(&reply, 400, &format!("Invalid acquire_timeout: '{value}'"));
    }
    refused(&program.get("/events/unknown?acquire_timeout=1e300"), 404, "Handler not found");
    let handler = program.begin("sleepy", json!({}));
    for value in ["0", "0.0", "1e300", "5"] {
        follow(&program, &handler, &format!("acquire_timeout={value}"));
        settle(&program);
    }
}

#[test]
fn second_reader_is_refused_after_its_timeout() {
    let program = Program::start();
    let (handler, _reader) = asked(&program);
    for (query, seconds) in [("acquire_timeout=0", "0.0"), ("acquire_timeout=0.05", "0.05"), ("", "1.0")] {
        let reply = program.get(&format!("/events/{handler}?{query}"));
        let begins = format!("No lock available to acquire after {seconds}s timeout");
        assert!(reply.text().starts_with(&begins), "{}", reply.text());
        refused_naming(&reply, 409, &["?after_sequence=-1"]);
    }
}

#[test]
fn waiting_readers_are_served_in_order_of_arrival() {
    let program = Program::start();
    let (handler, first) = asked(&program);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(ask_to_follow(&program, &handler, "sse=false&acquire_timeout=1e300"));
        settle(&program);
    }
    drop(first);
    let mut third = waiting.pop().expect("three");
    let mut second = waiting.pop().expect("two");
    let mut next = waiting.pop().expect("one");
    assert_eq!(next.head().status, 200);
    drop(next);
    assert_eq!(second.head().status, 200);
    answer(&program, &handler);
    assert_eq!(second.event().expect("the end")["type"], "StopEvent");
    assert_eq!(second.event(), None);
    assert_eq!(third.head().status, 204, "drained when its turn comes");
}

#[test]
fn waiting_reader_that_disconnects_is_skipped() {
    let program = Program::start();
    let (handler, first) = asked(&program);
    let hung_up = ask_to_follow(&program, &handler, "acquire_timeout=1e300");
    settle(&program);
    let half_closed = ask_to_follow(&program, &handler, "acquire_timeout=1e300");
    settle(&program);
    let mut last = ask_to_follow(&program, &handler, "acquire_timeout=1e300");
    settle(&program);
    drop(hung_up);
    half_closed.half_close();
    settle(&program);
    drop(first);
    assert_eq!(last.head().status, 200);
}

#[test]
fn waiting_reader_learns_of_a_purge() {
    let program = Program::start();
    let (handler, mut first) = asked(&program);
    let mut waiting = ask_to_follow(&program, &handler, "acquire_timeout=1e300");
    settle(&program);
    assert_eq!(cancel(&program, &handler, "?purge=true").status, 200);
    first.rest();
    assert_eq!(waiting.head().status, 404);
}

#[test]
fn reader_that_disconnects_leaves_the_remaining_events_to_the_next() {
    let program = Program::start();
    let (handler, reader) = asked(&program);
    drop(reader);
    answer(&program, &handler);
    let events = program.get(&format!("/events/{handler}?sse=false&acquire_timeout=20")).events();
    assert_eq!(types(&events), ["StopEvent"]);
}

#[test]
fn end_of_input_on_a_stream_is_a_disconnect() {
    let program = Program::start();
    let (handler, mut reader) = asked(&program);
    reader.half_close();
    reader.breaks_off();
    let next = follow(&program, &handler, "sse=false&acquire_timeout=20");
    answer(&program, &handler);
    assert_eq!({ next }.event().expect("the end")["type"], "StopEvent");
}

#[test]
fn head_uses_nothing_up_and_takes_no_lock() {
    let program = Program::start();
    let handler = program.begin("interactive", json!({}));
    let path = format!("/events/{handler}");
    let head = |path: &str| program.connect().request("HEAD", path, &[], None).status;
    assert_eq!(head(&path), 200);
    assert_eq!(head(&format!("{path}?acquire_timeout=x")), 400);
    assert_eq!(head("/events/unknown"), 404);
    let mut reader = follow(&program, &handler, "sse=false");
    assert_eq!(reader.event().expect("an event")["type"], "RequestedExternalEvent");
    assert_eq!(head(&format!("{path}?acquire_timeout=0")), 200, "though it is being read");
    answer(&program, &handler);
    assert_eq!(reader.event().expect("an event")["type"], "StopEvent");
    assert_eq!(reader.event(), None);
    assert_eq!(head(&path), 204);
}

#[test]
fn feed_of_a_cancelled_run_is_read_once_and_then_drained() {
    let program = Program::start();
    let handler = program.begin("sleepy", json!({}));
    assert_eq!(cancel(&program, &handler, "").status, 200);
    let path = format!("/events/{handler}?sse=false");
    assert_eq!(types(&program.get(&path).events()), ["StopEvent"]);
    assert_eq!(program.get(&path).status, 204);
}

#[test]
fn reader_continues_with_the_run_it_opened() {
    let program = Program::start();
    let first = run(&program, "cumulative", &json!({})).json();
    let handler = first["handler_id"].as_str().expect("an id");
    let second = run(&program, "cumulative", &json!({"handler_id": handler}));
    assert_eq!(second.status, 200);
    let events = program.get(&format!("/events/{handler}?sse=false")).events();
    assert_eq!(events.len(), 1, "the newest run's: {events:?}");
    assert_eq!(events[0]["value"]["result"], "count: 2, runs: 2");
    assert_eq!(program.get(&format!("/events/{handler}")).status, 204);
}

//! Bounds that flags set: reaching one is an answer.

use super::*;

#[track_caller]
fn overloaded(reply: &Response) {
    assert_eq!(reply.status, 503, "{reply:?}");
    let seconds = reply.header("retry-after").expect("Retry-After");
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{seconds}");
    assert_eq!(reply.header("vary"), Some("Origin"));
}

#[test]
fn runs_beyond_the_bound_are_sent_away_until_one_ends() {
    let program = Program::with(&["--runs-max", "2"]);
    let first = program.begin("sleepy", json!({}));
    let (second, mut reader) = asked(&program);
    overloaded(&run(&program, "echo", &json!({})));
    overloaded(&program.post("/workflows/echo/run-nowait", &json!({})));
    assert_eq!(program.listed(""), [&*first, &*second]);
    answer(&program, &second);
    reader.rest();
    assert_eq!(run(&program, "echo", &json!({})).status, 200);
    assert_eq!(cancel(&program, &first, "").status, 200);
    for _ in 0..3 {
        assert_eq!(run(&program, "echo", &json!({})).status, 200);
    }
}

#[test]
fn oldest_finished_handlers_are_let_go_and_running_ones_never() {
    let program = Program::with(&["--keep-finished", "2"]);
    let running = program.begin("sleepy", json!({}));
    let finished: Vec<String> = (0..5).map(|_| program.finish("echo", json!({}))).collect();
    await_listed(&program, &[&running, &finished[3], &finished[4]]);
    refused(&program.get(&format!("/results/{}", finished[0])), 404, "Handler not found");
    assert_eq!(program.get(&format!("/results/{}", finished[4])).status, 200);
}

#[test]
fn handler_that_is_being_read_is_kept() {
    let program = Program::with(&["--keep-finished", "0"]);
    let (handler, mut reader) = asked(&program);
    // Whoever waits for the end holds the handler too.
    let mut waiting = ask_to_follow(&program, &handler, "sse=false&after_sequence=-1");
    assert_eq!(waiting.head().status, 200);
    answer(&program, &handler);
    assert_eq!(types(&[reader.event().expect("the end")]), ["StopEvent"]);
    reader.rest();
    assert_eq!(types(&[waiting.event().expect("the question")]), ["RequestedExternalEvent"]);
    waiting.rest();
    await_listed(&program, &[]);
}

#[test]
fn a_reader_of_an_earlier_run_reads_it_to_its_end() {
    let program = Program::with(&["--keep-finished", "1"]);
    // More than the sockets' buffers hold.
    let read = program.begin("streaming", json!({"count": 50_000, "delay_ms": 0}));
    let mut reader = follow(&program, &read, "sse=false&after_sequence=-1");
    assert!(reader.event().is_some());
    while program.get(&format!("/results/{read}")).status != 200 {}
    let again = json!({"handler_id": read, "start_event": {"count": 0}});
    assert_eq!(run(&program, "streaming", &again).status, 200);
    for _ in 0..3 {
        assert_eq!(run(&program, "echo", &json!({})).status, 200);
    }
    settle(&program);
    let rest = reader.rest();
    let lines: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let last: Value = serde_json::from_slice(lines.last().expect("an end")).expect("a whole event");
    assert_eq!((1 + lines.len(), last["type"].as_str()), (50_001, Some("StopEvent")));
}

#[test]
fn connections_beyond_the_bound_are_sent_away() {
    let program = Program::with(&["--connections-max", "2"]);
    let handler = program.begin("sleepy", json!({}));
    let follow = || {
        let mut reader = ask_to_follow(&program, &handler, "sse=false&after_sequence=-1&include_internal=true");
        assert_eq!(reader.head().status, 200);
        reader
    };
    let (mut first, second) = (follow(), follow());
    let mut third = program.connect();
    let reply = third.head();
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    assert!(first.event().is_some());
    drop((second, third));
    // The place is free again as soon as the server has seen the end of the connection.
    while program.connect().try_request("/health").is_none_or(|status| status != 200) {}
}

#[test]
fn longest_idle_connection_makes_room_for_a_new_one() {
    let program = Program::with(&["--connections-max", "2"]);
    let (mut first, mut second) = (program.connect(), program.connect());
    let health = |connection: &mut Connection| connection.request("GET", "/health", &[], None).status;
    assert_eq!([health(&mut first), health(&mut second), health(&mut first)], [200; 3]);
    let mut third = program.connect();
    assert_eq!(health(&mut third), 200);
    assert_eq!(health(&mut first), 200);
    assert!(second.try_request("/health").is_none(), "it was idle longest, and is closed");
}

#[test]
fn updated_at_moves_with_every_step_that_ends() {
    let program = Program::start();
    let (handler, mut reader) = asked(&program);
    let asked = program.get(&format!("/results/{handler}")).json();
    assert!(asked["started_at"].as_str() < asked["updated_at"].as_str(), "{asked}");
    assert_eq!(asked["completed_at"], json!(null));
    answer(&program, &handler);
    reader.rest();
    let ended = program.get(&format!("/results/{handler}")).json();
    assert!(asked["updated_at"].as_str() < ended["updated_at"].as_str(), "{ended}");
    assert_eq!(ended["updated_at"], ended["completed_at"]);
}

#[test]
fn json_is_not_escaped_to_ascii() {
    let program = Program::start();
    let reply = run(&program, "echo", &json!({"start_event": {"message": "snow \u{2603} \u{1f600}"}}));
    assert!(reply.text().contains("processed: snow \u{2603} \u{1f600}"), "{}", reply.text());
}

//! Limits that flags set, and the replies when they are reached.

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
fn calls_that_wait_for_their_runs_leave_connections_for_others() {
    let program = Program::with(&["--connections-max", "8"]);
    let call = || {
        let mut caller = program.connect();
        caller.send("POST", "/workflows/interactive/run", &[], Some(b"{}"));
        caller
    };
    let mut last = program.connect();
    let mut listed = |count: usize| loop {
        let handlers =
            last.request("GET", "/handlers", &[], None).json()["handlers"].as_array().expect("a list").clone();
        if handlers.len() == count {
            return handlers;
        }
    };
    let mut waiting: Vec<_> = (0..7).map(|_| call()).collect();
    let handlers = listed(7);
    let reply = last.request("POST", "/workflows/interactive/run", &[], Some(b"{}"));
    overloaded(&reply);
    refused_naming(&reply, 503, &["run-nowait"]);
    refused(&last.request("POST", "/workflows/nope/run", &[], Some(b"{}")), 404, "Workflow not found");
    let event = br#"{"event": {"type": "ExternalEvent", "value": {"response": "pong"}}}"#;
    for handler in &handlers {
        let id = handler["handler_id"].as_str().expect("an id");
        assert_eq!(last.request("POST", &format!("/events/{id}"), &[], Some(event)).status, 200);
    }
    for caller in &mut waiting {
        assert_eq!(caller.status(), Some(200));
    }
    // What was refused was not begun, and now there is room.
    let reply = last.request("GET", "/handlers", &[], None);
    assert_eq!(reply.json()["handlers"].as_array().map(Vec::len), Some(7));
    assert_eq!(last.request("POST", "/workflows/echo/run", &[], Some(b"{}")).status, 200);
}

#[test]
fn without_file_descriptors_clients_get_503_and_the_server_recovers_by_itself() {
    let program = shell("ulimit -n 40", &["--listen", "127.0.0.1:0", "--connections-max", "50"]);
    let handler = program.begin("sleepy", json!({}));
    // Readers are never idle, so none of them makes room.
    let follow = |_| {
        let mut reader = ask_to_follow(&program, &handler, "after_sequence=-1");
        (reader.status(), reader)
    };
    let (statuses, clients): (Vec<Option<u16>>, Vec<Connection>) = (0..80).map(follow).unzip();
    let served = statuses.iter().filter(|status| **status == Some(200)).count();
    assert!((10..40).contains(&served), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, None | Some(200 | 503))), "{statuses:?}");
    assert!(statuses.contains(&Some(503)), "{statuses:?}");
    drop(clients);
    while program.connect().try_request("/health") != Some(200) {}
    // What the log's thread still has is written at an orderly stop.
    program.signal("TERM");
    let (_, log) = program.wait();
    assert!(log.contains("--connections-max 50 is more than the 40 file descriptors"), "{log}");
    let complaints = log.lines().filter(|line| line.contains("no file descriptors are left")).count();
    assert!((1..10).contains(&complaints), "{log}");
}

#[test]
fn without_file_descriptors_the_longest_idle_connection_makes_room() {
    let program = shell("ulimit -n 40", &["--listen", "127.0.0.1:0", "--log", "json"]);
    let mut clients: Vec<Connection> = Vec::new();
    for _ in 0..80 {
        let mut newcomer = program.connect();
        let reply = newcomer.request("GET", "/health", &[], None);
        assert_eq!(reply.status, 200, "behind {} others", clients.len());
        clients.push(newcomer);
    }
    let (first, last) = (0, clients.len() - 1);
    assert!(clients[first].is_closed());
    for client in &mut clients[last - 10..] {
        assert_eq!(client.request("GET", "/health", &[], None).status, 200);
    }
    let log = program.kill();
    assert!(!log.contains("no file descriptors are left"), "{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_soft_limit_on_files_is_raised_to_what_connections_need() {
    let soft = |program: &Program| {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.pid())).expect("a process");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit").to_owned();
        line.split_whitespace().next().expect("the soft one").parse::<usize>().expect("a number")
    };
    for (connections, expected) in [("20000", 600), ("100", 356)] {
        let flags = ["--listen", "127.0.0.1:0", "--connections-max", connections];
        let program = shell("ulimit -Sn 64 && ulimit -Hn 600", &flags);
        assert_eq!(soft(&program), expected, "--connections-max {connections}");
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
fn handler_that_is_being_read_is_retained() {
    let program = Program::with(&["--keep-finished", "0"]);
    let (handler, mut reader) = asked(&program);
    // A reader that waits for the end holds the handler, too.
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
    // More than fits into the sockets' buffers.
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
    // There is room again as soon as the server has seen the end of the connection.
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

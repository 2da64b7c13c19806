//! Large states of handlers that are continued.

use serde_json::{Value, json};

use super::{DataDir, ended, handler, kill, post, tools::printed};
use crate::support::Program;

/// Returns a context with `count` and this many bytes beside it.
fn context(bytes: usize) -> Value {
    let large = serde_json::to_string(&"#".repeat(bytes)).expect("a text");
    json!({ "state": { "state_data": { "_data": { "count": "5", "large": large, "run_history": "[]" } } } })
}

/// Runs `workflow` to its end, under an id chosen by the client.
#[track_caller]
fn run(program: &Program, workflow: &str, mut body: Value) -> Value {
    body["handler_id"] = "mine".into();
    let reply = program.post(&format!("/workflows/{workflow}/run"), &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["result"].clone()
}

/// Returns how many bytes the program has written to files and sockets.
fn written(program: &Program) -> usize {
    let counts = std::fs::read_to_string(format!("/proc/{}/io", program.pid())).expect("Linux");
    let count = counts.lines().find_map(|line| line.strip_prefix("wchar: "));
    count.and_then(|count| count.parse().ok()).expect("a count")
}

/// Checks that the handler's state, as printed by `inspect`, contains this.
#[track_caller]
fn has_state(data: &DataDir, lines: &[&str], large: usize) {
    let shown = printed(&["inspect", data.directory.path().to_str().expect("UTF-8"), "mine"]);
    let short: String = shown.replace('#', "");
    for line in lines {
        assert!(short.lines().any(|shown| shown == *line), "{line}: {short}");
    }
    assert_eq!(shown.matches('#').count(), large, "{short}");
}

#[test]
fn a_run_writes_what_it_changes_of_a_large_state() {
    const LARGE: usize = 2 << 20;
    let data = DataDir::new();
    let program = data.start_with(&["--durability", "off"]);
    assert_eq!(run(&program, "cumulative", json!({ "context": context(LARGE) })), "count: 6, runs: 1");
    let before = written(&program);
    assert!(before >= LARGE, "{before}");
    for round in 1..=10 {
        let result = run(&program, "cumulative", json!({}));
        assert_eq!(result, format!("count: {}, runs: {}", 6 + round, 1 + round));
    }
    let by_runs = written(&program) - before;
    // The log may be copied into the database in the meantime.
    assert!(by_runs < 2 * LARGE, "ten runs that change little write {by_runs} bytes");
    kill(program);

    // A state that has become smaller, and one that has become larger.
    let program = data.start();
    assert_eq!(run(&program, "cumulative", json!({ "start_event": { "increment": 4 } })), "count: 20, runs: 12");
    assert_eq!(run(&program, "cumulative", json!({ "context": context(10) })), "count: 6, runs: 1");
    assert_eq!(run(&program, "cumulative", json!({})), "count: 7, runs: 2");
    assert_eq!(run(&program, "cumulative", json!({ "context": context(20_000) })), "count: 6, runs: 1");
    assert_eq!(run(&program, "cumulative", json!({})), "count: 7, runs: 2");
    kill(program);
    has_state(&data, &["status   completed", "state    count = 7"], 20_000);
    let program = data.start();
    assert_eq!(run(&program, "cumulative", json!({})), "count: 8, runs: 3");
}

#[test]
fn a_run_that_is_killed_has_the_large_state_that_it_began_with() {
    const LARGE: usize = 300_000;
    let data = DataDir::new();
    let mut program = data.start();
    let mut body = json!({ "handler_id": "mine", "context": context(LARGE) });
    for round in 0..3 {
        let reply = program.post("/workflows/interactive/run-nowait", &body);
        assert_eq!(reply.status, 200, "{reply:?}");
        kill(program);
        // The state that it was started with.
        has_state(&data, &["status   running"], 2 * LARGE);
        program = data.start();
        assert_eq!(handler(&program, "mine")["status"], "running");
        post(&program, "mine", "ExternalEvent", &json!({ "response": round.to_string() }));
        assert_eq!(ended(&program, "mine")["result"]["value"]["result"], format!("received: {round}"));
        // From here on it is continued with its own state.
        body = json!({ "handler_id": "mine" });
    }
    kill(program);
    has_state(&data, &["status   completed", "state    count = 5"], LARGE);
}

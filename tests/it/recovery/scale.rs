//! Many runs: the cost of starting, and the memory that they take. Scaled to what is acceptable in a test; the README
//! has figures of the release build.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{DataDir, ended, kill};
use crate::support::Program;

/// Returns the kilobytes of memory that a program uses.
fn resident_kb(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Starts `count` runs, many concurrently. Returns their handlers' ids.
fn begin_many(program: &Program, workflow: &str, count: usize) -> Vec<String> {
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| program.connect()).collect();
    let target = format!("/workflows/{workflow}/run-nowait");
    let mut ids = Vec::new();
    while ids.len() < count {
        for connection in &mut connections {
            connection.send("POST", &target, &[], Some(b"{}"));
        }
        for connection in &mut connections {
            let mut reply = connection.head();
            reply.body = connection.rest();
            ids.push(reply.json()["handler_id"].as_str().expect("an id").to_owned());
        }
    }
    ids
}

const CONNECTIONS: usize = 50;

#[test]
fn many_waiting_runs_are_soon_there_again_and_take_little_memory() {
    let data = DataDir::new();
    let program = data.start();
    let ids = begin_many(&program, "interactive", 10_000);
    kill(program);
    let begun = Instant::now();
    let program = data.start();
    let took = begun.elapsed();
    // A tenth of what is promised for ten times as many, and the memory of an empty server, in an unoptimized build.
    let resident_kb = resident_kb(&program);
    assert!(took < Duration::from_secs(3) && resident_kb < 40_000, "{took:?}, {resident_kb} KB");
    for id in [&ids[0], &ids[5_000], &ids[9_999]] {
        let answer = json!({ "event": { "type": "ExternalEvent", "value": { "response": "hi" } } });
        assert_eq!(program.post(&format!("/events/{id}"), &answer).status, 200);
        assert_eq!(ended(&program, id)["result"]["value"]["result"], "received: hi");
    }
}

#[test]
fn finished_runs_leave_memory() {
    let data = DataDir::new();
    let program = data.start_with(&["--keep-finished", "1000000"]);
    begin_many(&program, "echo", 1_000);
    let before_kb = resident_kb(&program);
    begin_many(&program, "echo", 10_000);
    let after_kb = resident_kb(&program);
    assert!(after_kb < before_kb + 5_000, "{before_kb} KB, then {after_kb} KB");
}

#[test]
fn an_empty_database_hardly_delays_the_start() {
    let time = |start: &dyn Fn() -> Program| {
        let begun = Instant::now();
        drop(start());
        begun.elapsed()
    };
    let (mut with_store, mut without) = (Duration::MAX, Duration::MAX);
    // On a busy machine few starts show what a start takes.
    for _ in 0..60 {
        with_store = with_store.min(time(&|| DataDir::new().start()));
        without = without.min(time(&Program::start));
        if with_store < without + Duration::from_millis(15) {
            return;
        }
    }
    panic!("{with_store:?}, {without:?} without");
}

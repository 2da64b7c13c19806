//! Restarts of the program on its data directory, after SIGKILL unless a test says otherwise.

mod changed;
mod earlier;
mod finished;
mod parked;
mod passes;
mod scale;
mod states;
mod tools;
mod waiting;
mod windows;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Connection, Program, Response};

/// A data directory, and the program that serves it.
struct DataDir {
    directory: TempDir,
}

impl DataDir {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn start(&self) -> Program {
        self.start_with(&[])
    }

    fn start_with(&self, flags: &[&str]) -> Program {
        let directory = self.directory.path().to_str().expect("UTF-8");
        Program::with(&[&["--data", directory], flags].concat())
    }
}

/// Kills it, and checks that its log shows no fault.
#[track_caller]
fn kill(program: Program) {
    let log = program.kill();
    assert!(!log.contains("panicked") && !log.contains(" ERROR "), "{log}");
}

#[track_caller]
fn handler(program: &Program, id: &str) -> Value {
    let reply = program.get(&format!("/handlers/{id}"));
    assert_ne!(reply.status, 404, "{id} is gone");
    reply.json()
}

/// Returns the handler after its run has ended.
#[track_caller]
fn ended(program: &Program, id: &str) -> Value {
    let mut reader = follow(program, id);
    while reader.event().is_some() {}
    let handler = handler(program, id);
    assert_ne!(handler["status"], "running", "{handler}");
    handler
}

/// Reads the feed from its beginning, with internal events, while the run continues.
#[track_caller]
fn follow(program: &Program, id: &str) -> Connection {
    let mut reader = program.connect();
    let path = format!("/events/{id}?sse=false&include_internal=true&after_sequence=-1");
    reader.send("GET", &path, &[], None);
    let head = reader.head();
    assert_eq!(head.status, 200, "{head:?}");
    reader
}

/// Returns the complete feed of a run that has ended, and checks that its numbers have no gap.
#[track_caller]
fn feed(program: &Program, id: &str) -> Vec<Value> {
    let mut reader = follow(program, id);
    let feed: Vec<Value> = std::iter::from_fn(|| reader.event()).collect();
    for (event, number) in feed.iter().zip(feed[0]["sequence"].as_u64().expect("a number")..) {
        assert_eq!(event["sequence"], number, "{feed:?}");
    }
    feed
}

/// Counts the events of this type.
fn count(feed: &[Value], name: &str) -> usize {
    feed.iter().filter(|event| event["type"] == name).count()
}

#[track_caller]
fn post(program: &Program, id: &str, name: &str, value: &Value) {
    let reply = program.post(&format!("/events/{id}"), &json!({ "event": { "type": name, "value": value } }));
    assert_eq!((reply.status, reply.text()), (200, r#"{"status":"sent"}"#));
}

fn cancel(program: &Program, id: &str, query: &str) -> Response {
    program.post_text(&format!("/handlers/{id}/cancel{query}"), "")
}

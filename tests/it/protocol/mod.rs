//! What the API promises beyond the recorded exchanges, tested from outside: the conformance program as a process,
//! bytes on sockets. Every test has its own server.

mod access;
mod blocked;
mod bodies;
mod bounds;
mod descriptions;
mod handlers;
mod locks;
mod logs;
mod memory;
mod posts;
mod process;
mod refusals;
mod runs;
#[cfg(all(target_os = "linux", feature = "sqlite"))]
mod settled;
mod streams;
#[cfg(all(target_os = "linux", feature = "sqlite"))]
mod time;
mod vanished;
mod warnings;

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Connection, PATIENCE, Program, Response};

/// Checks an error reply: its status and its exact text, as plain text.
#[track_caller]
fn refused(reply: &Response, status: u16, text: &str) {
    assert_eq!((reply.status, reply.text()), (status, text));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
}

/// Checks an error reply: its status, and what its text names.
#[track_caller]
fn refused_naming(reply: &Response, status: u16, names: &[&str]) {
    assert_eq!(reply.status, status, "{}", reply.text());
    for name in names {
        assert!(reply.text().contains(name), "{:?} does not name {name:?}", reply.text());
    }
}

/// Opens a stream and reads its head, after which it has the lock.
#[track_caller]
fn follow(program: &Program, handler: &str, query: &str) -> Connection {
    let mut reader = ask_to_follow(program, handler, query);
    let reply = reader.head();
    assert_eq!(reply.status, 200, "{reply:?}");
    reader
}

/// Requests a stream and reads nothing.
#[track_caller]
fn ask_to_follow(program: &Program, handler: &str, query: &str) -> Connection {
    let mut reader = program.connect();
    reader.send("GET", &format!("/events/{handler}?{query}"), &[], None);
    reader
}

/// Returns once the server has read all that was sent before: what is ready in a turn of its loop is handled in that
/// turn, and this takes at least three turns.
#[track_caller]
fn settle(program: &Program) {
    for _ in 0..3 {
        assert_eq!(program.get("/health").status, 200);
    }
}

/// Returns a run of `interactive` whose question was read, and its reader, which continues to read.
#[track_caller]
fn asked(program: &Program) -> (String, Connection) {
    let handler = program.begin("interactive", json!({}));
    let mut reader = follow(program, &handler, "sse=false");
    reader.event_of("RequestedExternalEvent");
    (handler, reader)
}

/// Answers a run of `interactive`.
#[track_caller]
fn answer(program: &Program, handler: &str) {
    let event = json!({"event": {"type": "ExternalEvent", "value": {"response": "pong"}}});
    let reply = program.post(&format!("/events/{handler}"), &event);
    assert_eq!((reply.status, reply.text()), (200, r#"{"status":"sent"}"#));
}

/// Cancels a run, or purges it.
fn cancel(program: &Program, handler: &str, query: &str) -> Response {
    program.post_text(&format!("/handlers/{handler}/cancel{query}"), "")
}

/// Runs to the end. Returns the handler, whatever the status.
#[track_caller]
fn run(program: &Program, workflow: &str, body: &Value) -> Response {
    program.post(&format!("/workflows/{workflow}/run"), body)
}

/// Waits until exactly these handlers are listed: a store removes what exceeds the limit a moment later.
#[track_caller]
fn await_listed(program: &Program, expected: &[&str]) {
    let begun = Instant::now();
    while program.listed("") != expected {
        assert!(begun.elapsed() < PATIENCE, "{:?} instead of {expected:?}", program.listed(""));
    }
}

/// Returns the conformance program, started by a shell that first executes `first`.
fn shell(first: &str, flags: &[&str]) -> Program {
    let script = format!("{first} && exec \"$0\" \"$@\"");
    let mut arguments = vec!["-c", &script, Program::path().to_str().expect("a path of characters")];
    arguments.extend(flags);
    Program::of(std::path::Path::new("/bin/sh"), &arguments)
}

/// Returns the types of events, in order.
fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

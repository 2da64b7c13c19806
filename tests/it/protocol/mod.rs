//! What the API promises beyond the recorded exchanges, from outside: the conformance program as a process, bytes on
//! sockets. Every test has a server of its own.

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

/// Checks a reply that is an error: its status, its exact text, as plain text.
#[track_caller]
fn refused(reply: &Response, status: u16, text: &str) {
    assert_eq!((reply.status, reply.text()), (status, text));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
}

/// Checks a reply that is an error: its status, and what its text names.
#[track_caller]
fn refused_naming(reply: &Response, status: u16, names: &[&str]) {
    assert_eq!(reply.status, status, "{}", reply.text());
    for name in names {
        assert!(reply.text().contains(name), "{:?} does not name {name:?}", reply.text());
    }
}

/// Opens a stream and reads its head, as which it has its turn.
#[track_caller]
fn follow(program: &Program, handler: &str, query: &str) -> Connection {
    let mut reader = ask_to_follow(program, handler, query);
    let reply = reader.head();
    assert_eq!(reply.status, 200, "{reply:?}");
    reader
}

/// Asks for a stream and reads nothing.
#[track_caller]
fn ask_to_follow(program: &Program, handler: &str, query: &str) -> Connection {
    let mut reader = program.connect();
    reader.send("GET", &format!("/events/{handler}?{query}"), &[], None);
    reader
}

/// Returns when the server has taken in all that was sent before: what is ready in a turn of its loop is handled in
/// that turn, and these are three turns at least.
#[track_caller]
fn settle(program: &Program) {
    for _ in 0..3 {
        assert_eq!(program.get("/health").status, 200);
    }
}

/// A run of `interactive` whose question has been read and whose reader still reads.
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

/// Runs to the end; the handler, whatever the status.
#[track_caller]
fn run(program: &Program, workflow: &str, body: &Value) -> Response {
    program.post(&format!("/workflows/{workflow}/run"), body)
}

/// Waits until exactly these handlers are listed: a store removes what is over the bound a moment later.
#[track_caller]
fn await_listed(program: &Program, expected: &[&str]) {
    let begun = Instant::now();
    while program.listed("") != expected {
        assert!(begun.elapsed() < PATIENCE, "{:?} instead of {expected:?}", program.listed(""));
    }
}

/// The conformance program, started by a shell that first does this.
fn shell(first: &str, flags: &[&str]) -> Program {
    let script = format!("{first} && exec \"$0\" \"$@\"");
    let mut arguments = vec!["-c", &script, Program::path().to_str().expect("a path of characters")];
    arguments.extend(flags);
    Program::of(std::path::Path::new("/bin/sh"), &arguments)
}

/// The types of events, in order.
fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

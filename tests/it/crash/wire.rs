//! Calls of a server that may die: each makes a request on a new connection, and returns what came back.

use std::time::Instant;

use serde_json::Value;

use crate::support::{Connection, PATIENCE, Response};

/// What was received of an event stream.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) status: u16,
    /// The complete events, with their numbers.
    pub(super) events: Vec<(u64, String)>,
    /// Whether it was complete.
    pub(super) is_whole: bool,
}

/// Makes a request. Returns nothing if the server was gone before its reply was complete.
pub(super) fn call(host: &str, method: &str, path: &str, body: Option<&Value>) -> Option<Response> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let begun = Instant::now();
    let (reply, is_whole) = Connection::reach(host)?.exchange(method, path, body.as_bytes(), |_| {
        assert!(begun.elapsed() < PATIENCE, "{method} {path}: no end in time");
        false
    })?;
    // A server that no longer begins requests counts as gone.
    let is_begun = !(reply.status == 503 && reply.text().contains("has not begun this request"));
    (is_whole && is_begun).then_some(reply)
}

/// Reads events until the stream ends, the server is gone or `events_max` have arrived, within a limited time. Returns
/// nothing if the stream did not begin.
pub(super) fn read(host: &str, path: &str, events_max: usize) -> Option<Reading> {
    let begun = Instant::now();
    read_until(host, path, |body| {
        // Heartbeats would otherwise continue forever.
        assert!(begun.elapsed() < PATIENCE, "{path}: no end in time");
        let events = body.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"id: "));
        body.ends_with(b"\n\n") && events.count() >= events_max
    })
}

/// Reads events until the stream ends or the server is gone, without a time limit. Returns nothing if it did not begin.
pub(super) fn follow(host: &str, path: &str) -> Option<Reading> {
    read_until(host, path, |_| false)
}

fn read_until(host: &str, path: &str, is_enough: impl FnMut(&[u8]) -> bool) -> Option<Reading> {
    let (Response { status, body, .. }, is_whole) = Connection::reach(host)?.exchange("GET", path, b"", is_enough)?;
    let text = String::from_utf8_lossy(&body);
    let mut events = Vec::new();
    // What follows the last empty line is an incomplete event.
    for event in text.rsplit_once("\n\n").map_or("", |(whole, _)| whole).split("\n\n").filter(|event| is_event(event)) {
        let numbered = event.strip_prefix("id: ").and_then(|event| event.split_once("\ndata: "));
        let (number, data) = numbered.unwrap_or_else(|| panic!("expected an event, got {event:?}"));
        events.push((number.parse().expect("a number"), data.to_owned()));
    }
    for pair in events.windows(2) {
        assert_eq!(pair[0].0 + 1, pair[1].0, "the numbers of {path} have a gap");
    }
    Some(Reading { status, events, is_whole })
}

fn is_event(text: &str) -> bool {
    !(text.is_empty() || text.starts_with(':'))
}

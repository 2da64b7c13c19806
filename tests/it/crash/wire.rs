//! A client for a server that may die: sends a request on a new connection, and returns what came back.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Instant,
};

use serde_json::Value;

use crate::support::PATIENCE;

/// A complete reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: String,
}

/// What was received of an event stream.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) status: u16,
    /// The complete events, with their numbers.
    pub(super) events: Vec<(u64, String)>,
    /// Whether it was complete.
    pub(super) is_whole: bool,
}

impl Reply {
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Makes a request. Returns nothing if the server was gone before its reply was complete.
pub(super) fn call(host: &str, method: &str, path: &str, body: Option<&Value>) -> Option<Reply> {
    let Raw { status, head, body, is_whole } = Raw::parse(&exchange(host, method, path, body, Until::Reply))?;
    let location = head.lines().find_map(|line| line.strip_prefix("Location: ")).map(str::to_owned);
    let body = String::from_utf8(body).expect("UTF-8");
    // A server that no longer begins requests counts as gone.
    let is_begun = !(status == 503 && body.contains("has not begun this request"));
    (is_whole && is_begun).then_some(Reply { status, location, body })
}

/// Reads events until the stream ends, the server is gone or `events_max` have arrived, within a limited time. Returns
/// nothing if the stream did not begin.
pub(super) fn read(host: &str, path: &str, events_max: usize) -> Option<Reading> {
    parse_events(path, &exchange(host, "GET", path, None, Until::Events(events_max)))
}

/// Reads events until the stream ends or the server is gone, without a time limit. Returns nothing if it did not begin.
pub(super) fn follow(host: &str, path: &str) -> Option<Reading> {
    parse_events(path, &exchange(host, "GET", path, None, Until::Closed))
}

/// Until when to read a reply.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// Until the connection closes.
    Closed,
    /// The same, within a limited time.
    Reply,
    /// The same, or until this many events have arrived.
    Events(usize),
}

fn parse_events(path: &str, bytes: &[u8]) -> Option<Reading> {
    let Raw { status, body, is_whole, .. } = Raw::parse(bytes)?;
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

/// Sends a request. Returns everything that was received.
fn exchange(host: &str, method: &str, path: &str, body: Option<&Value>, until: Until) -> Vec<u8> {
    let mut came = Vec::new();
    let Ok(mut socket) = TcpStream::connect(host) else { return came };
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    if socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).is_err() {
        return came;
    }
    let begun = Instant::now();
    let mut buffer = [0; 16 << 10];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return came,
            Ok(length) => {
                came.extend(&buffer[..length]);
                let has_all = |count| came.windows(5).filter(|bytes| bytes == b"\nid: ").count() >= count;
                match until {
                    Until::Events(count) if came.ends_with(b"\n\n\r\n") && has_all(count) => return came,
                    _ => {}
                }
                // Heartbeats would otherwise continue forever.
                assert!(until == Until::Closed || begun.elapsed() < PATIENCE, "{method} {path}: no end in time");
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return came,
            Err(error) => panic!("{method} {path}: no reply in time: {error}"),
        }
    }
}

/// A reply as it was received.
struct Raw {
    status: u16,
    head: String,
    body: Vec<u8>,
    is_whole: bool,
}

impl Raw {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII head");
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|line| line[..3].parse().ok()).expect("a status line");
        let rest = &bytes[end + 4..];
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let (body, is_whole) = match length {
            Some(length) => (rest.to_vec(), length.parse() == Ok(rest.len())),
            None if status == 204 => (Vec::new(), true),
            None => unchunk(rest),
        };
        Some(Self { status, head, body, is_whole })
    }
}

/// Returns the chunks, the last one perhaps incomplete, and whether the body is complete.
fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a chunk's size");
        let chunk = &bytes[end + 2..];
        body.extend(&chunk[..size.min(chunk.len())]);
        if size == 0 {
            return (body, chunk == b"\r\n");
        }
        let Some(rest) = chunk.get(size + 2..) else { return (body, false) };
        bytes = rest;
    }
}

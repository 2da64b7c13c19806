//! The feed of a run, over as many connections as it takes. No event comes twice.

use serde_json::Value;
use steprill::limits::{
    CLIENT_EVENT_BYTES_MAX, CLIENT_RESUME_ATTEMPTS_MAX, CLIENT_RESUME_DELAY, CLIENT_RESUME_DELAY_MAX,
    CLIENT_SILENCE_TIMEOUT,
};

use super::{
    calls::{Client, encoded, refused},
    failure::{Failure, Result},
    http::{HttpError, Progress, Response},
    link::{Woken, wait},
    show,
};

/// A reader of the feed.
#[derive(Debug)]
pub(super) struct Feed<'a> {
    client: &'a Client,
    id: &'a str,
    /// The number of the last event that was returned; -1 before the first.
    after: i64,
    with_internal: bool,
    stream: Option<Stream>,
    /// Attempts since an event came.
    attempts: u32,
    is_first: bool,
}

#[derive(Debug)]
struct Stream {
    response: Response,
    /// Bytes of the stream without a whole line yet.
    buffer: Vec<u8>,
    /// Where in the buffer to search for the end of the line.
    searched: usize,
    number: Option<i64>,
}

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Next {
    Event(Event),
    /// The run has ended, and nothing is left.
    End,
    /// Nothing arrived in the given time.
    Silent,
    Interrupted,
}

/// An event of the feed.
#[derive(Debug)]
pub(super) struct Event {
    /// Its number, if the server has numbers.
    pub(super) number: Option<i64>,
    pub(super) envelope: Value,
}

impl<'a> Feed<'a> {
    /// Reads the events after a number, `-1` for all.
    pub(super) fn new(client: &'a Client, id: &'a str, after: i64, with_internal: bool) -> Self {
        Self { client, id, after, with_internal, stream: None, attempts: 0, is_first: true }
    }

    /// Returns the next event. Waits for it at most this long. A lost connection is opened again.
    pub(super) fn next(&mut self, at_most: Option<std::time::Duration>) -> Result<Next> {
        loop {
            let Some(stream) = &mut self.stream else {
                match self.open()? {
                    Some(next) => return Ok(next),
                    None => continue,
                }
            };
            if let Some((number, text)) = stream.event()? {
                if number.is_some_and(|number| number <= self.after) {
                    continue;
                }
                self.after = number.unwrap_or(self.after);
                self.attempts = 0;
                let envelope = serde_json::from_str(&text)
                    .map_err(|error| Failure::new(format!("the stream has something that is no event: {error}")))?;
                return Ok(Next::Event(Event { number, envelope }));
            }
            let at_most_now = at_most.unwrap_or(CLIENT_SILENCE_TIMEOUT);
            match stream.response.read(&mut stream.buffer, at_most_now) {
                Ok(Progress::Bytes) => {}
                Ok(Progress::Ended) => return Ok(Next::End),
                Ok(Progress::Silent) if at_most.is_some() => return Ok(Next::Silent),
                Ok(Progress::Interrupted) => return Ok(Next::Interrupted),
                // Heartbeats would have come: the other end is gone.
                Ok(Progress::Silent) | Err(HttpError::Lost(_)) => self.stream = None,
                Err(error) => return Err(self.client.failure(&error)),
            }
        }
    }

    /// Opens a stream after the last event. Returns `None` once it is open, or if it should be retried.
    fn open(&mut self) -> Result<Option<Next>> {
        if !self.is_first && self.pause()? {
            return Ok(Some(Next::Interrupted));
        }
        let path = format!(
            "/events/{}?sse=true&include_internal={}&after_sequence={}",
            encoded(self.id),
            self.with_internal,
            self.after
        );
        let was_first = std::mem::replace(&mut self.is_first, false);
        match self.client.open("GET", &path, "text/event-stream", None) {
            Ok(response) if response.status == 200 => {
                if let Some(first) = response.header("X-First-Sequence") {
                    show::note(&show::escaped(&format!("events before {first} are no longer kept")));
                }
                self.stream = Some(Stream { response, buffer: Vec::new(), searched: 0, number: None });
                Ok(None)
            }
            Ok(response) if response.status == 204 => Ok(Some(Next::End)),
            // The server is starting or stopping, or has too much to do.
            Ok(response) if response.status == 503 && self.attempts < CLIENT_RESUME_ATTEMPTS_MAX => Ok(None),
            Ok(mut response) => {
                let mut text = Vec::new();
                let _ = response.read(&mut text, CLIENT_SILENCE_TIMEOUT);
                Err(refused(response.status, &Value::from(String::from_utf8_lossy(&text))))
            }
            Err(HttpError::Interrupted) => Ok(Some(Next::Interrupted)),
            Err(error) if was_first || self.attempts >= CLIENT_RESUME_ATTEMPTS_MAX => Err(self.client.failure(&error)),
            Err(HttpError::Unreachable(_) | HttpError::Lost(_)) => Ok(None),
            Err(error) => Err(self.client.failure(&error)),
        }
    }

    /// Waits before the next attempt. Returns whether Ctrl-C was pressed.
    fn pause(&mut self) -> Result<bool> {
        if self.attempts == 0 {
            show::note("the connection was lost; trying again");
        }
        let delay = CLIENT_RESUME_DELAY.saturating_mul(1 << self.attempts.min(16)).min(CLIENT_RESUME_DELAY_MAX);
        self.attempts += 1;
        let woken = wait(None, Some(delay)).map_err(|error| Failure::new(format!("cannot wait: {error}")))?;
        Ok(woken == Woken::Interrupt)
    }
}

impl Stream {
    /// Takes the next event out of the buffer, with its number, if it is complete.
    fn event(&mut self) -> Result<Option<(Option<i64>, String)>> {
        let mut start = 0;
        let mut found = None;
        while let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched.max(start)..]) {
            let end = self.searched.max(start) + length;
            let line = self.buffer[start..end].strip_suffix(b"\r").unwrap_or(&self.buffer[start..end]);
            (start, self.searched) = (end + 1, end + 1);
            // An event is one line of data; comments are heartbeats.
            if let Some(number) = line.strip_prefix(b"id:") {
                self.number = std::str::from_utf8(number).ok().and_then(|number| number.trim().parse().ok());
            } else if let Some(data) = line.strip_prefix(b"data:") {
                found = Some((self.number.take(), String::from_utf8_lossy(data).trim_start().to_owned()));
                break;
            }
        }
        self.buffer.drain(..start);
        self.searched = if found.is_some() { 0 } else { self.buffer.len() };
        if self.buffer.len() > CLIENT_EVENT_BYTES_MAX {
            return Err(Failure::new(format!("an event has more than {CLIENT_EVENT_BYTES_MAX} bytes")));
        }
        Ok(found)
    }
}

impl Event {
    pub(super) fn kind(&self) -> &str {
        show::text(&self.envelope, "type")
    }

    pub(super) fn value(&self) -> &Value {
        &self.envelope["value"]
    }

    /// Returns whether it is of a kind between the event and `Event`, such as `InputRequiredEvent`.
    pub(super) fn is_a(&self, kind: &str) -> bool {
        self.kind() == kind || self.envelope["types"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
    }

    /// Returns whether it is the last of its run.
    pub(super) fn is_stop(&self) -> bool {
        self.is_a("StopEvent")
    }

    /// Returns it as JSON, with its number as the member `sequence`, as NDJSON has it.
    pub(super) fn json(&self) -> Value {
        let mut envelope = self.envelope.clone();
        if let (Some(number), Some(members)) = (self.number, envelope.as_object_mut()) {
            members.insert("sequence".to_owned(), Value::from(number));
        }
        envelope
    }
}

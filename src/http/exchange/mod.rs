//! The state of one connection without its socket: takes input bytes and replies, yields requests and output bytes.
//!
//! ```text
//!            ┌──────── an empty line ────────┐
//!            ▼                               │
//!  new ──► Idle ── a byte ───────────────► Head ── a body to come ──► Offered ── take_body ──► Body
//!            ▲                               │                          │ whole                 │ whole
//!            │                               └── whole ──────► Ready ◄──┴───────────────────────┘
//!            │                                                      │  │ accept_request
//!            │                                              respond │  ▼
//!            ├◄─────────────────── respond, keep-alive ─────────────┴─ Answering ── start_stream ──► Streaming
//!            └◄──────────────────────────────────────────────────────────────────────── end_stream ────┘
//!
//!  a reply that closes ─────────► Closing ── output taken ──► Closed
//!  a fault in a body ───────────► Refused ── refuse_body ──► Closing, as below
//!  an unwanted body ────────────► Offered ── refuse_body ──► Closing, as below
//!  a fault in Head or Body ─────► Closing ── output taken ──► Lingering ── end of input, time, bytes ──► Closed
//!  a time-out of Idle or of the output, close() ────────────────────────────────────────────────────► Closed
//! ```
//!
//! How to drive it: pass what the socket received to [`Exchange::handle_input`] and [`Exchange::handle_end_of_input`],
//! and call [`Exchange::handle_timeout`] at the time that [`Exchange::poll_timeout`] returns. Write
//! [`Exchange::output`] to the socket and report how much was written with [`Exchange::consume_output`].
//!
//! When [`Exchange::offered_request`] returns the head of a request, call [`Exchange::take_body`] to read its body or
//! [`Exchange::refuse_body`] to answer without it, at once: the client may be waiting for `100 Continue`. When
//! [`Exchange::request`] returns a request, call [`Exchange::accept_request`] and then, at any later time, exactly one
//! of [`Exchange::respond`] and [`Exchange::start_stream`]. Pipelined requests wait until then. A command on an
//! exchange that has closed in the meantime does nothing.
//! requests wait until then. Commands on an exchange that has closed meanwhile are ignored.

mod pace;
mod replies;
mod transitions;

use std::{borrow::Cow, ops::Range, sync::Arc};

use super::{
    FieldValues, Limits, Method, Refusal, Request, Response, Shared,
    body::Decoder,
    buffer::Buffer,
    request::{Head, Scan},
    stream::CHUNK_END,
};
use crate::{
    limits::{LINGER_IDLE_TIMEOUT_US, LINGER_STOPPING_US, OUTPUT_HIGH_WATER_BYTES, PIPELINE_BYTES_MAX},
    now::Now,
};
use pace::Pace;

/// The default extra header lines of a reply. Replies may depend on `Origin`, which caches must know (RFC 9110 section
/// 12.5.5), and browsers must not guess the content type.
pub const DEFAULT_LINES: &[u8] = b"Vary: Origin\r\nX-Content-Type-Options: nosniff\r\n";

/// The state of one connection. Small, and without buffers while nothing is pending.
#[derive(Debug)]
pub struct Exchange {
    limits: Arc<Limits>,
    state: State,
    input: Buffer,
    output: Buffer,
    /// What follows `output` in the same reply.
    rest: Option<Box<Rest>>,
    /// Bytes of output that the socket has ever taken.
    taken: u64,
    /// Where the last stream's output ended, counted as in `taken`.
    stream_end: u64,
    /// When output was last added to an empty buffer or taken by the socket, on the alive clock.
    output_moved_us: u64,
    input_ended: bool,
    peer: Peer,
    hang_up_on_end: bool,
    draining: bool,
}

/// What is known about the client, regardless of how much of its input has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    Here,
    /// It has sent its last byte.
    Ending,
    /// It no longer reads.
    Gone,
}

/// The state; see the graph above. Times are on the alive clock.
#[derive(Debug)]
enum State {
    Idle { since_us: u64, empty_lines: u8 },
    Head { since_us: u64, empty_lines: u8, scan: Scan },
    Body { head: Head, decoder: Decoder, pace: Pace, stage: Stage },
    Ready { head: Head, body: Range<usize>, end: usize },
    Refused { head: Head, refusal: Refusal, now: Now },
    Answering(Form),
    Streaming(Form),
    Closing { linger: bool, dropped: usize },
    Lingering { since_us: u64, moved_us: u64, dropped: usize },
    Closed,
}

/// Whether the server has asked for a request's body. The graph above draws these as two states; here they share the
/// data of one, which keeps a connection small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Offered,
    Taken,
}

/// The part of a reply that is not yet in the output.
#[derive(Debug)]
struct Rest {
    shared: Shared,
    /// What follows the shared part.
    tail: Vec<u8>,
}

impl Rest {
    fn bytes(&self) -> usize {
        self.shared.range.len() + self.tail.len()
    }
}

/// What a request determines about the form of its reply.
#[derive(Debug)]
struct Form {
    head_only: bool,
    http10: bool,
    keep_alive: bool,
    lines: Cow<'static, [u8]>,
}

impl Form {
    fn of(head: &Head, lines: Cow<'static, [u8]>) -> Self {
        Self { head_only: head.method == Method::Head, http10: head.http10, keep_alive: head.keep_alive, lines }
    }
}

/// Input.
impl Exchange {
    /// Creates the exchange of a new connection.
    pub fn new(limits: Arc<Limits>, now: Now) -> Self {
        Self {
            limits,
            state: State::Idle { since_us: now.alive_us, empty_lines: 0 },
            input: Buffer::default(),
            output: Buffer::default(),
            rest: None,
            taken: 0,
            stream_end: 0,
            output_moved_us: now.alive_us,
            input_ended: false,
            peer: Peer::Here,
            hang_up_on_end: false,
            draining: false,
        }
    }

    /// Creates the exchange of a connection that is not served: it sends `response` and closes.
    pub fn refused(limits: Arc<Limits>, response: &Response, now: Now) -> Self {
        let mut exchange = Self::new(limits, now);
        exchange.state = exchange.refuse_with(response, DEFAULT_LINES, false, now);
        exchange
    }

    /// Takes input bytes. They are buffered until their request is accepted; [`Exchange::wants_input`] tells when to
    /// stop reading.
    pub fn handle_input(&mut self, bytes: &[u8], now: Now) {
        match &mut self.state {
            State::Closed => return,
            State::Closing { dropped, .. } => *dropped += bytes.len(),
            State::Lingering { moved_us, dropped, .. } => {
                *moved_us = now.alive_us;
                *dropped += bytes.len();
                if *dropped > self.limits.linger_bytes_max {
                    self.close();
                }
            }
            state => {
                if let State::Body { pace, .. } = state {
                    pace.note(bytes.len(), now);
                }
                self.input.append(bytes);
            }
        }
        self.advance(now);
    }

    /// Handles the end of input: the client has closed, or half-closed, its side.
    pub fn handle_end_of_input(&mut self, now: Now) {
        self.input_ended = true;
        if matches!(self.state, State::Lingering { .. }) {
            self.close();
        }
        self.advance(now);
    }

    /// Records that the client has sent its last byte, which may not have been read yet.
    pub fn handle_ending(&mut self) {
        if self.peer == Peer::Here {
            self.peer = Peer::Ending;
        }
    }

    /// Records that the client no longer reads.
    pub fn handle_gone(&mut self) {
        self.peer = Peer::Gone;
    }

    /// Does what is due at `now`. A call that is too early does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.poll_timeout().is_none_or(|at_us| at_us > now.alive_us) {
            return;
        }
        if self.is_output_overdue(now) {
            return self.close();
        }
        let refusal = match &mut self.state {
            State::Head { .. } => {
                let seconds = self.limits.head_timeout_us / 1_000_000;
                Refusal::new(408, format!("The request's head was not complete after {seconds} seconds"))
            }
            State::Body { head, pace, .. } => {
                let limits = &*self.limits;
                if !pace.is_too_slow(limits.body_timeout_us, limits.body_rate_min_bytes_per_s, now) {
                    return;
                }
                let received = self.input.len() - head.bytes;
                Refusal::new(408, format!("The request's body came too slowly: {received} bytes so far"))
            }
            _ => return self.close(),
        };
        self.state = self.refuse(refusal, now);
        self.advance(now);
    }

    /// Removes the first `count` bytes of [`Exchange::output`], which were written to the socket.
    ///
    /// # Panics
    /// If `count` exceeds the length of the output.
    pub fn consume_output(&mut self, count: usize, now: Now) {
        self.output.consume(count);
        self.taken += count as u64;
        self.output_moved_us = now.alive_us;
        self.refill();
        if self.output.is_empty()
            && let State::Idle { since_us, .. } = &mut self.state
        {
            *since_us = now.alive_us;
        }
        self.advance(now);
    }
}

/// Output.
impl Exchange {
    /// Returns the complete request that waits for its answer, unless it is already accepted. Its field values are
    /// stored in `fields`.
    pub fn request<'a>(&'a self, fields: &'a mut FieldValues<'a>) -> Option<Request<'a>> {
        match &self.state {
            State::Ready { head, body, .. } => Some(head.request(self.input.as_slice(), body.clone(), fields)),
            State::Refused { head, .. } => Some(head.request(self.input.as_slice(), head.bytes..head.bytes, fields)),
            _ => None,
        }
    }

    /// Returns the head of a request whose body has not been read yet. The caller must answer at once with
    /// [`Exchange::take_body`] or [`Exchange::refuse_body`], as the client may be waiting for that.
    pub fn offered_request<'a>(&'a self, fields: &'a mut FieldValues<'a>) -> Option<Request<'a>> {
        match &self.state {
            State::Body { head, stage: Stage::Offered, .. } => {
                Some(head.request(self.input.as_slice(), head.bytes..head.bytes, fields))
            }
            _ => None,
        }
    }

    /// Returns the bytes to write.
    pub fn output(&self) -> &[u8] {
        self.output.as_slice()
    }

    /// Returns when to call [`Exchange::handle_timeout`], in microseconds on the alive clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        let limits = &*self.limits;
        let own_us = match &self.state {
            State::Idle { since_us, .. } if self.output.is_empty() => {
                Some(since_us.saturating_add(limits.idle_timeout_us))
            }
            State::Head { since_us, .. } => Some(since_us.saturating_add(limits.head_timeout_us)),
            State::Body { pace, stage: Stage::Taken, .. } => Some(pace.due_us(limits.body_timeout_us)),
            State::Lingering { since_us, moved_us, .. } => Some(
                since_us.saturating_add(self.linger_timeout_us()).min(moved_us.saturating_add(LINGER_IDLE_TIMEOUT_US)),
            ),
            State::Idle { .. }
            | State::Body { .. }
            | State::Ready { .. }
            | State::Refused { .. }
            | State::Answering(_)
            | State::Streaming(_)
            | State::Closing { .. }
            | State::Closed => None,
        };
        [own_us, self.output_timeout_us()].into_iter().flatten().min()
    }

    /// Returns whether to read from the socket. False while enough input waits to be answered, which slows down a
    /// client that sends faster than it is served. One call to [`Exchange::handle_input`] may exceed that bound.
    pub fn wants_input(&self) -> bool {
        !self.input_ended
            && match &self.state {
                State::Idle { .. } | State::Head { .. } if self.is_output_low() => true,
                State::Body { .. } => true,
                State::Closing { dropped, .. } | State::Lingering { dropped, .. } => {
                    *dropped <= self.limits.linger_bytes_max
                }
                State::Closed => false,
                _ => self.input.len() < PIPELINE_BYTES_MAX,
            }
    }

    /// Returns whether the client no longer wants its reply: it is gone, or has ended its input and
    /// [`Exchange::hang_up_on_end`] is set. The caller may drop what is pending with [`Exchange::close`].
    pub fn hung_up(&self) -> bool {
        let ends = self.input_ended || self.peer == Peer::Ending;
        matches!(self.state, State::Answering(_) | State::Streaming(_))
            && (self.peer == Peer::Gone || (self.hang_up_on_end && ends))
    }

    /// Returns whether a complete request waits to be accepted.
    pub fn has_request(&self) -> bool {
        matches!(self.state, State::Ready { .. } | State::Refused { .. })
    }

    /// Returns whether a request waits for [`Exchange::take_body`] or [`Exchange::refuse_body`].
    pub fn has_offer(&self) -> bool {
        matches!(self.state, State::Body { stage: Stage::Offered, .. })
    }

    /// Returns what is wrong with the body of the waiting request, if anything. Only the head of such a request is
    /// available; answer it with [`Exchange::refuse_body`].
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.state {
            State::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// Returns whether a stream is open.
    pub fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming(_))
    }

    /// Returns how many bytes [`Exchange::stream`] appends after what was written: the end of a chunk, or 0 if the
    /// stream is not chunked.
    pub fn stream_end_bytes(&self) -> u64 {
        match self.state {
            State::Streaming(Form { http10: false, .. }) => CHUNK_END.len() as u64,
            _ => 0,
        }
    }

    /// Returns whether a stream is open or its output not yet fully taken, so that changes of
    /// [`Exchange::taken_position`] matter to the server.
    pub fn follows_output(&self) -> bool {
        self.is_streaming() || self.taken < self.stream_end
    }

    /// Returns whether to shut down the write side of the connection: all output is taken, and input is only read so
    /// that the client receives that output (RFC 9112 section 9.6).
    pub fn wants_shutdown(&self) -> bool {
        matches!(self.state, State::Lingering { .. })
    }

    /// Returns whether the connection is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Returns the rate of an incomplete request in bytes per second over about the last [`Limits::body_timeout_us`]; 0
    /// for input queued behind the request that is being answered, `None` for no input or a complete request.
    pub fn input_bytes_per_s(&self, now: Now) -> Option<u64> {
        match &self.state {
            State::Head { since_us, .. } => {
                let pace = Pace::new(self.input.len(), Now { alive_us: *since_us, ..now });
                Some(pace.bytes_per_s(self.limits.head_timeout_us, now))
            }
            State::Body { pace, .. } => Some(pace.bytes_per_s(self.limits.body_timeout_us, now)),
            State::Ready { .. } | State::Refused { .. } | State::Closed => None,
            State::Idle { .. }
            | State::Answering(_)
            | State::Streaming(_)
            | State::Closing { .. }
            | State::Lingering { .. } => (!self.input.is_empty()).then_some(0),
        }
    }

    /// Returns since when, on the alive clock, the connection has been idle: waiting for a request with nothing
    /// pending.
    pub fn idle_since_us(&self) -> Option<u64> {
        match self.state {
            State::Idle { since_us, .. } if self.output.is_empty() && self.input.is_empty() => Some(since_us),
            _ => None,
        }
    }

    /// Returns whether pending output has made no progress for too long, so that [`Exchange::handle_timeout`] will
    /// close.
    pub fn is_output_overdue(&self, now: Now) -> bool {
        self.output_timeout_us().is_some_and(|at_us| at_us <= now.alive_us)
    }

    /// Returns how many bytes of requests are buffered.
    pub fn input_bytes(&self) -> usize {
        self.input.len()
    }

    /// Returns how many bytes of replies are buffered; shared text counts in proportion to its number of holders.
    pub fn output_bytes(&self) -> usize {
        let shared =
            |rest: &Rest| rest.shared.text.as_str().len() / rest.shared.text.holders().saturating_sub(1).max(1);
        self.output.len() + self.rest.as_deref().map_or(0, shared)
    }

    /// Returns when output was last added to an empty buffer or taken, on the alive clock; `None` without output.
    pub fn output_moved_us(&self) -> Option<u64> {
        (!self.output.is_empty()).then_some(self.output_moved_us)
    }

    /// Returns how many bytes were ever output. Once [`Exchange::taken_position`] reaches this, all of them were taken.
    pub fn stream_position(&self) -> u64 {
        let rest = self.rest.as_deref().map_or(0, Rest::bytes);
        self.taken + (self.output.len() + rest) as u64
    }

    /// Returns how many bytes the socket has ever taken.
    pub fn taken_position(&self) -> u64 {
        self.taken
    }

    /// Returns how many bytes a stream may append before it reaches its high-water mark; 0 if no stream is open.
    pub fn stream_room(&self) -> usize {
        match self.state {
            State::Streaming(_) if self.rest.is_none() => OUTPUT_HIGH_WATER_BYTES.saturating_sub(self.output.len()),
            _ => 0,
        }
    }
}

impl Exchange {
    fn append_output(&mut self, now: Now, write: impl FnOnce(&mut Vec<u8>)) {
        if self.output.is_empty() {
            self.output_moved_us = now.alive_us;
        }
        write(self.rest.as_deref_mut().map_or_else(|| self.output.tail(), |rest| &mut rest.tail));
    }

    /// Returns whether there is room for another reply.
    fn is_output_low(&self) -> bool {
        self.rest.is_none() && self.output.len() < OUTPUT_HIGH_WATER_BYTES
    }

    /// Moves as much of the shared part of the reply into the output as there is room for.
    fn refill(&mut self) {
        while let Some(rest) = &mut self.rest
            && self.output.len() < OUTPUT_HIGH_WATER_BYTES
        {
            let Shared { text, range, .. } = &mut rest.shared;
            let end = range.end.min(range.start + OUTPUT_HIGH_WATER_BYTES);
            self.output.append(&text.as_str().as_bytes()[range.start..end]);
            range.start = end;
            if range.start == range.end {
                self.output.append(&rest.tail);
                self.rest = None;
            }
        }
    }

    /// While the server stops, it does not wait for what a client still sends.
    fn linger_timeout_us(&self) -> u64 {
        if self.draining {
            LINGER_STOPPING_US.min(self.limits.linger_timeout_us)
        } else {
            self.limits.linger_timeout_us
        }
    }

    fn output_timeout_us(&self) -> Option<u64> {
        (!self.output.is_empty()).then(|| self.output_moved_us.saturating_add(self.limits.output_timeout_us))
    }
}

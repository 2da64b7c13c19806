//! One connection's life, without the connection: bytes in, a request at a time out, replies in, bytes out.
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
//!  any reply that is the last ──► Closing ── output taken ──► Closed
//!  a fault in a body ──────────► Refused ── refuse_body ──► Closing, as the next
//!  a body that is not wanted ──► Offered ── refuse_body ──► Closing, as the next
//!  another in Head or Body ─────► Closing ── output taken ──► Lingering ── end of input, time, bytes ──► Closed
//!  a time-out of Idle or of the output, close() ────────────────────────────────────────────────────► Closed
//! ```
//!
//! How to drive it: hand in what the socket brings ([`Exchange::handle_input`], [`Exchange::handle_end_of_input`]) and
//! the time ([`Exchange::handle_timeout`], when [`Exchange::poll_timeout`] says so); write out [`Exchange::output`] and
//! tell what was taken ([`Exchange::consume_output`]). When [`Exchange::offered_request`] gives the head of a request,
//! have its body read with [`Exchange::take_body`], or answer it with [`Exchange::refuse_body`]: the client may wait
//! for `100 Continue`. When [`Exchange::request`] gives a request, take note of it with [`Exchange::accept_request`]
//! and answer it, now or later, with exactly one of [`Exchange::respond`] and [`Exchange::start_stream`]. Further
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

/// The header lines that stand on a reply whose request has none of its own: what a reply is may depend on the `Origin`
/// of its request, for caches on the way (RFC 9110 section 12.5.5), and browsers must not guess its type.
pub const DEFAULT_LINES: &[u8] = b"Vary: Origin\r\nX-Content-Type-Options: nosniff\r\n";

/// One connection's life. Small, and without buffers while nothing is pending.
#[derive(Debug)]
pub struct Exchange {
    limits: Arc<Limits>,
    state: State,
    input: Buffer,
    output: Buffer,
    /// What comes behind the output, of the same reply.
    rest: Option<Box<Rest>>,
    /// Bytes ever taken from the output.
    taken: u64,
    /// Where the last stream's output ended, counted like `taken`.
    stream_end: u64,
    /// When, on the alive clock, the output last began or was taken from.
    output_moved_us: u64,
    input_ended: bool,
    peer: Peer,
    hang_up_on_end: bool,
    draining: bool,
}

/// What is known of the client, however much of its input has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    Here,
    /// It has sent its last byte.
    Ending,
    /// It takes nothing any more.
    Gone,
}

/// Where the exchange stands; see the graph above. Times are on the alive clock.
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

/// Whether the server has said that it wants the body of a request: in the graph, a state of its own. Here it stands
/// beside what both have, so that a connection stays small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Offered,
    Taken,
}

/// What a reply still has to give.
#[derive(Debug)]
struct Rest {
    shared: Shared,
    /// What stands behind the shared part.
    tail: Vec<u8>,
}

impl Rest {
    fn bytes(&self) -> usize {
        self.shared.range.len() + self.tail.len()
    }
}

/// What a request says about the form of its reply.
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
    /// The exchange of a connection that begins now.
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

    /// The exchange of a connection that is not served: it gives `response` and closes.
    pub fn refused(limits: Arc<Limits>, response: &Response, now: Now) -> Self {
        let mut exchange = Self::new(limits, now);
        exchange.state = exchange.refuse_with(response, DEFAULT_LINES, false, now);
        exchange
    }

    /// Takes bytes that came. They are kept until their request is accepted; see [`Exchange::wants_input`] for the
    /// bound.
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

    /// Takes note that no more input will come: the client has closed, or half-closed, its side.
    pub fn handle_end_of_input(&mut self, now: Now) {
        self.input_ended = true;
        if matches!(self.state, State::Lingering { .. }) {
            self.close();
        }
        self.advance(now);
    }

    /// Takes note that the client has sent its last byte, which may not have been read yet.
    pub fn handle_ending(&mut self) {
        if self.peer == Peer::Here {
            self.peer = Peer::Ending;
        }
    }

    /// Takes note that the client takes nothing any more.
    pub fn handle_gone(&mut self) {
        self.peer = Peer::Gone;
    }

    /// Does what is due at `now`; nothing, if it is called too early.
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

    /// Takes note that the first `count` bytes of [`Exchange::output`] are written.
    ///
    /// # Panics
    /// If there were not so many.
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
    /// The whole request that waits for its answer, if there is one not yet accepted. `fields` is where its field
    /// values are put.
    pub fn request<'a>(&'a self, fields: &'a mut FieldValues<'a>) -> Option<Request<'a>> {
        match &self.state {
            State::Ready { head, body, .. } => Some(head.request(self.input.as_slice(), body.clone(), fields)),
            State::Refused { head, .. } => Some(head.request(self.input.as_slice(), head.bytes..head.bytes, fields)),
            _ => None,
        }
    }

    /// The head of a request whose body is still to come, and nothing of the body: is it wanted? It is to be answered
    /// with [`Exchange::take_body`] or [`Exchange::refuse_body`], at once: the client may wait for that.
    pub fn offered_request<'a>(&'a self, fields: &'a mut FieldValues<'a>) -> Option<Request<'a>> {
        match &self.state {
            State::Body { head, stage: Stage::Offered, .. } => {
                Some(head.request(self.input.as_slice(), head.bytes..head.bytes, fields))
            }
            _ => None,
        }
    }

    /// The bytes to be written.
    pub fn output(&self) -> &[u8] {
        self.output.as_slice()
    }

    /// When [`Exchange::handle_timeout`] wants to be called: microseconds on the alive clock.
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

    /// Whether the socket should be read. False while enough waits to be answered, so that a client that sends faster
    /// than it is served is slowed down; the bytes handed in at once may pass that bound.
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

    /// Whether the client has hung up on the reply it was to get: it is gone, or at its end by
    /// [`Exchange::hang_up_on_end`]'s rule. What is pending may be dropped with [`Exchange::close`].
    pub fn hung_up(&self) -> bool {
        let ends = self.input_ended || self.peer == Peer::Ending;
        matches!(self.state, State::Answering(_) | State::Streaming(_))
            && (self.peer == Peer::Gone || (self.hang_up_on_end && ends))
    }

    /// Whether a whole request waits to be accepted.
    pub fn has_request(&self) -> bool {
        matches!(self.state, State::Ready { .. } | State::Refused { .. })
    }

    /// Whether a request whose body is still to come waits for [`Exchange::take_body`] or [`Exchange::refuse_body`].
    pub fn has_offer(&self) -> bool {
        matches!(self.state, State::Body { stage: Stage::Offered, .. })
    }

    /// Why the request that waits is at fault, if its body is: then only its head is there, and it is to be answered
    /// with [`Exchange::refuse_body`].
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.state {
            State::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// Whether a stream is open.
    pub fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming(_))
    }

    /// Bytes that [`Exchange::stream`] puts behind what was written: the end of its chunk; 0 if the stream has no
    /// chunks.
    pub fn stream_end_bytes(&self) -> u64 {
        match self.state {
            State::Streaming(Form { http10: false, .. }) => CHUNK_END.len() as u64,
            _ => 0,
        }
    }

    /// Whether a stream is open or its output not yet taken to the end: then the one who follows
    /// [`Exchange::taken_position`] wants to know when output is taken.
    pub fn follows_output(&self) -> bool {
        self.is_streaming() || self.taken < self.stream_end
    }

    /// Whether the write side of the connection should be shut down: all output is taken, and input is read only so
    /// that the client sees it (RFC 9112 section 9.6).
    pub fn wants_shutdown(&self) -> bool {
        matches!(self.state, State::Lingering { .. })
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Bytes per second of a request that is still coming, over about the last [`Limits::body_timeout_us`]; 0 for bytes
    /// that wait behind the request that is being answered. `None` when there is nothing, or a whole request.
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

    /// Since when the connection has waited for a request and has nothing else to do, on the alive clock.
    pub fn idle_since_us(&self) -> Option<u64> {
        match self.state {
            State::Idle { since_us, .. } if self.output.is_empty() && self.input.is_empty() => Some(since_us),
            _ => None,
        }
    }

    /// Whether pending output has stood still for as long as it may: then [`Exchange::handle_timeout`] closes.
    pub fn is_output_overdue(&self, now: Now) -> bool {
        self.output_timeout_us().is_some_and(|at_us| at_us <= now.alive_us)
    }

    /// Bytes of requests that are held.
    pub fn input_bytes(&self) -> usize {
        self.input.len()
    }

    /// Bytes of replies that are held for the client: what others have, too, in proportion.
    pub fn output_bytes(&self) -> usize {
        let shared =
            |rest: &Rest| rest.shared.text.as_str().len() / rest.shared.text.holders().saturating_sub(1).max(1);
        self.output.len() + self.rest.as_deref().map_or(0, shared)
    }

    /// When, on the alive clock, the output last began or was taken from; `None` if there is none.
    pub fn output_moved_us(&self) -> Option<u64> {
        (!self.output.is_empty()).then_some(self.output_moved_us)
    }

    /// Bytes ever put out, up to now. When [`Exchange::taken_position`] has come as far, all of them were taken.
    pub fn stream_position(&self) -> u64 {
        let rest = self.rest.as_deref().map_or(0, Rest::bytes);
        self.taken + (self.output.len() + rest) as u64
    }

    /// Bytes ever taken by the socket.
    pub fn taken_position(&self) -> u64 {
        self.taken
    }

    /// Bytes that a stream may append before its high-water mark is reached; 0 if none is open.
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

    /// Whether a further reply may be put out.
    fn is_output_low(&self) -> bool {
        self.rest.is_none() && self.output.len() < OUTPUT_HIGH_WATER_BYTES
    }

    /// Puts out more of the reply that is shared, as there is room.
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

    /// A server that stops does not stay for what a client still sends.
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

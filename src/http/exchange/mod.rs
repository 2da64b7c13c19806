//! One connection's life, without the connection: bytes in, a request at a time out, replies in, bytes out.
//!
//! ```text
//!            ┌──────── an empty line ────────┐
//!            ▼                               │
//!  new ──► Idle ── a byte ───────────────► Head ── whole, with a body ──► Body
//!            ▲                               │                             │ whole
//!            │                               └── whole, without ──► Ready ◄┘
//!            │                                                      │  │ accept_request
//!            │                                              respond │  ▼
//!            ├◄─────────────────── respond, keep-alive ─────────────┴─ Answering ── start_stream ──► Streaming
//!            └◄──────────────────────────────────────────────────────────────────────── end_stream ────┘
//!
//!  any reply that is the last ──► Closing ── output taken ──► Closed
//!  a fault in a body ──────────► Refused ── refuse_faulty ──► Closing, as the next
//!  another in Head or Body ─────► Closing ── output taken ──► Lingering ── end of input, time, bytes ──► Closed
//!  a time-out of Idle or of the output, close() ────────────────────────────────────────────────────► Closed
//! ```
//!
//! How to drive it: hand in what the socket brings ([`Exchange::handle_input`], [`Exchange::handle_end_of_input`]) and
//! the time ([`Exchange::handle_timeout`], when [`Exchange::poll_timeout`] says so); write out [`Exchange::output`] and
//! tell what was taken ([`Exchange::consume_output`]). When [`Exchange::request`] gives a request, take note of it with
//! [`Exchange::accept_request`] and answer it, now or later, with exactly one of [`Exchange::respond`] and
//! [`Exchange::start_stream`]. Further requests wait until then. Commands on an exchange that has closed meanwhile are
//! ignored.

mod transitions;

use std::{borrow::Cow, mem, ops::Range, sync::Arc};

use super::{
    FieldValues, Limits, Method, Refusal, Request, Response,
    body::Decoder,
    buffer::Buffer,
    request::{Head, Scan},
    response::{self, Ending, Persistence},
    stream::{self, LAST_CHUNK},
};
use crate::{
    limits::{LINGER_IDLE_TIMEOUT_US, OUTPUT_HIGH_WATER_BYTES, PIPELINE_BYTES_MAX},
    now::Now,
};

/// The header lines that stand on a reply whose request has none of its own: what a reply is may depend on the `Origin`
/// of its request, for caches on the way (RFC 9110 section 12.5.5).
pub const DEFAULT_LINES: &[u8] = b"Vary: Origin\r\n";

/// One connection's life. Small, and without buffers while nothing is pending.
#[derive(Debug)]
pub struct Exchange {
    limits: Arc<Limits>,
    state: State,
    input: Buffer,
    output: Buffer,
    /// Bytes ever taken from the output.
    taken: u64,
    /// Where the last stream's output ended, counted like `taken`.
    stream_end: u64,
    /// When, on the alive clock, the output last began or was taken from.
    output_moved_us: u64,
    input_ended: bool,
    hang_up_on_end: bool,
    draining: bool,
}

/// Where the exchange stands; see the graph above. Times are on the alive clock.
#[derive(Debug)]
enum State {
    Idle { since_us: u64, empty_lines: u8 },
    Head { since_us: u64, empty_lines: u8, scan: Scan },
    Body { head: Head, decoder: Decoder, since_us: u64, moved_us: u64, received: u64 },
    Ready { head: Head, body: Range<usize>, end: usize },
    Refused { head: Head, refusal: Refusal, now: Now },
    Answering(Form),
    Streaming(Form),
    Closing { linger: bool, dropped: usize },
    Lingering { since_us: u64, moved_us: u64, dropped: usize },
    Closed,
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
            taken: 0,
            stream_end: 0,
            output_moved_us: now.alive_us,
            input_ended: false,
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
                if let State::Body { moved_us, received, .. } = state {
                    *moved_us = now.alive_us;
                    *received += bytes.len() as u64;
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

    /// Does what is due at `now`; nothing, if it is called too early.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.poll_timeout().is_none_or(|at_us| at_us > now.alive_us) {
            return;
        }
        let refusal = match &self.state {
            _ if self.output_timeout_us().is_some_and(|at_us| at_us <= now.alive_us) => return self.close(),
            State::Head { .. } => {
                let seconds = self.limits.head_timeout_us / 1_000_000;
                Refusal::new(408, format!("The request's head was not complete after {seconds} seconds"))
            }
            State::Body { head, .. } => {
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
        if self.output.is_empty()
            && let State::Idle { since_us, .. } = &mut self.state
        {
            *since_us = now.alive_us;
        }
        self.advance(now);
    }
}

/// Commands.
impl Exchange {
    /// Takes note that the request was read: its bytes are freed, and `lines` (whole header lines, each with its CRLF)
    /// will stand on the head of its reply, whichever that is. Without this call a reply has [`DEFAULT_LINES`].
    pub fn accept_request(&mut self, lines: impl Into<Cow<'static, [u8]>>) {
        if let State::Ready { head, end, .. } = &self.state {
            let (form, end) = (Form::of(head, lines.into()), *end);
            self.input.consume(end);
            self.state = State::Answering(form);
        } else if let State::Refused { refusal, now, .. } = &self.state {
            let (response, now) = (response::refusal(refusal.clone()), *now);
            self.refuse_faulty(&response, &lines.into(), now);
        }
    }

    /// Answers a request that has a [`Exchange::refusal`], and ends the connection behind it. One that is accepted gets
    /// the refusal's bare text.
    pub fn refuse_faulty(&mut self, response: &Response, lines: &[u8], now: Now) {
        if let State::Refused { head, .. } = &self.state {
            let head_only = head.method == Method::Head;
            self.state = self.refuse_with(response, lines, head_only, now);
        }
    }

    /// Whether the end of input counts as a hang-up for the request being answered, which is so for streams and what
    /// waits to become one. Else it is a half-close, and the reply is sent. Ends with the reply; default false.
    pub fn hang_up_on_end(&mut self, on: bool) {
        self.hang_up_on_end = on;
    }

    /// Answers the request.
    pub fn respond(&mut self, response: &Response, now: Now) {
        let Some(form) = self.take_form() else { return };
        let keep_alive = self.keeps_alive(&form);
        let ending = match response.status {
            status if response::has_no_body(status) => Ending::NoBody,
            _ => Ending::Length(response.body.len()),
        };
        let body: &[u8] = if form.head_only || ending == Ending::NoBody { &[] } else { &response.body };
        let room = response::HEAD_BYTES + form.lines.len() + body.len();
        self.append_output(now, |out| {
            out.reserve(room);
            let persistence = persistence(&form, keep_alive);
            response::encode_head(out, response, &form.lines, ending, persistence, now.wall_us);
            out.extend_from_slice(body);
        });
        self.finish_reply(keep_alive, now);
    }

    /// Answers the request with a body that comes bit by bit, by [`Exchange::stream`]; the body of `response` is not
    /// used. Chunked to HTTP/1.1, ended by the connection's end to HTTP/1.0. To HEAD it is the whole reply.
    pub fn start_stream(&mut self, response: &Response, now: Now) {
        let Some(form) = self.take_form() else { return };
        let (ending, keep_alive) =
            if form.http10 { (Ending::Close, false) } else { (Ending::Chunked, self.keeps_alive(&form)) };
        self.append_output(now, |out| {
            let persistence = persistence(&form, keep_alive);
            response::encode_head(out, response, &form.lines, ending, persistence, now.wall_us);
        });
        if form.head_only {
            self.finish_reply(keep_alive, now);
        } else {
            self.state = State::Streaming(Form { keep_alive, lines: Cow::Borrowed(&[]), ..form });
        }
    }

    /// Sends what `write` appends, as one chunk; it must leave alone what is there already. Does nothing unless a
    /// stream is open.
    pub fn stream(&mut self, now: Now, write: impl FnOnce(&mut Vec<u8>)) {
        match self.state {
            State::Streaming(Form { http10: true, .. }) => self.append_output(now, write),
            State::Streaming(_) => self.append_output(now, |out| stream::encode_chunk(out, write)),
            _ => {}
        }
    }

    /// Ends the stream properly.
    pub fn end_stream(&mut self, now: Now) {
        if let State::Streaming(Form { http10, keep_alive, .. }) = self.state {
            if !http10 {
                self.append_output(now, |out| out.extend_from_slice(LAST_CHUNK));
            }
            self.stream_end = self.stream_position();
            self.finish_reply(keep_alive, now);
        }
    }

    /// Ends the connection without the stream's end, behind what is pending: the client knows that there is more.
    pub fn abort_stream(&mut self, now: Now) {
        if let State::Streaming(_) = self.state {
            self.stream_end = self.stream_position();
            self.state = State::Closing { linger: false, dropped: 0 };
            self.advance(now);
        }
    }

    /// Gives `response` to a request that is still coming, and ends the connection behind it. Does nothing in any other
    /// state.
    pub fn refuse_request(&mut self, response: &Response, now: Now) {
        if let State::Head { .. } | State::Body { .. } = self.state {
            self.state = self.refuse_with(response, DEFAULT_LINES, false, now);
            self.advance(now);
        }
    }

    /// Serves what was begun and nothing further: closes when no request is pending.
    pub fn drain(&mut self, now: Now) {
        self.draining = true;
        self.advance(now);
    }

    /// Ends the connection at once; what is pending is dropped.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.input.clear();
        self.output.clear();
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
            State::Body { since_us, moved_us, received, .. } => {
                let earned_us = received.saturating_mul(1_000_000) / limits.body_rate_min_bytes_per_s.max(1);
                let by_rate_us = since_us.saturating_add(limits.body_timeout_us).saturating_add(earned_us);
                Some(by_rate_us.min(moved_us.saturating_add(limits.body_timeout_us)))
            }
            State::Lingering { since_us, moved_us, .. } => Some(
                since_us.saturating_add(limits.linger_timeout_us).min(moved_us.saturating_add(LINGER_IDLE_TIMEOUT_US)),
            ),
            State::Idle { .. }
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
                State::Idle { .. } | State::Head { .. } if self.output.len() < OUTPUT_HIGH_WATER_BYTES => true,
                State::Body { .. } => true,
                State::Closing { dropped, .. } | State::Lingering { dropped, .. } => {
                    *dropped <= self.limits.linger_bytes_max
                }
                State::Closed => false,
                _ => self.input.len() < PIPELINE_BYTES_MAX,
            }
    }

    /// Whether the client has hung up on the reply it was to get, by [`Exchange::hang_up_on_end`]'s rule. What is
    /// pending may be dropped with [`Exchange::close`].
    pub fn hung_up(&self) -> bool {
        self.hang_up_on_end && self.input_ended && matches!(self.state, State::Answering(_) | State::Streaming(_))
    }

    /// Whether a whole request waits to be accepted.
    pub fn has_request(&self) -> bool {
        matches!(self.state, State::Ready { .. } | State::Refused { .. })
    }

    /// Why the request that waits is at fault, if its body is: then only its head is there, and it is to be answered
    /// with [`Exchange::refuse_faulty`].
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

    /// Bytes of requests that are held.
    pub fn input_bytes(&self) -> usize {
        self.input.len()
    }

    /// Bytes ever put out, up to now. When [`Exchange::taken_position`] has come as far, all of them were taken.
    pub fn stream_position(&self) -> u64 {
        self.taken + self.output.len() as u64
    }

    /// Bytes ever taken by the socket.
    pub fn taken_position(&self) -> u64 {
        self.taken
    }

    /// Bytes that a stream may append before its high-water mark is reached; 0 if none is open.
    pub fn stream_room(&self) -> usize {
        match self.state {
            State::Streaming(_) => OUTPUT_HIGH_WATER_BYTES.saturating_sub(self.output.len()),
            _ => 0,
        }
    }
}

/// What commands have in common.
impl Exchange {
    /// The form of the reply that is now given, if one is due.
    fn take_form(&mut self) -> Option<Form> {
        self.accept_request(DEFAULT_LINES);
        match mem::replace(&mut self.state, State::Closed) {
            State::Answering(form) => Some(form),
            state => {
                debug_assert!(
                    matches!(state, State::Closing { .. } | State::Lingering { .. } | State::Closed),
                    "a reply without a request"
                );
                self.state = state;
                None
            }
        }
    }

    /// Whether another request can come after the reply that is now given.
    fn keeps_alive(&self, form: &Form) -> bool {
        form.keep_alive && !self.draining && !(self.input_ended && self.input.is_empty())
    }

    fn finish_reply(&mut self, keep_alive: bool, now: Now) {
        self.hang_up_on_end = false;
        self.state = if keep_alive {
            State::Idle { since_us: now.alive_us, empty_lines: 0 }
        } else {
            // Requests behind the last one are not answered, but their bytes would turn the end into a reset.
            let linger = !self.input.is_empty();
            self.input.clear();
            State::Closing { linger, dropped: 0 }
        };
        self.advance(now);
    }

    fn append_output(&mut self, now: Now, write: impl FnOnce(&mut Vec<u8>)) {
        if self.output.is_empty() {
            self.output_moved_us = now.alive_us;
        }
        write(self.output.tail());
    }

    fn output_timeout_us(&self) -> Option<u64> {
        (!self.output.is_empty()).then(|| self.output_moved_us.saturating_add(self.limits.output_timeout_us))
    }
}

fn persistence(form: &Form, keep_alive: bool) -> Persistence {
    match (keep_alive, form.http10) {
        (false, _) => Persistence::Close,
        (true, true) => Persistence::KeepAlive,
        (true, false) => Persistence::Implied,
    }
}

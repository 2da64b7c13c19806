//! Commands of the server to an exchange: replies, streams and closing.

use std::{borrow::Cow, mem};

use super::{DEFAULT_LINES, Exchange, Form, Rest, Stage, State};
use crate::{
    http::{
        Method, Response, Shared,
        response::{self, Ending, Persistence},
        stream::{self, LAST_CHUNK},
    },
    json::Json,
    now::Now,
};

impl Exchange {
    /// Removes and returns the body of the waiting request, which then has an empty one.
    pub fn detach_body(&mut self) -> Vec<u8> {
        let State::Ready { body, end, .. } = &mut self.state else { return Vec::new() };
        let range = mem::replace(body, body.start..body.start);
        // The last chunk of a chunked body still follows it.
        *end -= range.len();
        self.input.take(range)
    }

    /// Accepts the waiting request and frees its bytes. `lines`, whole header lines each ending in CRLF, are added to
    /// the head of its reply, whatever that will be. Without this call a reply has [`DEFAULT_LINES`].
    pub fn accept_request(&mut self, lines: impl Into<Cow<'static, [u8]>>) {
        if let State::Ready { head, end, .. } = &self.state {
            let (form, end) = (Form::of(head, lines.into()), *end);
            self.input.consume(end);
            self.state = State::Answering(form);
        } else if let State::Refused { refusal, now, .. } = &self.state {
            let (response, now) = (response::refusal(refusal.clone()), *now);
            self.refuse_body(&response, &lines.into(), now);
        }
    }

    /// Reads the body of an [`Exchange::offered_request`].
    pub fn take_body(&mut self, now: Now) {
        let State::Body { head, stage: stage @ Stage::Offered, .. } = &mut self.state else { return };
        *stage = Stage::Taken;
        // RFC 9110 section 10.1.1: 100 Continue is unnecessary once part of the body has arrived.
        if head.expects_continue && self.input.len() == head.bytes {
            self.append_output(now, |out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
        }
        self.advance(now);
    }

    /// Answers a request that has a [`Exchange::refusal`], or an [`Exchange::offered_request`], and then closes the
    /// connection. A request with a refusal that was accepted is answered with the text of the refusal.
    pub fn refuse_body(&mut self, response: &Response, lines: &[u8], now: Now) {
        if let State::Refused { head, .. } | State::Body { head, stage: Stage::Offered, .. } = &self.state {
            let head_only = head.method == Method::Head;
            self.state = self.refuse_with(response, lines, head_only, now);
            self.advance(now);
        }
    }

    /// Sets whether the end of input means that the client has hung up on the request being answered, as for streams.
    /// Otherwise it is a half-close, and the reply is sent. Reset to false after each reply.
    pub fn hang_up_on_end(&mut self, on: bool) {
        self.hang_up_on_end = on;
    }

    /// Answers the request.
    pub fn respond(&mut self, response: &Response, now: Now) {
        let Some(form) = self.take_form() else { return };
        let keep_alive = self.keeps_alive(&form);
        let ending = match response.status {
            status if response::has_no_body(status) => Ending::NoBody,
            _ => Ending::Length(response.body_bytes()),
        };
        let body: &[u8] = if form.head_only || ending == Ending::NoBody { &[] } else { &response.body };
        let shared = response.shared.as_ref().filter(|_| !body.is_empty());
        let (body, tail) = body.split_at(shared.map_or(body.len(), |shared| shared.at));
        let room = response::HEAD_BYTES + form.lines.len() + body.len();
        self.append_output(now, |out| {
            out.reserve(room);
            let persistence = persistence(&form, keep_alive);
            response::encode_head(out, response, &form.lines, ending, persistence, now.wall_us);
            out.extend_from_slice(body);
        });
        self.rest = shared.map(|shared| Box::new(Rest { shared: shared.clone(), tail: tail.to_vec() }));
        self.refill();
        self.finish_reply(keep_alive, now);
    }

    /// Answers the request with a body that [`Exchange::stream`] writes; the body of `response` is ignored. Uses the
    /// chunked coding for HTTP/1.1 and ends the connection for HTTP/1.0. For HEAD this is the complete reply.
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

    /// Sends what `write` appends as one chunk. `write` must not modify what is already there. Does nothing unless a
    /// stream is open.
    pub fn stream(&mut self, now: Now, write: impl FnOnce(&mut Vec<u8>)) {
        match self.state {
            State::Streaming(Form { http10: true, .. }) => self.append_output(now, write),
            State::Streaming(_) => self.append_output(now, |out| stream::encode_chunk(out, write)),
            _ => {}
        }
    }

    /// Sends what `write` appends as one chunk, with `text` inserted at the position that `write` returns. The text is
    /// not copied but output in pieces as the client takes them; until it is taken, the stream has no room.
    pub fn stream_shared(&mut self, now: Now, text: Json, write: impl FnOnce(&mut Vec<u8>) -> usize) {
        let State::Streaming(Form { http10, .. }) = self.state else { return };
        let (mut bytes, mut at) = (Vec::new(), 0);
        if http10 {
            at = write(&mut bytes);
        } else {
            stream::encode_chunk_around(&mut bytes, text.as_str().len(), |out| at = write(out));
        }
        let tail = bytes.split_off(at);
        self.append_output(now, |out| out.extend_from_slice(&bytes));
        let range = 0..text.as_str().len();
        self.rest = Some(Box::new(Rest { shared: Shared { at, text, range }, tail }));
        self.refill();
    }

    /// Ends the stream with its last chunk.
    pub fn end_stream(&mut self, now: Now) {
        if let State::Streaming(Form { http10, keep_alive, .. }) = self.state {
            if !http10 {
                self.append_output(now, |out| out.extend_from_slice(LAST_CHUNK));
            }
            self.stream_end = self.stream_position();
            self.finish_reply(keep_alive, now);
        }
    }

    /// Closes the connection after what is pending, without a last chunk: the client can tell that the stream is cut
    /// off.
    pub fn abort_stream(&mut self, now: Now) {
        if let State::Streaming(_) = self.state {
            self.stream_end = self.stream_position();
            self.state = State::Closing { linger: false, dropped: 0 };
            self.advance(now);
        }
    }

    /// Answers a request that is still arriving with `response`, and then closes the connection. Does nothing in any
    /// other state.
    pub fn refuse_request(&mut self, response: &Response, now: Now) {
        if let State::Head { .. } | State::Body { .. } = self.state {
            self.state = self.refuse_with(response, DEFAULT_LINES, false, now);
            self.advance(now);
        }
    }

    /// Closes after the pending request, or now if there is none.
    pub fn drain(&mut self, now: Now) {
        self.draining = true;
        self.advance(now);
    }

    /// Closes the connection at once and drops what is pending.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.input.clear();
        self.output.clear();
        self.rest = None;
    }
}

/// Helpers of the commands.
impl Exchange {
    /// Takes the form of the reply being sent, if a reply is due.
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

    /// Returns whether another request may follow the reply being sent.
    fn keeps_alive(&self, form: &Form) -> bool {
        form.keep_alive && !self.draining && !(self.input_ended && self.input.is_empty())
    }

    fn finish_reply(&mut self, keep_alive: bool, now: Now) {
        self.hang_up_on_end = false;
        self.state = if keep_alive {
            State::Idle { since_us: now.alive_us, empty_lines: 0 }
        } else {
            // Requests behind the last one are not answered, but unread bytes would turn the close into a reset.
            let linger = !self.input.is_empty();
            self.input.clear();
            State::Closing { linger, dropped: 0 }
        };
        self.advance(now);
    }
}

fn persistence(form: &Form, keep_alive: bool) -> Persistence {
    match (keep_alive, form.http10) {
        (false, _) => Persistence::Close,
        (true, true) => Persistence::KeepAlive,
        (true, false) => Persistence::Implied,
    }
}

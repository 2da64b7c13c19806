//! Commands: what the server has an exchange do. Replies, streams, ends.

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
    /// The body of the request that waits, out of the exchange: from here on the request has an empty one.
    pub fn detach_body(&mut self) -> Vec<u8> {
        let State::Ready { body, end, .. } = &mut self.state else { return Vec::new() };
        let range = mem::replace(body, body.start..body.start);
        // A chunked body leaves its last chunk behind it.
        *end -= range.len();
        self.input.take(range)
    }

    /// Takes note that the request was read: its bytes are freed, and `lines` (whole header lines, each with its CRLF)
    /// will stand on the head of its reply, whichever that is. Without this call a reply has [`DEFAULT_LINES`].
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
        // RFC 9110 section 10.1.1: needless once some of the body has come.
        if head.expects_continue && self.input.len() == head.bytes {
            self.append_output(now, |out| out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n"));
        }
        self.advance(now);
    }

    /// Answers a request that has a [`Exchange::refusal`], or an [`Exchange::offered_request`], and ends the connection
    /// behind it. One with a refusal that is accepted gets the refusal's bare text.
    pub fn refuse_body(&mut self, response: &Response, lines: &[u8], now: Now) {
        if let State::Refused { head, .. } | State::Body { head, stage: Stage::Offered, .. } = &self.state {
            let head_only = head.method == Method::Head;
            self.state = self.refuse_with(response, lines, head_only, now);
            self.advance(now);
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

    /// Sends what `write` gives as one chunk, with `text` put into it at the place that it names. The text is not
    /// copied: it is put out in pieces, as the client takes them. Until it is, the stream has no room.
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
        self.rest = None;
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
}

fn persistence(form: &Form, keep_alive: bool) -> Persistence {
    match (keep_alive, form.http10) {
        (false, _) => Persistence::Close,
        (true, true) => Persistence::KeepAlive,
        (true, false) => Persistence::Implied,
    }
}

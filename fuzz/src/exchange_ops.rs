//! Compares sequences of reads, writes, replies, time-outs and ends with a model: in any order, the client sees the
//! replies to its requests in order, complete or cut off by the end of the connection, and buffers stay bounded.

use std::{collections::VecDeque, sync::Arc};

use steprill::{
    http::{Limits, Response, exchange::Exchange},
    limits::{OUTPUT_HIGH_WATER_BYTES, PIPELINE_BYTES_MAX},
    now::Now,
};

/// Each byte, or two, is an operation.
pub fn run(data: &[u8]) {
    let mut world = World::new();
    let mut bytes = data.iter().copied();
    while let Some(operation) = bytes.next() {
        let mut argument = || usize::from(bytes.next().unwrap_or(0));
        match operation % 14 {
            0 => world.compose(argument(), argument()),
            1 => world.compose_raw(argument() as u8),
            2 => world.send(argument()),
            3 => world.send(usize::MAX),
            4 => world.take(argument()),
            5 => world.take(usize::MAX),
            6 => world.respond(argument()),
            7 => world.start_stream(),
            8 => world.stream(argument() * 300),
            9 => world.end_stream(argument() % 4 == 0),
            10 => world.pass_time(argument() as u64 * 500_000),
            11 => world.end_input(),
            12 => world.accept(argument() % 2 == 0),
            _ => world.drain_or_close(argument()),
        }
        world.check();
    }
    world.finish();
}

struct World {
    exchange: Exchange,
    now: Now,
    /// What the client has still to send.
    unsent: VecDeque<u8>,
    /// Requests that were composed and that the server has not seen, by number, with their bodies.
    composed: VecDeque<(usize, Vec<u8>)>,
    composed_count: usize,
    /// Once the client has sent something that is not a request, no further one is expected.
    is_spoiled: bool,
    is_accepted: bool,
    input_ended: bool,
    /// The bodies of the replies in order; the last may be a stream that is open or cut off.
    replies: Vec<Vec<u8>>,
    received: Vec<u8>,
}

const BODY_BYTES_MAX: usize = 2_000;
const HEAD_BYTES_MAX: usize = 1_000;
const SEND_BYTES_MAX: usize = 8_192;

impl World {
    fn new() -> Self {
        let limits = Limits { body_bytes_max: BODY_BYTES_MAX, head_bytes_max: HEAD_BYTES_MAX, ..Limits::default() };
        let now = Now { wall_us: 0, alive_us: 1 };
        Self {
            exchange: Exchange::new(Arc::new(limits), now),
            now,
            unsent: VecDeque::new(),
            composed: VecDeque::new(),
            composed_count: 0,
            is_spoiled: false,
            is_accepted: false,
            input_ended: false,
            replies: Vec::new(),
            received: Vec::new(),
        }
    }

    /// The client writes a valid request.
    fn compose(&mut self, kind: usize, size: usize) {
        let number = self.composed_count;
        let body: Vec<u8> = (0..size * 4).map(|place| (place + number) as u8).collect();
        let mut text = format!("POST /{number} HTTP/1.1\r\nHost: x\r\n").into_bytes();
        if kind & 1 == 0 {
            text.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
            text.extend_from_slice(&body);
        } else {
            text.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(kind.max(1)) {
                text.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                text.extend_from_slice(piece);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
        }
        self.unsent.extend(text);
        if !self.is_spoiled {
            self.composed.push_back((number, body));
            self.composed_count += 1;
        }
    }

    fn compose_raw(&mut self, byte: u8) {
        self.is_spoiled = true;
        self.unsent.push_back(byte);
    }

    fn send(&mut self, count: usize) {
        if !self.exchange.wants_input() || self.input_ended {
            return;
        }
        let count = count.min(self.unsent.len()).min(SEND_BYTES_MAX);
        let bytes: Vec<u8> = self.unsent.drain(..count).collect();
        self.exchange.handle_input(&bytes, self.now);
    }

    fn take(&mut self, count: usize) {
        let count = count.min(self.exchange.output().len());
        self.received.extend_from_slice(&self.exchange.output()[..count]);
        self.exchange.consume_output(count, self.now);
    }

    fn accept(&mut self, hangs_up: bool) {
        self.exchange.take_body(self.now);
        let mut fields = [None; 7];
        let is_refusing = self.exchange.refusal().is_some();
        let Some(request) = self.exchange.request(&mut fields) else { return };
        if is_refusing {
            assert!(self.is_spoiled, "a request refused that is not at fault: {}", request.path);
            return self.exchange.accept_request(&b"X-Accepted: yes\r\n"[..]);
        }
        match self.composed.pop_front() {
            Some((number, body)) => {
                // The raw bytes may have become part of a request, but only after the last expected one.
                assert_eq!(request.path, format!("/{number}"));
                assert_eq!(request.body, body);
            }
            None => assert!(self.is_spoiled, "a request that nobody sent: {}", request.path),
        }
        self.exchange.accept_request(&b"X-Accepted: yes\r\n"[..]);
        self.exchange.hang_up_on_end(hangs_up);
        self.is_accepted = true;
        assert!(!self.exchange.has_request());
    }

    fn respond(&mut self, size: usize) {
        if self.exchange.has_request() {
            self.accept(false);
        }
        if !self.is_answering() {
            return;
        }
        let body = vec![b'r'; size * 40];
        self.exchange.respond(&Response { status: 200, body: body.clone(), ..Response::default() }, self.now);
        self.replies.push(body);
    }

    fn start_stream(&mut self) {
        if self.exchange.has_request() {
            self.accept(true);
        }
        if !self.is_answering() {
            return;
        }
        self.exchange.start_stream(&Response { status: 200, ..Response::default() }, self.now);
        assert!(self.exchange.is_streaming());
        self.replies.push(Vec::new());
    }

    fn stream(&mut self, size: usize) {
        let room = self.exchange.stream_room();
        let before = self.exchange.stream_position();
        if self.exchange.is_streaming() && room > 0 {
            let mark = self.replies.len() as u8;
            let piece = vec![mark; size];
            self.exchange.stream(self.now, |out| out.extend_from_slice(&piece));
            let framing = self.exchange.stream_position() - before - size as u64;
            assert_eq!(framing, if size == 0 { 0 } else { 12 });
            self.replies.last_mut().expect("the stream's").extend_from_slice(&piece);
        } else if !self.exchange.is_streaming() {
            assert_eq!(room, 0);
            self.exchange.stream(self.now, |_| unreachable!("no stream is open"));
        }
    }

    fn end_stream(&mut self, aborted: bool) {
        if aborted {
            self.exchange.abort_stream(self.now)
        } else {
            self.exchange.end_stream(self.now)
        }
        assert!(!self.exchange.is_streaming());
    }

    fn pass_time(&mut self, after_us: u64) {
        self.now.alive_us += after_us;
        self.exchange.handle_timeout(self.now);
        let next_us = self.exchange.poll_timeout();
        assert!(next_us.is_none_or(|at_us| at_us > self.now.alive_us), "it would be called again and again");
    }

    fn end_input(&mut self) {
        if !self.input_ended {
            self.input_ended = true;
            self.exchange.handle_end_of_input(self.now);
        }
    }

    fn drain_or_close(&mut self, choice: usize) {
        match choice {
            0 => self.exchange.close(),
            1..8 => self.exchange.drain(self.now),
            _ => {}
        }
    }

    /// Returns whether a reply is due; the exchange may have closed in the meantime.
    fn is_answering(&mut self) -> bool {
        std::mem::take(&mut self.is_accepted) && !self.exchange.is_closed()
    }

    fn check(&self) {
        let exchange = &self.exchange;
        assert_eq!(exchange.taken_position(), self.received.len() as u64);
        assert_eq!(exchange.stream_position(), exchange.taken_position() + exchange.output().len() as u64);
        // At most one reply, or one piece of a stream, and heads beyond the mark.
        assert!(exchange.output().len() <= OUTPUT_HIGH_WATER_BYTES + 300 * 256 + 1_024);
        let held_max = PIPELINE_BYTES_MAX + SEND_BYTES_MAX + HEAD_BYTES_MAX + 8 * BODY_BYTES_MAX;
        assert!(exchange.input_bytes() <= held_max);
        if exchange.is_closed() {
            assert!(exchange.output().is_empty() && !exchange.wants_input() && exchange.poll_timeout().is_none());
            assert!(
                !exchange.has_request() && !exchange.has_offer() && !exchange.hung_up() && !exchange.is_streaming()
            );
        }
        if exchange.hung_up() {
            assert!(self.input_ended);
        }
    }

    /// Serves everything that is left, and reads what the client received.
    fn finish(mut self) {
        loop {
            self.exchange.take_body(self.now);
            let before = (self.unsent.len(), self.received.len(), self.replies.len());
            self.send(usize::MAX);
            self.take(usize::MAX);
            if self.exchange.is_streaming() {
                self.end_stream(false);
            }
            self.respond(1);
            self.check();
            if before == (self.unsent.len(), self.received.len(), self.replies.len())
                && self.exchange.output().is_empty()
            {
                break;
            }
        }
        let is_open = !self.exchange.is_closed() && !self.exchange.wants_shutdown();
        if is_open && !self.is_spoiled {
            assert!(self.unsent.is_empty() && self.composed.is_empty(), "the connection is open, but requests wait");
        }
        self.check_received(is_open);
    }

    fn check_received(&self, is_open: bool) {
        let mut rest = &self.received[..];
        for (place, expected) in self.replies.iter().enumerate() {
            let Some((status, body, whole)) = take_reply(&mut rest) else {
                assert!(!is_open, "reply {place} is missing");
                return;
            };
            assert_eq!(status, 200);
            let is_last = place + 1 == self.replies.len();
            if whole {
                assert_eq!(&body, expected);
            } else {
                assert!(expected.starts_with(&body) && !is_open && (is_last || rest.is_empty()));
                return;
            }
        }
        // At most one reply to a fault may follow, and nothing after it.
        if let Some((status, _, _)) = take_reply(&mut rest) {
            assert!(status >= 400 && !is_open, "{status}");
        }
        let is_cut = !is_open && !rest.windows(4).any(|bytes| bytes == b"\r\n\r\n");
        assert!(rest.is_empty() || is_cut, "{}", rest.escape_ascii());
    }
}

/// Returns status, body and completeness of the next final reply.
fn take_reply(rest: &mut &[u8]) -> Option<(u16, Vec<u8>, bool)> {
    let end = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&rest[..end]).expect("a head is text");
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    let status = head[9..12].parse().expect("a status");
    *rest = &rest[end..];
    if let Some((_, length)) = head.split_once("Content-Length: ") {
        let length: usize = length.split("\r\n").next().and_then(|length| length.parse().ok()).expect("a length");
        let body = rest[..length.min(rest.len())].to_vec();
        let whole = body.len() == length;
        *rest = &rest[body.len()..];
        return Some((status, body, whole));
    }
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a chunk's size");
        let data = &rest[end + 2..];
        if data.len() < size + 2 {
            body.extend_from_slice(&data[..size.min(data.len())]);
            break;
        }
        body.extend_from_slice(&data[..size]);
        assert_eq!(&data[size..size + 2], b"\r\n");
        *rest = &data[size + 2..];
        if size == 0 {
            return Some((status, body, true));
        }
    }
    *rest = &[];
    Some((status, body, false))
}

//! The state of one connection: streams, waits, ends and time-outs, with the time as a parameter.

use std::sync::Arc;

use steprill::{
    http::{Limits, Response, Shared, exchange::Exchange},
    json::Json,
    limits::{LINGER_IDLE_TIMEOUT_US, OUTPUT_HIGH_WATER_BYTES, PIPELINE_BYTES_MAX},
    now::Now,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn at(seconds: u64) -> Now {
    Now { wall_us: 784_111_777_000_000, alive_us: 1_000_000 + seconds * 1_000_000 }
}

fn exchange_with(input: &[u8]) -> Exchange {
    let limits = Limits { body_bytes_max: 65_536, ..Limits::default() };
    let mut exchange = Exchange::new(Arc::new(limits), at(0));
    exchange.handle_input(input, at(0));
    exchange.take_body(at(0));
    exchange
}

/// Takes all output as text.
fn take(exchange: &mut Exchange, now: Now) -> String {
    let text = String::from_utf8(exchange.output().to_vec()).unwrap();
    exchange.consume_output(text.len(), now);
    text
}

fn path(exchange: &Exchange) -> Option<String> {
    let mut fields = [None; 7];
    exchange.request(&mut fields).map(|request| request.path.to_owned())
}

fn ok(body: &str) -> Response {
    Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() }
}

fn stream_head() -> Response {
    Response { status: 200, content_type: Some("application/x-ndjson"), ..Response::default() }
}

/// Returns in how many seconds from the start it wants to be called.
fn timeout_s(exchange: &Exchange) -> Option<u64> {
    exchange.poll_timeout().map(|at_us| (at_us - 1_000_000) / 1_000_000)
}

#[test]
fn a_stream_is_chunked_and_the_connection_is_reused_after_it() {
    let mut exchange = exchange_with(&[GET, GET].concat());
    exchange.accept_request(b"Vary: Origin\r\nX-Extra: 1\r\n".to_vec());
    exchange.start_stream(&stream_head(), at(0));
    assert_eq!(
        take(&mut exchange, at(0)),
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\nCache-Control: no-store\r\nVary: Origin\r\nX-Extra: 1\r\n\r\n"
    );
    exchange.stream(at(0), |_| {});
    assert_eq!(exchange.output(), b"", "an empty chunk would end the body");
    exchange.stream(at(0), |out| {
        out.extend_from_slice(b"{}\n");
        out.extend_from_slice(b"[]\n");
    });
    exchange.stream(at(0), |out| out.extend_from_slice(&[b'x'; 300]));
    assert!(path(&exchange).is_none(), "one reply at a time");
    exchange.end_stream(at(0));
    let chunks = format!("00000006\r\n{{}}\n[]\n\r\n0000012c\r\n{}\r\n0\r\n\r\n", "x".repeat(300));
    assert_eq!(take(&mut exchange, at(0)), chunks);
    assert_eq!(path(&exchange).as_deref(), Some("/"));
    exchange.respond(&ok("next"), at(0));
    let text = take(&mut exchange, at(0));
    assert!(text.contains("Vary: Origin\r\n") && !text.contains("X-Extra"), "lines are of one reply: {text}");
}

#[test]
fn a_stream_to_http10_ends_with_the_connection() {
    let mut exchange = exchange_with(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    exchange.start_stream(&stream_head(), at(0));
    let head = take(&mut exchange, at(0));
    assert!(head.contains("Connection: close\r\n") && !head.contains("Transfer-Encoding"), "{head}");
    exchange.stream(at(0), |out| out.extend_from_slice(b"{}\n"));
    exchange.end_stream(at(0));
    assert!(!exchange.is_closed());
    assert_eq!(take(&mut exchange, at(0)), "{}\n");
    assert!(exchange.is_closed());
}

#[test]
fn to_head_a_stream_is_its_head() {
    let mut exchange = exchange_with(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    exchange.start_stream(&stream_head(), at(0));
    assert!(!exchange.is_streaming());
    exchange.stream(at(0), |_| unreachable!("there is no body to write"));
    assert!(take(&mut exchange, at(0)).ends_with("\r\nX-Content-Type-Options: nosniff\r\n\r\n"));
    assert_eq!(path(&exchange).as_deref(), Some("/b"));
}

#[test]
fn an_aborted_stream_sends_what_is_pending_but_no_end() {
    let mut exchange = exchange_with(GET);
    exchange.start_stream(&stream_head(), at(0));
    take(&mut exchange, at(0));
    exchange.stream(at(0), |out| out.extend_from_slice(b"{}\n"));
    exchange.abort_stream(at(0));
    assert!(exchange.follows_output() && !exchange.is_closed());
    assert_eq!(take(&mut exchange, at(0)), "00000003\r\n{}\n\r\n");
    assert!(exchange.is_closed() && !exchange.follows_output());
}

#[test]
fn positions_tell_which_events_were_taken() {
    let mut exchange = exchange_with(&[GET, GET].concat());
    exchange.respond(&ok("first"), at(0));
    take(&mut exchange, at(0));
    exchange.start_stream(&stream_head(), at(0));
    exchange.stream(at(0), |out| out.extend_from_slice(b"one"));
    let first = exchange.stream_position();
    exchange.stream(at(0), |out| out.extend_from_slice(b"two"));
    let second = exchange.stream_position();
    let pending = exchange.output().len();
    exchange.consume_output(pending - 1, at(0));
    assert!(exchange.taken_position() >= first && exchange.taken_position() < second);
    exchange.end_stream(at(0));
    assert!(exchange.follows_output(), "the end is not taken yet");
    exchange.close();
    assert_eq!(exchange.taken_position(), second - 1, "what was dropped was not taken");
}

#[test]
fn a_stream_has_room_up_to_the_high_water_mark() {
    let mut exchange = exchange_with(GET);
    assert_eq!(exchange.stream_room(), 0);
    exchange.start_stream(&stream_head(), at(0));
    take(&mut exchange, at(0));
    assert_eq!(exchange.stream_room(), OUTPUT_HIGH_WATER_BYTES);
    exchange.stream(at(0), |out| out.resize(out.len() + OUTPUT_HIGH_WATER_BYTES, b'x'));
    assert_eq!(exchange.stream_room(), 0);
    exchange.consume_output(1_012, at(0));
    assert_eq!(exchange.stream_room(), 1_000);
}

#[test]
fn a_body_that_is_expected_gets_one_100_continue() {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
    for (framing, body) in [("Content-Length: 2", "hi"), ("Transfer-Encoding: chunked", "2\r\nhi\r\n0\r\n\r\n")] {
        let mut exchange = exchange_with(format!("{head}{framing}\r\n\r\n").as_bytes());
        assert_eq!(take(&mut exchange, at(0)), "HTTP/1.1 100 Continue\r\n\r\n");
        for byte in body.bytes() {
            assert!(path(&exchange).is_none());
            exchange.handle_input(&[byte], at(0));
            assert_eq!(exchange.output(), b"");
        }
        assert_eq!(path(&exchange).as_deref(), Some("/"));
    }
    let exchange = exchange_with(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
    assert_eq!(exchange.output(), b"", "there is nothing to ask for");
    assert!(exchange.has_request());
}

#[test]
fn a_body_is_refused_before_100_continue_and_before_it_is_read() {
    let head = "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut exchange = Exchange::new(Arc::new(Limits::default()), at(0));
    exchange.handle_input(head.as_bytes(), at(0));
    assert_eq!((exchange.has_offer(), exchange.has_request(), exchange.output()), (true, false, &b""[..]));
    let mut fields = [None; 7];
    let request = exchange.offered_request(&mut fields).unwrap();
    assert_eq!((request.path, request.body), ("/a", &b""[..]));
    exchange.refuse_body(&Response { status: 404, ..ok("none") }, b"X-Extra: 1\r\n", at(0));
    let text = take(&mut exchange, at(0));
    assert!(text.starts_with("HTTP/1.1 404 ") && text.contains("Connection: close\r\n"), "{text}");
    assert!(text.contains("X-Extra: 1\r\n") && text.ends_with("\r\n\r\nnone"), "{text}");
    // What the client sends nevertheless is dropped, within limits.
    exchange.handle_input(b"hi", at(1));
    assert!(exchange.wants_shutdown() && exchange.output().is_empty() && exchange.input_bytes() == 0);
    exchange.handle_timeout(at(1 + LINGER_IDLE_TIMEOUT_US / 1_000_000));
    assert!(exchange.is_closed());
}

#[test]
fn a_body_that_has_arrived_gets_no_100_continue() {
    let head = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n";
    let mut exchange = Exchange::new(Arc::new(Limits::default()), at(0));
    exchange.handle_input(format!("{head}h").as_bytes(), at(0));
    assert!(exchange.has_offer());
    exchange.handle_input(b"i", at(0));
    assert_eq!((exchange.has_offer(), exchange.has_request()), (false, true));
}

#[test]
fn the_end_of_input_is_a_disconnect_only_if_the_caller_says_so() {
    for (mode, streams) in [(false, false), (true, false), (true, true)] {
        let mut exchange = exchange_with(GET);
        exchange.accept_request(&b""[..]);
        exchange.hang_up_on_end(mode);
        if streams {
            exchange.start_stream(&stream_head(), at(0));
        }
        assert!(!exchange.hung_up());
        exchange.handle_end_of_input(at(0));
        assert_eq!(exchange.hung_up(), mode);
        assert!(!exchange.is_closed());
        if !streams {
            exchange.respond(&ok("late"), at(9));
            let text = take(&mut exchange, at(9));
            assert!(text.contains("Connection: close\r\n") && text.ends_with("late"), "{text}");
            assert!(exchange.is_closed());
        }
    }
}

#[test]
fn a_reply_that_is_too_large_to_take_delays_the_next_request() {
    let mut exchange = exchange_with(&[GET, GET].concat());
    exchange.respond(&ok(&"x".repeat(OUTPUT_HIGH_WATER_BYTES + 1_000)), at(0));
    assert!(!exchange.has_request());
    let mut given = 2 * GET.len();
    while exchange.wants_input() {
        exchange.handle_input(GET, at(0));
        given += GET.len();
    }
    assert!(given <= PIPELINE_BYTES_MAX + 2 * GET.len(), "{given}");
    exchange.consume_output(2_000, at(0));
    assert!(exchange.has_request());
}

#[test]
fn an_idle_connection_is_closed_silently_after_its_time() {
    let mut exchange = exchange_with(GET);
    assert_eq!(timeout_s(&exchange), None, "the server may take its time");
    exchange.respond(&ok(""), at(10));
    assert_eq!(timeout_s(&exchange), Some(10 + 300), "the reply has to be taken first");
    take(&mut exchange, at(20));
    assert_eq!(timeout_s(&exchange), Some(20 + 75));
    exchange.handle_timeout(at(94));
    assert!(!exchange.is_closed());
    exchange.handle_timeout(at(95));
    assert!(exchange.is_closed());
    assert_eq!((exchange.output(), exchange.poll_timeout()), (&b""[..], None));
}

#[test]
fn a_shared_part_of_a_reply_goes_out_in_pieces() {
    let mut exchange = exchange_with(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    let text = Json::from_value(&"y".repeat(1 << 20)).unwrap();
    let shared = Some(Shared { at: 1, text, range: 1..1 + (1 << 20) });
    let reply = Response { status: 200, body: b"[]".to_vec(), shared, ..Response::default() };
    exchange.respond(&reply, at(0));
    assert!(!exchange.has_request(), "the next one waits until this reply is out of the way");
    let mut received = Vec::new();
    while !exchange.output().is_empty() {
        assert!(exchange.output().len() <= 2 * OUTPUT_HIGH_WATER_BYTES);
        received.extend_from_slice(exchange.output());
        let count = exchange.output().len();
        exchange.consume_output(count, at(0));
    }
    let text = String::from_utf8(received).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", 2 + (1 << 20))), "{head}");
    assert!(body == format!("[{}]", "y".repeat(1 << 20)));
    assert!(exchange.has_request());
}

#[test]
fn a_head_has_its_time_from_its_first_byte_on() {
    let mut exchange = exchange_with(b"");
    exchange.handle_input(b"GET", at(50));
    exchange.handle_input(b" /", at(70));
    assert_eq!(timeout_s(&exchange), Some(80));
    exchange.handle_timeout(at(80));
    let text = take(&mut exchange, at(80));
    assert!(text.starts_with("HTTP/1.1 408 ") && text.ends_with("not complete after 30 seconds"), "{text}");
}

#[test]
fn a_body_must_move_and_keep_up_a_rate() {
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n";
    let mut exchange = exchange_with(head);
    exchange.handle_input(&[0; 10_000], at(20));
    assert_eq!(timeout_s(&exchange), Some(30));
    exchange.handle_timeout(at(30));
    assert!(exchange.output().is_empty(), "the first 30 s brought enough");
    assert_eq!(timeout_s(&exchange), Some(50), "30 s without a byte");
    exchange.handle_timeout(at(50));
    assert!(exchange.output().starts_with(b"HTTP/1.1 408 "));

    let mut exchange = exchange_with(head);
    for second in 1..=29 {
        exchange.handle_input(&[0], at(second));
    }
    assert_eq!(timeout_s(&exchange), Some(30), "29 bytes earn no more than the first 30 s");
    exchange.handle_timeout(at(30));
    assert!(exchange.output().starts_with(b"HTTP/1.1 408 "));

    let mut exchange = exchange_with(head);
    exchange.handle_input(&vec![0; 59_000], at(1));
    for second in (6..=60).step_by(6) {
        exchange.handle_input(&[0], at(second));
        exchange.handle_timeout(at(second));
    }
    assert!(exchange.output().starts_with(b"HTTP/1.1 408 "), "what came fast at first earns no time for the rest");

    let mut exchange = exchange_with(head);
    for second in 1..=600 {
        exchange.handle_input(&[0; 100], at(second));
        exchange.handle_timeout(at(second));
    }
    assert!(exchange.has_request(), "100 bytes a second is enough");
}

#[test]
fn a_reader_that_takes_nothing_is_disconnected() {
    let mut exchange = exchange_with(GET);
    exchange.start_stream(&stream_head(), at(0));
    take(&mut exchange, at(1));
    assert_eq!(timeout_s(&exchange), None, "an idle stream may stay");
    exchange.stream(at(500), |out| out.extend_from_slice(&[b'x'; 100]));
    exchange.stream(at(510), |out| out.extend_from_slice(b"x"));
    assert_eq!(timeout_s(&exchange), Some(800));
    exchange.consume_output(1, at(550));
    assert_eq!(timeout_s(&exchange), Some(850));
    exchange.handle_timeout(at(850));
    assert!(exchange.is_closed());
}

#[test]
fn after_an_error_input_is_dropped_for_a_while_so_that_the_reply_arrives() {
    let mut exchange = exchange_with(b"GET / HTTP/9.9\r\n\r\n");
    assert!(!exchange.wants_shutdown() && exchange.wants_input());
    take(&mut exchange, at(1));
    assert!(exchange.wants_shutdown() && exchange.wants_input() && !exchange.is_closed());
    exchange.handle_input(&[0; 10_000], at(4));
    assert_eq!(exchange.poll_timeout(), Some(at(4).alive_us + LINGER_IDLE_TIMEOUT_US));
    exchange.handle_timeout(at(9));
    assert!(exchange.is_closed(), "nothing came for 5 s");

    let mut exchange = exchange_with(b"GET / HTTP/9.9\r\n\r\n");
    take(&mut exchange, at(0));
    exchange.handle_end_of_input(at(0));
    assert!(exchange.is_closed(), "the client is done");

    let mut exchange = exchange_with(b"GET / HTTP/9.9\r\n\r\n");
    take(&mut exchange, at(0));
    let piece = vec![0; 1 << 20];
    let pieces = (0..).take_while(|_| {
        exchange.handle_input(&piece, at(0));
        !exchange.is_closed()
    });
    assert_eq!(pieces.count(), 32, "a bounded amount");
}

#[test]
fn draining_serves_what_was_begun_only() {
    let mut exchange = exchange_with(&[GET, GET].concat());
    exchange.drain(at(0));
    assert!(exchange.has_request());
    exchange.respond(&ok("last"), at(0));
    let text = take(&mut exchange, at(0));
    assert!(text.contains("Connection: close\r\n") && text.ends_with("last"), "{text}");
    assert!(exchange.wants_shutdown(), "the second request is not answered, but read away");

    let mut exchange = exchange_with(b"");
    exchange.drain(at(0));
    assert!(exchange.is_closed());
}

#[test]
fn a_connection_that_waits_is_small() {
    assert!(size_of::<Exchange>() <= 320, "{}", size_of::<Exchange>());
}

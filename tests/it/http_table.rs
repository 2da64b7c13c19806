//! HTTP by table: bytes in, bytes out, and the same for any way of splitting the input.

use std::sync::Arc;

use proptest::prelude::*;
use steprill::{
    http::{Field, Limits, Method, Request, Response, exchange::Exchange},
    now::Now,
};

const TABLE: &str = include_str!("http_table.txt");
const NOW: Now = Now { wall_us: 784_111_777_000_000, alive_us: 5_000_000 };

/// One case of the table.
struct Case {
    name: String,
    input: Vec<u8>,
    ends: bool,
    expected: Vec<String>,
}

/// What a connection replied, and whether it then ended.
#[derive(PartialEq, Eq, Debug)]
struct Transcript {
    replies: Vec<(u16, String)>,
    closes: bool,
}

#[test]
fn each_input_gets_its_replies() {
    let cases = cases();
    assert!(cases.len() > 90, "{} cases", cases.len());
    for case in &cases {
        case.check(&case.run(&[case.input.len()]), "whole");
    }
}

#[test]
fn each_input_gets_the_same_replies_wherever_it_is_split() {
    for case in cases() {
        let length = case.input.len();
        // Long inputs are split everywhere near their ends, and elsewhere at a stride that meets all offsets in the
        // buffers.
        let stride = if length > 2_000 { 997 } else { 1 };
        let places = (1..length).filter(|place| place % stride == 0 || length - place < 40 || *place < 40);
        for place in places {
            case.check(&case.run(&[place, length]), &format!("split at {place}"));
        }
        for step in [1, 7] {
            let cuts: Vec<usize> = (1..=length).filter(|place| place % step == 0 || *place == length).collect();
            case.check(&case.run(&cuts), &format!("in steps of {step}"));
        }
    }
}

#[test]
fn a_reply_has_exactly_these_bytes() {
    let limits = Arc::new(Limits::default());
    let mut exchange = Exchange::new(limits, NOW);
    exchange.handle_input(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", NOW);
    exchange.accept_request(b"Vary: Origin\r\nAccess-Control-Allow-Origin: http://a\r\n".to_vec());
    let response = Response {
        status: 201,
        content_type: Some("application/json"),
        headers: vec![("Location", "/a".into())],
        body: b"{}".to_vec(),
        shared: None,
    };
    exchange.respond(&response, NOW);
    assert_eq!(
        std::str::from_utf8(exchange.output()).unwrap(),
        "HTTP/1.1 201 Created\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\nLocation: /a\r\nCache-Control: no-store\r\n\
         Vary: Origin\r\nAccess-Control-Allow-Origin: http://a\r\n\r\n{}"
    );
    let length = exchange.output().len();
    exchange.consume_output(length, NOW);
    exchange.handle_input(b"DELETE / HTTP/1.1\r\nHost: x y\r\n\r\n", NOW);
    assert_eq!(
        std::str::from_utf8(exchange.output()).unwrap(),
        "HTTP/1.1 400 Bad Request\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: 70\r\nConnection: close\r\nCache-Control: no-store\r\nVary: Origin\r\n\
         X-Content-Type-Options: nosniff\r\n\r\n\
         The host must be a name or an address, with or without port, got 'x y'"
    );
}

#[test]
fn statuses_without_a_body_have_no_length_either() {
    for (status, method) in [(204, "GET"), (304, "GET"), (204, "HEAD")] {
        let mut exchange = Exchange::new(Arc::new(Limits::default()), NOW);
        exchange.handle_input(format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(), NOW);
        exchange.respond(&Response { status, ..Response::default() }, NOW);
        let text = std::str::from_utf8(exchange.output()).unwrap();
        assert!(!text.contains("Content-Length") && text.ends_with("\r\n\r\n"), "{text}");
    }
}

const PIECES: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /a?b HTTP/1.1\r\n",
    b"Host: y\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b":",
    b"3\r\n",
    b"abc",
    b"0\r\n",
    b"\xff\0",
];

proptest! {
    /// Any bytes in any pieces: no panic, and the output depends only on the bytes.
    #[test]
    fn any_input_is_answered_alike_in_any_pieces(
        input in prop::collection::vec(prop::sample::select(PIECES), 0..12),
        cuts in prop::collection::vec(1_usize..40, 0..12),
        ends: bool,
    ) {
        let case = Case { name: String::new(), input: input.concat(), ends, expected: Vec::new() };
        let length = case.input.len();
        let mut places: Vec<usize> = cuts.iter().scan(0, |place, cut| { *place += cut; Some(*place) }).collect();
        places.retain(|place| *place < length);
        places.push(length);
        prop_assert_eq!(case.run(&places), case.run(&[length]));
    }
}

impl Case {
    /// Returns the output for the input handed in up to each of `places` in turn.
    fn run(&self, places: &[usize]) -> Transcript {
        let limits = Limits { body_bytes_max: 65_536, ..Limits::default() };
        let mut exchange = Exchange::new(Arc::new(limits), NOW);
        let (mut output, mut start) = (Vec::new(), 0);
        for &end in places {
            exchange.handle_input(&self.input[start..end], NOW);
            start = end;
            serve(&mut exchange, &mut output);
        }
        if self.ends {
            exchange.handle_end_of_input(NOW);
            serve(&mut exchange, &mut output);
        }
        let closes = exchange.is_closed() || exchange.wants_shutdown();
        let mut replies = replies(&output);
        replies.retain(|(status, _)| *status != 100);
        Transcript { replies, closes }
    }

    #[track_caller]
    fn check(&self, got: &Transcript, how: &str) {
        let mut lines: Vec<String> = got.replies.iter().map(|(status, body)| format!("{status} {body}")).collect();
        lines.extend(got.closes.then(|| "close".into()));
        let fits = lines.len() == self.expected.len()
            && lines.iter().zip(&self.expected).all(|(line, expected)| {
                let whole = expected.starts_with('2') || !expected.contains(' ');
                if whole { line.trim_end() == expected } else { line.starts_with(expected.as_str()) }
            });
        let brief = |lines: &[String]| {
            let cut: Vec<String> = lines.iter().map(|line| line.chars().take(200).collect()).collect();
            cut.join("\n  ")
        };
        assert!(fits, "case '{}', {how}: expected\n  {}\ngot\n  {}", self.name, brief(&self.expected), brief(&lines));
    }
}

/// Answers all waiting requests with a description of each, and takes the output.
fn serve(exchange: &mut Exchange, output: &mut Vec<u8>) {
    loop {
        exchange.take_body(NOW);
        let mut fields = [None; 7];
        let body = exchange.request(&mut fields).map(|request| describe(&request));
        if let Some(body) = &body {
            let response = Response { status: 200, body: body.clone().into_bytes(), ..Response::default() };
            exchange.respond(&response, NOW);
        }
        output.extend_from_slice(exchange.output());
        let taken = exchange.output().len();
        exchange.consume_output(taken, NOW);
        if body.is_none() && taken == 0 {
            return;
        }
    }
}

fn describe(request: &Request<'_>) -> String {
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Options => "OPTIONS",
        Method::Other => "Other",
    };
    let mut text = format!("{method} {}", request.path);
    text += if request.http10 { " http10" } else { "" };
    text += &request.query.map(|query| format!(" ?{query}")).unwrap_or_default();
    for (name, field) in [("host", Field::Host), ("accept", Field::Accept)] {
        let value = request.fields[field as usize].map(|value| format!(" {name}={}", value.escape_ascii()));
        text += &value.unwrap_or_default();
    }
    match request.body {
        [] => text,
        body => format!("{text} body={}", body.escape_ascii()),
    }
}

/// Returns status and body of each reply, by `Content-Length`; a reply to HEAD, told by what follows, has none.
fn replies(mut output: &[u8]) -> Vec<(u16, String)> {
    let mut replies = Vec::new();
    while !output.is_empty() {
        let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a whole head") + 4;
        let head = std::str::from_utf8(&output[..end]).unwrap();
        let status = head[9..12].parse().unwrap();
        assert!(status == 100 || head.contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{head}");
        assert!(status == 100 || head.contains("\r\nVary: Origin\r\n"), "{head}");
        let length = head
            .split_once("Content-Length: ")
            .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
        output = &output[end..];
        let length = if output.is_empty() || output.starts_with(b"HTTP/1.1 ") { 0 } else { length };
        replies.push((status, String::from_utf8(output[..length].to_vec()).unwrap()));
        output = &output[length..];
    }
    replies
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut lines = TABLE.lines().skip_while(|line| !line.is_empty());
    for line in &mut lines {
        let (mark, rest) = line.split_at(line.len().min(1));
        if mark == "#" {
            let name = rest.trim().into();
            cases.push(Case { name, input: Vec::new(), ends: false, expected: Vec::new() });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        let text = rest.strip_prefix(' ').unwrap_or(rest);
        match mark {
            "" => {}
            ">" => case.input.extend([unescape(text), b"\r\n".to_vec()].concat()),
            "+" => case.input.extend(unescape(text)),
            "." => case.ends = true,
            "<" => {
                // In replies only the repetition is abbreviated.
                let text = if text.contains('{') { String::from_utf8(unescape(text)).unwrap() } else { text.into() };
                case.expected.push(text);
            }
            _ => panic!("unknown line in the table: {line}"),
        }
    }
    cases
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = &rest[1..];
        match next {
            '\\' => {
                let (escape, behind) = rest.split_at(1);
                rest = behind;
                out.push(match escape {
                    "r" => b'\r',
                    "n" => b'\n',
                    "t" => b'\t',
                    "0" => 0,
                    "\\" => b'\\',
                    "x" => {
                        let (digits, behind) = rest.split_at(2);
                        rest = behind;
                        u8::from_str_radix(digits, 16).unwrap()
                    }
                    _ => panic!("unknown escape in the table: {text}"),
                });
            }
            '{' => {
                let mut depth = 1;
                let end = rest.find(|next| {
                    depth += i32::from(next == '{') - i32::from(next == '}');
                    depth == 0
                });
                let end = end.unwrap();
                let (body, count) = rest[..end].rsplit_once('*').unwrap();
                out.extend(unescape(body).repeat(count.parse().unwrap()));
                rest = &rest[end + 1..];
            }
            _ => out.push(next as u8),
        }
    }
    out
}

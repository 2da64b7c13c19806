//! What can be refused by its head alone is refused before `100 Continue`, and before its body is read.

use super::*;

/// Request lines, header lines besides `Host: localhost`, and the status that they alone lead to.
const REFUSED: &[(&str, &str, u16)] = &[
    ("POST /workflows/echo/run", "Origin: http://evil.example\r\n", 403),
    ("POST /workflows/echo/run", "Origin: null\r\n", 403),
    ("POST /workflows/echo/run", "Sec-Fetch-Site: cross-site\r\n", 403),
    ("POST http://evil.example/workflows/echo/run", "", 403),
    ("OPTIONS /health", "Origin: http://evil.example\r\n", 403),
    ("POST /nope", "", 404),
    ("POST /workflows/echo/run/", "", 404),
    ("PUT /nope", "Origin: http://app.example\r\n", 404),
    ("POST /workflows/nope/run", "", 404),
    ("POST /workflows/nope/run-nowait", "Accept: application/json\r\n", 404),
    ("POST /health", "", 405),
    ("PUT /workflows/echo/run", "", 405),
    ("DELETE /handlers", "", 405),
    ("GET /workflows/echo/run", "", 405),
    ("HEAD /workflows/echo/run", "", 405),
    ("OPTIONS /health", "", 204),
    ("OPTIONS /nope", "", 404),
];

const FRAMINGS: &[&str] = &["Content-Length: 1000000", "Content-Length: 999999999", "Transfer-Encoding: chunked"];

/// Sends a head without its body. Returns the head of the reply.
#[track_caller]
fn offer(program: &Program, line: &str, lines: &str, framing: &str) -> (Connection, Response) {
    let mut connection = program.connect();
    connection.write(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{lines}{framing}\r\n\r\n").as_bytes());
    let reply = connection.head();
    (connection, reply)
}

#[test]
fn what_the_head_alone_refuses_gets_its_status_and_no_100() {
    let program = Program::start();
    for (line, lines, status) in REFUSED {
        for framing in FRAMINGS {
            for expect in ["", "Expect: 100-continue\r\n"] {
                let (mut connection, reply) = offer(&program, line, &format!("{lines}{expect}"), framing);
                let what = format!("{line} {lines}{expect}{framing}");
                assert_eq!((reply.status, reply.header("connection")), (*status, Some("close")), "{what}");
                assert_eq!(reply.header("vary"), Some("Origin"), "{what}");
                assert_eq!(reply.header("allow").is_some(), matches!(status, 204 | 405), "{what}");
                let has_body = !line.starts_with("HEAD ");
                let body = if has_body { connection.rest() } else { Vec::new() };
                assert_eq!(body.starts_with(b"{\"detail\":"), lines.starts_with("Accept"), "{what}");
                connection.half_close();
                assert!(connection.is_closed(), "{what}");
            }
        }
    }
    assert!(program.listed("").is_empty());
}

#[test]
fn a_request_that_the_head_does_not_refuse_gets_100_continue() {
    let program = Program::start();
    let body = r#"{"start_event":{"message":"a"}}"#;
    for line in ["POST /workflows/echo/run", "POST http://localhost/workflows/%65cho/run"] {
        let (mut connection, reply) =
            offer(&program, line, "Expect: 100-continue\r\n", &format!("Content-Length: {}", body.len()));
        assert_eq!(reply.status, 100, "{line}");
        connection.write(body.as_bytes());
        assert_eq!(connection.head().status, 200, "{line}");
    }
    // Requests that cannot be refused by the head alone.
    let (_, reply) = offer(&program, "POST /events/nope", "Expect: 100-continue\r\n", "Content-Length: 5");
    assert_eq!(reply.status, 100);
}

#[test]
fn a_body_that_is_sent_all_the_same_does_not_cost_the_client_its_reply() {
    let program = Program::start();
    let body = vec![b'x'; 3_000_000];
    let mut connection = program.connect();
    connection.write(b"POST /nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n");
    settle(&program);
    connection.write(&body);
    assert_eq!(connection.head().status, 404);
    assert_eq!(connection.rest(), b"Not Found");
    assert!(connection.is_closed());
}

#[test]
fn a_refused_request_whose_body_has_arrived_or_that_has_none_leaves_the_connection_open() {
    let program = Program::start();
    let mut connection = program.connect();
    let refused = [
        ("GET /nope", "", 404),
        ("DELETE /health", "", 405),
        ("GET /health", "Origin: http://evil.example\r\n", 403),
        ("HEAD /nope", "", 404),
        ("HEAD /workflows/echo/run", "", 405),
        ("OPTIONS /nope", "", 404),
        ("POST /nope", "Content-Length: 2\r\n", 404),
        ("POST /workflows/nope/run", "Content-Length: 2\r\nExpect: 100-continue\r\n", 404),
        ("POST /workflows/echo/run", "Sec-Fetch-Site: cross-site\r\nContent-Length: 2\r\n", 403),
    ];
    for (line, lines, _) in refused {
        let body = if lines.contains("Length") { "{}" } else { "" };
        connection.write(format!("{line} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}").as_bytes());
    }
    for (line, _, status) in refused {
        let reply = if line.starts_with("HEAD ") { connection.head_alone() } else { connection.head() };
        assert_eq!((reply.status, reply.header("connection")), (status, None), "{line}");
        if !line.starts_with("HEAD ") {
            connection.rest();
        }
    }
    assert_eq!(connection.request("GET", "/health", &[], None).status, 200);
}

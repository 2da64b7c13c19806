//! Bodies that are wrong, from the first byte to the sixteen-millionth, and that they have no effect.

use super::*;

/// Returns bodies that are not JSON objects.
fn unparsable() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat().into_bytes();
    vec![
        ("half an object", b"{".to_vec()),
        ("more than an object", b"{}{}".to_vec()),
        ("an array", b"[]".to_vec()),
        ("a string", br#""{}""#.to_vec()),
        ("null", b"null".to_vec()),
        ("a number", b"1".to_vec()),
        ("no JSON", b"hello".to_vec()),
        ("single quotes", b"{'start_event':{}}".to_vec()),
        ("a trailing comma", b"{\"start_event\":{},}".to_vec()),
        ("NaN", br#"{"start_event":{"message":NaN}}"#.to_vec()),
        ("invalid UTF-8", b"{\"start_event\":{\"message\":\"\xff\"}}".to_vec()),
        ("half a UTF-8 sequence", b"{\"start_event\":{\"message\":\"\xe2\x98\"}}".to_vec()),
        ("an encoded surrogate", b"{\"start_event\":{\"message\":\"\xed\xa0\x80\"}}".to_vec()),
        ("UTF-16", "{}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a control character", b"{\"start_event\":{\"message\":\"\x01\"}}".to_vec()),
        ("a lone high surrogate", br#"{"start_event":{"message":"\ud800"}}"#.to_vec()),
        ("a lone low surrogate", br#"{"start_event":{"message":"\udc00 x"}}"#.to_vec()),
        ("a number out of range", br#"{"start_event":{"message":1e400}}"#.to_vec()),
        ("a negative number out of range", br#"{"start_event":{"further":[-1e400]}}"#.to_vec()),
        ("arrays in arrays", deep("[", "]")),
        ("objects in objects", [br#"{"start_event":"#.to_vec(), deep(r#"{"a":"#, "}")].concat()),
        ("arrays without end", "[".repeat(100_000).into_bytes()),
        ("deep in a member that nobody reads", [br#"{"x":"#.to_vec(), deep("[", "]"), b"}".to_vec()].concat()),
    ]
}

#[test]
fn body_that_does_not_parse_is_500_on_run_and_400_on_nowait() {
    let program = Program::start();
    for (what, body) in unparsable() {
        let reply = program.post_text("/workflows/echo/run", &body);
        assert_eq!(reply.status, 500, "{what}: {}", reply.text());
        assert!(reply.text().starts_with("Error processing request body: "), "{what}: {}", reply.text());
        assert!(reply.body.len() < 1_000, "{what}: an error says what is wrong, not everything that came");
        assert_eq!(program.post_text("/workflows/echo/run-nowait", &body).status, 400, "{what}");
    }
    assert!(program.listed("").is_empty());
    assert_eq!(run(&program, "echo", &json!({})).status, 200);
}

#[test]
fn event_body_that_does_not_parse_is_400() {
    let program = Program::start();
    let (handler, mut reader) = asked(&program);
    for (what, body) in unparsable() {
        let reply = program.post_text(&format!("/events/{handler}"), &body);
        assert_eq!(reply.status, 400, "{what}: {}", reply.text());
    }
    answer(&program, &handler);
    assert_eq!(reader.event().expect("the end")["value"], json!({"result": "received: pong"}));
}

#[test]
fn faulty_member_in_a_good_body_is_400_on_both() {
    let program = Program::start();
    for (body, names) in [
        (r#"{"start_event":5}"#, "start_event"),
        (r#"{"start_event":[]}"#, "start_event"),
        (r#"{"start_event":true}"#, "start_event"),
        (r#"{"start_event":"{"}"#, "start_event"),
        (r#"{"start_event":"[]"}"#, "start_event"),
        (r#"{"start_event":{"type":"Nope","value":{}}}"#, "Nope"),
        (r#"{"start_event":{"type":5,"value":{}}}"#, "type"),
        (r#"{"start_event":{"qualified_name":"conformance.Nope","value":{}}}"#, "Nope"),
        (r#"{"start_event":{"type":"StopEvent","value":{}}}"#, "StopEvent"),
        (r#"{"kwargs":5}"#, "kwargs"),
        (r#"{"handler_id":5}"#, "handler_id"),
        (r#"{"handler_id":"a b","context":{"version":1}}"#, "handler_id"),
    ] {
        for path in ["/workflows/echo/run", "/workflows/echo/run-nowait"] {
            refused_naming(&program.post_text(path, body), 400, &[names]);
        }
    }
    assert!(program.listed("").is_empty());
}

#[test]
fn event_nests_a_hundred_deep_and_no_deeper() {
    let program = Program::start();
    let nested = |depth: usize| {
        let deep = ["[".repeat(depth - 1), "]".repeat(depth - 1)].concat();
        format!(r#"{{"start_event":{{"further":{deep}}}}}"#)
    };
    assert_eq!(program.post_text("/workflows/echo/run", nested(100)).status, 200);
    let reply = program.post_text("/workflows/echo/run", nested(101));
    assert!(matches!(reply.status, 400 | 500), "{reply:?}");
    refused_naming(&reply, reply.status, &["100"]);
}

#[test]
fn body_may_have_four_mebibytes_and_not_one_more() {
    let program = Program::start();
    let bound = 4 << 20;
    let start = br#"{"start_event":{"message":""#;
    let end = br#""}}"#;
    let body = [&start[..], &vec![b'x'; bound - start.len() - end.len()], end].concat();
    assert_eq!(body.len(), bound);
    let reply = program.post_text("/workflows/echo/run", &body);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["result"].as_str().map(str::len), Some(bound - start.len() - end.len() + 11));

    let mut connection = program.connect();
    let head = format!("POST /workflows/echo/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", bound + 1);
    connection.write(head.as_bytes());
    let reply = connection.head();
    assert_eq!(reply.status, 413);
    assert_eq!(program.get("/health").status, 200);
}

#[test]
fn body_bound_is_configurable_and_counts_chunks() {
    let program = Program::with(&["--body-bytes-max", "20"]);
    assert_eq!(program.post_text("/workflows/echo/run", br#"{"a":"0123456789ab"}"#).status, 200);
    assert_eq!(program.post_text("/workflows/echo/run", br#"{"a":"0123456789abc"}"#).status, 413);
    let mut connection = program.connect();
    connection.write(b"POST /workflows/echo/run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.write(b"a\r\n{\"a\":\"0123\r\nb\r\n");
    assert_eq!(connection.head().status, 413);
}

#[test]
fn body_comes_in_any_framing() {
    let program = Program::start();
    let mut connection = program.connect();
    connection.write(b"POST /workflows/echo/run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.write(b"10;ext=1\r\n{\"start_event\":{\r\n");
    connection.write(b"10\r\n\"message\":\"hi\"}}\r\n0\r\nTrailer: x\r\n\r\n");
    assert_eq!(connection.head().status, 200);
    assert!(String::from_utf8(connection.rest()).expect("UTF-8").contains("processed: hi"));

    connection.write(b"POST /workflows/echo/run HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n");
    connection.write(b"Content-Length: 2\r\n\r\n");
    assert_eq!(connection.head().status, 100);
    connection.write(b"{}");
    assert_eq!(connection.head().status, 200);
}

#[test]
fn content_type_of_a_request_is_not_looked_at() {
    let program = Program::start();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "nonsense"] {
        let headers = [("Content-Type", content_type)];
        let body = br#"{"start_event":{"message":"hi"}}"#;
        let reply = program.connect().request("POST", "/workflows/echo/run", &headers, Some(body));
        assert_eq!(reply.json()["result"], "processed: hi", "{content_type}");
    }
}

/// Returns a body that the loop does not parse itself.
fn large(member: &str) -> Vec<u8> {
    format!(r#"{{"start_event": {{"message": "{}"}}{member}}}"#, "x".repeat(1 << 20)).into_bytes()
}

#[test]
fn a_large_body_is_judged_as_a_small_one_is() {
    let program = Program::start();
    let run = |workflow: &str, body: &[u8]| program.post_text(&format!("/workflows/{workflow}/run"), body);
    let done = run("echo", &large(""));
    assert_eq!((done.status, done.json()["result"].as_str().map(str::len)), (200, Some((1 << 20) + 11)));
    assert_eq!(run("nope", &large("")).status, 404);
    let faulty = run("echo", &large(", \"a\": 1e999"));
    assert_eq!(faulty.status, 500, "as the reference page has it");
    assert!(faulty.text().contains("number out of range"), "{}", faulty.text());
    let faulty = run("echo", &large(", \"handler_id\": \"a b\", \"context\": {\"state\": 5}"));
    assert_eq!((faulty.status, faulty.text().contains("Invalid handler_id")), (400, true), "{}", faulty.text());
    let faulty = run("echo", &large(", \"context\": {\"state\": 5}"));
    assert_eq!((faulty.status, faulty.text().contains("Invalid context")), (400, true), "{}", faulty.text());
    let faulty = run("looping", &large(""));
    assert_eq!((faulty.status, faulty.text().contains("field target: missing")), (400, true), "{}", faulty.text());

    let handler = program.begin("interactive", json!({}));
    let answer = |response: &Value| {
        let event = json!({"type": "ExternalEvent", "value": {"response": response, "more": "x".repeat(1 << 20)}});
        program.post(&format!("/events/{handler}"), &json!({"event": event}))
    };
    let faulty = answer(&json!(5));
    assert_eq!((faulty.status, faulty.text().contains("field response")), (400, true), "{}", faulty.text());
    assert_eq!(answer(&json!("pong")).status, 200);
    assert_eq!(program.get(&format!("/events/{handler}?sse=false")).status, 200);
    assert_eq!(program.get(&format!("/results/{handler}")).json()["result"], "received: pong");
    assert_eq!(answer(&json!("again")).status, 409);
}

#[test]
fn requests_behind_a_large_body_wait_for_its_reply() {
    let program = Program::start();
    let mut connection = program.connect();
    for handler in ["first", "second"] {
        let body = large(&format!(", \"handler_id\": \"{handler}\", \"context\": {{\"version\": 1}}"));
        let (half, rest) = body.split_at(body.len() / 2);
        let mut bytes = format!(
            "POST /workflows/echo/run HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            program.host(),
            half.len()
        )
        .into_bytes();
        bytes.extend([half, format!("\r\n{:x}\r\n", rest.len()).as_bytes(), rest, b"\r\n0\r\n\r\n"].concat());
        connection.write(&bytes);
        connection.send("GET", &format!("/handlers/{handler}"), &[], None);
        for what in ["the run", "what became of it"] {
            assert_eq!(connection.head().status, 200, "{what}");
            connection.rest();
        }
    }
    let mut gone = program.connect();
    gone.send("POST", "/workflows/echo/run", &[], Some(&large("")));
    drop(gone);
    assert_eq!(program.post_text("/workflows/echo/run", large("")).status, 200);
}

#[cfg(feature = "sqlite")]
#[test]
fn a_large_body_is_taken_whole_though_the_store_is_asked_for_its_handler() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = Program::with(&["--data", directory.path().to_str().expect("a path of characters")]);
    let message = "x".repeat(100_000);
    let body = json!({"handler_id": "chosen", "start_event": {"message": message}, "context": {"state": {}}});
    let reply = run(&program, "echo", &body).json();
    assert_eq!(reply["handler_id"], "chosen");
    assert_eq!(reply["result"], format!("processed: {message}"));
    assert_eq!(program.get("/results/chosen").json(), reply);
}

//! Who may call: Host, Origin, methods, paths.

use super::*;

/// Every path and its methods.
const ROUTES: &[(&str, &[&str])] = &[
    ("/health", &["GET", "HEAD", "OPTIONS"]),
    ("/workflows", &["GET", "HEAD", "OPTIONS"]),
    ("/workflows/echo/run", &["OPTIONS", "POST"]),
    ("/workflows/echo/run-nowait", &["OPTIONS", "POST"]),
    ("/workflows/echo/schema", &["GET", "HEAD", "OPTIONS"]),
    ("/workflows/echo/events", &["GET", "HEAD", "OPTIONS"]),
    ("/workflows/echo/representation", &["GET", "HEAD", "OPTIONS"]),
    ("/handlers", &["GET", "HEAD", "OPTIONS"]),
    ("/handlers/ID", &["GET", "HEAD", "OPTIONS"]),
    ("/handlers/ID/cancel", &["OPTIONS", "POST"]),
    ("/results/ID", &["GET", "HEAD", "OPTIONS"]),
    ("/events/ID", &["GET", "HEAD", "OPTIONS", "POST"]),
];

fn allowed(reply: &Response) -> Vec<String> {
    let mut methods: Vec<_> = reply.header("allow").expect("Allow").split(", ").map(str::to_owned).collect();
    methods.sort_unstable();
    methods
}

#[test]
fn every_path_tells_its_methods() {
    let program = Program::start();
    let handler = program.begin("sleepy", json!({}));
    for (path, methods) in ROUTES {
        let path = path.replace("ID", &handler);
        let options = program.connect().request("OPTIONS", &path, &[], None);
        assert!(matches!(options.status, 200 | 204), "OPTIONS {path}: {options:?}");
        assert_eq!(allowed(&options), *methods, "OPTIONS {path}");
        assert_eq!(options.text(), "");
        for method in ["PUT", "DELETE", "PATCH", "QUERY", if methods.contains(&"GET") { "TRACE" } else { "GET" }] {
            let reply = program.connect().request(method, &path, &[], None);
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(allowed(&reply), *methods, "{method} {path}");
        }
    }
    assert_eq!(program.listed(""), [handler]);
}

#[test]
fn head_is_get_without_a_body() {
    let program = Program::start();
    let handler = program.finish("echo", json!({}));
    for (path, methods) in ROUTES.iter().filter(|(path, _)| !path.starts_with("/events")) {
        if !methods.contains(&"HEAD") {
            continue;
        }
        let path = path.replace("ID", &handler);
        let get = program.get(&path);
        let mut connection = program.connect();
        let head = connection.request("HEAD", &path, &[], None);
        assert_eq!((head.status, head.text()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        if let Some(length) = get.header("content-length") {
            assert_eq!(head.header("content-length"), Some(length), "{path}");
        }
        // No part of a body stands in the way of the next reply.
        assert_eq!(connection.request("GET", "/health", &[], None).status, 200, "{path}");
    }
}

#[test]
fn other_paths_are_not_found() {
    let program = Program::start();
    for path in [
        "/",
        "/health/",
        "/workflows/",
        "/workflows/echo",
        "/workflows/echo/run/",
        "/workflows//run",
        "/handlers/",
        "/events",
        "/events/",
        "/results/",
        "/nope",
        "//health",
        "/HEALTH",
    ] {
        assert_eq!(program.get(path).status, 404, "{path}");
        assert_eq!(program.post_text(path, "{}").status, 404, "{path}");
    }
}

#[test]
fn paths_are_percent_decoded_once() {
    let program = Program::start();
    assert_eq!(program.get("/workflows/%65cho/schema").status, 200);
    refused(&program.get("/workflows/%2565cho/schema"), 404, "Workflow not found");
    assert!(matches!(program.get("/workflows/%ff/schema").status, 400 | 404));
    assert!(matches!(program.get("/workflows/%zz/schema").status, 400 | 404));
}

#[test]
fn errors_are_json_if_accept_names_it() {
    let program = Program::start();
    for (accept, json) in [
        ("application/json", true),
        ("text/html, application/json;q=0.9", true),
        ("Application/JSON", true),
        ("*/*", false),
        ("application/*", false),
        ("text/plain", false),
    ] {
        let reply = program.connect().request("GET", "/results/nope", &[("Accept", accept)], None);
        assert_eq!(reply.status, 404);
        if json {
            assert_eq!(reply.text(), r#"{"detail":"Handler not found"}"#, "{accept}");
            assert_eq!(reply.header("content-type"), Some("application/json"), "{accept}");
        } else {
            refused(&reply, 404, "Handler not found");
        }
    }
}

#[test]
fn host_on_loopback_must_name_loopback() {
    let program = Program::with(&["--allow-host", "steprill.example"]);
    for (host, status) in [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1", 200),
        ("127.1.2.3:80", 200),
        ("[::1]:80", 200),
        ("localhost.", 200),
        ("app.localhost:80", 200),
        ("", 200),
        ("steprill.example", 200),
        ("Steprill.Example:8080", 200),
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1", 403),
        ("xsteprill.example", 403),
    ] {
        let reply = program.connect().request("GET", "/health", &[("Host", host)], None);
        assert_eq!(reply.status, status, "{host}");
    }
}

#[test]
fn http_1_0_may_omit_host() {
    let program = Program::start();
    let mut connection = program.connect();
    connection.write(b"GET /health HTTP/1.0\r\n\r\n");
    let reply = connection.head();
    assert_eq!(reply.status, 200);
    assert_eq!(connection.rest(), br#"{"status":"healthy"}"#);
}

#[test]
fn foreign_origins_are_refused_before_anything_else() {
    let program = Program::start();
    for origin in ["http://evil.example", "null", "http://app.example:81", "https://app.example", "garbage"] {
        for (method, path) in
            [("GET", "/health"), ("POST", "/workflows/echo/run"), ("OPTIONS", "/health"), ("GET", "/")]
        {
            let reply = program.connect().request(method, path, &[("Origin", origin)], Some(b""));
            assert_eq!(reply.status, 403, "{origin} {method} {path}");
            assert_eq!(reply.header("access-control-allow-origin"), None, "{origin}");
            assert_eq!(reply.header("access-control-expose-headers"), None, "{origin}");
            assert_eq!(reply.header("vary"), Some("Origin"), "{origin}");
        }
    }
    assert!(program.listed("").is_empty());
}

#[test]
fn allowed_origins_are_echoed_on_every_reply() {
    let program = Program::start();
    let handler = program.begin("sleepy", json!({}));
    let own = format!("http://{}", program.host());
    for origin in ["http://app.example", &own, "http://localhost:3000", "http://127.0.0.1:5173", "http://[::1]:80"] {
        let events = format!("/events/{handler}");
        let gone = "/results/nope".to_owned();
        for (path, status) in [("/health".to_owned(), 200), (gone, 404), ("/nope".to_owned(), 404), (events, 200)] {
            let mut connection = program.connect();
            connection.send("GET", &path, &[("Origin", origin)], None);
            let reply = connection.head();
            assert_eq!(reply.status, status, "{origin} {path}");
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "{path}");
            assert_eq!(reply.header("access-control-allow-credentials"), Some("true"), "{path}");
            let exposed = "Allow, Location, Retry-After, X-First-Sequence, X-Steprill-Damaged";
            assert_eq!(reply.header("access-control-expose-headers"), Some(exposed), "{path}");
            assert_eq!(reply.header("vary"), Some("Origin"), "{path}");
            drop(connection);
            settle(&program);
        }
    }
}

#[test]
fn faults_of_a_body_are_reported_like_other_errors() {
    let program = Program::with(&["--body-bytes-max", "10"]);
    let own = "http://localhost:3000";
    for (framing, body, status) in [
        ("Content-Length: 11", "", 413),
        ("Transfer-Encoding: chunked", "b\r\n", 413),
        ("Transfer-Encoding: chunked", "z\r\n", 400),
    ] {
        for (origin, status) in [(own, status), ("http://evil.example", 403)] {
            let mut connection = program.connect();
            let head = "POST /workflows/echo/run HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n";
            connection.write(format!("{head}Origin: {origin}\r\n{framing}\r\n\r\n{body}").as_bytes());
            let reply = connection.head();
            assert_eq!((reply.status, reply.header("connection")), (status, Some("close")), "{framing} {body}");
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.header("vary"), Some("Origin"));
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin).filter(|_| status != 403));
        }
    }
    assert!(program.listed("").is_empty());
}

#[test]
fn any_origin_is_echoed_never_starred() {
    let program = Program::with_only(&["--listen", "127.0.0.1:0", "--cors-origin", "*"]);
    let reply = program.connect().request("GET", "/health", &[("Origin", "http://any.example")], None);
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://any.example"));
}

#[test]
fn what_another_sites_page_has_sent_is_refused() {
    let program = Program::start();
    for (site, origin, status) in [
        ("cross-site", None, 403),
        ("cross-site", Some("http://evil.example"), 403),
        ("cross-site", Some("http://app.example"), 200),
        ("same-site", None, 200),
        ("same-origin", None, 200),
        ("none", None, 200),
    ] {
        let mut headers = vec![("Sec-Fetch-Site", site)];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let reply = program.connect().request("GET", "/health", &headers, None);
        assert_eq!(reply.status, status, "{site} {origin:?}");
    }
}

#[test]
fn preflight_is_answered_for_every_path() {
    let program = Program::start();
    for (path, methods) in [
        ("/nope", "GET, HEAD, POST, OPTIONS"),
        ("/workflows/echo/run", "POST, OPTIONS"),
        ("/", "GET, HEAD, POST, OPTIONS"),
    ] {
        let headers = [
            ("Origin", "http://app.example"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type"),
        ];
        let reply = program.connect().request("OPTIONS", path, &headers, None);
        assert_eq!((reply.status, reply.text()), (200, ""), "{path}");
        assert_eq!(reply.header("access-control-allow-methods"), Some(methods), "{path}");
        assert_eq!(reply.header("access-control-allow-headers"), Some("content-type"), "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("http://app.example"), "{path}");
        assert_eq!(
            program.connect().request("OPTIONS", path, &[], None).status,
            if path.len() > 8 { 204 } else { 404 }
        );
    }
}

#[test]
fn vary_and_date_stand_on_every_reply() {
    let program = Program::start();
    for path in ["/health", "/nope", "/handlers", "/results/nope", "/workflows/echo/schema"] {
        let reply = program.get(path);
        assert_eq!(reply.header("vary"), Some("Origin"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert!(reply.header("date").is_some_and(|date| date.ends_with(" GMT")), "{path}");
    }
}

#[test]
fn one_connection_serves_many_requests_in_order() {
    let program = Program::start();
    let mut connection = program.connect();
    for _ in 0..3 {
        assert_eq!(connection.request("GET", "/health", &[], None).status, 200);
    }
    connection.send("POST", "/workflows/echo/run", &[], Some(br#"{"start_event":{"message":"a"}}"#));
    connection.send("GET", "/health", &[], None);
    connection.send("POST", "/workflows/echo/run", &[], Some(br#"{"start_event":{"message":"b"}}"#));
    for expected in ["processed: a", "healthy", "processed: b"] {
        connection.head();
        let body = String::from_utf8(connection.rest()).expect("UTF-8");
        assert!(body.contains(expected), "{body}");
    }
}

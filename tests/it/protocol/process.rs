//! The program as a process: flags, exit codes, signals, the unix socket.

use std::path::Path;

use super::*;

#[test]
fn exit_code_tells_good_from_usage_and_failure() {
    // A program without a store cannot use a directory.
    let unusable_directory = if cfg!(feature = "sqlite") { (1, "/proc/nowhere") } else { (2, "without feature") };
    for (flags, code, says) in [
        (&["--help"][..], 0, "--listen"),
        (&["--version"], 0, env!("CARGO_PKG_VERSION")),
        (&["--nope"], 2, "--nope"),
        (&["--workers", "0"], 2, "--workers"),
        (&["--listen", "nowhere"], 2, "nowhere"),
        (&["--data", "/proc/nowhere"], unusable_directory.0, unusable_directory.1),
        (&["--token-file", "/tmp/t"], 2, "--token-file"),
        (&["--listen", "0.0.0.0:0"], 2, "--allow-anonymous"),
    ] {
        let output = Program::output(flags);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {text}");
        assert!(text.contains(says), "{flags:?}: {text}");
        if code == 2 {
            assert!(text.ends_with("; see --help\n") && text.lines().count() == 1, "{flags:?}: {text}");
        }
    }
}

#[test]
fn a_usage_error_is_one_line_and_suggests_what_was_meant() {
    let output = Program::output(&["--workres", "3"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text, "conformance: unknown option --workres (did you mean --workers?); see --help\n");
    let output = Program::output(&["two\nlines"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}

#[test]
fn port_that_is_taken_ends_the_program_with_its_name() {
    let first = Program::start();
    let output = Program::output(&["--listen", first.host()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = format!("cannot listen on {}: in use; choose another with --listen\n", first.host());
    assert!(text.ends_with(&line) && text.lines().count() == 1, "{text}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn signal_ends_an_idle_program_at_once() {
    for signal in ["TERM", "INT"] {
        let program = Program::start();
        program.finish("echo", json!({}));
        let mut idle = program.connect();
        assert_eq!(idle.request("GET", "/health", &[], None).status, 200);
        let begun = Instant::now();
        program.signal(signal);
        let (status, log) = program.wait();
        assert_eq!(status.code(), Some(0), "SIG{signal}: {log}");
        assert!(begun.elapsed().as_secs() < 4, "nothing is in progress, so the grace is not waited out");
        assert!(idle.is_closed());
    }
}

#[test]
fn stopping_breaks_streams_off_and_sends_waiting_callers_away() {
    let program = Program::start();
    let (handler, mut reader) = asked(&program);
    let mut log = follow(&program, &handler, "after_sequence=now");
    let mut waiter = ask_to_follow(&program, &handler, "acquire_timeout=1e300");
    let mut caller = program.connect();
    caller.send("POST", "/workflows/sleepy/run", &[], Some(b""));
    let waited = loop {
        if let [_, waited] = &program.listed("")[..] {
            break waited.clone();
        }
    };
    let host = program.host().to_owned();
    program.signal("TERM");
    let reply = caller.head();
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    let (retry_after, location) = (reply.header("retry-after"), reply.header("location"));
    if program.has_store() {
        assert!(retry_after.is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
        assert_eq!(location, Some(&*format!("/handlers/{waited}")));
    } else {
        assert_eq!(
            (retry_after, location),
            (None, None),
            "its run ends, and a client must not repeat the request by itself"
        );
    }
    let told = waiter.head();
    assert_eq!((told.status, told.header("retry-after").is_some()), (503, program.has_store()), "as for its run");
    assert!(reader.breaks_off(), "no last chunk, so that the client comes back");
    assert!(log.breaks_off());
    let (status, text) = program.wait();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(TcpStream::connect(host).is_err());
}

#[test]
fn unix_socket_has_the_mode_that_is_asked_for_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    for (umask, flags, expected) in
        [("000", &[][..], 0o600), ("077", &["--socket-mode", "0660"], 0o660), ("177", &["--socket-mode", "777"], 0o777)]
    {
        let flags = [&["--listen", &listen], flags].concat();
        let program = shell(&format!("umask {umask}"), &flags);
        let mode = std::fs::metadata(&path).expect("the socket is there").permissions().mode();
        assert_eq!(mode & 0o7777, expected, "umask {umask}");
        assert_eq!(program.get("/health").status, 200);
    }
}

#[test]
fn a_request_that_is_incomplete_when_the_stop_begins_is_not_handled_and_delays_nothing() {
    let program = Program::with(&["--grace", "15"]);
    let body = r#"{"start_event": {}}"#;
    let head = format!(
        "POST /workflows/echo/run-nowait HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        program.host(),
        body.len()
    );
    let (mut in_head, mut in_body) = (program.connect(), program.connect());
    in_head.write(&head.as_bytes()[..20]);
    in_body.write(format!("{head}{}", &body[..5]).as_bytes());
    settle(&program);
    let begun = Instant::now();
    program.signal("TERM");
    for connection in [&mut in_head, &mut in_body] {
        let reply = connection.head();
        assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
        assert!(reply.header("retry-after").is_some(), "it was not begun, and may be sent again");
    }
    let (status, text) = program.wait();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(begun.elapsed().as_secs() < 10, "the grace is not waited out");
}

#[test]
fn unix_socket_serves_without_looking_at_host() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("steprill.sock");
    let listen = format!("unix:{}", path.display());
    let program = Program::with_only(&["--listen", &listen]);
    assert_eq!(program.listening(), listen);
    let reply = program.connect().request("GET", "/health", &[("Host", "any.example")], None);
    assert_eq!((reply.status, reply.text()), (200, r#"{"status":"healthy"}"#));
    let handler = program.finish("echo", json!({}));
    assert_eq!(program.get(&format!("/results/{handler}")).status, 200);
    program.signal("TERM");
    assert_eq!(program.wait().0.code(), Some(0));
    assert!(!Path::new(&path).exists(), "the socket is taken away");
}

#[test]
fn socket_left_by_a_killed_server_is_taken_over_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let listen = format!("unix:{}", directory.path().join("steprill.sock").display());
    let killed = Program::with_only(&["--listen", &listen]);
    killed.signal("KILL");
    killed.wait();
    let program = Program::with_only(&["--listen", &listen]);
    assert_eq!(program.get("/health").status, 200);
    assert_eq!(Program::output(&["--listen", &listen]).status.code(), Some(1));
    assert_eq!(program.get("/health").status, 200);
}

#[test]
fn program_listens_at_several_places() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("steprill.sock");
    let program = Program::with(&["--listen", &format!("unix:{}", path.display())]);
    assert_eq!(program.get("/health").status, 200);
    let socket = std::os::unix::net::UnixStream::connect(path).expect("the socket is there");
    assert_eq!(Connection::unix(socket).request("GET", "/health", &[], None).status, 200);
}

#[test]
fn many_connections_at_once_are_served() {
    let program = Program::start();
    let handler = program.begin("sleepy", json!({}));
    let begun = Instant::now();
    let mut idle: Vec<Connection> = (0..200).map(|_| program.connect()).collect();
    let mut readers: Vec<Connection> =
        (0..200).map(|_| follow(&program, &handler, "sse=false&after_sequence=now")).collect();
    assert_eq!(cancel(&program, &handler, "").status, 200);
    for reader in &mut readers {
        assert_eq!(reader.event().expect("the end")["type"], "StopEvent");
        assert_eq!(reader.event(), None);
    }
    for connection in &mut idle {
        assert_eq!(connection.request("GET", "/health", &[], None).status, 200);
    }
    assert!(begun.elapsed() < PATIENCE);
}

//! Clients that have gone do not take room from others.

use super::*;

/// The most POST run calls that may wait if there are eight connections.
const CALLERS: usize = 7;

/// Makes as many waiting calls as allowed, each after `before`. They wait when this returns.
#[track_caller]
fn call(program: &Program, before: &str, last: &mut Connection, listed: usize) -> Vec<Connection> {
    let request = "POST /workflows/interactive/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    let callers: Vec<Connection> = (0..CALLERS)
        .map(|_| {
            let mut caller = program.connect();
            caller.write(format!("{before}{request}").as_bytes());
            caller
        })
        .collect();
    let count = |reply: &Response| reply.json()["handlers"].as_array().map_or(0, Vec::len);
    let begun = Instant::now();
    while count(&last.request("GET", "/handlers?status=running", &[], None)) < listed + CALLERS {
        assert!(begun.elapsed() < PATIENCE, "the calls are not begun");
    }
    let reply = last.request("POST", "/workflows/echo/run", &[], Some(b"{}"));
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{}", reply.text());
    callers
}

/// Waits until there is room for a call. Returns how long that took.
#[track_caller]
fn await_place(last: &mut Connection, at_most: Duration) -> Duration {
    let begun = Instant::now();
    while last.request("POST", "/workflows/echo/run", &[], Some(b"{}")).status == 503 {
        assert!(begun.elapsed() < at_most, "the places are not free");
        thread::sleep(Duration::from_millis(1));
    }
    begun.elapsed()
}

#[test]
fn calls_whose_connections_are_reset_free_their_places_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = format!("unix:{}", directory.path().join("socket").display());
    for listen in ["127.0.0.1:0", &path] {
        let program = Program::with_only(&["--listen", listen, "--connections-max", "8"]);
        let mut last = program.connect();
        for round in 0..3 {
            // A client that closes over a reply that it has not read resets the connection.
            let callers = call(&program, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", &mut last, round * CALLERS);
            drop(callers);
            await_place(&mut last, PATIENCE);
        }
    }
}

/// Over TCP, a close looks like a half-close until the client's system has forgotten the connection, which takes a
/// minute on Linux.
#[test]
#[ignore = "takes more than a minute"]
fn calls_whose_clients_have_closed_free_their_places_within_90_seconds() {
    let program = Program::with(&["--connections-max", "8"]);
    let mut last = program.connect();
    drop(call(&program, "", &mut last, 0));
    let elapsed = await_place(&mut last, Duration::from_secs(90));
    println!("free after {} s", elapsed.as_secs());
}

//! What a person finds in the log.

use super::*;
use crate::support::{command, example};

/// Returns the lines of the log at this level after the program has ended normally.
#[track_caller]
fn lines(program: Program, level: &str) -> Vec<String> {
    program.signal("TERM");
    let (status, text) = program.wait();
    assert_eq!(status.code(), Some(0), "{text}");
    text.lines().filter(|line| line.contains(level)).map(str::to_owned).collect()
}

#[test]
fn a_failing_run_and_each_retried_attempt_are_logged_in_a_line_each() {
    let program = Program::start();
    let failed = program.finish("error", json!({}));
    let flaky = program.finish("flaky", json!({"failures": 5}));
    program.finish("flaky", json!({"failures": 0}));
    let run_id = |handler: &str| program.get(&format!("/handlers/{handler}")).json()["run_id"].clone();
    let (failed_run, flaky_run) = (run_id(&failed), run_id(&flaky));
    let expected = [
        format!(
            "run failed: handler={failed} run={failed_run} workflow=error step=error_step attempt=1 error=Test error"
        ),
        format!(
            "attempt failed and is tried again: handler={flaky} run={flaky_run} workflow=flaky step=attempt attempt=1 \
             error=attempt 1 failed"
        ),
        format!(
            "attempt failed and is tried again: handler={flaky} run={flaky_run} workflow=flaky step=attempt attempt=2 \
             error=attempt 2 failed"
        ),
        format!(
            "run failed: handler={flaky} run={flaky_run} workflow=flaky step=attempt attempt=3 error=attempt 3 failed"
        ),
    ];
    let expected = expected.map(|line| line.replace('"', ""));
    let warned = lines(program, " WARN ");
    let messages: Vec<&str> =
        warned.iter().filter_map(|line| line.split_once(" WARN ")).map(|(_, text)| text).collect();
    assert_eq!(messages, expected);
}

#[test]
fn a_run_that_times_out_is_logged_and_no_thread_hangs() {
    let program = Program::start();
    let handler = program.finish("timeout", json!({}));
    let warned = lines(program, " WARN ");
    let [line] = &warned[..] else { panic!("one line: {warned:#?}") };
    assert!(line.contains(&format!("run failed: handler={handler} run=")), "{line}");
    assert!(line.ends_with("error=Operation timed out after 0.2 seconds. Currently active steps: sleep"), "{line}");
}

#[test]
fn a_panic_is_logged_in_one_line_with_its_location() {
    let program = Program::spawned(command(&example("misbehaving")).args(["--log", "json"]));
    let run = program.post("/workflows/panics/run", &json!({"start_event": {"text": "two\nlines \u{1b}[31m"}}));
    assert_eq!(run.status, 500);
    let warned = lines(program, "\"WARN\"");
    let messages: Vec<String> = warned
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["message"].as_str().expect("text").to_owned())
        .collect();
    let [panicked, failed] = &messages[..] else { panic!("two lines: {messages:#?}") };
    assert!(panicked.starts_with("step panicked: handler="), "{panicked}");
    assert!(panicked.contains(" workflow=panics step=burst attempt=1 error=examples/misbehaving.rs:"), "{panicked}");
    assert!(panicked.ends_with(r": two\nlines \u{1b}[31m"), "{panicked}");
    assert!(failed.ends_with(r"error=Step burst panicked: two\nlines \u{1b}[31m"), "{failed}");
}

#[test]
fn a_pass_that_does_not_end_is_logged_and_its_thread_is_replaced() {
    let program = Program::spawned(command(&example("misbehaving")).args(["--workers", "1", "--grace", "0"]));
    let handler = program.begin("deaf", json!({}));
    follow(&program, &handler, "sse=false").event_of("Begun");
    assert_eq!(cancel(&program, &handler, "").status, 200);
    // There is one worker, so this run waits until the hanging thread is replaced.
    assert_eq!(run(&program, "panics", &json!({})).status, 500);
    let warned = lines(program, " WARN ");
    let abandoned: Vec<&String> = warned.iter().filter(|line| line.contains("pass abandoned: ")).collect();
    let [line] = &abandoned[..] else { panic!("one line: {warned:#?}") };
    assert!(line.contains(&format!("handler={handler} run=")), "{line}");
    assert!(line.contains("workflow=deaf step=hang attempt=1 error=it was told to stop"), "{line}");
}

#[test]
fn a_step_that_ends_at_its_time_out_costs_no_thread_and_is_not_called_hanging() {
    let program = Program::spawned(command(&example("misbehaving")).args(["--workers", "1"]));
    for _ in 0..3 {
        let reply = run(&program, "late", &json!({}));
        refused(&reply, 500, "Error running workflow: Step linger timed out after 0.02 seconds");
        assert_eq!(program.get("/health").text(), r#"{"status":"healthy"}"#);
    }
    // The one worker is there.
    assert_eq!(run(&program, "panics", &json!({})).status, 500);
    let warned = warnings(program);
    let failed = warned.iter().filter(|line| line.starts_with("run failed: ")).count();
    assert_eq!((failed, warned.len()), (4, 5), "those and the panic: {warned:#?}");
}

#[test]
fn a_misspelt_variable_is_named_once() {
    let program =
        Program::spawned(command(Program::path()).env("STEPRILL_WORKRES", "3").env("STEPRILL_SERVER", "http://x"));
    assert_eq!(program.get("/health").status, 200);
    let warned = lines(program, " WARN ");
    let [line] = &warned[..] else { panic!("one line: {warned:#?}") };
    assert!(line.ends_with("STEPRILL_WORKRES is not a setting; did you mean STEPRILL_WORKERS?"), "{line}");
}

/// Returns the warnings in the log, without their times.
#[track_caller]
fn warnings(program: Program) -> Vec<String> {
    let message = |line: &String| line.split_once(" WARN ").expect("a warning").1.to_owned();
    lines(program, " WARN ").iter().map(message).collect()
}

#[test]
fn a_misspelt_member_is_named_once() {
    let program = Program::start();
    for _ in 0..2 {
        for body in [
            r#"{"start_evnt":{"message":"a"},"Kwargs":{}}"#,
            r#"{"start_event":{},"message":"no member is near"}"#,
            r#"{"contex\nt":{}}"#,
        ] {
            program.post_text("/workflows/echo/run-nowait", body);
        }
        program.post_text("/events/nope", r#"{"evnet":{}}"#);
    }
    let handler = program.begin("interactive", json!({}));
    program.post_text(&format!("/events/{handler}"), r#"{"evnet":{}}"#);
    let expected = [("start_evnt", "start_event"), ("Kwargs", "kwargs"), (r"contex\nt", "context"), ("evnet", "event")];
    let expected = expected
        .map(|(name, meant)| format!("a request has the member `{name}`, which is ignored: did you mean `{meant}`?"));
    assert_eq!(warnings(program), expected);
}

#[test]
fn a_misspelt_query_parameter_is_named_once() {
    let program = Program::start();
    let handler = program.finish("echo", json!({}));
    for _ in 0..2 {
        for path in [
            format!("/events/{handler}?after_sequnce=3&sse=false&acquire_timeout=0"),
            format!("/events/{handler}?include-internal=true&include_qualified_name=false&after_sequence=-1"),
            "/handlers?limt=1&stat%75s%0a=failed&status=completed&workflow_name=echo&cursor=7&&=".to_owned(),
            "/health?statsu=1".to_owned(),
        ] {
            assert!(matches!(program.get(&path).status, 200 | 204), "{path}");
        }
        assert_eq!(cancel(&program, &handler, "?prge=true").status, 404);
    }
    let expected = [
        ("after_sequnce", "after_sequence"),
        ("include-internal", "include_internal"),
        ("limt", "limit"),
        (r"status\n", "status"),
        ("prge", "purge"),
    ];
    let expected = expected.map(|(name, meant)| {
        format!("a request has the query parameter `{name}`, which is ignored: did you mean `{meant}`?")
    });
    assert_eq!(warnings(program), expected);
}

#[test]
fn a_refused_origin_or_host_is_named_once_with_what_allows_it() {
    let program = Program::start();
    for _ in 0..2 {
        for headers in [
            [("Host", "localhost"), ("Origin", "http://evil.example:81")],
            [("Host", "localhost"), ("Origin", "null")],
            [("Host", "localhost"), ("Origin", "--no \u{85}origin")],
            [("Host", "Evil.example:1"), ("Origin", "http://app.example")],
            [("Host", "evil.example:2"), ("Origin", "http://app.example")],
            [("Host", "[2001:db8::1]"), ("Origin", "http://app.example")],
            [("Host", "localhost"), ("Sec-Fetch-Site", "cross-site")],
            [("Host", "localhost"), ("Origin", "http://app.example")],
        ] {
            program.connect().request("GET", "/health", &headers, None);
        }
    }
    let origin = "; to let its pages call, start with --cors-origin";
    let host = "; to serve that name, start with --allow-host";
    let expected = [
        format!("refused: a page of Origin 'http://evil.example:81' calls{origin} http://evil.example:81"),
        format!("refused: a page of Origin 'null' calls{origin} null"),
        format!(r"refused: a page of Origin '--no \xc2\x85origin' calls{origin} ORIGIN"),
        format!("refused: a request for Host 'evil.example'{host} evil.example"),
        format!("refused: a request for Host '[2001:db8::1]'{host} [2001:db8::1]"),
        "refused: a page of another site has a browser call without an Origin (Sec-Fetch-Site: cross-site); one that \
         --cors-origin allows calls with CORS"
            .to_owned(),
    ];
    assert_eq!(warnings(program), expected);
}

#[test]
fn values_that_the_log_names_are_bounded() {
    let program = Program::start();
    let mut connection = program.connect();
    for number in 0..100 {
        let origin = format!("http://{number}.example");
        assert_eq!(connection.request("GET", "/health", &[("Origin", &origin)], None).status, 403);
    }
    assert_eq!(warnings(program).len(), 64);
}

#[test]
fn every_line_has_the_time_at_which_it_was_written() {
    let now = || {
        let now = ::time::OffsetDateTime::now_utc();
        let (hour, minute, second) = now.to_hms();
        format!("{}T{hour:02}:{minute:02}:{second:02}", now.date())
    };
    for format in ["text", "json"] {
        // Before the first turn of the loop there is a line about descriptors, and one about memory.
        let flags = ["--listen", "127.0.0.1:0", "--connections-max", "200", "--log", format];
        let begun = now();
        let program = shell("ulimit -n 100", &flags);
        program.signal("TERM");
        let (_, log) = program.wait();
        assert!(log.contains("--connections-max 200 is more than the 100 file descriptors"), "{log}");
        for line in log.lines() {
            let stamp = line.trim_start_matches(r#"{"time":""#);
            let at = &stamp[..begun.len()];
            assert!(*at >= *begun && *at <= *now(), "{line}");
        }
    }
}

//! What each command prints, and its exit code.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{begin, check, refuses, run, steprill};
use crate::support::Program;

#[test]
fn run_prints_events_as_lines_and_the_result() {
    let program = Program::start();
    check(&program, &["run", "echo", "message=hi"], 0, "processed: hi\n");
    let lines = "   1 StreamEvent message=event_0 sequence=0\n   2 StreamEvent message=event_1 sequence=1\n";
    check(&program, &["run", "streaming", "count=2"], 0, &format!("{lines}completed_2_events\n"));
    check(&program, &["run", "streaming", "count=2", "--quiet"], 0, "completed_2_events\n");
    check(&program, &["run", "fan_out", "items=[1,2]", "--quiet"], 0, "[1,4]\n");
    check(&program, &["run", "structured", "message=7", "--quiet"], 0, "7\n");
    check(&program, &["run", "echo", "message:={\"a\":[1]}"], 1, "");
    let output = run(&program, &["run", "branching", "kind=left", "--ndjson"]);
    let event: Value = serde_json::from_slice(&output.stdout).expect("one event");
    assert_eq!((&event["value"], &event["type"]), (&json!({"result": "left"}), &json!("StopEvent")));
    assert!(event["sequence"].is_u64(), "{event}");
}

#[test]
fn the_exit_code_says_how_a_run_has_ended() {
    let program = Program::start();
    refuses(&program, &["run", "error"], 1, "the run has failed: Test error");
    refuses(&program, &["run", "timeout"], 4, "Operation timed out after 0.2 seconds");
    refuses(&program, &["run", "nope"], 1, "Workflow not found; `steprill workflows` lists");
    refuses(&program, &["run", "structured"], 2, "field message: missing");
    refuses(&program, &["run", "fan_out", "items=x"], 2, "items: expected a JSON array, got 'x'");
    let id = begin(&program, &["sleepy"]);
    refuses(&program, &["result", &id], 1, "has not ended");
    check(&program, &["cancel", &id], 0, "cancelled\n");
    refuses(&program, &["result", &id], 3, "was cancelled");
    refuses(&program, &["cancel", &id], 1, "it has already been cancelled");
    check(&program, &["cancel", &id, "--purge"], 0, "deleted\n");
    refuses(&program, &["result", &id], 1, "Handler not found");
}

#[test]
fn the_start_event_may_come_from_a_file_or_stdin() {
    let program = Program::start();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("start.json");
    std::fs::write(&file, r#"{"message": "from a file"}"#).expect("a file");
    let file = file.to_str().expect("UTF-8");
    check(&program, &["run", "structured", "--json", file], 0, "from a file\n");
    check(&program, &["run", "structured", "message=above", "--json", file], 0, "above\n");
    refuses(&program, &["run", "structured", "--json", "/nowhere"], 2, "--json /nowhere");

    let mut piped = steprill(&program, &["run", "structured", "--json", "-"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(br#"{"message": "piped"}"#).expect("it reads");
    assert_eq!(child.wait_with_output().expect("it ends").stdout, b"piped\n");
}

#[test]
fn a_question_is_answered_with_its_fields() {
    let program = Program::start();
    let id = begin(&program, &["approval", "subject=cat"]);
    check(&program, &["answer", &id, "approved=true", "by=7"], 0, "sent\n");
    let events = "   2 ApprovalRequested subject=cat\n   5 ApprovalResult subject=cat approved=true by=\"7\"\n";
    check(&program, &["events", &id, "--follow"], 0, events);
    check(&program, &["events", &id, "--from", "3"], 0, events.split_inclusive('\n').nth(1).expect("two lines"));
    check(&program, &["result", &id], 0, "{\"subject\":\"cat\",\"approved\":true,\"by\":\"7\"}\n");
    refuses(&program, &["answer", &id, "approved=true"], 1, "it has ended (completed)");

    let id = begin(&program, &["interactive"]);
    check(&program, &["answer", &id, "response=pong"], 0, "sent\n");
    check(&program, &["events", &id, "--follow", "--from", "5"], 0, "   5 StopEvent result=\"received: pong\"\n");

    let id = begin(&program, &["interactive"]);
    refuses(&program, &["answer", &id], 2, "stdin is no terminal");
    refuses(&program, &["send", &id, "Nope"], 1, "Unknown event type: Nope");
    check(&program, &["send", &id, "ExternalEvent", "response=ping", "--json"], 0, "{\"status\":\"sent\"}\n");
}

#[test]
fn handlers_and_workflows_are_listed() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = format!("unix:{}", directory.path().join("socket").display());
    let program = Program::with_only(&["--listen", &socket]);
    let done = begin(&program, &["echo"]);
    run(&program, &["events", &done, "--follow"]);
    let asleep = begin(&program, &["sleepy"]);
    let list = String::from_utf8(run(&program, &["list"]).stdout).expect("UTF-8");
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    let expected = [["HANDLER", "WORKFLOW", "STATUS"], [&done, "echo", "completed"], [&asleep, "sleepy", "running"]];
    assert_eq!(rows, expected);
    for filter in [["--status", "running"], ["--workflow", "sleepy"]] {
        let output = run(&program, &["list", "--json", filter[0], filter[1]]);
        let handler: Value = serde_json::from_slice(&output.stdout).expect("one handler");
        assert_eq!(handler["handler_id"], asleep.as_str());
    }
    let workflows = String::from_utf8(run(&program, &["workflows"]).stdout).expect("UTF-8");
    assert_eq!(workflows.lines().next(), Some("echo"));
    let fields = "start: LoopStart\n  target (integer), required\nstop: StopEvent\n  no declared fields\n";
    check(&program, &["schema", "looping"], 0, fields);
    let schema: Value = serde_json::from_slice(&run(&program, &["schema", "looping", "--json"]).stdout).expect("JSON");
    assert_eq!(schema["start"]["title"], "LoopStart");
}

#[test]
fn a_usage_error_or_a_failure_is_reported_in_one_line() {
    let program = Program::start();
    refuses(&program, &["run"], 2, "run needs NAME");
    refuses(&program, &["list", "--status", "done"], 2, "expected one of running");
    refuses(&program, &["list", "--nope"], 2, "list has no option --nope");
    refuses(&program, &["events", "x", "--from", "-1"], 2, "from 0, got '-1'");
    refuses(&program, &["events", "nope"], 1, "Handler not found");
    refuses(&program, &["list", "--server", "https://localhost"], 2, "without TLS");
    refuses(&program, &["list", "--server", "unix:/nowhere/s"], 1, "cannot reach a server at unix:/nowhere/s");
    let help = run(&program, &["run", "--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).starts_with("Usage: steprill run NAME"), "{help:?}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let program = Program::start();
    let command: Command = steprill(&program, &["run", "streaming", "count=1000", "delay_ms=0"]);
    let mut child = { command }.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(1), ""));
}

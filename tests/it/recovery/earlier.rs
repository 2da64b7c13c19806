//! A data directory written by an earlier version of the program.
//!
//! `fixtures/version_5` is from a program that counted the keys of handlers. It was killed once in between, and stopped
//! in the end; `facts.json` is what it then told over HTTP.

use std::fs;

use serde_json::{Value, json};

use super::{DataDir, cancel, ended, feed, follow, handler, kill, post};
use crate::support::Program;

/// The replies of the earlier program about its handlers.
struct Facts(Value);

impl Facts {
    fn handlers(&self) -> &[Value] {
        self.0["handlers"].as_array().expect("a list")
    }

    fn ids(&self) -> Vec<&str> {
        self.handlers().iter().map(|fact| fact["handler"]["handler_id"].as_str().expect("an id")).collect()
    }

    /// Returns an id that the program made, by the workflow.
    fn made(&self, what: &str) -> &str {
        self.0["made"][what].as_str().expect("an id")
    }
}

fn unpack() -> (DataDir, Facts) {
    let data = DataDir::new();
    let fixture = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/version_5"));
    fs::copy(fixture.join("steprill.db"), data.directory.path().join("steprill.db")).expect("the fixture is there");
    let facts = fs::read_to_string(fixture.join("facts.json")).expect("the fixture is there");
    (data, Facts(serde_json::from_str(&facts).expect("JSON")))
}

/// Checks that everything that the earlier program said still holds, except for the runs that `changed` names.
#[track_caller]
fn check(program: &Program, facts: &Facts, changed: &[&str]) {
    assert_eq!(program.listed("")[..facts.ids().len()], facts.ids());
    for fact in facts.handlers() {
        let expected = &fact["handler"];
        let id = expected["handler_id"].as_str().expect("an id");
        if changed.contains(&id) {
            continue;
        }
        let events = fact["feed"].as_array().expect("a feed");
        let listed = program.get("/handlers").json();
        assert!(listed["handlers"].as_array().expect("a list").contains(expected), "{id}: {listed}");
        let results = program.get(&format!("/results/{id}"));
        assert_eq!(json!([results.status, results.text()]), fact["results"], "{id}");
        if expected["status"] == "running" {
            let mut reader = follow(program, id);
            for event in events {
                assert_eq!(reader.event().as_ref(), Some(event), "{id}");
            }
        } else {
            assert_eq!(feed(program, id), *events, "{id}");
        }
    }
}

/// Returns the result of a run after its end.
#[track_caller]
fn result(program: &Program, id: &str) -> Value {
    ended(program, id);
    program.get(&format!("/results/{id}")).json()["result"].clone()
}

#[test]
fn everything_reported_by_an_earlier_version_still_holds() {
    let (data, facts) = unpack();
    for _ in 0..2 {
        let program = data.start();
        check(&program, &facts, &[]);
        for gone in [facts.made("purged"), "gone.by"] {
            assert_eq!(program.get(&format!("/handlers/{gone}")).status, 404, "{gone}");
            // A client that has it as the last id of a page continues after it.
            let index = facts.ids().iter().position(|id| *id == facts.made("error")).expect("it follows");
            assert_eq!(program.listed(&format!("?after={gone}")), facts.ids()[index..], "{gone}");
        }
        kill(program);
    }
}

#[test]
fn runs_begun_by_an_earlier_version_continue() {
    let (data, facts) = unpack();
    let program = data.start();
    let interactive = facts.made("interactive");
    for id in [interactive, "order00007"] {
        post(&program, id, "ExternalEvent", &json!({ "response": "pong" }));
        assert_eq!(result(&program, id), "received: pong");
    }
    // Of this queue the question was read before.
    let queue = program.get("/events/order00007?sse=false&include_internal=false");
    assert_eq!(queue.text().lines().count(), 1, "{queue:?}");
    assert!(queue.text().contains("StopEvent"), "{queue:?}");
    post(&program, "the.lamp", "ApprovalGiven", &json!({ "approved": true, "by": "me" }));
    assert_eq!(result(&program, "the.lamp"), json!({ "subject": "a lamp", "approved": true, "by": "me" }));
    let go_on = |id: &str, increment: u64| {
        let body = json!({ "handler_id": id, "start_event": { "increment": increment } });
        program.post("/workflows/cumulative/run", &body).json()["result"].clone()
    };
    assert_eq!(go_on("tally", 5), "count: 22, runs: 3");
    assert_eq!(go_on(facts.made("large"), 5), "count: 8, runs: 3");
    assert_eq!(handler(&program, facts.made("sleepy"))["status"], "running");
    assert_eq!(cancel(&program, facts.made("sleepy"), "").status, 200);
    let taken = json!({ "handler_id": "order.7", "context": { "version": 1 }, "start_event": {} });
    assert_eq!(program.post("/workflows/interactive/run", &taken).status, 409, "it is of another workflow");
    let new = [program.begin("echo", json!({})), "order.8".to_owned(), "Order00008".to_owned()];
    for id in &new[1..] {
        let body = json!({ "handler_id": id, "context": { "version": 1 }, "start_event": {} });
        assert_eq!(program.post("/workflows/echo/run", &body).status, 200);
    }
    let changed =
        [interactive, "order00007", "the.lamp", "tally", facts.made("large"), facts.made("sleepy"), "order.7"];
    check(&program, &facts, &changed);
    assert_eq!(program.listed("")[facts.ids().len()..], new);
    kill(program);
    let program = data.start();
    check(&program, &facts, &changed);
    assert_eq!(program.listed("")[facts.ids().len()..], new);
    assert_eq!(handler(&program, "the.lamp")["status"], "completed");
}

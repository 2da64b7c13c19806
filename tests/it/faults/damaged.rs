//! A handler whose stored rows are damaged affects no other handler.

use std::process::Command;

use super::*;
use crate::store::isolation::damage;

/// Starts a run on this connection and waits for its end.
fn run(connection: &mut crate::support::Connection, workflow: &str, start_event: &Value) -> Response {
    let body = json!({ "start_event": start_event }).to_string();
    let path = format!("/workflows/{workflow}/run");
    connection.request("POST", &path, &[("Content-Type", "application/json")], Some(body.as_bytes()))
}

pub(super) fn health(program: &Program) -> Value {
    let reply = program.get("/health");
    assert_eq!(reply.status, 200, "it serves all the same");
    reply.json()
}

/// Stops it in an orderly way. Returns its log.
pub(super) fn stop(program: Program) -> String {
    program.signal("TERM");
    let (status, log) = program.wait();
    assert!(status.success(), "{log}");
    log
}

fn inspect(directory: &Path, id: &str) -> String {
    let output = Command::new(Program::path()).args(["inspect", text(directory)]).output().expect("it starts");
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    list.lines().find(|line| line.starts_with(id)).unwrap_or_default().to_owned()
}

#[test]
fn a_finished_handler_that_cannot_be_removed_affects_no_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = start(directory.path(), &[]);
    let finished = |mark: &str| program.finish("echo", json!({ "message": mark.repeat(2_000) }));
    let ids = ["damaged-", "before--", "behind--"].map(finished);
    assert_eq!(health(&program), json!({ "status": "healthy" }));
    stop(program);
    damage(directory.path(), "damaged-");

    for runs in [199, 30] {
        let program = start(directory.path(), &["--keep-finished", "4"]);
        let mut connection = program.connect();
        for index in 0..runs {
            let reply = run(&mut connection, "echo", &json!({ "message": "sound" }));
            assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("completed")), "run {index}");
        }
        let degraded = health(&program);
        assert_eq!(degraded["status"], "degraded");
        assert!(degraded["reasons"][0].as_str().is_some_and(|reason| reason.contains("1 handler")), "{degraded}");
        // Its own requests are answered with the reason.
        for path in ["/handlers/", "/results/", "/events/"] {
            let reply = program.get(&format!("{path}{}", ids[0]));
            assert!(reply.status == 500 && reply.text().contains("damaged"), "{path}: {reply:?}");
        }
        let purged = program.post(&format!("/handlers/{}/cancel?purge=true", ids[0]), &json!({}));
        assert!(purged.status == 500 && purged.text().contains("damaged"), "{purged:?}");
        let list = program.get("/handlers");
        assert_eq!((list.status, list.header("X-Steprill-Damaged")), (200, Some("1")));
        let listed = list.json()["handlers"].as_array().expect("a list").len();
        assert!((4..40).contains(&listed), "{listed}");
        assert!(!list.text().contains(&ids[0]));
        let log = stop(program);
        let said = log.lines().filter(|line| line.contains(&*ids[0])).count();
        assert_eq!(said + log.matches("are set aside").count(), 1, "{log}");
        assert!(!log.contains(" ERROR "), "{log}");
    }
    let line = inspect(directory.path(), &ids[0]);
    assert!(line.contains("damaged"), "{line}");
}

#[test]
fn a_live_run_whose_rows_are_damaged_fails_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = start(directory.path(), &[]);
    let waiting = |mark: &str| program.begin("interactive", json!({ "x": mark.repeat(2_000) }));
    let [first, damaged, last] = ["first---", "damaged-", "last----"].map(waiting);
    for id in [&first, &damaged, &last] {
        let mut reader = program.connect();
        reader.send("GET", &format!("/events/{id}?sse=false&after_sequence=-1"), &[], None);
        assert_eq!(reader.head().status, 200);
        reader.event().expect("it asks");
    }
    stop(program);
    damage(directory.path(), "damaged-");

    for is_again in [false, true] {
        let program = start(directory.path(), &[]);
        // The server first tries to commit its end.
        let mut handlers = std::iter::repeat_with(|| program.get(&format!("/handlers/{damaged}")).json());
        let handler = handlers.find(|handler| handler["status"] != "running").expect("it fails");
        assert_eq!(handler["status"], "failed", "again: {is_again}, {handler}");
        assert!(handler["error"].as_str().is_some_and(|error| error.contains("stored rows are damaged")), "{handler}");
        assert_eq!(program.get(&format!("/results/{damaged}")).status, 500);
        let answer = json!({ "event": { "type": "ExternalEvent", "value": { "response": "hi" } } });
        assert_eq!(program.post(&format!("/events/{damaged}"), &answer).status, 409);
        assert_eq!(health(&program)["status"], "degraded");
        assert!(program.listed("").contains(&first) && program.listed("?status=failed").contains(&damaged));
        let id = if is_again { &last } else { &first };
        assert_eq!(program.post(&format!("/events/{id}"), &answer).status, 200);
        let feed = program.get(&format!("/events/{id}?sse=false&after_sequence=-1"));
        assert_eq!(feed.status, 200);
        assert_eq!(program.get(&format!("/handlers/{id}")).json()["status"], "completed");
        assert_eq!(run(&mut program.connect(), "echo", &json!({})).status, 200);
        let log = stop(program);
        assert!(!log.contains("panicked"), "{log}");
    }
}

//! Runs that only wait leave memory, and are loaded for what arrives for them.

use super::*;

const SOON: &[&str] = &["--idle-after", "100ms"];

/// Returns when the waiting runs have left memory, as measured by another run that sleeps.
#[track_caller]
fn let_them_park(program: &Program) {
    let id = program.begin("sleepy", json!({ "delay_ms": 1_000 }));
    assert_eq!(ended(program, &id)["status"], "completed");
}

#[test]
fn a_parked_run_comes_back_at_its_event_its_timer_and_its_cancel() {
    let data = DataDir::new();
    let program = data.start_with(SOON);
    let interactive = program.begin("interactive", json!({}));
    let approval = program.begin("approval", json!({ "subject": "a lamp" }));
    let sleepy = program.begin("sleepy", json!({ "delay_ms": 1_800 }));
    let cancelled = program.begin("sleepy", json!({}));
    let purged = program.begin("interactive", json!({}));
    let before = program.listed("");
    let_them_park(&program);
    assert_eq!(program.listed("")[..5], before);
    post(&program, &interactive, "ExternalEvent", &json!({ "response": "pong" }));
    post(&program, &approval, "ApprovalGiven", &json!({ "approved": true, "by": "you" }));
    assert_eq!(cancel(&program, &cancelled, "").status, 200);
    assert_eq!(cancel(&program, &purged, "?purge=true").status, 200);
    assert_eq!(ended(&program, &interactive)["result"]["value"]["result"], "received: pong");
    assert_eq!(ended(&program, &approval)["result"]["value"]["by"], "you");
    assert_eq!(ended(&program, &sleepy)["result"]["value"]["result"], "slept 1800");
    assert_eq!(ended(&program, &cancelled)["status"], "cancelled");
    assert_eq!(program.get(&format!("/handlers/{purged}")).status, 404);
}

#[test]
fn a_parked_run_is_shown_and_read_where_it_is() {
    let data = DataDir::new();
    let program = data.start_with(SOON);
    let id = program.begin("interactive", json!({}));
    follow(&program, &id).event_of("RequestedExternalEvent");
    let before = handler(&program, &id);
    let_them_park(&program);
    assert_eq!(handler(&program, &id), before);
    let refused = program.post(&format!("/events/{id}"), &json!({ "event": { "type": "Nothing", "value": {} } }));
    assert_eq!(refused.status, 400, "{}", refused.text());
    let mut reader = follow(&program, &id);
    reader.event_of("RequestedExternalEvent");
    let mut queue = program.connect();
    queue.send("GET", &format!("/events/{id}?sse=false"), &[], None);
    queue.head();
    queue.event_of("RequestedExternalEvent");
    let_them_park(&program);
    post(&program, &id, "ExternalEvent", &json!({ "response": "pong" }));
    for reader in [&mut reader, &mut queue] {
        assert_eq!(reader.event_of("StopEvent")["value"]["result"], "received: pong");
        assert_eq!(reader.event(), None);
    }
    kill(program);
    assert_eq!(ended(&data.start(), &id)["run_id"], before["run_id"]);
}

#[test]
fn a_large_parked_run_comes_back_for_several_clients_at_once() {
    let data = DataDir::new();
    let program = data.start_with(SOON);
    let subject = "x".repeat(1 << 20);
    let waiting: Vec<String> = (0..3).map(|_| program.begin("approval", json!({ "subject": subject }))).collect();
    let_them_park(&program);
    let given = json!({"event": {"type": "ApprovalGiven", "value": {"approved": true, "by": "you"}}}).to_string();
    for id in &waiting {
        let mut clients = [program.connect(), program.connect(), program.connect()];
        for client in &mut clients {
            client.send("POST", &format!("/events/{id}"), &[], Some(given.as_bytes()));
        }
        let mut statuses = clients.map(|mut client| client.head().status);
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409], "one answers the question");
        assert_eq!(ended(&program, id)["result"]["value"]["subject"], subject);
    }
    let id = program.begin("approval", json!({ "subject": subject }));
    let_them_park(&program);
    assert_eq!(cancel(&program, &id, "").status, 200);
    assert_eq!(ended(&program, &id)["status"], "cancelled");
    kill(program);
}

#[test]
fn a_parked_run_times_out() {
    use crate::programs::{build, done, served::Served, workflow};
    use steprill::{Config, StartEvent, event};

    event! {
        struct Asked: InputRequired {}
        struct Given: HumanResponse {}
    }
    let data = DataDir::new();
    let limited = workflow("w").timeout(std::time::Duration::from_millis(1_200));
    let limited = build(limited.step("begin", |_, _: StartEvent| Ok(Asked {})).step("end", |_, _: Given| Ok(done(1))));
    let server = Served::with([limited], |config: &mut Config| {
        config.data = Some(data.directory.path().to_owned());
        config.idle_after = std::time::Duration::from_millis(50);
    });
    let id = server.begin("w", &json!({}));
    assert_eq!(server.ended(&id)["error"], "Operation timed out after 1.2 seconds. No steps active");
}

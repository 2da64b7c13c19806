//! Runs that wait continue to wait after a restart, and are the same runs.

use super::*;

#[test]
fn waiting_runs_still_wait_and_do_not_ask_again() {
    let data = DataDir::new();
    let program = data.start();
    let interactive = program.begin("interactive", json!({}));
    follow(&program, &interactive).event_of("RequestedExternalEvent");
    let approval = program.begin("approval", json!({ "subject": "a lamp" }));
    follow(&program, &approval).event_of("ApprovalRequested");
    let before = [&interactive, &approval].map(|id| handler(&program, id));
    kill(program);
    // The second time, only what the first recovery left is there.
    kill(data.start());
    let program = data.start();
    assert_eq!([&interactive, &approval].map(|id| handler(&program, id)), before);
    post(&program, &interactive, "ExternalEvent", &json!({ "response": "pong" }));
    post(&program, &approval, "ApprovalGiven", &json!({ "approved": false, "by": "you" }));
    for (id, question, last, then) in [
        (&interactive, "RequestedExternalEvent", json!({ "result": "received: pong" }), &before[0]),
        (&approval, "ApprovalRequested", json!({ "subject": "a lamp", "approved": false, "by": "you" }), &before[1]),
    ] {
        let feed = feed(&program, id);
        assert_eq!((count(&feed, question), &feed.last().expect("an end")["value"]), (1, &last));
        assert_eq!(feed[0]["sequence"], 0);
        let now = handler(&program, id);
        assert_eq!((&now["run_id"], &now["started_at"]), (&then["run_id"], &then["started_at"]));
    }
}

#[test]
fn an_early_answer_is_still_there_when_it_is_asked_for() {
    let data = DataDir::new();
    // Without a free worker the step that asks cannot begin.
    let program = data.start_with(&["--workers", "1"]);
    let approval = program.begin("approval", json!({ "subject": "a lamp" }));
    post(&program, &approval, "ApprovalGiven", &json!({ "approved": true, "by": "you" }));
    kill(program);
    let program = data.start();
    assert_eq!(ended(&program, &approval)["status"], "completed");
    assert_eq!(count(&feed(&program, &approval), "ApprovalRequested"), 1);
}

#[test]
fn a_question_keeps_its_number_and_is_answered_once() {
    let data = DataDir::new();
    let program = data.start();
    let runs = [
        ("approval", json!({ "subject": "a lamp" }), "ApprovalGiven", json!({ "approved": true, "by": "you" })),
        ("interactive", json!({}), "ExternalEvent", json!({ "response": "pong" })),
    ];
    let asked: Vec<(String, Value)> = runs
        .iter()
        .map(|(workflow, start, ..)| {
            let id = program.begin(workflow, start.clone());
            let mut reader = follow(&program, &id);
            let question = if *workflow == "approval" { "ApprovalRequested" } else { "RequestedExternalEvent" };
            let number = reader.event_of(question)["sequence"].clone();
            (id, number)
        })
        .collect();
    kill(program);
    let program = data.start();
    for ((_, _, name, value), (id, number)) in runs.iter().zip(&asked) {
        let reply = |number: &Value| {
            let event = json!({ "type": name, "value": value });
            program.post(&format!("/events/{id}"), &json!({ "event": event, "in_reply_to": number })).status
        };
        assert_eq!(reply(&json!(1_000)), 409);
        assert_eq!(reply(number), 200, "{name}");
        assert_eq!(reply(number), 409, "{name}");
        assert_eq!(ended(&program, id)["status"], "completed");
    }
}

#[test]
fn a_queue_resumes_where_its_reader_was() {
    let data = DataDir::new();
    let program = data.start();
    let id = program.begin("interactive", json!({}));
    let mut reader = program.connect();
    reader.send("GET", &format!("/events/{id}?sse=false"), &[], None);
    assert_eq!(reader.head().status, 200);
    reader.event_of("RequestedExternalEvent");
    // The queue's position is stored at the reader's end, before the next commit.
    drop(reader);
    program.finish("echo", json!({}));
    program.finish("echo", json!({}));
    kill(program);
    let program = data.start();
    post(&program, &id, "ExternalEvent", &json!({ "response": "pong" }));
    let rest = program.get(&format!("/events/{id}?sse=false"));
    assert_eq!(rest.events().len(), 1, "only the end is left: {}", rest.text());
    assert_eq!(program.get(&format!("/events/{id}?sse=false")).status, 204);
    kill(program);
    // Read to its end, which the next commit stores.
    let program = data.start();
    let again = program.get(&format!("/events/{id}?sse=false"));
    assert!(again.status == 204 || again.events().len() == 1, "at most the last second is read again: {again:?}");
}

#[test]
fn a_runs_time_out_counts_only_the_time_in_which_a_server_was_alive() {
    let data = DataDir::new();
    let program = data.start();
    let begun = std::time::Instant::now();
    let id = program.begin("timeout", json!({}));
    kill(program);
    let alive_before = begun.elapsed();
    // Longer than the time-out, which the next server must not consider passed.
    std::thread::sleep(std::time::Duration::from_millis(400));
    let restarted = std::time::Instant::now();
    let program = data.start();
    let handler = ended(&program, &id);
    let alive = alive_before + restarted.elapsed();
    let error = handler["error"].as_str().expect("an error");
    assert_eq!(error, "Operation timed out after 0.2 seconds. Currently active steps: sleep");
    assert!(alive.as_millis() >= 200, "it was given {alive:?}");
}

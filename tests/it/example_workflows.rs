//! Each workflow in `examples/workflows` does what its description says.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Program, STEPRILL};

/// Serves all of them at once, as a user would.
fn serve() -> Program {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/workflows");
    let directory = directory.to_str().expect("a path of characters");
    Program::of(Path::new(STEPRILL), &["serve", directory, "--listen", "127.0.0.1:0"])
}

/// Runs a workflow to its end, and returns its result.
#[track_caller]
fn run(program: &Program, workflow: &str, start_event: &Value) -> Value {
    let reply = program.post(&format!("/workflows/{workflow}/run"), &json!({ "start_event": start_event }));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["result"].clone()
}

#[test]
fn a_cool_greenhouse_asks_no_question() {
    assert_eq!(run(&serve(), "greenhouse", &json!({ "limit": 40 })), json!({ "hottest": 33.1, "opened": false }));
}

#[test]
fn a_hot_greenhouse_asks_before_it_opens_the_vent() {
    let program = serve();
    for approved in [true, false] {
        let handler = program.begin("greenhouse", json!({}));
        let mut events = program.connect();
        events.send("GET", &format!("/events/{handler}?sse=false"), &[], None);
        assert_eq!(events.head().status, 200);
        assert_eq!(events.event_of("OpenVent")["value"], json!({ "celsius": 33.1 }));
        let answer = json!({ "event": { "type": "Decision", "value": { "approved": approved } } });
        let reply = program.post(&format!("/events/{handler}"), &answer);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(events.event_of("Checked")["value"], json!({ "hottest": 33.1, "opened": approved }));
    }
}

#[test]
fn a_backup_packs_existing_files_and_names_missing_ones() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("a path of characters").to_owned();
    let photos = path("my \"photos\"");
    for made in [&photos, &path("archives")] {
        std::fs::create_dir(made).expect("a directory");
    }
    std::fs::write(Path::new(&photos).join("one.jpg"), "light").expect("a file");
    let (lost, target) = (path("lost"), path("archives"));
    let summary = run(&serve(), "backup", &json!({ "directories": [photos, lost], "target": target }));
    assert_eq!((&summary["archives"], &summary["failed"]), (&json!(1), &json!([lost])));
    let archives = std::fs::read_dir(&target).expect("a directory");
    let archives: Vec<_> = archives.map(|entry| entry.expect("a file")).collect();
    assert_eq!(archives.len(), 1, "{archives:?}");
    let bytes = archives[0].metadata().expect("a file").len();
    assert_eq!(summary["bytes"], json!(bytes));
}

#[test]
fn a_rollout_reaches_all_devices_only_if_the_first_is_well() {
    let program = serve();
    let outcome = run(&program, "rollout", &json!({ "devices": ["a", "b", "broken", "c"], "version": "2" }));
    assert_eq!(outcome, json!({ "updated": ["a", "b", "c"], "failed": ["broken"], "error": null }));
    let stopped = run(&program, "rollout", &json!({ "devices": ["broken", "b"], "version": "2" }));
    assert_eq!((&stopped["updated"], &stopped["failed"]), (&json!([]), &json!(["the first device"])));
    let error = stopped["error"].as_str().expect("an error");
    assert!(error.contains("broken does not start with 2"), "{error}");
}

#[test]
fn a_pipeline_shows_each_word_before_it_ends() {
    let program = serve();
    let handler = program.begin("pipeline", json!({ "text": "to be, or not" }));
    let mut events = program.connect();
    events.send("GET", &format!("/events/{handler}?sse=false"), &[], None);
    assert_eq!(events.head().status, 200);
    for word in ["TO", "BE,", "OR", "NOT"] {
        assert_eq!(events.event_of("Word")["value"], json!({ "text": word }));
    }
    assert_eq!(events.event_of("Counted")["value"], json!({ "words": 4, "text": "TO BE, OR NOT" }));
}

#[test]
fn a_nightly_report_sleeps_until_the_next_night() {
    let program = serve();
    let last = run(&program, "report", &json!({ "nights": 1 }));
    assert!(last["last"].as_str().is_some_and(|text| text.starts_with("/ is ")), "{last}");
    let handler = program.begin("report", json!({ "nights": 2, "path": "/" }));
    let mut events = program.connect();
    events.send("GET", &format!("/events/{handler}?sse=false"), &[], None);
    assert_eq!(events.head().status, 200);
    events.event_of("Report");
    let status = program.get(&format!("/handlers/{handler}")).json()["status"].clone();
    assert_eq!(status, "running", "the second night has not come");
}

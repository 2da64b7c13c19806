//! Workflow files, served by the built program.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::support::{Curl, Program, STEPRILL, blocks};

const GUIDE: &str = include_str!("../../../docs/workflow-files.md");

/// A server of the workflow files in its directory.
struct Served {
    program: Program,
    _directory: tempfile::TempDir,
}

impl Served {
    fn of(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            fs::write(directory.path().join(name), text).expect("a file");
        }
        let path = directory.path().to_str().expect("UTF-8");
        let program = Program::of(Path::new(STEPRILL), &["serve", path, "--listen", "127.0.0.1:0"]);
        Self { program, _directory: directory }
    }

    /// Runs a workflow to its end. Returns the handler.
    fn run(&self, workflow: &str, start: &Value) -> Value {
        self.program.post(&format!("/workflows/{workflow}/run"), &json!({ "start_event": start })).json()
    }
}

#[test]
fn the_files_of_a_directory_are_served_and_check_what_comes_in() {
    let served = Served::of(&[
        (
            "b.toml",
            "[start.In]\nn = { type = 'integer', max = 3 }\n[steps.a]\naccepts = 'In'\nemits = 'StopEvent'\n\
             emit = { result = 'got {n}' }\n",
        ),
        ("a.json", r#"{"steps": {"s": {"accepts": "StartEvent", "emits": "StopEvent", "emit": {}}}}"#),
        ("b.test.toml", "faulty"),
    ]);
    let Served { program, .. } = &served;
    assert_eq!(program.get("/workflows").json(), json!({"workflows": ["a", "b"]}));
    let schema = program.get("/workflows/b/schema").json();
    assert_eq!(schema["start"]["properties"]["n"], json!({"title": "N", "type": "integer", "maximum": 3}));
    let refused = program.post("/workflows/b/run-nowait", &json!({"start_event": {"n": 4}}));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("field n: expected integer of 3 or less, got 4"), "{}", refused.text());
    assert_eq!(served.run("b", &json!({"n": 3}))["result"], "got 3");
}

#[test]
fn the_first_workflow_of_the_guide_does_what_it_says() {
    let first = |language: &str| blocks(GUIDE, language)[0];
    let served = Served::of(&[("hello.toml", first("toml")), ("greet.py", first("python"))]);
    let line = GUIDE.lines().find(|line| line.starts_with("curl localhost:8080/workflows/hello/run")).expect("it");
    let reply = Curl::parse(line, "localhost:8080").reply(&served.program);
    assert_eq!(reply.json()["result"], json!({"text": "hello Ada"}), "{}", reply.text());
}

#[test]
fn a_step_asks_and_chooses_by_the_answer_without_a_program() {
    let served = Served::of(&[(
        "flow.toml",
        "[start.Item]\nname = 'string'\nprice = { type = 'integer', default = 7 }\n\
         [stop.Done]\ntext = 'string'\n\
         [events.Confirm]\nanswer = 'Approval'\nname = 'string'\n\
         [events.Approval]\napproved = 'boolean'\nby = 'string?'\n\
         [events.Yes]\nname = 'string'\nprice = 'integer'\nby = 'string?'\n\
         [steps.approve]\naccepts = 'Item'\nemits = ['Yes', 'Done']\nask = 'Confirm'\n\
         emit = [{ event = 'Yes', when = { approved = true } }, { event = 'Done', fields = { text = 'no {name}' } }]\n\
         [steps.rest]\naccepts = 'Yes'\nemits = 'Done'\nemit = { text = '{name} for {price}, says {by}' }\n",
    )]);
    let Served { program, .. } = &served;
    for (answer, text) in
        [(json!({"approved": true, "by": "Ada"}), "tea for 7, says Ada"), (json!({"approved": false}), "no tea")]
    {
        let handler = program.begin("flow", json!({"name": "tea"}));
        let mut feed = program.connect();
        feed.send("GET", &format!("/events/{handler}?after_sequence=-1&sse=false"), &[], None);
        feed.head();
        assert_eq!(feed.event_of("Confirm")["value"], json!({"name": "tea"}));
        let sent =
            program.post(&format!("/events/{handler}"), &json!({"event": {"type": "Approval", "value": answer}}));
        assert_eq!(sent.json(), json!({"status": "sent"}));
        assert_eq!(feed.event_of("Done")["value"], json!({"text": text}));
    }
}

#[test]
fn a_program_sees_the_defaults_of_absent_fields() {
    let served = Served::of(&[(
        "flow.toml",
        "[start.In]\nnote = { type = 'string', default = '-' }\nby = 'string?'\n\
         to = { zip = { type = 'string', default = '0' } }\n\
         [steps.a]\naccepts = 'In'\nemits = 'StopEvent'\noutput = 'value'\n\
         run = ['sh', '-c', 'read line; printf %s \"{{\\\"result\\\":$line}}\"']\n",
    )]);
    let result = served.run("flow", &json!({"to": {}}))["result"].clone();
    assert_eq!(result, json!({"to": {"zip": "0"}, "note": "-", "by": null}));
}

#[test]
fn what_a_program_emits_has_its_type_or_fails_the_step() {
    let served = Served::of(&[(
        "flow.toml",
        "[start.In]\nvalue = 'string'\n[stop.Out]\ncount = { type = 'integer', max = 9 }\n\
         note = { type = 'string', default = '-' }\n\
         [steps.a]\naccepts = 'In'\nemits = 'Out'\nrun = ['printf', '%s', '{value}']\n",
    )]);
    assert_eq!(served.run("flow", &json!({"value": r#"{"count": 9.0}"#}))["result"], json!({"count": 9, "note": "-"}));
    let failed = served.program.post("/workflows/flow/run", &json!({"start_event": {"value": r#"{"count": 10}"#}}));
    let expected = "event Out: field count: expected integer of 9 or less, got 10";
    assert!(failed.status == 500 && failed.text().contains(expected), "{}", failed.text());
}

#[test]
fn a_wait_holds_the_fields_of_its_input() {
    let served = Served::of(&[(
        "flow.toml",
        "[start.In]\nname = 'string'\n[stop.Out]\nname = 'string'\n[steps.a]\naccepts = 'In'\n\
         emits = 'Out'\nwait = '50ms'\n",
    )]);
    let begun = std::time::Instant::now();
    assert_eq!(served.run("flow", &json!({"name": "tea"}))["result"], json!({"name": "tea"}));
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

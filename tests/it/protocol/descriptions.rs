//! Schemas, event lists and graphs.

use super::*;

/// Returns a schema without the descriptions of the built-in events, which are not specified.
fn schema(program: &Program, workflow: &str) -> Value {
    let reply = program.get(&format!("/workflows/{workflow}/schema"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut schema = reply.json();
    for event in schema.as_object_mut().expect("an object").values_mut() {
        if event["title"] == "StartEvent" || event["title"] == "StopEvent" {
            event.as_object_mut().expect("an object").remove("description");
        }
    }
    schema
}

#[test]
fn schemas_look_like_pydantics() {
    let program = Program::start();
    let start = json!({"properties": {}, "title": "StartEvent", "type": "object"});
    let stop = json!({"properties": {}, "title": "StopEvent", "type": "object"});
    assert_eq!(schema(&program, "echo"), json!({"start": start, "stop": stop}));
    let items = json!({"items": {"type": "integer"}, "title": "Items", "type": "array"});
    let delay = json!({"default": 0, "title": "Delay Ms", "type": "integer"});
    let fan_out = json!({
        "properties": {"items": items, "delay_ms": delay},
        "required": ["items"],
        "title": "FanOutStart",
        "type": "object",
    });
    assert_eq!(schema(&program, "fan_out"), json!({"start": fan_out, "stop": stop}));
    let failures = json!({"title": "Failures", "type": "integer"});
    let attempts = json!({"default": 3, "title": "Max Attempts", "type": "integer"});
    let flaky = json!({
        "properties": {"failures": failures, "max_attempts": attempts},
        "required": ["failures"],
        "title": "FlakyStart",
        "type": "object",
    });
    assert_eq!(schema(&program, "flaky")["start"], flaky);
}

#[test]
fn events_are_listed_by_name_and_alike_on_every_call() {
    let program = Program::start();
    for (workflow, expected, streamed) in [
        ("echo", &["StartEvent", "StopEvent"][..], ""),
        ("approval", &["ApprovalGiven", "ApprovalRequested", "ApprovalResult", "ApprovalStart"], ""),
        ("fan_out", &["FanOutStart", "StopEvent", "WorkDone", "WorkItem"], "ItemDone"),
        ("streaming", &["StartEvent", "StopEvent"], "StreamEvent"),
        ("branching", &["BranchStart", "LeftBranch", "RightBranch", "StopEvent"], ""),
    ] {
        let reply = program.get(&format!("/workflows/{workflow}/events"));
        let events = reply.json()["events"].as_array().expect("a list").clone();
        let mut titles: Vec<&str> = events.iter().map(|event| event["title"].as_str().expect("a title")).collect();
        assert!(titles.is_sorted(), "{titles:?}");
        titles.retain(|title| *title != streamed);
        assert_eq!(titles, expected, "{workflow}");
        assert_eq!(program.get(&format!("/workflows/{workflow}/events")).body, reply.body);
        assert!(!reply.text().contains("$schema") && !reply.text().contains("\"format\""), "{}", reply.text());
    }
}

/// Returns the edges of a workflow's graph as `a>b`, sorted, and the kinds of its nodes.
fn graph(program: &Program, workflow: &str) -> (Vec<String>, Vec<String>) {
    let reply = program.get(&format!("/workflows/{workflow}/representation"));
    assert_eq!(reply.status, 200);
    let graph = reply.json()["graph"].clone();
    assert_eq!(graph["name"], workflow);
    let list = |member: &str, text: fn(&Value) -> String| {
        let mut list: Vec<String> = graph[member].as_array().expect("a list").iter().map(text).collect();
        list.sort_unstable();
        list
    };
    let edges = list("edges", |edge| {
        format!("{}>{}", edge["source"].as_str().expect("a node"), edge["target"].as_str().expect("a node"))
    });
    let nodes = list("nodes", |node| {
        assert_eq!(node["label"], node["id"]);
        format!("{} {}", node["node_type"].as_str().expect("a type"), node["id"].as_str().expect("an id"))
    });
    (edges, nodes)
}

#[test]
fn graph_shows_steps_events_and_whoever_answers() {
    let program = Program::start();
    let (edges, nodes) = graph(&program, "approval");
    assert_eq!(
        edges,
        [
            "ApprovalGiven>review",
            "ApprovalRequested>external_step",
            "ApprovalStart>review",
            "external_step>ApprovalGiven",
            "review>ApprovalRequested",
            "review>ApprovalResult",
        ]
    );
    assert_eq!(
        nodes,
        [
            "event ApprovalGiven",
            "event ApprovalRequested",
            "event ApprovalResult",
            "event ApprovalStart",
            "external external_step",
            "step review",
        ]
    );
    let (edges, nodes) = graph(&program, "fan_out");
    assert_eq!(
        edges,
        [
            "FanOutStart>split",
            "WorkDone>join",
            "WorkItem>square",
            "join>StopEvent",
            "split>WorkItem",
            "square>WorkDone",
        ]
    );
    assert!(!nodes.iter().any(|node| node.starts_with("external")), "{nodes:?}");
}

#[test]
fn unknown_workflow_has_no_description() {
    let program = Program::start();
    for path in ["schema", "events", "representation"] {
        let reply = program.get(&format!("/workflows/nope/{path}"));
        refused(&reply, 404, "Workflow not found");
    }
}

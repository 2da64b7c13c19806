//! A graph for the tests of this module.

use std::sync::Arc;

use crate::graph::{EventKind, EventType, Graph, Parts, Shape, StepParts};

/// Returns workflow `w`: `StartEvent` → `ask` (asks `Question`, answered by `Answer`; streams `Token`) → `Work` →
/// `finish`, which also takes `Tick` from outside → a plain `StopEvent`, or the custom one `Verdict`. `Answer` and
/// `Work` require a string `text`; in all types, `text` must be a string, and other fields are accepted.
pub(super) fn graph(stop_builtin: bool) -> Arc<Graph> {
    let stop = if stop_builtin { "StopEvent" } else { "Verdict" };
    let ask = StepParts {
        takes: vec!["StartEvent".to_owned()],
        returns: vec!["Work".to_owned()],
        asks: vec![("Question".to_owned(), "Answer".to_owned())],
        streams: vec!["Token".to_owned()],
        ..step("ask")
    };
    let finish = StepParts {
        takes: vec!["Work".to_owned(), "Tick".to_owned()],
        returns: vec![stop.to_owned()],
        ..step("finish")
    };
    let parts = Parts {
        name: "w".to_owned(),
        module: Some("m".to_owned()),
        events: vec![
            event("Answer", EventKind::HumanResponse, false),
            event("Question", EventKind::InputRequired, false),
            event("StartEvent", EventKind::Start, true),
            event(stop, EventKind::Stop, stop_builtin),
            EventType { external: true, ..event("Tick", EventKind::Plain, false) },
            event("Token", EventKind::Plain, false),
            event("Work", EventKind::Plain, false),
        ],
        steps: vec![finish, ask],
        start: "StartEvent".to_owned(),
        stop: stop.to_owned(),
        timeout: None,
        max_runs: None,
    };
    Arc::new(Graph::build(parts).expect("the graph is sound"))
}

fn event(name: &str, kind: EventKind, builtin: bool) -> EventType {
    let module = if builtin { "workflows.events" } else { "m" };
    let required: &[&str] = if ["Answer", "Work"].contains(&name) { &["text"] } else { &[] };
    let text = serde_json::json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": required});
    let shape = Shape::compile(&text, &|_| Some(&["text"]));
    let schema = serde_json::json!({"title": name, "type": "object", "properties": {}});
    EventType {
        name: name.into(),
        qualified_name: format!("{module}.{name}").into(),
        kind,
        builtin,
        external: false,
        schema,
        shape,
    }
}

fn step(name: &str) -> StepParts {
    StepParts { name: name.to_owned(), workers: 1, ..StepParts::default() }
}

//! A graph for the tests of this part.

use std::sync::Arc;

use crate::graph::{Check, EventId, EventKind, EventType, Graph, Retry, StepId, StepType};

/// Workflow `w`: `StartEvent` → `ask` (asks `Question`, answered by `Answer`; streams `Token`) → `Work` → `finish` → a plain
/// `StopEvent`, or a custom one, `Verdict`. `Answer` and `Work` need a string `text`; all others take anything.
pub(super) fn graph(stop_builtin: bool) -> Arc<Graph> {
    let stop = if stop_builtin { "StopEvent" } else { "Verdict" };
    let events: Box<[EventType]> = [
        event("Answer", EventKind::HumanResponse, false),
        event("Question", EventKind::InputRequired, false),
        event("StartEvent", EventKind::Start, true),
        event(stop, EventKind::Stop, stop_builtin),
        event("Token", EventKind::Plain, false),
        event("Work", EventKind::Plain, false),
    ]
    .into_iter()
    .collect();
    let mut events = events.into_vec();
    events.sort_by(|a, b| a.name.cmp(&b.name));
    let id = |name: &str| EventId(events.iter().position(|event| &*event.name == name).unwrap() as u16);
    let ask = StepType {
        takes: [id("StartEvent")].into(),
        returns: [id("Work")].into(),
        asks: [(id("Question"), id("Answer"))].into(),
        streams: [id("Token")].into(),
        ..step("ask")
    };
    let finish = StepType { takes: [id("Work")].into(), returns: [id(stop)].into(), ..step("finish") };
    let taker = |name: &str| match name {
        "StartEvent" => [StepId(0)].into(),
        "Work" => [StepId(1)].into(),
        _ => Box::default(),
    };
    Arc::new(Graph {
        name: "w".into(),
        module: "m".into(),
        start: id("StartEvent"),
        stop: id(stop),
        timeout: None,
        max_runs: None,
        takers: events.iter().map(|event| taker(&event.name)).collect(),
        joiners: events.iter().map(|_| Box::default()).collect(),
        interactive: true,
        steps: [ask, finish].into(),
        events: events.into(),
    })
}

fn event(name: &str, kind: EventKind, builtin: bool) -> EventType {
    let module = if builtin { "workflows.events" } else { "m" };
    let needs_text = ["Answer", "Work"].contains(&name);
    let check: Check = Arc::new(move |text| {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if needs_text && !value["text"].is_string() {
            return Err("field text: expected a string".to_owned());
        }
        Ok(())
    });
    let schema = serde_json::json!({"title": name, "type": "object", "properties": {}});
    EventType { name: name.into(), qualified_name: format!("{module}.{name}").into(), kind, builtin, schema, check }
}

fn step(name: &str) -> StepType {
    StepType {
        name: name.into(),
        takes: Box::default(),
        fan_in: false,
        returns: Box::default(),
        fan_out: false,
        sends: Box::default(),
        asks: Box::default(),
        streams: Box::default(),
        workers: 1,
        retry: Retry::default(),
        timeout: None,
        closers: Box::default(),
    }
}

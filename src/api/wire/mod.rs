//! JSON in and out: the only module that knows the names of members.

mod body;
mod event;
mod further;
mod handler;
mod object;
mod representation;
mod texts;
mod timestamp;

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    graph::{EventType, Graph},
    http::Response,
};

pub(super) use body::{BodyError, PostedBody, RunBody};
pub use event::{VALUE_AT, render_event};
pub(super) use handler::{ResultForm, handler_reply, render_handler, status_name};
pub(super) use representation::representation;
pub(super) use texts::{EventTexts, StepTexts, event_texts, step_texts};
pub use timestamp::Timestamp;

/// The statuses of a handler, as returned by [`status_name`].
pub(super) const STATUSES: [&str; 4] = ["running", "completed", "failed", "cancelled"];

/// What precedes the handlers of a list.
pub(super) const LIST_OPENS: &[u8] = b"{\"handlers\":[";

/// What follows the handlers of a list.
pub(super) const LIST_CLOSES: &[u8] = b"]}";

/// Returns a JSON reply.
pub(super) fn json(status: u16, body: Vec<u8>) -> Response {
    Response { status, content_type: Some("application/json"), body, ..Response::default() }
}

/// Returns `{"status": …}`.
pub(super) fn status(status: &'static str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Status {
        status: &'static str,
    }
    to_vec(&Status { status })
}

/// Returns `{"status": "healthy"}` or `{"status": "degraded", "reasons": […]}`.
pub(super) fn health(reasons: &[String]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Degraded<'a> {
        status: &'static str,
        reasons: &'a [String],
    }
    if reasons.is_empty() { status("healthy") } else { to_vec(&Degraded { status: "degraded", reasons }) }
}

/// Returns `{"detail": …, "error": …, "step": …, "handler_id": …}`: why a run failed that a client waited for.
pub(super) fn run_failed(detail: &str, error: &str, step: Option<&str>, handler_id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct RunFailed<'a> {
        detail: &'a str,
        error: &'a str,
        step: Option<&'a str>,
        handler_id: &'a str,
    }
    to_vec(&RunFailed { detail, error, step, handler_id })
}

/// Returns `{"detail": …}`.
pub(super) fn detail(detail: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Detail<'a> {
        detail: &'a str,
    }
    to_vec(&Detail { detail })
}

/// Returns `{"workflows": […]}`.
pub(super) fn workflows<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Workflows<'a> {
        workflows: Vec<&'a str>,
    }
    to_vec(&Workflows { workflows: names.collect() })
}

/// Returns `{"start": schema, "stop": schema}`.
pub(super) fn schema(graph: &Graph) -> Vec<u8> {
    #[derive(Serialize)]
    struct Schemas<'a> {
        start: &'a serde_json::Value,
        stop: &'a serde_json::Value,
    }
    to_vec(&Schemas { start: &graph.event(graph.start).schema, stop: &graph.event(graph.stop).schema })
}

/// Returns `{"events": [schema, …]}`.
pub(super) fn event_schemas(graph: &Graph) -> Vec<u8> {
    #[derive(Serialize)]
    struct Events<'a> {
        events: Vec<Cow<'a, serde_json::Value>>,
    }
    to_vec(&Events { events: graph.events.iter().map(schema_of).collect() })
}

/// Returns the schema of an event type. If the program opens the type to the outside, the schema is marked so, as
/// nothing else in it shows that; answers are recognized by their questions.
fn schema_of(event: &EventType) -> Cow<'_, serde_json::Value> {
    let mut schema = Cow::Borrowed(&event.schema);
    if event.external
        && let serde_json::Value::Object(members) = schema.to_mut()
    {
        members.insert("x-steprill-external".to_owned(), true.into());
    }
    schema
}

fn to_vec(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of strings and JSON values serialise")
}

/// Appends a JSON string.
fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string serialises, and a Vec takes it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_but_not_to_ascii() {
        assert_eq!(detail("\u{1f600}\n\"\\\u{1}"), "{\"detail\":\"\u{1f600}\\n\\\"\\\\\\u0001\"}".as_bytes());
    }
}

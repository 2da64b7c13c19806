//! The constant parts of event envelopes, rendered once per type.

use crate::graph::{EventKind, EventType, StepType};

/// The constant parts of an event type's envelopes, as JSON.
#[derive(Clone, Debug)]
pub(crate) struct EventTexts {
    /// The name, quoted.
    pub(super) name: Box<str>,
    /// What follows the value up to the closing brace, with the qualified name.
    qualified: Box<str>,
    /// The same with null for the qualified name.
    anonymous: Box<str>,
}

/// The constant part of a step's state changes: up to the value of `step_state`.
#[derive(Clone, Debug)]
pub(crate) struct StepTexts(pub(super) Box<str>);

/// Renders the texts of an event type.
pub(crate) fn event_texts(event: &EventType) -> EventTexts {
    let types = if event.builtin { "null" } else { base_kinds(event.kind) };
    envelope_texts(&event.name, &event.qualified_name, types)
}

/// Renders the texts of a step.
pub(crate) fn step_texts(step: &StepType) -> StepTexts {
    StepTexts(format!("{{\"value\":{{\"name\":{},\"step_state\":\"", quoted(&step.name)).into())
}

/// Appends an envelope.
pub(crate) fn write_envelope(out: &mut Vec<u8>, value: &str, texts: &EventTexts, include_qualified_name: bool) {
    open_envelope(out, value, texts, include_qualified_name);
    out.push(b'}');
}

pub(super) const ENVELOPE_OPENS: &[u8] = b"{\"value\":";

/// Returns `types` of a program's own event: the kinds between its class and `Event`.
pub(super) fn base_kinds(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Plain => "null",
        EventKind::Start => "[\"StartEvent\"]",
        EventKind::Stop => "[\"StopEvent\"]",
        EventKind::InputRequired => "[\"InputRequiredEvent\"]",
        EventKind::HumanResponse => "[\"HumanResponseEvent\"]",
    }
}

pub(super) fn envelope_texts(name: &str, qualified_name: &str, types: &str) -> EventTexts {
    let (name, qualified_name) = (quoted(name), quoted(qualified_name));
    let text = |qualified_name: &str| format!(",\"qualified_name\":{qualified_name},\"type\":{name},\"types\":{types}");
    EventTexts { qualified: text(&qualified_name).into(), anonymous: text("null").into(), name: name.into() }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string serialises")
}

pub(super) fn open_envelope(out: &mut Vec<u8>, value: &str, texts: &EventTexts, include_qualified_name: bool) {
    let tail = if include_qualified_name { &texts.qualified } else { &texts.anonymous };
    out.extend_from_slice(ENVELOPE_OPENS);
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(tail.as_bytes());
}

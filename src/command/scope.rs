//! The fields that a step's templates and events are made from, and the making of events.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use super::{Construct, Source};
use crate::{
    graph::{EventId, EventType, Graph},
    json::{self, Json},
    limits::JSON_DEPTH_MAX,
    pass::WorkEvent,
};

/// Fields by name.
#[derive(Default)]
pub(super) struct Scope<'a> {
    input: BTreeMap<String, &'a RawValue>,
    answer: BTreeMap<String, &'a RawValue>,
    failure: Option<Failure<'a>>,
}

/// How the last attempt of the work failed.
pub(super) struct Failure<'a> {
    pub(super) error: &'a str,
    pub(super) attempts: u32,
    pub(super) step: &'a str,
}

impl<'a> Scope<'a> {
    /// The fields of an event. Those of the answer to a question come first.
    pub(super) fn new(event: &'a WorkEvent, answer: Option<&'a Json>) -> Self {
        let input = match event {
            WorkEvent::One(_, value) => members(value),
            WorkEvent::All(_) => BTreeMap::new(),
        };
        Self { input, answer: answer.map(members).unwrap_or_default(), failure: None }
    }

    /// The fields of an event, and `error`, `attempts` and `step`.
    pub(super) fn of_failure(event: &'a WorkEvent, failure: Failure<'a>) -> Self {
        Self { failure: Some(failure), ..Self::new(event, None) }
    }

    /// Returns the JSON text of a field.
    fn json(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(Failure { error, attempts, step }) = &self.failure {
            match name {
                "error" => return Some(Cow::Owned(quoted(error))),
                "attempts" => return Some(Cow::Owned(attempts.to_string())),
                "step" => return Some(Cow::Owned(quoted(step))),
                _ => {}
            }
        }
        let found = self.answer.get(name).or_else(|| self.input.get(name));
        found.map(|value| Cow::Borrowed(value.get()))
    }

    /// Returns a field as it appears in a text: a string without its quotes, nothing for `null` or a field that is
    /// missing, JSON for all else.
    pub(super) fn text(&self, name: &str) -> Cow<'_, str> {
        match self.json(name) {
            None => Cow::Borrowed(""),
            Some(value) if value == "null" => Cow::Borrowed(""),
            Some(value) => serde_json::from_str(&value).map_or(value, Cow::Owned),
        }
    }

    /// Returns all fields as an object.
    pub(super) fn object(&self) -> String {
        let mut all = self.input.clone();
        all.extend(self.answer.iter().map(|(name, value)| (name.clone(), *value)));
        serde_json::to_string(&all).expect("raw values serialise")
    }

    /// Makes an event.
    ///
    /// # Errors
    /// If it does not have the shape of its type; the text names the field.
    pub(super) fn make(&self, graph: &Graph, construct: &Construct) -> Result<(EventId, Json), String> {
        let mut text = String::from("{");
        for (name, source) in &construct.fields {
            let value = match source {
                Source::Field(field) => self.json(field),
                Source::Value(value) => Some(Cow::Borrowed(value.as_str())),
                Source::Text(template) => Some(Cow::Owned(quoted(&template.fill(|field| self.text(field))))),
            };
            let Some(value) = value else { continue };
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&quoted(name));
            text.push(':');
            text.push_str(&value);
        }
        text.push('}');
        Ok((construct.event, checked(graph, construct.event, &text)?))
    }
}

/// Returns a value of an event's type as it is stored, with the defaults of absent fields.
///
/// # Errors
/// If the text is not JSON, or does not have the shape of the type; the error names the type, and the field if it can.
pub(super) fn checked(graph: &Graph, event: EventId, text: &str) -> Result<Json, String> {
    let name = &graph.event(event).name;
    let text = text.trim_ascii();
    json::check(text.as_bytes(), JSON_DEPTH_MAX).map_err(|error| format!("event {name}: {error}"))?;
    if !text.starts_with('{') {
        return Err(format!("event {name}: expected an object, got {}", json::with_article(json::kind(text))));
    }
    let text = graph.event(event).shape.complete(text).map_err(|fault| format!("event {name}: {fault}"))?;
    // In checked text, line ends occur only between tokens. Events fit on one line.
    let line = if text.contains(['\n', '\r']) { Cow::Owned(text.replace(['\n', '\r'], " ")) } else { text };
    Ok(Json::of_encoded(&line))
}

/// Returns a stored value of an event's type with the defaults of absent fields.
///
/// # Errors
/// If it does not have the shape of the type, which may have changed since.
pub(super) fn completed(graph: &Graph, event: EventId, value: &Json) -> Result<Json, String> {
    let EventType { name, shape, .. } = graph.event(event);
    let text = shape.complete(value.as_str()).map_err(|fault| format!("event {name}: {fault}"))?;
    Ok(if let Cow::Owned(text) = text { Json::of_encoded(&text) } else { value.clone() })
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string serialises")
}

fn members(value: &Json) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(value.as_str()).unwrap_or_default()
}

//! Request bodies: their members, and the events in them.

use std::{borrow::Cow, sync::Arc};

use serde_json::value::RawValue;

use super::further;
use super::object::{Members, compact, each_member, expect_object, members, string, unfold, unfold_data};
use crate::{
    graph::{EventId, EventType, Graph, Shape},
    json::{self, Json, JsonError, kind, with_article},
    limits::{BODY_DEPTH_MAX, HANDLER_ID_BYTES_MAX, JSON_DEPTH_MAX, QUOTED_BYTES_MAX, STATE_BYTES_MAX},
    text::OneLine,
    values::Values,
};

/// A body or `context` that is not a JSON object. The text says what is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BodyError(pub(crate) String);

/// The body of `run` and `run-nowait`.
#[derive(Debug)]
pub(crate) struct RunBody<'a> {
    start_event: Option<&'a RawValue>,
    context: Option<&'a RawValue>,
    handler_id: Option<&'a RawValue>,
    kwargs: Option<&'a RawValue>,
    /// Names of unknown members.
    further: Vec<String>,
}

impl<'a> RunBody<'a> {
    /// Parses the members; an empty body counts as `{}`.
    ///
    /// # Errors
    /// If the body is not a JSON object, or has a `context` that is not an object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        let ([start_event, context, handler_id, kwargs], further) = parse_object(body, &RUN_MEMBERS)?;
        let context = context.and_then(not_empty);
        if let Some(context) = context {
            expect_object(context.get()).map_err(|error| BodyError(format!("context: {error}")))?;
        }
        Ok(Self {
            start_event: start_event.and_then(not_empty),
            context: context.filter(|context| !is_empty_object(context)),
            handler_id: handler_id.and_then(not_empty),
            kwargs: kwargs.and_then(not_empty),
            further,
        })
    }

    /// Returns the handler that the run is to belong to, if one is named.
    ///
    /// # Errors
    /// If the id is not 1 to 64 characters of `[A-Za-z0-9_.-]`, or is a dot segment: clients remove those from paths
    /// (RFC 3986 section 5.2.4), so no request could name that handler. The text is for people.
    pub(crate) fn handler_id(&self) -> Result<Option<String>, String> {
        let Some(raw) = self.handler_id else { return Ok(None) };
        let id = string(raw).map_err(|error| format!("Invalid handler_id: {error}"))?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if id.len() > HANDLER_ID_BYTES_MAX || !id.bytes().all(allowed) {
            return Err(format!("Invalid handler_id: expected 1 to {HANDLER_ID_BYTES_MAX} of A-Z a-z 0-9 _ . -"));
        }
        if matches!(&*id, "." | "..") {
            return Err(format!("Invalid handler_id: '{id}' cannot stand in a path; choose another"));
        }
        Ok(Some(id))
    }

    /// Returns whether there is a context, from which the run takes its state instead of from the handler.
    pub(crate) fn has_context(&self) -> bool {
        self.context.is_some()
    }

    /// Returns the state in the context: `state.state_data._data`, whose values are JSON texts.
    ///
    /// # Errors
    /// If one of them is not; the text names the key.
    pub(crate) fn state(&self) -> Result<Values, String> {
        let mut data = self.context;
        for (name, path) in
            [("state", "state"), ("state_data", "state.state_data"), ("_data", "state.state_data._data")]
        {
            let Some(text) = data else { break };
            let Members { values: [member], .. } = members(text.get(), &[name])?;
            data = member.and_then(not_empty);
            if let Some(data) = data {
                expect_object(data.get()).map_err(|error| format!("Invalid context: {path}: {error}"))?;
            }
        }
        data.map_or(Ok(Values::default()), |data| state_values(data.get()))
    }

    /// Returns the value of the start event: from `start_event`, else from `kwargs`, else without fields.
    ///
    /// # Errors
    /// If that cannot be a start event; the text names the field.
    pub(crate) fn start_event(&self, start: &EventType) -> Result<Json, String> {
        let checked = match (self.start_event, self.kwargs) {
            (Some(raw), _) => text_of_object(raw).and_then(|text| start_event_value(&text, start)),
            (None, Some(kwargs)) => checked_value(kwargs.get(), start).map_err(|error| format!("kwargs: {error}")),
            (None, None) => {
                checked_value("{}", start).map_err(|error| error + &further::hint(&self.further, &RUN_MEMBERS))
            }
        };
        checked.map_err(|error| format!("Validation error for 'start_event': {error}"))
    }
}

/// The body of `POST /events/{handler_id}`.
#[derive(Debug)]
pub(crate) struct PostedBody<'a> {
    event: Option<&'a RawValue>,
    step: Option<&'a RawValue>,
    in_reply_to: Option<&'a RawValue>,
}

impl<'a> PostedBody<'a> {
    /// Parses the members; an empty body counts as `{}`.
    ///
    /// # Errors
    /// If the body is not a JSON object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        let ([event, step, in_reply_to], _) = parse_object(body, &["event", "step", "in_reply_to"])?;
        Ok(Self { event, step: step.and_then(not_empty), in_reply_to: in_reply_to.and_then(not_empty) })
    }

    /// Returns the event's type and value.
    ///
    /// # Errors
    /// If it is missing, the workflow does not have it, or clients may not send it. The text is for people.
    pub(crate) fn event(&self, graph: &Graph) -> Result<(EventId, Json), String> {
        const MISSING: &str = "Event data is required";
        const FAULTY: &str = "Failed to deserialize event";

        let raw = self.event.filter(|raw| !is_falsy(raw)).ok_or(MISSING)?;
        let text = text_of_object(raw).map_err(|error| format!("{FAULTY}: {error}"))?;
        let Members { values: [name, qualified_name, value, data], count } =
            members(&text, &["type", "qualified_name", "value", "data"])?;
        if count == 0 {
            return Err(MISSING.to_owned());
        }
        let name = type_name(name, qualified_name)
            .and_then(|name| name.ok_or_else(|| "member type: expected the name of an event type, got none".to_owned()))
            .map_err(|error| format!("{FAULTY}: {error}; {}", sendable_types(graph)))?;
        let id = graph
            .event_id(&name)
            .ok_or_else(|| format!("Unknown event type: {}; {}", quote(&name), sendable_types(graph)))?;
        if !graph.is_open(id) {
            return Err(format!(
                "Failed to send event: {name} may not be sent from outside; {}",
                sendable_types(graph)
            ));
        }
        let fields = value.or(data).map_or("{}", RawValue::get);
        let value = unfold_data(fields).and_then(|fields| checked_value(&fields, graph.event(id)));
        Ok((id, value.map_err(|error| format!("{FAULTY}: {name}: {error}"))?))
    }

    /// Returns the step that the event is for, if one is named.
    ///
    /// # Errors
    /// If it is not a string. The text is for people.
    pub(crate) fn step(&self) -> Result<Option<String>, String> {
        self.step.map(string).transpose().map_err(|error| format!("Invalid step: {error}"))
    }

    /// Returns the feed number of the question that the event answers, if one is named.
    ///
    /// # Errors
    /// If it is not a non-negative integer. The text is for people.
    pub(crate) fn in_reply_to(&self) -> Result<Option<u64>, String> {
        let Some(raw) = self.in_reply_to else { return Ok(None) };
        let got = match kind(raw.get()) {
            "number" => Cow::Borrowed(raw.get()),
            kind => Cow::Owned(with_article(kind)),
        };
        // `2.0` and `2e0` are integers, too.
        let number = json::whole(&got).and_then(|digits| digits.parse().ok());
        number.map(Some).ok_or_else(|| {
            format!(
                "Invalid in_reply_to: expected the number of an event, an integer from 0 to {}; got {}",
                u64::MAX,
                quote(&got)
            )
        })
    }
}

/// The known members of a body, and the names of the others.
type Parsed<'a, const N: usize> = ([Option<&'a RawValue>; N], Vec<String>);

/// The members that a body of `run` and `run-nowait` may have.
const RUN_MEMBERS: [&str; 4] = ["start_event", "context", "handler_id", "kwargs"];

/// Parses the members of a body. Null counts as absent.
fn parse_object<'a, const N: usize>(body: &'a [u8], names: &[&str; N]) -> Result<Parsed<'a, N>, BodyError> {
    // RFC 8259 section 8.1: parsers may ignore a byte order mark.
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    if body.is_empty() {
        return Ok(([None; N], Vec::new()));
    }
    let text = std::str::from_utf8(body).map_err(|error| BodyError(format!("not UTF-8: {error}")))?;
    json::check(body, BODY_DEPTH_MAX).map_err(|error| BodyError(error.to_string()))?;
    let Members { values, count } = members(text, names).map_err(BodyError)?;
    if count == values.iter().flatten().count() {
        return Ok((values, Vec::new()));
    }
    let further = further::names(text, names);
    further::log_misspelt(&further, names);
    Ok((values, further))
}

/// Returns the member unless it is `""`, which some clients send for an absent one.
fn not_empty(raw: &RawValue) -> Option<&RawValue> {
    (raw.get() != "\"\"").then_some(raw)
}

fn is_empty_object(raw: &RawValue) -> bool {
    raw.get().strip_prefix('{').is_some_and(|rest| rest.trim_ascii_start() == "}")
}

/// Returns whether Python considers the value false.
fn is_falsy(raw: &RawValue) -> bool {
    let is_empty_array = || raw.get().strip_prefix('[').is_some_and(|rest| rest.trim_ascii_start() == "]");
    let is_zero =
        || kind(raw.get()) == "number" && serde_json::from_str(raw.get()).is_ok_and(|number: f64| number == 0.0);
    matches!(raw.get(), "\"\"" | "null" | "false") || is_empty_object(raw) || is_empty_array() || is_zero()
}

/// Returns the text of an object, given either directly or as JSON text in a string.
fn text_of_object(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    match kind(raw.get()) {
        "object" => Ok(Cow::Borrowed(raw.get())),
        "string" => {
            let text = string(raw)?;
            json::check(text.as_bytes(), BODY_DEPTH_MAX)
                .map_err(|error| format!("the string is no JSON text: {error}"))?;
            match kind(&text) {
                "object" => Ok(Cow::Owned(text)),
                kind => Err(format!("expected the JSON text of an object, got that of {}", with_article(kind))),
            }
        }
        kind => Err(format!("expected an object or its JSON text, got {}", with_article(kind))),
    }
}

/// Returns a start event's value from its object, which may be an envelope or the fields themselves.
fn start_event_value(text: &str, start: &EventType) -> Result<Json, String> {
    let Members { values: [value, name, types, qualified_name, data, unfolded], count } =
        members(text, &["value", "type", "types", "qualified_name", "data", "_data"])?;
    let is_object = |raw: &&RawValue| kind(raw.get()) == "object";
    let named = name.and_then(not_empty).or(types).or(qualified_name.and_then(not_empty));
    let fields = match (value.filter(is_object), named, name, data) {
        (Some(value), Some(_), ..) => value.get(),
        (_, _, Some(_), Some(data)) if count == 2 => data.get(),
        _ => return checked_value(&unfold(text, unfolded, count)?, start),
    };
    if let Some(name) = type_name(name, qualified_name)?.filter(|name| **name != *start.name) {
        let name = quote(&name);
        return Err(format!("member type: expected {}, which starts this workflow, got {name}", start.name));
    }
    checked_value(&unfold_data(fields)?, start)
}

/// Returns the type that an envelope names: by `type`, else by the last segment of `qualified_name`.
fn type_name(name: Option<&RawValue>, qualified_name: Option<&RawValue>) -> Result<Option<String>, String> {
    if let Some(name) = name.and_then(not_empty) {
        return string(name).map(Some).map_err(|error| format!("member type: {error}"));
    }
    let Some(qualified_name) = qualified_name.and_then(not_empty) else { return Ok(None) };
    let qualified_name = string(qualified_name).map_err(|error| format!("member qualified_name: {error}"))?;
    Ok(Some(qualified_name.rsplit('.').next().unwrap_or_default().to_owned()))
}

/// Checks fields against their type and makes them compact. Their text was already checked as JSON, or was assembled
/// from parts of a text that was.
fn checked_value(fields: &str, event: &EventType) -> Result<Json, String> {
    expect_object(fields)?;
    let fields = compact(fields);
    let fields = event.shape.check(&fields).map_err(|mismatch| mismatch.to_string())?;
    Json::from_checked(&fields).map_err(|error| error.to_string())
}

/// Checks a JSON text and stores it as one line.
fn checked_text(text: &str) -> Result<Json, JsonError> {
    json::check(text.as_bytes(), JSON_DEPTH_MAX)?;
    Json::from_checked(&compact(text))
}

/// Quotes what a client sent in an error, cut so that there is room for what was expected.
fn quote(text: &str) -> OneLine<'_> {
    OneLine::new(text, QUOTED_BYTES_MAX)
}

/// Lists the types that clients may send to runs of the workflow.
fn sendable_types(graph: &Graph) -> String {
    let names: Vec<&str> = graph.open_types().map(|event| &*event.name).collect();
    let names = if names.is_empty() { "no events from outside".to_owned() } else { names.join(", ") };
    format!("{} takes {names}", graph.name)
}

fn state_values(data: &str) -> Result<Values, String> {
    let (mut state, untyped) = (Values::default(), Shape::untyped());
    each_member(data, |key, raw| {
        let value = string(raw).and_then(|text| {
            untyped.check(&text).map_err(|mismatch| mismatch.to_string())?;
            checked_text(&text).map_err(|error| error.to_string())
        });
        let value = value
            .map_err(|error| format!("Invalid context: state key {}: expected a JSON text: {error}", quote(&key)))?;
        state.insert(Arc::from(key), value);
        if state.cost_bytes() > STATE_BYTES_MAX {
            return Err(format!(
                "Invalid context: its state would take more than {STATE_BYTES_MAX} bytes of memory: keep less in it, \
                 or many small values under one key"
            ));
        }
        Ok(())
    })?;
    Ok(state)
}

#[cfg(test)]
mod tests;

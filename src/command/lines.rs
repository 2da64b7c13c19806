//! The lines of a program whose output is `"events"`: `{"type": …, "value": …}` or `{"state": {…}}`.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::{Number, value::RawValue};

use super::scope::checked;
use crate::{
    graph::{EventId, Graph, StepType},
    json::{self, Json, fits_64_bits},
    limits::{JSON_DEPTH_MAX, QUOTED_BYTES_MAX},
    pass::Write,
    text::{OneLine, nearest},
};

/// What a line says.
#[derive(Debug)]
pub(super) enum Said {
    /// An event to be published at once.
    Streamed(EventId, Json),
    /// An event to be routed when the program has ended well.
    Emitted(EventId, Json),
    /// Changes of the state.
    State(Vec<(Arc<str>, Write)>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    state: Option<Changes<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes<'a> {
    #[serde(borrow, default)]
    set: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, default)]
    add: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, default)]
    push: BTreeMap<String, &'a RawValue>,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it, to be preceded by its place.
pub(super) fn read(graph: &Graph, step: &StepType, line: &[u8]) -> Result<Said, String> {
    let shown = String::from_utf8_lossy(&line[..line.len().min(2 * QUOTED_BYTES_MAX)]);
    let shown = OneLine::new(&shown, QUOTED_BYTES_MAX);
    let bad = |why: &str| {
        format!(
            " is no event: {why}; expected {{\"type\": …, \"value\": {{…}}}} or {{\"state\": {{…}}}}, got `{shown}`"
        )
    };
    // The line, and in it the value, or the state and its changes.
    json::check(line, JSON_DEPTH_MAX + 3).map_err(|error| bad(&error.to_string()))?;
    let text = str::from_utf8(line).map_err(|error| bad(&error.to_string()))?;
    let parsed: Line<'_> = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
    match parsed {
        Line { name: Some(name), value: Some(value), state: None } => event(graph, step, &name, value),
        Line { name: None, value: None, state: Some(changes) } => changes.writes().map(Said::State),
        Line { state: Some(_), .. } => Err(bad("it has both an event and a change of the state")),
        Line { name: None, .. } => Err(bad("it has no `type`")),
        Line { .. } => Err(bad("it has no `value`")),
    }
}

fn event(graph: &Graph, step: &StepType, name: &str, value: &RawValue) -> Result<Said, String> {
    let emits = step.returns.iter().chain(&step.sends);
    let event = graph.event_id(name);
    let value = |event| checked(graph, event, value.get()).map_err(|fault| format!(": {fault}"));
    match event {
        Some(event) if emits.clone().any(|of| *of == event) => Ok(Said::Emitted(event, value(event)?)),
        Some(event) if step.streams.contains(&event) => Ok(Said::Streamed(event, value(event)?)),
        _ => {
            let known = emits.chain(&step.streams).map(|event| &*graph.event(*event).name).collect::<Vec<_>>();
            let meant = nearest(name, known.iter().copied());
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            let name = OneLine::new(name, QUOTED_BYTES_MAX);
            Err(match &known[..] {
                [] => format!(": the step emits and streams nothing, but it has an event {name}"),
                _ => format!(": the step emits or streams {}, and not {name}{meant}", known.join(", ")),
            })
        }
    }
}

impl Changes<'_> {
    fn writes(self) -> Result<Vec<(Arc<str>, Write)>, String> {
        let mut writes = Vec::new();
        let value = |value: &RawValue| Json::parse(&one_line(value)).map_err(|error| format!(": state: {error}"));
        for (key, of) in self.set {
            writes.push((key.into(), Write::Set(value(of)?)));
        }
        for (key, of) in self.add {
            let is_number = serde_json::from_str::<Number>(of.get()).is_ok() && fits_64_bits(of.get());
            if !is_number {
                let got = OneLine::new(of.get(), QUOTED_BYTES_MAX);
                return Err(match json::kind(of.get()) {
                    "number" => format!(": state key `{key}`: `add` of {got}, which does not fit into 64 bits"),
                    kind => format!(": state key `{key}`: `add` needs a number, found {}", json::with_article(kind)),
                });
            }
            writes.push((key.into(), Write::Add(value(of)?)));
        }
        for (key, of) in self.push {
            writes.push((key.into(), Write::Push(value(of)?)));
        }
        Ok(writes)
    }
}

fn one_line(value: &RawValue) -> Cow<'_, str> {
    let text = value.get();
    if text.contains('\r') { Cow::Owned(text.replace('\r', " ")) } else { Cow::Borrowed(text) }
}

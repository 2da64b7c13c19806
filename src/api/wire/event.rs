//! Events of a feed as JSON envelopes: `{"value":…,"qualified_name":…,"type":…,"types":…}`.

use std::time::Duration;

use serde::Serialize;

use super::{
    texts::{ENVELOPE_OPENS, base_kinds, envelope_texts, open_envelope},
    timestamp::Timestamp,
};
use crate::{
    api::catalog::WorkflowTexts,
    engine::published::{Item, StepOutput, StepState},
    graph::StepId,
    http::response::push_number,
};

/// Where the value of a program's own event begins in what [`render_event`] appends.
pub const VALUE_AT: usize = ENVELOPE_OPENS.len();

/// Appends one event of a feed: compact, on one line, without framing. `sequence`, if given, is its last member.
pub fn render_event(
    out: &mut Vec<u8>,
    workflow: &WorkflowTexts,
    item: &Item<'_>,
    include_qualified_name: bool,
    sequence: Option<u64>,
) {
    match item {
        Item::Event(event, value) => open_envelope(out, value, workflow.event(*event), include_qualified_name),
        Item::Other { name, qualified_name, kind, value } => {
            let texts = envelope_texts(name, qualified_name, base_kinds(*kind));
            open_envelope(out, value, &texts, include_qualified_name);
        }
        Item::Ended { step, error } => {
            let status = if error.is_some() { "failed" } else { "cancelled" };
            let value = Ended { status, error: *error, step: step.map(|step| workflow.step_name(step)) };
            open_builtin(out, &text(&value), "StopEvent", "null", include_qualified_name);
        }
        Item::Step { step, state, slot, input, output } => {
            out.extend_from_slice(workflow.step(*step).0.as_bytes());
            write_step_change(out, workflow, *state, *slot, &workflow.event(*input).name, *output);
            close_builtin(out, "StepStateChanged", INTERNAL, include_qualified_name);
        }
        Item::Failed { step, error, attempts } => {
            let step_name = step.map(|step| workflow.step_name(step));
            let value = Failed { step_name, exception: error, attempts: *attempts };
            open_builtin(out, &text(&value), "WorkflowFailedEvent", INTERNAL, include_qualified_name);
        }
        Item::StepFailed { step, error, attempts } => {
            let step_name = Some(workflow.step_name(*step));
            let value = Failed { step_name, exception: error, attempts: *attempts };
            open_builtin(out, &text(&value), "StepFailedEvent", INTERNAL, include_qualified_name);
        }
        Item::Retried { step, error, attempt, next_us } => {
            let next_attempt_at = Timestamp(i64::try_from(*next_us).unwrap_or(i64::MAX)).to_string();
            let value =
                Retried { step_name: workflow.step_name(*step), exception: error, attempt: *attempt, next_attempt_at };
            open_builtin(out, &text(&value), "StepRetriedEvent", INTERNAL, include_qualified_name);
        }
        Item::TimedOut { timeout, active } => {
            let value = timed_out_text(workflow, *timeout, active);
            open_builtin(out, &value, "WorkflowTimedOutEvent", INTERNAL, include_qualified_name);
        }
        Item::Cancelled => open_builtin(out, "{}", "WorkflowCancelledEvent", INTERNAL, include_qualified_name),
    }
    if let Some(sequence) = sequence {
        out.extend_from_slice(b",\"sequence\":");
        push_number(out, sequence);
    }
    out.push(b'}');
}

const INTERNAL: &str = "[\"InternalDispatchEvent\"]";
const BUILTIN_MODULE: &str = "workflows.events";

/// Appends the envelope of a built-in event without its closing brace.
fn open_builtin(out: &mut Vec<u8>, value: &str, name: &str, types: &str, include_qualified_name: bool) {
    out.extend_from_slice(ENVELOPE_OPENS);
    out.extend_from_slice(value.as_bytes());
    close_builtin(out, name, types, include_qualified_name);
}

/// Appends what follows the value in an envelope, without the closing brace.
fn close_builtin(out: &mut Vec<u8>, name: &str, types: &str, include_qualified_name: bool) {
    if include_qualified_name {
        extend(
            out,
            &[",\"qualified_name\":\"", BUILTIN_MODULE, ".", name, "\",\"type\":\"", name, "\",\"types\":", types],
        );
    } else {
        extend(out, &[",\"qualified_name\":null,\"type\":\"", name, "\",\"types\":", types]);
    }
}

fn extend(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends a step change from the value of `step_state` to the end of the event's value.
fn write_step_change(
    out: &mut Vec<u8>,
    workflow: &WorkflowTexts,
    state: StepState,
    slot: Option<u16>,
    input: &str,
    output: StepOutput,
) {
    let state = match state {
        StepState::Preparing => "preparing",
        StepState::Running => "running",
        StepState::NotRunning => "not_running",
    };
    extend(out, &[state, "\",\"worker_id\":\""]);
    match slot {
        Some(slot) => push_number(out, slot.into()),
        None => out.extend_from_slice(b"<enqueued>"),
    }
    let output = match output {
        StepOutput::None => "null",
        StepOutput::Nothing => "\"NoneType\"",
        StepOutput::Event(event) => &workflow.event(event).name,
    };
    extend(out, &["\",\"input_event_name\":", input, ",\"output_event_name\":", output, "}"]);
}

#[derive(Serialize)]
struct Failed<'a> {
    step_name: Option<&'a str>,
    exception: &'a str,
    attempts: u32,
}

#[derive(Serialize)]
struct Retried<'a> {
    step_name: &'a str,
    attempt: u32,
    exception: &'a str,
    next_attempt_at: String,
}

#[derive(Serialize)]
struct Ended<'a> {
    status: &'static str,
    error: Option<&'a str>,
    step: Option<&'a str>,
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers serialise")
}

/// Returns `{"timeout":0.2,"active_steps":["sleep"]}`.
fn timed_out_text(workflow: &WorkflowTexts, timeout: Duration, active: &[StepId]) -> String {
    #[derive(Serialize)]
    struct TimedOut<'a> {
        timeout: f64,
        active_steps: Vec<&'a str>,
    }
    let active_steps = active.iter().map(|step| workflow.step_name(*step)).collect();
    text(&TimedOut { timeout: timeout.as_secs_f64(), active_steps })
}

#[cfg(test)]
mod tests;

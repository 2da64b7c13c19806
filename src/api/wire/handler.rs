//! Handlers as JSON.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Timestamp,
    texts::{ENVELOPE_OPENS, event_texts, write_envelope},
    write_string,
};
use crate::{
    engine::{input::Outcome, scheduler::HandlerView},
    http::{Response, Shared},
    limits::SHARED_BYTES_MIN,
};

/// The form of `result`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResultForm {
    /// The value given to a plain `StopEvent`, or the object with the fields of a custom one.
    Value,
    /// The stop event's envelope.
    Envelope,
}

/// Returns the `status` of a handler.
pub(crate) fn status_name(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        None => "running",
        Some(Outcome::Completed(_)) => "completed",
        Some(Outcome::Failed(_)) => "failed",
        Some(Outcome::Cancelled) => "cancelled",
    }
}

/// Returns a reply with a handler. A large result is not copied.
pub(crate) fn handler_reply(status: u16, view: &HandlerView<'_>, form: ResultForm) -> Response {
    let mut body = Vec::new();
    let shared = write_handler(&mut body, view, form, SHARED_BYTES_MIN);
    Response { shared, ..super::json(status, body) }
}

/// Appends a handler, always with all nine members, null where empty.
pub(crate) fn render_handler(out: &mut Vec<u8>, view: &HandlerView<'_>, form: ResultForm) {
    write_handler(out, view, form, usize::MAX);
}

/// Like [`render_handler`], but leaves out and returns a result of `shared_bytes_min` or more.
fn write_handler(
    out: &mut Vec<u8>,
    view: &HandlerView<'_>,
    form: ResultForm,
    shared_bytes_min: usize,
) -> Option<Shared> {
    out.reserve(360);
    out.extend_from_slice(b"{\"handler_id\":");
    write_string(out, view.id);
    out.extend_from_slice(b",\"workflow_name\":");
    write_string(out, &view.graph.name);
    out.extend_from_slice(b",\"run_id\":\"");
    out.extend_from_slice(view.run_id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
    out.extend_from_slice(b"\",\"error\":");
    match view.outcome {
        Some(Outcome::Failed(error)) => write_string(out, error),
        _ => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"result\":");
    let shared = write_result(out, view, form, shared_bytes_min);
    out.extend_from_slice(b",\"status\":\"");
    out.extend_from_slice(status_name(view.outcome).as_bytes());
    out.extend_from_slice(b"\",\"started_at\":");
    write_time(out, view.started_us);
    out.extend_from_slice(b",\"updated_at\":");
    write_time(out, view.updated_us);
    out.extend_from_slice(b",\"completed_at\":");
    match view.completed_us {
        Some(completed_us) => write_time(out, completed_us),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    shared
}

fn write_result(
    out: &mut Vec<u8>,
    view: &HandlerView<'_>,
    form: ResultForm,
    shared_bytes_min: usize,
) -> Option<Shared> {
    let Some(Outcome::Completed(value)) = view.outcome else {
        out.extend_from_slice(b"null");
        return None;
    };
    let stop = view.graph.event(view.graph.stop);
    let range = match form {
        ResultForm::Value if stop.builtin => result_of_stop(value.as_str()),
        ResultForm::Value | ResultForm::Envelope => Some(0..value.as_str().len()),
    };
    let Some(range) = range else {
        out.extend_from_slice(b"null");
        return None;
    };
    let is_shared = range.len() >= shared_bytes_min;
    let text = if is_shared { "" } else { &value.as_str()[range.clone()] };
    let at = match form {
        ResultForm::Value => {
            out.extend_from_slice(text.as_bytes());
            out.len()
        }
        ResultForm::Envelope => {
            let start = out.len();
            write_envelope(out, text, &event_texts(stop), true);
            start + ENVELOPE_OPENS.len()
        }
    };
    is_shared.then(|| Shared { at, text: value.clone(), range })
}

/// Finds the value of `result` in the text of a plain stop event.
fn result_of_stop(text: &str) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Stop<'a> {
        #[serde(borrow, default)]
        result: Option<&'a RawValue>,
    }

    // The usual form: one member, or none. Parsing a large one would take long.
    if text.len() >= SHARED_BYTES_MIN && text.starts_with(STOP_OPENS) && text.ends_with('}') {
        return Some(STOP_OPENS.len()..text.len() - 1);
    }
    let stop: Stop<'_> = serde_json::from_str(text).ok()?;
    let result = stop.result?.get();
    let start = result.as_ptr() as usize - text.as_ptr() as usize;
    Some(start..start + result.len())
}

/// What precedes the value in a plain stop event.
const STOP_OPENS: &str = "{\"result\":";

fn write_time(out: &mut Vec<u8>, time_us: i64) {
    out.push(b'"');
    out.extend_from_slice(&Timestamp(time_us).text());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{api::fixtures, json::Json};

    fn render(stop_builtin: bool, outcome: Option<&Outcome>, form: ResultForm) -> String {
        let graph = fixtures::graph(stop_builtin);
        let view = HandlerView {
            failed_step: None,
            id: "abc",
            graph: &graph,
            run_id: Uuid::from_u128(0x1234),
            outcome,
            started_us: 0,
            updated_us: 1,
            completed_us: outcome.map(|_| 1),
        };
        let mut out = Vec::new();
        render_handler(&mut out, &view, form);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_handler_has_all_nine_members_in_order() {
        assert_eq!(
            render(true, None, ResultForm::Value),
            "{\"handler_id\":\"abc\",\"workflow_name\":\"w\",\"run_id\":\"00000000-0000-0000-0000-000000001234\",\
             \"error\":null,\"result\":null,\"status\":\"running\",\"started_at\":\"1970-01-01T00:00:00.000000+00:00\",\
             \"updated_at\":\"1970-01-01T00:00:00.000001+00:00\",\"completed_at\":null}"
        );
        let failed = Outcome::Failed("no \"luck\"".to_owned());
        let text = render(true, Some(&failed), ResultForm::Value);
        assert!(text.contains("\"error\":\"no \\\"luck\\\"\",\"result\":null,\"status\":\"failed\""), "{text}");
        assert!(text.ends_with("\"completed_at\":\"1970-01-01T00:00:00.000001+00:00\"}"), "{text}");
        let text = render(true, Some(&Outcome::Cancelled), ResultForm::Value);
        assert!(text.contains("\"error\":null,\"result\":null,\"status\":\"cancelled\""), "{text}");
    }

    #[test]
    fn a_plain_stop_events_result_is_its_member_and_a_custom_ones_the_whole_object() {
        for (builtin, value, result) in [
            (true, "{\"result\":{\"a\":[1,\"}\"]}}", "{\"a\":[1,\"}\"]}"),
            (true, "{\"result\":12345678901234567890123}", "12345678901234567890123"),
            (true, "{\"result\":null}", "null"),
            (true, "{}", "null"),
            (false, "{\"result\":1,\"by\":\"me\"}", "{\"result\":1,\"by\":\"me\"}"),
        ] {
            let outcome = Outcome::Completed(Json::parse(value).unwrap());
            let text = render(builtin, Some(&outcome), ResultForm::Value);
            assert!(text.contains(&format!(",\"result\":{result},\"status\":\"completed\",")), "{text}");
        }
    }

    #[test]
    fn the_result_as_an_envelope_names_the_stop_event() {
        let outcome = Outcome::Completed(Json::parse("{\"result\":1}").unwrap());
        let text = render(true, Some(&outcome), ResultForm::Envelope);
        let envelope = "\"result\":{\"value\":{\"result\":1},\"qualified_name\":\"workflows.events.StopEvent\",\
                        \"type\":\"StopEvent\",\"types\":null},\"status\"";
        assert!(text.contains(envelope), "{text}");
        let text = render(false, Some(&outcome), ResultForm::Envelope);
        assert!(text.contains("\"type\":\"Verdict\",\"types\":[\"StopEvent\"]},\"status\""), "{text}");
        assert!(render(false, Some(&Outcome::Cancelled), ResultForm::Envelope).contains("\"result\":null"));
    }
}

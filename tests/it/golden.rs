//! Replays the recorded exchanges of the API's reference implementation (`tests/golden/`) against the conformance
//! program. Ids and times are normalized; every other difference is a [`Rule`] with its reason.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{Connection, Ordered, Program, Response};

/// An intended difference. The rule turns what was recorded into what is expected here, or checks that the reply is
/// as the rule allows and removes the difference.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Every SSE event has its number as `id:`, so that clients can resume with `Last-Event-ID`.
    NumberedSse,
    /// Internal events name classes plainly, `StartEvent`, where the reference writes `<class 'm.StartEvent'>`.
    PlainClassNames,
    /// POST run replies after the end of the run is committed, so `completed_at` is set and equals `updated_at`.
    FinalReply,
    /// Texts of validation errors are this server's own: they name the field, what was expected and what came.
    NamesField(&'static str),
    /// The text begins as recorded, which clients compare, and continues with what to do.
    SaysMore,
    /// A preflight is answered with the path's own methods, `Vary: Origin` and an empty body.
    OwnPreflight,
    /// The descriptions of the built-in events are this server's own.
    OwnDescriptions,
    /// `/events` lists in order of name, so that every call gives the same list.
    EventsByName,
    /// The graph has the workflow's name.
    GraphName,
    /// Nodes and edges are sets.
    GraphAsSets,
}

/// The preparation of an exchange: a handler whose id replaces `<HANDLER_ID>`, and a reader that holds its feed.
#[derive(Default)]
struct Prepared {
    handler: String,
    _reader: Option<Connection>,
}

/// An answer to be posted while the recorded stream is read, once the question has arrived.
struct Answer {
    question: &'static str,
    event: fn() -> Value,
}

macro_rules! golden {
    ($($name:ident: $file:literal, $prepare:expr, $answer:expr, [$($rule:expr),*];)*) => {
        $(#[test]
        fn $name() {
            replay($file, $prepare, $answer, &[$($rule),*]);
        })*

        #[test]
        fn every_recorded_exchange_is_replayed() {
            let mut files: Vec<String> = fs::read_dir(directory())
                .expect("tests/golden is there")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
                .collect();
            files.sort_unstable();
            assert_eq!(files, [$($file),*]);
        }
    };
}

golden! {
    health: "001_health.json", nothing, None, [];
    handlers: "003_handlers.json", one_of_each, None, [];
    workflows: "004_workflows.json", nothing, None, [];
    events_interactive: "015_events_interactive.json", nothing, None,
        [Rule::OwnDescriptions, Rule::EventsByName];
    representation_interactive: "016_representation_interactive.json", nothing, None,
        [Rule::GraphName, Rule::GraphAsSets];
    schema_approval: "017_schema_approval.json", nothing, None, [];
    run_start_event_object: "045_run_start_event_object.json", nothing, None, [Rule::FinalReply];
    run_start_event_envelope: "047_run_start_event_envelope.json", nothing, None, [Rule::FinalReply];
    run_start_event_client_290: "048_run_start_event_client_290.json", nothing, None, [Rule::FinalReply];
    run_context: "050_run_context.json", nothing, None, [Rule::FinalReply];
    run_missing_field: "058_run_missing_field.json", nothing, None, [Rule::NamesField("message")];
    run_error: "060_run_error.json", nothing, None, [];
    run_unknown_workflow: "062_run_unknown_workflow.json", nothing, None, [];
    run_continue: "064_run_continue.json", |program| finished(program, "cumulative", json!({"increment": 5})), None,
        [Rule::FinalReply];
    nowait: "065_nowait.json", nothing, None, [];
    result_running: "066_result_running.json", |program| begun(program, "interactive", json!({})), None, [];
    post_unknown_step: "074_post_unknown_step.json", |program| begun(program, "interactive", json!({})), None, [];
    post_sent: "076_post_sent.json", |program| begun(program, "interactive", json!({})), None, [];
    result_completed: "077_result_completed.json", interactive_answered, None, [];
    post_to_completed: "078_post_to_completed.json", interactive_answered, None, [];
    stream_interactive_sse_internal: "079_stream_interactive_sse_internal.json",
        |program| begun(program, "interactive", json!({})),
        Some(&Answer {
            question: "RequestedExternalEvent",
            event: || json!({"type": "ExternalEvent", "value": {"response": "pong"}}),
        }),
        [Rule::NumberedSse, Rule::PlainClassNames];
    stream_consumed: "080_stream_consumed.json", interactive_answered, None, [];
    stream_ndjson: "081_stream_ndjson.json", |program| begun(program, "streaming", json!({"count": 2})), None, [];
    stream_sse: "082_stream_sse.json", |program| begun(program, "streaming", json!({"count": 2})), None,
        [Rule::NumberedSse];
    stream_default_framing: "084_stream_default_framing.json", |program| begun(program, "echo", json!({})), None,
        [Rule::NumberedSse];
    result_failed: "086_result_failed.json", |program| finished(program, "error", json!({})), None, [];
    stream_approval_internal: "093_stream_approval_internal.json",
        |program| begun(program, "approval", json!({"subject": "budget"})),
        Some(&Answer {
            question: "ApprovalRequested",
            event: || json!({"type": "ApprovalGiven", "value": {"approved": true, "by": "me"}}),
        }),
        [Rule::PlainClassNames];
    result_custom_stop_event: "094_result_custom_stop_event.json", approval_given, None, [];
    stream_second_reader: "095_stream_second_reader.json", sleepy_with_reader, None, [Rule::SaysMore];
    cancel: "097_cancel.json", |program| begun(program, "sleepy", json!({})), None, [];
    purge_cancelled: "101_purge_cancelled.json", sleepy_cancelled, None, [];
    preflight: "111_preflight.json", nothing, None, [Rule::OwnPreflight];
}

fn nothing(_: &Program) -> Prepared {
    Prepared::default()
}

fn begun(program: &Program, workflow: &str, start_event: Value) -> Prepared {
    Prepared { handler: program.begin(workflow, start_event), _reader: None }
}

fn finished(program: &Program, workflow: &str, start_event: Value) -> Prepared {
    Prepared { handler: program.finish(workflow, start_event), _reader: None }
}

/// Returns a completed handler, a failed and a running one, in this order.
fn one_of_each(program: &Program) -> Prepared {
    assert_eq!(program.post("/workflows/echo/run", &json!({})).status, 200);
    assert_eq!(program.post("/workflows/error/run", &json!({})).status, 500);
    begun(program, "sleepy", json!({}))
}

fn interactive_answered(program: &Program) -> Prepared {
    answered(program, "interactive", json!({}), &json!({"type": "ExternalEvent", "value": {"response": "pong"}}))
}

fn approval_given(program: &Program) -> Prepared {
    let answer = json!({"type": "ApprovalGiven", "value": {"approved": true, "by": "me"}});
    answered(program, "approval", json!({"subject": "budget"}), &answer)
}

/// Starts a run, waits for its question (the first event shown), answers it and waits for the end.
fn answered(program: &Program, workflow: &str, start_event: Value, answer: &Value) -> Prepared {
    let prepared = begun(program, workflow, start_event);
    let path = format!("/events/{}", prepared.handler);
    let mut reader = program.connect();
    reader.send("GET", &format!("{path}?sse=false"), &[], None);
    assert_eq!(reader.head().status, 200);
    assert!(reader.event().is_some());
    assert_eq!(program.post(&path, &json!({"event": answer})).status, 200);
    reader.rest();
    prepared
}

/// Returns a running handler whose feed is being read.
fn sleepy_with_reader(program: &Program) -> Prepared {
    let handler = program.begin("sleepy", json!({}));
    let mut reader = program.connect();
    reader.send("GET", &format!("/events/{handler}"), &[], None);
    assert_eq!(reader.head().status, 200);
    Prepared { handler, _reader: Some(reader) }
}

fn sleepy_cancelled(program: &Program) -> Prepared {
    let prepared = begun(program, "sleepy", json!({}));
    let reply = program.post_text(&format!("/handlers/{}/cancel", prepared.handler), "");
    assert_eq!(reply.status, 200, "{reply:?}");
    prepared
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[track_caller]
fn replay(file: &str, prepare: fn(&Program) -> Prepared, answer: Option<&Answer>, rules: &[Rule]) {
    let recorded = fs::read_to_string(directory().join(file)).expect("the recording is there");
    let recorded = Ordered::parse(&recorded);
    let program = Program::start();
    let prepared = prepare(&program);
    let request = recorded.get("request").expect("a request");
    let reply = exchange(&program, request, &prepared.handler, answer);
    compare(recorded.get("response").expect("a response"), &reply, rules);
}

/// Sends the recorded request and reads the reply, posting the answer in between.
fn exchange(program: &Program, request: &Ordered, handler: &str, answer: Option<&Answer>) -> Response {
    let line = request.get("line").and_then(Ordered::as_str).expect("a request line").replace("<HANDLER_ID>", handler);
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let headers = request.get("headers").cloned().expect("headers").into_value();
    let headers: Vec<(&str, &str)> = headers
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().expect("a string")))
        .collect();
    let body = match request.get("body") {
        None | Some(Ordered::Scalar(Value::Null)) => (method == "POST").then(String::new),
        Some(body) => Some(body.to_string().replace("<HANDLER_ID>", handler)),
    };
    let mut connection = program.connect();
    connection.send(method, path, &headers, body.as_deref().map(str::as_bytes));
    let mut reply = connection.head();
    if let Some(answer) = answer {
        let question = format!("\"type\":\"{}\"", answer.question);
        loop {
            let line = connection.line().expect("the question");
            reply.body.extend(format!("{line}\n").bytes());
            if line.contains(&question) {
                break;
            }
        }
        let posted = program.post(&format!("/events/{handler}"), &json!({"event": (answer.event)()}));
        assert_eq!(posted.status, 200, "{posted:?}");
    }
    reply.body.extend(connection.rest());
    reply
}

#[track_caller]
fn compare(recorded: &Ordered, reply: &Response, rules: &[Rule]) {
    let status = recorded.get("status").cloned().map(Ordered::into_value);
    assert_eq!(status, Some(reply.status.into()), "{reply:?}");
    if rules.iter().any(|rule| matches!(rule, Rule::OwnPreflight)) {
        return check_preflight(recorded, reply);
    }
    let Some(Ordered::Object(headers)) = recorded.get("headers") else { panic!("headers") };
    for (name, value) in headers {
        assert_eq!(reply.header(name), value.as_str(), "{name}");
    }
    if let Some(json) = recorded.get("json") {
        compare_json(json.clone(), reply.text(), rules);
    } else if let Some(text) = recorded.get("text").and_then(Ordered::as_str) {
        compare_text(text, reply.text(), rules);
    } else if let Some(raw) = recorded.get("raw").and_then(Ordered::as_str) {
        compare_sse(raw, reply.text(), rules);
    } else if let Some(Ordered::Array(events)) = recorded.get("ndjson") {
        let mut expected = events.iter().map(Ordered::to_string).collect::<Vec<_>>().join("\n");
        expected.push('\n');
        assert_eq!(reply.text(), plain_class_names(expected, rules));
        let start = recorded.get("raw_start").and_then(Ordered::as_str).expect("the first bytes");
        assert!(reply.text().starts_with(start), "{start}");
    } else {
        panic!("a recording without a body");
    }
}

/// Compares byte for byte, except for ids, times and the rules.
#[track_caller]
fn compare_json(mut expected: Ordered, text: &str, rules: &[Rule]) {
    let mut came = Ordered::parse(text);
    assert_eq!(came.to_string(), text, "JSON is compact and not ASCII-escaped");
    normalise(&mut came);
    for rule in rules {
        match rule {
            Rule::FinalReply => {
                let handler = serde_json::from_str::<Value>(text).expect("a handler");
                assert_eq!(handler["completed_at"], handler["updated_at"]);
                expected.each_member(&mut |name, value| {
                    if name == "completed_at" {
                        *value = "<TIME>".into();
                    }
                });
            }
            Rule::OwnDescriptions => {
                expected = without(expected, "description");
                came = without(came, "description");
            }
            Rule::EventsByName => sort_member(&mut expected, "events"),
            Rule::GraphName => expected.each_member(&mut |name, value| {
                if let ("graph", Ordered::Object(members)) = (name, value) {
                    members.insert(0, ("name".to_owned(), "interactive".into()));
                }
            }),
            Rule::GraphAsSets => {
                for json in [&mut expected, &mut came] {
                    sort_member(json, "nodes");
                    sort_member(json, "edges");
                }
            }
            Rule::NumberedSse | Rule::PlainClassNames | Rule::NamesField(_) | Rule::SaysMore | Rule::OwnPreflight => {
                panic!("{rule:?} is not about JSON")
            }
        }
    }
    assert_eq!(came.to_string(), expected.to_string());
}

#[track_caller]
fn compare_text(expected: &str, text: &str, rules: &[Rule]) {
    match rules {
        [] => assert_eq!(text, expected),
        [Rule::SaysMore] => assert!(text.starts_with(expected), "{text:?} does not start with {expected:?}"),
        [Rule::NamesField(field)] => {
            let kind = expected.split_inclusive(": ").next().expect("a kind of error");
            assert!(text.starts_with(kind), "{text:?} does not start with {kind:?}");
            assert!(text[kind.len()..].contains(field), "{text:?} does not name {field}");
        }
        _ => panic!("{rules:?} are not about text"),
    }
}

/// Removes the numbers, which must count up, and compares the rest byte for byte.
#[track_caller]
fn compare_sse(expected: &str, text: &str, rules: &[Rule]) {
    assert!(rules.iter().any(|rule| matches!(rule, Rule::NumberedSse)), "SSE is numbered");
    let mut unnumbered = String::new();
    let mut last = None;
    for event in text.split_inclusive("\n\n") {
        let (id, data) = event.split_once('\n').expect("two lines");
        let id: u64 = id.strip_prefix("id: ").and_then(|id| id.parse().ok()).expect("a number");
        assert!(last.is_none_or(|last| last < id), "{id} after {last:?}");
        last = Some(id);
        unnumbered += data;
    }
    assert_eq!(unnumbered, plain_class_names(expected.to_owned(), rules));
}

#[track_caller]
fn check_preflight(recorded: &Ordered, reply: &Response) {
    let headers = recorded.get("headers").expect("headers");
    for name in [
        "access-control-max-age",
        "access-control-allow-credentials",
        "access-control-allow-origin",
        "access-control-allow-headers",
    ] {
        assert_eq!(reply.header(name), headers.get(name).and_then(Ordered::as_str), "{name}");
    }
    let mut methods: Vec<&str> = reply.header("access-control-allow-methods").expect("methods").split(", ").collect();
    methods.sort_unstable();
    assert_eq!(methods, ["OPTIONS", "POST"]);
    assert_eq!(reply.header("vary"), Some("Origin"));
    assert_eq!(reply.text(), "");
}

/// Replaces `<class 'm.X'>` by `X`, if that rule is given.
fn plain_class_names(mut text: String, rules: &[Rule]) -> String {
    if rules.iter().any(|rule| matches!(rule, Rule::PlainClassNames)) {
        while let Some(start) = text.find("<class '") {
            let end = start + text[start..].find("'>").expect("the end of a class");
            let name = text[start..end].rsplit('.').next().expect("a name").to_owned();
            text.replace_range(start..end + 2, &name);
        }
    }
    text
}

/// Replaces ids and times by what the recordings contain instead, if they have the required form.
fn normalise(json: &mut Ordered) {
    json.each_member(&mut |name, value| {
        let Some(text) = value.as_str() else { return };
        let (has_form, placeholder) = match name {
            "handler_id" => (is_handler_id(text), "<HANDLER_ID>"),
            "run_id" => (is_uuid_4(text), "<RUN_ID>"),
            "started_at" | "updated_at" | "completed_at" => (is_time(text), "<TIME>"),
            _ => return,
        };
        assert!(has_form, "{name}: {text:?}");
        *value = placeholder.into();
    });
}

fn is_handler_id(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// RFC 9562, section 5.4: version 4, variant 8 to b.
fn is_uuid_4(text: &str) -> bool {
    has_shape(text, "hhhhhhhh-hhhh-4hhh-vhhh-hhhhhhhhhhhh")
}

/// UTC with microseconds, as Python's `isoformat` writes it.
fn is_time(text: &str) -> bool {
    has_shape(text, "dddd-dd-ddTdd:dd:dd.dddddd+00:00")
}

fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
            b'h' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            b'v' => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// Removes the members with that name, at any depth.
fn without(json: Ordered, name: &str) -> Ordered {
    match json {
        Ordered::Object(members) => {
            let kept = members.into_iter().filter(|(known, _)| known != name);
            Ordered::Object(kept.map(|(known, value)| (known, without(value, name))).collect())
        }
        Ordered::Array(elements) => Ordered::Array(elements.into_iter().map(|value| without(value, name)).collect()),
        scalar @ Ordered::Scalar(_) => scalar,
    }
}

/// Sorts an array of objects by their `title`, or by all of their contents.
fn sort_member(json: &mut Ordered, member: &str) {
    json.each_member(&mut |name, value| {
        if let (true, Ordered::Array(elements)) = (name == member, value) {
            elements.sort_by_key(|element| match element.get("title").and_then(Ordered::as_str) {
                Some(title) => title.to_owned(),
                None => element.to_string(),
            });
        }
    });
}

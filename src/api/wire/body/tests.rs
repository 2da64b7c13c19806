use super::*;
use crate::api::fixtures;

fn start_event(body: &str) -> Result<String, String> {
    let graph = fixtures::graph(true);
    let body = RunBody::parse(body.as_bytes()).map_err(|BodyError(error)| error)?;
    body.start_event(graph.event(graph.start)).map(|value| value.as_str().to_owned())
}

#[track_caller]
fn check_start(body: &str, expected: &str) {
    assert_eq!(start_event(body).as_deref(), Ok(expected), "{body}");
}

#[track_caller]
fn check_start_fault(body: &str, expected: &str) {
    let error = start_event(body).unwrap_err();
    let fault = error.strip_prefix("Validation error for 'start_event': ").unwrap_or_else(|| panic!("{error}"));
    assert!(fault.starts_with(expected), "{body}: {error}");
}

#[test]
fn a_start_event_is_an_object_or_its_json_text() {
    check_start("", "{}");
    check_start("{}", "{}");
    check_start("{\"start_event\":{\"message\":\"hi\"}}", "{\"message\":\"hi\"}");
    check_start("{\"start_event\":\"{\\\"message\\\": \\\"a b\\\"}\"}", "{\"message\":\"a b\"}");
    check_start("{\"start_event\":{ \"n\" : [1,\n2] , \"unknown\":null}}", "{\"n\":[1,2],\"unknown\":null}");
    check_start("{\"start_event\":{\"n\":12345678901234567890123.50}}", "{\"n\":12345678901234567890123.50}");
}

#[test]
fn no_start_event_is_empty_text_null_or_nothing_and_then_kwargs_count() {
    for none in ["", "\"start_event\":\"\",", "\"start_event\":null,"] {
        check_start(&format!("{{{none}\"x\":1}}"), "{}");
        check_start(&format!("{{{none}\"kwargs\":{{\"a\":1}}}}"), "{\"a\":1}");
        check_start(&format!("{{{none}\"kwargs\":null}}"), "{}");
    }
    check_start("{\"start_event\":{},\"kwargs\":{\"a\":1}}", "{}");
    check_start("{\"start_event\":{\"b\":1},\"kwargs\":[]}", "{\"b\":1}");
    check_start_fault("{\"kwargs\":[]}", "kwargs: expected an object, got an array");
}

#[test]
fn an_envelope_is_distinguished_from_fields_by_its_members() {
    for (object, fields) in [
        ("{\"type\":\"StartEvent\",\"value\":{\"a\":1}}", "{\"a\":1}"),
        ("{\"types\":[],\"value\":{\"a\":1}}", "{\"a\":1}"),
        ("{\"qualified_name\":\"x.y.StartEvent\",\"value\":{\"a\":1},\"z\":2}", "{\"a\":1}"),
        ("{\"type\":\"StartEvent\",\"qualified_name\":null,\"value\":{\"a\":1}}", "{\"a\":1}"),
        ("{\"type\":\"StartEvent\",\"data\":{\"a\":1}}", "{\"a\":1}"),
        ("{\"value\":{\"a\":1}}", "{\"value\":{\"a\":1}}"),
        ("{\"value\":{\"a\":1},\"qualified_name\":null}", "{\"value\":{\"a\":1},\"qualified_name\":null}"),
        ("{\"value\":1,\"type\":\"t\"}", "{\"value\":1,\"type\":\"t\"}"),
        ("{\"type\":\"t\",\"data\":{},\"x\":1}", "{\"type\":\"t\",\"data\":{},\"x\":1}"),
        ("{\"type\":\"t\"}", "{\"type\":\"t\"}"),
    ] {
        check_start(&format!("{{\"start_event\":{object}}}"), fields);
        let text = serde_json::to_string(object).unwrap();
        check_start(&format!("{{\"start_event\":{text}}}"), fields);
    }
}

#[test]
fn data_is_unfolded_in_fields_and_in_envelopes() {
    check_start("{\"start_event\":{\"_data\":{\"a\":1}},\"context\":{}}", "{\"a\":1}");
    let envelope = "{\"value\":{\"_data\":{\"a\":1}},\"type\":\"StartEvent\",\"qualified_name\":null}";
    check_start(&format!("{{\"start_event\":{envelope}}}"), "{\"a\":1}");
}

#[test]
fn a_start_event_that_cannot_be_one_is_refused_by_name() {
    let only = "member type: expected StartEvent, which starts this workflow, got ";
    for (object, fault) in [
        ("5", "expected an object or its JSON text, got a number"),
        ("[]", "expected an object or its JSON text, got an array"),
        ("true", "expected an object or its JSON text, got a boolean"),
        ("\"[]\"", "expected the JSON text of an object, got that of an array"),
        ("\"{\"", "the string is no JSON text: "),
        ("\"hello\"", "the string is no JSON text: "),
        ("\"{\\\"a\\\":\\\"\\\\ud800\\\"}\"", "the string is no JSON text: "),
        ("{\"type\":\"Work\",\"value\":{}}", only),
        ("{\"type\":\"Nope\",\"data\":{}}", only),
        ("{\"qualified_name\":\"os.system\",\"value\":{}}", only),
        ("{\"type\":5,\"value\":{}}", "member type: expected a string, got a number"),
        ("{\"type\":\"StartEvent\",\"data\":5}", "expected an object, got a number"),
        ("{\"_data\":5}", "member _data: expected an object, got a number"),
    ] {
        check_start_fault(&format!("{{\"start_event\":{object}}}"), fault);
    }
    let deep = format!("{{\"start_event\":{{\"a\":{}{}}}}}", "[".repeat(100), "]".repeat(100));
    check_start_fault(&deep, "nested deeper than 100");
    let graph = fixtures::graph(true);
    let needs_text = graph.event(graph.event_id("Work").unwrap());
    let fault = RunBody::parse(b"{}").unwrap().start_event(needs_text).unwrap_err();
    assert_eq!(fault, "Validation error for 'start_event': field text: missing");
}

#[test]
fn a_body_that_is_no_json_object_does_not_parse() {
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 12] = [
        b"{",
        b" ",
        b"[]",
        b"5",
        b"null",
        b"{} {}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":1e999}",
        b"{\"context\":5}",
        b"{\"context\":\"x\"}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let BodyError(error) = RunBody::parse(body).unwrap_err();
        assert!(!error.is_empty());
    }
    let BodyError(error) = RunBody::parse(b"{\"context\":[]}").unwrap_err();
    assert_eq!(error, "context: expected an object, got an array");
    assert!(PostedBody::parse(b"[]").is_err());
}

#[test]
fn a_handler_id_is_one_to_64_of_its_alphabet() {
    let id = |body: &str| RunBody::parse(body.as_bytes()).unwrap().handler_id();
    for none in ["{}", "{\"handler_id\":null}", "{\"handler_id\":\"\"}"] {
        assert_eq!(id(none), Ok(None));
    }
    for good in ["a", "A-z_0.9", &"x".repeat(64)] {
        assert_eq!(id(&format!("{{\"handler_id\":\"{good}\"}}")), Ok(Some(good.to_owned())));
    }
    for dots in [".", ".."] {
        let error = id(&format!("{{\"handler_id\":\"{dots}\"}}")).unwrap_err();
        assert!(error.starts_with(&format!("Invalid handler_id: '{dots}'")), "{error}");
    }
    for bad in ["\"a b\"", "\"a/b\"", "\"\u{e4}\"", "\"\\u0000\"", "5", "{}", &format!("\"{}\"", "x".repeat(65))] {
        assert!(
            id(&format!("{{\"handler_id\":{bad}}}")).unwrap_err().starts_with("Invalid handler_id: expected"),
            "{bad}"
        );
    }
}

fn state(context: &str) -> Result<String, String> {
    let body = format!("{{\"context\":{context}}}");
    let state = RunBody::parse(body.as_bytes()).unwrap().state()?;
    let texts = state
        .iter()
        .flat_map(|(key, value)| [key.to_string(), "=".into(), value.json().as_str().to_owned(), ";".into()]);
    Ok(texts.collect())
}

#[test]
fn a_contexts_state_is_json_texts_by_key() {
    let whole = "{\"version\":1,\"state\":{\"state_type\":\"DictState\",\"state_data\":{\"_data\":{\
                 \"b\":\"\\\"from \\u0063ontext\\\"\",\"a\":\"[1, 2]\"}}},\"is_running\":false,\"workers\":{}}";
    assert_eq!(state(whole).as_deref(), Ok("a=[1,2];b=\"from context\";"));
    for empty in [
        "{\"version\":2}",
        "{\"state\":null}",
        "{\"state\":{}}",
        "{\"state\":{\"state_data\":{}}}",
        "{\"state\":{\"state_data\":{\"_data\":{}}}}",
    ] {
        assert_eq!(state(empty).as_deref(), Ok(""), "{empty}");
    }
    let key = |value: &str| state(&format!("{{\"state\":{{\"state_data\":{{\"_data\":{{\"k\":{value}}}}}}}}}"));
    for bad in ["\"x\"", "\"\"", "5", "{}", "null", "\"1 2\""] {
        let error = key(bad).unwrap_err();
        assert!(error.starts_with("Invalid context: state key k: expected a JSON text: "), "{error}");
    }
    assert_eq!(state("{\"state\":5}").unwrap_err(), "Invalid context: state: expected an object, got a number");
    let error = "Invalid context: state.state_data: expected an object, got an array";
    assert_eq!(state("{\"state\":{\"state_data\":[]}}").unwrap_err(), error);
}

#[test]
fn only_a_context_that_holds_something_is_one() {
    for (body, has_context) in [
        ("{}", false),
        ("{\"context\":null}", false),
        ("{\"context\":\"\"}", false),
        ("{\"context\":{ }}", false),
        ("{\"context\":{\"version\":1}}", true),
    ] {
        assert_eq!(RunBody::parse(body.as_bytes()).unwrap().has_context(), has_context, "{body}");
    }
}

fn posted(event: &str) -> Result<(String, String), String> {
    let graph = fixtures::graph(true);
    let body = format!("{{\"event\":{event}}}");
    let (id, value) = PostedBody::parse(body.as_bytes()).unwrap().event(&graph)?;
    Ok((graph.event(id).name.to_string(), value.as_str().to_owned()))
}

#[test]
fn a_posted_event_is_named_by_type_or_the_last_segment_of_its_qualified_name() {
    for (event, name, value) in [
        ("{\"type\":\"Answer\",\"value\":{\"text\":\"a\"}}", "Answer", "{\"text\":\"a\"}"),
        ("{\"type\":\"Answer\",\"data\":{\"text\":\"a\"}}", "Answer", "{\"text\":\"a\"}"),
        ("{\"type\":\"Answer\",\"value\":{\"_data\":{\"text\":\"a\"}}}", "Answer", "{\"text\":\"a\"}"),
        ("{\"qualified_name\":\"a.b.Tick\",\"value\":{ }}", "Tick", "{}"),
        ("{\"qualified_name\":\"os.system\",\"type\":\"Tick\",\"value\":null}", "Tick", "{}"),
        ("{\"type\":\"Tick\"}", "Tick", "{}"),
    ] {
        let expected = Ok((name.to_owned(), value.to_owned()));
        assert_eq!(posted(event), expected, "{event}");
        assert_eq!(posted(&serde_json::to_string(event).unwrap()), expected, "{event}");
    }
}

#[test]
fn a_posted_event_that_is_falsy_is_missing() {
    for event in ["{}", "{ }", "\"\"", "null", "false", "0", "[]", "\"{}\"", "\"{\\\"type\\\":null}\""] {
        assert_eq!(posted(event).unwrap_err(), "Event data is required", "{event}");
    }
    let graph = fixtures::graph(true);
    for body in ["", "{}", "{\"step\":\"ask\"}"] {
        let error = PostedBody::parse(body.as_bytes()).unwrap().event(&graph).unwrap_err();
        assert_eq!(error, "Event data is required");
    }
}

#[test]
fn a_name_that_is_too_long_is_cut_and_what_was_expected_is_not() {
    let name = "N".repeat(10_000);
    let shown = format!("{}…", &name[..QUOTED_BYTES_MAX]);
    let unknown = posted(&format!("{{\"type\":\"{name}\",\"value\":{{}}}}")).unwrap_err();
    assert_eq!(unknown, format!("Unknown event type: {shown}; w takes Answer, Tick"));
    let body = format!("{{\"context\":{{\"state\":{{\"state_data\":{{\"_data\":{{\"{name}\":1}}}}}}}}}}");
    let faulty = RunBody::parse(body.as_bytes()).unwrap().state().unwrap_err();
    let expected = "expected a JSON text: expected a string, got a number";
    assert_eq!(faulty, format!("Invalid context: state key {shown}: {expected}"));
}

#[test]
fn a_posted_event_that_is_none_of_the_workflows_names_what_is_possible() {
    let possible = "w takes Answer, Tick";
    let refused = "may not be sent from outside";
    let failed = "Failed to deserialize event: ";
    for (event, error) in [
        ("{\"type\":\"Nope\",\"value\":{}}", format!("Unknown event type: Nope; {possible}")),
        ("{\"qualified_name\":\"os.system\",\"value\":{}}", format!("Unknown event type: system; {possible}")),
        ("{\"text\":\"a\"}", format!("{failed}member type: expected the name of an event type, got none; {possible}")),
        ("{\"type\":[]}", format!("{failed}member type: expected a string, got an array; {possible}")),
        ("{\"type\":\"StopEvent\"}", format!("Failed to send event: StopEvent {refused}; {possible}")),
        ("{\"type\":\"Work\",\"value\":5}", format!("Failed to send event: Work {refused}; {possible}")),
        ("5", format!("{failed}expected an object or its JSON text, got a number")),
        ("{\"type\":\"Answer\",\"value\":5}", format!("{failed}Answer: expected an object, got a number")),
        ("{\"type\":\"Answer\",\"value\":{}}", format!("{failed}Answer: field text: missing")),
    ] {
        assert_eq!(posted(event).unwrap_err(), error, "{event}");
    }
}

#[test]
fn a_reply_names_the_number_of_an_event_or_none() {
    let number =
        |number: &str| PostedBody::parse(format!("{{\"in_reply_to\":{number}}}").as_bytes()).unwrap().in_reply_to();
    for (text, expected) in [
        ("0", 0),
        ("7", 7),
        ("7.0", 7),
        ("7e0", 7),
        ("-0", 0),
        ("18446744073709551615", u64::MAX),
        ("1e19", 10u64.pow(19)),
    ] {
        assert_eq!(number(text), Ok(Some(expected)), "{text}");
    }
    assert_eq!((number("null"), number("\"\"")), (Ok(None), Ok(None)));
    let digits = "9".repeat(QUOTED_BYTES_MAX + 1);
    let cut = format!("{}…", &digits[..QUOTED_BYTES_MAX]);
    for (text, got) in [
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("18446744073709551616", "18446744073709551616"),
        ("1e300", "1e300"),
        (&digits, &cut),
        ("\"7\"", "a string"),
        ("true", "a boolean"),
        ("[7]", "an array"),
    ] {
        let error = number(text).unwrap_err();
        assert_eq!(
            error,
            format!(
                "Invalid in_reply_to: expected the number of an event, an integer from 0 to 18446744073709551615; got \
                 {got}"
            ),
            "{text}"
        );
    }
}

#[test]
fn a_step_is_a_string_or_none() {
    let step = |step: &str| PostedBody::parse(format!("{{\"step\":{step}}}").as_bytes()).unwrap().step();
    assert_eq!(step("\"ask\""), Ok(Some("ask".to_owned())));
    assert_eq!(step("\"\""), Ok(None));
    assert_eq!(step("null"), Ok(None));
    assert_eq!(step("5").unwrap_err(), "Invalid step: expected a string, got a number");
}

#[test]
fn a_body_may_begin_with_one_byte_order_mark() {
    let marked = RunBody::parse("\u{feff}{\"handler_id\":\"h\"}".as_bytes()).unwrap();
    assert_eq!(marked.handler_id(), Ok(Some("h".to_owned())));
    assert!(RunBody::parse("\u{feff}".as_bytes()).is_ok(), "an empty body is one with a mark too");
    assert!(RunBody::parse("\u{feff}\u{feff}{}".as_bytes()).is_err());
    assert!(PostedBody::parse("\u{feff}{}".as_bytes()).is_ok());
}

#[test]
fn fields_beside_the_start_event_are_pointed_out_if_it_lacks_them() {
    let graph = fixtures::graph(true);
    let needs_text = graph.event(graph.event_id("Work").unwrap());
    let fault = |body: &str| RunBody::parse(body.as_bytes()).unwrap().start_event(needs_text).unwrap_err();
    let missing = "Validation error for 'start_event': field text: missing";
    assert_eq!(
        fault(r#"{"start_evnt":{"text":"a"}}"#),
        format!("{missing}; the body has `start_evnt`: did you mean `start_event`?")
    );
    assert_eq!(
        fault(r#"{"text":"a"}"#),
        format!("{missing}; the body has `text`, but no member start_event, in which the fields stand")
    );
    assert_eq!(fault("{}"), missing);
}

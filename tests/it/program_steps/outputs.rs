//! What programs print, as values, lines or text.

use serde_json::{Value, json};
use steprill::command::{Output, Program};

use super::{Flow, Step, one, program, sh};
use crate::programs::served::{Served, values};

fn lines(script: &str) -> Program {
    Program { output: Output::Events, ..sh(script) }
}

#[test]
fn the_event_comes_on_stdin_and_the_value_on_stdout_is_the_event() {
    let stop = one(sh(r#"read -r event; printf '{"result":%s}' "$event""#)).run(&json!({ "a": "ü\n", "b": [1] }));
    assert_eq!(stop, Ok(json!({ "result": { "a": "ü\n", "b": [1] } })));
}

#[test]
fn a_value_may_be_printed_over_several_lines() {
    let stop = one(sh(r#"printf '{\n  "result": [\r\n 1\n]\n}\n\n'"#)).run(&json!({}));
    assert_eq!(stop, Ok(json!({ "result": [1] })));
}

#[test]
fn arguments_are_text_as_is_or_json_and_are_never_split() {
    let print = r#"import sys, json; print(json.dumps({"result": sys.argv[1:]}))"#;
    let print = print.replace('{', "{{").replace('}', "}}");
    let argv = ["python3", "-c", &print, "--name={name}", "{list}", "{missing}", "{nothing}", "{{}}"];
    let stop = one(program(&argv)).run(&json!({ "name": "a  b\"$(x)", "list": [1, "x"], "nothing": null }));
    assert_eq!(stop, Ok(json!({ "result": ["--name=a  b\"$(x)", r#"[1,"x"]"#, "", "", "{}"] })));
}

#[test]
fn all_of_the_output_is_the_text_of_a_field() {
    let text = Program { output: Output::Text("result".into()), ..sh(r#"printf ' two\nlines "ü"\r\n'"#) };
    assert_eq!(one(text).run(&json!({})), Ok(json!({ "result": " two\nlines \"ü\"" })));
}

#[test]
fn a_fan_out_prints_an_array_and_a_fan_in_gets_one() {
    let flow = Flow::new("fan")
        .event("Item", &json!({ "n": { "type": "integer" } }))
        .event("Square", &json!({ "n": { "type": "integer" } }))
        .step(Step::sh("split", "StartEvent", "Item[]", r#"echo '[{"n":1},{"n":2},{"n":3}]'"#))
        .step(Step::sh("square", "Item", "Square", r#"read -r e; n=${e#*:}; n=${n%\}}; echo "{\"n\":$((n*n))}""#))
        .step(Step::sh("sum", "Square[]", "StopEvent", r#"read -r all; echo "{\"result\":$all}""#));
    assert_eq!(flow.run(&json!({})), Ok(json!({ "result": [{ "n": 1 }, { "n": 4 }, { "n": 9 }] })));
}

#[test]
fn a_fan_in_of_several_types_gets_each_with_its_type() {
    let flow = Flow::new("fan")
        .event("A", &json!({}))
        .event("B", &json!({}))
        .step(Step::run(
            "split",
            "StartEvent",
            "A|B[]",
            lines(r#"echo '{"type":"B","value":{}}'; echo '{"type":"A","value":{"x":1}}'"#),
        ))
        .step(Step::sh("join", "A|B[]", "StopEvent", r#"read -r all; echo "{\"result\":$all}""#));
    let expected = json!([{ "type": "B", "value": {} }, { "type": "A", "value": { "x": 1 } }]);
    assert_eq!(flow.run(&json!({})), Ok(json!({ "result": expected })));
}

#[test]
fn nothing_is_right_for_a_step_that_may_emit_nothing() {
    let flow = Flow::new("maybe")
        .event("Item", &json!({}))
        .step(Step::sh("begin", "StartEvent", "Item?", "cat > /dev/null"))
        .step(Step::sh("end", "Item", "StopEvent", "echo '{}'"));
    assert_eq!(flow.run(&json!({})), Err("no step is left to run and none returned StopEvent".into()));
}

#[test]
fn streamed_events_are_published_at_once_and_emitted_ones_at_the_end() {
    let script = r#"echo '{"type":"Progress","value":{"percent":1}}'
        echo '{"type":"Progress","value":{"percent":2.0}}'
        read -r event; echo '{"type":"StopEvent","value":{"result":true}}'"#;
    let step = Step::run("only", "StartEvent", "StopEvent", lines(script));
    let flow = Flow::new("streams")
        .event("Progress", &json!({ "percent": { "type": "integer" } }))
        .step(step.with(|parts| parts.streams.push("Progress".into())));
    let server = Served::start([flow.build()]);
    let handler = server.begin("streams", &json!({}));
    let feed = server.feed(&handler);
    assert_eq!(values(&feed, "Progress"), [&json!({ "percent": 1 }), &json!({ "percent": 2 })]);
    assert_eq!(values(&feed, "StopEvent"), [&json!({ "result": true })]);
}

#[test]
fn very_many_streamed_events_come_in_order_and_complete() {
    let script = r#"i=0; while [ $i -lt 3000 ]; do printf '{"type":"N","value":{"n":%d,"x":"%0200d"}}\n' $i 0; 
        i=$((i+1)); done; echo '{"type":"StopEvent","value":{}}'"#;
    let step = Step::run("only", "StartEvent", "StopEvent", lines(script));
    let flow = Flow::new("many").event("N", &json!({ "n": { "type": "integer" } }));
    let server = Served::start([flow.step(step.with(|parts| parts.streams.push("N".into()))).build()]);
    let handler = server.begin("many", &json!({}));
    let feed = server.feed(&handler);
    let numbers: Vec<&Value> = values(&feed, "N").into_iter().map(|value| &value["n"]).collect();
    assert!(numbers.len() == 3000 && numbers.iter().zip(0..).all(|(number, expected)| **number == expected));
}

#[test]
fn state_is_changed_with_the_end_of_the_step_and_read_from_a_private_file() {
    let change = r#"echo '{"state":{"set":{"a":{"b":1}},"add":{"n":2},"push":{"list":"x"}}}'
        echo '{"state":{"add":{"n":0.5},"push":{"list":"y"}}}'
        echo '{"type":"Item","value":{}}'"#;
    let show = r#"f=$STEPRILL_STATE; modes="$(stat -c %a "$f") $(stat -c %a "$(dirname "$f")")"
        echo "{\"result\":[$(cat "$f"), \"$modes\"]}""#;
    let flow = Flow::new("state")
        .event("Item", &json!({}))
        .step(Step::run("change", "StartEvent", "Item", lines(change)))
        .step(Step::sh("show", "Item", "StopEvent", show));
    let state = json!({ "a": { "b": 1 }, "list": ["x", "y"], "n": 2.5 });
    assert_eq!(flow.run(&json!({})), Ok(json!({ "result": [state, "400 700"] })));
}

#[test]
fn an_output_of_megabytes_is_taken() {
    let script = r#"import json; print(json.dumps([{"n": n, "text": "x" * 1000} for n in range(3000)]))"#;
    let script = script.replace('{', "{{").replace('}', "}}");
    let flow = Flow::new("large")
        .event("Item", &json!({ "n": { "type": "integer" } }))
        .step(Step::run("split", "StartEvent", "Item[]", program(&["python3", "-c", &script])))
        .step(Step::sh("join", "Item[]", "StopEvent", r#"echo "{\"result\":$(wc -c)}""#));
    let stop = flow.run(&json!({})).expect("it completes");
    assert!(stop["result"].as_u64() > Some(3_000_000), "{stop}");
}

//! The types of fields: their schemas and checks are those of a twin in Rust; defaults; conditions.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use steprill::{
    Event, StopEvent, Workflow,
    command::Action,
    event,
    graph::{EventType, Shape},
    workflow::Runs,
};

use super::{faults, good};

fn three() -> i64 {
    3
}

event! {
    /// An order.
    struct Order {
        customer: String,
        items: Vec<String>,
        by_whom: Option<String>,
        prices: Option<Vec<f64>>,
        gaps: Vec<Option<i64>>,
        ratio: f64,
        /// How often.
        #[serde(default = "three")]
        max_attempts: i64,
        flag: bool,
        any: Value,
        map: BTreeMap<String, Value>,
    }
    struct Empty {}
}

const TWIN: &str = r#"
[start.Order]
description = "An order."
customer = "string"
items = "string[]"
by_whom = "string?"
prices = "number[]?"
gaps = "integer?[]"
ratio = "number"
max_attempts = { type = "integer", default = 3, description = "How often." }
flag = "boolean"
any = "any"
map = "object"

[steps.only]
accepts = "Order"
emits = "StopEvent"
emit = {}
"#;

/// Returns the start event of a workflow that begins with an `E`.
fn in_rust<E: Event>() -> EventType {
    let workflow = Workflow::new::<E, StopEvent>("flow").step("only", |_, _: E| Ok(StopEvent::default())).build();
    let workflow = workflow.unwrap_or_else(|faults| panic!("{faults}"));
    workflow.graph().event(workflow.graph().start).clone()
}

fn start(text: &str) -> EventType {
    let file = good(text);
    let graph = file.workflow.graph();
    graph.event(graph.start).clone()
}

/// Returns the start event with these fields.
fn fields(fields: &str) -> EventType {
    start(&format!("[start.In]\n{fields}\n[steps.a]\naccepts = 'In'\nemits = 'StopEvent'\nemit = {{}}"))
}

#[track_caller]
fn refuses(shape: &Shape, value: &Value, fault: &str) {
    let told = shape.check(&value.to_string()).expect_err("a fault");
    assert_eq!(told.to_string(), fault, "{value}");
}

#[test]
fn an_event_has_the_schema_of_its_twin_in_rust() {
    let (file, rust) = (start(TWIN), in_rust::<Order>());
    assert_eq!(file.schema.to_string(), rust.schema.to_string());
    assert_eq!((file.qualified_name, file.kind, file.builtin), (rust.qualified_name, rust.kind, rust.builtin));
    let empty = "[start.Empty]\n[steps.a]\naccepts = 'Empty'\nemits = 'StopEvent'\nemit = {}";
    assert_eq!(start(empty).schema.to_string(), in_rust::<Empty>().schema.to_string());
    let untyped = good("[steps.a]\naccepts = 'StartEvent'\nemits = 'StopEvent'\nemit = {}");
    let rust = Workflow::new::<steprill::StartEvent, StopEvent>("flow")
        .step("a", |_, _: steprill::StartEvent| Ok(StopEvent::default()))
        .build()
        .unwrap();
    for (file, rust) in untyped.workflow.graph().events.iter().zip(&rust.graph().events) {
        assert_eq!((&file.name, &file.qualified_name, file.kind), (&rust.name, &rust.qualified_name, rust.kind));
        assert_eq!((&file.schema, file.builtin), (&rust.schema, true));
    }
}

#[test]
fn values_are_refused_in_the_words_of_the_twin() {
    let (file, rust) = (start(TWIN).shape, in_rust::<Order>().shape);
    let whole = json!({
        "customer": "Ada", "items": ["tea"], "by_whom": null, "prices": [1.5], "gaps": [1, null], "ratio": 1,
        "flag": true, "any": [1], "map": {"a": 1}, "further": 1
    });
    assert!(file.check(&whole.to_string()).is_ok() && rust.check(&whole.to_string()).is_ok());
    for (name, value) in [
        ("customer", json!(1)),
        ("items", json!(["a", 1])),
        ("by_whom", json!(1)),
        ("prices", json!(["x"])),
        ("gaps", json!([1.5])),
        ("ratio", json!("1")),
        ("max_attempts", json!(1.5)),
        ("flag", json!(null)),
        ("map", json!([])),
    ] {
        let mut value_of = whole.clone();
        value_of[name] = value;
        let text = value_of.to_string();
        let told = file.check(&text).expect_err("a fault");
        assert_eq!(told.to_string(), rust.check(&text).expect_err("a fault").to_string(), "{name}");
    }
    for name in ["customer", "any", "map"] {
        let mut partial = whole.clone();
        partial.as_object_mut().expect("an object").remove(name);
        refuses(&file, &partial, &format!("field {name}: missing"));
    }
}

#[test]
fn settings_bound_what_a_field_may_have() {
    let shape = fields(
        "percent = { type = 'integer', min = 0, max = 100 }\n\
         share = { type = 'number?', min = 0.5, max = 1 }\n\
         name = { type = 'string?', min_length = 1, max_length = 3 }\n\
         at = 'date-time?'\n\
         size = { enum = ['s', 'm', 'l'], default = 'm' }\n\
         sizes = { type = 'string[]?', enum = ['s', 'm'], min_items = 1, max_items = 2 }\n\
         points = { items = { x = 'integer' }, max_items = 1, default = [] }\n\
         rows = { type = 'object[]?', fields = { n = { type = 'integer', max = 3 } } }\n\
         to = { street = 'string', zip = { type = 'string?', max_length = 5 } }",
    )
    .shape;
    let whole = json!({"percent": 0, "to": {"street": "x"}});
    assert!(shape.check(&whole.to_string()).is_ok());
    for (name, value, fault) in [
        ("percent", json!(101), "field percent: expected integer from 0 to 100, got 101"),
        ("share", json!(0.4), "field share: expected number from 0.5 to 1, got 0.4"),
        ("name", json!("long"), "field name: expected 1 to 3 characters, got 4"),
        ("at", json!("today"), "field at: expected a date and time such as 2026-01-31T12:00:00Z"),
        ("size", json!("xl"), "field size: unknown variant `xl`, expected one of `s`, `m`, `l`"),
        ("sizes", json!(["s", "l"]), "field sizes[1]: unknown variant `l`, expected `s` or `m`"),
        ("sizes", json!([]), "field sizes: expected 1 to 2 elements, got 0"),
        ("points", json!([{"x": 1}, {"x": 2}]), "field points: expected at most 1 element, got 2"),
        ("points", json!([{"y": 1}]), "field points[0].x: missing"),
        ("rows", json!([{"n": 4}]), "field rows[0].n: expected integer of 3 or less, got 4"),
        ("to", json!({"street": 1}), "field to.street: expected string, got number"),
        ("to", json!({"street": "x", "zip": "123456"}), "field to.zip: expected at most 5 characters, got 6"),
    ] {
        let mut value_of = whole.clone();
        value_of[name] = value;
        refuses(&shape, &value_of, fault);
    }
    for (name, value) in [
        ("share", json!(0.5)),
        ("at", json!("2026-01-31T12:00:00Z")),
        ("sizes", json!(null)),
        ("percent", json!(100.0)),
    ] {
        let mut value_of = whole.clone();
        value_of[name] = value;
        assert!(shape.check(&value_of.to_string()).is_ok(), "{name}");
    }
}

#[test]
fn absent_fields_have_their_defaults_in_what_a_step_sees() {
    let shape = fields(
        "note = { type = 'string', default = '-' }\nby = 'string?'\nn = 'integer'\n\
         to = { street = 'string', zip = { type = 'string', default = '0' } }",
    )
    .shape;
    for (came, seen) in [
        (r#"{"n":1,"to":{"street":"x"}}"#, r#"{"n":1,"to":{"street":"x","zip":"0"},"note":"-","by":null}"#),
        (
            r#"{"to":{"street":"x","zip":"1"},"n":2.0,"note":"a","by":"b"}"#,
            r#"{"to":{"street":"x","zip":"1"},"n":2,"note":"a","by":"b"}"#,
        ),
        (
            r#" {"n":1 , "to":{"street":"x"} , "by":null } "#,
            r#" {"n":1 , "to":{"street":"x" ,"zip":"0"} , "by":null ,"note":"-"} "#,
        ),
    ] {
        let completed = shape.complete(came).expect("it fits");
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(value(&completed), value(seen), "{completed}");
    }
    assert_eq!(fields("a = 'string?'").shape.complete("{}").as_deref(), Ok(r#"{"a":null}"#));
    // What a type of the program does with an absent field is its own affair.
    assert_eq!(in_rust::<Empty>().shape.complete("{}").as_deref(), Ok("{}"));
    let told = shape.complete(r#"{"n":"x"}"#).expect_err("a fault");
    assert_eq!(told.to_string(), "field n: expected integer, got string");
}

#[test]
fn a_table_may_have_a_field_named_like_a_setting() {
    let schema = fields(
        "description = 'string'\nexternal = 'boolean'\nanswer = { type = 'string', min_length = 1 }\n\
         to = { fields = { type = 'string', enum = 'string[]' } }",
    )
    .schema;
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["description", "external", "answer", "to"]);
    assert_eq!(schema["properties"]["to"]["required"], json!(["type", "enum"]));
    assert_eq!(schema.get("description"), None);
    assert_eq!(
        faults("[start.A]\nexternal = 1")[1],
        "2:12: `external` must be a type such as \"string\" or \"integer[]?\", or a table, not an integer"
    );
}

#[test]
fn a_case_applies_if_all_of_its_conditions_hold() {
    let file = good(
        "[start.In]\ntotal = 'number'\nstate = 'string'\nlist = 'any[]'\nto = { zip = 'string' }\n\
         [steps.a]\naccepts = 'In'\nemits = 'StopEvent?'\nemit = [\n\
         { when = { total = { min = 100 }, state = 'new' } },\n{ when = { total = 1 } },\n\
         { when = { state = { enum = ['a', 'b'] } } },\n{ when = { list = { min_items = 2 } } },\n\
         { when = { to = { zip = '0' } } },\n{ when = { state = { min_length = 5 } } }]",
    );
    let graph = file.workflow.graph();
    let Runs::Command(command) = file.workflow.runs(graph.step_id("a").expect("the step")) else {
        panic!("no command")
    };
    let Action::Emit(cases) = &command.action else { panic!("no cases") };
    let first = |value: Value| {
        let mut whole = json!({"total": 5, "state": "", "list": [], "to": {"zip": "9"}});
        whole.as_object_mut().expect("an object").extend(value.as_object().expect("an object").clone());
        let text = whole.to_string();
        cases.iter().position(|case| case.when.as_ref().is_none_or(|when| when.check(&text).is_ok()))
    };
    assert_eq!(first(json!({"total": 100, "state": "new"})), Some(0));
    assert_eq!(first(json!({"total": 99.5, "state": "new"})), None);
    assert_eq!((first(json!({"total": 1.0})), first(json!({"total": 1}))), (Some(1), Some(1)));
    assert_eq!(first(json!({"state": "b"})), Some(2));
    assert_eq!(first(json!({"list": [1, 2]})), Some(3));
    assert_eq!(first(json!({"to": {"zip": "0"}})), Some(4));
    assert_eq!(first(json!({"state": "other"})), Some(5));
}

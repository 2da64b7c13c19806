//! Schemas and checks of events: the form that clients of the API expect, and faults that name the field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steprill::{
    Event, StartEvent, StopEvent, Workflow, event,
    graph::{EventType, Shape},
};

/// A value inside of events.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Address {
    /// The street.
    street: String,
    number: Option<u8>,
}

fn three() -> i64 {
    3
}

event! {
    struct Plain { subject: String, approved: bool, by_whom: String }
    /// All kinds of fields.
    struct Fields {
        /// How often.
        #[serde(default = "three")]
        max_attempts: i64,
        unsigned: u64,
        byte: u8,
        short: i16,
        ratio: f64,
        name: Option<String>,
        tags: Option<Vec<u32>>,
        items: Vec<u32>,
        address: Address,
        other: Option<Address>,
        map: BTreeMap<String, i32>,
        any: Value,
    }
    struct Empty {}
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Mine {
    text: String,
}

impl Event for Mine {}

/// Returns the event type that a workflow has for `E`.
fn described<E: Event>() -> EventType {
    let workflow = Workflow::new::<E, StopEvent>("shop").step("only", |_, _: E| Ok(StopEvent::default())).build();
    let workflow = workflow.unwrap_or_else(|faults| panic!("{faults}"));
    workflow.graph().event(workflow.graph().start).clone()
}

#[test]
fn an_event_has_the_schema_of_the_recorded_exchanges() {
    let golden: Value = json!({
        "properties": {
            "subject": { "title": "Subject", "type": "string" },
            "approved": { "title": "Approved", "type": "boolean" },
            "by_whom": { "title": "By Whom", "type": "string" }
        },
        "required": ["subject", "approved", "by_whom"],
        "title": "Plain",
        "type": "object"
    });
    assert_eq!(described::<Plain>().schema, golden);
    assert_eq!(described::<Empty>().schema, json!({ "properties": {}, "title": "Empty", "type": "object" }));
}

#[test]
fn the_built_in_events_declare_no_fields() {
    let start = described::<StartEvent>();
    assert_eq!(&*start.qualified_name, "workflows.events.StartEvent");
    assert_eq!(start.schema["properties"], json!({}));
    assert_eq!((&start.schema["title"], &start.schema["type"]), (&json!("StartEvent"), &json!("object")));
    assert_eq!(start.schema.get("required"), None);
}

#[test]
fn an_event_is_also_a_type_of_ones_own_with_one_line() {
    let mine = described::<Mine>();
    assert_eq!((&*mine.name, &*mine.qualified_name), ("Mine", "shop.Mine"));
    assert_eq!(mine.schema["required"], json!(["text"]));
}

#[test]
fn every_kind_of_field_looks_as_pydantic_writes_it() {
    let schema = described::<Fields>().schema;
    assert_eq!(schema["description"], "All kinds of fields.");
    assert_eq!(
        schema["properties"],
        json!({
            "max_attempts": { "title": "Max Attempts", "type": "integer", "default": 3, "description": "How often." },
            "unsigned": { "title": "Unsigned", "type": "integer" },
            "byte": { "title": "Byte", "type": "integer" },
            "short": { "title": "Short", "type": "integer" },
            "ratio": { "title": "Ratio", "type": "number" },
            "name": { "title": "Name", "anyOf": [{ "type": "string" }, { "type": "null" }], "default": null },
            "tags": {
                "title": "Tags",
                "anyOf": [{ "type": "array", "items": { "type": "integer" } }, { "type": "null" }],
                "default": null
            },
            "items": { "title": "Items", "type": "array", "items": { "type": "integer" } },
            "address": { "title": "Address", "$ref": "#/$defs/Address" },
            "other": {
                "title": "Other",
                "anyOf": [{ "$ref": "#/$defs/Address" }, { "type": "null" }],
                "default": null
            },
            "map": { "title": "Map", "type": "object", "additionalProperties": { "type": "integer" } },
            "any": { "title": "Any" }
        })
    );
    assert_eq!(
        schema["$defs"]["Address"],
        json!({
            "description": "A value inside of events.",
            "properties": {
                "street": { "title": "Street", "type": "string", "description": "The street." },
                "number": { "title": "Number", "anyOf": [{ "type": "integer" }, { "type": "null" }], "default": null }
            },
            "required": ["street"],
            "title": "Address",
            "type": "object"
        })
    );
    let text = schema.to_string();
    for absent in ["$schema", "format", "minimum", "maximum"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    assert_eq!(schema["required"], json!(["unsigned", "byte", "short", "ratio", "items", "address", "map", "any"]));
}

#[test]
fn a_check_names_the_field_the_expected_and_the_given() {
    let check = |shape: &Shape, text: &str| shape.check(text).map(drop).map_err(|mismatch| mismatch.to_string());
    let plain = described::<Plain>().shape;
    assert_eq!(check(&plain, r#"{"subject":"a","approved":true,"by_whom":"b","further":1}"#), Ok(()));
    assert_eq!(
        check(&plain, r#"{"subject":"a","approved":"yes","by_whom":"b"}"#),
        Err("field approved: expected boolean, got string".into())
    );
    assert_eq!(check(&plain, "{}"), Err("field subject: missing".into()));
    // serde would accept an array for the fields in order, but an event is an object.
    assert_eq!(check(&plain, r#"["a",true,"b"]"#), Err("expected object, got array".into()));
    let start = described::<StartEvent>().shape;
    assert_eq!(check(&start, r#"{"any":[1,{"thing":null}]}"#), Ok(()));
    assert_eq!(check(&start, "null"), Err("expected object, got null".into()));
}

#[test]
fn a_stop_event_is_read_back_as_it_was_written() {
    for (stop, text) in [
        (StopEvent::default(), "{}"),
        (StopEvent::new(Option::<u32>::None), "{}"),
        (StopEvent::new([1, 2]), r#"{"result":[1,2]}"#),
    ] {
        assert_eq!(serde_json::to_string(&stop).unwrap(), text);
        let back: StopEvent = serde_json::from_str(text).unwrap();
        assert_eq!(back.result::<Value>().unwrap(), stop.result::<Value>().unwrap());
    }
    let error = StopEvent::new("x").result::<u32>().unwrap_err();
    assert_eq!(error.to_string(), "field result: expected integer, got string");
}

#[test]
fn an_open_start_event_preserves_all_fields_and_the_last_of_two_with_one_name() {
    let text = r#"{"a":1,"b":{"c":[null]},"a":2,"é\n":true}"#;
    let start: StartEvent = serde_json::from_str(text).unwrap();
    assert_eq!(start.get::<u32>("a").unwrap(), Some(2));
    assert_eq!(start.get::<bool>("é\n").unwrap(), Some(true));
    assert_eq!(start.get::<u32>("z").unwrap(), None);
    assert_eq!(serde_json::to_string(&start).unwrap(), text);
    let with = StartEvent::new().with("x", 1).with("x", "y");
    assert_eq!(serde_json::to_string(&with).unwrap(), r#"{"x":"y"}"#);
}

#[test]
fn a_field_of_a_start_event_preserves_numbers_of_any_length() {
    let start = StartEvent::new().with("a", u128::MAX).with("b", 1).with("a", u128::MAX - 1).with("c", "x");
    let (a, b, c): (Option<u128>, Option<u8>, Option<String>) =
        (start.get("a").expect("u128"), start.get("b").expect("u8"), start.get("c").expect("a string"));
    assert_eq!((a, b, c.as_deref()), (Some(u128::MAX - 1), Some(1), Some("x")));
    let text = serde_json::to_string(&start).expect("it serialises");
    assert_eq!(text, format!(r#"{{"a":{},"b":1,"c":"x"}}"#, u128::MAX - 1));
}

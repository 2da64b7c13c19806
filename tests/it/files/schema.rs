//! The JSON Schema of workflow files.

use serde_json::{Value, json};
use steprill::{WORKFLOW_FILE_SCHEMA, graph::Shape};
use toml::de::{DeTable, DeValue};

use super::{ORDER, good};

fn schema() -> Value {
    serde_json::from_str(WORKFLOW_FILE_SCHEMA).expect("JSON")
}

/// Returns a file in TOML as JSON.
fn to_json(text: &str) -> Value {
    fn value(of: &DeValue<'_>) -> Value {
        match of {
            DeValue::String(text) => text.to_string().into(),
            DeValue::Integer(number) => number.as_str().parse::<i64>().expect("an integer").into(),
            DeValue::Boolean(flag) => (*flag).into(),
            DeValue::Array(elements) => elements.iter().map(|element| value(element.get_ref())).collect(),
            DeValue::Table(table) => members(table),
            other => panic!("{other:?}"),
        }
    }
    fn members(table: &DeTable<'_>) -> Value {
        table.iter().map(|(name, of)| (name.get_ref().to_string(), value(of.get_ref()))).collect()
    }
    members(DeTable::parse(text).expect("TOML").get_ref())
}

/// Returns the keys of one of the schema's objects.
fn keys(of: &Value) -> Vec<String> {
    of["properties"].as_object().expect("properties").keys().cloned().collect()
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let shape = Shape::of_schema(&schema());
    good(ORDER);
    shape.check(&to_json(ORDER).to_string()).unwrap_or_else(|fault| panic!("{fault}"));
    for (file, fault) in [
        (json!({"steps": {"a": {"accepts": 1}}}), "field steps"),
        (json!({"steps": {}, "timeouts": "1s"}), "unknown field `timeouts`"),
        (json!({"steps": {"a": {"accepts": "A", "worker": 1}}}), "unknown field `worker`"),
    ] {
        let found = shape.check(&file.to_string()).expect_err("a fault").to_string();
        assert!(found.contains(fault), "{found}");
    }
}

#[test]
fn the_schema_has_the_keys_that_the_reader_knows() {
    let schema = schema();
    let defs = &schema["$defs"];
    for (of, file, place) in [
        (&schema, "x = 1", "a workflow file has no key `x`"),
        (&defs["step"], "[steps.a]\nx = 1", "step `a` has no key `x`"),
        (&defs["retry"], "[steps.a]\nretry = { x = 1 }", "`retry` has no key `x`"),
        (&defs["case"], "[steps.a]\nemits = 'StopEvent'\nemit = [{ x = 1 }]", "a case of `emit` has no key `x`"),
        (&defs["event"]["anyOf"][1], "[steps.a]\non_failure = { x = 1 }", "`on_failure` has no key `x`"),
        (&defs["settings"], "[start.A]\nf = { type = 'any', x = 1 }", "the field `f` has no key `x`"),
    ] {
        let faults = super::faults(file);
        let fault = faults.iter().find_map(|fault| fault.split_once(place)).expect("the fault").1;
        let listed: Vec<&str> = fault.split('`').skip(1).step_by(2).collect();
        let (mut listed, mut keys) = (listed, keys(of));
        listed.sort_unstable();
        keys.sort_unstable();
        assert_eq!(listed, keys, "{place}");
    }
}

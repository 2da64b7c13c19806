//! JSON Schemas of events, in the form that clients of the API expect: pydantic's.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Returns the schema of an event with this name: `properties`, `title`, `type`, and where needed `$defs`,
/// `description` and `required`. Members are in order of name, properties in order of declaration, as in pydantic.
pub(super) fn of<E: JsonSchema>(name: &str) -> Value {
    of_event(name, raw::<E>())
}

/// Returns the schema of an event with this name from one in the form of schemars.
pub(crate) fn of_event(name: &str, mut schema: Value) -> Value {
    if let Value::Object(root) = &mut schema {
        tidy(root);
        root.insert("title".into(), Value::String(name.to_owned()));
        root.entry("type").or_insert_with(|| "object".into());
        root.entry("properties").or_insert_with(|| json!({}));
        root.sort_keys();
    }
    schema
}

/// Returns the schema as schemars writes it, including what follows only from the width of a Rust type.
pub(super) fn raw<E: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
    settings.into_generator().into_root_schema_for::<E>().to_value()
}

fn tidy(schema: &mut Map<String, Value>) {
    forget_rust(schema);
    nullable_as_any_of(schema);
    for key in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        if let Some(Value::Array(parts)) = schema.get_mut(key) {
            parts.iter_mut().filter_map(Value::as_object_mut).for_each(tidy);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(Value::Object(part)) = schema.get_mut(key) {
            tidy(part);
        }
    }
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        for (name, definition) in definitions.iter_mut() {
            if let Value::Object(definition) = definition {
                tidy(definition);
                definition.entry("title").or_insert_with(|| name.clone().into());
                definition.sort_keys();
            }
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            // `true` accepts any value; so does an object, which has room for a title.
            if *property == Value::Bool(true) {
                *property = json!({});
            }
            if let Value::Object(property) = property {
                tidy(property);
                if is_nullable(property) {
                    property.entry("default").or_insert(Value::Null);
                }
                property.entry("title").or_insert_with(|| title(name).into());
                property.sort_keys();
            }
        }
    }
}

/// Removes what follows only from the width of the Rust type: its format, and bounds that equal its own.
fn forget_rust(schema: &mut Map<String, Value>) {
    let (low, high) = match schema.get("format").and_then(Value::as_str) {
        Some("int8") => (Some(i64::from(i8::MIN)), Some(i64::from(i8::MAX))),
        Some("int16") => (Some(i64::from(i16::MIN)), Some(i64::from(i16::MAX))),
        Some("uint8") => (Some(0), Some(i64::from(u8::MAX))),
        Some("uint16") => (Some(0), Some(i64::from(u16::MAX))),
        Some("uint32" | "uint64" | "uint128" | "uint") => (Some(0), None),
        Some("int32" | "int64" | "int128" | "int" | "float" | "double") => (None, None),
        _ => return,
    };
    schema.remove("format");
    for (key, bound) in [("minimum", low), ("maximum", high)] {
        if bound.is_some() && schema.get(key).and_then(Value::as_i64) == bound {
            schema.remove(key);
        }
    }
}

/// Replaces `"type": ["string", "null"]` by `"anyOf": [{"type": "string"}, {"type": "null"}]`.
fn nullable_as_any_of(schema: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = schema.get("type") else { return };
    let [Value::String(one), Value::String(null)] = types.as_slice() else { return };
    if null != "null" {
        return;
    }
    let mut inner = Map::new();
    inner.insert("type".into(), one.clone().into());
    for key in schema.keys().cloned().collect::<Vec<_>>() {
        if !["type", "title", "description", "default", "$defs"].contains(&key.as_str()) {
            inner.extend(schema.remove(&key).map(|value| (key, value)));
        }
    }
    schema.remove("type");
    inner.sort_keys();
    schema.insert("anyOf".into(), json!([inner, { "type": "null" }]));
}

fn is_nullable(schema: &Map<String, Value>) -> bool {
    let null = json!({ "type": "null" });
    schema.get("anyOf").and_then(Value::as_array).is_some_and(|parts| parts.contains(&null))
}

/// Returns `Max Attempts` for `max_attempts`: each run of letters has a capital followed by small letters.
fn title(name: &str) -> String {
    let mut in_word = false;
    let mut title = String::with_capacity(name.len());
    for letter in name.replace('_', " ").chars() {
        if in_word {
            title.extend(letter.to_lowercase());
        } else {
            title.extend(letter.to_uppercase());
        }
        in_word = letter.is_alphabetic();
    }
    title
}

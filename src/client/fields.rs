//! `FIELD=VALUE` as a member of an event, typed by the event's schema.

use std::{
    fs,
    io::{self, Read as _},
};

use serde_json::{Map, Value};
use steprill::limits::{BODY_BYTES_MAX_DEFAULT, CLIENT_REFERENCES_MAX};

use super::failure::{Failure, Result};

/// The JSON Schema of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema<'a>(pub(super) &'a Value);

/// A field of an event, as its schema describes it.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    schema: Schema<'a>,
    /// The schema with the references, or the one of its own if there is none.
    root: Schema<'a>,
    pub(super) is_required: bool,
}

/// What a field may be.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Types {
    /// Names of JSON types; none if any is possible.
    pub(super) names: Vec<String>,
    /// The only values, if there are few.
    pub(super) choices: Vec<Value>,
}

impl<'a> Schema<'a> {
    pub(super) fn fields(self) -> Vec<Field<'a>> {
        let required: Vec<&str> =
            self.0["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = self.0["properties"].as_object().into_iter().flatten();
        let field = |(name, schema): (&'a String, &'a Value)| {
            let is_required = required.contains(&name.as_str());
            Field { name, schema: Schema(schema), root: self, is_required }
        };
        properties.map(field).collect()
    }

    /// Adds the types of this part of a schema, through references and alternatives.
    fn collect(self, root: Self, types: &mut Types, references: &mut usize) {
        if *references >= CLIENT_REFERENCES_MAX {
            return;
        }
        *references += 1;
        let target = self.0["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
        if let Some(target) = target.and_then(|target| root.0.pointer(target)) {
            Schema(target).collect(root, types, references);
        }
        for alternatives in ["anyOf", "oneOf", "allOf"] {
            for part in self.0[alternatives].as_array().into_iter().flatten() {
                Schema(part).collect(root, types, references);
            }
        }
        match &self.0["type"] {
            Value::String(name) => types.names.push(name.clone()),
            Value::Array(names) => types.names.extend(names.iter().filter_map(Value::as_str).map(str::to_owned)),
            _ => {}
        }
        types.choices.extend(self.0["enum"].as_array().into_iter().flatten().cloned());
        types.choices.extend(self.0.get("const").cloned());
    }
}

impl Field<'_> {
    pub(super) fn types(&self) -> Types {
        let mut types = Types::default();
        self.schema.collect(self.root, &mut types, &mut 0);
        types
    }

    pub(super) fn description(&self) -> &str {
        self.schema.0["description"].as_str().unwrap_or_default()
    }

    pub(super) fn default(&self) -> Option<&Value> {
        self.schema.0.get("default")
    }
}

impl Types {
    /// Reads a text as one of these types.
    pub(super) fn read(&self, text: &str) -> std::result::Result<Value, String> {
        let json = serde_json::from_str::<Value>(text).ok();
        if !self.choices.is_empty() {
            let is_meant =
                |choice: &&Value| choice.as_str().map_or(json.as_ref() == Some(*choice), |word| word == text);
            let shown: Vec<String> = self.choices.iter().map(super::show::field).collect();
            return match self.choices.iter().find(is_meant) {
                Some(choice) => Ok(choice.clone()),
                None => Err(format!("expected {}, got '{text}'", shown.join(" or "))),
            };
        }
        if self.names.is_empty() {
            return Ok(guess(text, json));
        }
        let fitting = json.filter(|value| !value.is_string() && self.has(value));
        match fitting {
            Some(value) => Ok(value),
            None if self.names.iter().any(|name| name == "string") => Ok(Value::from(text)),
            None => Err(format!("expected {}, got '{text}'", self.shown())),
        }
    }

    fn has(&self, value: &Value) -> bool {
        self.names.iter().any(|name| match name.as_str() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        })
    }

    /// Returns the types, or the choices, in a few words.
    pub(super) fn described(&self) -> String {
        match (&self.choices[..], &self.names[..]) {
            ([], []) => "any".to_owned(),
            ([], names) => names.join(" or "),
            (choices, _) => choices.iter().map(super::show::field).collect::<Vec<_>>().join(" or "),
        }
    }

    /// Returns the types as people say them.
    fn shown(&self) -> String {
        let word = |name: &str| match name {
            "boolean" => "true or false".to_owned(),
            "array" => "a JSON array".to_owned(),
            "object" => "a JSON object".to_owned(),
            "integer" => "an integer".to_owned(),
            "number" => "a number".to_owned(),
            "string" => "a text".to_owned(),
            other => other.to_owned(),
        };
        self.names.iter().map(|name| word(name)).collect::<Vec<_>>().join(" or ")
    }
}

/// Returns the value that a text probably means where nothing says its type.
fn guess(text: &str, json: Option<Value>) -> Value {
    json.filter(|value| !value.is_string()).unwrap_or_else(|| Value::from(text))
}

/// Adds `FIELD=VALUE` and `FIELD:=JSON` to the fields of an event. Returns the names that the schema does not have.
pub(super) fn add<'a>(fields: &mut Map<String, Value>, given: &'a [String], schema: &Value) -> Result<Vec<&'a str>> {
    let known = Schema(schema).fields();
    let mut unknown = Vec::new();
    for given in given {
        let split = given.split_once('=').filter(|(name, _)| !name.trim_end_matches(':').is_empty());
        let Some((name, text)) = split else {
            return Err(Failure::usage(format!("expected FIELD=VALUE or FIELD:=JSON, got '{given}'")));
        };
        let is_json = name.ends_with(':');
        let name = name.strip_suffix(':').unwrap_or(name);
        let field = known.iter().find(|field| field.name == name);
        let value = if is_json {
            serde_json::from_str(text).map_err(|error| format!("expected JSON behind :=, got '{text}' ({error})"))
        } else {
            field.map(Field::types).unwrap_or_default().read(text)
        };
        fields.insert(name.to_owned(), value.map_err(|error| Failure::usage(format!("{name}: {error}")))?);
        if field.is_none() && !known.is_empty() {
            unknown.push(name);
        }
    }
    Ok(unknown)
}

/// Reads an object of fields from a file, or from stdin if it is `-`.
pub(super) fn read(path: &str) -> Result<Map<String, Value>> {
    let most = BODY_BYTES_MAX_DEFAULT as u64;
    let mut text = String::new();
    let read = match path {
        "-" => io::stdin().lock().take(most).read_to_string(&mut text),
        _ => fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::usage(format!("--json {path}: {error}")))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Failure::usage(format!("--json {path}: expected an object of fields"))),
        Err(error) => Err(Failure::usage(format!("--json {path}: expected a JSON object: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(given: &str, expected: &Value) {
        let schema = json!({
            "properties": {
                "text": {"type": "string"}, "n": {"type": "integer"}, "x": {"type": "number"},
                "on": {"type": "boolean"}, "list": {"type": "array"}, "any": {},
                "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "kind": {"$ref": "#/$defs/Kind"}, "loop": {"$ref": "#/$defs/Loop"},
            },
            "$defs": {"Kind": {"enum": ["left", "right"]}, "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}]}},
        });
        let mut fields = Map::new();
        let given = [given.to_owned()];
        match add(&mut fields, &given, &schema) {
            Ok(_) => assert_eq!(Value::from(fields), *expected, "{given:?}"),
            Err(failure) => assert_eq!(Value::from(failure.text), *expected, "{given:?}"),
        }
    }

    #[test]
    fn a_field_is_what_its_schema_says() {
        check("text=5", &json!({"text": "5"}));
        check("text=a=b", &json!({"text": "a=b"}));
        check("n=5", &json!({"n": 5}));
        check("n=5.5", &json!("n: expected an integer, got '5.5'"));
        check("x=-1e3", &json!({"x": -1000.0}));
        check("on=true", &json!({"on": true}));
        check("on=yes", &json!("on: expected true or false, got 'yes'"));
        check("list=[1]", &json!({"list": [1]}));
        check("list=1", &json!("list: expected a JSON array, got '1'"));
        check("maybe=null", &json!({"maybe": null}));
        check("kind=left", &json!({"kind": "left"}));
        check("kind=up", &json!("kind: expected left or right, got 'up'"));
        check("loop=1", &json!({"loop": 1}));
    }

    #[test]
    fn without_a_type_it_is_a_number_or_other_json_else_a_text() {
        check("any=5", &json!({"any": 5}));
        check("any=007", &json!({"any": "007"}));
        check("other={\"a\":1}", &json!({"other": {"a": 1}}));
        check("other=", &json!({"other": ""}));
        check("text:=5", &json!({"text": 5}));
        check("text:=x", &json!("text: expected JSON behind :=, got 'x' (expected value at line 1 column 1)"));
        check("text", &json!("expected FIELD=VALUE or FIELD:=JSON, got 'text'"));
        check("=5", &json!("expected FIELD=VALUE or FIELD:=JSON, got '=5'"));
    }
}

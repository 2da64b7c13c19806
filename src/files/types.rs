//! The types of fields, as they are written, and the JSON Schema that each means.

use serde_json::{Map, Value as Json, json};

use super::{
    fault::{Faults, quoted},
    read,
    tree::{self, Kind, Member, Value},
};
use crate::{
    graph::Shape,
    limits::{FILE_LIST_LEN_MAX, FILE_NAME_BYTES_MAX, FILE_NAMES_MAX, FILE_TYPE_SUFFIXES_MAX},
};

/// A field of an event.
pub(super) struct Field {
    pub(super) name: String,
    /// Its schema, in the form of schemars.
    pub(super) schema: Json,
    /// The shape of its values.
    pub(super) shape: Shape,
    /// Whether it must be present.
    pub(super) required: bool,
    /// Its type without a `?` at its end: `string[]`.
    pub(super) written: String,
    /// Whether it has no `enum`.
    pub(super) is_plain: bool,
}

impl Field {
    /// Returns whether it is a string with any text.
    pub(super) fn is_text(&self) -> bool {
        self.is_plain && self.written == "string"
    }

    /// Returns whether a value of the other field can be one of this.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        let is_text = |written: &str| ["string", "date-time"].contains(&written);
        let is_number = |written: &str| ["integer", "number"].contains(&written);
        let (one, other) = (&*self.written, &*other.written);
        let lists = |written: &str| written.matches("[]").count();
        // What is optional inside of a list may be there.
        let (one, other, depths) = (one.replace('?', ""), other.replace('?', ""), (lists(one), lists(other)));
        let (one, other) = (one.trim_end_matches("[]"), other.trim_end_matches("[]"));
        match (one, other) {
            ("any", _) => depths.0 <= depths.1,
            (_, "any") => depths.1 <= depths.0,
            _ if depths.0 != depths.1 => false,
            _ => one == other || (is_text(one) && is_text(other)) || (is_number(one) && is_number(other)),
        }
    }
}

/// The types that have a name.
const BASES: &[&str] = &["string", "integer", "number", "boolean", "object", "any", "date-time"];

/// Names of types elsewhere, and what they are called here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("str", "string"),
    ("text", "string"),
    ("int", "integer"),
    ("float", "number"),
    ("double", "number"),
    ("bool", "boolean"),
    ("dict", "object"),
    ("map", "object"),
    ("array", "any[]"),
    ("list", "any[]"),
    ("datetime", "date-time"),
    ("timestamp", "date-time"),
    ("json", "any"),
];

/// A type as it is written: `string[]?`.
struct Type<'t> {
    base: &'t str,
    /// What follows, from the inside: whether each is a list; else it is optional.
    lists: Vec<bool>,
}

impl<'t> Type<'t> {
    /// Returns the type, if the text has the form of one. Its base may be unknown.
    fn parse(text: &'t str) -> Option<Self> {
        let (mut base, mut lists) = (text, Vec::new());
        loop {
            if let Some(inner) = base.strip_suffix("[]") {
                lists.push(true);
                base = inner;
            } else if let Some(inner) = base.strip_suffix('?') {
                lists.push(false);
                base = inner;
            } else {
                lists.reverse();
                return (lists.len() <= FILE_TYPE_SUFFIXES_MAX).then_some(Self { base, lists });
            }
        }
    }

    fn is_known(&self) -> bool {
        BASES.contains(&self.base)
    }

    fn is_optional(&self) -> bool {
        self.lists.last() == Some(&false)
    }

    /// Returns it without a `?` at its end.
    fn shown(&self) -> String {
        let lists = self.lists.iter().map(|is_list| if *is_list { "[]" } else { "?" });
        let whole: String = std::iter::once(self.base).chain(lists).collect();
        whole.trim_end_matches('?').to_owned()
    }

    /// Wraps the schema of the base.
    fn wrap(&self, mut schema: Json) -> Json {
        for &is_list in &self.lists {
            schema = if is_list { json!({ "type": "array", "items": schema }) } else { nullable(schema) };
        }
        schema
    }
}

/// Returns whether a text is a type of which the base is known.
pub(super) fn is_type(text: &str) -> bool {
    Type::parse(text).is_some_and(|written| written.is_known())
}

fn nullable(mut schema: Json) -> Json {
    // A list of types is what the schemas of Rust's options have, too.
    if let Some(of @ Json::String(_)) = schema.get("type").cloned() {
        schema["type"] = json!([of, "null"]);
    } else if schema.get("anyOf").is_none() && schema.get("enum").is_some() {
        return json!({ "anyOf": [schema, { "type": "null" }] });
    }
    schema
}

/// Reads the fields of an event or of a nested table.
pub(super) fn fields<'m>(
    members: impl IntoIterator<Item = &'m Member>,
    what: &str,
    faults: &mut Faults<'_>,
) -> Vec<Field> {
    let mut fields = Vec::new();
    for (count, member) in members.into_iter().enumerate() {
        if count == FILE_NAMES_MAX {
            faults.add(member.at, format!("{what} has more than {FILE_NAMES_MAX} fields"));
            break;
        }
        if member.name.is_empty() || member.name.len() > FILE_NAME_BYTES_MAX {
            faults.add(member.at, format!("the name of a field has 1 to {FILE_NAME_BYTES_MAX} bytes"));
            continue;
        }
        fields.extend(field(member, faults));
    }
    fields
}

/// Returns the schema of an object with these fields, in the form of schemars.
pub(super) fn object(fields: &[Field], description: Option<&str>) -> Json {
    let properties: Map<String, Json> = fields.iter().map(|field| (field.name.clone(), field.schema.clone())).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| &*field.name).collect();
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if let Some(description) = description {
        schema["description"] = description.into();
    }
    schema
}

fn field(member: &Member, faults: &mut Faults<'_>) -> Option<Field> {
    let field = |schema: Json, written: &Type<'_>, is_plain| Field {
        name: member.name.clone(),
        shape: Shape::of_schema(&schema),
        required: !written.is_optional(),
        written: written.shown(),
        is_plain,
        schema,
    };
    match &member.value.kind {
        Kind::Text(text) => {
            let written = written(text, &member.value, faults)?;
            Some(field(with_null_default(written.wrap(base(written.base)), &written), &written, true))
        }
        Kind::Table(members) if is_settings(members) => settings(member, members, faults),
        Kind::Table(members) => {
            let nested = fields(members, &quoted(&member.name), faults);
            let written = Type { base: "object", lists: Vec::new() };
            Some(field(object(&nested, None), &written, false))
        }
        _ => {
            faults.add_kind(member, "a type such as \"string\" or \"integer[]?\", or a table");
            None
        }
    }
}

/// Returns the type that is written here.
fn written<'t>(text: &'t str, value: &Value, faults: &mut Faults<'_>) -> Option<Type<'t>> {
    let Some(written) = Type::parse(text) else {
        faults.add(value.at, format!("{} has more than {FILE_TYPE_SUFFIXES_MAX} times `[]` or `?`", quoted(text)));
        return None;
    };
    if !written.is_known() {
        let other = written.base.to_lowercase();
        let meant = match OTHER_NAMES.iter().find(|(known, _)| *known == other) {
            Some((_, meant)) => format!("; write `{meant}`"),
            None => faults.instead(written.base, BASES.iter().copied(), "the types are"),
        };
        faults.add(value.at, format!("{} is no type{meant}", quoted(written.base)));
        return None;
    }
    Some(written)
}

fn base(name: &str) -> Json {
    match name {
        "any" => json!({}),
        "object" => json!({ "type": "object", "additionalProperties": true }),
        "date-time" => json!({ "type": "string", "format": "date-time" }),
        _ => json!({ "type": name }),
    }
}

/// An absent optional field is null.
fn with_null_default(mut schema: Json, written: &Type<'_>) -> Json {
    if written.is_optional() && schema.get("default").is_none() {
        schema["default"] = Json::Null;
    }
    schema
}

/// Returns whether a table says what a field is like; else it has the fields of a nested object.
fn is_settings(members: &[Member]) -> bool {
    members.iter().any(|member| match &*member.name {
        "type" => member.value.text().is_some(),
        "enum" => member.value.list().is_some(),
        "fields" | "items" => member.value.table().is_some(),
        _ => false,
    })
}

const SETTINGS: &[&str] = &[
    "type",
    "description",
    "default",
    "enum",
    "min",
    "max",
    "min_length",
    "max_length",
    "min_items",
    "max_items",
    "fields",
    "items",
];

fn settings(of: &Member, members: &[Member], faults: &mut Faults<'_>) -> Option<Field> {
    let get = |name: &str| tree::get(members, name);
    for member in members.iter().filter(|member| !SETTINGS.contains(&&*member.name)) {
        faults.add_unknown(member, &format!("the field {}", quoted(&of.name)), SETTINGS);
    }
    let text = match get("type") {
        Some(member) => read::string(member, "a type such as \"string\"", faults)?,
        None if get("fields").is_some() => "object",
        None if get("items").is_some() => "any[]",
        None => kind_of_values(get("enum")),
    };
    let written = written(text, get("type").map_or(&of.value, |member| &member.value), faults)?;
    let mut inner = base(written.base);
    for member in members {
        innermost(&mut inner, &written, member, faults);
    }
    let mut schema = written.wrap(inner);
    if let (Some(items), Some(list)) = (get("items"), list_of(&mut schema)) {
        let mut element = field(items, faults)?.schema;
        if let Some(element) = element.as_object_mut() {
            element.remove("default");
        }
        list["items"] = element;
    }
    for (key, keyword) in [("min_items", "minItems"), ("max_items", "maxItems"), ("items", "")] {
        let Some(member) = get(key) else { continue };
        match list_of(&mut schema) {
            None => faults.add(member.at, format!("`{key}` is for lists; the type is {}", quoted(text))),
            Some(_) if keyword.is_empty() => {}
            Some(list) => {
                if let Some(count) = read::whole::<u32>(member, 0, i64::from(u32::MAX), faults) {
                    list[keyword] = count.into();
                }
            }
        }
    }
    if let Some(text) = get("description").and_then(|member| read::string(member, "a string", faults)) {
        schema["description"] = text.into();
    }
    let has_default = get("default").is_some_and(|member| add_default(&mut schema, member, faults));
    let schema = with_null_default(schema, &written);
    let is_plain = get("enum").is_none();
    Some(Field {
        name: of.name.clone(),
        shape: Shape::of_schema(&schema),
        required: !written.is_optional() && !has_default,
        written: written.shown(),
        is_plain,
        schema,
    })
}

/// Returns the schema of the outermost list, which may be optional.
fn list_of(schema: &mut Json) -> Option<&mut Json> {
    let kinds = schema.get("type")?;
    let is_list = kinds == "array" || kinds.as_array().is_some_and(|kinds| kinds.contains(&"array".into()));
    is_list.then_some(schema)
}

/// The type of a field that has only a list of values.
fn kind_of_values(values: Option<&Member>) -> &'static str {
    let first = values.and_then(|member| member.value.list()).and_then(<[Value]>::first);
    match first.map(|value| &value.kind) {
        Some(Kind::Whole(_)) => "integer",
        Some(Kind::Decimal(_)) => "number",
        Some(Kind::Flag(_)) => "boolean",
        _ => "string",
    }
}

/// Adds what a setting says about the values of the base.
fn innermost(schema: &mut Json, written: &Type<'_>, member: &Member, faults: &mut Faults<'_>) {
    let mut misplaced = |what: &str| {
        let text = format!("`{}` is for {what}; the type is {}", member.name, quoted(written.base));
        faults.add(member.at, text);
    };
    match &*member.name {
        "min" | "max" => {
            let keyword = if member.name == "min" { "minimum" } else { "maximum" };
            match (&member.value.kind, written.base) {
                (Kind::Whole(bound), "integer" | "number") => schema[keyword] = (*bound).into(),
                (Kind::Decimal(bound), "number") if bound.is_finite() => schema[keyword] = (*bound).into(),
                (_, "integer") => faults.add_kind(member, "a whole number"),
                (_, "number") => faults.add_kind(member, "a number"),
                _ => misplaced("integers and numbers"),
            }
        }
        "min_length" | "max_length" if written.base != "string" => misplaced("strings"),
        "min_length" | "max_length" => {
            let keyword = if member.name == "min_length" { "minLength" } else { "maxLength" };
            if let Some(count) = read::whole::<u32>(member, 0, i64::from(u32::MAX), faults) {
                schema[keyword] = count.into();
            }
        }
        "fields" if written.base != "object" => misplaced("objects"),
        "fields" => {
            if let Some(members) = read::table(member, "a table of fields and their types", faults) {
                *schema = object(&fields(members, "`fields`", faults), None);
            }
        }
        "enum" => add_values(schema, written, member, faults),
        _ => {}
    }
}

fn add_values(schema: &mut Json, written: &Type<'_>, member: &Member, faults: &mut Faults<'_>) {
    let Some(values) = member.value.list() else {
        faults.add_kind(member, "a list of the values that are allowed");
        return;
    };
    if values.is_empty() {
        faults.add(member.value.at, "`enum` is empty, so that no value is allowed: name one");
        return;
    }
    if values.len() > FILE_LIST_LEN_MAX {
        let text = format!("`enum` has {} values; at most {FILE_LIST_LEN_MAX} are possible", values.len());
        faults.add(member.value.at, text);
        return;
    }
    let shape = Shape::of_schema(schema);
    let mut allowed: Vec<Json> = Vec::new();
    for value in values {
        let Some(json) = value.to_json() else { continue };
        if let Err(fault) = shape.check(&json.to_string()) {
            faults.add(value.at, format!("this value has another type than {}: {fault}", quoted(written.base)));
        } else if allowed.contains(&json) {
            faults.add(value.at, "this value stands twice in the list");
        } else {
            allowed.push(json);
        }
    }
    schema["enum"] = allowed.into();
}

/// Adds a default, which must fit the rest of the schema.
fn add_default(schema: &mut Json, member: &Member, faults: &mut Faults<'_>) -> bool {
    let Some(default) = member.value.to_json() else {
        faults.add(member.value.at, "JSON has no such number");
        return true;
    };
    if let Err(fault) = Shape::of_schema(schema).check(&default.to_string()) {
        faults.add(member.value.at, format!("`default` does not fit the type: {fault}"));
    } else {
        schema["default"] = default;
    }
    true
}

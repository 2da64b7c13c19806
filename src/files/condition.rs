//! Conditions of cases: what the fields of the input must be like.

use serde_json::{Map, Value as Json, json};

use super::{
    construct::Given,
    fault::{Faults, quoted},
    read,
    tree::{Kind, Member},
};
use crate::graph::Shape;

/// What a condition on one field may be besides a value.
const KEYS: &[&str] = &["min", "max", "enum", "min_length", "max_length", "min_items", "max_items"];

/// Returns the shape of the inputs for which all conditions hold.
pub(super) fn shape(conditions: &[Member], given: &Given<'_>, faults: &mut Faults<'_>) -> Shape {
    for member in conditions {
        given.check(&member.name, member.at, faults);
    }
    Shape::of_schema(&object(conditions, faults))
}

fn object(conditions: &[Member], faults: &mut Faults<'_>) -> Json {
    let properties: Map<String, Json> =
        conditions.iter().map(|member| (member.name.clone(), condition(member, faults))).collect();
    let required: Vec<&str> = conditions.iter().map(|member| &*member.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn condition(member: &Member, faults: &mut Faults<'_>) -> Json {
    match &member.value.kind {
        Kind::Table(members) if members.iter().any(|member| KEYS.contains(&&*member.name)) => {
            bounds(member, members, faults)
        }
        Kind::Table(members) => object(members, faults),
        // 1 and 1.0 are the same number.
        Kind::Whole(number) => json!({ "type": "number", "minimum": number, "maximum": number }),
        Kind::Decimal(number) => json!({ "type": "number", "minimum": number, "maximum": number }),
        Kind::Text(_) | Kind::Flag(_) | Kind::Null => json!({ "enum": [member.value.to_json()] }),
        Kind::Date(_) | Kind::List(_) => {
            let expected = "a value, or a table such as `{ min = 1 }` or `{ enum = [\"a\", \"b\"] }`";
            faults.add_kind(member, expected);
            json!({})
        }
    }
}

fn bounds(of: &Member, members: &[Member], faults: &mut Faults<'_>) -> Json {
    let mut schema = json!({});
    for member in members {
        let keyword = match &*member.name {
            "min" => "minimum",
            "max" => "maximum",
            "min_length" => "minLength",
            "max_length" => "maxLength",
            "min_items" => "minItems",
            "max_items" => "maxItems",
            "enum" => "enum",
            _ => {
                faults.add_unknown(member, &format!("the condition on {}", quoted(&of.name)), KEYS);
                continue;
            }
        };
        let kind = match keyword {
            "minimum" | "maximum" => "number",
            "minLength" | "maxLength" => "string",
            "minItems" | "maxItems" => "array",
            _ => "",
        };
        if !kind.is_empty() {
            schema["type"] = kind.into();
        }
        let value = match (keyword, &member.value.kind) {
            ("minimum" | "maximum", Kind::Whole(bound)) => (*bound).into(),
            ("minimum" | "maximum", Kind::Decimal(bound)) if bound.is_finite() => (*bound).into(),
            ("minimum" | "maximum", _) => {
                faults.add_kind(member, "a number");
                continue;
            }
            ("enum", Kind::List(_)) => member.value.to_json().unwrap_or_default(),
            ("enum", _) => {
                faults.add_kind(member, "a list of values");
                continue;
            }
            _ => match read::whole::<u32>(member, 0, i64::from(u32::MAX), faults) {
                Some(count) => count.into(),
                None => continue,
            },
        };
        schema[keyword] = value;
    }
    schema
}

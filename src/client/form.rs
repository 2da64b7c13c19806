//! The form in which a person fills in an event: one field after the other, as the schema describes them.

use serde_json::{Map, Value};

use super::{
    failure::Result,
    fields::{Field, Schema, Types},
    prompt::{self, Typed},
    show,
};

/// What a person has done with a form.
#[derive(Debug)]
pub(super) enum Filled {
    Fields(Map<String, Value>),
    /// Left it with Ctrl-D.
    Left,
    Interrupt,
}

/// Asks for each field that is not there yet.
pub(super) fn fill(kind: &str, schema: &Value, mut fields: Map<String, Value>) -> Result<Filled> {
    let all = Schema(schema).fields();
    if all.is_empty() {
        // An event without fields is still an answer: the person decides when.
        return Ok(match prompt::ask(&format!("Enter sends {kind}, Ctrl-D leaves the question open: "))? {
            Typed::Line(_) => Filled::Fields(fields),
            Typed::Closed => Filled::Left,
            Typed::Interrupt => Filled::Interrupt,
        });
    }
    for field in all.into_iter().filter(|field| !fields.contains_key(field.name)).collect::<Vec<_>>() {
        match value(&field)? {
            Entered::Value(value) => drop(fields.insert(field.name.to_owned(), value)),
            Entered::Omitted => {}
            Entered::Left => return Ok(Filled::Left),
            Entered::Interrupt => return Ok(Filled::Interrupt),
        }
    }
    Ok(Filled::Fields(fields))
}

enum Entered {
    Value(Value),
    Omitted,
    Left,
    Interrupt,
}

/// Asks for a field until it is one.
fn value(field: &Field<'_>) -> Result<Entered> {
    let types = field.types();
    if !field.description().is_empty() {
        show::note(&format!("  {}", show::escaped(field.description())));
    }
    let asked = prompt_of(field, &types);
    loop {
        let text = match prompt::ask(&asked)? {
            Typed::Line(text) => text,
            Typed::Closed => return Ok(Entered::Left),
            Typed::Interrupt => return Ok(Entered::Interrupt),
        };
        if text.is_empty() && (field.default().is_some() || !field.is_required) {
            return Ok(Entered::Omitted);
        }
        match read(&types, &text) {
            Ok(value) => return Ok(Entered::Value(value)),
            Err(error) => show::note(&format!("  {}", show::escaped(&error))),
        }
    }
}

/// Returns what is shown before the cursor: `  approved (y/n): `.
fn prompt_of(field: &Field<'_>, types: &Types) -> String {
    let expected = if is_boolean(types) { "y/n".to_owned() } else { types.described() };
    let default = match field.default() {
        Some(default) => format!(" [{}]", show::field(default)),
        None if field.is_required => String::new(),
        None => " [none]".to_owned(),
    };
    format!("  {} ({expected}){default}: ", field.name)
}

/// People answer with yes and no, too.
fn read(types: &Types, text: &str) -> std::result::Result<Value, String> {
    let word = text.trim().to_lowercase();
    if is_boolean(types) {
        return match word.as_str() {
            "y" | "yes" | "true" => Ok(Value::Bool(true)),
            "n" | "no" | "false" => Ok(Value::Bool(false)),
            _ => Err(format!("expected y or n, got '{text}'")),
        };
    }
    types.read(text)
}

fn is_boolean(types: &Types) -> bool {
    types.choices.is_empty() && types.names.iter().any(|name| name == "boolean") && types.names.len() <= 2
}

//! Compiles a JSON Schema to the nodes of a shape.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::node::{Further, Kind, Node, Object, PathStep, Range};

struct Compiler<'a> {
    definitions: Option<&'a Map<String, Value>>,
    /// `None` if the schema alone determines the names: there are no aliases, and defaults are filled in.
    names: Option<&'a NamesOf<'a>>,
    nodes: Vec<Node>,
    /// The nodes of definitions that were begun: definitions may refer to themselves.
    begun: BTreeMap<&'a str, usize>,
    /// The position of the schema being compiled.
    path: Vec<PathStep<'a>>,
}

/// Returns the names at a path inside a type.
pub(super) type NamesOf<'a> = dyn Fn(&[PathStep<'_>]) -> Option<&'static [&'static str]> + 'a;

pub(super) fn compile(schema: &Value, names: Option<&NamesOf<'_>>) -> Box<[Node]> {
    let definitions = schema.get("$defs").and_then(Value::as_object);
    let mut compiler = Compiler { definitions, names, nodes: Vec::new(), begun: BTreeMap::new(), path: Vec::new() };
    let root = compiler.add(schema);
    debug_assert_eq!(root, 0, "the root is begun first");
    compiler.nodes.into()
}

impl<'a> Compiler<'a> {
    fn add(&mut self, schema: &'a Value) -> usize {
        self.nodes.push(Node::default());
        let index = self.nodes.len() - 1;
        self.fill(index, schema);
        index
    }

    fn add_inside(&mut self, step: PathStep<'a>, schema: &'a Value) -> usize {
        self.path.push(step);
        let index = self.add(schema);
        self.path.pop();
        index
    }

    fn fill(&mut self, index: usize, schema: &'a Value) {
        let node = match schema {
            Value::Object(schema) => self.node(schema),
            other => Node { never: *other == Value::Bool(false), ..Node::default() },
        };
        self.nodes[index] = node;
    }

    fn node(&mut self, schema: &'a Map<String, Value>) -> Node {
        let count = |key: &str| schema.get(key).and_then(Value::as_u64).map(|count| count as usize);
        let bounds = |low: &str, high: &str| match (count(low), count(high)) {
            (None, None) => None,
            (low, high) => Some((low.unwrap_or(0), high.unwrap_or(usize::MAX))),
        };
        let one_of = schema.get("enum").and_then(Value::as_array).map(|values| values.clone().into());
        let constant = || schema.get("const").map(|value| Box::from([value.clone()]));
        let referred = schema.get("$ref").and_then(Value::as_str).and_then(|to| self.referred(to));
        let mut all = self.each(schema.get("allOf"));
        all.extend(referred);
        let any = ["anyOf", "oneOf"].map(|key| self.each(schema.get(key)));
        Node {
            kinds: kinds(schema.get("type")),
            range: range(schema),
            length: bounds("minLength", "maxLength").or_else(|| bounds("minItems", "maxItems")),
            values: one_of.or_else(constant),
            object: self.object(schema).map(Box::new),
            names: self.known_names(schema),
            prefix: self.each_element(schema.get("prefixItems")).into(),
            items: schema.get("items").map(|items| self.add_inside(PathStep::Element, items)),
            all: all.into(),
            any: any.into_iter().filter(|any| !any.is_empty()).map(Vec::into).collect(),
            // A type of the program decides by itself what it takes for a date.
            is_date_time: self.names.is_none() && schema.get("format").is_some_and(|format| format == "date-time"),
            never: false,
        }
    }

    fn object(&mut self, schema: &'a Map<String, Value>) -> Option<Object> {
        let declared = schema.get("properties").and_then(Value::as_object);
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let further = match (patterns, schema.get("additionalProperties")) {
            // Integer keys, as in maps with such keys: the worker decides which texts are keys.
            (Some(patterns), _) if patterns.len() == 1 && declared.is_none() => patterns
                .values()
                .next()
                .map_or(Further::Any, |each| Further::Each(self.add_inside(PathStep::Element, each))),
            (Some(_), _) | (None, None) => Further::Any,
            (None, Some(Value::Bool(true))) => Further::Kept,
            (None, Some(Value::Bool(false))) => Further::Refused,
            (None, Some(each)) => Further::Each(self.add_inside(PathStep::Element, each)),
        };
        let mut properties: Vec<(Box<str>, usize)> = Vec::new();
        for (name, property) in declared.into_iter().flatten() {
            properties.push((name.as_str().into(), self.add_inside(PathStep::Field(name), property)));
        }
        properties.sort_unstable();
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Box<[Box<str>]> = required.filter_map(Value::as_str).map(Box::from).collect();
        let says_nothing = properties.is_empty() && required.is_empty() && matches!(further, Further::Any);
        let is_open = says_nothing
            && schema.get("type").is_some_and(|kind| kind == "object")
            && !["$ref", "allOf", "anyOf", "oneOf"].iter().any(|key| schema.contains_key(*key));
        if is_open {
            return Some(Object { further: Further::Kept, ..Object::default() });
        }
        let defaults = if self.names.is_none() { defaults(declared, &properties) } else { Box::default() };
        (!says_nothing).then(|| Object { properties: properties.into(), required, further, defaults })
    }

    fn each(&mut self, schemas: Option<&'a Value>) -> Vec<usize> {
        let schemas = schemas.and_then(Value::as_array).into_iter().flatten();
        schemas.map(|schema| self.add(schema)).collect()
    }

    fn each_element(&mut self, schemas: Option<&'a Value>) -> Vec<usize> {
        self.path.push(PathStep::Element);
        let indices = self.each(schemas);
        self.path.pop();
        indices
    }

    /// Returns the names that the type allows at this path, if the schema has fields or variants.
    fn known_names(&self, schema: &Map<String, Value>) -> Option<Box<[Box<str>]>> {
        let has_names = ["properties", "enum", "const"].iter().any(|key| schema.contains_key(*key));
        let Some(names) = self.names else { return has_names.then(|| written_names(schema)) };
        let names = has_names.then(|| names(&self.path)).flatten()?;
        Some(names.iter().map(|name| Box::from(*name)).collect())
    }

    /// Returns the node of a definition; `None` if there is no such definition, so that nothing is checked.
    fn referred(&mut self, to: &'a str) -> Option<usize> {
        if to == "#" {
            return Some(0);
        }
        let name = to.strip_prefix("#/$defs/")?;
        if let Some(index) = self.begun.get(name) {
            return Some(*index);
        }
        let schema = self.definitions?.get(name)?;
        self.nodes.push(Node::default());
        let index = self.nodes.len() - 1;
        self.begun.insert(name, index);
        self.fill(index, schema);
        Some(index)
    }
}

/// Returns the names of the fields or variants that a schema declares.
fn written_names(schema: &Map<String, Value>) -> Box<[Box<str>]> {
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let variants = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let variants = variants.chain(schema.get("const")).filter_map(Value::as_str);
    fields.map(String::as_str).chain(variants).map(Box::from).collect()
}

/// Returns the members that stand for absent properties, in order of declaration.
fn defaults(declared: Option<&Map<String, Value>>, properties: &[(Box<str>, usize)]) -> Box<[(usize, Box<str>)]> {
    let with_default = |(name, property): (&String, &Value)| {
        let index = properties.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some((index, format!("{}:{}", Value::from(name.as_str()), property.get("default")?).into()))
    };
    declared.into_iter().flatten().filter_map(with_default).collect()
}

fn kinds(names: Option<&Value>) -> u8 {
    let bit = |name: &Value| Kind::NAMES.iter().find(|(_, known)| name == known).map_or(0, |(bit, _)| *bit);
    match names {
        Some(Value::Array(names)) => names.iter().fold(0, |bits, name| bits | bit(name)),
        Some(name) => bit(name),
        None => 0,
    }
}

/// Returns the bounds in the schema, combined with those of the Rust type that the format names.
fn range(schema: &Map<String, Value>) -> Range {
    let (low, high) = match schema.get("format").and_then(Value::as_str) {
        Some("int8") => (Some(i8::MIN.into()), Some(i8::MAX.into())),
        Some("int16") => (Some(i16::MIN.into()), Some(i16::MAX.into())),
        Some("int32") => (Some(i32::MIN.into()), Some(i32::MAX.into())),
        Some("int64" | "int") => (Some(i64::MIN.into()), Some(i64::MAX.into())),
        Some("uint8") => (Some(0), Some(u8::MAX.into())),
        Some("uint16") => (Some(0), Some(u16::MAX.into())),
        Some("uint32") => (Some(0), Some(u32::MAX.into())),
        Some("uint64" | "uint") => (Some(0), Some(u64::MAX.into())),
        Some("uint128") => (Some(0), None),
        _ => (None, None),
    };
    let number = |key: &str| schema.get(key).and_then(Value::as_number);
    let said = |key: &str| number(key).and_then(serde_json::Number::as_i128);
    let decimal = |key: &str| number(key).filter(|number| number.is_f64()).and_then(serde_json::Number::as_f64);
    let low = low.into_iter().chain(said("minimum")).max();
    let high = high.into_iter().chain(said("maximum")).min();
    Range { low, high, decimal_low: decimal("minimum"), decimal_high: decimal("maximum") }
}

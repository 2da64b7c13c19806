//! The shape of an event type's values: its JSON Schema, compiled for checking values from outside.
//!
//! The loop can check with it without running code of the program. It refuses only what the type would refuse, too: it
//! accepts whatever depends on parts of a schema that it does not know, and the worker that decodes the value decides.

mod compile;
mod date;
mod text;
mod walk;

use std::borrow::Cow;

/// The shape of values. The default accepts everything.
#[derive(Clone, Default, Debug)]
pub struct Shape {
    nodes: Box<[Node]>,
}

impl Shape {
    /// Compiles a JSON Schema as written by schemars. `names` returns all names that the fields or variants at a path
    /// may have, including aliases, which no schema shows; `None` if they are not known.
    pub fn compile(
        schema: &serde_json::Value,
        names: &dyn Fn(&[PathStep<'_>]) -> Option<&'static [&'static str]>,
    ) -> Self {
        compile::compile(schema, Some(names))
    }

    /// Compiles a JSON Schema that says everything about its values: their fields have no other names, and
    /// [`Shape::complete`] knows the defaults.
    pub fn of_schema(schema: &serde_json::Value) -> Self {
        compile::compile(schema, None)
    }

    /// Returns the shape of values without a type: it accepts all but numbers that do not fit 64 bits, which decoding
    /// would round.
    pub fn untyped() -> Self {
        Self { nodes: Box::new([Node::default()]) }
    }

    /// Checks the text of a JSON value. Returns the text with every integer written as such: `2.0` as `2`.
    ///
    /// Takes time in proportion to the text.
    ///
    /// # Errors
    /// The field, what was expected and what came: `field message: expected string, got number`.
    pub fn check<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, String> {
        if self.nodes.is_empty() { Ok(Cow::Borrowed(text)) } else { walk::check(&self.nodes, text, false) }
    }

    /// Like [`Shape::check`], and adds the absent fields that have a default, if the shape was compiled with
    /// [`Shape::of_schema`]: what a step that is no function sees of an event.
    ///
    /// # Errors
    /// See [`Shape::check`].
    pub fn complete<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, String> {
        if self.nodes.is_empty() { Ok(Cow::Borrowed(text)) } else { walk::check(&self.nodes, text, true) }
    }
}

/// A step on the path from a value to one inside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathStep<'a> {
    /// Into the field with this name, or a variant.
    Field(&'a str),
    /// Into an element of an array or a value of a map.
    Element,
}

/// What one value must satisfy, in all respects. Other nodes are referred to by index.
#[derive(Clone, Default, Debug)]
struct Node {
    /// Bits of [`Kind`]; 0 allows any.
    kinds: u8,
    /// The bounds of a number.
    range: Range,
    /// The bounds on a string's characters or an array's elements.
    length: Option<(usize, usize)>,
    /// The allowed values.
    values: Option<Box<[serde_json::Value]>>,
    /// All names that its fields, or the variants of which it is one, may have.
    names: Option<Box<[Box<str>]>>,
    object: Option<Box<Object>>,
    /// The nodes of an array's first elements, and of those after them.
    prefix: Box<[usize]>,
    items: Option<usize>,
    /// Nodes that it must satisfy, too.
    all: Box<[usize]>,
    /// Lists of nodes; it must satisfy one of each.
    any: Box<[Box<[usize]>]>,
    /// Whether a string must be a date and time as in RFC 3339.
    is_date_time: bool,
    never: bool,
}

#[derive(Clone, Copy, Default, Debug)]
struct Range {
    low: Option<i128>,
    high: Option<i128>,
    /// Bounds that are written with a fraction or an exponent.
    decimal_low: Option<f64>,
    decimal_high: Option<f64>,
}

#[derive(Clone, Default, Debug)]
struct Object {
    /// In order of name.
    properties: Box<[(Box<str>, usize)]>,
    /// In order of declaration, including names that another part of the schema declares.
    required: Box<[Box<str>]>,
    further: Further,
    /// Properties that are added if they are absent, each with its text as a member.
    defaults: Box<[(usize, Box<str>)]>,
}

/// What to do with members that are not properties.
#[derive(Clone, Copy, Default, Debug)]
enum Further {
    /// The type ignores them.
    #[default]
    Any,
    /// The type keeps them, whatever they are.
    Kept,
    Refused,
    Each(usize),
}

/// The kinds of JSON values, as bits.
struct Kind;

impl Kind {
    const NULL: u8 = 1;
    const BOOLEAN: u8 = 2;
    const INTEGER: u8 = 4;
    const NUMBER: u8 = 8;
    const STRING: u8 = 16;
    const ARRAY: u8 = 32;
    const OBJECT: u8 = 64;

    const NAMES: [(u8, &'static str); 7] = [
        (Self::STRING, "string"),
        (Self::BOOLEAN, "boolean"),
        (Self::INTEGER, "integer"),
        (Self::NUMBER, "number"),
        (Self::ARRAY, "array"),
        (Self::OBJECT, "object"),
        (Self::NULL, "null"),
    ];
}

//! What values of an event type look like, as data: its JSON Schema, compiled for checking what comes from outside.
//!
//! The loop checks with it, so that no code of the program runs there. It refuses only what the type would refuse too:
//! what it does not know of a schema it lets through, and the worker that decodes the value decides.

mod compile;
mod text;
mod walk;

use std::borrow::Cow;

/// The shape of values. The default takes everything.
#[derive(Clone, Default, Debug)]
pub struct Shape {
    nodes: Box<[Node]>,
}

impl Shape {
    /// Compiles a JSON Schema as schemars writes it. `names` gives all names that the fields or variants at a place may
    /// have, aliases too, which no schema shows; `None` if they are not known.
    pub fn compile(
        schema: &serde_json::Value,
        names: &dyn Fn(&[PathStep<'_>]) -> Option<&'static [&'static str]>,
    ) -> Self {
        compile::compile(schema, names)
    }

    /// The shape of values that no type describes: anything but numbers that 64 bits do not hold, which whoever decodes
    /// them would round.
    pub fn untyped() -> Self {
        Self { nodes: Box::new([Node::default()]) }
    }

    /// Checks the text of a JSON value, and gives it back with every whole number that is to be an integer written as
    /// one: `2.0` as `2`.
    ///
    /// Takes time in proportion to the text.
    ///
    /// # Errors
    /// The field, what was expected and what came: `field message: expected string, got number`.
    pub fn check<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, String> {
        if self.nodes.is_empty() { Ok(Cow::Borrowed(text)) } else { walk::check(&self.nodes, text) }
    }
}

/// A step from a value into one inside of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathStep<'a> {
    /// Into a field of this name, or a variant.
    Field(&'a str),
    /// Into an element of an array, or a value of a map.
    Element,
}

/// What one value has to be: all that stands in it. Other nodes are named by their place.
#[derive(Clone, Default, Debug)]
struct Node {
    /// Bits of [`Kind`]; 0: any.
    kinds: u8,
    /// Bounds of an integer, and of a number.
    range: Range,
    /// Characters of a string, elements of an array.
    length: Option<(usize, usize)>,
    /// One of these values.
    values: Option<Box<[serde_json::Value]>>,
    /// All names that its fields, or the variants that it is one of, may have.
    names: Option<Box<[Box<str>]>>,
    object: Option<Box<Object>>,
    /// The first elements of an array, and those behind them.
    prefix: Box<[usize]>,
    items: Option<usize>,
    /// These too.
    all: Box<[usize]>,
    /// One of each of these.
    any: Box<[Box<[usize]>]>,
    never: bool,
}

#[derive(Clone, Copy, Default, Debug)]
struct Range {
    low: Option<i128>,
    high: Option<i128>,
}

#[derive(Clone, Default, Debug)]
struct Object {
    /// In order of name.
    properties: Box<[(Box<str>, usize)]>,
    /// In order of declaration; also names that another part of the schema declares.
    required: Box<[Box<str>]>,
    further: Further,
}

/// Members that are no properties.
#[derive(Clone, Copy, Default, Debug)]
enum Further {
    /// They are passed over.
    #[default]
    Any,
    /// They are kept, whatever they are.
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

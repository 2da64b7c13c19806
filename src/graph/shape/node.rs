//! The nodes of a compiled shape: what one value must satisfy.

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
pub(super) struct Node {
    /// Bits of [`Kind`]; 0 allows any.
    pub(super) kinds: u8,
    /// The bounds of a number.
    pub(super) range: Range,
    /// The bounds on a string's characters or an array's elements.
    pub(super) length: Option<(usize, usize)>,
    /// The allowed values.
    pub(super) values: Option<Box<[serde_json::Value]>>,
    /// All names that its fields, or the variants of which it is one, may have.
    pub(super) names: Option<Box<[Box<str>]>>,
    pub(super) object: Option<Box<Object>>,
    /// The nodes of an array's first elements, and of those after them.
    pub(super) prefix: Box<[usize]>,
    pub(super) items: Option<usize>,
    /// Nodes that it must satisfy, too.
    pub(super) all: Box<[usize]>,
    /// Lists of nodes; it must satisfy one of each.
    pub(super) any: Box<[Box<[usize]>]>,
    /// Whether a string must be a date and time as in RFC 3339.
    pub(super) is_date_time: bool,
    pub(super) never: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) struct Range {
    pub(super) low: Option<i128>,
    pub(super) high: Option<i128>,
    /// Bounds that are written with a fraction or an exponent.
    pub(super) decimal_low: Option<f64>,
    pub(super) decimal_high: Option<f64>,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Object {
    /// In order of name.
    pub(super) properties: Box<[(Box<str>, usize)]>,
    /// In order of declaration, including names that another part of the schema declares.
    pub(super) required: Box<[Box<str>]>,
    pub(super) further: Further,
    /// Properties that are added if they are absent, each with its text as a member.
    pub(super) defaults: Box<[(usize, Box<str>)]>,
}

/// What to do with members that are not properties.
#[derive(Clone, Copy, Default, Debug)]
pub(super) enum Further {
    /// The type ignores them.
    #[default]
    Any,
    /// The type keeps them, whatever they are.
    Kept,
    Refused,
    Each(usize),
}

/// The kinds of JSON values, as bits.
pub(super) struct Kind;

impl Kind {
    pub(super) const NULL: u8 = 1;
    pub(super) const BOOLEAN: u8 = 2;
    pub(super) const INTEGER: u8 = 4;
    pub(super) const NUMBER: u8 = 8;
    pub(super) const STRING: u8 = 16;
    pub(super) const ARRAY: u8 = 32;
    pub(super) const OBJECT: u8 = 64;

    pub(super) const NAMES: [(u8, &'static str); 7] = [
        (Self::STRING, "string"),
        (Self::BOOLEAN, "boolean"),
        (Self::INTEGER, "integer"),
        (Self::NUMBER, "number"),
        (Self::ARRAY, "array"),
        (Self::OBJECT, "object"),
        (Self::NULL, "null"),
    ];
}

//! Why a value does not fit its shape, as data; the text for people is its `Display`.

use std::fmt::{self, Formatter};

use super::node::Range;
use crate::json::with_article;

/// Why a value does not fit its shape. Its text names the field, what was expected and what came.
#[derive(Clone, PartialEq, Debug)]
pub struct Mismatch {
    /// The path to the field, with long names cut. `None` if the value itself does not fit.
    pub(super) field: Option<Box<str>>,
    pub(super) problem: Problem,
}

/// What is wrong at one place of a value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Problem {
    /// No value fits.
    Never,
    /// A required field is absent.
    Missing,
    DuplicateField(Box<str>),
    UnknownField {
        name: Box<str>,
        known: Box<[Box<str>]>,
    },
    UnknownVariant {
        name: Box<str>,
        known: Box<[Box<str>]>,
    },
    /// The value is not in a list of values that are not all texts.
    Unlisted,
    /// None of so many alternatives fits.
    NoForm {
        kind: &'static str,
        forms: usize,
    },
    Kind {
        expected: &'static str,
        got: &'static str,
    },
    /// Too few or too many characters or elements.
    Length {
        low: usize,
        high: usize,
        unit: &'static str,
        got: usize,
    },
    NoDateTime,
    /// A number with a fraction in the place of an integer.
    Fraction(Box<str>),
    OutOfRange {
        kind: &'static str,
        range: Box<Range>,
        got: Box<str>,
    },
    /// A number that does not fit 64 bits, which decoding would round.
    Rounded(Box<str>),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(formatter, "field {field}: {}", self.problem),
            None => write!(formatter, "{}", self.problem),
        }
    }
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => write!(formatter, "no value is allowed here"),
            Self::Missing => write!(formatter, "missing"),
            Self::DuplicateField(name) => write!(formatter, "duplicate field `{name}`"),
            Self::UnknownField { name, known } => write!(formatter, "unknown field `{name}`, {}", one_of_names(known)),
            Self::UnknownVariant { name, known } => {
                write!(formatter, "unknown variant `{name}`, {}", one_of_names(known))
            }
            Self::Unlisted => write!(formatter, "it is none of the values that are possible here"),
            Self::NoForm { kind, forms } => {
                write!(formatter, "{} fits none of the {forms} forms that are possible here", with_article(kind))
            }
            Self::Kind { expected, got } => write!(formatter, "expected {expected}, got {got}"),
            Self::Length { low, high, unit, got } => {
                write!(formatter, "expected {}, got {got}", amount(*low, *high, unit))
            }
            Self::NoDateTime => write!(formatter, "expected a date and time such as 2026-01-31T12:00:00Z"),
            Self::Fraction(number) => write!(formatter, "expected integer, got number {number}"),
            Self::OutOfRange { kind, range, got } => write!(formatter, "expected {kind} {}, got {got}", within(range)),
            Self::Rounded(number) => {
                write!(formatter, "number {number} does not fit into 64 bits and would be rounded: send it as a string")
            }
        }
    }
}

/// Formats what was expected, in the words of serde.
fn one_of_names(names: &[Box<str>]) -> String {
    match names {
        [] => "there are none".to_owned(),
        [one] => format!("expected `{one}`"),
        [one, other] => format!("expected `{one}` or `{other}`"),
        _ => format!("expected one of `{}`", names.join("`, `")),
    }
}

fn amount(low: usize, high: usize, unit: &str) -> String {
    let plural = if high == 1 { "" } else { "s" };
    match (low, high) {
        _ if low == high => format!("{low} {unit}{plural}"),
        (0, _) => format!("at most {high} {unit}{plural}"),
        (_, usize::MAX) => format!("at least {low} {unit}s"),
        _ => format!("{low} to {high} {unit}s"),
    }
}

fn within(range: &Range) -> String {
    let bound = |whole: Option<i128>, decimal: Option<f64>| {
        whole.map(|whole| whole.to_string()).or_else(|| decimal.map(|decimal| decimal.to_string()))
    };
    match (bound(range.low, range.decimal_low), bound(range.high, range.decimal_high)) {
        (Some(low), Some(high)) => format!("from {low} to {high}"),
        (Some(low), None) => format!("of {low} or more"),
        (None, Some(high)) => format!("of {high} or less"),
        (None, None) => "in range".to_owned(),
    }
}

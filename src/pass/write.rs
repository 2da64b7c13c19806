//! Applies the writes of a pass to the values of a run's state.

use std::fmt;

use serde_json::Number;

use super::Write;
use crate::{
    json::{self, Json},
    limits::JSON_DEPTH_MAX,
    values::Value,
};

/// Why a write of a pass cannot be applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteError {
    /// The key in the state.
    pub key: Box<str>,
    /// What is wrong.
    pub fault: WriteFault,
}

/// What is wrong with a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteFault {
    /// `add` would round this number, which does not fit into 64 bits.
    Rounds(Json),
    /// `add` found a value of this kind where it needs a number.
    NoNumber(&'static str),
    /// The sum of these is out of range.
    OutOfRange(Number, Number),
    /// `push` was given no array of elements.
    NoElements,
    /// `push` would nest values too deeply.
    TooDeep,
    /// `push` found a value of this kind where it needs an array.
    NoArray(&'static str),
}

impl Write {
    /// Returns the value of `key` after this write, `None` if it is removed.
    ///
    /// # Errors
    /// If the value has another type, or would not fit.
    pub fn apply(&self, key: &str, current: Option<Value>) -> Result<Option<Value>, WriteError> {
        let applied = match self {
            Self::Set(value) => Ok(Some(value.clone().into())),
            Self::Remove => Ok(None),
            Self::Add(amount) => add(current.map(|current| current.json()), amount).map(|sum| Some(sum.into())),
            Self::Push(element) => extend(current, element.as_str(), json::depth(element) + 1).map(Some),
            Self::Extend(array) => {
                let elements = array.as_str().trim_ascii().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
                let elements = elements.ok_or(WriteFault::NoElements);
                elements.and_then(|elements| extend(current, elements.trim_ascii(), json::depth(array)).map(Some))
            }
        };
        applied.map_err(|fault| WriteError { key: key.into(), fault })
    }
}

fn add(current: Option<Json>, amount: &Json) -> Result<Json, WriteFault> {
    let number = |value: &Json| {
        let kind = json::kind(value.as_str());
        if kind == "number" && !json::fits_64_bits(value.as_str().trim_ascii()) {
            return Err(WriteFault::Rounds(value.clone()));
        }
        value.decode::<Number>().map_err(|_| WriteFault::NoNumber(kind))
    };
    let amount_number = number(amount)?;
    let Some(current) = current else { return Ok(amount.clone()) };
    let current_number = number(&current)?;
    let sum = match (current_number.as_i128(), amount_number.as_i128()) {
        (Some(one), Some(other)) => Number::from_i128(one + other),
        _ => current_number.as_f64().zip(amount_number.as_f64()).and_then(|(one, other)| Number::from_f64(one + other)),
    };
    let sum = sum.and_then(|sum| Json::from_value(&sum).ok());
    sum.ok_or(WriteFault::OutOfRange(current_number, amount_number))
}

/// `depth` is that of the array of the elements.
fn extend(current: Option<Value>, elements: &str, depth: usize) -> Result<Value, WriteFault> {
    if depth > JSON_DEPTH_MAX {
        return Err(WriteFault::TooDeep);
    }
    Value::extend(current, elements).map_err(|other| WriteFault::NoArray(json::kind(other.as_str())))
}

impl fmt::Display for WriteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "state key `{}`: ", self.key)?;
        match &self.fault {
            WriteFault::Rounds(value) => {
                write!(out, "{value:?} does not fit into 64 bits, and `add` would round it")
            }
            WriteFault::NoNumber(kind) => write!(out, "`add` needs a number, found {}", json::with_article(kind)),
            WriteFault::OutOfRange(one, other) => write!(out, "{one} + {other} is out of range"),
            WriteFault::NoElements => out.write_str("`push` was given no array"),
            WriteFault::TooDeep => write!(out, "`push`: nested deeper than {JSON_DEPTH_MAX}"),
            WriteFault::NoArray(kind) => write!(out, "`push` needs an array, found {}", json::with_article(kind)),
        }
    }
}

impl std::error::Error for WriteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(write: impl Fn(Json) -> Write, current: Option<&str>, with: &str, expected: Result<&str, &str>) {
        let json = |text: &str| Json::parse(text).expect("good JSON");
        let after = write(json(with)).apply("k", current.map(|current| json(current).into()));
        let after = after.map(|value| value.map_or(String::new(), |value| value.json().as_str().to_owned()));
        assert_eq!(after.as_deref().map_err(ToString::to_string), expected.map_err(str::to_owned));
    }

    #[test]
    fn add_keeps_integers_exact_and_refuses_what_does_not_fit() {
        check(Write::Add, None, "5", Ok("5"));
        check(Write::Add, Some("-7"), "5", Ok("-2"));
        check(Write::Add, Some("9007199254740993"), "2", Ok("9007199254740995"));
        check(Write::Add, Some("9223372036854775807"), "1", Ok("9223372036854775808"));
        check(Write::Add, Some("1"), "0.5", Ok("1.5"));
        check(
            Write::Add,
            Some("18446744073709551615"),
            "1",
            Err("state key `k`: 18446744073709551615 + 1 is out of range"),
        );
        check(Write::Add, Some("1e308"), "1e308", Err("state key `k`: 1e+308 + 1e+308 is out of range"));
        check(
            Write::Add,
            Some("18446744073709551616"),
            "1",
            Err("state key `k`: 18446744073709551616 does not fit into 64 bits, and `add` would round it"),
        );
        check(Write::Add, Some("null"), "1", Err("state key `k`: `add` needs a number, found null"));
        check(Write::Add, Some("1"), "true", Err("state key `k`: `add` needs a number, found a boolean"));
    }

    #[test]
    fn push_appends_and_refuses_what_is_no_array() {
        check(Write::Push, None, "1", Ok("[1]"));
        check(Write::Push, Some(" [ ] "), "{}", Ok("[{}]"));
        check(Write::Extend, Some("[1]"), "[2, 3]", Ok("[1,2, 3]"));
        check(Write::Extend, None, "[ ]", Ok("[]"));
        check(Write::Extend, Some("{}"), "[2]", Err("state key `k`: `push` needs an array, found an object"));
        check(Write::Push, Some("[1, [2]]"), "3", Ok("[1, [2],3]"));
        check(Write::Push, Some(r#""[]""#), "3", Err("state key `k`: `push` needs an array, found a string"));
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        check(Write::Push, Some("[]"), &deep, Err("state key `k`: `push`: nested deeper than 100"));
        check(Write::Extend, Some("[]"), &deep, Ok(&deep));
    }
}

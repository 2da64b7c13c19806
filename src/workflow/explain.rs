//! Decodes with errors that name the field, what was expected and what came: `field message: expected string, got
//! number`.

use std::fmt;

use serde::de::DeserializeOwned;

use super::whole::{Whole, plain};

/// Why a JSON text is not a value of a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct DecodeError {
    /// The path to the faulty field; `None` if it is the value itself.
    path: Option<String>,
    /// What was expected and what came.
    fault: String,
}

/// Decodes a JSON text. Looks for integers written in another form, and for the path to a fault, only after plain
/// decoding has failed.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    serde_json::from_str(text).or_else(|error| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let decoded = serde_path_to_error::deserialize::<_, T>(Whole(&mut deserializer));
        match decoded {
            Ok(value) if deserializer.end().is_ok() => Ok(value),
            Ok(_) => Err(DecodeError { path: None, fault: plain(&error.to_string()).to_owned() }),
            Err(error) => Err(DecodeError::new(&error.path().to_string(), plain(&error.inner().to_string()))),
        }
    })
}

/// Decodes an event, which must be an object; serde would also accept the fields of a struct as an array.
pub(super) fn decode_event<E: DeserializeOwned>(text: &str) -> Result<E, DecodeError> {
    let got = match text.trim_ascii_start().bytes().next() {
        Some(b'{') | None => return decode(text),
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        Some(_) => "number",
    };
    Err(DecodeError { path: None, fault: format!("expected object, got {got}") })
}

/// Decodes the value of a field. The path to a fault in it begins with the field's name.
pub(super) fn decode_field<T: DeserializeOwned>(field: &str, text: &str) -> Result<T, DecodeError> {
    decode(text).map_err(|error: DecodeError| error.within(field))
}

impl DecodeError {
    /// `message` is what serde says.
    fn new(path: &str, message: &str) -> Self {
        let path = (path != ".").then(|| path.to_owned());
        if let Some(name) = quoted(message, "missing field ") {
            let missing = Self { path: Some(name.to_owned()), fault: "missing".to_owned() };
            return match path {
                Some(path) => missing.within(&path),
                None => missing,
            };
        }
        Self { path, fault: mismatch(message).unwrap_or_else(|| message.to_owned()) }
    }

    /// The value is that of this field.
    fn within(self, field: &str) -> Self {
        let path = match self.path {
            Some(inner) if inner.starts_with('[') => format!("{field}{inner}"),
            Some(inner) => format!("{field}.{inner}"),
            None => field.to_owned(),
        };
        Self { path: Some(path), ..self }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(out, "field {path}: ")?;
        }
        out.write_str(&self.fault)
    }
}

impl From<DecodeError> for String {
    fn from(error: DecodeError) -> Self {
        error.to_string()
    }
}

/// Returns the text in backticks that follows `before` at the start of `message`.
fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.strip_prefix('`')?.split('`').next()
}

/// Translates serde's "invalid type" and "invalid value" into JSON terms.
fn mismatch(message: &str) -> Option<String> {
    let (what, rest) = message.strip_prefix("invalid ")?.split_once(": ")?;
    let (got, expected) = rest.split_once(", expected ")?;
    let expected = Expected::parse(expected);
    let (kind, value) = json_kind(got)?;
    match (what, expected) {
        ("type", Expected::Integer(_)) if kind == "number" => Some(format!("expected integer, got number {value}")),
        ("type", Expected::Integer(_)) => Some(format!("expected integer, got {kind}")),
        ("type", Expected::Words(words)) => Some(format!("expected {words}, got {kind}")),
        ("value", Expected::Integer(range)) => Some(format!("expected integer {range}, got {value}")),
        ("value", Expected::Words(words)) => Some(format!("expected {words}, got {kind} {value}")),
        _ => None,
    }
}

enum Expected<'a> {
    /// The range in words.
    Integer(String),
    Words(&'a str),
}

impl<'a> Expected<'a> {
    fn parse(expected: &'a str) -> Self {
        let range = |low: String, high: String| Self::Integer(format!("from {low} to {high}"));
        match expected {
            "a string" | "a borrowed string" | "a character" => Self::Words("string"),
            "a boolean" => Self::Words("boolean"),
            "f32" | "f64" => Self::Words("number"),
            "a sequence" => Self::Words("array"),
            "a map" => Self::Words("object"),
            "unit" => Self::Words("null"),
            "i8" => range(i8::MIN.to_string(), i8::MAX.to_string()),
            "i16" => range(i16::MIN.to_string(), i16::MAX.to_string()),
            "i32" => range(i32::MIN.to_string(), i32::MAX.to_string()),
            "i64" | "isize" => range(i64::MIN.to_string(), i64::MAX.to_string()),
            "u8" => range("0".into(), u8::MAX.to_string()),
            "u16" => range("0".into(), u16::MAX.to_string()),
            "u32" => range("0".into(), u32::MAX.to_string()),
            "u64" | "usize" => range("0".into(), u64::MAX.to_string()),
            "i128" | "u128" => Self::Integer("in range".into()),
            _ if expected.starts_with("struct ") => Self::Words("object"),
            _ => Self::Words(expected),
        }
    }
}

/// Returns the JSON term for what serde says it got, and the value where serde shows it.
fn json_kind(got: &str) -> Option<(&'static str, &str)> {
    let value = got.split_once(' ').map_or("", |(_, value)| value).trim_matches('`');
    let kinds = [
        ("string", "string"),
        ("integer", "number"),
        ("floating point", "number"),
        ("number", "number"),
        ("boolean", "boolean"),
        ("null", "null"),
        ("sequence", "array"),
        ("map", "object"),
    ];
    let (_, kind) = kinds.iter().find(|(word, _)| got.starts_with(word))?;
    Some((kind, value.strip_prefix("point `").unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    fn decode<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        super::decode(text).map_err(String::from)
    }

    fn decode_field<T: DeserializeOwned>(field: &str, text: &str) -> Result<T, String> {
        super::decode_field(field, text).map_err(String::from)
    }

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Order {
        item: String,
        count: u32,
        #[serde(default)]
        price: f64,
        #[serde(default)]
        parts: Vec<Part>,
        #[serde(default)]
        rush: bool,
        side: Option<Side>,
    }

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Part {
        id: i8,
    }

    #[derive(Deserialize, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Side {
        Left,
        Right,
    }

    #[test]
    fn a_fault_names_the_field_what_was_expected_and_what_came() {
        for (text, expected) in [
            (r#"{"count":1}"#, "field item: missing"),
            (r#"{"item":5,"count":1}"#, "field item: expected string, got number"),
            (r#"{"item":null,"count":1}"#, "field item: expected string, got null"),
            (r#"{"item":"a","count":"1"}"#, "field count: expected integer, got string"),
            (r#"{"item":"a","count":1.5}"#, "field count: expected integer, got number 1.5"),
            (r#"{"item":"a","count":-1}"#, "field count: expected integer from 0 to 4294967295, got -1"),
            (r#"{"item":"a","count":1,"price":[]}"#, "field price: expected number, got array"),
            (r#"{"item":"a","count":1,"rush":1}"#, "field rush: expected boolean, got number"),
            (r#"{"item":"a","count":1,"parts":{}}"#, "field parts: expected array, got object"),
            (r#"{"item":"a","count":1,"parts":[{"id":1},{}]}"#, "field parts[1].id: missing"),
            (
                r#"{"item":"a","count":1,"parts":[{"id":300}]}"#,
                "field parts[0].id: expected integer from -128 to 127, got 300",
            ),
            (r#"{"item":"a","count":1,"parts":["x"]}"#, "field parts[0]: expected object, got string"),
            (r#"{"item":"a","count":1,"side":"up"}"#, "field side: unknown variant `up`, expected `left` or `right`"),
            (r#""x""#, "expected object, got string"),
            (r#"{"item":"a","count":1} x"#, "trailing characters"),
        ] {
            assert_eq!(decode::<Order>(text).expect_err(text), expected, "{text}");
        }
    }

    #[test]
    fn every_whole_number_is_an_integer() {
        let order = decode::<Order>(r#"{"item":"a","count":2e0,"price":3.0,"parts":[{"id":-1.0},{"id":-0}]}"#).unwrap();
        assert_eq!((order.count, order.price, order.parts[0].id, order.parts[1].id), (2, 3.0, -1, 0));
        assert_eq!(decode::<u64>("9007199254740993.0"), Ok(9_007_199_254_740_993));
        assert_eq!(decode::<Option<Vec<(i64, f64)>>>("[[1.0,1.0]]"), Ok(Some(vec![(1, 1.0)])));
        assert_eq!(decode::<i64>("1e3"), Ok(1_000));
        assert_eq!(decode::<i64>("2.5"), Err("expected integer, got number 2.5".into()));
        assert_eq!(decode::<u8>("256.0"), Err("expected integer from 0 to 255, got 256".into()));
        assert_eq!(decode::<i64>("\"2.0\""), Err("expected integer, got string".into()));
        let value = decode::<serde_json::Value>("[2.0,2e0]").unwrap();
        assert_eq!(value.to_string(), "[2.0,2.0]", "what is no integer field stays a float");
    }

    #[test]
    fn a_whole_number_is_an_integer_in_flattened_and_tagged_types_too() {
        #[derive(Deserialize, PartialEq, Debug)]
        struct Flat {
            name: String,
            #[serde(flatten)]
            rest: Rest,
        }

        #[derive(Deserialize, PartialEq, Debug)]
        struct Rest {
            count: i64,
            price: f64,
        }

        #[derive(Deserialize, PartialEq, Debug)]
        #[serde(tag = "kind")]
        enum Tagged {
            Many { count: Vec<u8>, price: Option<f64> },
        }

        let flat = Flat { name: "a".into(), rest: Rest { count: -2, price: 3.0 } };
        assert_eq!(decode(r#"{"name":"a","count":-2.0,"price":3.0}"#), Ok(flat));
        let tagged = Tagged::Many { count: vec![2, 0], price: Some(2.5) };
        assert_eq!(decode(r#"{"count":[2e0,-0],"kind":"Many","price":2.5}"#), Ok(tagged));
        let faults = [r#"{"name":"a","count":2.5,"price":3.0}"#, r#"{"name":"a","count":2.0,"price":"x"}"#];
        for (text, expected) in faults.into_iter().zip(["number 2.5", "string"]) {
            let fault = decode::<Flat>(text).unwrap_err();
            assert!(fault.contains(expected), "{fault}");
        }
        let deep = format!("{{\"kind\":\"Many\",\"count\":[1.0],\"x\":{}1.0{}}}", "[".repeat(98), "]".repeat(98));
        assert_eq!(decode::<Tagged>(&deep), Ok(Tagged::Many { count: vec![1], price: None }));
    }

    #[test]
    fn a_fault_inside_a_field_is_found_by_its_whole_path() {
        assert_eq!(decode_field::<String>("message", "5").unwrap_err(), "field message: expected string, got number");
        assert_eq!(decode_field::<Part>("part", "{}").unwrap_err(), "field part.id: missing");
        assert_eq!(decode_field::<Vec<u8>>("n", "[1,null]").unwrap_err(), "field n[1]: expected integer, got null");
    }
}

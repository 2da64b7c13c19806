//! Checked JSON text, the form in which all values are stored.

mod canonical;
mod lines;
mod members;
mod number;

use std::{cell::Cell, fmt, sync::Arc};

use memchr::{memchr2, memchr2_iter};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use crate::limits::{JSON_DEPTH_MAX, SCRATCH_BYTES_KEPT};

pub use canonical::canonical;
pub(crate) use lines::{escape_bytes, escape_line_ends, find_line_end};
pub use members::{Members, Wanted};
pub use number::{fits_64_bits, whole};

/// JSON text that is known to parse: UTF-8, nested at most [`JSON_DEPTH_MAX`] deep, without lone surrogates or numbers
/// out of range. Clones share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Arc<str>);

/// Returns the kind of a JSON text, by its first byte: `object`, `array`, `string`, `boolean`, `null` or `number`.
pub fn kind(text: &str) -> &'static str {
    match text.trim_ascii_start().bytes().next() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

/// Returns a kind as a text for people has it: `an object`, `a number`, `null`.
pub fn with_article(kind: &str) -> String {
    match kind {
        "null" => kind.to_owned(),
        "object" | "array" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// Why a text was refused as [`Json`]; the message names the fault and its position.
#[derive(Debug)]
pub struct JsonError(String);

impl Json {
    /// Checks `text` and stores it.
    ///
    /// # Errors
    /// If it is not JSON text, or could not be decoded again.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        check(text.as_bytes(), JSON_DEPTH_MAX)?;
        Ok(Self(text.into()))
    }

    /// Stores a value taken from inside a text that passed [`check`]. Checks only its depth.
    ///
    /// # Errors
    /// If it is nested too deep.
    pub(crate) fn from_checked(text: &str) -> Result<Self, JsonError> {
        if depth_of(text.as_bytes()) > JSON_DEPTH_MAX {
            return Err(JsonError(format!("nested deeper than {JSON_DEPTH_MAX}")));
        }
        Ok(Self(text.into()))
    }

    /// Serialises a value. NaN and infinities are written as `null`.
    ///
    /// # Errors
    /// If the value does not serialise (such as a map with keys that are not strings) or is nested too deep.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        encode(value, Self::of_encoded)
    }

    /// Stores a text that [`encode`] returned, now or earlier.
    pub(crate) fn of_encoded(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the same value with all line ends escaped.
    pub(crate) fn with_escaped_line_ends(&self) -> Self {
        let Some(first) = find_line_end(self.0.as_bytes()) else { return self.clone() };
        let mut text = self.0.as_bytes().to_vec();
        escape_line_ends(&mut text, first);
        Self(String::from_utf8(text).expect("whole characters are replaced by ASCII").into())
    }

    /// Returns the length in bytes of the text with all line ends escaped.
    pub(crate) fn escaped_bytes(&self) -> usize {
        self.0.len() + escape_bytes(self.0.as_bytes())
    }

    /// Returns how many clones share the text.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Decodes the text.
    ///
    /// # Errors
    /// If the value does not have the type `T`.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Deserialises from a string and checks the text again, because a journal is input like any other.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Kept)
    }
}

struct Kept;

impl Visitor<'_> for Kept {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json, E> {
        Json::parse(text).map_err(E::custom)
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for JsonError {}

thread_local! {
    /// Texts are written here first, so that storing one takes a single allocation of its exact size.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Passes the JSON text of `value` to `keep`.
///
/// # Errors
/// See [`Json::from_value`].
pub(crate) fn encode<T: Serialize + ?Sized, R>(value: &T, keep: impl FnOnce(&str) -> R) -> Result<R, JsonError> {
    let mut text = SCRATCH.take();
    text.clear();
    serde_json::to_writer(&mut text, value).map_err(|error| JsonError(error.to_string()))?;
    // Only a raw value contains line ends, and only outside of strings. Events must fit on one line.
    while let Some(place) = memchr2(b'\n', b'\r', &text) {
        text[place] = b' ';
    }
    // Counting brackets is many times faster than tracking their nesting, and few brackets cannot nest deeply.
    let has_many_brackets = memchr2_iter(b'[', b'{', &text).nth(JSON_DEPTH_MAX).is_some();
    if has_many_brackets && depth_of(&text) > JSON_DEPTH_MAX {
        return Err(JsonError(format!("nested deeper than {JSON_DEPTH_MAX}")));
    }
    let kept = str::from_utf8(&text).map(keep).map_err(|error| JsonError(error.to_string()));
    if text.capacity() <= SCRATCH_BYTES_KEPT {
        SCRATCH.set(text);
    }
    kept
}

/// Checks that `text` is one JSON value that can be decoded again, nested at most `depth_max` deep.
///
/// # Errors
/// If it is not; the error names the fault and its line and column.
pub fn check(text: &[u8], depth_max: usize) -> Result<(), JsonError> {
    if depth_of(text) > depth_max {
        return Err(JsonError(format!("nested deeper than {depth_max}")));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Checked.deserialize(&mut deserializer).map_err(|error| JsonError(error.to_string()))?;
    deserializer.end().map_err(|error| JsonError(error.to_string()))
}

/// Returns how deep a value is nested.
pub(crate) fn depth(value: &Json) -> usize {
    let text = value.as_str().as_bytes();
    if text.iter().any(|byte| matches!(byte, b'[' | b'{')) { depth_of(text) } else { 0 }
}

/// Returns how deep the brackets of `text` are nested outside of strings. Accepts any bytes and never recurses, which
/// makes the recursive parse after it safe.
fn depth_of(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(text, at),
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Returns the end of the string whose opening quote precedes `at`: after its closing quote, or the end of `text`.
pub(crate) fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// Visits a value through `deserialize_any`, so that strings and numbers are decoded and refused where the skipping of
/// `serde_json` would ignore them.
#[derive(Clone, Copy)]
struct Checked;

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key_seed(self)?.is_some() {
            members.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_of_strings() {
        for (text, depth) in [
            ("", 0),
            ("1", 0),
            ("[[],{}]", 2),
            (r#""[[""#, 0),
            (r#"["\"[",[],"\\",[[]]]"#, 3),
            (r#"["\\\"[[[["]"#, 1),
            ("[\"[[[", 1),
            ("[\"\\", 1),
            ("]]][", 1),
        ] {
            assert_eq!(depth_of(text.as_bytes()), depth, "{text}");
        }
    }

    #[test]
    fn a_raw_value_with_line_ends_is_put_on_one_line() {
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str("{\n\"a\":\r\n1}").unwrap();
        let json = Json::from_value(&raw).unwrap();
        assert!(!json.as_str().contains(['\n', '\r']), "{json:?}");
        assert_eq!(json, Json::parse(json.as_str()).unwrap());
    }
}

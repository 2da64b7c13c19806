//! Objects as JSON text: their members are looked up, unfolded and made compact without decoding their values.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::json;

/// Some members of an object, by name, borrowed from its text.
#[derive(Debug)]
pub(super) struct Members<'a, const N: usize> {
    /// The values; of a name that stands there more than once, the last. Null counts as absent.
    pub(super) values: [Option<&'a RawValue>; N],
    /// Members whose value is not null, those with other names too.
    pub(super) count: usize,
}

/// Looks up members of the object in `text`.
///
/// # Errors
/// When `text` is not the JSON text of an object; in people's words.
pub(super) fn members<'a, const N: usize>(text: &'a str, names: &[&str; N]) -> Result<Members<'a, N>, String> {
    expect_object(text)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Named(names)).map_err(|error| error.to_string())
}

/// All members of the object in `text`, in order.
///
/// # Errors
/// When `text` is not the JSON text of an object; in people's words.
pub(super) fn all_members(text: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>, String> {
    let mut members = Vec::new();
    each_member(text, |name, value| {
        members.push((name, value));
        Ok(())
    })?;
    Ok(members)
}

/// Gives `take` each member of the object in `text`, in order, until it refuses one.
///
/// # Errors
/// When `text` is not the JSON text of an object, in people's words; what `take` says.
pub(super) fn each_member<'a>(
    text: &'a str,
    take: impl FnMut(Cow<'a, str>, &'a RawValue) -> Result<(), String>,
) -> Result<(), String> {
    expect_object(text)?;
    let mut fault = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let walked = deserializer.deserialize_map(Each { take, fault: &mut fault });
    fault.map_or_else(|| walked.map_err(|error| error.to_string()), Err)
}

/// The string in `raw`.
///
/// # Errors
/// When it is none; in people's words.
pub(super) fn string(raw: &RawValue) -> Result<String, String> {
    match kind(raw.get()) {
        "string" => serde_json::from_str(raw.get()).map_err(|error| error.to_string()),
        kind => Err(format!("expected a string, got {}", with_article(kind))),
    }
}

/// What kind of value a JSON text is.
pub(super) fn kind(text: &str) -> &'static str {
    match text.trim_ascii_start().bytes().next() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

pub(super) fn with_article(kind: &str) -> String {
    match kind {
        "null" => kind.to_owned(),
        "object" | "array" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// The members of `text` with those of its member `_data` among them: what Python clients make of fields that an event
/// does not declare. A member that stands outside wins over one of that name inside.
///
/// # Errors
/// When `text` is not an object or its `_data` is none; in people's words.
pub(super) fn unfold_data(text: &str) -> Result<Cow<'_, str>, String> {
    let Members { values: [data], count } = members(text, &["_data"])?;
    unfold(text, data, count)
}

/// As [`unfold_data`], for an object whose `_data` and number of members are known.
pub(super) fn unfold<'a>(text: &'a str, data: Option<&'a RawValue>, count: usize) -> Result<Cow<'a, str>, String> {
    let Some(data) = data else { return Ok(Cow::Borrowed(text)) };
    expect_object(data.get()).map_err(|error| format!("member _data: {error}"))?;
    if count == 1 {
        return Ok(Cow::Borrowed(data.get()));
    }
    let outer = all_members(text)?;
    let inner = all_members(data.get())?;
    let names: HashSet<&str> = outer.iter().map(|(name, _)| &**name).collect();
    let inner = inner.iter().filter(|(name, _)| !names.contains(&**name));
    let outer = outer.iter().filter(|(name, _)| name != "_data");

    let mut merged = String::with_capacity(text.len());
    for (name, value) in inner.chain(outer) {
        merged.push(if merged.is_empty() { '{' } else { ',' });
        merged.push_str(&serde_json::to_string(name).expect("a string serialises"));
        merged.push(':');
        merged.push_str(value.get());
    }
    merged.push_str(if merged.is_empty() { "{}" } else { "}" });
    Ok(Cow::Owned(merged))
}

/// The JSON text without white space outside of strings: one line, as feeds need it.
pub(super) fn compact(text: &str) -> Cow<'_, str> {
    let Some(first) = next_space(text, 0) else { return Cow::Borrowed(text) };
    let mut compacted = String::with_capacity(text.len());
    let (mut kept_until, mut space) = (0, Some(first));
    while let Some(place) = space {
        compacted.push_str(&text[kept_until..place]);
        kept_until = place + 1;
        space = next_space(text, kept_until);
    }
    compacted.push_str(&text[kept_until..]);
    Cow::Owned(compacted)
}

/// The first white space from `from` on, which is outside of strings, that is outside of strings.
fn next_space(text: &str, mut from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(from)? {
            b' ' | b'\t' | b'\n' | b'\r' => return Some(from),
            b'"' => from = json::string_end(bytes, from + 1),
            _ => from += 1,
        }
    }
}

/// That a JSON text is that of an object.
///
/// # Errors
/// When it is not; in people's words.
pub(super) fn expect_object(text: &str) -> Result<(), String> {
    match kind(text) {
        "object" => Ok(()),
        kind => Err(format!("expected an object, got {}", with_article(kind))),
    }
}

struct Named<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Named<'_, N> {
    type Value = Members<'de, N>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { values: [None; N], count: 0 };
        while let Some(place) = map.next_key_seed(Place(self.0))? {
            if let Some(place) = place {
                let value = map.next_value::<&RawValue>()?;
                let replaced = members.values[place].take().is_some();
                members.values[place] = (value.get() != "null").then_some(value);
                members.count -= usize::from(replaced);
                members.count += usize::from(value.get() != "null");
            } else {
                map.next_value::<IgnoredAny>()?;
                members.count += 1;
            }
        }
        Ok(members)
    }
}

/// The place of a key among the names that are looked for.
#[derive(Clone, Copy)]
struct Place<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|wanted| *wanted == name))
    }
}

struct Each<'f, F> {
    take: F,
    fault: &'f mut Option<String>,
}

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue) -> Result<(), String>> Visitor<'de> for Each<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        while let Some(Name(name)) = map.next_key()? {
            if let Err(fault) = (self.take)(name, map.next_value()?) {
                *self.fault = Some(fault);
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! JSON objects as text: finds and unfolds members, and removes white space, without decoding values.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::json::{self, kind, with_article};

/// Some members of an object by name, borrowed from its text.
#[derive(Debug)]
pub(super) struct Members<'a, const N: usize> {
    /// The values; the last of several with one name. Null counts as absent.
    pub(super) values: [Option<&'a RawValue>; N],
    /// How many members are not null, including those with other names.
    pub(super) count: usize,
}

/// Finds members of the object in `text` by name.
///
/// # Errors
/// If `text` is not the JSON text of an object. The text is for people.
pub(super) fn members<'a, const N: usize>(text: &'a str, names: &[&str; N]) -> Result<Members<'a, N>, String> {
    expect_object(text)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Named(names)).map_err(|error| error.to_string())
}

/// Returns all members of the object in `text`, in order.
///
/// # Errors
/// If `text` is not the JSON text of an object. The text is for people.
pub(super) fn all_members(text: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>, String> {
    let mut members = Vec::new();
    each_member(text, |name, value| {
        members.push((name, value));
        Ok(())
    })?;
    Ok(members)
}

/// Passes each member of the object in `text` to `take`, in order, until it returns an error.
///
/// # Errors
/// If `text` is not the JSON text of an object, as a text for people; else the error of `take`.
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

/// Decodes a string.
///
/// # Errors
/// If `raw` is not a string. The text is for people.
pub(super) fn string(raw: &RawValue) -> Result<String, String> {
    match kind(raw.get()) {
        "string" => serde_json::from_str(raw.get()).map_err(|error| error.to_string()),
        kind => Err(format!("expected a string, got {}", with_article(kind))),
    }
}

/// Returns `text` with the members of its member `_data` among its own, as Python clients send fields that an event
/// does not declare. A member outside of `_data` takes precedence over one with the same name inside.
///
/// # Errors
/// If `text` or its `_data` is not an object. The text is for people.
pub(super) fn unfold_data(text: &str) -> Result<Cow<'_, str>, String> {
    let Members { values: [data], count } = members(text, &["_data"])?;
    unfold(text, data, count)
}

/// Like [`unfold_data`], for an object whose `_data` and number of members are known.
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

/// Removes white space outside of strings, which leaves one line, as feeds need it.
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

/// Finds the first white space outside of strings from `from` on, which must be outside of a string itself.
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

/// Checks that a JSON text is that of an object.
///
/// # Errors
/// If it is not. The text is for people.
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
        while let Some(place) = map.next_key_seed(MemberIndex(self.0))? {
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

/// Deserializes a key to its index among the names to be found.
#[derive(Clone, Copy)]
struct MemberIndex<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for MemberIndex<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberIndex<'_> {
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

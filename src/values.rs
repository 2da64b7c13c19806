//! The values of a run's state: a sorted map whose clones share their common parts.
//!
//! A pass reads a clone while other passes write. Entries are in chunks, so that a write copies one chunk and the list
//! of chunks, however many entries there are. An array with pushed elements consists of parts, each at least twice as
//! long as the next: a push takes amortized time logarithmic in the array's length.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

use crate::{cost, json::Json, limits::CHUNK_ENTRIES_MAX};

/// Values by key. Clones share them; an empty map takes one word.
#[derive(Clone, Default)]
pub struct Values(Option<Arc<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    /// In order; none of them is empty.
    chunks: Vec<Arc<Vec<Entry>>>,
    len: usize,
    cost_bytes: usize,
}

type Entry = (Arc<str>, Value);

/// One value.
#[derive(Clone)]
pub enum Value {
    /// Any value, as text.
    Text(Json),
    /// An array to which elements were pushed.
    Array(Arc<Array>),
}

/// The elements of an array.
#[derive(Clone, Default)]
pub struct Array {
    /// Elements separated by commas; no part is empty.
    parts: Vec<Arc<str>>,
    /// The length of the array's text.
    bytes: usize,
}

impl Values {
    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.len)
    }

    /// Returns whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory that they take unless shared. It depends only on keys and texts.
    pub fn cost_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.cost_bytes)
    }

    /// Returns the memory that one entry takes.
    pub fn entry_cost_bytes(key_bytes: usize, value_bytes: usize) -> usize {
        ENTRY_BYTES + cost::text(key_bytes) + cost::text(value_bytes)
    }

    /// Returns the text of a value.
    pub fn get(&self, key: &str) -> Option<Json> {
        self.entry(key).map(|(_, value)| value.json())
    }

    /// Returns a key and its value.
    pub fn entry(&self, key: &str) -> Option<(&Arc<str>, &Value)> {
        let inner = self.0.as_ref()?;
        let entries = inner.chunks.get(inner.chunk(key)?)?;
        let place = entries.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        entries.get(place).map(|(key, value)| (key, value))
    }

    /// Sets a key. Returns whether it was present.
    pub fn insert(&mut self, key: Arc<str>, value: impl Into<Value>) -> bool {
        let value = value.into();
        let inner = Arc::make_mut(self.0.get_or_insert_default());
        inner.cost_bytes += Self::entry_cost_bytes(key.len(), value.bytes());
        let Some(chunk) = inner.chunk(&key) else {
            inner.len += 1;
            inner.insert_before_all(key, value);
            return false;
        };
        let is_last = chunk + 1 == inner.chunks.len();
        let entries = Arc::make_mut(&mut inner.chunks[chunk]);
        match entries.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(place) => {
                let before = std::mem::replace(&mut entries[place].1, value);
                inner.cost_bytes -= Self::entry_cost_bytes(key.len(), before.bytes());
                return true;
            }
            // Keys that arrive in ascending order fill their chunks.
            Err(place) if place == CHUNK_ENTRIES_MAX && is_last => inner.chunks.push(Arc::new(vec![(key, value)])),
            Err(place) => {
                entries.insert(place, (key, value));
                if entries.len() > CHUNK_ENTRIES_MAX {
                    let upper = entries.split_off(CHUNK_ENTRIES_MAX / 2);
                    inner.chunks.insert(chunk + 1, Arc::new(upper));
                }
            }
        }
        inner.len += 1;
        false
    }

    /// Removes a key. Returns whether it was present.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some(before) = self.entry(key).map(|(_, value)| value.bytes()) else { return false };
        let Some(inner) = self.0.as_mut().map(Arc::make_mut) else { return false };
        let Some(chunk) = inner.chunk(key) else { return false };
        let entries = Arc::make_mut(&mut inner.chunks[chunk]);
        entries.retain(|(known, _)| **known != *key);
        if entries.is_empty() {
            inner.chunks.remove(chunk);
        }
        inner.len -= 1;
        inner.cost_bytes -= Self::entry_cost_bytes(key.len(), before);
        if inner.len == 0 {
            self.0 = None;
        }
        true
    }

    /// Iterates over the entries in order of key.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Value)> {
        let chunks = self.0.iter().flat_map(|inner| &inner.chunks);
        chunks.flat_map(|entries| entries.iter()).map(|(key, value)| (key, value))
    }

    /// Iterates over the keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(key, _)| key)
    }
}

impl Inner {
    /// Returns the chunk that contains the key or is to contain it; `None` if the key precedes all.
    fn chunk(&self, key: &str) -> Option<usize> {
        let begins_there = |entries: &Arc<Vec<Entry>>| entries.first().is_some_and(|(first, _)| **first <= *key);
        self.chunks.partition_point(begins_there).checked_sub(1)
    }

    fn insert_before_all(&mut self, key: Arc<str>, value: Value) {
        match self.chunks.first_mut() {
            Some(first) if first.len() < CHUNK_ENTRIES_MAX => Arc::make_mut(first).insert(0, (key, value)),
            _ => self.chunks.insert(0, Arc::new(vec![(key, value)])),
        }
    }
}

impl Value {
    /// Returns its text.
    pub fn json(&self) -> Json {
        match self {
            Self::Text(json) => json.clone(),
            Self::Array(array) => array.json(),
        }
    }

    /// Returns the length of its text.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(json) => json.as_str().len(),
            Self::Array(array) => array.bytes,
        }
    }

    /// Appends elements, separated by commas, to an array; an absent one counts as empty.
    ///
    /// # Errors
    /// If the value is not an array: its text.
    pub fn extend(this: Option<Self>, elements: &str) -> Result<Self, Json> {
        let mut array = match this {
            None => Arc::new(Array::new("")),
            Some(Self::Array(array)) => array,
            Some(Self::Text(json)) => {
                let own = json.as_str().trim_ascii().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
                let Some(own) = own else { return Err(json) };
                Arc::new(Array::new(own.trim_ascii()))
            }
        };
        if !elements.is_empty() {
            Arc::make_mut(&mut array).extend(elements);
        }
        Ok(Self::Array(array))
    }
}

impl Array {
    fn new(elements: &str) -> Self {
        let parts = if elements.is_empty() { Vec::new() } else { vec![Arc::from(elements)] };
        Self { parts, bytes: elements.len() + "[]".len() }
    }

    fn extend(&mut self, elements: &str) {
        self.bytes += elements.len() + usize::from(!self.parts.is_empty());
        let mut joined = elements.len();
        let mut place = self.parts.len();
        while place > 0 && self.parts[place - 1].len() < 2 * joined {
            place -= 1;
            joined += self.parts[place].len() + 1;
        }
        if place == self.parts.len() {
            self.parts.push(elements.into());
            return;
        }
        let mut text = String::with_capacity(joined);
        for part in self.parts.drain(place..) {
            text.push_str(&part);
            text.push(',');
        }
        text.push_str(elements);
        self.parts.push(text.into());
    }

    fn json(&self) -> Json {
        let mut text = String::with_capacity(self.bytes);
        text.push('[');
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(part);
        }
        text.push(']');
        Json::of_encoded(&text)
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::Text(json)
    }
}

impl<V: Into<Value>> FromIterator<(Arc<str>, V)> for Values {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, V)>>(entries: I) -> Self {
        let mut values = Self::default();
        for (key, value) in entries {
            values.insert(key, value);
        }
        values
    }
}

impl From<BTreeMap<Arc<str>, Json>> for Values {
    fn from(values: BTreeMap<Arc<str>, Json>) -> Self {
        values.into_iter().collect()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(one, other)| one == other)
    }
}

impl PartialEq<BTreeMap<Arc<str>, Json>> for Values {
    fn eq(&self, other: &BTreeMap<Arc<str>, Json>) -> bool {
        let same = |((one, value), (other, json)): ((_, &Value), (_, &Json))| one == other && value.json() == *json;
        self.len() == other.len() && self.iter().zip(other).all(same)
    }
}

/// Compares by text.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            _ => self.bytes() == other.bytes() && self.json() == other.json(),
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json().fmt(formatter)
    }
}

/// Serializes as a map of texts.
impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(json) => json.serialize(serializer),
            Self::Array(array) => array.json().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Values;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON texts by key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
        let mut values = Values::default();
        while let Some((key, value)) = map.next_entry::<Arc<str>, Json>()? {
            values.insert(key, value);
        }
        Ok(values)
    }
}

/// What an entry takes of its chunk, which on average is two thirds full, and of the list of chunks.
const ENTRY_BYTES: usize = 52;

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("good JSON")
    }

    /// Makes writes at random keys and compares with a plain map after each; clones must not change.
    #[test]
    fn values_are_those_of_a_map() {
        let (mut values, mut map) = (Values::default(), BTreeMap::<Arc<str>, Json>::new());
        let mut copies = Vec::new();
        let mut seed = 7_u64;
        for round in 0..4_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key: Arc<str> = format!("key{}", (seed >> 33) % 500).into();
            if (seed >> 20).is_multiple_of(3) {
                assert_eq!(values.remove(&key), map.remove(&key).is_some());
            } else {
                let value = json(&round.to_string());
                assert_eq!(values.insert(Arc::clone(&key), value.clone()), map.insert(key, value).is_some());
            }
            if round.is_multiple_of(500) {
                copies.push((values.clone(), map.clone()));
            }
        }
        assert!(map.len() > CHUNK_ENTRIES_MAX * 4, "{}", map.len());
        copies.push((values, map));
        for (values, map) in copies {
            assert_eq!(values, map);
            let cost = |(key, value): (&Arc<str>, &Json)| Values::entry_cost_bytes(key.len(), value.as_str().len());
            assert_eq!(values.cost_bytes(), map.iter().map(cost).sum::<usize>());
            assert!(map.keys().all(|key| values.get(key).as_ref() == map.get(key)));
        }
    }

    #[test]
    fn ascending_keys_fill_their_chunks() {
        let entries = (0..320).map(|index| (Arc::from(format!("{index:04}")), json("1")));
        let values: Values = entries.collect();
        let inner = values.0.as_ref().expect("it holds something");
        assert_eq!((values.len(), inner.chunks.len()), (320, 10));
    }

    #[test]
    fn an_array_that_was_pushed_to_reads_as_its_text() {
        let mut value = Some(Value::from(json(" [ 1, [2] ]")));
        let mut expected = vec!["1, [2]".to_owned()];
        for index in 0..300 {
            let element = json(&format!("\"{}\"", "x".repeat(index % 17)));
            value = Some(Value::extend(value, element.as_str()).expect("an array"));
            expected.push(element.as_str().to_owned());
        }
        let value = value.expect("an array");
        let text = format!("[{}]", expected.join(","));
        assert_eq!((value.json().as_str(), value.bytes()), (&*text, text.len()));
        let Value::Array(array) = &value else { panic!("{value:?}") };
        assert!(array.parts.len() < 16, "{} parts", array.parts.len());
        assert_eq!(Value::extend(Some(json("1").into()), "2"), Err(json("1")));
        assert_eq!(Value::extend(None, "").map(|value| value.json()), Ok(json("[]")));
    }
}

//! Values that are too large to be copied for every reader: they are shared and stored beside the feed's text.

use std::collections::BTreeMap;

use crate::{json::Json, limits::SHARED_BYTES_MIN};

/// Values by the numbers of their events. An empty one takes one word.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Large(Option<Box<Inner>>);

#[derive(Clone, PartialEq, Debug, Default)]
struct Inner {
    values: BTreeMap<u64, Json>,
    bytes: usize,
}

/// Returns whether a value of this size is shared.
pub(super) fn is_large(bytes: usize) -> bool {
    bytes >= SHARED_BYTES_MIN
}

/// Returns the size of a value as stored: a large one has its line ends escaped.
pub(super) fn value_bytes(value: &Json) -> usize {
    let bytes = value.as_str().len();
    if is_large(bytes) { value.escaped_bytes() } else { bytes }
}

impl Large {
    /// Adds the value of the event with that number, and escapes its line ends, as it is output unchanged.
    pub(super) fn insert(&mut self, sequence: u64, value: &Json) {
        let inner = self.0.get_or_insert_default();
        let value = value.with_escaped_line_ends();
        inner.bytes += value.as_str().len();
        if let Some(before) = inner.values.insert(sequence, value) {
            inner.bytes -= before.as_str().len();
        }
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Json> {
        self.0.as_ref()?.values.get(&sequence)
    }

    pub(super) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|inner| inner.values.keys().copied())
    }

    /// Returns the size of the value of that event; 0 if it is not large.
    pub(super) fn bytes_of(&self, sequence: u64) -> usize {
        self.get(sequence).map_or(0, |value| value.as_str().len())
    }

    /// Returns the size of all values.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |inner| inner.bytes)
    }

    /// Returns the values of a range of numbers, shared.
    pub(super) fn part(&self, range: std::ops::Range<u64>) -> Self {
        let mut part = Self::default();
        for (sequence, value) in self.0.iter().flat_map(|inner| inner.values.range(range.clone())) {
            let inner = part.0.get_or_insert_default();
            inner.bytes += value.as_str().len();
            inner.values.insert(*sequence, value.clone());
        }
        part
    }
}

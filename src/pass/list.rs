//! Lists that a run shares with its passes.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeSeq};

use crate::limits::LIST_PART_LEN;

/// A list whose clones share their common parts. Appending while a pass has a clone copies one part and the list of
/// parts. An empty list takes one word.
#[derive(Clone)]
pub struct SharedList<T>(Option<Arc<Parts<T>>>);

#[derive(Clone)]
struct Parts<T> {
    /// Parts of [`LIST_PART_LEN`] values each.
    full: Vec<Arc<Vec<T>>>,
    /// The values after those: from one to [`LIST_PART_LEN`].
    last: Vec<T>,
}

impl<T> SharedList<T> {
    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |parts| parts.full.len() * LIST_PART_LEN + parts.last.len())
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the value at an index.
    pub fn get(&self, index: usize) -> Option<&T> {
        let parts = self.0.as_ref()?;
        match parts.full.get(index / LIST_PART_LEN) {
            Some(part) => part.get(index % LIST_PART_LEN),
            None => parts.last.get(index - parts.full.len() * LIST_PART_LEN),
        }
    }

    /// Returns the last value.
    pub fn last(&self) -> Option<&T> {
        self.0.as_ref()?.last.last()
    }

    /// Iterates over the values in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let parts = self.0.iter();
        parts.flat_map(|parts| parts.full.iter().flat_map(|part| part.iter()).chain(&parts.last))
    }
}

impl<T: Clone> SharedList<T> {
    /// Appends a value.
    pub fn push(&mut self, value: T) {
        let parts = Arc::make_mut(self.0.get_or_insert_with(|| Arc::new(Parts { full: Vec::new(), last: Vec::new() })));
        if parts.last.len() == LIST_PART_LEN {
            let last = std::mem::replace(&mut parts.last, Vec::with_capacity(LIST_PART_LEN));
            parts.full.push(Arc::new(last));
        }
        parts.last.push(value);
    }

    /// Returns the value at an index, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let parts = Arc::make_mut(self.0.as_mut()?);
        let before = parts.full.len() * LIST_PART_LEN;
        match parts.full.get_mut(index / LIST_PART_LEN) {
            Some(part) => Arc::make_mut(part).get_mut(index % LIST_PART_LEN),
            None => parts.last.get_mut(index - before),
        }
    }

    /// Removes all but the first `len` values.
    pub fn truncate(&mut self, len: usize) {
        if len == 0 {
            self.0 = None;
        } else if len < self.len()
            && let Some(parts) = self.0.as_mut().map(Arc::make_mut)
        {
            while len <= parts.full.len() * LIST_PART_LEN {
                parts.last = parts.full.pop().map(Arc::unwrap_or_clone).unwrap_or_default();
            }
            parts.last.truncate(len - parts.full.len() * LIST_PART_LEN);
        }
    }
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> FromIterator<T> for SharedList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut list = Self::default();
        values.into_iter().for_each(|value| list.push(value));
        list
    }
}

impl<T: PartialEq> PartialEq for SharedList<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: fmt::Debug> fmt::Debug for SharedList<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Serialize> Serialize for SharedList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values = serializer.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|value| values.serialize_element(value))?;
        values.end()
    }
}

impl<'de, T: Deserialize<'de> + Clone> Deserialize<'de> for SharedList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from_iter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares it with a plain vector, at the edges of parts; clones must not change.
    #[test]
    fn a_list_is_that_of_a_vector() {
        let (mut list, mut vector, mut copies) = (SharedList::default(), Vec::new(), Vec::new());
        for len in [
            1,
            LIST_PART_LEN - 1,
            LIST_PART_LEN,
            LIST_PART_LEN + 1,
            2 * LIST_PART_LEN,
            2 * LIST_PART_LEN + 1,
            3 * LIST_PART_LEN,
        ] {
            for cut in [0, 1, LIST_PART_LEN - 1, LIST_PART_LEN, LIST_PART_LEN + 1, 2 * LIST_PART_LEN, len] {
                while vector.len() < len {
                    list.push(vector.len());
                    vector.push(vector.len());
                }
                copies.push((list.clone(), vector.clone()));
                list.truncate(cut);
                vector.truncate(cut);
                for index in [0, cut / 2, cut.saturating_sub(1), cut] {
                    if let Some(value) = vector.get_mut(index) {
                        *value += 7;
                    }
                    if let Some(value) = list.get_mut(index) {
                        *value += 7;
                    }
                    assert_eq!(list.get(index), vector.get(index));
                }
                copies.push((list.clone(), vector.clone()));
            }
        }
        for (list, vector) in copies {
            assert_eq!((list.len(), list.is_empty(), list.last()), (vector.len(), vector.is_empty(), vector.last()));
            assert!(list.iter().eq(&vector));
            let bytes = postcard::to_stdvec(&list).expect("it serialises");
            assert_eq!(bytes, postcard::to_stdvec(&vector).expect("it serialises"));
            assert_eq!(postcard::from_bytes::<SharedList<usize>>(&bytes).expect("it reads"), list);
        }
    }

    #[test]
    fn an_append_beside_a_copy_shares_all_full_parts() {
        let mut list: SharedList<u32> = (0..5 * LIST_PART_LEN as u32).collect();
        let copy = list.clone();
        list.push(1);
        let parts = |list: &SharedList<u32>| list.0.as_ref().expect("it holds something").full.clone();
        assert!(parts(&copy).iter().zip(&parts(&list)).all(|(one, other)| Arc::ptr_eq(one, other)));
    }
}

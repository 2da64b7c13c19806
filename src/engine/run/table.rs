//! Values by ascending number, for things of which a run has many or none.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeSeq};

use crate::limits::SPARE_CAPACITY_MIN;

/// Values by numbers that only grow. An empty table takes one word; the oldest value is the cheapest to remove.
#[derive(Debug)]
pub(super) struct Table<V>(Option<Box<Entries<V>>>);

#[derive(Debug)]
struct Entries<V>(VecDeque<(u64, V)>);

impl<V> Table<V> {
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |entries| entries.0.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a value under a number greater than all earlier ones.
    pub(super) fn push(&mut self, number: u64, value: V) {
        self.0.get_or_insert_with(|| Box::new(Entries(VecDeque::new()))).0.push_back((number, value));
    }

    pub(super) fn get(&self, number: u64) -> Option<&V> {
        let entries = &self.0.as_ref()?.0;
        entries.get(index_of(entries, number)?).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut V> {
        let entries = &mut self.0.as_mut()?.0;
        let index = index_of(entries, number)?;
        entries.get_mut(index).map(|(_, value)| value)
    }

    /// Sets the value under any number.
    pub(super) fn insert(&mut self, number: u64, value: V) {
        let entries = &mut self.0.get_or_insert_with(|| Box::new(Entries(VecDeque::new()))).0;
        match entries.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(index) => entries[index].1 = value,
            Err(index) => entries.insert(index, (number, value)),
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<V> {
        let entries = &mut self.0.as_mut()?.0;
        let (_, value) = entries.remove(index_of(entries, number)?)?;
        if entries.capacity() > SPARE_CAPACITY_MIN && entries.len() < entries.capacity() / 4 {
            entries.shrink_to(entries.len() * 2);
        }
        Some(value)
    }

    /// Removes the value with the lowest number.
    pub(super) fn pop_first(&mut self) -> Option<(u64, V)> {
        self.0.as_mut()?.0.pop_front()
    }

    /// Adds a value under a number less than all present ones.
    pub(super) fn push_first(&mut self, number: u64, value: V) {
        self.0.get_or_insert_with(|| Box::new(Entries(VecDeque::new()))).0.push_front((number, value));
    }

    /// Iterates in ascending order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut V)> {
        self.0.iter_mut().flat_map(|entries| &mut entries.0).map(|(number, value)| (*number, value))
    }

    /// Iterates in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &V)> + Clone {
        self.0.iter().flat_map(|entries| &entries.0).map(|(number, value)| (*number, value))
    }

    /// Frees the memory of an empty table.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
            self.0 = None;
        }
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: Serialize> Serialize for Table<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = serializer.serialize_seq(Some(self.len()))?;
        for entry in self.iter() {
            entries.serialize_element(&entry)?;
        }
        entries.end()
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Table<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = VecDeque::deserialize(deserializer)?;
        Ok(Self((!entries.is_empty()).then(|| Box::new(Entries(entries)))))
    }
}

/// The oldest is looked up most often.
fn index_of<V>(entries: &VecDeque<(u64, V)>, number: u64) -> Option<usize> {
    match entries.front()?.0 {
        first if first == number => Some(0),
        _ => entries.binary_search_by_key(&number, |(number, _)| *number).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_under_their_numbers_whatever_is_removed_between() {
        let mut table = Table::default();
        for number in (0..1_000).map(|index| index * 3) {
            table.push(number, number + 1);
        }
        for number in (0..1_000).filter(|index| index % 7 != 0).map(|index| index * 3) {
            assert_eq!(table.remove(number), Some(number + 1));
            assert_eq!((table.remove(number), table.get(number), table.get(number + 1)), (None, None, None));
        }
        assert_eq!(table.len(), 143);
        assert!(table.iter().all(|(number, value)| *value == number + 1 && number % 21 == 0));
        assert_eq!(table.get_mut(21), Some(&mut 22));
        table.insert(20, 7);
        table.insert(21, 8);
        assert_eq!((table.get(20), table.get(21), table.len()), (Some(&7), Some(&8), 144));
    }
}

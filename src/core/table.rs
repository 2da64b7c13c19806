//! Values by client, in slots that are reused.

use crate::{
    client_id::ClientId,
    engine::{channel::ReaderId, keys::CallerId},
};

impl From<ClientId> for CallerId {
    fn from(client: ClientId) -> Self {
        Self(client.into())
    }
}

impl From<ClientId> for ReaderId {
    fn from(client: ClientId) -> Self {
        Self(client.into())
    }
}

/// At most one value per client. A client never sees the value of another one in the same slot.
#[derive(Debug)]
pub struct Table<T> {
    slots: Vec<Option<(u32, T)>>,
}

impl<T> Table<T> {
    /// Sets the value of a client, replacing any value in its slot.
    pub fn insert(&mut self, client: ClientId, value: T) {
        let slot = client.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some((client.generation, value));
    }

    /// Returns the client's value.
    pub fn get(&self, client: ClientId) -> Option<&T> {
        match self.slots.get(client.slot as usize)? {
            Some((generation, value)) if *generation == client.generation => Some(value),
            _ => None,
        }
    }

    /// Returns the client's value, to be changed.
    pub fn get_mut(&mut self, client: ClientId) -> Option<&mut T> {
        match self.slots.get_mut(client.slot as usize)? {
            Some((generation, value)) if *generation == client.generation => Some(value),
            _ => None,
        }
    }

    /// Removes and returns the client's value.
    pub fn remove(&mut self, client: ClientId) -> Option<T> {
        self.remove_if(client, |_| true)
    }

    /// Removes and returns the client's value if `is_wanted` accepts it.
    pub fn remove_if(&mut self, client: ClientId, is_wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let slot = self.slots.get_mut(client.slot as usize)?;
        let taken = slot.take_if(|(generation, value)| *generation == client.generation && is_wanted(value));
        taken.map(|(_, value)| value)
    }

    /// Iterates over the clients that have a value, by slot.
    pub fn clients(&self) -> impl Iterator<Item = (ClientId, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            let (generation, value) = entry.as_ref()?;
            Some((ClientId { slot: slot as u32, generation: *generation }, value))
        })
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_never_sees_the_value_of_another_in_its_slot() {
        let (old, new) = (ClientId { slot: 2, generation: 0 }, ClientId { slot: 2, generation: 1 });
        let mut table = Table::default();
        assert_eq!(table.remove(old), None);
        table.insert(old, 'a');
        assert_eq!((table.get(old), table.get(new)), (Some(&'a'), None));
        assert_eq!(table.get_mut(new), None);
        assert_eq!(table.remove(new), None);
        assert_eq!(table.get_mut(old), Some(&mut 'a'));
        table.insert(new, 'b');
        assert_eq!(table.get(old), None);
        assert_eq!(table.remove(old), None);
        assert_eq!(table.remove_if(new, |value| *value == 'a'), None);
        assert_eq!(table.clients().collect::<Vec<_>>(), [(new, &'b')]);
        assert_eq!((table.remove(new), table.remove(new)), (Some('b'), None));
    }
}

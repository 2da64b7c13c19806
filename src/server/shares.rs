//! Shares among streams and lists what they may write together in one turn of the loop.

use std::collections::{BTreeSet, VecDeque};

use crate::{client_id::ClientId, limits::TURN_OUTPUT_BYTES_MAX};

/// What is left of this turn, and the connections that wait for the next one, in order.
#[derive(Debug, Default)]
pub(super) struct Shares {
    left_bytes: usize,
    waiting: VecDeque<ClientId>,
    is_waiting: BTreeSet<ClientId>,
}

impl Shares {
    pub(super) fn begin_turn(&mut self) {
        self.left_bytes = TURN_OUTPUT_BYTES_MAX;
    }

    /// Returns whether this connection may write now; otherwise it does so when it is its turn.
    pub(super) fn admits(&mut self, id: ClientId) -> bool {
        let admitted = self.left_bytes > 0 && self.waiting.is_empty();
        if !admitted {
            self.wait(id);
        }
        admitted
    }

    /// Makes this connection wait for its turn.
    pub(super) fn wait(&mut self, id: ClientId) {
        if self.is_waiting.insert(id) {
            self.waiting.push_back(id);
        }
    }

    /// Subtracts bytes that were written, or other work that takes as long.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
    }

    /// Returns how many connections wait for their turn.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Returns whether any connection waits for its turn.
    pub(super) fn is_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns the next connection in this turn, if anything is left of it.
    pub(super) fn next(&mut self) -> Option<ClientId> {
        if self.left_bytes == 0 {
            return None;
        }
        let id = self.waiting.pop_front()?;
        self.is_waiting.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ClientId {
        ClientId { slot, generation: 0 }
    }

    #[test]
    fn first_come_first_served_and_none_twice() {
        let mut shares = Shares::default();
        shares.begin_turn();
        assert!(shares.admits(id(1)));
        shares.spend(usize::MAX);
        assert!(!shares.admits(id(2)) && !shares.admits(id(3)) && !shares.admits(id(2)));
        assert_eq!(shares.next(), None);
        shares.begin_turn();
        assert!(!shares.admits(id(1)), "others wait already");
        assert_eq!(std::iter::from_fn(|| shares.next()).collect::<Vec<_>>(), [id(2), id(3), id(1)]);
        assert!(!shares.is_wanted());
    }
}

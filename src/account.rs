//! The account of the bytes that the server holds, and the limit on all of them together.

use crate::limits::{
    EVENTS_PART, FINISHED_PART, PRESSURE_PERCENT, REPLIES_PART, REQUESTS_PART, REQUESTS_RESERVED_PART,
};

/// Bytes held, by purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeldBytes {
    /// Requests that are arriving or waiting.
    pub requests: usize,
    /// Replies and events that clients have not taken.
    pub replies: usize,
    /// Resident runs: their events, states and waits, and without a store their feeds.
    pub runs: usize,
    /// Resident finished handlers.
    pub finished: usize,
    /// What was submitted to the store and is not committed yet.
    pub uncommitted: usize,
}

impl HeldBytes {
    /// Returns the total.
    pub fn total(&self) -> usize {
        [self.requests, self.replies, self.runs, self.finished, self.uncommitted]
            .into_iter()
            .fold(0, usize::saturating_add)
    }
}

/// The new work for which there is memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Room {
    /// Nothing that would hold memory.
    Nothing,
    /// Events for existing runs: what waits for them may then end and free memory.
    Events,
    /// New runs, too.
    Runs,
}

/// The limit on all bytes held. Beyond it new work is refused; existing work continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    bytes_max: usize,
    request_bytes_max: usize,
}

impl Account {
    /// Creates an account with a limit of `bytes_max` in total and `request_bytes_max` for one request.
    pub fn new(bytes_max: usize, request_bytes_max: usize) -> Self {
        Self { bytes_max, request_bytes_max }
    }

    /// Returns the new work for which there is memory.
    pub fn room(self, held: &HeldBytes) -> Room {
        match held.total() {
            total if total <= self.bytes_max => Room::Runs,
            total if total <= self.bytes_max + self.bytes_max / EVENTS_PART => Room::Events,
            _ => Room::Nothing,
        }
    }

    /// Returns whether to free as much memory as possible.
    pub fn is_pressed(self, held: &HeldBytes) -> bool {
        held.total() > self.bytes_max / 100 * PRESSURE_PERCENT
    }

    /// Returns how many bytes requests may hold: their share, or enough for one, less as other use grows, but always
    /// enough for some small ones.
    pub fn requests_max(self, held: &HeldBytes) -> usize {
        let others = held.total() - held.requests;
        let left = self.bytes_max.saturating_sub(others);
        left.min((self.bytes_max / REQUESTS_PART).max(self.request_bytes_max)).max(self.requests_reserved())
    }

    /// Returns how many bytes requests may hold at least: enough for some small ones.
    pub fn requests_reserved(self) -> usize {
        self.bytes_max / REQUESTS_RESERVED_PART
    }

    /// Returns how many bytes replies may hold.
    pub fn replies_max(self) -> usize {
        self.bytes_max / REPLIES_PART
    }

    /// Returns how many bytes resident finished handlers may hold.
    pub fn finished_max(self) -> usize {
        self.bytes_max / FINISHED_PART
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_get_less_as_the_rest_grows_and_never_nothing() {
        let account = Account::new(64 << 20, 1 << 20);
        let with = |runs: usize| account.requests_max(&HeldBytes { requests: 1 << 20, runs, ..HeldBytes::default() });
        assert_eq!(with(0), (64 << 20) / REQUESTS_PART);
        assert_eq!(with(60 << 20), 4 << 20);
        assert_eq!(Account::new(64 << 20, 20 << 20).requests_max(&HeldBytes::default()), 20 << 20);
        assert_eq!(with(70 << 20), (64 << 20) / REQUESTS_RESERVED_PART);
    }

    #[test]
    fn all_that_is_held_counts() {
        let account = Account::new(5, 1);
        let held = HeldBytes { requests: 1, replies: 1, runs: 1, finished: 1, uncommitted: 1 };
        assert_eq!(account.room(&held), Room::Runs);
        assert_eq!(account.room(&HeldBytes { uncommitted: 2, ..held }), Room::Nothing);
    }

    #[test]
    fn there_is_room_for_events_a_while_longer_than_for_runs() {
        let account = Account::new(64 << 20, 1);
        let room = |runs: usize| account.room(&HeldBytes { runs, ..HeldBytes::default() });
        assert_eq!([room(64 << 20), room((64 << 20) + 1)], [Room::Runs, Room::Events]);
        assert_eq!([room(68 << 20), room((68 << 20) + 1)], [Room::Events, Room::Nothing]);
    }
}

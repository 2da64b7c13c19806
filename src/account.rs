//! One account of the bytes that the server holds, and the bound on all of them together.

use crate::limits::{
    EVENTS_PART, FINISHED_PART, PRESSURE_PERCENT, REPLIES_PART, REQUESTS_PART, REQUESTS_RESERVED_PART,
};

/// Bytes that are held, by what holds them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Requests that are coming or waiting.
    pub requests: usize,
    /// Replies and events that clients have not taken.
    pub replies: usize,
    /// Runs that are in memory: their events, states, waits, and without a store their feeds.
    pub runs: usize,
    /// Finished handlers that are in memory.
    pub finished: usize,
    /// What the store has been given and has not kept yet.
    pub unkept: usize,
}

impl Held {
    /// All of it.
    pub fn total(&self) -> usize {
        [self.requests, self.replies, self.runs, self.finished, self.unkept].into_iter().fold(0, usize::saturating_add)
    }
}

/// What there is room for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Room {
    /// Nothing that stays.
    Nothing,
    /// Events for runs that go on: what waits for them may end, and leave room.
    Events,
    /// New runs, too.
    Runs,
}

/// The bound on all that is held. Beyond it new work is refused; what exists goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    bytes_max: usize,
    request_bytes_max: usize,
}

impl Account {
    /// An account of at most so many bytes; one request may have so many.
    pub fn new(bytes_max: usize, request_bytes_max: usize) -> Self {
        Self { bytes_max, request_bytes_max }
    }

    /// What there is room for.
    pub fn room(self, held: &Held) -> Room {
        match held.total() {
            total if total <= self.bytes_max => Room::Runs,
            total if total <= self.bytes_max + self.bytes_max / EVENTS_PART => Room::Events,
            _ => Room::Nothing,
        }
    }

    /// Whether it is time to free what can be freed.
    pub fn is_pressed(self, held: &Held) -> bool {
        held.total() > self.bytes_max / 100 * PRESSURE_PERCENT
    }

    /// Bytes that requests may hold: their part, or enough for one, less as the rest of the room is used up, but always
    /// enough for some small ones.
    pub fn requests_max(self, held: &Held) -> usize {
        let others = held.total() - held.requests;
        let left = self.bytes_max.saturating_sub(others);
        left.min((self.bytes_max / REQUESTS_PART).max(self.request_bytes_max)).max(self.requests_reserved())
    }

    /// Bytes that requests may hold, however little room there is: enough for some small ones.
    pub fn requests_reserved(self) -> usize {
        self.bytes_max / REQUESTS_RESERVED_PART
    }

    /// Bytes that replies may hold.
    pub fn replies_max(self) -> usize {
        self.bytes_max / REPLIES_PART
    }

    /// Bytes that finished handlers may hold in memory.
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
        let with = |runs: usize| account.requests_max(&Held { requests: 1 << 20, runs, ..Held::default() });
        assert_eq!(with(0), (64 << 20) / REQUESTS_PART);
        assert_eq!(with(60 << 20), 4 << 20);
        assert_eq!(Account::new(64 << 20, 20 << 20).requests_max(&Held::default()), 20 << 20);
        assert_eq!(with(70 << 20), (64 << 20) / REQUESTS_RESERVED_PART);
    }

    #[test]
    fn all_that_is_held_counts() {
        let account = Account::new(5, 1);
        let held = Held { requests: 1, replies: 1, runs: 1, finished: 1, unkept: 1 };
        assert_eq!(account.room(&held), Room::Runs);
        assert_eq!(account.room(&Held { unkept: 2, ..held }), Room::Nothing);
    }

    #[test]
    fn there_is_room_for_events_a_while_longer_than_for_runs() {
        let account = Account::new(64 << 20, 1);
        let room = |runs: usize| account.room(&Held { runs, ..Held::default() });
        assert_eq!([room(64 << 20), room((64 << 20) + 1)], [Room::Runs, Room::Events]);
        assert_eq!([room(68 << 20), room((68 << 20) + 1)], [Room::Events, Room::Nothing]);
    }
}

//! The readers of a run's feed: one queue with a lock and waiters, and any number of log readers.

use std::collections::VecDeque;

/// Identifies a reader by a number that the server assigns and never reuses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReaderId(pub u64);

/// The readers of one run's feed, and the positions of the feed and its queue.
#[derive(Debug)]
pub struct Channel {
    begin: u64,
    first: u64,
    visible: u64,
    ended: bool,
    taken: u64,
    holder: Option<ReaderId>,
    waiting: VecDeque<ReaderId>,
    followers: Vec<ReaderId>,
}

impl Channel {
    /// Creates the channel of a run whose first event has the number `first`.
    pub fn new(first: u64) -> Self {
        Self {
            begin: first,
            first,
            visible: first,
            ended: false,
            taken: first,
            holder: None,
            waiting: VecDeque::new(),
            followers: Vec::new(),
        }
    }

    /// Restores the channel of a run from a store: the numbers of its events, the first that is retained, how far its
    /// queue was taken, and whether it has ended.
    pub fn resumed(events: std::ops::Range<u64>, first: u64, taken: u64, ended: bool) -> Self {
        let taken = taken.clamp(events.start, events.end.max(events.start));
        let mut channel = Self { visible: events.end, taken, ended, ..Self::new(events.start) };
        channel.handle_left(first);
        channel
    }

    /// Returns the number of the run's first event.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// Returns the number of the first event that has not left the feed's window.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number after the newest event that readers may see.
    pub fn visible(&self) -> u64 {
        self.visible
    }

    /// Returns the numbers of all its committed events, including those that have left the window.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.begin..self.visible
    }

    /// Returns whether events left the window before the queue reached them, and nothing was read from the queue since.
    pub fn has_skipped(&self) -> bool {
        self.taken < self.first
    }

    /// Returns whether the run's end is committed, so that no further events follow.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Returns the number of the next event of the queue.
    pub fn cursor(&self) -> u64 {
        self.taken.max(self.first)
    }

    /// Returns how far the queue was taken, which may be before the window. A store retains this, so that the next
    /// reader is told which events have left the window.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns whether all events were taken from the queue and no further ones follow.
    pub fn is_drained(&self) -> bool {
        self.ended && self.cursor() >= self.visible
    }

    /// Returns whether it has readers, active or waiting.
    pub fn is_busy(&self) -> bool {
        self.holder.is_some() || !self.waiting.is_empty() || !self.followers.is_empty()
    }

    /// Iterates over the present readers.
    pub fn readers(&self) -> impl Iterator<Item = ReaderId> + '_ {
        self.holder.into_iter().chain(self.followers.iter().copied())
    }

    /// Iterates over active and waiting readers, which must be notified when the handler is gone.
    pub fn everybody(&self) -> impl Iterator<Item = ReaderId> + '_ {
        self.readers().chain(self.waiting.iter().copied())
    }

    /// Events up to `next` are committed.
    pub fn handle_published(&mut self, next: u64) {
        self.visible = self.visible.max(next);
    }

    /// Events before `first` have left the window, and that is committed.
    pub fn handle_left(&mut self, first: u64) {
        self.first = self.first.max(first);
    }

    /// The run's end is committed.
    pub fn handle_ended(&mut self) {
        self.ended = true;
    }

    /// The socket of the lock's holder has taken the queue up to `next`.
    pub fn handle_taken(&mut self, next: u64) {
        debug_assert!(next <= self.visible, "a reader takes what it has been shown");
        self.taken = self.taken.max(next);
    }

    /// Acquires the lock, or starts to wait for it. Returns whether the lock was acquired.
    pub fn acquire(&mut self, reader: ReaderId) -> bool {
        if self.holder.is_none() && self.waiting.is_empty() {
            self.holder = Some(reader);
            return true;
        }
        self.waiting.push_back(reader);
        false
    }

    /// Starts to read the log.
    pub fn follow(&mut self, reader: ReaderId) {
        self.followers.push(reader);
    }

    /// The reader has ended or no longer waits. Returns the new holder of the lock, if that has changed.
    pub fn leave(&mut self, reader: ReaderId) -> Option<ReaderId> {
        if self.holder == Some(reader) {
            self.holder = self.waiting.pop_front();
            return self.holder;
        }
        self.waiting.retain(|&other| other != reader);
        self.followers.retain(|&other| other != reader);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_goes_to_waiters_in_order_of_arrival() {
        let mut channel = Channel::new(0);
        assert!(channel.acquire(ReaderId(1)));
        assert!(!channel.acquire(ReaderId(2)));
        assert!(!channel.acquire(ReaderId(3)));
        assert!(!channel.acquire(ReaderId(4)));
        assert_eq!(channel.leave(ReaderId(3)), None);
        assert_eq!(channel.leave(ReaderId(1)), Some(ReaderId(2)));
        assert_eq!(channel.leave(ReaderId(2)), Some(ReaderId(4)));
        assert_eq!(channel.leave(ReaderId(4)), None);
        assert!(!channel.is_busy());
    }

    #[test]
    fn a_queue_resumes_at_the_start_of_the_window_and_reports_what_it_has_skipped() {
        let mut channel = Channel::new(5);
        channel.handle_published(20);
        channel.handle_taken(8);
        channel.handle_left(7);
        assert_eq!((channel.first(), channel.cursor(), channel.has_skipped()), (7, 8, false));
        channel.handle_left(11);
        assert_eq!((channel.begin(), channel.first(), channel.cursor(), channel.has_skipped()), (5, 11, 11, true));
        let resumed = Channel::resumed(5..20, 11, 8, false);
        assert_eq!((resumed.begin(), resumed.first(), resumed.cursor(), resumed.has_skipped()), (5, 11, 11, true));
        // The store gets the position that was taken, or the restored channel could not know what was skipped.
        let resumed = Channel::resumed(5..20, 11, channel.taken(), false);
        assert_eq!((resumed.cursor(), resumed.has_skipped()), (11, true));
        channel.handle_taken(12);
        assert!(!channel.has_skipped());
    }

    #[test]
    fn a_queue_is_drained_only_when_its_run_has_ended() {
        let mut channel = Channel::new(5);
        channel.handle_published(7);
        assert!(channel.acquire(ReaderId(1)));
        channel.handle_taken(7);
        assert!(!channel.is_drained());
        channel.handle_ended();
        assert!(channel.is_drained());
    }
}

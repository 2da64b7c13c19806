//! Who reads a run's feed: one queue with a lock and a line of waiters, and any number of log readers.

use std::collections::VecDeque;

/// A reader, by a number that the server gives it. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReaderId(pub u64);

/// The readers of one run's feed, and how far the feed and its queue have come.
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
    /// The channel of a run whose first event gets the number `first`.
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

    /// The channel of a run that a store gives back: its events' numbers, the first that is still there, how far its
    /// queue was taken, whether it has ended.
    pub fn resumed(events: std::ops::Range<u64>, first: u64, taken: u64, ended: bool) -> Self {
        let taken = taken.clamp(events.start, events.end.max(events.start));
        let mut channel = Self { visible: events.end, taken, ended, ..Self::new(events.start) };
        channel.handle_left(first);
        channel
    }

    /// The number of the run's first event.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// The number of the first event that has not left the feed's window.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number after the newest event that readers may see.
    pub fn visible(&self) -> u64 {
        self.visible
    }

    /// The numbers of all its events that are kept, those that have left the window too.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.begin..self.visible
    }

    /// Whether events have left the window that the queue had not come to, and nothing was read of it since.
    pub fn has_skipped(&self) -> bool {
        self.taken < self.first
    }

    /// Whether the run's end is kept: nothing comes any more.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next event of the queue.
    pub fn cursor(&self) -> u64 {
        self.taken.max(self.first)
    }

    /// How far the queue was taken, which may be before the window: what a store keeps of it, so that whoever reads on
    /// is told of what has left meanwhile.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the queue is used up for good.
    pub fn is_drained(&self) -> bool {
        self.ended && self.cursor() >= self.visible
    }

    /// Whether anybody reads or waits.
    pub fn is_busy(&self) -> bool {
        self.holder.is_some() || !self.waiting.is_empty() || !self.followers.is_empty()
    }

    /// Everybody who reads now.
    pub fn readers(&self) -> impl Iterator<Item = ReaderId> + '_ {
        self.holder.into_iter().chain(self.followers.iter().copied())
    }

    /// Everybody who reads or waits: to be told when the handler is gone.
    pub fn everybody(&self) -> impl Iterator<Item = ReaderId> + '_ {
        self.readers().chain(self.waiting.iter().copied())
    }

    /// Events up to `next` are kept.
    pub fn handle_published(&mut self, next: u64) {
        self.visible = self.visible.max(next);
    }

    /// Events before `first` have left the window, and that is kept.
    pub fn handle_left(&mut self, first: u64) {
        self.first = self.first.max(first);
    }

    /// The run's end is kept.
    pub fn handle_ended(&mut self) {
        self.ended = true;
    }

    /// The holder's socket has taken the queue up to `next`.
    pub fn handle_taken(&mut self, next: u64) {
        debug_assert!(next <= self.visible, "a reader takes what it has been shown");
        self.taken = self.taken.max(next);
    }

    /// Takes the lock, or a place in the line for it.
    pub fn acquire(&mut self, reader: ReaderId) -> bool {
        if self.holder.is_none() && self.waiting.is_empty() {
            self.holder = Some(reader);
            return true;
        }
        self.waiting.push_back(reader);
        false
    }

    /// Begins to read the log.
    pub fn follow(&mut self, reader: ReaderId) {
        self.followers.push(reader);
    }

    /// The reader has ended, or no longer waits. Gives who has the lock next, if that has changed.
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
    fn a_queue_goes_on_with_the_windows_first_event_and_says_what_it_has_skipped() {
        let mut channel = Channel::new(5);
        channel.handle_published(20);
        channel.handle_taken(8);
        channel.handle_left(7);
        assert_eq!((channel.first(), channel.cursor(), channel.has_skipped()), (7, 8, false));
        channel.handle_left(11);
        assert_eq!((channel.begin(), channel.first(), channel.cursor(), channel.has_skipped()), (5, 11, 11, true));
        let resumed = Channel::resumed(5..20, 11, 8, false);
        assert_eq!((resumed.begin(), resumed.first(), resumed.cursor(), resumed.has_skipped()), (5, 11, 11, true));
        // The store is given how far it was taken, lest the one that it gives back has nothing to tell.
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

//! Readers of a run's feed: the lock of its queue, pages of the store, and how far a socket has taken the queue.
//!
//! ```text
//!  begin_reading ──► Waits ──┬── take_lock ──► Open ──► next_step: Ask, Wait … ──► Finish
//!       │                    │                  │ └──────────────► BreakOff          │
//!       │                    └── its time is up │                                    ▼
//!       └── Gone, NoLock                        └─────────────► stop_reading ◄── last byte taken
//! ```
//!
//! The driver writes the events and knows what its socket has taken; what comes next is decided here.

use std::{collections::VecDeque, time::Duration};

use super::Core;
use crate::client_id::ClientId;
use crate::{
    engine::{
        channel::{Channel, ReaderId},
        feed::Feed,
        keys::RunKey,
        storage::{Query, Ticket},
    },
    now::{Clock, Now},
};

/// How a reader begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadFrom {
    /// The queue, once the reader has its lock. It waits for the lock at most this long; with zero it tries once.
    Queue(Duration),
    /// The log, at this number.
    Log(u64),
}

/// What becomes of a reader that begins.
#[derive(Debug)]
pub enum Begun {
    /// The run no longer exists.
    Gone,
    /// The queue has another reader, and this one does not wait.
    NoLock,
    /// It waits for the lock ([`Output::LockGranted`](super::Output::LockGranted)), until this point on the alive
    /// clock.
    Waits(u64),
    /// It reads.
    Open(Reading),
}

/// What a waiting reader finds once it has the lock.
#[derive(Debug)]
pub enum Granted {
    /// The run no longer exists.
    Gone,
    /// Nothing is left in the queue, and the run has ended. The reader has left.
    Drained,
    /// It reads.
    Open(Reading),
}

/// What an open reader is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadStep {
    /// Nothing, until there is more to write or room for it.
    Wait,
    /// Its next page was requested.
    Asked,
    /// Everything is written and its stream ends. The reader of a queue holds the lock until the last byte is taken.
    Finish,
    /// The window of the feed has passed it: its stream breaks off, so that its client comes back.
    BreakOff,
}

/// Whether a page is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageFound {
    /// The reader did not request it.
    Unasked,
    /// It does not contain the next event: the run is gone, or the window has passed a reader whose stream has begun.
    Lost,
    /// It contains the next event.
    Found,
}

/// The position of an open reader.
#[derive(Debug)]
pub struct Reading {
    is_queue: bool,
    /// Whether the head of its stream, which says where the stream begins, has been sent.
    has_begun: bool,
    /// Whether it begins later than requested, because earlier events have left the window.
    has_skipped: bool,
    next: u64,
    asked: Option<Ticket>,
    /// For a queue: the positions in the output at which events end, and the numbers after those events.
    marks: VecDeque<(u64, u64)>,
}

impl Reading {
    /// Returns the number of the next event to be written.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Returns whether it reads the queue.
    pub fn is_queue(&self) -> bool {
        self.is_queue
    }

    /// Returns whether the head of its stream has been sent.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The head of its stream is sent now. Returns where the stream begins, and whether that is later than requested;
    /// `None` if the head was sent before.
    pub fn begin(&mut self) -> Option<(u64, bool)> {
        (!std::mem::replace(&mut self.has_begun, true)).then_some((self.next, self.has_skipped))
    }

    /// Returns whether it waits for this page.
    pub fn wants(&self, ticket: Ticket) -> bool {
        self.asked == Some(ticket)
    }

    /// The requested page has arrived.
    pub fn take_page(&mut self, ticket: Ticket, page: &Feed) -> PageFound {
        if !self.wants(ticket) {
            return PageFound::Unasked;
        }
        self.asked = None;
        if page.next() <= self.next {
            return PageFound::Lost;
        }
        if page.first() > self.next {
            // Events have left the window since the page was requested.
            if self.has_begun {
                return PageFound::Lost;
            }
            self.has_skipped = true;
            self.next = page.first();
        }
        PageFound::Found
    }

    /// The next event was written, or is one that this reader does not show. It ends at `position` in the output.
    pub fn advance(&mut self, position: u64) {
        self.next += 1;
        if self.is_queue {
            self.marks.push_back((position, self.next));
        }
    }

    /// Returns how many written events the socket has not taken yet.
    pub fn mark_count(&self) -> usize {
        self.marks.len()
    }

    /// Changes the positions of the marks from the `first` on to their final values.
    pub fn move_marks(&mut self, first: usize, position: impl Fn(u64) -> u64) {
        self.marks.iter_mut().skip(first).for_each(|mark| mark.0 = position(mark.0));
    }

    /// Returns the number up to which the queue has been taken, if that has moved.
    fn take_marks(&mut self, taken: u64) -> Option<u64> {
        let reached = self.marks.partition_point(|&(position, _)| position <= taken);
        let next = reached.checked_sub(1).map(|last| self.marks[last].1);
        if reached == self.marks.len() {
            self.marks = VecDeque::new();
        } else {
            self.marks.drain(..reached);
        }
        next
    }
}

/// Readers.
impl Core {
    /// A client begins to read a run.
    pub fn begin_reading(&mut self, client: ClientId, run: RunKey, from: ReadFrom, now: Now) -> Begun {
        let reader = ReaderId::from(client);
        match from {
            ReadFrom::Log(_) if self.scheduler.follow(run, reader) => Begun::Open(self.open(run, from)),
            ReadFrom::Log(_) => Begun::Gone,
            ReadFrom::Queue(timeout) => match self.scheduler.acquire(run, reader) {
                None => Begun::Gone,
                Some(true) => Begun::Open(self.open(run, from)),
                Some(false) if timeout.is_zero() => {
                    self.scheduler.leave(run, reader);
                    Begun::NoLock
                }
                Some(false) => Begun::Waits(now.deadline(Clock::Alive, timeout).at_us),
            },
        }
    }

    /// Returns where a reader begins, and whether events with which it would have begun have left the window.
    pub fn start_of(&self, run: RunKey, from: ReadFrom) -> (u64, bool) {
        let Some(channel) = self.scheduler.channel(run) else { return (0, false) };
        match from {
            ReadFrom::Log(from) => (from.max(channel.first()), from < channel.first()),
            ReadFrom::Queue(_) => (channel.cursor(), channel.has_skipped()),
        }
    }

    /// A waiting reader has the lock now.
    pub fn take_lock(&mut self, client: ClientId, run: RunKey) -> Granted {
        match self.scheduler.channel(run).map(Channel::is_drained) {
            None => Granted::Gone,
            Some(true) => {
                self.scheduler.leave(run, client.into());
                Granted::Drained
            }
            Some(false) => Granted::Open(self.open(run, ReadFrom::Queue(Duration::ZERO))),
        }
    }

    fn open(&self, run: RunKey, from: ReadFrom) -> Reading {
        let (next, has_skipped) = self.start_of(run, from);
        let is_queue = matches!(from, ReadFrom::Queue(_));
        Reading { is_queue, has_begun: false, has_skipped, next, asked: None, marks: VecDeque::new() }
    }

    /// Returns what an open reader is to do now that it has written as much of its page as its socket has room for.
    /// `page_next` is the number after the last event of its page, `bytes_max` the limit on its next page.
    pub fn next_step(
        &mut self,
        client: ClientId,
        run: RunKey,
        reading: &mut Reading,
        (page_next, has_room): (Option<u64>, bool),
        bytes_max: usize,
    ) -> ReadStep {
        let Some(channel) = self.scheduler.channel(run) else { return ReadStep::Wait };
        if page_next.is_some_and(|page_next| reading.next < page_next) {
            return ReadStep::Wait;
        }
        if reading.next < channel.first() && reading.has_begun {
            return ReadStep::BreakOff;
        }
        if reading.next >= channel.visible() {
            return if channel.is_ended() { ReadStep::Finish } else { ReadStep::Wait };
        }
        if reading.asked.is_some() || (reading.has_begun && !has_room) {
            return ReadStep::Wait;
        }
        let query = Query::Page { run, from: reading.next, until: channel.visible(), bytes_max };
        reading.asked = Some(self.ask_page(client, query));
        ReadStep::Asked
    }

    /// The socket of a reader has taken this much of its output: advances the queue.
    pub fn move_queue(&mut self, run: RunKey, reading: &mut Reading, taken: u64) {
        if let Some(next) = reading.take_marks(taken) {
            self.scheduler.handle_taken(run, next);
        }
    }

    /// A reader ends. Whatever its socket has not taken of a queue remains for the next reader.
    pub fn stop_reading(&mut self, client: ClientId, run: RunKey, reading: &mut Reading, taken: u64) {
        self.forget_reading(reading);
        self.move_queue(run, reading, taken);
        self.stop_waiting(client, run);
    }

    /// All is written and the stream ends. Returns the reading if it holds the queue's lock, which it does until the
    /// last byte is taken.
    pub fn finish_reading(&mut self, client: ClientId, run: RunKey, mut reading: Reading) -> Option<Reading> {
        self.forget_reading(&mut reading);
        if reading.is_queue {
            return Some(reading);
        }
        self.stop_waiting(client, run);
        None
    }

    /// The run of this reader is gone, and so is its lock.
    pub fn forget_reading(&mut self, reading: &mut Reading) {
        if let Some(ticket) = reading.asked.take() {
            self.forget_page(ticket);
        }
    }

    /// A reader no longer waits for the lock, or its stream has ended.
    pub fn stop_waiting(&mut self, client: ClientId, run: RunKey) {
        self.scheduler.leave(run, client.into());
    }
}

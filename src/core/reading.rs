//! Readers of a run's feed: the lock of its queue, pages of the store, and how far a socket has taken the queue.
//!
//! ```text
//!  begin_reading ──► Waits ──┬── take_turn ──► Open ──► next_step: Ask, Wait … ──► Finish
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
    /// The queue, once the reader has its lock, for which it waits so long at most; zero: it tries once.
    Queue(Duration),
    /// The log, at this number.
    Log(u64),
}

/// What becomes of a reader that begins.
#[derive(Debug)]
pub enum Begun {
    /// There is no such run any more.
    Gone,
    /// The queue has another reader, and this one does not wait.
    NoLock,
    /// It waits for its turn ([`Output::Turn`](super::Output::Turn)), until this point on the alive clock.
    Waits(u64),
    /// It reads.
    Open(Reading),
}

/// What a waiting reader finds when the lock is its own.
#[derive(Debug)]
pub enum Turn {
    /// There is no such run any more.
    Gone,
    /// Nothing is left in the queue, and the run has ended. The reader has left.
    Drained,
    /// It reads.
    Open(Reading),
}

/// What an open reader is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing, until there is more to write or room for it.
    Wait,
    /// Its next page was asked for.
    Asked,
    /// All is written: its stream ends. The reader of a queue holds the lock until the last byte is taken.
    Finish,
    /// The window of the feed has passed it: its stream breaks off, so that its client comes back.
    BreakOff,
}

/// Whether a page is one to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageFound {
    /// The reader did not ask for it.
    Unasked,
    /// It has not the next event: the run is gone, or the window has passed a reader whose stream has begun.
    Lost,
    /// It has.
    Found,
}

/// An open reader: how far it is.
#[derive(Debug)]
pub struct Reading {
    is_queue: bool,
    /// Whether the head of its stream is sent, which says where the stream begins.
    has_begun: bool,
    /// Whether events that the stream would have begun with are not there any more.
    has_skipped: bool,
    next: u64,
    asked: Option<Ticket>,
    /// Of a queue: where in what the socket takes events end, and the numbers after them.
    marks: VecDeque<(u64, u64)>,
}

impl Reading {
    /// The number of the next event to be written.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether it reads the queue.
    pub fn is_queue(&self) -> bool {
        self.is_queue
    }

    /// Whether the head of its stream is sent.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The head of its stream is sent now: where the stream begins, and whether that is later than was asked for.
    /// `None` if it was sent before.
    pub fn begin(&mut self) -> Option<(u64, bool)> {
        (!std::mem::replace(&mut self.has_begun, true)).then_some((self.next, self.has_skipped))
    }

    /// Whether it waits for this page.
    pub fn wants(&self, ticket: Ticket) -> bool {
        self.asked == Some(ticket)
    }

    /// The page that it asked for has come.
    pub fn take_page(&mut self, ticket: Ticket, page: &Feed) -> PageFound {
        if !self.wants(ticket) {
            return PageFound::Unasked;
        }
        self.asked = None;
        if page.next() <= self.next {
            return PageFound::Lost;
        }
        if page.first() > self.next {
            // What was there when it was asked for has left the window.
            if self.has_begun {
                return PageFound::Lost;
            }
            self.has_skipped = true;
            self.next = page.first();
        }
        PageFound::Found
    }

    /// The next event is written, or is one that this reader does not show. It ends at `place` in the output.
    pub fn advance(&mut self, place: u64) {
        self.next += 1;
        if self.is_queue {
            self.marks.push_back((place, self.next));
        }
    }

    /// How many events are written that the socket has not taken yet.
    pub fn mark_count(&self) -> usize {
        self.marks.len()
    }

    /// Gives the places of all marks but the first ones their final values.
    pub fn move_marks(&mut self, first: usize, place: impl Fn(u64) -> u64) {
        self.marks.iter_mut().skip(first).for_each(|mark| mark.0 = place(mark.0));
    }

    /// The number up to which the queue is taken, if that has moved.
    fn take_marks(&mut self, taken: u64) -> Option<u64> {
        let reached = self.marks.partition_point(|&(place, _)| place <= taken);
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

    /// Where a reader begins, and whether events that it would have begun with are not there any more.
    pub fn start_of(&self, run: RunKey, from: ReadFrom) -> (u64, bool) {
        let Some(channel) = self.scheduler.channel(run) else { return (0, false) };
        match from {
            ReadFrom::Log(from) => (from.max(channel.first()), from < channel.first()),
            ReadFrom::Queue(_) => (channel.cursor(), channel.has_skipped()),
        }
    }

    /// A waiting reader has the lock now.
    pub fn take_turn(&mut self, client: ClientId, run: RunKey) -> Turn {
        match self.scheduler.channel(run).map(Channel::is_drained) {
            None => Turn::Gone,
            Some(true) => {
                self.scheduler.leave(run, client.into());
                Turn::Drained
            }
            Some(false) => Turn::Open(self.open(run, ReadFrom::Queue(Duration::ZERO))),
        }
    }

    fn open(&self, run: RunKey, from: ReadFrom) -> Reading {
        let (next, has_skipped) = self.start_of(run, from);
        let is_queue = matches!(from, ReadFrom::Queue(_));
        Reading { is_queue, has_begun: false, has_skipped, next, asked: None, marks: VecDeque::new() }
    }

    /// What an open reader is to do now that all of its page is written for which its socket has room. `page_next`: the
    /// number after the last event of its page; `bytes_max`: of the next page.
    pub fn next_step(
        &mut self,
        client: ClientId,
        run: RunKey,
        reading: &mut Reading,
        (page_next, has_room): (Option<u64>, bool),
        bytes_max: usize,
    ) -> Step {
        let Some(channel) = self.scheduler.channel(run) else { return Step::Wait };
        if page_next.is_some_and(|page_next| reading.next < page_next) {
            return Step::Wait;
        }
        if reading.next < channel.first() && reading.has_begun {
            return Step::BreakOff;
        }
        if reading.next >= channel.visible() {
            return if channel.is_ended() { Step::Finish } else { Step::Wait };
        }
        if reading.asked.is_some() || (reading.has_begun && !has_room) {
            return Step::Wait;
        }
        let query = Query::Page { run, from: reading.next, until: channel.visible(), bytes_max };
        reading.asked = Some(self.ask_page(client, query));
        Step::Asked
    }

    /// The socket of a reader has taken so much of its output: the queue moves on.
    pub fn move_queue(&mut self, run: RunKey, reading: &mut Reading, taken: u64) {
        if let Some(next) = reading.take_marks(taken) {
            self.scheduler.handle_taken(run, next);
        }
    }

    /// A reader ends. What its socket has not taken of a queue is there for the next one.
    pub fn stop_reading(&mut self, client: ClientId, run: RunKey, reading: &mut Reading, taken: u64) {
        self.forget_reading(reading);
        self.move_queue(run, reading, taken);
        self.stop_waiting(client, run);
    }

    /// All is written, and the stream of this reader ends. Gives it back if it reads a queue, whose lock it holds until
    /// its last byte is taken.
    pub fn finish_reading(&mut self, client: ClientId, run: RunKey, mut reading: Reading) -> Option<Reading> {
        self.forget_reading(&mut reading);
        if reading.is_queue {
            return Some(reading);
        }
        self.stop_waiting(client, run);
        None
    }

    /// The run of this reader is gone, and its lock with it.
    pub fn forget_reading(&mut self, reading: &mut Reading) {
        if let Some(ticket) = reading.asked.take() {
            self.forget_page(ticket);
        }
    }

    /// A reader waits for the lock no more, or its stream is over.
    pub fn stop_waiting(&mut self, client: ClientId, run: RunKey) {
        self.scheduler.leave(run, client.into());
    }
}

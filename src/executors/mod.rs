//! Executors run passes: they take [`StartPass`]es and report the results.
//!
//! The scheduler decides which pass starts and when it has to stop; an executor alone knows what runs it, and how much
//! of that is free. Between the two there are only values, in the order: [`Executor::start`], then any number of
//! [`Executor::order`]s one way and [`ExecutorReport`]s the other, and at last exactly one of [`pass::Report::Done`],
//! [`pass::Report::NotBegun`] and [`pass::Report::Lost`]. Reports of one pass come in their order.
//!
//! [`threads`] runs the bodies of Rust steps on a pool of threads, [`programs`] runs child processes, and [`data`] does
//! at once what needs neither. [`all`] has them together.

pub mod all;
pub mod data;
pub mod programs;
pub mod threads;

use std::{ops::DerefMut, time::Duration};

use crate::{
    engine::{
        record::LargeDone,
        scheduler::{Capacity, Lane, Scheduler, StartPass},
    },
    limits::{EVENTS_AT_ONCE, WORKER_RECORD_BYTES_MIN},
    now::Now,
    pass::{self, Done, Emitted, Order, PassEnd},
};

/// Something that runs passes. The loop drives it: it owns it, calls it each turn, and is woken when there are reports.
pub trait Executor {
    /// To be called once a turn before [`Executor::poll_report`].
    fn handle_ready(&mut self, _alive_us: u64) {}

    /// Returns what it can take now. Asked before each pass.
    fn capacity(&self) -> Capacity;

    /// Takes a pass; [`Executor::wake`] follows once all passes of a turn were handed over.
    fn start(&mut self, pass: StartPass);

    /// Forwards an order. It is ignored if the pass has ended.
    fn order(&mut self, tag: u64, order: Order);

    /// Begins the passes that were started in this turn.
    fn wake(&mut self, alive_us: u64);

    /// Returns the next report. Unless `takes_notes`, notes are left with their passes until these end: a pass waits
    /// when it has many.
    fn poll_report(&mut self, takes_notes: bool) -> Option<ExecutorReport>;

    /// Returns whether notes were left with their passes.
    fn has_left_notes(&self) -> bool {
        false
    }

    /// Returns, for people, why work waits although the executor has everything that it may have.
    fn overload(&self) -> Option<String>;

    /// Does what is due at this time.
    fn handle_time(&mut self, alive_us: u64);

    /// Returns when the loop must call again although nothing wakes it.
    fn poll_timeout(&self, alive_us: u64) -> Option<Duration>;

    /// The server stops, and ends at this time: what outlives the process is to end before.
    fn begin_stop(&mut self, _ends_us: u64, _alive_us: u64) {}
}

/// What an executor reports.
#[derive(Debug)]
pub enum ExecutorReport {
    /// A report of the pass with this tag.
    Of(u64, pass::Report),
    /// The pass has ended and emitted very many events, so that its record was made outside the loop.
    LargeDone(u64, Box<LargeDone>),
}

impl ExecutorReport {
    /// Returns the report of a pass's end, with its record if there is a journal and making that would take the loop
    /// long. To be called outside of the loop then.
    pub fn of_end(tag: u64, done: Done, makes_records: bool) -> Self {
        let is_many = |events: usize| events > EVENTS_AT_ONCE as usize;
        let is_large = makes_records && done.bytes() >= WORKER_RECORD_BYTES_MIN;
        match done {
            Done { end: PassEnd::Returned(returned), sent, state }
                if is_large || (makes_records && is_many(returned.len() + sent.len())) =>
            {
                Self::LargeDone(tag, Box::new(LargeDone::new(Emitted { sent, returned }, state)))
            }
            done => Self::Of(tag, pass::Report::Done(done)),
        }
    }

    /// Passes the report on to the scheduler.
    pub fn deliver(self, scheduler: &mut Scheduler, now: Now) {
        match self {
            Self::Of(tag, report) => scheduler.handle_report(tag, report, now),
            Self::LargeDone(tag, done) => scheduler.handle_large_done(tag, *done, now),
        }
    }
}

/// Passes the orders to the executors and, if `starts`, as many passes of its lane as each takes: the first one's is
/// lane 0.
pub fn hand_out<E>(scheduler: &mut Scheduler, executors: &mut [E], starts: bool, now: Now)
where
    E: DerefMut<Target: Executor>,
{
    while let Some((tag, order)) = scheduler.poll_order() {
        for executor in executors.iter_mut() {
            executor.order(tag, order);
        }
    }
    scheduler.note_overload(executors.iter().find_map(|executor| executor.overload()));
    if !starts {
        return;
    }
    for (executor, lane) in executors.iter_mut().zip(0..) {
        while let Some(pass) = scheduler.poll_pass(now, Lane(lane), executor.capacity()) {
            executor.start(pass);
        }
        executor.wake(now.alive_us);
    }
}

//! What is kept, behind one narrow trait: batches go in under their numbers, pages of feeds come out by ticket.

pub mod memory;

use crate::engine::{
    feed::Feed,
    scheduler::{Batch, RunKey},
};

/// Names a query that the store works on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// A part of a run's feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// The run.
    pub run: RunKey,
    /// The first number wanted.
    pub from: u64,
    /// The number after the last one wanted.
    pub until: u64,
    /// About so many bytes at most, but one event at least.
    pub bytes_max: usize,
}

/// Something the store is through with.
#[derive(Debug)]
pub enum Completed {
    /// This batch, and every one before it, is kept.
    Batch {
        /// The scheduler's number of the batch.
        number: u64,
    },
    /// The answer to a query.
    Page {
        /// The query's ticket.
        ticket: Ticket,
        /// Events from the number asked for; empty if the run is gone.
        page: Feed,
    },
}

/// Keeps batches and gives back feeds. Queries complete in any order, batches in theirs.
pub trait Store {
    /// Takes a batch. It is kept when [`Store::poll_completed`] gives its number.
    fn submit(&mut self, batch: Batch);

    /// Asks for events of a feed.
    fn read(&mut self, query: Query) -> Ticket;

    /// The next batch or query that is completed.
    fn poll_completed(&mut self) -> Option<Completed>;

    /// Whether the store survives the process, so that batches must carry the inputs.
    fn is_durable(&self) -> bool;
}

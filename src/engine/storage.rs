//! What the engine asks of a store, and what a store answers.
//!
//! Batches and queries go in, each [`Completed`] comes out: batches in the order of their numbers, answers in any. A
//! query sees every batch that had completed when it was asked.

use std::{fmt, sync::Arc};

use super::{
    feed::Feed,
    kept::{Address, Aside, Kept, KeptHandler},
    keys::{HandlerKey, RunKey, WorkflowId},
};

/// Identifies a query that a store is working on. Whoever asks chooses it, and never twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Something to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// A part of a run's feed. If the first event wanted has left the feed's window, it begins with the first that is
    /// kept, though that may be behind the last one wanted.
    Page {
        /// The run.
        run: RunKey,
        /// The first number wanted.
        from: u64,
        /// The number after the last one wanted.
        until: u64,
        /// About so many bytes at most, but one event at least.
        bytes_max: usize,
    },
    /// A handler and its journal.
    Handler(Address),
    /// Handlers in order of creation.
    List {
        /// After this one.
        after: Option<HandlerKey>,
        /// At most so many.
        count: usize,
        /// About so many bytes of results and errors at most, but one handler at least.
        bytes_max: usize,
    },
    /// Handlers whose runs go on, in order of creation; answered as [`Query::List`] is.
    Running {
        /// After this one.
        after: Option<HandlerKey>,
        /// At most so many.
        count: usize,
    },
    /// Finished handlers, the longest ended first.
    Oldest {
        /// At most so many; fewer only if there are no more.
        count: usize,
    },
}

/// Something the store is through with.
#[derive(Debug)]
pub enum Completed {
    /// This batch, and every one before it, is kept.
    Batch {
        /// The scheduler's number of the batch.
        number: u64,
    },
    /// Nothing of this batch is kept, nor will be of those after it in its epoch: nothing more is heard of them.
    Failed {
        /// The scheduler's number of the first batch that is not kept.
        number: u64,
        /// Why.
        error: StoreError,
    },
    /// Handlers under ids that clients chose are gone for good; said at the start, too.
    Gone(Vec<(Arc<str>, HandlerKey)>),
    /// The store has so many bytes, of all batches that are kept; said now and then, by a store that is to say it.
    Size(u64),
    /// The next batches to complete hold nothing of this handler. Its rows cannot be changed: it is set aside, and the
    /// others go on.
    Aside(Aside),
    /// A thread of the store has ended: nothing is completed any more.
    Died(&'static str),
    /// The answer to a query.
    Answer {
        /// The query's ticket.
        ticket: Ticket,
        /// What it gave.
        answer: Result<Answer, StoreError>,
    },
}

/// What a query gives.
#[derive(Debug)]
pub enum Answer {
    /// To [`Query::Page`].
    Page {
        /// Events from the number asked for; empty if the run is gone.
        feed: Feed,
        /// Whose ids they have, if the store knows.
        workflow: Option<WorkflowId>,
    },
    /// To [`Query::Handler`]; `None`: there is none.
    Handler(Option<Box<Kept>>),
    /// To [`Query::Handler`]: its run goes on, but cannot be read as a whole.
    Damaged {
        /// What it is.
        handler: Box<KeptHandler>,
        /// What is wrong.
        cause: Box<str>,
    },
    /// To [`Query::List`].
    List {
        /// The handlers.
        handlers: Vec<KeptHandler>,
        /// Those that would be among them, but cannot be read, and why.
        damaged: Vec<(HandlerKey, Box<str>)>,
        /// Whether the list ends with them.
        is_complete: bool,
    },
    /// To [`Query::Oldest`]: keys, and when they ended in microseconds since the epoch.
    Oldest(Vec<(HandlerKey, i64)>),
}

/// Why something is not kept, or not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// No room: free some.
    Full(String),
    /// Anything else: the text says what.
    Failed(String),
    /// The rows of this handler are not what was ever written. To try again helps nobody.
    Damaged(HandlerKey, Box<str>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(text) | Self::Failed(text) => formatter.write_str(text),
            Self::Damaged(_, text) => write!(formatter, "its stored rows are damaged ({text})"),
        }
    }
}

impl std::error::Error for StoreError {}

//! What the engine asks of a store, and what a store answers: batches and queries go in, each [`Completed`] comes out.
//!
//! # Contract
//!
//! Each rule names its test in `tests/it/contract`, which runs on every store. A batch *completes* when the store says
//! [`Completed::Batch`] with its number or a later one; what is in it is *committed* then.
//!
//! 1. Batches complete in the order of their numbers; one that completes stands for all before it.
//!    `batches_complete_in_order`
//! 2. Each batch completes or fails, and each query is answered, once. Answers come in any order.
//!    `nothing_is_completed_twice`
//! 3. Of a batch that fails, and of all batches behind it in its epoch, nothing is committed; only the first failure is
//!    reported. A batch of a later epoch is not affected. `what_rests_on_a_failed_batch_is_dropped`
//! 4. A query sees all batches that had completed when it was asked, perhaps later ones, and no part of one.
//!    `a_query_sees_what_has_completed`
//! 5. A handler is found by its key, and by its id as [`HandlerIds::resolve`](super::ids::HandlerIds::resolve) says.
//!    `a_handler_is_found_as_last_committed`
//! 6. A journal holds the newest snapshot and the records behind it. `a_snapshot_replaces_the_records_before_it`
//! 7. A state that is stored separately is retained until its run ends, and begins the next run if the batch says so.
//!    `a_state_apart_begins_the_next_run`
//! 8. A page begins with the event asked for and holds one at least, if there is one; all its events have the ids of
//!    one workflow. `a_page_has_events_of_one_workflow`
//! 9. A page that would begin before the window begins with the window. `a_page_begins_with_the_window`
//! 10. Lists are in order of creation, without states; one that is not complete has one handler at least.
//!     `lists_are_in_order_of_creation`
//! 11. The oldest are in the order of their ends, and fewer than were requested only if there are no more.
//!     `the_oldest_come_first`
//! 12. An earlier run's events stay until they are removed, the newest run's until the handler is purged.
//!     `the_events_of_a_run_stay_until_they_are_removed`
//! 13. Of a purged handler nothing is left, and its id may begin another handler in the same batch.
//!     `of_a_purged_handler_nothing_is_left`
//! 14. If the rows of one handler cannot be changed, the batch is committed without that handler: [`Completed::Aside`]
//!     says so before the batch completes. Batches that were sealed before the scheduler learned of it lose their
//!     changes to that handler. `a_handler_that_cannot_be_changed_is_left_out`
//! 15. A handler whose own rows are damaged is no longer among the finished or the recovered ones, and the next start
//!     reports it. `a_damaged_handler_is_set_aside_for_good`
//! 16. A store that is opened again has all that was committed, and recovers every run that has not ended, in order of
//!     creation. Nothing that it has is newer than `newest` of its [`Beginning`](super::stored::Beginning), and every
//!     key is among those `issued`. `what_was_committed_is_there_after_a_start`
//! 17. A batch that contains only the time moves the clock with which the next start begins.
//!     `a_batch_may_commit_the_time_alone`
//! 18. The secret is that of the first start, whatever later ones offer. `the_secret_is_that_of_the_first_start`
//! 19. Graphs that are not registered any more come behind those that are, and what was committed under them still has
//!     their ids. `what_was_committed_under_another_graph_has_its_ids`
//! 20. Closing waits until all that was submitted has completed or failed. `closing_waits_for_what_was_submitted`
//! 21. A handler whose id follows from its key does not begin if a client has chosen that id for another: it is left
//!     out as in 14. `no_handler_begins_under_an_id_that_a_client_has_chosen`
//!
//! A store that recalls only [`Recall::Feeds`] is given no more than `opened`, `published` and `removed`. It never
//! fails a batch, so that 3, 14, 15 and 21 do not arise, answers each query for handlers with "there is none", and
//! begins empty.
//!
//! In return the scheduler numbers batches without gaps within an epoch, begins a new epoch after each failure, names
//! only handlers and runs that exist, opens a run only once the one before it has ended, requests no events beyond the
//! end of a run, and never uses a [`Ticket`] twice.

use std::{fmt, sync::Arc};

mod batch;

pub use super::stored::Recall;
pub use batch::{Batch, Ended, Head, OpenedRun, Snapshotted, StartState};

use super::{
    feed::Feed,
    keys::{HandlerKey, RunKey, WorkflowId},
    stored::{Aside, HandlerAddress, Stored, StoredHandler},
};

/// Identifies a query that a store is working on. The caller chooses it, and never uses one twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Something to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// A part of a run's feed. If the first event wanted has left the feed's window, the page begins with the first
    /// event in it, even if that is behind the last one wanted.
    Page {
        /// The run.
        run: RunKey,
        /// The first number wanted.
        from: u64,
        /// The number after the last one wanted.
        until: u64,
        /// At most about this many bytes, but at least one event.
        bytes_max: usize,
    },
    /// A handler and its journal.
    Handler(HandlerAddress),
    /// Handlers in order of creation.
    List {
        /// After this one.
        after: Option<HandlerKey>,
        /// At most so many.
        count: usize,
        /// At most about this many bytes of results and errors, but at least one handler.
        bytes_max: usize,
    },
    /// Handlers whose runs have not ended, in order of creation; answered like [`Query::List`].
    Running {
        /// After this one.
        after: Option<HandlerKey>,
        /// At most so many.
        count: usize,
    },
    /// Finished handlers, the longest ended first.
    Oldest {
        /// At most this many; fewer only if there are no more.
        count: usize,
    },
}

/// Something that the store has completed.
#[derive(Debug)]
pub enum Completed {
    /// This batch, and every one before it, is committed.
    Batch {
        /// The scheduler's number of the batch.
        number: u64,
    },
    /// Neither this batch nor any later one of its epoch is or will be committed; the later ones are not reported.
    Failed {
        /// The scheduler's number of the first batch that is not committed.
        number: u64,
        /// Why.
        error: StoreError,
    },
    /// Handlers under ids chosen by clients were removed for good. Also reported at the start.
    Gone(Vec<(Arc<str>, HandlerKey)>),
    /// The size of the store in bytes, including all committed batches. Reported now and then, if requested.
    Size(u64),
    /// The next batches to complete contain nothing of this handler. Its rows cannot be changed: it is set aside, and
    /// the others continue.
    Aside(Aside),
    /// A thread of the store has ended: nothing is completed any longer.
    Died(&'static str),
    /// The answer to a query.
    Answer {
        /// The query's ticket.
        ticket: Ticket,
        /// The result of the query.
        answer: Result<Answer, StoreError>,
    },
}

/// The answer to a query.
#[derive(Debug)]
pub enum Answer {
    /// To [`Query::Page`].
    Page {
        /// Events from the number asked for; empty if the run is gone.
        feed: Feed,
        /// The workflow of their ids, if the store knows.
        workflow: Option<WorkflowId>,
    },
    /// To [`Query::Handler`]; `None` if there is no such handler.
    Handler(Option<Box<Stored>>),
    /// To [`Query::Handler`]: its run has not ended, but cannot be read completely.
    Damaged {
        /// The handler without its run.
        handler: Box<StoredHandler>,
        /// What is wrong.
        cause: Box<str>,
    },
    /// To [`Query::List`].
    List {
        /// The handlers.
        handlers: Vec<StoredHandler>,
        /// Handlers that would be among them but cannot be read, and why.
        damaged: Vec<(HandlerKey, Box<str>)>,
        /// Whether the list ends with them.
        is_complete: bool,
    },
    /// To [`Query::Oldest`]: keys, and when they ended in microseconds since the epoch.
    Oldest(Vec<(HandlerKey, i64)>),
}

/// Why something is not committed, or not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// There is no space: free some.
    Full {
        /// What is full, as the system or the database says it.
        cause: Box<str>,
    },
    /// The store is closed, or one of its threads has ended.
    Closed,
    /// It failed this time; a retry may succeed.
    Failed {
        /// The fault, as the system or the database says it.
        cause: Box<str>,
    },
    /// The rows of this handler were never written like this. A retry would fail in the same way.
    Damaged {
        /// Whose rows.
        handler: HandlerKey,
        /// What is wrong with them.
        cause: Box<str>,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { cause } | Self::Failed { cause } => formatter.write_str(cause),
            Self::Closed => formatter.write_str("the store is closed"),
            Self::Damaged { cause, .. } => write!(formatter, "its stored rows are damaged ({cause})"),
        }
    }
}

impl std::error::Error for StoreError {}

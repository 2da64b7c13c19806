//! What a store returns: handlers as they were last committed, and the journals of those that run.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    cost,
    engine::{
        input::{Input, Outcome},
        keys::{HandlerKey, Issued, WorkflowId},
        window::Mark,
    },
    now::Now,
    values::Values,
};

/// Which of its contents a store can return later. It reports this once, when it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Recall {
    /// The events of runs, until the process ends. All else that there is of handlers is in memory as long as they are
    /// retained, and batches do not hold it.
    #[default]
    Feeds,
    /// Everything, also after the next start.
    Everything,
}

/// What a store knew when it was opened.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Beginning {
    /// What it returns later.
    pub recall: Recall,
    /// No record is newer than this, on either clock.
    pub newest: Now,
    /// The keys that handlers have had.
    pub issued: Issued,
    /// The secret from which ids of handlers that no client chose are made.
    pub secret: u128,
    /// The number of retained finished handlers.
    pub finished: usize,
    /// Handlers that were set aside, and why.
    pub aside: Vec<(HandlerKey, Box<str>)>,
}

/// A handler whose stored rows cannot be changed. None of its changes from some batch on is committed; it stays as it
/// was last committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aside {
    /// The handler.
    pub handler: HandlerKey,
    /// Why.
    pub cause: Box<str>,
    /// Whether its own rows are damaged, so that its run cannot continue. Otherwise the damaged page has none of them.
    pub is_own: bool,
    /// Whether it was among the finished handlers of the store, where it no longer is.
    pub was_finished: bool,
    /// Counts these: [`Batch::asides_heard`](super::storage::Batch::asides_heard).
    pub serial: u64,
}

/// A handler whose run has not ended, as returned by the store when it is opened.
#[derive(Clone, PartialEq, Debug)]
pub enum Recovered {
    /// As it was last committed.
    Whole(Stored),
    /// It cannot be read as a whole.
    Damaged {
        /// The handler.
        key: HandlerKey,
        /// Its head, if that can be read.
        handler: Option<StoredHandler>,
        /// What is wrong.
        cause: Box<str>,
    },
}

/// A handler as it was last committed.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredHandler {
    /// Its key, which determines its position in the order of creation.
    pub key: HandlerKey,
    /// Its id, if a client chose it; otherwise the id follows from the key.
    pub id: Option<Arc<str>>,
    /// The workflow, or the earlier version of one, under whose graph its newest run's journal and outcome are stored.
    pub workflow: WorkflowId,
    /// The number of its earlier runs.
    pub run: u32,
    /// Id of its newest run.
    pub run_id: Uuid,
    /// When that began: microseconds since the epoch.
    pub started_us: i64,
    /// When a step of it last ended, as far as that is known without its journal.
    pub updated_us: i64,
    /// The number of its first event.
    pub first_sequence: u64,
    /// The number after its last event.
    pub next_sequence: u64,
    /// Where the window of its feed begins, if that is not the first event.
    pub window: Option<Mark>,
    /// How far its queue was read.
    pub cursor: u64,
    /// How it ended; `None` while it runs.
    pub end: Option<StoredEnd>,
}

impl StoredHandler {
    /// Returns the memory that it takes.
    pub fn cost_bytes(&self) -> usize {
        let id_bytes = self.id.as_ref().map_or(0, |id| cost::text(id.len()));
        let end_bytes = self.end.as_ref().map_or(0, |end| end.outcome.cost_bytes() + end.state.cost_bytes());
        cost::elements::<Self>(1) + id_bytes + end_bytes
    }
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredEnd {
    /// Its outcome. It ended at the handler's `updated_us`.
    pub outcome: Outcome,
    /// The state, for continuing the handler; empty unless it completed.
    pub state: Values,
}

/// The journal of a run that has not ended.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct StoredJournal {
    /// The state that the run began with, if that is stored separately: the record of its start and its snapshots do
    /// not contain it.
    pub state: Values,
    /// The newest snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// The records after it, in order, as encoded by [`record::encode`](super::record::encode).
    pub records: Vec<Vec<u8>>,
}

/// A handler and, if its run has not ended, that run's journal.
#[derive(Clone, PartialEq, Debug)]
pub struct Stored {
    /// The handler.
    pub handler: StoredHandler,
    /// Empty if its run has ended.
    pub journal: StoredJournal,
}

impl StoredJournal {
    /// Completes the decoded record of a start with the state that is stored separately.
    pub fn complete(&self, input: &mut Input) {
        if let Input::StartedFrom { state, .. } = input {
            *state = self.state.clone();
        }
    }

    /// Returns its size in bytes.
    pub fn bytes(&self) -> usize {
        self.snapshot.iter().chain(&self.records).map(Vec::len).sum::<usize>() + self.state.cost_bytes()
    }
}

/// Identifies a handler.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HandlerAddress {
    /// By its key.
    Key(HandlerKey),
    /// By its id: [`HandlerIds::resolve`](super::ids::HandlerIds::resolve) says which one that is.
    Id(Box<str>),
}

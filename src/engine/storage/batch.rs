//! Batches: the changes that a store commits together.

use std::{ops::Range, sync::Arc};

use uuid::Uuid;

use crate::{
    engine::{
        feed::Feed,
        input::Outcome,
        keys::{HandlerKey, RunKey, WorkflowId},
        published::Published,
        run::Changed,
        window::Mark,
    },
    now::Now,
    values::Values,
};

/// The changes of one commit. What concerns one run happened in the order of the fields: it was opened, its inputs were
/// reduced and its events published, its snapshot was taken, it ended.
#[derive(Debug, Default)]
pub struct Batch {
    /// Number of this batch, counted by the scheduler.
    pub number: u64,
    /// How often the scheduler has gone back to what was committed. A batch of an epoch in which one has failed depends
    /// on what does not exist, and is dropped.
    pub epoch: u32,
    /// How many set-aside handlers the scheduler knows about. Changes in a batch to one that it does not know about
    /// depend on what is not committed, and are dropped.
    pub asides_heard: u64,
    /// The time of its newest input.
    pub now: Now,
    /// Greater than the key of every handler that ever existed.
    pub next_handler: u64,
    /// Runs that begin.
    pub opened: Vec<OpenedRun>,
    /// The inputs, as encoded by [`record::encode`](crate::engine::record::encode), in the order in which they were
    /// reduced.
    pub records: Vec<(RunKey, Vec<u8>)>,
    /// Events of the feeds, in order.
    pub published: Vec<(RunKey, Published)>,
    /// Where the windows of feeds begin from now on; earlier events are removed.
    pub left: Vec<(RunKey, Mark)>,
    /// The state of runs after this batch's inputs: each replaces all records of its run so far. Its ids are those of
    /// the given workflow, as are those of every record and event of this batch and later ones.
    pub snapshots: Vec<Snapshotted>,
    /// Runs that have ended.
    pub ended: Vec<Ended>,
    /// How far queues have been read: the next number of each.
    pub cursors: Vec<(RunKey, u64)>,
    /// Runs before their handlers' newest whose feeds no request can refer to any longer, with the numbers of events to
    /// remove: theirs, and those of earlier runs that remained although nobody reads them.
    pub removed: Vec<(RunKey, Range<u64>)>,
    /// Handlers of which everything is to be removed.
    pub purged: Vec<HandlerKey>,
    /// Whether it exists only to commit the time.
    pub is_clock: bool,
}

/// A run that begins.
#[derive(Debug)]
pub struct OpenedRun {
    /// The run. It replaces its handler's previous run, except for events that are not `removed` yet.
    pub run: RunKey,
    /// The number that its first event will get.
    pub first: u64,
    /// What else is stored of it; `None` for a store that recalls only feeds.
    pub head: Option<Box<Head>>,
}

/// What is stored of a run from its beginning.
#[derive(Clone, PartialEq, Debug)]
pub struct Head {
    /// The handler's id, if a client chose it.
    pub id: Option<Arc<str>>,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The run's id.
    pub run_id: Uuid,
    /// When it began: microseconds since the epoch.
    pub started_us: i64,
    /// Where the state is that it begins with.
    pub state: StartState,
}

/// Where the state is that a run begins with.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum StartState {
    /// In the record of its start.
    #[default]
    Recorded,
    /// The state with which the handler's previous run ended, to be stored separately unchanged until this run ends.
    Inherited,
    /// This state, to be stored separately until the run ends.
    Given(Values),
}

/// An encoded run, which replaces its journal so far.
#[derive(Debug)]
pub struct Snapshotted {
    /// The run.
    pub run: RunKey,
    /// The workflow whose ids it has.
    pub workflow: WorkflowId,
    /// When a step of it last ended: microseconds since the epoch.
    pub updated_us: i64,
    /// The snapshot, as returned by [`Run::snapshot`](crate::engine::run::Run::snapshot).
    pub snapshot: Vec<u8>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The run.
    pub run: RunKey,
    /// Its outcome. The value of a completed run is also that of its last event.
    pub outcome: Outcome,
    /// The state, for continuing the handler; empty unless it completed.
    pub state: Values,
    /// What of the state has changed since the run began, if its initial state is stored separately.
    pub changed: Option<Changed>,
    /// When: microseconds since the epoch.
    pub updated_us: i64,
    /// Whether its journal is retained: that of a failed run is, if it is not too long.
    pub keeps_journal: bool,
}

impl Batch {
    /// Adds the record of an input.
    pub(in crate::engine) fn record(&mut self, run: RunKey, record: Vec<u8>, now: Now) {
        self.records.push((run, record));
        self.now = now;
    }

    /// Returns the empty batch after this one, with the same capacity.
    pub(in crate::engine) fn next(&self) -> Self {
        Self {
            number: self.number + 1,
            epoch: self.epoch,
            asides_heard: self.asides_heard,
            now: self.now,
            opened: Vec::with_capacity(self.opened.len()),
            records: Vec::with_capacity(self.records.len()),
            published: Vec::with_capacity(self.published.len()),
            ended: Vec::with_capacity(self.ended.len()),
            removed: Vec::with_capacity(self.removed.len()),
            ..Self::default()
        }
    }

    /// Returns about how much memory, and space in a transaction, it takes.
    pub fn bytes(&self) -> usize {
        let records = self.records.iter().map(|(_, record)| record.len());
        let events = self.published.iter().map(|(_, event)| Feed::cost_bytes(event));
        let snapshots = self.snapshots.iter().map(|snapshot| snapshot.snapshot.len());
        let states = self.opened.iter().filter_map(|opened| match &opened.head.as_ref()?.state {
            StartState::Given(state) => Some(state.cost_bytes()),
            StartState::Recorded | StartState::Inherited => None,
        });
        records.chain(events).chain(snapshots).chain(states).sum()
    }

    /// Drops everything that this batch has of a handler.
    pub fn drop_handler(&mut self, key: HandlerKey) {
        let stays = |run: &RunKey| run.handler != key;
        self.opened.retain(|opened| stays(&opened.run));
        self.records.retain(|(run, _)| stays(run));
        self.published.retain(|(run, _)| stays(run));
        self.left.retain(|(run, _)| stays(run));
        self.snapshots.retain(|snapshotted| stays(&snapshotted.run));
        self.ended.retain(|ended| stays(&ended.run));
        self.cursors.retain(|(run, _)| stays(run));
        self.removed.retain(|(run, _)| stays(run));
        self.purged.retain(|purged| *purged != key);
    }

    /// Returns whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty()
            && self.records.is_empty()
            && self.published.is_empty()
            && self.snapshots.is_empty()
            && self.ended.is_empty()
            && self.cursors.is_empty()
            && self.removed.is_empty()
            && self.purged.is_empty()
            && !self.is_clock
    }
}

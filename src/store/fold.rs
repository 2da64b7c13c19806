//! Batches that are committed in one transaction, folded into their changes per handler: one row per run and
//! transaction, however many batches.

use std::{collections::HashSet, fmt, ops::Range};

use super::list;
use crate::{
    engine::{
        feed::Feed,
        keys::{HandlerKey, RunKey, WorkflowId},
        storage::{Batch, Ended, Head, OpenedRun, Snapshotted},
        window::Mark,
    },
    hash::CounterMap,
};

/// Batches that contradict each other: this run begins without its head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoHead(RunKey);

impl fmt::Display for NoHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(run) = self;
        write!(formatter, "run {} of handler {} begins without its head", run.run, run.handler.0)
    }
}

/// A transaction in progress, as a backend writes it.
pub(super) trait Transaction {
    /// Why something cannot be written.
    type Fault;

    /// Attributes later faults to this handler's rows.
    fn blame(&mut self, handler: HandlerKey);

    /// Returns the fault of batches that contradict each other.
    fn contradiction(found: NoHead) -> Self::Fault;

    /// Returns the backend's number for the graph of a workflow.
    fn version(&self, workflow: WorkflowId) -> Result<i64, Self::Fault>;

    /// Returns the position of a handler's newest run; `None` if there is no such handler.
    fn live(&mut self, handler: HandlerKey) -> Result<Option<Live>, Self::Fault>;

    /// Returns the next position in the order of ending.
    fn next_ended(&mut self) -> i64;

    /// Writes the changes of one run.
    fn write(&mut self, change: Change<'_>) -> Result<(), Self::Fault>;

    /// Deletes events of a handler's earlier run.
    fn remove_feed(&mut self, handler: HandlerKey, range: Range<u64>) -> Result<(), Self::Fault>;

    /// Deletes a handler with everything that is stored of it.
    fn purge(&mut self, handler: HandlerKey) -> Result<(), Self::Fault>;
}

/// What a transaction has not written yet. The batches do not change, as some may have to be left out.
#[derive(Default)]
pub(super) struct Fold<'a> {
    changes: Vec<Option<Change<'a>>>,
    /// The indexes of handlers' changes in `changes`.
    indices: CounterMap<HandlerKey, usize>,
}

impl<'a> Fold<'a> {
    /// Adds a batch. Writes at once what must be in the database before the rest can be understood.
    pub(super) fn add<T: Transaction>(&mut self, batch: &'a Batch, writing: &mut T) -> Result<(), T::Fault> {
        let removed: HashSet<RunKey> = batch.removed.iter().map(|(run, _)| *run).collect();
        for opened in &batch.opened {
            self.open(opened, &removed, writing)?;
        }
        for snapshot in &batch.snapshots {
            self.turn(snapshot, writing)?;
        }
        for (run, record) in &batch.records {
            if let Some(change) = self.change(*run, writing)? {
                list::put(&mut change.records, record);
            }
        }
        for events in batch.published.chunk_by(|(run, _), (other, _)| run == other) {
            let Some(change) = self.change(events[0].0, writing)? else { continue };
            for (_, event) in events {
                change.feed.push(event);
            }
        }
        for (run, first) in &batch.left {
            if let Some(change) = self.change(*run, writing)? {
                change.left = Some(*first);
            }
        }
        for Snapshotted { run, updated_us, snapshot, .. } in &batch.snapshots {
            if let Some(change) = self.change(*run, writing)? {
                change.records.clear();
                change.snapshot = Some((*updated_us, snapshot));
            }
        }
        for ended in &batch.ended {
            let seq = writing.next_ended();
            if let Some(change) = self.change(ended.run, writing)? {
                change.ended = Some((seq, ended));
            }
        }
        for (run, cursor) in &batch.cursors {
            if let Some(change) = self.change(*run, writing)? {
                change.cursor = Some(*cursor);
            }
        }
        for (run, range) in &batch.removed {
            self.write_one(run.handler, writing)?;
            writing.remove_feed(run.handler, range.clone())?;
        }
        for &handler in &batch.purged {
            self.write_one(handler, writing)?;
            writing.purge(handler)?;
        }
        Ok(())
    }

    /// Writes everything that is left.
    pub(super) fn write<T: Transaction>(self, writing: &mut T) -> Result<(), T::Fault> {
        self.changes.into_iter().flatten().try_for_each(|change| writing.write(change))
    }

    fn open<T: Transaction>(
        &mut self,
        opened: &'a OpenedRun,
        removed: &HashSet<RunKey>,
        writing: &mut T,
    ) -> Result<(), T::Fault> {
        let &OpenedRun { run, first, ref head } = opened;
        writing.blame(run.handler);
        let Some(head) = head else {
            return Err(T::contradiction(NoHead(run)));
        };
        self.write_one(run.handler, writing)?;
        let version = writing.version(head.workflow)?;
        let earlier = run.run.checked_sub(1).map(|before| RunKey { run: before, ..run });
        let drops_earlier = earlier.is_none_or(|earlier| removed.contains(&earlier));
        let live = Live { run: run.run, version, next: first, ..Live::default() };
        self.push(run.handler, Change::new(run.handler, live, Some(Beginning { head, drops_earlier })));
        Ok(())
    }

    /// What follows for this run may have the ids of another graph.
    fn turn<T: Transaction>(&mut self, snapshot: &Snapshotted, writing: &mut T) -> Result<(), T::Fault> {
        let version = writing.version(snapshot.workflow)?;
        let is_other = self.change(snapshot.run, writing)?.is_some_and(|change| change.version != version);
        if is_other {
            self.write_one(snapshot.run.handler, writing)?;
            if let Some(change) = self.change(snapshot.run, writing)? {
                change.version = version;
            }
        }
        Ok(())
    }

    /// Returns the changes of this run; `None` if it is not its handler's newest, or the handler was removed.
    fn change<T: Transaction>(&mut self, run: RunKey, writing: &mut T) -> Result<Option<&mut Change<'a>>, T::Fault> {
        if !self.indices.contains_key(&run.handler) {
            let Some(live) = writing.live(run.handler)? else { return Ok(None) };
            self.push(run.handler, Change::new(run.handler, live, None));
        }
        let change = self.indices.get(&run.handler).and_then(|&index| self.changes.get_mut(index)?.as_mut());
        Ok(change.filter(|change| change.live.run == run.run))
    }

    fn push(&mut self, handler: HandlerKey, change: Change<'a>) {
        self.indices.insert(handler, self.changes.len());
        self.changes.push(Some(change));
    }

    fn write_one<T: Transaction>(&mut self, handler: HandlerKey, writing: &mut T) -> Result<(), T::Fault> {
        let change = self.indices.remove(&handler).and_then(|index| self.changes.get_mut(index)?.take());
        change.map_or(Ok(()), |change| writing.write(change))
    }
}

/// The position of a handler's newest run in the database.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Live {
    pub(super) run: u32,
    pub(super) version: i64,
    /// The number that its next event gets.
    pub(super) next: u64,
    pub(super) tail_bytes: usize,
    /// Whether it has rows in `feed`.
    pub(super) has_feed: bool,
    /// The number of its next row in `journal`; 0 if it has none.
    pub(super) journal_next: i64,
}

/// The changes of one handler's newest run. They are written in the order of the fields.
pub(super) struct Change<'a> {
    pub(super) handler: HandlerKey,
    /// Its position before the change.
    pub(super) live: Live,
    /// The run begins.
    pub(super) opened: Option<Beginning<'a>>,
    /// The version of the fields below.
    pub(super) version: i64,
    pub(super) feed: Feed,
    pub(super) snapshot: Option<(i64, &'a [u8])>,
    /// The records after the snapshot.
    pub(super) records: Vec<u8>,
    /// The end, with its position in the order of ending.
    pub(super) ended: Option<(i64, &'a Ended)>,
    pub(super) cursor: Option<u64>,
    /// Where the window of the feed begins.
    pub(super) left: Option<Mark>,
}

/// A run that begins.
pub(super) struct Beginning<'a> {
    pub(super) head: &'a Head,
    /// Whether no request can refer to the previous run any longer.
    pub(super) drops_earlier: bool,
}

impl<'a> Change<'a> {
    pub(super) fn new(handler: HandlerKey, live: Live, opened: Option<Beginning<'a>>) -> Self {
        Self {
            handler,
            live,
            opened,
            version: live.version,
            feed: Feed::new(live.next),
            snapshot: None,
            records: Vec::new(),
            ended: None,
            cursor: None,
            left: None,
        }
    }
}

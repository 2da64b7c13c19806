//! Batches that are kept in one transaction, folded into what they come to for each handler: one row for a run and a
//! transaction, however many batches.

use std::collections::HashSet;

use super::{
    change::{Beginning, Change, Live},
    fault::Fault,
    list,
    write::Writing,
};
use crate::{
    engine::{
        keys::{HandlerKey, RunKey},
        storage::{Batch, Opened, Snapshotted},
    },
    hash::CounterMap,
};

/// What a transaction has not yet written. The batches stay as they are: a part of them may have to be left out.
#[derive(Default)]
pub(super) struct Group<'a> {
    changes: Vec<Option<Change<'a>>>,
    /// Places of handlers' changes among those.
    places: CounterMap<HandlerKey, usize>,
}

impl<'a> Group<'a> {
    /// Adds a batch. What has to be in the database before it can be understood is written now.
    pub(super) fn add(&mut self, batch: &'a Batch, writing: &mut Writing<'_>) -> Result<(), Fault> {
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

    /// Writes all that is left.
    pub(super) fn write(self, writing: &mut Writing<'_>) -> Result<(), Fault> {
        self.changes.into_iter().flatten().try_for_each(|change| writing.write(change))
    }

    fn open(&mut self, opened: &'a Opened, removed: &HashSet<RunKey>, writing: &mut Writing<'_>) -> Result<(), Fault> {
        let &Opened { run, first, ref head } = opened;
        writing.blame(run.handler);
        let Some(head) = head else {
            let text = format!("run {} of handler {} begins without what is kept of it", run.run, run.handler.0);
            return Err(Fault::Damaged(text));
        };
        self.write_one(run.handler, writing)?;
        let version = writing.version(head.workflow)?;
        let earlier = run.run.checked_sub(1).map(|before| RunKey { run: before, ..run });
        let drops_earlier = earlier.is_none_or(|earlier| removed.contains(&earlier));
        let live = Live { run: run.run, version, next: first, ..Live::default() };
        self.push(run.handler, Change::new(run.handler, live, Some(Beginning { head, drops_earlier })));
        Ok(())
    }

    /// What comes from here on of this run has the ids of another graph, maybe.
    fn turn(&mut self, snapshot: &Snapshotted, writing: &mut Writing<'_>) -> Result<(), Fault> {
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

    /// What is new of this run; `None` if it is not its handler's newest, or the handler is gone.
    fn change(&mut self, run: RunKey, writing: &mut Writing<'_>) -> Result<Option<&mut Change<'a>>, Fault> {
        if !self.places.contains_key(&run.handler) {
            let Some(live) = writing.live(run.handler)? else { return Ok(None) };
            self.push(run.handler, Change::new(run.handler, live, None));
        }
        let change = self.places.get(&run.handler).and_then(|&place| self.changes.get_mut(place)?.as_mut());
        Ok(change.filter(|change| change.live.run == run.run))
    }

    fn push(&mut self, handler: HandlerKey, change: Change<'a>) {
        self.places.insert(handler, self.changes.len());
        self.changes.push(Some(change));
    }

    fn write_one(&mut self, handler: HandlerKey, writing: &mut Writing<'_>) -> Result<(), Fault> {
        let change = self.places.remove(&handler).and_then(|place| self.changes.get_mut(place)?.take());
        change.map_or(Ok(()), |change| writing.write(change))
    }
}

//! The write-ahead rule: what waits until a batch is committed.

use super::{Notice, Scheduler, Trouble, compact::Compaction, failure::Lost, newest, waste::discard};
use crate::{
    engine::{
        channel::Channel,
        input::{Input, PassId},
        keys::{HandlerKey, RunKey},
        storage::{Batch, Snapshotted},
    },
    now::Now,
};

/// What waits until a batch is committed, and what is needed if it fails.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) ready: Vec<(RunKey, PassId)>,
    published: Vec<(RunKey, u64)>,
    /// Runs whose feeds' windows now begin at this number.
    pub(super) left: Vec<(RunKey, u64)>,
    pub(super) ended: Vec<RunKey>,
    /// Handlers that are removed from memory, by their newest runs.
    pub(super) purged: Vec<RunKey>,
    /// Tags of passes whose runs have ended.
    pub(super) stops: Vec<u64>,
    /// Runs whose journals have grown long.
    pub(super) snapshots: Vec<RunKey>,
    /// Runs whose snapshots are to be made from what is committed with this batch.
    pub(super) compacted: Vec<RunKey>,
    /// Handlers that this batch changes. This and the following fields are used only if runs are recorded.
    pub(super) touched: Vec<HandlerKey>,
    pub(super) opened: Vec<RunKey>,
    /// Handlers that were among the store's finished ones and no longer are.
    pub(super) uncounted: Vec<HandlerKey>,
    /// What passes have reported. After a crash they would report it again, but after a failed batch they do not.
    pub(super) reported: Vec<(RunKey, Input)>,
    pub(super) troubles: Vec<Trouble>,
    /// Handlers whose runs end because their rows are damaged.
    pub(super) damaged: Vec<HandlerKey>,
    /// The cost of the batch while it is being committed.
    pub(super) bytes: usize,
    now: Now,
}

impl Held {
    /// Returns an empty one with the same capacity.
    fn next(&self) -> Self {
        Self {
            ready: Vec::with_capacity(self.ready.len()),
            published: Vec::with_capacity(self.published.len()),
            ended: Vec::with_capacity(self.ended.len()),
            touched: Vec::with_capacity(self.touched.len()),
            reported: Vec::with_capacity(self.reported.len()),
            ..Self::default()
        }
    }

    pub(super) fn note_published(&mut self, run: RunKey, next: u64) {
        match self.published.last_mut() {
            Some((last, last_next)) if *last == run => *last_next = next,
            _ => self.published.push((run, next)),
        }
    }

    /// Records an input that is part of this batch.
    pub(super) fn note_input(&mut self, run: RunKey, input: &Input) {
        self.touch(run.handler);
        if is_reported(input) {
            self.reported.push((run, input.clone()));
        }
    }

    /// Records an input of a run that has ended. It has no effect, unless that end is not committed.
    pub(super) fn note_late(&mut self, run: RunKey, input: Input, channel: &Channel) {
        if !channel.is_ended() && is_reported(&input) {
            self.reported.push((run, input));
        }
    }

    pub(super) fn touch(&mut self, handler: HandlerKey) {
        if self.touched.last() != Some(&handler) {
            self.touched.push(handler);
        }
    }

    /// Removes everything about a handler, whose passes have these tags. Returns how often it was uncounted.
    pub(super) fn take_out(&mut self, key: HandlerKey, passes: &[u64], lost: &mut Lost) -> usize {
        let is_of = |run: &RunKey| run.handler == key;
        // The event that would have stopped them has not happened.
        self.stops.retain(|tag| !passes.contains(tag));
        self.ready.retain(|(run, _)| !is_of(run));
        self.published.retain(|(run, _)| !is_of(run));
        self.left.retain(|(run, _)| !is_of(run));
        self.ended.retain(|run| !is_of(run));
        self.snapshots.retain(|run| !is_of(run));
        self.compacted.retain(|run| !is_of(run));
        self.damaged.retain(|damaged| *damaged != key);
        let purged = self.purged.extract_if(.., |run| is_of(run));
        let touched = self.touched.extract_if(.., |touched| *touched == key);
        let opened = self.opened.extract_if(.., |run| is_of(run));
        let reported = self.reported.extract_if(.., |(run, _)| is_of(run));
        lost.add(touched, opened, purged, reported);
        self.uncounted.extract_if(.., |uncounted| *uncounted == key).count()
    }

    /// Returns whether a run of this handler begins or ends with this batch.
    pub(super) fn begins_or_ends(&self, key: HandlerKey) -> bool {
        self.opened.iter().chain(&self.ended).any(|run| run.handler == key)
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.published.is_empty() && self.ended.is_empty() && self.purged.is_empty()
    }
}

impl Scheduler {
    /// Returns the number of the open batch, with which all present changes will be committed.
    pub fn open_batch(&self) -> u64 {
        self.batch.number
    }

    /// Returns whether all batches are committed.
    pub fn is_settled(&self) -> bool {
        self.committing.is_empty()
    }

    /// Returns the batch with which this run begins, if that is not committed yet.
    pub(super) fn begun_with(&self, run: RunKey) -> Option<u64> {
        let mut committing = self.committing.iter().filter(|(_, held)| held.opened.contains(&run));
        let is_open = self.held.opened.contains(&run);
        committing.next().map(|&(number, _)| number).or_else(|| is_open.then_some(self.batch.number))
    }

    /// Returns how long the oldest uncommitted batch has waited, in microseconds.
    pub fn behind_us(&self, now: Now) -> u64 {
        let oldest = self.committing.front().map(|(_, held)| held.now.alive_us);
        oldest.map_or(0, |then_us| now.alive_us.saturating_sub(then_us))
    }

    /// Seals the batch of all changes since the last one; `None` if there are none.
    pub fn seal(&mut self) -> Option<Batch> {
        self.close_cursors();
        if !self.has_changes() {
            return None;
        }
        for run in std::mem::take(&mut self.held.snapshots) {
            self.take_snapshot(run);
        }
        self.batch.next_handler = self.keys.issued().next;
        self.held.now = self.batch.now;
        self.held.bytes = self.policies.recording.bytes(&self.batch);
        self.tally.handle_sealed(self.held.bytes);
        let number = self.batch.number;
        let (batch, held) = (self.batch.next(), self.held.next());
        self.committing.push_back((number, std::mem::replace(&mut self.held, held)));
        Some(std::mem::replace(&mut self.batch, batch))
    }

    /// Returns whether the open batch contains changes.
    pub fn has_changes(&self) -> bool {
        !(self.batch.is_empty() && self.held.is_empty())
    }

    fn take_snapshot(&mut self, run: RunKey) {
        let Some(handler) = newest(&mut self.handlers, run) else { return };
        let Some(live) = handler.life.run() else { return };
        if handler.journal.bytes == 0 {
            return;
        }
        // A snapshot that carries the run over to another version would replace what was recorded after it.
        let is_replaced = self.batch.snapshots.iter().any(|snapshotted| snapshotted.run == run);
        let snapshot = match &mut handler.journal.compaction {
            Some(compaction) => compaction.finish(),
            None if is_replaced || live.cost_bytes() < self.limits.compacted_cost_bytes_min => Some(live.snapshot()),
            None => {
                let (batch, bytes) = (self.batch.number, handler.journal.bytes);
                handler.journal.compaction = Some(Box::new(Compaction::new(batch, bytes)));
                self.held.compacted.push(run);
                None
            }
        };
        let Some(snapshot) = snapshot else { return };
        handler.journal.compaction = None;
        handler.journal.replace(snapshot.len());
        let (workflow, updated_us) = (handler.workflow, handler.updated_us);
        self.batch.snapshots.push(Snapshotted { run, workflow, updated_us, snapshot });
    }

    /// This batch and all before it are committed: releases what waited for them.
    pub fn handle_committed(&mut self, number: u64) {
        while self.committing.front().is_some_and(|&(first, _)| first <= number) {
            if let Some((_, held)) = self.committing.pop_front() {
                self.release(held);
            }
        }
    }

    fn release(&mut self, held: Held) {
        self.tally.handle_settled(held.bytes);
        self.retention.look_again();
        self.passes.ready.extend(held.ready);
        self.troubles.extend(held.troubles);
        for run in &held.ended {
            if let Some(channel) = self.channel_mut(*run) {
                channel.handle_ended();
            }
        }
        for (run, next) in held.published {
            if let Some(channel) = self.channel_mut(run) {
                channel.handle_published(next);
                if channel.is_busy() {
                    self.notices.push_back(Notice::Published(run));
                }
            }
        }
        for (run, first) in held.left {
            if let Some(channel) = self.channel_mut(run) {
                channel.handle_left(first);
                if channel.is_busy() {
                    self.notices.push_back(Notice::Published(run));
                }
            }
        }
        if held.reported.iter().any(|(_, input)| matches!(input, Input::LargeDone { .. })) {
            discard(&mut self.waste, held.bytes, held.reported);
        }
        for run in held.ended {
            self.retention.count();
            let Some(handler) = newest(&mut self.handlers, run) else { continue };
            self.tally.recount(run.handler, handler);
            self.notices.extend(handler.caller.take().map(|caller| Notice::Ended(run, caller)));
            self.retention.handle_ended(run);
        }
        self.load_compacted(&held.compacted);
        self.stop_passes(&held.stops, held.now);
        for run in held.purged {
            self.damage.forget(run.handler);
            self.handle_purged(run);
        }
        // Here and when a query begins, no answer that may be older is in use.
        self.absent.trim(self.unseen());
    }
}

/// Returns whether a pass reported the input.
fn is_reported(input: &Input) -> bool {
    matches!(input, Input::Done { .. } | Input::LargeDone { .. } | Input::PassLost { .. } | Input::Noted { .. })
}

//! The write-ahead rule: what waits until a batch is committed.

use crate::{
    engine::{
        input::Input,
        keys::RunKey,
        scheduler::{Scheduler, compaction::Compaction, handler::newest, held::Held, notice::Notice, waste::discard},
        storage::{Batch, Snapshotted},
    },
    now::Now,
};

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
        self.batch.next_handler = self.names.keys.issued().next;
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

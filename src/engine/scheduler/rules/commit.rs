//! The write-ahead rule: what waits until a batch is committed.

use crate::{
    engine::{
        input::Input,
        keys::RunKey,
        scheduler::{Scheduler, compaction::Compaction, held::Held, notice::Notice},
        storage::{Batch, Snapshotted},
    },
    now::Now,
};

impl Scheduler {
    /// Returns the number of the open batch, with which all present changes will be committed.
    pub fn open_batch(&self) -> u64 {
        self.commits.batch.number
    }

    /// Returns whether all sealed batches are committed.
    pub fn is_settled(&self) -> bool {
        self.commits.is_settled()
    }

    /// Returns whether the open batch contains changes.
    pub fn has_changes(&self) -> bool {
        self.commits.has_changes()
    }

    /// Returns how long the oldest uncommitted batch has waited, in microseconds.
    pub fn behind_us(&self, now: Now) -> u64 {
        self.commits.behind_us(now)
    }

    /// Seals the batch of all changes since the last one; `None` if there are none.
    pub fn seal(&mut self) -> Option<Batch> {
        self.close_cursors();
        if !self.commits.has_changes() {
            return None;
        }
        for run in std::mem::take(&mut self.commits.held.snapshots) {
            self.take_snapshot(run);
        }
        self.commits.batch.next_handler = self.names.keys.issued().next;
        Some(self.commits.seal(self.policies.recording))
    }

    fn take_snapshot(&mut self, run: RunKey) {
        let Some(handler) = self.handlers.of_newest(run) else { return };
        let Some(live) = handler.life.run() else { return };
        if handler.journal.bytes == 0 {
            return;
        }
        // A snapshot that carries the run over to another version would replace what was recorded after it.
        let is_replaced = self.commits.batch.snapshots.iter().any(|snapshotted| snapshotted.run == run);
        let snapshot = match &mut handler.journal.compaction {
            Some(compaction) => compaction.finish(),
            None if is_replaced || live.cost_bytes() < self.policies.limits.compacted_cost_bytes_min => {
                Some(live.snapshot())
            }
            None => {
                let (batch, bytes) = (self.commits.batch.number, handler.journal.bytes);
                handler.journal.compaction = Some(Box::new(Compaction::new(batch, bytes)));
                self.commits.held.compacted.push(run);
                None
            }
        };
        let Some(snapshot) = snapshot else { return };
        handler.journal.compaction = None;
        handler.journal.replace(snapshot.len());
        let (workflow, updated_us) = (handler.workflow, handler.updated_us);
        self.commits.batch.snapshots.push(Snapshotted { run, workflow, updated_us, snapshot });
    }

    /// This batch and all before it are committed: releases what waited for them.
    pub fn handle_committed(&mut self, number: u64) {
        while let Some(held) = self.commits.poll_committed(number) {
            self.release(held);
        }
    }

    fn release(&mut self, held: Held) {
        self.retention.look_again();
        for (run, pass) in held.ready {
            self.add_ready(run, pass);
        }
        self.outbox.report(held.troubles);
        for run in &held.ended {
            if let Some(channel) = self.channel_mut(*run) {
                channel.handle_ended();
            }
        }
        for (run, next) in held.published {
            if let Some(channel) = self.channel_mut(run) {
                channel.handle_published(next);
                if channel.is_busy() {
                    self.outbox.notify(Notice::Published(run));
                }
            }
        }
        for (run, first) in held.left {
            if let Some(channel) = self.channel_mut(run) {
                channel.handle_left(first);
                if channel.is_busy() {
                    self.outbox.notify(Notice::Published(run));
                }
            }
        }
        if held.reported.iter().any(|(_, input)| matches!(input, Input::LargeDone { .. })) {
            self.outbox.discard(held.bytes, held.reported);
        }
        for run in held.ended {
            self.retention.count();
            let Some(handler) = self.handlers.of_newest(run) else { continue };
            self.tally.recount(run.handler, handler);
            self.outbox.notify_all(handler.caller.take().map(|caller| Notice::Ended(run, caller)));
            self.retention.handle_ended(run);
        }
        self.load_compacted(&held.compacted);
        self.stop_passes(&held.stops, held.now);
        for run in held.purged {
            self.health.forget(run.handler);
            self.handle_purged(run);
        }
        // Here and when a query begins, no answer that may be older is in use.
        self.handlers.trim(self.commits.unseen());
    }
}

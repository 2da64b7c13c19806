//! Which finished handlers stay in memory, and in the store if they are retained there.

use crate::{
    engine::{
        keys::{HandlerKey, RunKey},
        scheduler::{Scheduler, notice::Notice, policies::Retained},
    },
    limits::{RETENTION_PAUSE_US, RETENTION_SLICE, RETIRED_PER_TURN_MIN},
    now::Now,
};

impl Scheduler {
    /// Removes finished handlers that exceed the limits on number, bytes or age, the longest ended first. Handlers with
    /// a reader stay. If handlers are retained in the store, removes them only from memory, and asks the store for
    /// those to be removed for good. To be called when the notices are carried out. Examines more handlers than have
    /// ended since the last call, so that any excess shrinks.
    pub fn retire(&mut self) {
        let (count_max, bytes_max) = self.retention.resident_max();
        let looked_at_max = self.retention.begin_scan();
        for _ in 0..looked_at_max {
            let too_many = self.tally.finished > count_max;
            let too_large = self.tally.finished_bytes > bytes_max && self.tally.finished > 1;
            if !(too_many || too_large) {
                break;
            }
            let Some(run) = self.retention.resident.pop_front() else { break };
            match self.handlers.of_newest(run).map(|handler| handler.is_idle()) {
                Some(true) if self.may_leave(run.handler) => self.leave_memory(run.handler),
                Some(_) => self.retention.resident.push_back(run),
                None => {}
            }
        }
        if self.retention.resident.len() > 2 * self.tally.finished + RETIRED_PER_TURN_MIN {
            let handlers = &self.handlers;
            self.retention.resident.retain(|run| handlers.get(run.handler).is_some_and(|other| other.run == run.run));
        }
        if let Some(wanted) = self.retention.wanted(self.tally.running) {
            self.ask_oldest(wanted);
        }
    }

    /// The store takes this many bytes, including all that is committed.
    pub fn handle_size(&mut self, bytes: u64) {
        self.retention.handle_size(bytes);
    }

    /// Returns whether a finished handler without readers may leave memory.
    fn may_leave(&self, key: HandlerKey) -> bool {
        match self.retention.retained {
            Retained::InMemory => !self.channels.has_any(key),
            Retained::InStore => self.is_unchanged(key),
        }
    }

    fn leave_memory(&mut self, key: HandlerKey) {
        match self.retention.retained {
            Retained::InMemory => self.remove(key),
            Retained::InStore => self.forget(key),
        }
    }

    /// Removes a small excess, if it is time.
    pub(super) fn handle_excess(&mut self, now: Now) {
        if let Some(wanted) = self.retention.handle_time(self.commits.uncommitted(), now) {
            self.ask_oldest(wanted);
        }
    }

    /// Asks the store for the longest ended handlers: as many as are to be removed, and as many as may have to stay.
    fn ask_oldest(&mut self, wanted: usize) {
        if let Some(slice) = self.retention.ask(wanted, self.commits.uncommitted()) {
            let may_stay = self.tally.finished + self.channels.count() + self.health.whole_count();
            self.outbox.notify(Notice::Oldest(slice + may_stay));
        }
    }

    /// Handles the longest ended handlers of the store, each with the time of its end; if they are fewer than
    /// requested, there are no more. Empty if the store could not be read.
    pub fn handle_oldest(&mut self, oldest: &[(HandlerKey, i64)], now: Now) {
        let mut removal = self.retention.begin_removal(self.tally.running, now);
        for &(key, ended_us) in oldest {
            if self.has_ended_again(key, ended_us) {
                continue;
            }
            if !removal.takes(ended_us) {
                break;
            }
            removal.removed += usize::from(self.remove_retained(key));
        }
        self.retention.end_removal(&removal, now);
    }

    /// The store could not be read for the longest ended handlers: it is asked again after a pause.
    pub fn handle_oldest_unread(&mut self, now: Now) {
        self.retention.handle_unread(now);
    }

    /// Returns whether a handler was continued after the end that the store has reported, and has ended again. It is
    /// resident then: an older answer was under way.
    fn has_ended_again(&self, key: HandlerKey, ended_us: i64) -> bool {
        let end = self.handlers.get(key).and_then(|handler| handler.life.end());
        end.is_some_and(|end| end.completed_us != ended_us)
    }

    /// Removes a finished handler from the store. It stays if it was continued since the store was asked, if any of its
    /// runs has a reader, or if it has uncommitted changes.
    fn remove_retained(&mut self, key: HandlerKey) -> bool {
        if self.channels.has_any(key) || self.health.is_aside(key) {
            return false;
        }
        match self.handlers.get(key) {
            Some(handler) if handler.is_idle() && self.is_unchanged(key) => self.remove(key),
            None if self.handlers.is_unknown(key) => self.purge_nonresident(key),
            _ => return false,
        }
        self.retention.note_removed(self.commits.batch.number);
        true
    }

    fn purge_nonresident(&mut self, key: HandlerKey) {
        self.commits.batch.purged.push(key);
        self.uncount_finished(key);
        self.note_removed(key, None, None);
    }

    /// A finished handler of the store is no longer finished, if this batch is committed.
    pub(super) fn uncount_finished(&mut self, key: HandlerKey) {
        if self.health.is_aside(key) {
            return;
        }
        self.retention.uncount();
        if self.policies.recording.is_on() {
            self.commits.held.uncounted.push(key);
        }
    }

    /// Finds handlers that were retained for long enough.
    pub(super) fn handle_ages(&mut self, now: Now) {
        let Some(expired_us) = self.retention.handle_ages(now) else { return };
        match self.retention.retained {
            Retained::InMemory => self.remove_expired(expired_us, now),
            Retained::InStore => self.ask_oldest(usize::MAX),
        }
    }

    /// Removes handlers that have been retained in memory for long enough.
    fn remove_expired(&mut self, expired_us: i64, now: Now) {
        // Handlers that have to stay are checked again after a pause.
        let mut is_stuck = true;
        for _ in 0..RETENTION_SLICE.min(self.retention.resident.len()) {
            let Some(&run) = self.retention.resident.front() else { return self.retention.ages_due_us = None };
            let ended_us = self
                .handlers
                .of_newest(run)
                .and_then(|handler| Some((handler.life.end()?.completed_us, handler.is_idle())));
            let ended_us =
                ended_us.map(|(ended_us, is_idle)| (ended_us, is_idle && !self.channels.has_any(run.handler)));
            match ended_us {
                Some((ended_us, _)) if ended_us > expired_us => {
                    let left_us = ended_us.abs_diff(expired_us).clamp(1, RETENTION_PAUSE_US);
                    return self.retention.ages_due_us = Some(now.alive_us + left_us);
                }
                Some((_, false)) => {
                    self.retention.resident.rotate_left(1);
                    continue;
                }
                Some((_, true)) => self.remove(run.handler),
                None => drop(self.retention.resident.pop_front()),
            }
            is_stuck = false;
        }
        if !is_stuck {
            self.retention.ages_due_us = Some(now.alive_us + 1);
        }
    }

    /// Returns whether all of a handler is committed, and no answer of the store is older.
    fn is_unchanged(&self, key: HandlerKey) -> bool {
        let Some(handler) = self.handlers.get(key) else { return true };
        handler.journal.batch < self.commits.unseen() && !self.cursors.has_moved(key)
    }

    /// Drops a finished handler from memory; it stays in the store.
    fn forget(&mut self, key: HandlerKey) {
        let Some(handler) = self.handlers.remove(key, &mut self.tally) else { return };
        self.names.chosen.remove(&handler.id);
        self.outbox.discard(handler.life.counted.bytes, handler);
    }

    /// Removes a handler for good. Its readers and its caller are notified once that is committed.
    pub(super) fn remove(&mut self, key: HandlerKey) {
        let Some(handler) = self.handlers.remove(key, &mut self.tally) else { return };
        let run = RunKey { handler: key, run: handler.run };
        if handler.has_ended() {
            self.uncount_finished(key);
        }
        if !self.names.chosen.is_empty() && self.names.chosen.remove(&handler.id).is_some() {
            self.names.gone.note(&handler.id, key);
        }
        self.cursors.forget(key);
        let is_read = run.run > 0 || handler.channel.is_busy() || handler.caller.is_some();
        self.outbox.discard(handler.life.counted.bytes, handler.life);
        match self.retention.retained {
            // The usual case in memory: there is nobody to notify.
            Retained::InMemory if !is_read => return self.commits.batch.removed.push((run, handler.channel.range())),
            Retained::InMemory => {}
            Retained::InStore => {
                self.commits.held.touch(key);
                self.commits.batch.purged.push(key);
            }
        }
        self.channels.insert(run, handler.channel);
        self.commits.batch.removed.extend(self.channels.ranges_upto(run));
        self.commits.held.purged.push(run);
        self.note_removed(key, Some(run), handler.caller);
    }

    /// The handler of this run, its newest, was removed.
    pub(super) fn handle_purged(&mut self, newest: RunKey) {
        let caller = self.handlers.take_caller(newest.handler);
        self.outbox.notify_all(caller.map(Notice::CallerGone));
        for channel in self.channels.take_upto(newest.handler, newest.run) {
            self.outbox.notify_all(channel.everybody().map(Notice::Gone));
        }
    }
}

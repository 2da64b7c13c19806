//! Which finished handlers stay in memory, and in the store if they are retained there.

use std::time::Duration;

use crate::{
    engine::{
        channel::Channel,
        keys::{HandlerKey, RunKey},
        scheduler::{Scheduler, handler::newest, notice::Notice, policies::Retained, waste::discard},
    },
    limits::{
        RESIDENT_FINISHED_BYTES_MAX, RESIDENT_FINISHED_MAX, RETENTION_PAUSE_MIN_US, RETENTION_PAUSE_US,
        RETENTION_SLACK_MAX, RETENTION_SLACK_PART, RETENTION_SLICE, RETENTION_SLICE_MAX, RETIRED_PER_TURN_MIN,
    },
    now::Now,
};

impl Scheduler {
    /// Removes finished handlers that exceed the limits on number, bytes or age, the longest ended first. Handlers with
    /// a reader stay. If handlers are retained in the store, removes them only from memory, and asks the store for
    /// those to be removed for good. To be called when the notices are carried out. Examines more handlers than have
    /// ended since the last call, so that any excess shrinks.
    pub fn retire(&mut self) {
        let limits = &self.limits;
        let (count_max, bytes_max) = match self.retention.place {
            Retained::InMemory => (limits.keep_finished, limits.finished_bytes_max),
            Retained::InStore => (RESIDENT_FINISHED_MAX, RESIDENT_FINISHED_BYTES_MAX.min(limits.finished_bytes_max)),
        };
        let looked_at_max = 2 * std::mem::take(&mut self.retention.ended_since) + RETIRED_PER_TURN_MIN;
        for _ in 0..looked_at_max {
            let too_many = self.tally.finished > count_max;
            let too_large = self.tally.finished_bytes > bytes_max && self.tally.finished > 1;
            if !(too_many || too_large) {
                break;
            }
            let Some(run) = self.retention.resident.pop_front() else { break };
            match newest(&mut self.handlers, run).map(|handler| handler.is_idle()) {
                Some(true) if self.may_leave(run.handler) => self.leave_memory(run.handler),
                Some(_) => self.retention.resident.push_back(run),
                None => {}
            }
        }
        if self.retention.resident.len() > 2 * self.tally.finished + RETIRED_PER_TURN_MIN {
            let handlers = &self.handlers;
            self.retention.resident.retain(|run| handlers.get(&run.handler).is_some_and(|other| other.run == run.run));
        }
        if self.retention.place == Retained::InStore {
            self.ask_for_excess();
        }
    }

    /// Returns whether a finished handler without readers may leave memory.
    fn may_leave(&self, key: HandlerKey) -> bool {
        match self.retention.place {
            Retained::InMemory => !self.has_earlier(key),
            Retained::InStore => self.is_unchanged(key),
        }
    }

    fn leave_memory(&mut self, key: HandlerKey) {
        match self.retention.place {
            Retained::InMemory => self.remove(key),
            Retained::InStore => self.forget(key),
        }
    }

    /// Asks the store for finished handlers, if there are more than are to be retained.
    fn ask_for_excess(&mut self) {
        // Removing many together writes less, as those of a page of the store go together.
        let excess = self.retention.excess(self.limits.keep_finished);
        let is_over = excess > RETENTION_SLACK_MAX.min(self.limits.keep_finished / RETENTION_SLACK_PART);
        if is_over || self.retention.has_expired || self.is_over_bytes() {
            let by_bytes = self.excess_by_bytes(self.retention.finished());
            self.ask_oldest(if self.retention.has_expired { usize::MAX } else { excess.max(by_bytes) });
        }
    }

    /// Returns whether an earlier run of this handler has readers, or ends with a purge that is not committed yet.
    fn has_earlier(&self, key: HandlerKey) -> bool {
        !self.earlier.is_empty()
            && self
                .earlier
                .range(RunKey { handler: key, run: 0 }..=RunKey { handler: key, run: u32::MAX })
                .next()
                .is_some()
    }

    /// Returns when to remove a small excess.
    pub(super) fn excess_due_us(&self, now: Now) -> Option<u64> {
        let retention = &self.retention;
        if retention.place == Retained::InMemory {
            return None;
        }
        if retention.rests_until_us.is_some() {
            return retention.rests_until_us;
        }
        let waits = retention.is_asked || retention.is_stuck || retention.removing >= self.uncommitted();
        if waits || retention.excess(self.limits.keep_finished) == 0 {
            return None;
        }
        Some(retention.excess_due_us.unwrap_or(now.alive_us + RETENTION_PAUSE_MIN_US))
    }

    /// Removes a small excess, if it is time.
    pub(super) fn handle_excess(&mut self, now: Now) {
        if self.retention.rests_until_us.take_if(|until_us| *until_us <= now.alive_us).is_some() {
            let excess = self.retention.excess(self.limits.keep_finished);
            return self.ask_oldest(excess);
        }
        self.retention.excess_due_us = self.excess_due_us(now);
        if self.retention.excess_due_us.is_some_and(|due_us| due_us <= now.alive_us) {
            self.retention.excess_due_us = None;
            let excess = self.retention.excess(self.limits.keep_finished);
            self.ask_oldest(excess);
        }
    }

    /// Asks the store for the longest ended handlers: as many as are to be removed, up to a slice, and as many as may
    /// have to stay. A slice is larger than the number of runs that have ended since the last one, so that retention
    /// keeps up with any rate.
    fn ask_oldest(&mut self, wanted: usize) {
        let (uncommitted, whole) = (self.uncommitted(), self.damage.whole_count());
        let retention = &mut self.retention;
        if wanted > 0
            && retention.removing < uncommitted
            && !retention.is_asked
            && !retention.is_stuck
            && retention.rests_until_us.is_none()
        {
            let ended = std::mem::take(&mut retention.ended_since_asked);
            retention.slice = (2 * ended).clamp(RETENTION_SLICE, RETENTION_SLICE_MAX);
            retention.is_asked = true;
            let may_stay = self.tally.finished + self.earlier.len() + whole;
            self.notices.push_back(Notice::Oldest(wanted.min(retention.slice) + may_stay));
        }
    }

    /// Handles the longest ended handlers of the store, each with the time of its end; if they are fewer than
    /// requested, there are no more. Empty if the store could not be read.
    pub fn handle_oldest(&mut self, oldest: &[(HandlerKey, i64)], now: Now) {
        self.retention.is_asked = false;
        let (is_over_bytes, finished) = (self.is_over_bytes(), self.retention.finished());
        let excess = self.retention.excess(self.limits.keep_finished).max(self.excess_by_bytes(finished));
        let expired_us = self.limits.keep_for.map(|keep_for| now.wall_us.saturating_sub_unsigned(micros(keep_for)));
        let (mut next_us, mut removed, slice) = (self.ages_pause_us(), 0, self.retention.slice);
        let mut last_expired = false;
        self.retention.has_expired = false;
        for &(key, ended_us) in oldest {
            if self.has_ended_again(key, ended_us) {
                continue;
            }
            last_expired = expired_us.is_some_and(|expired_us| ended_us <= expired_us);
            if removed >= slice || !(last_expired || removed < excess) {
                let left_us = expired_us.map_or(RETENTION_PAUSE_US, |expired_us| ended_us.abs_diff(expired_us));
                next_us = if last_expired { next_us } else { next_us.min(left_us.max(1)) };
                break;
            }
            removed += usize::from(self.remove_kept(key));
        }
        // The next slice is removed as soon as this one is committed.
        self.retention.has_expired = last_expired && removed > 0;
        self.retention.is_stuck = removed == 0;
        self.room.note_asked(is_over_bytes, removed);
        // With none left, wait for the next end.
        let ages = self.limits.keep_for.filter(|_| self.retention.retained_count > 0);
        self.retention.ages_due_us = ages.map(|_| now.alive_us.saturating_add(next_us));
    }

    /// The store could not be read for the longest ended handlers: it is asked again after a pause.
    pub fn handle_oldest_unread(&mut self, now: Now) {
        self.retention.is_asked = false;
        self.retention.has_expired = false;
        self.retention.rest(now);
    }

    /// Returns how long until ages are checked again if none is known to be due: later ends are not due earlier.
    fn ages_pause_us(&self) -> u64 {
        self.limits
            .keep_for
            .map_or(RETENTION_PAUSE_US, |keep_for| micros(keep_for).clamp(RETENTION_PAUSE_MIN_US, RETENTION_PAUSE_US))
    }

    /// Returns whether a handler was continued after the end that the store has reported, and has ended again. It is
    /// resident then: an older answer was under way.
    fn has_ended_again(&self, key: HandlerKey, ended_us: i64) -> bool {
        let end = self.handlers.get(&key).and_then(|handler| handler.life.end());
        end.is_some_and(|end| end.completed_us != ended_us)
    }

    /// Removes a finished handler from the store. It stays if it was continued since the store was asked, if any of its
    /// runs has a reader, or if it has uncommitted changes.
    fn remove_kept(&mut self, key: HandlerKey) -> bool {
        if self.has_earlier(key) || self.is_aside(key) {
            return false;
        }
        match self.handlers.get(&key) {
            Some(handler) if handler.is_idle() && self.is_unchanged(key) => self.remove(key),
            None if !self.absent.contains(key) => self.purge_kept(key),
            _ => return false,
        }
        self.retention.removing = self.batch.number;
        self.room.note_removed();
        true
    }

    fn purge_kept(&mut self, key: HandlerKey) {
        self.batch.purged.push(key);
        self.uncount_finished(key);
        self.note_removed(key, None, None);
    }

    /// A finished handler of the store is no longer finished, if this batch is committed.
    pub(super) fn uncount_finished(&mut self, key: HandlerKey) {
        if self.is_aside(key) {
            return;
        }
        self.retention.uncount();
        if self.policies.recording.is_on() {
            self.held.uncounted.push(key);
        }
    }

    /// Finds handlers that were retained for long enough.
    pub(super) fn handle_ages(&mut self, now: Now) {
        let Some(keep_for) = self.limits.keep_for else { return self.retention.ages_due_us = None };
        if self.retention.ages_due_us.is_none_or(|due_us| due_us > now.alive_us) {
            return;
        }
        self.retention.ages_due_us = Some(now.alive_us + self.ages_pause_us());
        match self.retention.place {
            Retained::InMemory => self.remove_expired(keep_for, now),
            Retained::InStore => {
                self.retention.is_stuck = false;
                self.retention.has_expired = true;
                self.ask_oldest(usize::MAX);
            }
        }
    }

    /// Removes handlers that have been retained in memory for long enough.
    fn remove_expired(&mut self, keep_for: Duration, now: Now) {
        let expired_us = now.wall_us.saturating_sub_unsigned(micros(keep_for));
        // Handlers that have to stay are checked again after a pause.
        let mut is_stuck = true;
        for _ in 0..RETENTION_SLICE.min(self.retention.resident.len()) {
            let Some(&run) = self.retention.resident.front() else { return self.retention.ages_due_us = None };
            let ended_us = newest(&mut self.handlers, run)
                .and_then(|handler| Some((handler.life.end()?.completed_us, handler.is_idle())));
            let ended_us = ended_us.map(|(ended_us, is_idle)| (ended_us, is_idle && !self.has_earlier(run.handler)));
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
        let Some(handler) = self.handlers.get(&key) else { return true };
        handler.journal.batch < self.unseen() && !self.cursors.has_moved(key)
    }

    /// Drops a finished handler from memory; it stays in the store.
    fn forget(&mut self, key: HandlerKey) {
        let Some(handler) = self.handlers.remove(&key) else { return };
        self.tally.forget(key, &handler);
        self.names.chosen.remove(&handler.id);
        discard(&mut self.waste, handler.life.counted.bytes, handler);
    }

    /// Removes a handler for good. Those who read or wait are told once that is committed.
    pub(super) fn remove(&mut self, key: HandlerKey) {
        let Some(handler) = self.handlers.remove(&key) else { return };
        self.tally.forget(key, &handler);
        let run = RunKey { handler: key, run: handler.run };
        if handler.has_ended() {
            self.uncount_finished(key);
        }
        if !self.names.chosen.is_empty() && self.names.chosen.remove(&handler.id).is_some() {
            self.names.gone.note(&handler.id, key);
        }
        self.cursors.forget(key);
        let is_read = run.run > 0 || handler.channel.is_busy() || handler.caller.is_some();
        discard(&mut self.waste, handler.life.counted.bytes, handler.life);
        match self.retention.place {
            // The usual case in memory: there is nobody to tell.
            Retained::InMemory if !is_read => return self.batch.removed.push((run, handler.channel.range())),
            Retained::InMemory => {}
            Retained::InStore => {
                self.held.touch(key);
                self.batch.purged.push(key);
            }
        }
        self.earlier.insert(run, handler.channel);
        let channels = self.earlier.range(RunKey { handler: key, run: 0 }..=run);
        self.batch.removed.extend(channels.map(|(&run, channel)| (run, channel.range())));
        self.held.purged.push(run);
        self.note_removed(key, Some(run), handler.caller);
    }

    /// The handler of this run, its newest, was removed.
    pub(super) fn handle_purged(&mut self, newest: RunKey) {
        let caller = self.absent.take_caller(newest.handler);
        self.notices.extend(caller.map(Notice::CallerGone));
        let first = RunKey { handler: newest.handler, run: 0 };
        while let Some((&run, _)) = self.earlier.range(first..=newest).next_back() {
            let channel = self.earlier.remove(&run);
            self.notices.extend(channel.iter().flat_map(Channel::everybody).map(Notice::Gone));
        }
    }

    /// Returns the number of the first uncommitted batch.
    pub(super) fn uncommitted(&self) -> u64 {
        self.committing.front().map_or(self.batch.number, |&(number, _)| number)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

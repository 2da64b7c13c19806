//! Finished handlers in the order of their ends: which of them are too many, and in what steps they are removed.

use std::{collections::VecDeque, time::Duration};

use super::{
    limits::SchedulerLimits,
    policies::{Policies, Retained},
    room::Room,
};
use crate::{
    engine::keys::RunKey,
    limits::{
        BACK_OFF_US, RESIDENT_FINISHED_BYTES_MAX, RESIDENT_FINISHED_MAX, RETENTION_PAUSE_MIN_US, RETENTION_PAUSE_US,
        RETENTION_SLACK_MAX, RETENTION_SLACK_PART, RETENTION_SLICE, RETENTION_SLICE_MAX, RETIRED_PER_TURN_MIN,
    },
    now::Now,
};

/// The finished handlers, resident and in the store.
#[derive(Debug)]
pub(super) struct Retention {
    pub(super) retained: Retained,
    limits: SchedulerLimits,
    /// The size of the store compared with its limit.
    room: Room,
    /// The resident ones, in the order in which they ended or were loaded.
    pub(super) resident: VecDeque<RunKey>,
    /// Runs that have ended since the last scan.
    ended_since: usize,
    /// Runs that have ended since the store was last asked for the oldest.
    ended_since_asked: usize,
    /// Whether the store has more handlers that were retained for long enough.
    has_expired: bool,
    /// The number of finished handlers where they are retained.
    retained_count: isize,
    /// Whether the store was asked for the oldest.
    is_asked: bool,
    /// How many of those are removed at most.
    slice: usize,
    /// The batch that removes them; the next query waits until that is committed.
    removing: u64,
    /// Whether none of them could be removed: the next query waits for a change.
    is_stuck: bool,
    /// Until when the store is not asked, as it could not be read or a removal failed, on the alive clock.
    paused_until_us: Option<u64>,
    /// When to check the ages of handlers, on the alive clock.
    pub(super) ages_due_us: Option<u64>,
    /// When to remove a small excess, unless it grows before, on the alive clock.
    excess_due_us: Option<u64>,
}

impl Retention {
    pub(super) fn new(policies: &Policies, retained_count: usize) -> Self {
        Self {
            retained: policies.retained,
            limits: policies.limits,
            room: Room::default(),
            resident: VecDeque::new(),
            ended_since: 0,
            ended_since_asked: 0,
            has_expired: false,
            retained_count: retained_count.cast_signed(),
            is_asked: false,
            slice: RETENTION_SLICE,
            removing: 0,
            is_stuck: false,
            paused_until_us: None,
            // Handlers in the store may have been retained for long enough.
            ages_due_us: (retained_count > 0).then_some(0),
            excess_due_us: None,
        }
    }

    /// The run has ended and that is committed.
    pub(super) fn handle_ended(&mut self, run: RunKey) {
        self.ended_since += 1;
        self.handle_here(run);
    }

    /// The store has one more finished handler.
    pub(super) fn count(&mut self) {
        self.retained_count += 1;
        self.ended_since_asked += 1;
        self.is_stuck = false;
    }

    /// A reader has left, or something is committed: handlers that had to stay may be removed now.
    pub(super) fn look_again(&mut self) {
        self.is_stuck = false;
    }

    /// A finished handler is resident.
    pub(super) fn handle_here(&mut self, run: RunKey) {
        self.resident.push_back(run);
        self.ages_due_us.get_or_insert(0);
    }

    /// A finished handler of the store was continued or removed.
    pub(super) fn uncount(&mut self) {
        self.retained_count -= 1;
    }

    /// A batch has failed, with the removals of this many finished handlers. Removing them again at once would most
    /// likely fail again.
    pub(super) fn handle_failed(&mut self, uncounted: usize, now: Now) {
        if uncounted > 0 {
            self.pause(now);
        }
        self.retained_count += uncounted.cast_signed();
        self.ages_due_us.get_or_insert(0);
        self.room.handle_failed();
    }

    /// Removes nothing for a while.
    pub(super) fn pause(&mut self, now: Now) {
        self.paused_until_us = Some(now.alive_us.saturating_add(BACK_OFF_US));
    }

    /// A handler was set aside that was subtracted this often from the finished count. The store no longer has it among
    /// the finished ones.
    pub(super) fn handle_aside(&mut self, uncounted: usize, was_finished: bool) {
        self.retained_count += uncounted.cast_signed() - isize::from(was_finished);
        self.ages_due_us.get_or_insert(0);
    }

    /// The store takes this many bytes, including all that is committed.
    pub(super) fn handle_size(&mut self, bytes: u64) {
        self.room.handle_size(bytes, self.limits.data_bytes_max);
    }

    /// Returns whether the store exceeds its limit and has nothing that may be removed.
    pub(super) fn is_store_full(&self) -> bool {
        self.room.is_full()
    }

    /// Returns the number of finished handlers in the store.
    pub(super) fn finished(&self) -> usize {
        usize::try_from(self.retained_count).unwrap_or(0)
    }

    /// Returns how many more handlers are finished than are to be retained.
    fn excess(&self) -> usize {
        self.finished().saturating_sub(self.limits.keep_finished)
    }

    /// Returns how many finished handlers to remove so that the store takes no more than its limit, if all of them and
    /// the `running` ones take the same; `None` if it does not exceed that. If they do not take the same, the next
    /// report of its size corrects this.
    fn excess_by_bytes(&self, running: usize) -> Option<usize> {
        let bytes = self.room.excess(self.limits.data_bytes_max)?;
        Some(self.room.handlers_of(bytes, self.finished() + running))
    }

    /// Returns how many finished handlers may be resident, and their bytes.
    pub(super) fn resident_max(&self) -> (usize, usize) {
        let bytes_max = self.limits.finished_bytes_max;
        match self.retained {
            Retained::InMemory => (self.limits.keep_finished, bytes_max),
            Retained::InStore => (RESIDENT_FINISHED_MAX, RESIDENT_FINISHED_BYTES_MAX.min(bytes_max)),
        }
    }

    /// Begins a scan of the resident handlers. Returns how many of them to examine: more than have ended since the last
    /// one, so that any excess shrinks.
    pub(super) fn begin_scan(&mut self) -> usize {
        2 * std::mem::take(&mut self.ended_since) + RETIRED_PER_TURN_MIN
    }

    /// Returns how many handlers of the store are to be removed, unless they are too few to do that now: removing many
    /// together writes less, as those of a page of the store go together.
    pub(super) fn wanted(&self, running: usize) -> Option<usize> {
        if self.retained == Retained::InMemory {
            return None;
        }
        let (excess, by_bytes) = (self.excess(), self.excess_by_bytes(running));
        let is_over = excess > RETENTION_SLACK_MAX.min(self.limits.keep_finished / RETENTION_SLACK_PART);
        match () {
            () if self.has_expired => Some(usize::MAX),
            () if is_over || by_bytes.is_some() => Some(excess.max(by_bytes.unwrap_or(0))),
            () => None,
        }
    }

    /// Returns when to remove a small excess.
    pub(super) fn excess_due_us(&self, uncommitted: u64, now: Now) -> Option<u64> {
        if self.retained == Retained::InMemory {
            return None;
        }
        if self.paused_until_us.is_some() {
            return self.paused_until_us;
        }
        let waits = self.is_asked || self.is_stuck || self.removing >= uncommitted;
        if waits || self.excess() == 0 {
            return None;
        }
        Some(self.excess_due_us.unwrap_or(now.alive_us + RETENTION_PAUSE_MIN_US))
    }

    /// Returns how many handlers of the store are to be removed, if it is time to remove a small excess.
    pub(super) fn handle_time(&mut self, uncommitted: u64, now: Now) -> Option<usize> {
        if self.paused_until_us.take_if(|until_us| *until_us <= now.alive_us).is_some() {
            return Some(self.excess());
        }
        self.excess_due_us = self.excess_due_us(uncommitted, now);
        self.excess_due_us.take_if(|due_us| *due_us <= now.alive_us).map(|_| self.excess())
    }

    /// Returns for how many handlers to ask the store if this many are to be removed: up to a slice, which is larger
    /// than the number of runs that have ended since the last one, so that retention keeps up with any rate. `None` if
    /// the store is not to be asked now.
    pub(super) fn ask(&mut self, wanted: usize, uncommitted: u64) -> Option<usize> {
        let waits = self.removing >= uncommitted || self.is_asked || self.is_stuck || self.paused_until_us.is_some();
        if wanted == 0 || waits {
            return None;
        }
        let ended = std::mem::take(&mut self.ended_since_asked);
        self.slice = (2 * ended).clamp(RETENTION_SLICE, RETENTION_SLICE_MAX);
        self.is_asked = true;
        Some(wanted.min(self.slice))
    }

    /// The store could not be read for the longest ended handlers.
    pub(super) fn handle_unread(&mut self, now: Now) {
        self.is_asked = false;
        self.has_expired = false;
        self.pause(now);
    }

    /// The store has returned the longest ended handlers, from which some are removed now.
    pub(super) fn begin_removal(&mut self, running: usize, now: Now) -> Removal {
        self.is_asked = false;
        self.has_expired = false;
        let by_bytes = self.excess_by_bytes(running);
        Removal {
            slice: self.slice,
            excess: self.excess().max(by_bytes.unwrap_or(0)),
            expired_us: self.limits.keep_for.map(|keep_for| expired_us(keep_for, now)),
            is_over_bytes: by_bytes.is_some(),
            next_us: self.ages_pause_us(),
            removed: 0,
            has_expired: false,
        }
    }

    /// The handlers chosen for removal have been removed. The next slice is removed as soon as this one is committed.
    pub(super) fn end_removal(&mut self, removal: &Removal, now: Now) {
        self.has_expired = removal.has_expired && removal.removed > 0;
        self.is_stuck = removal.removed == 0;
        self.room.note_asked(removal.is_over_bytes, removal.removed);
        // With none left, wait for the next end.
        let ages = self.limits.keep_for.filter(|_| self.retained_count > 0);
        self.ages_due_us = ages.map(|_| now.alive_us.saturating_add(removal.next_us));
    }

    /// A handler of the store is removed with this batch.
    pub(super) fn note_removed(&mut self, batch: u64) {
        self.removing = batch;
        self.room.note_removed();
    }

    /// Returns when to check the ages of handlers.
    pub(super) fn ages_due_us(&self) -> Option<u64> {
        self.ages_due_us.filter(|_| self.limits.keep_for.is_some())
    }

    /// If it is time to check the ages of handlers, returns the time, on the wall clock, at or before which a run must
    /// have ended to have been retained for long enough.
    pub(super) fn handle_ages(&mut self, now: Now) -> Option<i64> {
        let Some(keep_for) = self.limits.keep_for else {
            self.ages_due_us = None;
            return None;
        };
        self.ages_due_us.filter(|due_us| *due_us <= now.alive_us)?;
        self.ages_due_us = Some(now.alive_us + self.ages_pause_us());
        if self.retained == Retained::InStore {
            self.is_stuck = false;
            self.has_expired = true;
        }
        Some(expired_us(keep_for, now))
    }

    /// Returns how long until ages are checked again if none is known to be due: later ends are not due earlier.
    fn ages_pause_us(&self) -> u64 {
        let pause_us = |keep_for| micros(keep_for).clamp(RETENTION_PAUSE_MIN_US, RETENTION_PAUSE_US);
        self.limits.keep_for.map_or(RETENTION_PAUSE_US, pause_us)
    }
}

/// Which of the longest ended handlers are removed.
pub(super) struct Removal {
    slice: usize,
    excess: usize,
    expired_us: Option<i64>,
    is_over_bytes: bool,
    /// How long until ages are checked again.
    next_us: u64,
    /// How many are removed.
    pub(super) removed: usize,
    /// Whether the last one that was examined was retained for long enough.
    has_expired: bool,
}

impl Removal {
    /// Returns whether to remove the next handler, whose run ended then. If not, no later one either.
    pub(super) fn takes(&mut self, ended_us: i64) -> bool {
        self.has_expired = self.expired_us.is_some_and(|expired_us| ended_us <= expired_us);
        if self.removed < self.slice && (self.has_expired || self.removed < self.excess) {
            return true;
        }
        if !self.has_expired {
            let left_us = self.expired_us.map_or(RETENTION_PAUSE_US, |expired_us| ended_us.abs_diff(expired_us));
            self.next_us = self.next_us.min(left_us.max(1));
        }
        false
    }
}

fn expired_us(keep_for: Duration, now: Now) -> i64 {
    now.wall_us.saturating_sub_unsigned(micros(keep_for))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

//! Changes that are not committed: the open batch, the sealed ones that the store has, and the queries whose answers
//! may not know about them.
//!
//! ```text
//!   open ──seal──► sealed ──committed──► released, with all before it
//!                     └──────failed────► dropped, with all after it and the open one: a new epoch begins
//! ```

use std::collections::VecDeque;

use super::{
    asking::{Asked, Asking},
    failure::Lost,
    handler::Handler,
    held::Held,
    policies::Recording,
};
use crate::{
    engine::{
        keys::{HandlerKey, RunKey},
        storage::Batch,
        stored::Aside,
    },
    now::Now,
};

/// The uncommitted batches.
#[derive(Debug)]
pub(super) struct Commits {
    /// The open batch: all changes since the last one was sealed.
    pub(super) batch: Batch,
    /// What waits for the open batch.
    pub(super) held: Held,
    /// What waits for the sealed batches, by number.
    sealed: VecDeque<(u64, Held)>,
    /// The cost of the sealed batches.
    sealed_bytes: usize,
    asking: Asking,
}

/// What was dropped of a handler that was set aside.
#[derive(Default)]
pub(super) struct Dropped {
    pub(super) lost: Lost,
    /// How often it was subtracted from the store's finished count.
    pub(super) uncounted: usize,
    /// Whether a run of it would have begun or ended, so that the store does not have it as finished.
    pub(super) began_or_ended: bool,
}

impl Commits {
    /// `newest` is the time of the newest committed input.
    pub(super) fn new(newest: Now) -> Self {
        Self {
            batch: Batch { number: 1, now: newest, ..Batch::default() },
            held: Held::default(),
            sealed: VecDeque::new(),
            sealed_bytes: 0,
            asking: Asking::default(),
        }
    }

    /// Returns whether no sealed batch is uncommitted.
    pub(super) fn is_settled(&self) -> bool {
        self.sealed.is_empty()
    }

    /// Returns whether the open batch contains changes.
    pub(super) fn has_changes(&self) -> bool {
        !(self.batch.is_empty() && self.held.is_empty())
    }

    /// Returns the number of the first uncommitted batch.
    pub(super) fn uncommitted(&self) -> u64 {
        self.sealed.front().map_or(self.batch.number, |&(number, _)| number)
    }

    /// Returns the first batch that an answer, now or later, may not know about. What it contains stays in memory.
    pub(super) fn unseen(&self) -> u64 {
        let uncommitted = self.uncommitted();
        self.asking.first_asked().map_or(uncommitted, |asked| asked.min(uncommitted))
    }

    /// Returns the first batch that the answer of the last ended query may not know about.
    pub(super) fn answered(&self) -> u64 {
        self.asking.answered()
    }

    /// Returns the batch with which this run begins, if that is not committed yet.
    pub(super) fn begun_with(&self, run: RunKey) -> Option<u64> {
        let mut sealed = self.sealed.iter().filter(|(_, held)| held.opened.contains(&run));
        let is_open = self.held.opened.contains(&run);
        sealed.next().map(|&(number, _)| number).or_else(|| is_open.then_some(self.batch.number))
    }

    /// Returns how long the oldest sealed batch has waited, in microseconds.
    pub(super) fn behind_us(&self, now: Now) -> u64 {
        let oldest = self.sealed.front().map(|(_, held)| held.now.alive_us);
        oldest.map_or(0, |then_us| now.alive_us.saturating_sub(then_us))
    }

    /// Returns the cost of the sealed batches.
    pub(super) fn sealed_bytes(&self) -> usize {
        self.sealed_bytes
    }

    /// Recounts [`Self::sealed_bytes`].
    pub(super) fn recount_sealed_bytes(&self) -> usize {
        self.sealed.iter().map(|(_, held)| held.bytes).sum()
    }

    /// Notes that the open batch changes this handler.
    pub(super) fn change(&mut self, key: HandlerKey, handler: &mut Handler) {
        handler.journal.batch = self.batch.number;
        self.held.touch(key);
    }

    /// Adds the time to the open batch, which exists for that alone if there are no changes.
    pub(super) fn note_time(&mut self, now: Now) {
        self.batch.now = now;
        self.batch.is_clock = true;
    }

    /// Seals the open batch.
    pub(super) fn seal(&mut self, recording: Recording) -> Batch {
        self.held.now = self.batch.now;
        self.held.bytes = recording.bytes(&self.batch);
        self.sealed_bytes += self.held.bytes;
        let number = self.batch.number;
        let (batch, held) = (self.batch.next(), self.held.next());
        self.sealed.push_back((number, std::mem::replace(&mut self.held, held)));
        std::mem::replace(&mut self.batch, batch)
    }

    /// The batch with this number and all before it are committed. Returns what waited for the first of them; to be
    /// called until it returns nothing.
    pub(super) fn poll_committed(&mut self, number: u64) -> Option<Held> {
        self.sealed.front().filter(|(first, _)| *first <= number)?;
        let (_, held) = self.sealed.pop_front()?;
        self.sealed_bytes -= held.bytes;
        Some(held)
    }

    /// Nothing of this batch and those after it is committed. Returns what waited for each of them.
    pub(super) fn handle_failed(&mut self, number: u64, now: Now) -> Vec<Held> {
        let first = self.sealed.partition_point(|&(other, _)| other < number);
        let mut failed: Vec<_> = self.sealed.drain(first..).map(|(_, held)| held).collect();
        self.sealed_bytes -= failed.iter().map(|held| held.bytes).sum::<usize>();
        failed.push(std::mem::take(&mut self.held));
        let (next, epoch) = (self.batch.number + 1, self.batch.epoch + 1);
        self.batch = Batch { number: next, epoch, now, ..self.batch.next() };
        self.asking.handle_rolled_back(next);
        failed
    }

    /// The uncommitted batches contain nothing of this handler, whose passes have these tags.
    pub(super) fn handle_aside(&mut self, aside: &Aside, passes: &[u64]) -> Dropped {
        let (key, mut dropped) = (aside.handler, Dropped::default());
        for held in self.sealed.iter_mut().map(|(_, held)| held).chain([&mut self.held]) {
            dropped.began_or_ended |= held.begins_or_ends(key);
            dropped.uncounted += held.take_out(key, passes, &mut dropped.lost);
        }
        self.batch.drop_handler(key);
        self.batch.asides_heard = aside.serial;
        self.asking.handle_rolled_back(self.uncommitted());
        dropped
    }

    /// Records a query.
    pub(super) fn begin_read(&mut self) -> Asked {
        self.asking.begin(self.uncommitted())
    }

    /// Refuses the answers to all pending queries, so that they are repeated.
    pub(super) fn refuse_pending_reads(&mut self) {
        self.asking.refuse_pending();
    }

    /// Records the answer to a query. Returns whether it may be used.
    pub(super) fn end_read(&mut self, asked: Asked) -> bool {
        self.asking.end(asked)
    }
}
